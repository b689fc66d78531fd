//! Profiles and calls by chance, the same ones in every run.

use super::super::abi::{self, Abi, Names};
use super::super::numbers::NAMES;
use super::super::{ARCHES, Instruction, OPERATORS, calls, compile_for, policy};
use super::machine::{Call, invalid, run};
use super::reading::{Condition, NAMES as KNOWN, Reading};
use super::{ALLOW, LOG, X86_64, profile};
pub use crate::fuzz::Random;
use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;

const VALUES: [u64; 9] = [0, 1, 5, 0xffff_ffff, 1 << 32, 0x1_0000_0005, 0x7e02_0000, u64::MAX - 1, u64::MAX];

/// Calls that meet each other in rules: multiplexed ones, private ones, some that not all ABIs have, and none at all.
const POPULAR: [&str; 16] = [
    "read",
    "write",
    "chdir",
    "ioctl",
    "socket",
    "socketcall",
    "accept4",
    "semop",
    "ipc",
    "set_tls",
    "mmap2",
    "openat2",
    "clone",
    "getppid",
    "listns",
    "nonsense",
];

static ALL: LazyLock<Vec<&str>> = LazyLock::new(|| NAMES.split(' ').collect());

/// A native architecture, and a profile for it.
pub fn random_profile(random: &mut Random) -> (&'static str, Value) {
    let actions = ["ERRNO", "ERRNO", "ALLOW", "ALLOW", "TRAP", "LOG", "KILL", "KILL_PROCESS", "TRACE", "NOTIFY"];
    let action = |random: &mut Random, choices: &[&str]| format!("SCMP_ACT_{}", random.of(choices));
    let rules = random.below(9);
    let mut rules: Vec<Value> = (0..rules)
        .map(|_| {
            let action = action(random, &actions);
            let mut rule = json!({"names": names(random, &action), "action": action, "args": args(random)});
            if ["SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"].contains(&action.as_str()) && random.one_in(2) {
                rule["errnoRet"] = json!(random.of(&[0, 1, 38, 4094]));
            }
            rule
        })
        .collect();
    if random.one_in(4) {
        // Hundreds of names, as the engines' profiles have them.
        let keep = 1 + random.below(9);
        let names: Vec<&str> = ALL.iter().filter(|_| random.below(10) < keep).copied().collect();
        let action = action(random, &["ALLOW", "ERRNO", "LOG"]);
        rules.insert(random.below(rules.len() + 1), json!({"names": names, "action": action}));
    }
    let (native, arches) = arches(random);
    let default = action(random, &actions[..actions.len() - 1]);
    (native, json!({"defaultAction": default, "architectures": arches, "syscalls": rules, "listenerPath": "/agent"}))
}

fn names(random: &mut Random, action: &str) -> Vec<&'static str> {
    let own = ["sendmsg", "recvmsg", "mmap", "brk"]; // not to be notified
    let mut names: Vec<&str> = (0..random.of(&[1, 1, 2, 2, 9]))
        .map(|_| if random.one_in(4) { random.of(&ALL) } else { random.of(&POPULAR) })
        .collect();
    names.retain(|name| action != "SCMP_ACT_NOTIFY" || !own.contains(name));
    names
}

fn args(random: &mut Random) -> Vec<Value> {
    let width = random.of(&[2, 3, 6]); // narrow, so that rules are about the same arguments
    let value = |random: &mut Random| {
        if random.one_in(4) { (random.below(1 << 31) as u64) << random.below(34) } else { random.of(&VALUES) }
    };
    (0..random.of(&[0, 0, 1, 1, 1, 2, 2, 3]))
        .map(|_| {
            json!({"index": random.below(width), "value": value(random), "valueTwo": value(random),
                   "op": random.of(OPERATORS)})
        })
        .collect()
}

