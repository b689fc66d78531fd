//! Hosts that are not as usual: a chroot, an initramfs for a root, mounts that are locked together, filters around the runtime,
//! things missing in /proc and /dev. Where `run` fails for a reason of the host, `check` says so.

use crate::harness::{Bundle, Invocation, Output};
use crate::{needs, rootless};
use serde_json::json;
use std::path::PathBuf;

/// A directory in which the machine's tree can be used, and how it is made so in a mount namespace.
struct Chroot {
    dir: PathBuf,
    script: String,
}

impl Chroot {
    fn plain(bundle: &Bundle) -> Chroot {
        let dir = bundle.host_directory("room");
        let at = dir.display();
        let script = format!(
            "for f in /*; do if [ -L $f ]; then cp -P $f {at}/; elif [ -d $f ]; then mkdir -p {at}$f && mount --rbind $f {at}$f; fi; done"
        );
        Chroot { dir, script }
    }

    fn mounted(bundle: &Bundle) -> Chroot {
        let plain = Chroot::plain(bundle);
        let at = plain.dir.display();
        let script = format!("mount --bind {at} {at} && {{ {}; }}", plain.script);
        Chroot { script, ..plain }
    }

    /// The command in there.
    fn hold(&self, invocation: Invocation) -> Output {
        let script = format!("{}\ncd / && exec chroot {} \"$@\"", self.script, self.dir.display());
        in_own_mounts(invocation, &script)
    }
}

fn in_own_mounts(invocation: Invocation, script: &str) -> Output {
    invocation.under(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]).output()
}

fn check(bundle: &Bundle) -> Invocation {
    bundle.write();
    bundle.runtime(["check", bundle.dir().to_str().unwrap()])
}

#[test]
fn a_container_runs_in_a_chroot_and_exec_stays_in_it() {
    needs!(root);
    for (name, make) in [("plain", Chroot::plain as fn(&Bundle) -> Chroot), ("mounted", Chroot::mounted)] {
        for option in ["--no-pivot", "--no-new-keyring"] {
            let base = Bundle::busybox();
            let chroot = make(&base);
            let volume = base.host_directory("volume");
            std::fs::write(volume.join("file"), "volume").unwrap();
            let bundle = base.twin("a").bind(&volume, "/tmp", &["rbind"]).option(option);
            let (rt, id) = (crate::harness::binary().display().to_string(), bundle.id().to_owned());
            let root = bundle.home().join("state-in-there");
            bundle.write();
            let script = format!(
                "rt() {{ {rt} --root {root} \"$@\"; }}; rt create {option} --bundle {dir} {id} </dev/null >/dev/null && rt start {id} &&
                 rt exec {id} ls / && rt exec {id} cat /tmp/file; rt delete --force {id}",
                root = root.display(),
                dir = bundle.dir().display()
            );
            let output = chroot.hold(bundle.command(["sh", "-c", &script])).ok();
            let image = std::fs::read_dir(base.rootfs()).unwrap().flatten();
            let mut names: Vec<String> = image.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            assert_eq!(output.stdout, names.join("\n") + "\nvolume", "{name} {option}: {output:?}");
            assert!(chroot.hold(check(&bundle)).ok().stdout.ends_with("can run this bundle\n"));
        }
    }
}

#[test]
fn what_a_chroot_cannot_do_is_said_by_run_and_check() {
    needs!(root);
    let base = Bundle::busybox();
    let chroot = Chroot::plain(&base);
    let bundle = base.user_namespace().args(["true"]);
    chroot.hold(bundle.invocation("run")).refused("no user namespace for a process in a chroot");
    let told = chroot.hold(check(&bundle));
    assert!(told.code == 1 && told.stdout.contains("this process runs in a chroot"), "{told:?}");
}

/// On an initramfs it moves the root instead (`integration/kernels/guest/initramfs`). The host's tree stays below a root that was
/// moved, so nothing that config.json or an image does on another host may lead there.
#[test]
fn a_root_is_not_moved_where_the_host_could_pivot() {
    needs!(root);
    needs!(program "strace");
    let bundle = Bundle::busybox().args(["true"]);
    let inject = ["strace", "-f", "-o", "/dev/null", "-e", "inject=pivot_root:error=EINVAL"];
    bundle.invocation("run").under(inject).output().refused("pivot_root: invalid argument (EINVAL)");
    bundle.assert_nothing_left();
    let bundle = Bundle::busybox().user_namespace().without_mount("/sys").grant(&["CAP_SYS_ADMIN"]).args(["true"]);
    let other = bundle.rootfs();
    let shared = json!({"destination": "/", "type": "bind", "source": other, "options": ["rbind", "shared"]});
    let mut mounts = bundle.config()["mounts"].clone();
    mounts.as_array_mut().unwrap().insert(0, shared);
    bundle.twin("shared").set("/mounts", mounts).set("/root/path", other.to_str().unwrap()).run().refused("pivot_root");
    let moved = bundle.option("--no-pivot").run();
    moved.refused("take CAP_SYS_ADMIN out of process.capabilities, or the user namespace out of linux.namespaces");
}

