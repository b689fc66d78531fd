//! Attributes of the process itself: what it is born with and must lose, what the plan gives it.

use super::fork::Fork;
use crate::error::{Context, Result, anyhow};
use crate::link::{self, Entry, Request};
use crate::log;
use crate::plan::host::Caller;
use crate::plan::memory_policy::MemoryPolicy;
use crate::plan::process::{Keyring, Rlimit};
use crate::plan::{Plan, Process, World};
use crate::sys::process::{Dumpable, Range};
use crate::sys::{self, Errno, file, keyring, process, sched, signal};
use std::os::fd::BorrowedFd;

/// The runtime's own umask, to be given back.
pub struct Umask(u32);

impl Umask {
    /// Runs what must see the runtime's own umask: hooks.
    pub fn during<T>(&self, run: impl FnOnce() -> T) -> T {
        process::set_umask(self.0);
        let done = run();
        process::set_umask(0);
        done
    }
}

/// First thing in the child. Afterwards nobody in the container can look into this process, no signal is blocked or
/// ignored, it leads a session of its own, and files are made with exactly the modes that are asked for.
pub fn begin(plan: &Plan, entry: &Entry) -> Result<Umask> {
    if !matches!(entry, Entry::Staged) {
        hide(plan)?;
        forget_arguments();
    }
    signal::restore().context("restore the signals")?;
    process::new_session().context("make a session")?;
    Ok(Umask(process::set_umask(0)))
}

/// /proc/PID/cmdline shows every process that sees this one how the runtime was called: options, paths of the host.
pub use crate::sys::start::forget_arguments;

/// The files of a hidden process in /proc are root's. So what a user writes there comes first; only the maps of a new user
/// namespace come later: nobody else is in it yet, and the process hides when it becomes root there.
pub fn hide(plan: &Plan) -> Result<()> {
    if let (Caller::User, Some(value)) = (plan.caller, plan.process.oom_score_adj) {
        write_oom_score(value)?; // otherwise the parent does
    }
    match &plan.world {
        World::New(sandbox) if plan.caller == Caller::User && sandbox.namespaces.maps.is_some() => Ok(()),
        _ => process::set_dumpable(Dumpable::No).context("hide from /proc"),
    }
}

fn write_oom_score(value: i32) -> Result<()> {
    let write = || {
        let file = file::open(file::CWD, "/proc/self/oom_score_adj", libc::O_WRONLY, 0)?;
        file::write_once(file, value.to_string().as_bytes())
    };
    write().with_context(|| {
        format!("config.json: process.oomScoreAdj: set it to {value}: lowering it needs CAP_SYS_RESOURCE")
    })
}

/// What is to be done before the privileges go, and before a filter of the container's can forbid it.
pub fn attributes(plan: &Plan, before: &Umask) -> Result<()> {
    let asked = &plan.process;
    if let Some(keyring) = &asked.keyring {
        join_keyring(keyring)?;
    }
    settle_on_cpus(plan)?;
    if let Some(policy) = &asked.memory_policy {
        set_memory_policy(policy)?;
    }
    if let Some(personality) = asked.personality {
        process::set_personality(personality).context("config.json: linux.personality")?;
    }
    process::set_umask(asked.user.umask.unwrap_or(before.0));
    Ok(())
}

/// The caller may be pinned to some CPUs; that is its own affair, unless exec was told where to run. The cpuset still holds.
fn settle_on_cpus(plan: &Plan) -> Result<()> {
    let asked = match &plan.world {
        World::New(_) => None, // config.md: not applicable to init
        World::Join(_) => plan.process.exec_affinity.as_ref(),
    };
    match asked.map(|affinity| (&affinity.initial, &affinity.then)) {
        Some((_, Some(cpus))) => sched::set_affinity(cpus.words()).context(
            "config.json: process.execCPUAffinity.final: is none of these CPUs online and in the container's cpuset?",
        ),
        Some((Some(_), None)) => Ok(()), // config.md: then the kernel decides
        Some((None, None)) | None => sched::reset_affinity().context("reset the CPU affinity"),
    }
}

