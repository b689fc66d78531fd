//! A kernel that refuses, or that is older than the calls we make: the same meaning, or a clear refusal.

use super::with_faults;
use crate::harness::Bundle;
use crate::harness::trace::to_the_end;
use crate::needs;

#[test]
fn a_create_that_the_kernel_refuses_leaves_nothing() {
    needs!(root);
    needs!(program "strace");
    // Runtime and child alike; each either falls back or gives up cleanly.
    let refusals = [
        "clone3:error=EAGAIN",
        "mount,move_mount:error=EPERM",
        "pivot_root:error=EINVAL",
        "mkdir,mkdirat:error=ENOSPC",
        "capset:error=EPERM",
        "sethostname:error=EPERM",
        "rename,renameat,renameat2:error=ENOSPC:when=1",
        "sendmsg,sendto:error=ENOMEM",
    ];
    for refusal in refusals {
        let bundle = Bundle::busybox();
        let container = bundle.handle();
        let output = to_the_end(&container, with_faults(bundle.invocation("create"), &[refusal]).spawn());
        if output.code != 0 {
            assert!(output.code == 1 && !output.stderr.trim().is_empty(), "{refusal}: {output:?}");
            bundle.assert_nothing_left_after(refusal);
        }
        drop(container);
    }
}

/// Whoever renames in a volume without end makes the kernel answer EAGAIN to a lookup with `..`.
#[test]
fn a_lookup_that_never_settles_is_given_up() {
    needs!(root);
    needs!(program "strace");
    let bundle = Bundle::busybox();
    let output = with_faults(bundle.invocation("run"), &["openat2:error=EAGAIN"]).output();
    output.refused("(EAGAIN)");
    bundle.assert_nothing_left();
}

/// An older kernel, or a runtime inside a container whose seccomp profile knows no newer calls.
#[test]
fn kernel_calls_that_are_missing_are_done_without_or_named() {
    needs!(root);
    needs!(program "strace");
    let mut without = Vec::new();
    for call in [
        "openat2",
        "clone3",
        "close_range",
        "pidfd_open",
        "pidfd_send_signal",
        "fsopen",
        "fsmount",
        "open_tree",
        "move_mount",
        "mount_setattr",
        "statx",
        "memfd_create",
        "keyctl",
        "set_mempolicy",
    ] {
        for error in ["ENOSYS", "EPERM"] {
            let bundle = Bundle::busybox().args(["echo", "fine"]);
            let fault = format!("{call}:error={error}");
            let output = with_faults(bundle.invocation("run"), &[&fault]).output();
            let clear = output.code == 1 && output.stderr.contains(&format!("({error})"));
            assert!(output.stdout == "fine\n" && output.code == 0 || clear, "{fault}: {output:?}");
            if output.code == 0 {
                without.push(fault.clone());
            }
            let container = bundle.handle();
            container.delete_by_force().ok();
            bundle.assert_nothing_left_after(&fault);
        }
    }
    let calls =
        ["openat2", "clone3", "close_range", "mount_setattr", "statx", "memfd_create", "keyctl", "set_mempolicy"];
    for fault in calls.iter().flat_map(|call| [format!("{call}:error=ENOSYS"), format!("{call}:error=EPERM")]) {
        assert!(without.contains(&fault), "{fault} is not done without: {without:?}");
    }
}
