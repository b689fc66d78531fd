//! An init whose first thread has ended (pthread_exit in `main`): /proc calls it a zombie, and it runs.

use super::end_payloads::with;
use crate::harness::{Bundle, Container, eventually, host, read};
use crate::needs;
use serde_json::json;

fn without_first_thread() -> Bundle {
    with(Bundle::busybox(), "end-the-first-thread")
}

/// Waits until the first thread has ended, and goes on only if another one runs.
#[track_caller]
fn lives_without_first_thread(pid: i32) {
    eventually("the end of the first thread", || read(format!("/proc/{pid}/status")).contains("State:\tZ"));
    assert!(is_there(pid), "the process has ended altogether");
}

/// Has the process a thread that has not ended?
fn is_there(pid: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.map(|it| read(it.path().join("status"))).any(|it| !it.is_empty() && !it.contains("State:\tZ"))
}

/// Every verb treats it as what it is: a container that runs.
#[track_caller]
fn is_treated_as_running(container: &Container) -> i32 {
    container.has_said("alive");
    let pid = i32::try_from(json_of(container)["pid"].as_i64().expect("a pid")).expect("a pid");
    lives_without_first_thread(pid);
    assert_eq!(container.status(), "running");
    assert_eq!(
        container.runtime(["ps", "--format", "json", container.id()]).output().ok().stdout.trim(),
        format!("[{pid}]")
    );
    let listed = container.runtime(["list", "--format", "json"]).output().ok().stdout;
    assert!(listed.contains("\"running\""), "{listed}");
    assert!(container.does("events", ["--stats"]).ok().stdout.contains("\"stats\""));
    container.delete().refused("that is not stopped");
    assert_eq!(container.exec(["cat", "/proc/1/comm"]).ok().stdout.trim(), "probe");
    container.kill("USR1").ok();
    container.has_said("heard the signal");
    pid
}

/// The state, read before the first thread ends or after.
fn json_of(container: &Container) -> serde_json::Value {
    let text = std::fs::read(container.state_directory().join("state.json")).expect("the record");
    let record: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    json!({"pid": record["init"]["pid"]})
}

#[test]
fn a_container_whose_first_thread_has_ended_runs_until_it_is_killed() {
    needs!(root);
    let container = without_first_thread().start();
    let pid = is_treated_as_running(&container);
    container.kill("KILL").ok();
    container.reaches("stopped");
    assert!(!is_there(pid));
    container.delete().ok();
}

#[test]
fn a_container_whose_first_thread_has_ended_can_be_paused() {
    needs!(root);
    needs!(controller "freezer");
    let container = without_first_thread().start();
    container.has_said("alive");
    lives_without_first_thread(container.pid());
    container.does("pause", []).ok();
    assert_eq!(container.status(), "paused");
    container.does("resume", []).ok();
    assert_eq!(container.status(), "running");
    container.does("pause", []).ok();
    container.kill("KILL").ok();
    container.reaches("stopped");
}

#[test]
fn delete_by_force_ends_a_container_whose_first_thread_has_ended() {
    needs!(root);
    let container = without_first_thread().start();
    container.has_said("alive");
    let pid = i32::try_from(json_of(&container)["pid"].as_i64().unwrap()).unwrap();
    lives_without_first_thread(pid);
    container.end();
    assert!(!is_there(pid));
}

#[test]
fn a_container_without_a_cgroup_whose_first_thread_has_ended_is_killed_too() {
    needs!(root);
    let bundle = without_first_thread().unset("/linux/resources").unset("/linux/cgroupsPath");
    bundle.global_invocation(&["--cgroup-manager=disabled"], "create").output().ok();
    let container = bundle.handle();
    container.does("start", []).ok();
    let pid = i32::try_from(json_of(&container)["pid"].as_i64().unwrap()).unwrap();
    lives_without_first_thread(pid);
    assert_eq!(container.status(), "running");
    assert_eq!(
        container.runtime(["ps", "--format", "json", container.id()]).output().ok().stdout.trim(),
        format!("[{pid}]")
    );
    container.exec(["true"]).ok();
    container.end();
    assert!(!is_there(pid));
}

#[test]
fn exec_enters_a_container_whose_first_thread_has_ended_on_a_kernel_without_pidfds_of_threads() {
    needs!(root);
    needs!(program "strace");
    let container = without_first_thread().start();
    container.has_said("alive");
    lives_without_first_thread(container.pid());
    // The first call asks whether there is such a call, the second opens init, the third the thread.
    let old = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=pidfd_open:error=EINVAL:when=3"];
    let output = container.execution([], ["cat", "/proc/1/comm"]).under(old).output().ok();
    assert_eq!(output.stdout.trim(), "probe");
}

#[test]
fn exec_into_a_container_without_a_mount_namespace_finds_the_root_of_another_thread() {
    needs!(root);
    let bundle = without_first_thread().without_namespace("mount");
    let bundle = bundle.unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
    let container = bundle.start();
    container.has_said("alive");
    lives_without_first_thread(container.pid());
    assert!(container.exec(["ls", "/"]).ok().stdout.contains("probe"));
}

#[test]
fn run_waits_for_the_last_thread() {
    needs!(root);
    let bundle = with(Bundle::busybox(), "end-the-first-thread-and-then-the-rest");
    let output = bundle.run();
    assert!(output.code == 7 && output.stdout.contains("done"), "{output:?}");
    bundle.assert_nothing_left();
}

#[test]
fn every_process_of_a_container_is_killed_also_one_whose_first_thread_has_ended() {
    needs!(root);
    // Without a pid namespace the end of init ends no other process.
    let bundle = with(Bundle::busybox(), "start-another-without-a-first-thread").without_namespace("pid");
    let container = bundle.start();
    container.has_said("alive");
    let pids: Vec<i32> =
        serde_json::from_str(&container.runtime(["ps", "--format", "json", container.id()]).output().ok().stdout)
            .expect("pids");
    let other = *pids.iter().find(|pid| **pid != container.pid()).expect("another process");
    lives_without_first_thread(other);
    container.runtime(["kill", "--all", container.id(), "KILL"]).output().ok();
    eventually("the end of the other process", || !is_there(other));
    container.end();
}

#[test]
fn a_process_that_is_on_no_list_of_processes_is_killed() {
    needs!(root);
    needs!(v2);
    let writable = json!(["nosuid", "noexec", "nodev", "relatime"]);
    let bundle = with(Bundle::busybox(), "leave-the-first-thread-in-a-removed-cgroup").without_mount("/sys/fs/cgroup");
    let bundle = bundle
        .push(
            "/mounts",
            json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": writable}),
        )
        .without_namespace("pid");
    let container = bundle.start();
    container.has_said("hidden");
    let pid = container.pid();
    lives_without_first_thread(pid);
    let top = host::controller("freezer").expect("a cgroup").join(container.id());
    assert_eq!(read(top.join("cgroup.procs")), "", "the process is listed, so this test proves nothing");
    assert_eq!(
        container.runtime(["ps", "--format", "json", container.id()]).output().ok().stdout.trim(),
        format!("[{pid}]")
    );
    container.runtime(["kill", "--all", container.id(), "USR1"]).output().ok();
    container.has_said("heard the signal");
    container.runtime(["kill", "--all", container.id(), "KILL"]).output().ok();
    eventually("its end", || !is_there(pid));
    container.end();
}
