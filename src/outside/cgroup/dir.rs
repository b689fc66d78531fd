//! One directory of a cgroup hierarchy: found or made below its mount, read, written, walked, removed.
//!
//! Runs in the runtime's process. Directories are opened below the mount only, through no links; a container that may
//! make cgroups of its own can make directories there, but no links and no mounts that we would see.

use super::patience::Patience;
use super::walk;
use crate::error::{Context, Result, anyhow, ensure};
use crate::plan::cgroup::Spot;
use crate::proc;
use crate::sys::file::{self, CWD, Resolve};
use crate::sys::{self, Errno, Error};
use std::cell::RefCell;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A bound for the files that we read; cgroup.procs of a million processes fits.
const LONGEST_FILE: usize = 16 << 20;

/// How long cgroups below are removed that a process keeps making.
const REMOVE_TIME: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    V1,
    V2,
}

#[derive(Debug)]
pub(super) struct Dir {
    pub version: Version,
    /// v1: those of the hierarchy. v2: none.
    pub controllers: Vec<String>,
    spot: Spot,
    /// `None` when the hierarchy is not mounted any more.
    mount: Option<OwnedFd>,
    /// `None` when the directory is gone.
    own: Option<OwnedFd>,
    /// What we made, outermost first; relative to the mount.
    made: Vec<PathBuf>,
    /// v2: what its parents pass on since we said so, outermost first.
    enabled: RefCell<Vec<Enabled>>,
}

/// What a parent passes on since we said so.
#[derive(Debug)]
pub(super) struct Enabled {
    /// As `Dir::parents` gives it.
    pub parent: PathBuf,
    pub controllers: Vec<String>,
    /// Its cgroup.type before.
    pub kind: String,
}

impl Dir {
    /// Makes the directory, and its parents, unless they are there. On failure everything made so far is in the
    /// `Dir`, to be unmade.
    pub fn make(version: Version, controllers: &[String], spot: &Spot) -> (Dir, Result<()>) {
        let mut dir = Dir::new(version, controllers, spot);
        let done = dir.make_all();
        (dir, done)
    }

