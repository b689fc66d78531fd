//! The compiler against a straight reading of the profile, on an interpreter of its programs.

mod libseccomp;
mod machine;
mod random;
mod reading;
mod whole;

use super::abi::{self, Names};
use super::{Program, compile_for};
use machine::{Call, invalid, run};
use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const X86_64: &str = "SCMP_ARCH_X86_64";
const ALLOW: u32 = 0x7fff_0000;
const LOG: u32 = 0x7ffc_0000;
const NOTIFY: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
const TRAP: u32 = 0x0003_0000;
const KILL: u32 = 0;
const KILL_PROCESS: u32 = 0x8000_0000;
const ENOSYS: u32 = errno(38);
const EPERM: u32 = errno(1);

const fn errno(number: u32) -> u32 {
    0x0005_0000 | number
}

fn profile(value: Value) -> LinuxSeccomp {
    serde_json::from_value(value).expect("a profile")
}

/// `rules` on x86-64, whatever machine the tests run on.
fn program(default: &str, rules: Value) -> Program {
    program_on(X86_64, &[], default, rules)
}

fn program_on(native: &str, arches: &[&str], default: &str, rules: Value) -> Program {
    let mut value = json!({"defaultAction": default, "architectures": arches});
    value["syscalls"] = rules;
    let program =
        compile_for(abi::find(native).expect("a known architecture"), &profile(value)).expect("a valid profile");
    assert!(invalid(&program.instructions).is_empty());
    program
}

/// What a program answers to a named call of an architecture.
fn ask(program: &Program, arch: &str, name: &str, args: &[u64]) -> u32 {
    let abi = abi::find(arch).expect("a known architecture");
    ask_number(program, arch, abi.number(&Names::new().find(name)).expect("a known call"), args)
}

fn ask_number(program: &Program, arch: &str, number: u32, args: &[u64]) -> u32 {
    let abi = abi::find(arch).expect("a known architecture");
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    run(&program.instructions, Call { audit: abi.audit, number, args: all }, abi.layout)
}

/// The folder of `integration/seccomp/run`: profiles, and what libseccomp made of them.
fn folder() -> PathBuf {
    std::env::var_os("RRUNTIME_TEST_SECCOMP").expect("RRUNTIME_TEST_SECCOMP is a folder of profiles").into()
}

/// The profiles in there.
fn profiles() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    paths.sort();
    paths
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON")
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

#[test]
fn every_action_becomes_the_kernels_number() {
    let actions = [
        ("KILL", KILL),
        ("KILL_THREAD", KILL),
        ("KILL_PROCESS", KILL_PROCESS),
        ("TRAP", TRAP),
        ("ERRNO", EPERM),
        ("TRACE", TRACE | 1),
        ("LOG", LOG),
    ];
    for (name, number) in actions {
        let name = format!("SCMP_ACT_{name}");
        let rule = program("SCMP_ACT_ALLOW", json!([{"names": ["chdir"], "action": name}]));
        assert_eq!(ask(&rule, X86_64, "chdir", &[]), number, "{name}");
        assert_eq!(ask(&rule, X86_64, "fchdir", &[]), ALLOW, "{name}");
        let default = program(&name, json!([{"names": ["chdir"], "action": "SCMP_ACT_ALLOW"}]));
        assert_eq!(ask(&default, X86_64, "getcwd", &[]), number, "{name}");
    }
}

#[test]
fn an_errno_is_the_profiles_or_eperm() {
    let value = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "syscalls": [
        {"names": ["chdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95},
        {"names": ["fchdir"], "action": "SCMP_ACT_TRACE", "errnoRet": 0xffff},
        {"names": ["listns"], "action": "SCMP_ACT_ERRNO"}]});
    let program = compile_for(abi::find(X86_64).expect("known"), &profile(value)).expect("valid");
    assert_eq!(ask(&program, X86_64, "getcwd", &[]), errno(13));
    assert_eq!(ask(&program, X86_64, "chdir", &[]), errno(95));
    assert_eq!(ask(&program, X86_64, "fchdir", &[]), TRACE | 0xffff);
    assert_eq!(ask(&program, X86_64, "listns", &[]), EPERM);
}

