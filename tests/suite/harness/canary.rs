//! Files of the host that nothing in an image may reach: the names runtimes have been tricked into touching.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub struct Canary {
    dir: PathBuf,
    before: Vec<String>,
}

impl Canary {
    pub fn new(dir: PathBuf) -> Self {
        fs::create_dir_all(dir.join("d")).expect("make the canary");
        for name in ["ptmx", "null", "console", "marker", "hostfile"] {
            fs::write(dir.join(name), name).expect("write the canary");
        }
        let before = snapshot(&dir);
        Self { dir, before }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Fails the test when anything about the files has changed.
    #[track_caller]
    pub fn assert_unchanged(&self) {
        assert_eq!(self.before, snapshot(&self.dir), "files of the host were touched");
    }
}

/// Everything one can see of a tree without changing it.
fn snapshot(path: &Path) -> Vec<String> {
    let meta = fs::symlink_metadata(path).expect("look at the canary");
    let (mode, uid, gid, size) = (meta.mode(), meta.uid(), meta.gid(), meta.size());
    let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
    let text = if meta.is_file() { super::read(path) } else { String::new() };
    let what = format!("{} {}:{} {mode:o} {uid}:{gid} {size} {times:?} {text}", path.display(), meta.dev(), meta.ino());
    let mut lines = vec![what];
    if meta.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path).expect("list the canary").flatten().map(|it| it.path()).collect();
        names.sort();
        lines.extend(names.iter().flat_map(|name| snapshot(name)));
    }
    lines
}
