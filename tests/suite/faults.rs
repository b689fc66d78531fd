//! Faults: the runtime is killed, starved or refused by the kernel in mid-create, and nothing stays behind.

use crate::harness::{Bundle, host, read};
use crate::needs;
use serde_json::json;
use std::collections::HashMap;
use std::fs;

/// The system calls of a whole `create`, in order, as strace would count them: name and how many of that name so far.
fn calls_of_create() -> Vec<(String, usize)> {
    let bundle = Bundle::busybox();
    let trace = bundle.home().join("trace");
    let (_container, created) = bundle.create_by(|it| it.under(["strace", "-qq", "-o", trace.to_str().unwrap()]));
    created.ok();
    let mut counts = HashMap::new();
    let name_of = |line: &str| Some(line.split_once('(')?.0.trim().to_owned());
    let known =
        |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && name != "execve";
    let text = read(trace);
    let names = text.lines().filter_map(name_of).filter(known);
    let count = |name: String| {
        let times = counts.entry(name.clone()).or_insert(0);
        *times += 1;
        (name, *times)
    };
    names.map(count).collect()
}

/// Kills the runtime at points spread over a whole create: even and odd ones in two tests, which share the processors.
fn create_survives_kill(share: usize) {
    let calls = calls_of_create();
    let step = (calls.len() / 40).max(1);
    let mut killed = 0;
    for (name, count) in calls.into_iter().step_by(step).skip(share).step_by(2) {
        let bundle = Bundle::busybox();
        let fault = format!("inject={name}:signal=KILL:when={count}");
        let (container, output) = bundle.create_by(|it| it.under(["strace", "-qq", "-o", "/dev/null", "-e", &fault]));
        killed += usize::from(output.code == 137);
        // Whatever state that left: the id can be deleted and used again.
        container.delete_by_force().ok();
        bundle.assert_nothing_left_after(&fault);
        assert_eq!(bundle.start().status(), "running", "after {fault}");
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

#[test]
fn a_create_that_the_kernel_refuses_leaves_nothing() {
    needs!(root);
    needs!(program "strace");
    // Runtime and child alike; each either falls back or gives up cleanly.
    let refusals = [
        "clone3:error=EAGAIN",
        "mount,move_mount:error=EPERM",
        "pivot_root:error=EINVAL",
        "mkdir,mkdirat:error=ENOSPC",
        "capset:error=EPERM",
        "sethostname:error=EPERM",
        "rename,renameat,renameat2:error=ENOSPC:when=1",
        "sendmsg,sendto:error=ENOMEM",
    ];
    for refusal in refusals {
        let bundle = Bundle::busybox();
        let fault = format!("inject={refusal}");
        let (container, output) =
            bundle.create_by(|it| it.under(["strace", "-f", "-qq", "-o", "/dev/null", "-e", &fault]));
        if output.code != 0 {
            assert!(output.code == 1 && !output.stderr.trim().is_empty(), "{refusal}: {output:?}");
            bundle.assert_nothing_left_after(refusal);
        }
        drop(container);
    }
}

#[test]
fn a_child_killed_in_mid_create_fails_create_and_leaves_nothing() {
    needs!(root);
    needs!(program "strace");
    // Calls that only the child makes, after it has a mount namespace of its own.
    for call in ["pivot_root", "sethostname", "capset", "setresuid"] {
        let bundle = Bundle::busybox();
        let fault = format!("inject={call}:signal=KILL:when=1");
        let (_container, output) =
            bundle.create_by(|it| it.under(["strace", "-f", "-qq", "-o", "/dev/null", "-e", &fault]));
        if output.code != 0 {
            bundle.assert_nothing_left_after(&fault);
        }
    }
}

#[test]
fn every_refused_configuration_leaves_nothing() {
    needs!(root);
    let wrong = [
        ("/process/args", json!(["/no/such/program"])),
        ("/process/cwd", json!("/etc/passwd/x")),
        ("/root/path", json!("missing")),
        ("/hostname", json!("x".repeat(300))),
        ("/linux/namespaces/0/path", json!("/no/such/namespace")),
        ("/linux/sysctl", json!({"net.no.such": "1"})),
        ("/mounts/0/source", json!("proc\0x")),
        ("/mounts/1/type", json!("nosuchfs")),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_BOGUS"})),
        ("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 9_999_999_999u64, "hard": 1}])),
    ];
    for (pointer, value) in wrong {
        let bundle = Bundle::busybox().set(pointer, value.clone());
        let output = bundle.try_create();
        assert!(output.code == 1 && !output.stderr.trim().is_empty(), "{pointer} {value}: {output:?}");
        bundle.assert_nothing_left_after(pointer);
    }
}

#[test]
fn a_full_state_directory_fails_create_and_leaves_nothing() {
    needs!(root);
    let bundle = Bundle::busybox();
    let state = bundle.state_root();
    let script = format!(
        "mount -t tmpfs -o size=4k none {s} && head -c 4096 /dev/zero > {s}/full; \"$@\"; code=$?; rm {s}/full; ls {s}; exit $code",
        s = state.display()
    );
    let output = bundle.invocation("create").under(["unshare", "-m", "sh", "-c", &script, "sh"]).output();
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    bundle.assert_nothing_left();
}

#[test]
fn few_descriptors_are_an_error_and_no_hang() {
    needs!(root);
    for limit in [4, 6, 8, 12, 20] {
        let bundle = Bundle::busybox();
        let (container, output) = bundle.create_by(|it| it.after_shell(&format!("ulimit -n {limit}")));
        if output.code != 0 {
            assert!(!output.stderr.trim().is_empty() || limit < 8, "{limit}: {output:?}");
            // Its own cleaning up may have needed more than it had.
            container.delete_by_force().ok();
            bundle.assert_nothing_left_after(&format!("ulimit -n {limit}"));
        }
        drop(container);
    }
}

#[test]
fn a_terminated_create_leaves_nothing() {
    needs!(root);
    use nix::sys::signal::Signal;
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let bundle = Bundle::busybox();
        let reached = bundle.home().join("reached");
        // The hook holds the create up; it ends with whoever waits for it.
        let bundle = bundle.hook("createRuntime", &format!("echo > {}; exec sleep 15", reached.display()));
        let process = bundle.invocation("create").spawn();
        crate::harness::eventually("the hook", || reached.exists());
        process.signal(signal);
        assert_ne!(process.wait().code, 0);
        let container = bundle.handle();
        container.delete_by_force().ok();
        // The hook itself may go on, it is no part of the container.
        for (pid, what) in host::processes(bundle.home(), bundle.id()) {
            if what.starts_with("sleep 15") {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        bundle.assert_nothing_left();
        let _ = fs::remove_file(reached);
    }
}

#[test]
fn eight_creates_of_one_id_have_one_winner() {
    needs!(root);
    let bundle = Bundle::busybox();
    let container = bundle.handle();
    let creates: Vec<_> = (0..8).map(|_| bundle.invocation("create").spawn()).collect();
    let outputs: Vec<_> = creates.into_iter().map(crate::harness::Process::wait).collect();
    assert_eq!(outputs.iter().filter(|output| output.code == 0).count(), 1, "{outputs:?}");
    assert_eq!(container.start().status(), "running");
}

#[test]
fn eight_starts_have_one_winner() {
    needs!(root);
    let bundle = Bundle::busybox().sh("echo once; exec sleep 600");
    let container = bundle.create();
    let starts: Vec<_> = (0..8).map(|_| container.runtime(["start", container.id()]).spawn()).collect();
    let won = starts.into_iter().map(crate::harness::Process::wait).filter(|output| output.code == 0).count();
    assert_eq!(won, 1);
    container.has_said("once");
    assert_eq!(container.output(), "once\n");
}

#[test]
fn kernel_calls_that_are_missing_are_done_without() {
    needs!(root);
    needs!(program "strace");
    // An older kernel, or a runtime inside a container whose seccomp profile knows no newer calls.
    for call in ["mount_setattr", "close_range", "openat2", "memfd_create", "keyctl"] {
        let bundle = Bundle::busybox().args(["echo", "fine"]);
        let fault = format!("inject={call}:error=ENOSYS");
        let output = bundle.invocation("run").under(["strace", "-f", "-qq", "-o", "/dev/null", "-e", &fault]).output();
        let clear = output.code == 1 && !output.stderr.trim().is_empty();
        assert!(output.stdout == "fine\n" || clear, "{call}: {output:?}");
        bundle.assert_nothing_left_after(call);
    }
}