    fn make_all(&mut self) -> Result<()> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let open = file::open(CWD, &self.spot.mount, flags, 0);
        self.mount = Some(open.with_context(|| format!("cgroup: open {}", self.spot.mount.display()))?);
        let mount = self.mount.as_ref().map_or(CWD, AsFd::as_fd);
        let done = make_path(mount, &self.spot.path, &mut self.made);
        done.map_err(explain_mkdir).with_context(|| format!("cgroup: mkdir {self}"))?;
        let own = file::open_in(mount, &self.spot.path, flags, 0, Resolve::Beneath);
        self.own = Some(own.with_context(|| format!("cgroup: open {self}"))?);
        Ok(())
    }

    /// Opens the directory. That it (or the whole hierarchy) is gone is not an error.
    pub fn find(version: Version, controllers: &[String], spot: &Spot) -> Result<Dir> {
        let mut dir = Dir::new(version, controllers, spot);
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let open = match file::open(CWD, &spot.mount, flags, 0) {
            Err(Error(Errno::ENOENT | Errno::ENOTDIR)) => return Ok(dir),
            open => open.with_context(|| format!("cgroup: open {}", spot.mount.display()))?,
        };
        let magic = if version == Version::V2 { file::CGROUP2_SUPER_MAGIC } else { file::CGROUP_SUPER_MAGIC };
        if file::filesystem(&open).with_context(|| format!("cgroup: statfs {}", spot.mount.display()))? != magic {
            return Ok(dir); // unmounted since
        }
        dir.own = match file::open_in(open.as_fd(), &spot.path, flags, 0, Resolve::Beneath) {
            Err(error) if is_gone(error) => None,
            own => Some(own.with_context(|| format!("cgroup: open {dir}"))?),
        };
        dir.mount = Some(open);
        Ok(dir)
    }

    /// A directory below this one, which must be there.
    pub fn below(&self, path: &Path) -> Result<Dir> {
        let spot = Spot { mount: self.spot.mount.clone(), path: self.spot.path.join(path) };
        let dir = Dir::find(self.version, &self.controllers, &spot)?;
        ensure!(dir.own.is_some(), "cgroup: {dir}: {}: make it before you join it", Error(Errno::ENOENT));
        Ok(dir)
    }

    /// Makes a directory below this one.
    pub fn make_below(&self, path: &Path) -> (Dir, Result<()>) {
        let spot = Spot { mount: self.spot.mount.clone(), path: self.spot.path.join(path) };
        Dir::make(self.version, &self.controllers, &spot)
    }

    /// Another directory of the same hierarchy, if it is there.
    pub fn at(&self, path: &Path) -> Result<Dir> {
        let spot = Spot { mount: self.spot.mount.clone(), path: path.to_owned() };
        Dir::find(self.version, &self.controllers, &spot)
    }

    fn new(version: Version, controllers: &[String], spot: &Spot) -> Dir {
        Dir {
            version,
            controllers: controllers.to_vec(),
            spot: spot.clone(),
            mount: None,
            own: None,
            made: Vec::new(),
            enabled: RefCell::default(),
        }
    }

    /// The number of the directory, which the kernel does not give to another one as long as the machine runs (kernfs counts
    /// generations in its upper half); 0 when it is gone.
    pub fn identity(&self) -> Result<u64> {
        let Some(own) = &self.own else { return Ok(0) };
        Ok(file::stat(own).with_context(|| format!("cgroup: stat {self}"))?.st_ino)
    }

    /// Leaves it as if the hierarchy were not there.
    pub fn forget(self) -> Dir {
        Dir { mount: None, own: None, made: Vec::new(), ..self }
    }

    pub fn mount(&self) -> &Path {
        &self.spot.mount
    }

    /// Below the mount.
    pub fn path(&self) -> &Path {
        &self.spot.path
    }

    pub fn has(&self, controller: &str) -> bool {
        self.controllers.iter().any(|c| c == controller)
    }

    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.own.as_ref().map(AsFd::as_fd)
    }

    /// Did `make` make it, or was it there?
    pub fn is_fresh(&self) -> bool {
        self.made.last() == Some(&self.spot.path)
    }

    /// Is it more than one step below the mount? Then what its parents are and do matters.
    pub fn is_nested(&self) -> bool {
        self.spot.path.components().nth(1).is_some()
    }

    /// The directories from the mount down to the parent, as paths below the mount; the mount itself is ".".
    pub fn parents(&self) -> Vec<PathBuf> {
        let parents = self.spot.path.ancestors().skip(1);
        let mut parents: Vec<PathBuf> =
            parents.map(|p| if p.as_os_str().is_empty() { ".".into() } else { p.to_owned() }).collect();
        parents.reverse();
        parents
    }

    /// The parents that `make` made, outermost first.
    pub fn made_parents(&self) -> impl Iterator<Item = &Path> {
        self.made.iter().filter(|path| **path != self.spot.path).map(PathBuf::as_path)
    }

    /// Reads a file of the directory. ENOENT too when the directory is gone.
    pub fn read(&self, name: &str) -> sys::Result<String> {
        read(self.own.as_ref().ok_or(Error(Errno::ENOENT))?.as_fd(), Path::new(name))
    }

    pub fn write(&self, name: &str, value: &str) -> sys::Result<()> {
        file::write_once(self.open(name, libc::O_WRONLY)?, value.as_bytes())
    }

    pub fn open(&self, name: &str, flags: i32) -> sys::Result<OwnedFd> {
        file::open(self.own.as_ref().ok_or(Error(Errno::ENOENT))?.as_fd(), name, flags, 0)
    }

    /// Reads a file of a parent, `parent` as `parents` gives it.
    pub fn read_parent(&self, parent: &Path, name: &str) -> sys::Result<String> {
        read(self.mount.as_ref().ok_or(Error(Errno::ENOENT))?.as_fd(), &parent.join(name))
    }

    pub fn write_parent(&self, parent: &Path, name: &str, value: &str) -> sys::Result<()> {
        let mount = self.mount.as_ref().ok_or(Error(Errno::ENOENT))?;
        let open = file::open_in(mount.as_fd(), parent.join(name), libc::O_WRONLY, 0, Resolve::Beneath)?;
        file::write_once(open, value.as_bytes())
    }

    /// The names of the cgroups in a parent.
    pub fn names_in_parent(&self, parent: &Path) -> Result<Vec<OsString>> {
        let mount = self.mount.as_ref().ok_or(Error(Errno::ENOENT))?;
        let open = file::open_in(mount.as_fd(), parent, libc::O_PATH | libc::O_DIRECTORY, 0, Resolve::Beneath)?;
        walk::names_in(open.as_fd())
    }

    /// Keeps what a parent passes on since we said so, for `unmake`.
    pub fn note_enabled(&self, enabled: Enabled) {
        self.enabled.borrow_mut().push(enabled);
    }

    /// Does a parent pass anything on since we said so?
    pub fn has_enabled(&self) -> bool {
        !self.enabled.borrow().is_empty()
    }

    /// The processes in it and below, in no order.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        self.each(|dir| {
            pids.extend(walk::pids_in(dir, "cgroup.procs")?);
            Ok(())
        })
        .with_context(|| format!("cgroup: list the processes of {self}"))?;
        if pids.is_empty() && self.version == Version::V2 && super::v2::is_populated(self) {
            pids = self.processes_by_threads()?;
        }
        Ok(pids)
    }

    /// The processes that have a thread in it or below. v2 lists a process by its first thread, and where that has ended: when
    /// the cgroup it ended in is gone, no `cgroup.procs` has the process.
    fn processes_by_threads(&self) -> Result<Vec<i32>> {
        let mut pids = Vec::new();
        self.each(|dir| {
            pids.extend(walk::pids_in(dir, "cgroup.threads")?.into_iter().filter_map(proc::process_of));
            Ok(())
        })
        .with_context(|| format!("cgroup: list the threads of {self}"))?;
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Calls `visit` for it and for all cgroups below, each before those below it. Nothing when it is gone.
    pub fn each(&self, visit: impl FnMut(BorrowedFd) -> Result<()>) -> Result<()> {
        self.fd().map_or(Ok(()), |own| walk::each(own, visit))
    }

    /// Removes it and everything below; that it is gone already is success.
    pub fn remove(&self, patience: &mut Patience) -> Result<()> {
        let Some(mount) = self.mount.as_ref().map(AsFd::as_fd) else {
            return Ok(());
        };
        let end = Instant::now() + REMOVE_TIME;
        loop {
            let error = match file::rmdir(mount, &self.spot.path) {
                Ok(()) => return Ok(()),
                Err(error) if is_gone(error) => return Ok(()),
                Err(error) => error,
            };
            // A read-only mount refuses before it looks whether there is anything to remove.
            let own = file::open_in(mount, &self.spot.path, libc::O_PATH | libc::O_DIRECTORY, 0, Resolve::Beneath);
            if own.as_ref().is_err_and(|error| is_gone(*error)) {
                return Ok(());
            }
            let busy = error == Error(Errno::EBUSY);
            let emptied = busy && own.is_ok_and(|own| walk::remove_below(own.as_fd()));
            let again = (emptied && Instant::now() < end) || (busy && patience.wait());
            if !again {
                return Err(self.explain_rmdir(error));
            }
        }
    }

    fn explain_rmdir(&self, error: Error) -> anyhow::Error {
        let pids = self.processes().unwrap_or_default();
        let why = if pids.is_empty() { String::new() } else { format!(": it still has {}", count(&pids)) };
        anyhow!(error).context(format!("cgroup: rmdir {self}{why}"))
    }

    /// Unmakes what `make` made, and only that. A parent that somebody else uses by now stays.
    pub fn unmake(&mut self, patience: &mut Patience) -> Result<()> {
        let Some(mount) = self.mount.as_ref() else {
            return Ok(());
        };
        let done = if self.is_fresh() { self.remove(patience) } else { Ok(()) };
        for parent in self.made.iter().rev().filter(|path| **path != self.spot.path) {
            if file::rmdir(mount.as_fd(), parent).is_err() {
                break; // in use; then so are those above
            }
        }
        super::v2::withdraw(self, &self.enabled.take());
        done
    }
}

