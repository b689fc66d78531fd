//! The profile's words as values. Every refusal is made here.

use super::Listener;
use super::abi::{self, Abi};
use anyhow::{Context, Result, bail, ensure};
use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSyscall};

/// A profile that can be carried out.
pub struct Policy<'a> {
    /// SECCOMP_RET_* for what no rule is about.
    pub default: u32,
    /// SECCOMP_RET_* for calls newer than all that the profile names, if it is not the default.
    pub newer: Option<u32>,
    /// In the profile's order.
    pub rules: Vec<Rule<'a>>,
    /// Without repetitions, the native one first.
    pub abis: Vec<&'static Abi>,
    pub flags: u32,
    pub listener: Option<Listener>,
}

/// An entry of `syscalls`.
pub struct Rule<'a> {
    pub names: &'a [String],
    /// SECCOMP_RET_*.
    pub action: u32,
    /// The action is taken if all conditions of one of these hold.
    pub alternatives: Vec<Vec<Condition>>,
}

/// `(argument & mask) <compare> value` is `holds`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Condition {
    /// 0 to 5.
    pub argument: u32,
    pub compare: Compare,
    pub holds: bool,
    pub mask: u64,
    pub value: u64,
}

/// Unsigned. What BPF has; the others are their negations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Compare {
    Equal,
    AtLeast,
    Above,
}

/// SECCOMP_RET_*, <linux/seccomp.h>, and the largest value that may be put into it.
pub struct Action {
    value: u32,
    largest: Option<u32>,
}

const fn plain(value: u32) -> Action {
    Action { value, largest: None }
}

const KILL_THREAD: u32 = 0x0000_0000;
const ERRNO: u32 = 0x0005_0000;
pub const NOTIFY: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
pub const LOG: u32 = 0x7ffc_0000;
pub const ALLOW: u32 = 0x7fff_0000;

/// What calls of an architecture that is not in the profile get.
pub const FOREIGN: u32 = KILL_THREAD;

/// Above MAX_ERRNO the kernel would cut an errno off; a tracer gets all 16 bits.
pub const ACTIONS: [(&str, Action); 9] = [
    ("SCMP_ACT_KILL", plain(KILL_THREAD)),
    ("SCMP_ACT_KILL_PROCESS", plain(0x8000_0000)),
    ("SCMP_ACT_KILL_THREAD", plain(KILL_THREAD)),
    ("SCMP_ACT_TRAP", plain(0x0003_0000)),
    ("SCMP_ACT_ERRNO", Action { value: ERRNO, largest: Some(4095) }),
    ("SCMP_ACT_TRACE", Action { value: TRACE, largest: Some(0xffff) }),
    ("SCMP_ACT_ALLOW", plain(ALLOW)),
    ("SCMP_ACT_LOG", plain(LOG)),
    ("SCMP_ACT_NOTIFY", plain(NOTIFY)),
];

/// What is compared, and which outcome the operator asks for.
pub const OPERATORS: [(&str, (Compare, bool)); 7] = [
    ("SCMP_CMP_NE", (Compare::Equal, false)),
    ("SCMP_CMP_LT", (Compare::AtLeast, false)),
    ("SCMP_CMP_LE", (Compare::Above, false)),
    ("SCMP_CMP_EQ", (Compare::Equal, true)),
    ("SCMP_CMP_GE", (Compare::AtLeast, true)),
    ("SCMP_CMP_GT", (Compare::Above, true)),
    (MASKED, (Compare::Equal, true)),
];

/// The one operator with two values: a mask and what is left under it.
const MASKED: &str = "SCMP_CMP_MASKED_EQ";

/// SECCOMP_FILTER_FLAG_*, <linux/seccomp.h>. TSYNC is understood and dropped, as in runc: a process that is about to
/// become a container has one thread, the kernel refuses the flag together with a listener, and its errors are thread
/// ids.
pub const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", 0),
    ("SECCOMP_FILTER_FLAG_LOG", 1 << 1),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", WAIT_KILLABLE),
];

const SPEC_ALLOW: u32 = 1 << 2;
const WAIT_KILLABLE: u32 = 1 << 5;

const ROOT: &str = "linux.seccomp";

pub fn read<'a>(profile: &'a LinuxSeccomp, native: &'static Abi) -> Result<Policy<'a>> {
    let place = format!("{ROOT}.defaultAction");
    let default =
        action(profile.default_action(), profile.default_errno_ret(), &place, &format!("{ROOT}.defaultErrnoRet"))?;
    ensure!(
        default != NOTIFY,
        "{place}: SCMP_ACT_NOTIFY would also ask about the runtime's own last calls, before the agent can answer: \
         use another default and notify named calls"
    );
    let syscalls = profile.syscalls().as_deref().unwrap_or_default();
    let rules = syscalls.iter().enumerate().map(|(i, syscall)| rule(syscall, &format!("{ROOT}.syscalls[{i}]")));
    let rules = rules.collect::<Result<Vec<Rule>>>()?;
    let notifies = rules.iter().any(|rule| rule.action == NOTIFY);
    let listener = listener(profile)?;
    ensure!(
        listener.is_some() || !notifies,
        "{ROOT}.listenerPath: missing, but a rule has SCMP_ACT_NOTIFY: name the socket of the agent that answers"
    );
    Ok(Policy {
        default,
        newer: newer(default),
        rules,
        abis: abis(profile, native)?,
        flags: flags(profile, notifies)?,
        listener: listener.filter(|_| notifies),
    })
}

