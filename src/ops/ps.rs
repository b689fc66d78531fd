//! ps: the processes of a container.

use super::Global;
use crate::error::{Context, Result, bail, ensure};
use crate::outside::record::{self, Family, Record};
use crate::plan::cgroup::Owner;
use crate::proc;
use std::process::Command;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum View {
    Table,
    Json,
}

pub fn ps(global: &Global, id: &str, view: View, options: &[String]) -> Result<String> {
    let (state, record) = record::load(&global.root, id)?;
    let pids = match record.cgroup.owner {
        Owner::Us | Owner::Systemd(_) => state.cgroup(&record)?.processes(),
        Owner::Nobody => without_cgroup(&record),
    };
    let pids = pids.context("list the processes of the container")?;
    match view {
        View::Json if pids.is_empty() => Ok("null\n".to_string()),
        View::Json => Ok(serde_json::to_string(&pids)? + "\n"),
        View::Table => table(&pids, options),
    }
}

/// By the pid namespace where it is the container's own; otherwise nothing but init is known to belong to it.
fn without_cgroup(record: &Record) -> Result<Vec<i32>> {
    let Some(init) = record.init else { return Ok(Vec::new()) };
    if !proc::is_alive(init)? {
        return Ok(Vec::new());
    }
    match record.family {
        Family::DiesWithInit => proc::in_pid_namespace_of(init.pid),
        Family::Survives => Ok(vec![init.pid]),
    }
}

/// ps(1) knows how to show processes; of what it shows, the container's lines.
fn table(pids: &[i32], options: &[String]) -> Result<String> {
    // containerd hands all options over as one argument.
    let mut words: Vec<&str> = options.iter().flat_map(|option| option.split_whitespace()).collect();
    if words.is_empty() {
        words.push("-ef");
    }
    // Callers may run us without PATH.
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_string());
    let shown = Command::new("ps").args(&words).env("PATH", path).output().context("run ps: is procps installed?")?;
    if !shown.status.success() {
        bail!("ps {}: {}", words.join(" "), String::from_utf8_lossy(&shown.stderr).trim());
    }
    let text = String::from_utf8_lossy(&shown.stdout);
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_whitespace().position(|name| name == "PID");
    ensure!(column.is_some(), "couldn't find PID field in ps output");
    let ours = |line: &&str| {
        let pid = column.and_then(|column| line.split_whitespace().nth(column)).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid: i32| pids.contains(&pid))
    };
    Ok(std::iter::once(header).chain(lines.filter(ours)).map(|line| format!("{line}\n")).collect())
}
