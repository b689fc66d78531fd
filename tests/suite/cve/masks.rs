//! Masks and final remounts that trust what the image has at /dev/null or /proc.

use super::{base, base_without_dev, exchange_names, rounds, weakly};
use crate::harness::{Bundle, WITHOUT_MOUNT_SETATTR};
use crate::needs;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::json;
use std::fs;
use std::path::Path;

/// What is seen through masks: the length of what they show, and of what was written to them.
const LOOK: &str = "for f in /proc/keys /proc/sched_debug /proc/timer_list /secret; do \
                    test -e $f && cat $f && echo attack > $f 2>&- && cat $f; done; echo end";

/// A masked secret of the image, and a file that lies at /dev/null in different guises.
fn masked() -> Bundle {
    base_without_dev()
        .file("/secret", "the secret\n")
        .file("/other", "another file\n")
        .push("/linux/maskedPaths", "/secret")
        .sh(LOOK)
}

/// The directories of an attacker, to be bound on /dev.
const DISGUISES: [(&str, &str); 7] = [
    ("link", "ln -s /other null"),
    ("procfs", "ln -s /proc/sys/kernel/core_pattern null"),
    ("file", "echo 'another file' > null"),
    ("zero", "mknod null c 1 5"),
    ("none", "true"),
    ("pipe", "mkfifo null"),
    ("dangling", "ln -s /no/such/file null"),
];

/// Every disguise is an error, or the masks hold.
#[track_caller]
fn masks_do_not_trust_the_image() {
    let bundle = masked();
    let dev = bundle.host_directory("careless");
    std::os::unix::fs::symlink("/other", dev.join("null")).unwrap();
    // In the image as the root, as runtimes did it after pivot_root.
    let careless = format!(
        "mount --bind {} $ROOT/dev && chroot $ROOT /bin/sh -c 'mount --bind /dev/null /secret && cat /secret'",
        dev.display()
    );
    assert_eq!(weakly(&bundle, &careless).stdout, "another file\n", "the attack does not bite");
    let pattern = crate::harness::read("/proc/sys/kernel/core_pattern");
    for (name, script) in DISGUISES {
        let dev = bundle.host_directory(name);
        bundle.command(["sh", "-c", script]).cwd(&dev).output().ok();
        let bound = bundle.twin(name).bind(&dev, "/dev", &["rbind"]);
        // Or the image's own /dev is like that.
        let own = masked();
        own.command(["sh", "-c", script]).cwd(own.rootfs().join("dev")).output().ok();
        for bundle in [bound, own] {
            let output = bundle.run();
            let empty = output.stdout.is_empty() || output.stdout == "end\n";
            assert!(empty, "{name}: {output:?}");
            bundle.assert_nothing_left();
        }
        assert_eq!(crate::harness::read("/proc/sys/kernel/core_pattern"), pattern);
    }
    assert_eq!(fs::read_to_string(bundle.rootfs().join("secret")).unwrap(), "the secret\n");
}

/// /dev/null is now the device and now a link, while containers start.
#[track_caller]
fn masks_hold_while_dev_null_changes() {
    let bundle = masked();
    let dev = bundle.host_directory("swapping");
    mknod(&dev.join("null"), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, 3)).unwrap();
    std::os::unix::fs::symlink("/other", dev.join("other")).unwrap();
    let swap = super::Swap::of(dev.join("null"), dev.join("other"));
    let careless = format!(
        "mount --bind {} $ROOT/dev && chroot $ROOT /bin/sh -c 'mount --bind /dev/null /secret && cat /secret'",
        dev.display()
    );
    super::bites("a mask by string", || weakly(&bundle, &careless).stdout.contains("another"));
    // Each mask is a round.
    let paths: Vec<_> = (0..100).map(|n| format!("/secrets/{n}")).collect();
    let bundle = paths.iter().fold(bundle, |bundle, path| bundle.file(path, "the secret\n"));
    let bundle = bundle.set("/linux/maskedPaths", json!(paths)).bind(&dev, "/dev", &["rbind"]);
    let bundle =
        bundle.sh("cat /secrets/*; for f in /secrets/*; do echo attack > $f; done 2>&-; cat /secrets/*; echo end");
    let (mut runs, mut made) = (0, 0);
    for _ in rounds(3000) {
        let output = bundle.run();
        assert!(output.stdout.is_empty() || output.stdout == "end\n", "{output:?}");
        made += usize::from(output.code == 0);
        runs += 1;
    }
    drop(swap);
    eprintln!("{runs} times {} masks, {made} containers", paths.len());
    assert_eq!(fs::read_to_string(bundle.rootfs().join("other")).unwrap(), "another file\n");
    bundle.assert_nothing_left();
}

