//! check: can this bundle be run here, by this user, and if not, why? `explain` asks the same and prints the plan too.
//!
//! Runs in the runtime's process and only reads: config.json, and what the plan needs of this machine. Nothing is written,
//! mounted or started, and what was true when we looked may have changed when `run` comes. Two things can
//! only be tried, by a child that ends at once: what an AppArmor profile or a seccomp filter denies (`rehearsal`), and, for a new
//! user namespace, whether this is a chroot (`outside/chroot.rs`).

mod apparmor;
mod files;
mod ids;
mod kernel;
mod machine;
mod paths;
mod rehearsal;
mod rights;
mod selinux;
mod threads;

use crate::error::{Result, anyhow};
use crate::plan::cgroup::Driver;
use crate::plan::host::{self, Caller, Host};
use crate::plan::labels::Asked;
use crate::plan::{self, CreateRequest, Plan, RootChange, Sandbox, TerminalUse, World, place};
use crate::spec::{self, Spec};
use serde_json::{Value, json};
use std::path::Path;

/// One thing to know about a bundle.
pub struct Finding {
    pub severity: Severity,
    /// Where in config.json, `mounts[2].source`.
    pub place: String,
    /// Why, and what to do.
    pub text: String,
    pub concerns: Concerns,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    Error,
    Warning,
}

/// Whom a finding stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Concerns {
    Everybody,
    /// Root could, or might.
    ThisUser,
}

/// Whose plan could be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Whose {
    Caller,
    /// The caller cannot have one.
    Root,
}

/// Who can run it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Runs {
    Now,
    AsRoot,
    Never,
}

pub struct Judgement {
    pub spec: Spec,
    pub plan: Plan,
    pub whose: Whose,
    pub findings: Vec<Finding>,
    euid: u32,
}

pub enum Outcome {
    Planned(Box<Judgement>),
    /// There is no plan, for nobody.
    Invalid {
        error: anyhow::Error,
    },
}

/// What a look at the machine may use.
struct Scene<'a> {
    spec: &'a Spec,
    plan: &'a Plan,
    sandbox: &'a Sandbox,
    host: &'a Host,
    whose: Whose,
}

type Look = fn(&Scene, &mut Vec<Finding>);

/// Every look at the machine. A new one is one more line.
const LOOKS: [Look; 29] = [
    files::procfs,
    files::devices,
    files::root,
    files::namespaces,
    files::bind_sources,
    files::mount_places,
    paths::program,
    paths::hooks,
    kernel::calls,
    kernel::version,
    kernel::file_systems,
    kernel::controllers,
    kernel::seccomp,
    kernel::namespaces,
    kernel::chroot,
    kernel::initramfs,
    apparmor::executable,
    apparmor::profile,
    rehearsal::namespaces,
    apparmor::parameters,
    selinux::transition,
    rights::capabilities,
    rights::limits,
    rights::oom_score,
    rights::cgroup,
    threads::limits,
    ids::user_namespaces,
    ids::helpers,
    ids::subordinate,
];

/// Fails when config.json cannot be read at all.
pub fn judge(bundle: &Path, driver: Driver) -> Result<Outcome> {
    let read = match spec::read(bundle) {
        Err(error) if !is_readable(bundle) => return Err(error),
        Err(error) => return Ok(Outcome::Invalid { error: without_directory(&error, bundle) }),
        Ok(read) => read,
    };
    let host = host::gather(Asked::by_spec(&read.spec), driver)?;
    let request = request(bundle, driver);
    let mut findings: Vec<Finding> = Vec::new();
    let (plan, whose) = match plan::create(&read.spec, &request, &host) {
        Ok(plan) => (plan, Whose::Caller),
        Err(error) if host.caller() == Caller::Root => {
            let cause = crate::proc::boot_id().err(); // without /proc the plan misses what the machine has
            return Ok(Outcome::Invalid { error: cause.unwrap_or_else(|| place::joined(&error)) });
        }
        Err(error) => match plan::create(&read.spec, &request, &host.as_root()) {
            Ok(plan) => {
                findings.push(Finding::said(Severity::Error, &format!("{error:#}"), Concerns::ThisUser));
                (plan, Whose::Root)
            }
            Err(error) => return Ok(Outcome::Invalid { error: place::joined(&error) }),
        },
    };
    let warnings = read.warnings.iter().chain(&plan.warnings);
    findings.extend(warnings.map(|text| Finding::said(Severity::Warning, text, Concerns::Everybody)));
    let World::New(sandbox) = &plan.world else { unreachable!("create plans a new world") };
    let scene = Scene { spec: &read.spec, plan: &plan, sandbox, host: &host, whose };
    LOOKS.iter().for_each(|look| look(&scene, &mut findings));
    findings.sort_by_key(|finding| finding.severity == Severity::Warning);
    Ok(Outcome::Planned(Box::new(Judgement { spec: read.spec, plan, whose, findings, euid: host.euid })))
}

