//! Into a directory: a process that could not be born there, and the choice of `exec --cgroup`.
//!
//! Runs in the runtime's process.

use super::dir::{Dir, Version};
use super::patience::Patience;
use crate::error::{Result, anyhow, bail};
use crate::plan::cgroup::SubCgroup;
use crate::sys::{Errno, Error};
use std::path::Path;

/// Puts a process into a directory.
pub(super) fn add(dir: &Dir, pid: i32) -> Result<()> {
    let patience = &mut Patience::new();
    loop {
        let hint = match dir.write("cgroup.procs", &pid.to_string()) {
            Ok(()) => return Ok(()),
            // A process that is just being born answers so (as does a real-time one in a cgroup without such time).
            Err(Error(Errno::EINVAL)) if patience.is_short() && patience.wait() => continue,
            Err(error @ Error(Errno::ENOSPC)) => anyhow!(error).context("the cpuset has no CPUs or no memory nodes"),
            Err(error @ Error(Errno::EINVAL)) => {
                anyhow!(error).context("a real-time process needs cpu.realtimeRuntime in its cgroup")
            }
            Err(error) => error.into(),
        };
        return Err(hint.context(format!("write to {dir}/cgroup.procs")));
    }
}

/// Where `dir` leads for these sub-cgroups; `count` is the number of the container's directories.
pub(super) fn below(dir: &Dir, count: usize, wanted: &[SubCgroup]) -> Result<Dir> {
    let for_this = |sub: &&SubCgroup| sub.controllers.is_empty() || sub.controllers.iter().any(|c| dir.has(c));
    let mut paths: Vec<_> = wanted.iter().filter(for_this).map(|sub| &sub.path).collect();
    paths.sort_unstable();
    paths.dedup();
    let path = match &paths[..] {
        [] => Path::new(""),
        [one] => one,
        _ => bail!("--cgroup: {} are one hierarchy; give them one path", dir.controllers.join(", ")),
    };
    let optional = dir.version == Version::V2 && count > 1;
    match dir.below(path) {
        Err(_) if optional => dir.below(Path::new("")),
        done => done,
    }
}
