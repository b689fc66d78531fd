//! The handle of the host's /proc through which a child labels itself: opened while /proc is still surely the host's own.

use crate::error::{Context, Result, ensure};
use crate::plan::{Plan, World};
use crate::sys::file::{self, CWD};
use std::os::fd::OwnedFd;

/// `None` without a label, and where the child makes a procfs of its own.
pub fn procfs(plan: &Plan) -> Result<Option<OwnedFd>> {
    if plan.process.labels.is_empty() || !is_safe_in(&plan.world) {
        return Ok(None);
    }
    let dir = file::open(CWD, "/proc", libc::O_PATH | libc::O_DIRECTORY, 0).context("open /proc")?;
    ensure!(file::filesystem(&dir)? == file::PROC_SUPER_MAGIC, "/proc is not procfs; labels cannot be set without it");
    Ok(Some(dir))
}

/// A process that traces the child could take the handle, and with it the host. The processes of a container do not see the child: it is
/// alone in a new pid namespace, or forks into that of a container only later (`inside::fork`). And those of a user namespace
/// have no capability over a process that was executed outside of it (in there the kernel makes no new procfs beside a
/// masked one).
fn is_safe_in(world: &World) -> bool {
    match world {
        World::New(sandbox) => {
            let namespaces = &sandbox.namespaces;
            namespaces.has(libc::CLONE_NEWPID) || namespaces.has(libc::CLONE_NEWUSER)
        }
        World::Join(target) => target.namespaces & (libc::CLONE_NEWUSER | libc::CLONE_NEWPID) != 0,
    }
}
