//! Files of the host that nothing in an image may reach: the names runtimes have been tricked into touching.

#![allow(unsafe_code)] // nobody wraps the calls for extended attributes

use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
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

    /// What has changed about the files, line by line; the second snapshot becomes the first.
    pub fn changes(&mut self) -> Vec<String> {
        let now = snapshot(&self.dir);
        let before = std::mem::replace(&mut self.before, now);
        let gone = before.iter().filter(|line| !self.before.contains(line)).map(|line| format!("- {line}"));
        let new = self.before.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}"));
        gone.chain(new).collect()
    }

    /// Fails the test when anything about the files has changed.
    #[track_caller]
    pub fn assert_unchanged(&self) {
        assert_eq!(self.before, snapshot(&self.dir), "files of the host were touched");
    }
}

/// Everything one can see of a tree without changing it. The time of the last change of status stands for what is not
/// listed.
fn snapshot(path: &Path) -> Vec<String> {
    let meta = fs::symlink_metadata(path).expect("look at the canary");
    let (mode, uid, gid, size) = (meta.mode(), meta.uid(), meta.gid(), meta.size());
    let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
    let text = match meta.file_type() {
        kind if kind.is_file() => super::read(path),
        kind if kind.is_symlink() => format!("-> {}", fs::read_link(path).expect("a link").display()),
        _ => String::new(),
    };
    let (device, inode, attributes) = (meta.dev(), meta.ino(), attributes(path));
    let place = path.display();
    let what = format!("{place} {device}:{inode} {mode:o} {uid}:{gid} {size} {times:?} {attributes:?} {text}");
    let mut lines = vec![what];
    if meta.is_dir() {
        let mut names: Vec<_> = fs::read_dir(path).expect("list the canary").flatten().map(|it| it.path()).collect();
        names.sort();
        lines.extend(names.iter().flat_map(|name| snapshot(name)));
    }
    lines
}

/// The extended attributes: labels, capabilities of files, access control lists. A link has its own.
fn attributes(path: &Path) -> Vec<(CString, String)> {
    let path = CString::new(path.as_os_str().as_bytes()).expect("a path");
    // SAFETY: the path is a C string; as many bytes as the buffer has are given with it.
    let names = buffer(|at, size| unsafe { libc::llistxattr(path.as_ptr(), at.cast(), size) });
    let value = |name: &CStr| {
        // SAFETY: the same, and so is the name.
        buffer(|at, size| unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), at.cast(), size) })
    };
    let names = names.split_inclusive(|byte| *byte == 0).map(|name| CStr::from_bytes_with_nul(name).expect("a name"));
    names.map(|name| (name.to_owned(), format!("{:?}", OsStr::from_bytes(&value(name))))).collect()
}

/// What one of these calls writes. File systems that have no extended attributes give none.
fn buffer(call: impl Fn(*mut u8, usize) -> isize) -> Vec<u8> {
    let mut bytes = vec![0; 1 << 16]; // XATTR_SIZE_MAX, XATTR_LIST_MAX
    let length = call(bytes.as_mut_ptr(), bytes.len());
    bytes.truncate(usize::try_from(length).unwrap_or(0));
    bytes
}
