//! Mounts by descriptor: the API of Linux 5.2 (fsopen, fsmount, open_tree, move_mount), mount_setattr (5.12), and the few
//! things only mount(2) and pivot_root(2) do.

use super::file::{CWD, own};
use super::mountinfo::{self, MountLine};
use super::older::{self, is_missing};
use super::{Errno, Error, Result, check, cstr, retry};
use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

pub const ATTR_RDONLY: u64 = 0x01;
pub const ATTR_NOSUID: u64 = 0x02;
pub const ATTR_NODEV: u64 = 0x04;
pub const ATTR_NOEXEC: u64 = 0x08;
/// The mask of the access-time alternatives; RELATIME is their zero.
pub const ATTR_ATIME: u64 = 0x70;
pub const ATTR_NOATIME: u64 = 0x10;
pub const ATTR_STRICTATIME: u64 = 0x20;
pub const ATTR_NODIRATIME: u64 = 0x80;
pub const ATTR_NOSYMFOLLOW: u64 = 0x0020_0000;

/// Flags of mount(2) and statvfs(3), in one width: that of libc's constants differs between architectures.
pub mod flag {
    macro_rules! flags {
        ($($name:ident)*) => { $(
            #[allow(clippy::unnecessary_cast, clippy::allow_attributes)]
            pub const $name: u64 = libc::$name as u64;
        )* };
    }
    flags! {
        MS_RDONLY MS_NOSUID MS_NODEV MS_NOEXEC MS_NOATIME MS_NODIRATIME MS_RELATIME MS_STRICTATIME MS_REMOUNT MS_BIND MS_REC
        MS_SHARED MS_SLAVE MS_PRIVATE MS_UNBINDABLE ST_RDONLY ST_NOSUID ST_NODEV ST_NOEXEC ST_NOATIME ST_NODIRATIME
    }
}

const OPEN_TREE_CLONE: u32 = 1;
const FSOPEN_CLOEXEC: u32 = 1;
const FSMOUNT_CLOEXEC: u32 = 1;
const MOVE_MOUNT_F_EMPTY_PATH: u32 = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: u32 = 0x40;
const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_SET_FD: u32 = 5;
const FSCONFIG_CMD_CREATE: u32 = 6;

/// With everything below it, or the one mount alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    One,
    Recursive,
}

impl Depth {
    fn at_flag(self) -> u32 {
        if self == Depth::Recursive { libc::AT_RECURSIVE.cast_unsigned() } else { 0 }
    }
}

/// A copy of the mount(s) at a place, attached nowhere: the descriptor *is* the mount.
pub fn clone_tree(dir: BorrowedFd, path: impl AsRef<Path>, depth: Depth) -> Result<OwnedFd> {
    open_tree(dir, path.as_ref(), depth.at_flag())
}

/// As `clone_tree`; when the path ends in a symbolic link, of the link itself.
pub fn clone_unfollowed(dir: BorrowedFd, path: impl AsRef<Path>, depth: Depth) -> Result<OwnedFd> {
    open_tree(dir, path.as_ref(), depth.at_flag() | libc::AT_SYMLINK_NOFOLLOW.cast_unsigned())
}

fn open_tree(dir: BorrowedFd, path: &Path, flags: u32) -> Result<OwnedFd> {
    let path = cstr(path)?;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned() | libc::AT_EMPTY_PATH.cast_unsigned() | flags;
    // SAFETY: the path is a live C string.
    check(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) }).map(own)
}

/// Attaches a detached mount (or moves an attached one) onto what `target` names.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> Result<()> {
    let (from, to) = (mount.as_fd().as_raw_fd(), target.as_fd().as_raw_fd());
    let flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: empty paths with the EMPTY_PATH flags name the descriptors.
    check(unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, c"".as_ptr(), flags) }).map(drop)
}

/// What is to become of a mount, or of it and all below it: `ATTR_*` bits, and `MS_PRIVATE` … (0: as it is).
#[derive(Clone, Copy, Debug)]
pub struct Change {
    pub depth: Depth,
    pub set: u64,
    pub clear: u64,
    /// Cleared unless the kernel forbids it because they are locked.
    pub unnamed: u64,
    pub propagation: u64,
}

/// `attach`, with changes that are made before any process can see the mount. Where mount_setattr is missing or denied they
/// are made right after, in the caller's mount namespace; there ENOSYS says that a mount below, which was to be changed
/// too, is hidden by another one.
pub fn attach_with(mount: impl AsFd, target: impl AsFd, changes: &[Change]) -> Result<()> {
    for change in changes {
        match change_by_attributes(&mount, change) {
            Err(error) if has_other_way(error, change) => {
                attach(&mount, target)?;
                return changes.iter().try_for_each(|change| super::remount::change(mount.as_fd(), change));
            }
            other => other?,
        }
    }
    attach(mount, target)
}

/// Mounts a new file system over `target` by mount(2), with `ATTR_*` bits and one string of options, of a page at most.
pub fn new_over(target: impl AsFd, fs: &str, source: &str, attributes: u64, data: &str) -> Result<()> {
    super::remount::mount_new(target.as_fd(), fs, source, attributes, data)
}

