//! Older kernels, played by strace or a filter: what other calls can do works; the rest is refused by name.

use crate::harness::{Bundle, Output, WITHOUT_MOUNT_SETATTR};
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

/// The host's mounts in a private mount namespace, and the command there.
fn in_mount_namespace(bundle: &Bundle, script: &str) -> Output {
    let script = format!("{script}; exec \"$0\" \"$@\"");
    let binary = crate::harness::binary().display().to_string();
    let root = bundle.state_root().display().to_string();
    let dir = bundle.write().dir().to_str().unwrap();
    let words = ["unshare", "-m", "sh", "-c", &script, &binary, "--root", &root, "run", "-b", dir, bundle.id()];
    bundle.command(words).on_kernel("5.10").output()
}

#[test]
fn flags_of_all_mounts_below_are_set_one_by_one() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    std::fs::create_dir_all(volume.join("a b")).unwrap();
    let script =
        format!("cd '{}' && mount -t tmpfs x 'a b' && mkdir 'a b/c' && mount -t tmpfs y 'a b/c'", volume.display());
    let bundle = bundle
        .bind(&volume, "/vol", &["rbind", "rro", "rnosuid"])
        .sh("grep -c ' /vol.* ro,nosuid' /proc/self/mountinfo; touch /vol/x '/vol/a b/x' '/vol/a b/c/x'; true");
    let output = in_mount_namespace(&bundle, &script).ok();
    assert_eq!(output.stdout, "3\n", "{output:?}");
    assert_eq!(output.stderr.matches("Read-only").count(), 3, "{output:?}");
}

#[test]
fn a_hidden_mount_whose_flags_cannot_be_set_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    std::fs::create_dir_all(volume.join("a/b")).unwrap();
    let script = format!("cd '{}' && mount -t tmpfs x a/b && mount -t tmpfs y a", volume.display());
    let bundle = bundle.bind(&volume, "/vol", &["rbind", "rro"]).args(["true"]);
    in_mount_namespace(&bundle, &script).refused("to change it needs Linux 5.12 (mount_setattr)");
    bundle.assert_nothing_left();
}

/// What is bound of the host in place of a new sysfs is read-only, with all below it (CVE-2023-25809).
#[test]
fn a_user_namespace_without_a_network_has_a_read_only_sys() {
    needs!(root);
    let bundle = Bundle::busybox().user_namespace().without_namespace("network").without_mount("/sys");
    let bundle = bundle
        .mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
        .sh("all=$(cut -d ' ' -f 5,6 /proc/self/mountinfo | grep ^/sys); echo \"$all\" | grep -c .; echo \"$all\" | grep -v ' ro'; true");
    for kernel in ["5.10", "filter"] {
        let output = bundle.twin(kernel.get(..1).unwrap()).invocation("run").on_kernel(kernel).output().ok();
        let mut lines = output.stdout.lines();
        assert!(lines.next().is_some_and(|count| count.parse::<u32>().unwrap() > 0), "{output:?}");
        assert_eq!(lines.next(), None, "{kernel}: a mount that can be written: {output:?}");
    }
}

#[test]
fn every_command_works_on_linux_5_4_and_under_a_filter_that_knows_no_newer_calls() {
    needs!(root);
    for kernel in ["5.10", "5.4", "filter"] {
        let bundle =
            Bundle::busybox().twin(&kernel.replace('.', "-")).sh("trap 'exit 0' TERM; while :; do sleep 0.05; done");
        let (container, _) = bundle.create_by(|create| create.on_kernel(kernel));
        let id = container.id().to_owned();
        let does = |words: &[&str]| bundle.runtime(words.iter().copied()).on_kernel(kernel).output().ok();
        does(&["start", &id]);
        assert!(does(&["state", &id]).stdout.contains("running"));
        let inside = does(&[
            "exec",
            &id,
            "sh",
            "-c",
            "readlink /proc/self/ns/pid; readlink /proc/1/ns/pid; set -- /proc/self/fd/*; echo $#",
        ]);
        let lines: Vec<&str> = inside.stdout.lines().collect();
        assert!(lines.len() == 3 && lines[0] == lines[1], "{kernel}: {inside:?}");
        assert_eq!(lines[2], "4", "{kernel}: more than the streams and the directory is open: {inside:?}");
        does(&["ps", &id]);
        does(&["pause", &id]);
        does(&["resume", &id]);
        does(&["kill", &id, "KILL"]);
        container.reaches("stopped");
        does(&["delete", &id]);
        bundle.assert_nothing_left_after(kernel);
    }
}

#[test]
fn a_device_has_its_owner_and_mode_before_linux_6_6() {
    needs!(root);
    for kernel in ["fchmodat2:ENOSYS", "fchmodat2:EPERM"] {
        let device = serde_json::json!({"path": "/dev/own", "type": "c", "major": 10, "minor": 232, "fileMode": 0o660, "uid": 3, "gid": 4});
        let bundle = Bundle::busybox().set("/linux/devices", serde_json::json!([device]));
        let bundle = bundle.args(["stat", "-c", "%t:%T %a %u:%g", "/dev/own"]);
        assert_eq!(bundle.invocation("run").on_kernel(kernel).output().ok().stdout, "a:e8 660 3:4\n");
    }
}

#[test]
fn a_call_without_a_substitute_is_named_by_every_command_and_by_check() {
    needs!(root);
    needs!(program "strace");
    for (error, text) in
        [("ENOSYS", "rruntime needs Linux 5.4 or newer"), ("EPERM", "a filter around this process denies pidfd_open")]
    {
        let bundle = Bundle::busybox().args(["true"]);
        bundle.write();
        let fault = format!("inject=pidfd_open:error={error}");
        let under = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", &fault];
        let id = bundle.id();
        for words in [
            &["run", "-b", bundle.dir().to_str().unwrap(), id][..],
            &["state", id],
            &["exec", id, "true"],
            &["kill", id],
            &["delete", "-f", id],
            &["list"],
        ] {
            let output = bundle.runtime(words.iter().copied()).under(under).output();
            assert!(output.code != 0 && output.stderr.contains(text), "{words:?}: {output:?}");
        }
        let check = bundle.runtime(["check", bundle.dir().to_str().unwrap()]).under(under).output();
        assert!(check.code != 0 && check.stdout.contains(text), "{check:?}");
        bundle.assert_nothing_left();
    }
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
