//! The six kinds of hooks: when, where and with what they run, and what happens when they fail.

use crate::harness::{Bundle, host, read};
use crate::needs;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const KINDS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// A bundle of which every hook appends `script`'s output to one file, bound into the container as /log.
fn logging(script: &str) -> Bundle {
    let bundle = Bundle::busybox();
    let log = bundle.host_file("log", "");
    let bundle = bundle.bind(&log, "/log", &["rw"]);
    KINDS.iter().fold(bundle, |bundle, kind| {
        let log = if *kind == "startContainer" { "/log".into() } else { log.display().to_string() };
        bundle.hook(kind, &format!("echo {kind} $({script}) >> {log}"))
    })
}

fn log_of(bundle: &Bundle) -> Vec<String> {
    read(bundle.home().join("log")).lines().map(str::to_owned).collect()
}

#[test]
fn hooks_run_in_the_order_of_the_specification() {
    needs!(root);
    let bundle = logging("");
    let container = bundle.create();
    assert_eq!(log_of(&bundle), KINDS[..3]);
    let container = container.start();
    assert_eq!(log_of(&bundle), KINDS[..5], "poststart is over when start returns");
    container.delete_by_force().ok();
    assert_eq!(log_of(&bundle), KINDS);
}

#[test]
fn hooks_of_one_kind_run_in_the_order_listed() {
    needs!(root);
    let bundle = Bundle::busybox();
    let log = bundle.host_file("log", "");
    let bundle =
        (1..=4).fold(bundle, |bundle, n| bundle.hook("createRuntime", &format!("echo {n} >> {}", log.display())));
    bundle.create();
    assert_eq!(log_of(&bundle), ["1", "2", "3", "4"]);
}

#[test]
fn hooks_read_the_state_on_stdin() {
    needs!(root);
    let bundle = logging("cat").set("/annotations", json!({"org.example": "text"}));
    let container = bundle.start();
    let pid = container.pid();
    container.delete_by_force().ok();
    let expected = ["created", "creating", "creating", "created", "running", "stopped"];
    for (line, (kind, status)) in log_of(&bundle).iter().zip(KINDS.into_iter().zip(expected)) {
        let state: Value =
            serde_json::from_str(line.strip_prefix(kind).expect(kind)).expect("a JSON document and its end");
        assert_eq!(state["status"], status, "{kind}");
        assert_eq!(state["id"], bundle.id(), "{kind}");
        assert_eq!(state["bundle"], bundle.dir().to_str().unwrap(), "{kind}");
        assert_eq!(state["annotations"]["org.example"], "text", "{kind}");
        let its = state["pid"].as_i64();
        match kind {
            // Hooks inside may be told the pid as they see it or as the host does.
            "createContainer" | "startContainer" => {
                assert!(its == Some(1) || its == Some(i64::from(pid)), "{kind}: {its:?}");
            }
            "poststop" => assert!(matches!(its, None | Some(0)), "{its:?}"),
            _ => assert_eq!(its, Some(i64::from(pid)), "{kind}"),
        }
    }
}

#[test]
fn each_kind_runs_in_its_namespaces() {
    needs!(root);
    let bundle = logging("readlink /proc/self/ns/mnt; readlink /proc/self/ns/net");
    let container = bundle.start();
    let names = |proc: &str| {
        ["mnt", "net"]
            .map(|kind| std::fs::read_link(format!("{proc}/ns/{kind}")).unwrap().display().to_string())
            .join(" ")
    };
    let (mine, its) = (names("/proc/self"), names(&format!("/proc/{}", container.pid())));
    container.delete_by_force().ok();
    let places: Vec<_> = log_of(&bundle).iter().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
    let expected = [&mine, &mine, &its, &its, &mine, &mine];
    assert_eq!(places.iter().collect::<Vec<_>>(), expected);
}

#[test]
fn the_runtimes_hooks_find_the_namespaces_but_not_yet_the_root() {
    needs!(root);
    // createRuntime: after the namespaces, before the pivot. What it mounts into the image from outside is not seen inside.
    let bundle = Bundle::busybox();
    let seen = bundle.host_file("seen", "");
    let script =
        format!("pid=$(sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); readlink /proc/$pid/ns/net > {}", seen.display());
    let bundle = bundle.hook("createRuntime", &script);
    let container = bundle.create();
    let network = std::fs::read_link(container.proc("ns/net")).unwrap();
    assert_eq!(read(seen).trim(), network.to_str().unwrap());
}

#[test]
fn create_container_hooks_can_still_mount_into_the_root() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    std::fs::write(volume.join("file"), "late").unwrap();
    let script = format!("mount --bind {} {}/tmp", volume.display(), bundle.rootfs().display());
    let bundle = bundle.hook("createContainer", &script).args(["cat", "/tmp/file"]);
    assert_eq!(bundle.run().ok().stdout, "late");
}

