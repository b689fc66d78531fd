//! The container's cgroup: made before its first process is born, emptied and removed after the last.
//!
//! Runs in the runtime's process. After `create` the directories exist, the limits and device rules are in force, and
//! nobody is inside; the child is born into the v2 directory (`birth_fd`) and put into those of v1 (`add`). Later
//! commands `open` the same place. A directory that is gone by then is no error until somebody needs it.

mod delegate;
mod devices;
mod dir;
mod join;
mod kill;
mod oom;
mod patience;
mod settings;
pub mod stats;
mod systemd;
mod update;
mod v1;
mod v2;
mod walk;

use crate::error::{Context, Result, all, anyhow, bail, ensure};
use crate::interrupt::Interrupt;
use crate::log;
use crate::plan::cgroup::{self as plan, Layout, Manager, Owner, Place, Scope, SubCgroup};
use crate::sys::{Errno, Error};
pub use oom::{Oom, verdict as oom_verdict};
pub use update::apply as update;

use crate::undo::Draft;
use dir::{Dir, Version};
use patience::Patience;
use std::os::fd::BorrowedFd;
use std::path::Path;

/// The directories of one cgroup: one on v2, one per hierarchy on v1, none where there are no cgroups.
#[derive(Debug)]
pub struct Cgroup {
    owner: Owner,
    dirs: Vec<Dir>,
    /// What systemd is to make when there is a process to make it around.
    pending: Option<Box<plan::Cgroup>>,
    /// systemd may have made it.
    started: bool,
    /// Below it, for the first process when it is ready.
    subgroup: Option<Dir>,
}

/// How far `exec` follows init.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Into what is below the container's cgroup.
    Below,
    Anywhere,
}

/// Makes the directories, writes the settings and the device rules. Refuses a cgroup that has processes or is frozen.
///
/// Undone, exactly what was made here is removed, and controllers that were enabled for it are disabled again; of a cgroup that
/// was there before, values are not put back.
#[cfg(test)]
pub fn create(plan: &plan::Cgroup) -> Result<Draft<Cgroup>> {
    let draft = make(plan)?;
    draft.restrict_devices(plan)?;
    Ok(draft)
}

/// As `create`, without the device rules, which on v2 cost as much as everything else here (the kernel verifies and
/// compiles a program). For a caller that calls `restrict_devices` while the child is busy with its mounts.
pub fn make(plan: &plan::Cgroup) -> Result<Draft<Cgroup>> {
    let mut draft = Draft::new(Cgroup::new(plan.place.owner.clone(), Vec::new()), unmake);
    if let Owner::Systemd(scope) = &plan.place.owner {
        systemd::check(scope)?;
        draft.pending = Some(Box::new(plan.clone()));
        return Ok(draft);
    }
    for (version, controllers, spot) in spots(&plan.place) {
        let (dir, done) = Dir::make(version, controllers, spot);
        draft.dirs.push(dir);
        done?;
    }
    for dir in &draft.dirs {
        match dir.version {
            Version::V1 => v1::check(dir)?,
            Version::V2 => v2::check(dir)?,
        }
    }
    if let [dir] = &draft.dirs[..]
        && dir.version == Version::V2
    {
        v2::enable_in_new_parents(dir);
    }
    let cpuset = draft.dirs.iter().find(|dir| dir.has("cpuset"));
    cpuset.map(v1::fill_parents).transpose()?;
    settings::write(&draft.dirs, &plan.settings)?;
    draft.dirs.iter().filter(|dir| dir.has_enabled()).try_for_each(v2::make_valid)?;
    cpuset.map(v1::fill).transpose()?;
    delegate::hand_over(&mut draft, plan)?;
    Ok(draft)
}

/// Was it refused for want of rights over the hierarchy? As for a user to whom none is delegated.
pub fn is_denied(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error(Errno::EACCES | Errno::EPERM | Errno::EROFS)))
}

fn unmake(cgroup: Cgroup) {
    if let Err(error) = undo(cgroup) {
        log::warning(crate::error::line(&error)); // drop cannot return an error
    }
}

