//! Files of the image that the runtime reads: /etc/passwd for HOME, /proc for what the kernel says. The image may have put
//! anything in their place.

#![allow(unsafe_code)] // inotify(7)

use crate::harness::{Bundle, host};
use crate::needs;
use std::ffi::CString;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd};
use std::path::Path;

/// A watch on one file of the host.
struct Watch(File);

impl Watch {
    fn on(path: &Path) -> Self {
        let path = CString::new(path.to_str().unwrap()).unwrap();
        // SAFETY: no pointers; the descriptor is new and has no other owner.
        let file = unsafe { File::from_raw_fd(libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC)) };
        // SAFETY: the path is a C string.
        let watch = unsafe { libc::inotify_add_watch(file.as_raw_fd(), path.as_ptr(), libc::IN_OPEN) };
        assert!(watch >= 0, "watch {path:?}");
        Self(file)
    }

    /// Has the file been opened, for more than looking at it (O_PATH)?
    fn was_opened(mut self) -> bool {
        self.0.read(&mut [0; 4096]).is_ok()
    }
}

/// A container whose environment has no HOME.
fn homeless() -> Bundle {
    Bundle::busybox().set("/process/env", serde_json::json!(["PATH=/bin"])).sh("echo HOME=$HOME")
}

#[test]
fn what_is_no_regular_file_in_the_place_of_passwd_is_never_opened() {
    needs!(root);
    for make in ["mknod etc/passwd c 1 3", "mkfifo etc/passwd", "mknod etc/null c 1 3; ln -s null etc/passwd"] {
        let bundle = homeless();
        let make = format!("rm etc/passwd; {make}");
        bundle.command(["sh", "-c", &make]).cwd(bundle.rootfs()).output().ok();
        let node = std::fs::canonicalize(bundle.rootfs().join("etc/passwd")).unwrap();
        let watch = Watch::on(&node);
        let ran = bundle.run().ok();
        assert_eq!(ran.stdout, "HOME=/\n", "{make}");
        assert!(ran.stderr.contains("/etc/passwd of the container: is not a regular file"), "{make}: {ran:?}");
        let container = bundle.args(["sleep", "600"]).start();
        assert_eq!(container.exec(["sh", "-c", "echo HOME=$HOME"]).ok().stdout, "HOME=/\n", "{make}");
        assert!(!watch.was_opened(), "{make}: it was opened by the host's root");
    }
}

#[test]
fn device_rules_are_in_force_before_the_child_opens_anything_of_the_image() {
    needs!(root);
    needs!(v2);
    needs!(program "strace");
    // The program of the rules takes its time; the child must wait for it.
    let bundle = homeless().args(["true"]);
    let log = bundle.home().join("log");
    let wrapper = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=bpf,openat2",
        "-e",
        "inject=bpf:delay_enter=200000",
        "-o",
        log.to_str().unwrap(),
    ];
    bundle.invocation("run").under(wrapper).output().ok();
    let text = std::fs::read_to_string(&log).unwrap();
    let place = |part: &str| text.lines().position(|line| line.contains(part)).unwrap_or_else(|| panic!("no {part}"));
    assert!(place("BPF_PROG_ATTACH") < place("etc/passwd"), "{text}");
}

#[test]
fn a_passwd_file_that_leads_into_procfs_is_not_read() {
    needs!(root);
    // As /proc/kmsg, of which a read takes the host's messages away; but here one sees whether it was read.
    let bundle = homeless().sh("sleep 600\nu:x:0:0::/stolen:\n").symlink("/etc/passwd", "/proc/1/cmdline");
    let container = bundle.start();
    let output = container.exec(["sh", "-c", "echo HOME=$HOME"]).ok();
    assert_eq!(output.stdout, "HOME=/\n");
    assert!(output.stderr.contains("leads to a file of the kernel's"), "{output:?}");
}

#[test]
fn a_home_that_no_environment_can_hold_is_left_out_with_a_warning() {
    needs!(root);
    let long = |length: usize| format!("/{}", "x".repeat(length));
    for (home, why) in [
        ("/a\0b", "it holds a NUL byte"),
        (&long(5000), "it is longer than any path"),
        (&long(200_000), "its line is longer than 64 KiB"),
    ] {
        let bundle = homeless().file("/etc/passwd", &format!("root:x:0:0:root:{home}:/bin/sh\n"));
        let ran = bundle.run().ok();
        assert_eq!(ran.stdout, "HOME=/\n");
        let told = format!("the directory of user 0 is left out: {why}");
        assert!(ran.stderr.contains(&told), "{}", ran.stderr);
        let container = bundle.args(["sleep", "600"]).start();
        assert_eq!(container.exec(["sh", "-c", "echo HOME=$HOME"]).ok().stdout, "HOME=/\n");
    }
}

