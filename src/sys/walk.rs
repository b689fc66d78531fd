//! What openat2(2) does, by openat(2) of one name after the other: for Linux before 5.6, and filters that do not know the
//! call.
//!
//! Each step opens one name with O_NOFOLLOW, relative to a descriptor that is held, so no step can leave the directory
//! that it starts from. `..` goes back to the descriptor that the walk came from, and never to a parent that a rename has
//! given the directory meanwhile. Symbolic links are read and walked in the same way.

use super::file::{self, Resolve, filesystem, open, readlink, stat};
use super::{Errno, Error, Result, mount};
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// As many symbolic links as the kernel itself follows in one path.
const LINK_LIMIT: usize = 40;

/// The same descriptor and the same errors as openat2. EAGAIN when the last name changed between two looks.
pub(super) fn open_in(dir: BorrowedFd, path: &Path, flags: i32, mode: u32, resolve: Resolve) -> Result<OwnedFd> {
    let in_root = matches!(resolve, Resolve::InRoot | Resolve::InRootNoLinks);
    if path.is_absolute() && !in_root {
        return Err(Error(Errno::EXDEV));
    }
    let mut passed: Vec<OwnedFd> = Vec::new();
    let mut todo = names(path.as_os_str());
    let mut links = 0;
    while let Some(name) = todo.pop() {
        let here = passed.last().map_or(dir, AsFd::as_fd);
        if name == b".." {
            if passed.pop().is_none() && !in_root {
                return Err(Error(Errno::EXDEV));
            }
            continue;
        }
        let is_last = todo.is_empty();
        let name = OsStr::from_bytes(&name);
        let found = match open(here, name, libc::O_PATH | libc::O_NOFOLLOW, 0) {
            Err(Error(Errno::ENOENT)) if is_last && flags & libc::O_CREAT != 0 => {
                return open(here, name, flags | libc::O_NOFOLLOW, mode);
            }
            other => other?,
        };
        if resolve == Resolve::Strict && mount_of(&found)? != mount_of(dir)? {
            return Err(Error(Errno::EXDEV));
        }
        let kind = stat(&found)?.st_mode & libc::S_IFMT;
        if kind == libc::S_IFLNK {
            if is_last && flags & (libc::O_NOFOLLOW | libc::O_PATH) == libc::O_NOFOLLOW | libc::O_PATH {
                return Ok(found);
            }
            links += 1;
            let is_followed = resolve == Resolve::InRoot && !(is_last && flags & libc::O_NOFOLLOW != 0);
            if !is_followed || links > LINK_LIMIT {
                return Err(Error(Errno::ELOOP));
            }
            let target = readlink(found.as_fd(), "")?.into_os_string();
            if is_magic(&found, &target)? {
                return Err(Error(Errno::ELOOP));
            }
            if target.as_bytes().first() == Some(&b'/') {
                passed.clear();
            }
            todo.extend(names(&target));
        } else if !is_last {
            passed.push(found); // what is no directory fails at the next name, or at the end
        } else {
            return finish(here, name, found, kind, flags, mode);
        }
    }
    open(passed.last().map_or(dir, AsFd::as_fd), ".", flags, mode)
}

/// Opens the last name, which is no link, as the caller asked for it.
fn finish(dir: BorrowedFd, name: &OsStr, found: OwnedFd, kind: u32, flags: i32, mode: u32) -> Result<OwnedFd> {
    if flags & libc::O_PATH != 0 {
        let fits = flags & libc::O_DIRECTORY == 0 || kind == libc::S_IFDIR;
        return if fits { Ok(found) } else { Err(Error(Errno::ENOTDIR)) };
    }
    let opened = match open(dir, name, flags | libc::O_NOFOLLOW, mode) {
        Err(Error(Errno::ELOOP)) => return Err(Error(Errno::EAGAIN)),
        other => other?,
    };
    let (one, two) = (stat(&found)?, stat(&opened)?);
    if (one.st_dev, one.st_ino) == (two.st_dev, two.st_ino) { Ok(opened) } else { Err(Error(Errno::EAGAIN)) }
}