/// With systemd every mount is shared. And without CAP_SYS_CHROOT a chroot on a mount point cannot be seen, nor be left.
#[test]
fn a_chroot_is_left_where_mounts_are_shared_and_refused_where_it_cannot_be_seen() {
    needs!(root);
    for make in [Chroot::plain as fn(&Bundle) -> Chroot, Chroot::mounted] {
        let base = Bundle::busybox();
        let mut chroot = make(&base);
        chroot.script = format!("mount --make-rshared / && {{ {}; }}", chroot.script);
        let bundle = base.twin("a").args(["ls", "-d", "/bin"]);
        assert_eq!(chroot.hold(bundle.invocation("run")).ok().stdout, "/bin\n");
    }
    let base = Bundle::busybox();
    let chroot = Chroot::mounted(&base);
    // By its path: where chroot is busybox's, it would take the setpriv of busybox.
    let weak = ["/bin/setpriv", "--bounding-set=-sys_chroot", "--inh-caps=-sys_chroot"];
    let bundle = base.twin("a").args(["ls", "-d", "/bin"]);
    chroot.hold(bundle.invocation("run").under(weak)).refused("give the runtime CAP_SYS_CHROOT");
    assert_eq!(bundle.invocation("run").under(weak).output().ok().stdout, "/bin\n", "not in a chroot");
}

#[test]
fn a_bind_of_mounts_that_are_locked_together_is_explained() {
    needs!(root);
    let base = rootless::bundle();
    let volume = base.host_directory("volume");
    let mounts = format!(
        "mount -t tmpfs -o mode=755 none {0} && mkdir {0}/below && mount -t tmpfs none {0}/below && exec \"$@\"",
        volume.display()
    );
    let bound = |name: &str, option: &str| base.twin(name).bind(&volume, "/mnt", &[option]).args(["true"]);
    let one = bound("one", "bind");
    let told = "a user namespace can only bind all of it: write \"rbind\" in place of \"bind\"";
    in_own_mounts(rootless::by_user(&one, "run"), &mounts).refused(told);
    let as_user = |bundle: &Bundle| in_own_mounts(check(bundle).under(rootless::AS_USER), &mounts);
    let output = as_user(&one);
    assert!(output.code == 1 && output.stdout.contains(told), "{output:?}");
    let all = bound("all", "rbind");
    in_own_mounts(rootless::by_user(&all, "run"), &mounts).ok();
    as_user(&all).ok();
    // Root's containers in a user namespace, too.
    let of_root = Bundle::busybox().user_namespace().bind(&volume, "/mnt", &["bind"]).args(["true"]);
    in_own_mounts(of_root.invocation("run"), &mounts).refused(told);
    assert_eq!(in_own_mounts(check(&of_root), &mounts).code, 1);
}

/// How the host is changed, and whether a container runs on it.
const HOSTS: [(&str, bool, &str); 6] = [
    ("an empty /dev", true, "mount -t tmpfs none /dev"),
    ("other processes are hidden", true, "mount -t proc -o hidepid=2 proc /proc"),
    ("/proc has processes only", false, "mount -t proc -o subset=pid proc /proc"),
    ("/proc is missing", false, "umount -l /proc"),
    ("/sys is missing", false, "umount -l /sys"),
    (
        "cgroups are read-only",
        false,
        "for m in /sys/fs/cgroup /sys/fs/cgroup/*; do mountpoint -q $m && mount -o remount,bind,ro $m; done",
    ),
];

#[test]
fn check_agrees_with_run_on_odd_hosts() {
    needs!(root);
    for (host, runs, script) in HOSTS {
        let bundle = Bundle::busybox().args(["true"]);
        let script = format!("{script}; exec \"$@\"");
        let run = in_own_mounts(bundle.invocation("run"), &script);
        let check = in_own_mounts(check(&bundle), &script);
        assert_eq!((run.code == 0, check.code == 0), (runs, runs), "{host}: {run:?} {check:?}");
    }
}

#[test]
fn a_closed_stream_without_dev_null_is_explained() {
    needs!(root);
    let bundle = Bundle::busybox().args(["true"]);
    let output = in_own_mounts(bundle.invocation("run"), "mount -t tmpfs none /dev; exec \"$@\" <&-");
    output.refused("open /dev/null for a standard stream that is closed");
}

/// The filter of an engine around ours, or of a unit (`SystemCallFilter=~@mount`).
#[test]
fn a_filter_that_denies_mounts_is_named_by_check_before_run_fails() {
    needs!(root);
    let bundle = Bundle::busybox().args(["true"]);
    bundle.invocation("run").on_kernel("mount:EPERM").output().refused("operation not permitted");
    bundle.assert_nothing_left();
    let said = check(&bundle).on_kernel("mount:EPERM").output();
    let named = said
        .stdout
        .contains("linux.namespaces: mount: a seccomp filter is in force around this runtime, and denies it");
    assert!(said.code == 1 && named, "{said:?}");
    check(&bundle).on_kernel("keyctl:EPERM").output().ok();
}
