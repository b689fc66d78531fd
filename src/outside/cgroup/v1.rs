//! What only cgroup v1 has: a freezer that has to be asked repeatedly, and cpusets that are born empty.
//!
//! Runs in the runtime's process. <https://docs.kernel.org/admin-guide/cgroup-v1/>

use super::dir::{Dir, is_gone, read};
use crate::error::{Context, Result, bail, ensure};
use crate::sys::file;
use crate::sys::{self, Errno, Error};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const STATE: &str = "freezer.state";

/// How long a freeze may take before we give up and thaw.
const FREEZE_TIME: Duration = Duration::from_secs(2);

/// Refuses a cgroup that no container could live in.
pub(super) fn check(dir: &Dir) -> Result<()> {
    if !dir.is_fresh() {
        super::refuse_populated(dir, &dir.processes()?)?;
    }
    // A fresh freezer directly below the mount cannot be frozen: the root cannot be.
    if dir.has("freezer") && (!dir.is_fresh() || dir.is_nested()) {
        let state = dir.read(STATE).with_context(|| format!("cgroup: read {dir}/{STATE}"))?;
        let thawed = state.trim() == "THAWED";
        ensure!(
            thawed,
            "cgroup: {dir}: container's cgroup unexpectedly frozen: write THAWED to {STATE} there or above"
        );
    }
    Ok(())
}

/// A cpuset without CPUs or memory nodes takes no process and no value, and a new one has none. So the parents are
/// filled before anything is written into ours; nothing that somebody set is changed.
pub(super) fn fill_parents(dir: &Dir) -> Result<()> {
    if dir.is_nested() { fill_chain(dir, &dir.parents()) } else { Ok(()) }
}

/// What no setting gave comes from the parent. After the settings, so that an exclusive set of a neighbour, which a
/// copy of the parent's would overlap, is no obstacle.
pub(super) fn fill(dir: &Dir) -> Result<()> {
    let mut chain = dir.parents();
    chain.push(dir.path().to_owned());
    fill_chain(dir, &chain)
}

fn fill_chain(dir: &Dir, chain: &[PathBuf]) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        // From the bottom up to the first that has something; usually that is the last or its parent.
        let filled = chain.iter().enumerate().rev().find_map(|(i, at)| Some((i, read_list(dir, at, file)?)));
        let Some((from, list)) = filled else { continue };
        for at in &chain[from + 1..] {
            dir.write_parent(at, file, &list)
                .with_context(|| format!("cgroup: write {list:?} to {file} of {} for {dir}", at.display()))?;
        }
    }
    Ok(())
}

fn read_list(dir: &Dir, at: &Path, file: &str) -> Option<String> {
    let text = dir.read_parent(at, file).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// Freezes, and asks until everything stands still. On failure it is thawed again.
///
/// The kernel does not finish by itself while new processes appear (by fork, or by being moved in), so the state must
/// be written again. Thawing for a moment now and then lets stuck ones move on to where they can be frozen.
pub(super) fn freeze(dir: &Dir) -> Result<()> {
    let done = freeze_with_patience(dir);
    if done.is_err() {
        let _ = thaw(dir); // the first error is the one to tell
    }
    done
}

fn freeze_with_patience(dir: &Dir) -> Result<()> {
    let end = Instant::now() + FREEZE_TIME;
    for round in 1u32.. {
        change(dir, "FROZEN")?;
        let state = dir.read(STATE).with_context(|| format!("cgroup: read {dir}/{STATE}"))?;
        match state.trim() {
            "FROZEN" => return Ok(()),
            "FREEZING" => {}
            other => bail!("cgroup: {dir}/{STATE} says {other:?} while freezing"),
        }
        if Instant::now() > end {
            break;
        }
        // At first without any wait: a process on another CPU needs only microseconds.
        let pause = [0, 0, 10, 20, 50, 100, 200, 500, 1000][(round as usize).min(8)];
        if round % 50 == 0 {
            thaw(dir)?;
        }
        std::thread::sleep(Duration::from_micros(pause));
    }
    bail!("cgroup: {dir} is not frozen after {} s; a process in an uninterruptible sleep?", FREEZE_TIME.as_secs())
}

pub(super) fn thaw(dir: &Dir) -> Result<()> {
    change(dir, "THAWED")
}

fn change(dir: &Dir, state: &str) -> Result<()> {
    dir.write(STATE, state).with_context(|| format!("cgroup: write {state} to {dir}/{STATE}"))
}

/// Thaws the cgroup and all below it, each before those below it: a container that may write its cgroups freezes some of its own.
/// Returns whether any was frozen.
pub(super) fn thaw_all(dir: &Dir) -> Result<bool> {
    let mut found = false;
    dir.each(|at| {
        let thaw = || -> sys::Result<bool> {
            let text = match read(at, Path::new("freezer.self_freezing")) {
                Err(Error(Errno::ENOENT)) => read(at, Path::new(STATE))?, // before Linux 3.9
                text => text?,
            };
            let frozen = !matches!(text.trim(), "0" | "THAWED");
            if frozen {
                file::write_once(file::open(at, STATE, libc::O_WRONLY, 0)?, b"THAWED")?;
            }
            Ok(frozen)
        };
        match thaw() {
            Ok(frozen) => found |= frozen,
            Err(error) if is_gone(error) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    })
    .with_context(|| format!("cgroup: thaw what is below {dir}"))?;
    Ok(found)
}

/// Is it frozen, or being frozen, by its own switch? (A frozen parent is somebody else's doing.)
pub(super) fn is_frozen(dir: &Dir) -> sys::Result<bool> {
    match dir.read("freezer.self_freezing") {
        Ok(text) => Ok(text.trim() == "1"),
        Err(Error(Errno::ENOENT)) => Ok(dir.read(STATE)?.trim() != "THAWED"),
        Err(error) => Err(error),
    }
}
