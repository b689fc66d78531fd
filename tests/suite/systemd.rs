//! `--systemd-cgroup` and `--cgroup-manager`: systemd makes the container's cgroup, or nobody does.
//!
//! systemd is played by the test (`harness::systemd`); integration/vm/systemd.sh has the real one.

use crate::harness::host::{Layout, controller, layout};
use crate::harness::systemd::{Mood, Systemd, directories};
use crate::harness::{Bundle, Container, Invocation, Output, eventually, read};
use crate::needs;
use nix::sys::signal::Signal;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A bundle whose scope is `NAME-a.scope` in the root slice, and a systemd to make it.
fn bundle(mood: Mood) -> (Bundle, Systemd) {
    let bundle = Bundle::busybox();
    let systemd = Systemd::listen(bundle.home(), mood);
    let path = format!("-.slice:{}:a", prefix(&bundle));
    (bundle.set("/linux/cgroupsPath", path), systemd)
}

fn prefix(bundle: &Bundle) -> String {
    bundle.id().trim_end_matches("-a").to_owned()
}

fn unit(bundle: &Bundle) -> String {
    format!("{}-a.scope", prefix(bundle))
}

fn with(systemd: &Systemd, invocation: Invocation) -> Invocation {
    invocation.env("DBUS_SYSTEM_BUS_ADDRESS", &systemd.address())
}

/// `--systemd-cgroup create`.
fn create(bundle: &Bundle, systemd: &Systemd) -> Output {
    bundle.write();
    with(systemd, bundle.global_invocation(&["--systemd-cgroup"], "create")).output()
}

/// Waits until the scope has a process in it.
fn has_made(unit: &str) {
    let populated = |dir: &PathBuf| !read(dir.join("cgroup.procs")).is_empty();
    eventually("the scope", || directories(unit).iter().all(populated));
}

fn does(container: &Container, systemd: &Systemd, args: &[&str]) -> Output {
    with(systemd, container.runtime(args.iter().copied())).output()
}

fn delete(container: &Container, systemd: &Systemd) {
    does(container, systemd, &["delete", "--force", container.id()]).ok();
}

#[test]
fn systemd_makes_the_scope_around_the_first_process() {
    needs!(root);
    let (bundle, systemd) = bundle(Mood::Helpful);
    let limited = controller("pids").is_some() && controller("memory").is_some();
    let bundle = match limited {
        true => bundle
            .set("/linux/resources/pids", json!({"limit": 50}))
            .set("/linux/resources/memory", json!({"limit": 64 << 20})),
        false => bundle,
    };
    let bundle = bundle
        .set("/annotations/org.systemd.property.TimeoutStopSec", "5")
        .set("/annotations/org.systemd.property.Wants", "['a.service', 'b.service']");
    create(&bundle, &systemd).ok();
    let container = bundle.handle();
    let (unit, pid) = (unit(&bundle), container.pid());
    let heard = systemd.heard();
    let [start] = &heard[..] else { panic!("{heard:?}") };
    assert!(start.starts_with(&format!("StartTransientUnit {unit} fail [Description=")), "{start}");
    for property in [
        "Slice=-.slice, ",
        "Delegate=true, ",
        "DefaultDependencies=false, ",
        "MemoryAccounting=true, ",
        "TimeoutStopUSec=5000000, ",
        "Wants=[a.service, b.service], ",
        &format!("PIDs=[{pid}]]"),
    ] {
        assert!(start.contains(property), "{property}: {start}");
    }
    let memory = if layout() == Layout::V1 { "MemoryLimit" } else { "MemoryMax" };
    let told = start.contains(&format!("{memory}=67108864, ")) && start.contains("TasksMax=50, ");
    assert_eq!(told, limited, "{start}");
    let own = read(container.proc("cgroup"));
    assert!(own.lines().filter(|line| line.ends_with(&format!("/{unit}"))).count() >= 1, "{own}");
    does(&container, &systemd, &["start", container.id()]).ok();
    assert!(systemd.heard().is_empty(), "start asks systemd for nothing");
    delete(&container, &systemd);
    assert_eq!(systemd.heard(), [format!("StopUnit {unit} replace"), format!("ResetFailedUnit {unit}")]);
    assert!(directories(&unit).iter().all(|dir| !dir.exists()));
}

#[test]
fn device_rules_are_told_where_systemd_keeps_them() {
    needs!(root);
    let (bundle, systemd) = bundle(Mood::Helpful);
    create(&bundle, &systemd).ok();
    let heard = systemd.heard();
    // On v2 a second program would stand beside ours.
    let told = heard[0].contains("DevicePolicy=strict, ") && heard[0].contains("/dev/char/1:3=rwm, ");
    assert_eq!(told, layout() == Layout::V1, "{}", heard[0]);
    assert_eq!(heard[0].contains("Device"), layout() == Layout::V1, "{}", heard[0]);
    delete(&bundle.handle(), &systemd);
}

