//! Processes in the container that reach for the terminal of an `exec`.

use super::insider;
use crate::harness::terminal::pair;
use crate::harness::{Bundle, within};
use crate::needs;
use nix::sys::signal::Signal;
use std::time::Duration;

#[test]
fn exec_runs_with_its_terminal_or_not_at_all_while_others_reach_for_it() {
    needs!(root);
    let container = insider::with(Bundle::busybox(), "steal-terminals", "").start();
    container.has_said("stealing");
    // A process that opens the terminal in the moment before it is locked can still make `exec` fail; on a slow machine it does.
    let mut refused = 0;
    let (_outside, slave, _) = pair();
    for _ in 0..10 {
        let exec = container.execution(["-t"], ["sh", "-c", "echo mine > /dev/tty"]);
        let exec = exec.reading_from(slave.try_clone().unwrap()).output();
        match exec.code {
            0 => assert_eq!(exec.stdout, "mine\n"),
            _ => {
                refused += 1;
                assert!(exec.stderr.contains("a process in the container has taken"), "{exec:?}");
            }
        }
    }
    assert!(refused < 10, "all were refused");
}

#[test]
fn exec_ends_with_its_program_however_much_others_write_to_its_terminal() {
    needs!(root);
    let container = insider::with(Bundle::busybox(), "flood-terminals", "").start();
    container.has_said("flooding");
    let (mut outside, slave, _) = pair();
    let mut exec = container.execution(["-t"], ["sleep", "0.3"]).terminal(slave).spawn();
    let ended = within(Duration::from_secs(10), || {
        outside.read_some();
        std::thread::sleep(Duration::from_millis(10));
        exec.is_over()
    });
    assert!(ended, "it goes on");
}

#[test]
fn exec_hears_signals_while_its_caller_does_not_take_the_rest_of_the_output() {
    needs!(root);
    let container = insider::with(Bundle::busybox(), "flood-terminals", "").start();
    container.has_said("flooding");
    let (_outside, slave, _) = pair();
    let mut exec = container.execution(["-t"], ["sleep", "0.3"]).terminal(slave).spawn();
    std::thread::sleep(Duration::from_secs(1));
    let ended = within(Duration::from_secs(10), || {
        exec.is_over() || {
            exec.signal(Signal::SIGTERM);
            false
        }
    });
    assert!(ended, "it hears nothing");
}
