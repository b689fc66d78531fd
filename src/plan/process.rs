//! process: who runs what, with which rights and limits. Shared by create and exec; exec starts from the template.

use super::annotations::KEEP_GROUPS;
use super::host::Host;
use super::labels::{self, Labels};
use super::memory_policy::MemoryPolicy;
use super::namespaces::id;
use super::scheduling::{self, ExecAffinity};
use super::{options, seccomp};
use crate::error::{Context, Result, bail, ensure};
use crate::sys::keyring::Search;
use crate::sys::process::Personality;
use crate::sys::sched;
use crate::sys::tty::Size;
use oci_spec::runtime::{self as oci, LinuxCapabilities, PosixRlimitType};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::PathBuf;

#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct Process {
    /// Empty only for a container that has no program and cannot be started.
    pub args: Vec<String>,
    /// `NAME=value`, each name once.
    pub env: Vec<String>,
    pub home: Home,
    /// Absolute.
    pub cwd: PathBuf,
    pub user: User,
    pub capabilities: Capabilities,
    pub rlimits: Vec<Rlimit>,
    pub no_new_privileges: NoNewPrivileges,
    /// `None`: as the runtime's.
    pub oom_score_adj: Option<i32>,
    /// `None`: as the runtime's.
    pub scheduler: Option<sched::Attributes>,
    /// `None`: as the runtime's.
    pub io_priority: Option<sched::IoPriority>,
    pub exec_affinity: Option<ExecAffinity>,
    pub terminal: Option<Terminal>,
    /// A template of an older version has none.
    #[serde(default)]
    pub labels: Labels,
    /// linux.personality and memoryPolicy: they are the process's, and exec has the container's.
    pub personality: Option<Personality>,
    pub memory_policy: Option<MemoryPolicy>,
    pub seccomp: Option<seccomp::Program>,
    /// The session keyring to join; `None`: the caller's is kept.
    pub keyring: Option<Keyring>,
    /// Descriptors from 3 on that stay open.
    pub preserve_fds: u32,
}

/// Where `HOME` comes from when the environment has none.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    AsGiven,
    /// The container's /etc/passwd, else "/".
    FromPasswd,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    /// All supplementary groups; `None`: the caller's own pass, because an annotation says so.
    pub groups: Option<Vec<u32>>,
    /// `None`: the runtime's own (config.md: unspecified must not change it).
    pub umask: Option<u32>,
}

/// One bit a capability, by the kernel's numbers. A set that config.json leaves out is empty.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities {
    pub bounding: u64,
    pub effective: u64,
    pub inheritable: u64,
    pub permitted: u64,
    pub ambient: u64,
}

/// A resource limit by the kernel's number.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct Rlimit {
    pub name: String,
    pub resource: u32,
    pub soft: u64,
    pub hard: u64,
}

impl Rlimit {
    /// Of the user's processes: the only one that a fork may fail of.
    pub fn is_of_processes(&self) -> bool {
        self.name == "RLIMIT_NPROC"
    }
}

/// A session keyring by its name: `_ses.`, the container's id, and 128 random bits. A keyring is found by its name, and who
/// made it first keeps it: so the name is one that no other container can know.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    pub name: String,
    pub search: Search,
}

#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoNewPrivileges {
    Set,
    Unset,
}

#[derive(Serialize, Deserialize, Debug, Clone, Copy)]
pub struct Terminal {
    /// `None`: as the caller's terminal, or as the kernel makes it.
    pub size: Option<Size>,
}

/// What exec was asked to run.
pub enum ExecProcess {
    /// `--process FILE`. Its `None`s inherit from the template.
    Whole(Box<oci::Process>),
    Words(Words),
}

/// The flags of exec.
#[derive(Default)]
pub struct Words {
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub cwd: Option<PathBuf>,
    /// uid, and gid when one was given.
    pub user: Option<(u32, Option<u32>)>,
    pub groups: Vec<u32>,
    pub capabilities: Vec<String>,
    pub terminal: Option<Terminal>,
    pub no_new_privileges: Option<NoNewPrivileges>,
    pub labels: Labels,
}

/// Descriptors that the service manager passes, from 3 on. sd_listen_fds(3).
#[derive(Clone, Default, Debug)]
pub struct Activation {
    pub count: u32,
    /// `LISTEN_FDNAMES`.
    pub names: Option<String>,
}

impl Activation {
    const VARIABLES: [&str; 3] = ["LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES="];

