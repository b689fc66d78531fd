//! The resctrl file system, in the runtime's process: the group of a container is found or made, its processes put there,
//! and what we made is removed. config-linux.md, "IntelRdt". Nothing here runs unless config.json has `linux.intelRdt`.

use crate::error::{Context, Result, all, anyhow, bail};
use crate::log;
use crate::plan::resctrl::{Class, Monitoring, Resctrl, agrees};
use crate::sys::file::{self, CWD};
use crate::sys::mountinfo::MountLine;
use crate::sys::{self, Errno};
use crate::undo::Draft;
use serde::{Deserialize, Serialize};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where a container is in resctrl; saved with it, before anything is made.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Where the file system is mounted.
    pub mount: PathBuf,
    /// The directory of the class of service below it; `None`: the top.
    pub class: Option<String>,
    pub origin: Origin,
    /// The monitoring group of the container in that class.
    pub monitoring: Option<String>,
}

/// Who makes the class's directory, and so whether we remove it.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// It is there.
    Found,
    /// We make it, and leave it to those that share it.
    Left,
    /// We make it, and it goes with the container.
    Removed,
}

/// More than any kernel prints into one of these files.
const LIMIT: usize = 1 << 20;

/// Looks, and touches nothing: which group will it be, and is everything there that must be?
pub fn find(plan: &Resctrl, id: &str) -> Result<Group> {
    let text = read(CWD, Path::new("/proc/self/mountinfo"), 64 << 20)?;
    let mount = mount_point(&text).context(
        "config.json: linux.intelRdt: no resctrl file system is mounted on this host: mount it (mount -t resctrl resctrl \
         /sys/fs/resctrl) if the processor has resource control, or remove the field",
    )?;
    choose(plan, id, mount).context("config.json: linux.intelRdt")
}

/// The mount point of the first resctrl of a mountinfo(5): `31 23 0:28 / /at rw - resctrl resctrl rw`.
fn mount_point(mountinfo: &str) -> Option<PathBuf> {
    mountinfo.lines().filter_map(MountLine::parse).find(|line| line.fs == "resctrl").map(|line| line.at)
}

fn choose(plan: &Resctrl, id: &str, mount: PathBuf) -> Result<Group> {
    let top = open_dir(CWD, &mount).with_context(|| format!("open {}", mount.display()))?;
    let class = match &plan.class {
        Class::Default => None,
        Class::Named(name) => Some(name.clone()),
        Class::Own => Some(id.to_string()),
    };
    let there = match &class {
        None => Some(file::duplicate(&top)?),
        Some(name) => match open_dir(top.as_fd(), Path::new(name)) {
            Ok(dir) => Some(dir),
            Err(sys::Error(Errno::ENOENT)) => None,
            Err(error) => return Err(error).with_context(|| format!("open {}/{name}", mount.display())),
        },
    };
    let shared = plan.class != Class::Own;
    let origin = match &there {
        Some(_) => Origin::Found,
        None if !shared => Origin::Removed,
        None => Origin::Left,
    };
    if shared && plan.schemata.is_empty() && origin != Origin::Found {
        bail!(
            "closID: there is no group {:?} in {}: make it first, or say in schemata what it is to be",
            class.unwrap_or_default(),
            mount.display()
        );
    }
    if let Some(dir) = there.filter(|_| shared && !plan.schemata.is_empty()) {
        let found = read(dir.as_fd(), Path::new("schemata"), LIMIT)?;
        if let Some(line) = plan.schemata.iter().find(|line| !agrees(&found, line)) {
            bail!(
                "closID: the group {} is there already, and its schemata is not {line:?} but {:?}: use another group, or \
                 leave the schemata out",
                class.as_deref().unwrap_or("/"),
                found.trim()
            );
        }
    }
    let monitoring = (plan.monitoring == Monitoring::Own).then(|| id.to_string());
    Ok(Group { mount, class, origin, monitoring })
}

/// Makes what is missing and writes the schemata. Dropped without `keep`, what was made is removed.
pub fn make(group: &Group, plan: &Resctrl) -> Result<Draft<Group>> {
    let named = || "config.json: linux.intelRdt".to_string();
    let top = open_dir(CWD, &group.mount).with_context(named)?;
    let mut done = Draft::new(Group { monitoring: None, origin: Origin::Found, ..group.clone() }, |group| {
        if let Err(error) = remove(&group) {
            log::warning(format!("removing the resctrl group of a container that failed: {error:#}"));
        }
    });
    if let (Some(name), Origin::Left | Origin::Removed) = (&group.class, group.origin) {
        let made = file::mkdir(top.as_fd(), name, 0o755).map_err(|error| explain(error, &top));
        made.with_context(|| format!("make the group {name}")).with_context(named)?;
        done.origin = Origin::Removed; // until the container stands
    }
    let class = open_class(group)?;
    write_schemata(class.as_fd(), &plan.schemata, &top).with_context(named)?;
    if let Some(id) = &group.monitoring {
        let made = file::mkdir(class.as_fd(), Path::new("mon_groups").join(id), 0o755).map_err(|e| explain(e, &top));
        made.context("enableMonitoring: make the monitoring group").with_context(named)?;
        done.monitoring.clone_from(&group.monitoring);
    }
    Ok(done)
}

impl Group {
    /// Puts a process into the group; its children are born there.
    pub fn add(&self, pid: i32) -> Result<()> {
        let class = open_class(self)?;
        let write = |dir: BorrowedFd, tasks: &Path| {
            let done = file::open(dir, tasks, libc::O_WRONLY, 0)
                .and_then(|file| file::write_once(file, pid.to_string().as_bytes()));
            done.with_context(|| format!("put process {pid} into the resctrl group {}", self.name()))
        };
        write(class.as_fd(), Path::new("tasks"))?;
        match &self.monitoring {
            Some(id) => write(class.as_fd(), &Path::new("mon_groups").join(id).join("tasks")),
            None => Ok(()),
        }
    }

