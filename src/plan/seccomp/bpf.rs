//! Ranges and checks as classic BPF instructions.
//!
//! ```text
//! load the architecture, find its block          (else: kill)
//! load the number, find its range                binary search, no memory access
//!     answer                                     most calls end here; the kernel (5.11) remembers those that always do
//!     or load arguments and compare, rule by rule
//! ```

use super::Instruction;
use super::abi::Layout;
use super::calls::{Check, Checks, Decision, Map, Range};
use super::policy::{Compare, Condition, FOREIGN};
use std::collections::BTreeMap;

/// <linux/bpf_common.h>.
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_ABOVE: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K

/// Offsets in `struct seccomp_data`, <linux/seccomp.h>.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// The native architecture, the first, is found first and has its block next to the dispatch.
pub fn program(maps: &[Map], default: u32) -> Vec<Instruction> {
    let mut code = Code::default();
    let blocks: Vec<(u32, Label)> = maps.iter().rev().map(|map| (map.audit, code.block(map, default))).collect();
    let mut next = code.answer(FOREIGN);
    for (audit, block) in blocks {
        next = code.branch(IF_EQUAL, audit, block, next);
    }
    code.push(LOAD, ARCHITECTURE);
    code.finish()
}

/// A program that grows from its end to its start. BPF only jumps forward, so that every target is there before the
/// jump.
#[derive(Default)]
struct Code {
    backward: Vec<Instruction>,
    /// The nearest instruction that returns an answer.
    answers: BTreeMap<u32, Label>,
}

/// An instruction, by how many stand after it.
#[derive(Clone, Copy)]
struct Label(usize);

impl Code {
    /// One architecture. Arguments are checked behind the search, so that the search's own jumps stay short.
    fn block(&mut self, map: &Map, default: u32) -> Label {
        let mut checks: Vec<(&Checks, Label)> = Vec::new();
        for range in &map.ranges {
            if let Decision::Check(wanted) = &range.decision
                && !checks.iter().any(|(known, _)| *known == wanted)
            {
                checks.push((wanted, self.checks(wanted, default)));
            }
        }
        let search = self.search(&map.ranges, &checks);
        // One answer for all needs no number. A load must stand right before its first user.
        if map.ranges.len() == 1 { search } else { self.push(LOAD, NUMBER) }
    }

    /// Finds the range of the number in the accumulator.
    fn search(&mut self, ranges: &[Range], checks: &[(&Checks, Label)]) -> Label {
        if let Some((exceptions, rest)) = few_exceptions(ranges) {
            let mut next = self.decision(rest, checks);
            for exception in exceptions.into_iter().rev() {
                let then = self.decision(&exception.decision, checks);
                next = self.branch(IF_EQUAL, exception.first, then, next);
            }
            return next;
        }
        let half = ranges.len() / 2;
        // In front of a single number rather than behind it: it will be an exception.
        let middle = if single(ranges, half) { half } else { half + 1 };
        let (low, high) = ranges.split_at(middle.min(ranges.len() - 1));
        let (yes, no) = (self.search(high, checks), self.search(low, checks));
        self.branch(IF_AT_LEAST, high[0].first, yes, no)
    }

    fn decision(&mut self, decision: &Decision, checks: &[(&Checks, Label)]) -> Label {
        match decision {
            Decision::Answer(value) => self.answer(*value),
            Decision::Check(wanted) => {
                let known = checks.iter().find(|(known, _)| *known == wanted);
                known.expect("block() has written all checks of the map").1
            }
        }
    }

    fn checks(&mut self, checks: &Checks, default: u32) -> Label {
        let (layout, mut next) = (checks.layout, self.answer(default));
        let same = |a: &Check, b: &Check| exact(a, layout).is_some() && exact(a, layout) == exact(b, layout);
        for checks in checks.all.chunk_by(same).rev() {
            next = match exact(&checks[0], layout) {
                Some(of) => self.values(checks, of, layout, next),
                None => self.conditions(&checks[0], layout, next),
            };
        }
        next
    }

    /// Checks for several values of one argument, of which the high word is the same: both words are loaded once.
    fn values(&mut self, checks: &[Check], (argument, high): (u32, u32), layout: Layout, otherwise: Label) -> Label {
        let test = |check: &Check| (IF_EQUAL, halves(check.conditions[0].value).0, self.answer(check.answer));
        let tests: Vec<(u16, u32, Label)> = checks.iter().map(test).collect();
        let low = self.word(layout.low(argument), u32::MAX, &tests, otherwise);
        match layout.high(argument) {
            Some(at) => self.word(at, u32::MAX, &[(IF_EQUAL, high, low)], otherwise),
            None => low,
        }
    }

    fn conditions(&mut self, check: &Check, layout: Layout, otherwise: Label) -> Label {
        let mut then = self.answer(check.answer);
        for condition in check.conditions.iter().rev() {
            then = self.condition(condition, layout, then, otherwise);
        }
        then
    }

