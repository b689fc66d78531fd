//! Trees that we do not trust, and small files that must never be seen half-written.
//!
//! `Root` is a directory from which no path leads out: links are resolved as if it were "/", every step goes through a
//! descriptor, and what has to be made is made component by component without following anything. Whoever shares the tree
//! (a volume used by another container) may rename in it at any moment and gains nothing but an error.

use crate::error::{Context, Result, bail, ensure};
use crate::sys::file::{self, Resolve};
use crate::sys::{self, Errno};
use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// As many symbolic links as the kernel itself follows in one path.
const LINK_LIMIT: usize = 40;

pub struct Root {
    dir: OwnedFd,
    journal: Option<Journal>,
}

/// What has been made on the file system of the tree's root: names from there. What is on another goes with its mount, or is a
/// volume's.
struct Journal {
    device: u64,
    names: Rc<RefCell<Vec<PathBuf>>>,
}

/// Something opened below a root, and whether it had to be made.
pub struct Target {
    pub file: OwnedFd,
    pub made: Made,
    pub through: Through,
}

/// Whether the resolution of a path followed a symbolic link of the tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Through {
    Names,
    Links,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Made {
    Now,
    Before,
}

impl Root {
    pub fn new(dir: OwnedFd) -> Root {
        Root { dir, journal: None }
    }

    /// One whose changes are written down in `names`.
    pub fn recorded(dir: OwnedFd, names: &Rc<RefCell<Vec<PathBuf>>>) -> sys::Result<Root> {
        let journal = Journal { device: file::stat(&dir)?.st_dev, names: Rc::clone(names) };
        Ok(Root { dir, journal: Some(journal) })
    }

    /// Writes down what was made in a directory, if that is on the file system of the root.
    pub fn note(&self, parent: BorrowedFd, path: impl Into<PathBuf>) {
        if let Some(journal) = &self.journal
            && file::stat(parent).is_ok_and(|parent| parent.st_dev == journal.device)
        {
            journal.names.borrow_mut().push(path.into());
        }
    }

    /// An O_PATH descriptor of what is there, links followed inside the root. ENOENT when nothing is.
    pub fn open(&self, path: &Path) -> sys::Result<OwnedFd> {
        file::open_in(self.dir.as_fd(), inside(path), libc::O_PATH, 0, Resolve::InRoot)
    }

    /// Opens the regular file at `path` for reading, links followed inside the root. `None` when nothing is there.
    ///
    /// The file is looked at through O_PATH before it is opened, because opening a device, a FIFO or a file of procfs can
    /// change the host. The open names the path again, so the file that was opened must be the one that was looked at.
    /// Between the two, only a process that shares the tree can put a device there; the device rules of the caller's
    /// cgroup decide about that open.
    pub fn open_regular(&self, path: &Path) -> Result<Option<OwnedFd>> {
        let seen = match self.open(path) {
            Err(sys::Error(Errno::ENOENT | Errno::ENOTDIR)) => return Ok(None),
            other => other?,
        };
        let before = file::stat(&seen)?;
        ensure!(before.st_mode & libc::S_IFMT == libc::S_IFREG, "is not a regular file");
        ensure!(!file::is_made_by_the_kernel(&seen)?, "leads to a file of the kernel's (procfs, sysfs or the like)");
        let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
        let file = file::open_in(self.dir.as_fd(), inside(path), flags, 0, Resolve::InRoot)?;
        let now = file::stat(&file)?;
        let same = |a: file::Stat, b: file::Stat| (a.st_dev, a.st_ino, a.st_mode) == (b.st_dev, b.st_ino, b.st_mode);
        ensure!(same(before, now), "was replaced while it was being opened");
        Ok(Some(file))
    }

    /// An O_PATH descriptor of what is there, when no symbolic link is on the way or at the end: ELOOP.
    pub fn open_without_links(&self, path: &Path) -> sys::Result<OwnedFd> {
        file::open_in(self.dir.as_fd(), inside(path), libc::O_PATH, 0, Resolve::InRootNoLinks)
    }

