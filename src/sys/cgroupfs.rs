//! What only cgroup trees need: which file system is at a path, the directories below one, waiting for a file to
//! change.

use super::{Errno, Error, Result, check, cstr, file, retry};
use nix::dir::{Dir, Type};
use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;

/// The magic number of the file system at a path (`CGROUP2_SUPER_MAGIC`, `CGROUP_SUPER_MAGIC` …). Follows links.
pub fn magic_at(path: impl AsRef<Path>) -> Result<i64> {
    let path = cstr(path)?;
    // SAFETY: statfs is plain integers, for which zero is a valid value.
    let mut stat: libc::statfs64 = unsafe { std::mem::zeroed() };
    // SAFETY: the path is a live C string and the struct is ours.
    check(libc::c_long::from(unsafe { libc::statfs64(path.as_ptr(), &raw mut stat) }))?;
    #[allow(clippy::unnecessary_cast)] // the width differs between architectures
    Ok(stat.f_type as i64)
}

/// Waits until a file of the kernel says that it has changed since it was last read (`POLLPRI`, as `cgroup.events`
/// does), or the time is over: the caller reads again either way. A signal ends the wait early.
pub fn wait_change(file: impl AsFd, timeout: Duration) -> Result<()> {
    let mut poll = libc::pollfd { fd: file.as_fd().as_raw_fd(), events: libc::POLLPRI, revents: 0 };
    // Rounded up: a wait of nothing would spin.
    let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).saturating_add(1);
    // SAFETY: one element, ours.
    match check(libc::c_long::from(unsafe { libc::poll(&raw mut poll, 1, milliseconds) })) {
        Ok(_) | Err(Error(Errno::EINTR)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads a small file from its start into the buffer. Returns the bytes read.
pub fn read_at_start(file: impl AsFd, buffer: &mut [u8]) -> Result<usize> {
    // SAFETY: the buffer is ours and its length is told.
    let got = retry(|| unsafe {
        check(libc::pread(file.as_fd().as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) as libc::c_long)
    })?;
    Ok(usize::try_from(got).unwrap_or(0))
}

/// The names of the directories in a directory of cgroupfs, which tells the kind of its entries by itself.
pub fn subdirectories(dir: BorrowedFd) -> Result<Vec<OsString>> {
    // A directory has two links of its own, and one from each directory in it: most have none, and need no listing.
    if file::stat(dir)?.st_nlink == 2 {
        return Ok(Vec::new());
    }
    let own = file::open(dir, ".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let mut names = Vec::new();
    for entry in Dir::from_fd(own)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if entry.file_type() == Some(Type::Directory) && name != b"." && name != b".." {
            names.push(OsString::from_vec(name.to_vec()));
        }
    }
    Ok(names)
}
