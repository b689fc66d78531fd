//! Facts about this machine and this process, gathered once and passed into the planning. The one place in `plan/` that
//! looks outside; it changes nothing.

pub mod cgroup;
pub mod lsm;

use crate::error::{Context, Result};
use crate::plan::labels::Asked;
use crate::sys::credentials;

#[derive(Debug)]
pub struct Host {
    pub euid: u32,
    /// Capabilities that can be given to a payload, one bit each: the permitted set of this process.
    pub capabilities: u64,
    pub cgroups: cgroup::Cgroups,
    pub lsm: lsm::Lsm,
}

/// Looks at the machine for `create`.
pub fn gather(labels: Asked) -> Result<Host> {
    Ok(Host { cgroups: cgroup::gather().context("look at this host's cgroups")?, ..gather_for_exec(labels)? })
}

/// Looks at the machine for `exec`, which finds its cgroup in the record.
pub fn gather_for_exec(labels: Asked) -> Result<Host> {
    let capabilities = credentials::permitted().context("read the capabilities of this process")?;
    let lsm = match labels {
        Asked::Yes => lsm::look(),
        Asked::No => lsm::NOT_ASKED,
    };
    Ok(Host { euid: credentials::effective_uid(), capabilities, cgroups: cgroup::Cgroups::Missing, lsm })
}

#[cfg(test)]
impl Host {
    /// Root on a machine without cgroups.
    pub fn for_tests() -> Host {
        Host { euid: 0, capabilities: (1 << 41) - 1, cgroups: cgroup::Cgroups::Missing, lsm: lsm::NOT_ASKED }
    }
}