    /// What is there, and whether links of the tree led to it. ENOENT when nothing is.
    fn existing(&self, path: &Path, flags: i32) -> sys::Result<Target> {
        let open = |resolve| file::open_in(self.dir.as_fd(), inside(path), flags, 0, resolve);
        match open(Resolve::InRootNoLinks) {
            Err(sys::Error(Errno::ELOOP)) => {
                Ok(Target { file: open(Resolve::InRoot)?, made: Made::Before, through: Through::Links })
            }
            other => Ok(Target { file: other?, made: Made::Before, through: Through::Names }),
        }
    }

    /// The directory at `path`, made with mode 0755 (and its parents) where it is missing.
    pub fn make_dir(&self, path: &Path) -> Result<Target> {
        match self.existing(path, libc::O_PATH | libc::O_DIRECTORY) {
            Err(sys::Error(Errno::ENOENT)) => {}
            other => return Ok(other?),
        }
        if let Some(file) = self.make_last(path) {
            return Ok(Target { file, made: Made::Now, through: Through::Names });
        }
        let names = self.would_be(path)?;
        Ok(Target { file: self.walk(&names, Crossing::Allowed)?, made: Made::Now, through: through(path, &names) })
    }

    /// As `make_dir`, but the whole path lies on the mount of the root: a link of the tree that leads onto another mount is
    /// refused before anything is made there.
    pub fn make_dir_on_own_mount(&self, path: &Path) -> Result<OwnedFd> {
        self.walk(&self.would_be(path)?, Crossing::Refused)
    }

    /// The usual case of a missing directory: its parent is there, and nothing has its name, not even a dangling link.
    fn make_last(&self, path: &Path) -> Option<OwnedFd> {
        let (parent, name) = (path.parent()?, path.file_name()?);
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let parent = file::open_in(self.dir.as_fd(), inside(parent), flags, 0, Resolve::InRootNoLinks).ok()?;
        file::mkdir(parent.as_fd(), name, 0o755).ok()?;
        self.note(parent.as_fd(), path);
        file::open(parent.as_fd(), name, flags | libc::O_NOFOLLOW, 0).ok()
    }

