//! A runtime that runs in a chroot: its directory becomes the root of the container's mount namespace, before anything is mounted.
//!
//! Otherwise the root of that namespace would stay what is above the chroot: `exec`, and any process that joins the namespace,
//! would arrive there (setns(2)), and a payload with CAP_SYS_CHROOT could climb there. That "/" is no mount point is another
//! matter: a directory that something is mounted on is one.

use crate::error::{Context, Result};
use crate::log;
use crate::plan::Sandbox;
use crate::sys::file::{self, CWD};
use crate::sys::mount::{self, Depth};
use crate::sys::{self, Errno, namespace, process};
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
        Err(sys::Error(Errno::EPERM)) => {
            log::debug("cannot see whether this is a chroot: that needs CAP_SYS_CHROOT");
            return Ok(());
        }
        entered => entered.context("enter the root of the new mount namespace")?,
    }
    if mount::root().context("look at the root of the mount namespace")? == here {
        return process::fchdir(home).context("return to the bundle");
    }
    log::debug("leaving the chroot that the runtime lives in");
    become_root(&root)
        .context("make the chroot that the runtime lives in the root of the container's mount namespace")?;
    process::chdir(&sandbox.bundle).context("return to the bundle")
}

/// A copy of the directory with all that is mounted below it, on top of the namespace's root, which is then taken away.
fn become_root(root: &OwnedFd) -> Result<()> {
    let tree = mount::clone_tree(root.as_fd(), "", Depth::Recursive).context("copy its mounts")?;
    mount::change(c"/", mount::flag::MS_PRIVATE).context("cut \"/\" from the host")?; // what is attached would appear there
    mount::attach(&tree, mount::place("/")?).context("attach the copy")?;
    process::fchdir(tree)?;
    let old = mount::place("/")?;
    mount::pivot_here()
        .context("pivot_root, which no chroot in an initramfs can do: start the runtime outside of the chroot")?;
    process::fchdir(old)?;
    mount::change(c".", mount::flag::MS_SLAVE | mount::flag::MS_REC).context("cut the old root from the host")?;
    mount::detach(c".").context("unmount the old root")?;
    Ok(process::chdir("/")?)
}
