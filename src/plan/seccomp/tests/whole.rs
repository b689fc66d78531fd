//! What surrounds the answers: flags, listener, refusals, sizes, tables.

use super::super::abi::{self, Names};
use super::super::numbers::{NAMES, NUMBERS};
use super::super::{ACTIONS, ARCHES, FLAGS, Instruction, Listener, OPERATORS, Program, compile, compile_for};
use super::random::agree;
use super::{NOTIFY, TRAP, X86_64, ask, errno, profile, program, program_on};
use serde_json::{Value, json};

fn refusal(value: Value) -> String {
    let error = compile_for(abi::find(X86_64).expect("a known architecture"), &profile(value));
    format!("{:#}", error.expect_err("a refusal"))
}

#[test]
fn flags_are_the_kernels_and_spec_allow_without_any() {
    let flags = |flags: Value| {
        let rules = json!([{"names": ["chdir"], "action": "SCMP_ACT_NOTIFY"}]);
        let value = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags, "listenerPath": "/s", "syscalls": rules});
        compile(&profile(value)).expect("valid").flags
    };
    assert_eq!(flags(Value::Null), 4);
    assert_eq!(flags(json!([])), 0);
    let all = FLAGS;
    assert_eq!(flags(json!(all)), 2 | 4 | 32);
}

#[test]
fn a_listener_is_kept_only_if_a_rule_notifies() {
    let with = |action: &str| {
        let value = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent", "listenerMetadata": "m",
                           "syscalls": [{"names": ["chdir"], "action": action}]});
        compile(&profile(value)).expect("valid")
    };
    let notifying = with("SCMP_ACT_NOTIFY");
    assert_eq!(notifying.listener, Some(Listener { path: "/run/agent".into(), metadata: "m".into() }));
    assert!(notifying.instructions.iter().any(|i| i.code == 6 && i.k == NOTIFY));
    assert_eq!(with("SCMP_ACT_ERRNO").listener, None);
}

