//! The payload's process: who it is, where it stands, what it inherits.

use crate::harness::{Bundle, read};
use crate::needs;
use serde_json::json;
use std::fs;

/// What `script` prints in a container like this.
#[track_caller]
fn prints(bundle: Bundle, script: &str) -> String {
    bundle.sh(script).run().ok().stdout
}

#[test]
fn the_user_and_the_groups_are_exactly_those_asked_for() {
    needs!(root);
    let user = json!({"uid": 1234, "gid": 2345, "additionalGids": [10, 20]});
    let seen = prints(Bundle::busybox().set("/process/user", user), "grep -E '^(Uid|Gid|Groups)' /proc/self/status");
    assert_eq!(seen, "Uid:\t1234\t1234\t1234\t1234\nGid:\t2345\t2345\t2345\t2345\nGroups:\t10 20 \n");
}

#[test]
fn groups_of_the_caller_are_dropped() {
    needs!(root);
    needs!(program "setpriv");
    let bundle = Bundle::busybox().args(["id", "-G"]);
    let output = bundle.invocation("run").under(["setpriv", "--groups", "7,8,9"]).output().ok();
    assert_eq!(output.stdout, "0\n");
}

#[test]
fn an_annotation_keeps_the_groups_of_the_caller() {
    needs!(root);
    needs!(program "setpriv");
    let bundle = Bundle::busybox().set("/annotations", json!({"run.oci.keep_original_groups": "1"}));
    let groups = ["setpriv", "--groups", "7,8,9"];
    let run = bundle.twin("run").user(1000, 1000).args(["id", "-G"]);
    assert_eq!(run.invocation("run").under(groups).output().ok().stdout, "1000 7 8 9\n");
    let user = json!({"uid": 1000, "gid": 1000, "additionalGids": [5]});
    let asked = bundle.twin("asked").set("/process/user", user).args(["id", "-G"]);
    let output = asked.invocation("run").under(groups).output().ok();
    assert_eq!(output.stdout, "1000 7 8 9\n");
    assert!(output.stderr.contains("process.user.additionalGids: has no effect"), "{output:?}");
    let container = bundle.start();
    assert_eq!(container.execution([], ["id", "-G"]).under(groups).output().ok().stdout, "0 7 8 9\n");
    container
        .exec_with(["-g", "5"], ["true"])
        .failed(255, "--additional-gids: the annotation run.oci.keep_original_groups");
    let not = bundle.twin("not").set("/annotations", json!({"run.oci.keep_original_groups": "0"})).args(["id", "-G"]);
    assert_eq!(not.invocation("run").under(groups).output().ok().stdout, "0\n");
}

#[test]
fn the_umask_is_the_configured_one_or_the_callers() {
    needs!(root);
    // config.md: unspecified, it is not changed from the calling process' umask.
    let bundle = Bundle::busybox().args(["sh", "-c", "umask; touch /tmp/x; stat -c %a /tmp/x"]);
    for (umask, expected) in [(None, "0077\n600\n"), (Some(0o027), "0027\n640\n"), (Some(0), "0000\n666\n")] {
        let bundle = bundle.twin(&format!("{umask:?}").replace(['(', ')'], "")).mount("/tmp", "tmpfs", "tmpfs", &[]);
        let bundle = if let Some(umask) = umask { bundle.set("/process/user/umask", umask) } else { bundle };
        assert_eq!(bundle.invocation("run").after_shell("umask 077").output().ok().stdout, expected);
    }
}

#[test]
fn the_working_directory_is_the_configured_one() {
    needs!(root);
    let bundle = Bundle::busybox().directory("/some/where");
    assert_eq!(prints(bundle.set("/process/cwd", "/some/where"), "pwd"), "/some/where\n");
}

#[test]
fn a_missing_working_directory_is_made() {
    needs!(root);
    let bundle = Bundle::busybox().set("/process/cwd", "/brand/new");
    assert_eq!(bundle.sh("pwd").run().ok().stdout, "/brand/new\n");
}

