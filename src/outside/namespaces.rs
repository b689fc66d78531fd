//! Opening the namespaces that are to be joined, before anything is made: their paths may mean something else later.

use super::mappings;
use super::record::Record;
use crate::error::{Context, Kind, Result, anyhow, bail, ensure};
use crate::plan::namespaces::{name, proc_name};
use crate::plan::{Namespaces, Sandbox};
use crate::proc::{self, ProcessId};
use crate::sys::file::{self, CWD};
use crate::sys::namespace::{self, Identity};
use crate::sys::{self};
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

/// create: which namespaces those are that will be joined.
pub fn identities(joined: &[(i32, OwnedFd)]) -> Result<Vec<(i32, Identity)>> {
    let one = |(kind, file): &(i32, OwnedFd)| Ok((*kind, Identity::of(file).context("look at a namespace to join")?));
    joined.iter().map(one).collect()
}

/// create: adds what only the child has shown: its user namespace, its root. A user may look at neither while the child is hidden: then
/// `known` goes by what a user namespace was made in.
pub fn complete(record: &mut Record, plan: &Namespaces, child: i32) {
    let look = |name: &str, flags: i32| {
        let file = file::open(CWD, format!("/proc/{child}/{name}"), flags, 0);
        file.and_then(Identity::of).ok() // see above
    };
    if plan.makes(libc::CLONE_NEWUSER) {
        record.namespace_ids.extend(look("ns/user", libc::O_RDONLY).map(|user| (libc::CLONE_NEWUSER, user)));
    }
    if !plan.has(libc::CLONE_NEWNS) {
        record.root = look("root", libc::O_PATH | libc::O_DIRECTORY);
    }
}

/// exec: the namespaces that the child must find itself in. Where the record does not tell the user namespace, it is the one
/// of init, if that was made in ours: one that init has made itself is below the container's.
pub fn known(record: &Record) -> Result<Vec<(i32, Identity)>> {
    let mut known = record.namespace_ids.clone();
    let is_told = known.iter().any(|(kind, _)| *kind == libc::CLONE_NEWUSER);
    let Some(init) = record.init.filter(|_| record.namespaces & libc::CLONE_NEWUSER != 0 && !is_told) else {
        return Ok(known);
    };
    let look = || -> sys::Result<(Identity, bool)> {
        let user = file::open(CWD, format!("/proc/{}/ns/user", init.pid), libc::O_RDONLY, 0)?;
        let own = file::open(CWD, "/proc/self/ns/user", libc::O_RDONLY, 0)?;
        let is_ours =
            namespace::parent(&user).and_then(Identity::of).is_ok_and(|parent| Ok(parent) == Identity::of(&own));
        Ok((Identity::of(&user)?, is_ours))
    };
    let looked = look();
    ensure_alive(init)?;
    let (user, is_ours) = looked.context("look at the user namespace of init")?;
    ensure!(
        is_ours,
        "the user namespace of init was not made in ours: init has made one itself, or the container belongs to another user \
         namespace: exec from there"
    );
    known.push((libc::CLONE_NEWUSER, user));
    Ok(known)
}

/// exec into a container without a mount namespace: the root that its init has, if that is the container's still and in our
/// own mount namespace. A user namespace allows every process to change its root, and to make a mount namespace.
pub fn root_of(init: ProcessId, known: Option<Identity>) -> Result<OwnedFd> {
    let path = format!("/proc/{}/root", init.pid);
    let root = file::open(CWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0);
    // Afterwards: an unprivileged process that has left our mount namespace does not come back.
    let mounts = |pid: &str| file::open(CWD, format!("/proc/{pid}/ns/mnt"), libc::O_RDONLY, 0).and_then(Identity::of);
    let (theirs, ours) = (mounts(&init.pid.to_string()), mounts("self"));
    ensure_alive(init)?;
    let root = root.with_context(|| format!("open {path}, the container's root"))?;
    let (theirs, ours) = (theirs.context("look at the mount namespace of init")?, ours.context("look at our own")?);
    ensure!(
        theirs == ours && known.is_none_or(|known| Identity::of(&root) == Ok(known)),
        "init has left the container's root, or made a mount namespace: exec does not follow it there: start the container again"
    );
    Ok(root)
}

/// Looked at a process by its number? The number may have gone to another one meanwhile.
fn ensure_alive(init: ProcessId) -> Result<()> {
    ensure!(proc::is_alive(init)?, anyhow!(Kind::NotRunning).context("cannot exec in a stopped container"));
    Ok(())
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
