//! /dev: default devices and links, devices of config.json, and what may be opened.

use crate::harness::{Bundle, Invocation, Output};
use crate::{needs, rootless};
use serde_json::json;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

#[test]
fn the_default_devices_are_there_and_work() {
    needs!(root);
    let script = "for d in null zero full random urandom tty; do stat -c '%n %F %t:%T %a' /dev/$d; done; \
                  echo x > /dev/null && head -c 3 /dev/zero | od -An -tx1 && echo x > /dev/full";
    let output = Bundle::busybox().sh(script).run();
    let expected = "/dev/null character special file 1:3 666\n/dev/zero character special file 1:5 666\n\
                    /dev/full character special file 1:7 666\n/dev/random character special file 1:8 666\n\
                    /dev/urandom character special file 1:9 666\n/dev/tty character special file 5:0 666\n 00 00 00\n";
    assert_eq!(output.stdout, expected);
    assert!(output.stderr.contains("No space left"), "{output:?}");
}

#[test]
fn the_usual_links_are_in_dev() {
    needs!(root);
    let script =
        "for l in fd stdin stdout stderr ptmx; do echo $l $(readlink /dev/$l); done; test -c /dev/ptmx && echo usable";
    let output = Bundle::busybox().sh(script).run().ok();
    let expected = "fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\nptmx pts/ptmx\nusable\n";
    assert_eq!(output.stdout, expected);
}

#[test]
fn a_dev_without_a_mount_of_its_own_is_furnished_in_the_image() {
    needs!(root);
    let bundle = Bundle::busybox().without_dev().sh("echo x > /dev/null && echo fine");
    assert_eq!(bundle.run().ok().stdout, "fine\n");
    let null = std::fs::symlink_metadata(bundle.rootfs().join("dev/null")).unwrap();
    assert!(null.file_type().is_char_device());
}

#[test]
fn a_dev_bound_from_the_host_is_left_alone() {
    needs!(root);
    let bundle = Bundle::busybox().without_dev();
    let dev = bundle.host_directory("dev");
    bundle.command(["sh", "-c", "mknod -m 666 null c 1 3; touch marker"]).cwd(&dev).output().ok();
    let bundle = bundle.bind(&dev, "/dev", &["rbind"]).sh("ls /dev");
    assert_eq!(bundle.run().ok().stdout, "marker\nnull\n");
}

#[test]
fn devices_of_the_configuration_are_made_as_described() {
    needs!(root);
    let devices = json!([
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 3, "gid": 4},
        {"path": "/dev/deep/pipe", "type": "p", "fileMode": 0o600},
        {"path": "/dev/disk", "type": "b", "major": 7, "minor": 1},
    ]);
    let script = "stat -c '%F %t:%T %a %u:%g' /dev/fuse /dev/disk; stat -c '%F %a' /dev/deep/pipe";
    let output = Bundle::busybox().set("/linux/devices", devices).sh(script).run().ok();
    let mut lines = output.stdout.lines();
    assert_eq!(lines.next(), Some("character special file a:e5 640 3:4"));
    assert!(lines.next().unwrap().starts_with("block special file 7:1"), "{output:?}");
    assert_eq!(lines.next(), Some("fifo 600"));
}

#[test]
fn a_device_has_its_mode_and_owner_exactly_and_may_be_anywhere() {
    needs!(root);
    let devices = json!([
        {"path": "/dev/open", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666},
        {"path": "/dev/whole", "type": "u", "major": 1, "minor": 3, "fileMode": libc_type_and(0o4751), "uid": 3},
        {"path": "/data/below/closed", "type": "b", "major": 7, "minor": 1, "fileMode": 0, "gid": 5},
        {"path": "/usual", "type": "p"},
    ]);
    let script = "stat -c '%n %F %t:%T %a %u:%g' /dev/open /dev/whole /data/below/closed /usual";
    let bundle = Bundle::busybox().set("/linux/devices", devices).sh(script);
    let expected = "/dev/open character special file 1:3 666 0:0\n/dev/whole character special file 1:3 4751 3:0\n\
                    /data/below/closed block special file 7:1 0 0:5\n/usual fifo 0:0 666 0:0\n";
    assert_eq!(bundle.invocation("run").after_shell("umask 077").output().ok().stdout, expected);
}

