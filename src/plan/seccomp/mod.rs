//! OCI `linux.seccomp` → one classic BPF program. Pure: reads the profile, touches nothing.
//!
//! In three steps, a file each: [`policy`] turns the profile's words into values and makes every refusal; [`calls`]
//! asks for each architecture what to answer to which call number, as ranges; [`bpf`] writes ranges and argument
//! checks down as instructions. [`abi`] knows the architectures, [`numbers`] their calls.
//!
//! The answers are libseccomp's, as runc and crun use it, also where the OCI text says nothing or something else:
//!
//! * A rule whose action is the default action is no rule.
//! * A rule without `args` beats every rule with `args` of the same call, wherever it stands; of several, the first
//!   holds.
//! * Rules with `args` are tried in libseccomp's order, not the profile's: later arguments first, then equality before
//!   "less" before "greater", then the narrower range. Where two rules of one call have the same conditions and
//!   different actions libseccomp refuses the profile; here the more severe action wins, in the kernel's own order.
//! * Conditions of one rule must all hold; but a rule that names one argument twice is split into a rule for each
//!   condition.
//! * On a 32-bit ABI only the low 32 bits of values, masks and arguments count.
//! * Where the kernel multiplexes socket and IPC calls (`socketcall`, `ipc`), a rule for `socket` is one for
//!   `socketcall(SYS_SOCKET)` too; its condition on argument 0 is lost there, as BPF cannot follow the pointer.
//! * The native architecture is always in. A call of an architecture that is not in the profile kills the thread:
//!   that is libseccomp's default, which neither runc nor crun changes. x32 is an architecture of its own: unlisted,
//!   its calls kill too. Architectures of the other byte order are accepted (libseccomp refuses them), as no call can
//!   ever be one of theirs.
//! * Names that an architecture does not have are ignored there: profiles are written for many kernels.
//!
//! And runc's answer to the future: if the default action denies, calls newer than all that the profile names get
//! ENOSYS instead, for each architecture, so that a C library that tries them falls back to what the profile's author
//! knew. ARM's private calls do not count as new ones; in runc they do, so that on ARM nothing is newer than Docker's
//! profile.

mod abi;
mod bpf;
mod calls;
mod numbers;
mod policy;
#[cfg(test)]
mod tests;

use crate::sys::{process, tty};
use anyhow::{Result, ensure};
use oci_spec::runtime::LinuxSeccomp;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The words of `config.json` that we know, for `features`.
pub const ACTIONS: &[&str] = &names(&policy::ACTIONS);
pub const OPERATORS: &[&str] = &names(&policy::OPERATORS);
pub const FLAGS: &[&str] = &names(&policy::FLAGS);
pub const ARCHES: &[&str] = &names(&abi::ABIS);

/// BPF_MAXINSNS, <linux/bpf_common.h>.
const LIMIT: usize = 4096;

/// What to hand to seccomp(2).
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct Program {
    pub instructions: Vec<Instruction>,
    /// SECCOMP_FILTER_FLAG_*, without NEW_LISTENER: that one is for the loader to add if there is a listener.
    pub flags: u32,
    /// `None` if no rule notifies, whatever the profile says about a listener.
    pub listener: Option<Listener>,
    /// Does it let a process fork, lead a session of its own and take its terminal?
    #[serde(default)]
    pub lets_fork: bool,
}

/// Where to send the descriptor on which the kernel asks about calls.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct Listener {
    /// A listening Unix socket.
    pub path: PathBuf,
    /// For the agent, not for us. Empty if the profile has none.
    pub metadata: String,
}

/// `struct sock_filter`. Serialised as one integer: a program of 300 is one short line of JSON.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(into = "u64", from = "u64")]
pub struct Instruction {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

impl From<Instruction> for u64 {
    fn from(i: Instruction) -> u64 {
        u64::from(i.code) << 48 | u64::from(i.jt) << 40 | u64::from(i.jf) << 32 | u64::from(i.k)
    }
}

impl From<u64> for Instruction {
    fn from(bits: u64) -> Instruction {
        let [c1, c0, jt, jf, k @ ..] = bits.to_be_bytes();
        Instruction { code: u16::from_be_bytes([c1, c0]), jt, jf, k: u32::from_be_bytes(k) }
    }
}

/// Compiles a profile for the architecture that this binary was built for. Errors name the place in
/// `config.json`.
pub fn compile(profile: &LinuxSeccomp) -> Result<Program> {
    let native = abi::native()?;
    let policy = policy::read(profile, native)?;
    let names = abi::Names::new();
    let maps = calls::maps(&policy, &names);
    let number = |name| native.number(&names.find(name));
    ensure!(
        !number("execve").is_some_and(|number| calls::always_denied(&maps[0], number)),
        "linux.seccomp: the profile lets nobody call execve, so no program could be started: allow it"
    );
    let flags = process::FORK_SIBLING; // where the kernel looks for them first or second
    let calls = [("clone", [flags, if cfg!(target_arch = "s390x") { flags } else { 0 }]), ("setsid", [0, 0]), CONTROL];
    let allows = |name, args| number(name).is_some_and(|number| calls::allows(&maps[0], policy.default, number, args));
    let lets_fork = calls.iter().all(|(name, args)| allows(name, args));
    Ok(Program { lets_fork, ..assemble(policy, &maps)? })
}

/// What makes stdin the controlling terminal.
const CONTROL: (&str, [u64; 2]) = ("ioctl", [0, tty::TAKE]);

/// For any architecture, startable or not.
#[cfg(test)]
fn compile_for(native: &'static abi::Abi, profile: &LinuxSeccomp) -> Result<Program> {
    let policy = policy::read(profile, native)?;
    let maps = calls::maps(&policy, &abi::Names::new());
    assemble(policy, &maps)
}

fn assemble(policy: policy::Policy, maps: &[calls::Map]) -> Result<Program> {
    let instructions = bpf::program(maps, policy.default);
    ensure!(
        instructions.len() <= LIMIT,
        "linux.seccomp: the filter needs {} instructions, the kernel takes {LIMIT}: \
         name fewer architectures, or fewer calls with args",
        instructions.len()
    );
    Ok(Program { instructions, flags: policy.flags, listener: policy.listener, lets_fork: false })
}

/// The first column of a table.
const fn names<T, const N: usize>(table: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut i = 0;
    while i < N {
        names[i] = table[i].0;
        i += 1;
    }
    names
}
