//! `exec`: another process in a container, with everything the container's own has.

use crate::harness::terminal::Console;
use crate::harness::{Bundle, eventually, host, read};
use crate::needs;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn exec_passes_output_input_and_status_on() {
    needs!(root);
    let container = Bundle::busybox().start();
    let output = container.execution([], ["sh", "-c", "cat; echo err >&2; exit 7"]).stdin("in").output();
    assert_eq!((output.code, output.stdout.as_str(), output.stderr.as_str()), (7, "in", "err\n"));
}

#[test]
fn exec_exits_with_128_and_the_signal() {
    needs!(root);
    let container = Bundle::busybox().start();
    for (signal, code) in [("TERM", 143), ("KILL", 137), ("SEGV", 139)] {
        assert_eq!(container.exec(["sh", "-c", &format!("kill -{signal} $$")]).code, code);
    }
}

#[test]
fn exec_works_in_a_created_container_but_not_in_a_stopped_one() {
    needs!(root);
    let container = Bundle::busybox().create();
    assert_eq!(container.exec(["echo", "early"]).ok().stdout, "early\n");
    container.kill("KILL").ok();
    container.reaches("stopped");
    container.exec(["true"]).failed(255, "cannot exec in a stopped container");
}

#[test]
fn exec_keeps_the_containers_seccomp_filter() {
    needs!(root);
    let container = Bundle::busybox().deny_syscall("mkdir").start();
    assert_eq!(container.exec(["grep", "-c", "^Seccomp:.2", "/proc/self/status"]).stdout, "1\n");
    let denied = container.exec(["mkdir", "/tmp/x"]);
    assert!(denied.code == 1 && denied.stderr.contains("Operation not permitted"), "{denied:?}");
}

#[test]
fn a_profile_may_name_the_other_architectures_of_the_machine() {
    needs!(root);
    let bundle = Bundle::busybox().deny_syscall("mkdir").sh("mkdir /tmp/x; echo status $?");
    let others = if cfg!(target_arch = "aarch64") {
        ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    } else {
        ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    };
    let output = bundle.set("/linux/seccomp/architectures", json!(others)).run().ok();
    assert_eq!(output.stdout, "status 1\n");
    assert!(output.stderr.contains("Operation not permitted"), "{output:?}");
}

/// It is born in the container with the filter in force, if that lets it; and with the limit of processes of its user.
#[test]
fn exec_works_where_the_profile_forbids_to_fork_or_the_user_has_no_process_left() {
    needs!(root);
    for call in ["clone", "clone3", "setsid", "ioctl"] {
        let bundle = Bundle::busybox().set("/process/noNewPrivileges", false).deny_syscall(call);
        let container = bundle.start();
        assert_eq!(container.exec(["echo", "fine"]).ok().stdout, "fine\n", "{call}");
        let console = Console::listen(&container.home().join("exec.sock"));
        let options = ["--tty", "--detach", "--console-socket", console.path()];
        container.exec_with(options, ["sh", "-c", "echo fine too; read line"]).ok();
        console.terminal().has_shown("fine too");
    }
    let limit = json!([{"type": "RLIMIT_NPROC", "soft": 1, "hard": 1}]);
    let container = Bundle::busybox().set("/process/rlimits", limit).user(54_321, 54_321).start(); // who has no others
    let limits = container.exec(["grep", "Max processes", "/proc/self/limits"]).ok().stdout;
    assert_eq!(limits.split_whitespace().collect::<Vec<_>>(), ["Max", "processes", "1", "1", "processes"]);
}

#[test]
fn exec_looks_like_init_to_the_kernel() {
    needs!(root);
    let bundle = Bundle::busybox()
        .set(
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}, {"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]),
        )
        .set("/process/user/umask", 0o027)
        .set("/process/user/additionalGids", json!([10, 20]))
        .set("/process/oomScoreAdj", 123)
        .deny_syscall("mkdir");
    let container = bundle.start();
    for (file, pattern) in [
        ("status", "^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp|Umask|Cpus_allowed_list)"),
        ("limits", "(open files|core file)"),
        ("cgroup", "."),
        ("oom_score_adj", "."),
    ] {
        let init = container.exec(["grep", "-E", pattern, &format!("/proc/1/{file}")]).ok().stdout;
        let exec = container.exec(["grep", "-E", pattern, &format!("/proc/self/{file}")]).ok().stdout;
        assert_eq!(init, exec, "{file}");
    }
}

#[test]
fn exec_joins_every_namespace_and_the_cgroup() {
    needs!(root);
    let container = Bundle::busybox().namespace("cgroup").start();
    let process = container.execution([], ["sh", "-c", "echo ready; sleep 600"]).spawn();
    process.has_said("ready");
    let listed: Vec<i32> =
        serde_json::from_str(&container.runtime(["ps", "-f", "json", container.id()]).output().ok().stdout).unwrap();
    let init = container.pid();
    let other = *listed.iter().find(|pid| **pid != init).expect("the process of exec");
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "uts", "user", "time"] {
        let [one, two] = [init, other].map(|pid| format!("/proc/{pid}/ns/{kind}"));
        assert!(host::same_file(&one, &two), "{kind} namespace");
    }
    assert_eq!(read(format!("/proc/{init}/cgroup")), read(format!("/proc/{other}/cgroup")));
}

#[test]
fn exec_inherits_cwd_and_environment_and_can_change_them() {
    needs!(root);
    let container =
        Bundle::busybox().directory("/place").directory("/else").set("/process/cwd", "/place").env("ONE=1").start();
    let script = ["sh", "-c", "pwd; echo $ONE $TWO $HOME"];
    assert_eq!(container.exec(script).ok().stdout, "/place\n1 /root\n");
    let changed = container.exec_with(["--cwd", "/else", "-e", "TWO=2", "-e", "ONE=eins"], script);
    assert_eq!(changed.ok().stdout, "/else\neins 2 /root\n");
}

