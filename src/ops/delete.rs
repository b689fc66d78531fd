//! delete: what create made is taken away again, whatever state it is in. Goes on after an error and reports all of them.

use super::Global;
use crate::error::{Context, Kind, Result, all, anyhow, bail, is};
use crate::hooks::{self, Surroundings};
use crate::log;
use crate::outside::cgroup::Cgroup;
use crate::outside::host_mount;
use crate::outside::record::{self, Family, Lock, Record, StateDir, Status};
use crate::outside::resctrl;
use crate::proc;
use crate::sys::process;
use crate::sys::{self, Errno};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// `--force` or not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

/// How long a killed process may take to die. In state D it dies when its device answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long init alone may take for it, in milliseconds, before all other processes of the container are killed as well.
const SOON: i32 = 1000;

pub fn delete(global: &Global, id: &str, force: Force) -> Result<()> {
    let done = delete_known(global, id, force);
    match done {
        Err(error) if force == Force::Yes && is(&error, Kind::NotExist) => record::sweep(&global.root, id),
        other => other,
    }
}

fn delete_known(global: &Global, id: &str, force: Force) -> Result<()> {
    let state = record::open(&global.root, id)?;
    if force == Force::Yes
        && let Ok(record) = state.read()
    {
        stop_creator(&state, &record)?;
        if record.init.is_some() {
            kill_everything(&state, &record)?; // an exec that waits inside holds the lock until it dies
        }
    }
    let _held = state.lock(Lock::Exclusive)?;
    let record = match state.read() {
        Ok(record) => record,
        Err(error) => return delete_remnant(&state, force, error),
    };
    let status = state.status(&record)?;
    if force == Force::No && !matches!(status, Status::Created | Status::Stopped) {
        bail!("cannot delete container {id} that is not stopped: {}", status.name());
    }
    let cgroup = state.cgroup(&record)?;
    clean_up(&state, &record, &cgroup, force)
}

/// A directory whose record was never written (the creator was killed at once: nothing else was made), or is damaged.
fn delete_remnant(state: &StateDir, force: Force, error: anyhow::Error) -> Result<()> {
    if is(&error, Kind::NotExist) {
        state.remove()?;
        return Err(error); // as for a container that never was
    }
    if force == Force::No {
        return Err(error);
    }
    log::warning(format!("{error:#}; going by what was written before it was made"));
    let intent = state.read_intent().context("neither record can be read: kill its processes by hand")?;
    let cgroup = state.cgroup(&intent)?;
    clean_up(state, &intent, &cgroup, force)
}

/// --force: a creator that still works on it is stopped first; its child ends with it.
fn stop_creator(state: &StateDir, record: &Record) -> Result<()> {
    if state.status(record)? != Status::Creating || record.creator.pid == process::pid() {
        return Ok(());
    }
    let Ok(pidfd) = process::pidfd_open(record.creator.pid) else {
        return Ok(());
    }; // it has just ended
    if proc::is_alive(record.creator)? {
        gone_is_fine(process::pidfd_signal(&pidfd, libc::SIGKILL)).context("stop the creator")?;
        wait_for_end(&pidfd, record.creator.pid, &state.cgroup(record)?)?;
    }
    Ok(())
}

/// Kills and removes everything of a container, in the order in which nothing can come back. The record goes last: as long
/// as anything is left, `delete` can be repeated.
pub fn clean_up(state: &StateDir, record: &Record, cgroup: &Cgroup, force: Force) -> Result<()> {
    let mut errors = Vec::new();
    errors.extend(kill_in(record, cgroup, force).err());
    let stopped = errors.is_empty();
    let removed = cgroup.remove();
    errors.extend(match force {
        Force::No => removed.context("remove the cgroup; `delete --force` ends whoever is in it").err(),
        Force::Yes => removed.err(),
    });
    errors.extend(record.resctrl.as_ref().and_then(|group| resctrl::remove(group).err()));
    errors.extend(take_down_mounts(record).err());
    // While a process of it is left, the container has not stopped: a later `delete` runs them.
    if stopped && let Err(error) = poststop(state, record) {
        errors.push(error);
    }
    if let Some(error) = all(errors) {
        return Err(error);
    }
    state.remove()
}

