//! Volumes and layers: binds of directories and files, read-only ones, propagation, overlays as a root.

use crate::harness::Bundle;
use crate::needs;
use serde_json::json;
use std::fs;

#[test]
fn a_volume_is_shared_with_the_host() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    fs::write(volume.join("in"), "from the host").unwrap();
    let bundle = bundle.bind(&volume, "/volume", &["rw"]).sh("cat /volume/in > /volume/out");
    bundle.run().ok();
    assert_eq!(fs::read_to_string(volume.join("out")).unwrap(), "from the host");
}

#[test]
fn a_read_only_volume_cannot_be_written() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    let file = bundle.host_file("file", "untouched");
    let bundle = bundle.bind(&volume, "/volume", &["ro"]).bind(&file, "/file", &["ro"]);
    let bundle =
        bundle.sh("echo x > /volume/new; echo x > /file; mount -o remount,rw /file; chmod 777 /volume; cat /file");
    let output = bundle.run();
    assert_eq!(output.stdout, "untouched", "{output:?}");
    assert_eq!((fs::read_dir(volume).unwrap().count(), fs::read_to_string(file).unwrap().as_str()), (0, "untouched"));
}

#[test]
fn a_file_can_be_a_volume() {
    needs!(root);
    let bundle = Bundle::busybox();
    let file = bundle.host_file("file", "one\n");
    let bundle = bundle.bind(&file, "/etc/motd", &[]).sh("echo two >> /etc/motd");
    bundle.run().ok();
    assert_eq!(fs::read_to_string(file).unwrap(), "one\ntwo\n");
}

#[test]
fn a_relative_source_counts_from_the_bundle() {
    needs!(root);
    let bundle = Bundle::busybox();
    fs::create_dir(bundle.dir().join("volume")).unwrap();
    fs::write(bundle.dir().join("volume/file"), "here").unwrap();
    assert_eq!(bundle.bind("volume", "/tmp", &[]).args(["cat", "/tmp/file"]).run().ok().stdout, "here");
}

#[test]
fn a_recursive_bind_brings_the_mounts_below_and_a_plain_one_does_not() {
    needs!(root);
    let bundle = Bundle::busybox();
    for (word, there) in [("bind", "1\n"), ("rbind", "0\n")] {
        // /dev/shm or the like below /dev; any mount below a bound directory will do.
        let bundle = bundle.twin(word).mount("/tmp", "bind", "/sys", &[word]);
        let output = bundle.sh("grep -q ' /tmp/fs/cgroup' /proc/self/mountinfo; echo $?").run().ok();
        assert_eq!(output.stdout, there, "{word}");
    }
}

#[test]
fn mounts_of_the_host_arrive_in_a_slave_volume() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    fs::create_dir(volume.join("later")).unwrap();
    let bundle = bundle.set("/linux/rootfsPropagation", "rslave").bind(&volume, "/volume", &["rbind", "rslave"]);
    let bundle = bundle.sh("echo ready; until test -f /volume/later/file; do sleep 0.01; done; echo arrived");
    let script = format!(
        "mount --bind {v} {v} && mount --make-shared {v} && \"$@\" && mount -t tmpfs none {v}/later && echo > {v}/later/file && $R start {id}; \
         while ! $R state {id} | grep -q stopped; do :; done; $R delete {id}",
        v = volume.display(),
        id = bundle.id()
    );
    let runtime = format!("{} --root {}", crate::harness::binary().display(), bundle.state_root().display());
    let output =
        bundle.invocation("create").under(["unshare", "-m", "sh", "-c", &script, "sh"]).env("R", &runtime).output();
    assert_eq!(output.ok().stdout, "ready\narrived\n");
}

