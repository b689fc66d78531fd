//! SCMP_ACT_NOTIFY: an agent outside answers system calls of the container.

#![allow(unsafe_code)] // the ioctls of seccomp have no safe wrapper

use crate::harness::{Bundle, eventually};
use crate::needs;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::{Value, json};
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};

/// What arrived, and the descriptor to answer on.
struct Delivery {
    message: Value,
    listener: OwnedFd,
}

/// Takes what is sent to the socket, one delivery after another.
fn listen(path: &Path) -> Receiver<Delivery> {
    let socket = UnixListener::bind(path).expect("listen");
    let (tell, hear) = channel();
    std::thread::spawn(move || {
        for connection in socket.incoming().map_while(Result::ok) {
            let mut bytes = [0u8; 65536];
            let mut space = nix::cmsg_space!([RawFd; 1]);
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let message =
                recvmsg::<()>(connection.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()).unwrap();
            let length = message.bytes;
            let Some(ControlMessageOwned::ScmRights(files)) = message.cmsgs().unwrap().next() else { panic!("no fd") };
            // SAFETY: just received, and nobody else's.
            let listener = unsafe { OwnedFd::from_raw_fd(files[0]) };
            let message = serde_json::from_slice(&bytes[..length]).expect("a JSON message");
            if tell.send(Delivery { message, listener }).is_err() {
                return;
            }
        }
    });
    hear
}

/// Answers every call with this errno until the container is gone; 0 lets it go on.
fn answer(listener: OwnedFd, errno: i32) {
    const RECEIVE: libc::c_ulong = 0xc050_2100;
    const SEND: libc::c_ulong = 0xc018_2101;
    const GO_ON: u64 = 1 << 32;
    std::thread::spawn(move || {
        loop {
            let mut asked = [0u64; 10];
            // SAFETY: as long as `struct seccomp_notif`, and zeroed, as the kernel demands.
            if unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE as _, asked.as_mut_ptr()) } != 0 {
                return;
            }
            let error = u64::from((-errno).cast_unsigned());
            let answer = [asked[0], 0, if errno == 0 { GO_ON } else { error }];
            // SAFETY: as long as `struct seccomp_notif_resp`.
            unsafe { libc::ioctl(listener.as_raw_fd(), SEND as _, answer.as_ptr()) };
        }
    });
}

fn asking(calls: &[&str]) -> (Bundle, PathBuf) {
    let bundle = Bundle::busybox();
    let socket = bundle.home().join("agent");
    let bundle = bundle.mount("/tmp", "tmpfs", "tmpfs", &[]).set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": socket,
            "listenerMetadata": "for the agent",
            "syscalls": [{"names": calls, "action": "SCMP_ACT_NOTIFY"}],
        }),
    );
    (bundle, socket)
}

#[test]
fn an_agent_answers_for_create_run_and_exec() {
    needs!(root);
    for no_new_privileges in [true, false] {
        let (bundle, socket) = asking(&["mkdir", "mkdirat"]);
        let bundle = bundle
            .set("/process/noNewPrivileges", no_new_privileges)
            .set("/annotations", json!({"org.example": "x"}))
            .sh("mkdir /tmp/a; echo over; sleep 600");
        let agent = listen(&socket);
        let container = bundle.create();
        let delivery = agent.recv().expect("a delivery");
        let pid = container.pid();
        assert_eq!(delivery.message["fds"], json!(["seccompFd"]));
        assert_eq!(
            (delivery.message["pid"].as_i64(), &delivery.message["metadata"]),
            (Some(pid.into()), &json!("for the agent"))
        );
        let state = &delivery.message["state"];
        assert_eq!((state["id"].as_str(), state["status"].as_str()), (Some(container.id()), Some("creating")));
        assert_eq!((state["pid"].as_i64(), &state["annotations"]["org.example"]), (Some(pid.into()), &json!("x")));
        answer(delivery.listener, libc::EXDEV);
        let container = container.start();
        container.has_said("over");

        let exec = container.execution([], ["mkdir", "/tmp/b"]).spawn();
        let delivery = agent.recv().expect("a delivery");
        assert_eq!(delivery.message["state"]["status"], "running");
        assert_eq!(delivery.message["state"]["pid"].as_i64(), Some(pid.into()));
        assert_ne!(delivery.message["pid"].as_i64(), Some(pid.into()), "the filter is of the new process");
        answer(delivery.listener, libc::EXDEV);
        let output = exec.wait();
        assert!(output.stderr.contains("link") && output.code == 1, "EXDEV: {}", output.stderr);
    }
}

#[test]
fn an_agent_can_let_calls_go_on() {
    needs!(root);
    let (bundle, socket) = asking(&["openat", "mkdir", "mkdirat"]);
    let bundle = bundle.sh("mkdir /tmp/a && cat /etc/passwd > /dev/null && echo done");
    let agent = listen(&socket);
    let run = bundle.invocation("run").spawn();
    answer(agent.recv().expect("a delivery").listener, 0);
    assert_eq!(run.wait().ok().stdout, "done\n");
}

#[test]
fn without_its_agent_a_call_does_not_exist() {
    needs!(root);
    let (bundle, socket) = asking(&["mkdir", "mkdirat"]);
    let bundle = bundle.sh("mkdir /tmp/a; echo status $?");
    let agent = listen(&socket);
    let run = bundle.invocation("run").spawn();
    drop(agent.recv().expect("a delivery")); // it dies with the descriptor
    let output = run.wait().ok();
    assert_eq!(output.stdout, "status 1\n");
    assert!(output.stderr.contains("not implemented"), "{}", output.stderr);
}

#[test]
fn an_agent_that_does_not_listen_fails_create() {
    needs!(root);
    let (bundle, _) = asking(&["mkdir"]);
    bundle.try_create().refused("linux.seccomp.listenerPath");
    bundle.assert_nothing_left();
    let (bundle, _) = asking(&["mkdir", "sendmsg"]);
    bundle.try_create().refused("SCMP_ACT_NOTIFY cannot be used for \"sendmsg\"");
}

#[test]
fn the_payload_does_not_get_the_listener() {
    needs!(root);
    let (bundle, socket) = asking(&["mkdir"]);
    let bundle = bundle.sh("ls /proc/self/fd | wc -l; sleep 600");
    let agent = listen(&socket);
    let container = bundle.create();
    let _listener = agent.recv().expect("a delivery");
    let container = container.start();
    eventually("its answer", || !container.output().is_empty());
    assert_eq!(container.output(), "4\n", "three streams, and the directory that ls reads");
}
