//! What mount_setattr(2) does, by mount(2): for Linux before 5.12, and filters that do not know the call.
//!
//! mount(2) takes a path and changes one mount, and only one that is attached in the caller's namespace. The path leads
//! through /proc/thread-self/fd of the host's procfs, to the very descriptor.

use super::file::{Resolve, mount_flags, open_in};
use super::mount::{
    ATTR_ATIME, ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW, ATTR_RDONLY,
    ATTR_STRICTATIME, Change, Depth, flag,
};
use super::mountinfo::{self, MountLine};
use super::older::path_of;
use super::{Errno, Error, Result, check, cstr, retry};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd};

/// As statvfs(3) tells them, as mount_setattr(2) and as mount(2) take them. NOSYMFOLLOW: Linux 5.10.
const FLAGS: [(u64, u64, u64); 7] = [
    (flag::ST_RDONLY, ATTR_RDONLY, flag::MS_RDONLY),
    (flag::ST_NOSUID, ATTR_NOSUID, flag::MS_NOSUID),
    (flag::ST_NODEV, ATTR_NODEV, flag::MS_NODEV),
    (flag::ST_NOEXEC, ATTR_NOEXEC, flag::MS_NOEXEC),
    (flag::ST_NOATIME, ATTR_NOATIME, flag::MS_NOATIME),
    (flag::ST_NODIRATIME, ATTR_NODIRATIME, flag::MS_NODIRATIME),
    (0x2000, ATTR_NOSYMFOLLOW, 0x100),
];
/// linux/statfs.h; libc has it for glibc only.
const ST_RELATIME: u64 = 0x1000;

/// Mounts below are changed one by one. ENOSYS when one of them is hidden by another mount: mount(2) cannot reach it.
pub(super) fn change(mount: BorrowedFd, change: &Change) -> Result<()> {
    if change.set != 0 || change.clear != 0 || change.unnamed != 0 {
        remount(mount, change)?;
        if change.depth == Depth::Recursive {
            change_below(mount, change)?;
        }
    }
    if change.propagation != 0 {
        let below = if change.depth == Depth::Recursive { flag::MS_REC } else { 0 };
        mount_2(&path_of(&mount)?, change.propagation | below)?;
    }
    Ok(())
}

fn remount(mount: BorrowedFd, change: &Change) -> Result<()> {
    let asked = attributes_now(mount_flags(mount)?) & !change.clear | change.set;
    let path = path_of(&mount)?;
    let to = |attributes| mount_2(&path, flag::MS_REMOUNT | flag::MS_BIND | flags_for(attributes));
    let attributes = match to(asked & !change.unnamed) {
        Ok(()) => asked & !change.unnamed,
        Err(Error(Errno::EPERM)) if change.unnamed != 0 => to(asked).map(|()| asked)?,
        Err(error) => return Err(error),
    };
    // mount(2) passes over flags that the kernel does not know.
    let is_ignored = attributes & !attributes_now(mount_flags(mount)?) & ATTR_NOSYMFOLLOW != 0;
    if is_ignored { Err(Error(Errno::EOPNOTSUPP)) } else { Ok(()) }
}

/// The table is read until it has nothing new: before Linux 5.8 the kernel skips lines of a table that changes.
fn change_below(mount: BorrowedFd, change: &Change) -> Result<()> {
    let mut done = BTreeSet::new();
    loop {
        let table = mountinfo::read(mountinfo::table()?)?;
        let lines: Vec<MountLine> = table.lines().filter_map(MountLine::parse).collect();
        let own = super::mount::id(mount)?;
        let base = lines.iter().find(|line| line.id == own).ok_or(Error(Errno::ENOSYS))?;
        let new = lines.iter().filter(|line| is_below(&lines, line.parent, own) && !done.contains(&line.id));
        let new: Vec<&MountLine> = new.collect();
        if new.is_empty() {
            return Ok(());
        }
        for line in new {
            let name = line.at.strip_prefix(&base.at).map_err(|_| Error(Errno::ENOSYS))?;
            let place = open_in(mount, name, libc::O_PATH, 0, Resolve::InRootNoLinks);
            let place = place.map_err(|_| Error(Errno::ENOSYS))?;
            if super::mount::id(&place)? != line.id {
                return Err(Error(Errno::ENOSYS)); // another mount lies over it
            }
            remount(place.as_fd(), change)?;
            done.insert(line.id);
        }
    }
}

/// Is this mount the one with the number `base`, or somewhere below it?
fn is_below(lines: &[MountLine], mount: u64, base: u64) -> bool {
    let parent = |id: &u64| lines.iter().find(|line| line.id == *id).map(|line| line.parent);
    std::iter::successors(Some(mount), parent).take(lines.len() + 1).any(|id| id == base)
}

fn attributes_now(flags: u64) -> u64 {
    let strict = if flags & (flag::ST_NOATIME | ST_RELATIME) == 0 { ATTR_STRICTATIME } else { 0 };
    FLAGS.iter().filter(|(is, ..)| flags & is != 0).fold(strict, |bits, (_, attribute, _)| bits | attribute)
}

fn flags_for(attributes: u64) -> u64 {
    let access = match attributes & ATTR_ATIME {
        ATTR_STRICTATIME => flag::MS_STRICTATIME,
        0 => flag::MS_RELATIME,
        _ => 0, // noatime is in the table
    };
    FLAGS.iter().filter(|(_, is, _)| attributes & is != 0).fold(access, |bits, (.., flag)| bits | flag)
}

/// A new file system on top of `target`, with all of its options in one string. EINVAL when that has more than a page.
pub(super) fn mount_new(target: BorrowedFd, fs: &str, source: &str, attributes: u64, data: &str) -> Result<()> {
    let path = path_of(&target)?;
    let (path, fs, source, data) = (cstr(path)?, cstr(fs)?, cstr(source)?, cstr(data)?);
    if data.as_bytes_with_nul().len() > 4096 {
        return Err(Error(Errno::EINVAL)); // the kernel would cut it off
    }
    let flags = libc::c_ulong::try_from(flags_for(attributes)).map_err(|_| Error(Errno::EINVAL))?;
    let (source, options) = (source.as_ptr(), data.as_ptr().cast());
    // SAFETY: all are live C strings.
    check(unsafe { libc::mount(source, path.as_ptr(), fs.as_ptr(), flags, options) }.into()).map(drop)
}

fn mount_2(path: &str, flags: u64) -> Result<()> {
    let (path, none) = (cstr(path)?, std::ptr::null());
    let flags = libc::c_ulong::try_from(flags).map_err(|_| Error(Errno::EINVAL))?;
    // SAFETY: the target is a live C string, the rest may be null for these flags.
    retry(|| check(unsafe { libc::mount(none, path.as_ptr(), none, flags, none.cast()) }.into()).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_kept() {
        for attributes in [0, ATTR_STRICTATIME, ATTR_NOATIME | ATTR_RDONLY, ATTR_NOSUID | ATTR_NODIRATIME] {
            let relatime = if attributes & ATTR_ATIME == 0 { ST_RELATIME } else { 0 };
            let told =
                FLAGS.iter().filter(|(_, is, _)| attributes & is != 0).fold(relatime, |bits, (is, ..)| bits | is);
            assert_eq!(attributes_now(told), attributes);
        }
        assert_eq!(flags_for(ATTR_NOSUID), flag::MS_NOSUID | flag::MS_RELATIME);
        assert_eq!(flags_for(ATTR_STRICTATIME), flag::MS_STRICTATIME);
        assert_eq!(flags_for(ATTR_NOATIME), flag::MS_NOATIME);
    }
}
