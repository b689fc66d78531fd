//! What a payload sends to its NOTIFY_SOCKET besides text.

use super::insider;
use crate::harness::{Bundle, Process, eventually, host};
use crate::{needs, rootless};
use nix::sys::signal::Signal;
use serde_json::json;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

/// A run under a service manager that reads everything.
fn run(bundle: &Bundle) -> Process {
    let path = bundle.home().join("manager.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    std::thread::spawn(move || while manager.recv(&mut [0; 64]).is_ok() {});
    bundle.invocation("run").env("NOTIFY_SOCKET", path.to_str().unwrap()).spawn()
}

#[test]
fn descriptors_sent_to_the_notify_socket_are_never_the_runtimes() {
    needs!(root);
    let bundle = insider::with(Bundle::busybox(), "send-descriptors", "");
    let run = run(&bundle);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", run.pid())).map_or(0, Iterator::count);
    run.has_said("sent");
    assert!(open() < 64, "{} descriptors", open());
    bundle.handle().kill("KILL").ok();
    assert_eq!(run.wait().code, 137);
    bundle.assert_nothing_left();
}

#[test]
fn a_file_that_never_closes_does_not_hold_the_runtime() {
    needs!(root);
    needs!(file "/dev/fuse");
    let bundle = insider::with(Bundle::busybox().user(1000, 1000), "send-hanging-file", "")
        .set("/process/args", json!(["unshare", "-Urm"].iter().chain(&insider::COMMAND).collect::<Vec<_>>()))
        .push("/linux/devices", json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438}))
        .push(
            "/linux/resources/devices",
            json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"}),
        );
    let run = run(&bundle);
    run.has_said("sent");
    let _container = bundle.handle(); // deleted, whatever becomes of `run`
    std::thread::sleep(Duration::from_millis(200)); // `run` reads the message
    run.signal(Signal::SIGKILL);
    eventually("the end of run", || !host::is_alive(run.pid()));
}

#[test]
fn nothing_of_the_state_directory_can_be_written_from_a_container() {
    needs!(root);
    let script = "mount -o remount,bind,rw /run/notify/notify.sock; mount -o remount,bind,rw /run/notify; \
                  touch /run/notify/mine; umount /run/notify/notify.sock; touch /run/notify/notify.sock; true";
    let bundle = rootless::bundle().grant(&["CAP_SYS_ADMIN"]).sh(&format!("{script}; echo done; sleep 600"));
    let create = rootless::by_user(&bundle, "create").env("NOTIFY_SOCKET", "/nowhere").output();
    create.ok();
    let container = bundle.handle();
    let start = container.runtime(["start", container.id()]).under(rootless::AS_USER).output();
    start.ok();
    let list = || bundle.command(["find", container.state_directory().to_str().unwrap()]).output().ok().stdout;
    let socket = format!("/proc/{}/root/run/notify/notify.sock", rootless::pid(&container));
    eventually("the attack", || crate::harness::read(&socket).is_empty());
    std::thread::sleep(Duration::from_millis(200));
    assert!(!list().contains("mine"), "{}", list());
    rootless::does(&container, "delete", &["--force"]);
}
