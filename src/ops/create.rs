//! create: everything up to the gate. `run` goes the same way and does not stop there.

use super::list::{self, RootGiven};
use super::{Announce, Global, activation, delete, inside, keep_only};
use crate::error::{Context, Result, anyhow, bail, ensure, line};
use crate::interrupt::Interrupt;
use crate::link::gate;
use crate::outside::cgroup::{self, Cgroup};
use crate::outside::console::Console;
use crate::outside::host_mount::{self, HostMount};
use crate::outside::launch::{Failed, HooksRun, Ready};
use crate::outside::record::{self, Held, Record, StateDir};
use crate::outside::resctrl::{self, Group};
use crate::outside::{Launch, launch, namespaces, notify};
use crate::plan::cgroup::{Driver, Owner};
use crate::plan::labels::Asked;
use crate::plan::{
    self, CreateRequest, Hooks, NewKeyring, Plan, RootChange, Sandbox, World, host, host::Caller, place,
};
use crate::sys::{keyring, namespace, process, socket};
use crate::undo::Draft;
use crate::{log, proc, spec};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

pub struct Create {
    pub id: String,
    /// Absolute.
    pub bundle: PathBuf,
    pub announce: Announce,
    pub change: RootChange,
    pub keyring: NewKeyring,
    pub preserve_fds: u32,
    /// Descriptors from 3 on that our caller has left open.
    pub inherited: u32,
    pub driver: Driver,
}

/// Whether the caller stays with the container.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// create, and run --detach.
    Leave,
    Foreground,
}

/// Whether the container waits for `start`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    AtGate,
    Nowhere,
}

/// A container that is all but started. Dropped, it is unmade: process, cgroup, state directory.
pub struct Made {
    pub record: Record,
    pub ready: Ready,
    pub drafts: Drafts,
    pub state: Draft<StateDir>,
    pub held: Held,
    /// Where the payload will tell that it is ready; the gate has that of a created container.
    pub notify: Option<OwnedFd>,
    /// Until the drafts are kept or undone.
    pub interrupt: Interrupt,
}

/// What is outside of the state directory.
#[derive(Default)]
pub struct Drafts {
    cgroup: Option<Draft<Cgroup>>,
    resctrl: Option<Draft<Group>>,
    host_mount: Option<Draft<HostMount>>,
}

impl Drafts {
    /// Returns the cgroup.
    pub fn keep(self) -> Option<Cgroup> {
        self.resctrl.map(Draft::keep);
        self.host_mount.map(Draft::keep);
        self.cgroup.map(Draft::keep)
    }

    /// Unmakes them, and returns what cannot be unmade.
    fn undo(self) -> Vec<anyhow::Error> {
        let mut left = Vec::new();
        left.extend(self.resctrl.and_then(|group| resctrl::remove(&group.keep()).err()));
        left.extend(self.cgroup.and_then(|cgroup| cgroup::undo(cgroup.keep()).err()));
        left.extend(self.host_mount.and_then(|mount| host_mount::take_down(&mount.keep()).err()));
        left
    }
}

pub fn create(global: &Global, request: Create) -> Result<()> {
    let Made { record, ready, drafts, state, held, interrupt, .. } = make(global, request, Stay::Leave, Stop::AtGate)?;
    let hooks = ready.hooks;
    if let Err(error) = ready.go_to_gate() {
        return Err(give_up(error, state, record, drafts, hooks));
    }
    drafts.keep();
    state.keep();
    drop((held, interrupt));
    Ok(())
}

/// The way from config.json to a child that has only the last step to do. On failure nothing of it is left.
pub fn make(global: &Global, request: Create, stay: Stay, stop: Stop) -> Result<Made> {
    let activation = activation();
    keep_only(request.preserve_fds, activation.count, request.inherited)?;
    plan::check::container_id(&request.id)?;
    let read = spec::read(&request.bundle)?;
    let terminal = request.announce.terminal_use(stay);
    let asked = CreateRequest {
        id: request.id.clone(),
        bundle: request.bundle,
        change: request.change,
        keyring: match request.keyring {
            NewKeyring::Yes => {
                Some(format!("_ses.{}.{}", request.id, keyring::random_token().context("name the keyring")?))
            }
            NewKeyring::No => None,
        },
        preserve_fds: request.preserve_fds,
        activation,
        terminal,
        driver: request.driver,
        notify: notify::manager()?.map(|_| global.root.join(&request.id).join(plan::notify::SOCKET)),
    };
    if stop == Stop::Nowhere && read.spec.process().is_none() {
        bail!("config.json: process: is missing; a container needs a program to run");
    }
    let host = host::gather(Asked::by_spec(&read.spec), request.driver)?;
    let plan = plan::create(&read.spec, &asked, &host).map_err(|error| place::joined(&error))?;
    for warning in read.warnings.iter().chain(&plan.warnings) {
        log::warning(place::join(warning));
    }
    build(global, &plan, &request.announce, stop)
}

