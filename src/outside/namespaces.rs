//! Opening the namespaces that are to be joined, before anything is made: their paths may mean something else later.

use super::mappings;
use crate::error::{Context, Kind, Result, anyhow, bail};
use crate::plan::namespaces::{name, proc_name};
use crate::plan::{Namespaces, Sandbox};
use crate::proc::{self, ProcessId};
use crate::sys::file::{self, CWD};
use crate::sys::namespace;
use std::os::fd::OwnedFd;

/// Each with its `CLONE_NEW*` bit, in the plan's order, checked to be of that type.
pub fn open(plan: &Namespaces) -> Result<Vec<(i32, OwnedFd)>> {
    let one = |join: &crate::plan::Join| -> Result<(i32, OwnedFd)> {
        let (path, wanted) = (join.path.display(), name(join.kind));
        let named = || format!("config.json: linux.namespaces: {wanted}: {path}");
        let file = file::open(CWD, &join.path, libc::O_RDONLY | libc::O_NONBLOCK, 0).with_context(named)?;
        match namespace::kind(&file) {
            Ok(kind) if kind == join.kind => Ok((join.kind, file)),
            Ok(kind) => {
                bail!("config.json: linux.namespaces: {path} is a {} namespace, not a {wanted} one", name(kind))
            }
            Err(_) => bail!(
                "config.json: linux.namespaces: {path} is no namespace: give a path like /proc/PID/ns/{}",
                proc_name(join.kind)
            ),
        }
    };
    let opened = plan.join.iter().map(one).collect::<Result<Vec<_>>>()?;
    if let (Some(maps), Some((_, file))) =
        (&plan.joined_maps, opened.iter().find(|(kind, _)| *kind == libc::CLONE_NEWUSER))
    {
        mappings::compare(maps, file)?;
    }
    Ok(opened)
}

/// exec into a container without a mount namespace: the root that its init has. The process is looked at again afterwards:
/// its number may have gone to another one.
pub fn root_of(init: ProcessId) -> Result<OwnedFd> {
    let path = format!("/proc/{}/root", init.pid);
    let root = file::open(CWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0);
    if !proc::is_alive(init)? {
        bail!(anyhow!(Kind::NotRunning).context("cannot exec in a stopped container"));
    }
    root.with_context(|| format!("open {path}, the container's root"))
}

/// A joined namespace may be the runtime's own, which is the host's: then what would be set there is refused, as it is
/// without a namespace (a mount namespace is always changed).
pub fn check_own(sandbox: &Sandbox, joined: &[(i32, OwnedFd)]) -> Result<()> {
    for (kind, file) in joined {
        let own = file::open(CWD, format!("/proc/self/ns/{}", proc_name(*kind)), libc::O_RDONLY, 0);
        let (own, theirs) = (file::stat(own.context("open our own namespaces")?)?, file::stat(file)?);
        if (own.st_dev, own.st_ino) != (theirs.st_dev, theirs.st_ino) {
            continue;
        }
        let named = sandbox.hostname.is_some() || sandbox.domainname.is_some();
        let field = match *kind {
            libc::CLONE_NEWNS | libc::CLONE_NEWUSER => "linux.namespaces",
            libc::CLONE_NEWUTS if named => "hostname",
            libc::CLONE_NEWNET if !sandbox.net_devices.is_empty() => "linux.netDevices",
            libc::CLONE_NEWNET | libc::CLONE_NEWIPC if !sandbox.sysctl.is_empty() => "linux.sysctl",
            _ => continue,
        };
        bail!("config.json: {field}: the {} namespace to join is the host's own: leave its path out", name(*kind));
    }
    Ok(())
}
