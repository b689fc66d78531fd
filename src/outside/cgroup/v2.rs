//! What only cgroup v2 has: controllers to be enabled from the root down, cgroup.events, cgroup.freeze, cgroup.kill.
//!
//! Runs in the runtime's process. <https://docs.kernel.org/admin-guide/cgroup-v2.html>

use super::dir::{Dir, Enabled, is_gone};
use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::sys::{self, Errno, Error, cgroupfs};
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a freeze may take before we give up and thaw: a process in an uninterruptible sleep cannot be frozen.
const FREEZE_TIME: Duration = Duration::from_secs(10);

const SUBTREE: &str = "cgroup.subtree_control";

const TYPE: &str = "cgroup.type";

/// Values of cgroup.type. cgroups(7), "Thread mode".
const THREADED: &str = "threaded";
const INVALID: &str = "domain invalid";

/// Refuses a cgroup that no container could live in. The mount need not be the top of the hierarchy: in a cgroup namespace it
/// is a cgroup that may have processes.
pub(super) fn check(dir: &Dir) -> Result<()> {
    if dir.is_fresh() && !dir.is_nested() {
        return make_valid(dir);
    }
    let events = Events::read(dir)?;
    if events.populated {
        super::refuse_populated(dir, &dir.processes()?)?;
    }
    if !dir.is_fresh() {
        let passed_on = dir.read(SUBTREE).with_context(|| format!("cgroup: read {dir}/{SUBTREE}"))?;
        ensure!(
            passed_on.trim().is_empty(),
            "cgroup: {dir}/{SUBTREE} has {:?}: a cgroup that passes controllers on takes no process; remove it, or \
             choose another linux.cgroupsPath",
            passed_on.trim()
        );
    }
    ensure!(
        !events.frozen,
        "cgroup: {dir}: container's cgroup unexpectedly frozen: write 0 to cgroup.freeze there or above"
    );
    make_valid(dir) // last, since it cannot be taken back
}

/// Makes a cgroup that takes no processes a threaded one, which takes them. A cgroup is invalid below one that is threaded, or
/// that has processes of its own and passes on cpu, cpuset, pids or perf_event: those are the controllers that a threaded
/// cgroup can have. Also after controllers were enabled. cgroups(7), "Thread mode".
pub(super) fn make_valid(dir: &Dir) -> Result<()> {
    let kind = dir.read(TYPE).with_context(|| format!("cgroup: read {dir}/{TYPE}"))?;
    if kind.trim() != INVALID {
        return Ok(());
    }
    for parent in dir.parents() {
        make_parent_valid(dir, &parent)
            .with_context(|| format!("cgroup: make {} threaded", dir.mount().join(&parent).display()))?;
    }
    match dir.write(TYPE, THREADED) {
        Ok(()) | Err(Error(Errno::ENOENT)) => Ok(()), // gone: found out by the next one to use it
        Err(error) => Err(anyhow!(error).context(format!(
            "cgroup: {dir} takes no processes, since a cgroup above it is threaded or has processes of its own, and it cannot \
             be threaded itself: move those processes into a cgroup below theirs, or choose another linux.cgroupsPath"
        ))),
    }
}

fn make_parent_valid(dir: &Dir, parent: &Path) -> sys::Result<()> {
    if kind_of(dir, parent) == INVALID { dir.write_parent(parent, TYPE, THREADED) } else { Ok(()) }
}

/// Parents that we made pass on all controllers they have: statistics need them, and nobody else will enable them.
/// What fails is found out by the settings that need it.
pub(super) fn enable_in_new_parents(dir: &Dir) {
    for parent in dir.made_parents() {
        let all = dir.read_parent(parent, "cgroup.controllers").unwrap_or_default();
        let _ = enable_in(dir, parent, &all.split_whitespace().collect::<Vec<_>>());
    }
}

/// Enables controllers from the mount down. Returns for each that failed what happened where. What is new is noted, to be
/// withdrawn when the start fails.
pub(super) fn enable(dir: &Dir, controllers: &[&str]) -> Vec<(String, String)> {
    let mut problems = Vec::new();
    for parent in dir.parents() {
        let (before, kind) = (passed_on(dir, &parent), kind_of(dir, &parent));
        problems.extend(enable_in(dir, &parent, controllers));
        let mut controllers = passed_on(dir, &parent);
        controllers.retain(|controller| !before.contains(controller));
        if !controllers.is_empty() {
            dir.note_enabled(Enabled { parent, controllers, kind });
        }
    }
    problems
}

/// Undoes `enable`. While a cgroup has other ones below, these may use the controllers by now, and would lose their limits. So
/// it keeps them, unless they have made those below invalid, and none of these has become threaded since.
pub(super) fn withdraw(dir: &Dir, enabled: &[Enabled]) {
    for Enabled { parent, controllers, kind } in enabled.iter().rev() {
        let below = dir.names_in_parent(parent);
        let is_alone = below.as_ref().is_ok_and(Vec::is_empty);
        let is_threaded = |name: &OsString| kind_of(dir, &parent.join(name)) == THREADED;
        let none_uses_them = || below.is_ok_and(|names| !names.iter().any(is_threaded));
        if is_alone || (kind_of(dir, parent) != *kind && none_uses_them()) {
            let list: Vec<String> = controllers.iter().map(|controller| format!("-{controller}")).collect();
            let _ = dir.write_parent(parent, SUBTREE, &list.join(" ")); // gone (we made it), or in use below
        }
    }
}

