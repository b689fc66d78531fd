//! What will be done. Pure: `Spec` + `Host` → `Plan`.
//!
//! Everything that the user said is lowered here, once: every default is answered, every word parsed, every refusal made.
//! Nothing in this folder touches the machine, except `host`, which gathers facts before the planning starts. After the
//! lowering `Option` means "the container has none", never "nobody said".

pub mod annotations;
pub mod cgroup;
pub mod check;
mod chroot;
pub mod device_rules;
pub mod devices;
#[cfg(test)]
mod fuzz_tests;
pub mod host;
pub mod labels;
pub mod list;
pub mod memory_policy;
#[cfg(test)]
mod memory_tests;
pub mod mount_ids;
mod mount_words;
pub mod mounts;
pub mod namespaces;
pub mod network;
pub mod notify;
pub mod options;
pub mod place;
pub mod process;
pub mod resctrl;
pub mod scheduling;
pub mod seccomp;
#[cfg(test)]
mod tests;
pub mod update;

pub use devices::{DevSetup, Device};
pub use mount_ids::{IdMapping, Ids};
pub use mounts::{Attributes, CgroupView, Content, MountOp, MountWhat, Opener};
pub use namespaces::{IdMaps, Join, Namespaces, TimeOffset};
pub use options::{SourceLink, TargetLink};
use process::Keyring;
pub use process::Process;

use crate::error::{Context, Result, bail, ensure};
use crate::spec::Spec;
use crate::sys::keyring::Search;
use crate::sys::mount::flag;
use crate::sys::namespace::Identity;
use cgroup::Driver;
use host::{Caller, Host};
use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// All that `launch` and the child need to know.
#[derive(Debug)]
pub struct Plan {
    pub id: String,
    pub world: World,
    pub process: Process,
    pub hooks: Hooks,
    pub caller: Caller,
    /// What a person should know although nothing is refused; each with its place in config.json.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Whether the child forks into the pid namespace when it has done everything else (`inside::fork`). It does where processes
    /// with CAP_SYS_PTRACE in the runtime's user namespace may be in the target pid namespace. With a user namespace of the
    /// container's own, whose owner may have no right over the pid namespace later, it is cloned into it: over a process
    /// whose memory was made outside of their user namespace the others have no capability (ptrace(2), PTRACE_MODE).
    pub fn forks_late(&self) -> bool {
        match &self.world {
            World::Join(target) => target.namespaces & libc::CLONE_NEWPID != 0,
            World::New(sandbox) => sandbox.namespaces.joins_pid_late(),
        }
    }
}

/// Where the process will live: the one `match` between create and exec.
#[derive(Debug)]
pub enum World {
    New(Box<Sandbox>),
    Join(Target),
}

/// What create makes and exec joins.
#[derive(Debug)]
pub struct Sandbox {
    pub bundle: PathBuf,
    pub namespaces: Namespaces,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    /// Devices of the host that become the container's.
    pub net_devices: Vec<network::NetDevice>,
    /// Names as files below /proc/sys, and their values.
    pub sysctl: Vec<(PathBuf, String)>,
    pub rootfs: Rootfs,
    pub mounts: Vec<MountOp>,
    pub devices: Vec<Device>,
    pub dev_setup: DevSetup,
    pub masked: Vec<PathBuf>,
    pub readonly: Vec<PathBuf>,
    /// SELinux; the mounts have theirs among their options.
    pub mount_label: Option<String>,
    pub cgroup: cgroup::Cgroup,
    pub resctrl: Option<resctrl::Resctrl>,
    /// The socket on the host that is bound to /run/notify/notify.sock.
    pub notify: Option<PathBuf>,
    /// As it was said: `cgroup` is what becomes of it.
    pub resources: LinuxResources,
    pub annotations: BTreeMap<String, String>,
}

#[derive(Debug)]
pub struct Rootfs {
    /// Absolute, on the host.
    pub path: PathBuf,
    pub access: Access,
    /// MS_* bits for "/" of the new mount namespace before anything is mounted. Without one it says nothing.
    pub propagation: u64,
    pub change: RootChange,
    /// Which side mounts it over itself, where the child may not walk to it.
    pub opener: Opener,
    /// Whether the root could be moved over "/", in place of pivot_root.
    pub movable: Movable,
}

/// Does a root that was moved over "/" hold the container? The host's tree stays below it, and the kernel does not lock the
/// move for a user namespace (mount_namespaces(7) locks what comes from another one): root of it with CAP_SYS_ADMIN could
/// unmount its own "/", and processes that join its mount namespace would arrive on the host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Movable {
    Yes,
    No,
}

/// The refusal of a move that would not hold.
pub const NOT_MOVABLE: &str = "a root that is moved over \"/\" does not hold a container that has CAP_SYS_ADMIN in a user namespace of its \
                               own: take CAP_SYS_ADMIN out of process.capabilities, or the user namespace out of linux.namespaces";

