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

/// (uid_t)-1 means "leave it" to setresuid(2): it succeeds, and the process that asked for it would be root.
#[test]
fn the_highest_number_is_no_id_anywhere_in_the_configuration() {
    needs!(root);
    const NONE: u32 = u32::MAX;
    let device = |field: &str| json!([{"path": "/dev/x", "type": "p", field: NONE}]);
    let tmpfs = |option: &str| json!([{"destination": "/t", "type": "tmpfs", "options": ["ro", option]}]);
    let bind = |host: u32, size: u32| {
        let map = json!([{"containerID": 0, "hostID": host, "size": size}]);
        json!([{"destination": "/t", "type": "bind", "source": "/proc", "uidMappings": map, "gidMappings": map}])
    };
    for (pointer, value, place) in [
        ("/process/user/uid", json!(NONE), "process.user.uid: 4294967295 is no id"),
        ("/process/user/gid", json!(NONE), "process.user.gid: 4294967295 is no id"),
        ("/process/user/additionalGids", json!([1, NONE]), "process.user.additionalGids[1]: 4294967295 is no id"),
        ("/linux/devices", device("uid"), "linux.devices[0].uid: 4294967295 is no id"),
        ("/linux/devices", device("gid"), "linux.devices[0].gid: 4294967295 is no id"),
        ("/mounts", tmpfs("uid=4294967295"), "mounts[0].options[1].uid: 4294967295 is no id"),
        ("/mounts", tmpfs("gid=4294967295"), "mounts[0].options[1].gid: 4294967295 is no id"),
        ("/mounts", bind(NONE, 1), "mounts[0].uidMappings[0]: goes beyond the highest id"),
        ("/mounts", bind(5, NONE), "mounts[0].uidMappings[0]: goes beyond the highest id"),
    ] {
        let bundle = Bundle::busybox().set(pointer, value).args(["id"]);
        bundle.run().refused(place);
        bundle.assert_nothing_left();
    }
}

#[test]
fn the_highest_number_is_no_id_for_exec() {
    needs!(root);
    let bundle = Bundle::busybox();
    let container = bundle.start();
    for (user, place) in [
        (json!({"uid": u32::MAX, "gid": 0}), "process: user.uid: 4294967295 is no id"),
        (json!({"uid": 0, "gid": u32::MAX}), "process: user.gid: 4294967295 is no id"),
        (json!({"uid": 5, "gid": 5, "additionalGids": [u32::MAX]}), "process: user.additionalGids[0]: 4294967295"),
    ] {
        let process = json!({"cwd": "/", "args": ["id"], "env": ["PATH=/bin"], "user": user});
        let file = bundle.host_file("process.json", &process.to_string());
        container.exec_with(["--process", file.to_str().unwrap()], []).failed(255, place);
    }
    for options in [["--user", "4294967295"], ["--user", "0:4294967295"], ["--additional-gids", "4294967295"]] {
        container.exec_with(options, ["id"]).failed(255, "4294967295 is no id");
    }
}
