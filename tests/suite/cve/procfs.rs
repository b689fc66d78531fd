//! What the image or a volume puts where /proc and /sys should be, so that masks, labels and sysctls go astray.

use super::{SLOW, base, bites, climbing, never_leads_out, rounds, rounds_within, volume_that_swaps, weakly};
use crate::harness::{Bundle, HostState};
use crate::needs;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;

/// A directory of the host that looks like /proc to whoever only opens paths.
fn fake_proc(bundle: &Bundle) -> std::path::PathBuf {
    let fake = bundle.host_directory("fake");
    for dir in ["self/attr/apparmor", "self/fd", "thread-self/attr", "sys/net/ipv4"] {
        fs::create_dir_all(fake.join(dir)).unwrap();
    }
    for file in ["self/attr/exec", "self/attr/apparmor/exec", "thread-self/attr/exec", "sys/net/ipv4/ip_forward"] {
        fs::write(fake.join(file), "").unwrap();
    }
    fake
}

/// The text of every file in the fake /proc.
fn written(fake: &Path) -> String {
    ["self/attr/exec", "self/attr/apparmor/exec", "thread-self/attr/exec", "sys/net/ipv4/ip_forward"]
        .iter()
        .map(|file| fs::read_to_string(fake.join(file)).unwrap())
        .collect()
}

#[test]
fn cve_2019_16884_nothing_but_a_procfs_may_be_mounted_on_proc() {
    needs!(root);
    let bundle = base();
    let fake = fake_proc(&bundle);
    let careless =
        format!("mount --bind {} $ROOT/proc && echo label > $ROOT/proc/self/attr/exec && echo written", fake.display());
    assert_eq!(weakly(&bundle, &careless).stdout, "written\n", "the attack does not bite");
    assert_eq!(written(&fake), "label\n");
    fs::write(fake.join("self/attr/exec"), "").unwrap();

    let attacks = [
        base().bind(&fake, "/proc", &[]),
        base().without_mount("/proc").bind(&fake, "/proc", &[]),
        base().mount("/proc", "tmpfs", "tmpfs", &[]),
        base().symlink("/x", "/proc").bind(&fake, "/x", &[]),
        base().symlink("/x", "proc").mount("/x", "tmpfs", "tmpfs", &[]),
        base().symlink("/x", "/proc").mount("/x/self/attr", "tmpfs", "tmpfs", &[]),
        base().bind(fake.join("self/attr"), "/proc/self/attr", &[]),
        base().bind(fake.join("self/attr/exec"), "/proc/thread-self/attr/exec", &[]),
        base().mount("/proc/sys", "tmpfs", "tmpfs", &[]),
    ];
    for (n, attack) in attacks.into_iter().enumerate() {
        let attack = attack.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
        let output = attack.run();
        assert!(output.code == 1 && output.stdout.is_empty(), "attack {n}: {output:?}");
        assert_eq!(written(&fake), "", "attack {n}");
        attack.assert_nothing_left();
    }
}

/// Links where /proc or /sys should be: to the host, and to a directory of the image.
#[track_caller]
fn links_are_refused(path: &str) {
    let bundle = base().directory("/fake").symlink(path, "fake");
    let kind = if path == "/proc" { "proc" } else { "sysfs" };
    let root = bundle.rootfs().display().to_string();
    let careless = format!("mount -t {kind} none $ROOT{path} && grep -c ' {root}/fake ' /proc/self/mountinfo");
    assert_eq!(weakly(&bundle, &careless).stdout, "1\n", "the attack does not bite");
    let mut outputs = never_leads_out(|bundle, canary| bundle.symlink(path, canary));
    outputs.extend(never_leads_out(|bundle, _| bundle.directory("/fake").symlink(path, "/fake")));
    outputs.extend(never_leads_out(|bundle, _| bundle.directory("/fake").symlink(path, "fake")));
    // A volume on the directory that the link leads to, mounted before.
    outputs.extend(never_leads_out(|bundle, _| {
        let volume = bundle.host_directory("volume");
        let config = json!({"destination": "/fake", "type": "bind", "source": volume, "options": ["bind"]});
        let mut mounts = bundle.config()["mounts"].clone();
        mounts.as_array_mut().unwrap().insert(0, config);
        bundle.set("/mounts", mounts).directory("/fake").symlink(path, "/fake")
    }));
    for output in outputs {
        assert!(output.code == 1 && output.stdout.is_empty(), "{path}: {output:?}");
    }
}

