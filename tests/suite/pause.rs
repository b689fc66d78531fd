//! pause and resume.

use crate::harness::{Bundle, Container, eventually, within};
use crate::needs;
use std::time::Duration;

/// A container that counts on its stdout.
fn counting() -> Container {
    let container = Bundle::busybox().sh("while :; do echo tick; sleep 0.01; done").start();
    container.has_said("tick");
    container
}

#[test]
fn a_paused_container_stands_still_until_resumed() {
    needs!(root);
    needs!(controller "freezer");
    let container = counting();
    container.does("pause", []).ok();
    assert_eq!(container.status(), "paused");
    let ticks = container.output().len();
    assert!(!within(Duration::from_millis(200), || container.output().len() != ticks), "it went on");
    container.does("resume", []).ok();
    assert_eq!(container.status(), "running");
    eventually("further ticks", || container.output().len() > ticks);
}

#[test]
fn a_created_container_can_be_paused() {
    needs!(root);
    needs!(controller "freezer");
    let container = Bundle::busybox().create();
    container.does("pause", []).ok();
    assert_eq!(container.status(), "paused");
    container.does("resume", []).ok();
    assert_eq!(container.status(), "created");
}

#[test]
fn pause_and_resume_say_when_they_cannot() {
    needs!(root);
    needs!(controller "freezer");
    let container = Bundle::busybox().args(["true"]).start();
    container.reaches("stopped");
    container.does("pause", []).refused("container not running");
    container.does("resume", []).refused("container not paused");
}

#[test]
fn a_paused_container_dies_of_sigkill_at_once() {
    needs!(root);
    needs!(controller "freezer");
    let container = counting();
    container.does("pause", []).ok();
    container.kill("KILL").ok();
    container.reaches("stopped");
}

#[test]
fn a_paused_container_can_be_deleted_by_force() {
    needs!(root);
    needs!(controller "freezer");
    let container = counting();
    container.does("pause", []).ok();
    let text = format!("cannot delete container {} that is not stopped: paused", container.id());
    container.delete().refused(&text);
    container.end();
}

#[test]
fn exec_refuses_a_paused_container_unless_told_to_ignore_it() {
    needs!(root);
    needs!(controller "freezer");
    let container = counting();
    container.does("pause", []).ok();
    container.exec(["true"]).failed(255, "cannot exec in a paused container (use --ignore-paused to override)");
    // The new process joins the frozen cgroup and runs as soon as that is thawed.
    let mut late = container.execution(["--ignore-paused"], ["echo", "late"]).spawn();
    assert!(!within(Duration::from_millis(200), || late.is_over()), "it ran in a paused container");
    container.does("resume", []).ok();
    assert_eq!(late.wait().ok().stdout, "late\n");
}
