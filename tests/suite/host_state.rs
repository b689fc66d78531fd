//! The machine is the same afterwards: mounts, cgroups, sysctls, the binary itself.

use crate::harness::{Bundle, HostState, eventually, host, read};
use crate::needs;

#[test]
fn no_mount_of_the_host_is_added_or_changed() {
    needs!(root);
    // In a mount namespace of our own, so that nobody else's mounts disturb; shared, so that any propagation shows.
    let script = "mount --make-rshared / && cat /proc/self/mountinfo > $DIR/before && \"$@\" && \
                  cat /proc/self/mountinfo > $DIR/after";
    let bundle = Bundle::busybox().args(["true"]);
    for name in ["default", "slave", "rslave", "private", "shared", "rshared", "--no-pivot"] {
        let bundle = bundle.twin(name);
        let bundle = match name {
            "default" => bundle,
            "--no-pivot" => bundle.option(name),
            propagation => bundle.set("/linux/rootfsPropagation", propagation),
        };
        let dir = bundle.host_directory(&format!("tables-{name}"));
        let invocation = bundle.invocation("run").under(["unshare", "-m", "sh", "-c", script, "sh"]);
        invocation.env("DIR", dir.to_str().unwrap()).output().ok();
        assert!(!read(dir.join("before")).is_empty());
        assert_eq!(read(dir.join("before")), read(dir.join("after")), "{name}");
    }
}

#[test]
fn a_whole_life_leaves_the_host_as_it_was() {
    needs!(root);
    let host = HostState::new();
    whole_life();
    host.assert_same();
}

/// Everything a container can do, from create to delete.
fn whole_life() {
    let bundle = Bundle::busybox().namespace("cgroup").deny_syscall("mkdir").unset("/linux/maskedPaths");
    let container = bundle.start();
    let keys = container.exec(["cat", "/proc/keys"]).ok().stdout; // of the host nothing sees it
    let own = keys.lines().find(|line| line.contains(&format!("_ses.{}.", bundle.id()))).expect("a session keyring");
    let keyring = i64::from_str_radix(own.split(' ').next().unwrap(), 16).expect("a serial number");
    assert!(host::has_key(keyring));
    container.exec(["true"]).ok();
    container.does("pause", []).ok();
    container.does("resume", []).ok();
    container.kill("KILL").ok();
    container.reaches("stopped");
    container.delete().ok();
    bundle.assert_nothing_left();
    // The kernel takes its time: too much of it for every test to wait.
    eventually("the end of the session keyring", || !host::has_key(keyring));
}

#[test]
fn an_image_gets_nothing_but_mount_points_and_devices() {
    needs!(root);
    let bundle = Bundle::busybox().args(["true"]);
    let list = || {
        let output = bundle.command(["find", bundle.rootfs().to_str().unwrap()]).output().ok().stdout;
        let mut names: Vec<_> = output.lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    let before = list();
    bundle.run().ok();
    assert_eq!(list(), before, "every mount point was there already");
}
