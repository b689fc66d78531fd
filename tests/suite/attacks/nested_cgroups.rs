//! Cgroups that a container makes below its own: frozen ones, and more of them than a stack or a path has room for.

use super::end_payloads::with;
use crate::harness::host::{self, Layout};
use crate::harness::{Bundle, Container, eventually, read, within};
use crate::needs;
use serde_json::json;
use std::fs;
use std::time::Duration;

/// The container may write its cgroups.
fn writable(bundle: Bundle) -> Bundle {
    let options = json!(["nosuid", "noexec", "nodev", "relatime"]);
    let mount = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options});
    bundle.without_mount("/sys/fs/cgroup").push("/mounts", mount)
}

/// A container that freezes itself in a cgroup below its own, where v1 holds it even against SIGKILL.
fn frozen_below() -> Container {
    let freeze = "cd /sys/fs/cgroup/freezer && mkdir -p x/y && echo 1 > x/y/cgroup.procs && echo asleep && \
                  echo FROZEN > x/y/freezer.state; sleep 600";
    let container = writable(Bundle::busybox()).sh(freeze).start();
    let state = host::controller("freezer").unwrap().join(container.id()).join("x/y/freezer.state");
    eventually("a frozen cgroup", || read(&state).trim() == "FROZEN");
    container
}

/// On a test that fails nothing that is frozen stays.
struct Thaw(String);

impl Drop for Thaw {
    fn drop(&mut self) {
        for dir in host::cgroups(&self.0) {
            let _ = fs::write(dir.join("freezer.state"), "THAWED");
        }
    }
}

#[test]
fn a_process_that_is_frozen_below_its_container_is_killed() {
    needs!(root);
    needs!(v1);
    needs!(controller "freezer");
    for all in [&[][..], &["--all"]] {
        let container = frozen_below();
        let _thaw = Thaw(container.id().to_owned());
        let words = ["kill"].into_iter().chain(all.iter().copied()).chain([container.id(), "KILL"]);
        container.runtime(words).output().ok();
        container.reaches("stopped");
        container.end();
    }
}

#[test]
fn a_container_that_is_frozen_below_its_cgroup_is_deleted_by_force() {
    needs!(root);
    needs!(v1);
    needs!(controller "freezer");
    let container = frozen_below();
    let _thaw = Thaw(container.id().to_owned());
    container.end();
}

#[test]
fn cgroups_that_are_frozen_again_and_again_do_not_keep_a_container() {
    needs!(root);
    needs!(v1);
    needs!(controller "freezer");
    let again = "cd /sys/fs/cgroup/freezer && mkdir x; sleep 600 & echo $! > x/cgroup.procs; echo asleep; \
                 while :; do echo FROZEN > x/freezer.state; done";
    for pid_namespace in [true, false] {
        let bundle = writable(Bundle::busybox()).sh(again);
        let bundle = if pid_namespace { bundle } else { bundle.without_namespace("pid") };
        let container = bundle.start();
        let _thaw = Thaw(container.id().to_owned());
        container.has_said("asleep");
        container.end();
    }
}

/// 600 of them: their path has 6,000 bytes, and the kernel takes 4,096 (PATH_MAX).
#[test]
fn cgroups_nested_deeper_than_any_path_are_removed() {
    needs!(root);
    let top = match host::layout() {
        Layout::V1 => "/sys/fs/cgroup/freezer",
        Layout::V2 => "/sys/fs/cgroup",
    };
    let bundle = writable(with(Bundle::busybox(), &format!("nest {top} 600")));
    let container = bundle.start();
    is_nested(&container);
    container.reaches("stopped");
    container.delete().ok();
    bundle.assert_nothing_left();
}

#[test]
fn processes_in_cgroups_nested_deeper_than_any_path_are_listed_and_killed() {
    needs!(root);
    let top = match host::layout() {
        Layout::V1 => "/sys/fs/cgroup/freezer",
        Layout::V2 => "/sys/fs/cgroup",
    };
    // Without a pid namespace the process that stays is not ended by the end of init.
    let script = format!(
        "cd {top}; n=0; while [ $n -lt 700 ]; do mkdir d && cd d || exit; n=$((n+1)); done; sleep 600 & \
         echo $! > cgroup.procs; echo nested; sleep 600"
    );
    let container = writable(Bundle::busybox()).without_namespace("pid").sh(&script).start();
    is_nested(&container);
    let pids: Vec<i32> =
        serde_json::from_str(&container.runtime(["ps", "--format", "json", container.id()]).output().ok().stdout)
            .expect("pids");
    assert!(!pids.is_empty());
    container.runtime(["kill", "--all", container.id(), "KILL"]).output().ok();
    eventually("their end", || pids.iter().all(|pid| !host::is_alive(*pid)));
    container.end();
}

/// Thousands of cgroups take an emulated machine their time.
#[track_caller]
fn is_nested(container: &Container) {
    assert!(within(Duration::from_secs(120), || container.output().contains("nested")), "{}", container.output());
}
