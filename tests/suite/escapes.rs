//! An image made by an attacker: nothing in it may lead the runtime out of the root filesystem.

use crate::harness::{Bundle, Canary, Output};
use crate::needs;
use std::path::{Path, PathBuf};

/// The canary by its absolute path and by one that climbs out of wherever it starts.
fn ways_to(canary: &Path) -> [PathBuf; 2] {
    [canary.to_owned(), Path::new("../../../../../../../../../..").join(canary.strip_prefix("/").unwrap())]
}

/// Runs and creates an attack once per way out, and looks at the canary each time.
fn never_leads_out(attack: impl Fn(Bundle, &Path) -> Bundle) -> Vec<Output> {
    let mut outputs = Vec::new();
    for way in 0..2 {
        let bundle = Bundle::busybox();
        let canary: Canary = bundle.canary();
        let target = ways_to(canary.dir())[way].clone();
        let bundle = attack(bundle, &target).args(["echo", "fine"]);
        outputs.push(bundle.run());
        canary.assert_unchanged();
        // The second time the image is as the first run left it.
        outputs.push(bundle.run());
        canary.assert_unchanged();
    }
    outputs
}

#[test]
fn a_symlinked_dev_does_not_lead_out() {
    needs!(root);
    // CVE-2026-41579, CVE-2026-47766
    never_leads_out(|bundle, canary| bundle.without_dev().symlink("/dev", canary));
    never_leads_out(|bundle, canary| bundle.symlink("/dev", canary));
    never_leads_out(|bundle, canary| bundle.without_dev().symlink("/dev/pts", canary));
    never_leads_out(|bundle, canary| {
        bundle.without_dev().symlink("/dev/ptmx", canary.join("ptmx")).symlink("/dev/null", canary.join("null"))
    });
}

#[test]
fn a_symlinked_console_does_not_lead_out() {
    needs!(root);
    // CVE-2026-88264
    for name in ["console", "created"] {
        never_leads_out(|bundle, canary| bundle.without_dev().symlink("/dev/console", canary.join(name)));
    }
}

#[test]
fn a_symlinked_proc_or_sys_is_refused() {
    needs!(root);
    // CVE-2019-19921, CVE-2023-27561, CVE-2025-54867
    for path in ["/proc", "/sys"] {
        for output in never_leads_out(|bundle, canary| bundle.symlink(path, canary)) {
            assert_eq!(output.code, 1, "{path}: {output:?}");
        }
        for output in never_leads_out(|bundle, _| bundle.directory("/fake").symlink(path, "/fake")) {
            assert_eq!(output.code, 1, "{path}: {output:?}");
        }
    }
}

#[test]
fn a_symlinked_mount_target_does_not_lead_out() {
    needs!(root);
    for (kind, name) in [("directory", "d"), ("directory", "new"), ("file", "marker"), ("file", "new")] {
        never_leads_out(|bundle, canary| {
            let source = if kind == "file" { bundle.host_file("source", "x") } else { bundle.host_directory("source") };
            bundle.symlink("/target", canary.join(name)).bind(source, "/target", &[])
        });
        // A component on the way, rather than the last one.
        never_leads_out(|bundle, canary| {
            let source = if kind == "file" { bundle.host_file("source", "x") } else { bundle.host_directory("source") };
            bundle.symlink("/way", canary).bind(source, &format!("/way/{name}/deep"), &[])
        });
    }
}

#[test]
fn a_mount_target_that_climbs_stays_inside() {
    needs!(root);
    never_leads_out(|bundle, canary| {
        let source = bundle.host_directory("source");
        bundle.bind(
            source,
            &format!("/../../../../../..{}/new", canary.strip_prefix("..").unwrap_or(canary).display()),
            &[],
        )
    });
}

