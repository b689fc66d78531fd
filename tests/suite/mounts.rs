//! Mounts of config.json: every option word, file systems, propagation, and targets that do not exist yet.

use crate::harness::{Bundle, read};
use crate::needs;
use serde_json::json;
use std::fs;

/// The per-mount options and the propagation of the mount at `destination`, as the payload sees them.
fn seen(bundle: Bundle, destination: &str) -> String {
    let output = bundle.args(["cat", "/proc/self/mountinfo"]).run().ok().stdout;
    let line = output
        .lines()
        .rfind(|line| line.split(' ').nth(4) == Some(destination))
        .unwrap_or_else(|| panic!("no {destination}: {output}"));
    line.split(' ').skip(5).take_while(|word| *word != "-").collect::<Vec<_>>().join(" ")
}

#[test]
fn options_turn_flags_on_and_off() {
    needs!(root);
    // Each word, and what must (or, with "!", must not) be among the flags of the mount.
    let words = [
        ("ro", "ro"),
        ("rw", "rw"),
        ("nosuid", "nosuid"),
        ("nodev", "nodev"),
        ("noexec", "noexec"),
        ("noatime", "noatime"),
        ("nodiratime", "nodiratime"),
        ("relatime", "relatime"),
        ("strictatime", "!relatime"),
        ("nosymfollow", "nosymfollow"),
        ("defaults", "rw"),
    ];
    let bundle = Bundle::busybox();
    for (word, expected) in words {
        let bundle = bundle.twin(word).mount("/tmp", "tmpfs", "tmpfs", &[word]);
        let flags = seen(bundle, "/tmp");
        let has = |flag: &str| flags.split([',', ' ']).any(|it| it == flag);
        let good = expected.strip_prefix('!').map_or_else(|| has(expected), |flag| !has(flag));
        assert!(good, "{word}: {flags}");
    }
}

#[test]
fn later_words_undo_earlier_ones() {
    needs!(root);
    let bundle = Bundle::busybox();
    for (off, on) in [
        ("ro", "rw"),
        ("nosuid", "suid"),
        ("nodev", "dev"),
        ("noexec", "exec"),
        ("noatime", "atime"),
        ("nosymfollow", "symfollow"),
    ] {
        let bundle = bundle.twin(on).mount("/tmp", "tmpfs", "tmpfs", &[off, on]);
        let flags = seen(bundle, "/tmp");
        assert!(!flags.split([',', ' ']).any(|it| it == off), "{off},{on}: {flags}");
    }
}

#[test]
fn a_read_only_tmpfs_gets_what_is_made_and_mounted_in_it_first() {
    needs!(root);
    let bundle = Bundle::busybox().push("/mounts/1/options", "ro");
    assert_eq!(bundle.config()["mounts"][1]["destination"], "/dev");
    let bundle = bundle.mount("/tmp", "tmpfs", "tmpfs", &["ro"]).mount("/tmp/deep/er", "tmpfs", "tmpfs", &["mode=755"]);
    let script = "echo x > /dev/null && ls -d /dev/pts/ptmx /dev/shm /dev/fd > /dev/null && touch /tmp/deep/er/file && \
                  ! touch /dev/new /tmp/new 2> /dev/null && grep -c ' /\\(dev\\|tmp\\) tmpfs ro' /proc/mounts";
    assert_eq!(bundle.sh(script).run().ok().stdout, "2\n");
}

#[test]
fn recursive_options_reach_the_mounts_below() {
    needs!(root);
    let words = [
        ("rro", "ro"),
        ("rnosuid", "nosuid"),
        ("rnodev", "nodev"),
        ("rnoexec", "noexec"),
        ("rnoatime", "noatime"),
        ("rnosymfollow", "nosymfollow"),
    ];
    let bundle = Bundle::busybox().directory("/b");
    for (word, flag) in words {
        // A recursive bind of the host's /sys brings the mounts of its cgroups along.
        let bundle = bundle.twin(word).bind("/sys", "/b", &["rbind", word]).args(["cat", "/proc/self/mountinfo"]);
        let table = bundle.run().ok().stdout;
        let below: Vec<_> = table
            .lines()
            .filter(|line| line.split(' ').nth(4).is_some_and(|at| at == "/b" || at.starts_with("/b/")))
            .collect();
        assert!(below.len() > 1, "{table}");
        for line in below {
            assert!(line.split(' ').nth(5).unwrap().split(',').any(|it| it == flag), "{word}: {line}");
        }
    }
}

#[test]
fn plain_options_do_not_reach_the_mounts_below() {
    needs!(root);
    let table = Bundle::busybox()
        .bind("/sys", "/tmp", &["rbind", "noatime"])
        .args(["cat", "/proc/self/mountinfo"])
        .run()
        .ok()
        .stdout;
    let flags =
        |at: &str| table.lines().find(|line| line.split(' ').nth(4) == Some(at)).map(|line| line.contains("noatime"));
    assert_eq!((flags("/tmp"), flags("/tmp/fs/cgroup")), (Some(true), Some(false)), "{table}");
}

