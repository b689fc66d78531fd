//! Looks at the kernel: its version, file systems, cgroup controllers, seccomp, namespaces. Only what the plan uses.

use super::files::place_of_namespace;
use super::machine::{self, read};
use super::{Finding, Scene, Severity};
use crate::outside::chroot;
use crate::plan::cgroup::{IfMissing, Layout};
use crate::plan::namespaces::{KINDS, proc_name};
use crate::plan::{MountOp, MountWhat, Movable, NOT_MOVABLE, RootChange};
use crate::sys::mount::flag;
use crate::sys::mountinfo::{self, MountLine};
use crate::sys::older;
use std::path::Path;

/// What came with which version of Linux, and where a plan needs it.
struct Since {
    version: (u32, u32),
    /// `None` when the plan does without.
    used_at: fn(&Scene) -> Option<String>,
    text: &'static str,
    severity: Severity,
}

const fn since(
    version: (u32, u32),
    used_at: fn(&Scene) -> Option<String>,
    text: &'static str,
    severity: Severity,
) -> Since {
    Since { version, used_at, text, severity }
}

/// One row a feature.
const VERSIONS: [Since; 7] = [
    since((5, 10), |_| Some(String::new()), "rruntime is tested on 5.10 and newer only", Severity::Warning),
    since((5, 6), |scene| makes(scene, libc::CLONE_NEWTIME), "leave the time namespace out", Severity::Error),
    since((5, 12), mapped_ids, "mapped ids need mount_setattr; remove the mappings", Severity::Error),
    since((5, 14), |scene| writes(scene, "burst"), "leave the burst out", Severity::Error),
    since((5, 15), |scene| writes(scene, "cpu.idle"), "leave it out", Severity::Error),
    since((5, 19), waits_killable, "remove SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", Severity::Error),
    since(
        (5, 14),
        hard_to_kill,
        "without cgroup.kill and a pid namespace processes are killed one by one; add {\"type\": \"pid\"}",
        Severity::Warning,
    ),
];

/// What no command can do without.
pub fn calls(_: &Scene, findings: &mut Vec<Finding>) {
    let missing = older::missing_call().map(|(call, error)| older::explain(call, error));
    findings.extend(missing.map(|text| Finding::error(String::new(), text)));
}

pub fn version(scene: &Scene, findings: &mut Vec<Finding>) {
    let here = machine::kernel();
    let unknown = here == (0, 0); // `files::procfs` says why
    for row in VERSIONS.iter().filter(|row| !unknown && here < row.version) {
        let Some(place) = (row.used_at)(scene) else { continue };
        let ((major, minor), (needed, patch)) = (here, row.version);
        let text = format!("this kernel is Linux {major}.{minor}, older than {needed}.{patch}: {}", row.text);
        findings.push(Finding { severity: row.severity, ..Finding::error(place, text) });
    }
}

fn makes(scene: &Scene, kind: i32) -> Option<String> {
    scene.sandbox.namespaces.makes(kind).then(|| place_of_namespace(scene, kind))
}

fn mapped_ids(scene: &Scene) -> Option<String> {
    let mapped = |op: &&MountOp| matches!(op.what, MountWhat::Bind { ids: Some(_), .. });
    scene.sandbox.mounts.iter().find(mapped).map(|op| format!("mounts[{}].uidMappings", op.index))
}

fn writes(scene: &Scene, part: &str) -> Option<String> {
    let setting = scene.sandbox.cgroup.settings.iter().find(|setting| setting.file.contains(part))?;
    Some(place_of_controller(&setting.controller))
}

fn waits_killable(scene: &Scene) -> Option<String> {
    let program = scene.plan.process.seccomp.as_ref();
    program.filter(|program| program.flags & WAIT_KILLABLE != 0).map(|_| "linux.seccomp.flags".to_owned())
}

fn hard_to_kill(scene: &Scene) -> Option<String> {
    let shares = !scene.sandbox.namespaces.has(libc::CLONE_NEWPID);
    let v2 = matches!(scene.sandbox.cgroup.place.layout, Layout::V2(_));
    (shares && v2).then(|| "linux.namespaces".to_owned())
}

pub fn file_systems(scene: &Scene, findings: &mut Vec<Finding>) {
    let known = read("/proc/filesystems");
    for op in &scene.sandbox.mounts {
        let MountWhat::New { fs, .. } = &op.what else { continue };
        let own = fs.split('.').next().unwrap_or_default(); // `fuse.sshfs` is a kind of `fuse`
        if !known.is_empty() && !known.lines().any(|line| line.split_whitespace().next_back() == Some(own)) {
            let text = format!(
                "this kernel has no file system {fs:?} now; where it is a module, it is loaded when it is mounted, or by \
                 `modprobe {own}`"
            );
            findings.push(Finding::warning(format!("mounts[{}].type", op.index), text));
        }
    }
}

/// Where config.json asks for what this controller does.
pub fn place_of_controller(controller: &str) -> String {
    let field = match controller {
        "memory" | "pids" | "rdma" => controller,
        "cpu" | "cpuset" => "cpu",
        "io" | "blkio" => "blockIO",
        "hugetlb" => "hugepageLimits",
        "net_cls" | "net_prio" => "network",
        _ => return "linux.resources".to_owned(),
    };
    format!("linux.resources.{field}")
}

