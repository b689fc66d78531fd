//! Where two worlds touch: mounts of the host in a user namespace, namespaces of the host joined by path, hooks.

use crate::harness::{Bundle, me};
use crate::needs;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_user_namespace_cannot_take_flags_from_the_hosts_mounts() {
    needs!(root);
    let bundle = Bundle::busybox().user_namespace();
    let source = bundle.host_directory("source");
    fs::set_permissions(&source, fs::Permissions::from_mode(0o777)).unwrap(); // nothing but the mount stands in the way
    // The outer runtime's mount namespace: a read-only mount of the host.
    let script = format!(
        "mount --bind {0} {0} && mount -o remount,bind,ro,nosuid,nodev {0} && exec \"$0\" \"$@\"",
        source.display()
    );
    let bundle = bundle.grant(&["CAP_SYS_ADMIN"]);
    let bundle =
        bundle.bind(&source, "/vol", &["rbind"]).sh("mount -o remount,bind,rw,dev,suid /vol; touch /vol/x; echo end");
    let root = bundle.state_root().display().to_string();
    let binary = crate::harness::binary().display().to_string();
    let dir = bundle.write().dir().to_str().unwrap();
    let output = bundle
        .command(["unshare", "-m", "sh", "-c", &script, &binary, "--root", &root, "run", "-b", dir, bundle.id()])
        .output()
        .ok();
    assert!(output.stdout.contains("end"), "{output:?}");
    assert!(!source.join("x").exists(), "a read-only mount of the host was made writable: {output:?}");
}

#[test]
fn the_hosts_own_namespaces_are_not_the_containers() {
    needs!(root);
    let own = |kind: &str| format!("/proc/self/ns/{kind}");
    let cases = [
        (Bundle::busybox().join_namespace("uts", own("uts")).set("/hostname", "stolen"), "hostname"),
        (
            Bundle::busybox()
                .join_namespace("network", own("net"))
                .set("/linux/sysctl", serde_json::json!({"net.ipv4.ip_forward": "1"})),
            "linux.sysctl",
        ),
        (Bundle::busybox().join_namespace("mount", own("mnt")), "linux.namespaces"),
    ];
    for (bundle, field) in cases {
        // In namespaces of the test's own, which play the host: a runtime that falls for it harms nobody.
        let (root, runtime) =
            (bundle.state_root().display().to_string(), crate::harness::binary().display().to_string());
        let dir = bundle.write().dir().to_str().unwrap();
        let host = ["unshare", "--mount", "--uts", "--net", &runtime, "--root", &root, "run", "-b", dir, bundle.id()];
        let output = bundle.command(host).output();
        assert!(
            output.code == 1 && output.stderr.contains(field) && output.stderr.contains("host's own"),
            "{output:?}"
        );
        bundle.assert_nothing_left();
    }
}

#[test]
fn recursive_words_hold_for_new_file_systems_too() {
    needs!(root);
    let output = Bundle::busybox().mount("/data", "tmpfs", "tmpfs", &["rro"]).sh("touch /data/x").run();
    assert!(output.code != 0 && output.stderr.contains("Read-only"), "{output:?}");
}

#[test]
fn a_hook_may_have_all_the_time_in_the_world() {
    needs!(root);
    let hook = serde_json::json!({"path": "/bin/true", "timeout": i64::MAX});
    Bundle::busybox().hook_with("createRuntime", hook).args(["true"]).run().ok();
}

#[test]
fn hooks_of_the_container_have_the_callers_umask() {
    needs!(root);
    let bundle = Bundle::busybox();
    let log = bundle.host_file("log", "");
    let bundle = bundle.hook_with(
        "createContainer",
        serde_json::json!({"path": "/bin/sh", "args": ["sh", "-c", format!("umask > {}", log.display())]}),
    );
    let bundle = bundle.args(["true"]);
    bundle.invocation("run").after_shell("umask 027").output().ok();
    assert_eq!(fs::read_to_string(log).unwrap().trim(), "0027");
}

#[test]
fn an_id_that_hides_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox().args(["true"]);
    let dir = bundle.write().dir().to_str().unwrap();
    for id in [".hidden", ".x.deleting.5"] {
        let output = bundle.runtime(["run", "--bundle", dir, id]).output();
        assert!(output.code == 1 && output.stderr.contains("invalid container ID format"), "{}: {output:?}", me());
    }
}

#[test]
fn the_example_runs() {
    needs!(root);
    needs!(controller "memory");
    needs!(controller "cpu");
    needs!(controller "pids");
    let bundle = Bundle::busybox();
    let dir = bundle.write().dir().to_owned();
    let text = include_str!("../../config.json.example");
    let mut example: serde_json::Value = serde_json::from_str(text).expect("the example is JSON");
    example["linux"]["cgroupsPath"] = bundle.config()["linux"]["cgroupsPath"].clone();
    fs::write(dir.join("config.json"), example.to_string()).unwrap();
    let output = bundle.runtime(["run", "-b", dir.to_str().unwrap(), bundle.id()]).output().ok();
    for word in ["seccomp denied", "read-only", "limits"] {
        assert!(output.stdout.contains(word), "{word}: {output:?}");
    }
}