    /// Is it a variable by which a process is told of such descriptors?
    fn tells(pair: &str) -> bool {
        Activation::VARIABLES.iter().any(|name| pair.starts_with(name))
    }
}

impl Process {
    /// The payload keeps the descriptors of socket activation, of which it is told under the number that it will have, and
    /// `preserve` more after them.
    pub(super) fn keep_descriptors(&mut self, preserve: u32, activation: &Activation) {
        self.preserve_fds = activation.count + preserve;
        if activation.count > 0 {
            self.env.retain(|pair| !Activation::tells(pair));
            self.env.push(format!("LISTEN_FDS={}", activation.count));
            self.env.push("LISTEN_PID=1".to_string());
            self.env.extend(activation.names.iter().map(|names| format!("LISTEN_FDNAMES={names}")));
        }
    }
}

/// `host`: as the process will see it (`Host::inside`).
pub(super) fn lower(process: &oci::Process, host: &Host, warnings: &mut Vec<String>) -> Result<Process> {
    let env = environment(process.env().as_deref().unwrap_or_default())?;
    let user = process.user();
    Ok(Process {
        args: arguments(process.args().as_deref().unwrap_or_default())?,
        home: home(&env),
        env,
        cwd: cwd(process.cwd())?,
        user: self::user(user)?,
        capabilities: match process.capabilities() {
            Some(sets) => capabilities(sets, host, warnings),
            None => Capabilities::default(),
        },
        rlimits: rlimits(process)?,
        no_new_privileges: no_new_privileges(process.no_new_privileges()),
        oom_score_adj: oom_score_adj(process.oom_score_adj())?,
        scheduler: match process.scheduler() {
            Some(asked) => Some(scheduling::scheduler(asked, warnings).context("scheduler")?),
            None => None,
        },
        io_priority: process.io_priority().as_ref().map(scheduling::io_priority).transpose().context("ioPriority")?,
        exec_affinity: {
            let asked = process.exec_cpu_affinity().as_ref();
            asked.map(scheduling::affinity).transpose().context("execCPUAffinity")?
        },
        terminal: terminal(process)?,
        labels: labels::lower(process, host)?,
        personality: None,
        memory_policy: None,
        seccomp: None,
        keyring: None,
        preserve_fds: 0,
    })
}

/// For a container that has no program and cannot be started. config.md, "Process": REQUIRED when `start` is called.
pub(super) fn none(host: &Host) -> Result<Process> {
    let least = br#"{"cwd":"/","user":{"uid":0,"gid":0},"args":["none"]}"#;
    let least: oci::Process = serde_json::from_slice(least).context("the least process")?;
    Ok(Process { args: Vec::new(), ..lower(&least, host, &mut Vec::new())? })
}