#[test]
fn every_operator_compares_all_64_bits_unsigned() {
    const V: u64 = 0x8000_0001_0000_0002;
    let near = [0, 2, V - 1, V, V + 1, V - (1 << 32), V + (1 << 32), u64::MAX];
    let operators =
        [("NE", [-1, 1].as_slice()), ("LT", &[-1]), ("LE", &[-1, 0]), ("EQ", &[0]), ("GE", &[0, 1]), ("GT", &[1])];
    for (name, orders) in operators {
        let arg = json!({"index": 5, "value": V, "op": format!("SCMP_CMP_{name}")});
        let program = program("SCMP_ACT_ALLOW", json!([{"names": ["mmap"], "action": "SCMP_ACT_TRAP", "args": [arg]}]));
        for value in near {
            let expected = if orders.contains(&(value.cmp(&V) as i32)) { TRAP } else { ALLOW };
            assert_eq!(ask(&program, X86_64, "mmap", &[0, 0, 0, 0, 0, value]), expected, "{name} {value:#x}");
        }
    }
}

#[test]
fn a_masked_comparison_looks_under_the_mask_only() {
    let arg = json!({"index": 0, "value": 0xf000_0000_7e02_0000_u64, "valueTwo": 0x1000_0000_0000_0000_u64,
                     "op": "SCMP_CMP_MASKED_EQ"});
    let program = program("SCMP_ACT_ERRNO", json!([{"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [arg]}]));
    for (flags, expected) in [
        (0x1000_0000_0000_0000, ALLOW),
        (0x1fff_ffff_0001_ffff, ALLOW),
        (0x1000_0000_0002_0000, EPERM),
        (0x2000_0000_0000_0000, EPERM),
        (0, EPERM),
    ] {
        assert_eq!(ask(&program, X86_64, "clone", &[flags]), expected, "{flags:#x}");
    }
}

#[test]
fn conditions_of_a_rule_must_all_hold_and_one_matching_rule_is_enough() {
    let rules = json!([
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]},
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 10, "op": "SCMP_CMP_EQ"}]}]);
    let program = program("SCMP_ACT_ERRNO", rules);
    for (args, expected) in [([2, 1], ALLOW), ([2, 2], EPERM), ([1, 1], EPERM), ([10, 7], ALLOW)] {
        assert_eq!(ask(&program, X86_64, "socket", &args), expected, "{args:?}");
    }
}