/// Permission bits together with a character device's type, as st_mode has them.
fn libc_type_and(mode: u32) -> u32 {
    0o020_000 | mode
}

#[test]
fn a_node_of_the_image_is_taken_when_it_is_that_device() {
    needs!(root);
    let null = |more: serde_json::Value| {
        let mut device = json!({"path": "/node", "type": "c", "major": 1, "minor": 3});
        device.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!([device])
    };
    let bundle = Bundle::busybox();
    let root = bundle.rootfs();
    bundle.command(["mknod", "-m", "640", "node", "c", "1", "3"]).cwd(&root).output().ok();
    let bundle = bundle.sh("stat -c '%F %t:%T %a %u:%g' /node");
    let found = "character special file 1:3 640 0:0\n";
    assert_eq!(bundle.twin("as-it-is").set("/linux/devices", null(json!({}))).run().ok().stdout, found);
    let stated = bundle.twin("stated").set("/linux/devices", null(json!({"fileMode": 0o604, "uid": 7})));
    assert_eq!(stated.run().ok().stdout, "character special file 1:3 604 7:0\n");
    for (name, other) in
        [("number", json!({"minor": 5})), ("type", json!({"type": "b"})), ("kind", json!({"type": "p"}))]
    {
        let bundle = bundle.twin(name).set("/linux/devices", null(other));
        let output = bundle.run();
        let told = "make device /node: the image has a file of that name that is something else";
        assert!(output.code == 1 && output.stderr.contains(told), "{name}: {output:?}");
        bundle.assert_nothing_left();
    }
}

#[test]
fn a_directory_or_a_link_is_not_taken_for_a_device() {
    needs!(root);
    let devices = json!([{"path": "/node", "type": "c", "major": 1, "minor": 3}]);
    for (name, make) in [("dir", "mkdir node"), ("link", "ln -s /dev/null node")] {
        let bundle = Bundle::busybox().set("/linux/devices", devices.clone());
        bundle.command(["sh", "-c", make]).cwd(bundle.rootfs()).output().ok();
        let output = bundle.run();
        assert!(output.code == 1 && output.stderr.contains("make device /node"), "{name}: {output:?}");
    }
}

/// containerd writes the devices of a plugin so in a privileged pod.
#[test]
fn the_same_device_may_be_named_twice_but_not_as_two() {
    needs!(root);
    let fuse =
        json!({"type": "c", "path": "/dev/fuse", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 0, "gid": 3});
    let bundle = Bundle::busybox().set("/linux/devices", json!([fuse, fuse]));
    assert_eq!(bundle.args(["stat", "-c", "%a %g %t:%T", "/dev/fuse"]).run().ok().stdout, "640 3 a:e5\n");
    let mut other = fuse.clone();
    other["gid"] = json!(4);
    let bundle = Bundle::busybox().set("/linux/devices", json!([fuse, other]));
    bundle
        .try_create()
        .refused("linux.devices[1].path: /dev/fuse is there already, as another device, or with another mode or owner");
}

/// Runs a command without CAP_MKNOD.
const WITHOUT_MKNOD: [&str; 3] = ["setpriv", "--bounding-set=-mknod", "--inh-caps=-mknod"];

#[test]
fn in_a_user_namespace_without_the_right_to_make_nodes_devices_are_the_hosts() {
    needs!(root);
    needs!(file "/dev/fuse");
    needs!(program "setpriv");
    let devices = json!([
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229},
        {"path": "/pipe", "type": "p", "fileMode": 0o620, "uid": 4, "gid": 5},
    ]);
    let bundle = Bundle::busybox().user_namespace().set("/linux/devices", devices);
    let run = |bundle: &Bundle| {
        bundle.write();
        bundle.invocation("run").under(WITHOUT_MKNOD).output()
    };
    let bundle = bundle.sh("stat -c '%F %t:%T' /dev/fuse /dev/null; stat -c '%F %a %u:%g' /pipe");
    let expected = "character special file a:e5\ncharacter special file 1:3\nfifo 620 4:5\n";
    let output = run(&bundle).ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (expected, ""));
    let fuse = |number: u32, mode: u32| json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": number, "fileMode": mode}]);
    let other = run(&bundle.twin("b").set("/linux/devices", fuse(200, 0o666)));
    other.refused(
        "make device /dev/fuse: a user namespace needs the host's node: make it there (mknod /dev/fuse c 10 200)",
    );
    let output = run(&bundle.twin("c").set("/linux/devices", fuse(229, 0o601)).args(["true"])).ok();
    assert!(output.stderr.contains("linux.devices: /dev/fuse: keeps mode"), "{output:?}");
}