#[test]
fn cve_2019_19921_a_proc_that_changes_places_with_a_link_is_refused_every_time() {
    needs!(root);
    needs!(program "strace");
    let bundle = base();
    let host = HostState::new();
    let mut canary = bundle.canary();
    // V/a is a directory of the attacker's, V/b a link; /proc of the image leads to V/a.
    let (volume, swap) = volume_that_swaps(&bundle, canary.dir());
    let bundle = bundle.directory("/vol").symlink("/proc", "vol/a");
    let careless = format!(
        "mount --bind {} $ROOT/vol; mount -t proc proc $ROOT/proc; grep -c ' {} .* - proc ' /proc/self/mountinfo",
        volume.display(),
        canary.dir().display()
    );
    bites("procfs mounted by string", || weakly(&bundle, &careless).stdout.trim() == "1");
    let mut mounts = bundle.config()["mounts"].clone();
    let shared = json!({"destination": "/vol", "type": "bind", "source": volume, "options": ["rbind"]});
    mounts.as_array_mut().unwrap().insert(0, shared);
    let bundle = bundle.set("/mounts", mounts);
    let mut runs = 0;
    for round in rounds(2000) {
        let invocation = bundle.invocation("run");
        let output = if round % 32 == 31 { invocation.under(SLOW).output() } else { invocation.output() };
        assert!(output.code == 1 && output.stdout.is_empty(), "{output:?}");
        runs += 1;
    }
    drop(swap);
    eprintln!("{runs} creates");
    assert!(canary.changes().is_empty());
    host.assert_same();
    bundle.assert_nothing_left();
}

#[test]
fn cve_2023_27561_a_proc_that_is_a_link_is_refused() {
    needs!(root);
    links_are_refused("/proc");
}

#[test]
fn cve_2023_28642_a_sys_that_is_a_link_is_refused() {
    needs!(root);
    links_are_refused("/sys");
}

#[test]
fn cve_2025_54867_proc_and_sys_that_are_links_out_of_the_image_are_refused() {
    needs!(root);
    for path in ["/proc", "/sys"] {
        let bundle = base();
        let canary = bundle.canary();
        let bundle = bundle.symlink(path, climbing(canary.dir()));
        let target = canary.dir().display().to_string();
        let careless = format!("mount -t tmpfs none $ROOT{path} && grep -c '{target}' /proc/self/mountinfo");
        assert_eq!(weakly(&bundle, &careless).stdout, "1\n", "the attack does not bite");
        let host = HostState::new();
        for output in [bundle.run(), bundle.run(), bundle.twin("nodev").without_dev().run()] {
            assert!(output.code == 1 && output.stdout.is_empty(), "{path}: {output:?}");
        }
        canary.assert_unchanged();
        host.assert_same();
        bundle.assert_nothing_left();
    }
}

/// The value of a network sysctl in the container, seen by the host's own procfs.
fn forwarding_of(container: &crate::harness::Container) -> String {
    let pid = container.pid().to_string();
    container.command(["nsenter", "-t", &pid, "-n", "cat", "/proc/sys/net/ipv4/ip_forward"]).output().ok().stdout
}