#[test]
fn a_passwd_file_of_several_mebibytes_has_its_homes() {
    needs!(root);
    let mut text = String::from("root:x:0:0:root:/root:/bin/sh\n");
    for id in 2000..34_000 {
        writeln!(text, "user{id}:x:{id}:100:Some Body,Department of Things,,:/home/user{id}:/bin/bash").unwrap();
    }
    assert!(text.len() > 2 << 20);
    let bundle = homeless().file("/etc/passwd", &text);
    assert_eq!(bundle.run().ok().stdout, "HOME=/root\n");
    assert_eq!(bundle.user(33_999, 100).run().ok().stdout, "HOME=/home/user33999\n");
}

#[test]
fn a_passwd_file_that_is_bound_or_linked_within_the_image_is_read() {
    needs!(root);
    let bundle = homeless();
    let file = bundle.host_file("passwd", "root:x:0:0:root:/bound:/bin/sh\n");
    let bundle = bundle.bind(&file, "/etc/passwd", &["ro"]);
    assert_eq!(bundle.run().ok().stdout, "HOME=/bound\n");
    let bundle = homeless().file("/store/passwd", "root:x:0:0:root:/linked:/bin/sh\n");
    let bundle = bundle.symlink("/etc/passwd", "/store/passwd");
    assert_eq!(bundle.run().ok().stdout, "HOME=/linked\n");
}

#[test]
fn an_image_cannot_say_that_the_callers_groups_need_not_be_dropped() {
    needs!(root);
    needs!(program "setpriv");
    let bundle = Bundle::busybox().without_mount("/proc").file("/proc/self/setgroups", "deny");
    let bundle = bundle.set("/linux/maskedPaths", serde_json::json!([]));
    let bundle = bundle.set("/linux/readonlyPaths", serde_json::json!([])).args(["id", "-G"]);
    // A runtime that may not set groups, and whose caller is in one.
    let without = ["setpriv", "--groups=4242", "--bounding-set=-setgid", "--inh-caps=-setgid"];
    let output = bundle.invocation("run").under(without).output();
    assert!(output.code == 1 && !output.stdout.contains("4242"), "{output:?}");
    assert!(output.stderr.contains("set supplementary groups"), "{output:?}");
}

#[test]
fn clocks_are_not_written_to_what_lies_in_the_proc_of_a_joined_mount_namespace() {
    needs!(root);
    let bundle = Bundle::busybox();
    let trap = bundle.host_file("trap", "");
    // As a link to /proc/sysrq-trigger, to which "boottime" means to reboot the host at once.
    let script = format!(
        "mount --bind /proc /mnt; mount -t tmpfs none /proc; mkdir /proc/self; ln -s {} /proc/self/timens_offsets; \
         echo ready; exec sleep 600",
        trap.display()
    );
    let holder = bundle.command(["unshare", "--mount", "--propagation", "private", "sh", "-c", &script]).spawn();
    holder.has_said("ready");
    let namespace = format!("/proc/{}/ns/mnt", holder.pid());
    assert!(!host::same_file(&namespace, "/proc/self/ns/mnt"));
    let bundle = bundle.join_namespace("mount", &namespace).namespace("time");
    let bundle = bundle.set("/linux/timeOffsets", serde_json::json!({"boottime": {"secs": 7}})).args(["true"]);
    let output = bundle.run();
    assert_eq!(std::fs::read_to_string(&trap).unwrap(), "", "{output:?}");
    assert_eq!(output.code, 1, "{output:?}");
}

#[test]
fn sysctls_are_not_written_to_what_lies_in_the_proc_of_a_joined_mount_namespace() {
    needs!(root);
    let scratch = Bundle::busybox();
    let trap = scratch.host_file("trap", "");
    let file = "/proc/sys/net/ipv4/ip_forward";
    for hide in [
        format!("mount -t tmpfs none /proc; mkdir -p /proc/sys/net/ipv4; ln -s {} {file}", trap.display()),
        format!("mount --bind {} {file}", trap.display()),
        format!("mount --bind /proc/sys/kernel/msgmax {file}"),
    ] {
        let script = format!("{hide}; echo ready; exec sleep 600");
        let ipc = ["unshare", "--mount", "--ipc", "--propagation", "private", "sh", "-c", &script];
        let holder = scratch.command(ipc).spawn();
        holder.has_said("ready");
        let of = |kind| format!("/proc/{}/ns/{kind}", holder.pid());
        let bundle = Bundle::busybox().join_namespace("mount", of("mnt")).join_namespace("ipc", of("ipc"));
        let bundle = bundle.set("/linux/sysctl", serde_json::json!({"net.ipv4.ip_forward": "1"}));
        let bundle = bundle.args(["cat", file, "/proc/sys/kernel/msgmax"]);
        let output = bundle.run();
        drop(holder); // the bundle's root lies in its mount namespace
        assert_eq!(std::fs::read_to_string(&trap).unwrap(), "", "{hide}: {output:?}");
        if host::kernel() >= (5, 8) {
            assert_eq!(output.ok().stdout, "1\n8192\n", "{hide}"); // before, it may be refused: one mount is not told from another
        }
    }
}
