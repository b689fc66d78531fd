//! run: create and start in one, and with --detach not stay.

use super::create::{self, Create, Made, Stay, Stop};
use super::delete;
use super::{Global, say, start};
use crate::error::{Context, Result, all};
use crate::outside::cgroup::{self, Cgroup};
use crate::outside::{notify, wait};
use crate::sys::process::{self, Exit};
use crate::sys::signal;

pub struct Run {
    pub create: Create,
    pub stay: Stay,
    /// `--keep`: the state stays after the end, until `delete`.
    pub after: After,
    /// `--no-subreaper`.
    pub orphans: Orphans,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum After {
    Delete,
    Keep,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Orphans {
    Adopt,
    Leave,
}

/// Returns the exit status for our own process.
pub fn run(global: &Global, request: Run) -> Result<u8> {
    let Run { create, stay, after, orphans } = request;
    let create_announce = create.announce.clone();
    let signals = match stay {
        Stay::Foreground => {
            if orphans == Orphans::Adopt {
                process::become_subreaper().context("become a subreaper")?;
            }
            Some(signal::take_all().context("take the signals")?) // before the clone: none may be lost
        }
        Stay::Leave => None,
    };
    let Made { mut record, ready, drafts, state, held, notify: socket, interrupt } =
        create::make(global, create, stay, Stop::Nowhere)?;
    let mut proxy = match notify::manager().and_then(|manager| notify::Proxy::of(socket, manager)) {
        Ok(proxy) => proxy,
        Err(error) => {
            let hooks = ready.hooks;
            record.init = ready.end();
            return Err(create::give_up(error, state, record, drafts, hooks));
        }
    };
    let (cgroup, state) = (drafts.keep().context("a container has a cgroup")?, state.keep());
    let gone = ready.go(&interrupt).context("unable to start container process");
    drop(held);
    let (child, master) = match gone {
        Ok(started) => started,
        Err(error) => {
            // Its hooks may have prepared something outside: those that take it down again are owed.
            let cleaned = delete::clean_up_own(&state, &record, &cgroup).context("delete the container");
            create_announce.remove_pid();
            return Err(all([Some(error), cleaned.err()].into_iter().flatten().collect()).expect("one error at least"));
        }
    };
    let started = start::poststart(&state, &record);
    let Some(signals) = signals else {
        if started.is_err() {
            delete::clean_up_own(&state, &record, &cgroup)?;
        }
        started?;
        drop(interrupt); // made it is: who asks us to end now ends the wait, and not the container
        return start::until_ready(proxy.as_mut(), &record).map(|()| 0);
    };
    let exit = wait::attend(&child, &signals, master, proxy.as_mut()).context("wait for the container");
    if let Ok(exit) = &exit {
        tell_of_oom(*exit, &record.id, &cgroup);
    }
    let cleaned = match (after, &started) {
        (After::Keep, Ok(())) => Ok(()),
        _ => delete::clean_up_own(&state, &record, &cgroup).context("delete the container"),
    };
    let mut errors: Vec<anyhow::Error> = Vec::new();
    errors.extend(started.err());
    errors.extend(cleaned.err());
    match (exit, all(errors)) {
        (Ok(exit), None) => Ok(exit.status()),
        (Err(error), _) | (Ok(_), Some(error)) => Err(error),
    }
}

/// Whoever was killed does not know by whom; its cgroup does, as long as it is there. A shell that saw its program killed ends
/// with the same status.
fn tell_of_oom(exit: Exit, id: &str, cgroup: &Cgroup) {
    let killed = exit.status() == Exit::Signal(libc::SIGKILL).status();
    if let Some(verdict) = Some(cgroup).filter(|_| killed).and_then(cgroup::oom_verdict) {
        say(&format!("container {id:?}: {verdict}"));
    }
}
