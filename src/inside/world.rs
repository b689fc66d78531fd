//! Namespaces from the child's side: enter those to be joined, settle in the new ones.

use super::procfs::own_file;
use super::{joined, parameters};
use crate::error::{Context, Result, bail};
use crate::link::{self, Door, Entry, Request};
use crate::plan::namespaces::{self, MapWriter, Namespaces};
use crate::plan::{Placing, Sandbox, Target, TimeOffset};
use crate::sys::file::{self, CWD};
use crate::sys::{credentials, mount, namespace, process, socket};
use std::os::fd::{AsFd, OwnedFd};

/// create: after this the process has all its namespaces, its ids, its cgroup, and they have their names and settings.
///
/// Returns the pid namespace that is still to be joined: late, since from then on this process's children are in there.
pub fn settle(sandbox: &Sandbox, link: &link::Child, entry: Entry) -> Result<Option<OwnedFd>> {
    let mut pid_namespace = None;
    let namespaces = &sandbox.namespaces;
    let staged = matches!(entry, Entry::Staged);
    if !staged && Placing::of(&sandbox.cgroup.place) == Placing::ByParent {
        link.ask_go(&Request::Place)?;
    }
    if let Entry::Direct { joined } = entry {
        for (kind, file) in joined {
            if kind == libc::CLONE_NEWPID {
                pid_namespace = Some(file);
            } else {
                enter(kind, &file)?;
            }
        }
    }
    if namespaces.maps.is_some() {
        link.ask_go(&Request::MapIds)?;
    }
    if !namespaces.time_offsets.is_empty() {
        set_clocks(&namespaces.time_offsets)?; // as who we were: a hidden process's files in /proc are the host's root's
    }
    if namespaces.has(libc::CLONE_NEWUSER) {
        become_root()?;
    }
    if namespaces.makes(libc::CLONE_NEWCGROUP) {
        // Not by the clone: the namespace's root is the cgroup that its maker is in, and that must be the container's.
        namespace::unshare(libc::CLONE_NEWCGROUP).context("make the cgroup namespace")?;
    }
    if namespaces.makes(libc::CLONE_NEWNET) {
        socket::loopback_up().context("bring up the loopback interface")?;
    }
    if !sandbox.net_devices.is_empty() {
        link.ask_go(&Request::Network)?; // before the kernel parameters: they may be those of a device
    }
    if let Some(name) = sandbox.hostname.as_deref().filter(|name| !name.is_empty()) {
        namespace::set_hostname(name).with_context(|| format!("set hostname {name:?}"))?;
    }
    if let Some(name) = sandbox.domainname.as_deref().filter(|name| !name.is_empty()) {
        namespace::set_domainname(name).with_context(|| format!("set domainname {name:?}"))?;
    }
    parameters::set(sandbox)?;
    Ok(pid_namespace)
}

/// May supplementary groups be set in this user namespace? user_namespaces(7).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Setgroups {
    /// The container's procfs tells, if it has one.
    AskProc,
    Denied,
    Allowed,
}

impl Setgroups {
    /// create: a user who maps only the own ids has denied setgroups for ever (`outside/idmap.rs`). Otherwise a user
    /// namespace further out may have, which the kernel tells.
    pub fn planned(namespaces: &Namespaces) -> Setgroups {
        let own_ids = namespaces.maps.as_ref().is_some_and(|maps| maps.writer == MapWriter::OwnIds);
        if own_ids { Setgroups::Denied } else { Setgroups::AskProc }
    }
}

/// exec: all namespaces of the container in one step. For the pid namespace this is a promise only: the fork comes later, and
/// until then the container's /proc does not know us.
pub fn join(target: &Target, entry: Entry, link: &link::Child) -> Result<Setgroups> {
    let Entry::Target(door) = entry else { bail!("exec enters a container by its door") };
    if target.placing == Placing::ByParent {
        link.ask_go(&Request::Place)?;
    }
    let procfs = file::open(CWD, "/proc", libc::O_PATH | libc::O_DIRECTORY, 0).context("open /proc")?;
    enter_target(target, &door, &procfs)?;
    let read = || file::read_all(file::open(procfs.as_fd(), "self/setgroups", libc::O_RDONLY, 0)?, 16);
    let text = read().unwrap_or_default(); // a kernel without user namespaces has no such file; if it is forbidden all the same, setgroups says so
    Ok(if text.starts_with(b"deny") { Setgroups::Denied } else { Setgroups::Allowed })
}

