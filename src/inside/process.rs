//! Attributes of the process itself: what it is born with and must lose, what the plan gives it.

use crate::error::{Context, Result};
use crate::link;
use crate::log;
use crate::plan::Process;
use crate::sys::process::{Dumpable, KeyringSearch, Range};
use crate::sys::{self, Errno, process, signal};
use std::os::fd::{AsFd, OwnedFd};

/// The runtime's own umask, to be given back.
pub struct Umask(u32);

/// First thing in the child. Afterwards nobody in the container can look into this process, no signal is blocked or
/// ignored, it leads a session of its own, and files are made with exactly the modes that are asked for.
pub fn begin() -> Result<Umask> {
    process::set_dumpable(Dumpable::No).context("hide from /proc")?;
    signal::restore().context("restore the signals")?;
    process::new_session().context("make a session")?;
    Ok(Umask(process::set_umask(0)))
}

/// What needs no privilege to be lost first. Resource limits and oom_score_adj are set by the parent, which may do it
/// whatever user namespace we are in.
pub fn attributes(plan: &Process, before: Umask) -> Result<()> {
    if let Some(name) = &plan.keyring {
        join_keyring(name)?;
    }
    // The caller may be pinned to some CPUs; that is its own affair. The cpuset still holds.
    process::reset_affinity().context("reset the CPU affinity")?;
    process::set_umask(plan.user.umask.unwrap_or(before.0));
    Ok(())
}

/// The caller's keys stay behind. A kernel or a filter without key management has none to give.
fn join_keyring(name: &str) -> Result<()> {
    match process::join_session_keyring(name, KeyringSearch::User) {
        Err(sys::Error(Errno::ENOSYS | Errno::EPERM)) => {
            log::debug(
                "no session keyring: this kernel, or a filter on us, does not provide keyctl",
            );
            Ok(())
        }
        Err(error @ sys::Error(Errno::EDQUOT)) => Err(error).with_context(|| {
            format!(
                "join session keyring {name}: raise kernel.keys.maxkeys, or use --no-new-keyring"
            )
        }),
        other => other.with_context(|| format!("join session keyring {name}")),
    }
}

/// Closes every descriptor but the payload's own, the link (or, at a gate, the gate): really, not only on exec, since a
/// descriptor can be used as a path until then (CVE-2024-21626).
pub fn close_all_but(plan: &Process, link: &link::Child, gate: Option<&OwnedFd>) -> Result<()> {
    log::leave();
    let kept = process::number(gate.map_or(link.as_fd(), AsFd::as_fd)).cast_unsigned();
    let first = 3 + plan.preserve_fds;
    let close = |from: u32, to: u32| process::close_range(from, to, Range::Close);
    if kept >= first {
        close(first, kept.saturating_sub(1).max(first.saturating_sub(1)))
            .context("close descriptors")?;
        close(kept + 1, u32::MAX).context("close descriptors")
    } else {
        close(first, u32::MAX).context("close descriptors")
    }
}
