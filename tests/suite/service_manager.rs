//! What a payload tells the service manager of the runtime's caller: sd_notify(3).

use crate::harness::{Bundle, Container, eventually};
use crate::needs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::time::Duration;

/// The service manager's socket.
struct Manager(UnixDatagram, PathBuf);

impl Manager {
    fn new(bundle: &Bundle) -> Self {
        let path = bundle.home().join("manager.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Manager(socket, path)
    }

    fn name(&self) -> &str {
        self.1.to_str().unwrap()
    }

    /// Descriptors that come along are closed, as systemd does with a barrier's.
    fn hears(&self, message: &str) {
        let mut buffer = [0u8; 4096];
        let length = self.0.recv(&mut buffer).expect("a message");
        assert_eq!(String::from_utf8_lossy(&buffer[..length]), message);
    }
}

/// As the payload would: through the socket that lies in its root.
fn say(container: &Container, message: &str) {
    let socket = container.proc("root/run/notify/notify.sock");
    eventually("the payload has its socket", || socket.exists());
    UnixDatagram::unbound().unwrap().send_to(message.as_bytes(), &socket).expect("a message of the payload");
}

#[test]
fn start_waits_until_the_payload_is_ready() {
    needs!(root);
    let bundle =
        Bundle::busybox().user(1000, 1000).sh("echo $NOTIFY_SOCKET; stat -c %a /run/notify/notify.sock; sleep 600");
    let manager = Manager::new(&bundle);
    let (container, _) = bundle.create_by(|create| create.env("NOTIFY_SOCKET", manager.name()));
    let mut start = container.runtime(["start", container.id()]).env("NOTIFY_SOCKET", manager.name()).spawn();
    container.reaches("running");
    container.has_said("/run/notify/notify.sock\n777\n");
    say(&container, "STATUS=half way\nMAINPID=1\nFDSTORE=1\n");
    manager.hears("STATUS=half way\n");
    assert!(!start.is_over(), "start does not wait");
    say(&container, "READY=1");
    manager.hears(&format!("READY=1\nMAINPID={}\n", container.pid()));
    assert!(!start.is_over(), "start does not wait for the service manager");
    manager.hears("BARRIER=1");
    start.wait().ok();
    let inside =
        container.exec(["sh", "-c", "ls /run/notify; grep -c ' /run/notify' /proc/self/mountinfo"]).ok().stdout;
    assert_eq!(inside, "notify.sock\n1\n", "the socket is bound, and no directory of the host");
}

#[test]
fn a_payload_that_ends_unready_ends_the_wait() {
    needs!(root);
    let bundle = Bundle::busybox().args(["true"]);
    let manager = Manager::new(&bundle);
    let (container, _) = bundle.create_by(|create| create.env("NOTIFY_SOCKET", manager.name()));
    container.runtime(["start", container.id()]).env("NOTIFY_SOCKET", manager.name()).output().ok();
    container.reaches("stopped");
}

#[test]
fn a_detached_run_waits_as_well() {
    needs!(root);
    let bundle = Bundle::busybox().option("--detach").sh("echo up; sleep 600");
    let name = format!("@{}", bundle.id());
    let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(bundle.id()).unwrap()).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let run = bundle.invocation("run").env("NOTIFY_SOCKET", &name).spawn();
    run.has_said("up");
    let container = bundle.handle();
    say(&container, "READY=1\nSTATUS=up");
    let manager = Manager(manager, PathBuf::new());
    manager.hears(&format!("READY=1\nSTATUS=up\nMAINPID={}\n", container.pid()));
    manager.hears("BARRIER=1");
    run.wait().ok();
    assert_eq!(container.status(), "running");
}

#[test]
fn a_detached_run_that_waits_can_be_asked_to_end() {
    needs!(root);
    let bundle = Bundle::busybox().option("--detach").sh("echo up; sleep 600");
    let manager = Manager::new(&bundle);
    let run = bundle.invocation("run").env("NOTIFY_SOCKET", manager.name());
    let run = run.under(["env", "--default-signal=TERM"]).spawn();
    run.has_said("up");
    let container = bundle.handle();
    say(&container, "STATUS=half way");
    manager.hears("STATUS=half way\n"); // it waits
    run.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(run.wait().code, 143);
    assert_eq!(container.status(), "running");
}

#[test]
fn a_run_in_the_foreground_is_the_main_process_and_hands_everything_on() {
    needs!(root);
    let bundle = Bundle::busybox().sh("echo up; sleep 600");
    let manager = Manager::new(&bundle);
    let run = bundle.invocation("run").env("NOTIFY_SOCKET", manager.name()).spawn();
    run.has_said("up");
    let container = bundle.handle();
    for message in ["STATUS=warming up\n", "WATCHDOG=1\n"] {
        say(&container, message);
        manager.hears(message);
    }
    say(&container, "READY=1");
    manager.hears(&format!("READY=1\nMAINPID={}\n", run.pid()));
    say(&container, "STOPPING=1\n");
    manager.hears("STOPPING=1\n");
    container.kill("KILL").ok();
    assert_eq!(run.wait().code, 137);
    bundle.assert_nothing_left();
}

#[test]
fn a_container_of_a_user_namespace_has_its_socket_too() {
    needs!(root);
    let bundle = Bundle::busybox().user_namespace();
    let manager = Manager::new(&bundle);
    let (container, _) = bundle.create_by(|create| create.env("NOTIFY_SOCKET", manager.name()));
    let start = container.runtime(["start", container.id()]).env("NOTIFY_SOCKET", manager.name()).spawn();
    container.reaches("running");
    say(&container, "READY=1");
    manager.hears(&format!("READY=1\nMAINPID={}\n", container.pid()));
    manager.hears("BARRIER=1");
    start.wait().ok();
}

#[test]
fn a_socket_of_its_own_is_left_to_the_payload() {
    needs!(root);
    let bundle = Bundle::busybox().env("NOTIFY_SOCKET=/own").sh("echo $NOTIFY_SOCKET; ls /run/notify 2>&1");
    let manager = Manager::new(&bundle);
    let output = bundle.invocation("run").env("NOTIFY_SOCKET", manager.name()).output();
    assert!(output.stdout.starts_with("/own\n") && output.stdout.contains("No such file"), "{}", output.stdout);
}

#[test]
fn without_a_service_manager_there_is_nothing_of_it() {
    needs!(root);
    let output = Bundle::busybox().sh("echo \"[$NOTIFY_SOCKET]\"; ls -d /run/notify; true").run().ok();
    assert_eq!(output.stdout, "[]\n");
    let empty = Bundle::busybox().sh("echo \"[$NOTIFY_SOCKET]\"; ls -d /run/notify; true");
    assert_eq!(empty.invocation("run").env("NOTIFY_SOCKET", "").output().ok().stdout, "[]\n");
}

#[test]
fn what_is_no_socket_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox();
    bundle
        .invocation("run")
        .env("NOTIFY_SOCKET", "vsock:2:1")
        .output()
        .refused("NOTIFY_SOCKET: \"vsock:2:1\" is neither");
    bundle.assert_nothing_left();
}