#[test]
fn options_after_the_id_belong_to_the_command() {
    needs!(root);
    let container = Bundle::busybox().start();
    assert_eq!(container.exec(["echo", "--cwd", "/x", "-d"]).ok().stdout, "--cwd /x -d\n");
    container.exec([]).failed(255, "args cannot be empty");
}

#[test]
fn exec_takes_a_whole_process() {
    needs!(root);
    let bundle = Bundle::busybox();
    let process = json!({
        "args": ["sh", "-c", "id -u; id -g; id -G; pwd; echo $A; umask; grep CapBnd /proc/self/status; grep NoNewPrivs /proc/self/status"],
        "cwd": "/tmp", "env": ["PATH=/bin", "A=b"],
        "user": {"uid": 5, "gid": 6, "additionalGids": [7], "umask": 0o77},
        "capabilities": {"bounding": ["CAP_KILL"]},
    });
    let file = bundle.host_file("process.json", &process.to_string());
    let container = bundle.start();
    let output = container.exec_with(["--process", file.to_str().unwrap()], []).ok();
    let expected = "5\n6\n6 7\n/tmp\nb\n0077\nCapBnd:\t0000000000000020\nNoNewPrivs:\t0\n";
    assert_eq!(output.stdout, expected);
}

#[test]
fn a_process_file_needs_args_and_an_absolute_cwd() {
    needs!(root);
    let bundle = Bundle::busybox();
    let container = bundle.start();
    let cases = [(json!({"cwd": "/", "args": []}), "args"), (json!({"cwd": "tmp", "args": ["true"]}), "absolute")];
    for (process, text) in cases {
        let file = bundle.host_file("process.json", &process.to_string());
        let output = container.exec_with(["-p", file.to_str().unwrap()], []);
        assert!(output.code != 0 && output.stderr.contains(text), "{process}: {output:?}");
    }
}

#[test]
fn a_process_file_without_home_still_gets_one() {
    needs!(root);
    let bundle = Bundle::busybox();
    let process = json!({"args": ["/bin/sh", "-c", "echo $HOME"], "cwd": "/", "user": {"uid": 1000, "gid": 1000}});
    let file = bundle.host_file("process.json", &process.to_string());
    let container = bundle.start();
    assert_eq!(container.exec_with(["-p", file.to_str().unwrap()], []).ok().stdout, "/home/user\n");
}

#[test]
fn a_detached_exec_returns_and_leaves_its_pid() {
    needs!(root);
    let container = Bundle::busybox().start();
    let pid_file = container.home().join("exec.pid");
    let options = ["--detach", "--pid-file", pid_file.to_str().unwrap()];
    container.exec_with(options, ["sleep", "500"]).ok();
    let pid = fs::read_to_string(&pid_file).unwrap();
    assert_eq!(read(format!("/proc/{pid}/cmdline")), "sleep\x00500\x00");
    container.kill("KILL").ok();
    eventually("the process of exec to end with the container", || !host::is_alive(pid.parse().unwrap()));
}

#[test]
fn exec_says_what_is_wrong_with_the_program() {
    needs!(root);
    let container = Bundle::busybox().script("/plain", "text", 0o644).start();
    container.exec(["no-such-program"]).failed(255, "exec: \"no-such-program\": executable file not found in $PATH");
    container.exec(["/no/such"]).failed(255, "exec: \"/no/such\": stat /no/such: no such file or directory");
    container.exec(["/plain"]).failed(255, "exec: \"/plain\": permission denied");
    container.exec(["/tmp"]).failed(255, "/tmp");
}

#[test]
fn a_failed_exec_writes_no_pid_file() {
    needs!(root);
    let container = Bundle::busybox().start();
    let pid_file = container.home().join("exec.pid");
    container.exec_with(["-d", "--pid-file", pid_file.to_str().unwrap()], ["/no/such"]).failed(255, "no such file");
    assert!(!pid_file.exists());
}

#[test]
fn exec_can_forbid_new_privileges() {
    needs!(root);
    let container = Bundle::busybox().set("/process/noNewPrivileges", false).start();
    let flag = ["grep", "-o", "NoNewPrivs:.*", "/proc/self/status"];
    assert_eq!(container.exec(flag).stdout, "NoNewPrivs:\t0\n");
    assert_eq!(container.exec_with(["--no-new-privs"], flag).stdout, "NoNewPrivs:\t1\n");
}

#[test]
fn exec_gets_only_the_descriptors_it_was_promised() {
    needs!(root);
    let container = Bundle::busybox().start();
    let list = ["sh", "-c", "ls /proc/$$/fd; true"];
    let leak = "exec 3</etc/passwd 4</etc 5</etc/group 9</etc";
    assert_eq!(container.execution([], list).after_shell(leak).output().ok().stdout, "0\n1\n2\n");
    let kept = container.execution(["--preserve-fds", "2"], list).after_shell(leak).output().ok();
    assert_eq!(kept.stdout, "0\n1\n2\n3\n4\n");
}

#[test]
fn the_process_file_may_be_private_to_root() {
    needs!(root);
    let bundle = Bundle::busybox().user(1000, 1000);
    let process =
        json!({"args": ["echo", "fine"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 1000, "gid": 1000}});
    let file = bundle.host_file("process.json", &process.to_string());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let container = bundle.start();
    assert_eq!(container.exec_with(["-p", file.to_str().unwrap()], []).ok().stdout, "fine\n");
}
