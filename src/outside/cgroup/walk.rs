//! Through all cgroups below a directory. They may come and go meanwhile.
//!
//! Runs in the runtime's process.

use super::dir::{is_gone, read};
use crate::error::{Result, ensure};
use crate::sys::file::{self, Resolve};
use crate::sys::{Errno, Error, cgroupfs};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// Cgroups nested deeper than this are left alone: each level holds a descriptor and a stack frame of ours.
const DEEPEST: usize = 512;

/// Adds the processes of the directory and of all below it.
pub(super) fn processes(dir: BorrowedFd, pids: &mut Vec<i32>, depth: usize) -> Result<()> {
    ensure!(depth < DEEPEST, "cgroups are nested deeper than {DEEPEST}");
    match read(dir, Path::new("cgroup.procs")) {
        // 0 stands for a process that our pid namespace cannot see; it must never reach kill(2).
        Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0)),
        Err(error) if is_gone(error) => return Ok(()),
        Err(Error(Errno::EOPNOTSUPP)) => {} // a threaded cgroup: its processes are listed above it
        Err(error) => return Err(error.into()),
    }
    for_each_below(dir, |child, _| processes(child, pids, depth + 1))
}

/// Removes what is below, as far as possible; says whether anything was removed. What was not is found by the caller's
/// next try.
pub(super) fn remove_below(dir: BorrowedFd, depth: usize) -> bool {
    let mut removed = false;
    let done = for_each_below(dir, |child, name| {
        if depth < DEEPEST {
            removed |= remove_below(child, depth + 1);
        }
        removed |= file::rmdir(dir, name).is_ok();
        Ok(())
    });
    removed && done.is_ok()
}

fn for_each_below(dir: BorrowedFd, mut visit: impl FnMut(BorrowedFd, &Path) -> Result<()>) -> Result<()> {
    let names = match cgroupfs::subdirectories(dir) {
        Err(error) if is_gone(error) => return Ok(()),
        names => names?,
    };
    for name in names {
        let name = Path::new(&name);
        match file::open_in(dir, name, libc::O_PATH | libc::O_DIRECTORY, 0, Resolve::Beneath) {
            Err(error) if is_gone(error) => {}
            child => visit(child?.as_fd(), name)?,
        }
    }
    Ok(())
}
