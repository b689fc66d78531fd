//! The kernel, safely. The only folder with `unsafe` and raw descriptors.
//!
//! Every function here is one system call (or one small family of them) with owned types in and out: `OwnedFd` instead of
//! numbers, `&CStr`/`&Path` instead of pointers, `Result` instead of -1. Nothing here decides anything: callers in any
//! process, in any namespace, may use it.
#![allow(unsafe_code)]

pub mod alloc;
pub mod bpf;
pub mod cgroupfs;
pub mod copy;
pub mod credentials;
pub mod exe;
pub mod file;
pub mod keyring;
pub mod mount;
pub mod mountinfo;
pub mod namespace;
pub mod netlink;
pub mod older;
pub mod process;
mod remount;
pub mod sched;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod start;
pub mod tty;
mod walk;

use std::ffi::CString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

pub use nix::errno::Errno;

/// What the kernel answered: an errno that prints as text and name, `permission denied (EACCES)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Error(pub Errno);

pub type Result<T> = std::result::Result<T, Error>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.desc();
        let mut letters = text.chars();
        let first = letters.next().unwrap_or('?').to_ascii_lowercase();
        let remedy = match self.0 {
            Errno::EMFILE => ": raise the limit of open files of this process (ulimit -n)",
            Errno::ENFILE => ": raise the machine's limit of open files (sysctl fs.file-max)",
            _ => "",
        };
        write!(f, "{first}{} ({:?}){remedy}", letters.as_str(), self.0)
    }
}

impl std::error::Error for Error {}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Error {
        Error(errno)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    }
}

/// A path as the kernel takes it. Fails with EINVAL when it holds a NUL byte.
pub fn cstr(path: impl AsRef<Path>) -> Result<CString> {
    CString::new(path.as_ref().as_os_str().as_bytes()).map_err(|_| Error(Errno::EINVAL))
}

/// Turns the return value of a raw system call into a `Result`.
fn check(value: libc::c_long) -> Result<libc::c_long> {
    if value < 0 { Err(Error(Errno::last())) } else { Ok(value) }
}

/// Repeats a call that a signal interrupted.
pub fn retry<T>(mut call: impl FnMut() -> Result<T>) -> Result<T> {
    loop {
        match call() {
            Err(Error(Errno::EINTR)) => {}
            done => return done,
        }
    }
}
