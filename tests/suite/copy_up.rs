//! A tmpfs that begins with a copy of what it covers (`tmpcopyup`).

use crate::harness::Bundle;
use crate::needs;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

/// A tmpfs on /data, with options.
fn tmpfs(bundle: Bundle, options: &[&str]) -> Bundle {
    bundle.mount("/data", "tmpfs", "tmpfs", &[&["tmpcopyup"], options].concat())
}

#[test]
fn the_copy_is_the_containers_own() {
    needs!(root);
    let bundle = Bundle::busybox().file("/data/inner/deep/file", "from the image");
    let rootfs = bundle.rootfs();
    let bundle = tmpfs(bundle, &["size=1m"])
        .sh("cat /data/inner/deep/file; echo new > /data/inner/deep/file; rm -r /data/inner; ls -A /data");
    assert_eq!(bundle.run().ok().stdout, "from the image");
    assert_eq!(fs::read_to_string(rootfs.join("data/inner/deep/file")).unwrap(), "from the image");
}

#[test]
fn modes_owners_times_and_links_are_kept() {
    needs!(root);
    let bundle = Bundle::busybox().file("/data/dir/file", "x").file("/data/set", "x").symlink("/data/link", "dir/file");
    let data = bundle.rootfs().join("data");
    for (name, mode, uid, gid) in
        [("set", 0o4755, 5, 6), ("dir/file", 0o640, 7, 8), ("dir", 0o1755, 9, 10), ("", 0o715, 11, 12)]
    {
        chown(data.join(name), Some(uid), Some(gid)).unwrap();
        fs::set_permissions(data.join(name), Permissions::from_mode(mode)).unwrap();
    }
    std::os::unix::fs::lchown(data.join("link"), Some(13), Some(14)).unwrap();
    fs::hard_link(data.join("set"), data.join("dir/second")).unwrap();
    let touch = format!(
        "touch -d '2001-02-03 04:05:06 UTC' {d}/dir/file {d}/dir; mkfifo -m 604 {d}/fifo; mknod -m 660 {d}/null c 1 3",
        d = data.display()
    );
    bundle.command(["sh", "-c", &touch]).output().ok();
    let look = "cd /data; stat -c '%n %a %u %g %F' . * dir/*; readlink link; stat -c %Y dir dir/file; stat -c '%h' set dir/second; \
                test set -ef dir/second && echo same; stat -c '%t:%T' null";
    let plain = bundle.twin("plain").sh(look).run().ok().stdout;
    let copied = tmpfs(bundle.twin("copied"), &[]).sh(look).run().ok().stdout;
    assert_eq!(copied, plain);
    assert!(
        copied.contains(". 715 11 12 ") && copied.contains("set 4755 5 6 ") && copied.contains("981173106\n"),
        "{copied}"
    );
    assert!(copied.ends_with("2\n2\nsame\n1:3\n"), "{copied}");
}

#[test]
fn extended_attributes_are_kept() {
    needs!(root);
    needs!(file "/usr/sbin/setcap");
    let bundle = Bundle::busybox().script("/data/tool", "x", 0o755);
    let tool = bundle.rootfs().join("data/tool");
    bundle.command(["setcap", "cap_net_raw+ep", tool.to_str().unwrap()]).output().ok();
    let bundle = tmpfs(bundle, &[]);
    let container = bundle.start();
    let seen = container.proc("root/data/tool");
    let output = bundle.command(["getcap", seen.to_str().unwrap()]).output().ok();
    assert!(output.stdout.contains("cap_net_raw"), "{output:?}");
}

#[test]
fn a_read_only_copy_is_full_and_read_only() {
    needs!(root);
    let bundle = tmpfs(Bundle::busybox().file("/data/file", "x"), &["ro"]).sh("cat /data/file; touch /data/new");
    let output = bundle.run();
    assert!(output.stdout == "x" && output.stderr.contains("Read-only"), "{output:?}");
}

#[test]
fn options_of_the_tmpfs_win_over_what_it_covers() {
    needs!(root);
    let bundle = Bundle::busybox().file("/data/file", "x");
    fs::set_permissions(bundle.rootfs().join("data"), Permissions::from_mode(0o711)).unwrap();
    let bundle = tmpfs(bundle, &["mode=755", "uid=5"]).sh("stat -c '%a %u' /data; cat /data/file");
    assert_eq!(bundle.run().ok().stdout, "755 5\nx");
}

