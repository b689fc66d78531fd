//! init moves to where an `exec` must not follow it.

use crate::harness::{Bundle, Container, Output};
use crate::needs;
use crate::rootless;

/// init leaves by `unshare` with these options, and lays a program of its own over /bin/cat where it is then.
fn leaving(bundle: Bundle, options: &str) -> Bundle {
    let cover = "mount -t tmpfs cover /bin && /work/busybox cp /work/busybox /bin/cat && echo left && exec /work/busybox sleep 600";
    let bundle = bundle.mount("/work", "tmpfs", "tmpfs", &["mode=1777"]);
    bundle.sh(&format!("cp /bin/busybox /work/busybox && exec unshare {options} sh -c '{cover}'"))
}

/// `exec` as root of the program that lies on /bin/cat where init is now.
fn exec(container: &Container) -> Output {
    container.exec_with(["--user", "0"], ["/bin/cat", "/proc/self/status"])
}

#[test]
fn exec_does_not_follow_init_into_a_mount_namespace_of_a_user_namespace_that_init_made() {
    needs!(root);
    let container = leaving(Bundle::busybox().user(1000, 1000), "-Urm").start();
    container.has_said("left");
    exec(&container).failed(255, "init has left the container's mount namespace");
}

#[test]
fn exec_does_not_follow_init_into_a_user_namespace_below_the_containers() {
    needs!(root);
    let container = leaving(Bundle::busybox().user_namespace().user(1000, 1000), "-Urm").start();
    container.has_said("left");
    exec(&container).failed(255, "init has left the container's user namespace");
}

#[test]
fn exec_of_a_user_does_not_follow_init_into_a_user_namespace_that_init_made() {
    needs!(root);
    let bundle = leaving(rootless::bundle(), "-Urm").grant(&["CAP_SETFCAP"]); // to map its own root again
    let run = rootless::by_user(&bundle, "run").spawn();
    run.has_said("left");
    let container = bundle.handle();
    let exec =
        || container.runtime(["exec", container.id(), "/bin/cat", "/dev/null"]).under(rootless::AS_USER).output();
    exec().failed(255, "the user namespace of init was not made in ours");
    rootless::does(&container, "delete", &["--force"]);
}

#[test]
fn exec_follows_init_into_a_mount_namespace_that_a_privileged_init_made() {
    needs!(root);
    let container = leaving(Bundle::busybox().grant(&["CAP_SYS_ADMIN"]), "-m").start();
    container.has_said("left");
    exec(&container).ok();
}

#[test]
fn exec_enters_joined_namespaces_of_another_owner() {
    needs!(root);
    let other = Bundle::busybox().start();
    let bundle = Bundle::busybox().user_namespace().join_namespace("network", other.proc("ns/net"));
    let container = bundle.start();
    container.exec(["true"]).ok();
    let joined = Bundle::busybox().join_namespace("user", container.proc("ns/user")).owned_by(crate::harness::MAPPED);
    joined.start().exec(["true"]).ok();
}

#[test]
fn exec_does_not_follow_init_out_of_the_containers_root() {
    needs!(root);
    let bundle = Bundle::busybox()
        .grant(&["CAP_SYS_CHROOT"])
        .without_namespace("mount")
        .sh("mkdir -p /sub/bin; cp /bin/busybox /sub/bin/busybox; \
         echo up; read word; exec chroot /sub /bin/busybox sleep 600");
    let bundle = ["maskedPaths", "readonlyPaths"].iter().fold(bundle, |it, key| it.unset(&format!("/linux/{key}")));
    let bundle = bundle.set("/root/readonly", false);
    let pipe = bundle.home().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("exec 0<>{}", pipe.display());
    let container = bundle.create_after(&script).start();
    container.has_said("up");
    container.exec(["true"]).ok();
    std::fs::write(&pipe, "go\n").unwrap();
    crate::harness::eventually("init leaves", || crate::harness::read(container.proc("cmdline")).contains("sleep\0"));
    container.exec(["/bin/busybox", "true"]).failed(255, "init has left the container's root");
}
