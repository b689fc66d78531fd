//! create, start, kill, delete: the life of a container as an engine drives it.

use crate::harness::{Bundle, host, read};
use crate::needs;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, socket};
use std::fs;
use std::os::fd::AsRawFd;

#[test]
fn a_container_goes_from_created_over_running_to_stopped_and_is_gone() {
    needs!(root);
    let container = Bundle::busybox().create();
    assert_eq!(container.status(), "created");
    let container = container.start();
    assert_eq!(container.status(), "running");
    container.kill("KILL").ok();
    container.reaches("stopped");
    container.delete().ok();
    container.does("state", []).refused("container does not exist");
}

#[test]
fn the_payload_waits_for_start() {
    needs!(root);
    let container = Bundle::busybox().sh("echo here > /ran").create();
    let ran = container.home().join("bundle/rootfs/ran");
    assert!(!ran.exists(), "the payload ran before start");
    let container = container.start();
    container.finish();
    assert_eq!(fs::read_to_string(ran).unwrap(), "here\n");
}

/// Not somebody who looks whether it is there, nor somebody who is killed before the word.
#[test]
fn only_the_word_of_start_opens_the_gate() {
    needs!(root);
    let container = Bundle::busybox().sh("echo here").create();
    let gate = UnixAddr::new(&container.state_directory().join("gate")).unwrap();
    for word in ["", "x", "star", "start ", "startstart", &"s".repeat(5000)] {
        let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
        connect(socket.as_raw_fd(), &gate).unwrap();
        if !word.is_empty() {
            send(socket.as_raw_fd(), word.as_bytes(), MsgFlags::MSG_NOSIGNAL).unwrap();
        }
        drop(socket);
    }
    assert_eq!((container.status().as_str(), container.output().as_str()), ("created", ""));
    assert_eq!(container.start().finish(), "here\n");
}

/// Its word counts, although nobody is left to hear how it went.
#[test]
fn a_start_that_is_killed_after_the_word_has_started_the_container() {
    needs!(root);
    let container = Bundle::busybox().hook("startContainer", "sleep 0.3").sh("echo here; exec sleep 600").create();
    let gate = UnixAddr::new(&container.state_directory().join("gate")).unwrap();
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None).unwrap();
    connect(socket.as_raw_fd(), &gate).unwrap();
    send(socket.as_raw_fd(), b"start", MsgFlags::MSG_NOSIGNAL).unwrap();
    drop(socket);
    container.has_said("here");
    assert_eq!(container.status(), "running");
}

/// What the container is doing is looked at, not remembered.
#[test]
fn a_signal_that_init_survives_leaves_it_running() {
    needs!(root);
    let container = Bundle::busybox().sh("trap 'echo caught' TERM; echo ready; while :; do sleep 0.05; done").start();
    container.has_said("ready");
    container.kill("TERM").ok();
    container.has_said("caught");
    assert_eq!(container.status(), "running");
}

#[test]
fn a_created_container_can_be_killed() {
    needs!(root);
    let container = Bundle::busybox().create();
    container.kill("KILL").ok();
    container.reaches("stopped");
    container.does("start", []).refused("cannot start a container that has stopped");
    container.delete().ok();
}

#[test]
fn a_created_container_ends_when_asked_to() {
    needs!(root);
    // As the first process of a pid namespace it would not even hear the signal. With a filter and without.
    for (signal, no_new_privileges) in [("TERM", true), ("INT", false), ("HUP", true), ("QUIT", false)] {
        let bundle = Bundle::busybox().set("/process/noNewPrivileges", no_new_privileges).deny_syscall("rt_sigaction");
        let container = bundle.create();
        container.kill(signal).ok();
        container.reaches("stopped");
        container.does("start", []).refused("cannot start a container that has stopped");
    }
}

#[test]
fn a_program_does_not_inherit_how_its_creation_ends() {
    needs!(root);
    let container = Bundle::busybox().create().start();
    let status = read(container.proc("status"));
    for mask in ["SigBlk:", "SigCgt:"] {
        let line = status.lines().find(|line| line.starts_with(mask)).unwrap();
        assert!(line.ends_with("\t0000000000000000"), "{line}");
    }
}

#[test]
fn a_created_container_can_be_deleted_without_force() {
    needs!(root);
    let container = Bundle::busybox().create();
    let pid = container.pid();
    container.delete().ok();
    assert!(!host::is_alive(pid));
}

#[test]
fn a_running_container_is_deleted_only_by_force() {
    needs!(root);
    let container = Bundle::busybox().start();
    let text = format!("cannot delete container {} that is not stopped: running", container.id());
    container.delete().refused(&text);
    assert_eq!(container.status(), "running");
    container.delete_by_force().ok();
    container.does("state", []).refused("container does not exist");
}

#[test]
fn deleting_what_is_not_there_fails_unless_by_force() {
    needs!(root);
    let missing = Bundle::busybox().handle();
    missing.delete().refused("container does not exist");
    let forced = missing.delete_by_force().ok();
    assert_eq!((forced.stdout.as_str(), forced.stderr.as_str()), ("", ""));
}

#[test]
fn delete_by_force_works_twice() {
    needs!(root);
    let container = Bundle::busybox().start();
    container.delete_by_force().ok();
    container.delete_by_force().ok();
}

#[test]
fn every_command_says_that_an_unknown_container_does_not_exist() {
    needs!(root);
    let missing = Bundle::busybox().handle();
    for verb in ["start", "state", "kill", "delete", "pause", "resume", "ps"] {
        missing.does(verb, []).refused("container does not exist");
    }
    missing.exec(["true"]).failed(255, "container does not exist");
}

