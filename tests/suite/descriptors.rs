//! Open files: none of the host's, except those that were promised.

use crate::harness::{Bundle, Invocation};
use crate::needs;
use std::fs;

const LIST: &str = "ls /proc/$$/fd; true";
/// A directory, files and holes: what a careless caller leaves open.
const LEAK: &str = "exec 3</ 4</etc/passwd 5</etc 7</etc/group 8>/dev/null";

#[test]
fn the_payload_has_exactly_three_descriptors() {
    needs!(root);
    let bundle = Bundle::busybox().sh(LIST);
    assert_eq!(bundle.run().ok().stdout, "0\n1\n2\n");
    assert_eq!(bundle.invocation("run").after_shell(LEAK).output().ok().stdout, "0\n1\n2\n");
}

#[test]
fn a_detached_payload_has_exactly_three_descriptors() {
    needs!(root);
    let container = Bundle::busybox().sh(LIST).create_after(LEAK).start();
    assert_eq!(container.finish(), "0\n1\n2\n");
}

#[test]
fn a_created_container_holds_nothing_of_the_host() {
    needs!(root);
    // Between create and start, a process of the container could reopen what is still open here.
    let container = Bundle::busybox().create_after(LEAK);
    for entry in fs::read_dir(container.proc("fd")).unwrap().flatten() {
        let number: i32 = entry.file_name().to_str().unwrap().parse().unwrap();
        let target = fs::read_link(entry.path()).unwrap_or_default();
        let harmless =
            target.starts_with("/proc") || !target.is_absolute() || target.starts_with(container.home().join("state"));
        assert!(number < 3 || harmless, "descriptor {number} is {}", target.display());
    }
}

#[test]
fn preserved_descriptors_arrive_in_place() {
    needs!(root);
    let bundle = Bundle::busybox().option("--preserve-fds").option("2").sh("cat <&3; cat <&4; ls /proc/$$/fd; true");
    let (one, two) = (bundle.host_file("one", "one\n"), bundle.host_file("two", "two\n"));
    let open = format!("exec 3<{} 4<{} 5</etc/passwd", one.display(), two.display());
    assert_eq!(bundle.invocation("run").after_shell(&open).output().ok().stdout, "one\ntwo\n0\n1\n2\n3\n4\n");
}

#[test]
fn a_preserved_descriptor_that_is_not_there_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox().option("--preserve-fds").option("3").args(["true"]);
    let output = bundle.invocation("run").after_shell("exec 3</etc/passwd 4</etc/passwd 5<&-").output();
    assert!(output.code == 1 && output.stderr.contains("preserved-fd 2 (of 3)"), "{output:?}");
    bundle.assert_nothing_left();
}

/// The shell's own pid becomes the runtime's, since it is replaced by exec.
fn with_sockets(invocation: Invocation, pid: &str) -> Invocation {
    invocation.after_shell(&format!(
        "exec 3</etc/passwd 4</etc/group; export LISTEN_FDS=2 LISTEN_PID={pid} LISTEN_FDNAMES=a:b"
    ))
}

#[test]
fn activated_sockets_are_handed_on() {
    needs!(root);
    let bundle = Bundle::busybox().sh("echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; ls /proc/$$/fd; true");
    let output = with_sockets(bundle.invocation("run"), "$$").output().ok();
    assert_eq!(output.stdout, "2 1 a:b\n0\n1\n2\n3\n4\n");
}

#[test]
fn sockets_meant_for_another_process_are_not() {
    needs!(root);
    let bundle = Bundle::busybox().sh("echo \"[$LISTEN_FDS$LISTEN_PID$LISTEN_FDNAMES]\"; ls /proc/$$/fd; true");
    let output = with_sockets(bundle.invocation("run"), "1").output().ok();
    assert_eq!(output.stdout, "[]\n0\n1\n2\n");
}

#[test]
fn a_runtime_called_with_closed_streams_still_works() {
    needs!(root);
    let bundle = Bundle::busybox();
    let file = bundle.home().join("volume");
    fs::create_dir(&file).unwrap();
    let bundle = bundle.bind(&file, "/tmp", &[]).sh("echo written > /tmp/out");
    bundle.invocation("run").after_shell("exec <&- >&- 2>&-").output();
    assert_eq!(crate::harness::read(file.join("out")), "written\n");
}

/// With fewer the runtime would fail in the middle, and could not open what it has to take back.
#[test]
fn a_limit_of_open_files_that_is_too_low_is_named_and_leaves_nothing() {
    needs!(root);
    let bundle = Bundle::busybox().unset("/process/rlimits").args(["true"]);
    for limit in [5, 7, 8, 12, 24, 47] {
        let run = bundle.invocation("run").after_shell(&format!("ulimit -n {limit}")).output();
        assert!(run.code == 1 && run.stderr.contains("ulimit -n"), "{limit}: {run:?}");
        bundle.assert_nothing_left_after(&limit.to_string());
    }
    bundle.invocation("run").after_shell("ulimit -n 48").output().ok();
}