fn build(global: &Global, plan: &Plan, announce: &Announce, stop: Stop) -> Result<Made> {
    let World::New(sandbox) = &plan.world else { unreachable!("create plans a new world") };
    let joined = namespaces::open(&sandbox.namespaces)?;
    namespaces::check_own(sandbox, &joined)?;
    namespaces::warn_of_exposure(&sandbox.namespaces, &joined)?;
    let group = sandbox.resctrl.as_ref().map(|wanted| resctrl::find(wanted, &plan.id)).transpose()?;
    let console = match (&plan.process.terminal, &announce.console_socket) {
        (None, _) => Console::None,
        (Some(_), Some(path)) => Console::connect(path)?,
        (Some(_), None) => Console::Foreground,
    };
    let interrupt = Interrupt::take()?; // before there is anything to undo
    let (state, held) = record::claim(&global.root, &plan.id)?;
    log::debug(format!("claimed {:?} in {}", plan.id, global.root.display()));
    let detached =
        (sandbox.rootfs.change == RootChange::Chroot).then(|| host_mount::prepare(&sandbox.rootfs)).transpose()?;
    let host_mount = detached.as_ref().map(|detached| detached.mount.clone());
    let mut record = Record { resctrl: group, host_mount, ..intent(plan, sandbox)? };
    state.save_intent(&record)?; // before anything else is made: whatever happens to us, this names what to clean up
    if let Some(mount) = &record.host_mount {
        refuse_shared_root(global, &plan.id, mount)?; // the intent is written: of two that come at once none overlooks the other
    }
    let (mut drafts, mut hooks) = (Drafts::default(), HooksRun::No);
    let mut notify = None;
    let filled = || -> Result<Ready> {
        if sandbox.notify.is_some() {
            notify = Some(notify::make_socket(&state)?);
        }
        drafts.host_mount = detached.map(host_mount::attach).transpose()?;
        let cgroup = drafts.cgroup.insert(make_cgroup(plan, sandbox, &mut record)?);
        record.cgroup_ids = cgroup.identities()?;
        if let (Some(group), Some(plan)) = (&record.resctrl, &sandbox.resctrl) {
            drafts.resctrl = Some(resctrl::make(group, plan)?);
        }
        let gate = match stop {
            Stop::AtGate => Some(socket::listen_in(state.dir.as_fd(), gate::NAME).context("make the gate")?),
            Stop::Nowhere => None,
        };
        if let (Some(_), Some(socket)) = (&gate, notify.take_if(|_| stop == Stop::AtGate)) {
            gate::deposit(state.dir.as_fd(), &socket)?; // for `start`
        }
        record.namespace_ids = namespaces::identities(&joined)?;
        let launched = launch(Launch {
            plan,
            cgroup,
            gate,
            target: None,
            joined,
            console,
            inside: inside(),
            interrupt: &interrupt,
            elsewhere: &|| Ok(None),
        });
        let ready = launched.map_err(|failed| {
            (hooks, record.init) = (failed.hooks, failed.left);
            explain(failed, sandbox)
        })?;
        hooks = ready.hooks;
        match publish(&state, &mut record, plan, cgroup, &ready, announce) {
            Ok(()) => Ok(ready),
            Err(error) => {
                record.init = ready.end();
                Err(error)
            }
        }
    };
    match filled() {
        Ok(ready) => Ok(Made { record, ready, drafts, state, held, notify, interrupt }),
        Err(error) => Err(give_up(error, state, record, drafts, hooks)),
    }
}

/// Writes down what there is, for later commands and for the caller.
fn publish(
    state: &StateDir,
    record: &mut Record,
    plan: &Plan,
    cgroup: &Cgroup,
    ready: &Ready,
    announce: &Announce,
) -> Result<()> {
    let program = plan.process.args.first().map_or("nothing", String::as_str);
    log::debug(format!("process {} is ready to become {program:?}", ready.pid()));
    if let Some(group) = &record.resctrl {
        group.add(ready.pid())?;
    }
    record.init = Some(proc::identify(ready.pid())?);
    if let World::New(sandbox) = &plan.world {
        namespaces::complete(record, &sandbox.namespaces, ready.pid());
    }
    record.cgroup_ids = cgroup.identities()?;
    record.devpts = ready.devpts;
    record.made.clone_from(&ready.made);
    let template = plan.template().ok_or_else(|| anyhow!("create makes a template"))?;
    state.save_template(&template)?;
    state.save(record)?;
    announce.send_pidfd(ready.pidfd(), "standard")?;
    announce.write_pid(ready.pid())
}