#[test]
fn propagation_words_set_the_propagation() {
    needs!(root);
    let bundle = Bundle::busybox();
    for (word, mark) in [
        ("shared", "shared:"),
        ("rshared", "shared:"),
        ("private", ""),
        ("rprivate", ""),
        ("unbindable", "unbindable"),
        ("slave", ""),
    ] {
        let volume = bundle.host_directory("volume");
        let flags = seen(bundle.twin(word).bind(volume, "/tmp", &[word]), "/tmp");
        assert!(if mark.is_empty() { !flags.contains("shared:") } else { flags.contains(mark) }, "{word}: {flags}");
    }
}

#[test]
fn rootfs_propagation_is_that_of_the_root() {
    needs!(root);
    let bundle = Bundle::busybox();
    for (word, mark) in [
        ("shared", "shared:"),
        ("rshared", "shared:"),
        ("private", ""),
        ("rprivate", ""),
        ("slave", ""),
        ("rslave", ""),
        ("unbindable", "unbindable"),
        ("runbindable", "unbindable"),
    ] {
        // Masks, volumes and the working directory are there in any case.
        let volume = bundle.host_directory("volume");
        let bundle =
            bundle.twin(word).bind(volume, "/tmp", &[]).set("/linux/maskedPaths", json!(["/proc/keys", "/sys/fs"]));
        let flags = seen(bundle.set("/linux/rootfsPropagation", word), "/");
        assert!(if mark.is_empty() { !flags.contains("shared:") } else { flags.contains(mark) }, "{word}: {flags}");
    }
    bundle.twin("bogus").set("/linux/rootfsPropagation", "sideways").try_create().refused("sideways");
}

#[test]
fn an_unknown_option_goes_to_the_file_system_or_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox();
    let size = bundle.twin("size").mount("/tmp", "tmpfs", "tmpfs", &["size=64k", "mode=700", "uid=5"]);
    assert_eq!(
        size.sh("stat -c '%a %u' /tmp; df -k /tmp | tail -1 | awk '{print $2}'").run().ok().stdout,
        "700 5\n64\n"
    );
    let bogus = bundle.twin("bogus").mount("/tmp", "tmpfs", "tmpfs", &["nosudi"]);
    assert_eq!(bogus.try_create().code, 1);
}

/// As in fstab(5), and as mount(2) splits them for runc.
#[test]
fn several_options_may_stand_in_one_string() {
    needs!(root);
    let bundle = Bundle::busybox().mount("/tmp", "tmpfs", "tmpfs", &["size=64k,mode=700,nosuid", "uid=5"]);
    let script = "stat -c '%a %u' /tmp; df -k /tmp | tail -1 | awk '{print $2}'; grep -c ' /tmp tmpfs rw,nosuid,' /proc/self/mounts";
    assert_eq!(bundle.sh(script).run().ok().stdout, "700 5\n64\n1\n");
}

#[test]
fn bind_after_rbind_keeps_what_is_mounted_below() {
    needs!(root);
    for options in [&["rbind", "bind"][..], &["bind", "rbind"]] {
        let bundle = Bundle::busybox();
        let volume = bundle.host_directory("volume");
        fs::create_dir(volume.join("below")).unwrap();
        let script = "mount -t tmpfs none \"$1/below\" && echo x > \"$1/below/file\" || exit 99; shift; exec \"$@\"";
        let bundle = bundle.bind(&volume, "/tmp", options).args(["cat", "/tmp/below/file"]);
        let run = bundle.invocation("run").under(["unshare", "-m", "sh", "-c", script, "sh", volume.to_str().unwrap()]);
        assert_eq!(run.output().ok().stdout, "x\n", "{options:?}");
    }
}

#[test]
fn a_bind_takes_no_options_of_a_file_system() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    let plain = bundle.twin("plain").bind(&volume, "/tmp", &["nosudi"]);
    plain.try_create().refused("mounts[7].options[1]: unknown option \"nosudi\" (did you mean \"nosuid\"?)");
    plain.assert_nothing_left();
    let bundle = bundle.bind(volume, "/tmp", &["size=64k"]).sh("echo fine");
    let output = bundle.run().ok();
    assert_eq!(output.stdout, "fine\n");
    assert!(output.stderr.contains("size=64k"), "what has no effect is said: {}", output.stderr);
}

#[test]
fn a_read_only_tmpfs_is_read_only() {
    needs!(root);
    let output = Bundle::busybox().mount("/tmp", "tmpfs", "tmpfs", &["ro"]).sh("touch /tmp/x").run();
    assert!(output.code != 0 && output.stderr.contains("Read-only"), "{output:?}");
}

#[test]
fn mounts_are_made_in_the_order_given() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    fs::write(volume.join("file"), "volume").unwrap();
    let bundle =
        bundle.mount("/a", "tmpfs", "tmpfs", &[]).mount("/a/b/c", "tmpfs", "tmpfs", &[]).bind(volume, "/a/b/c/d", &[]);
    assert_eq!(bundle.args(["cat", "/a/b/c/d/file"]).run().ok().stdout, "volume");
}

