//! The state directory: `<root>/<id>/`, made by `create`, read by every other command.
//!
//! `mkdir` claims the id. Before anything else is made, an intent record names the cgroup, so that whatever happens to the
//! creator can be cleaned up after; it is replaced by the full record when init is ready. What changes while a container
//! lives (is init alive, does it wait at its gate, is it frozen) is never stored, always derived.

use crate::error::{Context, Kind, Result, anyhow, bail, ensure};
use crate::link::gate;
use crate::outside::cgroup::{self, Cgroup};
use crate::outside::host_mount::HostMount;
use crate::outside::resctrl::Group;
use crate::plan::cgroup::Place;
use crate::plan::{Hooks, Namespaces, Template, check};
use crate::proc::{self, ProcessId};
use crate::sys::file::{self, CWD};
use crate::sys::namespace::Identity;
use crate::sys::{self, Errno};
use crate::undo::Draft;
use crate::{fs, log};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Raised when a record is written in a way that an older binary would misread.
const FORMAT: u32 = 1;
const STATE: &str = "state.json";
/// Written first and never again: what `delete --force` goes by when the state is missing or damaged.
const INTENT: &str = "intent.json";
const TEMPLATE: &str = "template.json";
/// Made when the poststop hooks are about to run.
const POSTSTOP: &str = "poststop";
/// More than the largest configuration can become when it is written down; a larger file is not ours.
const LIMIT: usize = 512 << 20;
/// How long a command waits for another one that works on the same container.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Serialize, Deserialize, Debug, Clone)]
pub struct Record {
    pub format: u32,
    pub id: String,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    /// RFC 3339, UTC, nanoseconds.
    pub created: String,
    pub owner: u32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    pub boot_id: String,
    /// The runtime that made it; of interest as long as there is no init.
    pub creator: ProcessId,
    pub init: Option<ProcessId>,
    pub cgroup: Place,
    /// The inode of each of its directories, 0 for one that was not there: one of that name that somebody makes later is not
    /// the container's. Empty when they are systemd's, which makes them anew as it sees fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cgroup_ids: Vec<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resctrl: Option<Group>,
    /// Only without a mount namespace: what is to be taken down on the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_mount: Option<HostMount>,
    /// The device number of the devpts that was made for /dev/pts: the terminal of an `exec` must be of that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devpts: Option<u64>,
    /// The namespaces that are told by number, each with its `CLONE_NEW*` bit: those that were joined, and the user namespace,
    /// where the creator could look at it. `exec` enters no others of another owner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespace_ids: Vec<(i32, Identity)>,
    /// Only without a mount namespace: the directory that is the container's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Identity>,
    /// What had to be made in the root filesystem (mount points, devices, links), as paths in it. It stays there: another
    /// container may have mounted something on it by now, and the kernel unmounts what lies on a directory that is removed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<PathBuf>,
    /// `CLONE_NEW*` bits of the namespaces that the container has of its own.
    pub namespaces: i32,
    pub family: Family,
    /// poststart and poststop.
    pub hooks: Hooks,
}

/// What becomes of the other processes when init ends.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "camelCase")]
pub enum Family {
    /// Init is the first process of a pid namespace: the kernel kills them.
    DiesWithInit,
    /// The pid namespace is somebody else's.
    Survives,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        }
    }
}

/// An open state directory.
pub struct StateDir {
    pub root: OwnedFd,
    pub dir: OwnedFd,
    pub id: String,
}

/// Whether other commands may work on the container at the same time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    Shared,
    Exclusive,
}

/// A lock that is given up when dropped, although the child inherited its descriptor.
pub struct Held(OwnedFd);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = file::flock(&self.0, libc::LOCK_UN); // it cannot fail on a descriptor that holds one
    }
}