    /// The high words decide unless they are equal.
    fn condition(&mut self, condition: &Condition, layout: Layout, then: Label, otherwise: Label) -> Label {
        let (yes, no) = if condition.holds { (then, otherwise) } else { (otherwise, then) };
        let Condition { argument, compare, mask, value, .. } = *condition;
        let (low_at, high_at) = (layout.low(argument), layout.high(argument));
        let ((low_mask, high_mask), (low, high)) = (halves(mask), halves(value));
        let equal = if low_mask == 0 { yes } else { self.word(low_at, low_mask, &[(code(compare), low, yes)], no) };
        match (high_at, compare) {
            (Some(at), Compare::Equal) if high_mask != 0 => self.word(at, high_mask, &[(IF_EQUAL, high, equal)], no),
            (Some(at), Compare::AtLeast | Compare::Above) => {
                self.word(at, high_mask, &[(IF_ABOVE, high, yes), (IF_EQUAL, high, equal)], no)
            }
            _ => equal,
        }
    }

    /// Loads a word and goes to the first test that holds.
    fn word(&mut self, at: u32, mask: u32, tests: &[(u16, u32, Label)], otherwise: Label) -> Label {
        let mut next = otherwise;
        for (code, value, then) in tests.iter().rev() {
            next = self.branch(*code, *value, *then, next);
        }
        if mask != u32::MAX {
            self.push(AND, mask);
        }
        self.push(LOAD, at)
    }

    fn answer(&mut self, value: u32) -> Label {
        match self.answers.get(&value) {
            Some(label) => *label,
            None => self.push(RETURN, value),
        }
    }

    fn branch(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        let (yes, no) = (self.near(yes), self.near(no));
        let instruction = Instruction { code, jt: self.distance(yes), jf: self.distance(no), k };
        self.put(instruction)
    }

    /// A conditional jump reaches 255 instructions. For what is further away: an answer is repeated, all else jumped
    /// to.
    fn near(&mut self, label: Label) -> Label {
        // One is kept for what `branch` may have to put in between.
        const REACH: usize = 255 - 1;
        let target = self.backward[label.0];
        let label = if target.code == RETURN { self.answer(target.k) } else { label };
        match (self.backward.len() - 1 - label.0, target.code) {
            (skip, _) if skip <= REACH => label,
            (_, RETURN) => self.push(RETURN, target.k),
            (skip, _) => self.push(JUMP, u32::try_from(skip).expect("a program in memory has fewer instructions")),
        }
    }

    /// How many instructions the next one would have to skip.
    fn distance(&self, label: Label) -> u8 {
        u8::try_from(self.backward.len() - 1 - label.0).expect("near() keeps targets in reach")
    }

    fn push(&mut self, code: u16, k: u32) -> Label {
        let label = self.put(Instruction { code, jt: 0, jf: 0, k });
        if code == RETURN {
            self.answers.insert(k, label);
        }
        label
    }

    fn put(&mut self, instruction: Instruction) -> Label {
        self.backward.push(instruction);
        Label(self.backward.len() - 1)
    }

    fn finish(mut self) -> Vec<Instruction> {
        self.backward.reverse();
        self.backward
    }
}

/// The argument and the high word of its value, if a check wants just one value of one argument.
fn exact(check: &Check, layout: Layout) -> Option<(u32, u32)> {
    match check.conditions[..] {
        [Condition { argument, compare: Compare::Equal, holds: true, mask, value }] if mask == layout.bits() => {
            Some((argument, halves(value).1))
        }
        _ => None,
    }
}

/// Ranges that are one decision but for a few single numbers: as cheap to test one by one as to search, and shorter.
fn few_exceptions(ranges: &[Range]) -> Option<(Vec<&Range>, &Decision)> {
    const FEW: usize = 3;
    let rest = &ranges.last()?.decision;
    let exceptional = (0..ranges.len()).filter(|at| ranges[*at].decision != *rest);
    let exceptions: Vec<usize> = exceptional.take(FEW + 1).collect();
    let few = exceptions.len() <= FEW && exceptions.iter().all(|at| single(ranges, *at));
    few.then(|| (exceptions.into_iter().map(|at| &ranges[at]).collect(), rest))
}

/// Is this range one number? Not known of the last.
fn single(ranges: &[Range], at: usize) -> bool {
    ranges.get(at + 1).is_some_and(|next| next.first == ranges[at].first + 1)
}

fn code(compare: Compare) -> u16 {
    match compare {
        Compare::Equal => IF_EQUAL,
        Compare::AtLeast => IF_AT_LEAST,
        Compare::Above => IF_ABOVE,
    }
}

/// Low and high word.
fn halves(value: u64) -> (u32, u32) {
    let [h3, h2, h1, h0, low @ ..] = value.to_be_bytes();
    (u32::from_be_bytes(low), u32::from_be_bytes([h3, h2, h1, h0]))
}
