//! update: other limits for a container that runs; all of them or none.

use crate::harness::host::{self, Layout};
use crate::harness::{Bundle, Container, Output, read};
use crate::needs;
use serde_json::json;

/// The first of these files that this layout has, as its last line ends.
fn file(container: &Container, controller: &str, v1: &str, v2: &str) -> String {
    let top = host::controller(controller).expect("the controller");
    let name = if host::layout() == Layout::V1 { v1 } else { v2 };
    read(top.join(container.id()).join(name)).trim().to_owned()
}

/// What a file says for `v1` there, and for `v2` there.
fn said(v1: &'static str, v2: &'static str) -> &'static str {
    if host::layout() == Layout::V1 { v1 } else { v2 }
}

/// The memory limit of a container that has none.
fn no_limit() -> &'static str {
    said("9223372036854771712", "max")
}

fn update(container: &Container, args: &[&str]) -> Output {
    let words = [&["update"], args, &[container.id()]].concat();
    container.runtime(words).output()
}

fn update_by_json(container: &Container, resources: &serde_json::Value) -> Output {
    container.runtime(["update", "--resources", "-", container.id()]).stdin(&resources.to_string()).output()
}

#[test]
fn limits_are_changed_by_flags() {
    needs!(root);
    needs!(controller "memory");
    needs!(controller "pids");
    let container = Bundle::busybox().limit_pids(50).start();
    update(&container, &["--memory", "64M", "--memory-swap=128m", "--pids-limit", "33"]).ok();
    assert_eq!(file(&container, "memory", "memory.limit_in_bytes", "memory.max"), "67108864");
    assert_eq!(
        file(&container, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max"),
        said("134217728", "67108864")
    );
    assert_eq!(file(&container, "pids", "pids.max", "pids.max"), "33");
    update(&container, &["--memory", "128M", "--memory-swap", "256M"]).ok(); // beyond the old sum: the order matters
    assert_eq!(file(&container, "memory", "memory.limit_in_bytes", "memory.max"), "134217728");
    update(&container, &["--memory", "-1"]).ok();
    assert_eq!(file(&container, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max"), no_limit());
    assert_eq!(file(&container, "pids", "pids.max", "pids.max"), "33", "what is not said stays");
    update(&container, &["--pids-limit", "0"]).ok(); // a limit, as in config.json
    assert_eq!(file(&container, "pids", "pids.max", "pids.max"), "1");
    update(&container, &["--pids-limit", "-1"]).ok();
    assert_eq!(file(&container, "pids", "pids.max", "pids.max"), "max");
}

#[test]
fn a_period_keeps_the_quota_that_was_there() {
    needs!(root);
    needs!(controller "cpu");
    let container = Bundle::busybox().start();
    update(&container, &["--cpu-quota", "20000"]).ok();
    update(&container, &["--cpu-period", "50000"]).ok();
    assert_eq!(file(&container, "cpu", "cpu.cfs_quota_us", "cpu.max").split(' ').next(), Some("20000"));
    assert!(file(&container, "cpu", "cpu.cfs_period_us", "cpu.max").ends_with("50000"));
}

#[test]
fn limits_are_changed_by_a_document() {
    needs!(root);
    needs!(controller "cpu");
    needs!(controller "cpuset");
    let container = Bundle::busybox().start();
    // As Docker writes it: what it does not mean is zero.
    let document = json!({"memory": {"limit": 0, "reservation": 0, "kernel": 0}, "blockIO": {"weight": 0},
        "cpu": {"shares": 512, "cpus": "0", "mems": ""}, "pids": {"limit": 0}});
    update_by_json(&container, &document).ok();
    assert_eq!(file(&container, "cpu", "cpu.shares", "cpu.weight"), said("512", "59"));
    assert_eq!(file(&container, "cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
}

#[test]
fn an_update_that_fails_half_way_changes_nothing() {
    needs!(root);
    needs!(controller "cpuset");
    needs!(controller "pids");
    let container = Bundle::busybox().limit_pids(50).start();
    let before = file(&container, "cpuset", "cpuset.cpus", "cpuset.cpus");
    let document = json!({"memory": {"limit": 50_000_000}, "pids": {"limit": 44}, "cpu": {"cpus": "4000"}});
    update_by_json(&container, &document).refused("cpuset.cpus");
    assert_eq!(file(&container, "cpuset", "cpuset.cpus", "cpuset.cpus"), before);
    assert_eq!(file(&container, "pids", "pids.max", "pids.max"), "50");
    assert_eq!(file(&container, "memory", "memory.limit_in_bytes", "memory.max"), no_limit());
    update(&container, &["--pids-limit", "45"]).ok(); // and what failed is not remembered
    assert_eq!(file(&container, "memory", "memory.limit_in_bytes", "memory.max"), no_limit());
}

#[test]
fn a_limit_below_what_is_in_use_is_refused() {
    needs!(root);
    needs!(controller "memory");
    // A file of a tmpfs is memory that nobody can take back, without swap.
    let container = Bundle::busybox().mount("/tmp", "tmpfs", "tmpfs", &[]).start();
    update(&container, &["--memory", "64M", "--memory-swap", "64M"]).ok();
    container.exec(["dd", "if=/dev/zero", "of=/tmp/file", "bs=1M", "count=24"]).ok();
    let less = json!({"memory": {"limit": 8 << 20, "swap": 8 << 20, "checkBeforeUpdate": true}});
    update_by_json(&container, &less).refused("unable to set memory limit to 8388608 (current usage: ");
    assert_eq!(file(&container, "memory", "memory.limit_in_bytes", "memory.max"), "67108864");
    assert_eq!(container.status(), "running");
}

#[test]
fn limits_that_cannot_be_kept_are_not_set() {
    needs!(root);
    needs!(controller "pids");
    let container = Bundle::busybox().limit_pids(50).start();
    // Files may have 512 or 1024 bytes: no room for the template, but for the message.
    let no_room =
        container.runtime(["update", "--pids-limit", "60", container.id()]).after_shell("trap '' XFSZ; ulimit -f 1");
    no_room.output().refused("nothing is changed, since it could not be kept: write template.json: ");
    assert_eq!(file(&container, "pids", "pids.max", "pids.max"), "50");
    let left: Vec<_> = std::fs::read_dir(container.state_directory()).unwrap().flatten().collect();
    assert!(!left.iter().any(|file| file.file_name().to_string_lossy().starts_with('.')), "{left:?}");
    assert_eq!(container.exec(["echo", "there"]).ok().stdout, "there\n");
    update(&container, &["--pids-limit", "60"]).ok();
    assert_eq!(file(&container, "pids", "pids.max", "pids.max"), "60");
}

#[test]
fn device_rules_are_changed() {
    needs!(root);
    let open = "(exec 3<> /dev/fuse) 2> /tmp/why && echo open || cat /tmp/why";
    let container = Bundle::busybox()
        .mount("/tmp", "tmpfs", "tmpfs", &[])
        .push("/linux/devices", json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}))
        .start();
    let denied = |container: &Container| container.exec(["sh", "-c", open]).stdout.contains("not permitted");
    assert!(denied(&container));
    update(&container, &["--device-rule", "c 10:229 rw"]).ok();
    assert!(!denied(&container), "allowed, whether there is such a device or not");
    update(&container, &["--device-rule=deny c 10:229 rw"]).ok();
    assert!(denied(&container));
    for rule in [
        "c 10:229",
        "x 10:229 r",
        "c 10 r",
        "c -1:1 r",
        "c +1:3 r",
        "c 4294967295:1 r",
        "c 1:3 x",
        "maybe c 1:3 r",
        "c 4294967296:1 r",
    ] {
        update(&container, &["--device-rule", rule]).refused("--device-rule: ");
    }
}

/// Podman and containerd send the list that they have stored. A wrapper has added to config.json what they do not know.
#[test]
fn the_devices_that_an_engine_sends_take_none_away() {
    needs!(root);
    let allow = json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"});
    let container = Bundle::busybox()
        .mount("/tmp", "tmpfs", "tmpfs", &[])
        .push("/linux/devices", json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}))
        .push("/linux/resources/devices", allow)
        .start();
    let open = "(exec 3<> /dev/fuse) 2> /tmp/why && echo open || cat /tmp/why";
    let denied = |container: &Container| container.exec(["sh", "-c", open]).stdout.contains("not permitted");
    assert!(!denied(&container));
    let mut sent = json!({"devices": [{"allow": false, "access": "rwm"}]});
    if host::controller("pids").is_some() {
        sent["pids"] = json!({"limit": 100});
    }
    let ran =
        container.runtime(["--debug", "update", "--resources", "-", container.id()]).stdin(&sent.to_string()).output();
    assert!(ran.ok().stderr.contains("--device-rule"), "a debug record");
    assert!(!denied(&container));
}

#[test]
fn what_cannot_be_updated_is_refused() {
    needs!(root);
    let container = Bundle::busybox().start();
    update(&container, &[]).refused("nothing to update");
    update(&container, &["--memory", "many"]).refused("--memory \"many\": is not a size");
    update(&container, &["--pids-limit", "x"]).refused("--pids-limit \"x\": is not a number");
    update_by_json(&container, &json!([])).refused("resources: is a list");
    update_by_json(&container, &json!({"memory": {"limit": "x"}}))
        .refused("linux.resources.memory.limit: invalid type");
    container.kill("KILL").ok();
    container.reaches("stopped");
    update(&container, &["--pids-limit", "9"]).refused("container not running");
}

#[test]
fn a_created_and_a_paused_container_are_updated() {
    needs!(root);
    needs!(controller "pids");
    let container = Bundle::busybox().create();
    update(&container, &["--pids-limit", "21"]).ok();
    assert_eq!(file(&container, "pids", "pids.max", "pids.max"), "21");
    let container = container.start();
    container.does("pause", []).ok();
    update(&container, &["--pids-limit", "22"]).ok();
    container.does("resume", []).ok();
    assert_eq!(file(&container, "pids", "pids.max", "pids.max"), "22");
}