#[test]
fn mounts_of_a_shared_volume_go_back_to_the_host() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    fs::create_dir(volume.join("inner")).unwrap();
    let bundle = bundle.grant(&["CAP_SYS_ADMIN"]);
    let bundle = bundle.set("/linux/rootfsPropagation", "shared").bind(&volume, "/volume", &["rbind", "rshared"]);
    let bundle = bundle.sh("mount -t tmpfs none /volume/inner && echo > /volume/inner/file");
    let script =
        format!("mount --bind {v} {v} && mount --make-shared {v} && \"$@\" && ls {v}/inner", v = volume.display());
    let output = bundle.invocation("run").under(["unshare", "-m", "sh", "-c", &script, "sh"]).output();
    assert_eq!(output.ok().stdout, "file\n");
}

/// Two lower directories of one root: busybox below, and a layer that changes it.
fn layered(bundle: &Bundle) -> String {
    let upper_layer = bundle.host_directory("layer");
    fs::create_dir(upper_layer.join("etc")).unwrap();
    fs::write(upper_layer.join("etc/motd"), "from the upper layer\n").unwrap();
    format!("lowerdir={}:{}", upper_layer.display(), bundle.rootfs().display())
}

#[test]
fn the_root_can_be_an_overlay_of_two_layers() {
    needs!(root);
    let bundle = Bundle::busybox();
    let (lower, changes, work) = (layered(&bundle), bundle.host_directory("changes"), bundle.host_directory("work"));
    let options = [lower, format!("upperdir={}", changes.display()), format!("workdir={}", work.display())];
    fs::create_dir(bundle.dir().join("merged")).unwrap();
    let overlay = json!({"destination": "/", "type": "overlay", "source": "overlay", "options": options});
    // The overlay comes first: everything else is mounted on top of it.
    let mut mounts = bundle.config()["mounts"].clone();
    mounts.as_array_mut().unwrap().insert(0, overlay);
    let bundle = bundle.set("/root/path", "merged").set("/mounts", mounts);
    let bundle = bundle.sh("cat /etc/motd; head -1 /etc/passwd; echo new > /etc/motd; rm /etc/group");
    let output = bundle.run().ok();
    assert_eq!(output.stdout, "from the upper layer\nroot:x:0:0:root:/root:/bin/sh\n");
    assert_eq!(fs::read_to_string(changes.join("etc/motd")).unwrap(), "new\n");
    assert!(bundle.rootfs().join("etc/group").exists(), "a lower layer was changed");
}

/// fsconfig(2) takes strings of 255 bytes, mount(2) a page.
#[test]
fn an_overlay_may_have_more_layers_than_fit_into_one_string_of_fsconfig() {
    needs!(root);
    let bundle = Bundle::busybox();
    let layers = bundle.host_directory("layers");
    let deep = |n: usize| layers.join(format!("{n}-{}", "a".repeat(100)));
    for n in 0..5 {
        fs::create_dir(deep(n)).unwrap();
        fs::write(deep(n).join(format!("file{n}")), "").unwrap();
    }
    let lower = (0..5).map(|n| deep(n).display().to_string()).collect::<Vec<_>>().join(":");
    let (changes, work) = (bundle.host_directory("changes"), bundle.host_directory("work"));
    let options =
        [format!("lowerdir={lower}"), format!("upperdir={}", changes.display()), format!("workdir={}", work.display())];
    let options: Vec<&str> = options.iter().map(String::as_str).chain(["nosuid", "noexec", "rprivate"]).collect();
    let script =
        "ls /layers/below; echo new > /layers/below/made; grep ' /layers/below ' /proc/self/mounts | cut -d' ' -f4";
    let bundle = bundle.mount("/layers/below", "overlay", "overlay", &options).sh(script);
    let output = bundle.run().ok();
    let (names, flags) = output.stdout.split_at(5 * "file0\n".len());
    assert_eq!(names, "file0\nfile1\nfile2\nfile3\nfile4\n");
    assert!(flags.starts_with("rw,nosuid,noexec,relatime,"), "{flags}");
    assert_eq!(fs::read_to_string(changes.join("made")).unwrap(), "new\n");
    let source = "x".repeat(256);
    let long = Bundle::busybox()
        .mount("/tmp", "tmpfs", &source, &["size=1m", "mode=700", "ro"])
        .sh("stat -c %a /tmp; touch /tmp/x");
    let output = long.run();
    assert!(output.stdout == "700\n" && output.stderr.contains("Read-only"), "{output:?}");
    let comma =
        Bundle::busybox().mount("/tmp", "overlay", "overlay", &[&format!("lowerdir=/{}:/a,b", "x".repeat(256))]);
    comma
        .try_create()
        .refused("mounts[7]: mount on /tmp: option \"lowerdir\": beside a value of more than 255 bytes a comma");
}

