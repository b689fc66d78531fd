//! Hearing of it when the kernel runs out of a cgroup's memory.
//!
//! Runs in the runtime's process. v2 wakes whoever polls memory.events; v1 counts on an eventfd.
//! <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>, section 10.

use super::Cgroup;
use super::dir::{Dir, Version};
use crate::error::{Context, Result};
use crate::sys::process::{Events, Watch};
use crate::sys::{self, file};
use std::os::fd::{AsFd, OwnedFd};

/// Of a process that was killed: did the kernel do it for want of memory, and what is to be changed? `None` when it did not.
pub fn verdict(cgroup: &Cgroup) -> Option<String> {
    cgroup.oom_killed().filter(|count| *count > 0)?;
    let limit = |dir: &Dir| {
        let file = if dir.version == Version::V1 { "memory.limit_in_bytes" } else { "memory.max" };
        dir.read(file).ok()?.trim().parse::<u64>().ok().filter(|limit| *limit < UNLIMITED)
    };
    Some(match cgroup.dirs.iter().find_map(limit) {
        Some(limit) => format!(
            "the kernel killed a process of it for want of memory: its limit is {limit} bytes{}; raise \
             linux.resources.memory.limit in config.json, or run less in it",
            if limit < 1 << 20 { String::new() } else { format!(" ({} MiB)", limit >> 20) }
        ),
        None => {
            "the kernel killed a process of it for want of memory, although it has no limit of its own: the machine, or a cgroup \
                 above the container's, ran out"
                .to_owned()
        }
    })
}

/// What v1 writes for "no limit": the largest number of whole pages. More than any machine has.
const UNLIMITED: u64 = 1 << 62;

pub struct Oom {
    version: Version,
    /// memory.events, or the eventfd.
    file: OwnedFd,
    /// As `Cgroup::oom_killed` counts.
    seen: u64,
}

impl Oom {
    /// `None` where nobody counts memory.
    pub fn watch(cgroup: &Cgroup) -> Result<Option<Oom>> {
        let v1 = cgroup.dirs.iter().find(|dir| dir.version == Version::V1 && dir.has("memory"));
        let v2 = || cgroup.dirs.iter().find(|dir| dir.version == Version::V2);
        let found = match v1 {
            Some(dir) => Some((dir, listen(dir).context("cgroup: listen for want of memory")?)),
            None => v2().and_then(|dir| Some((dir, dir.open("memory.events", libc::O_RDONLY).ok()?))),
        };
        let Some((dir, file)) = found else { return Ok(None) };
        let mut oom = Oom { version: dir.version, file, seen: cgroup.oom_killed().unwrap_or(0) };
        oom.rearm();
        Ok(Some(oom))
    }

    pub fn to_watch(&self) -> Watch<'_> {
        let events = if self.version == Version::V1 { Events::READ } else { Events::PRIORITY };
        Watch { file: self.file.as_fd(), events }
    }

    /// Has it happened since the last call? A cgroup that is gone wakes us too, and has nothing to tell.
    pub fn has_happened(&mut self, cgroup: &Cgroup) -> bool {
        let rang = self.rearm() && self.version == Version::V1;
        let Some(killed) = cgroup.oom_killed() else { return false };
        let more = killed > self.seen;
        self.seen = killed;
        more || rang
    }

    /// Reads what is there: only then the next event is heard. For v1: has it rung?
    fn rearm(&mut self) -> bool {
        let mut buffer = [0u8; 4096];
        match self.version {
            Version::V1 => file::read(&self.file, &mut buffer).is_ok(), // non-blocking: an error means silence
            Version::V2 => file::read_at(&self.file, &mut buffer, 0).is_ok(),
        }
    }
}

/// Registers an eventfd with memory.oom_control.
fn listen(dir: &Dir) -> sys::Result<OwnedFd> {
    let counter = file::event_counter()?;
    let control = dir.open("memory.oom_control", libc::O_RDONLY)?;
    let words = format!("{} {}", sys::process::number(&counter), sys::process::number(&control));
    dir.write("cgroup.event_control", &words)?;
    Ok(counter)
}