impl Rootfs {
    /// Does the planned propagation leave nothing shared with the host?
    pub fn cuts_everything(&self) -> bool {
        self.propagation & flag::MS_REC != 0 && self.propagation & (flag::MS_SLAVE | flag::MS_PRIVATE) != 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    ReadWrite,
    ReadOnly,
}

/// How the root filesystem becomes "/".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RootChange {
    Pivot,
    /// `--no-pivot`, for hosts that run from a ramfs.
    MoveAndChroot,
    /// There is no mount namespace but the host's: nothing is moved there.
    Chroot,
}

/// The running container that exec joins.
#[derive(Debug)]
pub struct Target {
    /// `CLONE_NEW*` bits of the namespaces that the container does not share with the runtime.
    pub namespaces: i32,
    pub placing: Placing,
    /// Those of its namespaces that are told by number, each with its `CLONE_NEW*` bit: the joined ones, and its user namespace.
    pub known: Vec<(i32, Identity)>,
    /// The device number of the devpts that it was created with.
    pub devpts: Option<u64>,
    /// As the state says it.
    pub init: i32,
    pub bundle: PathBuf,
    pub annotations: BTreeMap<String, String>,
}

/// How the child gets into its cgroup.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Placing {
    /// cgroup v2: it is born there.
    AtBirth,
    /// cgroup v1: the parent writes its pid into each hierarchy. Or systemd makes the cgroup around it.
    ByParent,
}

impl Placing {
    /// A container's first process.
    pub fn of(place: &cgroup::Place) -> Placing {
        if place.needs_placing() { Placing::ByParent } else { Placing::AtBirth }
    }

    /// One more.
    pub fn later(place: &cgroup::Place) -> Placing {
        if place.needs_placing_later() { Placing::ByParent } else { Placing::AtBirth }
    }
}

/// What `create` saves for `exec`. It has no `Default`: a new field of `Process` breaks the build in `create` below, and
/// exec inherits it without a line.
#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct Template {
    pub process: Process,
    /// `CLONE_NEW*` bits of the namespaces that the container has of its own.
    pub namespaces: i32,
    /// What update changes a part of.
    #[serde(default)]
    pub resources: LinuxResources,
}

/// Hooks by kind, in order. config.md, "POSIX-platform Hooks".
#[derive(Serialize, Deserialize, Debug, Clone, Default)]
pub struct Hooks {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prestart: Vec<Hook>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub create_runtime: Vec<Hook>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub create_container: Vec<Hook>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start_container: Vec<Hook>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststart: Vec<Hook>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub poststop: Vec<Hook>,
}

#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct Hook {
    pub path: PathBuf,
    pub args: Vec<String>,
    /// `None`: what the side that runs it has (the runtime's environment, or the container's).
    pub env: Option<Vec<String>>,
    /// Seconds.
    pub timeout: Option<u64>,
}

/// What the command line of create and run adds to config.json.
pub struct CreateRequest {
    pub id: String,
    /// Absolute.
    pub bundle: PathBuf,
    pub change: RootChange,
    /// The name of the session keyring to make. `None` for `--no-new-keyring`.
    pub keyring: Option<String>,
    /// Descriptors beyond 0, 1 and 2 that the payload keeps, from 3 on.
    pub preserve_fds: u32,
    /// Descriptors that the payload keeps before those.
    pub activation: process::Activation,
    pub terminal: TerminalUse,
    pub driver: cgroup::Driver,
    /// The caller has a service manager: the host's socket for what the payload will tell it.
    pub notify: Option<PathBuf>,
}

/// `--no-new-keyring` or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewKeyring {
    Yes,
    No,
}

/// Where a terminal's master could go: it decides whether `terminal: true` makes sense.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TerminalUse {
    /// We stay in the foreground and carry the bytes ourselves.
    Foreground,
    /// We stay in the foreground, where no standard stream is a terminal: no key would reach the payload, and no end of the
    /// input.
    Missing,
    /// Somebody listens on a console socket.
    Socket,
    /// The runtime returns, and no console socket takes the master.
    NoHolder,
}

fn movable(namespaces: &Namespaces, capabilities: &process::Capabilities) -> Movable {
    let all = [capabilities.bounding, capabilities.permitted, capabilities.inheritable, capabilities.ambient];
    let is_admin = all.into_iter().any(|set| set >> host::CAP_SYS_ADMIN & 1 == 1);
    if is_admin && namespaces.makes(libc::CLONE_NEWUSER) { Movable::No } else { Movable::Yes }
}

