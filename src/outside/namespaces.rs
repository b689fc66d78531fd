//! Opening the namespaces that are to be joined, before anything is made: their paths may mean something else later.

use super::mappings;
use crate::error::{Context, Kind, Result, anyhow, bail};
use crate::link::Door;
use crate::plan::namespaces::{name, proc_name};
use crate::plan::{Namespaces, Sandbox};
use crate::proc::{self, ProcessId};
use crate::sys::file::{self, CWD};
use crate::sys::{self, Errno, namespace, process};
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

/// exec: what leads into the namespaces (`CLONE_NEW*` bits) of a container, and to its root, where it has no mount namespace
/// to find that by. `pidfd` is init's.
///
/// A first thread that has ended has neither any more, so another one of init stands in for it. setns(2) answers ESRCH for a
/// pidfd of such a process.
pub fn way_into(init: ProcessId, pidfd: OwnedFd, kinds: i32) -> Result<Door> {
    let thread = match proc::living_thread(init.pid)? {
        Some(thread) if proc::is_alive(init)? => thread,
        _ => bail!(anyhow!(Kind::NotRunning).context("cannot exec in a stopped container")),
    };
    let dir = format!("/proc/{}/task/{thread}", init.pid);
    let named = || format!("enter the container by thread {thread} of its init (pid {})", init.pid);
    let (pidfd, namespaces) = if thread == init.pid {
        (pidfd, Vec::new())
    } else {
        match process::pidfd_open_thread(thread) {
            Ok(pidfd) => (pidfd, Vec::new()),
            Err(sys::Error(Errno::EINVAL)) => (pidfd, one_by_one(&dir, kinds).with_context(named)?),
            Err(error) => return Err(error).with_context(named),
        }
    };
    let root = if kinds & libc::CLONE_NEWNS == 0 {
        let path = format!("{dir}/root");
        let root = file::open(CWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0);
        Some(root.with_context(|| format!("open {path}, the container's root"))?)
    } else {
        None
    };
    // Looked at again afterwards: the numbers may have gone to others. A pidfd of a thread that has ended leads nowhere.
    let is_thread = file::open(CWD, &dir, libc::O_PATH | libc::O_DIRECTORY, 0).is_ok();
    if !is_thread || !proc::is_alive(init)? {
        bail!(anyhow!(Kind::NotRunning).context("cannot exec in a container whose init has just ended"));
    }
    Ok(Door { init: pidfd, namespaces, root })
}

/// The namespaces of a thread, from its directory in /proc.
fn one_by_one(dir: &str, kinds: i32) -> Result<Vec<(i32, OwnedFd)>> {
    let open = |kind: &i32| {
        let path = format!("{dir}/ns/{}", proc_name(*kind));
        let opened = file::open(CWD, &path, libc::O_RDONLY, 0).with_context(|| format!("open {path}"));
        opened.map(|file| (*kind, file))
    };
    (0..i32::BITS - 1).map(|bit| 1 << bit).filter(|kind| kinds & kind != 0).map(|kind| open(&kind)).collect()
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