#[test]
fn what_is_not_asked_for_is_not_asked_of_systemd() {
    needs!(root);
    let (bundle, systemd) = bundle(Mood::Helpful);
    let path = format!("/{}", bundle.id());
    let bundle = bundle.set("/linux/cgroupsPath", path);
    bundle.write();
    with(&systemd, bundle.invocation("create")).output().ok();
    let container = bundle.handle();
    delete(&container, &systemd);
    assert!(systemd.heard().is_empty());
}

#[test]
fn limits_hold_in_the_scope_and_are_updated_there_and_with_systemd() {
    needs!(root);
    needs!(controller "pids");
    let (bundle, systemd) = bundle(Mood::Helpful);
    let bundle = bundle.set("/linux/resources/pids", json!({"limit": 50}));
    create(&bundle, &systemd).ok();
    let container = bundle.handle();
    let file = controller("pids").unwrap().join(unit(&bundle)).join("pids.max");
    assert_eq!(read(&file), "50\n");
    systemd.heard();
    does(&container, &systemd, &["update", "--pids-limit", "60", container.id()]).ok();
    assert_eq!(systemd.heard(), [format!("SetUnitProperties {} true [TasksMax=60]", unit(&bundle))]);
    assert_eq!(read(&file), "60\n");
    delete(&container, &systemd);
}

#[test]
fn exec_kill_and_pause_find_the_scope() {
    needs!(root);
    let (bundle, systemd) = bundle(Mood::Helpful);
    create(&bundle, &systemd).ok();
    let container = bundle.handle();
    does(&container, &systemd, &["start", container.id()]).ok();
    let shown = does(&container, &systemd, &["exec", container.id(), "cat", "/proc/self/cgroup"]).ok().stdout;
    let own = does(&container, &systemd, &["exec", container.id(), "cat", "/proc/1/cgroup"]).ok().stdout;
    assert_eq!(shown, own);
    does(&container, &systemd, &["pause", container.id()]).ok();
    assert_eq!(container.status(), "paused");
    does(&container, &systemd, &["resume", container.id()]).ok();
    does(&container, &systemd, &["kill", "--all", container.id(), "KILL"]).ok();
    container.reaches("stopped");
    delete(&container, &systemd);
}

#[test]
fn a_property_that_systemd_does_not_know_is_left_out_unless_a_person_asked_for_it() {
    needs!(root);
    let (bundle, systemd) = bundle(Mood::Without("CollectMode"));
    create(&bundle, &systemd).ok();
    let container = bundle.handle();
    let heard = systemd.heard();
    assert!(heard.len() == 2 && heard[0].contains("CollectMode") && !heard[1].contains("CollectMode"), "{heard:?}");
    delete(&container, &systemd);
    let bundle = bundle.set("/annotations/org.systemd.property.CollectMode", "'inactive'");
    create(&bundle, &systemd).refused("Cannot set property CollectMode, or unknown property");
    bundle.assert_nothing_left();
}

#[test]
fn a_scope_that_cannot_be_started_leaves_nothing() {
    needs!(root);
    for (mood, why) in [
        (Mood::Failing, "the job ended with \"failed\""),
        (Mood::Occupied, "a unit of that name runs already"),
        (Mood::Dying, "the connection was closed"),
    ] {
        let (bundle, systemd) = bundle(mood);
        create(&bundle, &systemd).refused(why);
        let stopped = systemd.heard().iter().any(|call| call.starts_with("StopUnit"));
        assert_eq!(stopped, mood != Mood::Occupied, "another's unit is left alone, ours is stopped: {why}");
        bundle.assert_nothing_left();
    }
}

#[test]
fn whoever_waits_for_systemd_can_be_asked_to_end() {
    needs!(root);
    let (bundle, systemd) = bundle(Mood::Silent);
    let process = with(&systemd, bundle.global_invocation(&["--systemd-cgroup"], "create")).spawn();
    has_made(&unit(&bundle));
    process.signal(Signal::SIGTERM);
    process.wait().failed(128 + 15, "interrupted by SIGTERM");
    assert!(systemd.heard().iter().any(|call| call.starts_with("StopUnit")));
    bundle.assert_nothing_left();
}

#[test]
fn what_a_killed_creator_left_with_systemd_is_deleted() {
    needs!(root);
    let (bundle, systemd) = bundle(Mood::Silent);
    let process = with(&systemd, bundle.global_invocation(&["--systemd-cgroup"], "create")).spawn();
    has_made(&unit(&bundle));
    process.signal(Signal::SIGKILL);
    process.wait();
    systemd.heard();
    delete(&bundle.handle(), &systemd);
    assert!(systemd.heard().iter().any(|call| call.starts_with("StopUnit")));
    bundle.assert_nothing_left();
}

