//! What mount_setattr(2) does, by mount(2): for Linux 5.10 and 5.11, and filters that do not know the call.
//!
//! mount(2) takes a path and changes one mount, and only one that is attached in the caller's namespace. The path leads
//! through /proc/thread-self/fd of the host's procfs, to the very descriptor.

use super::file::{CWD, filesystem, mount_flags, open, read_all};
use super::mount::{
    ATTR_ATIME, ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW, ATTR_RDONLY,
    ATTR_STRICTATIME, Change, Depth,
};
use super::{Errno, Error, Result, check, cstr, retry};
use std::os::fd::{AsRawFd, BorrowedFd};

/// As statvfs(3) tells them, as mount_setattr(2) and as mount(2) take them. NOSYMFOLLOW: Linux 5.10.
const FLAGS: [(u64, u64, u64); 7] = [
    (libc::ST_RDONLY, ATTR_RDONLY, libc::MS_RDONLY),
    (libc::ST_NOSUID, ATTR_NOSUID, libc::MS_NOSUID),
    (libc::ST_NODEV, ATTR_NODEV, libc::MS_NODEV),
    (libc::ST_NOEXEC, ATTR_NOEXEC, libc::MS_NOEXEC),
    (libc::ST_NOATIME, ATTR_NOATIME, libc::MS_NOATIME),
    (libc::ST_NODIRATIME, ATTR_NODIRATIME, libc::MS_NODIRATIME),
    (0x2000, ATTR_NOSYMFOLLOW, 0x100),
];
/// linux/statfs.h; libc has it for glibc only.
const ST_RELATIME: u64 = 0x1000;

/// ENOSYS when attributes of mounts below would have to be changed: only mount_setattr does that.
pub(super) fn change(mount: BorrowedFd, change: &Change) -> Result<()> {
    let path = format!("/proc/thread-self/fd/{}", mount.as_raw_fd());
    if filesystem(open(CWD, "/proc/thread-self/fd", libc::O_PATH, 0)?)? != libc::PROC_SUPER_MAGIC {
        return Err(Error(Errno::ENOSYS));
    }
    if change.set != 0 || change.clear != 0 {
        if change.depth == Depth::Recursive && has_mounts_below(mount)? {
            return Err(Error(Errno::ENOSYS));
        }
        let attributes = attributes_now(mount_flags(mount)?) & !change.clear | change.set;
        mount_2(&path, libc::MS_REMOUNT | libc::MS_BIND | flags_for(attributes))?;
    }
    if change.propagation != 0 {
        let below = if change.depth == Depth::Recursive { libc::MS_REC } else { 0 };
        mount_2(&path, change.propagation | below)?;
    }
    Ok(())
}

fn attributes_now(flags: u64) -> u64 {
    let strict = if flags & (libc::ST_NOATIME | ST_RELATIME) == 0 { ATTR_STRICTATIME } else { 0 };
    FLAGS.iter().filter(|(is, ..)| flags & is != 0).fold(strict, |bits, (_, attribute, _)| bits | attribute)
}

fn flags_for(attributes: u64) -> u64 {
    let access = match attributes & ATTR_ATIME {
        ATTR_STRICTATIME => libc::MS_STRICTATIME,
        0 => libc::MS_RELATIME,
        _ => 0, // noatime is in the table
    };
    FLAGS.iter().filter(|(_, is, _)| attributes & is != 0).fold(access, |bits, (.., flag)| bits | flag)
}

fn has_mounts_below(mount: BorrowedFd) -> Result<bool> {
    let own = super::mount::id(mount)?.to_string();
    let table = read_all(open(CWD, "/proc/thread-self/mountinfo", libc::O_RDONLY, 0)?, 64 << 20)?;
    let parent = |line: &str| line.split(' ').nth(1).map(str::to_owned);
    Ok(String::from_utf8_lossy(&table).lines().any(|line| parent(line).as_ref() == Some(&own)))
}

fn mount_2(path: &str, flags: u64) -> Result<()> {
    let path = cstr(path)?;
    let none = std::ptr::null();
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
        assert_eq!(flags_for(ATTR_NOSUID), libc::MS_NOSUID | libc::MS_RELATIME);
        assert_eq!(flags_for(ATTR_STRICTATIME), libc::MS_STRICTATIME);
        assert_eq!(flags_for(ATTR_NOATIME), libc::MS_NOATIME);
    }
}
