//! Device rules → a BPF program of type CGROUP_DEVICE. Pure.
//!
//! The program gets the access (any of mknod, read, write), the kind of device and its numbers, and returns 1 to allow.
//! Rules are tried from the last to the first. An allowing rule takes the accesses that it covers off the request, and
//! nothing left means yes; a denying rule that touches what is left means no. So a deny of "w" cannot be got around by
//! asking for "rw".
//!
//! Loading a program is the dearest step in making a cgroup, and what makes it dear are conditional jumps, which the
//! kernel's verifier follows both ways (some 9 µs each, against 0.5 µs for arithmetic). So there is one list per kind
//! of device, and neighbours in it that say the same of whole devices are compared without a jump.

use super::{ALL, Devices, Kind, Rule, Verdict};

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
const SET: u8 = 0xb4; // 32 bits, as all that is not marked
const COPY: u8 = 0xbc;
const AND: u8 = 0x54;
const OR: u8 = 0x4c;
const XOR: u8 = 0xa4;
const SHIFT_LEFT: u8 = 0x64;
const SHIFT_RIGHT: u8 = 0x74;
const ADD_64: u8 = 0x07;
const OR_64: u8 = 0x4f;
const IF_NOT: u8 = 0x56; // with a 32-bit register, Linux 5.1
const IF_EQUAL: u8 = 0x16;
const IF_ANY_BIT: u8 = 0x46;
const IF_NEGATIVE_64: u8 = 0xc5;
const GO: u8 = 0x05;
const EXIT: u8 = 0x95;

const RESULT: u8 = 0; // until the end: where a run of comparisons is gathered
const CONTEXT: u8 = 1; // once all is loaded: one comparison
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const NUMBER: u8 = 6; // major << 20 | minor, as the kernel keeps it

/// The widths of major and minor in the kernel's number (`MINORBITS`). A rule for a larger one never applies.
const MAJOR_BITS: u32 = 12;
const MINOR_BITS: u32 = 20;

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

/// `default` holds for devices that no rule names.
pub(super) fn compile(default: Verdict, rules: &[Rule]) -> Vec<u64> {
    let default = target(default);
    let mut program = Program::default();
    // struct bpf_cgroup_dev_ctx { u32 access_type; u32 major; u32 minor; }, access_type = access << 16 | kind
    program.add(LOAD_WORD, KIND, CONTEXT, 0, 0);
    program.add(COPY, ACCESS, KIND, 0, 0);
    program.add(SHIFT_RIGHT, ACCESS, 0, 0, 16);
    program.add(AND, KIND, 0, 0, 0xffff);
    program.add(LOAD_WORD, MAJOR, CONTEXT, 4, 0);
    program.add(LOAD_WORD, MINOR, CONTEXT, 8, 0);
    program.add(COPY, NUMBER, MAJOR, 0, 0);
    program.add(SHIFT_LEFT, NUMBER, 0, 0, MINOR_BITS.cast_signed());
    program.add(OR, NUMBER, MINOR, 0, 0);
    let of = |kind| rules.iter().rev().filter(move |rule| rule.devices.kind == kind && can_be(rule.devices));
    let is_char = program.jump(IF_EQUAL, KIND, CHAR, Target::Deny);
    program.list(&of(Kind::Block).collect::<Vec<_>>(), default);
    program.jumps[is_char].1 = Target::At(program.code.len());
    program.list(&of(Kind::Char).collect::<Vec<_>>(), default);
    program.finish()
}

fn can_be(devices: Devices) -> bool {
    devices.major.is_none_or(|n| n >> MAJOR_BITS == 0) && devices.minor.is_none_or(|n| n >> MINOR_BITS == 0)
}

/// The register and the value in it that tell these devices; `None` for all of a kind.
fn test(devices: Devices) -> Option<(u8, i32)> {
    let (register, value) = match (devices.major, devices.minor) {
        (Some(major), Some(minor)) => (NUMBER, major << MINOR_BITS | minor),
        (Some(major), None) => (MAJOR, major),
        (None, Some(minor)) => (MINOR, minor),
        (None, None) => return None,
    };
    Some((register, value.cast_signed()))
}

/// Can they be compared in one go?
fn are_alike(one: &Rule, other: &Rule) -> bool {
    let whole = |rule: &Rule| rule.access == ALL && test(rule.devices).is_some();
    one.verdict == other.verdict && whole(one) && whole(other)
}

fn target(verdict: Verdict) -> Target {
    match verdict {
        Verdict::Allow => Target::Allow,
        Verdict::Deny => Target::Deny,
    }
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
    fn list(&mut self, rules: &[&Rule], default: Target) {
        for run in rules.chunk_by(|a, b| are_alike(a, b)) {
            match run {
                [rule] => self.rule(rule),
                several => self.run(several),
            }
        }
        // The verifier refuses instructions that cannot be reached, as after a rule for all devices and accesses. No
        // other rule stands there: it would be hidden.
        if !rules.last().is_some_and(|rule| rule.access == ALL && test(rule.devices).is_none()) {
            self.jump(GO, 0, 0, default);
        }
    }

    fn rule(&mut self, rule: &Rule) {
        let (test, target) = (test(rule.devices), target(rule.verdict));
        if rule.access == ALL {
            match test {
                Some((register, value)) => self.jump(IF_EQUAL, register, value, target),
                None => self.jump(GO, 0, 0, target),
            };
            return;
        }
        let around = test.map(|(register, value)| self.jump(IF_NOT, register, value, Target::Deny));
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

    /// Rules that are alike: the difference between what is asked for and what a rule names, less one, is negative in
    /// 64 bits only when there is none. All of them or-ed are negative when one is.
    fn run(&mut self, rules: &[&Rule]) {
        for (i, (register, value)) in rules.iter().filter_map(|rule| test(rule.devices)).enumerate() {
            let into = if i == 0 { RESULT } else { CONTEXT };
            self.add(COPY, into, register, 0, 0);
            self.add(XOR, into, 0, 0, value);
            self.add(ADD_64, into, 0, 0, -1);
            if i > 0 {
                self.add(OR_64, RESULT, CONTEXT, 0, 0);
            }
        }
        self.jump(IF_NEGATIVE_64, RESULT, 0, target(rules[0].verdict));
    }

    fn finish(mut self) -> Vec<u64> {
        for (target, result) in [(Target::Deny, 0), (Target::Allow, 1)] {
            let at = Target::At(self.code.len());
            let mut used = false;
            for (_, to) in self.jumps.iter_mut().filter(|(_, to)| *to == target) {
                (*to, used) = (at, true);
            }
            if used {
                self.add(SET, RESULT, 0, 0, result);
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
mod tests;
