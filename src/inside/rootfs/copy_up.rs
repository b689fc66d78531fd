//! `tmpcopyup`: a tmpfs begins with a copy of the directory that it will cover.
//!
//! Both trees are walked by descriptors, no link is followed, and no mount below is entered: a mount point stays empty.
//! What the image holds may change while it is copied (another container on the same tree); then the copy is of one moment
//! or the other. The tmpfs is attached nowhere yet, so nobody but us writes there.

use crate::error::{Context, Result, bail, ensure};
use crate::sys::file::{self, Resolve};
use crate::sys::mount::{self, Depth};
use crate::sys::{self, Errno, copy};
use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Directories within directories. Each holds two descriptors while what is below it is copied.
const DEPTH_LIMIT: usize = 256;

const READ_DIR: i32 = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
const READ_FILE: i32 = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;

/// Fills `tmpfs`, the root of a detached mount. The root gets the owner of what it covers, but for the ids that the user
/// has chosen by options; its mode was given when it was made.
pub fn copy(covered: &OwnedFd, tmpfs: &OwnedFd, options: &[(String, Option<String>)]) -> Result<()> {
    let covered = without_devices(covered)?;
    let from = file::open(covered.as_fd(), ".", READ_DIR, 0).context("open the directory to copy")?;
    let to = file::open(tmpfs.as_fd(), ".", READ_DIR, 0).context("open the tmpfs")?;
    let stat = file::stat(&from)?;
    let chosen = |word: &str| options.iter().any(|(key, _)| key == word);
    let mut walk = Walk { top: tmpfs.as_fd(), at: PathBuf::new(), names: HashMap::new() };
    walk.content(&from, &to)?;
    let (uid, gid) = ((!chosen("uid")).then_some(stat.st_uid), (!chosen("gid")).then_some(stat.st_gid));
    copy::owner(&to, uid, gid).context("set the owner")?;
    copy::attributes(&from, &to).context("copy the extended attributes")?;
    copy::times(&to, &stat).context("set the times")
}

/// A view of the directory in which no device can be opened: another container may put one in the place of a file between
/// the look and the open. Before Linux 5.12, and where a mount cannot be copied, the device rules alone decide.
fn without_devices(covered: &OwnedFd) -> Result<OwnedFd> {
    let view = match mount::clone_tree(covered.as_fd(), "", Depth::Recursive) {
        Err(sys::Error(Errno::EINVAL)) => return Ok(file::duplicate(covered)?), // it is unbindable
        other => other.context("copy the mount of the directory to copy")?,
    };
    match mount::set_attributes(&view, Depth::Recursive, mount::ATTR_NODEV, 0, 0) {
        Err(sys::Error(Errno::ENOSYS)) => Ok(file::duplicate(covered)?),
        other => other.map(|()| view).context("forbid devices"),
    }
}

struct Walk<'a> {
    top: BorrowedFd<'a>,
    /// Where we are, from the top.
    at: PathBuf,
    /// Files with several names, by device and inode, and the first name of their copy.
    names: HashMap<(u64, u64), PathBuf>,
}

