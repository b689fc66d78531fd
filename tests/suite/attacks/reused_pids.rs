//! A process that has been listed may end before it is signalled, and its number go to a process of the host.

use crate::harness::{Bundle, read};
use crate::needs;

#[test]
fn a_signal_to_all_processes_goes_to_the_processes_that_were_opened_and_found_in_the_cgroup() {
    needs!(root);
    needs!(program "strace");
    let container = Bundle::busybox().sh("trap 'echo heard' USR1; echo ready; while :; do sleep 0.02; done").start();
    container.has_said("ready");
    let log = container.home().join("trace");
    let calls = "trace=kill,tkill,tgkill,openat,pidfd_open,pidfd_send_signal";
    let strace = ["strace", "-f", "-qq", "-o", &log.to_string_lossy(), "-e", calls];
    let strace: [&str; 7] = strace;
    container.runtime(["kill", "--all", container.id(), "USR1"]).under(strace).output().ok();
    container.has_said("heard");
    let trace = read(&log);
    let by_number = trace.lines().filter(|line| [" kill(", " tkill(", " tgkill("].iter().any(|it| line.contains(it)));
    assert_eq!(by_number.collect::<Vec<_>>(), Vec::<&str>::new(), "signalled by number: {trace}");
    // Of every signal the last look at the list comes after the process was opened.
    let at = |what: &str| trace.lines().enumerate().filter(|(_, it)| it.contains(what)).map(|(n, _)| n).last();
    let (opened, looked) = (at(" pidfd_open("), at("\"cgroup.procs\""));
    assert!(opened.is_some() && looked > opened, "signalled without a second look: {trace}");
}
