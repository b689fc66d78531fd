//! Linux before 5.12, played by strace: no mount_setattr. What mount(2) can do works; the rest is refused by name.

use crate::harness::{Bundle, WITHOUT_MOUNT_SETATTR};
use crate::needs;
use std::path::Path;
use std::process::Command;

#[test]
fn a_container_starts_with_its_masks_and_read_only_paths() {
    needs!(root);
    needs!(program "strace");
    let bundle = Bundle::busybox().set("/root/readonly", true).sh(
        "wc -c < /proc/keys; echo 1 > /proc/sys/kernel/msgmax; touch /x; grep -c ' /proc/sys ro' /proc/self/mountinfo; true",
    );
    let output = bundle.invocation("run").under(WITHOUT_MOUNT_SETATTR).output().ok();
    assert_eq!(output.stdout, "0\n1\n", "{output:?}");
    assert_eq!(output.stderr.to_lowercase().matches("read-only file system").count(), 2, "{output:?}");
}

fn atime_of_the_host(directory: &Path) -> String {
    let found = Command::new("findmnt").args(["-no", "OPTIONS", "-T"]).arg(directory).output().expect("findmnt");
    let words = String::from_utf8(found.stdout).expect("options");
    words.trim().split(',').find(|word| word.ends_with("atime")).unwrap_or_default().to_owned()
}

#[test]
fn attributes_and_propagation_of_a_volume_are_set() {
    needs!(root);
    needs!(program "strace");
    for in_user_namespace in [false, true] {
        let bundle = Bundle::busybox();
        let bundle = if in_user_namespace { bundle.user_namespace() } else { bundle };
        // There the access times of the host's mounts are locked, whatever they are.
        let locked = if atime_of_the_host(&bundle.host_directory("any")) == "noatime" { "noatime" } else { "relatime" };
        let (never, always) = if in_user_namespace { ("async", "async") } else { ("noatime", "strictatime") };
        let volume = bundle.host_directory("volume");
        std::fs::set_permissions(&volume, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let bundle = bundle
            .bind(&volume, "/a", &["ro", "nosuid", "noexec", never])
            .bind(&volume, "/b", &["nodev", "unbindable"])
            .bind(&volume, "/c", &["rro", always])
            .sh("grep -E ' /(a|b|c) ' /proc/self/mountinfo | cut -d ' ' -f 5-7; touch /a/x /c/x");
        let output = bundle.invocation("run").under(WITHOUT_MOUNT_SETATTR).output();
        let flags = |at: &str| {
            let line = output.stdout.lines().find(|line| line.starts_with(at)).unwrap_or_else(|| panic!("{output:?}"));
            line.to_owned()
        };
        assert!(["ro", "nosuid", "noexec"].iter().all(|flag| flags("/a").contains(flag)), "{output:?}");
        let expected = if in_user_namespace { [locked, locked] } else { ["noatime", ""] };
        for (at, expected) in ["/a", "/c"].iter().zip(expected) {
            let word = ["noatime", "relatime"].into_iter().find(|word| flags(at).contains(word)).unwrap_or_default();
            assert_eq!(word, expected, "{at}: {output:?}");
        }
        assert!(flags("/b").contains("nodev") && flags("/b").contains("unbindable"), "{output:?}");
        assert!(flags("/c").contains("ro"), "{output:?}");
        assert_eq!(output.stderr.matches("Read-only").count(), 2, "{output:?}");
    }
}

#[test]
fn what_only_the_new_call_can_do_is_refused() {
    needs!(root);
    needs!(program "strace");
    let bundle = Bundle::busybox().bind("/sys", "/b", &["rbind", "rnosuid"]);
    bundle.invocation("run").under(WITHOUT_MOUNT_SETATTR).output().refused("needs Linux 5.12 (mount_setattr)");
    bundle.assert_nothing_left();
}

#[test]
fn a_shared_root_is_cut_from_the_host_and_shared_again() {
    needs!(root);
    needs!(program "strace");
    let bundle = Bundle::busybox().set("/linux/rootfsPropagation", "shared").args([
        "grep",
        " / / \\| / ",
        "/proc/self/mountinfo",
    ]);
    let output = bundle.invocation("run").under(WITHOUT_MOUNT_SETATTR).output().ok();
    assert!(output.stdout.contains("shared:"), "{output:?}");
}
