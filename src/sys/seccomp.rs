//! Installing a compiled filter. seccomp(2).

use super::file::{self, CWD, own};
use super::{Result, check};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const SECCOMP_SET_MODE_FILTER: libc::c_ulong = 1;
const SECCOMP_FILTER_FLAG_NEW_LISTENER: libc::c_ulong = 1 << 3;

/// Whether the caller wants to answer notified calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    No,
    /// Returns the listener's descriptor (Linux 5.0).
    Yes,
}

/// A program for the kernel, and the flags to install it with.
pub struct Filter {
    pub program: Vec<libc::sock_filter>,
    pub flags: u32,
}

impl Filter {
    /// Has the command run under the filter, which need not hold this process. Its execve is the first call that is judged.
    pub fn hold(&self, command: &mut std::process::Command) {
        let (program, flags) = (self.program.clone(), self.flags);
        let submit = move || match install(&program, flags, Notify::No) {
            Ok(_) => Ok(()),
            Err(error) => Err(std::io::Error::from_raw_os_error(error.0 as i32)),
        };
        // SAFETY: between fork and execve it makes one system call, and allocates nothing.
        unsafe { std::os::unix::process::CommandExt::pre_exec(command, submit) };
    }
}

/// Is this the descriptor on which the kernel asks about system calls, and no other file? proc_pid_fd(5).
pub fn is_listener(file: impl AsFd) -> bool {
    let name = file::readlink(CWD, format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()));
    name.is_ok_and(|name| name.as_os_str() == "anon_inode:seccomp notify")
}

/// Puts the filter on this thread. EACCES without CAP_SYS_ADMIN when no_new_privs is not set; EINVAL for a program or flag
/// that the kernel refuses.
pub fn install(program: &[libc::sock_filter], flags: u32, notify: Notify) -> Result<Option<OwnedFd>> {
    let length = u16::try_from(program.len()).unwrap_or(u16::MAX);
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    let mut flags = libc::c_ulong::from(flags);
    if notify == Notify::Yes {
        flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    }
    // SAFETY: the program's array lives for the call, the kernel copies it and does not write to it.
    let done = check(unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &raw const program) })?;
    Ok((notify == Notify::Yes).then(|| own(done)))
}
