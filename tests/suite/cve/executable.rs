//! The runtime's own file, which a container would like to write; and programs of the image, which the host would run.

use super::entering::installed;
use super::{base, probe, rounds, weakly};
use crate::harness::{Bundle, Container, Invocation, Output, binary, eventually, identity, within};
use crate::needs;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where neither a copy of the mount nor one in memory can be had.
const UNSEALED: &str = "inject=open_tree,memfd_create:error=EPERM";
const ONLY_MEMORY: &str = "inject=open_tree:error=EPERM";

fn under_strace(invocation: Invocation, inject: &str) -> Invocation {
    invocation.under(["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject])
}

/// A container that tries to get hold of every executable that is not its own. `/again` is whatever executes it.
fn holding() -> (Bundle, Container) {
    let bundle = base().symlink("/again", "/proc/self/exe").symlink("/sleep", "/proc/self/exe");
    let bundle = bundle.script("/script", "#!/proc/self/exe\n", 0o755);
    let bundle = bundle.grant(&["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]);
    let secret = bundle.home().to_owned();
    let bundle = probe::with(bundle, "hold", &secret);
    let container = bundle.start();
    container.has_said("looking");
    (bundle, container)
}

/// A runtime that is not sealed: busybox, which enters the namespaces and executes what the image says.
fn the_attack_bites() {
    let (bundle, container) = holding();
    let weak = bundle.home().join("busybox.weak");
    fs::copy("/bin/busybox", &weak).unwrap();
    let (before, pid) = (identity(&weak), container.pid().to_string());
    let enter = || bundle.command([weak.to_str().unwrap(), "nsenter", "-t", &pid, "-m", "-p", "/sleep", "1"]).output();
    enter().ok();
    assert!(within(Duration::from_secs(10), || container.output().contains("OVERWRITTEN")), "{}", container.output());
    assert_ne!(identity(&weak), before, "the attack does not bite");
}

/// Has `program` enter the container by way of what it has in place of programs, over and over.
#[track_caller]
fn the_program_stays_as_it_is(program: &Path, change: impl Fn(Invocation) -> Invocation) {
    let (bundle, container) = holding();
    let (before, text) = (identity(&binary()), fs::read(program).unwrap());
    let root = bundle.state_root();
    let by = |words: &[&str]| -> Output {
        let argv = [&[program.to_str().unwrap(), "--root", root.to_str().unwrap()], words].concat();
        change(bundle.command(argv)).output()
    };
    let twin = bundle.twin("run").join_namespace("pid", container.proc("ns/pid")).args(["/again", "600"]);
    let directory = twin.write().dir().to_owned();
    let before_program = identity(program);
    let mut count = 0;
    for round in rounds(200) {
        for target in ["/again", "/script", "/proc/self/exe"] {
            by(&["exec", container.id(), target, "600"]);
        }
        if round % 4 == 0 {
            by(&["run", "--bundle", directory.to_str().unwrap(), twin.id()]);
        }
        count += 1;
    }
    eprintln!("{count} times");
    // It had its chance: it got hold of the program, and could not write it, not even when nobody executes it any more.
    eventually("the container to get hold of the program", || container.output().contains("held"));
    std::thread::sleep(Duration::from_millis(500));
    let output = container.output();
    assert!(!output.contains("OVERWRITTEN"), "{output}");
    assert_eq!((identity(&binary()), identity(program)), (before, before_program));
    assert!(fs::read(program).unwrap() == text, "the program was overwritten");
}

/// A copy that no other test runs: while anybody executes a file, the kernel lets nobody write it anyway.
fn copy(bundle: &Bundle) -> PathBuf {
    let copy = bundle.home().join("rruntime");
    fs::copy(binary(), &copy).unwrap();
    copy
}

#[test]
fn cve_2019_5736_a_container_that_executes_the_runtime_cannot_write_it() {
    needs!(root);
    the_attack_bites();
    the_program_stays_as_it_is(&copy(&Bundle::busybox()), |it| it);
}

#[test]
fn cve_2019_5736_a_copy_in_memory_cannot_be_written_either() {
    needs!(root);
    needs!(program "strace");
    the_program_stays_as_it_is(&copy(&Bundle::busybox()), |it| under_strace(it, ONLY_MEMORY));
}

#[test]
fn cve_2019_5736_nor_can_a_program_on_a_file_system_in_memory_or_behind_a_read_only_mount() {
    needs!(root);
    for mount in ["mount -t tmpfs none", "mount --bind . "] {
        let place = Bundle::busybox();
        let copy = copy(&place);
        let (file, dir) = (copy.display(), place.host_directory("place").display().to_string());
        let then =
            if mount.contains("bind") { format!("mount -o remount,bind,ro {dir}/rruntime") } else { "true".into() };
        let script = format!(
            "{mount} {dir} && cp {file} {dir}/rruntime && mount --bind {dir}/rruntime {dir}/rruntime && {then} && shift && \
             {dir}/rruntime \"$@\""
        );
        let script = if mount.contains("bind") { script.replace("mount --bind .  ", "true ") } else { script };
        the_program_stays_as_it_is(&copy, |it| it.under(["unshare", "-m", "sh", "-c", &script, "sh"]));
    }
}

#[test]
fn cve_2019_5736_what_cannot_be_sealed_enters_no_container() {
    needs!(root);
    needs!(program "strace");
    let bundle = base();
    let container = bundle.twin("there").args(["sleep", "600"]).start();
    let run = under_strace(bundle.invocation("run"), UNSEALED).output();
    assert!(run.code != 0 && run.stdout.is_empty() && !run.stderr.is_empty(), "{run:?}");
    let exec = under_strace(container.execution([], ["echo", "fine"]), UNSEALED).output();
    assert!(exec.code != 0 && exec.stdout.is_empty() && !exec.stderr.is_empty(), "{exec:?}");
}

#[test]
fn cve_2019_5736_a_handle_taken_before_the_start_writes_nothing_after_the_end() {
    needs!(root);
    use std::os::unix::fs::OpenOptionsExt;
    let bundle = Bundle::busybox();
    let copy = copy(&bundle).display().to_string();
    let root = bundle.state_root().display().to_string();
    let dir = bundle.write().dir().to_str().unwrap();
    bundle.command([&copy, "--root", &root, "create", "-b", dir, bundle.id()]).output().ok();
    let container = bundle.handle();
    let handle = fs::File::options().read(true).custom_flags(libc::O_PATH).open(container.proc("exe")).unwrap();
    container.kill("KILL");
    drop(container);
    let again = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&handle));
    let opened = fs::File::options().write(true).open(again);
    let error = opened.expect_err("the runtime's program can be written through a container").raw_os_error();
    assert!([libc::EROFS, libc::EPERM, libc::EACCES].map(Some).contains(&error), "{error:?}");
}

#[test]
fn cve_2020_14298_the_program_as_installed_cannot_be_written_by_a_container() {
    needs!(root);
    the_attack_bites();
    let bundle = Bundle::busybox();
    the_program_stays_as_it_is(&installed(&bundle), |it| it);
}

const HELPERS: [&str; 9] =
    ["newuidmap", "newgidmap", "criu", "passt", "iptables", "modprobe", "ip", "systemctl", "systemd-run"];

#[test]
fn cve_2026_84042_no_program_of_the_image_runs_before_the_payload_or_beside_it() {
    needs!(root);
    let image = |bundle: Bundle| {
        let places = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"];
        places.iter().flat_map(|dir| HELPERS.map(|name| format!("{dir}/{name}"))).fold(bundle, |bundle, path| {
            let _ = fs::remove_file(bundle.rootfs().join(path.trim_start_matches('/')));
            bundle.script(&path, "#!/bin/sh\necho $0 >> /tmp/run\n", 0o755)
        })
    };
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let ran = |bundle: &Bundle| crate::harness::read(bundle.rootfs().join("tmp/run"));
    let bundle = image(base());
    weakly(&bundle, &format!("{path} chroot $ROOT /bin/sh -c 'newuidmap 1 0 1 1; systemctl status; criu check'"));
    assert_eq!(ran(&bundle).lines().count(), 3, "the attack does not bite");

    for user in [false, true] {
        let bundle = if user { base().user_namespace() } else { base() };
        let bundle = image(bundle).env(path).args(["sleep", "600"]).hook("createContainer", "true");
        let bundle = bundle.hook("createRuntime", "true").hook("startContainer", "true").hook("poststart", "true");
        let bundle = bundle.set("/linux/sysctl", serde_json::json!({"net.ipv4.ip_forward": "1"}));
        // The caller's own PATH leads into the image, too.
        let caller = format!("{0}/usr/sbin:{0}/sbin:/usr/sbin:/usr/bin:/sbin:/bin", bundle.rootfs().display());
        let (container, created) = bundle.create_by(|it| it.env("PATH", &caller));
        created.ok();
        let container = container.start();
        for words in
            [&["exec", container.id(), "true"][..], &["ps", container.id()], &["events", "--stats", container.id()]]
        {
            container.runtime(words.iter().copied()).env("PATH", &caller).output();
        }
        for verb in ["checkpoint", "restore", "pause", "resume"] {
            container.runtime([verb, container.id()]).env("PATH", &caller).output();
        }
        container.runtime(["update", "--pids-limit", "100", container.id()]).env("PATH", &caller).output();
        container.delete_by_force().ok();
        assert_eq!(ran(&bundle), "", "a program of the image was run");
        bundle.assert_nothing_left();
    }
}