#[test]
fn a_tmpfs_that_copies_up_copies_only_the_image() {
    needs!(root);
    for output in
        never_leads_out(|bundle, canary| bundle.symlink("/var", canary).mount("/var", "tmpfs", "tmpfs", &["tmpcopyup"]))
    {
        assert!(output.code == 0 || output.code == 1, "{output:?}");
    }
    let bundle = Bundle::busybox();
    let canary = bundle.canary();
    let bundle =
        bundle.symlink("/var", canary.dir()).mount("/var", "tmpfs", "tmpfs", &["tmpcopyup"]).sh("cat /var/marker");
    assert_ne!(bundle.run().stdout, "marker", "a file of the host was copied in");
}

#[test]
fn a_loop_of_symlinks_is_an_error_and_no_hang() {
    needs!(root);
    let bundle = Bundle::busybox().symlink("/loop", "loop");
    let source = bundle.host_directory("source");
    let bundle = bundle.bind(source, "/loop/x", &[]);
    assert_eq!(bundle.try_create().code, 1);
    bundle.assert_nothing_left();
}

#[test]
fn a_symlinked_cwd_does_not_lead_out() {
    needs!(root);
    for output in never_leads_out(|bundle, canary| bundle.symlink("/place", canary).set("/process/cwd", "/place")) {
        assert!(output.code == 1 || output.stdout == "fine\n", "{output:?}");
    }
    // A missing cwd is made, but only inside.
    never_leads_out(|bundle, canary| bundle.symlink("/place", canary).set("/process/cwd", "/place/new"));
}

#[test]
fn a_cwd_through_a_descriptor_is_refused() {
    needs!(root);
    // CVE-2024-21626: directories of the host, left open by whoever called the runtime.
    let leak: String = (3..10).map(|fd| format!("exec {fd}</\n")).collect();
    let bundle = Bundle::busybox();
    for fd in 3..14 {
        for (n, path) in [format!("/proc/self/fd/{fd}"), format!("/proc/self/fd/{fd}/../..")].iter().enumerate() {
            let bundle =
                bundle.twin(&format!("{fd}-{n}")).set("/process/cwd", path.as_str()).sh("pwd; ls; cat /etc/hostname");
            let output = bundle.invocation("run").after_shell(&leak).output();
            assert!(output.code == 1 && output.stdout.is_empty(), "{path}: {output:?}");
        }
    }
}

#[test]
fn exec_with_a_cwd_through_a_descriptor_is_refused() {
    needs!(root);
    let container = Bundle::busybox().symlink("/place", "/proc/self/fd/7").start();
    for path in ["/proc/self/fd/7", "/proc/self/fd/8", "/place"] {
        let output = container.execution(["--cwd", path], ["pwd"]).after_shell("exec 7</ 8</etc").output();
        assert_eq!(output.code, 255, "{path}: {output:?}");
    }
}

#[test]
fn a_program_through_a_descriptor_is_refused() {
    needs!(root);
    let container = Bundle::busybox().start();
    let output = container.execution([], ["/proc/self/fd/7/bin/true"]).after_shell("exec 7</").output();
    assert_eq!(output.code, 255, "{output:?}");
}

#[test]
fn standard_streams_are_never_swapped_for_what_lies_on_dev_null() {
    needs!(root);
    // CVE-2026-88265
    let bundle = Bundle::busybox().without_dev();
    let canary = bundle.canary();
    let bundle = bundle
        .bind(canary.dir().join("hostfile"), "/hf", &[])
        .symlink("/dev/null", "/hf")
        .user(1000, 1000)
        .args(["true"]);
    bundle.invocation("run").after_shell("exec </dev/null").output();
    canary.assert_unchanged();
}

#[test]
fn helpers_of_the_image_are_never_run() {
    needs!(root);
    let bundle = Bundle::busybox().user_namespace();
    let bundle =
        ["newuidmap", "newgidmap", "criu", "modprobe", "ip", "systemctl"].iter().fold(bundle, |bundle, name| {
            bundle.script(&format!("/sbin/{name}"), "#!/bin/sh\necho run > /tmp/run\n", 0o755)
        });
    let container = bundle.env("PATH=/sbin:/bin").start();
    container.exec(["true"]).ok();
    assert!(!bundle_ran(&container.home().join("bundle/rootfs")));
}

fn bundle_ran(rootfs: &Path) -> bool {
    rootfs.join("tmp/run").exists()
}
