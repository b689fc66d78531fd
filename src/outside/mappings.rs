//! The mappings of a user namespace that is joined: are they what config.json says? user_namespaces(7).

use crate::error::{Context, Result, bail};
use crate::plan::namespaces::{IdMap, JoinedMaps};
use crate::sys::file::{self, CWD};
use crate::sys::process::{self, Clone, Dumpable, Side};
use crate::sys::{namespace, socket};
use std::os::fd::OwnedFd;

/// Are the mappings of an open user namespace these? A namespace cannot be asked, only a process in it: so one goes there
/// for a moment.
pub fn compare(wanted: &JoinedMaps, joined: &OwnedFd) -> Result<()> {
    let (hear, tell) = socket::pair().context("make a socket to the helper")?;
    match process::clone(&Clone::default()).context("clone a helper")? {
        Side::Child => {
            drop(hear);
            // Who is root there must not look into a copy of the runtime's memory (CVE-2016-9962).
            let enter = || {
                process::set_dumpable(Dumpable::No)?;
                namespace::enter(joined, libc::CLONE_NEWUSER)
            };
            let word: &[u8] = if enter().is_ok() { b"in" } else { b"not" };
            let _ = socket::send(&tell, word, None); // a parent that is gone needs no answer
            let _ = socket::receive(&tell, &mut [0; 8]); // until it has looked
            process::exit_now(0)
        }
        Side::Parent { pid, .. } => {
            drop(tell);
            let mut word = [0; 8];
            let entered = matches!(socket::receive(&hear, &mut word), Ok((2, _)));
            let looked = if entered { look(wanted, pid) } else { Ok(()) }; // the child will say why it cannot enter
            drop(hear);
            process::wait(pid).context("reap the helper")?;
            looked
        }
    }
}

fn look(wanted: &JoinedMaps, pid: i32) -> Result<()> {
    for (field, name, map) in [("uidMappings", "uid_map", &wanted.uids), ("gidMappings", "gid_map", &wanted.gids)] {
        let text = read(pid, name)?;
        if normal(&parse(&text)) != normal(map) {
            let found = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
            bail!(
                "config.json: linux.{field}: the user namespace to join has others (container, host, size: {}): leave the \
                 mappings out, or the namespace's path",
                found.collect::<Vec<_>>().join(", ")
            );
        }
    }
    Ok(())
}

/// The map of the user namespace that `pid` is in, with the host's ids as the caller has them. `name` is `uid_map` or `gid_map`.
pub fn of(pid: i32, name: &str) -> Result<Vec<IdMap>> {
    Ok(parse(&read(pid, name)?))
}

fn read(pid: i32, name: &str) -> Result<String> {
    let read = || file::read_all(file::open(CWD, format!("/proc/{pid}/{name}"), libc::O_RDONLY, 0)?, 1 << 16);
    let text = read().with_context(|| format!("read {name} of the namespace"))?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn parse(text: &str) -> Vec<IdMap> {
    let numbers = |line: &str| line.split_whitespace().map(|word| word.parse().ok()).collect::<Option<Vec<u32>>>();
    let lines = text.lines().filter_map(numbers);
    lines.filter_map(|n| Some(IdMap { container: *n.first()?, host: *n.get(1)?, size: *n.get(2)? })).collect()
}

/// In order, and neighbours that continue each other as one.
fn normal(map: &[IdMap]) -> Vec<IdMap> {
    let mut sorted = map.to_vec();
    sorted.sort_by_key(|line| line.container);
    let mut merged: Vec<IdMap> = Vec::new();
    for line in sorted {
        match merged.last_mut() {
            Some(last)
                if last.container.checked_add(last.size) == Some(line.container)
                    && last.host.checked_add(last.size) == Some(line.host) =>
            {
                last.size = last.size.saturating_add(line.size);
            }
            _ => merged.push(line),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_compared_by_what_they_map() {
        let one = normal(&parse("         0       1000         10\n        10       1010         20\n"));
        assert_eq!(one, parse("0 1000 30"));
        assert_ne!(one, normal(&parse("0 1000 10\n10 2000 20")));
        assert_eq!(normal(&parse("5 1 1\n0 7 1")), parse("0 7 1\n5 1 1"));
    }
}