/// On v1 the planning has seen to it: a controller is there when its hierarchy is mounted.
pub fn controllers(scene: &Scene, findings: &mut Vec<Finding>) {
    let cgroup = &scene.sandbox.cgroup;
    match &cgroup.place.layout {
        Layout::V2(spot) => {
            let there = read(spot.mount.join("cgroup.controllers"));
            let mut missing: Vec<&str> = cgroup.settings.iter().map(|setting| setting.controller.as_ref()).collect();
            missing.retain(|name| *name != "cgroup" && !there.split_whitespace().any(|known| known == *name));
            missing.sort_unstable();
            missing.dedup();
            for name in missing {
                let list = there.split_whitespace().collect::<Vec<_>>().join(", ");
                let list = if list.is_empty() { "none" } else { &list };
                let text = format!(
                    "controller {name:?} is not available (this hierarchy has: {list}): leave the limit out, or see whether \
                     cgroup v1 holds the controller, or the boot parameter cgroup_disable"
                );
                findings.push(Finding::error(place_of_controller(name), text));
            }
        }
        Layout::V1 { hierarchies, .. } => {
            let limit = cgroup.settings.iter().find(|setting| setting.file.starts_with("memory.memsw"));
            let memory = hierarchies.iter().find(|h| h.controllers.iter().any(|name| name == "memory"));
            let (Some(setting), Some(memory)) = (limit.filter(|s| s.if_missing == IfMissing::Fail), memory) else {
                return;
            };
            if !memory.spot.mount.join(setting.file.as_ref()).exists() {
                let text = "the kernel does not count swap; boot it with swapaccount=1, or leave the limit out";
                findings.push(Finding::error("linux.resources.memory.swap", text));
            }
        }
        Layout::Missing => {}
    }
}

/// SECCOMP_RET_*, <linux/seccomp.h>, and the kernel's words for them.
const ACTIONS: [(u32, &str); 8] = [
    (0x8000_0000, "kill_process"),
    (0x0000_0000, "kill_thread"),
    (0x0003_0000, "trap"),
    (0x0005_0000, "errno"),
    (0x7fc0_0000, "user_notif"),
    (0x7ff0_0000, "trace"),
    (0x7ffc_0000, "log"),
    (0x7fff_0000, "allow"),
];

/// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, <linux/seccomp.h>.
const WAIT_KILLABLE: u32 = 1 << 5;

/// BPF_RET | BPF_K, <linux/bpf_common.h>.
const RETURN: u16 = 0x06;

pub fn seccomp(scene: &Scene, findings: &mut Vec<Finding>) {
    let Some(program) = &scene.plan.process.seccomp else { return };
    let available = read("/proc/sys/kernel/seccomp/actions_avail");
    if available.is_empty() {
        if !Path::new("/proc/sys/kernel/seccomp").exists() {
            let text = "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER): leave the profile out";
            findings.push(Finding::error("linux.seccomp", text));
        }
        return;
    }
    for (value, name) in ACTIONS {
        // The action is the upper half of what an instruction returns.
        let used = program.instructions.iter().any(|i| i.code == RETURN && i.k & 0xffff_0000 == value);
        if used && !available.split_whitespace().any(|known| known == name) {
            let text = format!("this kernel has no action {name} (it has: {}): use another one", available.trim());
            findings.push(Finding::error("linux.seccomp", text));
        }
    }
}

/// user_namespaces(7), EPERM of clone(2).
pub fn chroot(scene: &Scene, findings: &mut Vec<Finding>) {
    if scene.sandbox.namespaces.makes(libc::CLONE_NEWUSER) && chroot::is_ours() {
        let text = "this process runs in a chroot, for which the kernel makes no user namespace: start rruntime outside of \
                    the chroot, make the directory the root with pivot_root(8), or leave the user namespace out";
        findings.push(Finding::error(place_of_namespace(scene, libc::CLONE_NEWUSER), text));
    }
}

/// Linux before nullfs cannot pivot away from an initramfs: there it is the one mount that has no parent but itself.
pub fn initramfs(scene: &Scene, findings: &mut Vec<Finding>) {
    let table = mountinfo::table().and_then(mountinfo::read).unwrap_or_default(); // `files::procfs` says why not
    let is_initramfs = |line: MountLine| line.fs == "rootfs" && line.at == Path::new("/") && line.id == line.parent;
    let rootfs = &scene.sandbox.rootfs;
    if rootfs.change == RootChange::Pivot && table.lines().filter_map(MountLine::parse).any(is_initramfs) {
        if rootfs.movable == Movable::No {
            let text = format!("this host runs from its initramfs, which pivot_root cannot leave, and {NOT_MOVABLE}");
            findings.push(Finding::error("linux.namespaces", text));
            return;
        }
        if rootfs.propagation & flag::MS_PRIVATE != 0 {
            let text = "private does not go together with an initramfs, which pivot_root cannot leave: leave it out";
            findings.push(Finding::error("linux.rootfsPropagation", text));
            return;
        }
        let text = "this host runs from its initramfs, which pivot_root cannot leave on most kernels: `run` then moves the root \
                    filesystem over \"/\", as with --no-pivot; a host that has left it with switch_root needs none of that";
        findings.push(Finding::warning("root.path", text));
    }
}

pub fn namespaces(scene: &Scene, findings: &mut Vec<Finding>) {
    for (_, word, bit) in KINDS.iter().filter(|(.., bit)| scene.sandbox.namespaces.makes(*bit)) {
        let name = proc_name(*bit);
        let place = || place_of_namespace(scene, *bit);
        if machine::kind(Path::new(&format!("/proc/self/ns/{name}"))).is_err_and(machine::is_absent) {
            let text = format!("this kernel has no {word} namespaces: leave it out");
            findings.push(Finding::error(place(), text));
        } else if machine::number(&format!("/proc/sys/user/max_{name}_namespaces")) == Some(0) {
            let text =
                format!("no {word} namespace may be made here: raise the sysctl user.max_{name}_namespaces above 0");
            findings.push(Finding::error(place(), text));
        }
    }
}