    /// As `make_dir`, but a symbolic link anywhere in the path is refused (CVE-2019-19921: /proc and /sys).
    pub fn make_dir_without_links(&self, path: &Path) -> Result<Target> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        match file::open_in(self.dir.as_fd(), inside(path), flags, 0, Resolve::InRootNoLinks) {
            Ok(file) => {
                return Ok(Target { file, made: Made::Before, through: Through::Names });
            }
            Err(sys::Error(Errno::ENOENT)) => {}
            Err(sys::Error(Errno::ELOOP | Errno::ENOTDIR)) => {
                bail!("must be mounted on ordinary directory: a link of the image stands in its path")
            }
            Err(error) => return Err(error.into()),
        }
        let names = self.would_be(path)?;
        let straight = through(path, &names) == Through::Names;
        ensure!(straight, "must be mounted on ordinary directory: a link of the image stands in its path");
        Ok(Target { file: self.walk(&names, Crossing::Allowed)?, made: Made::Now, through: Through::Names })
    }

    /// What is at `path`, whatever it is; an empty file, with its parents, where nothing is. Nothing is opened for I/O.
    pub fn make_file(&self, path: &Path) -> Result<Target> {
        match self.existing(path, libc::O_PATH) {
            Err(sys::Error(Errno::ENOENT)) => {}
            other => return Ok(other?),
        }
        let mut names = self.would_be(path)?;
        let through = through(path, &names);
        let Some(name) = names.pop() else { bail!("the root itself cannot be a file") };
        let parent = self.walk(&names, Crossing::Allowed)?;
        let target = self.make_name(parent.as_fd(), &name, &from_root(&names).join(&name))?; // another runtime on the same tree may be faster
        let kind = file::stat(&target.file)?.st_mode & libc::S_IFMT;
        ensure!(kind != libc::S_IFLNK, "became a symbolic link while it was being made");
        Ok(Target { made: Made::Now, through, ..target })
    }

    /// As `make_file`, but the last name is not followed: a link there is the target itself.
    pub fn make_file_unfollowed(&self, path: &Path) -> Result<Target> {
        let (parent, name) = self.parent_of(path)?;
        Ok(Target { through: parent.through, ..self.make_name(parent.file.as_fd(), name, path)? })
    }

    /// What has a name in a directory, whatever it is and without following it; an empty file where nothing has.
    pub fn make_name(&self, dir: BorrowedFd, name: &OsStr, path: &Path) -> Result<Target> {
        let made = match file::mknod(dir, name, libc::S_IFREG, 0o644, 0) {
            Ok(()) => Made::Now,
            Err(sys::Error(Errno::EEXIST)) => Made::Before,
            Err(error) => return Err(error).with_context(|| format!("make {}", name.display())),
        };
        if made == Made::Now {
            self.note(dir, path);
        }
        let file = file::open(dir, name, libc::O_PATH | libc::O_NOFOLLOW, 0)?;
        Ok(Target { file, made, through: Through::Names })
    }

    /// A symbolic link at `path`, with its parents. One of the same content may be there already; anything else is an
    /// error.
    pub fn make_link(&self, path: &Path, content: &Path) -> Result<()> {
        let (parent, name) = self.parent_of(path)?;
        let parent = parent.file;
        match file::symlink(content, parent.as_fd(), name) {
            Err(sys::Error(Errno::EEXIST)) => {
                let same = file::readlink(parent.as_fd(), name).is_ok_and(|there| there == content);
                ensure!(same, "something else than a link to {} is there", content.display());
            }
            other => {
                other?;
                self.note(parent.as_fd(), path);
            }
        }
        Ok(())
    }

    /// The directory that holds the last name of a path, made where it is missing.
    fn parent_of<'a>(&self, path: &'a Path) -> Result<(Target, &'a OsStr)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            bail!("the root itself has no name");
        };
        Ok((self.make_dir(parent)?, name))
    }

    /// Where a path would lead if everything missing in it were made: the names from the root, no link and no `..` among
    /// them. Dangling links exist in real images; their target is what has to be made.
    fn would_be(&self, path: &Path) -> Result<Vec<OsString>> {
        let mut todo: Vec<OsString> = names_of(path);
        todo.reverse();
        let mut done: Vec<OsString> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                done.pop();
                continue;
            }
            let target = match self.dir_at(&done) {
                Some(dir) => file::readlink(dir.as_fd(), &name).ok(), // no link, or nothing there: a plain name
                None => None,
            };
            let Some(target) = target else {
                done.push(name);
                continue;
            };
            links += 1;
            ensure!(links <= LINK_LIMIT, sys::Error(Errno::ELOOP));
            if target.is_absolute() {
                done.clear();
            }
            todo.extend(names_of(&target).into_iter().rev());
        }
        Ok(done)
    }

    /// A directory reached by plain names only; `None` when there is none.
    fn dir_at(&self, names: &[OsString]) -> Option<OwnedFd> {
        let path: PathBuf = if names.is_empty() { ".".into() } else { names.iter().collect() };
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        file::open_in(self.dir.as_fd(), path, flags, 0, Resolve::InRootNoLinks).ok() // absence is the answer
    }

    /// Goes down by plain names and makes what is missing. A link on the way was put there by somebody just now.
    fn walk(&self, names: &[OsString], crossing: Crossing) -> Result<OwnedFd> {
        let mut dir = file::duplicate(&self.dir)?;
        for (depth, name) in names.iter().enumerate() {
            match file::mkdir(dir.as_fd(), name, 0o755) {
                Ok(()) => self.note(dir.as_fd(), from_root(&names[..=depth])),
                Err(sys::Error(Errno::EEXIST)) => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("make directory {}", name.display()));
                }
            }
            let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
            let next = match crossing {
                Crossing::Allowed => file::open(dir.as_fd(), name, flags, 0),
                Crossing::Refused => file::open_in(dir.as_fd(), name, flags, 0, Resolve::Strict),
            };
            dir = match next {
                Err(sys::Error(Errno::EXDEV)) => bail!(
                    "a link of the image leads to {}, where another file system or volume is mounted; name that place as it is",
                    from_root(&names[..=depth]).display()
                ),
                other => other.with_context(|| format!("open {}", name.display()))?,
            };
        }
        Ok(dir)
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// Whether a walk may leave the mount of the root for one that is mounted below it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Crossing {
    Allowed,
    Refused,
}