/// Removes exactly what `make` made.
pub fn undo(mut cgroup: Cgroup) -> Result<()> {
    let patience = &mut Patience::new();
    let mut errors = Vec::new();
    if let Owner::Systemd(scope) = &cgroup.owner
        && cgroup.started
    {
        errors.extend(systemd::stop(scope).err());
    }
    let dirs = cgroup.dirs.iter_mut().chain(&mut cgroup.subgroup).rev();
    errors.extend(dirs.filter_map(|dir| dir.unmake(patience).err()));
    all(errors).map_or(Ok(()), Err)
}

/// Finds the cgroup of an existing container. Directories that are not those of `identities` count as gone: somebody has
/// made them since, and they are not ours to freeze, to kill or to remove.
pub fn open(place: &Place, identities: &[u64]) -> Result<Cgroup> {
    let known = identities.iter().map(Some).chain(std::iter::repeat(None));
    let dirs = spots(place).zip(known).map(|((version, controllers, spot), known)| {
        let dir = Dir::find(version, controllers, spot)?;
        match known {
            Some(known) if dir.fd().is_some() && dir.identity()? != *known => {
                log::warning(format!("cgroup: {dir} is not the one that was made for the container: it is left alone"));
                Ok(dir.forget())
            }
            _ => Ok(dir),
        }
    });
    Ok(Cgroup { started: true, ..Cgroup::new(place.owner.clone(), dirs.collect::<Result<_>>()?) })
}

fn spots(place: &Place) -> impl Iterator<Item = (Version, &[String], &plan::Spot)> {
    let (one, many, unified) = match &place.layout {
        Layout::V2(spot) => (Some(spot), &[][..], None),
        Layout::V1 { hierarchies, unified } => (None, &hierarchies[..], unified.as_ref()),
        Layout::Missing => (None, &[][..], None),
    };
    let v1 = many.iter().map(|h| (Version::V1, &h.controllers[..], &h.spot));
    // In hybrid mode there are no controllers on v2, but its directory makes `cgroup.kill` work and lets the container
    // be recognised by its v2 path, as other tools expect it. A mkdir and an rmdir without controllers cost 60 µs
    // together; the child is born into it, which spares the write to cgroup.procs that would cost more.
    v1.chain(one.into_iter().chain(unified).map(|spot| (Version::V2, &[][..], spot)))
}

impl Cgroup {
    fn new(owner: Owner, dirs: Vec<Dir>) -> Cgroup {
        Cgroup { owner, dirs, pending: None, started: false, subgroup: None }
    }

    /// What tells its directories from later ones of the same names, for `open`.
    pub fn identities(&self) -> Result<Vec<u64>> {
        match self.owner {
            Owner::Us => self.dirs.iter().map(Dir::identity).collect(),
            Owner::Systemd(_) | Owner::Nobody => Ok(Vec::new()),
        }
    }