/// Numbers of mounts mean nothing in another boot of the machine.
fn take_down_mounts(record: &Record) -> Result<()> {
    match &record.host_mount {
        Some(mount) if record.boot_id == proc::boot_id()? => host_mount::take_down(mount),
        _ => Ok(()),
    }
}

/// `run` at the end of its own container: unless somebody has deleted it in the meantime.
pub fn clean_up_own(state: &StateDir, record: &Record, cgroup: &Cgroup) -> Result<()> {
    match state.lock(Lock::Exclusive) {
        Ok(_held) => clean_up(state, record, cgroup, Force::No),
        Err(error) if is(&error, Kind::NotExist) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The same for callers that only want it stopped.
pub fn kill_everything(state: &StateDir, record: &Record) -> Result<()> {
    kill_in(record, &state.cgroup(record)?, Force::Yes)
}

fn kill_in(record: &Record, cgroup: &Cgroup, force: Force) -> Result<()> {
    let init = record.init_pidfd()?;
    if let Some(pidfd) = &init {
        gone_is_fine(process::pidfd_signal(pidfd, libc::SIGKILL)).context("kill init")?;
    }
    // With a pid namespace of its own everybody dies with init, unless frozen. Whoever is still in the cgroup then was put
    // there by others, and is not ours to kill unasked.
    let all_die = record.family == Family::DiesWithInit && !cgroup.is_frozen().unwrap_or(true);
    if !all_die || (init.is_none() && force == Force::Yes) {
        cgroup.kill(libc::SIGKILL).context("kill what is left in the cgroup")?;
    }
    match (&init, record.init) {
        (Some(pidfd), Some(init)) => {
            if all_die && !process::poll(&[pidfd.as_fd()], SOON).is_ok_and(|ended| ended[0]) {
                // On its way out init may wait in close(2) for a file system that another process of the container serves (FUSE). The
                // kernel would kill that one only when init is through; so all are killed now, also those that others have put there.
                cgroup.kill(libc::SIGKILL).context("kill what is left in the cgroup")?;
            }
            wait_for_end(pidfd, init.pid, cgroup)
        }
        _ => Ok(()),
    }
}

/// How long one look at a process that is dying takes, in milliseconds.
const LOOK: i32 = 200;

/// v1 holds a killed process that is in a frozen cgroup, and init as long as its pid namespace has such a process. A container
/// may make and freeze cgroups below its own, again and again until its last process has died.
fn wait_for_end(pidfd: &impl AsFd, pid: i32, cgroup: &Cgroup) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        match process::poll(&[pidfd.as_fd()], LOOK) {
            Ok(ready) if ready[0] => return Ok(()),
            Ok(_) | Err(sys::Error(Errno::EINTR)) => {}
            Err(error) => return Err(anyhow!(error).context("wait for the end of init")),
        }
        cgroup.thaw_the_killed()?;
        if Instant::now() > end {
            break;
        }
    }
    let others = || cgroup.processes().unwrap_or_default().into_iter().take(100); // of its pid namespace: init waits for them
    let why = |pid: i32| proc::why_it_does_not_die(pid).map(|why| format!("process {pid} {why}"));
    match std::iter::once(pid).chain(others()).find_map(why) {
        Some(why) => {
            bail!("container init still running: process {pid} does not die: {why}, then delete the container again")
        }
        None => bail!("container init still running: process {pid} does not die (is it waiting for a device?)"),
    }
}

fn gone_is_fine(result: sys::Result<()>) -> sys::Result<()> {
    match result {
        Err(sys::Error(Errno::ESRCH)) => Ok(()),
        other => other,
    }
}

/// They run once, whatever becomes of them and of the rest: that they do is on record before. Their failures are logged, and
/// the rest goes on. runtime.md, "Lifecycle", step 12.
pub fn poststop(state: &StateDir, record: &Record) -> Result<()> {
    if record.hooks.poststop.is_empty() || !state.take_poststop()? {
        return Ok(());
    }
    let (bundle, annotations) = (&record.bundle, &record.annotations);
    let facts = hooks::State { id: &record.id, status: "stopped", pid: 0, bundle, annotations };
    for error in hooks::run_all("poststop", &record.hooks.poststop, &facts, &Surroundings::Inherit, record.hooks_cwd())
    {
        log::warning(format!("{error:#}"));
    }
    Ok(())
}
