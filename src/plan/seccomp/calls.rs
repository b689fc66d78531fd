//! For each architecture: what to answer to which call number.

use super::abi::{Abi, Layout, Name, Names};
use super::policy::{ALLOW, Compare, Condition, FOREIGN, LOG, NOTIFY, Policy, Rule, severity};
use std::cmp::Reverse;

/// The whole number space of one AUDIT_ARCH_*.
pub struct Map {
    pub audit: u32,
    /// Begins with 0. Neighbours differ.
    pub ranges: Vec<Range>,
}

/// Numbers up to the beginning of the next range.
#[derive(Clone, Debug)]
pub struct Range {
    pub first: u32,
    pub decision: Decision,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// SECCOMP_RET_*.
    Answer(u32),
    Check(Checks),
}

/// The first check whose conditions all hold answers; else the default does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checks {
    pub layout: Layout,
    pub all: Vec<Check>,
}

/// What one rule says about one number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    /// None of them always holds. Empty only before all checks of a number are put together.
    pub conditions: Vec<Condition>,
    /// SECCOMP_RET_*.
    pub answer: u32,
}

/// One for each kernel tag that the profile's architectures have, that of the native one first.
pub fn maps(policy: &Policy, names: &Names) -> Vec<Map> {
    let find = |rule: &Rule| rule.names.iter().map(|name| names.find(name)).collect();
    let rules: Vec<(&Rule, Vec<Name>)> = policy.rules.iter().map(|rule| (rule, find(rule))).collect();
    let mut maps: Vec<Map> = Vec::new();
    for abi in &policy.abis {
        if maps.iter().all(|map| map.audit != abi.audit) {
            let abis = policy.abis.iter().copied().filter(|other| other.audit == abi.audit).collect();
            maps.push(Map { audit: abi.audit, ranges: ranges(policy, abis, &rules) });
        }
    }
    maps
}

/// Does a call, whatever its arguments, get an answer by which it is not carried out?
pub fn always_denied(map: &Map, number: u32) -> bool {
    let range = map.ranges.iter().rev().find(|range| range.first <= number);
    // More severe than a tracer's or an agent's word: nothing of the call happens.
    matches!(range, Some(Range { decision: Decision::Answer(answer), .. }) if severity(*answer) < severity(NOTIFY))
}

/// Is a call with these arguments (and 0 for the rest) carried out, whether it is logged or not?
pub fn allows(map: &Map, default: u32, number: u32, args: &[u64]) -> bool {
    let Some(range) = map.ranges.iter().rev().find(|range| range.first <= number) else { return false };
    let holds = |condition: &Condition| {
        let value = args.get(condition.argument as usize).copied().unwrap_or(0) & condition.mask;
        let compared = match condition.compare {
            Compare::Equal => value == condition.value,
            Compare::AtLeast => value >= condition.value,
            Compare::Above => value > condition.value,
        };
        compared == condition.holds
    };
    let answer = match &range.decision {
        Decision::Answer(answer) => *answer,
        Decision::Check(checks) => {
            let met = checks.all.iter().find(|check| check.conditions.iter().all(holds));
            met.map_or(default, |check| check.answer)
        }
    };
    matches!(answer, ALLOW | LOG)
}

/// Of the ABIs that share a kernel tag.
fn ranges(policy: &Policy, mut abis: Vec<&Abi>, rules: &[(&Rule, Vec<Name>)]) -> Vec<Range> {
    abis.sort_by_key(|abi| *abi.numbers().start());
    let (mut background, mut calls) = (vec![answer(0, FOREIGN)], Vec::new());
    for abi in abis {
        let checks = checks(abi, rules);
        background.extend(without_rules(policy, abi, &checks));
        calls.extend(decisions(checks, abi.layout, policy.default));
        calls.extend(abi.unknown().zip(policy.newer).map(|(number, enosys)| answer(number, enosys)));
    }
    // -1, by which a tracer skips a call: seccomp sees it since Linux 4.8.
    if background.last().is_some_and(|last| last.decision == Decision::Answer(FOREIGN)) {
        background.push(answer(u32::MAX, policy.default));
    }
    overlay(background, calls)
}

fn answer(first: u32, value: u32) -> Range {
    Range { first, decision: Decision::Answer(value) }
}

