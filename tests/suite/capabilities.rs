//! The five capability sets: what is missing is empty, what is asked for and possible is there.

use crate::harness::Bundle;
use crate::needs;
use serde_json::json;

const SETS: [(&str, &str); 5] = [
    ("inheritable", "CapInh"),
    ("permitted", "CapPrm"),
    ("effective", "CapEff"),
    ("bounding", "CapBnd"),
    ("ambient", "CapAmb"),
];

const KILL: u64 = 1 << 5;
const CHOWN: u64 = 1;

/// The five sets of the payload, in the order of `SETS`.
#[track_caller]
fn sets(bundle: Bundle) -> [u64; 5] {
    let status = bundle.args(["cat", "/proc/self/status"]).run().ok().stdout;
    SETS.map(|(_, row)| {
        let line = status.lines().find(|line| line.starts_with(row)).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    })
}

/// Every named set gets `names`; the others are left out of the configuration.
fn with(bundle: &Bundle, present: &[&str], names: &[&str]) -> Bundle {
    let bundle = bundle.twin(&format!("{}{}", present.concat(), names.len())).set("/process/capabilities", json!({}));
    present.iter().fold(bundle, |bundle, set| bundle.capabilities(set, names))
}

#[test]
fn all_five_sets_are_as_configured() {
    needs!(root);
    let bundle = Bundle::busybox();
    let names = SETS.map(|(name, _)| name);
    assert_eq!(sets(with(&bundle, &names, &["CAP_KILL", "CAP_CHOWN"])), [KILL | CHOWN; 5]);
}

#[test]
fn a_missing_set_is_empty() {
    needs!(root);
    let bundle = Bundle::busybox();
    assert_eq!(sets(with(&bundle, &["bounding"], &["CAP_KILL"])), [0, 0, 0, KILL, 0]);
    assert_eq!(
        sets(with(&bundle, &["permitted", "effective"], &["CAP_KILL"]))[3],
        0,
        "the bounding set of the host is left"
    );
    assert_eq!(sets(bundle.twin("none").unset("/process/capabilities")), [0; 5]);
}

#[test]
fn a_user_other_than_root_has_only_ambient_capabilities() {
    needs!(root);
    let bundle = Bundle::busybox();
    let plain = with(&bundle, &["bounding", "effective", "permitted", "inheritable"], &["CAP_KILL"]).user(1000, 1000);
    assert_eq!(sets(plain), [KILL, 0, 0, KILL, 0]);
    let ambient = with(&bundle, &SETS.map(|(name, _)| name), &["CAP_KILL"]).user(1000, 1000);
    assert_eq!(sets(ambient), [KILL; 5]);
}

#[test]
fn an_ambient_capability_that_cannot_be_raised_is_named_in_a_warning() {
    needs!(root);
    let bundle = with(&Bundle::busybox(), &["bounding", "effective", "permitted"], &["CAP_KILL", "CAP_CHOWN"]);
    let bundle = bundle.capabilities("inheritable", &["CAP_KILL"]).capabilities("ambient", &["CAP_CHOWN", "CAP_KILL"]);
    let output = bundle.args(["grep", "CapAmb", "/proc/self/status"]).run().ok();
    assert_eq!(output.stdout, "CapAmb:\t0000000000000020\n");
    let text =
        "process.capabilities.ambient: can't raise ambient capability CAP_CHOWN: operation not permitted (EPERM)";
    assert!(output.stderr.contains(text), "{output:?}");
}

#[test]
fn an_unknown_capability_is_a_warning_and_no_error() {
    needs!(root);
    let bundle = Bundle::busybox();
    assert_eq!(sets(with(&bundle, &["bounding"], &["CAP_KILL", "CAP_TIME_TRAVEL"])), [0, 0, 0, KILL, 0]);
}

#[test]
fn a_name_that_is_not_the_specifications_grants_nothing() {
    needs!(root);
    for name in ["CHOWN", "chown", "cap_chown", "CAP_chown", "CAP_CAP_CHOWN", " CAP_CHOWN"] {
        let bundle = with(&Bundle::busybox(), &["bounding", "effective", "permitted"], &["CAP_KILL", name]);
        let ran = bundle.args(["grep", "CapEff", "/proc/self/status"]).run().ok();
        assert_eq!(ran.stdout, format!("CapEff:\t{KILL:016x}\n"), "{name}");
        let warning = format!("process.capabilities.effective: ignoring unknown capability {name:?}");
        assert!(ran.stderr.contains(&warning), "{ran:?}");
    }
}

#[test]
fn what_the_caller_does_not_have_is_a_warning_and_no_error() {
    needs!(root);
    needs!(program "setpriv");
    let bundle = Bundle::busybox();
    let bundle = with(&bundle, &["bounding", "effective", "permitted"], &["CAP_KILL", "CAP_SYS_BOOT"]).args([
        "grep",
        "CapEff",
        "/proc/self/status",
    ]);
    let output = bundle.invocation("run").under(["setpriv", "--bounding-set=-sys_boot"]).output().ok();
    assert_eq!(output.stdout, format!("CapEff:\t{KILL:016x}\n"));
}

#[test]
fn exec_has_the_capabilities_of_init() {
    needs!(root);
    let bundle = with(&Bundle::busybox(), &SETS.map(|(name, _)| name), &["CAP_KILL"]);
    let container = bundle.start();
    let read = |who: &str| container.exec(["grep", "^Cap", &format!("/proc/{who}/status")]).ok().stdout;
    assert_eq!(read("1"), read("self"));
}
