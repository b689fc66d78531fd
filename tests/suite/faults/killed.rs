//! Killed at any system call: the runtime, the child on its way, whoever comes in by exec.

use super::recovers;
use crate::harness::trace::{Trace, to_the_end, trace};
use crate::harness::{Bundle, Invocation, effort, eventually, host, read};
use crate::needs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::collections::HashMap;

/// One system call of a process: its name, and how many of that name there were, this one included.
type Point = (String, usize);

fn points(calls: &[String]) -> Vec<Point> {
    let mut counts = HashMap::new();
    let names = calls.iter().filter_map(|line| Some(line.split_once('(')?.0.trim().to_owned()));
    // What waits at the gate (accept4) is over when create is.
    let beyond = |name: &str| matches!(name, "execve" | "accept4");
    let known = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !beyond(name);
    let count = |name: String| {
        let times = counts.entry(name.clone()).or_insert(0);
        *times += 1;
        (name, *times)
    };
    names.filter(known).map(count).collect()
}

/// Runs a command that goes well, and gives its own calls, and those of all its descendants.
fn traced(bundle: &Bundle, invocation: Invocation) -> (Vec<Point>, Vec<Point>) {
    let Trace { own, others } = trace(bundle, invocation);
    (points(&own), others.iter().flat_map(|calls| points(calls)).collect())
}

fn calls_of_start() -> Vec<Point> {
    let container = Bundle::busybox().create();
    traced(&Bundle::busybox(), container.runtime(["start", container.id()])).0
}

/// So many of them, evenly spread; all of them with enough effort.
fn some(points: Vec<Point>, count: usize) -> Vec<Point> {
    let step = (points.len() / (count * effort())).max(1);
    points.into_iter().step_by(step).collect()
}

/// The command, killed there. With `-f` its descendants are killed there, too, each on its own count.
fn killed_at(invocation: Invocation, point: &Point, follow: &str) -> Invocation {
    let fault = format!("inject={}:signal=KILL:when={}", point.0, point.1);
    let invocation = invocation.under(["-qq", "-o", "/dev/null", "-e", &fault]);
    if follow.is_empty() { invocation.under(["strace"]) } else { invocation.under(["strace", follow]) }
}

fn create_survives_kill(share: usize) {
    let first = Bundle::busybox();
    let (own, _) = traced(&first, first.invocation("create"));
    let mut killed = 0;
    for point in some(own, 40).into_iter().skip(share).step_by(2) {
        let bundle = Bundle::busybox();
        let (_container, output) = bundle.create_by(|create| killed_at(create, &point, ""));
        killed += usize::from(output.code == 137);
        recovers(&bundle, &format!("{point:?}"));
    }
    assert!(killed > 5, "the faults hardly ever struck");
}

#[test]
fn a_runtime_killed_in_mid_create_leaves_what_delete_by_force_removes() {
    needs!(root);
    needs!(program "strace");
    create_survives_kill(0);
}

#[test]
fn a_runtime_killed_elsewhere_in_create_leaves_what_delete_by_force_removes() {
    needs!(root);
    needs!(program "strace");
    create_survives_kill(1);
}

/// Only calls that tell the child from its parent, which counts its own.
#[test]
fn a_child_killed_in_mid_create_fails_create_and_leaves_nothing() {
    needs!(root);
    needs!(program "strace");
    let first = Bundle::busybox();
    let (own, child) = traced(&first, first.invocation("create"));
    let child: Vec<_> = child.into_iter().filter(|point| !own.contains(point)).collect();
    assert!(child.len() > 30, "the child's calls: {child:?}");
    let mut named = 0;
    for point in some(child, 30) {
        let bundle = Bundle::busybox();
        let container = bundle.handle();
        let output = to_the_end(&container, killed_at(bundle.invocation("create"), &point, "-f").spawn());
        match output.code {
            0 => {}
            137 => recovers(&bundle, &format!("{point:?}")), // counts differ a little: it was the runtime
            _ => {
                named += usize::from(output.stderr.contains("container init died (signal 9)"));
                bundle.assert_nothing_left_after(&format!("{point:?}"));
            }
        }
    }
    assert!(named > 10, "the child's death was hardly ever named");
}

/// With a pid namespace to join, another process stands between the runtime and init.
#[test]
fn whoever_stands_between_is_killed_and_nothing_is_left() {
    needs!(root);
    needs!(program "strace");
    let host = Bundle::busybox().start();
    let make = || Bundle::busybox().join_namespace("pid", host.proc("ns/pid"));
    let first = make();
    let (own, others) = traced(&first, first.invocation("create"));
    let others: Vec<_> = others.into_iter().filter(|point| !own.contains(point)).collect();
    for point in some(others, 20) {
        let bundle = make();
        let _container = bundle.handle();
        to_the_end(&bundle.handle(), killed_at(bundle.invocation("create"), &point, "-f").spawn());
        recovers(&bundle, &format!("{point:?}"));
    }
    let left = host.exec(["ps", "-o", "stat,args"]).ok().stdout;
    let left: Vec<_> = left.lines().filter(|line| !line.starts_with('Z')).collect();
    assert_eq!(left.len(), 3, "beside the header, init and ps: {left:#?}");
}

