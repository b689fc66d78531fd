//! A runtime that runs in a chroot: its directory becomes the root of the container's mount namespace, before anything is mounted.
//!
//! Otherwise the root of that namespace would stay what is above the chroot: `exec`, and any process that joins the namespace,
//! would arrive there (setns(2)), and a payload with CAP_SYS_CHROOT could climb there. That "/" is no mount point is another
//! matter: a directory that something is mounted on is one.

use crate::error::{Context, Result};
use crate::log;
use crate::plan::Sandbox;
use crate::sys::file::{self, CWD};
use crate::sys::mount::{self, Change, Depth};
use crate::sys::process::{self, Clone, Side};
use crate::sys::{self, Errno, namespace};
use std::os::fd::{AsFd, OwnedFd};

/// Leaves the chroot, if there is one. The process is in its new mount namespace and in the bundle, and stays there; all paths
/// mean what they meant before.
pub fn leave(sandbox: &Sandbox) -> Result<()> {
    if sandbox.namespaces.makes(libc::CLONE_NEWUSER) {
        return Ok(()); // the kernel makes no user namespace for a process in a chroot: clone(2), EPERM
    }
    let here = mount::root().context("look at \"/\"")?;
    let home = file::open(CWD, ".", libc::O_PATH | libc::O_DIRECTORY, 0).context("open the bundle")?;
    let root = file::open(CWD, "/", libc::O_PATH | libc::O_DIRECTORY, 0).context("open \"/\"")?;
    match namespace::enter_own_root() {
        // Without CAP_SYS_CHROOT. To a process in a chroot the kernel gives no user namespace, whatever its rights are.
        Err(error @ sys::Error(Errno::EPERM)) => {
            return makes_user_namespaces(error).context(
                "whether this process runs in a chroot, which would not hold the container, cannot be seen: give the runtime \
                 CAP_SYS_CHROOT, or start it outside of the chroot",
            );
        }
        entered => entered.context("enter the root of the new mount namespace")?,
    }
    if mount::root().context("look at the root of the mount namespace")? == here {
        return process::fchdir(home).context("return to the bundle");
    }
    log::debug("leaving the chroot that the runtime runs in");
    become_root(&root)
        .context("make the chroot that the runtime runs in the root of the container's mount namespace")?;
    process::chdir(&sandbox.bundle).context("return to the bundle")
}

/// Fails with `error` where the kernel gives this process no user namespace.
fn makes_user_namespaces(error: sys::Error) -> Result<()> {
    let ask = Clone { namespaces: u64::from(libc::CLONE_NEWUSER.cast_unsigned()), ..Clone::default() };
    match process::clone(&ask) {
        Ok(Side::Child) => process::exit_now(0),
        Ok(Side::Parent { pid, .. }) => process::wait(pid).map(drop).context("reap the child of a trial"),
        Err(_) => Err(error.into()),
    }
}

/// A copy of the directory with all that is mounted below it, on top of the namespace's root, which is then taken away.
fn become_root(root: &OwnedFd) -> Result<()> {
    let tree = mount::clone_tree(root.as_fd(), "", Depth::Recursive).context("copy its mounts")?;
    mount::change(c"/", mount::flag::MS_PRIVATE).context("cut \"/\" from the host")?; // what is attached would appear there
    mount::attach(&tree, mount::place("/")?).context("attach the copy")?;
    // Where the host's mounts are shared the copy is, too: pivot_root takes no such mount, and what is mounted would spread.
    let slave = Change { depth: Depth::Recursive, set: 0, clear: 0, unnamed: 0, propagation: mount::flag::MS_SLAVE };
    mount::change_attached(&tree, &slave).context("cut the copy from the host")?;
    process::fchdir(tree)?;
    let old = mount::place("/")?;
    mount::pivot_here()
        .context("pivot_root, which no chroot in an initramfs can do: start the runtime outside of the chroot")?;
    process::fchdir(old)?;
    mount::change(c".", mount::flag::MS_SLAVE | mount::flag::MS_REC).context("cut the old root from the host")?;
    mount::detach(c".").context("unmount the old root")?;
    Ok(process::chdir("/")?)
}
