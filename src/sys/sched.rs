//! What share of the machine a process gets: scheduling policy, CPUs, I/O priority, memory nodes.

use super::{Result, check};

/// What `sched_setattr` sets. The numbers are the kernel's (include/uapi/linux/sched.h); times in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Attributes {
    pub policy: u32,
    pub flags: u64,
    /// SCHED_OTHER and SCHED_BATCH.
    pub nice: i32,
    /// SCHED_FIFO and SCHED_RR.
    pub priority: u32,
    /// These three: SCHED_DEADLINE.
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

/// The kernel's `struct sched_attr`, with the utilisation clamps of Linux 5.3. sched_setattr(2).
#[repr(C)]
#[allow(clippy::struct_field_names)] // the kernel's own
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    util_min: u32,
    util_max: u32,
}

/// `sched_setattr` (Linux 3.14) of a process; 0 is the caller. EPERM without CAP_SYS_NICE in the initial user namespace,
/// or for SCHED_DEADLINE on fewer than all CPUs; EBUSY when the CPUs have no more time to promise; EINVAL for values that
/// do not go together.
pub fn set_attributes(pid: i32, asked: &Attributes) -> Result<()> {
    let size = u32::try_from(size_of::<SchedAttr>()).unwrap_or(0);
    let Attributes { policy, flags, nice, priority, runtime, deadline, period } = *asked;
    let attr = SchedAttr { size, policy, flags, nice, priority, runtime, deadline, period, util_min: 0, util_max: 0 };
    // SAFETY: the struct lives for the call and tells its own size.
    check(unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const attr, 0) }).map(drop)
}

/// Lets this process run on these CPUs only, one bit a CPU. EINVAL when none of them is online and in its cpuset.
pub fn set_affinity(cpus: &[u64]) -> Result<()> {
    // SAFETY: the buffer lives for the call and its length is told.
    check(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(cpus), cpus.as_ptr()) }).map(drop)
}

/// Lets this process run on every CPU there is. The mask is 8 KiB, enough for 65,536 CPUs; the kernel uses its part.
pub fn reset_affinity() -> Result<()> {
    set_affinity(&[u64::MAX; 1024])
}

/// A class and a level in it, as the kernel packs them (include/uapi/linux/ioprio.h).
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct IoPriority(u16);

impl IoPriority {
    /// Classes: 1 real time, 2 best effort, 3 idle. Levels: 0 (highest) to 7.
    pub fn new(class: u16, level: u16) -> IoPriority {
        IoPriority(class << 13 | level)
    }
}

/// `ioprio_set` of a process group; 0 is the caller's. EPERM for the real-time class without CAP_SYS_ADMIN or CAP_SYS_NICE
/// in the initial user namespace. ENOSYS when the kernel has no block layer.
pub fn set_io_priority(group: i32, priority: IoPriority) -> Result<()> {
    const IOPRIO_WHO_PGRP: i32 = 2;
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PGRP, group, i32::from(priority.0)) }).map(drop)
}

/// `set_mempolicy`: the mode with its flags, and one bit a node. ENOSYS when the kernel is built without CONFIG_NUMA; EINVAL
/// for nodes that it has not, or not in the cpuset, and for modes that it does not know.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> Result<()> {
    let (mask, bits) = match nodes {
        [] => (std::ptr::null(), 0),
        words => (words.as_ptr(), words.len() * 64 + 1), // the kernel counts one less than it is told
    };
    // SAFETY: the mask lives for the call; the kernel reads the words that hold that many bits less one, of null none.
    check(unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) }).map(drop)
}
