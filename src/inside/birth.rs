//! exec: into the pid namespace of a container, as late as can be.
//!
//! Whoever is in that namespace sees the process from its birth, and with CAP_SYS_PTRACE can do with it as it pleases. So the
//! child does all of its work unseen, as a process of the host's pid namespace, and is born there when it has nothing left but
//! what the payload has: its user, its capabilities, its filter, its root, its streams (CVE-2016-9962).

use super::{exec, process, terminal};
use crate::error::{Context, Result, anyhow};
use crate::link::{self, Request};
use crate::plan::{Process, World};
use crate::sys::process::Side;
use crate::sys::{self, Errno};

/// Whether the process is the one that becomes the program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Birth {
    Past,
    /// It has yet to be born into a pid namespace.
    ToCome,
}

impl Birth {
    pub fn of(world: &World) -> Birth {
        match world {
            World::Join(target) if target.namespaces & libc::CLONE_NEWPID != 0 => Birth::ToCome,
            _ => Birth::Past,
        }
    }
}

/// Can it be the last that happens before `Ready`, when the filter may be in force? Else the filter comes after it: then a process
/// that may install one (CAP_SYS_ADMIN) can be seen for a moment, though it has no other capability that the payload has not.
/// An agent must hear of a call with the pid that the process will have.
pub fn can_be_last(plan: &Process) -> bool {
    let lets_it = |program: &crate::plan::seccomp::Program| program.lets_fork && program.listener.is_none();
    !exec::needs_early_filter(plan) || plan.seccomp.as_ref().is_none_or(lets_it)
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
