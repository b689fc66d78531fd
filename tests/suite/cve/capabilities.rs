//! Capabilities: no set has more than was asked for it.

use super::weakly;
use crate::harness::{Bundle, Container, Output};
use crate::needs;
use serde_json::json;
use std::fs;

const SETS: [&str; 5] = ["inheritable", "permitted", "effective", "bounding", "ambient"];
const ROWS: [&str; 5] = ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"];
const STATUS: [&str; 3] = ["grep", "Cap", "/proc/self/status"];

const DAC_OVERRIDE: u64 = 1 << 1;
const CHOWN: u64 = 1;
const KILL: u64 = 1 << 5;
const NET_ADMIN: u64 = 1 << 12;
const NET_RAW: u64 = 1 << 13;

/// The five sets in the order of `SETS`, of the lines of a /proc/PID/status.
#[track_caller]
fn sets(output: &Output) -> [u64; 5] {
    ROWS.map(|row| {
        let line = output.stdout.lines().find(|line| line.starts_with(row)).unwrap_or_else(|| panic!("{output:?}"));
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    })
}

/// A container whose configuration has these sets, all with the same names, and no others.
fn with(present: &[&str], names: &[&str]) -> Bundle {
    let bundle = Bundle::busybox().set("/process/capabilities", json!({})).set("/process/noNewPrivileges", false);
    present.iter().fold(bundle, |bundle, set| bundle.capabilities(set, names))
}

#[test]
fn cve_2016_8867_a_user_has_no_capability_that_was_not_made_ambient_for_it() {
    needs!(root);
    let names = ["CAP_CHOWN", "CAP_DAC_OVERRIDE"];
    let read = "cat /secret 2>/dev/null; grep Cap /proc/self/status";
    let of =
        |sets: &[&str]| with(sets, &names).script("/secret", "secret\n", 0o600).user(1000, 1000).sh(read).run().ok();
    // What the vulnerable version did to every container: all of it ambient.
    let careless = of(&SETS);
    assert!(careless.stdout.starts_with("secret\n"), "the attack does not bite: {careless:?}");
    assert_eq!(sets(&careless)[4], CHOWN | DAC_OVERRIDE);
    let output = of(&["bounding", "effective", "permitted", "inheritable"]);
    assert!(!output.stdout.contains("secret"), "a file of root's was read: {output:?}");
    assert_eq!(sets(&output), [CHOWN | DAC_OVERRIDE, 0, 0, CHOWN | DAC_OVERRIDE, 0]);
}

/// A container with a program that has CAP_NET_RAW as a file-inheritable capability. Who runs it as a user gains that, if
/// the process has it inheritable.
fn with_inheritable_file(sets: &[&str]) -> Container {
    let bundle = with(sets, &["CAP_NET_RAW", "CAP_KILL"]);
    // Not busybox itself: the names of its other applets are links to it.
    let capable = bundle.rootfs().join("capable");
    fs::create_dir(&capable).unwrap();
    fs::copy("/bin/busybox", capable.join("grep")).unwrap();
    bundle.command(["setcap", "cap_net_raw+ei", capable.join("grep").to_str().unwrap()]).output().ok();
    bundle.start()
}

const CAPABLE: [&str; 3] = ["/capable/grep", "Cap", "/proc/self/status"];

#[track_caller]
fn the_file_gains_with_inheritable() {
    let all = with_inheritable_file(&SETS[..4]);
    let gained = sets(&all.exec_with(["--user", "1000"], CAPABLE).ok());
    assert_eq!(gained[1], NET_RAW, "the attack does not bite");
}