/// After the CPUs: SCHED_DEADLINE is for processes that may run on all of them. What the kernel refuses us (a user
/// namespace gives no right to it) the parent does, or explains.
pub fn schedule(plan: &Process, link: &link::Child) -> Result<()> {
    let policy = plan.scheduler.map(|attributes| sched::set_attributes(0, &attributes));
    let io = plan.io_priority.map(|priority| sched::set_io_priority(0, priority));
    match (policy, io) {
        (Some(Err(_)), _) | (_, Some(Err(_))) => link.ask_go(&Request::Scheduling).map(drop),
        _ => Ok(()),
    }
}

/// What a fork does not hand on as it is (a policy may end with it) the parent sets, since we have no rights any more. The limit of
/// processes is only lowered now.
pub fn settle_after_fork(plan: &Process, link: &link::Child) -> Result<()> {
    if plan.scheduler.is_some() || plan.io_priority.is_some() {
        link.ask_go(&Request::Scheduling)?;
    }
    for limit in plan.rlimits.iter().filter(|limit| limit.is_of_processes()) {
        if set_limit(limit).is_err() {
            link.ask_go(&Request::Limits)?; // the filter that is in force may forbid it to us
        }
    }
    Ok(())
}

fn set_memory_policy(policy: &MemoryPolicy) -> Result<()> {
    sched::set_memory_policy(policy.mode, policy.nodes.words()).map_err(|error| {
        let hint = match error.0 {
            Errno::ENOSYS => "this kernel is built without NUMA (CONFIG_NUMA); remove it",
            Errno::EPERM => "a filter on this runtime forbids set_mempolicy",
            _ => "has this machine (and the cpuset) all the nodes, and this kernel the mode and the flags?",
        };
        anyhow!(error).context(format!("config.json: linux.memoryPolicy: {}: {hint}", policy.name))
    })
}

/// The limits that we may set ourselves; when one is above what we have, the parent is asked to set them. A limit of processes
/// would count against our own fork: until then it is only raised, while we may.
pub fn limits(plan: &Process, link: &link::Child, fork: Fork) -> Result<()> {
    let room = |limit: &Rlimit| Rlimit { soft: limit.hard, ..limit.clone() };
    for limit in &plan.rlimits {
        let done = match fork {
            Fork::BeforeFilter | Fork::Last if limit.is_of_processes() => {
                let has_room = process::rlimit(limit.resource)?.1 >= limit.hard;
                if has_room { Ok(()) } else { set_limit(&room(limit)) }
            }
            _ => set_limit(limit),
        };
        match done {
            Err(sys::Error(Errno::EPERM)) => return link.ask_go(&Request::Limits).map(drop),
            other => other.with_context(|| format!("config.json: process.rlimits: set {}", limit.name))?,
        }
    }
    Ok(())
}

fn set_limit(limit: &Rlimit) -> sys::Result<()> {
    process::set_rlimit_of(0, limit.resource, limit.soft, limit.hard)
}

/// The caller's keys stay behind. A kernel or a filter without key management has none to give.
fn join_keyring(asked: &Keyring) -> Result<()> {
    let name = &asked.name;
    match keyring::join_session(name, asked.search) {
        Err(sys::Error(Errno::ENOSYS | Errno::EPERM)) => {
            log::debug("no session keyring: this kernel, or a filter on us, does not provide keyctl");
            Ok(())
        }
        Err(error @ sys::Error(Errno::EDQUOT)) => Err(error).with_context(|| {
            format!("join session keyring {name}: raise kernel.keys.maxkeys, or use --no-new-keyring")
        }),
        other => other.with_context(|| format!("join session keyring {name}")),
    }
}

/// Closes every descriptor but the payload's own and those named: really, not only on exec, since a descriptor can be used
/// as a path until then (CVE-2024-21626).
pub fn close_all_but(plan: &Process, kept: &[BorrowedFd]) -> Result<()> {
    let mut numbers: Vec<u32> = kept.iter().map(|file| process::number(file).cast_unsigned()).collect();
    numbers.sort_unstable();
    let mut first = 3 + plan.preserve_fds;
    for number in numbers.into_iter().filter(|number| *number >= 3 + plan.preserve_fds) {
        process::close_range(first, number - 1, Range::Close).context("close descriptors")?;
        first = number + 1;
    }
    process::close_range(first, u32::MAX, Range::Close).context("close descriptors")
}