/// Whether the names that a path would lead to are its own.
fn through(path: &Path, names: &[OsString]) -> Through {
    let own = path.components().skip(1).map(Component::as_os_str).eq(names.iter().map(OsString::as_os_str));
    if own { Through::Names } else { Through::Links }
}

fn from_root(names: &[OsString]) -> PathBuf {
    Path::new("/").join(names.iter().collect::<PathBuf>())
}

/// openat2 takes the root itself as ".".
fn inside(path: &Path) -> &Path {
    let path = path.strip_prefix("/").unwrap_or(path);
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn names_of(path: &Path) -> Vec<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_os_string()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

/// Writes a file so that a reader sees the old content or the new, never a part: into a temporary name, then renamed.
/// What a killed writer left under the temporary name is replaced.
pub fn replace(dir: BorrowedFd, name: &str, bytes: &[u8], mode: u32) -> Result<()> {
    prepare(dir, name, bytes, mode)?.commit()
}

/// The first half of `replace`: all that can fail for want of space or rights to write.
pub fn prepare<'a>(dir: BorrowedFd<'a>, name: &'a str, bytes: &[u8], mode: u32) -> Result<Replacement<'a>> {
    let replacement = Replacement { dir, name, temporary: format!(".{name}.{}", sys::process::pid()), renamed: false };
    let temporary = &replacement.temporary;
    let write = || -> sys::Result<()> {
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let open = || file::open(dir, temporary, flags, mode);
        let file = match open() {
            Err(sys::Error(Errno::EEXIST)) => {
                file::unlink(dir, temporary)?;
                open()?
            }
            other => other?,
        };
        file::write_all(file, bytes)
    };
    write().with_context(|| format!("write {name}"))?;
    Ok(replacement)
}

/// A file that is written and has no name yet. Dropped, it is removed.
#[must_use]
pub struct Replacement<'a> {
    dir: BorrowedFd<'a>,
    name: &'a str,
    temporary: String,
    renamed: bool,
}

impl Replacement<'_> {
    /// Puts it into the place of the old one.
    pub fn commit(mut self) -> Result<()> {
        file::rename(self.dir, &self.temporary, self.dir, self.name).with_context(|| format!("write {}", self.name))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        if !self.renamed {
            let _ = file::unlink(self.dir, &self.temporary); // it may not have been made
        }
    }
}

/// How long `remove_tree` goes on: a tree is empty at some time unless a process keeps adding to it.
const REMOVE_TIME: Duration = Duration::from_secs(120);

/// How many names of a directory are held at once.
const NAMES_AT_ONCE: usize = 1024;

/// How many directories of a tree are open at once.
const OPEN_AT_ONCE: usize = 64;

