//! Faults: whoever is killed, starved or refused in the middle of something, `delete --force` leaves nothing of it and the id
//! can be used again. docs/faults.md lists them; `RRUNTIME_TEST_ROUNDS=20` tries twenty times as many points.

mod cgroups;
mod concurrency;
mod hooks;
mod kernel;
mod killed;
mod shortage;
mod streams;

use crate::harness::{Bundle, Invocation};

/// Under strace(1) with these injections, in all processes of the command.
fn with_faults(invocation: Invocation, faults: &[&str]) -> Invocation {
    let mut invocation = invocation;
    for fault in faults {
        invocation = invocation.under(["-e", &format!("inject={fault}")]);
    }
    invocation.under(["strace", "-f", "-qq", "-o", "/dev/null"])
}

/// The rule of all faults: nothing is left after `delete --force`, and the id can be used again.
#[track_caller]
fn recovers(bundle: &Bundle, fault: &str) {
    let container = bundle.handle();
    container.delete_by_force().ok();
    bundle.assert_nothing_left_after(fault);
    assert_eq!(bundle.start().status(), "running", "after {fault}");
}
