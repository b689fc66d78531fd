//! Through all cgroups below a directory, however deep they are. They may come and go meanwhile.
//!
//! Runs in the runtime's process. A container may nest its cgroups as deep as the kernel lets it: the walks do not recurse, hold
//! one descriptor at a time, and reach a directory from its parent or its child only, never by a path. The names on the way
//! are held, which is less than the kernel holds for the same cgroups.

use super::dir::{is_gone, read};
use crate::error::{Result, anyhow, ensure};
use crate::sys::file::{self, Resolve};
use crate::sys::{self, Errno, Error, cgroupfs};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// More cgroups than this are a walk that a process keeps ahead of.
const MOST: usize = 1_000_000;

/// Calls `visit` for the directory and for all that are below, each before those below it.
pub(super) fn each(top: BorrowedFd, visit: impl FnMut(BorrowedFd) -> Result<()>) -> Result<()> {
    through(top, visit, |_, _| {})
}

/// The pids in a `cgroup.procs` or `cgroup.threads`; none when the cgroup is gone, or is one of threads, whose processes are
/// listed above it.
pub(super) fn pids_in(dir: BorrowedFd, file: &str) -> Result<Vec<i32>> {
    match read(dir, Path::new(file)) {
        // 0 stands for a process that our pid namespace cannot see; it must never reach kill(2).
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0).collect()),
        Err(error) if is_gone(error) => Ok(Vec::new()),
        Err(Error(Errno::EOPNOTSUPP)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Removes what is below, as far as possible; says whether anything was removed. What was not is found by the caller's
/// next try.
pub(super) fn remove_below(top: BorrowedFd) -> bool {
    let mut removed = false;
    let done = through(top, |_| Ok(()), |parent, name| removed |= file::rmdir(parent, name).is_ok());
    removed && done.is_ok()
}

/// Calls `enter` for each directory before those below it, and `leave` for each but `top` after those, with its parent.
fn through(
    top: BorrowedFd,
    mut enter: impl FnMut(BorrowedFd) -> Result<()>,
    mut leave: impl FnMut(BorrowedFd, &OsStr),
) -> Result<()> {
    let mut here = file::duplicate(top)?;
    let mut visited = 1;
    enter(top)?;
    let mut names = names_in(top)?;
    let mut above: Vec<Above> = Vec::new();
    loop {
        let Some(name) = names.pop() else {
            let Some(Above { name, identity, names: rest }) = above.pop() else { return Ok(()) };
            here = parent_of(&here, identity)?;
            leave(here.as_fd(), &name);
            names = rest;
            continue;
        };
        let child = match open_below(here.as_fd(), Path::new(&name)) {
            Err(error) if is_gone(error) => continue,
            child => child?,
        };
        visited += 1;
        ensure!(visited <= MOST, "there are more than {MOST} cgroups, or a process makes more of them all the time");
        let identity = identity_of(&here)?;
        enter(child.as_fd())?;
        let below = names_in(child.as_fd())?;
        above.push(Above { name, identity, names: std::mem::replace(&mut names, below) });
        here = child;
    }
}

/// A directory that the walk is below, and where it goes on there.
struct Above {
    /// Of the directory in it that the walk is in.
    name: OsString,
    identity: (u64, u64),
    names: Vec<OsString>,
}

/// One step up. The kernel moves no cgroup to another parent; if it did, the walk would leave the tree here.
fn parent_of(dir: &OwnedFd, expected: (u64, u64)) -> Result<OwnedFd> {
    let parent = file::open(dir.as_fd(), "..", libc::O_PATH | libc::O_DIRECTORY, 0)?;
    if identity_of(&parent)? == expected { Ok(parent) } else { Err(anyhow!("a cgroup has another parent than before")) }
}

fn identity_of(dir: &OwnedFd) -> sys::Result<(u64, u64)> {
    file::stat(dir).map(|stat| (stat.st_dev, stat.st_ino))
}

fn open_below(dir: BorrowedFd, name: &Path) -> sys::Result<OwnedFd> {
    file::open_in(dir, name, libc::O_PATH | libc::O_DIRECTORY, 0, Resolve::Beneath)
}

pub(super) fn names_in(dir: BorrowedFd) -> Result<Vec<OsString>> {
    match cgroupfs::subdirectories(dir) {
        Err(error) if is_gone(error) => Ok(Vec::new()),
        names => Ok(names?),
    }
}