/// Changes a mount of the caller's namespace. Without mount_setattr as `attach_with`.
pub fn change_attached(mount: impl AsFd, change: &Change) -> Result<()> {
    match change_by_attributes(&mount, change) {
        Err(error) if has_other_way(error, change) => super::remount::change(mount.as_fd(), change),
        other => other,
    }
}

fn change_by_attributes(mount: impl AsFd, change: &Change) -> Result<()> {
    let with = |clear| set_attributes(&mount, change.depth, change.set, clear, change.propagation);
    match with(change.clear | change.unnamed) {
        Err(Error(Errno::EPERM)) if change.unnamed != 0 => with(change.clear),
        done => done,
    }
}

/// MOUNT_ATTR_NOSYMFOLLOW came with Linux 5.14, two versions after the call and four after the flag of mount(2).
fn has_other_way(error: Error, change: &Change) -> bool {
    let is_newer = (change.set | change.clear | change.unnamed) & ATTR_NOSYMFOLLOW != 0;
    is_missing(error) || (error.0 == Errno::EINVAL && is_newer)
}

/// A file system that is being configured.
pub struct Context(OwnedFd);

/// Begins a new file system of this type. ENODEV when the kernel does not know it.
pub fn begin(fs: &str) -> Result<Context> {
    let fs = cstr(fs)?;
    // SAFETY: the name is a live C string.
    check(unsafe { libc::syscall(libc::SYS_fsopen, fs.as_ptr(), FSOPEN_CLOEXEC) }).map(|fd| Context(own(fd)))
}

impl AsFd for Context {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Context {
    /// A file system that another process has opened. `None` when the file is none. proc_pid_fd(5).
    pub fn from_file(file: OwnedFd) -> Option<Context> {
        let name = super::file::readlink(CWD, format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        (name.as_os_str() == "anon_inode:[fscontext]").then_some(Context(file))
    }

    /// Sets a parameter that is a file. EINVAL when this kernel does not know it.
    pub fn set_file(&self, key: &str, file: impl AsFd) -> Result<()> {
        let (key, none) = (cstr(key)?, std::ptr::null::<libc::c_char>());
        let (context, file) = (self.0.as_raw_fd(), file.as_fd().as_raw_fd());
        // SAFETY: the key lives for the call; this command takes no value but the descriptor.
        check(unsafe { libc::syscall(libc::SYS_fsconfig, context, FSCONFIG_SET_FD, key.as_ptr(), none, file) })
            .map(drop)
    }

    pub fn set(&self, key: &str, value: Option<&str>) -> Result<()> {
        let key = cstr(key)?;
        let value = value.map(cstr).transpose()?;
        let (command, pointer) = match &value {
            Some(value) => (FSCONFIG_SET_STRING, value.as_ptr()),
            None => (FSCONFIG_SET_FLAG, std::ptr::null()),
        };
        // SAFETY: both strings live for the call; a flag takes a null value.
        check(unsafe { libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), command, key.as_ptr(), pointer, 0) })
            .map(drop)
    }

    /// Makes the superblock and a detached mount of it with the given `ATTR_*` bits. A failure comes with what the kernel
    /// said about it.
    pub fn mount(self, attributes: u64) -> std::result::Result<OwnedFd, (Error, String)> {
        self.make(attributes).map_err(|error| (error, self.complaint()))
    }

    fn make(&self, attributes: u64) -> Result<OwnedFd> {
        let none = std::ptr::null::<libc::c_char>();
        let attributes = libc::c_uint::try_from(attributes).map_err(|_| Error(Errno::EINVAL))?;
        // SAFETY: this command takes neither key nor value.
        check(unsafe { libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), FSCONFIG_CMD_CREATE, none, none, 0) })?;
        // SAFETY: no pointers.
        check(unsafe { libc::syscall(libc::SYS_fsmount, self.0.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) }).map(own)
    }

    /// What the kernel said about the last failure, without its "e " prefix; empty when it said nothing.
    pub fn complaint(&self) -> String {
        let mut buffer = [0u8; 512];
        let length = super::file::read(&self.0, &mut buffer).unwrap_or(0); // no message is no further error
        let text = String::from_utf8_lossy(&buffer[..length]);
        text.trim().trim_start_matches("e ").to_string()
    }
}

/// Sets and clears `ATTR_*` bits and the propagation (`MS_PRIVATE` …, 0: as it is) of a mount by its descriptor.
/// EPERM when a bit is locked by an outer user namespace; ENOSYS before Linux 5.12.
pub fn set_attributes(mount: impl AsFd, depth: Depth, set: u64, clear: u64, propagation: u64) -> Result<()> {
    let attr = libc::mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 };
    mount_setattr(mount.as_fd(), depth, &attr)
}

