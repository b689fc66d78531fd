//! Facts about this machine and this process, gathered once and passed into the planning. The one place in `plan/` that
//! looks outside; it changes nothing.

pub mod cgroup;
pub mod lsm;
pub mod systemd;

use crate::error::{Context, Result};
use crate::plan::cgroup::Driver;
use crate::plan::labels::Asked;
use crate::sys::{credentials, namespace};

#[derive(Debug, Clone)]
pub struct Host {
    pub euid: u32,
    pub egid: u32,
    /// Capabilities that can be given to a payload, one bit each: the permitted set of this process.
    pub capabilities: u64,
    pub user_namespace: UserNamespace,
    pub cgroups: cgroup::Cgroups,
    pub lsm: lsm::Lsm,
    /// `None`: nobody asked for it.
    pub systemd: Option<systemd::Systemd>,
}

/// Looks at the machine for `create`.
pub fn gather(labels: Asked, driver: Driver) -> Result<Host> {
    let cgroups = cgroup::gather().context("look at this host's cgroups")?;
    let systemd = match driver {
        Driver::Systemd => Some(systemd::gather(&cgroups).context("look for this host's systemd")?),
        Driver::Cgroupfs | Driver::Disabled => None,
    };
    let user_namespace = if namespace::is_in_first_user() { UserNamespace::First } else { UserNamespace::Nested };
    Ok(Host { user_namespace, cgroups, systemd, ..gather_for_exec(labels)? })
}

/// Looks at the machine for `exec`, which finds its cgroup in the record.
pub fn gather_for_exec(labels: Asked) -> Result<Host> {
    let capabilities = credentials::permitted().context("read the capabilities of this process")?;
    let lsm = match labels {
        Asked::Yes { selinux } => lsm::look(&selinux),
        Asked::No => lsm::NOT_ASKED,
    };
    let (euid, egid) = (credentials::effective_uid(), credentials::effective_gid());
    let (user_namespace, cgroups) = (UserNamespace::Nested, cgroup::Cgroups::Missing); // `exec` makes no nodes
    Ok(Host { euid, egid, capabilities, user_namespace, cgroups, lsm, systemd: None })
}

/// Who runs the runtime: it decides which rights the parent has over what it makes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Caller {
    Root,
    /// Without CAP_SYS_ADMIN: everything but the id maps is done from inside a user namespace, with the rights there.
    User,
}

/// Where the runtime's capabilities hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserNamespace {
    /// The one that the machine started with.
    First,
    Nested,
}

impl Host {
    /// May this process make device nodes that can be opened? mknod(2) asks for the capability in the first user namespace.
    pub fn makes_nodes(&self) -> bool {
        let capable = self.capabilities >> CAP_MKNOD & 1 == 1;
        self.caller() == Caller::Root && capable && self.user_namespace == UserNamespace::First
    }

    pub fn caller(&self) -> Caller {
        if self.capabilities >> CAP_SYS_ADMIN & 1 == 1 { Caller::Root } else { Caller::User }
    }

    /// The same machine, as root with all rights would find it.
    pub fn as_root(&self) -> Host {
        let capabilities = caps::all().iter().fold(0, |mask, capability| mask | capability.bitmask());
        Host { euid: 0, egid: 0, capabilities, ..self.clone() }
    }

    /// The same for what runs in these namespaces (`CLONE_NEW*` bits): the first process of a user namespace has all
    /// capabilities there. user_namespaces(7).
    pub fn inside(&self, namespaces: i32) -> Host {
        let all = namespaces & libc::CLONE_NEWUSER != 0;
        let capabilities = if all { u64::MAX } else { self.capabilities };
        Host { capabilities, cgroups: cgroup::Cgroups::Missing, systemd: None, lsm: self.lsm.clone(), ..*self }
    }
}

/// linux/capability.h
pub const CAP_SYS_ADMIN: u32 = 21;
const CAP_MKNOD: u32 = 27;

#[cfg(test)]
impl Host {
    /// Root on a machine without cgroups.
    pub fn for_tests() -> Host {
        let (capabilities, cgroups) = ((1 << 41) - 1, cgroup::Cgroups::Missing);
        let user_namespace = UserNamespace::First;
        Host { euid: 0, egid: 0, capabilities, user_namespace, cgroups, lsm: lsm::NOT_ASKED, systemd: None }
    }

    /// Root on a machine with these cgroups.
    pub fn for_tests_with(cgroups: &cgroup::Cgroups) -> Host {
        Host { cgroups: cgroups.clone(), ..Host::for_tests() }
    }
}