/// Opens the directory of all containers; `None` when it is not there. Refuses one that another user can write.
pub fn open_root(root: &Path) -> Result<Option<OwnedFd>> {
    let open = match file::open(CWD, root, libc::O_RDONLY | libc::O_DIRECTORY, 0) {
        Err(sys::Error(Errno::ENOENT)) => return Ok(None),
        open => open.with_context(|| {
            let root = root.display();
            format!("open state directory {root} (choose another with --root, or as a user by XDG_RUNTIME_DIR)")
        })?,
    };
    trust(&open, Sticky::Suffices).with_context(|| format!("state directory {} (--root)", root.display()))?;
    Ok(Some(open))
}

/// Where other users may make something in a directory, but not touch what is not their own (mode 1777, as /tmp has).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sticky {
    /// What is in the directory is judged by its own owner.
    Suffices,
    Refused,
}

/// Records name programs that the runtime executes (hooks), and processes and cgroups that it kills. So a file or directory that
/// another user can write is none of the runtime's: its owner must be the user that the runtime acts as, or root, who is
/// trusted anyway; and neither the group (an ACL counts as one) nor others may write.
///
/// In a user namespace the kernel gives owners as they are mapped there: root of the namespace is 0, a user of the host that is
/// not mapped is the overflow id, and refused.
fn trust(file: &OwnedFd, sticky: Sticky) -> Result<()> {
    let (stat, own) = (file::stat(file)?, sys::credentials::effective_uid());
    ensure!(
        stat.st_uid == own || stat.st_uid == 0,
        "it belongs to user {}, and rruntime acts as user {own}: chown it, if all that is in it is yours, or choose another \
         directory",
        stat.st_uid
    );
    let guarded = sticky == Sticky::Suffices && stat.st_mode & libc::S_ISVTX != 0;
    ensure!(
        stat.st_mode & (libc::S_IWGRP | libc::S_IWOTH) == 0 || guarded,
        "other users may write it (mode {:04o}): chmod go-w, if all that is in it is yours, or choose another directory",
        stat.st_mode & 0o7777
    );
    Ok(())
}

/// The same, made (0700, with its parents) where it is missing.
pub fn make_root(root: &Path) -> Result<OwnedFd> {
    if let Some(open) = open_root(root)? {
        return Ok(open);
    }
    let named = || {
        format!("make state directory {} (choose another with --root, or as a user by XDG_RUNTIME_DIR)", root.display())
    };
    use std::os::unix::fs::DirBuilderExt;
    let make = || std::fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
    sys::process::without_umask(make).map_err(sys::Error::from).with_context(named)?;
    open_root(root)?.ok_or(sys::Error(Errno::ENOENT)).with_context(named)
}

/// Claims an id. Exactly one caller succeeds; dropped without `keep`, the claim is undone.
pub fn claim(root: &Path, id: &str) -> Result<(Draft<StateDir>, Held)> {
    let root = make_root(root)?;
    match file::mkdir(root.as_fd(), id, 0o700) {
        Err(sys::Error(Errno::EEXIST)) => bail!("container with given ID already exists: {id}"),
        other => other.with_context(|| format!("claim container id {id}"))?,
    }
    let dir =
        open_dir(root.as_fd(), id).with_context(|| format!("claim container id {id}: another command removed it"))?;
    let state = StateDir { dir, root, id: id.to_string() };
    let held = state.lock(Lock::Exclusive)?; // somebody may have deleted it already: then it is not ours to remove
    let state = Draft::new(state, |state| {
        if let Err(error) = state.remove() {
            log::warning(format!("removing the state of a container that failed: {error:#}"));
        }
    });
    Ok((state, held))
}

fn open_dir(root: BorrowedFd, id: &str) -> sys::Result<OwnedFd> {
    file::open(root, id, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)
}

/// Opens the state of a container. `Kind::NotExist` when there is none.
pub fn open(root: &Path, id: &str) -> Result<StateDir> {
    check::container_id(id)?;
    let missing = |error| match error {
        sys::Error(Errno::ENOENT) => anyhow!(Kind::NotExist).context(format!("{id:?}")),
        error => anyhow!(error).context(format!("open the state of {id:?}")),
    };
    let root = open_root(root)?.ok_or(sys::Error(Errno::ENOENT)).map_err(missing)?;
    let dir = open_dir(root.as_fd(), id).map_err(missing)?;
    trust(&dir, Sticky::Refused).with_context(|| format!("state of {id:?}"))?;
    Ok(StateDir { root, dir, id: id.to_string() })
}