#[test]
fn cve_2022_27650_exec_makes_nothing_inheritable_that_the_configuration_does_not() {
    needs!(root);
    needs!(program "setcap");
    the_file_gains_with_inheritable();
    let container = with_inheritable_file(&["bounding", "effective", "permitted"]);
    let root = sets(&container.exec(STATUS).ok());
    assert_eq!(root, [0, NET_RAW | KILL, NET_RAW | KILL, NET_RAW | KILL, 0]);
    for options in [vec!["--user", "1000"], vec!["--user", "1000:1000", "-g", "30"]] {
        for program in [STATUS, CAPABLE] {
            let words = ["exec"].into_iter().chain(options.clone()).chain([container.id()]).chain(program);
            let seen = sets(&container.runtime(words).output().ok());
            assert_eq!(seen, [0, 0, 0, NET_RAW | KILL, 0], "{options:?}: a capability was gained");
        }
    }
}

#[test]
fn cve_2022_29162_capabilities_added_by_exec_are_not_inheritable() {
    needs!(root);
    needs!(program "setcap");
    the_file_gains_with_inheritable();
    let container = with_inheritable_file(&["bounding", "effective", "permitted"]);
    let added = KILL | NET_RAW | NET_ADMIN;
    let root = sets(&container.exec_with(["--cap", "CAP_NET_ADMIN"], STATUS).ok());
    assert_eq!(root, [0, added, added, added, 0]);
    for program in [STATUS, CAPABLE] {
        let seen = sets(&container.exec_with(["--cap", "CAP_NET_ADMIN", "--user", "1000"], program).ok());
        assert_eq!((seen[0], seen[4]), (0, 0), "inheritable or ambient");
        assert_eq!(seen[1] & NET_RAW, 0, "a capability was gained by the file");
    }
}

#[test]
fn cve_2025_27612_capabilities_added_by_exec_to_a_container_without_any_are_not_inheritable() {
    needs!(root);
    needs!(program "setcap");
    the_file_gains_with_inheritable();
    let bundle = Bundle::busybox().unset("/process/capabilities").set("/process/noNewPrivileges", false);
    let container = bundle.start();
    assert_eq!(sets(&container.exec(STATUS).ok()), [0; 5]);
    for user in ["0", "1000"] {
        let seen = sets(&container.exec_with(["--cap", "CAP_NET_RAW", "--user", user], STATUS).ok());
        assert_eq!((seen[0], seen[4]), (0, 0), "user {user}: inheritable or ambient");
        assert_eq!(seen[3] & !NET_RAW, 0, "user {user}: more than was added");
    }
}

#[test]
fn no_cve_a_set_that_is_missing_is_empty_not_the_hosts() {
    needs!(root);
    let host = sets(&weakly(&Bundle::busybox(), "cat /proc/self/status"));
    assert!(host[3].count_ones() > 20, "a host whose bounding set is empty proves nothing");
    for missing in 0..5 {
        // What is ambient becomes effective by execve, and root's bounding set permitted, says capabilities(7).
        // Without a bounding set nothing can be inheritable.
        let shown = |n: &usize| *n != missing && (missing != 2 || *n != 4) && (missing != 3 || [1, 2].contains(n));
        let present: Vec<_> = (0..5).filter(shown).map(|n| SETS[n]).collect();
        let bundle = with(&present, &["CAP_KILL", "CAP_CHOWN"]);
        let bundle = if missing == 2 { bundle.user(1000, 1000) } else { bundle };
        let output = bundle.twin("run").args(["cat", "/proc/self/status"]).run();
        if missing == 1 && output.code != 0 {
            continue; // what is effective must be permitted: refused is as good as empty
        }
        let seen = sets(&output.ok());
        assert_eq!(seen[missing], 0, "{} is missing and has {:x}", SETS[missing], seen[missing]);
        assert!(seen.iter().all(|set| set & !(KILL | CHOWN) == 0), "{seen:x?}");
        let container = bundle.start();
        assert_eq!(sets(&container.exec(STATUS).ok()), seen, "exec");
    }
    let bundle = Bundle::busybox().unset("/process/capabilities").args(["cat", "/proc/self/status"]);
    assert_eq!(sets(&bundle.run().ok()), [0; 5]);
}
