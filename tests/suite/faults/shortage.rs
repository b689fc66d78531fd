//! What there is too little of: disk, descriptors, memory, processes.

use super::with_faults;
use crate::harness::{Bundle, host, read};
use crate::needs;
use serde_json::json;

#[test]
fn every_refused_configuration_leaves_nothing() {
    needs!(root);
    let wrong = [
        ("/process/args", json!(["/no/such/program"])),
        ("/process/cwd", json!("/etc/passwd/x")),
        ("/root/path", json!("missing")),
        ("/hostname", json!("x".repeat(300))),
        ("/linux/namespaces/0/path", json!("/no/such/namespace")),
        ("/linux/sysctl", json!({"net.no.such": "1"})),
        ("/mounts/0/source", json!("proc\0x")),
        ("/mounts/1/type", json!("nosuchfs")),
        ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_BOGUS"})),
        ("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 9_999_999_999u64, "hard": 1}])),
    ];
    for (pointer, value) in wrong {
        let bundle = Bundle::busybox().set(pointer, value.clone());
        let output = bundle.try_create();
        assert!(output.code == 1 && !output.stderr.trim().is_empty(), "{pointer} {value}: {output:?}");
        bundle.assert_nothing_left_after(pointer);
    }
}

#[test]
fn a_full_state_directory_fails_create_and_leaves_nothing() {
    needs!(root);
    let bundle = Bundle::busybox();
    let state = bundle.state_root();
    let script = format!(
        "mount -t tmpfs -o size=4k none {s} && head -c 4096 /dev/zero > {s}/full; \"$@\"; code=$?; rm {s}/full; ls {s}; exit $code",
        s = state.display()
    );
    let output = bundle.invocation("create").under(["unshare", "-m", "sh", "-c", &script, "sh"]).output();
    assert_eq!((output.code, output.stdout.as_str()), (1, ""), "{output:?}");
    bundle.assert_nothing_left();
}

#[test]
fn few_descriptors_are_an_error_and_no_hang() {
    needs!(root);
    for limit in [4, 6, 8, 12, 20] {
        let bundle = Bundle::busybox();
        let (container, output) = bundle.create_by(|it| it.after_shell(&format!("ulimit -n {limit}")));
        if output.code != 0 {
            assert!(!output.stderr.trim().is_empty() || limit < 8, "{limit}: {output:?}");
            // Its own cleaning up may have needed more than it had.
            container.delete_by_force().ok();
            bundle.assert_nothing_left_after(&format!("ulimit -n {limit}"));
        }
        drop(container);
    }
}

#[test]
fn a_root_filesystem_that_takes_no_mount_point_is_named() {
    needs!(root);
    let bundle = Bundle::busybox().mount("/not/there", "tmpfs", "tmpfs", &[]);
    let script =
        format!("mount --bind {0} {0} && mount -o remount,bind,ro {0} && exec \"$@\"", bundle.rootfs().display());
    let output = bundle.invocation("create").under(["unshare", "-m", "sh", "-c", &script, "sh"]).output();
    output.refused("/not/there").stderr.contains("read-only file system (EROFS)").then_some(()).expect("why");
    bundle.assert_nothing_left();
    assert!(!bundle.rootfs().join("not").exists());
    let output = with_faults(bundle.invocation("create"), &["mkdirat:error=ENOSPC:when=2+"]).output();
    assert!(output.code == 1 && output.stderr.contains("(ENOSPC)"), "{output:?}");
    bundle.assert_nothing_left();
}

#[test]
fn too_little_memory_for_init_is_said_so() {
    needs!(root);
    needs!(controller "memory");
    let bundle = Bundle::busybox().set("/linux/resources/memory", json!({"limit": 65536, "swap": 65536}));
    let output = bundle.try_create();
    assert!(output.code == 1 && output.stderr.contains("memory"), "{output:?}");
    bundle.assert_nothing_left();
}

#[test]
fn too_few_processes_are_an_error() {
    needs!(root);
    needs!(controller "pids");
    let bundle = Bundle::busybox().limit_pids(1).hook("createContainer", "true; true");
    let output = bundle.try_create();
    assert!(output.code == 1 && output.stderr.contains("createContainer"), "{output:?}");
    bundle.assert_nothing_left();
    let bundle = Bundle::busybox();
    let output = with_faults(bundle.invocation("create"), &["clone3:error=EAGAIN"]).output();
    output.refused("too many processes");
    bundle.assert_nothing_left();
}

/// Whatever another command fails of, the record of a container that runs stays what it was.
#[test]
fn a_full_state_directory_keeps_the_record_of_a_running_container() {
    needs!(root);
    needs!(program "strace");
    let container = Bundle::busybox().start();
    let record = read(container.state_directory().join("state.json"));
    for verb in ["kill", "update", "pause", "delete"] {
        let words = match verb {
            "kill" => vec![verb, container.id(), "0"],
            "update" => vec![verb, "--pids-limit", "77", container.id()],
            verb => vec![verb, container.id()],
        };
        let faults = ["rename,renameat,renameat2:error=ENOSPC", "ftruncate,fallocate:error=ENOSPC"];
        with_faults(container.runtime(words), &faults).output();
        assert_eq!(read(container.state_directory().join("state.json")), record, "{verb}");
    }
    container.does("resume", []);
    assert_eq!(container.status(), "running");
    assert_eq!(host::processes(container.home(), container.id()).len(), 1);
}
