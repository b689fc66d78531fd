//! `exec --user`: what is no pair of numbers is refused, and what a user brings along. See also cve/ids.rs.

use crate::harness::Bundle;
use crate::needs;
use serde_json::json;

const IDS: [&str; 4] = ["grep", "-E", "^(Uid|Gid|Groups)", "/proc/self/status"];

#[test]
fn exec_refuses_a_user_that_is_no_pair_of_numbers() {
    needs!(root);
    let container = Bundle::busybox().start();
    for user in [
        "x",
        "1:x",
        "5:",
        ":5",
        "-1",
        " 1",
        "0x1",
        "1:2:3",
        "4294967295",
        "4294967296",
        "123456789012345678901234567890",
        "1 ",
    ] {
        let output = container.exec_with(["--user", user], IDS);
        assert!(output.code != 0 && !output.stdout.contains("Uid:"), "--user {user:?}: {output:?}");
    }
}

#[test]
fn exec_runs_as_the_containers_user_unless_told() {
    needs!(root);
    let bundle = Bundle::busybox().set("/process/user", json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 6]}));
    let output = bundle.start().exec(IDS).ok().stdout;
    let tabs = |id: &str| [id; 4].join("\t");
    assert!(output.starts_with(&format!("Uid:\t{}\nGid:\t{}\n", tabs("1000"), tabs("1001"))), "{output}");
    assert!(output.contains("Groups:\t5 6"), "{output}");
}

#[test]
fn exec_can_add_groups() {
    needs!(root);
    let container = Bundle::busybox().start();
    let output = container.exec_with(["--user", "1000:1000", "-g", "30", "-g", "40"], ["id", "-G"]);
    assert_eq!(output.ok().stdout, "1000 30 40\n");
}

#[test]
fn exec_as_a_user_drops_the_capabilities() {
    needs!(root);
    let container = Bundle::busybox().unset("/process/capabilities/ambient").start();
    let output = container.exec_with(["--user", "1000"], ["grep", "-E", "Cap(Eff|Prm|Amb|Inh)", "/proc/self/status"]);
    for line in output.ok().stdout.lines() {
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
}

#[test]
fn exec_finds_the_home_of_its_user() {
    needs!(root);
    let container = Bundle::busybox().start();
    for (user, home) in [("0", "/root\n"), ("1000", "/home/user\n"), ("4321", "/\n")] {
        assert_eq!(container.exec_with(["--user", user], ["sh", "-c", "echo $HOME"]).ok().stdout, home, "{user}");
    }
}
