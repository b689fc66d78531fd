//! What a profile says that should happen, read rule by rule as the OCI text has it: no ranges, no order, no program.

use super::super::abi::{self, Abi, Layout, Names};
use super::machine::Call;
use super::{ENOSYS, KILL};
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg as Arg, LinuxSeccompOperator as Op,
};
use std::collections::BTreeMap;
use std::sync::LazyLock;

pub static NAMES: LazyLock<Names> = LazyLock::new(Names::new);

/// A profile, its names looked up.
pub struct Reading {
    /// SECCOMP_RET_* for what no rule is about.
    pub default: u32,
    /// Does the default action deny, so that new calls get ENOSYS?
    denies: bool,
    pub abis: Vec<OfAbi>,
}

/// What it says on one ABI.
pub struct OfAbi {
    pub abi: &'static Abi,
    /// The highest number of a name, where the kernel adds calls.
    newest: Option<u32>,
    pub rules: BTreeMap<u32, Vec<Said>>,
}

/// By one rule, about one number.
#[derive(Debug)]
pub struct Said {
    pub conditions: Vec<Condition>,
    /// SECCOMP_RET_*.
    pub answer: u32,
}

/// One entry of `args`.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    pub argument: usize,
    op: Op,
    pub value: u64,
    pub second: u64,
}

impl Reading {
    pub fn new(profile: &LinuxSeccomp, native: &str) -> Reading {
        let quiet = [Action::ScmpActAllow, Action::ScmpActLog, Action::ScmpActTrace];
        let names = profile.architectures().iter().flatten().map(ToString::to_string);
        let mut abis: Vec<OfAbi> = Vec::new();
        for name in [native.to_string()].into_iter().chain(names) {
            let abi = abi::find(&name).expect("the tests use names of the table");
            if !abis.iter().any(|known| std::ptr::eq(known.abi, abi)) {
                abis.push(OfAbi::new(profile, abi));
            }
        }
        Reading {
            default: profile.default_action().as_u32(profile.default_errno_ret()),
            denies: !quiet.contains(&profile.default_action()),
            abis,
        }
    }

    /// The answers that the profile allows for a call: that of a rule without conditions, else those of all rules that
    /// match, else the default. More than one only where rules with conditions overlap.
    pub fn answers(&self, call: Call) -> Vec<u32> {
        if self.too_new(call) { vec![ENOSYS] } else { self.said(call) }
    }

    /// As if no call were too new.
    pub fn said(&self, call: Call) -> Vec<u32> {
        let Some(of) = self.of(call) else {
            let skipped = call.number == u32::MAX && self.abis.iter().any(|of| of.abi.audit == call.audit);
            return vec![if skipped { self.default } else { KILL }];
        };
        let layout = of.abi.layout;
        let rules: Vec<&Said> = self.rules(call).iter().filter(|said| said.answer != self.default).collect();
        if let Some(always) = rules.iter().find(|said| said.conditions.iter().all(|one| one.says_nothing(layout))) {
            return vec![always.answer];
        }
        let holds = |said: &&&Said| said.conditions.iter().all(|one| one.holds(call, layout));
        let answers: Vec<u32> = rules.iter().filter(holds).map(|said| said.answer).collect();
        if answers.is_empty() { vec![self.default] } else { answers }
    }

    /// The rules about its number.
    pub fn rules(&self, call: Call) -> &[Said] {
        self.of(call).and_then(|of| of.rules.get(&call.number)).map_or(&[], Vec::as_slice)
    }

    /// Newer than all that the profile names?
    pub fn too_new(&self, call: Call) -> bool {
        let Some(of) = self.of(call) else { return false };
        let newer = of.newest.is_some_and(|newest| call.number > newest) && of.abi.growing().contains(&call.number);
        self.denies && (newer || of.abi.unknown() == Some(call.number))
    }

    fn of(&self, call: Call) -> Option<&OfAbi> {
        self.abis.iter().find(|of| of.abi.audit == call.audit && of.abi.numbers().contains(&call.number))
    }
}

impl OfAbi {
    fn new(profile: &LinuxSeccomp, abi: &'static Abi) -> OfAbi {
        let mut rules: BTreeMap<u32, Vec<Said>> = BTreeMap::new();
        for rule in profile.syscalls().iter().flatten() {
            let answer = rule.action().as_u32(rule.errno_ret());
            let args = rule.args().as_deref().unwrap_or_default();
            for name in rule.names().iter().map(|name| NAMES.find(name)) {
                for conditions in alternatives(args) {
                    if let Some(number) = abi.number(&name) {
                        rules.entry(number).or_default().push(Said { conditions: conditions.clone(), answer });
                    }
                    if let Some((number, first)) = abi.multiplexer(&name) {
                        let which = Condition { argument: 0, op: Op::ScmpCmpEq, value: first, second: 0 };
                        let others = conditions.into_iter().filter(|one| one.argument != 0);
                        let conditions = others.chain([which]).collect();
                        rules.entry(number).or_default().push(Said { conditions, answer });
                    }
                }
            }
        }
        let newest = rules.keys().rev().find(|number| abi.growing().contains(number)).copied();
        OfAbi { abi, newest, rules }
    }
}

/// All conditions together; but each alone if two are about the same argument.
fn alternatives(args: &[Arg]) -> Vec<Vec<Condition>> {
    let twice = args.iter().any(|a| args.iter().filter(|b| a.index() == b.index()).count() > 1);
    let all = args.iter().map(|arg| Condition {
        argument: arg.index(),
        op: arg.op(),
        value: arg.value(),
        second: arg.value_two().unwrap_or(0),
    });
    if twice { all.map(|one| vec![one]).collect() } else { vec![all.collect()] }
}

impl Condition {
    fn says_nothing(&self, layout: Layout) -> bool {
        self.op == Op::ScmpCmpMaskedEq && self.value & layout.bits() == 0
    }

    fn holds(&self, call: Call, layout: Layout) -> bool {
        let [is, value, second] = [call.args[self.argument], self.value, self.second].map(|v| v & layout.bits());
        match self.op {
            Op::ScmpCmpNe => is != value,
            Op::ScmpCmpLt => is < value,
            Op::ScmpCmpLe => is <= value,
            Op::ScmpCmpEq => is == value,
            Op::ScmpCmpGe => is >= value,
            Op::ScmpCmpGt => is > value,
            Op::ScmpCmpMaskedEq => is & value == second & value,
        }
    }
}
