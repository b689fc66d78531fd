//! bpf(2) for the device rules of cgroup v2: load a program, attach, replace, detach, list.
//!
//! Every call passes a zeroed attribute of the full 256 bytes, larger than any kernel's `union bpf_attr`: Linux 6.17 to
//! 7.1 write the `revision` of a query past the end of shorter ones, over whatever the caller had there.
//! <https://docs.kernel.org/userspace-api/ebpf/syscall.html>

use super::file::own;
use super::{Errno, Error, Result, check};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const PROG_LOAD: i32 = 5;
const PROG_ATTACH: i32 = 8;
const PROG_DETACH: i32 = 9;
const PROG_GET_FD_BY_ID: i32 = 13;
const PROG_QUERY: i32 = 16;

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const F_ALLOW_MULTI: u32 = 2;
const F_REPLACE: u32 = 4;

/// The kernel's own bound for one cgroup (`BPF_CGROUP_MAX_PROGS`).
const MOST_PROGRAMS: u32 = 64;

/// `union bpf_attr`, by offset: the union has no name that would fit all calls.
#[repr(C, align(8))]
struct Attr([u8; 256]);

impl Attr {
    fn new() -> Attr {
        Attr([0; 256])
    }

    fn u32(mut self, at: usize, value: u32) -> Attr {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn fd(self, at: usize, file: impl AsFd) -> Attr {
        self.u32(at, file.as_fd().as_raw_fd().cast_unsigned())
    }

    fn pointer<T>(mut self, at: usize, value: *const T) -> Attr {
        self.0[at..at + 8].copy_from_slice(&(value.expose_provenance() as u64).to_ne_bytes());
        self
    }
}

/// # Safety
/// Every pointer in the attribute must be live, and as long as the attribute says.
unsafe fn bpf(command: i32, attr: &mut Attr) -> Result<libc::c_long> {
    // SAFETY: the attribute is ours and its size is its own; its pointers are the caller's promise.
    check(unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attr.0, size_of::<Attr>()) })
}

/// Loads a program of type CGROUP_DEVICE, instructions as the kernel reads them (`struct bpf_insn`, 8 bytes each).
/// EPERM without CAP_BPF (or CAP_SYS_ADMIN) in the first user namespace, EINVAL or EACCES when the verifier refuses it.
pub fn load_device_program(instructions: &[u64]) -> Result<OwnedFd> {
    let load = || {
        let count = u32::try_from(instructions.len()).map_err(|_| Error(Errno::E2BIG))?;
        let mut attr = Attr::new()
            .u32(0, PROG_TYPE_CGROUP_DEVICE)
            .u32(4, count)
            .pointer(8, instructions.as_ptr())
            .pointer(16, c"Apache-2.0".as_ptr());
        // SAFETY: the instructions and the licence outlive the call, and the count is the instructions'.
        unsafe { bpf(PROG_LOAD, &mut attr) }.map(own)
    };
    match load() {
        // Before Linux 5.11 programs count against RLIMIT_MEMLOCK. The limit is put back: the payload inherits it.
        Err(Error(Errno::EPERM)) => {
            let unlimited = libc::rlimit64 { rlim_cur: libc::RLIM64_INFINITY, rlim_max: libc::RLIM64_INFINITY };
            let before = swap_memlock(&unlimited)?;
            let done = load();
            swap_memlock(&before)?;
            done
        }
        done => done,
    }
}

/// Sets RLIMIT_MEMLOCK of this process, and returns what it was.
fn swap_memlock(new: &libc::rlimit64) -> Result<libc::rlimit64> {
    let mut old = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let (resource, new) = (libc::RLIMIT_MEMLOCK, std::ptr::from_ref(new));
    // SAFETY: both structs live for the call.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, new, &raw mut old) })?;
    Ok(old)
}

/// Attaches the program to a cgroup, beside those that are there: an access must pass all of them.
pub fn attach(cgroup: impl AsFd, program: impl AsFd) -> Result<()> {
    let mut attr = Attr::new().fd(0, cgroup).fd(4, program).u32(8, CGROUP_DEVICE).u32(12, F_ALLOW_MULTI);
    // SAFETY: no pointers.
    unsafe { bpf(PROG_ATTACH, &mut attr) }.map(drop)
}

/// Puts the program in the place of another one that is attached there, with no moment in between (Linux 5.6).
pub fn replace(cgroup: impl AsFd, old: impl AsFd, new: impl AsFd) -> Result<()> {
    let flags = F_ALLOW_MULTI | F_REPLACE;
    let mut attr = Attr::new().fd(0, cgroup).fd(4, new).u32(8, CGROUP_DEVICE).u32(12, flags).fd(16, old);
    // SAFETY: no pointers.
    unsafe { bpf(PROG_ATTACH, &mut attr) }.map(drop)
}

pub fn detach(cgroup: impl AsFd, program: impl AsFd) -> Result<()> {
    let mut attr = Attr::new().fd(0, cgroup).fd(4, program).u32(8, CGROUP_DEVICE);
    // SAFETY: no pointers.
    unsafe { bpf(PROG_DETACH, &mut attr) }.map(drop)
}

/// The device programs attached to this very cgroup, oldest first. Those that a security module hides from us are left
/// out: they can only restrict further.
pub fn attached(cgroup: impl AsFd) -> Result<Vec<OwnedFd>> {
    let mut ids = [0u32; MOST_PROGRAMS as usize];
    let mut attr = Attr::new().fd(0, cgroup).u32(4, CGROUP_DEVICE).pointer(16, ids.as_mut_ptr()).u32(24, MOST_PROGRAMS);
    // SAFETY: the array outlives the call, and the count is its own.
    unsafe { bpf(PROG_QUERY, &mut attr) }?;
    let count = u32::from_ne_bytes([attr.0[24], attr.0[25], attr.0[26], attr.0[27]]);
    let mut programs = Vec::new();
    for id in &ids[..count.min(MOST_PROGRAMS) as usize] {
        let mut attr = Attr::new().u32(0, *id);
        // SAFETY: no pointers.
        match unsafe { bpf(PROG_GET_FD_BY_ID, &mut attr) } {
            Ok(fd) => programs.push(own(fd)),
            Err(Error(Errno::EPERM | Errno::EACCES | Errno::ENOENT)) => {} // hidden, or just gone
            Err(error) => return Err(error),
        }
    }
    Ok(programs)
}
