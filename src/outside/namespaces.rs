//! Opening the namespaces that are to be joined, before anything is made: their paths may mean something else later.

use super::mappings;
use super::record::Record;
use crate::error::{Context, Kind, Result, anyhow, bail, ensure};
use crate::link::Door;
use crate::log;
use crate::plan::namespaces::{name, proc_name};
use crate::plan::{Namespaces, Sandbox};
use crate::proc::{self, ProcessId};
use crate::sys::file::{self, CWD};
use crate::sys::namespace::{self, Identity};
use crate::sys::{self, Errno, process};
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
        let thread = proc::living_thread(init.pid).ok().flatten().unwrap_or(init.pid); // the first may have ended
        let user = file::open(CWD, format!("/proc/{}/task/{thread}/ns/user", init.pid), libc::O_RDONLY, 0)?;
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

/// Looked at a process by its number? The number may have gone to another one meanwhile.
fn ensure_alive(init: ProcessId) -> Result<()> {
    ensure!(proc::is_alive(init)?, anyhow!(Kind::NotRunning).context("cannot exec in a stopped container"));
    Ok(())
}

/// exec: what leads into the namespaces (`CLONE_NEW*` bits) of a container, and to its root, where it has no mount namespace
/// to find that by. `pidfd` is init's.
///
/// A first thread that has ended has neither any more, so another one of init stands in for it. setns(2) answers ESRCH for a
/// pidfd of such a process.
///
/// Without a mount namespace the root must be `known`, the container's, and init in our own mount namespace: a user namespace
/// allows every process to change its root, and to make a mount namespace.
pub fn way_into(init: ProcessId, pidfd: OwnedFd, kinds: i32, known: Option<Identity>) -> Result<Door> {
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
    let root = if kinds & libc::CLONE_NEWNS == 0 { Some(root_of(&dir, known)?) } else { None };
    // Looked at again afterwards: the numbers may have gone to others. A pidfd of a thread that has ended leads nowhere.
    let is_thread = file::open(CWD, &dir, libc::O_PATH | libc::O_DIRECTORY, 0).is_ok();
    if !is_thread || !proc::is_alive(init)? {
        bail!(anyhow!(Kind::NotRunning).context("cannot exec in a container whose init has just ended"));
    }
    Ok(Door { init: pidfd, namespaces, root })
}

/// The root of a thread of init, from its directory in /proc.
fn root_of(dir: &str, known: Option<Identity>) -> Result<OwnedFd> {
    let path = format!("{dir}/root");
    let root = file::open(CWD, &path, libc::O_PATH | libc::O_DIRECTORY, 0);
    let root = root.with_context(|| format!("open {path}, the container's root"))?;
    // Afterwards: an unprivileged process that has left our mount namespace does not come back.
    let mounts = |dir: &str| file::open(CWD, format!("{dir}/ns/mnt"), libc::O_RDONLY, 0).and_then(Identity::of);
    let (theirs, ours) = (mounts(dir), mounts("/proc/self"));
    let (theirs, ours) = (theirs.context("look at the mount namespace of init")?, ours.context("look at our own")?);
    ensure!(
        theirs == ours && known.is_none_or(|known| Identity::of(&root) == Ok(known)),
        "init has left the container's root, or made a mount namespace: exec does not follow it there: start the container again"
    );
    Ok(root)
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

/// create: what a person should know of a container with a user namespace of its own that joins a pid namespace. Its child is
/// cloned there with the host's root as its root, out of reach only for processes that have no capability in our user
/// namespace.
pub fn warn_of_exposure(plan: &Namespaces, joined: &[(i32, OwnedFd)]) -> Result<()> {
    let pid = joined.iter().find(|(kind, _)| *kind == libc::CLONE_NEWPID && plan.has(libc::CLONE_NEWUSER));
    let Some((_, file)) = pid else { return Ok(()) };
    let own = file::open(CWD, "/proc/self/ns/user", libc::O_RDONLY, 0).and_then(Identity::of);
    let own = own.context("look at our own user namespace")?;
    if namespace::owner(file).and_then(Identity::of).is_ok_and(|owner| owner == own) {
        log::warning(
            "config.json: linux.namespaces: pid: belongs to the host's user namespace, and the container has another one: a \
             process in there with CAP_SYS_PTRACE can take over the host while the container is made; join a pid namespace \
             of the container's own user namespace, or leave out the user namespace",
        );
    }
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