#[test]
fn an_overlay_can_be_a_volume() {
    needs!(root);
    let bundle = Bundle::busybox();
    let lower = layered(&bundle);
    let output = bundle.mount("/tmp", "overlay", "overlay", &[&lower]).sh("cat /tmp/etc/motd; touch /tmp/x").run();
    assert!(output.stdout == "from the upper layer\n" && output.stderr.contains("Read-only"), "{output:?}");
}

#[test]
fn the_root_can_be_read_only() {
    needs!(root);
    let bundle = Bundle::busybox().set("/root/readonly", true);
    let volume = bundle.host_directory("volume");
    let bundle = bundle.bind(&volume, "/tmp", &["rw"]).sh("touch /x; touch /etc/x; touch /tmp/fine /dev/shm/fine");
    let output = bundle.run().ok();
    assert_eq!(output.stderr.matches("Read-only file system").count(), 2, "{output:?}");
    assert!(volume.join("fine").exists());
}

#[test]
fn the_root_may_be_a_mount_point_or_an_absolute_path() {
    needs!(root);
    let bundle = Bundle::busybox();
    let absolute = bundle.twin("absolute").args(["echo", "fine"]);
    assert_eq!(absolute.run().ok().stdout, "fine\n");
    let mounted = bundle.twin("mounted").args(["echo", "fine"]);
    let script = format!("mount --bind {r} {r} && \"$@\"", r = bundle.rootfs().display());
    let output = mounted.invocation("run").under(["unshare", "-m", "sh", "-c", &script, "sh"]).output();
    assert_eq!(output.ok().stdout, "fine\n");
}

#[test]
fn a_missing_root_is_refused_by_name() {
    needs!(root);
    let bundle = Bundle::busybox().set("/root/path", "no-such-rootfs");
    bundle.try_create().refused("no-such-rootfs");
    bundle.assert_nothing_left();
}

#[test]
fn no_pivot_gives_the_same_root() {
    needs!(root);
    let bundle =
        Bundle::busybox().option("--no-pivot").sh("ls -d /bin /place /usr /boot 2>/dev/null; cat /etc/group | head -1");
    assert_eq!(bundle.run().ok().stdout, "/bin\nroot:x:0:\n");
}

/// Not as root: its id can only be mapped with CAP_SETFCAP, so that there would be no user namespace to try it in.
const FRESH_PROC: &str = "unshare -Urmpf sh -c 'mount -t proc proc /tmp && wc -c < /tmp/keys'";

#[test]
fn no_pivot_leaves_no_way_to_an_unmasked_proc() {
    needs!(root);
    // With CAP_SYS_ADMIN the masks are advice; without, a fresh procfs in a new user namespace must not undo them.
    let bundle = Bundle::busybox().option("--no-pivot").user(1000, 1000).sh(FRESH_PROC);
    let output = bundle.run();
    assert!(output.code != 0 && output.stderr.contains("mount: "), "{output:?}");
}

