//! Hooks that fail in every way, of every kind; sockets at whose other end nobody is.

use super::recovers;
use crate::harness::{Bundle, host};
use crate::needs;
use serde_json::{Value, json};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

const KINDS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

fn sh(script: &str) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "timeout": 1})
}

/// Each kind with each fault: those before the start keep the program from running, poststart ends it, poststop only warns.
#[test]
fn a_hook_that_fails_does_what_the_specification_says() {
    needs!(root);
    let faults = [
        ("exits with 1", sh("exit 1")),
        ("is missing", json!({"path": "/no/such/hook"})),
        ("is not executable", json!({"path": "/etc/passwd"})),
        ("hangs", sh("exec sleep 4321")),
        ("is killed", sh("kill -KILL $$")),
    ];
    for kind in KINDS {
        for (what, fault) in &faults {
            let bundle = Bundle::busybox().file("/etc/passwd", "x\n").hook_with(kind, fault.clone());
            let bundle = bundle.sh("echo the program ran; sleep 600");
            let began = Instant::now();
            let (container, created) = bundle.create_by(|create| create);
            let what = format!("{kind} {what}");
            if matches!(kind, "prestart" | "createRuntime" | "createContainer") {
                assert!(created.code == 1 && created.stderr.contains(kind), "{what}: {created:?}");
                bundle.assert_nothing_left_after(&what);
                continue;
            }
            let started = created.ok().code + container.does("start", []).code;
            match kind {
                "startContainer" => assert_eq!((started, container.finish()), (1, String::new()), "{what}"),
                "poststart" => {
                    assert_eq!(started, 1, "{what}");
                    container.reaches("stopped");
                }
                _ => assert_eq!(started, 0, "{what}"),
            }
            let deleted = container.delete_by_force();
            assert!(deleted.code <= 1 && (deleted.code == 0 || kind == "poststop"), "{what}: {deleted:?}");
            assert!(began.elapsed() < Duration::from_secs(15), "{what}");
            bundle.assert_nothing_left_after(&what);
        }
    }
}

#[test]
fn a_hook_that_never_reads_its_stdin_is_ended_at_its_timeout() {
    needs!(root);
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let annotations = json!({"long": "x".repeat(200 << 10)});
        let bundle = Bundle::busybox().set("/annotations", annotations).hook_with(kind, sh("exec sleep 4321"));
        let began = Instant::now();
        bundle.try_create().refused(kind);
        assert!(began.elapsed() < Duration::from_secs(15), "{kind}");
        bundle.assert_nothing_left_after(kind);
    }
}

/// A hundred megabytes: the runtime keeps what it can show, and no more.
#[test]
fn a_hook_that_prints_without_end_costs_no_memory() {
    needs!(root);
    for kind in ["createRuntime", "createContainer"] {
        let script = "head -c 100000000 /dev/zero | tr '\\\\0' x; echo the reason >&2; exit 1";
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
        let bundle = Bundle::busybox().hook_with(kind, hook);
        let limited = bundle.invocation("create").after_shell("ulimit -v 60000");
        let output = limited.output().refused(kind);
        assert!(output.stderr.len() < 20_000, "{} bytes of error", output.stderr.len());
        bundle.assert_nothing_left_after(kind);
    }
}

#[test]
fn a_hook_may_kill_what_is_being_created() {
    needs!(root);
    for kind in ["prestart", "createRuntime"] {
        let script = "kill -KILL $(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/' | head -n 1)";
        let bundle = Bundle::busybox().hook(kind, script);
        let output = bundle.try_create();
        assert!(output.code == 1 && output.stderr.contains("container init"), "{kind}: {output:?}");
        bundle.assert_nothing_left_after(kind);
    }
}

#[test]
fn a_console_socket_that_is_no_good_is_an_error() {
    needs!(root);
    // Nobody at the other end, or somebody who goes away, or who never accepts although nothing more fits.
    let bundle = Bundle::busybox();
    let path = bundle.home().join("console.sock");
    let bundle = bundle.terminal(true).option("--console-socket").option(path.to_str().unwrap());
    drop(UnixListener::bind(&path).unwrap());
    bundle.try_create().refused("console");
    bundle.assert_nothing_left_after("a socket that nobody listens on");

    std::fs::remove_file(&path).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    let goes = std::thread::spawn(move || drop(listener.accept()));
    let output = bundle.try_create();
    goes.join().unwrap();
    assert!(output.code == 0 || output.code == 1 && !output.stderr.is_empty(), "{output:?}");
    recovers_with(&bundle, &path);
}

/// Afterwards somebody listens again.
#[track_caller]
fn recovers_with(bundle: &Bundle, path: &std::path::Path) {
    std::fs::remove_file(path).unwrap();
    let _listener = UnixListener::bind(path).unwrap();
    recovers(bundle, "a console socket whose listener went away");
    assert!(host::mounts(path).is_empty());
}
