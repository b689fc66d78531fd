//! The child's life as a flat list, the same for create and exec.
//!
//! The order matters; each line that must stand where it stands says why.

use super::fork::Fork;
use super::payload::{self, Payload};
use super::rootfs::Built;
use super::world::Setgroups;
use super::{credentials, exec, home, labels, process, rootfs, terminal, world};
use crate::error::{Context, Result};
use crate::link::{self, Ends, Entry, Request};
use crate::log;
use crate::plan::process::Home;
use crate::plan::{Plan, World};
use crate::sys;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Becomes the container's process, or reports why not and exits. Runs in the child and never returns.
pub fn enter(plan: &Plan, ends: Ends) -> ! {
    let Ends { link, gate, entry, procfs } = ends;
    let mut built = Built::default();
    match prepare(plan, entry, gate.as_ref(), procfs, &link, &mut built) {
        Ok(program) => {
            let build = || Payload::new(plan, &program, built.devpts, link, gate);
            sys::alloc::forget_all_but(build, payload::go)
        }
        Err(error) => {
            let _ = link.tell_made(&built.made.take()); // that there is an error matters more
            link.fail(&error);
            sys::process::exit_now(1)
        }
    }
}

/// create: what an intermediate process does, so that the real child is born where it belongs. The parent has placed it in its
/// cgroups.
pub fn stage(plan: &Plan, entry: &Entry, kept: &[BorrowedFd]) -> Result<()> {
    let kept: Vec<BorrowedFd> = kept.iter().copied().chain(log::file()).chain(doors(entry)).collect();
    process::close_all_but(&plan.process, &kept)?;
    process::hide(plan)?;
    process::forget_arguments();
    world::stage(entry)
}

/// What leads to the namespaces that are to be entered.
fn doors(entry: &Entry) -> Vec<BorrowedFd<'_>> {
    match entry {
        Entry::Direct { joined } => joined.iter().map(|(_, file)| file.as_fd()).collect(),
        Entry::Target(door) => {
            let namespaces = door.namespaces.iter().map(|(_, file)| file);
            [&door.init].into_iter().chain(&door.root).chain(namespaces).map(AsFd::as_fd).collect()
        }
        Entry::Staged => Vec::new(),
    }
}

/// The descriptors that the child needs of those it has from its parent.
fn needed<'a>(
    link: &'a link::Child,
    entry: &'a Entry,
    gate: Option<&'a OwnedFd>,
    procfs: Option<&'a OwnedFd>,
) -> Vec<BorrowedFd<'a>> {
    let files = gate.into_iter().chain(procfs).map(AsFd::as_fd);
    files.chain(log::file()).chain([link.as_fd()]).chain(doors(entry)).collect()
}

/// Everything that takes the plan, the rights and the descriptors of the runtime. Afterwards this process is the payload but
/// for its filter, its pid namespace and its program.
fn prepare(
    plan: &Plan,
    entry: Entry,
    gate: Option<&OwnedFd>,
    procfs: Option<OwnedFd>,
    link: &link::Child,
    built: &mut Built,
) -> Result<exec::Program> {
    process::close_all_but(&plan.process, &needed(link, &entry, gate, procfs.as_ref()))?; // locks and files of the parent's
    let umask = process::begin(plan, &entry)?; // non-dumpable before any namespace of the container is entered (CVE-2016-9962)
    let fork = Fork::of(plan);
    let groups = match &plan.world {
        World::New(sandbox) => {
            let pid_namespace = world::settle(sandbox, link, entry)?;
            rootfs::build(plan, sandbox, link, &umask, built, pid_namespace.as_ref())?; // ends in the container's root
            if let Some(file) = pid_namespace {
                world::enter(libc::CLONE_NEWPID, &file)?; // after the hooks: they are no processes of the container's
            }
            Setgroups::planned(&sandbox.namespaces)
        }
        World::Join(target) => world::join(target, entry, link)?,
    };
    let root = crate::fs::Root::new(sys::mount::place("/").context("open the container's root")?);
    terminal::open(plan, &root, link)?; // after the root change: the pty must be of the container's own devpts
    if fork == Fork::Never {
        terminal::control(&plan.process)?;
    }
    if let World::New(sandbox) = &plan.world {
        rootfs::spread(&sandbox.rootfs)?; // after the last mount, the console's
    }
    labels::set(&plan.process, procfs)?; // closes this handle of the host's; before a filter could forbid it
    process::attributes(plan, &umask)?; // in the cgroup, whose CPUs and memory nodes bound what may be asked for
    if fork == Fork::Never {
        process::schedule(&plan.process, link)?;
    }
    credentials::prepare(&plan.process)?; // needs CAP_SETPCAP
    if let (World::New(_), Home::FromPasswd) = (&plan.world, plan.process.home) {
        link.ask_go(&Request::Rules)?; // `exec` is in the container's cgroup, where they are in force
    }
    let home = home::of(&plan.process, &root);
    drop(root); // no descriptor of a directory may be left when the working directory is set (CVE-2024-21626)
    process::limits(&plan.process, link, fork)?; // after the last descriptor is opened, before the user changes
    credentials::become_user(&plan.process, groups)?;
    let program = exec::find(&plan.process, home)?;
    link.tell_made(&built.made.take())?;
    log::leave();
    let kept: Vec<BorrowedFd> = [Some(link.as_fd()), gate.map(AsFd::as_fd)].into_iter().flatten().collect();
    process::close_all_but(&plan.process, &kept)?;
    if gate.is_some() {
        sys::signal::end_when_asked().context("handle the signals that end a created container")?; // before a filter
    }
    Ok(program)
}