#[test]
fn no_pivot_unmounts_every_proc_of_the_host_however_hidden() {
    needs!(root);
    let bundle = Bundle::busybox().option("--no-pivot");
    let place = bundle.host_directory("place");
    for (name, before) in [
        ("twice", "mount -t proc proc /proc".to_owned()),
        ("elsewhere", format!("mount -t proc proc {p}", p = place.display())),
        ("covered", format!("mount -t proc proc {p} && mount -t tmpfs none {p}", p = place.display())),
        (
            "both",
            format!("mount -t proc proc {p} && mount -t sysfs none {p} && mount -t proc none {p}", p = place.display()),
        ),
        ("above", format!("mkdir {p}/x && mount -t proc proc {p}/x && mount -t tmpfs none {p}", p = place.display())),
    ] {
        let script = format!("mount --make-rprivate / && {before} && \"$@\"");
        let bundle = bundle.twin(name).user(1000, 1000).sh(FRESH_PROC);
        let output = bundle.invocation("run").under(["unshare", "-m", "sh", "-c", &script, "sh"]).output();
        assert!(output.code != 0 && output.stderr.contains("mount: "), "{name}: {output:?}");
    }
}

#[test]
fn no_pivot_gives_the_root_the_planned_propagation() {
    needs!(root);
    for (word, mark) in [("rslave", ""), ("shared", "shared:"), ("rshared", "shared:"), ("unbindable", "unbindable")] {
        let bundle = Bundle::busybox().option("--no-pivot").set("/linux/rootfsPropagation", word);
        let bundle = bundle.args(["sh", "-c", "grep ' / / \\| [^ ]*rootfs / ' /proc/self/mountinfo | tail -1"]);
        let line = bundle.run().ok().stdout;
        assert!(if mark.is_empty() { !line.contains("shared:") } else { line.contains(mark) }, "{word}: {line}");
    }
}

/// runc and crun remount a bind as soon as one word says something of flags, and name all flags then.
#[test]
fn a_bind_has_the_flags_of_its_source_until_a_word_names_one() {
    needs!(root);
    let script = "mount -t tmpfs v \"$1\" && mount -o remount,bind,nosuid,nodev,noexec,noatime \"$1\" || exit 99
        shift; exec \"$@\"";
    for (options, expected) in [
        (&["bind"][..], "rw,nosuid,nodev,noexec,noatime"),
        (&["rbind", "rprivate"], "rw,nosuid,nodev,noexec,noatime"),
        (&["rbind", "defaults", "rslave"], "rw,nosuid,nodev,noexec,noatime"),
        (&["rbind", "rexec"], "rw,nosuid,nodev,noatime"),
        (&["rbind", "rprivate", "rw"], "rw,noatime"),
        (&["bind", "ro"], "ro,noatime"),
        (&["bind", "silent"], "rw,noatime"),
        (&["bind", "suid", "exec"], "rw,noatime"),
        (&["bind", "nodev", "relatime", "nosymfollow"], "rw,nodev,relatime,nosymfollow"),
    ] {
        let bundle = Bundle::busybox().args(["sh", "-c", "grep ' /tmp ' /proc/self/mounts | cut -d' ' -f4"]);
        let volume = bundle.host_directory("volume");
        let bundle = bundle.bind(&volume, "/tmp", options);
        let volume = volume.to_str().unwrap();
        let output = bundle.invocation("run").under(["unshare", "-m", "sh", "-c", script, "sh", volume]).output();
        let flags: Vec<_> = output.ok().stdout.trim().split(',').map(str::to_owned).collect();
        let kept: Vec<_> =
            flags.iter().map(String::as_str).filter(|it| !it.contains('=') && *it != "inode64").collect();
        assert_eq!(kept.join(","), expected, "{options:?}");
    }
}