fn two_devices(bundle: Bundle) -> Bundle {
    let devices = json!([
        {"path": "/dev/no-such-node", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 7, "gid": 8},
        {"path": "/data/disk", "type": "b", "major": 7, "minor": 1, "fileMode": 0o601},
    ]);
    bundle.set("/linux/devices", devices)
}

#[test]
fn in_a_user_namespace_a_device_has_the_owner_and_the_mode_that_were_asked_for() {
    needs!(root);
    let script = "stat -c '%n %F %t:%T %a %u:%g' /dev/no-such-node /data/disk; cat /dev/no-such-node && echo opens";
    let bundle = two_devices(Bundle::busybox().user_namespace()).user(7, 8).sh(script);
    let expected =
        "/dev/no-such-node character special file 1:3 640 7:8\n/data/disk block special file 7:1 601 0:0\nopens\n";
    let output = bundle.invocation("run").after_shell("umask 077").output().ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), (expected, ""));
    bundle.assert_nothing_left();
}

#[test]
fn a_device_made_for_a_user_namespace_belongs_to_the_mapped_ids_outside() {
    needs!(root);
    let container = two_devices(Bundle::busybox().user_namespace()).start();
    let node = std::fs::metadata(container.proc("root/dev/no-such-node")).unwrap();
    assert_eq!((node.uid(), node.gid()), (crate::harness::MAPPED + 7, crate::harness::MAPPED + 8));
    // The container sees the two nodes, and not the directory that they were made in.
    let mounts = container.exec(["grep", "-cE", "/dev/no-such-node|/data/disk", "/proc/self/mountinfo"]).ok();
    assert_eq!(mounts.stdout, "2\n");
}

#[test]
fn a_device_for_a_user_namespace_has_an_owner_that_is_mapped() {
    needs!(root);
    let device = json!([{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "gid": 65536}]);
    let bundle = Bundle::busybox().user_namespace().set("/linux/devices", device);
    bundle.run().refused("linux.devices: /dev/x: gid: 65536 is not mapped in the container's user namespace");
    bundle.assert_nothing_left();
}

#[test]
fn a_user_gets_the_hosts_node_of_the_same_number_under_another_name() {
    needs!(root);
    let device = |minor: u32| json!([{"path": "/dev/other", "type": "c", "major": 1, "minor": minor}]);
    let bundle = rootless::bundle().sh("stat -c %t:%T /dev/other");
    let dev = "mkdir /dev/char && ln -s ../null /dev/char/1:3"; // as udev does
    let run = |bundle: &Bundle, verb: &str| {
        let words = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"];
        with_own_dev(
            match verb {
                "check" => {
                    bundle.write();
                    bundle.runtime(["check", bundle.dir().to_str().unwrap()]).under(words)
                }
                _ => rootless::by_user(bundle, "run"),
            },
            dev,
        )
    };
    let found = bundle.twin("found").set("/linux/devices", device(3));
    assert_eq!(run(&found, "run").ok().stdout, "1:3\n");
    run(&found, "check").ok();
    let absent = bundle.twin("absent").set("/linux/devices", device(5));
    run(&absent, "run").refused("make it there (mknod /dev/other c 1 5), or start as root: no such file");
    let told = run(&absent, "check");
    assert!(told.code == 1 && told.stdout.contains("mknod /dev/other c 1 5"), "{told:?}");
}

