//! exec: into the pid namespace of a container, as late as can be.
//!
//! Whoever is in that namespace sees the process from its birth, and with CAP_SYS_PTRACE can do with it as it pleases. So the
//! child does all of its work unseen, as a process of the host's pid namespace, and is born there when it has nothing left but
//! what the payload has: its user, its capabilities, its filter, its root, its streams (CVE-2016-9962).

use super::{exec, process, terminal};
use crate::error::{Context, Result, anyhow};
use crate::link::{self, Request};
use crate::plan::seccomp::Program;
use crate::plan::{Plan, Process, World};
use crate::sys::process::Side;
use crate::sys::{self, Errno};

/// When the process becomes the one that will be the program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Birth {
    /// With the clone that made it: there is no pid namespace that it has yet to be born in.
    Past,
    /// Before a filter that does not let it fork, or asks an agent about calls, who must hear of them with the pid that the process
    /// will have. Then somebody who may install a filter (CAP_SYS_ADMIN) can be seen for a moment, though with no other
    /// capability that the payload has not.
    BeforeFilter,
    /// As the last that happens before `Ready`.
    Last,
}

impl Birth {
    pub fn of(plan: &Plan) -> Birth {
        let lets_fork = |program: &Program| program.lets_fork && program.listener.is_none();
        match &plan.world {
            World::Join(target) if target.namespaces & libc::CLONE_NEWPID != 0 => {
                let is_filtered = exec::needs_early_filter(&plan.process);
                let can_wait = !is_filtered || plan.process.seccomp.as_ref().is_none_or(lets_fork);
                if can_wait { Birth::Last } else { Birth::BeforeFilter }
            }
            _ => Birth::Past,
        }
    }
}

/// Returns in the heir only, which goes on as if it had been the child all the time.
pub fn give(plan: &Process, link: &link::Child) -> Result<()> {
    match sys::process::fork_sibling().map_err(explain)? {
        Side::Parent { pidfd, .. } => {
            let _ = link.say(&Request::Born(pidfd)); // a parent that is gone needs no heir, and the heir hears that itself
            sys::process::exit_now(0)
        }
        Side::Child => {
            link.hear_go()?;
            sys::process::new_session().context("make a session")?;
            terminal::control(plan)?;
            process::settle_heir(plan, link)
        }
    }
}

fn explain(error: sys::Error) -> anyhow::Error {
    let hint = match error.0 {
        Errno::ENOMEM => ": its init may have ended just now, or there is no memory",
        Errno::EAGAIN => ": too many processes (RLIMIT_NPROC, or pids.max of a cgroup)",
        _ => "",
    };
    anyhow!(error).context(format!("be born in the container's pid namespace{hint}"))
}