/// The plan of create and run.
pub fn create(spec: &Spec, request: &CreateRequest, host: &Host) -> Result<Plan> {
    let mut warnings = Vec::new();
    check::container_id(&request.id)?;
    check::whole(spec, &mut warnings).context("config.json")?;
    let plan = lower(spec, request, host, &mut warnings).context("config.json")?;
    let (sandbox, process, hooks) = plan;
    Ok(Plan {
        id: request.id.clone(),
        world: World::New(Box::new(sandbox)),
        process,
        hooks,
        caller: host.caller(),
        warnings,
    })
}

fn lower(
    spec: &Spec,
    request: &CreateRequest,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<(Sandbox, Process, Hooks)> {
    let nothing;
    let linux = match spec.linux() {
        Some(linux) => linux,
        None => {
            nothing = asks_nothing();
            &nothing
        }
    };
    let Some(root) = spec.root() else { bail!("root: is missing; name the root filesystem in root.path") };
    let namespaces = namespaces::lower(linux, host).context("linux")?;
    annotations::check(spec)?;
    annotations::warn_of_others(spec, warnings);
    check::namespace_use(spec, &namespaces)?;
    let change = chroot::root_change(linux, &namespaces, request.change, warnings)?;
    let mut cgroup = cgroup(spec, linux, request, host, warnings)?;
    let no_cgroup = (request.driver == Driver::Disabled).then(|| cgroup::Place::of_caller(&host.cgroups));
    let inside = host.inside(namespaces.own());
    let mut process = match spec.process() {
        Some(said) => process::lower(said, &inside, warnings).context("process")?,
        None => {
            warnings.push("config.json: process: is missing: the container can be created, but not started".to_owned());
            process::none(&inside)?
        }
    };
    annotations::apply_to_user(spec, &mut process.user, warnings);
    process.seccomp = linux.seccomp().as_ref().map(seccomp::compile).transpose()?;
    check::mapped_ids(&process.user, namespaces.maps.as_ref())?;
    process.personality = linux.personality().as_ref().map(check::personality).transpose()?;
    process.memory_policy =
        linux.memory_policy().as_ref().map(memory_policy::lower).transpose().context("linux.memoryPolicy")?;
    process.keyring = request.keyring.clone().map(|name| Keyring { name, search: Search::User });
    process.keep_descriptors(request.preserve_fds, &request.activation);
    check::terminal(process.terminal.is_some(), request.terminal)?;
    ensure!(
        !root.path().as_os_str().is_empty(),
        "root.path: is missing or empty; name the directory of the root filesystem"
    );
    let rootfs = Rootfs {
        path: request.bundle.join(root.path()),
        access: if root.readonly().unwrap_or(false) { Access::ReadOnly } else { Access::ReadWrite },
        propagation: mounts::root_propagation(linux.rootfs_propagation().as_deref())?,
        change,
        opener: mounts::opener(&namespaces, host.caller()),
        movable: movable(&namespaces, &process.capabilities),
    };
    ensure!(
        rootfs.change != RootChange::MoveAndChroot || rootfs.movable == Movable::Yes,
        "linux.namespaces: with --no-pivot {NOT_MOVABLE}"
    );
    let mount_label = labels::of_mounts(linux.mount_label().as_ref(), host, warnings)?;
    let scene = mounts::Scene {
        bundle: &request.bundle,
        namespaces: &namespaces,
        place: no_cgroup.as_ref().unwrap_or(&cgroup.place),
        caller: host.caller(),
        label: mount_label.as_deref(),
        context: annotations::context_type(spec)?,
    };
    let mut mounts = mounts::lower(spec, &scene, warnings)?;
    let notify = request.notify.clone().filter(|_| notify::is_wanted(&process));
    if let Some(socket) = &notify {
        mounts.push(scene.one(mounts.len(), &notify::mount(socket)?, warnings)?);
        notify::tell(&mut process);
    }
    chroot::keep_in(&rootfs, &mut mounts);
    let uid = process.user.uid;
    let facts = cgroup::delegate::Facts { spec, namespaces: &namespaces, mounts: &mounts, uid, caller: host.caller() };
    cgroup.delegated_to = cgroup::delegate::owner(&cgroup, &facts);
    let dev_setup = devices::setup(&mounts);
    let devices = devices::lower(linux, &namespaces, host, dev_setup, warnings)?;
    let (sysctl, domainname) = check::domainname(spec, check::sysctl(linux, &namespaces)?)?;
    let sandbox = Sandbox {
        bundle: request.bundle.clone(),
        hostname: spec.hostname().clone(),
        domainname,
        net_devices: network::lower(linux, &namespaces, host)?,
        sysctl,
        rootfs,
        mounts,
        devices,
        dev_setup,
        masked: check::paths("linux.maskedPaths", linux.masked_paths().as_ref())?,
        readonly: check::paths("linux.readonlyPaths", linux.readonly_paths().as_ref())?,
        mount_label,
        cgroup,
        resctrl: resctrl::lower(linux, &request.id)?,
        notify,
        resources: linux.resources().clone().unwrap_or_default(),
        annotations: spec.annotations().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
        namespaces,
    };
    Ok((sandbox, process, hooks(spec)?))
}

fn cgroup(
    spec: &Spec,
    linux: &oci_spec::runtime::Linux,
    request: &CreateRequest,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<cgroup::Cgroup> {
    if request.driver != Driver::Systemd {
        annotations::warn_of_systemd(spec, warnings);
    }
    let said = cgroup::Said { annotations: spec.annotations().as_ref(), linux, id: &request.id };
    match request.driver {
        Driver::Cgroupfs => cgroup::lower(said, host, warnings),
        Driver::Systemd => cgroup::scope::lower(said, host, warnings),
        Driver::Disabled => cgroup::disabled(said, host, warnings),
    }
}

/// `linux` may be absent: then nothing is asked of it. (oci-spec's own default would ask for six namespaces.)
fn asks_nothing() -> oci_spec::runtime::Linux {
    serde_json::from_slice(b"{}").expect("every field of linux is optional")
}

fn hooks(spec: &Spec) -> Result<Hooks> {
    let Some(all) = spec.hooks() else {
        return Ok(Hooks::default());
    };
    let list = |name: &str, list: &Option<Vec<oci_spec::runtime::Hook>>| -> Result<Vec<Hook>> {
        list.iter()
            .flatten()
            .enumerate()
            .map(|(i, hook)| one_hook(hook).with_context(|| format!("hooks.{name}[{i}]")))
            .collect()
    };
    #[allow(deprecated)] // the spec deprecates prestart, and still says that it runs
    let prestart = list("prestart", all.prestart())?;
    Ok(Hooks {
        prestart,
        create_runtime: list("createRuntime", all.create_runtime())?,
        create_container: list("createContainer", all.create_container())?,
        start_container: list("startContainer", all.start_container())?,
        poststart: list("poststart", all.poststart())?,
        poststop: list("poststop", all.poststop())?,
    })
}

fn one_hook(hook: &oci_spec::runtime::Hook) -> Result<Hook> {
    if !hook.path().is_absolute() {
        bail!("path: {} is not absolute; write the full path of the program", hook.path().display());
    }
    for (field, list) in [("args", hook.args()), ("env", hook.env())] {
        let nul = list.iter().flatten().position(|word| word.contains('\0'));
        ensure!(nul.is_none(), "{field}[{}]: holds a NUL byte", nul.unwrap_or_default());
    }
    let timeout = match hook.timeout() {
        None => None,
        Some(seconds) if seconds > 0 => Some(seconds.unsigned_abs()),
        Some(seconds) => bail!("timeout: {seconds} is not above zero; give seconds, or leave it out to wait for ever"),
    };
    Ok(Hook {
        path: hook.path().clone(),
        args: hook.args().clone().unwrap_or_default(),
        env: hook.env().clone(),
        timeout,
    })
}

impl Plan {
    /// What exec will need of this plan. Only a plan of create has it.
    pub fn template(&self) -> Option<Template> {
        let World::New(sandbox) = &self.world else {
            return None;
        };
        Some(Template {
            process: self.process.clone(),
            namespaces: sandbox.namespaces.own(),
            resources: sandbox.resources.clone(),
        })
    }
}

/// What the command line of exec asks for, over the template.
pub struct ExecRequest {
    pub id: String,
    pub process: process::ExecProcess,
    pub preserve_fds: u32,
    pub terminal: TerminalUse,
    pub placing: Placing,
    /// Of the container: its known namespaces, devpts, init, bundle and annotations.
    pub known: Vec<(i32, Identity)>,
    pub devpts: Option<u64>,
    pub init: i32,
    pub bundle: PathBuf,
    pub annotations: BTreeMap<String, String>,
}

/// The plan of exec: the template with what was asked for now. Never the bundle, never defaults.
pub fn exec(template: &Template, request: ExecRequest, host: &Host) -> Result<Plan> {
    let mut warnings = Vec::new();
    let mut process =
        process::stamp(&template.process, request.process, &host.inside(template.namespaces), &mut warnings)?;
    process.keep_descriptors(request.preserve_fds, &process::Activation::default());
    check::terminal(process.terminal.is_some(), request.terminal)?;
    let world = World::Join(Target {
        namespaces: template.namespaces,
        placing: request.placing,
        known: request.known,
        devpts: request.devpts,
        init: request.init,
        bundle: request.bundle,
        annotations: request.annotations,
    });
    Ok(Plan { id: request.id, world, process, hooks: Hooks::default(), caller: host.caller(), warnings })
}
