//! Cgroups: where a container is placed and when, who joins it, and that it goes away.

use crate::harness::host::{self, Layout};
use crate::harness::{Bundle, Container, eventually, read};
use crate::needs;
use std::fs;
use std::path::PathBuf;

/// The container's directories, in every hierarchy.
fn directories(container: &Container) -> Vec<PathBuf> {
    let found = host::cgroups(container.id());
    assert!(!found.is_empty(), "the container has no cgroup");
    found
}

/// The lines of /proc/PID/cgroup for the hierarchies of the layout under test.
fn membership(pid: &str) -> Vec<String> {
    let text = read(format!("/proc/{pid}/cgroup"));
    let counts = |line: &&str| host::layout() == Layout::V1 || line.starts_with("0::");
    text.lines().filter(counts).map(str::to_owned).collect()
}

#[test]
fn init_is_in_the_configured_cgroup_of_every_hierarchy() {
    needs!(root);
    let bundle = Bundle::busybox();
    let container = bundle.start();
    for dir in directories(&container) {
        assert_eq!(read(dir.join("cgroup.procs")).trim(), container.pid().to_string(), "{}", dir.display());
    }
    let path = format!("/{}", container.id());
    for line in membership(&container.pid().to_string()) {
        assert!(line.ends_with(&path), "{line}");
    }
}

#[test]
fn the_payload_can_read_its_cgroup_whatever_the_umask_of_the_caller() {
    needs!(root);
    let script = "cat $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs | head -1)";
    let bundle = Bundle::busybox().namespace("cgroup").mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]);
    let bundle = bundle.user(1234, 1234).sh(script);
    for umask in ["umask 022", "umask 077"] {
        let output = bundle.write().invocation("run").after_shell(umask).output().ok();
        assert!(output.stdout.lines().any(|pid| pid == "1"), "{umask}: {output:?}");
    }
}

#[test]
fn a_start_that_fails_leaves_no_controller_enabled() {
    needs!(root);
    needs!(v2);
    needs!(controller "hugetlb");
    let limit = serde_json::json!([{"pageSize": "2MB", "limit": 4_194_304}]);
    let bundle = Bundle::busybox().set("/linux/resources/hugepageLimits", limit).args(["/no/such/program"]);
    let parent = PathBuf::from(format!("/sys/fs/cgroup/{}-parent", bundle.id()));
    let path = format!("/{}-parent/child", bundle.id());
    let bundle = bundle.set("/linux/cgroupsPath", path);
    let passed_on = || read(parent.join("cgroup.subtree_control"));
    fs::create_dir(&parent).unwrap();
    bundle.run().refused("/no/such/program");
    assert_eq!((passed_on().trim(), parent.join("child").exists()), ("", false));
    // Another cgroup there may have a limit by now.
    fs::create_dir(parent.join("other")).unwrap();
    bundle.run().refused("/no/such/program");
    assert_eq!((passed_on().trim(), parent.join("child").exists()), ("hugetlb", false));
    fs::remove_dir(parent.join("other")).unwrap();
    fs::remove_dir(&parent).unwrap();
}

#[test]
fn a_nested_cgroup_path_is_made_and_removed() {
    needs!(root);
    let bundle = Bundle::busybox();
    let path = format!("/{}-parent/child", bundle.id());
    let bundle = bundle.set("/linux/cgroupsPath", path.as_str());
    let container = bundle.start();
    assert!(membership(&container.pid().to_string()).iter().all(|line| line.ends_with(&path)));
    container.delete_by_force().ok();
    for dir in host::cgroups(bundle.id()) {
        assert!(!dir.ends_with("child"), "{} was left", dir.display());
        // The parent was not there before, but it is not the container's own either.
        fs::remove_dir(dir).unwrap();
    }
}

#[test]
fn a_container_without_a_cgroup_path_gets_one_of_its_own() {
    needs!(root);
    let container = Bundle::busybox().unset("/linux/cgroupsPath").start();
    let (its, mine) = (membership(&container.pid().to_string()), membership("self"));
    assert!(its.iter().any(|line| line.contains(container.id())), "{its:?} beside {mine:?}");
}

#[test]
fn a_path_that_climbs_out_of_the_hierarchy_does_not() {
    needs!(root);
    let bundle = Bundle::busybox();
    let path = format!("/../../../../..{}/{}", bundle.home().display(), bundle.id());
    let bundle = bundle.set("/linux/cgroupsPath", path.as_str());
    let container = bundle.handle();
    bundle.try_create();
    assert!(!bundle.home().join(bundle.id()).exists(), "a directory was made outside the cgroup file system");
    drop(container);
    // Wherever the path led inside the hierarchy, it is cleaned up as far as it is the container's.
    for root in fs::read_dir("/sys/fs/cgroup").unwrap().flatten().map(|it| it.path()).chain(["/sys/fs/cgroup".into()]) {
        let mut dir = root.join(bundle.home().strip_prefix("/").unwrap());
        while dir != root && dir.is_dir() && fs::remove_dir(&dir).is_ok() {
            dir.pop();
        }
    }
}