#[test]
fn cve_2025_52881_a_sysctl_is_written_to_the_kernel_or_not_at_all_while_links_change_places() {
    needs!(root);
    needs!(program "nsenter");
    needs!(program "strace");
    // Careless: a tmpfs on the file's directory, then a write by its path. It "succeeds", and nothing is set.
    let bundle = base();
    let fake = fake_proc(&bundle);
    let careless = format!(
        "unshare -n sh -c 'mount -t proc proc $ROOT/proc; mount --bind {} $ROOT/proc/sys/net; \
         echo 1 > $ROOT/proc/sys/net/ipv4/ip_forward && umount $ROOT/proc/sys/net && cat $ROOT/proc/sys/net/ipv4/ip_forward'",
        fake.join("sys/net").display()
    );
    assert_eq!(weakly(&bundle, &careless).stdout, "0\n", "the attack does not bite");

    let mut all = 0;
    for (target, below) in [("../proc/self", "attr"), ("../proc/sys", "net"), ("../proc/self", "fd")] {
        let bundle = base().directory("/vol");
        let (volume, swap) = volume_that_swaps(&bundle, Path::new(target));
        fs::create_dir_all(volume.join("a").join(below))
            .or_else(|_| fs::create_dir_all(volume.join("b").join(below)))
            .ok();
        let bundle = bundle.bind(&volume, "/vol", &["rbind"]).set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}));
        let bundle = (0..8).fold(bundle, |bundle, _| bundle.mount(&format!("/vol/a/{below}"), "tmpfs", "tmpfs", &[]));
        let look = "grep -c ' /proc/self\\| /proc/[0-9]\\| /proc/sys/net' /proc/self/mountinfo; cat /proc/sys/net/ipv4/ip_forward; sleep 600";
        let (bundle, slow) =
            (bundle.twin("plain").sh(look), bundle.twin("slow").args(["cat", "/proc/sys/net/ipv4/ip_forward"]));
        let mut made = 0;
        for round in rounds_within(Duration::from_secs(3), 1000) {
            if round % 16 == 15 {
                // Slow, and to the end: who traces waits for all that it traces.
                let output = slow.invocation("run").under(SLOW).output();
                assert!(output.code != 0 || output.stdout == "1\n", "{output:?}");
            }
            let (container, created) = bundle.create_by(|it| it);
            if created.code == 0 {
                let container = container.start();
                assert_eq!(forwarding_of(&container), "1\n", "a sysctl that was asked for is not set");
                container.has_said("1\n");
                assert_eq!(container.output(), "0\n1\n", "a volume's link led a mount into /proc");
                made += 1;
            }
            all += 8;
        }
        drop(swap);
        eprintln!("{target}: {made} containers");
        bundle.assert_nothing_left();
    }
    eprintln!("{all} mounts");
}

#[test]
fn cve_2025_62596_no_other_file_of_procfs_can_lie_where_a_label_is_written() {
    needs!(root);
    // "It is on procfs" is not enough: another file of procfs takes the label for its own.
    let bundle = base();
    let careless = "mount --bind /proc/$$/comm /proc/$$/attr/exec; stat -f -c %T /proc/$$/attr/exec; \
                    printf label > /proc/$$/attr/exec && echo written; cat /proc/$$/comm";
    assert_eq!(weakly(&bundle, careless).stdout, "proc\nwritten\nlabel\n", "the attack does not bite");
    for (source, at) in [
        ("/proc/self/comm", "/proc/self/attr/exec"),
        ("/proc/version", "/proc/thread-self/attr/exec"),
        ("/proc/self/attr/current", "/proc/self/attr/apparmor/exec"),
        ("/proc/self/fd", "/proc/self/attr"),
        ("/proc/sys/kernel", "/proc/sys/net"),
        ("/proc/self", "/proc/1"),
    ] {
        for through in ["", "/x"] {
            let at = format!("{through}{}", if through.is_empty() { at } else { at.trim_start_matches("/proc") });
            let bundle = base().symlink("/x", "/proc").bind(source, &at, &["rbind"]);
            let output = bundle.run();
            assert!(output.code == 1 && output.stdout.is_empty(), "{source} on {at}: {output:?}");
            bundle.assert_nothing_left();
        }
    }
}
