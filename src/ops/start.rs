//! start: opens the gate of a created container.

use super::Global;
use crate::error::{Context, Result, bail, ensure};
use crate::hooks::{self, Surroundings};
use crate::link::gate::{self, Seen};
use crate::log;
use crate::outside::notify::{self, Proxy};
use crate::outside::record::{self, Lock, Record, StateDir, Status};
use crate::sys::{self, file, process};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Returns when the program runs and the poststart hooks have succeeded; under a service manager, when it is ready, too.
pub fn start(global: &Global, id: &str) -> Result<()> {
    let (state, _) = record::load(&global.root, id)?;
    let held = state.lock(Lock::Exclusive)?;
    let record = state.read()?; // again, now that nobody else works on it
    match state.status(&record)? {
        Status::Created => {}
        Status::Stopped => bail!("cannot start a container that has stopped"),
        Status::Running => bail!("cannot start an already running container"),
        other => bail!("cannot start a container in the {} state", other.name()),
    }
    let manager = notify::manager()?;
    let wish = if manager.is_some() && notify::is_prepared(&state) { gate::Wish::Socket } else { gate::Wish::Nothing };
    let init = record.init_pidfd()?;
    let pid = record.init.map_or(0, |init| init.pid);
    let before = executable(pid);
    let wait = |connection: BorrowedFd| wait_for_word(connection, init.as_ref(), pid, before);
    let socket = gate::open(state.dir.as_fd(), wish, wait)?;
    // The container runs: what fails now must not say that it does not.
    let mut proxy = Proxy::of(socket, manager).unwrap_or_else(|error| {
        log::warning(format!("the service manager will not hear from the container: {error:#}"));
        None
    });
    let _ = file::unlink(state.dir.as_fd(), gate::NAME); // it is closed for good; a leftover name misleads nobody
    drop(held); // the hooks may well call us
    poststart(&state, &record)?;
    until_ready(proxy.as_mut(), &record)
}

/// How often `start` looks whether the program runs, in milliseconds.
const LOOK: i32 = 50;

/// Until the process at the gate says something, or runs its program: then its connection may still be open, in the hands of a
/// process that has taken it. `before` is the executable that it had.
fn wait_for_word(connection: BorrowedFd, init: Option<&OwnedFd>, pid: i32, before: Option<Executable>) -> Result<Seen> {
    let Some(init) = init else { return Ok(Seen::Message) };
    loop {
        let poll = || process::poll(&[connection, init.as_fd()], LOOK);
        let ready = sys::retry(poll).context("wait for the program to start")?;
        if ready[0] {
            return Ok(Seen::Message);
        }
        ensure!(!ready[1], "container init died before it could run its program");
        let now = executable(pid);
        if now.is_some() && before.is_some() && now != before {
            return Ok(Seen::Program);
        }
    }
}

/// The device and the inode of an executable.
type Executable = (u64, u64);

/// `None` when it has ended, or we may not look.
fn executable(pid: i32) -> Option<Executable> {
    let file = file::open(file::CWD, format!("/proc/{pid}/exe"), libc::O_PATH, 0).and_then(file::stat).ok()?;
    Some((file.st_dev, file.st_ino))
}

/// runc and crun wait as well: a service whose `start` has returned is up.
pub fn until_ready(proxy: Option<&mut Proxy>, record: &Record) -> Result<()> {
    match (proxy, record.init, record.init_pidfd()?) {
        (Some(proxy), Some(init), Some(pidfd)) => proxy.until_ready(pidfd.as_fd(), init.pid),
        _ => Ok(()), // nobody waits for it, or it has ended
    }
}

/// A poststart hook that fails stops the container. runtime.md, "Lifecycle", step 9.
pub fn poststart(state: &StateDir, record: &Record) -> Result<()> {
    if record.hooks.poststart.is_empty() {
        return Ok(());
    }
    let pid = record.init.map_or(0, |init| init.pid);
    let (bundle, annotations) = (&record.bundle, &record.annotations);
    let facts = hooks::State { id: &record.id, status: "running", pid, bundle, annotations };
    let ran =
        hooks::run("poststart", &record.hooks.poststart, &facts, &Surroundings::Inherit, Some(record.hooks_cwd()));
    if ran.is_err() {
        super::delete::kill_everything(state, record).context("stop the container")?;
    }
    ran
}