#[test]
fn a_duplicate_id_is_refused_and_the_first_container_lives_on() {
    needs!(root);
    let bundle = Bundle::busybox();
    let container = bundle.start();
    let pid = container.pid();
    for verb in ["create", "run"] {
        bundle.invocation(verb).output().refused("container with given ID already exists");
    }
    assert_eq!((container.pid(), container.status()), (pid, "running".to_owned()));
    assert_eq!(container.exec(["echo", "alive"]).stdout, "alive\n");
}

#[test]
fn an_id_can_be_used_again_after_delete() {
    needs!(root);
    let bundle = Bundle::busybox();
    let first = bundle.start();
    first.delete_by_force().ok();
    assert_eq!(bundle.start().status(), "running");
}

#[test]
fn a_container_starts_only_once() {
    needs!(root);
    let container = Bundle::busybox().start();
    container.does("start", []).refused("cannot start an already running container");
}

#[test]
fn the_bundle_may_vanish_after_create() {
    needs!(root);
    let bundle = Bundle::busybox();
    let container = bundle.create();
    fs::rename(bundle.dir().join("config.json"), bundle.home().join("config.json")).unwrap();
    let container = container.start();
    assert_eq!(container.status(), "running");
    fs::remove_dir_all(bundle.dir()).unwrap();
    assert_eq!(container.status(), "running");
    container.delete_by_force().ok();
}

#[test]
fn kill_knows_signals_by_name_and_number() {
    needs!(root);
    let script =
        "for s in HUP USR1 USR2 TERM; do trap \"echo got $s\" $s; done; echo ready; while :; do sleep 0.01; done";
    let container = Bundle::busybox().sh(script).start();
    container.has_said("ready");
    let spellings = [("1", "HUP"), ("USR1", "USR1"), ("sigusr2", "USR2"), ("SIGTERM", "TERM"), ("Hup", "HUP")];
    for (count, (spelling, name)) in spellings.into_iter().enumerate() {
        container.kill(spelling).ok();
        container.has_said(&format!("got {name}"));
        crate::harness::eventually("every signal once", || container.output().matches("got").count() == count + 1);
    }
}

#[test]
fn kill_sends_sigterm_unless_told() {
    needs!(root);
    let script = "trap 'echo bye; exit' TERM; echo ready; while :; do sleep 0.01; done";
    let container = Bundle::busybox().sh(script).start();
    container.has_said("ready");
    container.does("kill", []).ok();
    assert_eq!(container.finish(), "ready\nbye\n");
}

#[test]
fn kill_knows_real_time_signals() {
    needs!(root);
    let container = Bundle::busybox().args(["sleep", "600"]).start();
    // pid 1 of a namespace ignores what it has no handler for; what counts is that the name is understood.
    for signal in ["RTMIN", "SIGRTMIN+3", "64"] {
        container.kill(signal).ok();
    }
    assert_eq!(container.status(), "running");
}

#[test]
fn kill_refuses_signals_it_does_not_know() {
    needs!(root);
    let container = Bundle::busybox().start();
    for signal in ["NOPE", "SIGSIG", "4x"] {
        container.kill(signal).refused(&format!("unknown signal \"{signal}\""));
    }
}

#[test]
fn kill_says_when_a_container_is_not_running() {
    needs!(root);
    let container = Bundle::busybox().args(["true"]).start();
    container.reaches("stopped");
    container.kill("TERM").refused("container not running");
    container.runtime(["kill", "--all", container.id(), "9"]).output().ok();
}

#[test]
fn signal_0_asks_whether_a_container_is_there() {
    needs!(root);
    let container = Bundle::busybox().create();
    container.kill("0").ok();
    let container = container.start();
    container.kill("0").ok();
    container.kill("KILL").ok();
    container.reaches("stopped");
    container.kill("0").refused("container not running");
}

#[test]
fn sigkill_ends_those_whom_init_has_left_behind() {
    needs!(root);
    let container = Bundle::busybox().without_namespace("pid").start();
    container.exec_with(["--detach"], ["sleep", "600"]).ok();
    let left =
        |what: &str| host::processes(container.home(), container.id()).iter().any(|(_, it)| it.starts_with(what));
    let init = nix::unistd::Pid::from_raw(container.pid());
    nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGKILL).unwrap();
    container.reaches("stopped");
    assert!(left("sleep"), "nobody ended it yet");
    container.kill("TERM").refused("container not running");
    container.kill("KILL").ok();
    assert!(!left("sleep"));
    container.kill("KILL").refused("container not running");
}

#[test]
fn two_deletes_at_once_both_succeed() {
    needs!(root);
    let container = Bundle::busybox().start();
    let deletes = [0; 4].map(|_| container.runtime(["delete", "--force", container.id()]).spawn());
    for delete in deletes {
        delete.wait().ok();
    }
}

#[test]
fn a_container_without_a_process_can_be_created_and_not_started() {
    needs!(root);
    let bundle = Bundle::busybox().unset("/process");
    let (container, created) = bundle.create_by(|it| it);
    assert!(created.code == 0 && created.stderr.contains("process: is missing"), "{}", created.stderr);
    assert_eq!(container.status(), "created");
    container.does("start", []).refused("process: is missing; a container needs a program to run");
    container.reaches("stopped");
    container.delete().ok();
    bundle.run().refused("process: is missing; a container needs a program to run");
    bundle.assert_nothing_left();
}