#[test]
fn missing_targets_are_made_for_directories_and_files() {
    needs!(root);
    let bundle = Bundle::busybox();
    let (directory, file) = (bundle.host_directory("volume"), bundle.host_file("file", "content"));
    let bundle = bundle.bind(directory, "/new/deep/directory", &[]).bind(file, "/new/deep/file", &[]);
    let output = bundle.sh("cat /new/deep/file; test -d /new/deep/directory && echo yes").run().ok();
    assert_eq!(output.stdout, "contentyes\n");
}

#[test]
fn a_missing_source_is_refused_by_name() {
    needs!(root);
    let bundle = Bundle::busybox().bind("/no/such/volume", "/tmp", &[]);
    bundle.try_create().refused("/no/such/volume");
    bundle.assert_nothing_left();
}

#[test]
fn a_directory_cannot_be_bound_onto_a_file() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    // Engines recognise the words and hint at the usual mistake.
    bundle.bind(volume, "/etc/passwd", &[]).try_create().refused("not a directory");
}

#[test]
fn only_proc_may_lie_on_proc() {
    needs!(root);
    let bundle = Bundle::busybox();
    let fake = bundle.host_directory("fake");
    fs::create_dir_all(fake.join("self/attr")).unwrap();
    for (name, refused) in [
        ("bind", bundle.twin("bind").without_mount("/proc").bind(&fake, "/proc", &[])),
        ("over", bundle.twin("over").bind(&fake, "/proc", &[])),
        ("tmpfs", bundle.twin("tmpfs").mount("/proc", "tmpfs", "tmpfs", &[])),
        ("below", bundle.twin("below").mount("/proc/self/attr", "tmpfs", "tmpfs", &[])),
    ] {
        let output = refused.try_create();
        assert!(output.code == 1 && output.stderr.contains("proc"), "{name}: {output:?}");
    }
    let meminfo = bundle.host_file("meminfo", "MemTotal: 1 kB\n");
    let allowed = bundle.twin("meminfo").bind(meminfo, "/proc/meminfo", &["ro"]).args(["cat", "/proc/meminfo"]);
    assert_eq!(allowed.run().ok().stdout, "MemTotal: 1 kB\n");
}

#[test]
fn a_mount_without_a_type_is_a_bind_only_when_it_says_so() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    fs::write(volume.join("file"), "volume").unwrap();
    let untyped = bundle.push("/mounts", json!({"destination": "/tmp", "source": volume, "options": ["rbind"]}));
    assert_eq!(untyped.args(["cat", "/tmp/file"]).run().ok().stdout, "volume");
}

/// The flags of cgroup2's one superblock, as the mount table has them.
fn cgroup2_flags() -> String {
    let table = read("/proc/self/mountinfo");
    let line = table.lines().find_map(|line| line.split_once(" - cgroup2 ")).expect("a cgroup2 mount");
    line.1.rsplit(' ').next().unwrap().to_owned()
}

/// Changes the flags, until it is dropped.
struct Cgroup2Flags(String);

impl Cgroup2Flags {
    fn with(flag: &str) -> Self {
        let before = Self(cgroup2_flags());
        Self::set(&format!("{},{flag}", before.0));
        before
    }

    fn set(flags: &str) {
        let own: Vec<&str> = flags.split(',').filter(|flag| !matches!(*flag, "rw" | "ro" | "seclabel")).collect();
        let (none, own) = (None::<&str>, own.join(","));
        nix::mount::mount(none, "/sys/fs/cgroup", none, nix::mount::MsFlags::MS_REMOUNT, Some(&own[..])).unwrap();
    }
}

impl Drop for Cgroup2Flags {
    fn drop(&mut self) {
        Self::set(&self.0);
    }
}

#[test]
fn a_cgroup_mount_without_a_cgroup_namespace_keeps_the_flags_of_the_hosts_cgroup2() {
    needs!(root);
    needs!(v2);
    needs!(kernel "5.7");
    let flag = "memory_recursiveprot";
    // Another program of the machine may mount cgroup2 in the same moment, and take the flag; not each time.
    let is_kept = (0..3).any(|_| {
        let _flags = Cgroup2Flags::with(flag);
        let bundle = Bundle::busybox().without_namespace("cgroup").sh("ls /sys/fs/cgroup/cgroup.procs");
        bundle.mount("/sys/fs/cgroup", "cgroup", "cgroup", &["ro"]).run().ok();
        cgroup2_flags().contains(flag)
    });
    assert!(is_kept, "the host's cgroup2 has lost the flag: {}", cgroup2_flags());
}

#[test]
fn the_cgroup_mount_shows_the_containers_own_cgroup() {
    needs!(root);
    let script = "cat $(find /sys/fs/cgroup -maxdepth 2 -name cgroup.procs | head -1); \
                  for dir in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $dir/x && echo made $dir/x; done; true";
    let output = Bundle::busybox().namespace("cgroup").sh(script).run().ok();
    assert!(output.stdout.lines().any(|pid| pid == "1"), "init is in the cgroup that is mounted: {output:?}");
    assert!(!output.stdout.contains("made"), "the mount is read-only: {output:?}");
}