/// Opens the state and reads the record.
pub fn load(root: &Path, id: &str) -> Result<(StateDir, Record)> {
    let state = open(root, id)?;
    let record = state.read()?;
    Ok((state, record))
}

/// Is this the name that `remove` gives to a directory before it takes it apart?
pub fn is_being_deleted(name: &str) -> bool {
    name.starts_with('.') && name.contains(".deleting.")
}

/// Finishes what a `remove` that failed halfway has left of this id.
pub fn sweep(root: &Path, id: &str) -> Result<()> {
    let Some(root) = open_root(root)? else { return Ok(()) }; // no root, no remains
    let prefix = format!(".{id}.deleting.");
    for name in file::list(root.as_fd()).context("read the state directory")? {
        if name.to_string_lossy().starts_with(&prefix) {
            fs::remove_tree(root.as_fd(), &name).with_context(|| format!("remove {}", name.display()))?;
        }
    }
    Ok(())
}

impl StateDir {
    /// The record; while `create` is at work, its intent. `Kind::NotExist` when neither has been written yet.
    pub fn read(&self) -> Result<Record> {
        match self.read_record(STATE) {
            Err(error) if crate::error::is(&error, Kind::NotExist) => self.read_record(INTENT),
            other => other,
        }
    }

    /// What `create` wrote before it made anything.
    pub fn read_intent(&self) -> Result<Record> {
        self.read_record(INTENT)
    }

    fn read_record(&self, name: &str) -> Result<Record> {
        let text = match self.read_file(name) {
            Err(sys::Error(Errno::ENOENT)) => {
                bail!(anyhow!(Kind::NotExist).context(format!("{:?}", self.id)))
            }
            other => other.with_context(|| format!("read {}/{name}", self.id))?,
        };
        let broken =
            || format!("{}/{name} is damaged: remove the container with `rruntime delete --force {0}`", self.id);
        let record: Record = serde_json::from_slice(&text).map_err(|e| anyhow!("{e}")).with_context(broken)?;
        if record.format > FORMAT {
            bail!("{}/{name} was written by a newer rruntime (format {}): use that one", self.id, record.format);
        }
        Ok(record)
    }

    pub fn template(&self) -> Result<Template> {
        let text = self.read_file(TEMPLATE).with_context(|| format!("read {}/{TEMPLATE}", self.id))?;
        serde_json::from_slice(&text)
            .map_err(|e| anyhow!("{e}"))
            .with_context(|| format!("read {}/{TEMPLATE}", self.id))
    }

    /// Never follows a link, never waits for a FIFO, never reads more than a state can be.
    fn read_file(&self, name: &str) -> sys::Result<Vec<u8>> {
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let open = file::open(self.dir.as_fd(), name, flags, 0)?;
        if file::stat(&open)?.st_mode & libc::S_IFMT != libc::S_IFREG {
            return Err(sys::Error(Errno::EINVAL));
        }
        file::read_all(open, LIMIT)
    }

    pub fn save_intent(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_vec(record).context("write the intent")?;
        fs::replace(self.dir.as_fd(), INTENT, &text, 0o600)
    }

    pub fn save(&self, record: &Record) -> Result<()> {
        let text = serde_json::to_vec(record).context("write the record")?;
        fs::replace(self.dir.as_fd(), STATE, &text, 0o600)
    }

    pub fn save_template(&self, template: &Template) -> Result<()> {
        self.prepare_template(template)?.commit()
    }

