//! Namespaces from the child's side: enter those to be joined, settle in the new ones.

use super::joined;
use crate::error::{Context, Result, bail, ensure};
use crate::link::{self, Door, Entry, Request};
use crate::plan::namespaces::{self, MapWriter, Namespaces};
use crate::plan::{Placing, Sandbox, Target, TimeOffset};
use crate::sys::file::{self, CWD, Resolve};
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
    set_kernel_parameters(sandbox)?;
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

/// Opens a file of this process in /proc. Where that belongs to an image, or to the mount namespace of another container,
/// anything may lie there: only the root of a procfs is taken, and from there no link and no other mount is followed.
pub fn own_file(name: &str, flags: i32) -> Result<OwnedFd> {
    const ROOT_OF_PROCFS: u64 = 1; // PROCFS_ROOT_INO
    let procfs =
        file::open(CWD, "/proc", libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0).context("open /proc")?;
    let genuine = file::filesystem(&procfs)? == file::PROC_SUPER_MAGIC && file::stat(&procfs)?.st_ino == ROOT_OF_PROCFS;
    ensure!(genuine, "/proc is not procfs");
    let own = file::readlink(procfs.as_fd(), "self")?;
    let file = file::open_in(procfs.as_fd(), own.join(name), flags, 0, Resolve::Strict);
    file.with_context(|| format!("open /proc/self/{name}"))
}

/// Through a procfs of our own, which no image can have put anything into (CVE-2025-52881).
fn set_kernel_parameters(sandbox: &Sandbox) -> Result<()> {
    if sandbox.sysctl.is_empty() {
        return Ok(());
    }
    let procfs = private_procfs(Subset::Everything)?;
    for (path, value) in &sandbox.sysctl {
        let path = std::path::Path::new("sys").join(path);
        let write = || {
            let file = file::open_in(procfs.as_fd(), &path, libc::O_WRONLY, 0, Resolve::Strict)?;
            file::write_once(file, value.as_bytes())
        };
        write().with_context(|| format!("config.json: linux.sysctl: write {value:?} to /proc/{}", path.display()))?;
    }
    Ok(())
}

/// What a procfs shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Subset {
    Everything,
    /// The processes of our pid namespace, and nothing of the kernel's (Linux 5.8).
    Processes,
}

/// A procfs of our pid namespace that is mounted nowhere. In a user namespace the kernel makes none once /proc is masked.
pub fn private_procfs(subset: Subset) -> Result<OwnedFd> {
    let procfs = mount::begin("proc").context("open a private procfs")?;
    if subset == Subset::Processes {
        match procfs.set("subset", Some("pid")) {
            Err(crate::sys::Error(crate::sys::Errno::EINVAL)) => {} // before Linux 5.8 it shows everything
            done => done.context("restrict the private procfs")?,
        }
    }
    let attributes = mount::ATTR_NOSUID | mount::ATTR_NODEV | mount::ATTR_NOEXEC;
    let procfs = procfs.mount(attributes).map_err(|(error, _)| error).context("mount a private procfs")?;
    ensure!(file::filesystem(&procfs)? == file::PROC_SUPER_MAGIC, "the private procfs is none");
    Ok(procfs)
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