/// What the calls of an ABI, and the numbers after it, get if no rule is about them.
fn without_rules(policy: &Policy, abi: &Abi, checks: &[(u32, Check)]) -> Vec<Range> {
    let (numbers, growing) = (abi.numbers(), abi.growing());
    let mut ranges = vec![answer(*numbers.start(), policy.default)];
    let newest = checks.iter().map(|(number, _)| *number).filter(|number| growing.contains(number)).max();
    if let (Some(newest), Some(enosys)) = (newest, policy.newer) {
        ranges.push(answer(newest + 1, enosys));
        if growing.end() < numbers.end() {
            ranges.push(answer(growing.end() + 1, policy.default));
        }
    }
    ranges.extend(numbers.end().checked_add(1).map(|after| answer(after, FOREIGN)));
    ranges
}

/// Everything the rules say about the numbers of an ABI, in the profile's order, also what only repeats the default.
fn checks(abi: &Abi, rules: &[(&Rule, Vec<Name>)]) -> Vec<(u32, Check)> {
    let mut checks = Vec::new();
    for (rule, names) in rules {
        for name in names {
            let direct = abi.number(name).map(|number| (number, None));
            let through = abi.multiplexer(name).map(|(number, first)| (number, Some(first)));
            for (number, first) in direct.into_iter().chain(through) {
                checks.extend(rule.alternatives.iter().map(|conditions| {
                    let conditions = narrowed(multiplexed(conditions, first), abi.layout.bits());
                    (number, Check { conditions, answer: rule.action })
                }));
            }
        }
    }
    checks
}

/// With a first argument to tell which call is meant: then the arguments of that call are behind a pointer, and the
/// first one's condition has to go.
fn multiplexed(conditions: &[Condition], first: Option<u64>) -> Vec<Condition> {
    let Some(value) = first else { return conditions.to_vec() };
    let which = Condition { argument: 0, compare: Compare::Equal, holds: true, mask: u64::MAX, value };
    std::iter::once(which).chain(conditions.iter().copied().filter(|condition| condition.argument != 0)).collect()
}

/// Without those that always hold: a mask of nothing.
fn narrowed(conditions: Vec<Condition>, bits: u64) -> Vec<Condition> {
    let narrow = |c: Condition| Condition { mask: c.mask & bits, value: c.value & c.mask & bits, ..c };
    conditions.into_iter().map(narrow).filter(|condition| condition.mask != 0).collect()
}

/// One decision for each number, ascending.
fn decisions(mut checks: Vec<(u32, Check)>, layout: Layout, default: u32) -> Vec<Range> {
    checks.retain(|(_, check)| check.answer != default);
    checks.sort_by_key(|(number, _)| *number);
    let same = |a: &(u32, Check), b: &(u32, Check)| a.0 == b.0;
    checks.chunk_by(same).map(|of_one| Range { first: of_one[0].0, decision: decision(of_one, layout) }).collect()
}

fn decision(checks: &[(u32, Check)], layout: Layout) -> Decision {
    if let Some((_, always)) = checks.iter().find(|(_, check)| check.conditions.is_empty()) {
        return Decision::Answer(always.answer);
    }
    let mut all: Vec<Check> = checks.iter().map(|(_, check)| check.clone()).collect();
    all.sort_by_cached_key(|check| {
        (check.conditions.iter().map(Condition::order).collect::<Vec<_>>(), severity(check.answer))
    });
    all.dedup_by(|next, kept| next.conditions == kept.conditions);
    Decision::Check(Checks { layout, all })
}

/// `calls` are of one number each and cover the background. Of two for one number the later holds.
fn overlay(background: Vec<Range>, calls: Vec<Range>) -> Vec<Range> {
    let behind = |first: u32| {
        let range = background.iter().rev().find(|range| range.first <= first).expect("the background begins with 0");
        Range { first, decision: range.decision.clone() }
    };
    let after: Vec<Range> = calls.iter().filter_map(|call| call.first.checked_add(1)).map(behind).collect();
    let mut all: Vec<Range> = background.into_iter().chain(after).chain(calls).collect();
    all.sort_by_key(|range| range.first);
    all.dedup_by(|next, kept| {
        let again = next.first == kept.first;
        if again {
            std::mem::swap(next, kept);
        }
        again
    });
    all.dedup_by(|next, kept| next.decision == kept.decision);
    all
}

impl Condition {
    /// libseccomp's order of trying (its `_db_chain_lt`): later arguments first; equality, then "less", then
    /// "greater"; of two limits the tighter, else the larger value. The rest only makes the order complete.
    fn order(&self) -> impl Ord + use<> {
        let (class, tightness) = match (self.compare, self.holds) {
            (Compare::Equal, _) => (0, !self.value),
            (_, false) => (1, self.value),
            (_, true) => (2, !self.value),
        };
        (Reverse(self.argument), class, tightness, self.compare, self.mask, self.holds)
    }
}