    /// Writes it, without putting it into the place of the old one yet.
    pub fn prepare_template(&self, template: &Template) -> Result<fs::Replacement<'_>> {
        let text = serde_json::to_vec(template).context("write the template")?;
        fs::prepare(self.dir.as_fd(), TEMPLATE, &text, 0o600)
    }

    /// Claims the single run of the poststop hooks, on record before they run; false if an earlier command has. The caller holds
    /// the lock.
    pub fn take_poststop(&self) -> Result<bool> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        match file::open(self.dir.as_fd(), POSTSTOP, flags, 0o600) {
            Ok(_) => Ok(true),
            // The state directory goes only after they have run.
            Err(sys::Error(Errno::EEXIST | Errno::ENOENT)) => Ok(false),
            // It takes nothing: they have not run, and to run them again is the lesser evil.
            Err(sys::Error(Errno::ENOSPC | Errno::EDQUOT | Errno::EROFS)) => Ok(true),
            Err(error) => Err(error).context("record that the poststop hooks run"),
        }
    }

    /// Waits for other commands on this container, up to half a minute. flock(2) knows no timeout, and two commands on one
    /// container are rare: so this asks again, ever more slowly.
    pub fn lock(&self, lock: Lock) -> Result<Held> {
        let operation = if lock == Lock::Shared { libc::LOCK_SH } else { libc::LOCK_EX };
        let own = open_dir(self.root.as_fd(), &self.id).map_err(|error| match error {
            sys::Error(Errno::ENOENT) => anyhow!(Kind::NotExist).context(format!("{:?}", self.id)),
            error => anyhow!(error).context(format!("open the state of {:?}", self.id)),
        })?;
        let (start, mut pause) = (Instant::now(), Duration::from_micros(200));
        loop {
            match file::flock(&own, operation | libc::LOCK_NB) {
                Ok(()) => break,
                Err(sys::Error(Errno::EAGAIN)) if start.elapsed() < PATIENCE => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Err(sys::Error(Errno::EAGAIN)) => {
                    bail!("another command has been working on container {:?} for {} s", self.id, PATIENCE.as_secs())
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("lock container {:?}", self.id));
                }
            }
        }
        // Whoever had the lock may have deleted the container, and somebody made another one of that name.
        let (locked, mine) = (file::stat(&own)?, file::stat(&self.dir)?);
        if (locked.st_dev, locked.st_ino) == (mine.st_dev, mine.st_ino) && self.is_current() {
            return Ok(Held(own));
        }
        bail!(anyhow!(Kind::NotExist).context(format!("{:?}", self.id)))
    }

    /// Is the directory of this name still the one that we opened, and not that of a later container?
    fn is_current(&self) -> bool {
        let identity = |stat: file::Stat| (stat.st_dev, stat.st_ino);
        let now = open_dir(self.root.as_fd(), &self.id).and_then(file::stat).map(identity);
        matches!((now, file::stat(&self.dir).map(identity)), (Ok(now), Ok(mine)) if now == mine)
    }

    /// Makes the directory disappear in one step, then takes it apart. The caller holds the lock.
    pub fn remove(&self) -> Result<()> {
        if !self.is_current() {
            return Ok(()); // somebody else removed it; what has its name now is another container's
        }
        let hidden = format!(".{}.deleting.{}", self.id, sys::process::pid());
        match file::rename(self.root.as_fd(), &self.id, self.root.as_fd(), &hidden) {
            Err(sys::Error(Errno::ENOENT)) => return Ok(()), // somebody else removed it
            other => other.with_context(|| format!("remove the state of {:?}", self.id))?,
        }
        fs::remove_tree(self.root.as_fd(), OsStr::new(&hidden)).with_context(|| format!("remove {hidden}"))
    }

    /// What the container is doing now.
    pub fn status(&self, record: &Record) -> Result<Status> {
        let same_boot = || -> Result<bool> { Ok(record.boot_id == proc::boot_id()?) };
        let Some(init) = record.init else {
            let at_work = proc::is_alive(record.creator)? && same_boot()?;
            return Ok(if at_work { Status::Creating } else { Status::Stopped });
        };
        if !proc::is_alive(init)? || !same_boot()? {
            return Ok(Status::Stopped);
        }
        if self.cgroup(record)?.is_frozen().unwrap_or(false) {
            return Ok(Status::Paused); // a cgroup that is gone or unreadable is not frozen
        }
        Ok(if gate::is_closed(self.dir.as_fd())? { Status::Created } else { Status::Running })
    }

    pub fn cgroup(&self, record: &Record) -> Result<Cgroup> {
        cgroup::open(&record.cgroup, &record.cgroup_ids).context("open the container's cgroup")
    }
}

