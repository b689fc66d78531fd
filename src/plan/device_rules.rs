//! `linux.resources.devices` → what the kernel is told: writes to the devices controller of v1, or a program for v2.
//! Pure.
//!
//! The list starts from "nothing is allowed", is read in order, and a later rule wins. At its end stand the rules that
//! every container gets, so a user's "deny" of /dev/null has no effect: engines write configurations that rely on it.

mod program;

use crate::error::{Context, Result, anyhow, bail, ensure};
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType};
use std::fmt;

/// The rules in order, without those that can have no effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceRules {
    /// What holds for a device that no rule names.
    default: Verdict,
    /// Later rules win.
    rules: Vec<Rule>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Allow,
    Deny,
}

/// Both kinds of device never meet in one rule: what is said of all is two rules.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Rule {
    verdict: Verdict,
    devices: Devices,
    access: Access,
}

/// A set of devices; `None` is every number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Devices {
    kind: Kind,
    major: Option<u32>,
    minor: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Block,
    Char,
}

/// Bits as the kernel's (`BPF_DEVCG_ACC_*`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Access(u32);

const MKNOD: Access = Access(1);
const ALL: Access = Access(7);
const LETTERS: [(char, u32); 3] = [('r', 2), ('w', 4), ('m', 1)];

/// Far more would not fit the jumps of a BPF program, and nobody has them.
const MOST_RULES: usize = 2000;

/// Making any node is allowed (using it is another matter), and these may be used.
const EVERYBODYS: [Rule; 11] = [
    allow(Kind::Char, None, None, MKNOD),
    allow(Kind::Block, None, None, MKNOD),
    allow(Kind::Char, Some(1), Some(3), ALL),    // null
    allow(Kind::Char, Some(1), Some(5), ALL),    // zero
    allow(Kind::Char, Some(1), Some(7), ALL),    // full
    allow(Kind::Char, Some(1), Some(8), ALL),    // random
    allow(Kind::Char, Some(1), Some(9), ALL),    // urandom
    allow(Kind::Char, Some(5), Some(0), ALL),    // tty
    allow(Kind::Char, Some(5), Some(2), ALL),    // ptmx
    allow(Kind::Char, Some(136), None, ALL),     // pts/*
    allow(Kind::Char, Some(10), Some(200), ALL), // net/tun: without it VPNs in containers of old engines broke
];

const fn allow(kind: Kind, major: Option<u32>, minor: Option<u32>, access: Access) -> Rule {
    Rule { verdict: Verdict::Allow, devices: Devices { kind, major, minor }, access }
}

/// The rules as people read them.
pub struct Told {
    /// What holds for a device that no rule names.
    pub default_allows: bool,
    /// Allowed or not, and `c 1:3 rwm`; later ones win.
    pub rules: Vec<(bool, String)>,
}

/// One write to a file of the v1 controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    pub file: &'static str,
    pub value: String,
}

/// The user's rules, then everybody's.
pub fn lower(said: &[LinuxDeviceCgroup]) -> Result<DeviceRules> {
    ensure!(said.len() <= MOST_RULES, "{} rules are too many; {MOST_RULES} are taken", said.len());
    let mut all = DeviceRules { default: Verdict::Deny, rules: Vec::with_capacity(said.len() + EVERYBODYS.len()) };
    for (i, rule) in said.iter().enumerate() {
        all.add(rule).with_context(|| format!("[{i}]"))?;
    }
    all.rules.extend(EVERYBODYS);
    all.drop_the_hidden();
    Ok(all)
}

impl DeviceRules {
    pub fn told(&self) -> Told {
        let allows = |verdict| verdict == Verdict::Allow;
        let rules = self.rules.iter().map(|rule| (allows(rule.verdict), rule.to_string())).collect();
        Told { default_allows: allows(self.default), rules }
    }

    /// Nothing is forbidden: on v2 no program is needed.
    pub fn allow_everything(&self) -> bool {
        self.default == Verdict::Allow && self.rules.is_empty()
    }

