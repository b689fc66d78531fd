//! Facts about the machine: how its cgroups are laid out, and what a container may have left behind.

use super::read;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    V1,
    V2,
}

/// The layout of /sys/fs/cgroup; hybrid counts as v1, since that is where its controllers are.
pub fn layout() -> Layout {
    let found = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { Layout::V2 } else { Layout::V1 };
    let asked = std::env::var("RRUNTIME_TEST_LAYOUT").unwrap_or_default();
    assert!(asked != "v2" || found == Layout::V2, "RRUNTIME_TEST_LAYOUT=v2, but /sys/fs/cgroup is not cgroup2");
    found
}

/// The directory below which a container's cgroup has the files of this controller.
pub fn controller(name: &str) -> Option<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    match layout() {
        Layout::V2 => {
            let available = read(top.join("cgroup.controllers"));
            (name == "freezer" || available.split_whitespace().any(|it| it == name)).then(|| top.to_owned())
        }
        Layout::V1 => Some(top.join(name)).filter(|dir| dir.join("cgroup.procs").exists()),
    }
}

/// Every cgroup directory whose first component starts with `name`, deepest first.
pub fn cgroups(name: &str) -> Vec<PathBuf> {
    let top = PathBuf::from("/sys/fs/cgroup");
    let mut roots = vec![top.clone()];
    roots.extend(directories(&top).filter(|dir| layout() == Layout::V1 && !dir.is_symlink()));
    let mut found = Vec::new();
    for root in roots {
        for dir in directories(&root) {
            if dir.file_name().is_some_and(|it| it.to_string_lossy().starts_with(name)) {
                below(&dir, &mut found);
            }
        }
    }
    found
}

/// Every cgroup directory of the machine.
pub fn cgroup_tree() -> Vec<PathBuf> {
    let mut found = Vec::new();
    below(Path::new("/sys/fs/cgroup"), &mut found);
    found.sort();
    found
}

/// The processes of this machine that belong to the test whose directory is `home` and whose cgroups are called `name`.
pub fn processes(home: &Path, name: &str) -> Vec<(i32, String)> {
    let mine = |dir: &Path| {
        read(dir.join("cgroup")).contains(name)
            || read(dir.join("cmdline")).contains(&*home.to_string_lossy())
            || fs::read_link(dir.join("cwd")).is_ok_and(|cwd| cwd.starts_with(home))
    };
    let running = |dir: &Path| !read(dir.join("stat")).rsplit(')').next().unwrap_or_default().starts_with(" Z");
    directories(Path::new("/proc"))
        .filter_map(|dir| Some((dir.file_name()?.to_str()?.parse().ok()?, dir)))
        .filter(|(_, dir)| mine(dir) && running(dir))
        .map(|(pid, dir)| (pid, read(dir.join("cmdline")).replace('\0', " ")))
        .collect()
}

/// The lines of this process's mount table that name `path`.
pub fn mounts(path: &Path) -> Vec<String> {
    let path = path.to_string_lossy();
    read("/proc/self/mountinfo").lines().filter(|line| line.contains(&*path)).map(str::to_owned).collect()
}

/// True when a process of this pid is there and no zombie.
pub fn is_alive(pid: i32) -> bool {
    let stat = read(format!("/proc/{pid}/stat"));
    !stat.is_empty() && !stat.rsplit(')').next().unwrap_or_default().starts_with(" Z")
}

/// Whether two paths name the same file (both followed): namespaces, executables.
pub fn same_file(one: impl AsRef<Path>, other: impl AsRef<Path>) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

fn directories(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()).filter(|path| path.is_dir())
}

fn below(dir: &Path, found: &mut Vec<PathBuf>) {
    for child in directories(dir).filter(|child| !child.is_symlink()) {
        below(&child, found);
    }
    found.push(dir.to_owned());
}
