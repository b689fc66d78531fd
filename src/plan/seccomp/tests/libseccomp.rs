//! Our programs beside libseccomp's of the same profiles. `integration/seccomp/run` has libseccomp compile them, called as
//! runc calls it, and runs these tests. What differs must be one of `Difference`; docs/seccomp.md has them in words.

use super::super::abi::{self, Abi, Layout};
use super::super::{Instruction, compile_for};
use super::machine::{Call, run};
use super::random::{Random, calls, random_profile};
use super::reading::{NAMES, Reading};
use super::{LOG, folder, profile, profiles, read, write};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompArg, LinuxSyscall};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Instant;

/// Why libseccomp answers something else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Difference {
    /// Not a difference.
    None,
    /// The call is newer than all that the profile names: ENOSYS here, as in runc; the default there.
    Newer,
    /// libseccomp does not know a name of the call, or takes it for another call.
    Name,
    /// Several rules with conditions match, and each of the two takes another one.
    Order,
    /// libseccomp's program never looks at the number of the call.
    NumberNotLoaded,
    /// libseccomp's program has lost one of several rules with conditions for the call.
    RuleLost,
}

/// Numbers about which libseccomp's tables and the kernel's headers disagree: AUDIT_ARCH_*, number, and what it is.
const TABLES: [(u32, u32, &str); 2] = [
    (0xc000_0102, 447, "memfd_secret: the kernel has it on loongarch64"),
    (0x8000_000f, 140, "_llseek: the kernel has it on parisc, not on parisc64"),
];

#[test]
#[ignore = "integration/seccomp/run calls this"]
fn random_profiles_for_libseccomp() {
    let mut random = Random(0x11b5_ecc0);
    for i in 0..4000 {
        let (native, profile) = random_profile(&mut random);
        let text = json!({"native": native, "profile": profile}).to_string();
        write(&folder().join(format!("random-{i:04}.json")), &text);
    }
}

/// For `integration/bench/seccomp`, from a release build.
#[test]
#[ignore = "integration/bench/seccomp calls this"]
fn time_to_compile() {
    let document = read(&folder().join("docker-amd64-default-new.json"));
    let profile = profile(document["profile"].clone());
    let native = abi::find("SCMP_ARCH_X86_64").expect("of the table");
    let mut times: Vec<u128> = (0..1001)
        .map(|_| {
            let begin = Instant::now();
            std::hint::black_box(compile_for(native, std::hint::black_box(&profile)).expect("a valid profile"));
            begin.elapsed().as_nanos()
        })
        .collect();
    times.sort_unstable();
    println!("compile {}", times[times.len() / 2]);
}

/// One profile, and both programs.
struct Pair {
    name: String,
    ours: Vec<Instruction>,
    theirs: Vec<Instruction>,
    reading: Reading,
    /// Of what libseccomp has understood.
    known: Reading,
}

#[test]
#[ignore = "integration/seccomp/run calls this"]
fn libseccomp_answers_the_same() {
    let paths = profiles();
    assert!(!paths.is_empty());
    let (mut compared, mut refused) = (0, 0);
    let mut sizes: Vec<(usize, usize, String)> = Vec::new();
    let mut count: BTreeMap<Difference, usize> = BTreeMap::new();
    for path in paths {
        let Some(pair) = pair(&path) else {
            refused += 1;
            continue;
        };
        compared += 1;
        calls(&pair.reading, 16, |abi, call| *count.entry(pair.compare(abi, call)).or_default() += 1);
        if !pair.name.starts_with("random-") {
            sizes.push((pair.ours.len(), pair.theirs.len(), pair.name.clone()));
            assert!(pair.ours.len() <= pair.theirs.len(), "{} is larger than libseccomp's", pair.name);
        }
    }
    println!("{compared} profiles compared; {refused} that libseccomp refuses, for rules that contradict each other");
    sizes.sort();
    for (ours, theirs, name) in sizes.first().into_iter().chain(sizes.last()) {
        println!("{name}: {ours} instructions, libseccomp's has {theirs}");
    }
    for (difference, number) in count {
        println!("{number:>9} calls: {difference:?}");
    }
}

