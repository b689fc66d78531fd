//! Where this machine has its cgroup hierarchies, and where the caller is in them.
//!
//! Runs in the runtime's process, before anything is planned. Reads two or three files and changes nothing. On cgroup
//! v2 that is one statfs and /proc/self/cgroup; the mount table, which grows with every container of the machine, is
//! read only when a hierarchy is not where the convention puts it.

use crate::error::{Context, Result};
use crate::sys::file::{self, CWD};
use crate::sys::mountinfo::unescape;
use crate::sys::{Errno, Error, cgroupfs};
use std::path::{Path, PathBuf};

/// Where everybody mounts cgroups.
const CONVENTION: &str = "/sys/fs/cgroup";

/// More than any kernel prints in these files; a bound, not a guess.
const LIMIT: usize = 64 << 20;

/// The machine's layout. "hybrid" is `V1` with `unified`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cgroups {
    V2 {
        mount: PathBuf,
        /// The path of the calling process below the mount, absolute.
        own: PathBuf,
    },
    V1 {
        /// In the order of /proc/self/cgroup: the youngest hierarchy first.
        hierarchies: Vec<Hierarchy>,
        /// A cgroup2 mount beside them.
        unified: Option<Hierarchy>,
    },
    /// No cgroup hierarchy is mounted where we can see it.
    Missing,
}

/// One mounted hierarchy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hierarchy {
    /// `cpu`, `cpuacct` …, or one `name=systemd`; none for cgroup v2.
    pub controllers: Vec<String>,
    pub mount: PathBuf,
    /// The path of the calling process below the mount, absolute.
    pub own: PathBuf,
}

/// The directory that holds a hierarchy in a container's /sys/fs/cgroup: `cpu,cpuacct`, `systemd`.
pub fn name(controllers: &[String]) -> String {
    match controllers {
        [] => "unified".to_owned(),
        _ => controllers.join(",").trim_start_matches("name=").to_owned(),
    }
}

/// The links to `name` that people expect beside it: for `cpu,cpuacct` both `cpu` and `cpuacct`, else none.
pub fn links(controllers: &[String]) -> Vec<String> {
    if controllers.len() > 1 { controllers.to_vec() } else { Vec::new() }
}

/// Looks at the machine. Fails only when procfs cannot be read; a kernel without cgroups is `Missing`.
pub fn gather() -> Result<Cgroups> {
    let Some(own) = read("/proc/thread-self/cgroup")? else {
        return Ok(Cgroups::Missing);
    };
    let own = parse_own(&own);
    let unified = |own: &[Own]| own.iter().find(|own| own.controllers.is_empty()).map(|own| own.path.clone());
    if cgroupfs::magic_at(CONVENTION) == Ok(file::CGROUP2_SUPER_MAGIC)
        && let Some(path) = unified(&own)
        && is_there(Path::new(CONVENTION), &path)
    {
        return Ok(Cgroups::V2 { mount: CONVENTION.into(), own: path });
    }
    let mut table = Table::default();
    let mut found = Vec::new();
    let mut second = None;
    for own in own {
        let v2 = own.controllers.is_empty();
        if let Some(hierarchy) = locate(own, &mut table)? {
            if v2 { second = Some(hierarchy) } else { found.push(hierarchy) }
        }
    }
    Ok(match (found.is_empty(), second) {
        (true, None) => Cgroups::Missing,
        (true, Some(only)) => Cgroups::V2 { mount: only.mount, own: only.own },
        (false, unified) => Cgroups::V1 { hierarchies: found, unified },
    })
}

/// A line of /proc/self/cgroup, `4:cpu,cpuacct:/path`; cgroup v2 is `0::/path`.
#[derive(PartialEq, Eq, Debug)]
struct Own {
    controllers: Vec<String>,
    path: PathBuf,
}

fn parse_own(text: &str) -> Vec<Own> {
    let line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let controllers = controllers.split(',').filter(|c| !c.is_empty()).map(str::to_owned).collect();
        // A cgroup that was removed around us, or lies outside of our cgroup namespace, has no path that we could use.
        let path = path.trim_end_matches(" (deleted)");
        let path = if path.starts_with("/..") { "/" } else { path };
        Some(Own { controllers, path: path.into() })
    };
    text.lines().filter_map(line).collect()
}

/// Where the hierarchy is mounted: by convention, else as the mount table says. `None` when it is not mounted.
fn locate(own: Own, table: &mut Table) -> Result<Option<Hierarchy>> {
    let magic = if own.controllers.is_empty() { file::CGROUP2_SUPER_MAGIC } else { file::CGROUP_SUPER_MAGIC };
    let base = Path::new(CONVENTION);
    let whole = name(&own.controllers);
    // Joint controllers are found by any of their names, which are then links to the directory that has all of them.
    let names = std::iter::once(&whole).chain(own.controllers.first());
    for name in names {
        let mount = real(base, name);
        if cgroupfs::magic_at(&mount) == Ok(magic) && is_there(&mount, &own.path) {
            return Ok(Some(Hierarchy { controllers: own.controllers, mount, own: own.path }));
        }
    }
    let row = table.get()?.iter().find(|row| row.holds(&own.controllers) && cgroupfs::magic_at(&row.at) == Ok(magic));
    Ok(row.map(|row| Hierarchy { own: row.below_root(&own.path), mount: row.at.clone(), controllers: own.controllers }))
}