#[test]
fn a_start_killed_anywhere_has_started_or_can_be_started_again() {
    needs!(root);
    needs!(program "strace");
    let own = calls_of_start();
    for point in some(own, 30) {
        let bundle = Bundle::busybox().sh("echo once; exec sleep 600");
        let container = bundle.create();
        killed_at(container.runtime(["start", container.id()]), &point, "").output();
        // It may just be on its way.
        eventually("a state", || matches!(container.status().as_str(), "created" | "running"));
        if container.status() == "created" {
            assert_eq!(container.output(), "", "{point:?}");
            let again = container.does("start", []);
            assert!(again.code == 0 || container.status() == "running", "{point:?}: {again:?}");
        }
        container.has_said("once");
        assert_eq!(container.output(), "once\n", "{point:?}");
        let ticks = || -> u64 {
            let stat = read(container.proc("stat"));
            let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
            fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
        };
        assert!(ticks() < 50, "{point:?}: init spins");
        container.end();
    }
}

/// Runtime, the process between, and the one that comes in: whoever it hits.
#[test]
fn an_exec_killed_anywhere_leaves_the_container_as_it_was() {
    needs!(root);
    needs!(program "strace");
    let container = Bundle::busybox().start();
    let scratch = Bundle::busybox();
    let (own, others) = traced(&scratch, container.execution([], ["true"]));
    for point in some([own, others].concat(), 40) {
        killed_at(container.execution([], ["true"]), &point, "-f").output();
        eventually("the end of what came in", || host::processes(container.home(), container.id()).len() == 1);
    }
    assert_eq!(container.exec(["echo", "well"]).ok().stdout, "well\n");
    container.end();
}

#[test]
fn a_delete_killed_anywhere_is_finished_by_the_next() {
    needs!(root);
    needs!(program "strace");
    let first = Bundle::busybox().start();
    let scratch = Bundle::busybox();
    let (own, _) = traced(&scratch, first.runtime(["delete", "--force", first.id()]));
    for point in some(own, 30) {
        let bundle = Bundle::busybox();
        let container = bundle.start();
        killed_at(container.runtime(["delete", "--force", container.id()]), &point, "").output();
        recovers(&bundle, &format!("{point:?}"));
    }
}

#[test]
fn start_says_when_init_dies_under_it() {
    needs!(root);
    needs!(program "strace");
    let own = calls_of_start();
    for point in some(own, 12) {
        let container = Bundle::busybox().create();
        let pid = container.pid();
        let delay = format!("inject={}:delay_enter=150ms:when={}", point.0, point.1);
        let start = container.runtime(["start", container.id()]);
        let start = start.under(["strace", "-qq", "-o", "/dev/null", "-e", &delay]).spawn();
        std::thread::sleep(std::time::Duration::from_millis(60));
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        let output = start.wait(); // and does not hang
        assert!(output.code == 0 || !output.stderr.is_empty(), "{point:?}: {output:?}");
        container.reaches("stopped");
        container.end();
    }
}

/// Until somebody asks it to end.
#[test]
fn a_child_that_stands_still_holds_create_up_and_no_longer() {
    needs!(root);
    let bundle = Bundle::busybox();
    let go = bundle.home().join("go");
    let hook = format!("echo > {0}.here; while ! [ -e {0} ]; do sleep 0.02; done", go.display());
    let bundle = bundle.hook("createRuntime", &hook);
    let create = bundle.invocation("create").under(["env", "--default-signal=TERM"]).spawn();
    eventually("the hook", || go.with_extension("here").exists());
    // The hook is a child, too; the other one is to become init.
    let children = read(format!("/proc/{0}/task/{0}/children", create.pid()));
    let is_hook = |pid: &&str| read(format!("/proc/{pid}/comm")) == "sh\n";
    let child = children.split_whitespace().find(|pid| !is_hook(pid)).expect("a child").parse().unwrap();
    kill(Pid::from_raw(child), Signal::SIGSTOP).unwrap();
    std::fs::write(&go, "").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    create.signal(Signal::SIGTERM);
    assert_eq!(create.wait().failed(143, "interrupted by SIGTERM").stdout, "");
    bundle.assert_nothing_left();
}

/// The two minutes are over at once when the kernel says so.
#[test]
fn a_child_that_says_nothing_for_too_long_is_given_up() {
    needs!(root);
    needs!(program "strace");
    let wait_in_vain = ["strace", "-qq", "-o", "/dev/null", "-e", "inject=poll:retval=0"];
    let bundle = Bundle::busybox();
    for verb in ["create", "run"] {
        let output = bundle.invocation(verb).under(wait_in_vain).output();
        output.refused("has said nothing for 120 s");
        bundle.assert_nothing_left();
    }
    let container = bundle.start();
    container.execution([], ["true"]).under(wait_in_vain).output().failed(255, "has said nothing for 120 s");
    container.end();
    // Its hooks may take longer: those that have a timeout up to that, others for ever.
    let bundle = Bundle::busybox().hook_with("createContainer", json!({"path": "/bin/true", "timeout": 7}));
    bundle.invocation("create").under(wait_in_vain).output().refused("has said nothing for 127 s");
}

#[test]
fn a_terminated_create_leaves_nothing() {
    needs!(root);
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let bundle = Bundle::busybox();
        let reached = bundle.home().join("reached");
        // The hook holds the create up; it ends with whoever waits for it.
        let bundle = bundle.hook("createRuntime", &format!("echo > {}; exec sleep 15", reached.display()));
        let process = bundle.invocation("create").spawn();
        eventually("the hook", || reached.exists());
        process.signal(signal);
        assert_ne!(process.wait().code, 0);
        let container = bundle.handle();
        container.delete_by_force().ok();
        // The hook itself may go on, it is no part of the container.
        for (pid, what) in host::processes(bundle.home(), bundle.id()) {
            if what.starts_with("sleep 15") {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        bundle.assert_nothing_left();
        let _ = std::fs::remove_file(reached);
    }
}
