//! Our own executable, out of the container's reach (CVE-2019-5736).
//!
//! A process in the container that gets hold of `/proc/<ours>/exe` could write to the file once nobody executes it any
//! more. So the verbs that enter a container first start again from a sealed copy in memory, which nobody can write.

use super::file::{CWD, open, own, read_all, write_all};
use super::{Errno, Error, Result, check, cstr, process};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStringExt;

const SEALS: i32 = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

/// Returns when this process runs from a sealed copy; else starts again from one. Fails when no copy can be made: the
/// caller must then not enter a container.
pub fn seal() -> Result<()> {
    let own = open(CWD, "/proc/self/exe", libc::O_RDONLY, 0)?;
    if is_sealed(&own) {
        return Ok(());
    }
    let copy = sealed_copy(&own)?;
    let args: Vec<CString> = std::env::args_os().filter_map(|arg| CString::new(arg.into_vec()).ok()).collect();
    let env: Vec<CString> = std::env::vars_os()
        .filter_map(|(key, value)| {
            let mut pair = key.into_vec();
            pair.push(b'=');
            pair.extend(value.into_vec());
            CString::new(pair).ok()
        })
        .collect();
    Err(process::exec_fd(&copy, &args, &env))
}

fn is_sealed(file: impl AsFd) -> bool {
    // SAFETY: no pointers. Other files than memfds answer EINVAL.
    let seals = unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & SEALS == SEALS
}

fn sealed_copy(file: impl AsFd) -> Result<std::os::fd::OwnedFd> {
    const MFD_EXEC: libc::c_uint = 0x10;
    let name = cstr("rruntime")?;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a live C string. Before Linux 6.3 MFD_EXEC is unknown and a memfd executable anyway.
    let copy = match check(unsafe { libc::memfd_create(name.as_ptr(), flags | MFD_EXEC) }.into()) {
        // SAFETY: as above.
        Err(Error(Errno::EINVAL)) => check(unsafe { libc::memfd_create(name.as_ptr(), flags) }.into()),
        other => other,
    }
    .map(own)?;
    let size = usize::try_from(super::file::stat(&file)?.st_size).unwrap_or(0);
    let mut sent = 0;
    while sent < size {
        let none = std::ptr::null_mut();
        // SAFETY: a null offset uses and moves the file's own position.
        let n = check(unsafe {
            libc::sendfile(copy.as_raw_fd(), file.as_fd().as_raw_fd(), none, size - sent) as libc::c_long
        });
        match n {
            Ok(0) => return Err(Error(Errno::EIO)),
            Ok(n) => sent += n.unsigned_abs() as usize,
            Err(Error(Errno::EINVAL)) if sent == 0 => {
                write_all(&copy, &read_all(&file, usize::MAX - 1)?)?; // a file system without sendfile
                break;
            }
            Err(error) => return Err(error),
        }
    }
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_ADD_SEALS, SEALS) }.into())?;
    Ok(copy)
}
