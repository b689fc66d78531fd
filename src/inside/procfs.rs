//! The two ways to a genuine procfs: the one that is mounted on /proc, and one that is made here and mounted nowhere.
//!
//! A path-based security module (AppArmor) knows a file by its name in the mount namespace. A file of a procfs that is mounted
//! nowhere has no name there: to AppArmor `sys/net/…` of it is `/sys/net/…`, which the profiles of LXC, Incus and Proxmox deny.

use crate::error::{Context, Result, ensure};
use crate::sys::file::{self, CWD, Resolve};
use crate::sys::{self, Errno, mount};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Opens /proc, and checks that it is the root of a procfs. In an image, or in the mount namespace of another container, anything
/// may lie on it and below it, so files in it are opened by `open`.
pub fn mounted() -> Result<OwnedFd> {
    const ROOT_OF_PROCFS: u64 = 1; // PROCFS_ROOT_INO
    let procfs =
        file::open(CWD, "/proc", libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0).context("open /proc")?;
    let genuine = file::filesystem(&procfs)? == file::PROC_SUPER_MAGIC && file::stat(&procfs)?.st_ino == ROOT_OF_PROCFS;
    ensure!(genuine, "/proc is not procfs");
    Ok(procfs)
}

/// Opens a file of this procfs itself: over no link, and onto no other mount (EXDEV).
pub fn open(procfs: &OwnedFd, path: impl AsRef<Path>, flags: i32) -> sys::Result<OwnedFd> {
    file::open_in(procfs.as_fd(), path, flags, 0, Resolve::Strict)
}

/// Opens a file of this process in the procfs that is mounted on /proc.
pub fn own_file(name: &str, flags: i32) -> Result<OwnedFd> {
    let procfs = mounted()?;
    let own = file::readlink(procfs.as_fd(), "self")?;
    open(&procfs, own.join(name), flags).with_context(|| format!("open /proc/self/{name}"))
}

/// What a procfs shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Subset {
    Everything,
    /// The processes of our pid namespace, and nothing of the kernel's (Linux 5.8).
    Processes,
}

/// A procfs of our pid namespace that is mounted nowhere, which no image can have put anything into (CVE-2025-52881). In a user
/// namespace the kernel makes none once /proc is masked.
pub fn private(subset: Subset) -> Result<OwnedFd> {
    let procfs = mount::begin("proc").context("open a private procfs")?;
    if subset == Subset::Processes {
        match procfs.set("subset", Some("pid")) {
            Err(sys::Error(Errno::EINVAL)) => {} // before Linux 5.8 it shows everything
            done => done.context("restrict the private procfs")?,
        }
    }
    let attributes = mount::ATTR_NOSUID | mount::ATTR_NODEV | mount::ATTR_NOEXEC;
    let procfs = procfs.mount(attributes).map_err(|(error, _)| error).context("mount a private procfs")?;
    ensure!(file::filesystem(&procfs)? == file::PROC_SUPER_MAGIC, "the private procfs is none");
    Ok(procfs)
}

/// A private procfs that lies on /proc until this is dropped, so that its files have their names.
pub struct Named;

impl Named {
    /// The mount namespace must be this process's own. Its /proc is cut from the host's first: what is mounted on a shared mount
    /// appears on all of its peers.
    pub fn new(procfs: &OwnedFd) -> Result<Named> {
        mount::change(c"/proc", mount::flag::MS_PRIVATE).context("cut /proc from the host's")?;
        let at = mount::place("/proc").context("open /proc")?;
        mount::attach(procfs, at).context("mount a private procfs on /proc")?;
        Ok(Named)
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        // Of use for this process alone: it goes with the host's tree, if not now.
        let _ = mount::detach(c"/proc");
    }
}

/// Is it a refusal that a security module can be the cause of?
pub fn denied(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(sys::Error(Errno::EACCES | Errno::EPERM)))
}
