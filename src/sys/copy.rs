//! Copying what a file is: its bytes with their holes, its extended attributes, its owner, mode and times.

use super::file::{self, chown};
use super::{Errno, Error, Result, check, cstr, retry};
use nix::sys::stat::{Mode, UtimensatFlags, fchmod, futimens, utimensat};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

/// Copies `size` bytes of one regular file to another that is empty; holes stay holes. A file that shrinks meanwhile ends
/// in zeroes.
pub fn bytes(from: impl AsFd, to: impl AsFd, size: i64) -> Result<()> {
    let (from, to) = (from.as_fd(), to.as_fd());
    let mut at = 0;
    while at < size {
        let start = match seek(from, at, libc::SEEK_DATA) {
            Err(Error(Errno::ENXIO)) => break, // nothing but a hole
            other => other?,
        };
        let end = seek(from, start, libc::SEEK_HOLE)?.min(size);
        range(from, to, start, end)?;
        at = end.max(start);
    }
    // SAFETY: no pointers.
    check(unsafe { libc::ftruncate64(to.as_raw_fd(), size) }.into()).map(drop)
}

fn range(from: BorrowedFd, to: BorrowedFd, start: i64, end: i64) -> Result<()> {
    seek(to, start, libc::SEEK_SET)?;
    let mut at = start;
    while at < end {
        let count = usize::try_from(end - at).unwrap_or(0).min(1 << 30);
        let sent = retry(|| {
            // SAFETY: the offset is ours and lives for the call.
            check(unsafe { libc::sendfile64(to.as_raw_fd(), from.as_raw_fd(), &raw mut at, count) } as libc::c_long)
        })?;
        if sent == 0 {
            return Ok(()); // it has become shorter
        }
    }
    Ok(())
}

fn seek(file: BorrowedFd, offset: i64, whence: i32) -> Result<i64> {
    // SAFETY: no pointers.
    let at = unsafe { libc::lseek64(file.as_raw_fd(), offset, whence) };
    if at < 0 { Err(Error(Errno::last())) } else { Ok(at) }
}

/// Copies the extended attributes that mean the same on another file system: all but the labels and signatures of security
/// modules. Those that the other one does not keep, or that we may not set, are left behind.
pub fn attributes(from: impl AsFd, to: impl AsFd) -> Result<()> {
    let (from, to) = (from.as_fd(), to.as_fd());
    let mut value = Vec::new();
    for name in names(from)? {
        let text = name.to_bytes();
        if text.starts_with(b"security.") && text != b"security.capability" {
            continue;
        }
        value.resize(64 << 10, 0u8); // XATTR_SIZE_MAX
        // SAFETY: the name is a live C string, the buffer is ours and its length is told.
        let got = check(unsafe {
            libc::fgetxattr(from.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) as libc::c_long
        });
        let length = match got {
            Err(Error(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::EPERM | Errno::EACCES)) => continue,
            other => usize::try_from(other?).unwrap_or(0),
        };
        // SAFETY: as above; the kernel has filled that many bytes.
        let set =
            check(unsafe { libc::fsetxattr(to.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), length, 0).into() });
        match set {
            Err(Error(Errno::EOPNOTSUPP | Errno::EPERM | Errno::EINVAL)) => {}
            other => drop(other?),
        }
    }
    Ok(())
}

fn names(file: BorrowedFd) -> Result<Vec<CString>> {
    let mut list = vec![0u8; 64 << 10]; // XATTR_LIST_MAX
    // SAFETY: the buffer is ours and its length is told.
    let got =
        check(unsafe { libc::flistxattr(file.as_raw_fd(), list.as_mut_ptr().cast(), list.len()) as libc::c_long });
    let length = match got {
        Err(Error(Errno::EOPNOTSUPP)) => 0,
        other => usize::try_from(other?).unwrap_or(0),
    };
    let texts = list[..length].split_inclusive(|byte| *byte == 0);
    Ok(texts.filter_map(|text| CStr::from_bytes_with_nul(text).ok().map(CStr::to_owned)).collect())
}

/// chown of an open file. An id that our user namespace does not map cannot be given to anything (EINVAL): the file then
/// stays ours.
pub fn owner(file: impl AsFd, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    match chown(file, uid, gid) {
        Err(Error(Errno::EINVAL)) => Ok(()),
        other => other,
    }
}

/// chmod of an open file (not O_PATH).
pub fn mode(file: impl AsFd, mode: u32) -> Result<()> {
    Ok(fchmod(file, Mode::from_bits_truncate(mode & 0o7777))?)
}

/// Gives an open file (not O_PATH) the times of another.
pub fn times(file: impl AsFd, like: &file::Stat) -> Result<()> {
    Ok(futimens(file, &like.accessed, &like.modified)?)
}

/// As `times`, for a name in a directory: a link, a device, a socket.
pub fn times_at(dir: BorrowedFd, name: impl AsRef<Path>, like: &file::Stat) -> Result<()> {
    Ok(utimensat(dir, name.as_ref(), &like.accessed, &like.modified, UtimensatFlags::NoFollowSymlink)?)
}

/// A second name for a file. `path` is relative to `top`, and nothing in it is followed.
pub fn link(top: BorrowedFd, path: impl AsRef<Path>, dir: BorrowedFd, name: impl AsRef<Path>) -> Result<()> {
    let (path, name) = (cstr(path)?, cstr(name)?);
    // SAFETY: both are live C strings.
    check(unsafe { libc::linkat(top.as_raw_fd(), path.as_ptr(), dir.as_raw_fd(), name.as_ptr(), 0) }.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Seek, SeekFrom, Write};
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn holes_stay_holes() {
        let dir = tempfile::tempdir().unwrap();
        let mut from = File::create_new(dir.path().join("from")).unwrap();
        from.write_all(b"begin").unwrap();
        from.seek(SeekFrom::Start(8 << 20)).unwrap();
        from.write_all(b"end").unwrap();
        from.set_len(16 << 20).unwrap();
        let from = File::open(dir.path().join("from")).unwrap();
        let mut to = File::create_new(dir.path().join("to")).unwrap();
        bytes(&from, &to, 16 << 20).unwrap();
        let meta = to.metadata().unwrap();
        assert_eq!(meta.len(), 16 << 20);
        assert!(meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
        to = File::open(dir.path().join("to")).unwrap();
        let mut text = Vec::new();
        to.read_to_end(&mut text).unwrap();
        assert_eq!((&text[..5], &text[8 << 20..(8 << 20) + 4]), (&b"begin"[..], &b"end\0"[..]));
        assert!(text[5..8 << 20].iter().all(|byte| *byte == 0));
    }
}