impl Record {
    pub fn new(id: &str, creator: ProcessId, cgroup: Place, namespaces: &Namespaces) -> Result<Record> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Ok(Record {
            format: FORMAT,
            id: id.to_string(),
            bundle: PathBuf::new(),
            rootfs: PathBuf::new(),
            created: log::rfc3339(now.as_secs(), Some(now.subsec_nanos())),
            owner: sys::credentials::effective_uid(),
            annotations: BTreeMap::new(),
            boot_id: proc::boot_id()?,
            creator,
            init: None,
            cgroup,
            cgroup_ids: Vec::new(),
            resctrl: None,
            host_mount: None,
            devpts: None,
            namespace_ids: Vec::new(),
            root: None,
            made: Vec::new(),
            namespaces: namespaces.own(),
            family: if namespaces.makes(libc::CLONE_NEWPID) { Family::DiesWithInit } else { Family::Survives },
            hooks: Hooks::default(),
        })
    }

    /// Where hooks run: in the bundle, or in "/" when it is gone.
    pub fn hooks_cwd(&self) -> &Path {
        if self.bundle.is_dir() { &self.bundle } else { Path::new("/") }
    }

    /// A pidfd of init, if it lives: opened first, compared then, so that a reused number is never taken for it.
    pub fn init_pidfd(&self) -> Result<Option<OwnedFd>> {
        let Some(init) = self.init else {
            return Ok(None);
        };
        let pidfd = match sys::process::pidfd_open(init.pid) {
            // EINVAL: the number is that of a thread by now, or (seen on Linux 6.12) of a process that is just being reaped.
            Err(sys::Error(Errno::ESRCH | Errno::EINVAL)) => return Ok(None),
            other => other.with_context(|| format!("open process {}", init.pid))?,
        };
        Ok((proc::is_alive(init)? && self.boot_id == proc::boot_id()?).then_some(pidfd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::cgroup::Cgroup;
    use serde_json::json;

    /// The state of a disk that lies, or of another version.
    #[test]
    fn any_record_is_read_or_refused() {
        let own = serde_json::to_value(proc::identify(sys::process::pid()).unwrap()).unwrap();
        let place = serde_json::to_value(&Cgroup::none().place).unwrap();
        let good = json!({
            "format": FORMAT, "id": "c", "bundle": "/b", "rootfs": "/r", "created": "2026-01-01T00:00:00Z", "owner": 0,
            "annotations": {"a": "b"}, "boot_id": "x", "creator": own, "init": own, "cgroup": place, "namespaces": 0,
            "family": "diesWithInit", "hooks": {"poststop": [{"path": "/x", "args": ["y"]}]},
        });
        assert!(serde_json::from_slice::<Record>(good.to_string().as_bytes()).is_ok());
        let place = tempfile::tempdir().unwrap();
        crate::fuzz::often(300, |random| {
            let mut changed = good.clone();
            (0..=random.below(4)).for_each(|_| random.change(&mut changed));
            let mut text = changed.to_string().into_bytes();
            if random.one_in(3) {
                random.damage(&mut text);
            }
            std::fs::create_dir_all(place.path().join("c")).unwrap();
            std::fs::write(place.path().join("c").join(STATE), text).unwrap();
            match load(place.path(), "c") {
                Ok((state, record)) => drop(state.status(&record)), // which may say that it cannot be told
                Err(error) => crate::fuzz::is_fit_to_show(&error),
            }
        });
    }
}