/// ENOSYS, unless the default lets calls pass. To trace is to let pass: a tracer must know new calls by itself. The
/// rule is that of runc (libcontainer/seccomp/patchbpf).
fn newer(default: u32) -> Option<u32> {
    (severity(default) < severity(NOTIFY)).then_some(ERRNO | libc::ENOSYS.unsigned_abs())
}

/// Ascending from KILL_PROCESS to ALLOW: the order in which the kernel lets one filter's answer win over another's.
pub fn severity(answer: u32) -> i32 {
    answer.cast_signed()
}

fn action(action: LinuxSeccompAction, errno: Option<u32>, place: &str, errno_place: &str) -> Result<u32> {
    let name = action.to_string();
    let Action { value, largest } = find(&ACTIONS, &name).with_context(|| unknown(place, &name))?;
    match (errno, largest) {
        (None, None) => Ok(*value),
        (None, Some(_)) => Ok(value | libc::EPERM.unsigned_abs()),
        (Some(errno), Some(largest)) if errno <= *largest => Ok(value | errno),
        (Some(errno), Some(largest)) => bail!("{errno_place}: {errno} is too large for {name}: use 0 to {largest}"),
        (Some(_), None) => {
            bail!("{errno_place}: {name} takes no errno: remove it, or use SCMP_ACT_ERRNO or SCMP_ACT_TRACE")
        }
    }
}

/// What hands the listener over: the message, its answer, and memory for both.
const OWN_CALLS: [&str; 4] = ["sendmsg", "recvmsg", "mmap", "brk"];

fn rule<'a>(syscall: &'a LinuxSyscall, place: &str) -> Result<Rule<'a>> {
    let action =
        action(syscall.action(), syscall.errno_ret(), &format!("{place}.action"), &format!("{place}.errnoRet"))?;
    let own = |name: &String| OWN_CALLS.contains(&name.as_str());
    if let Some(i) = syscall.names().iter().position(|name| action == NOTIFY && own(name)) {
        bail!(
            "{place}.names[{i}]: SCMP_ACT_NOTIFY cannot be used for {:?}: the runtime itself still calls it after the \
             filter is in place and before the agent has its listener, and would wait for ever: use another action",
            syscall.names()[i]
        );
    }
    let args = syscall.args().as_deref().unwrap_or_default();
    let conditions = args.iter().enumerate().map(|(i, arg)| condition(arg, &format!("{place}.args[{i}]")));
    let mut conditions = conditions.collect::<Result<Vec<Condition>>>()?;
    conditions.sort_by_key(|condition| condition.argument);
    let repeats = conditions.windows(2).any(|pair| pair[0].argument == pair[1].argument);
    let alternatives = if repeats { conditions.into_iter().map(|c| vec![c]).collect() } else { vec![conditions] };
    Ok(Rule { names: syscall.names(), action, alternatives })
}

fn condition(arg: &LinuxSeccompArg, place: &str) -> Result<Condition> {
    let index = arg.index();
    let argument = u32::try_from(index).ok().filter(|index| *index < 6);
    let argument = argument.with_context(|| format!("{place}.index: {index}: system calls have arguments 0 to 5"))?;
    let op = arg.op().to_string();
    let (compare, holds) = *find(&OPERATORS, &op).with_context(|| unknown(&format!("{place}.op"), &op))?;
    let (mask, value) =
        if op == MASKED { (arg.value(), arg.value_two().unwrap_or(0)) } else { (u64::MAX, arg.value()) };
    Ok(Condition { argument, compare, holds, mask, value })
}

fn listener(profile: &LinuxSeccomp) -> Result<Option<Listener>> {
    let metadata = profile.listener_metadata().clone().unwrap_or_default();
    match profile.listener_path().clone().filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Ok(Some(Listener { path, metadata })),
        None if metadata.is_empty() => Ok(None),
        None => bail!(
            "{ROOT}.listenerMetadata: without listenerPath there is no agent to send it to: add that or remove this"
        ),
    }
}

/// The native one is always in, as with libseccomp: Docker's profile for ppc64le does not even name it.
fn abis(profile: &LinuxSeccomp, native: &'static Abi) -> Result<Vec<&'static Abi>> {
    let mut abis = vec![native];
    for (i, arch) in profile.architectures().iter().flatten().enumerate() {
        let name = arch.to_string();
        if name == "SCMP_ARCH_NATIVE" {
            continue;
        }
        let abi = abi::find(&name).with_context(|| unknown(&format!("{ROOT}.architectures[{i}]"), &name))?;
        if !abis.iter().any(|known| std::ptr::eq(*known, abi)) {
            abis.push(abi);
        }
    }
    Ok(abis)
}

/// Without `flags` it is SPEC_ALLOW, as in runc and crun: the mitigation that it leaves off costs every system call.
fn flags(profile: &LinuxSeccomp, notifies: bool) -> Result<u32> {
    let Some(flags) = profile.flags() else { return Ok(SPEC_ALLOW) };
    let mut bits = 0;
    for (i, flag) in flags.iter().enumerate() {
        let name = flag.to_string();
        let place = format!("{ROOT}.flags[{i}]");
        let bit = *find(&FLAGS, &name).with_context(|| unknown(&place, &name))?;
        ensure!(
            notifies || bit != WAIT_KILLABLE,
            "{place}: {name} is about waiting for an agent, but no rule has SCMP_ACT_NOTIFY: remove it"
        );
        bits |= bit;
    }
    Ok(bits)
}

fn find<'t, T>(table: &'t [(&str, T)], name: &str) -> Option<&'t T> {
    table.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
}

fn unknown(place: &str, name: &str) -> String {
    format!("{place}: {name} is not known to this version: use a newer one, or remove it")
}
