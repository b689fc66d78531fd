//! Users and groups: a number is that number.

use super::weakly;
use crate::harness::{Bundle, Container, Output};
use crate::needs;
use serde_json::json;

const IDS: [&str; 4] = ["grep", "-E", "^(Uid|Gid|Groups)", "/proc/self/status"];

fn four(id: u64) -> String {
    [id.to_string().as_str(); 4].join("\t")
}

fn is(output: &Output, uid: u64, gid: u64) -> bool {
    output.code == 0 && output.stdout.starts_with(&format!("Uid:\t{}\nGid:\t{}\n", four(uid), four(gid)))
}

/// Runs with `--user` and fails unless all four uids and all four gids are these.
#[track_caller]
fn runs_as(container: &Container, user: &str, uid: u64, gid: u64) {
    let output = container.exec_with(["--user", user], IDS);
    assert!(is(&output, uid, gid), "--user {user:?}: {output:?}");
}

#[test]
fn cve_2016_3697_a_number_is_a_number_even_when_the_image_has_a_user_of_that_name() {
    needs!(root);
    let bundle = Bundle::busybox().file("/etc/passwd", "1000:x:0:0::/:/bin/sh\n").file("/etc/group", "1000:x:0:\n");
    let container = bundle.start();
    // POSIX has chown look for a user of that name first: whoever does so finds root.
    let careless = container.exec(["sh", "-c", "touch /tmp/f; chown 1000:1000 /tmp/f; stat -c %u:%g /tmp/f"]);
    assert_eq!(careless.ok().stdout, "0:0\n", "the attack does not bite");
    runs_as(&container, "1000", 1000, 0);
    runs_as(&container, "1000:1000", 1000, 1000);
    let user = json!({"uid": 1000, "gid": 1000});
    let process = json!({"args": IDS, "cwd": "/", "env": ["PATH=/bin"], "user": user});
    let file = container.home().join("process.json");
    std::fs::write(&file, process.to_string()).unwrap();
    let output = container.exec_with(["-p", file.to_str().unwrap()], []);
    assert!(is(&output, 1000, 1000), "{output:?}");
    let output = bundle.twin("run").user(1000, 1000).args(IDS).run();
    assert!(is(&output, 1000, 1000), "{output:?}");
}

#[test]
fn cve_2026_30892_exec_runs_as_exactly_the_ids_it_was_given_or_not_at_all() {
    needs!(root);
    let container = Bundle::busybox().start();
    // The detector sees root where root was asked for.
    assert!(is(&container.exec_with(["--user", "0"], IDS), 0, 0));
    let pairs =
        [("1", 1, 0), ("1:2", 1, 2), ("0:5", 0, 5), ("65534", 65534, 0), ("65534:65534", 65534, 65534), ("7:0", 7, 0)];
    for (user, uid, gid) in pairs {
        runs_as(&container, user, uid, gid);
    }
    let thirty = "123456789012345678901234567890";
    let others = ["5:x", "5:", "x", "-1", "+1", " 1", "1 ", "01", "0x1", "4294967295", "4294967296", thirty, "1:2:3"];
    for user in others.into_iter().chain(["1:4294967295", "1:-1", "1: 2", ":5", "", ":", "1:", "00001:1", "1,2", "1.5"])
    {
        let output = container.exec_with(["--user", user], IDS);
        assert!(output.code != 0 || !output.stdout.contains("Uid:\t0"), "--user {user:?}: {output:?}");
        let first = user.split(':').next().unwrap_or_default().trim_start_matches(['0', '+']);
        let exactly = output.stdout.starts_with(&format!("Uid:\t{first}\t"));
        assert!(output.code != 0 && !output.stdout.contains("Uid:") || exactly, "--user {user:?}: {output:?}");
    }
}

#[test]
fn exec_never_becomes_root_unasked_in_a_container_of_a_user() {
    needs!(root);
    let container = Bundle::busybox().user(1000, 1000).start();
    for user in ["+1", "01", "1:", "00001:1", "", ":", ":5"] {
        let output = container.exec_with(["--user", user], IDS);
        assert!(output.code != 0 || !output.stdout.contains("Uid:\t0"), "--user {user:?}: {output:?}");
    }
    let careless = weakly(&Bundle::busybox(), "grep -E '^Uid' /proc/self/status");
    assert!(careless.stdout.contains("Uid:\t0"), "the detector does not see root");
}
