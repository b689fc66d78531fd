//! The parent's half of the conversation: answer the child until it is ready.

use super::cgroup::Cgroup;
use super::console::Console;
use super::launch::{Done, HooksRun};
use super::listener;
use super::network;
use super::patience::{Patience, Word, wait_for_word};
use super::scheduling;
use super::spawn::{self, Child, post_mortem};
use super::{devices, idmap, mounts};
use crate::error::{Context, Result, bail, ensure};
use crate::hooks::{self, Surroundings};
use crate::interrupt::Interrupt;
use crate::link::{self, Descriptors, Exposed, ExposedRequest, Forking, Released, Reply, Request};
use crate::plan::host::Caller;
use crate::plan::{Plan, Process, Sandbox, World};
use crate::sys::file::{self, CWD};
use crate::sys::{Errno, Error};
use crate::sys::{process, seccomp, tty};
use crate::undo::Draft;
use std::os::fd::{AsFd, OwnedFd};

/// What the child is served with, besides the plan.
pub struct Service<'a> {
    pub plan: &'a Plan,
    pub cgroup: &'a mut Cgroup,
    pub console: Console,
    pub interrupt: &'a Interrupt,
    pub done: &'a mut Done,
}

/// Returns when the child has asked `Ready`, which the caller answers. The terminal's master is returned when it is ours
/// to carry.
pub fn until_ready(
    mut service: Service,
    child: &mut Draft<Child>,
    link: link::Parent,
) -> Result<(link::Parent<Released>, Option<OwnedFd>)> {
    let (mut master, mut locked) = (None, None);
    let mut nodes = None;
    loop {
        let Service { plan, cgroup, console, interrupt, done } = &mut service;
        if wait_for_word(plan, child, link.as_fd(), interrupt)? == Word::NoMore {
            return Err(post_mortem(child, cgroup));
        }
        let Some(request) = link.next()? else {
            return Err(post_mortem(child, cgroup));
        };
        let go = Reply::Go { pid: child.pid };
        let reply = match request {
            Request::Rules => go, // `launch` has put them into force
            Request::Place => cgroup.add(child.pid, interrupt).map(|()| go)?,
            Request::MapIds => map_ids(sandbox(plan)?, child.pid).map(|()| go)?,
            Request::Root => Reply::Mount(mounts::root(sandbox(plan)?, child.pid)?),
            Request::Mount(index) => Reply::Mount(mounts::source(sandbox(plan)?, index, child.pid)?),
            Request::Device(index) => {
                let made = match &mut nodes {
                    Some(made) => made,
                    none => none.insert(devices::make(sandbox(plan)?, child.pid)?),
                };
                made.take(index)?.map_or(go, Reply::Mount)
            }
            Request::Network => {
                done.moved = Some(network::move_in(&sandbox(plan)?.net_devices, child.pid)?);
                go
            }
            Request::RunHooks => {
                done.hooks = HooksRun::Yes;
                run_hooks(plan, sandbox(plan)?, child.pid).map(|()| go)?
            }
            Request::Terminal(file) => {
                locked = Some(file::duplicate(&file).context("keep the terminal")?);
                master = console.take(file)?;
                go
            }
            Request::Listener(file) => listener::send(plan, &file, child.pid).map(|()| go)?,
            Request::Limits => set_limits(&plan.process, child.pid).map(|()| go)?,
            Request::Scheduling => scheduling::set(&plan.process, child).map(|()| go)?,
            Request::Made(names) => {
                done.made.extend(names);
                go
            }
            Request::Fork { devpts } => {
                ensure!(plan.forks_late(), "the child forks where that is not planned");
                done.devpts = devpts;
                let link = replace_child(&service, child, link.await_fork())?;
                return until_exposed_is_ready(service, child, link, locked.as_ref()).map(|link| (link, master));
            }
            Request::Ready { devpts } => {
                done.devpts = devpts;
                settle(plan, cgroup, child, locked.as_ref())?;
                return Ok((link.release(), master));
            }
        };
        answer(&link, &reply)?;
    }
}

/// The successor takes the child's place once it is proven to be a process of ours. The child is reaped while the successor
/// goes on.
fn replace_child(
    service: &Service,
    child: &mut Draft<Child>,
    link: link::Parent<Forking>,
) -> Result<link::Parent<Exposed>> {
    let Service { plan, cgroup, interrupt, .. } = service;
    if Patience::new(interrupt).wait_for_word(child, link.as_fd())? == Word::NoMore {
        return Err(post_mortem(child, cgroup));
    }
    let Some(pid) = link.successor()? else { return Err(post_mortem(child, cgroup)) };
    let retired = std::mem::replace(child, spawn::successor(pid)?);
    let listener = plan.process.seccomp.as_ref().and_then(|program| program.listener.as_ref());
    let link = link.expose(if listener.is_some() { Descriptors::One } else { Descriptors::None });
    answer(&link, &Reply::Go { pid: child.pid })?;
    drop(retired);
    Ok(link)
}

