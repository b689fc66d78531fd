//! Labels of the kernel's security modules. Where a module is missing its label is refused; that a label arrives at the kernel
//! is seen with a stand-in for the file by which AppArmor says that it is there.

use crate::harness::host::has_apparmor;
use crate::harness::{Bundle, read};
use crate::needs;
use serde_json::json;
use std::path::Path;

/// Says that AppArmor is enabled, in a mount namespace of the runtime's own.
const WITH_APPARMOR: [&str; 6] = [
    "unshare",
    "-m",
    "sh",
    "-c",
    "mount -t tmpfs none /sys/module && mkdir -p /sys/module/apparmor/parameters && \
     echo Y > /sys/module/apparmor/parameters/enabled && exec \"$@\"",
    "sh",
];

fn has_selinux() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
}

#[test]
fn a_label_that_nothing_would_heed_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox();
    let container = bundle.start();
    if !has_apparmor() {
        let text = "config.json: process.apparmorProfile: \"acme\" cannot be applied: AppArmor is not enabled";
        let other = bundle.twin("profile").set("/process/apparmorProfile", "acme");
        other.try_create().refused(text);
        let check = other.runtime(["check", other.dir().to_str().unwrap()]).output();
        assert!(check.code == 1 && check.stdout.contains(text), "{check:?}");
        container.exec_with(["--apparmor", "acme"], ["true"]).failed(255, "--apparmor: \"acme\" cannot be applied");
        let unconfined = bundle.twin("unconfined").set("/process/apparmorProfile", "unconfined").args(["true"]);
        unconfined.run().ok();
    }
    if !has_selinux() {
        let label = "system_u:system_r:container_t:s0:c1,c2";
        let other = bundle.twin("label").set("/process/selinuxLabel", label);
        other
            .try_create()
            .refused("config.json: process.selinuxLabel: \"system_u:system_r:container_t:s0:c1,c2\" cannot");
        let process = json!({"args": ["true"], "cwd": "/", "env": ["PATH=/bin"], "selinuxLabel": label});
        let file = bundle.host_file("process.json", &process.to_string());
        container.exec_with(["-p", file.to_str().unwrap()], []).failed(255, "selinuxLabel");
        container.exec_with(["--process-label", label], ["true"]).failed(255, "--process-label: ");
    }
    drop(container);
    bundle.assert_nothing_left();
}

#[test]
fn empty_labels_are_none() {
    needs!(root);
    let bundle = Bundle::busybox().set("/process/apparmorProfile", "").set("/process/selinuxLabel", "");
    let output = bundle.set("/linux/mountLabel", "").args(["true"]).run().ok();
    assert_eq!(output.stderr, "");
}

#[test]
fn a_label_of_mounts_is_a_warning_without_selinux() {
    needs!(root);
    if has_selinux() {
        return;
    }
    let bundle = Bundle::busybox().set("/linux/mountLabel", "system_u:object_r:svirt_sandbox_file_t:s0:c715,c811");
    let output = bundle.args(["echo", "fine"]).run().ok();
    assert_eq!(output.stdout, "fine\n");
    assert!(output.stderr.contains("linux.mountLabel: has no effect: SELinux is not enabled"), "{output:?}");
}

/// Without /sys, which cannot be mounted there when something covers a part of the host's.
fn in_user_namespace() -> Bundle {
    Bundle::busybox().user_namespace().without_mount("/sys").set("/process/noNewPrivileges", false)
}

#[test]
fn a_profile_is_written_to_the_attributes_of_the_process_itself() {
    needs!(root);
    needs!(program "strace");
    let bundle = Bundle::busybox().set("/process/noNewPrivileges", false);
    let refusal = "config.json: process.apparmorProfile: \"rruntime-test-none\"";
    for (name, bundle) in [
        ("plain", bundle.twin("plain")),
        ("user", in_user_namespace()),
        ("shared", bundle.twin("shared").without_namespace("pid")),
        // Nothing of the image's may come in between.
        ("link", bundle.twin("link").without_mount("/proc").symlink("/proc", "/tmp")),
    ] {
        let bundle = bundle.set("/process/apparmorProfile", "rruntime-test-none");
        let log = bundle.home().join(format!("{name}.log"));
        let strace = ["strace", "-f", "-y", "-qq", "-e", "trace=write,prctl", "-o", log.to_str().unwrap()];
        // No such profile is loaded (or there is no AppArmor at all): the kernel refuses it, and the container with it.
        bundle.invocation("create").under(strace).under(WITH_APPARMOR).output().refused(refusal);
        bundle.assert_nothing_left();
        let log = read(log);
        let write =
            log.lines().find(|line| line.contains("\"exec rruntime-test-none\"")).expect("a write of the profile");
        let (pid, _) = write.split_once(' ').unwrap();
        // A kernel that has AppArmor switched off still has its file (Linux 5.8).
        let own = Path::new("/proc/self/attr/apparmor/exec").exists();
        let name = if own { "attr/apparmor/exec" } else { "attr/exec" };
        assert!(write.contains(&format!("/{pid}/task/{pid}/{name}>")), "{write}");
    }
}

#[test]
fn exec_writes_the_profile_it_is_given() {
    needs!(root);
    needs!(program "strace");
    // With a user namespace no procfs can be made in there any more: /proc is masked.
    for bundle in [Bundle::busybox().set("/process/noNewPrivileges", false), in_user_namespace()] {
        let container = bundle.start();
        let log = container.home().join("strace.log");
        let strace = ["strace", "-f", "-y", "-qq", "-e", "trace=write", "-o", log.to_str().unwrap()];
        let exec = container.execution(["--apparmor", "rruntime-test-none"], ["true"]);
        exec.under(strace).under(WITH_APPARMOR).output().failed(255, "process.apparmorProfile: \"rruntime-test-none\"");
        // Another process's attributes could not be written: that would be EPERM or EACCES.
        let log = read(log);
        let write =
            log.lines().find(|line| line.contains("exec>, \"exec rruntime-test-none\"")).expect("a write of it");
        assert!(!write.contains("EPERM") && !write.contains("EACCES"), "{write}");
    }
}

#[test]
fn a_profile_that_is_not_loaded_is_named_by_run_and_by_check() {
    needs!(root);
    needs!(apparmor);
    let bundle = Bundle::busybox().set("/process/apparmorProfile", "rruntime-test-none");
    let text =
        "process.apparmorProfile: \"rruntime-test-none\": no such profile is loaded; load it with apparmor_parser";
    bundle.run().refused(text);
    bundle.assert_nothing_left();
    let check = bundle.runtime(["check", bundle.dir().to_str().unwrap()]).output();
    assert!(check.code == 1 && check.stdout.contains(text), "{check:?}");
    let fine = bundle.twin("fine").set("/process/apparmorProfile", "unconfined");
    fine.write();
    fine.runtime(["check", fine.dir().to_str().unwrap()]).output().ok();
}
