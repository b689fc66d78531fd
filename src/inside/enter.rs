//! The child's life as a flat list, the same for create and exec.
//!
//! The order matters; each line that must stand where it stands says why.

use super::birth::{self, Birth};
use super::rootfs::Built;
use super::world::Setgroups;
use super::{credentials, exec, labels, process, rootfs, terminal, world};
use crate::error::{Context, Result};
use crate::link::{self, Ends, Entry, Request, gate};
use crate::log;
use crate::plan::{Plan, World};
use crate::sys;
use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Who hears about a failure: the parent, until a created container has passed its gate; then the `start` that opened it.
pub enum Ear {
    Parent(link::Child),
    /// Between the two nobody does.
    Deaf,
    Start(OwnedFd),
}

impl Ear {
    fn tell(&self, error: &anyhow::Error) {
        match self {
            Ear::Parent(link) => link.fail(error),
            Ear::Deaf => {}
            Ear::Start(connection) => gate::fail(connection, error),
        }
    }

    /// Tells `start` that nothing is left but the execve: an end before this was a death.
    fn going(&self) -> Result<()> {
        match self {
            Ear::Start(connection) => gate::going(connection),
            Ear::Parent(_) | Ear::Deaf => Ok(()),
        }
    }
}

/// Becomes the container's process, or says why not and ends. Runs in the child and never returns.
pub fn enter(plan: &Plan, ends: Ends) -> ! {
    let mut ear = Ear::Parent(ends.link);
    let mut built = Built::default();
    let error = match live(plan, ends.entry, ends.gate, ends.procfs, &mut ear, &mut built) {
        Err(error) => error,
        Ok(never) => match never {},
    };
    if let Ear::Parent(link) = &ear {
        let _ = link.tell_made(&built.made.take()); // that there is an error matters more
    }
    ear.tell(&error);
    sys::process::exit_now(1)
}

/// create: what an intermediate process does, so that the real child is born where it belongs. The parent has placed it in its
/// cgroups.
pub fn stage(plan: &Plan, entry: &Entry, kept: &[BorrowedFd]) -> Result<()> {
    let kept: Vec<BorrowedFd> = kept.iter().copied().chain(log::file()).chain(doors(entry)).collect();
    process::close_all_but(&plan.process, &kept)?;
    process::hide(plan)?;
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

/// What the child was born with and needs.
fn belongings<'a>(
    ear: &'a Ear,
    entry: &'a Entry,
    gate: Option<&'a OwnedFd>,
    procfs: Option<&'a OwnedFd>,
) -> Vec<BorrowedFd<'a>> {
    let mut kept: Vec<BorrowedFd> = gate.into_iter().chain(procfs).map(AsFd::as_fd).chain(log::file()).collect();
    match ear {
        Ear::Parent(link) => kept.push(link.as_fd()),
        Ear::Start(connection) => kept.push(connection.as_fd()),
        Ear::Deaf => {}
    }
    kept.extend(doors(entry));
    kept
}

fn live(
    plan: &Plan,
    entry: Entry,
    gate: Option<OwnedFd>,
    procfs: Option<OwnedFd>,
    ear: &mut Ear,
    built: &mut Built,
) -> Result<Infallible> {
    process::close_all_but(&plan.process, &belongings(ear, &entry, gate.as_ref(), procfs.as_ref()))?; // locks and files of the parent's
    let umask = process::begin(plan, &entry)?; // non-dumpable before any namespace of the container is entered (CVE-2016-9962)
    let Ear::Parent(link) = &*ear else { unreachable!("only the gate changes who hears") };
    let birth = Birth::of(plan);
    let groups = match &plan.world {
        World::New(sandbox) => {
            world::settle(sandbox, link, entry)?;
            rootfs::build(plan, sandbox, link, &umask, built)?; // ends in the container's root
            Setgroups::AskProc
        }
        World::Join(target) => world::join(target, entry, link)?,
    };
    let root = crate::fs::Root::new(sys::mount::place("/").context("open the container's root")?);
    terminal::open(plan, &root, link)?; // after the root change: the pty must be of the container's own devpts
    if birth == Birth::Past {
        terminal::control(&plan.process)?;
    }
    if let World::New(sandbox) = &plan.world {
        rootfs::spread(&sandbox.rootfs)?; // after the last mount, the console's
    }
    labels::set(&plan.process, procfs)?; // closes this handle of the host's; before a filter could forbid it
    process::attributes(plan, &umask)?; // in the cgroup, whose CPUs and memory nodes bound what may be asked for
    if birth == Birth::Past {
        process::schedule(&plan.process, link)?;
    }
    credentials::prepare(&plan.process)?; // needs CAP_SETPCAP
    let home = credentials::home(&plan.process, &root)?;
    drop(root); // no descriptor of a directory may be left when the working directory is set (CVE-2024-21626)
    process::limits(&plan.process, link, birth)?; // after the last descriptor is opened, before the user changes
    credentials::become_user(&plan.process, groups)?;
    let program = exec::find(&plan.process, home)?;
    log::leave();
    let kept: Vec<BorrowedFd> = [Some(link.as_fd()), gate.as_ref().map(AsFd::as_fd)].into_iter().flatten().collect();
    process::close_all_but(&plan.process, &kept)?;
    if gate.is_some() {
        sys::signal::end_when_asked().context("handle the signals that end a created container")?; // before a filter
    }
    if birth == Birth::BeforeFilter {
        birth::give(&plan.process, link)?;
    }
    if exec::needs_early_filter(&plan.process) {
        // At the latest here: before CAP_SYS_ADMIN goes, and after every call that a profile of an older day has not heard of.
        credentials::as_administrator(&plan.process, || exec::install_filter(&plan.process, Some(link)))?;
    }
    if birth == Birth::Last {
        birth::give(&plan.process, link)?; // as the payload, but for its program: whoever traces it has what the payload has
    }
    link.tell_made(&built.made.take())?;
    let pid = link.ask_go(&Request::Ready { devpts: built.devpts })?;
    if let Some(gate) = gate {
        *ear = Ear::Deaf; // the link closes here: `create` is done
        *ear = Ear::Start(gate::wait(&gate)?);
    }
    exec::expect(&program)?;
    exec::start_container_hooks(plan, &program, pid)?;
    ear.going()?;
    if !exec::needs_early_filter(&plan.process) {
        exec::install_filter(&plan.process, None)?; // as late as can be: the profile need not allow what we did above
    }
    Err(exec::run(&program))
}
