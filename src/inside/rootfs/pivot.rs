//! The root itself: a mount of its own to begin with, "/" in the end.

use crate::error::{Context, Result};
use crate::fs::Root;
use crate::plan::{RootChange, Rootfs};
use crate::sys::file::{self, CWD};
use crate::sys::mount::{self, Depth};
use crate::sys::{Errno, Error, process};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Cuts this namespace's mounts from the host's as planned, and makes the root filesystem a mount of its own.
pub fn prepare(rootfs: &Rootfs) -> Result<Root> {
    mount::change(c"/", rootfs.propagation).context("set the propagation of \"/\"")?;
    let named = |what: &str| format!("config.json: root.path: {what} {}", rootfs.path.display());
    if !cuts_everything(rootfs.propagation) {
        // pivot_root refuses a shared parent, and our mount must not appear on the host.
        make_parent_private(&rootfs.path).with_context(|| named("find the mount that holds"))?;
    }
    let copy = mount::clone_tree(CWD, &rootfs.path, Depth::Recursive).with_context(|| named("copy the mount of"))?;
    if !cuts_everything(rootfs.propagation) {
        // Mounts below the root may be shared with the host: ours, masks included, must not appear there.
        mount::set_attributes(&copy, Depth::Recursive, 0, 0, libc::MS_SLAVE)
            .with_context(|| named("cut from the host"))?;
    }
    let at = file::open(CWD, &rootfs.path, libc::O_PATH | libc::O_DIRECTORY, 0).with_context(|| named("open"))?;
    mount::attach(&copy, at).with_context(|| named("mount"))?;
    Ok(Root::new(copy))
}

/// Does the planned propagation leave nothing shared with the host?
fn cuts_everything(propagation: u64) -> bool {
    propagation & libc::MS_REC != 0 && propagation & (libc::MS_SLAVE | libc::MS_PRIVATE) != 0
}

/// Climbs until the mount point is found: MS_PRIVATE on anything else answers EINVAL. Searching mountinfo would miss lines
/// that the kernel (before 5.8) skips while the table changes.
fn make_parent_private(path: &Path) -> Result<()> {
    let mut at: PathBuf = std::fs::canonicalize(path)?;
    loop {
        let here = CString::new(at.as_os_str().as_bytes())?;
        match mount::change(&here, libc::MS_PRIVATE) {
            Ok(()) => return Ok(()),
            Err(Error(Errno::EINVAL)) if at.pop() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes the root "/". Afterwards nothing of the host's tree can be reached from this process.
pub fn enter(rootfs: &Rootfs, root: Root) -> Result<()> {
    process::fchdir(&root).context("enter the root filesystem")?;
    drop(root);
    match rootfs.change {
        RootChange::Pivot => pivot(rootfs)?,
        RootChange::MoveAndChroot => move_and_chroot()?,
    }
    process::chdir("/").context("enter the new root")
}

fn pivot(rootfs: &Rootfs) -> Result<()> {
    let old = mount::place("/").context("open the old root")?;
    mount::pivot_here().context("pivot_root: use --no-pivot if this host runs from its initramfs")?;
    process::fchdir(&old).context("enter the old root")?;
    drop(old);
    if !cuts_everything(rootfs.propagation) {
        // Some of the old tree may still be shared with the host: the unmounting must not reach it.
        mount::change(c".", libc::MS_SLAVE | libc::MS_REC).context("cut the old root from the host")?;
    }
    mount::detach(c".").context("unmount the old root")?;
    if rootfs.propagation & libc::MS_PRIVATE == 0 && rootfs.propagation & libc::MS_SLAVE == 0 {
        mount::change(c"/", rootfs.propagation).context("set the root's propagation")?;
    }
    Ok(())
}

/// `--no-pivot`. The old tree stays below the moved root, unreachable but there: a full procfs or sysfs in it would let the
/// container mount a fresh one without our masks (mount_too_revealing), so each is unmounted, or covered where it is
/// locked.
fn move_and_chroot() -> Result<()> {
    let own = process::cwd().context("find the root filesystem")?;
    let table = file::read_all(file::open(CWD, "/proc/self/mountinfo", libc::O_RDONLY, 0)?, 64 << 20)?;
    for (at, fs) in String::from_utf8_lossy(&table).lines().filter_map(mount_line) {
        if (fs == "proc" || fs == "sysfs") && !at.starts_with(&own) {
            let path = CString::new(at.as_os_str().as_bytes())?;
            match mount::change(&path, libc::MS_PRIVATE | libc::MS_REC).and_then(|()| mount::detach(&path)) {
                Ok(()) | Err(Error(Errno::ENOENT)) => {}
                Err(Error(Errno::EINVAL | Errno::EPERM)) => cover(&at)?,
                Err(error) => {
                    return Err(error).with_context(|| format!("unmount {}", at.display()));
                }
            }
        }
    }
    mount::move_here_to_root().context("move the root filesystem to \"/\"")?;
    mount::chroot_here().context("chroot")
}

fn cover(at: &Path) -> Result<()> {
    let empty = mount::begin("tmpfs")?.mount(mount::ATTR_RDONLY).map_err(|(error, _)| error)?;
    mount::attach(empty, mount::place(at)?).with_context(|| format!("cover {}", at.display()))
}

/// Mount point and file system of a line of mountinfo. proc(5).
fn mount_line(line: &str) -> Option<(PathBuf, &str)> {
    let (left, right) = line.split_once(" - ")?;
    let at = left.split(' ').nth(4)?;
    Some((unescape(at), right.split(' ').next()?))
}

/// Blanks, tabs, newlines and backslashes stand as `\ooo`.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let value = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match value {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&bytes))
}
