//! kill: a signal to init, or to everybody.

use super::Global;
use crate::error::{Context, Kind, Result, anyhow, bail};
use crate::outside::cgroup::Cgroup;
use crate::outside::record::{self, Family, Status};
use crate::sys::process;
use crate::sys::{self, Errno};
use std::os::fd::{AsFd, OwnedFd};

/// `--all` or not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whom {
    Init,
    Everybody,
}

pub fn kill(global: &Global, id: &str, signal: &str, whom: Whom) -> Result<()> {
    let signal = parse_signal(signal)?;
    let (state, record) = record::load(&global.root, id)?;
    let cgroup = state.cgroup(&record)?;
    // Without a pid namespace of its own, the end of init ends nobody else.
    let everybody = whom == Whom::Everybody || (signal == libc::SIGKILL && record.family == Family::Survives);
    let Some(init) = record.init_pidfd()? else {
        let some_are_left = everybody && !cgroup.processes()?.is_empty(); // init is gone, but ended nobody else
        if some_are_left {
            cgroup.kill(signal)?;
        }
        return if some_are_left || whom == Whom::Everybody { Ok(()) } else { Err(anyhow!(Kind::NotRunning)) };
    };
    match process::pidfd_signal(&init, signal) {
        Err(sys::Error(Errno::ESRCH)) => {
            bail!("unable to signal init: os: process already finished")
        }
        other => other.context("unable to signal init")?,
    }
    if everybody {
        cgroup.kill(signal)?;
    } else if signal == libc::SIGKILL {
        if state.status(&record)? == Status::Paused {
            cgroup.thaw()?; // a frozen process of v1 does not even die
        }
        let_die(&cgroup, &init)?;
    }
    Ok(())
}

/// How often, ten milliseconds apart, the cgroups of a container are thawed that freezes them again before it dies.
const THAWS: u32 = 100;

/// v1: init cannot die while it, or another process of its pid namespace, is in a frozen cgroup that the container made below its own.
fn let_die(cgroup: &Cgroup, init: &OwnedFd) -> Result<()> {
    for _ in 0..THAWS {
        let was_frozen = cgroup.thaw_the_killed()?;
        if !was_frozen || process::poll(&[init.as_fd()], 10).is_ok_and(|ended| ended[0]) {
            break;
        }
    }
    Ok(())
}

/// A number, or a name in any case with or without `SIG`, real-time ones as `RTMIN+n` and `RTMAX-n`.
pub fn parse_signal(text: &str) -> Result<i32> {
    let unknown =
        || anyhow!("unknown signal {text:?}: use a number from 0 (is there anybody?) to 64, or a name such as TERM");
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |rest: &str, sign: char| match rest {
        "" => Some(0),
        rest => rest.strip_prefix(sign)?.parse::<i32>().ok().filter(|n| (0..=30).contains(n)),
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return offset(rest, '+').map(|n| libc::SIGRTMIN() + n).ok_or_else(unknown);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return offset(rest, '-').map(|n| libc::SIGRTMAX() - n).ok_or_else(unknown);
    }
    let synonym = match name {
        "CLD" => "CHLD",
        "POLL" => "IO",
        "IOT" => "ABRT",
        "UNUSED" => "SYS",
        name => name,
    };
    let known: nix::sys::signal::Signal = format!("SIG{synonym}").parse().map_err(|_| unknown())?;
    Ok(known as i32)
}

#[cfg(test)]
mod tests {
    use super::parse_signal;

    #[test]
    fn signals_have_many_names() {
        for (text, number) in [
            ("0", 0),
            ("9", 9),
            ("KILL", 9),
            ("sigterm", 15),
            ("SigUsr1", 10),
            ("64", 64),
            ("TRAP", 5),
            ("BUS", 7),
            ("CLD", 17),
            ("RTMAX", 64),
            ("SIGRTMAX-3", 61),
        ] {
            assert_eq!(parse_signal(text).unwrap(), number, "{text}");
        }
        for text in ["", "65", "-1", "SIG", "NOSUCH", "RTMIN-1", "RTMIN+99", "9x"] {
            assert!(parse_signal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn any_word_is_a_signal_or_refused() {
        crate::fuzz::often(20_000, |random| {
            let signal = parse_signal(&random.text());
            assert!(signal.is_err() || signal.is_ok_and(|signal| (0..=64).contains(&signal)));
        });
    }
}
