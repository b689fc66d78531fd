//! Facts about this machine and this process, gathered once and passed into the planning. The one place in `plan/` that
//! looks outside; it changes nothing.

pub mod cgroup;

use crate::error::{Context, Result};
use crate::sys::credentials;

#[derive(Debug, Clone)]
pub struct Host {
    pub euid: u32,
    pub egid: u32,
    /// Capabilities that can be given to a payload, one bit each: the permitted set of this process.
    pub capabilities: u64,
    pub cgroups: cgroup::Cgroups,
}

/// Looks at the machine for `create`.
pub fn gather() -> Result<Host> {
    Ok(Host { cgroups: cgroup::gather().context("look at this host's cgroups")?, ..gather_for_exec()? })
}

/// Looks at the machine for `exec`, which finds its cgroup in the record.
pub fn gather_for_exec() -> Result<Host> {
    let capabilities = credentials::permitted().context("read the capabilities of this process")?;
    let (euid, egid) = (credentials::effective_uid(), credentials::effective_gid());
    Ok(Host { euid, egid, capabilities, cgroups: cgroup::Cgroups::Missing })
}

/// Who runs the runtime: it decides which rights the parent has over what it makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    Root,
    /// Without CAP_SYS_ADMIN: everything but the id maps is done from inside a user namespace, with the rights there.
    User,
}

impl Host {
    pub fn caller(&self) -> Caller {
        if self.capabilities >> CAP_SYS_ADMIN & 1 == 1 { Caller::Root } else { Caller::User }
    }

    /// The same machine, as root with all rights would find it.
    pub fn as_root(&self) -> Host {
        let capabilities = caps::all().iter().fold(0, |mask, capability| mask | capability.bitmask());
        Host { euid: 0, egid: 0, capabilities, ..self.clone() }
    }

    /// The capabilities that a payload can be given in a container with these namespaces (`CLONE_NEW*` bits): the first
    /// process of a user namespace has all of them there. user_namespaces(7).
    pub fn grantable(&self, namespaces: i32) -> u64 {
        if namespaces & libc::CLONE_NEWUSER != 0 { u64::MAX } else { self.capabilities }
    }
}

/// linux/capability.h
const CAP_SYS_ADMIN: u32 = 21;

#[cfg(test)]
impl Host {
    /// Root on a machine without cgroups.
    pub fn for_tests() -> Host {
        Host { euid: 0, egid: 0, capabilities: (1 << 41) - 1, cgroups: cgroup::Cgroups::Missing }
    }
    /// Root on a machine with these cgroups.
    pub fn for_tests_with(cgroups: &cgroup::Cgroups) -> Host {
        Host { cgroups: cgroups.clone(), ..Host::for_tests() }
    }
}
