//! The runtime is asked to end while it makes something: it ends, and what it had made is gone.

use crate::harness::{Bundle, Process, eventually, host, read};
use crate::needs;
use nix::sys::signal::Signal;

/// The suite itself may run under nohup(1), or in the background of a shell: what they ignore is not ignored here.
const PLAIN: [&str; 2] = ["env", "--default-signal=HUP,INT,QUIT,TERM"];

/// A bundle whose hooks of one kind hang.
fn hanging_in(kind: &str) -> Bundle {
    let bundle = Bundle::busybox();
    bundle.sh("echo the program runs; sleep 600").hook(kind, "exec sleep 987654")
}

/// Waits until the hook hangs; returns its pid.
fn hook_hangs(bundle: &Bundle) -> i32 {
    let hooks = || host::processes(bundle.home(), bundle.id()).into_iter().filter(|(_, what)| what == "sleep 987654 ");
    eventually("the hook", || hooks().count() == 1);
    hooks().next().expect("a hook").0
}

#[track_caller]
fn ends_with(bundle: &Bundle, process: Process, hook: i32, code: i32, text: &str) {
    let output = process.wait();
    assert!(output.stderr.contains(text), "{}", output.stderr);
    assert_eq!((output.code, output.stdout.as_str()), (code, ""), "{}", output.stderr);
    eventually("the end of the hook", || !host::is_alive(hook));
    bundle.assert_nothing_left();
}

#[test]
fn a_create_that_is_asked_to_end_leaves_nothing() {
    needs!(root);
    for kind in ["prestart", "createRuntime", "createContainer"] {
        for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
            let bundle = hanging_in(kind);
            let process = bundle.invocation("create").under(PLAIN).spawn();
            let hook = hook_hangs(&bundle);
            process.signal(signal);
            ends_with(&bundle, process, hook, code, &format!("interrupted by {signal}"));
        }
    }
}

#[test]
fn a_run_that_is_asked_to_end_before_its_program_runs_leaves_nothing() {
    needs!(root);
    for kind in ["createRuntime", "createContainer", "startContainer"] {
        for option in ["--no-subreaper", "--detach"] {
            let bundle = hanging_in(kind).option(option);
            let process = bundle.invocation("run").under(PLAIN).spawn();
            let hook = hook_hangs(&bundle);
            process.signal(Signal::SIGTERM);
            ends_with(&bundle, process, hook, 143, "interrupted by SIGTERM");
        }
    }
}

#[test]
fn hooks_that_take_down_are_run_after_an_interruption() {
    needs!(root);
    let bundle = hanging_in("createRuntime");
    let log = bundle.host_file("log", "");
    let bundle = bundle.hook("poststop", &format!("echo taken down >> {}", log.display()));
    let process = bundle.invocation("create").under(PLAIN).spawn();
    let hook = hook_hangs(&bundle);
    process.signal(Signal::SIGTERM);
    ends_with(&bundle, process, hook, 143, "interrupted by SIGTERM");
    assert_eq!(read(&log), "taken down\n");
}

#[test]
fn a_hook_that_takes_down_can_be_interrupted_too() {
    needs!(root);
    let bundle = hanging_in("poststop").sh("echo done");
    let process = bundle.invocation("run").under(PLAIN).spawn();
    let hook = hook_hangs(&bundle);
    process.signal(Signal::SIGTERM);
    let output = process.wait();
    assert!(
        output.stderr.contains("poststop") && output.stderr.contains("interrupted by SIGTERM"),
        "{}",
        output.stderr
    );
    assert_eq!((output.code, output.stdout.as_str()), (0, "done\n"), "the container had ended well");
    assert!(!host::is_alive(hook));
    bundle.assert_nothing_left();
}

#[test]
fn an_exec_that_is_asked_to_end_before_its_program_runs_ends() {
    needs!(root);
    for detach in ["--detach", "--ignore-paused"] {
        let container = Bundle::busybox().start();
        container.does("pause", []).ok();
        let process = container.execution([detach, "--ignore-paused"], ["echo", "hello"]).under(PLAIN).spawn();
        let children = format!("/proc/{0}/task/{0}/children", process.pid());
        eventually("the child", || !read(&children).is_empty());
        process.signal(Signal::SIGINT);
        let output = process.wait();
        assert!(output.stderr.contains("interrupted by SIGINT"), "{}", output.stderr);
        assert_eq!((output.code, output.stdout.as_str()), (130, ""));
        container.does("resume", []).ok();
        eventually("its end", || host::processes(container.home(), container.id()).len() == 1);
        assert_eq!(container.exec(["echo", "still here"]).stdout, "still here\n");
    }
}

#[test]
fn signals_that_the_caller_ignores_interrupt_nothing() {
    needs!(root);
    let bundle = Bundle::busybox();
    let go = bundle.host_file("go", "");
    let bundle = bundle
        .hook("createRuntime", &format!("echo here > {0}; while ! grep -q on {0}; do sleep 0.02; done", go.display()));
    let process = bundle.invocation("create").after_shell("trap '' HUP").spawn();
    eventually("the hook", || read(&go).contains("here"));
    process.signal(Signal::SIGHUP);
    std::fs::write(&go, "on").unwrap();
    process.wait().ok();
    assert_eq!(bundle.handle().status(), "created");
}

#[test]
fn a_hook_does_not_outlive_the_runtime() {
    needs!(root);
    for kind in ["createRuntime", "createContainer"] {
        let bundle = hanging_in(kind);
        let process = bundle.invocation("create").under(PLAIN).spawn();
        let hook = hook_hangs(&bundle);
        process.signal(Signal::SIGKILL);
        process.wait();
        bundle.handle().delete_by_force().ok();
        eventually("the end of the hook", || !host::is_alive(hook));
        bundle.assert_nothing_left();
    }
}