/// In a user namespace the flags of a mount of the host are locked: what no word names stays, what a word clears is refused.
#[test]
fn locked_flags_of_a_source_stay_in_a_user_namespace() {
    needs!(root);
    let script =
        "mount -t tmpfs v \"$1\" && mount -o remount,bind,nosuid,nodev,noexec \"$1\" || exit 99; shift; exec \"$@\"";
    let run = |options: &[&str]| {
        let bundle =
            Bundle::busybox().user_namespace().args(["sh", "-c", "grep ' /tmp ' /proc/self/mounts | cut -d' ' -f4"]);
        let volume = bundle.host_directory("volume");
        let bundle = bundle.without_mount("/sys").bind(&volume, "/tmp", options);
        let volume = volume.to_str().unwrap().to_owned();
        bundle.invocation("run").under(["unshare", "-m", "sh", "-c", script, "sh", &volume]).output()
    };
    let kept = run(&["rbind", "ro"]).ok().stdout;
    assert!(kept.starts_with("ro,nosuid,nodev,noexec,"), "{kept}");
    run(&["rbind", "exec"]).refused("a flag of the source is locked");
}

/// On most hosts every mount is shared: what is mounted, unmounted and moved in the container's namespace may appear there.
#[test]
fn the_root_is_a_slave_of_a_shared_host_when_it_says_so() {
    needs!(root);
    let script = "test -z \"$1\" || mount --bind \"$1\" \"$1\"; shift; mount --make-rshared / || exit 99; exec \"$@\"";
    for (word, is_slave) in [("slave", true), ("rslave", true), ("private", false), ("rprivate", false)] {
        for on_a_mount_of_its_own in [false, true] {
            let bundle = Bundle::busybox()
                .set("/linux/rootfsPropagation", word)
                .sh("grep ' / / \\|rootfs / ' /proc/self/mountinfo");
            let rootfs = if on_a_mount_of_its_own { bundle.rootfs().display().to_string() } else { String::new() };
            let invocation = bundle.invocation("run").under(["unshare", "-m", "sh", "-c", script, "sh", &rootfs]);
            let line = invocation.output().ok().stdout;
            assert_eq!(line.contains(" master:"), is_slave, "{word} {rootfs}: {line}");
            assert!(!line.contains(" shared:"), "{word}: {line}");
        }
    }
}

#[test]
fn no_propagation_changes_the_mounts_of_a_shared_host() {
    needs!(root);
    // A volume with a mount in it, and the host's /proc, over which masks are laid.
    let script = "mkdir -p \"$2/in\" && mount -t tmpfs in \"$2/in\" && mkdir \"$2/in/deep\" || exit 97
        test -z \"$1\" || mount --bind \"$1\" \"$1\"; shift 2; mount --make-rshared / || exit 99
        before=$(cat /proc/self/mountinfo); \"$@\" || exit 98; after=$(cat /proc/self/mountinfo)
        test \"$before\" = \"$after\" || echo \"$after\"";
    for word in ["rslave", "slave", "rprivate", "private", "rshared", "shared", "runbindable", "unbindable"] {
        for (change, on_a_mount_of_its_own) in [("", false), ("", true), ("--no-pivot", false), ("--no-pivot", true)] {
            if change == "--no-pivot" && word.ends_with("private") {
                continue; // refused
            }
            let bundle = Bundle::busybox().set("/linux/rootfsPropagation", word).args(["true"]);
            let volume = bundle.host_directory("volume").display().to_string();
            let bundle = bundle.without_mount("/proc").bind("/proc", "/proc", &["rbind"]).without_namespace("pid");
            let bundle = bundle.bind(&volume, "/tmp", &["rbind"]).mount("/tmp/in/deep", "tmpfs", "tmpfs", &[]);
            let mut bundle = bundle.mount("/tmp/in", "tmpfs", "tmpfs", &[]);
            if !change.is_empty() {
                bundle = bundle.option(change);
            }
            let rootfs = if on_a_mount_of_its_own { bundle.rootfs().display().to_string() } else { String::new() };
            let output =
                bundle.invocation("run").under(["unshare", "-m", "sh", "-c", script, "sh", &rootfs, &volume]).output();
            assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{word} {change} {rootfs}: {output:?}");
        }
    }
}
