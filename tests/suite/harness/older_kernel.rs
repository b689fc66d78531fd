//! A kernel without some system calls, for the runtime and all that it starts: a seccomp filter answers in their place.

#![allow(unsafe_code)] // a filter is installed between fork and execve

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Which uses of a call are missing.
#[derive(Clone, Copy)]
enum Missing {
    Always,
    /// Those with this bit in this argument.
    WithBit(usize, u32),
    /// Those with this value of this argument.
    With(usize, u32),
    /// Those with more than one bit in this argument.
    WithSeveralBits(usize),
}

use Missing::{Always, With, WithBit, WithSeveralBits};

/// The calls that the runtime can do without, and the version of Linux that they came with. Those that it cannot do without are
/// named when they fail (`faults::kernel`).
const CALLS: [(&str, libc::c_long, Missing, (u32, u32)); 13] = [
    ("keyctl", libc::SYS_keyctl, Always, (0, 0)),
    ("memfd_create", libc::SYS_memfd_create, Always, (0, 0)),
    ("set_mempolicy", libc::SYS_set_mempolicy, Always, (0, 0)),
    // What the runtime asks it for came with 5.8.
    ("statx", libc::SYS_statx, Always, (5, 8)),
    // It came with 5.3, but its argument cannot be seen by a filter, and the cgroup in it came with 5.7.
    ("clone3", libc::SYS_clone3, Always, (5, 7)),
    ("openat2", libc::SYS_openat2, Always, (5, 6)),
    ("setns_by_pidfd", libc::SYS_setns, WithSeveralBits(1), (5, 8)),
    ("faccessat2", libc::SYS_faccessat2, Always, (5, 8)),
    ("close_range", libc::SYS_close_range, Always, (5, 9)),
    ("close_range_cloexec", libc::SYS_close_range, WithBit(2, libc::CLOSE_RANGE_CLOEXEC), (5, 11)),
    ("mount_setattr", libc::SYS_mount_setattr, Always, (5, 12)),
    ("fchmodat2", 452, Always, (6, 6)),
    // A parameter that is a file (FSCONFIG_SET_FD): the only one that the runtime sets is procfs's `pidns`.
    ("pidns", libc::SYS_fsconfig, With(1, 5), (6, 17)),
];

/// Calls without which no container starts, for tests of what is said then.
const NEEDED: [(&str, libc::c_long, Missing, (u32, u32)); 1] = [("mount", libc::SYS_mount, Always, (0, 0))];

/// The program of the filter.
pub struct OlderKernel(Vec<libc::sock_filter>);

impl OlderKernel {
    /// `RRUNTIME_TEST_WITHOUT=CALL:ERRNO`, as `mount_setattr:ENOSYS`; `5.4` is a kernel without all that is newer, and
    /// `filter` a container engine's filter that denies with EPERM all that is newer than 5.4.
    pub fn asked_for() -> Option<Self> {
        let said = std::env::var("RRUNTIME_TEST_WITHOUT").ok().filter(|said| !said.is_empty())?;
        Some(Self::named(&said))
    }

    /// The same by the word itself.
    pub fn named(said: &str) -> Self {
        let newer = |than: (u32, u32)| CALLS.into_iter().filter(move |(.., since)| *since > than);
        let missing: Vec<_> = match said.split_once(':') {
            Some((name, errno)) => {
                let call = CALLS.into_iter().chain(NEEDED).find(|(call, ..)| *call == name).expect("a call");
                vec![(call, errno_of(errno))]
            }
            None if said == "filter" => {
                let whole = newer((5, 4)).filter(|call| matches!(call.2, Always)); // it knows no flags
                whole.map(|call| (call, libc::EPERM)).collect()
            }
            None => {
                let (major, minor) = said.split_once('.').expect("RRUNTIME_TEST_WITHOUT=CALL:ERRNO, or a version");
                let version = (major.parse().expect("a number"), minor.parse().expect("a number"));
                newer(version).map(|call| (call, call.2.errno())).collect()
            }
        };
        let mut program = vec![];
        for ((_, number, missing, _), errno) in missing {
            missing.append(&mut program, u32::try_from(number).expect("a number"), errno.unsigned_abs());
        }
        program.push(give(libc::SECCOMP_RET_ALLOW));
        Self(program)
    }

    pub fn hold(&self, command: &mut Command) {
        let mut program = self.0.clone();
        let install = move || {
            let len = program.len().try_into().expect("a short program");
            let filter = libc::sock_fprog { len, filter: program.as_mut_ptr() };
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

fn errno_of(name: &str) -> i32 {
    match name {
        "ENOSYS" => libc::ENOSYS,
        "EPERM" => libc::EPERM,
        "EINVAL" => libc::EINVAL,
        other => panic!("{other}: ENOSYS, EPERM or EINVAL"),
    }
}

impl Missing {
    /// What a kernel answers that knows the call, but not that use of it.
    fn errno(self) -> i32 {
        if matches!(self, Always) { libc::ENOSYS } else { libc::EINVAL }
    }

    /// For calls of this number: the answer, or on to what follows.
    fn append(self, program: &mut Vec<libc::sock_filter>, number: u32, errno: u32) {
        let refuse = give(libc::SECCOMP_RET_ERRNO | errno);
        let argument = |index: usize| load(16 + 8 * u32::try_from(index).expect("a number"));
        let block = match self {
            Always => vec![refuse],
            With(index, value) => vec![argument(index), jump(0x15, value, 0, 1), refuse],
            WithBit(index, bit) => vec![argument(index), jump(0x45, bit, 0, 1), refuse],
            WithSeveralBits(index) => {
                let mut block = vec![argument(index)];
                for bit in std::iter::once(0).chain((0..32).map(|shift| 1 << shift)) {
                    block.extend([jump(0x15, bit, 0, 1), give(libc::SECCOMP_RET_ALLOW)]);
                }
                block.push(refuse);
                block
            }
        };
        let length = u8::try_from(block.len()).expect("a short block");
        program.extend([load(0), jump(0x15, number, 0, length)]);
        program.extend(block);
    }
}

/// A word of `struct seccomp_data`: the call's number, or the lower half of an argument.
fn load(at: u32) -> libc::sock_filter {
    libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: at }
}

/// Over so many instructions if the comparison (0x15: equal, 0x45: a bit in common) holds, or does not hold.
fn jump(code: u16, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

fn give(answer: u32) -> libc::sock_filter {
    libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: answer }
}
