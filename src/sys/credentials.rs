//! Who a process is: user, groups, capabilities.

use super::process::prctl;
use super::{Errno, Error, Result, check};

#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
use libc::{SYS_setgroups as SETGROUPS, SYS_setresgid as SETRESGID, SYS_setresuid as SETRESUID};
/// The calls that take ids of 32 bits. x86 and ARM have older ones of 16 bits under the plain names. setresuid(2).
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
use libc::{SYS_setgroups32 as SETGROUPS, SYS_setresgid32 as SETRESGID, SYS_setresuid32 as SETRESUID};

/// The number that is no id: setresuid(2) and setresgid(2) take it for "as it is" and succeed.
const NONE: u32 = u32::MAX;

/// Real, effective and saved user id at once. EINVAL for the number that is no id.
pub fn set_uid(uid: u32) -> Result<()> {
    if uid == NONE {
        return Err(Error(Errno::EINVAL));
    }
    // SAFETY: no pointers. The raw call, because libc's would look for other threads.
    check(unsafe { libc::syscall(SETRESUID, uid, uid, uid) }).map(drop)
}

/// Real, effective and saved group id at once. EINVAL for the number that is no id.
pub fn set_gid(gid: u32) -> Result<()> {
    if gid == NONE {
        return Err(Error(Errno::EINVAL));
    }
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(SETRESGID, gid, gid, gid) }).map(drop)
}

/// The supplementary groups, exactly these.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the array lives for the call and its length is told.
    check(unsafe { libc::syscall(SETGROUPS, groups.len(), groups.as_ptr()) }).map(drop)
}

pub fn effective_uid() -> u32 {
    nix::unistd::geteuid().as_raw()
}

pub fn effective_gid() -> u32 {
    nix::unistd::getegid().as_raw()
}

/// Capabilities survive the next change of user id away from 0; execve clears the setting.
pub fn keep_capabilities() -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, 1, 0)
}

/// Takes one capability, by number, out of the bounding set. EINVAL when the kernel does not know it.
pub fn drop_from_bounding(capability: u32) -> Result<()> {
    prctl(libc::PR_CAPBSET_DROP, capability.into(), 0)
}

/// Adds one capability to the ambient set; it must be permitted and inheritable.
pub fn raise_ambient(capability: u32) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong, capability.into())
}

pub fn clear_ambient() -> Result<()> {
    match prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0) {
        Err(Error(Errno::EINVAL)) => Ok(()), // a kernel without ambient capabilities has none to clear
        other => other,
    }
}

/// The bit of CAP_SYS_ADMIN in a set of capabilities.
pub const SYS_ADMIN: u64 = 1 << 21;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

const VERSION_3: u32 = 0x2008_0522;

/// The effective, permitted and inheritable sets, one bit a capability, at once. capset(2).
#[allow(clippy::cast_possible_truncation)] // the two halves of each mask
pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64) -> Result<()> {
    let header = Header { version: VERSION_3, pid: 0 };
    let half = |shift: u32| Data {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 takes one header and two of these structs.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// The permitted set of this process. capget(2).
pub fn permitted() -> Result<u64> {
    let header = Header { version: VERSION_3, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 takes one header and fills two of these structs.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    Ok(u64::from(data[0].permitted) | u64::from(data[1].permitted) << 32)
}