/// Unmakes what a `create` that fails has made; the child has been killed. If its hooks have run, the poststop hooks follow.
/// runtime.md, "Lifecycle", step 5. The state directory goes last and only when nothing else is left: without it no command
/// could ever find the rest. `record.init` is the child, where that could not be killed.
pub fn give_up(
    error: anyhow::Error,
    state: Draft<StateDir>,
    mut record: Record,
    drafts: Drafts,
    hooks: HooksRun,
) -> anyhow::Error {
    record.init = record.init.filter(|init| proc::is_alive(*init).unwrap_or(true));
    let mut left: Vec<String> = drafts.undo().iter().map(line).collect();
    if let Some(init) = record.init {
        // Its cgroups and mounts stay because of it.
        left.iter().for_each(log::debug);
        let why = proc::why_it_does_not_die(init.pid).unwrap_or_else(|| "does not die".to_owned());
        left = vec![format!("process {} {why}", init.pid)];
    }
    let done = match (left.is_empty(), hooks) {
        (true, HooksRun::Yes) => delete::poststop(&state, &record),
        (true, HooksRun::No) | (false, HooksRun::Yes) => Ok(()), // none are due, or not before the rest is gone
        (false, HooksRun::No) => state.take_poststop().map(drop),
    };
    if let Err(error) = done {
        log::warning(line(&error));
    }
    if left.is_empty() {
        return error;
    }
    if let Err(error) = state.save(&record) {
        log::warning(line(&error)); // the intent is there
    }
    let id = state.keep().id;
    error.context(format!("left of container {id:?}: {}: then repeat `rruntime delete --force {id}`", left.join("; ")))
}

/// Without mount namespaces.
fn refuse_shared_root(global: &Global, own: &str, mount: &HostMount) -> Result<()> {
    for id in list::ids(global, RootGiven::No)?.iter().filter(|id| *id != own) {
        let other = record::load(&global.root, id).ok().and_then(|(_, record)| record.host_mount); // it may just go
        ensure!(
            !other.is_some_and(|other| other.is_at_the_place_of(mount)),
            "config.json: root.path: container {id:?} has its mounts there, and no mount namespace either: delete it, use \
             another root filesystem, or add {{\"type\": \"mount\"}} to linux.namespaces"
        );
    }
    Ok(())
}

/// A user to whom nobody has delegated a cgroup, and who asks for no limits, gets none: the container stays in the caller's.
fn make_cgroup(plan: &Plan, sandbox: &Sandbox, record: &mut Record) -> Result<Draft<Cgroup>> {
    let denied = match cgroup::make(&sandbox.cgroup) {
        Err(error)
            if sandbox.cgroup.place.owner == Owner::Us
                && cgroup::is_denied(&error)
                && !(plan.caller == Caller::Root && namespace::is_in_first_user()) =>
        {
            error
        }
        other => return other,
    };
    if !sandbox.cgroup.settings.is_empty() || sandbox.cgroup.place.subgroup.is_some() {
        let (place, who) = match sandbox.cgroup.settings.is_empty() {
            true => (format!("annotations: {}", plan::cgroup::delegate::SUBGROUP), "processes below one"),
            false => ("linux.resources".to_owned(), "limits"),
        };
        return Err(denied.context(format!(
            "config.json: {place}: {who} need a cgroup that this user may write (systemd delegates one with Delegate=yes, \
             see systemd.resource-control(5)): leave them out, or run as root"
        )));
    }
    log::debug(format!("no cgroup of its own: {denied:#}"));
    let none = plan::cgroup::Cgroup::none();
    record.cgroup = none.place.clone();
    cgroup::make(&none)
}

fn intent(plan: &Plan, sandbox: &Sandbox) -> Result<Record> {
    let creator = proc::identify(process::pid())?;
    let record = Record::new(&plan.id, creator, sandbox.cgroup.place.clone(), &sandbox.namespaces)?;
    Ok(Record {
        bundle: sandbox.bundle.clone(),
        rootfs: sandbox.rootfs.path.clone(),
        annotations: sandbox.annotations.clone(),
        hooks: Hooks {
            poststart: plan.hooks.poststart.clone(),
            poststop: plan.hooks.poststop.clone(),
            ..Hooks::default()
        },
        ..record
    })
}

fn explain(failed: Failed, sandbox: &Sandbox) -> anyhow::Error {
    if !failed.made.is_empty() {
        let names: Vec<String> = failed.made.iter().map(|name| format!("{name:?}")).collect();
        log::warning(format!("left in the root filesystem {}: {}", sandbox.rootfs.path.display(), names.join(", ")));
    }
    // Not everything that finds no memory is killed for it. What the child could not do arrives as text.
    let limited = sandbox.cgroup.settings.iter().any(|setting| setting.controller == "memory");
    let error = match limited && line(&failed.error).ends_with("(ENOMEM)") {
        true => failed.error.context("linux.resources.memory.limit in config.json may be too small for it; raise it"),
        false => failed.error,
    };
    error.context("unable to start container process")
}