/// `None` if libseccomp refuses the profile for the one reason that there may be.
fn pair(path: &Path) -> Option<Pair> {
    let (document, theirs) = (read(path), read(&path.with_extension("libseccomp")));
    let name = path.file_stem().expect("a name").display().to_string();
    let native = document["native"].as_str().expect("an architecture");
    let mut understood = document["profile"].clone();
    for rule in understood["syscalls"].as_array_mut().into_iter().flatten() {
        let names = rule["names"].as_array().into_iter().flatten().filter_map(Value::as_str);
        rule["names"] = names.filter_map(|name| theirs["names"].get(name)).cloned().collect();
    }
    let understood = profile(understood);
    let known = Reading::new(&understood, native);
    if let Some(why) = theirs["refused"].as_str() {
        assert!(why.starts_with("EEXIST") && contradicts_itself(&understood), "{name}: {why}");
        return None;
    }
    let profile: LinuxSeccomp = profile(document["profile"].clone());
    let ours = compile_for(abi::find(native).expect("an architecture"), &profile).expect("a valid profile");
    let text: Vec<u64> = ours.instructions.iter().copied().map(u64::from).collect();
    write(&path.with_extension("rruntime"), &json!({"instructions": text}).to_string());
    Some(Pair {
        name,
        ours: ours.instructions,
        theirs: serde_json::from_value(theirs["instructions"].clone()).expect("instructions"),
        reading: Reading::new(&profile, native),
        known,
    })
}

/// Two rules with different answers for one name that are about the same argument, or about none, which is the same for a
/// call that goes through a multiplexer.
fn contradicts_itself(profile: &LinuxSeccomp) -> bool {
    let rules = || profile.syscalls().iter().flatten();
    let arguments = |rule: &LinuxSyscall| rule.args().iter().flatten().map(LinuxSeccompArg::index).collect::<Vec<_>>();
    let meet = |a: &LinuxSyscall, b: &LinuxSyscall| {
        let ([one, other], mut names) = ([arguments(a), arguments(b)], a.names().iter());
        let none = one.is_empty() && other.is_empty();
        let same = none || one.iter().any(|index| other.contains(index));
        names.any(|name| b.names().contains(name) && (same || X86.multiplexer(&NAMES.find(name)).is_some()))
    };
    let differ = |a: &LinuxSyscall, b: &LinuxSyscall| (a.action(), a.errno_ret()) != (b.action(), b.errno_ret());
    rules().any(|a| rules().any(|b| differ(a, b) && meet(a, b)))
}

/// It has all multiplexers.
static X86: LazyLock<&Abi> = LazyLock::new(|| abi::find("SCMP_ARCH_X86").expect("of the table"));

impl Pair {
    fn compare(&self, abi: &Abi, call: Call) -> Difference {
        let (ours, theirs) = (run(&self.ours, call, abi.layout), run(&self.theirs, call, abi.layout));
        let (answers, expected) = (self.reading.answers(call), self.known.said(call));
        assert!(answers.contains(&ours), "{}: {call:x?}: we say {ours:#x}, not {answers:x?}", self.name);
        if ours == theirs {
            return Difference::None;
        }
        let difference = if expected.contains(&theirs) {
            self.in_words(call, &answers, &expected)
        } else if TABLES.iter().any(|(audit, number, _)| (*audit, *number) == (call.audit, call.number)) {
            Some(Difference::Name)
        } else {
            self.fault(abi.layout, call, theirs)
        };
        difference.unwrap_or_else(|| {
            panic!("{}: {call:x?}: {ours:#x} here, {theirs:#x} there, and nobody knows why", self.name)
        })
    }

    /// libseccomp answers as it may by what it has understood.
    fn in_words(&self, call: Call, answers: &[u32], expected: &[u32]) -> Option<Difference> {
        if self.reading.said(call) != expected {
            Some(Difference::Name)
        } else if self.reading.too_new(call) {
            Some(Difference::Newer)
        } else {
            (answers.len() > 1).then_some(Difference::Order)
        }
    }

    /// It does not.
    fn fault(&self, layout: Layout, call: Call, theirs: u32) -> Option<Difference> {
        if !looks_at_the_number(&self.theirs, call, layout) {
            return Some(Difference::NumberNotLoaded);
        }
        let rules = self.known.rules(call);
        let conditional = rules.iter().filter(|said| !said.conditions.is_empty()).count();
        let possible = theirs == self.known.default || rules.iter().any(|said| said.answer == theirs);
        (conditional > 1 && possible).then_some(Difference::RuleLost)
    }
}

/// Does a program load the first word of `struct seccomp_data` for a call?
fn looks_at_the_number(program: &[Instruction], call: Call, layout: Layout) -> bool {
    const LOAD: Instruction = Instruction { code: 0x20, jt: 0, jf: 0, k: 0 };
    const LOADED: u32 = LOG | 0xffff; // no answer of anybody's
    let told = Instruction { code: 0x06, jt: 0, jf: 0, k: LOADED };
    let telling: Vec<Instruction> = program.iter().map(|i| if *i == LOAD { told } else { *i }).collect();
    run(&telling, call, layout) == LOADED
}
