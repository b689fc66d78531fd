//! Signals to everything in a cgroup, however fast it forks.
//!
//! Runs in the runtime's process. With Linux 5.14 and v2 (or hybrid) SIGKILL is one write; otherwise the cgroup is
//! frozen while its processes are listed and signalled, and thawed again whatever happens.

use super::dir::{Dir, Version, count};
use super::patience::Patience;
use super::walk::pids_in;
use super::{Cgroup, v2};
use crate::error::{Context, Result, anyhow};
use crate::log;
use crate::proc;
use crate::sys::{self, Errno, Error, process};
use std::collections::HashSet;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

/// How long the killed may take to be gone, in milliseconds from one look to the next: tearing down much memory takes its time.
const LOOKS: [u64; 12] = [20, 100, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000];

/// How many pidfds are open at once: fewer than any usual limit of descriptors leaves.
const AT_ONCE: usize = 64;

pub(super) fn all(cgroup: &Cgroup, signal: i32) -> Result<()> {
    if signal != libc::SIGKILL {
        return signal_frozen(cgroup, signal);
    }
    if let Some(dir) = cgroup.v2().filter(|dir| dir.fd().is_some())
        && v2::kill(dir)?.is_some()
    {
        for look in LOOKS {
            // v2's own freezer lets the killed go; that of v1 holds them until they are thawed, and may be closed again by
            // another command, or by a process of the container that has not died yet, at any time.
            cgroup.thaw_the_killed()?;
            if v2::wait_empty(dir, Duration::from_millis(look))? {
                return Ok(());
            }
            // cgroup.kill sends its signal to the first thread of a process: one whose first thread has ended does not get it.
            signal_each(cgroup, signal)?;
        }
        return Err(survivors(&dir.processes()?));
    }
    let patience = &mut Patience::new();
    loop {
        signal_frozen(cgroup, signal)?;
        thaw_if_frozen(cgroup)?;
        cgroup.thaw_the_killed()?;
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
    let why = |pid: &i32| proc::why_it_does_not_die(*pid).map(|why| format!("process {pid} {why}"));
    match pids.iter().take(100).find_map(why) {
        Some(why) => anyhow!("cgroup: SIGKILL leaves {}: {why}", count(pids)),
        None => anyhow!("cgroup: SIGKILL leaves {}; in an uninterruptible sleep?", count(pids)),
    }
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

/// Signals all processes in it and below. One that cannot be signalled does not keep the signal from the others.
fn signal_each(cgroup: &Cgroup, signal: i32) -> Result<()> {
    let Some(dir) = cgroup.tracking() else { return Ok(()) };
    let mut failed = None;
    dir.each(|at| {
        if let Err(error) = signal_in(at, dir, signal) {
            failed.get_or_insert(error);
        }
        Ok(())
    })?;
    failed.map_or(Ok(()), Err)
}

/// Signals the processes in one directory of the hierarchy of `dir`.
///
/// While the cgroup is not frozen a listed process may end, and its number go to another process, of the host even. So each
/// is opened first, and signalled through the pidfd only if the cgroup has the number on its list afterwards: as long as
/// the opened process lives, the number is its own.
fn signal_in(at: BorrowedFd, dir: &Dir, signal: i32) -> Result<()> {
    let pids = pids_in(at, "cgroup.procs")?;
    let mut done = Ok(());
    for some in pids.chunks(AT_ONCE) {
        let opened = open_each(some, process::pidfd_open)?;
        let now: HashSet<i32> = pids_in(at, "cgroup.procs")?.into_iter().collect();
        for (pid, pidfd) in opened.iter().filter(|(pid, _)| now.contains(pid)) {
            done = done.and(sent(process::pidfd_signal(pidfd, signal), signal, *pid));
        }
    }
    if dir.version == Version::V2 {
        let listed: HashSet<i32> = pids.into_iter().collect();
        done = done.and(signal_by_threads(at, &listed, signal));
    }
    done
}

/// v2 lists a process in the cgroup that its first thread is in, or has ended in, which need not be there any more. Such a
/// process is found by another of its threads.
fn signal_by_threads(at: BorrowedFd, listed: &HashSet<i32>, signal: i32) -> Result<()> {
    let mut seen = HashSet::new();
    let mut of_others = |tid: &i32| {
        let process = if listed.contains(tid) { None } else { proc::process_of(*tid) };
        process.is_some_and(|pid| !listed.contains(&pid) && seen.insert(pid))
    };
    let threads: Vec<i32> = pids_in(at, "cgroup.threads")?.into_iter().filter(|tid| of_others(tid)).collect();
    let mut done = Ok(());
    for some in threads.chunks(AT_ONCE) {
        let opened = open_each(some, process::pidfd_open_thread)?;
        let now: HashSet<i32> = pids_in(at, "cgroup.threads")?.into_iter().collect();
        for (tid, pidfd) in opened.iter().filter(|(tid, _)| now.contains(tid)) {
            done = done.and(sent(process::pidfd_signal_process_of(pidfd, signal), signal, *tid));
        }
        // Before Linux 6.9: the process, if the thread is still one of it.
        for tid in some.iter().filter(|tid| !opened.iter().any(|(opened, _)| opened == *tid)) {
            let Some(pid) = proc::process_of(*tid) else { continue };
            let opened = open_each(&[pid], process::pidfd_open)?;
            let inside = pids_in(at, "cgroup.threads")?.contains(tid) && proc::process_of(*tid) == Some(pid);
            for (pid, pidfd) in opened.iter().filter(|_| inside) {
                done = done.and(sent(process::pidfd_signal(pidfd, signal), signal, *pid));
            }
        }
    }
    done
}

/// Those that are gone meanwhile are left out.
fn open_each(pids: &[i32], open: fn(i32) -> sys::Result<OwnedFd>) -> Result<Vec<(i32, OwnedFd)>> {
    let mut opened = Vec::with_capacity(pids.len());
    for pid in pids {
        match open(*pid) {
            Ok(pidfd) => opened.push((*pid, pidfd)),
            // EINVAL and ENOENT: the number is that of a thread by now, of a process that is being reaped, or (for a thread) the
            // kernel opens none.
            Err(Error(Errno::ESRCH | Errno::EINVAL | Errno::ENOENT)) => {}
            Err(error) => return Err(error).with_context(|| format!("open process {pid}")),
        }
    }
    Ok(opened)
}

fn sent(result: sys::Result<()>, signal: i32, pid: i32) -> Result<()> {
    match result {
        Ok(()) | Err(Error(Errno::ESRCH)) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("signal {signal} to process {pid}")),
    }
}

/// Without a freezer there is nothing to thaw.
fn thaw_if_frozen(cgroup: &Cgroup) -> Result<()> {
    let frozen = cgroup.is_frozen()?;
    if frozen { cgroup.thaw() } else { Ok(()) }
}
