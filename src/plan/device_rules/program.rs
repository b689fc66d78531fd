//! Device rules → a BPF program of type CGROUP_DEVICE. Pure.
//!
//! The program gets the access (any of mknod, read, write), the kind of device and its numbers, and returns 1 to allow.
//! Rules are tried from the last to the first. An allowing rule takes the accesses that it covers off the request, and
//! nothing left means yes; a denying rule that touches what is left means no. So a deny of "w" cannot be got around by
//! asking for "rw".
//!
//! Two lists, one per kind of device; neighbours with the same major number share its test.

use super::{ALL, Kind, Rule, Verdict};

/// `struct bpf_insn` in the machine's own byte order: opcode, two registers, a jump's distance, a constant.
/// <https://docs.kernel.org/bpf/standardization/instruction-set.html>
#[derive(Clone, Copy)]
struct Instruction {
    code: u8,
    to: u8,
    from: u8,
    jump: i16,
    constant: i32,
}

const LOAD_WORD: u8 = 0x61; // to = *(u32 *)(from + jump)
const MOVE: u8 = 0xb4; // all of these on 32 bits
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const IF_NOT: u8 = 0x56; // JMP32, Linux 5.1
const IF_EQUAL: u8 = 0x16;
const IF_ANY_BIT: u8 = 0x46;
const GO: u8 = 0x05;
const EXIT: u8 = 0x95;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

/// `BPF_DEVCG_DEV_CHAR`.
const CHAR: i32 = 2;

/// Where a jump leads, before the distances are known.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    Allow,
    Deny,
    /// An instruction by its index.
    At(usize),
}

#[derive(Default)]
struct Program {
    code: Vec<Instruction>,
    jumps: Vec<(usize, Target)>,
}

pub(super) fn compile(default_allow: bool, rules: &[Rule]) -> Vec<u64> {
    let default = if default_allow { Target::Allow } else { Target::Deny };
    let mut program = Program::default();
    // struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }, access_type = access << 16 | kind
    program.add(LOAD_WORD, KIND, CONTEXT, 0, 0);
    program.add(MOVE | 0x08, ACCESS, KIND, 0, 0);
    program.add(SHIFT_RIGHT, ACCESS, 0, 0, 16);
    program.add(AND, KIND, 0, 0, 0xffff);
    program.add(LOAD_WORD, MAJOR, CONTEXT, 4, 0);
    program.add(LOAD_WORD, MINOR, CONTEXT, 8, 0);
    let other_kind = program.jump(IF_EQUAL, KIND, CHAR, Target::Deny);
    program.list(rules.iter().rev().filter(|rule| rule.devices.kind == Kind::Block), default);
    program.jumps[other_kind].1 = Target::At(program.code.len());
    program.list(rules.iter().rev().filter(|rule| rule.devices.kind == Kind::Char), default);
    program.finish()
}

impl Program {
    fn add(&mut self, code: u8, to: u8, from: u8, jump: i16, constant: i32) {
        self.code.push(Instruction { code, to, from, jump, constant });
    }

    /// Adds a jump, and returns its place in `jumps`.
    fn jump(&mut self, code: u8, register: u8, constant: i32, target: Target) -> usize {
        self.jumps.push((self.code.len(), target));
        self.add(code, register, 0, 0, constant);
        self.jumps.len() - 1
    }

