//! `run` in all its forms, and its exit status.

use crate::harness::{Bundle, Output, binary, host};
use crate::needs;
use std::fs;

#[test]
fn run_shows_what_the_payload_writes() {
    needs!(root);
    let output = Bundle::busybox().sh("echo out; echo err >&2").run().ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn run_passes_its_stdin_on() {
    needs!(root);
    let output = Bundle::busybox().args(["wc", "-c"]).invocation("run").stdin(&"x".repeat(100_000)).output().ok();
    assert_eq!(output.stdout.trim(), "100000");
}

#[test]
fn run_exits_as_the_payload_does() {
    needs!(root);
    let bundle = Bundle::busybox();
    for (script, code) in [("exit 0", 0), ("exit 1", 1), ("exit 42", 42), ("exit 255", 255)] {
        assert_eq!(bundle.twin(&code.to_string()).sh(script).run().code, code, "{script}");
    }
}

#[test]
fn run_exits_with_128_and_the_signal_that_killed_the_payload() {
    needs!(root);
    // The kernel lets pid 1 of a namespace die only of signals from outside.
    let bundle = Bundle::busybox();
    for (signal, number) in [("KILL", 9), ("SEGV", 11), ("TERM", 15)] {
        let bundle = bundle.twin(signal).without_namespace("pid").sh(&format!("kill -{signal} $$"));
        assert_eq!(bundle.run().code, 128 + number, "{signal}");
    }
}

#[test]
fn run_leaves_nothing() {
    needs!(root);
    let bundle = Bundle::busybox().args(["true"]);
    bundle.run().ok();
    bundle.assert_nothing_left();
}

#[test]
fn run_keeps_the_container_when_asked() {
    needs!(root);
    let bundle = Bundle::busybox().args(["true"]).option("--keep");
    bundle.run().ok();
    let container = bundle.handle();
    assert_eq!(container.status(), "stopped");
    container.delete().ok();
}

#[test]
fn a_detached_run_leaves_the_container_running() {
    needs!(root);
    let bundle = Bundle::busybox().option("--detach");
    bundle.run().ok();
    let container = bundle.handle();
    assert_eq!(container.status(), "running");
    container.end();
}

#[test]
fn a_detached_container_goes_to_the_nearest_reaper() {
    needs!(root);
    let bundle = Bundle::busybox().option("--detach");
    let pid_file = bundle.home().join("pid");
    let bundle = bundle.option("--pid-file").option(pid_file.to_str().unwrap());
    // The shell is pid 1 of a namespace, so orphans become its children: nobody else may stand between.
    let script = "\"$@\" || exit 1; sed -n 's/^PPid:.//p' /proc/$(cat \"$PID_FILE\")/status; $DELETE";
    let delete =
        format!("{} --root {} delete --force {}", binary().display(), bundle.state_root().display(), bundle.id());
    let invocation =
        bundle.invocation("run").under(["unshare", "--fork", "--pid", "--mount-proc", "sh", "-c", script, "sh"]);
    let output = invocation.env("PID_FILE", pid_file.to_str().unwrap()).env("DELETE", &delete).output().ok();
    assert_eq!(output.stdout, "1\n");
}

#[test]
fn the_pid_file_is_the_pid_and_nothing_else() {
    needs!(root);
    let bundle = Bundle::busybox().option("--pid-file").option("sub/pid");
    let here = bundle.host_directory("here");
    fs::create_dir(here.join("sub")).unwrap();
    // A relative path counts from where the command was called, not from the bundle.
    let (container, created) = bundle.create_by(|it| it.cwd(&here));
    created.ok();
    assert_eq!(fs::read_to_string(here.join("sub/pid")).unwrap(), container.pid().to_string());
    assert_eq!(fs::read_dir(here.join("sub")).unwrap().count(), 1, "a temporary file was left");
}

#[test]
fn a_failed_create_writes_no_pid_file() {
    needs!(root);
    let bundle = Bundle::busybox().args(["/missing"]);
    let pid_file = bundle.home().join("pid");
    let bundle = bundle.option("--pid-file").option(pid_file.to_str().unwrap());
    bundle.try_create().refused("no such file or directory");
    assert!(!pid_file.exists());
}

#[test]
fn the_current_directory_is_the_bundle_unless_told() {
    needs!(root);
    let bundle = Bundle::busybox().args(["echo", "hello"]);
    let dir = bundle.write().dir().to_owned();
    let output = bundle.runtime(["run", bundle.id()]).cwd(dir).output().ok();
    assert_eq!(output.stdout, "hello\n");
}

#[test]
fn options_may_be_written_as_go_programs_do() {
    needs!(root);
    let bundle = Bundle::busybox().args(["echo", "hello"]);
    let dir = bundle.write().dir().to_str().unwrap().to_owned();
    let (with_equals, single) = (format!("--bundle={dir}"), format!("-bundle={dir}"));
    let spellings: [&[&str]; 4] =
        [&["-b", &dir], &[&with_equals], &[&single], &["-no-subreaper", "--keep=false", "-bundle", &dir]];
    for words in spellings {
        let argv = ["run"].into_iter().chain(words.iter().copied()).chain([bundle.id()]);
        assert_eq!(bundle.runtime(argv).output().ok().stdout, "hello\n", "{words:?}");
    }
}

// --- a bundle as the argument ---

/// A bundle that tells its own id: state of the container, as its createRuntime hook reads it on stdin.
fn telltale() -> Bundle {
    let bundle = Bundle::busybox().args(["true"]);
    let seen = bundle.home().join("seen");
    let bundle = bundle.hook("createRuntime", &format!("cat > {}", seen.display()));
    bundle.write();
    bundle
}

#[track_caller]
fn ran_as(bundle: &Bundle, output: Output, id: &str) {
    output.ok();
    let state: serde_json::Value = serde_json::from_str(&crate::harness::read(bundle.home().join("seen"))).unwrap();
    assert_eq!(state["id"], id);
    assert_eq!(state["bundle"], bundle.dir().to_str().unwrap());
}

#[test]
fn a_bare_name_is_a_bundle_when_there_is_no_config_here() {
    needs!(root);
    let bundle = telltale();
    let here = bundle.home().to_owned();
    ran_as(&bundle, bundle.runtime(["run", "bundle"]).cwd(here).output(), "bundle");
}

#[test]
fn a_path_with_a_slash_is_a_bundle() {
    needs!(root);
    let bundle = telltale();
    let absolute = bundle.dir().to_str().unwrap();
    for path in ["./bundle", "bundle/", absolute] {
        ran_as(&bundle, bundle.runtime(["run", path]).cwd(bundle.home()).output(), "bundle");
    }
    // Even where the current directory is a bundle itself.
    ran_as(&bundle, bundle.runtime(["run", "../bundle"]).cwd(bundle.dir()).output(), "bundle");
}

#[test]
fn a_bundle_given_as_argument_can_be_named() {
    needs!(root);
    let bundle = telltale();
    ran_as(&bundle, bundle.runtime(["run", "--id", "other", "bundle"]).cwd(bundle.home()).output(), "other");
}

#[test]
fn a_bare_name_is_an_id_when_the_current_directory_is_a_bundle() {
    needs!(root);
    let bundle = telltale();
    fs::create_dir(bundle.dir().join("inner")).unwrap();
    fs::copy(bundle.dir().join("config.json"), bundle.dir().join("inner/config.json")).unwrap();
    ran_as(&bundle, bundle.runtime(["run", "inner"]).cwd(bundle.dir()).output(), "inner");
}

#[test]
fn a_directory_without_config_is_refused_by_name() {
    needs!(root);
    let bundle = Bundle::busybox();
    bundle.host_directory("empty");
    let output = bundle.runtime(["run", "./empty"]).cwd(bundle.home()).output();
    assert!(output.code == 1 && output.stderr.contains("config.json"), "{output:?}");
}

#[test]
fn processes_of_a_finished_run_are_gone() {
    needs!(root);
    // Orphans of the payload must not outlive it, whether or not it has a pid namespace.
    for kind in ["pid", "none"] {
        let bundle = Bundle::busybox().without_namespace(kind).sh("sleep 600 & echo $!; cat /proc/self/cgroup");
        bundle.run().ok();
        assert!(host::processes(bundle.home(), bundle.id()).is_empty(), "without {kind} namespace");
    }
}
