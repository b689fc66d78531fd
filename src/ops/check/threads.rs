//! Looks at cgroup v2 where it has processes of its own: which limits a cgroup there can have. cgroups(7), "Thread mode".

use super::kernel::place_of_controller;
use super::machine::read;
use super::{Finding, Scene};
use crate::plan::cgroup::{Layout, Owner};
use std::path::{Path, PathBuf};

/// The controllers that a threaded cgroup can have. What has the name "cgroup" is no controller.
const THREADED: [&str; 5] = ["cpu", "cpuset", "pids", "perf_event", "cgroup"];

/// Can the cgroups above the container's pass on the controllers of its limits?
pub fn limits(scene: &Scene, findings: &mut Vec<Finding>) {
    let cgroup = &scene.sandbox.cgroup;
    let Layout::V2(spot) = &cgroup.place.layout else { return };
    if cgroup.place.owner != Owner::Us || cgroup.settings.is_empty() {
        return; // systemd keeps its processes below
    }
    let own = spot.full();
    let above = own.ancestors().skip(1).take_while(|dir| dir.starts_with(&spot.mount)).map(Path::to_owned);
    let above: Vec<PathBuf> = above.filter(|dir| dir.is_dir()).collect();
    let mut asked: Vec<&str> = cgroup.settings.iter().map(|setting| setting.controller.as_ref()).collect();
    asked.sort_unstable();
    asked.dedup();
    for controller in asked {
        let Some(why) = above.iter().find_map(|dir| obstacle(dir, controller)) else { continue };
        let text = format!(
            "{why}: move its processes into a cgroup below it, leave the limit out, or choose another linux.cgroupsPath"
        );
        findings.push(Finding::error(place_of_controller(controller), text));
    }
}

/// What keeps this cgroup from passing the controller on.
fn obstacle(dir: &Path, controller: &str) -> Option<String> {
    let kind = read(dir.join("cgroup.type"));
    let passes_on = read(dir.join("cgroup.subtree_control"));
    let passes_on: Vec<&str> = passes_on.split_whitespace().collect();
    if kind.is_empty() || passes_on.contains(&controller) {
        return None; // passed on already, or the top of the hierarchy, which has no cgroup.type
    }
    let (at, is_threaded) = (dir.display(), kind.trim() != "domain");
    let has_processes = || !read(dir.join("cgroup.procs")).is_empty();
    let is_domain_controller = !THREADED.contains(&controller);
    if is_domain_controller && (is_threaded || has_processes()) {
        let why = if is_threaded { "is threaded" } else { "has processes of its own" };
        return Some(format!(
            "{at} {why}, where only cpu, cpuset, pids and perf_event can be limited below it, and not {controller}"
        ));
    }
    let domains_run = !is_domain_controller && !is_threaded && has_processes() && has_populated_domain(dir);
    domains_run.then(|| format!("{at} has processes of its own, and so has a cgroup below it that is not threaded"))
}

fn has_populated_domain(dir: &Path) -> bool {
    let below = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    below.into_iter().any(|dir| {
        read(dir.join("cgroup.type")).trim() == "domain" && read(dir.join("cgroup.events")).contains("populated 1")
    })
}
