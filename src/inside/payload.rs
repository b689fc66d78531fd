//! The last part of the child's life: it is the payload but for its program, and owns all that it still needs.
//!
//! From here on processes of a container may look into its memory: `exec` into a container that waits for `start`, or the
//! neighbours in a pid namespace that is shared. So `Payload` is built in fresh memory, and nothing else is left of the
//! runtime's (`sys::alloc::forget_all_but`): no plan, no record, no argument, no environment of the caller.

use super::credentials;
use super::exec::{self, Program};
use super::fork::{self, Fork};
use crate::error::Result;
use crate::link::{self, Request, gate};
use crate::plan::{Hook, Plan, Process, World};
use crate::sys;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

pub struct Payload {
    pub process: Process,
    pub program: Program,
    /// The device number of the devpts that was made for /dev/pts.
    pub devpts: Option<u64>,
    pub hooks: Option<StartContainer>,
    fork: Fork,
    link: link::Child,
    /// Where a created container waits; `run` and `exec` have none.
    gate: Option<OwnedFd>,
}

/// What startContainer hooks need. They read the state on their standard input, in the container.
pub struct StartContainer {
    pub hooks: Vec<Hook>,
    pub id: String,
    pub bundle: PathBuf,
    pub annotations: BTreeMap<String, String>,
}

impl Payload {
    /// Copies what it takes, so that nothing of it is in older memory.
    pub fn new(
        plan: &Plan,
        program: &Program,
        devpts: Option<u64>,
        link: link::Child,
        gate: Option<OwnedFd>,
    ) -> Payload {
        let hooks = match &plan.world {
            World::New(sandbox) if !plan.hooks.start_container.is_empty() => Some(StartContainer {
                hooks: plan.hooks.start_container.clone(),
                id: plan.id.clone(),
                bundle: sandbox.bundle.clone(),
                annotations: sandbox.annotations.clone(),
            }),
            World::New(_) | World::Join(_) => None,
        };
        let (process, fork) = (plan.process.clone(), Fork::of(plan));
        Payload { process, program: program.clone(), devpts, hooks, fork, link, gate }
    }
}

/// Where errors are reported: to the parent until `Ready` is answered, to `start` once it has connected. While the container
/// waits there is no receiver.
enum ErrorSink {
    Parent(link::Child),
    None,
    Start(OwnedFd),
}

impl ErrorSink {
    fn tell(&self, error: &anyhow::Error) {
        match self {
            ErrorSink::Parent(link) => link.fail(error),
            ErrorSink::None => {}
            ErrorSink::Start(connection) => gate::fail(connection, error),
        }
    }

    /// Tells `start` that nothing is left but the execve: an end before this was a death.
    fn going(&self) -> Result<()> {
        match self {
            ErrorSink::Start(connection) => gate::going(connection),
            ErrorSink::Parent(_) | ErrorSink::None => Ok(()),
        }
    }
}

/// Becomes the program, or reports why not and exits.
pub fn go(payload: Payload) -> ! {
    let pid = match become_ready(&payload) {
        Ok(pid) => pid,
        Err(error) => {
            payload.link.fail(&error);
            sys::process::exit_now(1)
        }
    };
    let Payload { process, program, hooks, link, gate, .. } = payload;
    let mut sink = ErrorSink::Parent(link);
    let Err(error) = become_program(&process, &program, hooks.as_ref(), gate, pid, &mut sink);
    sink.tell(&error);
    sys::process::exit_now(1)
}

/// Returns the pid as the runtime sees it, when the parent lets us go on.
fn become_ready(payload: &Payload) -> Result<i32> {
    let Payload { process, link, fork, .. } = payload;
    if *fork == Fork::BeforeFilter {
        fork::fork(payload, link)?;
    }
    if exec::needs_early_filter(process) {
        // At the latest here: before CAP_SYS_ADMIN goes, and after every call that a profile of an older day has not heard of.
        credentials::as_administrator(process, || exec::install_filter(process, Some(link)))?;
    }
    if *fork == Fork::Last {
        fork::fork(payload, link)?; // as the payload, but for its program: a process that traces it has what the payload has
    }
    let devpts = if *fork == Fork::Never { payload.devpts } else { None }; // told before the fork, while it could be believed
    link.ask_go(&Request::Ready { devpts })
}

fn become_program(
    process: &Process,
    program: &Program,
    hooks: Option<&StartContainer>,
    gate: Option<OwnedFd>,
    pid: i32,
    sink: &mut ErrorSink,
) -> Result<Infallible> {
    if let Some(gate) = gate {
        *sink = ErrorSink::None; // the link closes here: `create` is done
        *sink = ErrorSink::Start(gate::wait(&gate)?);
    }
    exec::expect(program)?;
    if let Some(hooks) = hooks {
        exec::start_container_hooks(process, hooks, program, pid)?;
    }
    sink.going()?;
    if !exec::needs_early_filter(process) {
        exec::install_filter(process, None)?; // as late as can be: the profile need not allow what we did above
    }
    Err(exec::run(process, program))
}