/// Families as they are, and any mixture that has one byte order: libseccomp takes no other.
fn arches(random: &mut Random) -> (&'static str, Vec<&'static str>) {
    const FAMILIES: [&[&str]; 6] = [
        &[X86_64, "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        &["SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
        &["SCMP_ARCH_PPC64LE"],
        &["SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64N32"],
        &["SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64N32"],
    ];
    if random.one_in(2) {
        let family = random.of(&FAMILIES);
        return (family[0], family[random.below(family.len())..].to_vec());
    }
    let big = |name: &str| abi::find(name).expect("of the table").layout.low(0) != 16;
    let native = random.of(ARCHES);
    let others = (0..random.below(4)).map(|_| random.of(ARCHES)).filter(|other| big(other) == big(native)).collect();
    (native, others)
}

/// Every number that an ABI has a call at, its neighbours, and the ends of the number spaces; one list for each of
/// `ABIS`.
static NUMBERS: LazyLock<Vec<Vec<u32>>> = LazyLock::new(|| {
    let of = |abi: &Abi| {
        let calls = ALL.iter().filter_map(|name| abi.number(&KNOWN.find(name)));
        let around = calls.flat_map(|number| [number.saturating_sub(1), number, number + 1]);
        let ends = [0, (1 << 30) - 1, 1 << 30, (1 << 30) + 1, u32::MAX - 1, u32::MAX];
        around.chain(ends).collect::<BTreeSet<u32>>().into_iter().collect()
    };
    abi::ABIS.iter().map(|(_, abi)| of(abi)).collect()
});

fn numbers(abi: &'static Abi) -> &'static [u32] {
    let at = abi::ABIS.iter().position(|(_, of)| of.audit == abi.audit && of.numbers() == abi.numbers());
    &NUMBERS[at.expect("of the table")]
}

/// Calls worth asking about: on each ABI of a profile and on one that it may not have, every number, with arguments by
/// chance; and `tries` times each number that rules are about, with arguments around what the rules compare them with.
pub fn calls(reading: &Reading, tries: usize, mut ask: impl FnMut(&'static Abi, Call)) {
    let mut random = Random(0x000c_a115);
    let other = abi::find(random.of(ARCHES)).expect("of the table");
    for abi in reading.abis.iter().map(|of| of.abi).chain([other]) {
        for number in numbers(abi) {
            let args = std::array::from_fn(|_| random.of(&VALUES));
            ask(abi, Call { audit: abi.audit, number: *number, args });
        }
    }
    for of in &reading.abis {
        for (number, said) in of.rules.iter().filter(|(_, said)| said.iter().any(|said| !said.conditions.is_empty())) {
            let all: Vec<&Condition> = said.iter().flat_map(|said| &said.conditions).collect();
            for _ in 0..tries {
                let args = std::array::from_fn(|argument| boundary(&mut random, &all, argument));
                ask(of.abi, Call { audit: of.abi.audit, number: *number, args });
            }
        }
    }
}

/// A value of an argument at which the answer may change.
fn boundary(random: &mut Random, all: &[&Condition], argument: usize) -> u64 {
    let of: Vec<&&Condition> = all.iter().filter(|condition| condition.argument == argument).collect();
    if of.is_empty() || random.one_in(8) {
        return random.of(&VALUES);
    }
    let Condition { value, second, .. } = **random.of(&of);
    let near = [value, value, value.wrapping_sub(1), value.wrapping_add(1), second, value & second];
    let far = [value ^ (1 << 32), value.wrapping_add(1 << 32), value.wrapping_sub(1 << 32), value.rotate_left(32)];
    if random.one_in(3) { random.of(&far) } else { random.of(&near) }
}

/// Compares a program with its profile; says how many calls that took.
pub fn agree(program: &[Instruction], profile: &LinuxSeccomp, native: &str, tries: usize) -> usize {
    let reading = Reading::new(profile, native);
    let mut asked = 0;
    calls(&reading, tries, |abi, call| {
        let (is, allowed) = (run(program, call, abi.layout), reading.answers(call));
        assert!(allowed.contains(&is), "{call:x?}: {is:#x} not in {allowed:x?}: {profile:?}");
        asked += 1;
    });
    asked
}

#[test]
fn random_profiles_answer_as_they_read() {
    const PROFILES: usize = 3000;
    let mut random = Random(0x5ecc_0de5);
    let mut asked = 0;
    for _ in 0..PROFILES {
        let (native, value) = random_profile(&mut random);
        let profile = profile(value);
        let program = compile_for(abi::find(native).expect("of the table"), &profile).expect("a valid profile");
        assert!(invalid(&program.instructions).is_empty(), "{profile:?}");
        asked += agree(&program.instructions, &profile, native, 16);
    }
    println!("{asked} calls under {PROFILES} profiles");
    assert!(asked > 100_000);
}

#[test]
fn what_is_said_to_be_allowed_is_allowed() {
    let mut random = Random(0x5ecc_0a11);
    let (mut yes, mut no) = (0, 0);
    for _ in 0..300 {
        let (native, value) = random_profile(&mut random);
        let (profile, abi) = (profile(value), abi::find(native).expect("a known architecture"));
        let program = compile_for(abi, &profile).expect("a valid profile");
        let policy = policy::read(&profile, abi).expect("a valid profile");
        let names = Names::new();
        let maps = calls::maps(&policy, &names);
        for name in ["clone", "setsid", "ioctl", "chdir", "listns"] {
            let Some(number) = abi.number(&names.find(name)) else { continue };
            for (first, second) in VALUES.into_iter().zip(VALUES.into_iter().rev()) {
                let call = Call { audit: abi.audit, number, args: [first, second, 0, 0, 0, 0] };
                let runs = matches!(run(&program.instructions, call, abi.layout), ALLOW | LOG);
                let said = calls::allows(&maps[0], policy.default, number, &[first, second]);
                assert_eq!(said, runs, "{native} {name} {first:#x} {second:#x}");
                *(if said { &mut yes } else { &mut no }) += 1;
            }
        }
    }
    assert!(yes > 1000 && no > 1000, "{yes} and {no}");
}
