//! The streams and the log of the runtime are full, closed, or read by nobody.

use crate::harness::{Bundle, read};
use crate::needs;
use std::time::{Duration, Instant};

#[test]
fn an_output_that_takes_nothing_changes_no_exit_status() {
    needs!(root);
    let bundle = Bundle::busybox().sh("echo lost; exit 7");
    for streams in ["exec >/dev/full", "exec 2>/dev/full", "exec >&-", "exec 2>&-", "exec <&- >&- 2>&-"] {
        assert_eq!(bundle.invocation("run").after_shell(streams).output().code, 7, "{streams}");
        bundle.assert_nothing_left_after(streams);
    }
    // Whose answer nobody can read has failed.
    let container = bundle.twin("state").start();
    assert_eq!(container.runtime(["state", container.id()]).after_shell("exec >/dev/full").output().code, 1);
    assert_eq!(container.runtime(["state", "nobody"]).after_shell("exec 2>/dev/full").output().code, 1);
}

#[test]
fn a_pipe_that_nobody_reads_holds_up_only_the_payload() {
    needs!(root);
    let bundle = Bundle::busybox().sh("dd if=/dev/zero bs=1M count=1 2>/dev/null; sleep 600");
    // The pipe's other end is open, in the shell, and is never read.
    let script = "exec 8<> \"$PIPE\"; exec >&8";
    let pipe = bundle.home().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let invocation = bundle.invocation("run").env("PIPE", pipe.to_str().unwrap()).after_shell(script);
    let run = invocation.spawn();
    let container = bundle.handle();
    crate::harness::eventually("the container", || container.does("state", []).stdout.contains("running"));
    assert_eq!(container.exec(["echo", "there"]).ok().stdout, "there\n");
    container.kill("KILL").ok();
    assert_eq!(run.wait().code, 137);
    bundle.assert_nothing_left();
}

#[test]
fn a_log_that_takes_nothing_changes_no_exit_status() {
    needs!(root);
    let bundle = Bundle::busybox().sh("exit 7");
    let fifo = bundle.home().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let began = Instant::now();
    assert_eq!(bundle.global_invocation(&["--log", "/dev/full"], "run").output().code, 7);
    // A FIFO without a reader is an error at once.
    let refused = bundle.global_invocation(&["--log", fifo.to_str().unwrap()], "run").output();
    refused.refused("open log file");
    assert!(began.elapsed() < Duration::from_secs(20));
    bundle.assert_nothing_left();
    // What is wrong is still told on stderr.
    let told = bundle.runtime(["--log", "/dev/full", "state", "nobody"]).output();
    told.refused("container does not exist");
}

/// What the runtime opens must never land where a stream belongs.
#[test]
fn files_of_the_runtime_do_not_become_streams_of_the_payload() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    let bundle =
        bundle.bind(&volume, "/tmp", &[]).sh("for n in 0 1 2; do readlink /proc/self/fd/$n; done > /tmp/streams");
    bundle.invocation("run").after_shell("exec <&- >&- 2>&-").output();
    let streams = read(volume.join("streams"));
    assert!(streams.lines().all(|line| line == "/dev/null" || line.ends_with("/streams")), "{streams}");
}
