//! Processes that enter a container by `exec`, or by a pid namespace that is joined, when its payload lies in wait for them.

use super::thief;
use crate::harness::host::{Sleeper, controller, is_alive};
use crate::harness::{Bundle, Container, eventually, read};
use crate::needs;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

/// A container with CAP_SYS_PTRACE whose payload takes the links of the processes that enter, and has a pidfd of the victim.
fn thieves(kind: &str, victim: &Sleeper) -> Container {
    let bundle = Bundle::busybox();
    let data = bundle.host_directory("data");
    let listener = UnixListener::bind(data.join("gift")).expect("a socket");
    let bundle = bundle.bind(data, "/data", &["bind", "ro"]);
    let bundle = bundle.grant(&["CAP_SYS_PTRACE", "CAP_KILL"]);
    let container = thief::with(bundle, kind, &victim.pid().to_string()).start();
    thief::give_pidfd(&listener, victim.pid());
    container.has_said("looking");
    container
}

#[test]
fn exec_takes_no_process_of_the_host_for_the_one_that_it_forked() {
    needs!(root);
    for kind in ["kill", "place", "ready", "number", "first"] {
        let victim = Sleeper::new();
        let before = victim.cgroups();
        let container = thieves(kind, &victim);
        let pid_file = container.home().join("pid");
        let end = Instant::now() + Duration::from_secs(20);
        while !container.output().contains("TOOK") && Instant::now() < end {
            container.execution(["--pid-file", &pid_file.display().to_string()], ["true"]).output();
            let announced = std::fs::read_to_string(&pid_file).unwrap_or_default();
            assert_ne!(announced, victim.pid().to_string(), "{kind}: announced in --pid-file");
        }
        assert!(container.output().contains("TOOK"), "{kind}: the attack does not bite");
        assert!(is_alive(victim.pid()), "{kind}: killed");
        assert_eq!(victim.cgroups(), before, "{kind}: moved");
    }
}

#[test]
fn exec_does_not_wait_for_a_payload_that_keeps_a_copy_of_its_link() {
    needs!(root);
    let victim = Sleeper::new();
    let container = thieves("hold", &victim);
    let end = Instant::now() + Duration::from_secs(20);
    while !container.output().contains("TOOK") && Instant::now() < end {
        let began = Instant::now();
        container.exec(["true"]).ok();
        assert!(began.elapsed() < Duration::from_secs(10), "exec takes {:?}", began.elapsed());
    }
    assert!(container.output().contains("TOOK"), "the attack does not bite");
}

#[test]
fn exec_ends_and_harms_no_process_of_the_host_whatever_it_is_told_from_inside() {
    needs!(root);
    let victim = Sleeper::new();
    let before = victim.cgroups();
    let container = thieves("fuzz", &victim);
    let rounds = std::env::var("RRUNTIME_TEST_ROUNDS").ok().and_then(|it| it.parse().ok()).unwrap_or(1);
    for _ in 0..25 * rounds {
        let began = Instant::now();
        let pid_file = container.home().join("pid");
        container.execution(["--pid-file", &pid_file.display().to_string()], ["true"]).output();
        assert!(began.elapsed() < Duration::from_secs(30), "exec takes {:?}", began.elapsed());
        assert_ne!(std::fs::read_to_string(&pid_file).unwrap_or_default(), victim.pid().to_string());
        assert!(is_alive(victim.pid()) && victim.cgroups() == before, "{}", container.output());
    }
    assert!(container.output().contains("TOOK"), "the attack does not bite");
    container.delete_by_force().ok();
}

