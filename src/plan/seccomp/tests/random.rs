//! Profiles and calls by chance, the same ones in every run.

use super::super::abi;
use super::super::{ARCHES, OPERATORS, Program, compile_for};
use super::machine::{Call, NAMES, answers, invalid, listed, run};
use super::{X86_64, profile};
use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// xorshift64*, for profiles and calls that can be had again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }
}

const VALUES: [u64; 9] = [0, 1, 5, 0xffff_ffff, 1 << 32, 0x1_0000_0005, 0x7e02_0000, u64::MAX - 1, u64::MAX];

fn random_profile(random: &mut Random, arches: &[&str]) -> Value {
    let names =
        ["read", "write", "chdir", "ioctl", "socket", "semop", "set_tls", "mmap2", "openat2", "clone", "nonsense"];
    let actions = ["ERRNO", "ALLOW", "TRAP", "LOG", "KILL", "KILL_PROCESS", "TRACE"];
    let rules: Vec<Value> = (0..random.below(9))
        .map(|_| {
            let conditions = random.of(&[0, 1, 1, 2, 3]);
            let args: Vec<Value> = (0..conditions)
                .map(|_| {
                    json!({"index": random.below(4), "value": random.of(&VALUES), "valueTwo": random.of(&VALUES),
                           "op": random.of(OPERATORS)})
                })
                .collect();
            let action = format!("SCMP_ACT_{}", random.of(&actions));
            json!({"names": [random.of(&names), random.of(&names)], "action": action, "args": args})
        })
        .collect();
    let default = format!("SCMP_ACT_{}", random.of(&actions));
    json!({"defaultAction": default, "architectures": arches, "syscalls": rules})
}

/// Compares a program with its profile: at the numbers around those that it names, with arguments around its values,
/// on the architectures that it has and on one more.
pub fn agree(program: &Program, profile: &LinuxSeccomp, native: &str, calls: usize) {
    let mut random = Random(0x000c_a115);
    let rules = || profile.syscalls().iter().flatten();
    let mut values = VALUES.to_vec();
    for arg in rules().flat_map(|rule| rule.args().iter().flatten()) {
        values.extend([arg.value().wrapping_sub(1), arg.value(), arg.value().wrapping_add(1)]);
    }
    let other = abi::find(random.of(ARCHES)).expect("of the table");
    for abi in listed(profile, native).into_iter().chain([other]) {
        let named = |name: &String| {
            [abi.number(&NAMES.find(name)), abi.multiplexer(&NAMES.find(name)).map(|(number, _)| number)]
        };
        let named = rules().flat_map(|rule| rule.names()).flat_map(named).flatten();
        let around = named.flat_map(|number| [number.wrapping_sub(1), number, number + 1]);
        let numbers: BTreeSet<u32> = around.chain([0, 1, 1 << 30, u32::MAX]).collect();
        for number in numbers {
            for _ in 0..calls {
                let call = Call { audit: abi.audit, number, args: std::array::from_fn(|_| random.of(&values)) };
                let (is, allowed) = (run(program, call, abi.layout), answers(profile, native, call));
                assert!(allowed.contains(&is), "{call:x?}: {is:#x} not in {allowed:x?}: {profile:?}");
            }
        }
    }
}

#[test]
fn random_profiles_answer_as_they_read() {
    let families: [&[&str]; 8] = [
        &[X86_64],
        &[X86_64, "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        &["SCMP_ARCH_S390X", "SCMP_ARCH_S390"],
        &["SCMP_ARCH_PPC64LE"],
        &["SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64N32"],
        &["SCMP_ARCH_X32"],
        &["SCMP_ARCH_M68K"],
    ];
    let mut random = Random(0x5ecc_0de5);
    for _ in 0..3000 {
        let family = random.of(&families);
        let (native, arches) = (family[0], &family[random.below(2).min(family.len() - 1)..]);
        let profile = profile(random_profile(&mut random, arches));
        let program = compile_for(abi::find(native).expect("of the table"), &profile).expect("a valid profile");
        assert!(invalid(&program).is_empty(), "{profile:?}");
        agree(&program, &profile, native, 3);
    }
}