#[test]
fn the_processes_may_live_one_cgroup_below() {
    needs!(root);
    needs!(v2);
    let (bundle, systemd) = bundle(Mood::Helpful);
    let bundle = bundle.set("/annotations/run.oci.systemd.subgroup", "container");
    let limited = controller("pids").is_some();
    let bundle = if limited { bundle.limit_pids(50) } else { bundle };
    create(&bundle, &systemd).ok();
    let container = bundle.handle();
    let dir = Path::new("/sys/fs/cgroup").join(unit(&bundle)).join("container");
    assert_eq!(read(dir.join("cgroup.procs")).trim(), container.pid().to_string());
    if limited {
        assert_eq!(read(dir.join("pids.max")), "50\n");
    }
    std::fs::remove_file(bundle.home().join("bus")).unwrap();
    does(&container, &systemd, &["delete", "--force", container.id()]).refused("/bus: connect: ");
    // Nobody else stops the scope of a systemd that is gone: then the next delete has less to do.
    does(&container, &systemd, &["delete", "--force", container.id()]).ok();
}

#[test]
fn a_scope_can_be_handed_over_below() {
    needs!(root);
    needs!(v2);
    let (bundle, systemd) = bundle(Mood::Helpful);
    let bundle = bundle.set("/annotations/run.oci.delegate-cgroup", "payload").user(77, 77);
    create(&bundle, &systemd).ok();
    let container = bundle.handle();
    let scope = Path::new("/sys/fs/cgroup").join(unit(&bundle));
    let owner = |dir: &Path| std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(dir).unwrap());
    assert_eq!(read(scope.join("payload/cgroup.procs")).trim(), container.pid().to_string());
    assert_eq!((owner(&scope), owner(&scope.join("payload"))), (0, 77));
    delete(&container, &systemd);
    assert!(!scope.exists());
}

#[test]
fn without_systemd_the_refusal_says_what_to_do() {
    needs!(root);
    let bundle = Bundle::busybox().unset("/linux/cgroupsPath");
    bundle.write();
    let invocation = bundle.global_invocation(&["--systemd-cgroup"], "create");
    let failed =
        invocation.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus").output().refused("--systemd-cgroup");
    assert!(failed.stderr.contains("/nonexistent/bus: connect: no such file or directory (ENOENT)"), "{failed:?}");
    bundle.assert_nothing_left();
}

#[test]
fn a_path_that_is_no_scope_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox();
    bundle.write();
    for options in [&["--systemd-cgroup"][..], &["--cgroup-manager=systemd"], &["--cgroup-manager", "systemd"]] {
        let said = bundle.global_invocation(options, "create").output();
        said.refused("config.json: linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\"");
    }
    bundle.assert_nothing_left();
}

#[test]
fn the_words_for_the_manager_are_checked() {
    let bundle = Bundle::busybox();
    bundle.write();
    let says = |options: &[&str], why: &str| {
        bundle.global_invocation(options, "create").output().refused(why);
    };
    says(&["--cgroup-manager=none"], "is none of cgroupfs, systemd and disabled");
    says(&["--systemd-cgroup", "--cgroup-manager=cgroupfs"], "contradict each other");
}

#[test]
fn a_container_can_do_without_a_cgroup() {
    needs!(root);
    let bundle = Bundle::busybox().set("/linux/cgroupsPath", "").unset("/linux/resources");
    bundle.write();
    bundle.global_invocation(&["--cgroup-manager=disabled"], "create").output().ok();
    let container = bundle.handle();
    assert_eq!(read(container.proc("cgroup")), read("/proc/self/cgroup"));
    container.does("update", ["--pids-limit", "5"]).refused("no cgroup of its own");
    let container = container.start();
    container.exec(["true"]).ok();
    container.end();
    let limited = bundle.set("/linux/resources/pids", json!({"limit": 5}));
    limited.write();
    let said = limited.global_invocation(&["--cgroup-manager=disabled"], "create").output();
    said.refused("limits need a cgroup, and --cgroup-manager disabled asks for none");
}

#[test]
fn a_property_whose_type_is_longer_than_d_bus_can_say_is_refused() {
    needs!(root);
    let (bundle, systemd) = bundle(Mood::Helpful);
    let value = format!("({})", vec!["1"; 254].join(", "));
    let bundle = bundle.set("/annotations/org.systemd.property.Wants", value);
    create(&bundle, &systemd).refused("has a type of 256 letters; D-Bus takes 255");
    bundle.assert_nothing_left();
}
