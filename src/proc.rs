//! What /proc on the host says about processes. Runs in the runtime's process only.

use crate::error::{Context, Result, bail};
use crate::sys::file::{self, CWD};
use crate::sys::{self, Errno};
use serde::{Deserialize, Serialize};

/// A process that stays distinguishable from a later one with the same number: pid and start time, in clock ticks since
/// boot (field 22 of /proc/PID/stat).
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProcessId {
    pub pid: i32,
    pub start: u64,
}

struct Stat {
    state: u8,
    start: u64,
}

/// The identity of a living process. Fails when there is none of that number.
pub fn identify(pid: i32) -> Result<ProcessId> {
    match stat(pid)? {
        Some(stat) => Ok(ProcessId { pid, start: stat.start }),
        None => bail!("process {pid} is gone"),
    }
}

/// Is it this very process, and does it live? A zombie does not.
pub fn is_alive(id: ProcessId) -> Result<bool> {
    Ok(stat(id.pid)?.is_some_and(|stat| stat.start == id.start && !matches!(stat.state, b'Z' | b'X' | b'x')))
}

/// The letter that says what a process is doing (`D`: it waits and cannot be disturbed); `None` when it is gone.
pub fn state(pid: i32) -> Result<Option<char>> {
    Ok(stat(pid)?.map(|stat| char::from(stat.state)))
}

fn stat(pid: i32) -> Result<Option<Stat>> {
    let path = format!("/proc/{pid}/stat");
    let read = || file::read_all(file::open(CWD, &path, libc::O_RDONLY, 0)?, 4096);
    let text = match read() {
        Err(sys::Error(Errno::ENOENT | Errno::ESRCH)) => return Ok(None),
        other => other.with_context(|| format!("read {path}"))?,
    };
    // The second field is the command's name in parentheses, and may itself hold any character: parse after the last one.
    let rest = text.iter().rposition(|byte| *byte == b')').map_or(&[][..], |at| &text[at + 1..]);
    let rest = String::from_utf8_lossy(rest);
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next().and_then(|field| field.bytes().next());
    let start = fields.nth(18).and_then(|field| field.parse().ok());
    match (state, start) {
        (Some(state), Some(start)) => Ok(Some(Stat { state, start })),
        _ => bail!("{path} is not in the form of proc(5)"),
    }
}

/// This boot of the machine; pids and start times mean nothing in another.
pub fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let read = || file::read_all(file::open(CWD, path, libc::O_RDONLY, 0)?, 128);
    Ok(String::from_utf8_lossy(&read().with_context(|| format!("read {path}"))?).trim().to_string())
}

/// The processes that are in the same pid namespace as this one, in the order of their numbers. Those that we may not look
/// at are in another.
pub fn in_pid_namespace_of(pid: i32) -> Result<Vec<i32>> {
    let namespace = |pid: i32| file::readlink(CWD, format!("/proc/{pid}/ns/pid"));
    let wanted = namespace(pid).with_context(|| format!("look at the pid namespace of process {pid}"))?;
    let names = std::fs::read_dir("/proc").context("list /proc")?.flatten().map(|entry| entry.file_name());
    let pids = names.filter_map(|name| name.to_str()?.parse().ok());
    let mut pids: Vec<i32> = pids.filter(|pid| namespace(*pid).is_ok_and(|other| other == wanted)).collect();
    pids.sort_unstable();
    Ok(pids)
}

/// The pid, in our pid namespace, of what a pidfd names.
pub fn pid_of(pidfd: impl std::os::fd::AsFd) -> Result<i32> {
    let path = format!("/proc/self/fdinfo/{}", sys::process::number(pidfd));
    let text = file::read_all(file::open(CWD, &path, libc::O_RDONLY, 0)?, 4096)?;
    let text = String::from_utf8_lossy(&text);
    let pid = text.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok());
    pid.filter(|pid| *pid > 0).with_context(|| format!("{path} names no living process"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_alive_and_no_other_start_time_is_ours() {
        let own = identify(sys::process::pid()).unwrap();
        assert!(is_alive(own).unwrap());
        assert!(!is_alive(ProcessId { start: own.start + 1, ..own }).unwrap());
    }
}