fn enter_target(target: &Target, door: &Door, procfs: &OwnedFd) -> Result<()> {
    if !door.namespaces.is_empty() {
        enter_joined(&door.namespaces)?;
    } else if target.namespaces != 0 {
        namespace::enter(&door.init, target.namespaces).context("enter the container's namespaces")?;
    }
    if target.namespaces != 0 {
        joined::check(target, procfs).context("enter the container's namespaces")?; // before anything in them is used
    }
    if let Some(root) = &door.root {
        // A mount namespace brings its root along; here it is that of init.
        process::fchdir(root).context("enter the container's root")?;
        mount::chroot_here().context("chroot to the container's root")?;
        process::chdir("/").context("enter the new root")?;
    }
    if target.namespaces & libc::CLONE_NEWUSER != 0 {
        become_root()?;
    }
    Ok(())
}

/// Enters one namespace by its descriptor; a pid namespace for the children only.
pub fn enter(kind: i32, file: &OwnedFd) -> Result<()> {
    namespace::enter(file, kind).with_context(|| format!("enter the {} namespace", namespaces::name(kind)))?;
    if kind == libc::CLONE_NEWUSER { hide_again() } else { Ok(()) }
}

/// A change of ids, and of the user namespace, gives a process other credentials: the kernel then makes it as dumpable as
/// fs.suid_dumpable says (commit_creds; proc(5)).
fn hide_again() -> Result<()> {
    process::set_dumpable(process::Dumpable::No).context("hide from /proc")
}

/// Root of the user namespace, as far as it maps one; otherwise we go on as who we are.
fn become_root() -> Result<()> {
    let ignore_unmapped = |result: crate::sys::Result<()>| match result {
        Err(crate::sys::Error(crate::sys::Errno::EINVAL)) => Ok(()), // id 0 is not mapped
        other => other,
    };
    ignore_unmapped(credentials::set_gid(0)).context("become group 0 of the user namespace")?;
    ignore_unmapped(credentials::set_uid(0)).context("become user 0 of the user namespace")?;
    hide_again()
}

/// A time namespace is set before anybody lives in it: make it for children, write, enter. time_namespaces(7).
fn set_clocks(offsets: &[TimeOffset]) -> Result<()> {
    namespace::unshare(libc::CLONE_NEWTIME).context("make the time namespace")?;
    let text: String = offsets.iter().map(|o| format!("{} {} {}\n", o.clock, o.seconds, o.nanoseconds)).collect();
    let write =
        || -> Result<()> { Ok(file::write_once(own_file("timens_offsets", libc::O_WRONLY)?, text.as_bytes())?) };
    write().with_context(|| format!("set the clocks of the time namespace to {text:?}"))?;
    let links = own_file("ns", libc::O_PATH | libc::O_DIRECTORY).context("open the namespaces of this process")?;
    let own = file::open(links.as_fd(), "time_for_children", libc::O_RDONLY, 0).context("open the time namespace")?;
    namespace::enter(own, libc::CLONE_NEWTIME).context("enter the time namespace")
}

/// create: what an intermediate process enters, so that the real child is born there.
pub fn stage(entry: &Entry) -> Result<()> {
    if let Entry::Direct { joined } = entry { enter_joined(joined) } else { Ok(()) }
}

/// The user namespace's owner may have no right over the others, and the others' none over it: what is refused at first is
/// tried again from inside.
fn enter_joined(joined: &[(i32, OwnedFd)]) -> Result<()> {
    let mut later = Vec::new();
    for (kind, file) in joined.iter().filter(|(kind, _)| *kind != libc::CLONE_NEWUSER) {
        if namespace::enter(file, *kind).is_err() {
            later.push((*kind, file));
        }
    }
    if let Some((kind, file)) = joined.iter().find(|(kind, _)| *kind == libc::CLONE_NEWUSER) {
        namespace::enter(file, *kind).context("enter the user namespace")?;
        hide_again()?;
    }
    for (kind, file) in later {
        namespace::enter(file, kind).with_context(|| format!("enter the {} namespace", namespaces::name(kind)))?;
    }
    Ok(())
}