/// Follows `/sys/fs/cgroup/cpu -> cpu,cpuacct`.
fn real(base: &Path, name: &str) -> PathBuf {
    let path = base.join(name);
    match file::readlink(CWD, &path) {
        Ok(target) => base.join(target),
        Err(_) => path, // not a link (EINVAL), or not there: the caller's statfs tells
    }
}

/// Is our own cgroup visible below this mount? It is not when the mount shows only a part of the hierarchy, as in a
/// container without a cgroup namespace; the mount table then tells which part.
fn is_there(mount: &Path, own: &Path) -> bool {
    own == Path::new("/") || cgroupfs::magic_at(join(mount, own)).is_ok()
}

/// `own` below `mount`, both absolute.
pub fn join(mount: &Path, own: &Path) -> PathBuf {
    mount.join(own.strip_prefix("/").unwrap_or(own))
}

/// The cgroup rows of the mount table, read at most once.
#[derive(Default)]
struct Table(Option<Vec<Row>>);

struct Row {
    /// The directory of the hierarchy that is visible at the mount.
    root: PathBuf,
    at: PathBuf,
    /// `cgroup` or `cgroup2`.
    v2: bool,
    options: Vec<String>,
}

impl Table {
    fn get(&mut self) -> Result<&[Row]> {
        if self.0.is_none() {
            let text = read("/proc/thread-self/mountinfo")?.unwrap_or_default();
            self.0 = Some(text.lines().filter_map(parse_row).collect());
        }
        Ok(self.0.as_deref().unwrap_or_default())
    }
}

/// `31 23 0:28 /root /at rw,relatime shared:1 - cgroup cgroup rw,cpu`; proc_pid_mountinfo(5).
fn parse_row(line: &str) -> Option<Row> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(3);
    let (root, at) = (left.next()?, left.next()?);
    let mut right = right.split(' ');
    let v2 = match right.next()? {
        "cgroup" => false,
        "cgroup2" => true,
        _ => return None,
    };
    let options = right.nth(1)?.split(',').map(str::to_owned).collect();
    Some(Row { root: unescape(root), at: unescape(at), v2, options })
}

impl Row {
    fn holds(&self, controllers: &[String]) -> bool {
        match controllers.first() {
            None => self.v2,
            Some(first) => !self.v2 && self.options.contains(first),
        }
    }

    /// The hierarchy's path as seen below this mount; its top when it lies elsewhere.
    fn below_root(&self, own: &Path) -> PathBuf {
        Path::new("/").join(own.strip_prefix(&self.root).unwrap_or(Path::new("")))
    }
}

/// A whole file of procfs; `None` when the kernel has none.
fn read(path: &str) -> Result<Option<String>> {
    let open = match file::open(CWD, path, libc::O_RDONLY, 0) {
        Err(Error(Errno::ENOENT)) => return Ok(None),
        open => open.with_context(|| format!("open {path}"))?,
    };
    let bytes = file::read_all(open, LIMIT).with_context(|| format!("read {path}"))?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(controllers: &[&str], path: &str) -> Own {
        Own { controllers: controllers.iter().map(|c| (*c).to_owned()).collect(), path: path.into() }
    }

    #[test]
    fn a_hybrid_machine_is_read_line_by_line() {
        let text = "9:name=systemd:/\n5:cpu,cpuacct:/user.slice\n4::/gone (deleted)\n0::/../elsewhere\n";
        let expected =
            [own(&["name=systemd"], "/"), own(&["cpu", "cpuacct"], "/user.slice"), own(&[], "/gone"), own(&[], "/")];
        assert_eq!(parse_own(text), expected);
    }

    #[test]
    fn joint_controllers_have_links_and_a_joint_name() {
        let joint = ["cpu".to_owned(), "cpuacct".to_owned()];
        assert_eq!((name(&joint).as_str(), links(&joint)), ("cpu,cpuacct", joint.to_vec()));
        let named = ["name=systemd".to_owned()];
        assert_eq!((name(&named).as_str(), links(&named).len()), ("systemd", 0));
    }

    #[test]
    fn the_mount_table_tells_which_part_of_a_hierarchy_is_visible() {
        let row = parse_row("33 31 0:30 /docker/abc /my\\040cgroups/cpu ro - cgroup cgroup rw,cpu,cpuacct").unwrap();
        assert!(
            row.holds(&["cpu".to_owned(), "cpuacct".to_owned()]) && !row.holds(&[]) && !row.holds(&["pids".to_owned()])
        );
        assert_eq!(row.at, Path::new("/my cgroups/cpu"));
        assert_eq!(row.below_root(Path::new("/docker/abc/inner")), Path::new("/inner"));
        assert_eq!(row.below_root(Path::new("/elsewhere")), Path::new("/"));
        assert!(parse_row("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw").is_none());
    }

    #[test]
    fn this_machine_is_one_of_the_three() {
        match gather().unwrap() {
            Cgroups::V2 { mount, .. } => assert_eq!(mount, Path::new(CONVENTION)),
            Cgroups::V1 { hierarchies, .. } => hierarchies.iter().for_each(|h| assert!(h.mount.is_dir())),
            Cgroups::Missing => {}
        }
    }
}
