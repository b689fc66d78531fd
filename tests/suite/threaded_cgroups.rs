//! Containers below a cgroup that has processes of its own, as in Docker in Docker: their cgroups are threaded. cgroups(7).

use crate::harness::{Bundle, Container, Invocation, Process, eventually, read};
use crate::needs;
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

/// A cgroup that containers are made below. Dropped, its process is killed, and it is removed.
struct Outer {
    path: PathBuf,
    process: Option<Process>,
}

impl Outer {
    fn make(bundle: &Bundle) -> Outer {
        let path = PathBuf::from(format!("/sys/fs/cgroup/{}-outer", bundle.id()));
        fs::create_dir(&path).unwrap();
        Outer { path, process: None }
    }

    /// "domain threaded", by a threaded cgroup in it, which takes no controller.
    fn with_a_threaded_neighbour(bundle: &Bundle) -> Outer {
        let outer = Outer::make(bundle);
        fs::create_dir(outer.path.join("neighbour")).unwrap();
        fs::write(outer.path.join("neighbour/cgroup.type"), "threaded").unwrap();
        outer
    }

    /// With a process of its own.
    fn with_a_process(bundle: &Bundle) -> Outer {
        let mut outer = Outer::make(bundle);
        let process = bundle.command(["sleep", "600"]).spawn();
        fs::write(outer.path.join("cgroup.procs"), process.pid().to_string()).unwrap();
        outer.process = Some(process);
        outer
    }

    fn place(&self, bundle: Bundle, name: &str) -> Bundle {
        let path = self.path.strip_prefix("/sys/fs/cgroup").unwrap().join(name);
        bundle.set("/linux/cgroupsPath", format!("/{}", path.display()))
    }

    fn says(&self, file: &str) -> String {
        read(self.path.join(file)).trim().to_owned()
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.signal(nix::sys::signal::Signal::SIGKILL);
            process.wait();
        }
        for dir in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(dir.path()); // a file, or a cgroup that a failed test has left
        }
        let end = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while fs::remove_dir(&self.path).is_err() && self.path.exists() && std::time::Instant::now() < end {
            std::thread::sleep(std::time::Duration::from_millis(10)); // until the process is gone
        }
    }
}

fn kind(dir: &Path) -> String {
    read(dir.join("cgroup.type")).trim().to_owned()
}

fn threads(dir: &Path) -> usize {
    read(dir.join("cgroup.threads")).lines().count()
}

/// Every verb that a container meets.
fn leads_its_life(container: &Container, dir: &Path) {
    assert_eq!((kind(dir).as_str(), threads(dir)), ("threaded", 1));
    // What `exec` starts is in it, too.
    assert_eq!(
        container
            .exec(["sh", "-c", "grep 0:: /proc/1/cgroup /proc/self/cgroup | cut -d: -f2- | uniq | wc -l"])
            .ok()
            .stdout,
        "1\n"
    );
    let ask = |words: &[&str]| container.runtime(words.iter().copied()).output().ok().stdout;
    let listed = ask(&["ps", "--format", "json", container.id()]);
    assert_eq!(listed.trim(), format!("[{}]", container.pid()));
    container.does("pause", []).ok();
    assert_eq!((container.status().as_str(), read(dir.join("cgroup.freeze")).trim()), ("paused", "1"));
    container.does("resume", []).ok();
    ask(&["events", "--stats", container.id()]);
    ask(&["kill", "--all", container.id(), "KILL"]);
    eventually("the container to stop", || container.status() == "stopped");
    container.does("delete", []).ok();
    assert!(!dir.exists());
}

#[test]
fn a_container_below_a_threaded_cgroup_leads_its_life() {
    needs!(root);
    needs!(v2);
    let bundle = Bundle::busybox();
    let outer = Outer::with_a_threaded_neighbour(&bundle);
    for place in ["x", "between/x"] {
        let container = outer.place(bundle.twin(&place.replace('/', "")), place).start();
        leads_its_life(&container, &outer.path.join(place));
        let _ = fs::remove_dir(outer.path.join("between")); // a parent that was made stays
    }
}

#[test]
fn an_empty_threaded_cgroup_is_taken() {
    needs!(root);
    needs!(v2);
    let bundle = Bundle::busybox();
    let outer = Outer::with_a_threaded_neighbour(&bundle);
    let container = outer.place(bundle.twin("a"), "neighbour").start();
    leads_its_life(&container, &outer.path.join("neighbour"));
}

#[test]
fn all_processes_of_a_threaded_container_are_killed() {
    needs!(root);
    needs!(v2);
    let bundle = Bundle::busybox();
    let outer = Outer::with_a_threaded_neighbour(&bundle);
    let inside = bundle.twin("a").without_namespace("pid").sh("setsid sleep 600 & exec sleep 600");
    let container = outer.place(inside, "x").start();
    eventually("two processes", || threads(&outer.path.join("x")) == 2);
    let dir = outer.path.join("x");
    container.delete_by_force().ok();
    assert!(!dir.exists());
}

