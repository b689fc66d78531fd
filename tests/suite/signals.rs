//! A foreground `run`: signals go through, the end comes back.

use crate::harness::{Bundle, eventually, host};
use crate::needs;
use nix::sys::signal::Signal;

#[test]
fn a_caller_that_ignores_sigchld_gets_the_exit_status() {
    const IGNORES: [&str; 2] = ["env", "--ignore-signal=CHLD"]; // coreutils 8.31
    needs!(root);
    let bundle = Bundle::busybox().hook("poststop", "cat >/dev/null; sh -c 'exit 0'").sh("exit 7");
    bundle.write().invocation("run").under(IGNORES).output().failed(7, "");
    let container = bundle.twin("other").sh("sleep 600").start();
    let words = ["exec", container.id(), "sh", "-c", "exit 8"];
    container.runtime(words).under(IGNORES).output().failed(8, "");
    container.end();
}

#[test]
fn a_foreground_run_forwards_signals() {
    needs!(root);
    let script = "for s in HUP INT QUIT USR1 USR2 TERM; do trap \"echo got $s\" $s; done; trap 'echo bye; exit 3' CONT; echo ready; while :; do sleep 0.02; done";
    let bundle = Bundle::busybox().sh(script);
    let process = bundle.invocation("run").spawn();
    process.has_said("ready");
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGTERM] {
        process.signal(signal);
        process.has_said(&format!("got {}", &signal.as_str()[3..]));
    }
    process.signal(Signal::SIGCONT);
    assert_eq!(process.wait().code, 3);
}

#[test]
fn a_forwarded_signal_that_kills_is_in_the_exit_status() {
    needs!(root);
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        // No handler, so only a process that is not pid 1 of a namespace dies of it.
        let bundle = Bundle::busybox().without_namespace("pid").sh("echo ready; exec sleep 600");
        let process = bundle.invocation("run").spawn();
        process.has_said("ready");
        eventually("sleep", || {
            host::processes(bundle.home(), bundle.id()).iter().any(|(_, what)| what.starts_with("sleep"))
        });
        process.signal(signal);
        assert_eq!(process.wait().code, code);
        bundle.assert_nothing_left();
    }
}

#[test]
fn a_foreground_exec_forwards_signals() {
    needs!(root);
    let container = Bundle::busybox().start();
    let process = container
        .execution([], ["sh", "-c", "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.02; done"])
        .spawn();
    process.has_said("ready");
    process.signal(Signal::SIGTERM);
    let output = process.wait();
    assert_eq!((output.code, output.stdout.as_str()), (4, "ready\nbye\n"));
}

#[test]
fn killing_init_from_outside_ends_the_run() {
    needs!(root);
    let bundle = Bundle::busybox().sh("echo ready; sleep 600");
    let process = bundle.invocation("run").spawn();
    process.has_said("ready");
    let container = bundle.handle();
    container.kill("KILL").ok();
    assert_eq!(process.wait().code, 137);
    bundle.assert_nothing_left();
}

#[test]
fn orphans_of_the_payload_do_not_become_zombies() {
    needs!(root);
    // Without a pid namespace they are the foreground runtime's to reap.
    let bundle = Bundle::busybox().without_namespace("pid");
    let bundle = bundle.sh("for n in 1 2 3 4 5 6 7 8 9; do (sleep 0.01 &) ; done; sleep 0.3; echo ready; sleep 600");
    let process = bundle.invocation("run").spawn();
    process.has_said("ready");
    let children = || crate::harness::read(format!("/proc/{0}/task/{0}/children", process.pid()));
    eventually("the orphans to be reaped", || children().split_whitespace().count() <= 1);
    process.signal(Signal::SIGTERM);
    process.wait();
}

#[test]
fn the_end_of_init_is_the_end_of_everybody() {
    needs!(root);
    for kind in ["none", "pid"] {
        let bundle = Bundle::busybox().without_namespace(kind).sh("setsid sleep 600 & setsid sleep 600 & exit 2");
        assert_eq!(bundle.run().code, 2);
        bundle.assert_nothing_left();
    }
}

#[test]
fn a_run_that_is_killed_leaves_what_delete_by_force_removes() {
    needs!(root);
    let bundle = Bundle::busybox().sh("echo ready; sleep 600");
    let process = bundle.invocation("run").spawn();
    process.has_said("ready");
    process.signal(Signal::SIGKILL);
    assert_eq!(process.wait().code, 137);
    bundle.handle().end();
}