    /// The rules of one kind, last one first, and what holds when none applies.
    fn list<'a>(&mut self, rules: impl Iterator<Item = &'a Rule>, default: Target) {
        // The major number that the code at this place is known to run for, and the jump around it.
        let mut known: Option<(u32, usize)> = None;
        let mut decided = false;
        for rule in rules {
            let major = rule.devices.major;
            decided = (major, rule.devices.minor, rule.access) == (None, None, ALL);
            if known.map(|(major, _)| major) != major {
                self.land(known.take());
                known = major.map(|major| (major, self.jump(IF_NOT, MAJOR, major.cast_signed(), Target::Deny)));
            }
            self.rule(rule);
        }
        self.land(known);
        // The verifier refuses instructions that cannot be reached; so does no rule follow one that decides: it is
        // hidden.
        if !decided {
            self.jump(GO, 0, 0, default);
        }
    }

    /// The jump around a group ends here.
    fn land(&mut self, group: Option<(u32, usize)>) {
        if let Some((_, jump)) = group {
            self.jumps[jump].1 = Target::At(self.code.len());
        }
    }

    /// One rule, where the major number is right already.
    fn rule(&mut self, rule: &Rule) {
        let target = if rule.verdict == Verdict::Allow { Target::Allow } else { Target::Deny };
        let minor = rule.devices.minor.map(u32::cast_signed);
        if rule.access == ALL {
            match minor {
                Some(minor) => self.jump(IF_EQUAL, MINOR, minor, target),
                None => self.jump(GO, 0, 0, target),
            };
            return;
        }
        let around = minor.map(|minor| self.jump(IF_NOT, MINOR, minor, Target::Deny));
        let bits = rule.access.0.cast_signed();
        match rule.verdict {
            Verdict::Allow => {
                self.add(AND, ACCESS, 0, 0, !bits);
                self.jump(IF_EQUAL, ACCESS, 0, Target::Allow);
            }
            Verdict::Deny => drop(self.jump(IF_ANY_BIT, ACCESS, bits, Target::Deny)),
        }
        if let Some(around) = around {
            self.jumps[around].1 = Target::At(self.code.len());
        }
    }

    fn finish(mut self) -> Vec<u64> {
        for (target, result) in [(Target::Deny, 0), (Target::Allow, 1)] {
            let at = Target::At(self.code.len());
            let mut used = false;
            for (_, to) in self.jumps.iter_mut().filter(|(_, to)| *to == target) {
                (*to, used) = (at, true);
            }
            if used {
                self.add(MOVE, RESULT, 0, 0, result);
                self.add(EXIT, 0, 0, 0, 0);
            }
        }
        for (from, target) in self.jumps {
            if let Target::At(to) = target {
                self.code[from].jump = i16::try_from(to - from - 1).expect("the number of rules is bounded");
            }
        }
        self.code.iter().map(Instruction::bytes).collect()
    }
}

impl Instruction {
    fn bytes(&self) -> u64 {
        let registers = if cfg!(target_endian = "big") { self.to << 4 | self.from } else { self.from << 4 | self.to };
        let [j0, j1] = self.jump.to_ne_bytes();
        let [c0, c1, c2, c3] = self.constant.to_ne_bytes();
        u64::from_ne_bytes([self.code, registers, j0, j1, c0, c1, c2, c3])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{DENY_ALL, rules};
    use super::super::{Access, DeviceRules, Devices};
    use super::*;

    /// The few instructions above, as the kernel runs them.
    fn run(program: &[u64], kind: Kind, major: u32, minor: u32, access: u32) -> bool {
        let kind = if kind == Kind::Char { 2 } else { 1 };
        let context = [access << 16 | kind, major, minor];
        let mut registers = [0u32; 6];
        let mut at = 0;
        loop {
            let [code, pair, j0, j1, c0, c1, c2, c3] = program[at].to_ne_bytes();
            let (to, from) = (usize::from(pair & 15), usize::from(pair >> 4));
            let jump = i16::from_ne_bytes([j0, j1]);
            let constant = u32::from_ne_bytes([c0, c1, c2, c3]);
            at += 1;
            let taken = match code {
                LOAD_WORD => {
                    registers[to] = context[usize::try_from(jump).unwrap() / 4];
                    continue;
                }
                0xbc => {
                    registers[to] = registers[from];
                    continue;
                }
                MOVE => {
                    registers[to] = constant;
                    continue;
                }
                AND => {
                    registers[to] &= constant;
                    continue;
                }
                SHIFT_RIGHT => {
                    registers[to] >>= constant;
                    continue;
                }
                IF_NOT => registers[to] != constant,
                IF_EQUAL => registers[to] == constant,
                IF_ANY_BIT => registers[to] & constant != 0,
                GO => true,
                EXIT => return registers[0] == 1,
                other => panic!("{other:#x}"),
            };
            if taken {
                at += usize::try_from(jump).unwrap();
            }
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
        assert!(program.len() <= 40, "{} instructions", program.len());
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
}
