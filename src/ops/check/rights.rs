//! Looks at our own rights: capabilities, resource limits, the OOM score, the cgroup's directories.

use super::machine::{self, hard_limit};
use super::{Finding, Scene, Whose};
use crate::plan::cgroup::Layout;
use crate::plan::devices::{DeviceKind, Way};
use crate::sys::Errno;
use crate::sys::file::{self, Right};
use crate::sys::process;
use caps::Capability;
use std::path::{Path, PathBuf};

/// What root needs besides CAP_SYS_ADMIN, when, and where config.json asks for it.
type Row = (Capability, fn(&Scene) -> bool, &'static str, &'static str);

/// In a user namespace the child has all of them.
const NEEDED: [Row; 6] = [
    (Capability::CAP_SETGID, |_| true, "process.user", "to set the groups of the program"),
    (Capability::CAP_SETUID, |s| s.plan.process.user.uid != 0, "process.user.uid", "to become that user"),
    (Capability::CAP_SETPCAP, drops, "process.capabilities.bounding", "to take capabilities away"),
    (Capability::CAP_MKNOD, makes_nodes, "linux.devices", "to make device nodes; a bind mount of /dev needs none"),
    (
        Capability::CAP_NET_ADMIN,
        |s| s.sandbox.namespaces.makes(libc::CLONE_NEWNET),
        "linux.namespaces",
        "to bring up the loopback interface of a new network namespace",
    ),
    (
        Capability::CAP_SYS_CHROOT,
        |s| s.sandbox.namespaces.joins(libc::CLONE_NEWNS),
        "linux.namespaces",
        "to join a mount namespace",
    ),
];

fn drops(scene: &Scene) -> bool {
    caps::all().iter().any(|capability| scene.plan.process.capabilities.bounding & capability.bitmask() == 0)
}

fn makes_nodes(scene: &Scene) -> bool {
    scene.sandbox.devices.iter().any(|device| device.way == Way::Make && device.kind != DeviceKind::Fifo)
}

pub fn capabilities(scene: &Scene, findings: &mut Vec<Finding>) {
    if !scene.is_for_root() || scene.whose == Whose::Root || scene.sandbox.namespaces.has(libc::CLONE_NEWUSER) {
        return;
    }
    for (capability, is_needed, place, why) in NEEDED {
        if is_needed(scene) && !scene.holds(capability) {
            let text = format!("this process lacks {capability}, which is needed {why}: run rruntime with it");
            findings.push(Finding::error(place, text));
        }
    }
}

pub fn limits(scene: &Scene, findings: &mut Vec<Finding>) {
    let most_files = machine::number("/proc/sys/fs/nr_open").and_then(|limit| u64::try_from(limit).ok());
    for (index, limit) in scene.plan.process.rlimits.iter().enumerate() {
        let place = || format!("process.rlimits[{index}].hard");
        let (asked, name) = (limit.hard, &limit.name);
        if let Some(most) = most_files.filter(|most| limit.resource == process::OPEN_FILES && asked > *most) {
            let text = format!("{asked} is above the sysctl fs.nr_open ({most}), the highest {name}: lower it");
            findings.push(Finding::error(place(), text));
            continue;
        }
        let own = hard_limit(limit.resource);
        if let Some(own) = own.filter(|own| asked > *own && !scene.holds(Capability::CAP_SYS_RESOURCE)) {
            let said = |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() };
            let text = format!(
                "{} is above this process's own hard limit of {name} ({}), and it has not CAP_SYS_RESOURCE to raise it: lower it",
                said(asked),
                said(own)
            );
            findings.push(Finding::error(place(), text).of_this_user());
        }
    }
}

/// The kernel keeps the lowest value that somebody with the right for it has set, and it is 0 where nobody did. proc_pid_oom_score_adj(5).
pub fn oom_score(scene: &Scene, findings: &mut Vec<Finding>) {
    let (Some(asked), own) = (scene.plan.process.oom_score_adj, machine::number("/proc/self/oom_score_adj")) else {
        return;
    };
    let lowest = own.unwrap_or(0).min(0);
    if i64::from(asked) < lowest && !scene.holds(Capability::CAP_SYS_RESOURCE) {
        let text = format!(
            "{asked} is below {lowest}, and this process has not CAP_SYS_RESOURCE to go there: raise it, or leave it out"
        );
        findings.push(Finding::error("process.oomScoreAdj", text).of_this_user());
    }
}

/// Where nobody asks for limits a user's container stays in the caller's cgroup.
pub fn cgroup(scene: &Scene, findings: &mut Vec<Finding>) {
    let cgroup = &scene.sandbox.cgroup;
    if scene.whose == Whose::Root {
        return;
    }
    let does_without = !scene.is_for_root() && cgroup.settings.is_empty();
    let dirs: Vec<PathBuf> = match &cgroup.place.layout {
        Layout::V2(spot) => vec![spot.full()],
        Layout::V1 { hierarchies, .. } => hierarchies.iter().map(|hierarchy| hierarchy.spot.full()).collect(),
        Layout::Missing => return,
    };
    for dir in dirs {
        let parent = dir.ancestors().find(|dir| dir.is_dir()).unwrap_or(Path::new("/"));
        let Err(error) = file::may(parent, Right::WriteAndSearch) else { continue };
        let shown = parent.display();
        let finding = if error.0 == Errno::EROFS {
            let text = format!("{shown} is mounted read-only, so no cgroup can be made in it: mount it read-write");
            Finding::error("linux.cgroupsPath", text)
        } else if does_without {
            let text = format!(
                "{shown}: {error}: the container gets no cgroup of its own and stays in the caller's, so that it cannot be \
                 paused; a delegated one would do (Delegate=yes, systemd.resource-control(5))"
            );
            Finding::warning("linux.cgroupsPath", text)
        } else {
            let text = format!(
                "limits need a cgroup, and {shown}: {error}: leave them out, or get a cgroup delegated (Delegate=yes, \
                 systemd.resource-control(5))"
            );
            Finding::error("linux.resources", text).of_this_user()
        };
        return findings.push(finding);
    }
}