/// The template with what exec asks for. What the request leaves open is the container's own.
pub(super) fn stamp(
    template: &Process,
    request: ExecProcess,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<Process> {
    let process = match request {
        ExecProcess::Whole(process) => whole(template, &process, host, warnings).context("process")?,
        ExecProcess::Words(words) => from_words(template, words, host)?,
    };
    id(process.user.uid).context("process.user.uid")?; // a template of an older version may have any number
    id(process.user.gid).context("process.user.gid")?;
    Ok(process)
}

fn whole(template: &Process, asked: &oci::Process, host: &Host, warnings: &mut Vec<String>) -> Result<Process> {
    let own = lower(asked, host, warnings)?;
    let mut user = User { umask: own.user.umask.or(template.user.umask), ..own.user };
    if template.user.groups.is_none() {
        user.keep_groups(warnings);
    }
    Ok(Process {
        user,
        capabilities: if asked.capabilities().is_some() { own.capabilities } else { template.capabilities },
        rlimits: if asked.rlimits().is_some() { own.rlimits } else { template.rlimits.clone() },
        oom_score_adj: own.oom_score_adj.or(template.oom_score_adj),
        scheduler: own.scheduler.or(template.scheduler),
        io_priority: own.io_priority.or(template.io_priority),
        exec_affinity: own.exec_affinity.or_else(|| template.exec_affinity.clone()),
        labels: own.labels.or(&template.labels),
        personality: template.personality,
        memory_policy: template.memory_policy.clone(),
        seccomp: template.seccomp.clone(),
        keyring: template.keyring.clone(),
        ..own
    })
}

fn from_words(template: &Process, words: Words, host: &Host) -> Result<Process> {
    let mut process = template.clone();
    process.args = arguments(&words.args).map_err(|_| crate::error::anyhow!("exec args cannot be empty"))?;
    process.env = environment(&[process.env, words.env].concat()).context("--env")?;
    process.env.retain(|pair| !Activation::tells(pair));
    process.home = home(&process.env);
    if let Some(dir) = words.cwd {
        process.cwd = cwd(&dir).context("--cwd")?;
    }
    if let Some((uid, gid)) = words.user {
        process.user.uid = uid;
        process.user.gid = gid.unwrap_or(0);
    }
    match &mut process.user.groups {
        Some(groups) => groups.extend(words.groups),
        None => ensure!(words.groups.is_empty(), "--additional-gids: the annotation {KEEP_GROUPS} rules it out"),
    }
    process.terminal = words.terminal;
    process.labels = Labels::from_words(&words.labels, host)?.or(&process.labels);
    process.no_new_privileges = words.no_new_privileges.unwrap_or(process.no_new_privileges);
    // CVE-2022-29162: asked-for capabilities go to these three sets, and never to the inheritable one by themselves.
    for name in &words.capabilities {
        let bit = capability(name).with_context(|| format!("--cap {name}"))?;
        ensure!(host.capabilities & bit != 0, "--cap {name}: this runtime does not hold it itself");
        let sets = &mut process.capabilities;
        sets.bounding |= bit;
        sets.effective |= bit;
        sets.permitted |= bit;
        if sets.inheritable & bit != 0 {
            sets.ambient |= bit;
        }
    }
    Ok(process)
}

fn arguments(args: &[String]) -> Result<Vec<String>> {
    ensure!(args.first().is_some_and(|program| !program.is_empty()), "args: is empty; the first one names the program");
    let nul = args.iter().position(|arg| arg.contains('\0'));
    if let Some(index) = nul {
        bail!("args[{index}]: holds a NUL byte");
    }
    Ok(args.to_vec())
}

/// Each name once, the last one winning, in the order of first appearance.
fn environment(pairs: &[String]) -> Result<Vec<String>> {
    let mut place: HashMap<&str, usize> = HashMap::with_capacity(pairs.len());
    let mut result: Vec<String> = Vec::with_capacity(pairs.len());
    for (index, pair) in pairs.iter().enumerate() {
        let Some((name, _)) = pair.split_once('=') else {
            bail!("env[{index}]: {pair:?} is not of the form NAME=value; write it so")
        };
        ensure!(!name.is_empty(), "env[{index}]: has no name before the \"=\"; write NAME=value");
        ensure!(!pair.contains('\0'), "env[{index}]: {name} holds a NUL byte");
        match place.get(name) {
            Some(&at) => result[at].clone_from(pair),
            None => {
                place.insert(name, result.len());
                result.push(pair.clone());
            }
        }
    }
    Ok(result)
}

fn home(env: &[String]) -> Home {
    let given = env.iter().any(|pair| pair.strip_prefix("HOME=").is_some_and(|dir| !dir.is_empty()));
    if given { Home::AsGiven } else { Home::FromPasswd }
}

fn cwd(path: &std::path::Path) -> Result<PathBuf> {
    ensure!(path.is_absolute(), "cwd: {:?} is not an absolute path; begin it with \"/\"", path.display().to_string());
    Ok(path.to_path_buf())
}

fn user(asked: &oci::User) -> Result<User> {
    let groups = asked.additional_gids().as_deref().unwrap_or_default();
    let group = |(index, gid): (usize, &u32)| id(*gid).with_context(|| format!("user.additionalGids[{index}]"));
    Ok(User {
        uid: id(asked.uid()).context("user.uid")?,
        gid: id(asked.gid()).context("user.gid")?,
        groups: Some(groups.iter().enumerate().map(group).collect::<Result<_>>()?),
        umask: umask(asked.umask())?,
    })
}

fn umask(mask: Option<u32>) -> Result<Option<u32>> {
    if let Some(mask) = mask.filter(|mask| *mask > 0o777) {
        bail!("user.umask: {mask} (octal {mask:o}) has more than the nine permission bits; write it in decimal");
    }
    Ok(mask)
}

fn no_new_privileges(asked: Option<bool>) -> NoNewPrivileges {
    if asked.unwrap_or(false) { NoNewPrivileges::Set } else { NoNewPrivileges::Unset }
}

fn oom_score_adj(value: Option<i32>) -> Result<Option<i32>> {
    if let Some(value) = value.filter(|value| !(-1000..=1000).contains(value)) {
        bail!("oomScoreAdj: {value} is out of range; write a number from -1000 to 1000");
    }
    Ok(value)
}

fn terminal(process: &oci::Process) -> Result<Option<Terminal>> {
    if !process.terminal().unwrap_or(false) {
        return Ok(None);
    }
    let side = |name: &str, value: u64| match u16::try_from(value) {
        Ok(value) => Ok(value),
        Err(_) => bail!("consoleSize.{name}: {value} is more than the kernel takes (65535)"),
    };
    let size = match process.console_size() {
        Some(size) => Some(Size { rows: side("height", size.height())?, columns: side("width", size.width())? }),
        None => None,
    };
    Ok(Some(Terminal { size }))
}

/// The kernel's numbers, by the spec's names. setrlimit(2). The C libraries give them different types.
#[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)]
const RLIMITS: [(PosixRlimitType, &str, u32); 16] = [
    (PosixRlimitType::RlimitAs, "RLIMIT_AS", libc::RLIMIT_AS as u32),
    (PosixRlimitType::RlimitCore, "RLIMIT_CORE", libc::RLIMIT_CORE as u32),
    (PosixRlimitType::RlimitCpu, "RLIMIT_CPU", libc::RLIMIT_CPU as u32),
    (PosixRlimitType::RlimitData, "RLIMIT_DATA", libc::RLIMIT_DATA as u32),
    (PosixRlimitType::RlimitFsize, "RLIMIT_FSIZE", libc::RLIMIT_FSIZE as u32),
    (PosixRlimitType::RlimitLocks, "RLIMIT_LOCKS", libc::RLIMIT_LOCKS as u32),
    (PosixRlimitType::RlimitMemlock, "RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK as u32),
    (PosixRlimitType::RlimitMsgqueue, "RLIMIT_MSGQUEUE", libc::RLIMIT_MSGQUEUE as u32),
    (PosixRlimitType::RlimitNice, "RLIMIT_NICE", libc::RLIMIT_NICE as u32),
    (PosixRlimitType::RlimitNofile, "RLIMIT_NOFILE", libc::RLIMIT_NOFILE as u32),
    (PosixRlimitType::RlimitNproc, "RLIMIT_NPROC", libc::RLIMIT_NPROC as u32),
    (PosixRlimitType::RlimitRss, "RLIMIT_RSS", libc::RLIMIT_RSS as u32),
    (PosixRlimitType::RlimitRtprio, "RLIMIT_RTPRIO", libc::RLIMIT_RTPRIO as u32),
    (PosixRlimitType::RlimitRttime, "RLIMIT_RTTIME", libc::RLIMIT_RTTIME as u32),
    (PosixRlimitType::RlimitSigpending, "RLIMIT_SIGPENDING", libc::RLIMIT_SIGPENDING as u32),
    (PosixRlimitType::RlimitStack, "RLIMIT_STACK", libc::RLIMIT_STACK as u32),
];

fn rlimits(process: &oci::Process) -> Result<Vec<Rlimit>> {
    let mut limits: Vec<Rlimit> = Vec::new();
    for (index, asked) in process.rlimits().iter().flatten().enumerate() {
        let (_, name, resource) =
            RLIMITS.into_iter().find(|(typ, ..)| *typ == asked.typ()).expect("RLIMITS has every type");
        ensure!(limits.iter().all(|l| l.resource != resource), "rlimits[{index}]: a second {name}; keep one of them");
        let (soft, hard) = (asked.soft(), asked.hard());
        ensure!(
            soft <= hard,
            "rlimits[{index}].soft: {soft} is above the hard limit of {name} ({hard}); lower it, or raise hard"
        );
        limits.push(Rlimit { name: name.to_string(), resource, soft, hard });
    }
    Ok(limits)
}

/// The bit of a capability by its name, with or without `CAP_`, in any case.
pub fn capability(name: &str) -> Result<u64> {
    let mut full = name.to_ascii_uppercase();
    if !full.starts_with("CAP_") {
        full = format!("CAP_{full}");
    }
    match full.parse::<caps::Capability>() {
        Ok(known) => Ok(known.bitmask()),
        Err(_) => {
            let names: Vec<String> = caps::all().iter().map(ToString::to_string).collect();
            let hint = options::did_you_mean(&full, names.iter().map(String::as_str));
            let hint = hint.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
            bail!("unknown capability {name:?}{hint}")
        }
    }
}

/// The name of a capability by its number, or the number of one that is newer than this runtime.
pub fn capability_name(number: u32) -> String {
    let named = caps::all().into_iter().find(|known| u32::from(known.index()) == number);
    named.map_or_else(|| format!("capability {number}"), |known| known.to_string())
}

fn capabilities(sets: &LinuxCapabilities, host: &Host, warnings: &mut Vec<String>) -> Capabilities {
    let mut missing = 0;
    let mut mask = |set: &Option<oci::Capabilities>| {
        let asked = set.iter().flatten().fold(0, |mask, cap| mask | capability(&cap.to_string()).unwrap_or(0));
        missing |= asked & !host.capabilities;
        asked & host.capabilities
    };
    let result = Capabilities {
        bounding: mask(sets.bounding()),
        effective: mask(sets.effective()),
        inheritable: mask(sets.inheritable()),
        permitted: mask(sets.permitted()),
        ambient: mask(sets.ambient()),
    };
    // config.md: what cannot be granted is a warning, not a failure.
    for name in caps::all().iter().filter(|cap| cap.bitmask() & missing != 0) {
        warnings.push(format!("process.capabilities: leaving out {name}, which this runtime does not hold itself"));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(json: &str) -> Result<Process> {
        let mut value: serde_json::Value = serde_json::from_str(json).unwrap();
        for (key, default) in [("cwd", "\"/\""), ("user", r#"{"uid":0,"gid":0}"#), ("args", "[\"sh\"]")] {
            let object = value.as_object_mut().unwrap();
            object.entry(key).or_insert(serde_json::from_str(default).unwrap());
        }
        let parsed: oci::Process = serde_json::from_value(value).unwrap();
        lower(&parsed, &Host::for_tests(), &mut Vec::new())
    }

    #[test]
    fn the_last_of_equal_variables_wins() {
        let env = process(r#"{"env":["A=1","B=2","A=3"]}"#).unwrap().env;
        assert_eq!(env, ["A=3", "B=2"]);
        assert!(process(r#"{"env":["A"]}"#).is_err());
    }

    #[test]
    fn missing_capability_sets_are_empty() {
        let sets = process(r#"{"capabilities":{"effective":["CAP_KILL"]}}"#).unwrap().capabilities;
        assert_eq!(sets, Capabilities { effective: 1 << 5, ..Capabilities::default() });
        assert_eq!(process("{}").unwrap().capabilities, Capabilities::default());
    }

    #[test]
    fn exec_with_cap_leaves_the_inheritable_set_alone() {
        let template = process(r#"{"capabilities":{"bounding":["CAP_KILL"],"inheritable":["CAP_KILL"]}}"#).unwrap();
        let words = Words { args: vec!["id".into()], capabilities: vec!["CAP_NET_RAW".into()], ..Words::default() };
        let sets = from_words(&template, words, &Host::for_tests()).unwrap().capabilities;
        assert_eq!((sets.inheritable, sets.ambient), (1 << 5, 0));
        assert_eq!(sets.permitted, 1 << 13);
    }

    #[test]
    fn exec_inherits_the_filter_and_the_keyring() {
        let mut template = process(r#"{"user":{"uid":5,"gid":6,"umask":63}}"#).unwrap();
        template.keyring = Some(Keyring { name: "_ses.x".into(), search: Search::User });
        let file: oci::Process = serde_json::from_str(r#"{"cwd":"/","user":{"uid":1,"gid":1},"args":["sh"]}"#).unwrap();
        let stamped = whole(&template, &file, &Host::for_tests(), &mut Vec::new()).unwrap();
        assert_eq!(stamped.keyring, template.keyring);
        assert_eq!(stamped.user.umask, Some(0o77));
        assert_eq!(stamped.user.uid, 1);
    }

    #[test]
    fn a_template_of_an_older_version_is_read() {
        let mut template = serde_json::to_value(process(r#"{"user":{"uid":5,"gid":6}}"#).unwrap()).unwrap();
        for new in ["scheduler", "io_priority", "exec_affinity", "labels", "personality", "memory_policy"] {
            assert!(template.as_object_mut().unwrap().remove(new).is_some(), "{new}");
        }
        let read: Process = serde_json::from_value(template).unwrap();
        assert!(read.labels.is_empty() && read.scheduler.is_none());
    }

    #[test]
    fn a_second_rlimit_of_a_kind_is_refused() {
        let two = r#"{"rlimits":[{"type":"RLIMIT_CORE","hard":1,"soft":1},{"type":"RLIMIT_CORE","hard":2,"soft":2}]}"#;
        assert!(process(two).unwrap_err().to_string().starts_with("rlimits[1]: a second RLIMIT_CORE"));
    }
}
