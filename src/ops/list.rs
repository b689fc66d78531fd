//! list: all containers below the root, as a table or as JSON. One that vanishes or is damaged does not stop it.

use super::Global;
use super::state::{self, Shown};
use crate::error::{Context, Kind, Result, is};
use crate::log;
use crate::outside::record;
use crate::plan::check;
use crate::sys::{Errno, Error, file};
use std::collections::HashMap;
use std::os::fd::AsFd;

/// What the caller wants to see.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum View {
    Table,
    Json,
    /// `--quiet`: ids alone.
    Ids,
}

/// Whether the root was named on the command line: then it must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RootGiven {
    No,
    Yes,
}

pub fn list(global: &Global, given: RootGiven, view: View) -> Result<String> {
    let ids = ids(global, given)?;
    if view == View::Ids {
        return Ok(ids.iter().map(|id| format!("{id}\n")).collect());
    }
    let mut owners = Owners::default();
    let shown: Vec<Shown> = ids.iter().filter_map(|id| one(global, id, &mut owners)).collect();
    match view {
        View::Json if shown.is_empty() => Ok("null\n".to_string()),
        View::Json => Ok(serde_json::to_string(&shown).context("write the list")? + "\n"),
        _ => Ok(table(&shown)),
    }
}

/// In alphabetical order.
pub fn ids(global: &Global, given: RootGiven) -> Result<Vec<String>> {
    let root = match record::open_root(&global.root)? {
        Some(root) => root,
        None if given == RootGiven::No => return Ok(Vec::new()),
        None => {
            return Err(Error(Errno::ENOENT)).with_context(|| format!("open --root {}", global.root.display()));
        }
    };
    let names = file::list(root.as_fd()).with_context(|| format!("read {}", global.root.display()))?;
    let mut ids: Vec<String> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    ids.retain(|id| check::container_id(id).is_ok() && !record::is_being_deleted(id));
    ids.sort();
    Ok(ids)
}

fn one(global: &Global, id: &str, owners: &mut Owners) -> Option<Shown> {
    let shown = record::load(&global.root, id).and_then(|(state, record)| {
        let owner = owners.name(record.owner);
        state::show(&state, record, owner)
    });
    match shown {
        Ok(shown) => Some(shown),
        Err(error) if is(&error, Kind::NotExist) => None, // deleted since we read the directory
        Err(error) => {
            log::warning(format!("{error:#}"));
            None
        }
    }
}

/// User names of the host, each looked up once.
#[derive(Default)]
struct Owners(HashMap<u32, String>);

impl Owners {
    fn name(&mut self, uid: u32) -> String {
        let find = || {
            let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default(); // without it there are only numbers
            let line = text.lines().find(|line| line.split(':').nth(2).and_then(|n| n.parse().ok()) == Some(uid))?;
            line.split(':').next().map(str::to_string)
        };
        self.0.entry(uid).or_insert_with(|| find().unwrap_or_else(|| format!("#{uid}"))).clone()
    }
}

/// Columns at least 12 wide, three blanks between them.
fn table(shown: &[Shown]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_string)];
    rows.extend(shown.iter().map(|c| {
        let bundle = c.bundle.display().to_string().escape_debug().to_string(); // not checked as an id is
        [c.id.clone(), c.pid.to_string(), c.status.to_string(), bundle, c.created.clone(), c.owner.clone()]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count() + 3).max().unwrap_or(0).max(12);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: String = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{cells}{}\n", row[5])
    };
    rows.iter().map(line).collect()
}
