//! Changes the limits of a cgroup in which processes run: all of what is asked for, or nothing of it.
//!
//! Runs in the runtime's process, under the container's exclusive lock.

use super::dir::{Dir, Version};
use super::{Cgroup, devices, settings, systemd};
use crate::error::{Context, Result, all, bail};
use crate::plan::cgroup::{IfMissing, Owner, Setting};
use crate::plan::update::Update;

/// After an error the files say what they said before. `remember` is the last step, and fails like the others: what is
/// remembered of the limits is what is in force.
pub fn apply(cgroup: &Cgroup, update: &Update, remember: impl FnOnce() -> Result<()>) -> Result<()> {
    if let Some(limit) = update.memory_below {
        check_memory(cgroup, limit)?;
    }
    let before: Vec<Setting> = update.settings.iter().filter_map(|setting| undo(&cgroup.dirs, setting)).collect();
    let scope = match &cgroup.owner {
        Owner::Systemd(scope) => Some(scope),
        Owner::Us | Owner::Nobody => None,
    };
    // First, because it writes the files too, and less exactly.
    let done = scope
        .map_or(Ok(()), |scope| systemd::set(scope, &update.properties))
        .and_then(|()| settings::write(&cgroup.dirs, &update.settings))
        .and_then(|()| update.devices.as_ref().map_or(Ok(()), |(rules, _)| devices::apply(&cgroup.dirs, rules)))
        .and_then(|()| remember());
    let Err(error) = done else { return Ok(()) };
    let told = scope.map_or(Ok(()), |scope| systemd::set(scope, &update.properties_back));
    let back = settings::write(&cgroup.dirs, &before).context("put the old limits back");
    let devices = match &update.devices {
        Some((_, old)) => devices::apply(&cgroup.dirs, old).context("put the old device rules back"),
        None => Ok(()),
    };
    Err(all([Some(error), told.err(), back.err(), devices.err()].into_iter().flatten().collect())
        .expect("one error at least"))
}

/// `memory.checkBeforeUpdate`. cgroup v1 refuses such a limit by itself; v2 would kill.
fn check_memory(cgroup: &Cgroup, limit: u64) -> Result<()> {
    let Some(dir) = cgroup.dirs.iter().find(|dir| dir.version == Version::V2 && cgroup.dirs.len() == 1) else {
        return Ok(());
    };
    let used: Option<u64> = dir.read("memory.current").ok().and_then(|text| text.trim().parse().ok());
    match used {
        Some(used) if used > limit => {
            bail!(
                "memory.checkBeforeUpdate: unable to set memory limit to {limit} (current usage: {used}): the container \
                 would be killed"
            )
        }
        _ => Ok(()),
    }
}

/// The write that makes the file say again what it says now. `None` for a file that cannot be read.
fn undo(dirs: &[Dir], setting: &Setting) -> Option<Setting> {
    let dir = settings::place(dirs, setting)?;
    let Ok(text) = dir.read(&setting.file) else {
        return match &setting.if_missing {
            IfMissing::Instead(other) => undo(dirs, other),
            _ => None,
        };
    };
    Some(Setting { value: before(&text, &setting.value), if_missing: IfMissing::Skip, ..setting.clone() })
}

/// Of a file with a line for each device (`8:0 rbps=1000`), the line of that device; without one, no limit for it.
fn before(text: &str, new: &str) -> String {
    let Some((device, rest)) = new.split_once(' ').filter(|(device, _)| device.contains(':')) else {
        return text.trim().to_owned();
    };
    let known = text.lines().find(|line| line.split(' ').next() == Some(device));
    let none = match rest.split_once('=') {
        Some((key, _)) => format!("{device} {key}=max"),
        None => format!("{device} 0"),
    };
    known.map_or(none, str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::before;

    #[test]
    fn the_way_back_is_read_from_the_file() {
        assert_eq!(before("100000\n", "200000"), "100000");
        assert_eq!(before("50000 100000\n", "10000 100000"), "50000 100000");
        let io = "8:0 rbps=1000 wbps=max riops=max wiops=max\n8:16 rbps=max wbps=7 riops=max wiops=max\n";
        assert_eq!(before(io, "8:0 rbps=5"), "8:0 rbps=1000 wbps=max riops=max wiops=max");
        assert_eq!(before(io, "8:32 rbps=5"), "8:32 rbps=max");
        assert_eq!(before("8:0 1000\n", "8:16 5"), "8:16 0");
    }
}