/// What a parent passes on; nothing, where that cannot be read.
fn passed_on(dir: &Dir, parent: &Path) -> Vec<String> {
    let text = dir.read_parent(parent, SUBTREE).unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// The cgroup.type of a parent. The top of the hierarchy has none, and is a domain.
fn kind_of(dir: &Dir, parent: &Path) -> String {
    dir.read_parent(parent, TYPE).map_or_else(|_| "domain".to_owned(), |kind| kind.trim().to_owned())
}

pub(super) fn enable_in(dir: &Dir, parent: &Path, controllers: &[&str]) -> Vec<(String, String)> {
    let list = |names: &[&str]| names.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
    let _ = make_parent_valid(dir, parent); // an invalid one passes nothing on, which the next write says
    if controllers.is_empty() || dir.write_parent(parent, SUBTREE, &list(controllers)).is_ok() {
        return Vec::new();
    }
    // The write is all or nothing, so one that is missing would take the others with it.
    let one = |controller: &&str| {
        let error = dir.write_parent(parent, SUBTREE, &list(&[controller])).err()?;
        let hint = match error.0 {
            Errno::EBUSY => " (that cgroup has processes of its own)",
            Errno::EOPNOTSUPP => {
                " (that cgroup is threaded, or has processes of its own: only cpu, cpuset, pids and perf_event can be \
                 limited below it; move its processes into a cgroup below it, or leave the limit out)"
            }
            _ => "",
        };
        let at = dir.mount().join(parent.strip_prefix(".").unwrap_or(parent)).join(SUBTREE);
        Some(((*controller).to_owned(), format!("write \"+{controller}\" to {}: {error}{hint}", at.display())))
    };
    controllers.iter().filter_map(one).collect()
}

/// The controllers of the hierarchy.
pub(super) fn available(dir: &Dir) -> Vec<String> {
    let text = dir.read_parent(Path::new("."), "cgroup.controllers").unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// Freezes, and waits until everything stands still. On failure it is thawed again.
pub(super) fn freeze(dir: &Dir) -> Result<()> {
    let done = change(dir, "1").and_then(|()| wait_frozen(dir));
    if done.is_err() {
        let _ = thaw(dir); // the first error is the one to tell
    }
    done
}

fn wait_frozen(dir: &Dir) -> Result<()> {
    if wait(dir, FREEZE_TIME, |events| events.frozen)? {
        return Ok(());
    }
    bail!("cgroup: {dir} is not frozen after {} s; a process in an uninterruptible sleep?", FREEZE_TIME.as_secs())
}

/// The write wakes everybody before it returns; a parent may keep them frozen, which is not ours to wait for.
pub(super) fn thaw(dir: &Dir) -> Result<()> {
    change(dir, "0")
}

fn change(dir: &Dir, value: &str) -> Result<()> {
    dir.write("cgroup.freeze", value).with_context(|| format!("cgroup: write {value:?} to {dir}/cgroup.freeze"))
}

/// Is it frozen by its own switch? (A frozen parent is somebody else's doing.)
pub(super) fn is_frozen(dir: &Dir) -> sys::Result<bool> {
    Ok(dir.read("cgroup.freeze")?.trim() == "1")
}

/// Kills everything in it and below at once, forks too. `None` when the kernel cannot (before Linux 5.14, and in a threaded
/// cgroup).
pub(super) fn kill(dir: &Dir) -> Result<Option<()>> {
    match dir.write("cgroup.kill", "1") {
        Ok(()) | Err(Error(Errno::ENODEV)) => Ok(Some(())), // gone, and so are its processes
        Err(Error(Errno::ENOENT | Errno::EOPNOTSUPP)) => Ok(None),
        Err(error) => Err(anyhow!(error).context(format!("cgroup: write \"1\" to {dir}/cgroup.kill"))),
    }
}

/// Has it a process, itself or below? Not when it is gone, or cannot be read.
pub(super) fn is_populated(dir: &Dir) -> bool {
    Events::read(dir).is_ok_and(|events| events.populated)
}

/// Waits until the killed are gone. False when some are not, after that time.
pub(super) fn wait_empty(dir: &Dir, time: Duration) -> Result<bool> {
    wait(dir, time, |events| !events.populated)
}

/// Waits until the events are as wanted, or says that they are not in time. A cgroup that is gone has nobody in it.
fn wait(dir: &Dir, time: Duration, wanted: impl Fn(&Events) -> bool) -> Result<bool> {
    let doing = || format!("cgroup: read {dir}/cgroup.events");
    let file = match dir.open("cgroup.events", libc::O_RDONLY) {
        Err(error) if is_gone(error) => return Ok(true), // systemd removes a scope as soon as nobody is in it
        file => file.with_context(doing)?,
    };
    let end = Instant::now() + time;
    let mut buffer = [0; 256];
    loop {
        let got = match cgroupfs::read_at_start(&file, &mut buffer) {
            Err(error) if is_gone(error) => return Ok(true),
            got => got.with_context(doing)?,
        };
        if wanted(&Events::parse(&String::from_utf8_lossy(&buffer[..got]))) {
            return Ok(true);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        cgroupfs::wait_change(&file, left).with_context(doing)?;
    }
}

/// cgroup.events: both count what is below as well, `frozen` also what is above.
#[derive(PartialEq, Eq, Debug)]
struct Events {
    populated: bool,
    frozen: bool,
}

impl Events {
    fn read(dir: &Dir) -> Result<Events> {
        let text = dir.read("cgroup.events").with_context(|| format!("cgroup: read {dir}/cgroup.events"))?;
        Ok(Events::parse(&text))
    }

    fn parse(text: &str) -> Events {
        let is_on = |name| super::field(text, name) == Some(1);
        Events { populated: is_on("populated"), frozen: is_on("frozen") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_by_name() {
        assert_eq!(Events::parse("populated 1\nfrozen 0\n"), Events { populated: true, frozen: false });
        assert_eq!(Events::parse("frozen 1\nnew 3\npopulated 0"), Events { populated: false, frozen: true });
    }
}
