//! What must be the same on the host after whatever a container did. Other tests, and the machine's own services, go on
//! meanwhile: what can come from them does not count. What is a container's own is looked for by `Home::leftovers`.

use super::{binary, host, read, within};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What begins the names of everything that tests make.
const OF_TESTS: &str = "rruntime-test";

/// Below /proc/sys: what runtimes have been made to write, and what a container says of itself.
const SYSCTLS: [&str; 8] = [
    "kernel/core_pattern",
    "kernel/modprobe",
    "kernel/sysrq",
    "kernel/randomize_va_space",
    "fs/suid_dumpable",
    "kernel/hostname",
    "kernel/domainname",
    "net/ipv4/ip_forward",
];

pub struct HostState {
    sysctls: Vec<String>,
    /// The file of the runtime.
    binary: String,
    /// The table of mounts of the host's own namespace with their propagation, by number.
    mounts: HashMap<String, String>,
    cgroups: HashSet<PathBuf>,
}

impl HostState {
    pub fn new() -> Self {
        let table = read("/proc/self/mountinfo");
        let mounts = table.lines().filter(|line| !line.contains(OF_TESTS)).filter_map(|line| line.split_once(' '));
        let of_others = |dir: &PathBuf| !dir.to_string_lossy().contains(OF_TESTS);
        Self {
            sysctls: SYSCTLS.iter().map(|name| format!("{name}: {}", read(format!("/proc/sys/{name}")))).collect(),
            binary: identity(&binary()),
            mounts: mounts.map(|(number, rest)| (number.to_owned(), rest.to_owned())).collect(),
            cgroups: host::cgroup_tree().into_iter().filter(of_others).collect(),
        }
    }

    #[track_caller]
    pub fn assert_same(&self) {
        let now = Self::new();
        assert_eq!(now.sysctls, self.sysctls, "a sysctl of the host has changed");
        assert_eq!(now.binary, self.binary, "the runtime's own file has changed");
        for (number, before) in &self.mounts {
            let now = now.mounts.get(number);
            assert!(now == Some(before), "mount {number} of the host was {before} and is {now:?}");
        }
        // Services come and go; what stays is ours.
        let mut new = Vec::new();
        let gone = within(Duration::from_secs(30), || {
            new = Self::new().things_not_in(self);
            new.is_empty()
        });
        assert!(gone, "new on the host: {new:#?}");
    }

    fn things_not_in(&self, before: &Self) -> Vec<String> {
        let mounts = self.mounts.iter().filter(|(number, _)| !before.mounts.contains_key(*number));
        let mounts = mounts.map(|(number, mount)| format!("mount {number} {mount}"));
        mounts.chain(self.cgroups.difference(&before.cgroups).map(|dir| format!("cgroup {}", dir.display()))).collect()
    }
}

/// A file by everything that would change if it were written.
pub fn identity(path: &Path) -> String {
    let meta = std::fs::metadata(path).expect("look at a file");
    let mut content = DefaultHasher::new();
    content.write(&std::fs::read(path).expect("read a file"));
    let (inode, size, content) = (meta.ino(), meta.size(), content.finish());
    format!("{} {inode} {size} {}.{} {content:x}", path.display(), meta.mtime(), meta.mtime_nsec())
}