/// Shows the files of a detached mount as if they had other owners: id `container` of the user namespace's map on the disk
/// is `host` here. EINVAL when a file system cannot do that, EPERM without CAP_SYS_ADMIN over it, ENOSYS before Linux 5.12.
pub fn map_ids(mount: impl AsFd, depth: Depth, user_namespace: impl AsFd) -> Result<()> {
    let userns_fd = u64::from(user_namespace.as_fd().as_raw_fd().cast_unsigned());
    let attr = libc::mount_attr { attr_set: libc::MOUNT_ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd };
    mount_setattr(mount.as_fd(), depth, &attr)
}

fn mount_setattr(mount: BorrowedFd, depth: Depth, attr: &libc::mount_attr) -> Result<()> {
    let flags = libc::AT_EMPTY_PATH.cast_unsigned() | depth.at_flag();
    // SAFETY: the struct lives for the call and its size is told; the empty path names the descriptor.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// mount(2) with flags alone, on the working directory or on "/": propagation changes of what is not ours by descriptor.
pub fn change(path: &CStr, flags: u64) -> Result<()> {
    let none = std::ptr::null();
    let flags = libc::c_ulong::try_from(flags).map_err(|_| Error(Errno::EINVAL))?;
    // SAFETY: the target is a live C string, the rest may be null for these flags.
    retry(|| check(unsafe { libc::mount(none, path.as_ptr(), none, flags, none.cast()) }.into()).map(drop))
}

/// mount(2) with MS_MOVE of the working directory onto "/".
pub fn move_here_to_root() -> Result<()> {
    // SAFETY: all strings are literals.
    let done = unsafe { libc::mount(c".".as_ptr(), c"/".as_ptr(), std::ptr::null(), libc::MS_MOVE, std::ptr::null()) };
    check(done.into()).map(drop)
}

/// Detaches the mount at a path now; it ends when nobody uses it any more.
pub fn detach(path: &CStr) -> Result<()> {
    // SAFETY: the path is a live C string.
    check(unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH | libc::UMOUNT_NOFOLLOW) }.into()).map(drop)
}

/// `pivot_root(".", ".")`: the working directory becomes the root, the old root lies on top of it (pivot_root(2), NOTES).
pub fn pivot_here() -> Result<()> {
    // SAFETY: both strings are literals.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) }).map(drop)
}

pub fn chroot_here() -> Result<()> {
    Ok(nix::unistd::chroot(".")?)
}

/// `open_tree` without a copy: an O_PATH descriptor of a place in the caller's tree.
pub fn place(path: impl AsRef<Path>) -> Result<OwnedFd> {
    super::file::open(CWD, path, libc::O_PATH, 0)
}

/// Which directory "/" is: no other one has the same mount and inode.
pub fn root() -> Result<(u64, super::namespace::Identity)> {
    let root = place("/")?;
    Ok((id(&root)?, super::namespace::Identity::of(&root)?))
}

/// Is the descriptor's file the root of the mount that it was reached through? statx(2), Linux 5.8; before it the table of
/// mounts tells, which has attached ones only.
pub fn is_mount_root(file: impl AsFd) -> Result<bool> {
    let stat = statx(file.as_fd(), libc::STATX_TYPE)?;
    if stat.stx_attributes_mask & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0 {
        return Ok(stat.stx_attributes & libc::STATX_ATTR_MOUNT_ROOT as u64 != 0);
    }
    let number = id(&file)?;
    let path = super::file::readlink(CWD, older::path_of(&file)?)?;
    let table = mountinfo::read(mountinfo::table()?)?;
    let mut lines = table.lines().filter_map(MountLine::parse);
    Ok(lines.find(|line| line.id == number).is_some_and(|line| line.at == path))
}

/// The number, as in mountinfo, of the mount that the descriptor's file was reached through. It is given again to another
/// mount when this one is gone. statx(2), Linux 5.8; before it /proc/self/fdinfo.
pub fn id(file: impl AsFd) -> Result<u64> {
    let stat = statx(file.as_fd(), libc::STATX_MNT_ID)?;
    if stat.stx_mask & libc::STATX_MNT_ID != 0 {
        return Ok(stat.stx_mnt_id);
    }
    let told = older::descriptor_info(&file, "mnt_id")?.ok_or(Error(Errno::ENOSYS))?;
    u64::try_from(told).map_err(|_| Error(Errno::ENOSYS))
}

/// A number of that mount that no other one ever gets in this boot of the machine. `None` before Linux 6.8
/// (STATX_MNT_ID_UNIQUE).
pub fn unique_id(file: impl AsFd) -> Result<Option<u64>> {
    const STATX_MNT_ID_UNIQUE: libc::c_uint = 0x4000;
    let stat = statx(file.as_fd(), STATX_MNT_ID_UNIQUE)?;
    Ok((stat.stx_mask & STATX_MNT_ID_UNIQUE != 0).then_some(stat.stx_mnt_id))
}

/// Where the call is missing or denied, the answer has an empty mask: it knows nothing.
fn statx(file: BorrowedFd, mask: libc::c_uint) -> Result<libc::statx> {
    // SAFETY: statx is plain integers, for which zero is a valid value.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is ours, the empty path names the descriptor.
    match check(unsafe { libc::statx(file.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH, mask, &raw mut stat) }.into())
    {
        Err(error) if !is_missing(error) => Err(error),
        _ => Ok(stat),
    }
}