impl std::fmt::Display for Dir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.spot.full().display().fmt(f)
    }
}

/// `3 processes (pid 7, 8, 9)`, at most ten of them by number.
pub(super) fn count(pids: &[i32]) -> String {
    let shown: Vec<String> = pids.iter().take(10).map(i32::to_string).collect();
    let dots = if pids.len() > 10 { ", …" } else { "" };
    format!("{} process(es) (pid {}{dots})", pids.len(), shown.join(", "))
}

/// A cgroup on its way out answers so.
pub(super) fn is_gone(error: Error) -> bool {
    matches!(error, Error(Errno::ENOENT | Errno::ENODEV))
}

pub(super) fn read(dir: BorrowedFd, path: &Path) -> sys::Result<String> {
    let bytes = file::read_all(file::open(dir, path, libc::O_RDONLY, 0)?, LONGEST_FILE)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// mkdir -p, that notes what it makes. The parents are there nearly always, so they are tried only when they are not.
fn make_path(mount: BorrowedFd, path: &Path, made: &mut Vec<PathBuf>) -> sys::Result<()> {
    let mut make = |path: &Path| match file::mkdir(mount, path, 0o755) {
        Ok(()) => {
            made.push(path.to_owned());
            Ok(())
        }
        Err(Error(Errno::EEXIST)) => Ok(()),
        Err(error) => Err(error),
    };
    match make(path) {
        Err(Error(Errno::ENOENT)) => {
            let mut steps: Vec<&Path> = path.ancestors().filter(|p| !p.as_os_str().is_empty()).collect();
            steps.reverse();
            steps.into_iter().try_for_each(make)
        }
        done => done,
    }
}

fn explain_mkdir(error: Error) -> anyhow::Error {
    let hint = match error.0 {
        Errno::EROFS => "the hierarchy is mounted read-only; mount it writable, or run without a cgroup",
        Errno::EACCES | Errno::EPERM => "no permission; run as root, or below a cgroup that was delegated to you",
        Errno::EAGAIN => "cgroup.max.depth or cgroup.max.descendants of a parent does not allow one more",
        _ => return error.into(),
    };
    anyhow!(error).context(hint)
}
