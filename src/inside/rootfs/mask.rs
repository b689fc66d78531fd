//! maskedPaths and readonlyPaths: by descriptors, from sources that no image can choose.
//!
//! A file is covered by the host's null device (or the container's, where the host has none), checked to be char 1:3
//! (CVE-2025-31133); a directory by one empty read-only tmpfs that all of them share (a tmpfs each would cost a superblock
//! each). Copies are made of the first one attached, since kernels before 6.15 copy attached mounts only.

use crate::error::{Context, Result, anyhow, ensure};
use crate::fs::Root;
use crate::plan::Sandbox;
use crate::sys::file::{self, CWD};
use crate::sys::mount::{self, ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, Change, Depth};
use crate::sys::{self, Errno};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

pub fn protect(sandbox: &Sandbox, root: &Root) -> Result<()> {
    for path in &sandbox.readonly {
        let named = || format!("config.json: linux.readonlyPaths: {}", path.display());
        if let Some(target) = existing(root, path).with_context(named)? {
            make_read_only(&target).with_context(named)?;
        }
    }
    let (mut file_cover, mut dir_cover) = (None, None);
    for path in &sandbox.masked {
        let named = || format!("config.json: linux.maskedPaths: {}", path.display());
        if let Some(target) = existing(root, path).with_context(named)? {
            let is_dir = file::stat(&target).with_context(named)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
            let cover = if is_dir { &mut dir_cover } else { &mut file_cover };
            let label = sandbox.mount_label.as_deref();
            let make =
                |target: &OwnedFd| if is_dir { empty_directory(target, label) } else { null_device(target, root) };
            cover_with(cover, make, &target).with_context(named)?;
        }
    }
    Ok(())
}

/// What is not there needs no protection.
fn existing(root: &Root, path: &Path) -> Result<Option<OwnedFd>> {
    match root.open(path) {
        Ok(target) => Ok(Some(target)),
        Err(sys::Error(Errno::ENOENT | Errno::ENOTDIR)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A copy of the tree, read-only before anybody sees it, on top of itself. Other flags stay as they are.
fn make_read_only(target: &OwnedFd) -> Result<()> {
    let copy = mount::clone_tree(target.as_fd(), "", Depth::Recursive).context("copy the mount")?;
    let read_only = Change { depth: Depth::Recursive, set: ATTR_RDONLY, clear: 0, unnamed: 0, propagation: 0 };
    mount::attach_with(copy, target, &[read_only]).map_err(|error| {
        let below =
            ": a mount below it is hidden by another one, which takes Linux 5.12 (mount_setattr); leave the path out";
        let hint = if error.0 == Errno::ENOSYS { below } else { "" };
        anyhow!(error).context(format!("make it read-only{hint}"))
    })
}

/// `make` makes the first cover of its kind, and attaches it.
fn cover_with(cover: &mut Option<OwnedFd>, make: impl Fn(&OwnedFd) -> Result<OwnedFd>, target: &OwnedFd) -> Result<()> {
    match cover {
        Some(first) => {
            let copy = mount::clone_tree(first.as_fd(), "", Depth::One).context("copy the cover")?;
            Ok(mount::attach(copy, target)?)
        }
        None => {
            *cover = Some(make(target)?);
            Ok(())
        }
    }
}

/// The host's, or, where that is missing or not char 1:3, the container's, which is checked in the same way.
fn null_device(target: &OwnedFd, root: &Root) -> Result<OwnedFd> {
    let of_the_host = || file::open(CWD, "/dev/null", libc::O_PATH | libc::O_NOFOLLOW, 0);
    let null = genuine(of_the_host().context("open the host's /dev/null"))
        .or_else(|error| genuine(root.open_without_links(Path::new("/dev/null")).context("open")).map_err(|_| error))?;
    let copy = mount::clone_tree(null.as_fd(), "", Depth::One).context("copy the mount of /dev/null")?;
    let attributes = ATTR_RDONLY | ATTR_NOSUID | ATTR_NOEXEC; // not nodev: it must still answer as the null device
    let change = Change { depth: Depth::One, set: attributes, clear: 0, unnamed: 0, propagation: 0 };
    mount::attach_with(&copy, target, &[change]).context("attach the cover, read-only")?;
    Ok(copy)
}

fn genuine(null: Result<OwnedFd>) -> Result<OwnedFd> {
    let null = null?;
    let stat = file::stat(&null)?;
    let is_null = stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == file::device(1, 3);
    ensure!(is_null, "the host's /dev/null is not the null device (char 1:3); restore it");
    Ok(null)
}

fn empty_directory(target: &OwnedFd, label: Option<&str>) -> Result<OwnedFd> {
    let tmpfs = mount::begin("tmpfs").context("open a tmpfs")?;
    for (key, value) in [("nr_blocks", "1"), ("nr_inodes", "1"), ("mode", "755")] {
        tmpfs.set(key, Some(value)).with_context(|| format!("set {key}={value}"))?;
    }
    if let Some(label) = label {
        tmpfs.set("context", Some(label)).context("label it")?; // or the policy would refuse what is only empty
    }
    let attributes = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;
    let cover = tmpfs.mount(attributes).map_err(|(error, _)| error).context("make an empty tmpfs")?;
    mount::attach(&cover, target)?;
    Ok(cover)
}