/// The rest of the conversation, when any process of the container may be speaking in the child's place. What is asked is
/// done to the child alone, which is a process of the container by now.
fn until_exposed_is_ready(
    service: Service,
    child: &Child,
    mut link: link::Parent<Exposed>,
    locked: Option<&OwnedFd>,
) -> Result<link::Parent<Released>> {
    let Service { plan, cgroup, interrupt, .. } = service;
    let patience = Patience::new(interrupt);
    loop {
        if patience.wait_for_word(child, link.as_fd())? == Word::NoMore {
            return Err(post_mortem(child, cgroup));
        }
        match link.next()? {
            None => return Err(post_mortem(child, cgroup)),
            Some(ExposedRequest::Limits) => set_limits(&plan.process, child.pid)?,
            Some(ExposedRequest::Scheduling) => scheduling::set(&plan.process, child)?,
            Some(ExposedRequest::Listener(file)) => {
                ensure!(seccomp::is_listener(&file), "a process of the container sent what is no seccomp listener");
                listener::send(plan, &file, child.pid)?;
            }
            Some(ExposedRequest::Ready) => {
                settle(plan, cgroup, child, locked)?;
                return Ok(link.release());
            }
        }
        answer(&link, &Reply::Go { pid: child.pid })?;
    }
}

fn answer<Phase>(link: &link::Parent<Phase>, reply: &Reply) -> Result<()> {
    match link.reply(reply) {
        Err(Error(Errno::EPIPE)) => Ok(()), // it is gone, and what it left to say comes next
        other => other.context("answer the child"),
    }
}

/// What the parent does last, when the child is ready.
fn settle(plan: &Plan, cgroup: &mut Cgroup, child: &Child, locked: Option<&OwnedFd>) -> Result<()> {
    if let Some(terminal) = locked {
        tty::unlock(terminal).context("unlock the terminal")?; // it is the child's controlling one now
    }
    if let World::New(sandbox) = &plan.world {
        cgroup.move_below(child.pid, sandbox.cgroup.delegated_to)?;
    }
    if plan.caller == Caller::Root {
        set_oom_score(&plan.process, child.pid)?;
    }
    Ok(())
}

fn sandbox(plan: &Plan) -> Result<&Sandbox> {
    match &plan.world {
        World::New(sandbox) => Ok(sandbox),
        World::Join(_) => bail!("the child asked for what only a new container needs"),
    }
}

fn map_ids(sandbox: &Sandbox, pid: i32) -> Result<()> {
    match &sandbox.namespaces.maps {
        Some(maps) => idmap::write(maps, pid),
        None => bail!("the child asked for id maps that are not planned"),
    }
}

/// prestart and createRuntime, in the runtime's namespaces. runtime.md, "Lifecycle", steps 3 and 4.
fn run_hooks(plan: &Plan, sandbox: &Sandbox, pid: i32) -> Result<()> {
    let (bundle, annotations) = (&sandbox.bundle, &sandbox.annotations);
    let state = |status| hooks::State { id: &plan.id, status, pid, bundle, annotations };
    // What a prestart hook reads goes by the time when `start` ran them: the OCI's validation suite holds to it, and so does
    // crun. The kinds that came later read what they read of runc.
    hooks::run("prestart", &plan.hooks.prestart, &state("created"), &Surroundings::Inherit, Some(bundle))?;
    hooks::run("createRuntime", &plan.hooks.create_runtime, &state("creating"), &Surroundings::Inherit, Some(bundle))
}

/// Raising a hard limit takes a capability of the initial user namespace, which the child may not have any more.
fn set_limits(plan: &Process, pid: i32) -> Result<()> {
    for (index, limit) in plan.rlimits.iter().enumerate() {
        process::set_rlimit_of(pid, limit.resource, limit.soft, limit.hard).with_context(|| {
            format!(
                "config.json: process.rlimits[{index}]: set {} to {} (hard {}): raising a hard limit needs CAP_SYS_RESOURCE",
                limit.name, limit.soft, limit.hard
            )
        })?;
    }
    Ok(())
}

/// By the parent, whatever user namespace the child is in.
fn set_oom_score(plan: &Process, pid: i32) -> Result<()> {
    let Some(value) = plan.oom_score_adj else { return Ok(()) };
    let path = format!("/proc/{pid}/oom_score_adj");
    let write = || file::write_once(file::open(CWD, &path, libc::O_WRONLY, 0)?, value.to_string().as_bytes());
    write().with_context(|| {
        format!("config.json: process.oomScoreAdj: set it to {value}: lowering it needs CAP_SYS_RESOURCE")
    })
}
