//! Writes settings: one short loop for all layouts.
//!
//! Runs in the runtime's process, before anything of the container runs in the cgroup, or for an update.

use super::dir::{Dir, Version};
use super::v2;
use crate::error::{Result, anyhow};
use crate::plan::cgroup::{IfMissing, Setting};
use crate::sys::{Errno, Error, file};

/// Some settings are only taken together: a memory limit above the old limit of memory and swap, a quota that its old
/// period makes too large. What the kernel refuses as invalid or busy is put aside and tried again after the others,
/// as long as that gets any further.
pub(super) fn write(dirs: &[Dir], settings: &[Setting]) -> Result<()> {
    let mut todo: Vec<&Setting> = settings.iter().collect();
    while !todo.is_empty() {
        let mut aside = Vec::new();
        let mut first = None;
        for setting in &todo {
            match one(dirs, setting, settings) {
                Ok(()) => {}
                Err((error @ Error(Errno::EINVAL | Errno::EBUSY), hint)) => {
                    first.get_or_insert_with(|| explain(dirs, setting, error, hint));
                    aside.push(*setting);
                }
                Err((error, hint)) => return Err(explain(dirs, setting, error, hint)),
            }
        }
        if let Some(error) = first.filter(|_| aside.len() == todo.len()) {
            return Err(error);
        }
        todo = aside;
    }
    Ok(())
}

/// The error, and the hint that only this place knows.
type Failure = (Error, Option<String>);

fn one(dirs: &[Dir], setting: &Setting, all: &[Setting]) -> Result<(), Failure> {
    let dir = place(dirs, setting).ok_or((Error(Errno::ENOENT), None))?;
    let mut problem = None;
    let mut done = dir.open(&setting.file, libc::O_WRONLY);
    if done.as_ref().is_err_and(|e| *e == Error(Errno::ENOENT)) && dir.version == Version::V2 {
        problem = enable(dir, setting, all);
        done = dir.open(&setting.file, libc::O_WRONLY);
    }
    match (done, &setting.if_missing) {
        (Ok(open), _) => file::write_once(open, setting.value.as_bytes()).map_err(|error| (error, None)),
        (Err(Error(Errno::ENOENT)), IfMissing::Skip) => Ok(()),
        (Err(Error(Errno::ENOENT)), IfMissing::Instead(other)) => one(dirs, other, all),
        (Err(error), _) => Err((error, problem)),
    }
}

pub(super) fn place<'a>(dirs: &'a [Dir], setting: &Setting) -> Option<&'a Dir> {
    dirs.iter().find(|dir| dir.version == Version::V2 && dirs.len() == 1 || dir.has(&setting.controller))
}

/// A missing file on v2 may mean that nobody enabled the controller yet: enables all that the settings need, at once,
/// and says why this one could not be. On most machines systemd has done it, and we never come here.
fn enable(dir: &Dir, setting: &Setting, all: &[Setting]) -> Option<String> {
    let mut needed: Vec<&str> = all.iter().map(|s| s.controller.as_ref()).filter(|c| *c != "cgroup").collect();
    needed.sort_unstable();
    needed.dedup();
    let problems = v2::enable(dir, &needed);
    let (controller, what) = problems.into_iter().find(|(controller, _)| *controller == setting.controller)?;
    let there = v2::available(dir);
    Some(if there.contains(&controller) {
        format!("controller {controller:?} is not enabled: {what}")
    } else {
        format!("controller {controller:?} is not available (this hierarchy has: {})", there.join(", "))
    })
}

fn explain(dirs: &[Dir], setting: &Setting, error: Error, hint: Option<String>) -> anyhow::Error {
    let at = place(dirs, setting).map(|dir| format!("{dir}/")).unwrap_or_default();
    let hint = hint.or_else(|| too_much_in_use(dirs, setting, error));
    let hint = hint.or_else(|| HINTS.iter().find(|h| h.fits(setting, error)).map(|h| h.text.to_owned()));
    let chain = match hint {
        Some(hint) => anyhow!(error).context(hint),
        None => anyhow!(error),
    };
    chain.context(format!("cgroup: write {:?} to {at}{}", setting.value, setting.file))
}

/// cgroup v1 refuses a limit that is passed already. In the words that people look for.
fn too_much_in_use(dirs: &[Dir], setting: &Setting, error: Error) -> Option<String> {
    let asked = (error.0 == Errno::EBUSY && setting.file == "memory.limit_in_bytes").then_some(&setting.value)?;
    let used = place(dirs, setting)?.read("memory.usage_in_bytes").ok()?;
    Some(format!("unable to set memory limit to {asked} (current usage: {})", used.trim()))
}

/// What an errno means in a file.
struct Hint {
    /// How the file's name starts.
    file: &'static str,
    errno: Errno,
    text: &'static str,
}

impl Hint {
    fn fits(&self, setting: &Setting, error: Error) -> bool {
        setting.file.starts_with(self.file) && self.errno == error.0
    }
}

const fn hint(file: &'static str, errno: Errno, text: &'static str) -> Hint {
    Hint { file, errno, text }
}

const HINTS: &[Hint] = &[
    hint("memory.memsw", Errno::ENOENT, "the kernel does not count swap; boot it with swapaccount=1"),
    hint("memory.swap", Errno::ENOENT, "the kernel does not count swap; boot it with swapaccount=1"),
    hint("memory.oom_control", Errno::EINVAL, "the OOM killer cannot be disabled where memory has no hierarchy"),
    hint("cpuset.", Errno::EACCES, "the parent cgroup does not have all of them"),
    hint("cpuset.", Errno::EINVAL, "not a list of CPUs or nodes that this machine and the parent cgroup have"),
    hint("cpuset.", Errno::ERANGE, "not a list of CPUs or nodes that this machine has"),
    hint(
        "cpu.rt_",
        Errno::EINVAL,
        "the parent cgroup must have at least as much real-time runtime; it starts with none",
    ),
    hint("cpu.rt_", Errno::ENOENT, "the kernel lacks CONFIG_RT_GROUP_SCHED"),
    hint("cpu.cfs_", Errno::EINVAL, "outside of what the kernel or the parent cgroup allows"),
    hint("cpu.idle", Errno::ENOENT, "needs Linux 5.15"),
    hint("blkio.weight", Errno::ENOENT, "the kernel has no I/O scheduler with weights (BFQ)"),
    hint("blkio.leaf_weight", Errno::ENOENT, "Linux 5.0 removed leaf weights with the CFQ scheduler"),
    hint("blkio.", Errno::ENODEV, "no such block device on this machine; partitions do not count"),
    hint("io.bfq.weight", Errno::ENOENT, "the kernel has no I/O controller with weights (BFQ or io.cost)"),
    hint("io.", Errno::ENODEV, "no such block device on this machine; partitions do not count"),
    hint("hugetlb.", Errno::ENOENT, "no such page size on this machine; /sys/kernel/mm/hugepages lists them"),
    hint("rdma.", Errno::ENODEV, "no such RDMA device on this machine"),
    hint("net_prio.", Errno::ENODEV, "no such network interface in the runtime's network namespace"),
    hint("", Errno::EACCES, "no permission; the cgroup was not delegated to you"),
    hint("", Errno::EROFS, "the hierarchy is mounted read-only"),
];