impl Walk<'_> {
    fn content(&mut self, from: &OwnedFd, to: &OwnedFd) -> Result<()> {
        ensure!(
            self.at.components().count() <= DEPTH_LIMIT,
            "tmpcopyup: more than {DEPTH_LIMIT} directories within each other; leave the option out"
        );
        for name in file::list(from.as_fd()).with_context(|| self.named())? {
            self.at.push(&name);
            self.entry(from.as_fd(), to.as_fd(), &name)?;
            self.at.pop();
        }
        Ok(())
    }

    fn named(&self) -> String {
        format!("tmpcopyup: copy {}", if self.at.as_os_str().is_empty() { Path::new(".") } else { &self.at }.display())
    }

    fn entry(&mut self, from: BorrowedFd, to: BorrowedFd, name: &OsStr) -> Result<()> {
        let bytes = CString::new(name.as_bytes())?;
        let stat = match file::stat_at(from, &bytes, libc::AT_SYMLINK_NOFOLLOW) {
            Err(sys::Error(Errno::ENOENT)) => return Ok(()), // removed since we read the directory
            other => other.with_context(|| self.named())?,
        };
        match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => self.directory(from, to, name, &stat),
            libc::S_IFREG => self.regular(from, to, name, &stat).with_context(|| self.named()),
            libc::S_IFLNK => self.link(from, to, name, &stat).with_context(|| self.named()),
            kind => self.node(to, name, kind, &stat).with_context(|| self.named()),
        }
    }

    fn directory(&mut self, from: BorrowedFd, to: BorrowedFd, name: &OsStr, stat: &file::Stat) -> Result<()> {
        let make = || -> Result<OwnedFd> {
            file::mkdir(to, name, 0o700)?;
            Ok(file::open(to, name, READ_DIR, 0)?)
        };
        let made = make().with_context(|| self.named())?;
        let source = match file::open_in(from, name, READ_DIR, 0, Resolve::Strict) {
            Err(sys::Error(Errno::EXDEV)) => None, // something is mounted there
            other => Some(other.with_context(|| self.named())?),
        };
        if let Some(source) = &source {
            self.content(source, &made)?;
        }
        finish(source.as_ref(), &made, stat).with_context(|| self.named())
    }

    fn regular(&mut self, from: BorrowedFd, to: BorrowedFd, name: &OsStr, stat: &file::Stat) -> Result<()> {
        let identity = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1 {
            if let Some(first) = self.names.get(&identity) {
                return Ok(copy::link(self.top, first, to, name)?);
            }
            self.names.insert(identity, self.at.clone());
        }
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let made = file::open(to, name, flags, 0o600)?;
        let source = match file::open_in(from, name, READ_FILE, 0, Resolve::Strict) {
            Err(sys::Error(Errno::EXDEV)) => None, // something is mounted there
            other => Some(other?),
        };
        let Some(source) = source else { return finish(None, &made, stat) };
        let now = file::stat(&source)?;
        ensure!(now.st_mode & libc::S_IFMT == libc::S_IFREG, "became something else while it was being copied");
        copy::bytes(&source, &made, now.st_size)?;
        finish(Some(&source), &made, &now)
    }

    fn link(&self, from: BorrowedFd, to: BorrowedFd, name: &OsStr, stat: &file::Stat) -> Result<()> {
        file::symlink(file::readlink(from, name)?, to, name)?;
        own_name(to, name, stat)
    }

    fn node(&self, to: BorrowedFd, name: &OsStr, kind: u32, stat: &file::Stat) -> Result<()> {
        match file::mknod(to, name, kind, stat.st_mode & 0o7777, stat.st_rdev) {
            Err(sys::Error(Errno::EPERM)) => {
                bail!("nobody may make this device here (CAP_MKNOD, user namespace); remove it from the image")
            }
            other => other?,
        }
        own_name(to, name, stat)
    }
}

/// What has no contents to open: links, devices, sockets, FIFOs. Their modes are right from the start, or mean nothing.
fn own_name(to: BorrowedFd, name: &OsStr, stat: &file::Stat) -> Result<()> {
    let made = file::open(to, name, libc::O_PATH | libc::O_NOFOLLOW, 0)?;
    copy::owner(&made, Some(stat.st_uid), Some(stat.st_gid))?;
    Ok(copy::times_at(to, name, stat)?)
}

/// The owner first: to change it takes set-id bits and file capabilities away. The times last.
fn finish(from: Option<&OwnedFd>, made: &OwnedFd, stat: &file::Stat) -> Result<()> {
    copy::owner(made, Some(stat.st_uid), Some(stat.st_gid))?;
    copy::mode(made, stat.st_mode)?;
    if let Some(from) = from {
        copy::attributes(from, made)?;
    }
    Ok(copy::times(made, stat)?)
}
