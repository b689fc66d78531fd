//! Programs run by a tiny interpreter, against the plain meaning of the rules.

use super::super::tests::{DENY_ALL, rules};
use super::super::{Access, DeviceRules, Devices};
use super::*;

/// The few instructions above, as the kernel runs them.
fn run(program: &[u64], kind: Kind, major: u32, minor: u32, access: u32) -> bool {
    let kind = if kind == Kind::Char { 2 } else { 1 };
    let context = [access << 16 | kind, major, minor];
    #[allow(clippy::cast_possible_truncation)] // 32-bit instructions see the low half
    let half = |register: u64| register as u32;
    let mut registers = [0u64; 7];
    let mut at = 0;
    loop {
        let [code, pair, j0, j1, c0, c1, c2, c3] = program[at].to_ne_bytes();
        let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
        let jump = usize::try_from(i16::from_ne_bytes([j0, j1])).unwrap();
        let constant = u32::from_ne_bytes([c0, c1, c2, c3]);
        let (low, its) = (half(registers[to]), half(registers[from]));
        at += 1;
        let new = match code {
            LOAD_WORD => u64::from(context[jump / 4]),
            SET => u64::from(constant),
            COPY => u64::from(its),
            AND => u64::from(low & constant),
            OR => u64::from(low | its),
            XOR => u64::from(low ^ constant),
            SHIFT_LEFT => u64::from(low << constant),
            SHIFT_RIGHT => u64::from(low >> constant),
            ADD_64 => registers[to].wrapping_add_signed(i64::from(constant.cast_signed())),
            OR_64 => registers[to] | registers[from],
            EXIT => return registers[0] == 1,
            _ => {
                let taken = match code {
                    IF_NOT => low != constant,
                    IF_EQUAL => low == constant,
                    IF_ANY_BIT => low & constant != 0,
                    IF_NEGATIVE_64 => registers[to].cast_signed() < i64::from(constant.cast_signed()),
                    GO => true,
                    other => panic!("{other:#x}"),
                };
                at += if taken { jump } else { 0 };
                continue;
            }
        };
        registers[to] = new;
    }
}

/// What the rules mean, without any cleverness: each access by itself, the last rule that names it wins.
fn meaning(rules: &DeviceRules, device: Devices, access: u32) -> bool {
    [1, 2, 4].iter().filter(|bit| access & **bit != 0).all(|bit| {
        let names = |rule: &&Rule| rule.devices.covers(device) && rule.access.0 & bit != 0;
        rules.rules.iter().rev().find(names).map_or(rules.default, |rule| rule.verdict) == Verdict::Allow
    })
}

#[test]
fn the_default_program_is_small_and_right() {
    let program = rules(&format!("[{DENY_ALL}]")).program();
    let conditional = |code: &u8| matches!(code & 7, 5 | 6) && !matches!(*code, GO | EXIT);
    let jumps = program.iter().filter(|one| conditional(&one.to_ne_bytes()[0])).count();
    assert!(program.len() <= 64 && jumps == 4, "{} instructions, {jumps} jumps", program.len());
    for (major, minor, access, expected) in [
        (1, 3, 6, true),
        (1, 4, 6, false), // /dev/port
        (1, 4, 1, true),  // its node may be made
        (1, 4, 3, false),
        (5, 0, 7, true),
        (5, 1, 2, false),
        (136, 77, 6, true),
        (10, 200, 6, true),
        (10, 201, 4, false),
    ] {
        assert_eq!(run(&program, Kind::Char, major, minor, access), expected, "c {major}:{minor} {access}");
    }
    assert!(run(&program, Kind::Block, 1, 3, 1) && !run(&program, Kind::Block, 1, 3, 2));
}

#[test]
fn a_number_beyond_the_kernels_own_is_never_met() {
    let json = r#"[{"allow": true, "type": "c", "major": 4097, "minor": 99, "access": "rwm"}]"#;
    let program = rules(json).program();
    assert!(!run(&program, Kind::Char, 1, 99, 2));
}

#[test]
fn a_denied_access_is_not_got_by_asking_for_more() {
    let json = r#"[{"allow": true, "access": "rwm"}, {"allow": false, "type": "b", "major": 8, "access": "w"}]"#;
    let program = rules(json).program();
    assert!(run(&program, Kind::Block, 8, 0, 2) && run(&program, Kind::Block, 8, 0, 3));
    assert!(!run(&program, Kind::Block, 8, 0, 4) && !run(&program, Kind::Block, 8, 0, 6));
    assert!(run(&program, Kind::Block, 9, 0, 6) && run(&program, Kind::Char, 8, 0, 6));
}

#[test]
fn every_list_of_rules_means_what_its_program_does() {
    // A small generator of its own: the same lists every time.
    let mut seed = 7u32;
    let mut next = move |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % below
    };
    for _ in 0..2000 {
        let count = next(8);
        let mut one = || Rule {
            verdict: if next(2) == 0 { Verdict::Allow } else { Verdict::Deny },
            devices: Devices {
                kind: if next(2) == 0 { Kind::Block } else { Kind::Char },
                major: Some(next(3)).filter(|n| *n > 0),
                minor: Some(next(3)).filter(|n| *n > 0),
            },
            access: Access(next(7) + 1),
        };
        let list: Vec<Rule> = (0..count).map(|_| one()).collect();
        for default in [Verdict::Allow, Verdict::Deny] {
            let plain = DeviceRules { default, rules: list.clone() };
            let mut short = plain.clone();
            short.drop_the_hidden();
            let program = short.program();
            for (kind, major, minor, access) in everything() {
                let device = Devices { kind, major: Some(major), minor: Some(minor) };
                let expected = meaning(&plain, device, access);
                assert_eq!(run(&program, kind, major, minor, access), expected, "{list:?} {device:?} {access}");
            }
        }
    }
}

fn everything() -> impl Iterator<Item = (Kind, u32, u32, u32)> {
    let numbers = || 1..4u32;
    [Kind::Block, Kind::Char].into_iter().flat_map(move |kind| {
        numbers().flat_map(move |major| {
            numbers().flat_map(move |minor| (1..8).map(move |access| (kind, major, minor, access)))
        })
    })
}
