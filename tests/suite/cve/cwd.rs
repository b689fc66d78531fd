//! Descriptors of the host as a way out: as a working directory, as a program.

use super::{base, weakly};
use crate::harness::{Bundle, Container};
use crate::needs;
use std::fs;

/// What a careless caller leaves open, without close-on-exec: directories and files of the host.
fn leak(bundle: &Bundle) -> String {
    let home = bundle.home().display();
    (3..10)
        .map(|fd| match fd % 4 {
            0 => format!("exec {fd}<{home}\n"),
            1 => format!("exec {fd}</etc/hostname\n"),
            _ => format!("exec {fd}</\n"),
        })
        .collect()
}

/// Every path by which number `fd` could be named.
fn names(fd: i32) -> [String; 4] {
    [
        format!("/proc/self/fd/{fd}"),
        format!("/proc/1/fd/{fd}"),
        format!("/proc/thread-self/fd/{fd}"),
        format!("/proc/self/fd/{fd}/../.."),
    ]
}

/// What the payload would see if it were on the host.
fn look(bundle: &Bundle) -> String {
    let secret = bundle.host_file("secret", "of the host");
    let below = secret.strip_prefix("/").unwrap().display();
    format!("cat secret {below} ../secret ../../{below} ../../../../../../{below} 2>/dev/null; ls /proc/$$/fd; true")
}

#[test]
fn cve_2024_21626_no_descriptor_of_the_host_is_a_working_directory() {
    needs!(root);
    let bundle = base();
    let script = look(&bundle);
    let careless =
        format!("mount -t proc proc $ROOT/proc; exec 7</; chroot $ROOT /bin/sh -c 'cd /proc/self/fd/7; {script}'");
    assert!(weakly(&bundle, &careless).stdout.starts_with("of the host"), "the attack does not bite");

    let descriptors = "0\n1\n2\n";
    for fd in 3..40 {
        // With other descriptors open, those of the runtime have other numbers.
        let paths = if fd < 20 { names(fd).to_vec() } else { vec![format!("/proc/self/fd/{fd}")] };
        for (n, path) in paths.iter().enumerate() {
            let bundle = bundle.twin(&format!("{fd}-{n}")).set("/process/cwd", path.as_str()).sh(&script);
            for leak in [leak(&bundle), String::new()].iter().take(if fd < 12 { 2 } else { 1 }) {
                let output = bundle.invocation("run").after_shell(leak).output();
                let inside = output.stdout == descriptors;
                assert!(inside || output.code == 1 && output.stdout.is_empty(), "{path}: {output:?}");
            }
        }
    }
    bundle.assert_nothing_left();
}

#[test]
fn cve_2024_21626_no_link_of_the_image_makes_a_descriptor_the_working_directory() {
    needs!(root);
    for fd in 3..14 {
        let bundle = base().symlink("/work", format!("/proc/self/fd/{fd}")).set("/process/cwd", "/work");
        let bundle = bundle.twin("link").sh(&look(&bundle));
        let output = bundle.invocation("run").after_shell(&leak(&bundle)).output();
        assert!(output.code == 1 && output.stdout.is_empty() || output.stdout == "0\n1\n2\n", "{fd}: {output:?}");
    }
    // Directories of the host, by a link, and a directory that is to be made.
    let bundle = base();
    let mut canary = bundle.canary();
    let bundle = bundle.symlink("/place", canary.dir());
    weakly(&bundle, "mkdir -p $ROOT/place/new");
    assert!(!canary.changes().is_empty(), "the attack does not bite");
    for output in
        super::never_leads_out(|bundle, canary| bundle.symlink("/place", canary).set("/process/cwd", "/place"))
    {
        assert!(output.code == 1 || output.stdout == "fine\n", "{output:?}");
    }
    super::never_leads_out(|bundle, canary| bundle.symlink("/place", canary).set("/process/cwd", "/place/new"));
}

/// A container to exec into, with a link to each descriptor.
fn with_links() -> Container {
    let bundle =
        (3..20).fold(base(), |bundle, fd| bundle.symlink(&format!("/work{fd}"), format!("/proc/self/fd/{fd}")));
    bundle.args(["sleep", "600"]).start()
}

#[test]
fn cve_2024_21626_exec_has_no_way_out_by_a_descriptor_either() {
    needs!(root);
    let container = with_links();
    let bundle = Bundle::busybox();
    let (script, leak) = (look(&bundle), leak(&bundle));
    for fd in 3..20 {
        let [one, _, two, three] = names(fd);
        for path in [one, two, three, format!("/work{fd}")] {
            let exec = container.execution(["--cwd", &path], ["sh", "-c", &script]).after_shell(&leak);
            let output = exec.output();
            assert!(output.stdout.is_empty() || output.stdout == "0\n1\n2\n", "{path}: {output:?}");
        }
    }
}

#[test]
fn cve_2024_21626_no_program_of_the_host_is_run_by_a_descriptor() {
    needs!(root);
    let container = with_links();
    let busybox = "bin/busybox";
    assert!(fs::metadata(format!("/{busybox}")).is_ok(), "the host has the program that the attack names");
    let careless = base();
    let output =
        weakly(&careless, "mount -t proc proc $ROOT/proc; exec 7</; chroot $ROOT /proc/self/fd/7/bin/busybox echo out");
    assert_eq!(output.stdout, "out\n", "the attack does not bite");
    for fd in 3..20 {
        for path in [format!("/proc/self/fd/{fd}/{busybox}"), format!("/work{fd}/{busybox}")] {
            let exec = container.execution([], [&path, "echo", "out"]).after_shell("exec 7</ 8</ 9</ 4</");
            let output = exec.output();
            assert!(output.code != 0 && output.stdout.is_empty(), "{path}: {output:?}");
            let bundle = base().set("/process/args", serde_json::json!([path, "echo", "out"]));
            let output = bundle.invocation("run").after_shell("exec 7</ 8</ 9</ 4</").output();
            assert!(output.code != 0 && output.stdout.is_empty(), "{path}: {output:?}");
        }
    }
}