#[test]
fn a_hook_gets_its_arguments_and_environment() {
    needs!(root);
    let bundle = Bundle::busybox();
    let log = bundle.host_file("log", "");
    let hook = json!({"path": "/bin/sh", "args": ["name", "-c", "echo $0 $1 $A $SECRET >> $LOG", "zero", "one"],
                      "env": ["A=b", format!("LOG={}", log.display())]});
    let bundle = bundle.hook_with("prestart", hook);
    let (_container, created) = bundle.create_by(|it| it.env("SECRET", "of the caller"));
    created.ok();
    assert_eq!(log_of(&bundle), ["zero one b"]);
}

#[test]
fn start_container_hooks_see_the_containers_files() {
    needs!(root);
    let bundle =
        Bundle::busybox().hook("startContainer", "hostname > /tmp/seen; pwd >> /tmp/seen").set("/hostname", "inside");
    let container = bundle.create();
    let seen = container.home().join("bundle/rootfs/tmp/seen");
    assert!(!seen.exists(), "it ran before start");
    let _container = container.start();
    assert_eq!(read(seen).lines().next(), Some("inside"));
}

#[test]
fn a_relative_hook_path_is_refused() {
    needs!(root);
    for kind in KINDS {
        let bundle = Bundle::busybox().hook_with(kind, json!({"path": "bin/true"}));
        assert_eq!(bundle.try_create().code, 1, "{kind}");
        bundle.assert_nothing_left();
    }
}

#[test]
fn start_container_hooks_have_the_programs_environment_home_included() {
    needs!(root);
    let hook = "echo $HOME $WHO > /tmp/seen";
    let bundle = Bundle::busybox().env("WHO=me").hook("startContainer", hook).args(["cat", "/tmp/seen"]);
    let home = bundle.twin("home").args(["sh", "-c", "echo $HOME $WHO"]).run().ok().stdout;
    assert!(home.starts_with('/'), "{home}");
    assert_eq!(bundle.run().ok().stdout, home);
}

#[test]
fn create_container_hooks_run_in_the_root_of_the_container_to_be() {
    needs!(root);
    // Below a mount of the container's, too, which its name on the host would lead to as well.
    let bundle = Bundle::busybox().mount("/mnt", "tmpfs", "tmpfs", &[]);
    let bundle = bundle.hook("createContainer", "pwd -P > mnt/where; echo late > mnt/file");
    let bundle = bundle.args(["cat", "/mnt/where", "/mnt/file"]);
    assert_eq!(bundle.run().ok().stdout, format!("{}\nlate\n", bundle.rootfs().display()));
}

#[test]
fn start_container_hooks_are_held_by_the_seccomp_filter() {
    needs!(root);
    // They may be programs of the image, as the payload is.
    for no_new_privileges in [true, false] {
        let bundle = Bundle::busybox().set("/process/noNewPrivileges", no_new_privileges).deny_syscall("mkdir");
        let hook = "mkdir /tmp/made 2>&1 || grep Seccomp: /proc/self/status > /tmp/seen";
        let denied = bundle.twin("denied").hook("startContainer", hook).args(["cat", "/tmp/seen"]);
        assert_eq!(denied.run().ok().stdout, "Seccomp:\t2\n", "{no_new_privileges}");
        let killed = bundle.twin("killed").set("/linux/seccomp/syscalls/0/action", "SCMP_ACT_KILL_PROCESS");
        let text = "error running startContainer hook #0: /bin/sh: failed: killed by SIGSYS, bad system call";
        killed.hook("startContainer", "exec mkdir /tmp/made").run().refused(text);
    }
}

#[test]
fn a_failing_hook_before_start_fails_create_and_leaves_nothing() {
    needs!(root);
    let faults = [
        json!({"path": "/bin/sh", "args": ["sh", "-c", "echo the reason >&2; exit 3"]}),
        json!({"path": "/no/such/hook"}),
        json!({"path": "/etc/passwd"}),
    ];
    for kind in ["prestart", "createRuntime", "createContainer"] {
        for fault in &faults {
            let bundle = Bundle::busybox().hook_with(kind, fault.clone());
            let output = bundle.try_create();
            assert!(output.code == 1 && output.stderr.contains("hook"), "{kind} {fault}: {output:?}");
            assert!(fault.get("args").is_none() || output.stderr.contains("the reason"), "{output:?}");
            bundle.assert_nothing_left();
        }
    }
}

#[test]
fn a_failing_start_container_hook_keeps_the_payload_from_running() {
    needs!(root);
    let bundle = Bundle::busybox().hook("startContainer", "exit 3").sh("touch /ran; sleep 600");
    let container = bundle.create();
    container.does("start", []);
    container.reaches("stopped");
    assert!(!bundle.rootfs().join("ran").exists());
    container.end();
}