#[test]
fn exec_joins_the_containers_cgroup() {
    needs!(root);
    let container = Bundle::busybox().start();
    let [init, exec] = ["1", "self"].map(|who| container.exec(["cat", &format!("/proc/{who}/cgroup")]).ok().stdout);
    assert_eq!(init, exec);
}

#[test]
fn children_of_the_payload_are_counted() {
    needs!(root);
    let container = Bundle::busybox().sh("sleep 600 & sleep 600 & echo ready; wait").start();
    container.has_said("ready");
    for dir in directories(&container) {
        assert_eq!(read(dir.join("cgroup.procs")).lines().count(), 3, "{}", dir.display());
    }
}

#[test]
fn the_cgroup_is_gone_after_delete() {
    needs!(root);
    let container = Bundle::busybox().start();
    directories(&container);
    container.end();
}

#[test]
fn sub_cgroups_of_the_payload_are_removed_with_it() {
    needs!(root);
    let container = Bundle::busybox().sh("sleep 600 & echo $!; wait").start();
    container.has_said("\n");
    for dir in directories(&container) {
        fs::create_dir_all(dir.join("deep/deeper")).unwrap();
    }
    container.end();
}

#[test]
fn a_cgroup_removed_behind_the_runtimes_back_is_no_obstacle() {
    needs!(root);
    let container = Bundle::busybox().start();
    let pid = container.pid();
    for dir in directories(&container) {
        fs::write(dir.parent().unwrap().join("cgroup.procs"), pid.to_string()).unwrap();
        eventually("the cgroup to be removable", || fs::remove_dir(&dir).is_ok());
    }
    assert_eq!(container.status(), "running");
    container.end();
    assert!(!host::is_alive(pid));
}

/// Its name is free once its processes have been moved away and it has been removed.
#[test]
fn a_cgroup_of_the_same_name_that_somebody_made_later_is_left_alone() {
    needs!(root);
    let bundle = Bundle::busybox().without_namespace("pid");
    let container = bundle.start();
    let mut stranger = bundle.command(["sleep", "600"]).spawn();
    let dirs = directories(&container);
    for dir in &dirs {
        fs::write(dir.parent().unwrap().join("cgroup.procs"), container.pid().to_string()).unwrap();
        eventually("the cgroup to be removable", || fs::remove_dir(dir).is_ok());
        fs::create_dir(dir).unwrap();
        for file in ["cpuset.cpus", "cpuset.mems"].iter().filter(|file| dir.join(file).exists()) {
            fs::write(dir.join(file), read(dir.parent().unwrap().join(file))).unwrap(); // v1: else it takes nobody
        }
        fs::write(dir.join("cgroup.procs"), stranger.pid().to_string()).unwrap();
    }
    let paused = container.does("pause", []);
    assert_eq!(paused.code, 1, "{paused:?}");
    let deleted = container.delete_by_force().ok();
    assert!(deleted.stderr.contains("is not the one that was made for the container"), "{deleted:?}");
    assert!(!stranger.is_over() && dirs.iter().all(|dir| dir.exists()));
    stranger.signal(nix::sys::signal::Signal::SIGKILL);
    stranger.wait();
    for dir in &dirs {
        eventually("the stranger's cgroup to be removable", || fs::remove_dir(dir).is_ok());
    }
    bundle.assert_nothing_left();
}

#[test]
fn whoever_outlives_init_without_a_pid_namespace_is_killed() {
    needs!(root);
    let bundle = Bundle::busybox().without_namespace("pid").sh("setsid sleep 600 & exec sleep 600");
    let container = bundle.start();
    eventually("two processes", || {
        directories(&container).iter().all(|dir| read(dir.join("cgroup.procs")).lines().count() == 2)
    });
    container.delete_by_force().ok();
    bundle.assert_nothing_left();
}

#[test]
fn a_cgroup_with_foreign_processes_is_refused() {
    needs!(root);
    let first = Bundle::busybox().start();
    let intruder = Bundle::busybox().set("/linux/cgroupsPath", format!("/{}", first.id()));
    assert_eq!(intruder.try_create().code, 1);
    assert_eq!(first.status(), "running");
}

#[test]
fn devices_beyond_the_rules_are_denied_to_the_whole_cgroup() {
    needs!(root);
    needs!(v2);
    // Device rules of v2 are a program on the cgroup, so they also hold for whoever joins later.
    let container = Bundle::busybox().grant(&["CAP_MKNOD"]).start();
    let output = container.exec(["sh", "-c", "mknod /tmp/mem c 1 1 && (exec 3</tmp/mem) 2>/dev/null || echo denied"]);
    assert_eq!(output.ok().stdout, "denied\n");
}
