//! Forking into the pid namespace of a container, as late as possible: for `exec`, and for `create` with a pid namespace that
//! is joined.
//!
//! The processes in that namespace see the new one from its fork on, and with CAP_SYS_PTRACE can read and change it. So the
//! child does all of its work outside of their sight, in the pid namespace of the runtime, and forks when it has nothing left
//! but what the payload has: its user, its capabilities, its filter, its root, its streams (CVE-2016-9962), and a memory
//! that holds nothing of the runtime's (`sys::alloc::forget_all_but`).

use super::payload::Payload;
use super::{exec, process, terminal};
use crate::error::{Context, Result, anyhow};
use crate::link::{self, Request};
use crate::plan::Plan;
use crate::plan::seccomp::Program;
use crate::sys::process::Side;
use crate::sys::{self, Errno};

/// When the child forks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// Not at all: the clone that made it has put it into its pid namespace.
    Never,
    /// Before the filter: it does not let the child fork, or asks an agent about calls, who must hear of them with the pid that
    /// the process will have. Then a process that may install a filter (CAP_SYS_ADMIN) can be seen for a moment, though
    /// with no other capability that the payload has not.
    BeforeFilter,
    /// As the last step before `Ready`.
    Last,
}

impl Fork {
    pub fn of(plan: &Plan) -> Fork {
        if !plan.forks_late() {
            return Fork::Never;
        }
        let lets_fork = |program: &Program| program.lets_fork && program.listener.is_none();
        let is_filtered = exec::needs_early_filter(&plan.process);
        let can_wait = !is_filtered || plan.process.seccomp.as_ref().is_none_or(lets_fork);
        if can_wait { Fork::Last } else { Fork::BeforeFilter }
    }
}

/// Forks into the target pid namespace. Returns only in the new process; the original exits.
pub fn fork(payload: &Payload, link: &link::Child) -> Result<()> {
    // Before the fork: from then on any message may be one of a process in there.
    link.say(&Request::Fork { devpts: payload.devpts })?;
    match sys::process::fork_sibling().map_err(explain)? {
        Side::Parent { pid, .. } => {
            let _ = link.forked(pid); // when the parent is gone the new process hears it on the link, and exits too
            sys::process::exit_now(0)
        }
        Side::Child => {
            link.hear_go()?;
            sys::process::new_session().context("make a session")?;
            terminal::control(&payload.process)?;
            process::settle_after_fork(&payload.process, link)
        }
    }
}

fn explain(error: sys::Error) -> anyhow::Error {
    let hint = match error.0 {
        Errno::ENOMEM => ": its init may have ended just now, or there is no memory",
        Errno::EAGAIN => ": too many processes (RLIMIT_NPROC, or pids.max of a cgroup)",
        _ => "",
    };
    anyhow!(error).context(format!("fork into the container's pid namespace{hint}"))
}
