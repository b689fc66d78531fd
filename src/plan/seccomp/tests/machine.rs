//! What the kernel does with a program, and what the profile says that it should do.

use super::super::abi::{self, Abi, Layout, Names};
use super::super::{Instruction, Program};
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg as Arg, LinuxSeccompOperator as Op,
};
use std::sync::LazyLock;

pub static NAMES: LazyLock<Names> = LazyLock::new(Names::new);

/// One call, as seccomp sees it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub audit: u32,
    pub number: u32,
    pub args: [u64; 6],
}

/// Runs a program as the kernel would; `layout` is for the byte order. Panics on what the kernel would not load.
pub fn run(program: &Program, call: Call, layout: Layout) -> u32 {
    let big = matches!(layout, Layout::Big32 | Layout::Big64);
    let mut data = vec![call.number, call.audit, 0, 0];
    for arg in call.args {
        let (low, high) = (u32::try_from(arg & 0xffff_ffff), u32::try_from(arg >> 32));
        data.extend(if big { [high, low] } else { [low, high] }.map(|word| word.expect("32 bits")));
    }
    let (mut accumulator, mut at) = (0u32, 0usize);
    loop {
        let Instruction { code, jt, jf, k } = program.instructions[at];
        let jump = |holds: bool| usize::from(if holds { jt } else { jf });
        at += 1;
        match code {
            0x20 if k.is_multiple_of(4) => accumulator = data[k as usize / 4],
            0x54 => accumulator &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(accumulator == k),
            0x25 => at += jump(accumulator > k),
            0x35 => at += jump(accumulator >= k),
            0x06 => return k,
            _ => panic!("instruction {}: the compiler does not use {code:#x} {k:#x}", at - 1),
        }
    }
}

/// The instructions that the kernel's own check (`seccomp_check_filter`, `bpf_check_classic`) would refuse.
pub fn invalid(program: &Program) -> Vec<usize> {
    let all = &program.instructions;
    let inside = |at: usize, skip: u32| at + 1 + (skip as usize) < all.len();
    let valid = |at: usize, i: &Instruction| match i.code {
        0x20 => i.k.is_multiple_of(4) && i.k < 64 && inside(at, 0),
        0x54 => inside(at, 0),
        0x05 => inside(at, i.k),
        0x15 | 0x25 | 0x35 => inside(at, i.jt.into()) && inside(at, i.jf.into()),
        0x06 => true,
        _ => false,
    };
    all.iter().enumerate().filter(|(at, i)| !valid(*at, i)).map(|(at, _)| at).collect()
}

/// The answers that the profile allows for a call, read rule by rule: that of a rule without conditions, else those
/// of all rules that match, else the default. More than one only where rules with conditions overlap.
pub fn answers(profile: &LinuxSeccomp, native: &str, call: Call) -> Vec<u32> {
    let abis = listed(profile, native);
    let default = profile.default_action().as_u32(profile.default_errno_ret());
    let Some(abi) = abis.iter().find(|abi| abi.audit == call.audit && abi.numbers().contains(&call.number)) else {
        let skipped = call.number == u32::MAX && abis.iter().any(|abi| abi.audit == call.audit);
        return vec![if skipped { default } else { 0 }];
    };
    if too_new(profile, abi, call.number) {
        return vec![0x0005_0000 | libc::ENOSYS.unsigned_abs()];
    }
    let mut rules = rules(profile, abi, call.number);
    rules.retain(|(_, action)| *action != default);
    if let Some((_, action)) = rules.iter().find(|(args, _)| args.iter().all(|arg| says_nothing(arg, abi.layout))) {
        return vec![*action];
    }
    rules.retain(|(args, _)| args.iter().all(|arg| holds(arg, call, abi.layout)));
    if rules.is_empty() { vec![default] } else { rules.into_iter().map(|(_, action)| action).collect() }
}

pub fn listed(profile: &LinuxSeccomp, native: &str) -> Vec<&'static Abi> {
    let names = profile.architectures().iter().flatten().map(ToString::to_string).chain([native.to_string()]);
    names.map(|name| abi::find(&name).expect("the tests use names of the table")).collect()
}

/// Everything the profile says about a number of an ABI.
fn rules(profile: &LinuxSeccomp, abi: &Abi, number: u32) -> Vec<(Vec<Arg>, u32)> {
    let mut rules = Vec::new();
    for rule in profile.syscalls().iter().flatten() {
        let action = rule.action().as_u32(rule.errno_ret());
        for (name, args) in rule.names().iter().flat_map(|name| alternatives(rule.args()).map(move |args| (name, args)))
        {
            if abi.number(&NAMES.find(name)) == Some(number) {
                rules.push((args.clone(), action));
            }
            if let Some((multiplexer, first)) = abi.multiplexer(&NAMES.find(name))
                && multiplexer == number
            {
                let which: Arg =
                    serde_json::from_value(serde_json::json!({"index": 0, "value": first, "op": "SCMP_CMP_EQ"}))
                        .expect("a condition");
                rules.push((args.into_iter().filter(|arg| arg.index() != 0).chain([which]).collect(), action));
            }
        }
    }
    rules
}

/// All conditions together; but each alone if two are about the same argument.
fn alternatives(args: &Option<Vec<Arg>>) -> impl Iterator<Item = Vec<Arg>> {
    let args = args.clone().unwrap_or_default();
    let twice = args.iter().any(|a| args.iter().filter(|b| a.index() == b.index()).count() > 1);
    if twice { args.into_iter().map(|arg| vec![arg]).collect() } else { vec![args] }.into_iter()
}

fn too_new(profile: &LinuxSeccomp, abi: &Abi, number: u32) -> bool {
    let named = profile.syscalls().iter().flatten().flat_map(|rule| rule.names());
    let both =
        |name: &String| [abi.number(&NAMES.find(name)), abi.multiplexer(&NAMES.find(name)).map(|(number, _)| number)];
    let newest = named.flat_map(both).flatten().filter(|number| abi.growing().contains(number)).max();
    let denies = !matches!(profile.default_action(), Action::ScmpActAllow | Action::ScmpActLog | Action::ScmpActTrace);
    let newer = newest.is_some_and(|newest| number > newest) && abi.growing().contains(&number);
    denies && (newer || abi.unknown() == Some(number))
}

fn says_nothing(arg: &Arg, layout: Layout) -> bool {
    arg.op() == Op::ScmpCmpMaskedEq && arg.value() & layout.bits() == 0
}

fn holds(arg: &Arg, call: Call, layout: Layout) -> bool {
    let [is, value, two] =
        [call.args[arg.index()], arg.value(), arg.value_two().unwrap_or(0)].map(|value| value & layout.bits());
    match arg.op() {
        Op::ScmpCmpNe => is != value,
        Op::ScmpCmpLt => is < value,
        Op::ScmpCmpLe => is <= value,
        Op::ScmpCmpEq => is == value,
        Op::ScmpCmpGe => is >= value,
        Op::ScmpCmpGt => is > value,
        Op::ScmpCmpMaskedEq => is & value == two & value,
    }
}