/// Removes a directory's whole content and then itself, by descriptors and without following links. What is gone already
/// is no error. A mount point in the tree fails with EXDEV or EBUSY: what is mounted there is left alone.
///
/// Trees may be deeper than a path is long, than a stack and than descriptors last. So a directory that is too deep moves
/// up to the top of the tree, and is looked at there. No `..` is taken, which a process that renames directories could lead
/// out of the tree.
pub fn remove_tree(parent: BorrowedFd, name: &OsStr) -> sys::Result<()> {
    let end = Instant::now() + REMOVE_TIME;
    let top = match open_dir_below(parent, name) {
        Ok(top) => top,
        Err(sys::Error(Errno::ENOTDIR | Errno::ELOOP)) => return gone(file::unlink(parent, name)),
        other => return gone(other.map(drop)),
    };
    let device = device_of(&top)?;
    let mut moved = 0u64;
    let mut open = vec![Level { dir: top, name: name.to_os_string(), names: Vec::new(), rest: Rest::Unknown }];
    loop {
        let is_deepest = open.len() == OPEN_AT_ONCE;
        let Some(level) = open.last_mut() else { return Ok(()) };
        if Instant::now() > end {
            return Err(sys::Error(Errno::ETIMEDOUT));
        }
        if level.names.is_empty() && level.rest == Rest::Unknown {
            level.names = file::list_some(level.dir.as_fd(), NAMES_AT_ONCE)?;
            level.rest = if level.names.len() < NAMES_AT_ONCE { Rest::None } else { Rest::Unknown };
        }
        let Some(entry) = level.names.pop() else {
            let done = open.pop();
            let (above, name) =
                (open.last().map_or(parent, |above| above.dir.as_fd()), done.as_ref().map(|it| &it.name));
            match gone(file::rmdir(above, name.map_or(OsStr::new(""), OsString::as_os_str))) {
                // A process has added to it.
                Err(sys::Error(Errno::ENOTEMPTY | Errno::EEXIST)) => {
                    open.extend(done.map(|level| Level { rest: Rest::Unknown, ..level }));
                }
                done => done?,
            }
            continue;
        };
        if remove_leaf(level.dir.as_fd(), &entry)? {
            continue;
        }
        if !is_deepest {
            match open_dir_below(level.dir.as_fd(), &entry) {
                Err(sys::Error(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP)) => level.rest = Rest::Unknown, // it has changed
                Ok(dir) if device_of(&dir)? != device => return Err(sys::Error(Errno::EXDEV)),
                dir => open.push(Level { dir: dir?, name: entry, names: Vec::new(), rest: Rest::Unknown }),
            }
            continue;
        }
        // No name of a tree that the runtime makes begins so; where a container has used it, the next number is tried.
        level.rest = Rest::Unknown;
        let [top, .., deepest] = &mut open[..] else { unreachable!("the deepest has others above it") };
        match file::rename(deepest.dir.as_fd(), &entry, top.dir.as_fd(), format!(".removing.{moved}")) {
            Ok(()) => top.rest = Rest::Unknown,
            Err(sys::Error(Errno::ENOENT | Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR)) => {}
            Err(error) => return Err(error),
        }
        moved += 1;
    }
}

/// A directory that is being emptied.
struct Level {
    dir: OwnedFd,
    /// In the one before.
    name: OsString,
    /// Those that have been listed and not been removed yet.
    names: Vec<OsString>,
    rest: Rest,
}

/// What a directory has beyond the names that have been listed.
#[derive(PartialEq, Eq)]
enum Rest {
    Unknown,
    None,
}

/// Removes a file, a link, or a directory without entries. False: it is a directory with entries.
fn remove_leaf(dir: BorrowedFd, name: &OsStr) -> sys::Result<bool> {
    match file::unlink(dir, name) {
        Err(error @ sys::Error(Errno::EISDIR | Errno::EPERM)) => match gone(file::rmdir(dir, name)) {
            Err(sys::Error(Errno::ENOTEMPTY | Errno::EEXIST)) => Ok(false),
            Err(sys::Error(Errno::ENOTDIR)) => Err(error), // a file that may not be removed
            done => done.map(|()| true),
        },
        done => gone(done).map(|()| true),
    }
}

fn open_dir_below(dir: BorrowedFd, name: &OsStr) -> sys::Result<OwnedFd> {
    file::open(dir, Path::new(name), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)
}

/// The file system and, from Linux 5.8 on, the mount.
fn device_of(dir: &OwnedFd) -> sys::Result<(u64, Option<u64>)> {
    Ok((file::stat(dir)?.st_dev, sys::mount::id(dir).ok()))
}

