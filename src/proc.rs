//! What /proc on the host says about processes. Runs in the runtime's process only.

use crate::error::{Context, Result, anyhow, bail};
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
    /// Threads that have not been released; the first one, once it has ended, is released only after all others.
    threads: u64,
    start: u64,
}

impl Stat {
    fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// The identity of a living process. Fails when there is none of that number.
pub fn identify(pid: i32) -> Result<ProcessId> {
    match stat(pid)? {
        Some(stat) => Ok(ProcessId { pid, start: stat.start }),
        None => bail!("process {pid} is gone"),
    }
}

/// Is it this very process, and does it live? A zombie does not, unless only its first thread has ended (pthread_exit in
/// `main`): the other threads go on.
pub fn is_alive(id: ProcessId) -> Result<bool> {
    Ok(stat(id.pid)?.is_some_and(|stat| stat.start == id.start && (!stat.has_ended() || stat.threads > 1)))
}

/// A thread of the process that has not ended: the first, or another one once the first has ended. `None` when no thread lives.
///
/// A thread that has ended has no namespaces, no root and no working directory any more, and /proc/PID shows those of the
/// first thread. The caller checks afterwards that the process is still the same one.
pub fn living_thread(pid: i32) -> Result<Option<i32>> {
    match stat(pid)? {
        Some(stat) if stat.has_ended() => {}
        Some(_) => return Ok(Some(pid)),
        None => return Ok(None),
    }
    let path = format!("/proc/{pid}/task");
    let threads = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        threads => threads.with_context(|| format!("list {path}"))?,
    };
    let mut tids = threads.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    Ok(tids.find(|tid| stat(*tid).is_ok_and(|stat| stat.is_some_and(|stat| !stat.has_ended()))))
}

/// The process that a thread belongs to, by Tgid of /proc/TID/status.
pub fn process_of(tid: i32) -> Option<i32> {
    let text = read_small(&format!("/proc/{tid}/status"))?;
    text.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
}

/// Why a process does not die of SIGKILL, as far as /proc tells, for the end of an error: `waits for …`. Looks at no more than
/// a thousand threads.
pub fn why_it_does_not_die(pid: i32) -> Option<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    let tids = threads.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok()).take(1000);
    let mut stuck = tids.filter(|tid| state(*tid).is_ok_and(|state| state == Some('D')));
    let first = stuck.next()?;
    let at = |tid| read_small(&format!("/proc/{pid}/task/{tid}/wchan")).unwrap_or_default();
    let function = std::iter::once(first).chain(stuck).map(at).find(|function| is_of_fuse(function));
    if function.is_none() {
        return Some("is in an uninterruptible sleep (state D): a device or a file system does not answer".to_owned());
    }
    let connections = fuse_connections(pid);
    let which = if connections.is_empty() { "N".to_owned() } else { connections.join(", ") };
    Some(format!(
        "waits for a FUSE server that does not answer, perhaps for itself: abort the connection (echo 1 > \
         /sys/fs/fuse/connections/{which}/abort)"
    ))
}

/// Functions of the kernel in which a process waits for a FUSE server. None of them can be interrupted by SIGKILL once the
/// server has read the request.
fn is_of_fuse(function: &str) -> bool {
    ["request_wait_answer", "fuse_", "__fuse_"].iter().any(|name| function.trim().starts_with(name))
}

/// The numbers of the FUSE connections whose mounts a process sees: the minor number of the mount's device.
fn fuse_connections(pid: i32) -> Vec<String> {
    let path = format!("/proc/{pid}/mountinfo");
    let read = || file::read_all(file::open(CWD, &path, libc::O_RDONLY, 0)?, 1 << 20);
    let text = read().unwrap_or_default(); // the hint then names none
    let text = String::from_utf8_lossy(&text);
    let number = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let minor: u32 = before.split(' ').nth(2)?.split_once(':')?.1.parse().ok()?;
        after.starts_with("fuse").then(|| minor.to_string())
    };
    let mut numbers: Vec<String> = text.lines().filter_map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.truncate(5);
    numbers
}

fn read_small(path: &str) -> Option<String> {
    let bytes = file::read_all(file::open(CWD, path, libc::O_RDONLY, 0).ok()?, 1 << 16).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
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
    let threads = fields.nth(16).and_then(|field| field.parse().ok());
    let start = fields.nth(1).and_then(|field| field.parse().ok());
    match (state, threads, start) {
        (Some(state), Some(threads), Some(start)) => Ok(Some(Stat { state, threads, start })),
        _ => bail!("{path} is not in the form of proc(5)"),
    }
}

/// This boot of the machine; pids and start times mean nothing in another.
pub fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let read = || file::read_all(file::open(CWD, path, libc::O_RDONLY, 0)?, 128);
    let read = read().map_err(|error| match error.0 {
        Errno::ENOENT => anyhow!(error).context(PARTIAL),
        _ => error.into(),
    });
    Ok(String::from_utf8_lossy(&read.with_context(|| format!("read {path}"))?).trim().to_string())
}

/// Why a file of /proc/sys is missing that every kernel has. Linux 5.8 brought `subset=pid`.
const PARTIAL: &str = "/proc is no procfs, or shows processes only (subset=pid): mount a whole one there";

/// The processes that are in the same pid namespace as this one, in the order of their numbers. Those that we may not look
/// at are in another.
pub fn in_pid_namespace_of(pid: i32) -> Result<Vec<i32>> {
    let of = |pid: i32| file::readlink(CWD, format!("/proc/{pid}/ns/pid"));
    // The first thread may have ended.
    let namespace = |pid: i32| of(pid).or_else(|error| living_thread(pid).ok().flatten().map_or(Err(error), of));
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