/// Is there a file to blame?
fn is_readable(bundle: &Path) -> bool {
    spec::read_file(&bundle.join("config.json")).is_ok()
}

/// What is wrong in a file is said as what is wrong in a plan: without the bundle's path before it.
fn without_directory(error: &anyhow::Error, bundle: &Path) -> anyhow::Error {
    let text = format!("{error:#}");
    let own = format!("{}: ", bundle.join("config.json").display());
    anyhow!("{}", place::join(text.strip_prefix(&own).unwrap_or(&text)))
}

/// As `run` in the foreground asks, with the id that it would choose; a terminal is welcome and so is none.
fn request(bundle: &Path, driver: Driver) -> CreateRequest {
    let name = bundle.components().next_back().map(|name| name.as_os_str().to_string_lossy().into_owned());
    let fits = |name: &String| plan::check::container_id(name).is_ok();
    let id = name.filter(fits).unwrap_or_else(|| "container".to_owned());
    CreateRequest {
        bundle: bundle.to_owned(),
        change: RootChange::Pivot,
        keyring: Some(format!("_ses.{id}.RANDOM")),
        preserve_fds: 0,
        activation: plan::process::Activation::default(),
        terminal: TerminalUse::Foreground,
        driver,
        notify: None,
        id,
    }
}

/// What `check` prints, and its exit status.
pub fn check(bundle: &Path, driver: Driver) -> Result<(String, u8)> {
    let judgement = match judge(bundle, driver)? {
        Outcome::Planned(judgement) => judgement,
        Outcome::Invalid { error } => {
            let finding = Finding::said(Severity::Error, &format!("{error:#}"), Concerns::Everybody);
            let verdict = "refused: nobody can run this bundle before that is changed";
            return Ok((format!("{}\n{verdict}\n", crate::log::visible(&finding.line())), 1));
        }
    };
    let line = |finding: &Finding| {
        let kind = if finding.severity == Severity::Warning { "warning: " } else { "" };
        format!("{kind}{}\n", crate::log::visible(&finding.line()))
    };
    let lines: String = judgement.findings.iter().map(line).collect();
    Ok((format!("{lines}{}\n", judgement.verdict()), u8::from(judgement.runs() != Runs::Now)))
}

impl Judgement {
    pub fn runs(&self) -> Runs {
        let stops = |finding: &&Finding| finding.severity == Severity::Error;
        let stopping: Vec<&Finding> = self.findings.iter().filter(stops).collect();
        let only_here = stopping.iter().all(|finding| finding.concerns == Concerns::ThisUser);
        match stopping.is_empty() {
            true => Runs::Now,
            false if only_here && self.euid != 0 => Runs::AsRoot,
            false => Runs::Never,
        }
    }

    /// One line.
    pub fn verdict(&self) -> String {
        let who = if self.euid == 0 { "root".to_owned() } else { format!("user {}", self.euid) };
        let count = self.findings.iter().filter(|finding| finding.severity == Severity::Error).count();
        let reasons = if count == 1 { "1 reason".to_owned() } else { format!("{count} reasons") };
        match self.runs() {
            Runs::Now => format!("fine: {who} can run this bundle"),
            Runs::AsRoot => format!("refused: {who} cannot run this bundle ({reasons}); root could"),
            Runs::Never if self.euid != 0 => {
                format!("refused: {who} cannot run this bundle ({reasons}); neither could root")
            }
            Runs::Never => format!("refused: {who} cannot run this bundle here ({reasons})"),
        }
    }
}

impl Finding {
    fn error(place: impl Into<String>, text: impl Into<String>) -> Finding {
        let (place, text) = (place.into(), text.into());
        Finding { severity: Severity::Error, place, text, concerns: Concerns::Everybody }
    }

    fn warning(place: impl Into<String>, text: impl Into<String>) -> Finding {
        Finding { severity: Severity::Warning, ..Finding::error(place, text) }
    }

    /// Root would not be stopped by it.
    fn of_this_user(self) -> Finding {
        Finding { concerns: Concerns::ThisUser, ..self }
    }

    /// A text of the plan's, which begins with its place.
    fn said(severity: Severity, text: &str, concerns: Concerns) -> Finding {
        let (place, text) = place::split(text);
        Finding { severity, place, text: text.to_owned(), concerns }
    }

    pub fn line(&self) -> String {
        let Finding { place, text, .. } = self;
        if place.is_empty() { format!("config.json: {text}") } else { format!("config.json: {place}: {text}") }
    }

    pub fn to_json(&self) -> Value {
        json!({"place": self.place, "text": self.text, "stopsRoot": self.concerns == Concerns::Everybody})
    }
}

impl Scene<'_> {
    /// Has the caller this capability, or would root have it, whose plan it is?
    fn holds(&self, capability: caps::Capability) -> bool {
        self.whose == Whose::Root || self.host.capabilities & capability.bitmask() != 0
    }

    fn is_for_root(&self) -> bool {
        self.plan.caller == Caller::Root
    }
}
