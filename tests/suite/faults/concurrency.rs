//! Several commands on one container at once.

use crate::harness::{Bundle, Container, Invocation, Process};
use crate::needs;

#[test]
fn eight_creates_of_one_id_have_one_winner() {
    needs!(root);
    let bundle = Bundle::busybox();
    let container = bundle.handle();
    let creates: Vec<_> = (0..8).map(|_| bundle.invocation("create").spawn()).collect();
    let outputs: Vec<_> = creates.into_iter().map(Process::wait).collect();
    assert_eq!(outputs.iter().filter(|output| output.code == 0).count(), 1, "{outputs:?}");
    assert_eq!(container.start().status(), "running");
}

#[test]
fn eight_starts_have_one_winner() {
    needs!(root);
    let bundle = Bundle::busybox().sh("echo once; exec sleep 600");
    let container = bundle.create();
    let starts: Vec<_> = (0..8).map(|_| container.runtime(["start", container.id()]).spawn()).collect();
    let won = starts.into_iter().map(Process::wait).filter(|output| output.code == 0).count();
    assert_eq!(won, 1);
    container.has_said("once");
    assert_eq!(container.output(), "once\n");
}

/// What people and engines do to a container.
const VERBS: [&str; 11] =
    ["create", "start", "exec", "kill", "pause", "resume", "state", "ps", "update", "delete", "delete --force"];

fn invocation(bundle: &Bundle, container: &Container, verb: &str) -> Invocation {
    let id = container.id();
    match verb {
        "create" => bundle.invocation("create"),
        "exec" => container.execution([], ["true"]),
        "kill" => container.runtime(["kill", id, "CONT"]),
        "update" => container.runtime(["update", "--pids-limit", "100", id]),
        "delete --force" => container.runtime(["delete", "--force", id]),
        verb => container.runtime([verb, id]),
    }
}

/// Each with each, four of the one and four of the other: all end, none panics, nothing is left.
#[test]
fn every_pair_of_commands_may_meet() {
    needs!(root);
    for (n, one) in VERBS.iter().enumerate() {
        for other in &VERBS[n..] {
            let bundle = Bundle::busybox();
            let container = if *one == "create" { bundle.handle() } else { bundle.create() };
            if !matches!((*one, *other), ("create" | "start", _)) {
                container.does("start", []).ok();
            }
            let verbs = [*one, *other].repeat(4);
            let all: Vec<_> = verbs.iter().map(|verb| (verb, invocation(&bundle, &container, verb).spawn())).collect();
            for (verb, mut process) in all {
                // An exec that has come into a container which is paused meanwhile waits for somebody to resume it.
                while *verb == "exec" && *other == "pause" && !process.is_over() {
                    container.does("resume", []);
                }
                let output = process.wait();
                // Removing by force ends who is just creating, and what was brought in.
                let ended = *other == "delete --force" && output.code == 137 && matches!(*verb, "create" | "exec");
                let clear = output.code == 0 || ended || !output.stderr.trim().is_empty();
                assert!(clear && !output.stderr.contains("panicked"), "{one} and {other}: {verb}: {output:?}");
                if *verb == "delete --force" || *verb == "state" && !other.starts_with("delete") && *one != "create" {
                    assert_eq!(output.code, 0, "{one} and {other}: {output:?}");
                }
            }
            container.delete_by_force().ok();
            bundle.assert_nothing_left_after(&format!("{one} and {other}"));
        }
    }
}
