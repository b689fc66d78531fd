//! exec: one more process in a container. The same launch as create, into a world that is there already.

use super::create::Stay;
use super::{Announce, Global, inside, keep_only};
use crate::error::{Context, Kind, Result, anyhow, bail};
use crate::interrupt::Interrupt;
use crate::outside::cgroup::{Cgroup, Reach};
use crate::outside::console::Console;
use crate::outside::record::{self, Lock, Record, StateDir, Status};
use crate::outside::{Launch, launch, namespaces, wait};
use crate::plan::cgroup::SubCgroup;
use crate::plan::labels::Asked;
use crate::plan::process::ExecProcess;
use crate::plan::{self, ExecRequest, Placing, Plan, host};
use crate::sys::file::{self, CWD};
use crate::sys::{sched, signal};
use crate::{log, proc};

pub struct Exec {
    pub id: String,
    pub process: ExecProcess,
    pub announce: Announce,
    pub stay: Stay,
    pub preserve_fds: u32,
    /// Descriptors from 3 on that our caller has left open.
    pub inherited: u32,
    pub cgroups: Vec<SubCgroup>,
    pub paused: IfPaused,
}

/// `--ignore-paused`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum IfPaused {
    Refuse,
    Wait,
}

/// Returns the exit status for our own process: the command's, or 0 when detached.
pub fn exec(global: &Global, request: Exec) -> Result<u8> {
    keep_only(request.preserve_fds, 0, request.inherited)?;
    let (state, _) = record::load(&global.root, &request.id)?;
    let held = state.lock(Lock::Shared)?; // no delete while we are on our way in
    let record = state.read()?;
    let Some(init) = running_init(&state, &record, request.paused)? else {
        bail!(anyhow!(Kind::NotRunning).context("cannot exec in a stopped container"))
    };
    let terminal = request.announce.terminal_use(request.stay);
    let host = host::gather_for_exec(Asked::by_exec(&request.process))?;
    let asked = ExecRequest {
        id: request.id,
        process: request.process,
        preserve_fds: request.preserve_fds,
        terminal,
        placing: Placing::later(&record.cgroup),
        known: namespaces::known(&record)?,
        devpts: record.devpts,
        init: record.init.map_or(0, |init| init.pid),
        bundle: record.bundle.clone(),
        annotations: record.annotations.clone(),
    };
    let plan = plan::exec(&state.template()?, asked, &host)?;
    plan.warnings.iter().for_each(log::warning);
    let console = match (&plan.process.terminal, &request.announce.console_socket) {
        (None, _) => Console::None,
        (Some(_), Some(path)) => Console::connect(path)?,
        (Some(_), None) => Console::Foreground,
    };
    let signals = match request.stay {
        Stay::Foreground => Some(signal::take_all().context("take the signals")?),
        Stay::Leave => None,
    };
    let interrupt = Interrupt::take()?;
    run_where_asked(&plan)?;
    let mut cgroup = choose_cgroup(&state, &record, &request.cgroups)?;
    // What is read is read: from here on processes of the container can hold us up, and a `delete` must not wait for them. The
    // kernel lets no process into what it has removed meanwhile: setns(2) and fork fail when init is dead, and a cgroup that
    // is gone takes none, whatever has its name by then.
    drop(held);
    let Some(id) = record.init else { bail!(Kind::NotRunning) };
    let door = namespaces::way_into(id, init, record.namespaces, record.root)?;
    let launched = launch(Launch {
        plan: &plan,
        cgroup: &mut cgroup,
        gate: None,
        target: Some(door),
        joined: Vec::new(),
        console,
        inside: inside(),
        interrupt: &interrupt,
        elsewhere: &|| if request.cgroups.is_empty() { cgroup_of_init(&record, Reach::Below) } else { Ok(None) },
    });
    let ready = launched.map_err(|failed| failed.error)?;
    if let Some(group) = &record.resctrl {
        group.add_if_there(ready.pid())?;
    }
    log::debug(format!("process {} is ready to become {:?}", ready.pid(), plan.process.args[0]));
    request.announce.send_pidfd(ready.pidfd(), "setns")?;
    request.announce.write_pid(ready.pid())?;
    let (child, master) = ready.go(&interrupt).inspect_err(|_| request.announce.remove_pid())?;
    match signals {
        Some(signals) => Ok(wait::attend(&child, &signals, master, None)?.status()),
        None => Ok(0),
    }
}

/// config.md, "execCPUAffinity": `initial` is where the runtime itself runs until the process is in the container's cgroup.
/// The child is born with it. We stay there afterwards: what is left for us is to wait.
fn run_where_asked(plan: &Plan) -> Result<()> {
    match plan.process.exec_affinity.as_ref().and_then(|affinity| affinity.initial.as_ref()) {
        Some(cpus) => sched::set_affinity(cpus.words()).context(
            "config.json: process.execCPUAffinity.initial: is none of these CPUs online and in our own cpuset?",
        ),
        None => Ok(()),
    }
}

/// A pidfd of init, if there is a container to enter.
fn running_init(state: &StateDir, record: &Record, paused: IfPaused) -> Result<Option<std::os::fd::OwnedFd>> {
    let Some(init) = record.init_pidfd()? else {
        return Ok(None);
    };
    if paused == IfPaused::Refuse && state.status(record)? == Status::Paused {
        bail!("cannot exec in a paused container (use --ignore-paused to override)");
    }
    Ok(Some(init))
}

/// The container's cgroup or one below it; where its own is gone, the one that init is in now.
fn choose_cgroup(state: &StateDir, record: &Record, wanted: &[SubCgroup]) -> Result<Cgroup> {
    let own = state.cgroup(record)?;
    if !wanted.is_empty() {
        return own.sub(wanted);
    }
    let reach = if own.exists() { Reach::Below } else { Reach::Anywhere };
    let home = own.for_exec(&record.cgroup)?;
    if home.exists() || Placing::later(&record.cgroup) == Placing::ByParent {
        return Ok(home);
    }
    Ok(cgroup_of_init(record, reach)?.unwrap_or(home))
}

/// Also for a container whose payload has divided its cgroup, so that the upper one takes no processes any more. v2 only.
fn cgroup_of_init(record: &Record, reach: Reach) -> Result<Option<Cgroup>> {
    let pid = record.init.map_or(0, |init| init.pid);
    let thread = proc::living_thread(pid)?.unwrap_or(pid); // the first may have ended, and the others have moved on
    let path = format!("/proc/{pid}/task/{thread}/cgroup");
    let read = || file::read_all(file::open(CWD, &path, libc::O_RDONLY, 0)?, 1 << 16);
    let text = read().with_context(|| format!("read {path}"))?;
    if !record.init.is_some_and(|init| proc::is_alive(init).unwrap_or(false)) {
        bail!(anyhow!(Kind::NotRunning)); // the number may be another process's
    }
    Cgroup::of_process(&record.cgroup, &String::from_utf8_lossy(&text), reach)
}
