//! User namespaces: id maps, and a container whose root is nobody outside.

use crate::harness::{Bundle, MAPPED, read};
use crate::needs;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// The numbers of an id map, whatever its blanks.
fn words(text: &str) -> Vec<u32> {
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

#[test]
fn root_of_the_container_is_nobody_outside() {
    needs!(root);
    let container = Bundle::busybox().user_namespace().start();
    assert_eq!(container.exec(["id", "-u"]).ok().stdout, "0\n");
    let status = read(container.proc("status"));
    assert!(status.contains(&format!("Uid:\t{MAPPED}\t{MAPPED}\t{MAPPED}\t{MAPPED}\n")), "{status}");
    assert_eq!(words(&container.exec(["cat", "/proc/self/uid_map"]).ok().stdout), [0, MAPPED, 65536]);
}

#[test]
fn the_bundle_may_lie_below_a_directory_that_root_of_the_container_may_not_walk() {
    needs!(root);
    let bundle = Bundle::busybox().user_namespace().args(["sh", "-c", "id -u; touch /tmp/x && echo made"]);
    bundle.write();
    let hidden = |mode| fs::set_permissions(bundle.home(), fs::Permissions::from_mode(mode)).unwrap();
    hidden(0o700);
    let output = bundle.run();
    hidden(0o755);
    assert_eq!(output.ok().stdout, "0\nmade\n");
}

#[test]
fn maps_may_have_many_lines() {
    needs!(root);
    let line = |n: u32| json!({"containerID": n * 10, "hostID": MAPPED + n * 10, "size": 10});
    for count in [1, 2, 5, 100] {
        let lines: Vec<_> = (0..count).map(line).collect();
        let bundle = Bundle::busybox()
            .user_namespace()
            .set("/linux/uidMappings", json!(lines))
            .set("/linux/gidMappings", json!(lines));
        let output = bundle.args(["wc", "-l", "/proc/self/uid_map", "/proc/self/gid_map"]).run().ok().stdout;
        assert_eq!(output.matches(&format!("{count} /proc")).count(), 2, "{output}");
    }
}

#[test]
fn maps_that_overlap_are_refused_and_leave_nothing() {
    needs!(root);
    let lines = json!([{"containerID": 0, "hostID": MAPPED, "size": 10}, {"containerID": 5, "hostID": MAPPED + 100, "size": 10}]);
    let bundle = Bundle::busybox().user_namespace().set("/linux/uidMappings", lines);
    assert_eq!(bundle.try_create().code, 1);
    bundle.assert_nothing_left();
}

#[test]
fn maps_need_a_user_namespace_and_a_user_namespace_needs_maps() {
    needs!(root);
    let map = json!([{"containerID": 0, "hostID": MAPPED, "size": 10}]);
    Bundle::busybox()
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .try_create()
        .refused("user");
    let without = Bundle::busybox().namespace("user");
    assert_eq!(without.try_create().code, 1);
    without.assert_nothing_left();
}

#[test]
fn a_user_that_is_not_mapped_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox().user_namespace().user(70_000, 70_000);
    assert_eq!(bundle.try_create().code, 1);
    bundle.assert_nothing_left();
}

#[test]
fn users_and_groups_are_the_containers() {
    needs!(root);
    let bundle =
        Bundle::busybox().user_namespace().set("/process/user", json!({"uid": 7, "gid": 8, "additionalGids": [9]}));
    let container = bundle.start();
    assert_eq!(container.exec(["sh", "-c", "id -u; id -G"]).ok().stdout, "7\n8 9\n");
    assert_eq!(read(container.proc("gid_map")).split_whitespace().nth(1), Some(MAPPED.to_string().as_str()));
}

#[test]
fn default_devices_work_inside_a_user_namespace() {
    needs!(root);
    let script =
        "echo x > /dev/null && head -c 4 /dev/zero | wc -c && head -c 4 /dev/urandom | wc -c && stat -c %F /dev/tty";
    let output = Bundle::busybox().user_namespace().sh(script).run().ok();
    assert_eq!(output.stdout, "4\n4\ncharacter special file\n");
}

#[test]
fn masks_hold_in_a_user_namespace() {
    needs!(root);
    // A further user namespace gives the payload every capability, but not over mounts it was born with.
    let script =
        "wc -c < /proc/keys; umount /proc/keys || unshare -Urm sh -c 'echo inside; umount /proc/keys' || echo held";
    // Not as root: its id can only be mapped with CAP_SETFCAP, so that there would be no further namespace.
    let output = Bundle::busybox().user_namespace().user(1000, 1000).sh(script).run();
    assert_eq!(output.stdout, "0\ninside\nheld\n");
}

#[test]
fn exec_joins_the_user_namespace_with_its_ids() {
    needs!(root);
    let container = Bundle::busybox().user_namespace().start();
    let output =
        container.exec_with(["--user", "5:6"], ["sh", "-c", "id -u; id -g; cat /proc/self/uid_map"]).ok().stdout;
    assert_eq!(words(&output), [5, 6, 0, MAPPED, 65536]);
}

#[test]
fn a_private_bundle_directory_is_no_obstacle() {
    needs!(root);
    // The mapped root may not enter the directory; the runtime has to open bind sources as itself.
    let bundle = Bundle::busybox().user_namespace();
    let secret = bundle.host_directory("secret");
    std::fs::write(secret.join("file"), "volume").unwrap();
    std::fs::create_dir(secret.join("inner")).unwrap();
    std::fs::write(secret.join("inner/file"), "volume").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let bundle = bundle.bind(secret.join("inner"), "/tmp", &["ro"]).args(["cat", "/tmp/file"]);
    assert_eq!(bundle.run().ok().stdout, "volume");
}

/// Podman's bundles, and Docker's with userns-remap, are readable for root alone: their root filesystems lie elsewhere.
#[test]
fn the_bundle_need_not_be_readable_in_the_user_namespace() {
    needs!(root);
    let bundle = Bundle::busybox().user_namespace().sh("cat /proc/self/uid_map");
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", "exit 0"]}]);
    let rootfs = bundle.rootfs();
    let bundle = bundle.set("/root/path", rootfs.to_str().unwrap()).set("/hooks", json!({"createContainer": hook}));
    bundle.write();
    let private = bundle.host_directory("private");
    std::fs::copy(bundle.dir().join("config.json"), private.join("config.json")).unwrap();
    std::fs::set_permissions(&private, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let output = bundle.runtime(["run", "--bundle", private.to_str().unwrap(), bundle.id()]).output().ok();
    assert!(output.stdout.split_whitespace().nth(1) != Some("0"), "{output:?}");
}