fn gone(result: sys::Result<()>) -> sys::Result<()> {
    match result {
        Err(sys::Error(Errno::ENOENT)) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn tree() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let root = Root::new(file::open(file::CWD, dir.path().join("root"), flags, 0).unwrap());
        (dir, root)
    }

    #[test]
    fn links_do_not_lead_out() {
        let (dir, root) = tree();
        let inner = dir.path().join("root");
        symlink(dir.path(), inner.join("absolute")).unwrap();
        symlink("../..", inner.join("relative")).unwrap();
        root.make_dir(Path::new("/absolute/made")).unwrap();
        root.make_file(Path::new("/relative/made")).unwrap();
        assert!(!dir.path().join("made").exists());
        assert!(inner.join("made").is_file());
        assert!(inner.join(dir.path().strip_prefix("/").unwrap()).join("made").is_dir());
    }

    #[test]
    fn a_dangling_link_is_made_good() {
        let (dir, root) = tree();
        symlink("/not/yet", dir.path().join("root/link")).unwrap();
        assert_eq!(root.make_dir(Path::new("/link")).unwrap().made, Made::Now);
        assert!(dir.path().join("root/not/yet").is_dir());
        assert_eq!(root.make_dir(Path::new("/link")).unwrap().made, Made::Before);
    }

    #[test]
    fn a_loop_is_an_error() {
        let (dir, root) = tree();
        symlink("loop", dir.path().join("root/loop")).unwrap();
        assert!(root.make_dir(Path::new("/loop/x")).is_err());
        assert!(root.make_file(Path::new("/loop")).is_err());
    }

    #[test]
    fn proc_must_be_a_directory() {
        let (dir, root) = tree();
        symlink("/elsewhere", dir.path().join("root/proc")).unwrap();
        let error = root.make_dir_without_links(Path::new("/proc")).err().unwrap();
        assert!(format!("{error:#}").contains("ordinary directory"));
        assert!(root.make_dir_without_links(Path::new("/sys")).is_ok());
    }

    #[test]
    fn replace_is_whole_and_remove_tree_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let open = file::open(file::CWD, dir.path(), libc::O_RDONLY | libc::O_DIRECTORY, 0).unwrap();
        replace(open.as_fd(), "state", b"one", 0o600).unwrap();
        replace(open.as_fd(), "state", b"two", 0o600).unwrap();
        assert_eq!(std::fs::read(dir.path().join("state")).unwrap(), b"two");
        std::fs::create_dir_all(dir.path().join("tree/a/b")).unwrap();
        symlink("/etc", dir.path().join("tree/a/out")).unwrap();
        remove_tree(open.as_fd(), OsStr::new("tree")).unwrap();
        remove_tree(open.as_fd(), OsStr::new("tree")).unwrap();
        assert_eq!(file::list(open.as_fd()).unwrap(), ["state"]);
        assert!(Path::new("/etc").exists());
    }

    #[test]
    fn a_tree_that_is_wide_deep_and_named_like_our_own_leavings_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let open = file::open(file::CWD, dir.path(), libc::O_RDONLY | libc::O_DIRECTORY, 0).unwrap();
        for name in [".removing.0", ".removing.1", "a/.removing.0/x", "a/b/c/d/e", "a/b2/c/d/e", "a/.removing.7/y/z"] {
            std::fs::create_dir_all(dir.path().join("tree").join(name)).unwrap();
        }
        std::fs::write(dir.path().join("tree/.removing.2"), "a file").unwrap();
        for n in 0..3 * NAMES_AT_ONCE {
            std::fs::write(dir.path().join(format!("tree/a/b/{n}")), "").unwrap();
        }
        let mut here = file::open(open.as_fd(), "tree/a/b", libc::O_RDONLY | libc::O_DIRECTORY, 0).unwrap();
        for _ in 0..3000 {
            file::mkdir(here.as_fd(), "d", 0o700).unwrap();
            here = file::open(here.as_fd(), "d", libc::O_RDONLY | libc::O_DIRECTORY, 0).unwrap();
        }
        remove_tree(open.as_fd(), OsStr::new("tree")).unwrap();
        assert!(file::list(open.as_fd()).unwrap().is_empty());
    }
}