#[test]
fn refusals_name_the_place_and_the_remedy() {
    let whole = |action: &str, key: &str, value: Value| {
        let mut whole = json!({"defaultAction": format!("SCMP_ACT_{action}")});
        whole[key] = value;
        whole
    };
    let rule = |action: &str, name: &str, key: &str, value: Value| {
        let mut rule = json!({"names": ["chdir", name], "action": format!("SCMP_ACT_{action}")});
        rule[key] = value;
        whole("ALLOW", "syscalls", json!([{"names": [], "action": "SCMP_ACT_LOG"}, rule]))
    };
    let flags = json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
    let args = json!([{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]);
    let cases = [
        (whole("NOTIFY", "listenerPath", json!("/s")), "defaultAction: SCMP_ACT_NOTIFY would also ask"),
        (whole("ALLOW", "defaultErrnoRet", json!(1)), "defaultErrnoRet: SCMP_ACT_ALLOW takes no errno"),
        (whole("ERRNO", "defaultErrnoRet", json!(4096)), "defaultErrnoRet: 4096 is too large"),
        (whole("ALLOW", "listenerMetadata", json!("m")), "listenerMetadata: without listenerPath"),
        (whole("ALLOW", "flags", flags), "flags[1]: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is about waiting"),
        (rule("NOTIFY", "fchdir", "args", json!([])), "listenerPath: missing"),
        (rule("NOTIFY", "sendmsg", "args", json!([])), "syscalls[1].names[1]: SCMP_ACT_NOTIFY cannot"),
        (rule("TRAP", "fchdir", "errnoRet", json!(1)), "syscalls[1].errnoRet: SCMP_ACT_TRAP takes"),
        (rule("TRAP", "fchdir", "args", args), "syscalls[1].args[0].index: 6: system calls"),
    ];
    for (value, message) in cases {
        let refusal = refusal(value);
        assert!(refusal.starts_with(&format!("linux.seccomp.{message}")), "{refusal}");
    }
}

/// A profile of the size of Docker's: hundreds of names allowed, some calls by their arguments.
fn large(conditions: u64) -> Value {
    let names: Vec<&str> = NAMES.split(' ').enumerate().filter(|(i, _)| i % 5 != 0).map(|(_, n)| n).collect();
    let mut rules = vec![json!({"names": names, "action": "SCMP_ACT_ALLOW"})];
    for value in 0..conditions {
        let arg = json!({"index": value % 6, "value": value << 30 | value, "op": "SCMP_CMP_GT"});
        let names = ["access", "alarm", "brk"].map(|n| json!(n));
        rules.push(json!({"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": value % 40 + 2, "args": [arg]}));
    }
    json!(rules)
}

#[test]
fn jumps_reach_any_distance() {
    let arches = [X86_64, "SCMP_ARCH_X86", "SCMP_ARCH_X32"];
    let value = json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": arches, "syscalls": large(120)});
    let (program, profile) = (program_on(X86_64, &arches, "SCMP_ACT_ERRNO", large(120)), profile(value));
    assert!(program.instructions.iter().any(|i| i.code == 5), "no long jump was needed");
    agree(&program.instructions, &profile, X86_64, 2);
}

#[test]
fn jumps_reach_every_single_distance_around_their_limit() {
    for count in 220..280_u64 {
        let rule = |value: u64| {
            json!({"names": ["ioctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": value % 3 + 2,
                   "args": [{"index": 1, "value": value, "op": "SCMP_CMP_EQ"}]})
        };
        let rules: Vec<Value> = (0..count).map(rule).collect();
        let program = program_on("SCMP_ARCH_AARCH64", &["SCMP_ARCH_ARM"], "SCMP_ACT_TRAP", json!(rules));
        for arch in ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"] {
            for value in 0..=count {
                let expected = if value < count { errno(u32::try_from(value % 3 + 2).expect("small")) } else { TRAP };
                assert_eq!(ask(&program, arch, "ioctl", &[0, value]), expected, "{arch} {value} of {count}");
            }
        }
    }
}

#[test]
fn a_large_profile_is_small_and_quickly_searched() {
    let program = program("SCMP_ACT_ERRNO", large(0));
    assert!(program.instructions.len() < 300, "{} instructions", program.instructions.len());
}

#[test]
fn a_filter_that_the_kernel_would_not_take_is_refused_with_its_size() {
    let refusal = refusal(json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": large(1000)}));
    assert!(refusal.contains("the filter needs ") && refusal.contains("the kernel takes 4096"), "{refusal}");
}

#[test]
fn a_program_survives_its_template() {
    let program = program("SCMP_ACT_ERRNO", large(3));
    let text = serde_json::to_string(&program).expect("serialises");
    assert_eq!(serde_json::from_str::<Program>(&text).expect("parses"), program);
    assert!(text.len() < program.instructions.len() * 20 + 100);
    let one = Instruction { code: 0x15, jt: 1, jf: 255, k: 0xdead_beef };
    assert_eq!(Instruction::from(u64::from(one)), one);
}

#[test]
fn the_tables_know_all_words_of_the_specification() {
    assert_eq!(ARCHES.len(), 23);
    for arch in ARCHES {
        let value = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch]});
        compile(&profile(value)).expect(arch);
    }
    for operator in OPERATORS {
        let arg = json!({"index": 0, "value": 1, "op": operator});
        program("SCMP_ACT_ALLOW", json!([{"names": ["chdir"], "action": "SCMP_ACT_LOG", "args": [arg]}]));
    }
    assert_eq!(ACTIONS.len(), 9);
    assert_eq!(FLAGS.len(), 4);
}

#[test]
fn numbers_are_the_c_librarys() {
    let native = abi::native().expect("tests run on a known architecture");
    for (name, number) in [
        ("read", libc::SYS_read),
        ("execve", libc::SYS_execve),
        ("openat2", libc::SYS_openat2),
        ("close_range", libc::SYS_close_range),
        ("mount_setattr", libc::SYS_mount_setattr),
    ] {
        assert_eq!(native.number(&Names::new().find(name)).map(i64::from), Some(number), "{name}");
    }
    let names: Vec<&str> = NAMES.split(' ').collect();
    assert!(names.is_sorted() && names.len() == NUMBERS.len());
}

#[test]
fn multiplexers_have_one_number_on_all_abis_that_have_them() {
    let names = Names::new();
    for arch in ARCHES {
        let abi = abi::find(arch).expect("of the table");
        for (member, multiplexer) in [("socket", "socketcall"), ("shmget", "ipc"), ("msgsnd", "ipc")] {
            let is = abi.multiplexer(&names.find(member)).map(|(number, _)| number);
            assert_eq!(is, abi.number(&names.find(multiplexer)), "{arch} {member}");
        }
    }
}