#[test]
fn two_conditions_on_one_argument_are_two_rules() {
    let rules = json!([{"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [
        {"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]);
    let program = program("SCMP_ACT_ERRNO", rules);
    assert_eq!([0, 8, 9].map(|p| ask(&program, X86_64, "personality", &[p])), [ALLOW, ALLOW, EPERM]);
}

#[test]
fn a_rule_without_conditions_beats_those_with_them_and_the_first_of_several_holds() {
    let conditional = json!({"names": ["ioctl"], "action": "SCMP_ACT_TRAP", "args": [
        {"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}]});
    let log = json!({"names": ["ioctl"], "action": "SCMP_ACT_LOG"});
    let kill = json!({"names": ["ioctl"], "action": "SCMP_ACT_KILL"});
    let nothing = json!({"names": ["ioctl"], "action": "SCMP_ACT_LOG", "args": [
        {"index": 1, "value": 0, "valueTwo": 7, "op": "SCMP_CMP_MASKED_EQ"}]});
    for rules in [json!([conditional, log, kill]), json!([log, conditional, kill]), json!([conditional, nothing])] {
        assert_eq!(ask(&program("SCMP_ACT_ALLOW", rules.clone()), X86_64, "ioctl", &[0, 5]), LOG, "{rules}");
    }
}

#[test]
fn a_rule_that_repeats_the_default_is_no_rule() {
    let rules = json!([
        {"names": ["ioctl"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["ioctl"], "action": "SCMP_ACT_LOG", "args": [{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}]}]);
    assert_eq!(ask(&program("SCMP_ACT_ERRNO", rules), X86_64, "ioctl", &[0, 5]), LOG);
}

#[test]
fn overlapping_rules_are_tried_from_the_exact_to_the_wide_and_a_draw_is_decided_by_severity() {
    let rule = |action: &str, index: u64, op: &str, value: u64| {
        json!({"names": ["ioctl"], "action": format!("SCMP_ACT_{action}"), "args": [
            {"index": index, "value": value, "op": format!("SCMP_CMP_{op}")}]})
    };
    let orders = [
        ([rule("LOG", 1, "GE", 3), rule("TRAP", 1, "EQ", 5)], [0, 5], TRAP),
        ([rule("LOG", 1, "GT", 3), rule("TRAP", 1, "GT", 4)], [0, 9], TRAP),
        ([rule("LOG", 1, "LT", 9), rule("TRAP", 1, "LT", 8)], [0, 1], TRAP),
        ([rule("LOG", 1, "GE", 3), rule("TRAP", 1, "LE", 7)], [0, 5], TRAP),
        ([rule("LOG", 0, "EQ", 3), rule("TRAP", 1, "GE", 0)], [3, 0], TRAP),
        ([rule("LOG", 1, "EQ", 5), rule("TRAP", 1, "EQ", 5)], [0, 5], TRAP),
    ];
    for ([a, b], args, expected) in orders {
        assert_eq!(ask(&program("SCMP_ACT_ALLOW", json!([a, b])), X86_64, "ioctl", &args), expected, "{a} {b}");
        assert_eq!(ask(&program("SCMP_ACT_ALLOW", json!([b, a])), X86_64, "ioctl", &args), expected, "{b} {a}");
    }
}

#[test]
fn calls_newer_than_the_profile_answer_enosys_if_the_default_denies() {
    for (default, newer) in [
        ("SCMP_ACT_ERRNO", ENOSYS),
        ("SCMP_ACT_KILL", ENOSYS),
        ("SCMP_ACT_KILL_PROCESS", ENOSYS),
        ("SCMP_ACT_TRAP", ENOSYS),
        ("SCMP_ACT_TRACE", TRACE | 1),
        ("SCMP_ACT_LOG", LOG),
    ] {
        let program = program(default, json!([{"names": ["openat2"], "action": "SCMP_ACT_ALLOW"}]));
        let openat2 = 437;
        assert_eq!(ask_number(&program, X86_64, openat2, &[]), ALLOW, "{default}");
        assert_eq!(ask_number(&program, X86_64, openat2 + 1, &[]), newer, "{default}");
        assert_eq!(ask_number(&program, X86_64, 0x3fff_ffff, &[]), newer, "{default}");
        assert_ne!(ask_number(&program, X86_64, openat2 - 1, &[]), ENOSYS, "{default}");
    }
}

#[test]
fn calls_of_unlisted_architectures_kill_but_a_skipped_call_does_not() {
    let program = program("SCMP_ACT_LOG", json!([{"names": ["chdir"], "action": "SCMP_ACT_ALLOW"}]));
    assert_eq!(ask(&program, "SCMP_ARCH_X86", "chdir", &[]), KILL);
    assert_eq!(ask(&program, "SCMP_ARCH_X32", "chdir", &[]), KILL);
    assert_eq!(ask(&program, "SCMP_ARCH_AARCH64", "chdir", &[]), KILL);
    assert_eq!(ask_number(&program, X86_64, u32::MAX, &[]), LOG);
}

#[test]
fn each_listed_architecture_has_its_own_numbers_and_the_native_one_is_always_in() {
    let rules = json!([{"names": ["chdir", "no_such_call", ""], "action": "SCMP_ACT_TRAP"}]);
    let arches = ["SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86", "SCMP_ARCH_S390X"];
    let program = program_on(X86_64, &arches, "SCMP_ACT_ALLOW", rules);
    for arch in [X86_64, "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_S390X"] {
        assert_eq!(ask(&program, arch, "chdir", &[]), TRAP, "{arch}");
        assert_eq!(ask(&program, arch, "fchdir", &[]), ALLOW, "{arch}");
    }
}

#[test]
fn an_architecture_without_rules_answers_the_default() {
    let rules = json!([{"names": ["set_tls"], "action": "SCMP_ACT_TRAP"}]);
    let program = program_on("SCMP_ARCH_AARCH64", &["SCMP_ARCH_ARM"], "SCMP_ACT_ALLOW", rules);
    let number = 0xf_0005;
    assert_eq!(ask_number(&program, "SCMP_ARCH_ARM", number, &[]), TRAP);
    assert_eq!(ask_number(&program, "SCMP_ARCH_AARCH64", number, &[]), ALLOW);
}

#[test]
fn thirty_two_bit_abis_compare_low_words_in_their_byte_order() {
    let arg = json!({"index": 1, "value": 0xffff_ffff_0000_0007_u64, "op": "SCMP_CMP_EQ"});
    let rules = json!([{"names": ["ioctl"], "action": "SCMP_ACT_TRAP", "args": [arg]}]);
    for arch in ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_PPC", "SCMP_ARCH_MIPS64N32"] {
        let program = program_on(arch, &[], "SCMP_ACT_ALLOW", rules.clone());
        assert_eq!(ask(&program, arch, "ioctl", &[0, 7]), TRAP, "{arch}");
        assert_eq!(ask(&program, arch, "ioctl", &[0, 0x5_0000_0007]), TRAP, "{arch}");
        assert_eq!(ask(&program, arch, "ioctl", &[0, 8]), ALLOW, "{arch}");
    }
    for arch in [X86_64, "SCMP_ARCH_S390X", "SCMP_ARCH_PPC64LE"] {
        let program = program_on(arch, &[], "SCMP_ACT_ALLOW", rules.clone());
        assert_eq!(ask(&program, arch, "ioctl", &[0, 7]), ALLOW, "{arch}");
        assert_eq!(ask(&program, arch, "ioctl", &[0, 0xffff_ffff_0000_0007]), TRAP, "{arch}");
    }
}

#[test]
fn a_rule_for_a_socket_call_also_holds_for_its_multiplexer() {
    let arg = json!({"index": 0, "value": 40, "op": "SCMP_CMP_EQ"});
    let rules = json!([
        {"names": ["socket"], "action": "SCMP_ACT_TRAP", "args": [arg]},
        {"names": ["shmat"], "action": "SCMP_ACT_LOG"}]);
    let program = program_on("SCMP_ARCH_X86", &[], "SCMP_ACT_ALLOW", rules);
    let on = |name: &str, first: u64| ask(&program, "SCMP_ARCH_X86", name, &[first]);
    assert_eq!(
        [on("socket", 40), on("socket", 1), on("socketcall", 1), on("socketcall", 2)],
        [TRAP, ALLOW, TRAP, ALLOW]
    );
    assert_eq!([on("ipc", 21), on("ipc", 22), on("shmat", 0)], [LOG, ALLOW, LOG]);
}

#[test]
fn arms_private_calls_do_not_make_all_others_old() {
    let rules = json!([{"names": ["set_tls", "openat2"], "action": "SCMP_ACT_ALLOW"}]);
    let program = program_on("SCMP_ARCH_AARCH64", &["SCMP_ARCH_ARM"], "SCMP_ACT_ERRNO", rules);
    let on = |number: u32| ask_number(&program, "SCMP_ARCH_ARM", number, &[]);
    assert_eq!([on(437), on(438), on(0xf_0005), on(0xf_0002)], [ALLOW, ENOSYS, ALLOW, EPERM]);
}

#[test]
fn s390_makes_unknown_new_calls_as_number_zero() {
    let program =
        program_on("SCMP_ARCH_S390X", &[], "SCMP_ACT_ERRNO", json!([{"names": ["chdir"], "action": "SCMP_ACT_ALLOW"}]));
    assert_eq!(ask_number(&program, "SCMP_ARCH_S390X", 0, &[]), ENOSYS);
}