#[test]
fn a_working_directory_only_the_user_may_enter_is_entered() {
    needs!(root);
    let bundle = Bundle::busybox().directory("/private").user(1000, 1000).set("/process/cwd", "/private");
    let path = bundle.rootfs().join("private");
    std::os::unix::fs::chown(&path, Some(1000), Some(1000)).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    assert_eq!(prints(bundle, "pwd"), "/private\n");
}

#[test]
fn a_relative_working_directory_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox().set("/process/cwd", "tmp");
    bundle.try_create().refused("absolute");
}

#[test]
fn the_environment_is_the_configured_one_and_nothing_else() {
    needs!(root);
    let environment = json!(["PATH=/bin", "A=first", "B=with = and spaces", "EMPTY=", "A=second"]);
    let bundle = Bundle::busybox().set("/process/env", environment).args(["cat", "/proc/self/environ"]);
    let output = bundle.invocation("run").env("SECRET", "of the host").output().ok().stdout;
    let mut seen: Vec<_> = output.split('\0').filter(|word| !word.is_empty()).collect();
    seen.sort_unstable();
    // The last of two equal names wins, and HOME is added.
    assert_eq!(seen, ["A=second", "B=with = and spaces", "EMPTY=", "HOME=/root", "PATH=/bin"]);
}

#[test]
fn home_comes_from_the_images_passwd_unless_it_is_set() {
    needs!(root);
    let bundle = Bundle::busybox();
    for (uid, home) in [(0, "/root\n"), (1000, "/home/user\n"), (4321, "/\n")] {
        assert_eq!(prints(bundle.twin(&uid.to_string()).user(uid, 0), "echo $HOME"), home, "{uid}");
    }
    assert_eq!(prints(bundle.twin("set").env("HOME=/else"), "echo $HOME"), "/else\n");
}

#[test]
fn the_program_is_looked_up_in_the_containers_path() {
    needs!(root);
    let bundle = Bundle::busybox().script("/opt/tools/greet", "#!/bin/sh\necho hello\n", 0o755);
    let bundle = bundle.set("/process/env", json!(["PATH=/opt/tools:/bin"])).args(["greet"]);
    assert_eq!(bundle.run().ok().stdout, "hello\n");
}

#[test]
fn resource_limits_are_set() {
    needs!(root);
    let limits = json!([
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_CPU", "soft": 50, "hard": 60},
    ]);
    let seen = prints(Bundle::busybox().set("/process/rlimits", limits), "cat /proc/self/limits");
    let row = |name: &str| {
        seen.lines().find(|line| line.starts_with(name)).unwrap()[name.len()..]
            .split_whitespace()
            .take(2)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (row("Max open files"), row("Max core file size"), row("Max cpu time")),
        (vec!["100", "200"], vec!["0", "0"], vec!["50", "60"])
    );
}

