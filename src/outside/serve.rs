//! The parent's half of the conversation: answer the child until it is ready.

use super::cgroup::Cgroup;
use super::console::Console;
use super::launch::{Done, HooksRun};
use super::listener;
use super::network;
use super::scheduling;
use super::spawn::{self, Child, Word, post_mortem, wait_for_word};
use super::{idmap, mounts};
use crate::error::{Context, Result, bail, ensure};
use crate::hooks::{self, Surroundings};
use crate::interrupt::Interrupt;
use crate::link::{self, Reply, Request};
use crate::plan::host::Caller;
use crate::plan::{Plan, Process, Sandbox, World};
use crate::sys::file::{self, CWD};
use crate::sys::{Errno, Error};
use crate::sys::{process, tty};
use crate::undo::Draft;
use std::os::fd::{AsFd, OwnedFd};

/// Returns when the child has asked `Ready`, which the caller answers. The terminal's master is returned when it is ours
/// to carry.
pub fn until_ready(
    plan: &Plan,
    cgroup: &mut Cgroup,
    child: &mut Draft<Child>,
    link: &link::Parent,
    mut console: Console,
    interrupt: &Interrupt,
    done: &mut Done,
) -> Result<Option<OwnedFd>> {
    let (mut master, mut locked) = (None, None);
    loop {
        if wait_for_word(plan, child, link.as_fd(), interrupt)? == Word::NoMore {
            return Err(post_mortem(child, cgroup));
        }
        let Some(request) = link.next()? else {
            return Err(post_mortem(child, cgroup));
        };
        let mut retired = None;
        let reply = match request {
            Request::Place => {
                cgroup.add(child.pid, interrupt)?;
                Reply::Go { pid: child.pid }
            }
            Request::MapIds => {
                map_ids(sandbox(plan)?, child.pid)?;
                Reply::Go { pid: child.pid }
            }
            Request::Mount(index) => Reply::Mount(mounts::source(sandbox(plan)?, index, child.pid)?),
            Request::Network => {
                done.moved = Some(network::move_in(&sandbox(plan)?.net_devices, child.pid)?);
                Reply::Go { pid: child.pid }
            }
            Request::RunHooks => {
                done.hooks = HooksRun::Yes;
                run_hooks(plan, sandbox(plan)?, child.pid)?;
                Reply::Go { pid: child.pid }
            }
            Request::Terminal(file) => {
                locked = Some(file::duplicate(&file).context("keep the terminal")?);
                master = console.take(file)?;
                Reply::Go { pid: child.pid }
            }
            Request::Listener(file) => {
                listener::send(plan, &file, child.pid)?;
                Reply::Go { pid: child.pid }
            }
            Request::Limits => {
                set_limits(&plan.process, child.pid)?;
                Reply::Go { pid: child.pid }
            }
            Request::Scheduling => {
                scheduling::set(&plan.process, child)?;
                Reply::Go { pid: child.pid }
            }
            Request::Born(pidfd) => {
                ensure!(matches!(plan.world, World::Join(_)), "a child of create has an heir");
                retired = Some(std::mem::replace(child, spawn::heir(pidfd)?));
                Reply::Go { pid: child.pid }
            }
            Request::Made(names) => {
                done.made.extend(names);
                Reply::Go { pid: child.pid }
            }
            Request::Ready { devpts } => {
                done.devpts = devpts;
                if let Some(terminal) = &locked {
                    tty::unlock(terminal).context("unlock the terminal")?; // it is the child's controlling one now
                }
                if let World::New(sandbox) = &plan.world {
                    cgroup.move_below(child.pid, sandbox.cgroup.delegated_to)?;
                }
                if plan.caller == Caller::Root {
                    set_oom_score(&plan.process, child.pid)?;
                }
                return Ok(master);
            }
        };
        match link.reply(&reply) {
            Err(Error(Errno::EPIPE)) => {} // it is gone, and what it left to say comes next
            other => other.context("answer the child")?,
        }
        drop(retired); // it is ending: reaped while its heir goes on
    }
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