#[test]
fn a_failing_poststart_hook_kills_the_container() {
    needs!(root);
    let bundle = Bundle::busybox().hook("poststart", "exit 3");
    let container = bundle.create();
    assert_ne!(container.does("start", []).code, 0);
    crate::harness::eventually("the payload's end", || host::processes(bundle.home(), bundle.id()).is_empty());
    container.end();
}

#[test]
fn a_failing_poststop_hook_does_not_stop_the_removal() {
    needs!(root);
    let bundle = Bundle::busybox();
    let log = bundle.host_file("log", "");
    let bundle = bundle.hook("poststop", "exit 3").hook("poststop", &format!("echo second >> {}", log.display()));
    let container = bundle.start();
    container.delete_by_force();
    bundle.assert_nothing_left();
    assert_eq!(log_of(&bundle), ["second"], "the remaining hooks run");
}

#[test]
fn a_hook_that_hangs_is_killed_at_its_timeout() {
    needs!(root);
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "exec sleep 555"], "timeout": 1});
        let bundle = Bundle::busybox().hook_with(kind, hook);
        let began = Instant::now();
        let output = bundle.try_create();
        assert!(output.code == 1 && began.elapsed() < Duration::from_secs(20), "{kind}: {output:?}");
        assert!(began.elapsed() >= Duration::from_secs(1), "{kind} was not given its time");
        bundle.assert_nothing_left();
    }
}

#[test]
fn a_hook_need_not_read_its_stdin() {
    needs!(root);
    let annotations = json!({"long": "x".repeat(300_000)});
    let bundle = Bundle::busybox()
        .set("/annotations", annotations)
        .hook("prestart", "true")
        .hook("createRuntime", "exec <&-; exit 0");
    bundle.create();
}

#[test]
fn a_hook_that_leaves_a_daemon_with_its_output_does_not_hang_create() {
    needs!(root);
    let bundle = Bundle::busybox();
    let pid_file = bundle.home().join("daemon");
    let bundle = bundle.hook("createRuntime", &format!("sleep 20 & echo $! > {}; exit 0", pid_file.display()));
    let began = Instant::now();
    let container = bundle.create();
    let took = began.elapsed();
    drop(container);
    if let Ok(pid) = read(pid_file).trim().parse() {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    assert!(took < Duration::from_secs(10), "create waited for the daemon");
}

#[test]
fn a_hook_gets_no_descriptors() {
    needs!(root);
    let bundle = logging("ls /proc/self/fd | wc -l");
    let container = bundle.create_after("exec 5</etc/passwd 7</").start();
    container.delete_by_force().ok();
    for line in log_of(&bundle) {
        // Its three streams, and the directory that ls reads.
        assert!(line.ends_with(" 4"), "{line}");
    }
}

// --- crun's annotations for their output ---

#[test]
fn the_output_of_hooks_is_appended_to_the_files_that_annotations_name() {
    needs!(root);
    let bundle = Bundle::busybox();
    let (out, err) = (bundle.host_file("out", "before\n"), bundle.home().join("err"));
    let bundle = KINDS.iter().fold(bundle, |bundle, kind| bundle.hook(kind, &format!("echo {kind}; echo E{kind} >&2")));
    let bundle = bundle.set("/annotations", json!({"run.oci.hooks.stdout": out, "run.oci.hooks.stderr": err}));
    let container = bundle.start();
    container.delete_by_force().ok();
    let kinds = ["prestart", "createRuntime", "createContainer", "poststart", "poststop"]; // startContainer is not on the host
    assert_eq!(read(&out).lines().collect::<Vec<_>>(), [&["before"][..], &kinds].concat());
    assert_eq!(read(&err).lines().collect::<Vec<_>>(), kinds.map(|kind| format!("E{kind}")));
}

#[test]
fn a_file_for_output_that_cannot_be_opened_is_an_error_before_the_start_only() {
    needs!(root);
    let bundle = Bundle::busybox().set("/annotations", json!({"run.oci.hooks.stdout": "/no/such/directory/out"}));
    let mark = bundle.home().join("mark");
    let container = bundle.twin("late").hook("poststop", &format!("touch {}", mark.display())).start();
    container.delete_by_force().ok();
    assert!(mark.exists(), "a hook that cleans up runs all the same");
    bundle
        .twin("early")
        .hook("createRuntime", "true")
        .try_create()
        .refused("run.oci.hooks.stdout: open /no/such/directory/out");
    let relative = bundle.twin("relative").set("/annotations", json!({"run.oci.hooks.stderr": "err"}));
    relative.try_create().refused("config.json: annotations.run.oci.hooks.stderr: \"err\" is not an absolute path");
    bundle.assert_nothing_left();
}