#[test]
fn resource_limits_that_are_unknown_or_doubled_are_refused() {
    needs!(root);
    let one = json!({"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200});
    for limits in [json!([{"type": "RLIMIT_BOGUS", "soft": 1, "hard": 1}]), json!([one, one])] {
        let bundle = Bundle::busybox().set("/process/rlimits", limits);
        bundle.try_create().refused("RLIMIT_");
        bundle.assert_nothing_left();
    }
}

#[test]
fn no_new_privileges_is_as_configured() {
    needs!(root);
    let bundle = Bundle::busybox();
    for (flag, expected) in [(true, "NoNewPrivs:\t1\n"), (false, "NoNewPrivs:\t0\n")] {
        let bundle = bundle.twin(&flag.to_string()).set("/process/noNewPrivileges", flag);
        assert_eq!(prints(bundle, "grep NoNewPrivs /proc/self/status"), expected);
    }
}

#[test]
fn the_oom_score_is_as_configured_or_the_callers() {
    needs!(root);
    let bundle = Bundle::busybox();
    assert_eq!(prints(bundle.twin("set").set("/process/oomScoreAdj", 321), "cat /proc/self/oom_score_adj"), "321\n");
    assert_eq!(prints(bundle.twin("unset"), "cat /proc/self/oom_score_adj"), read("/proc/self/oom_score_adj"));
}

#[test]
fn the_session_keyring_is_the_containers_own() {
    needs!(root);
    // Only who has it sees it in /proc/keys.
    let bundle = Bundle::busybox().unset("/linux/maskedPaths");
    let keyrings = |bundle: Bundle| {
        let container = bundle.start();
        let keys = container.exec(["cat", "/proc/keys"]).ok().stdout;
        keys.lines().filter(|line| line.contains(&format!("_ses.{}.", container.id()))).count()
    };
    assert_eq!(keyrings(bundle.twin("a")), 1);
    assert_eq!(keyrings(bundle.twin("b").option("--no-new-keyring")), 0);
}

#[test]
fn the_callers_cpu_affinity_is_not_inherited() {
    needs!(root);
    needs!(program "taskset");
    let bundle = Bundle::busybox().sh("grep Cpus_allowed_list /proc/self/status");
    let output = bundle.invocation("run").under(["taskset", "-c", "0"]).output().ok().stdout;
    let all = read("/proc/self/status").lines().find(|line| line.starts_with("Cpus_allowed_list")).unwrap().to_owned();
    assert_eq!(output.trim(), all);
    let container = bundle.twin("exec").args(["sleep", "600"]).start();
    let exec = container
        .execution([], ["grep", "Cpus_allowed_list", "/proc/self/status"])
        .under(["taskset", "-c", "0"])
        .output()
        .ok();
    assert_eq!(exec.stdout.trim(), all);
}

#[test]
fn signals_the_caller_ignores_or_blocks_are_not_inherited() {
    needs!(root);
    let bundle = Bundle::busybox().args(["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]);
    let output = bundle.invocation("run").after_shell("trap '' INT QUIT PIPE USR1").output().ok().stdout;
    assert!(output.contains("SigBlk:\t0000000000000000"), "{output}");
    let ignored = u64::from_str_radix(output.split("SigIgn:\t").nth(1).unwrap().trim(), 16).unwrap();
    assert_eq!(ignored & (1 << 12), 0, "SIGPIPE is ignored: {output}");
}

#[test]
fn a_seccomp_profile_older_than_the_runtimes_own_calls_lets_the_program_run() {
    needs!(root);
    let ours = [
        "openat2",
        "faccessat2",
        "close_range",
        "statx",
        "getcwd",
        "setgroups",
        "setresuid",
        "setresgid",
        "chdir",
        "prlimit64",
    ];
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ours, "action": "SCMP_ACT_ERRNO"}],
    });
    let bundle = Bundle::busybox()
        .set("/linux/seccomp", profile)
        .set("/process/noNewPrivileges", false)
        .set("/process/capabilities", json!({"permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]}))
        .file("etc/passwd", "user:x:1000:1000:user:/home/user:/bin/sh\n")
        .user(1000, 1000)
        .args(["sleep", "1000"]);
    let container = bundle.create();
    let status = read(format!("/proc/{}/status", container.pid()));
    for line in ["CapPrm:\t0000000000000020", "CapEff:\t0000000000000020", "Seccomp:\t2", "NoNewPrivs:\t0"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let container = container.start();
    assert_eq!(container.exec(["sh", "-c", "echo $HOME"]).ok().stdout, "/home/user\n");
}

#[test]
fn thousands_of_variables_fit_into_a_small_container() {
    needs!(root);
    needs!(controller "memory");
    let variables: Vec<String> = (0..10_000).map(|number| format!("VARIABLE_{number}=x")).collect();
    let bundle = Bundle::busybox().set("/linux/resources/memory", serde_json::json!({"limit": 24 << 20}));
    let bundle = bundle.set("/process/env", variables).args(["/bin/true"]);
    bundle.create().start().reaches("stopped");
}