    /// The writes that bring a devices cgroup of v1 to these rules: a new one, or one whose devices.list reads
    /// `current`.
    ///
    /// Only the difference is written where that is possible: starting over would refuse everything for a moment, and
    /// the kernel does not allow it while there are cgroups below. What a cgroup with the default "allow" denies is not
    /// to be read from it, so that is always started over.
    pub fn writes(&self, current: Option<&str>) -> Result<Vec<Write>> {
        let exceptions = self.exceptions()?;
        let mut before: Vec<&str> = current.unwrap_or("a").lines().map(str::trim).collect();
        let start_over = before.iter().any(|line| line.starts_with('a')) || self.default == Verdict::Allow;
        let mut writes = Vec::new();
        if start_over {
            writes.push(Write { file: self.default.file(), value: "a".to_owned() });
            before.clear();
        }
        let after: Vec<String> = exceptions.iter().map(Rule::to_string).collect();
        let gone = before.iter().filter(|line| !line.is_empty() && !after.iter().any(|other| other == *line));
        writes.extend(gone.map(|line| Write { file: Verdict::Deny.file(), value: (*line).to_owned() }));
        let new = exceptions.iter().zip(after.iter()).filter(|(_, line)| !before.contains(&line.as_str()));
        writes.extend(new.map(|(rule, line)| Write { file: rule.verdict.file(), value: line.clone() }));
        Ok(writes)
    }

    /// v1 knows a default and exceptions to it, but no exception to an exception: such a list is refused here, because
    /// the kernel would take it and not do it.
    fn exceptions(&self) -> Result<Vec<Rule>> {
        let mut exceptions: Vec<Rule> = Vec::new();
        for rule in &self.rules {
            if rule.verdict != self.default {
                exceptions.push(*rule);
                continue;
            }
            for other in &mut exceptions {
                if !other.devices.meets(rule.devices) || other.access.and(rule.access) == Access(0) {
                    continue;
                }
                ensure!(
                    rule.devices.covers(other.devices),
                    "\"{rule}\" after \"{other}\": cgroup v1 cannot make an exception to an exception; list the \
                     devices one by one"
                );
                other.access = other.access.without(rule.access);
            }
            exceptions.retain(|other| other.access != Access(0));
        }
        Ok(exceptions)
    }

    /// All that is allowed as systemd names it, a device and its access. `None` where it has no words for the rules: when
    /// everything is allowed that is not denied, something within what is allowed is denied, or a minor number has no major.
    pub fn allowed(&self) -> Option<Vec<(String, String)>> {
        let named = |rule: &Rule| rule.devices.major.is_some() || rule.devices.minor.is_none();
        let plain = |rule: &Rule| rule.verdict == Verdict::Allow && named(rule);
        let plain = self.default == Verdict::Deny && self.rules.iter().all(plain);
        plain.then(|| self.rules.iter().map(Rule::named).collect())
    }

    /// The program for v2, see `program`.
    pub fn program(&self) -> Vec<u64> {
        program::compile(self.default, &self.rules)
    }

    fn add(&mut self, said: &LinuxDeviceCgroup) -> Result<()> {
        let verdict = if said.allow() { Verdict::Allow } else { Verdict::Deny };
        let access = access(said.access().as_deref().unwrap_or_default())?;
        let (major, minor) = (number(said.major()).context("major")?, number(said.minor()).context("minor")?);
        let kinds: &[Kind] = match said.typ().unwrap_or(LinuxDeviceType::A) {
            LinuxDeviceType::A => &[Kind::Block, Kind::Char],
            LinuxDeviceType::B => &[Kind::Block],
            LinuxDeviceType::C => &[Kind::Char],
            other => bail!("type: {:?} cannot be in a cgroup's rule; write a, b or c", other.as_str()),
        };
        if kinds.len() == 2 && (major, minor, access) == (None, None, ALL) {
            *self = DeviceRules { default: verdict, rules: std::mem::take(&mut self.rules) };
            self.rules.clear();
            return Ok(());
        }
        let rule = |kind: &Kind| Rule { verdict, devices: Devices { kind: *kind, major, minor }, access };
        self.rules.extend(kinds.iter().map(rule));
        Ok(())
    }

    /// Drops rules that say again what a later one says of the same or more devices, and those at the front that only
    /// repeat the default.
    fn drop_the_hidden(&mut self) {
        let mut kept: Vec<Rule> = Vec::with_capacity(self.rules.len());
        for rule in self.rules.iter().rev() {
            let hidden =
                |later: &Rule| later.devices.covers(rule.devices) && later.access.and(rule.access) == rule.access;
            if !kept.iter().any(hidden) {
                kept.push(*rule);
            }
        }
        kept.reverse();
        let repeats = kept.iter().take_while(|rule| rule.verdict == self.default).count();
        kept.drain(..repeats);
        self.rules = kept;
    }
}