    /// As `add`, for exec: a group that somebody has removed meanwhile is no reason not to enter the container.
    pub fn add_if_there(&self, pid: i32) -> Result<()> {
        match self.add(pid) {
            Err(error) if error.downcast_ref::<sys::Error>() == Some(&sys::Error(Errno::ENOENT)) => Ok(()),
            other => other,
        }
    }

    fn name(&self) -> String {
        self.mount.join(self.class.as_deref().unwrap_or_default()).display().to_string()
    }
}

/// One line a write: the kernel takes or refuses them one by one.
fn write_schemata(class: BorrowedFd, lines: &[String], top: &OwnedFd) -> Result<()> {
    for line in lines {
        let done = file::open(class, "schemata", libc::O_WRONLY, 0)
            .and_then(|file| file::write_once(file, format!("{line}\n").as_bytes()))
            .map_err(|error| explain(error, top));
        done.with_context(|| format!("write {line:?} into schemata"))?;
    }
    Ok(())
}

/// The kernel says in a file what it did not like.
fn explain(error: sys::Error, top: &OwnedFd) -> anyhow::Error {
    let status = read(top.as_fd(), Path::new("info/last_cmd_status"), LIMIT).unwrap_or_default(); // the errno is left
    match status.trim() {
        "" | "ok" => match error.0 {
            Errno::ENOSPC => anyhow!(error).context("the hardware has no group left"),
            _ => error.into(),
        },
        reason => anyhow!(error).context(reason.to_string()),
    }
}

/// Removes what the container has of its own. What is gone already is no error.
pub fn remove(group: &Group) -> Result<()> {
    let mut errors = Vec::new();
    let mut rmdir = |path: PathBuf| match file::rmdir(CWD, &path) {
        Ok(()) | Err(sys::Error(Errno::ENOENT)) => {}
        Err(error) => errors.push(anyhow!(error).context(format!("remove {}", path.display()))),
    };
    let class = group.mount.join(group.class.as_deref().unwrap_or_default());
    if let Some(id) = &group.monitoring {
        rmdir(class.join("mon_groups").join(id));
    }
    if group.class.is_some() && group.origin == Origin::Removed {
        rmdir(class);
    }
    all(errors).map_or(Ok(()), Err)
}

fn open_class(group: &Group) -> Result<OwnedFd> {
    let path = group.mount.join(group.class.as_deref().unwrap_or_default());
    open_dir(CWD, &path).with_context(|| format!("open the resctrl group {}", path.display()))
}

fn open_dir(dir: BorrowedFd, path: &Path) -> sys::Result<OwnedFd> {
    file::open(dir, path, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)
}

fn read(dir: BorrowedFd, path: &Path, limit: usize) -> Result<String> {
    let read = || file::read_all(file::open(dir, path, libc::O_RDONLY, 0)?, limit);
    Ok(String::from_utf8_lossy(&read().with_context(|| format!("read {}", path.display()))?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn plan(class: Class, schemata: &[&str]) -> Resctrl {
        let schemata = schemata.iter().map(ToString::to_string).collect();
        Resctrl { class, schemata, monitoring: Monitoring::Own }
    }

    #[test]
    fn the_mount_is_found_by_its_type() {
        let table = "21 1 0:5 / /sys rw - sysfs resctrl rw\n31 21 0:9 / /sys/fs/with\\040blank rw,nosuid shared:3 - resctrl x rw\n";
        assert_eq!(mount_point(table), Some("/sys/fs/with blank".into()));
        assert_eq!(mount_point("21 1 0:5 / /sys rw - sysfs resctrl rw\n"), None);
    }

    #[test]
    fn only_a_class_of_the_containers_own_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let choose = |plan: &Resctrl| choose(plan, "id", dir.path().into()).unwrap().origin;
        fs::create_dir(dir.path().join("there")).unwrap();
        fs::write(dir.path().join("there/schemata"), "L3:0=f\n").unwrap();
        assert_eq!(choose(&plan(Class::Own, &[])), Origin::Removed);
        assert_eq!(choose(&plan(Class::Named("new".into()), &["L3:0=f"])), Origin::Left);
        assert_eq!(choose(&plan(Class::Named("there".into()), &["L3:0=f"])), Origin::Found);
        fs::create_dir(dir.path().join("id")).unwrap();
        assert_eq!(choose(&plan(Class::Own, &[])), Origin::Found, "somebody else has made it");
    }

    #[test]
    fn what_was_made_is_removed_and_nothing_else() {
        for (origin, left) in [(Origin::Removed, &[][..]), (Origin::Left, &["c"]), (Origin::Found, &["c"])] {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("c/mon_groups/id")).unwrap();
            let (class, monitoring) = (Some("c".to_string()), Some("id".to_string()));
            let group = Group { mount: dir.path().into(), class, origin, monitoring };
            // The kernel's own directory goes with its group; here it stands in the way.
            let _ = remove(&group);
            assert!(!dir.path().join("c/mon_groups/id").exists());
            fs::remove_dir(dir.path().join("c/mon_groups")).unwrap();
            remove(&group).unwrap();
            remove(&group).unwrap();
            let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, left, "{origin:?}");
        }
    }

    #[test]
    fn the_default_class_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let group = Group { mount: dir.path().into(), class: None, origin: Origin::Removed, monitoring: None };
        remove(&group).unwrap();
        assert!(dir.path().exists());
    }
}
