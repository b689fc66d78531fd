//! A kernel without one system call, for the runtime and all that it starts: a seccomp filter answers in its place.

#![allow(unsafe_code)] // a filter is installed between fork and execve

use std::os::unix::process::CommandExt;
use std::process::Command;

/// The calls that the runtime can do without. Those that it cannot are named when they fail (`faults::kernel`).
const CALLS: [(&str, libc::c_long); 7] = [
    ("mount_setattr", libc::SYS_mount_setattr),
    ("memfd_create", libc::SYS_memfd_create),
    ("keyctl", libc::SYS_keyctl),
    ("statx", libc::SYS_statx),
    ("set_mempolicy", libc::SYS_set_mempolicy),
    ("fchmodat2", 452),
    ("faccessat2", libc::SYS_faccessat2),
];

/// The number of the call, and the errno that it has.
#[derive(Clone, Copy)]
pub struct OlderKernel(u32, u32);

impl OlderKernel {
    /// `RRUNTIME_TEST_WITHOUT=CALL:ERRNO`, as `mount_setattr:ENOSYS`; EPERM is what filters of engines answer.
    pub fn asked_for() -> Option<Self> {
        let said = std::env::var("RRUNTIME_TEST_WITHOUT").ok().filter(|said| !said.is_empty())?;
        let (name, errno) = said.split_once(':').expect("RRUNTIME_TEST_WITHOUT=CALL:ERRNO");
        let (_, number) = CALLS.iter().find(|(call, _)| *call == name).expect("a call that can be missing");
        let errno = match errno {
            "ENOSYS" => libc::ENOSYS,
            "EPERM" => libc::EPERM,
            other => panic!("{other}: ENOSYS or EPERM"),
        };
        Some(Self(u32::try_from(*number).expect("a number"), errno.unsigned_abs()))
    }

    pub fn hold(self, command: &mut Command) {
        let load = libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 }; // the call's number
        let compare = libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: self.0 };
        let answer = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ERRNO | self.1 };
        let allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW };
        let mut program = [load, compare, answer, allow];
        let install = move || {
            let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
            // SAFETY: one system call between fork and execve; the program lives as long as it.
            match unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) } {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        // SAFETY: nothing is allocated in there.
        unsafe { command.pre_exec(install) };
    }
}