#[test]
fn cve_2025_31133_masks_do_not_trust_the_images_dev_null() {
    needs!(root);
    masks_do_not_trust_the_image();
}

#[test]
fn cve_2025_62161_masks_hold_while_dev_null_changes_places_with_a_link() {
    needs!(root);
    masks_hold_while_dev_null_changes();
}

#[test]
fn masks_and_read_only_paths_through_links_stay_inside() {
    needs!(root);
    let bundle = base();
    let canary = bundle.canary();
    let bundle = bundle
        .symlink("/masked", canary.dir())
        .symlink("/masked-file", canary.dir().join("marker"))
        .set("/linux/maskedPaths", json!(["/masked", "/masked-file", "/masked/marker"]))
        .set("/linux/readonlyPaths", json!(["/masked/d"]));
    bundle.run();
    canary.assert_unchanged();
}

/// An image with a /proc of its own making: whoever remounts through /proc/self/fd/N remounts /vol.
fn with_fake_descriptors(bundle: Bundle) -> Bundle {
    (0..64).fold(bundle.directory("/vol").directory("/ro"), |bundle, n| {
        bundle.symlink(&format!("/proc/self/fd/{n}"), "../../../vol")
    })
}

#[test]
fn cve_2026_115521_what_is_to_be_read_only_is_so_whatever_the_image_has_in_proc() {
    needs!(root);
    needs!(program "strace");
    let bundle = with_fake_descriptors(base());
    let careless = "mount --bind $ROOT $ROOT; mount -t tmpfs none $ROOT/vol; exec 7<$ROOT; \
                    mount -o remount,bind,ro $ROOT/proc/self/fd/7; touch $ROOT/written && echo written; touch $ROOT/vol/x";
    let output = weakly(&bundle, careless);
    assert!(output.stdout == "written\n" && output.stderr.contains("Read-only"), "does not bite: {output:?}");
    fs::remove_file(bundle.rootfs().join("written")).unwrap();

    let probe = "for f in /x /ro/x /tmpro/x /etc/x; do echo x > $f && echo wrote $f; done 2>/dev/null; \
                 touch /vol/x && echo fine";
    for old_kernel in [false, true] {
        for proc in [false, true] {
            let bundle = with_fake_descriptors(base());
            let (volume, fixed) = (bundle.host_directory("volume"), bundle.host_directory("fixed"));
            let bundle = if proc {
                bundle
            } else {
                bundle
                    .without_mount("/proc")
                    .set("/linux/maskedPaths", json!([]))
                    .set("/linux/readonlyPaths", json!([]))
            };
            let bundle = bundle.set("/root/readonly", true).directory("/tmpro");
            let bundle = bundle.bind(&volume, "/vol", &["rw"]).bind(&fixed, "/ro", &["ro"]);
            let bundle = bundle.mount("/tmpro", "tmpfs", "tmpfs", &["ro"]).sh(probe);
            let run = bundle.invocation("run");
            let output = if old_kernel { run.under(WITHOUT_MOUNT_SETATTR).output() } else { run.output() };
            if super::is_unsealed(&output) {
                continue;
            }
            let refused = output.code != 0 && output.stdout.is_empty();
            assert!(output.stdout == "fine\n" || refused, "old {old_kernel}, proc {proc}: {output:?}");
            assert!(!old_kernel || !refused || !proc, "an old kernel can do it, too: {output:?}");
            assert!(!Path::new(&fixed).join("x").exists());
            bundle.assert_nothing_left();
        }
    }
}

#[test]
fn exchanging_two_names_works_here() {
    // What all races of these tests stand on.
    let dir = tempfile::tempdir().unwrap();
    let (one, other) = (dir.path().join("one"), dir.path().join("other"));
    fs::write(&one, "1").unwrap();
    fs::create_dir(&other).unwrap();
    exchange_names(&one, &other);
    assert!(one.is_dir());
}
