//! Facts about the machine: how its cgroups are laid out, and what a container may have left behind.

use super::read;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

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

/// A process of the host that sleeps, and is ended when the guard is dropped.
pub struct Sleeper(Child);

impl Sleeper {
    pub fn new() -> Sleeper {
        Sleeper(Command::new("sleep").arg("600").spawn().expect("a process"))
    }

    pub fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    pub fn cgroups(&self) -> String {
        read(format!("/proc/{}/cgroup", self.pid()))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.kill().expect("end our own process");
        self.0.wait().expect("reap our own process");
    }
}

/// The version of Linux that the tests run on, or that `RRUNTIME_TEST_WITHOUT` plays.
pub fn kernel() -> (u32, u32) {
    let real = version(&read("/proc/sys/kernel/osrelease"));
    let played = std::env::var("RRUNTIME_TEST_WITHOUT").unwrap_or_default();
    match played.as_str() {
        "" => real,
        "filter" => (5, 4),
        call if call.starts_with("mount_setattr:") => real.min((5, 11)),
        call if call.contains(':') => real,
        number => real.min(version(number)),
    }
}

/// The first two numbers of a release such as `5.10.0-32-cloud-amd64`.
pub fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Is AppArmor enabled in this kernel?
pub fn has_apparmor() -> bool {
    read("/sys/module/apparmor/parameters/enabled").starts_with('Y')
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

/// Every cgroup directory that this name begins, wherever it is, and those below it, deepest first.
pub fn cgroups(name: &str) -> Vec<PathBuf> {
    let named = |dir: &Path| dir.iter().any(|part| part.to_string_lossy().starts_with(name));
    cgroup_tree().into_iter().rev().filter(|dir| named(dir)).collect()
}

/// Every cgroup directory of the machine, each before those in it.
pub fn cgroup_tree() -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/sys/fs/cgroup")];
    let mut next = 0;
    while next < found.len() {
        let inner: Vec<_> = directories(&found[next]).collect();
        found.extend(inner);
        next += 1;
    }
    found
}

/// The processes of this machine that belong to the test whose directory is `home` and whose cgroups are called `name`: by
/// their cgroup, their command line, their directories, or the root of their mount namespace.
pub fn processes(home: &Path, name: &str) -> Vec<(i32, String)> {
    let ours = fs::read_link("/proc/self/ns/mnt").expect("our mount namespace");
    let mine = |dir: &Path| {
        if fs::read_link(dir.join("exe")).is_err() {
            return false; // of the kernel, or dead
        }
        let cgroup = read(dir.join("cgroup"));
        if cgroup.contains("rruntime-test") {
            return cgroup.contains(name); // in ours, or in that of a test that looks for itself
        }
        read(dir.join("cmdline")).contains(&*home.to_string_lossy())
            || ["cwd", "root"].iter().any(|it| fs::read_link(dir.join(it)).is_ok_and(|it| it.starts_with(home)))
            || fs::read_link(dir.join("ns/mnt")).is_ok_and(|it| it != ours) && is_rooted_in(dir, name)
    };
    let running = |dir: &Path| !read(dir.join("stat")).rsplit(')').next().unwrap_or_default().starts_with(" Z");
    directories(Path::new("/proc"))
        .filter_map(|dir| Some((dir.file_name()?.to_str()?.parse().ok()?, dir)))
        .filter(|(_, dir)| mine(dir) && running(dir))
        .map(|(pid, dir)| (pid, read(dir.join("cmdline")).replace('\0', " ")))
        .collect()
}

/// Is what a process has at "/" a directory of the test of this name? Its own paths do not say so once it has pivoted.
fn is_rooted_in(process: &Path, name: &str) -> bool {
    read(process.join("mountinfo")).lines().any(|line| {
        let mut fields = line.split(' ').skip(3); // what of the file system is mounted, and where; proc(5)
        fields.next().is_some_and(|root| root.contains(name)) && fields.next() == Some("/")
    })
}

/// True while a key of this serial number exists, whether or not this process may look at it.
#[allow(unsafe_code)]
pub fn has_key(serial: i64) -> bool {
    // SAFETY: without a buffer the call only looks.
    let done = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_DESCRIBE, serial, 0, 0) };
    done >= 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ENOKEY)
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
    let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    fs::read_dir(dir).into_iter().flatten().flatten().filter(is_directory).map(|entry| entry.path())
}