impl Verdict {
    /// The file of v1 that takes a rule.
    fn file(self) -> &'static str {
        match self {
            Verdict::Allow => "devices.allow",
            Verdict::Deny => "devices.deny",
        }
    }
}

/// Engines write -1 for "all" as well as nothing.
fn number(said: Option<i64>) -> Result<Option<u32>> {
    match said {
        None | Some(-1) => Ok(None),
        Some(number) => match u32::try_from(number) {
            Ok(number) if number != u32::MAX => Ok(Some(number)), // to v1 that one means all
            _ => bail!("{number} is not a device number; leave it out for all of them"),
        },
    }
}

fn access(said: &str) -> Result<Access> {
    let mut bits = 0;
    for letter in said.chars() {
        let Some((_, bit)) = LETTERS.iter().find(|(known, _)| *known == letter) else {
            bail!("access: {said:?} has a letter that is not r, w or m; remove it");
        };
        bits |= bit;
    }
    ensure!(bits != 0, "access: is empty; write a composition of r, w and m");
    Ok(Access(bits))
}

/// A rule as a person writes it: `c 10:229 rw`, as Docker's `--device-cgroup-rule`, or with `deny` in front of it.
pub fn from_words(text: &str) -> Result<LinuxDeviceCgroup> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (allow, rest) = match words.split_first() {
        Some((&"deny", rest)) => (false, rest),
        Some((&"allow", rest)) => (true, rest),
        _ => (true, words.as_slice()),
    };
    let form = || anyhow!("{text:?} is no device rule; write [allow|deny] TYPE MAJOR:MINOR ACCESS, as \"c 10:229 rw\"");
    let [kind, numbers, letters] = rest else { return Err(form()) };
    let kind = match *kind {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return Err(form()),
    };
    let (major, minor) = numbers.split_once(':').ok_or_else(form)?;
    let number = |text: &str| match text {
        "*" => Ok(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let number = digits.parse::<u32>().ok().filter(|number| *number != u32::MAX); // to v1 that one means all
            number.map(|number| Some(i64::from(number))).ok_or_else(form)
        }
        _ => Err(form()),
    };
    access(letters)?;
    let rule = LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(*letters);
    let rule = number(major)?.into_iter().fold(rule, LinuxDeviceCgroupBuilder::major);
    let rule = number(minor)?.into_iter().fold(rule, LinuxDeviceCgroupBuilder::minor);
    rule.build().context("a device rule")
}

impl Access {
    fn and(self, other: Access) -> Access {
        Access(self.0 & other.0)
    }

    fn letters(self) -> String {
        LETTERS.iter().filter(|(_, bit)| self.0 & bit != 0).map(|(c, _)| *c).collect()
    }

    fn without(self, other: Access) -> Access {
        Access(self.0 & !other.0)
    }
}

impl Devices {
    fn covers(self, other: Devices) -> bool {
        let within = |mine: Option<u32>, its: Option<u32>| mine.is_none() || mine == its;
        self.kind == other.kind && within(self.major, other.major) && within(self.minor, other.minor)
    }

    fn meets(self, other: Devices) -> bool {
        let common = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.kind == other.kind && common(self.major, other.major) && common(self.minor, other.minor)
    }
}

impl Rule {
    /// systemd.resource-control(5), "DeviceAllow=": a node by number, `char-136` for all of a major number, `char-*`. One
    /// minor number of every major has no name.
    fn named(&self) -> (String, String) {
        let kind = if self.devices.kind == Kind::Block { "block" } else { "char" };
        let device = match (self.devices.major, self.devices.minor) {
            (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
            (Some(major), None) => format!("{kind}-{major}"),
            (None, _) => format!("{kind}-*"),
        };
        (device, self.access.letters())
    }
}

/// As the files of v1 have it, and people know it: `c 1:3 rwm`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |n| n.to_string());
        let kind = if self.devices.kind == Kind::Block { 'b' } else { 'c' };
        write!(f, "{kind} {}:{} {}", number(self.devices.major), number(self.devices.minor), self.access.letters())
    }
}

#[cfg(test)]
mod tests;