#[test]
fn a_payload_that_stops_those_who_enter_holds_up_neither_exec_nor_update() {
    needs!(root);
    let stops =
        "while :; do for p in /proc/[0-9]*; do p=${p#/proc/}; [ $p = 1 ] || kill -STOP $p 2>/dev/null; done; done";
    let container = Bundle::busybox().sh(stops).grant(&["CAP_KILL"]).start();
    for _ in 0..8 {
        let began = Instant::now();
        let ran = container.exec_with(["--detach"], ["sleep", "0"]);
        assert!(ran.code == 0 || ran.stderr.contains("hold up"), "{ran:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "exec takes {:?}", began.elapsed());
        let began = Instant::now();
        if controller("pids").is_some() {
            container.does("update", ["--pids-limit", "100"]).ok();
        }
        assert!(began.elapsed() < Duration::from_secs(5), "update takes {:?}", began.elapsed());
    }
}

const SECRET: &str = "secret-of-the-host";

#[test]
fn a_payload_does_not_see_how_exec_was_called() {
    needs!(root);
    let bundle = Bundle::busybox().user(1000, 1000);
    let container = thief::with(bundle, "watch", SECRET).start();
    container.has_said("looking");
    for _ in 0..20 {
        container.execution(["--user", "0", "--env", &format!("TOKEN={SECRET}")], ["true"]).output();
    }
    assert!(container.output().contains("READ"), "the attack does not bite");
    assert!(!container.output().contains("FOUND"), "{}", container.output());
}

/// A container whose record and whose caller's environment have a secret.
fn with_secrets(bundle: Bundle) -> Bundle {
    let env = format!("HOOK_TOKEN={SECRET}");
    let hook = serde_json::json!({"path": "/bin/true", "env": [env]});
    bundle.grant(&["CAP_SYS_PTRACE", "CAP_KILL"]).hook_with("poststop", hook)
}

#[test]
fn a_payload_that_may_trace_finds_nothing_of_the_host_in_the_process_that_enters() {
    needs!(root);
    let container = thief::with(with_secrets(Bundle::busybox()), "read", SECRET).start();
    container.has_said("looking");
    for _ in 0..20 {
        container.execution([], ["true"]).env("TOKEN_OF_THE_CALLER", SECRET).output();
    }
    assert!(container.output().contains("READ"), "the attack does not bite");
    assert!(!container.output().contains("FOUND"), "{}", container.output());
}

#[test]
fn nothing_of_the_host_is_in_the_memory_of_a_container_that_waits_for_start() {
    needs!(root);
    let bundle = thief::with(with_secrets(Bundle::busybox()), "read-init", SECRET);
    let (container, created) = bundle.create_by(|create| create.env("TOKEN_OF_THE_CALLER", SECRET));
    created.ok();
    let looked = container.exec(thief::PROGRAM).ok().stdout;
    assert!(looked.contains("nothing") && !looked.contains("FOUND"), "{looked}");
    let (title, home) = (read(container.proc("cmdline")), container.home().display().to_string());
    assert!(title.starts_with("rruntime init\0") && !title.contains(&home), "{title:?}");
    assert_eq!(read(container.proc("environ")).trim_matches('\0'), "");
    container.start().end();
}

/// A container whose payload looks for ways to the host in the processes that join its pid namespace; and one that does.
fn neighbours(kind: &str) -> (Container, Bundle) {
    let capabilities = ["CAP_SYS_PTRACE", "CAP_KILL"];
    let bundle = Bundle::busybox();
    let secret = bundle.host_file("secret", "of the host");
    let bundle = crate::cve::probe::with(bundle.grant(&capabilities), kind, &secret);
    let spy = bundle.start();
    spy.has_said("looking");
    let joining = bundle.twin("-b").args(["sleep", "0"]).grant(&capabilities);
    let path = spy.proc("ns/pid");
    (spy, joining.without_namespace("pid").join_namespace("pid", path))
}

#[test]
fn a_container_that_joins_a_pid_namespace_shows_no_way_to_the_host() {
    needs!(root);
    for kind in ["spy", "weigh"] {
        let (spy, joining) = neighbours(kind);
        for _ in 0..15 {
            joining.run();
            joining.handle().delete_by_force();
        }
        assert!(!spy.output().contains("REACHED"), "{kind}: {}", spy.output());
    }
}

#[test]
fn a_container_that_joins_a_pid_namespace_lives_in_it() {
    needs!(root);
    let first = Bundle::busybox().args(["sleep", "600"]).start();
    let twin = Bundle::busybox().sh("ps -o args; sleep 600");
    let twin = twin.without_namespace("pid").join_namespace("pid", first.proc("ns/pid"));
    let second = twin.start();
    eventually("the first one's program is seen", || second.output().matches("sleep 600").count() >= 2);
    assert_eq!(std::fs::read_link(second.proc("ns/pid")).unwrap(), std::fs::read_link(first.proc("ns/pid")).unwrap());
    second.exec(["true"]).ok();
}

#[test]
fn older_kernels_let_a_container_join_a_pid_namespace_by_a_helper() {
    needs!(root);
    let first = Bundle::busybox().args(["sleep", "600"]).start();
    let twin = Bundle::busybox().sh("ps -o args; readlink /proc/self");
    let twin = twin.without_namespace("pid").join_namespace("pid", first.proc("ns/pid"));
    let output = twin.invocation("run").on_kernel("pidns:EINVAL").output().ok();
    assert!(output.stdout.contains("sleep 600"), "{}", output.stdout);
    twin.assert_nothing_left();
}

#[test]
fn a_container_of_another_user_namespace_that_joins_a_pid_namespace_of_the_host_is_warned_of() {
    needs!(root);
    let first = Bundle::busybox().args(["sleep", "600"]).start();
    let bundle = Bundle::busybox().user_namespace().without_mount("/proc").args(["sleep", "0"]);
    let output = bundle.join_namespace("pid", first.proc("ns/pid")).run();
    assert!(output.stderr.contains("with CAP_SYS_PTRACE can take over the host"), "{output:?}");
}