    /// The v2 directory, for clone3 with CLONE_INTO_CGROUP; in hybrid mode the unified one. `None` on v1, and when the
    /// directory is gone: then nobody may be started for the container on pure v2, where no `add` would notice.
    pub fn birth_fd(&self) -> Option<BorrowedFd<'_>> {
        if self.users_scope().is_some() { None } else { self.v2()?.fd() }
    }

    /// The scope, if only systemd may put a process into it.
    fn users_scope(&self) -> Option<&Scope> {
        match &self.owner {
            Owner::Systemd(scope) if scope.manager == Manager::User => Some(scope),
            _ => None,
        }
    }

    /// Puts a process into every directory that nobody can be born into: those of v1, and those of a user's systemd. The
    /// first process of a scope has it made around itself. Fails when a directory is gone: a process must not run outside of
    /// its limits.
    pub fn add(&mut self, pid: i32, interrupt: &Interrupt) -> Result<()> {
        let added = match (self.pending.take(), self.owner.clone()) {
            (Some(plan), Owner::Systemd(scope)) => systemd::start(self, &plan, &scope, pid, interrupt),
            _ => self.add_all(pid, interrupt),
        };
        added.with_context(|| format!("adding pid {pid} to cgroups"))
    }

    fn add_all(&self, pid: i32, interrupt: &Interrupt) -> Result<()> {
        for dir in &self.dirs {
            ensure!(dir.fd().is_some(), "{dir} is gone: {}", Error(Errno::ENOENT));
            match (dir.version, self.users_scope()) {
                (Version::V1, _) => join::add(dir, pid)?,
                (Version::V2, Some(scope)) => systemd::attach(scope, dir, pid, interrupt)?,
                (Version::V2, None) => {}
            }
        }
        Ok(())
    }

    /// `exec --cgroup`: a cgroup below this one. It must exist. In hybrid mode the unified directory follows a path for
    /// all controllers if it has it, and else stays.
    pub fn sub(&self, wanted: &[SubCgroup]) -> Result<Cgroup> {
        let known = |controller: &String| self.dirs.iter().any(|dir| dir.has(controller));
        if let Some(unknown) = wanted.iter().flat_map(|sub| &sub.controllers).find(|c| !known(c)) {
            bail!("--cgroup: unknown controller {unknown}; this container has {}", self.controllers());
        }
        let dirs = self.dirs.iter().map(|dir| join::below(dir, self.dirs.len(), wanted));
        Ok(Cgroup::new(self.owner.clone(), dirs.collect::<Result<_>>()?))
    }

    fn controllers(&self) -> String {
        let names: Vec<&str> = self.dirs.iter().flat_map(|dir| &dir.controllers).map(String::as_str).collect();
        if names.is_empty() { "a cgroup without a controller before its path".to_owned() } else { names.join(", ") }
    }

    /// Where a further process of the container belongs: below its cgroup, if its processes live there.
    pub fn for_exec(self, place: &Place) -> Result<Cgroup> {
        match (&place.subgroup, &self.dirs[..]) {
            (Some(path), [dir]) => Ok(Cgroup::new(self.owner, vec![dir.at(&dir.path().join(path))?])),
            _ => Ok(self),
        }
    }

    /// The first process is ready: from now on it lives in the cgroup that was made for it below, which is given to its owner.
    pub fn move_below(&self, pid: i32, owner: Option<u32>) -> Result<()> {
        delegate::move_below(self, pid, owner)
    }

    /// The v2 cgroup that a process is in now, from the text of its /proc/PID/cgroup. A container's init may have moved
    /// on to a cgroup below, or away with its old one removed; exec follows it when it cannot join the container's own, but
    /// leaves the container's limits only when they are gone.
    /// `None` except on pure v2. There it fails rather than name a cgroup that nobody can be born into.
    pub fn of_process(place: &Place, proc_cgroup: &str, reach: Reach) -> Result<Option<Cgroup>> {
        let Layout::V2(spot) = &place.layout else {
            return Ok(None);
        };
        let path = proc_cgroup.lines().find_map(|line| line.strip_prefix("0::/"));
        let path = path.ok_or_else(|| anyhow!("cgroup: the process is in none of v2"))?;
        let outside = path.split('/').any(|part| part == "..");
        ensure!(!outside, "cgroup: {path:?}, where the process is, lies outside of what we can see");
        let path = if path.is_empty() { "." } else { path };
        ensure!(
            reach == Reach::Anywhere || Path::new(path).starts_with(&spot.path),
            "cgroup: {} takes no processes, and init has left it for /{path}: move init back, or remove the cgroups below it",
            spot.full().display()
        );
        let dir = Dir::find(Version::V2, &[], &plan::Spot { mount: spot.mount.clone(), path: path.into() })?;
        ensure!(dir.fd().is_some(), "cgroup: {dir}, where the process is, is gone: {}", Error(Errno::ENOENT));
        Ok(Some(Cgroup::new(Owner::Nobody, vec![dir])))
    }

    /// Puts the device rules of the plan into force.
    pub fn restrict_devices(&self, plan: &plan::Cgroup) -> Result<()> {
        plan.devices.as_ref().map_or(Ok(()), |rules| devices::apply(&self.dirs, rules))
    }

    /// Stops all its processes; returns when they stand still. After an error they run.
    pub fn freeze(&self) -> Result<()> {
        let dir = self.freezer()?;
        match dir.version {
            Version::V1 => v1::freeze(dir),
            Version::V2 => v2::freeze(dir),
        }
    }

    pub fn thaw(&self) -> Result<()> {
        let dir = self.freezer()?;
        match dir.version {
            Version::V1 => v1::thaw(dir),
            Version::V2 => v2::thaw(dir),
        }
    }

    /// v1: thaws it and all cgroups below, so that the processes that have been killed can die: those of v2 do so frozen.
    /// Returns whether any was frozen.
    pub fn thaw_the_killed(&self) -> Result<bool> {
        match self.v1_freezer() {
            Some(dir) if dir.fd().is_some() => v1::thaw_all(dir),
            _ => Ok(false),
        }
    }

    /// Was it frozen with `freeze`? Not when only a cgroup above is. A cgroup that is gone is not frozen.
    pub fn is_frozen(&self) -> Result<bool> {
        let Ok(dir) = self.freezer() else {
            return Ok(false);
        };
        let frozen = match dir.version {
            Version::V1 => v1::is_frozen(dir),
            Version::V2 => v2::is_frozen(dir),
        };
        match frozen {
            Err(error) if dir::is_gone(error) => Ok(false),
            frozen => frozen.with_context(|| format!("cgroup: is {dir} frozen")),
        }
    }

    /// The processes in it and below, in no order; none when it is gone.
    pub fn processes(&self) -> Result<Vec<i32>> {
        self.tracking().map_or_else(|| Ok(Vec::new()), Dir::processes)
    }

    /// Sends the signal to all processes, in it and below. SIGKILL returns when nobody is left, or fails after some
    /// seconds and names them. Other signals leave a frozen cgroup frozen, where v2 delivers only those that kill.
    pub fn kill(&self, signal: i32) -> Result<()> {
        kill::all(self, signal)
    }

    /// Removes it with all that is below. That it is gone already is success. Whoever is still inside must be dying:
    /// after about a second it is an error that names them.
    pub fn remove(&self) -> Result<()> {
        let mut errors = Vec::new();
        match &self.owner {
            Owner::Nobody => return Ok(()),
            // systemd may be gone by now, as in a container that was left behind by another boot; then so is the scope.
            Owner::Systemd(scope) => errors.extend(systemd::stop(scope).err().filter(|_| self.exists())),
            Owner::Us => {}
        }
        let patience = &mut Patience::new();
        errors.extend(self.dirs.iter().rev().filter_map(|dir| dir.remove(patience).err()));
        if let (Owner::Systemd(scope), Some(dir)) = (&self.owner, self.v2()) {
            // Only where systemd has not: an old one leaves what had cgroups below.
            errors.extend(dir.at(&scope.path).and_then(|whole| whole.remove(patience)).err());
        }
        all(errors).map_or(Ok(()), Err)
    }

    /// Is any of its directories there?
    pub fn exists(&self) -> bool {
        self.dirs.iter().any(|dir| dir.fd().is_some())
    }

    /// How often the kernel has killed something in it for want of memory. `None` where nobody counts.
    pub fn oom_killed(&self) -> Option<u64> {
        let dir = self.dirs.iter().find(|dir| dir.has("memory")).or_else(|| self.v2())?;
        let file = if dir.version == Version::V1 { "memory.oom_control" } else { "memory.events" };
        field(&dir.read(file).ok()?, "oom_kill")
    }

    fn v2(&self) -> Option<&Dir> {
        self.dirs.iter().find(|dir| dir.version == Version::V2)
    }

    /// The directory whose processes are the container's: the v2 one, where `cgroup.kill` is, else the freezer's.
    fn tracking(&self) -> Option<&Dir> {
        self.v2().filter(|dir| dir.fd().is_some()).or_else(|| self.v1_freezer()).or_else(|| self.dirs.first())
    }

    fn v1_freezer(&self) -> Option<&Dir> {
        self.dirs.iter().find(|dir| dir.has("freezer"))
    }

    /// The freezer of v1 where there is one: tools that look at a v1 or hybrid machine look there.
    fn freezer(&self) -> Result<&Dir> {
        let dir = self.v1_freezer().or_else(|| self.v2());
        let dir = dir.ok_or_else(|| anyhow!("cgroup: the container has none that could be frozen"))?;
        ensure!(dir.fd().is_some(), "cgroup: {dir} is gone: {}", Error(Errno::ENOENT));
        Ok(dir)
    }
}

/// The error of a cgroup that is somebody else's.
fn refuse_populated(dir: &Dir, pids: &[i32]) -> Result<()> {
    ensure!(
        pids.is_empty(),
        "cgroup: {dir}: container's cgroup is not empty: {} found; end them, or choose another linux.cgroupsPath",
        dir::count(pids)
    );
    Ok(())
}

/// The number after a name at the start of a line, as `memory.events` and its kin have it.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
    text.lines().find_map(value)
}

#[cfg(test)]
mod tests;
