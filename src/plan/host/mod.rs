//! Facts about this machine and this process, gathered once and passed into the planning. The one place in `plan/` that
//! looks outside; it changes nothing.

pub mod cgroup;

use crate::error::{Context, Result};
use crate::sys::credentials;

#[derive(Debug)]
pub struct Host {
    pub euid: u32,
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
    Ok(Host { euid: credentials::effective_uid(), capabilities, cgroups: cgroup::Cgroups::Missing })
}

#[cfg(test)]
impl Host {
    /// Root on a machine without cgroups.
    pub fn for_tests() -> Host {
        Host { euid: 0, capabilities: (1 << 41) - 1, cgroups: cgroup::Cgroups::Missing }
    }
}
