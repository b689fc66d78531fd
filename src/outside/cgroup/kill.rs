//! Signals to everything in a cgroup, however fast it forks.
//!
//! Runs in the runtime's process. With Linux 5.14 and v2 (or hybrid) SIGKILL is one write; otherwise the cgroup is
//! frozen while its processes are listed and signalled, and thawed again whatever happens.

use super::dir::count;
use super::patience::Patience;
use super::{Cgroup, v2};
use crate::error::{Context, Result, anyhow};
use crate::log;
use crate::sys::{Errno, Error, process};
use std::time::Duration;

/// Seconds that the killed may take to be gone: tearing down much memory takes its time.
const DEATH_TIME: u32 = 10;

pub(super) fn all(cgroup: &Cgroup, signal: i32) -> Result<()> {
    if signal != libc::SIGKILL {
        return signal_frozen(cgroup, signal);
    }
    if let Some(dir) = cgroup.v2().filter(|dir| dir.fd().is_some())
        && v2::kill(dir)?.is_some()
    {
        for _ in 0..DEATH_TIME {
            // v2's own freezer lets the killed go; that of v1 holds them until they are thawed, and may be closed again by
            // another command at any time.
            if cgroup.v1_freezer().is_some() {
                thaw_if_frozen(cgroup)?;
            }
            if v2::wait_empty(dir, Duration::from_secs(1))? {
                return Ok(());
            }
        }
        return Err(survivors(&dir.processes()?));
    }
    let patience = &mut Patience::new();
    loop {
        signal_frozen(cgroup, signal)?;
        thaw_if_frozen(cgroup)?;
        let left = cgroup.processes()?;
        if left.is_empty() {
            return Ok(());
        }
        if !patience.wait() {
            return Err(survivors(&left));
        }
    }
}

fn survivors(pids: &[i32]) -> anyhow::Error {
    anyhow!("cgroup: SIGKILL leaves {}; in an uninterruptible sleep?", count(pids))
}

/// Signals everybody while nobody can fork. Who had frozen it before finds it frozen afterwards.
fn signal_frozen(cgroup: &Cgroup, signal: i32) -> Result<()> {
    let ours = !cgroup.is_frozen()?;
    if ours && let Err(error) = cgroup.freeze() {
        // Without a freezer, or with somebody who cannot be frozen, a fork may escape this round.
        log::debug(format!("signal without a freeze: {error:#}"));
    }
    let done = signal_each(cgroup, signal);
    if ours {
        thaw_if_frozen(cgroup)?;
    }
    done
}

fn signal_each(cgroup: &Cgroup, signal: i32) -> Result<()> {
    for pid in cgroup.processes()? {
        match process::kill(pid, signal) {
            Ok(()) | Err(Error(Errno::ESRCH)) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("signal {signal} to process {pid}"));
            }
        }
    }
    Ok(())
}

/// Without a freezer there is nothing to thaw.
fn thaw_if_frozen(cgroup: &Cgroup) -> Result<()> {
    let frozen = cgroup.is_frozen()?;
    if frozen { cgroup.thaw() } else { Ok(()) }
}