/// The command in a mount namespace with a small /dev of its own, and what else `script` makes there.
fn with_own_dev(invocation: Invocation, script: &str) -> Output {
    let nodes = "for n in full:7 zero:5 random:8 urandom:9 null:3; do mknod -m 666 /dev/${n%:*} c 1 ${n#*:}; done
        mknod -m 666 /dev/tty c 5 0; mkdir /dev/pts /dev/shm; mount -t devpts devpts /dev/pts";
    let script = format!("set -e; mount -t tmpfs -o mode=755 none /dev; {nodes}\n{script}\nexec \"$@\"");
    invocation.under(["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).output()
}

#[test]
fn a_host_need_not_have_the_default_devices() {
    needs!(root);
    let script = "echo x > /dev/null; head -c 4 /dev/zero | wc -c; stat -c '%a %u:%g' /dev/null";
    for (name, bundle) in [("plain", Bundle::busybox()), ("user", Bundle::busybox().user_namespace())] {
        let bundle = bundle.sh(script);
        for lacking in ["rm /dev/null /dev/zero", "rm /dev/null; echo text > /dev/null"] {
            let output = with_own_dev(bundle.invocation("run"), lacking);
            assert_eq!(output.ok().stdout, "4\n666 0:0\n", "{name}, {lacking}");
            let check = bundle.runtime(["check", bundle.dir().to_str().unwrap()]);
            with_own_dev(check, lacking).ok();
        }
    }
}

#[test]
fn a_device_of_an_unknown_type_is_refused() {
    needs!(root);
    let bundle =
        Bundle::busybox().set("/linux/devices", json!([{"path": "/dev/x", "type": "q", "major": 1, "minor": 1}]));
    assert_eq!(bundle.try_create().code, 1);
    bundle.assert_nothing_left();
}

#[test]
fn a_file_where_a_device_should_be_is_not_taken_for_one() {
    needs!(root);
    let bundle = Bundle::busybox().without_dev().file("/dev/zero", "a file").sh("head -c 1 /dev/zero | od -An -tx1");
    let output = bundle.run();
    assert!(output.code == 1 || output.stdout.trim() == "00", "{output:?}");
}

/// A container that may make device nodes, and tries to open one it has no business with.
fn with_mknod() -> Bundle {
    Bundle::busybox().grant(&["CAP_MKNOD", "CAP_SYSLOG"])
}

const PROBE: &str = "mknod /tmp/kmsg c 1 11; (exec 3</tmp/kmsg) 2>/dev/null && echo open || echo denied";

#[test]
fn only_allowed_devices_can_be_opened() {
    needs!(root);
    let bundle = with_mknod();
    // mknod needs its own permission, "m", which every container has.
    assert_eq!(bundle.twin("denied").sh(PROBE).run().ok().stdout, "denied\n");
    let rules = json!([{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rm"}]);
    let allowed = bundle.twin("allowed").set("/linux/resources/devices", rules).sh(PROBE);
    assert_eq!(allowed.run().ok().stdout, "open\n");
}

#[test]
fn exec_may_open_no_more_devices_than_init() {
    needs!(root);
    assert_eq!(with_mknod().start().exec(["sh", "-c", PROBE]).ok().stdout, "denied\n");
}

/// As `user_namespace`, for an image whose /dev cannot be given away.
fn in_user_namespace(bundle: Bundle) -> Bundle {
    let map = json!([{"containerID": 0, "hostID": crate::harness::MAPPED, "size": 65536}]);
    bundle.namespace("user").set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map)
}

#[test]
fn a_dev_that_is_a_link_into_a_volume_is_not_furnished_there() {
    needs!(root);
    let bundle = Bundle::busybox().without_dev().symlink("/dev", "/volume");
    let volume = bundle.host_directory("volume");
    for (name, prepared) in [
        ("root", bundle.twin("root")),
        ("user", in_user_namespace(bundle.twin("user"))),
        ("listed", bundle.twin("listed").set("/linux/devices", json!([{"path": "/dev/a/b", "type": "p"}]))),
    ] {
        let prepared = prepared.bind(&volume, "/volume", &[]);
        prepared.try_create().refused("following no link of the image");
        assert_eq!(std::fs::read_dir(&volume).unwrap().count(), 0, "{name}");
    }
    bundle.assert_nothing_left();
}

#[test]
fn a_dev_bound_by_its_type_alone_is_left_alone_too() {
    needs!(root);
    let bundle = Bundle::busybox().without_dev();
    let dev = bundle.host_directory("dev");
    let bundle = bundle.mount("dev", "bind", &dev.to_string_lossy(), &[]).sh("ls -A /dev | wc -l");
    assert_eq!(bundle.run().ok().stdout, "0\n");
    assert_eq!(std::fs::read_dir(dev).unwrap().count(), 0);
}

#[test]
fn a_link_of_the_image_is_no_device_in_a_user_namespace() {
    needs!(root);
    let bundle = Bundle::busybox().without_dev().symlink("/dev/zero", "/etc/passwd").user_namespace();
    bundle.try_create().refused("make device /dev/zero: the image has a link");
}