/// The names of a path, the last one first, without empty ones and `.`.
fn names(path: &OsStr) -> Vec<Vec<u8>> {
    let names = path.as_bytes().split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".");
    names.rev().map(|name| OsStr::from_bytes(name).to_owned().into_vec()).collect()
}

/// The links of procfs that lead to a file by themselves (`fd/3`, `exe`, `ns/mnt`) read as an absolute path or as
/// `kind:[number]`; the others (`self`, `mounts`) as a relative path.
fn is_magic(link: &OwnedFd, target: &OsStr) -> Result<bool> {
    let text = target.as_bytes();
    let is_plain = !matches!(text.first(), Some(b'/' | b'(')) && !text.contains(&b':');
    Ok(filesystem(link)? == file::PROC_SUPER_MAGIC && !is_plain)
}

/// A mount, by the number of its file system and its own. Before Linux 5.8 only /proc tells the latter
/// (proc_pid_fdinfo(5)). A process that has no /proc of its own pid namespace does not learn it there, and does not notice
/// a bind mount inside of one file system. Two lookups are made in such a process: in a procfs that is mounted nowhere, where
/// no mount can be put, and of the terminal multiplexer in /dev/pts, whose device number is compared afterwards.
fn mount_of(file: impl AsFd) -> Result<(u64, u64)> {
    let device = stat(&file)?.st_dev;
    Ok((device, mount::id(&file).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::{self, CWD};
    use std::os::unix::fs::symlink;

    /// Every kind of name, resolved by the kernel and by the walk.
    #[test]
    fn the_walk_answers_as_the_kernel_does() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/file"), "x").unwrap();
        std::fs::write(dir.path().join("outside"), "x").unwrap();
        for (name, target) in [
            ("out", "../outside"),
            ("root", "/"),
            ("abs", "/a/file"),
            ("loop", "loop"),
            ("up", "a/../../../a"),
            ("dangling", "nowhere"),
            ("tail", "a/"),
            ("a/b/back", "../../a/file"),
        ] {
            symlink(target, root.join(name)).unwrap();
        }
        let open = file::open(CWD, &root, libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        let proc = file::open(CWD, "/proc", libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        let paths = [
            ".",
            "a",
            "a/b",
            "a/file",
            "a/file/x",
            "/a/file",
            "..",
            "../outside",
            "a/../..",
            "out",
            "root/a",
            "abs",
            "loop",
            "up",
            "up/file",
            "dangling",
            "tail/b",
            "a/b/back",
            "missing",
            "a/missing/x",
        ];
        let procs =
            ["self/stat", "self/exe", "self/fd/0", "self/root/etc", "self/ns/mnt", "mounts", "net/dev", "1/cwd"];
        let all = paths.iter().map(|path| (&open, *path)).chain(procs.iter().map(|path| (&proc, *path)));
        let modes = [Resolve::InRoot, Resolve::InRootNoLinks, Resolve::Beneath, Resolve::Strict];
        let flags = [libc::O_PATH, libc::O_PATH | libc::O_DIRECTORY, libc::O_RDONLY, libc::O_PATH | libc::O_NOFOLLOW];
        for (dir, path) in all {
            for resolve in modes {
                for flags in flags {
                    let inode = |file: Result<OwnedFd>| {
                        file.map(|file| stat(file).unwrap()).map(|stat| (stat.st_dev, stat.st_ino))
                    };
                    let kernel = inode(file::open_in(dir.as_fd(), path, flags, 0, resolve));
                    let walk = inode(open_in(dir.as_fd(), Path::new(path), flags | libc::O_CLOEXEC, 0, resolve));
                    let what = format!("{path} {resolve:?} {flags:o}: {kernel:?}, {walk:?}");
                    assert!(kernel == walk || kernel.is_err() && walk.is_err(), "{what}");
                }
            }
        }
    }

    #[test]
    fn a_file_is_made_where_openat2_makes_it() {
        let dir = tempfile::tempdir().unwrap();
        let open = file::open(CWD, dir.path(), libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        open_in(open.as_fd(), Path::new("new"), libc::O_WRONLY | libc::O_CREAT, 0o600, Resolve::InRoot).unwrap();
        assert!(dir.path().join("new").is_file());
    }
}
