//! What `state`, `list` and `ps` print.

use crate::harness::Bundle;
use crate::needs;
use serde_json::Value;

#[test]
fn state_tells_what_the_specification_and_the_engines_want() {
    needs!(root);
    let bundle = Bundle::busybox().set("/annotations", serde_json::json!({"org.example.key": "value"}));
    let container = bundle.start();
    let state = container.state();
    assert_eq!(state["id"], container.id());
    assert_eq!(state["status"], "running");
    assert_eq!(state["bundle"], bundle.dir().to_str().unwrap());
    assert_eq!(state["rootfs"], bundle.rootfs().to_str().unwrap());
    assert_eq!(state["annotations"]["org.example.key"], "value");
    assert_eq!(state["owner"], "");
    assert!(state["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")));
    let created = state["created"].as_str().unwrap();
    assert!(created.len() >= 20 && created.as_bytes()[10] == b'T' && created.ends_with('Z'), "{created}");
    assert!(crate::harness::host::is_alive(container.pid()));
}

#[test]
fn state_leaves_annotations_out_when_there_are_none() {
    needs!(root);
    assert!(Bundle::busybox().create().state().get("annotations").is_none());
}

#[test]
fn the_pid_of_a_stopped_container_is_zero() {
    needs!(root);
    let container = Bundle::busybox().args(["true"]).start();
    container.reaches("stopped");
    assert_eq!(container.pid(), 0);
}

#[test]
fn the_status_follows_an_init_that_becomes_a_zombie() {
    needs!(root);
    // The shell is the nearest reaper and never waits: it stands in for an engine that is busy.
    let bundle = Bundle::busybox().args(["true"]);
    let script = "\"$@\" && $R start $ID || exit 1; while $R state $ID | grep -q running; do :; done; $R state $ID; $R delete $ID";
    let runtime = format!("{} --root {}", crate::harness::binary().display(), bundle.state_root().display());
    let invocation =
        bundle.invocation("create").under(["unshare", "--fork", "--pid", "--mount-proc", "sh", "-c", script, "sh"]);
    let output = invocation.env("R", &runtime).env("ID", bundle.id()).output().ok();
    let state: Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!((&state["status"], &state["pid"]), (&"stopped".into(), &0.into()));
}

#[test]
fn list_without_containers_is_null_in_json_and_a_header_in_a_table() {
    needs!(root);
    let bundle = Bundle::busybox();
    assert_eq!(bundle.runtime(["list", "--format", "json"]).output().ok().stdout, "null\n");
    assert_eq!(bundle.runtime(["list", "-q"]).output().ok().stdout, "");
    let table = bundle.runtime(["list"]).output().ok().stdout;
    let header: Vec<_> = table.split_whitespace().collect();
    assert_eq!(header, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
}

#[test]
fn list_shows_every_container() {
    needs!(root);
    let bundle = Bundle::busybox();
    let running = bundle.start();
    let created = bundle.twin("b").create();
    let listed: Value = serde_json::from_str(&bundle.runtime(["list", "--format=json"]).output().ok().stdout).unwrap();
    let seen: Vec<_> = listed.as_array().unwrap().iter().map(|it| (it["id"].as_str(), it["status"].as_str())).collect();
    assert_eq!(seen, [(Some(running.id()), Some("running")), (Some(created.id()), Some("created"))]);
    assert_eq!(listed[0]["owner"], "root");
    assert_eq!(listed[0]["pid"], running.pid());

    let quiet = bundle.runtime(["list", "--quiet"]).output().ok().stdout;
    assert_eq!(quiet, format!("{}\n{}\n", running.id(), created.id()));

    let table = bundle.runtime(["list"]).output().ok().stdout;
    let row: Vec<_> = table.lines().nth(1).unwrap().split_whitespace().collect();
    let expected = [running.id(), &running.pid().to_string(), "running", bundle.dir().to_str().unwrap()];
    assert_eq!((&row[..4], row[5]), (&expected[..], "root"));
}

#[test]
fn list_refuses_what_it_does_not_know() {
    needs!(root);
    let bundle = Bundle::busybox();
    bundle.runtime(["list", "--format", "xml"]).output().refused("invalid format option");
    let missing = bundle.home().join("missing");
    let output = bundle.runtime(["--root", missing.to_str().unwrap(), "list"]).output();
    assert_eq!(output.code, 1, "an explicit --root that does not exist: {output:?}");
}

#[test]
fn ps_gives_the_pids_of_the_host() {
    needs!(root);
    let container = Bundle::busybox().sh("sleep 600 & echo ready; wait").start();
    container.has_said("ready");
    let listed = container.runtime(["ps", "--format", "json", container.id()]).output().ok().stdout;
    let pids: Vec<i32> = serde_json::from_str(&listed).expect("a JSON list");
    assert_eq!(pids.len(), 2, "{listed}");
    assert!(pids.contains(&container.pid()));
    assert!(listed.ends_with("]\n") && !listed.contains(' '), "compact, with a newline: {listed:?}");
}

#[test]
fn ps_shows_the_rows_of_ps_that_belong_to_the_container() {
    needs!(root);
    needs!(program "ps");
    let container = Bundle::busybox().start();
    let pid = container.pid().to_string();
    for options in [&[][..], &["-ef"], &["-e", "-o", "pid,comm"], &["-e -o pid,comm"]] {
        let argv = ["ps", container.id()].into_iter().chain(options.iter().copied());
        let table = container.runtime(argv).output().ok().stdout;
        let lines: Vec<_> = table.lines().collect();
        assert!(lines.len() == 2 && lines[0].contains("PID") && lines[1].contains(&pid), "{options:?}: {table}");
    }
}

#[test]
fn ps_needs_a_column_of_pids() {
    needs!(root);
    needs!(program "ps");
    let container = Bundle::busybox().start();
    container.runtime(["ps", container.id(), "-o", "comm"]).output().refused("couldn't find PID field in ps output");
}
