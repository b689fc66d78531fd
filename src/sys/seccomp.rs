//! Installing a compiled filter. seccomp(2).

use super::file::own;
use super::{Result, check};
use std::os::fd::OwnedFd;

const SECCOMP_SET_MODE_FILTER: libc::c_ulong = 1;
const SECCOMP_FILTER_FLAG_NEW_LISTENER: libc::c_ulong = 1 << 3;

/// Whether the caller wants to answer notified calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    No,
    /// Returns the listener's descriptor (Linux 5.0).
    Yes,
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