#[test]
fn a_tmpfs_that_is_too_small_is_an_error_that_names_the_file() {
    needs!(root);
    let bundle = tmpfs(Bundle::busybox().file("/data/dir/big", &"x".repeat(100_000)), &["size=16k"]);
    bundle.try_create().refused("copy dir/big: ");
    bundle.assert_nothing_left();
}

#[test]
fn what_is_mounted_below_is_not_copied() {
    needs!(root);
    let bundle = Bundle::busybox().file("/data/file", "x");
    let volume = bundle.host_directory("volume");
    fs::write(volume.join("private"), "volume").unwrap();
    let secret = bundle.host_file("secret", "secret");
    let bundle = tmpfs(bundle.bind(volume, "/data/volume", &[]).bind(secret, "/data/secret", &[]), &[]);
    assert_eq!(bundle.sh("cd /data; find . | sort; cat secret").run().ok().stdout, ".\n./file\n./secret\n./volume\n");
}

#[test]
fn holes_stay_holes() {
    needs!(root);
    let bundle = Bundle::busybox().file("/data/sparse", "begin");
    fs::File::options().write(true).open(bundle.rootfs().join("data/sparse")).unwrap().set_len(1 << 40).unwrap();
    let bundle = tmpfs(bundle, &["size=1m"]).sh("stat -c %s /data/sparse; head -c 5 /data/sparse");
    assert_eq!(bundle.run().ok().stdout, "1099511627776\nbegin");
}

#[test]
fn trees_without_an_end_are_an_error() {
    needs!(root);
    let bundle = Bundle::busybox().directory(&format!("/data{}", "/d".repeat(300)));
    tmpfs(bundle, &[]).try_create().refused("more than 256 directories");
}

#[test]
fn a_copy_in_a_user_namespace_belongs_to_the_container() {
    needs!(root);
    let bundle = Bundle::busybox().file("/data/file", "x").user_namespace();
    let data = bundle.rootfs().join("data");
    chown(data.join("file"), Some(crate::harness::MAPPED + 5), Some(crate::harness::MAPPED + 6)).unwrap();
    let container = tmpfs(bundle, &[]).sh("stat -c '%u %g' /data/file; sleep 600").start();
    let file = fs::metadata(container.proc("root/data/file")).unwrap();
    assert_eq!((file.uid(), file.gid()), (crate::harness::MAPPED + 5, crate::harness::MAPPED + 6));
}

#[test]
fn copying_up_is_for_a_tmpfs_below_the_root() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    bundle
        .twin("bind")
        .bind(volume, "/data", &["tmpcopyup"])
        .try_create()
        .refused("options[1]: \"tmpcopyup\" is for a tmpfs");
    bundle.twin("root").mount("/", "tmpfs", "tmpfs", &["tmpcopyup"]).try_create().refused("cannot copy the whole root");
    // Nothing to copy is no error.
    assert_eq!(tmpfs(bundle.twin("missing"), &[]).sh("ls -A /data").run().ok().stdout, "");
}

#[test]
fn a_plain_tmpfs_has_the_mode_of_what_it_covers() {
    needs!(root);
    let bundle = Bundle::busybox().directory("/data");
    fs::set_permissions(bundle.rootfs().join("data"), Permissions::from_mode(0o2750)).unwrap();
    for (name, options, mode) in [("covers", &[][..], "2750\n"), ("says", &["mode=1711"], "1711\n")] {
        let bundle = bundle.twin(name).mount("/data", "tmpfs", "tmpfs", options);
        assert_eq!(bundle.sh("stat -c %a /data").run().ok().stdout, mode);
    }
    let new = bundle.twin("new").mount("/new", "tmpfs", "tmpfs", &[]);
    assert_eq!(new.sh("stat -c %a /new").run().ok().stdout, "1777\n");
}

#[test]
fn a_link_of_the_image_brings_nothing_of_the_host_in() {
    needs!(root);
    let bundle = Bundle::busybox();
    let canary = bundle.canary();
    let bundle =
        bundle.symlink("/var", canary.dir()).mount("/var", "tmpfs", "tmpfs", &["tmpcopyup"]).sh("cat /var/marker");
    assert_ne!(bundle.run().stdout, "marker", "a file of the host was copied in");
    canary.assert_unchanged();
}
