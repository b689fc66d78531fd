//! The host's own /dev in a container, however it came there: nothing in it is made or changed.
//!
//! A private tmpfs stands for the host's /dev, so that a failure harms no machine; devtmpfs, of which there is only one, is
//! mounted read-only.

use crate::harness::{Bundle, Output, read};
use crate::needs;
use serde_json::json;

const DEVICE: &str = r"mount -t tmpfs none /dev; cd /dev; mknod -m 666 null c 1 3; mknod -m 666 ptmx c 5 2
    mknod -m 644 fuse c 10 229; mkdir -m 755 pts deep; mount -t devpts devpts pts; cd /";

/// Runs the bundle on a machine with a small /dev, which is listed before and after.
fn run_with_small_dev(bundle: &Bundle) -> (Output, String, String) {
    let script = format!(
        "set -e; {DEVICE}; list() {{ ls -lR --time-style=full-iso /dev | grep -v '^total'; }}; list > $IO/before
         set +e; \"$@\"; code=$?; list > $IO/after; exit $code"
    );
    let io = bundle.host_directory("lists");
    let invocation = bundle.invocation("run").env("IO", io.to_str().unwrap());
    let output =
        invocation.under(["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).output();
    let list = |name: &str| std::fs::read_to_string(io.join(name)).unwrap();
    (output, list("before"), list("after"))
}

fn fuse_at(bundle: Bundle, path: &str) -> Bundle {
    let device = json!({"path": path, "type": "c", "major": 10, "minor": 229, "fileMode": 0o600, "uid": 12345});
    bundle.push("/linux/devices", device)
}

/// A container whose root filesystem is the machine's. It changes nothing else there: /dev and /proc exist.
fn on_the_hosts_root() -> Bundle {
    Bundle::busybox().without_dev().without_mount("/sys").set("/root/path", "/").set("/process/cwd", "/")
}

#[test]
fn the_hosts_dev_below_the_hosts_root_is_left_alone() {
    needs!(root);
    for bundle in [
        on_the_hosts_root().sh("test -c /dev/null && echo fine"),
        fuse_at(fuse_at(on_the_hosts_root(), "/dev/fuse"), "/dev/deep/new").sh("test -c /dev/null && echo fine"),
        on_the_hosts_root().namespace("cgroup").terminal(false).sh("test -c /dev/null && echo fine"),
    ] {
        let (output, before, after) = run_with_small_dev(&bundle);
        assert_eq!(before, after, "{output:?}");
        assert_eq!(output.ok().stdout, "fine\n");
    }
}

#[test]
fn the_hosts_dev_at_another_place_gets_no_device() {
    needs!(root);
    for (source, path) in [("/dev", "/hostdev/new"), ("/dev", "/hostdev/fuse"), ("/dev/deep", "/hostdev/new")] {
        let bundle = fuse_at(Bundle::busybox().bind(source, "/hostdev", &[]).args(["true"]), path);
        let (output, before, after) = run_with_small_dev(&bundle);
        assert_eq!(before, after, "{source}: {output:?}");
        output.refused("is in the host's own /dev, where nothing is made");
    }
}

#[test]
fn a_link_of_the_image_leads_no_device_into_the_hosts_dev() {
    needs!(root);
    let bundle = Bundle::busybox().without_dev().symlink("/hostdev", "/dev").bind("/dev", "/hostdev", &[]);
    let (output, before, after) = run_with_small_dev(&bundle.args(["true"]));
    assert_eq!(before, after, "{output:?}");
    assert_eq!(output.code, 1);
}

#[test]
fn a_devtmpfs_is_the_hosts_and_is_left_alone() {
    needs!(root);
    let bundle = Bundle::busybox().without_dev().mount("/dev", "devtmpfs", "devtmpfs", &["ro"]);
    let bundle = fuse_at(bundle, "/dev/rruntime-test-new").sh("test -c /dev/null && echo fine");
    // There is one superblock for the machine, and older kernels (6.12) take the flags of every new mount for it.
    let flags = || {
        let mounts = read("/proc/self/mountinfo");
        mounts.lines().find_map(|line| line.split_once(" - devtmpfs ").map(|(_, rest)| rest.to_owned()))
    };
    let superblock = flags();
    let (output, before, after) = run_with_small_dev(&bundle);
    assert_eq!(before, after);
    assert_eq!(flags(), superblock);
    assert!(output.stderr.contains("/dev is the host's own: nothing is made or changed in it"), "{output:?}");
    assert_eq!(output.ok().stdout, "fine\n");
}
