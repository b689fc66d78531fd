//! The parent's half of the conversation: answer the child until it is ready.

use super::cgroup::Cgroup;
use super::console::Console;
use super::idmap;
use super::launch::HooksRun;
use super::spawn::{Child, post_mortem};
use crate::error::{Context, Result, bail};
use crate::hooks::{self, Surroundings};
use crate::link::{self, Reply, Request};
use crate::plan::{MountWhat, Plan, Process, Sandbox, World};
use crate::sys::file::{self, CWD};
use crate::sys::process::{Clone, Side};
use crate::sys::{self, mount, namespace, process, socket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Returns when the child has asked `Ready`, which the caller answers. The terminal's master is returned when it is ours
/// to carry.
pub fn until_ready(
    plan: &Plan,
    cgroup: &Cgroup,
    child: &Child,
    link: &link::Parent,
    mut console: Console,
    ran: &mut HooksRun,
) -> Result<Option<OwnedFd>> {
    let mut master = None;
    loop {
        let Some(request) = link.next()? else {
            return Err(post_mortem(child, cgroup));
        };
        let reply = match request {
            Request::Place => {
                cgroup.add(child.pid)?;
                Reply::Go { pid: child.pid }
            }
            Request::MapIds => {
                map_ids(sandbox(plan)?, child.pid)?;
                Reply::Go { pid: child.pid }
            }
            Request::Mount(index) => Reply::Mount(mount_source(sandbox(plan)?, index, child.pid)?),
            Request::RunHooks => {
                *ran = HooksRun::Yes;
                run_hooks(plan, sandbox(plan)?, child.pid)?;
                Reply::Go { pid: child.pid }
            }
            Request::Terminal(file) => {
                master = console.take(file)?;
                Reply::Go { pid: child.pid }
            }
            Request::Limits => {
                set_limits(&plan.process, child.pid)?;
                Reply::Go { pid: child.pid }
            }
            Request::Ready => {
                set_oom_score(&plan.process, child.pid)?;
                return Ok(master);
            }
        };
        link.reply(&reply)?;
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

fn mount_source(sandbox: &Sandbox, index: u16, pid: i32) -> Result<OwnedFd> {
    let named = || format!("config.json: mounts[{index}]");
    match sandbox.mounts.iter().find(|op| op.index == index).map(|op| &op.what) {
        Some(MountWhat::Bind { source, depth, .. }) => clone_in_mount_namespace_of(pid, source, *depth)
            .with_context(|| format!("bind mount source {}", source.display()))
            .with_context(named),
        _ => bail!("the child asked for a mount that is not planned"),
    }
}

/// With our rights, but from the child's mount namespace: there the mount is a slave of the host's, and its read-only,
/// nosuid, nodev and noexec flags are locked. A copy made in ours would be a peer of the host's mount, and unlocked.
fn clone_in_mount_namespace_of(pid: i32, source: &Path, depth: mount::Depth) -> Result<OwnedFd> {
    let namespace =
        file::open(CWD, format!("/proc/{pid}/ns/mnt"), libc::O_RDONLY, 0).context("open its mount namespace")?;
    let (hear, tell) = socket::pair().context("make a socket to the helper")?;
    match process::clone(&Clone::default()).context("clone a helper")? {
        Side::Child => {
            let copy =
                namespace::enter(namespace, libc::CLONE_NEWNS).and_then(|()| mount::clone_tree(CWD, source, depth));
            let _ = match &copy {
                Ok(copy) => socket::send(tell, b"m", Some(copy.as_fd())),
                Err(error) => socket::send(tell, &(error.0 as i32).to_le_bytes(), None),
            }; // a parent that is gone needs no answer
            process::exit_now(0)
        }
        Side::Parent { pid, .. } => {
            drop(tell);
            let mut buffer = [0u8; 8];
            let told = socket::receive(hear, &mut buffer);
            process::wait(pid).context("reap the helper")?;
            match told.context("hear from the helper")? {
                (1, Some(copy)) => Ok(copy),
                (4, None) => {
                    let errno = i32::from_le_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]);
                    Err(sys::Error(sys::Errno::from_raw(errno)).into())
                }
                _ => bail!("the helper died"),
            }
        }
    }
}

/// prestart and createRuntime, in the runtime's namespaces. runtime.md, "Lifecycle", steps 3 and 4.
fn run_hooks(plan: &Plan, sandbox: &Sandbox, pid: i32) -> Result<()> {
    let (bundle, annotations) = (&sandbox.bundle, &sandbox.annotations);
    let state = |status| hooks::State { id: &plan.id, status, pid, bundle, annotations };
    // What a prestart hook reads goes by the time when `start` ran them: the OCI's validation suite holds to it, and so does
    // crun. The kinds that came later read what they read of runc.
    hooks::run("prestart", &plan.hooks.prestart, &state("created"), &Surroundings::Inherit, bundle)?;
    hooks::run("createRuntime", &plan.hooks.create_runtime, &state("creating"), &Surroundings::Inherit, bundle)
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
