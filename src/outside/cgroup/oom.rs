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