/// As in a container that has a cgroup namespace, and whose processes are where that begins.
fn in_a_cgroup_namespace(invocation: Invocation, outer: &Outer) -> Invocation {
    let script = format!(
        "echo 0 > {}/cgroup.procs && exec unshare --cgroup --mount sh -c \
         'umount -l /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"' sh \"$@\"",
        outer.path.display()
    );
    invocation.under(["sh", "-c", &script, "sh"])
}

#[test]
fn a_container_runs_in_a_cgroup_namespace_whose_root_has_processes() {
    needs!(root);
    needs!(v2);
    let bundle = Bundle::busybox();
    let outer = Outer::with_a_threaded_neighbour(&bundle);
    for path in ["/x", "/between/x"] {
        let inner = bundle.twin(&path.replace('/', "")).set("/linux/cgroupsPath", path).sh("echo it runs");
        let output = in_a_cgroup_namespace(inner.invocation("run"), &outer).output().ok();
        assert_eq!(output.stdout, "it runs\n", "{path}");
        in_a_cgroup_namespace(inner.runtime(["check", inner.dir().to_str().unwrap()]), &outer).output().ok();
        let _ = fs::remove_dir(outer.path.join("between")); // a parent that was made stays
    }
}

#[test]
fn a_limit_that_no_threaded_cgroup_can_have_is_refused() {
    needs!(root);
    needs!(v2);
    needs!(controller "hugetlb");
    let bundle = Bundle::busybox();
    let outer = Outer::with_a_threaded_neighbour(&bundle);
    let limit = json!([{"pageSize": "2MB", "limit": 4_194_304}]);
    let inside = outer.place(bundle.twin("a").set("/linux/resources/hugepageLimits", limit), "x");
    let told = "only cpu, cpuset, pids and perf_event can be limited below it";
    inside.run().refused(told);
    assert!(!outer.path.join("x").exists());
    let check = inside.runtime(["check", inside.dir().to_str().unwrap()]).output();
    assert!(check.code == 1 && check.stdout.contains(told), "{check:?}");
}

#[test]
fn limits_of_cpu_and_pids_hold_in_a_cgroup_that_has_processes() {
    needs!(root);
    needs!(v2);
    needs!(controller "pids");
    needs!(controller "cpu");
    let bundle = Bundle::busybox();
    let outer = Outer::with_a_process(&bundle);
    let limited = |name: &str| {
        let bundle =
            bundle.twin(name).limit_pids(50).set("/linux/resources/cpu", json!({"quota": 50000, "period": 100_000}));
        outer.place(bundle, name)
    };
    let first = limited("a");
    first.write().runtime(["check", first.dir().to_str().unwrap()]).output().ok();
    let container = first.start();
    let dir = outer.path.join("a");
    assert_eq!((outer.says("cgroup.type").as_str(), kind(&dir).as_str()), ("domain threaded", "threaded"));
    assert_eq!((read(dir.join("pids.max")).trim(), read(dir.join("cpu.max")).trim()), ("50", "50000 100000"));
    let update = |option: &str, value: &str| container.runtime(["update", option, value, container.id()]).output();
    update("--pids-limit", "40").ok();
    assert_eq!(read(dir.join("pids.max")).trim(), "40");
    // A second one with a limit, and one without, come while the first one runs.
    limited("b").args(["true"]).run().ok();
    outer.place(bundle.twin("c"), "c").args(["true"]).run().ok();
    update("--memory", "100000000").refused("can be limited below it");
    leads_its_life(&container, &dir);
}

#[test]
fn a_memory_limit_in_a_cgroup_that_has_processes_is_refused_and_spoils_nothing() {
    needs!(root);
    needs!(v2);
    needs!(controller "memory");
    needs!(controller "pids");
    let bundle = Bundle::busybox();
    let outer = Outer::with_a_process(&bundle);
    let limit = json!({"limit": 100_000_000});
    let limited = outer.place(bundle.twin("a").limit_pids(50).set("/linux/resources/memory", limit), "a");
    let check = limited.write().runtime(["check", limited.dir().to_str().unwrap()]).output();
    assert!(check.code == 1 && check.stdout.contains("linux.resources.memory"), "{check:?}");
    limited.args(["true"]).run().refused("controller \"memory\" is not enabled");
    assert_eq!((outer.says("cgroup.type").as_str(), outer.says("cgroup.subtree_control").as_str()), ("domain", ""));
    outer.place(bundle.twin("b"), "b").args(["true"]).run().ok();
    outer.place(bundle.twin("c").limit_pids(50), "c").args(["true"]).run().ok();
}
