//! /dev as the image has it: links where devices, links and streams are set up.

use super::{base, base_without_dev, never_leads_out, weakly};
use crate::harness::HostState;
use crate::needs;
use std::fs;
use std::os::unix::fs::symlink;

/// What runtimes did by string: the link to the multiplexer is made anew, devices and links are made.
const CARELESS: &str =
    "rm -f $ROOT/dev/ptmx; ln -s pts/ptmx $ROOT/dev/ptmx; mknod $ROOT/dev/zero c 1 5; ln -s /proc/self/fd $ROOT/dev/fd";

#[test]
fn cve_2026_41579_a_dev_that_is_a_link_has_nothing_removed_or_linked_behind_it() {
    needs!(root);
    let bundle = base_without_dev();
    let mut canary = bundle.canary();
    let bundle = bundle.symlink("/dev", canary.dir());
    weakly(&bundle, CARELESS);
    assert!(canary.changes().iter().any(|it| it.contains("ptmx")), "the attack does not bite");
    never_leads_out(|bundle, canary| bundle.without_dev().symlink("/dev", canary));
    never_leads_out(|bundle, canary| bundle.symlink("/dev", canary));
    never_leads_out(|bundle, canary| bundle.without_dev().symlink("/dev/pts", canary));
    never_leads_out(|bundle, canary| bundle.without_dev().symlink("/dev/ptmx", canary.join("ptmx")));
}

#[test]
fn cve_2026_47766_a_dev_that_is_a_link_has_no_device_made_behind_it() {
    needs!(root);
    let bundle = base_without_dev();
    let mut canary = bundle.canary();
    let bundle = bundle.symlink("/dev", canary.dir());
    weakly(&bundle, CARELESS);
    assert!(canary.changes().iter().any(|it| it.contains("/zero ")), "the attack does not bite");
    let device = serde_json::json!({"path": "/dev/deep/own", "type": "c", "major": 1, "minor": 3});
    never_leads_out(|bundle, canary| {
        bundle.without_dev().symlink("/dev", canary).push("/linux/devices", device.clone())
    });
    never_leads_out(|bundle, canary| {
        bundle.without_dev().symlink("/dev/deep", canary).push("/linux/devices", device.clone())
    });
    never_leads_out(|bundle, canary| bundle.without_dev().symlink("/dev/null", canary.join("null")));
    never_leads_out(|bundle, canary| bundle.without_dev().symlink("/dev/shm", canary.join("d")));
    // create and start in two steps.
    let bundle = base_without_dev();
    let (canary, host) = (bundle.canary(), HostState::new());
    let bundle = bundle.symlink("/dev", canary.dir()).args(["sleep", "600"]);
    let (container, created) = bundle.create_by(|it| it);
    if created.code == 0 {
        container.does("start", []);
    }
    drop(container);
    canary.assert_unchanged();
    host.assert_same();
    bundle.assert_nothing_left();
}

#[test]
fn cve_2026_88265_streams_are_never_swapped_for_what_lies_on_dev_null() {
    needs!(root);
    let bundle = base_without_dev();
    let mut canary = bundle.canary();
    let careless = "exec 7<>$ROOT/dev/null; chown 1000 /proc/self/fd/7";
    let bundle = bundle.symlink("/dev/null", "../hf");
    symlink(canary.dir().join("hostfile"), bundle.rootfs().join("hf")).unwrap();
    weakly(&bundle, careless);
    assert!(canary.changes().iter().any(|it| it.contains("1000:")), "the attack does not bite");

    for target in ["/hf", "../hf"] {
        for streams in [
            "exec </dev/null >/dev/null 2>/dev/null",
            "exec <&- >&- 2>&-",
            "exec 0</etc/passwd",
            "mkfifo $IO/pipe; exec 0<>$IO/pipe 1>&0",
            "",
        ] {
            let bundle = base_without_dev();
            let canary = bundle.canary();
            let bundle = bundle.bind(canary.dir().join("hostfile"), "/hf", &[]).symlink("/dev/null", target);
            let bundle = bundle.user(1000, 1000).sh("echo attack; echo attack >&0; cat <&1; true");
            let io = bundle.host_directory("streams");
            bundle.invocation("run").env("IO", io.to_str().unwrap()).after_shell(streams).output();
            canary.assert_unchanged();
            assert_eq!(fs::read_to_string(canary.dir().join("hostfile")).unwrap(), "hostfile", "{streams}");
            bundle.assert_nothing_left();
        }
    }
    // The socket of a service manager or of an agent, which is neither file nor device.
    let bundle = base_without_dev();
    let canary = bundle.canary();
    let bundle = bundle.bind(canary.dir().join("hostfile"), "/hf", &[]).symlink("/dev/null", "/hf").user(1000, 1000);
    bundle.invocation("run").stdin("text").output();
    canary.assert_unchanged();
    let _ = base();
}
