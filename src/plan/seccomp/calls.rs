//! For each architecture: what to answer to which call number.

use super::abi::{Abi, Layout, Names};
use super::policy::{Compare, Condition, FOREIGN, Policy, severity};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// The whole number space of one AUDIT_ARCH_*.
pub struct Map {
    pub audit: u32,
    /// Ascending by their first number, which is 0; each ends where the next begins. Neighbours differ.
    pub ranges: Vec<(u32, Decision)>,
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

/// None of `conditions` always holds, and there is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Check {
    pub conditions: Vec<Condition>,
    /// SECCOMP_RET_*.
    pub answer: u32,
}

/// One for each kernel tag that the profile's architectures have, that of the native one first.
pub fn maps(policy: &Policy) -> Vec<Map> {
    let names = Names::new();
    let mut canvases: Vec<(u32, Canvas)> = Vec::new();
    for abi in &policy.abis {
        let at = canvases.iter().position(|(audit, _)| *audit == abi.audit).unwrap_or_else(|| {
            canvases.push((abi.audit, Canvas::new(policy.default)));
            canvases.len() - 1
        });
        paint(&mut canvases[at].1, policy, abi, &names);
    }
    canvases.into_iter().map(|(audit, canvas)| Map { audit, ranges: canvas.ranges() }).collect()
}

/// From the general to the particular: what comes later covers what was there.
fn paint(canvas: &mut Canvas, policy: &Policy, abi: &Abi, names: &Names) {
    canvas.fill(abi.numbers(), Decision::Answer(policy.default));
    let calls = Calls::of(policy, abi, names);
    if let (Some(enosys), Some(newest)) = (policy.newer, calls.newest) {
        canvas.fill(newest + 1..=*abi.growing().end(), Decision::Answer(enosys));
    }
    for (number, call) in calls.rules {
        canvas.fill(number..=number, call.decision(abi.layout));
    }
    if let (Some(enosys), Some(number)) = (policy.newer, abi.unknown()) {
        canvas.fill(number..=number, Decision::Answer(enosys));
    }
}

/// What the profile says about the calls of one ABI.
#[derive(Default)]
struct Calls {
    rules: BTreeMap<u32, Call>,
    /// The highest number of all its names, also of those whose rule only repeats the default.
    newest: Option<u32>,
}

#[derive(Default)]
struct Call {
    always: Option<u32>,
    checks: Vec<Check>,
}

impl Calls {
    fn of(policy: &Policy, abi: &Abi, names: &Names) -> Calls {
        let mut calls = Calls::default();
        for rule in &policy.rules {
            for name in rule.names {
                let direct = abi.number(names, name).map(|number| (number, None));
                let through = abi.multiplexer(names, name).map(|(number, first)| (number, Some(first)));
                for (number, first) in direct.into_iter().chain(through) {
                    calls.newest = calls.newest.max(Some(number).filter(|number| abi.growing().contains(number)));
                    for conditions in rule.alternatives.iter().filter(|_| rule.action != policy.default) {
                        calls.add(number, &multiplexed(conditions, first), rule.action, abi.layout);
                    }
                }
            }
        }
        calls
    }

    fn add(&mut self, number: u32, conditions: &[Condition], answer: u32, layout: Layout) {
        let call = self.rules.entry(number).or_default();
        let narrowed = conditions.iter().map(|condition| condition.narrowed(layout.bits()));
        // A mask of nothing always holds.
        let conditions: Vec<Condition> = narrowed.filter(|condition| condition.mask != 0).collect();
        if conditions.is_empty() {
            call.always.get_or_insert(answer);
        } else {
            call.checks.push(Check { conditions, answer });
        }
    }
}

/// With a first argument to tell which call is meant: then the arguments of that call are behind a pointer, and the first
/// one's condition has to go.
fn multiplexed(conditions: &[Condition], first: Option<u64>) -> Vec<Condition> {
    let Some(value) = first else { return conditions.to_vec() };
    let which = Condition { argument: 0, compare: Compare::Equal, holds: true, mask: u64::MAX, value };
    std::iter::once(which).chain(conditions.iter().copied().filter(|condition| condition.argument != 0)).collect()
}

impl Call {
    fn decision(mut self, layout: Layout) -> Decision {
        if let Some(answer) = self.always {
            return Decision::Answer(answer);
        }
        self.checks.sort_by_cached_key(|check| {
            (check.conditions.iter().map(Condition::order).collect::<Vec<_>>(), severity(check.answer))
        });
        self.checks.dedup_by(|next, kept| next.conditions == kept.conditions);
        Decision::Check(Checks { layout, all: self.checks })
    }
}

impl Condition {
    fn narrowed(self, bits: u64) -> Condition {
        let mask = self.mask & bits;
        Condition { mask, value: self.value & mask, ..self }
    }

    /// libseccomp's order of trying (its `_db_chain_lt`): later arguments first; equality, then "less", then "greater"; of two
    /// limits the tighter. The rest only makes the order complete.
    fn order(&self) -> impl Ord + use<> {
        let (class, tightness) = match (self.compare, self.holds) {
            (Compare::Equal, _) => (0, !self.value),
            (_, false) => (1, self.value),
            (_, true) => (2, !self.value),
        };
        (Reverse(self.argument), class, tightness, self.compare, self.mask, self.holds)
    }
}

/// Decisions by their first number; each holds up to the next. Never empty: 0 is always there.
struct Canvas(BTreeMap<u32, Decision>);

impl Canvas {
    /// Numbers of no listed ABI. The last is -1, by which a tracer skips a call: seccomp sees it since Linux 4.8.
    fn new(default: u32) -> Canvas {
        Canvas(BTreeMap::from([(0, Decision::Answer(FOREIGN)), (u32::MAX, Decision::Answer(default))]))
    }

    fn fill(&mut self, numbers: RangeInclusive<u32>, decision: Decision) {
        if let Some(after) = numbers.end().checked_add(1) {
            let (_, follows) = self.0.range(..=after).next_back().expect("0 is always there");
            let follows = follows.clone();
            self.0.insert(after, follows);
        }
        let covered: Vec<u32> = self.0.range(numbers.clone()).map(|(number, _)| *number).collect();
        for number in covered {
            self.0.remove(&number);
        }
        self.0.insert(*numbers.start(), decision);
    }

    fn ranges(self) -> Vec<(u32, Decision)> {
        let mut ranges: Vec<(u32, Decision)> = self.0.into_iter().collect();
        ranges.dedup_by(|next, kept| next.1 == kept.1);
        ranges
    }
}
