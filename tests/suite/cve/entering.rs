//! Processes on their way into a container: nobody in there gets hold of them before they are at home.

use super::{base, probe, rounds};
use crate::harness::{Bundle, Container, Invocation, binary, within};
use crate::needs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Slow from the first step into the container to the last.
const SLOWLY: [&str; 7] = [
    "strace",
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    "inject=setns,clone3,chdir,fchdir,setresuid,capset,execve,prctl:delay_enter=1000",
];

/// The program as a package installs it: by another path, and by the name of the runtime it stands in for.
pub fn installed(bundle: &Bundle) -> PathBuf {
    let dir = bundle.host_directory("usr").join("bin");
    std::fs::create_dir(&dir).unwrap();
    std::fs::copy(binary(), dir.join("rruntime")).unwrap();
    symlink("rruntime", dir.join("runc")).unwrap();
    dir.join("runc")
}

/// A container that spies on everybody who comes in.
fn spying(kind: &str, capabilities: &[&str]) -> (Container, String) {
    let bundle = base();
    let secret = bundle.host_file("secret", "of the host");
    let container = probe::with(bundle.grant(capabilities), kind, &secret).start();
    container.has_said("looking");
    (container, secret.display().to_string())
}

/// What the container must not see: a process of the host's root that only has the container's pids.
#[track_caller]
fn the_spy_sees(container: &Container, drop: &[&str]) {
    let pid = container.pid().to_string();
    let weak = ["nsenter", "-t", &pid, "--pid"].iter().chain(drop).chain(&["sleep", "1"]).copied().collect::<Vec<_>>();
    container.command(weak).output().ok();
    let seen = within(Duration::from_secs(5), || container.output().contains("REACHED root"));
    assert!(seen, "the attack does not bite: {}", container.output());
}

/// `exec` by this program, again and again.
#[track_caller]
fn nobody_is_caught(kind: &str, capabilities: &[&str], drop: &[&str], program: Option<&Path>) {
    let (weak, _) = spying(kind, capabilities);
    the_spy_sees(&weak, drop);
    std::mem::drop(weak);
    let (container, _) = spying(kind, capabilities);
    let root = container.home().join("state");
    let log = container.home().join("log").display().to_string();
    let mut count = 0;
    for round in rounds(500) {
        let exec: Invocation = match program {
            Some(program) => container.command([
                program.to_str().unwrap(),
                "--root",
                root.to_str().unwrap(),
                "--log",
                &log,
                "exec",
                container.id(),
                "true",
            ]),
            None => container.runtime(["--log", &log, "exec", container.id(), "true"]),
        };
        let exec = if round % 32 == 31 { exec.under(SLOWLY) } else { exec };
        exec.output().ok();
        count += 1;
    }
    eprintln!("{count} times exec");
    assert!(!container.output().contains("REACHED"), "{}", container.output());
}

/// Nothing that could keep the spy out but the process's own care: it runs as the same user, without any capability.
const WITHOUT_ANY: [&str; 3] = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];

#[test]
fn cve_2016_9962_nobody_who_comes_in_by_exec_can_be_looked_into_or_traced() {
    needs!(root);
    needs!(program "strace");
    needs!(program "nsenter");
    needs!(program "setpriv");
    nobody_is_caught("spy-and-trace", &["CAP_KILL", "CAP_NET_BIND_SERVICE"], &WITHOUT_ANY, None);
}

#[test]
fn cve_2016_9962_nobody_who_comes_in_by_exec_brings_the_hosts_root_along_for_those_who_may_trace() {
    needs!(root);
    needs!(program "strace");
    needs!(program "nsenter");
    nobody_is_caught("spy", &["CAP_SYS_PTRACE", "CAP_KILL"], &[], None);
}

/// What a payload with CAP_SYS_PTRACE traces is in its hands. So nobody may be seen with a right that the payload has not.
#[test]
fn cve_2016_9962_nobody_is_seen_coming_in_with_a_capability_that_the_payload_has_not() {
    needs!(root);
    needs!(program "strace");
    needs!(program "nsenter");
    let spying = |bundle: Bundle| {
        let bundle = bundle.grant(&["CAP_SYS_PTRACE"]);
        let secret = bundle.host_file("secret", "of the host");
        let container = probe::with(bundle, "weigh", &secret).start();
        container.has_said("looking");
        container
    };
    let weak = spying(base());
    let pid = weak.pid().to_string();
    weak.command(["nsenter", "-t", &pid, "--pid", "sleep", "1"]).output().ok();
    weak.has_said("REACHED capabilities");
    drop(weak);
    // The filter goes in by the right of CAP_SYS_ADMIN, or by no_new_privs; or there is none.
    let bundles = [
        base().set("/process/noNewPrivileges", false),
        base().set("/process/noNewPrivileges", false).deny_syscall("mkdir"),
        base().set("/process/noNewPrivileges", true).deny_syscall("mkdir"),
    ];
    for bundle in bundles {
        let container = spying(bundle);
        for round in rounds(60) {
            let exec = container.execution(["--user", if round % 2 == 0 { "0" } else { "1000" }], ["true"]);
            let exec = if round % 4 == 3 { exec.under(SLOWLY) } else { exec };
            exec.output().ok();
        }
        assert!(!container.output().contains("REACHED"), "{}", container.output());
    }
}

#[test]
fn cve_2020_14300_the_program_as_installed_lets_nobody_look_into_who_comes_in() {
    needs!(root);
    needs!(program "strace");
    needs!(program "nsenter");
    let bundle = Bundle::busybox();
    let program = installed(&bundle);
    nobody_is_caught("spy", &["CAP_SYS_PTRACE", "CAP_KILL"], &[], Some(&program));
}

#[test]
fn cve_2016_9962_a_created_container_cannot_be_looked_into() {
    needs!(root);
    // Until execve the process is the runtime, with its memory, environment and descriptors.
    let container = base().args(["sleep", "600"]).create();
    let script = "readlink /proc/1/exe; readlink /proc/1/cwd; cat /proc/1/environ; readlink /proc/1/fd/*; echo end";
    assert_eq!(container.exec(["sh", "-c", script]).ok().stdout, "end\n");
    // The same once it is the payload: the detector sees it.
    let container = container.start();
    let seen = container.exec(["sh", "-c", script]).ok().stdout;
    assert!(seen.contains("/bin/busybox") && seen.contains("PATH="), "the attack does not bite: {seen}");
}
