//! Files and directories by descriptor: open, read, write, make, remove, lock, stat.

use super::older::is_missing;
use super::{Errno, Error, Result, check, cstr, older, retry, walk};
use nix::sys::time::TimeSpec;
use std::ffi::{CStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// "Relative to the working directory", for the functions below that take a directory.
pub const CWD: BorrowedFd<'static> = {
    // SAFETY: AT_FDCWD is not a descriptor that could be closed; every *at call takes it in the place of one.
    unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) }
};

/// What `openat2` may walk through. <https://man7.org/linux/man-pages/man2/openat2.2.html>, Linux 5.6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolve {
    /// `dir` is the root: absolute links and `..` stay below it, magic links are refused. For trees that we do not trust.
    InRoot,
    /// As `InRoot`, and no symbolic link on the way or at the end.
    InRootNoLinks,
    /// Below `dir` only, no links at all, no other mount. For procfs files, where an over-mount is an attack.
    Strict,
    /// Below `dir` only, no links. For cgroup trees.
    Beneath,
}

impl Resolve {
    fn bits(self) -> u64 {
        match self {
            Resolve::InRoot => libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS,
            Resolve::InRootNoLinks => libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_NO_SYMLINKS,
            Resolve::Strict => {
                libc::RESOLVE_BENEATH | libc::RESOLVE_NO_XDEV | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS
            }
            Resolve::Beneath => libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS,
        }
    }
}

/// Lets a 32-bit process open files of 2 GiB and more; the kernel sets it for the others. With O_PATH openat2 refuses it.
const LARGE_FILES: i32 = if cfg!(target_pointer_width = "32") { libc::O_LARGEFILE } else { 0 };

fn with_large_files(flags: i32) -> i32 {
    if flags & libc::O_PATH == 0 { flags | LARGE_FILES } else { flags }
}

/// Plain `openat`, always close-on-exec.
pub fn open(dir: BorrowedFd, path: impl AsRef<Path>, flags: i32, mode: u32) -> Result<OwnedFd> {
    let (path, flags) = (cstr(path)?, with_large_files(flags) | libc::O_CLOEXEC);
    retry(|| {
        // SAFETY: the path is a live C string, the descriptor is borrowed for the call.
        let fd = check(libc::c_long::from(unsafe { libc::openat(dir.as_raw_fd(), path.as_ptr(), flags, mode) }))?;
        Ok(own(fd))
    })
}

/// `openat2`, always close-on-exec; a walk of single steps where that is missing or denied. EAGAIN (a rename raced with the
/// lookup) is retried 128 times, then returned: an attacker who renames in a loop cannot hold us for ever.
pub fn open_in(dir: BorrowedFd, path: impl AsRef<Path>, flags: i32, mode: u32, resolve: Resolve) -> Result<OwnedFd> {
    let name = cstr(&path)?;
    // SAFETY: open_how is plain integers, for which zero is a valid value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((with_large_files(flags) | libc::O_CLOEXEC).cast_unsigned());
    how.mode = u64::from(mode);
    how.resolve = resolve.bits();
    let mut tries = 0;
    loop {
        // SAFETY: the path and the struct live for the call, and the size is the struct's own.
        let result = check(unsafe {
            libc::syscall(
                libc::SYS_openat2,
                dir.as_raw_fd(),
                name.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        });
        let result = match result {
            Err(error) if is_missing(error) => walk::open_in(dir, path.as_ref(), flags, mode, resolve),
            result => result.map(own),
        };
        match result {
            Err(Error(Errno::EINTR)) => {}
            Err(Error(Errno::EAGAIN)) if tries < 128 => tries += 1,
            done => return done,
        }
    }
}

pub(super) fn own(fd: libc::c_long) -> OwnedFd {
    let number = i32::try_from(fd).expect("the kernel's descriptors fit an int");
    // SAFETY: the kernel has just given us this descriptor and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Reads to the end, at most `limit` bytes: a file that is longer fails with EFBIG.
pub fn read_all(file: impl AsFd, limit: usize) -> Result<Vec<u8>> {
    read_expecting(file, 1023, limit)
}

/// The same for a file that has probably `size` bytes: no more memory is taken then, and two calls.
pub fn read_expecting(file: impl AsFd, size: usize, limit: usize) -> Result<Vec<u8>> {
    let mut bytes: Vec<u8> = Vec::with_capacity(size.min(limit) + 1);
    loop {
        if bytes.capacity() == bytes.len() {
            bytes.reserve(bytes.len().max(4096));
        }
        let room = bytes.capacity() - bytes.len();
        // SAFETY: the pointer is the start of `room` unused bytes of the vector's own allocation.
        let got = retry(|| unsafe {
            let at = bytes.as_mut_ptr().add(bytes.len());
            check(libc::read(file.as_fd().as_raw_fd(), at.cast(), room) as libc::c_long)
        })?;
        if got == 0 {
            return Ok(bytes);
        }
        // SAFETY: the kernel has just written that many bytes there.
        unsafe { bytes.set_len(bytes.len() + usize::try_from(got).unwrap_or(0)) };
        if bytes.len() > limit {
            return Err(Error(Errno::EFBIG));
        }
    }
}

/// One `read`: what is there now, up to the buffer's size.
pub fn read(file: impl AsFd, buffer: &mut [u8]) -> Result<usize> {
    nix::unistd::read(file, buffer).map_err(Error)
}

/// From this offset on. A kernel file is made anew for offset 0. pread(2).
pub fn read_at(file: impl AsFd, buffer: &mut [u8], offset: i64) -> Result<usize> {
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: the buffer is ours and its length is told.
    let read = unsafe { libc::pread64(fd, buffer.as_mut_ptr().cast(), buffer.len(), offset) };
    check(read as libc::c_long).map(libc::c_long::cast_unsigned).map(|n| usize::try_from(n).unwrap_or(0))
}

/// A counter that the kernel can be told to ring; it is readable when it has rung, and never blocks. eventfd(2).
pub fn event_counter() -> Result<OwnedFd> {
    // SAFETY: no pointers.
    check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }.into()).map(own)
}

/// One `write` of everything; a short write continues.
pub fn write_all(file: impl AsFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        let n = retry(|| nix::unistd::write(file.as_fd(), bytes).map_err(Error))?;
        bytes = &bytes[n..];
    }
    Ok(())
}

/// One `write`, as the small files of cgroupfs and procfs want it: all in one call or an error.
pub fn write_once(file: impl AsFd, bytes: &[u8]) -> Result<()> {
    let n = retry(|| nix::unistd::write(file.as_fd(), bytes).map_err(Error))?;
    if n == bytes.len() { Ok(()) } else { Err(Error(Errno::EIO)) }
}

/// Makes a directory with exactly this mode, whatever the umask. (A chmod(2) afterwards would go by a name.)
pub fn mkdir(dir: BorrowedFd, name: impl AsRef<Path>, mode: u32) -> Result<()> {
    let name = cstr(name)?;
    // SAFETY: the name is a live C string.
    let make = || check(libc::c_long::from(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), mode) }));
    super::process::without_umask(make).map(drop)
}

/// Makes a node: `kind` is S_IFREG, S_IFCHR, S_IFBLK or S_IFIFO, `device` as `makedev` gives it.
pub fn mknod(dir: BorrowedFd, name: impl AsRef<Path>, kind: u32, mode: u32, device: u64) -> Result<()> {
    let name = cstr(name)?;
    // SAFETY: the name is a live C string.
    check(libc::c_long::from(unsafe { libc::mknodat(dir.as_raw_fd(), name.as_ptr(), kind | mode, device) })).map(drop)
}

pub fn symlink(target: impl AsRef<Path>, dir: BorrowedFd, name: impl AsRef<Path>) -> Result<()> {
    let (target, name) = (cstr(target)?, cstr(name)?);
    // SAFETY: both are live C strings.
    check(libc::c_long::from(unsafe { libc::symlinkat(target.as_ptr(), dir.as_raw_fd(), name.as_ptr()) })).map(drop)
}

pub fn readlink(dir: BorrowedFd, name: impl AsRef<Path>) -> Result<PathBuf> {
    nix::fcntl::readlinkat(dir, name.as_ref()).map(PathBuf::from).map_err(Error)
}

pub fn unlink(dir: BorrowedFd, name: impl AsRef<Path>) -> Result<()> {
    let name = cstr(name)?;
    // SAFETY: the name is a live C string.
    check(libc::c_long::from(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), 0) })).map(drop)
}

pub fn rmdir(dir: BorrowedFd, name: impl AsRef<Path>) -> Result<()> {
    let name = cstr(name)?;
    // SAFETY: the name is a live C string.
    check(libc::c_long::from(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), libc::AT_REMOVEDIR) })).map(drop)
}

pub fn rename(from_dir: BorrowedFd, from: impl AsRef<Path>, to_dir: BorrowedFd, to: impl AsRef<Path>) -> Result<()> {
    let (from, to) = (cstr(from)?, cstr(to)?);
    // SAFETY: both are live C strings.
    check(libc::c_long::from(unsafe {
        libc::renameat(from_dir.as_raw_fd(), from.as_ptr(), to_dir.as_raw_fd(), to.as_ptr())
    }))
    .map(drop)
}

/// What of `struct stat` is needed, with the widths of 64-bit machines on every architecture. stat(2).
#[derive(Clone, Copy)]
#[allow(clippy::struct_field_names)] // the kernel's own
pub struct Stat {
    pub st_dev: u64,
    pub st_ino: u64,
    pub st_mode: u32,
    pub st_nlink: u64,
    pub st_uid: u32,
    pub st_gid: u32,
    pub st_rdev: u64,
    pub st_size: i64,
    pub accessed: TimeSpec,
    pub modified: TimeSpec,
}

/// `fstat` of what the descriptor names (O_PATH too).
pub fn stat(file: impl AsFd) -> Result<Stat> {
    stat_at(file.as_fd(), c"", libc::AT_EMPTY_PATH)
}

/// `fstatat`; add `AT_SYMLINK_NOFOLLOW` to look at a link itself.
#[allow(clippy::useless_conversion)] // the widths differ between architectures
pub fn stat_at(dir: BorrowedFd, name: &CStr, flags: i32) -> Result<Stat> {
    // SAFETY: stat is plain integers, for which zero is a valid value.
    let mut stat: libc::stat64 = unsafe { std::mem::zeroed() };
    // SAFETY: the name is a live C string and the struct is ours.
    check(libc::c_long::from(unsafe { libc::fstatat64(dir.as_raw_fd(), name.as_ptr(), &raw mut stat, flags) }))?;
    Ok(Stat {
        st_dev: stat.st_dev,
        st_ino: stat.st_ino,
        st_mode: stat.st_mode,
        st_nlink: stat.st_nlink.into(),
        st_uid: stat.st_uid,
        st_gid: stat.st_gid,
        st_rdev: stat.st_rdev,
        st_size: stat.st_size,
        accessed: TimeSpec::new(stat.st_atime, stat.st_atime_nsec),
        modified: TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec),
    })
}

/// Magic numbers of file systems, in one width: that of libc's constants differs between architectures. linux/magic.h.
pub const PROC_SUPER_MAGIC: i64 = 0x9fa0;
pub const TMPFS_MAGIC: i64 = 0x0102_1994;
pub const CGROUP_SUPER_MAGIC: i64 = 0x0027_e0eb;
pub const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;

/// The magic number of the file system that holds the descriptor (`PROC_SUPER_MAGIC` …).
pub fn filesystem(file: impl AsFd) -> Result<i64> {
    // SAFETY: statfs is plain integers, for which zero is a valid value.
    let mut stat: libc::statfs64 = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is ours.
    check(libc::c_long::from(unsafe { libc::fstatfs64(file.as_fd().as_raw_fd(), &raw mut stat) }))?;
    #[allow(clippy::unnecessary_cast)] // the width differs between architectures
    Ok(stat.f_type as i64)
}

/// File systems whose files the kernel makes up when they are opened or read. linux/magic.h.
const MADE_BY_THE_KERNEL: [u32; 28] = [
    0x0000_9fa0, // procfs
    0x6265_6572, // sysfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x5a3c_69f0, // apparmorfs
    0xcafe_4a11, // bpf
    0x6165_676c, // pstore
    0xde5e_81e4, // efivarfs
    0x0000_1cd1, // devpts
    0x1980_0202, // mqueue
    0x6e73_6673, // nsfs
    0x5049_4446, // pidfs
    0x4249_4e4d, // binfmt_misc
    0x6265_6570, // configfs
    0x6573_5543, // fusectl
    0x0765_5821, // resctrl
    0x6759_6969, // rpc_pipefs
    0x6e66_7364, // nfsd
    0x0a64_7361, // functionfs
    0xabba_1974, // xenfs
    0x0904_1934, // anonymous inodes
    0x534f_434b, // sockets
    0x5049_5045, // pipes
];

/// Reports whether the file's content is made up by the kernel (procfs, sysfs, cgroupfs and the like). Opening or reading
/// such a file can change the machine: a read of /proc/kmsg takes the messages away.
pub fn is_made_by_the_kernel(file: impl AsFd) -> Result<bool> {
    let magic = u32::try_from(filesystem(file)? & 0xffff_ffff).unwrap_or(0);
    Ok(MADE_BY_THE_KERNEL.contains(&magic))
}

/// The flags of the mount that holds the descriptor (`ST_RDONLY`, `ST_NOSUID` …).
pub fn mount_flags(file: impl AsFd) -> Result<u64> {
    // SAFETY: statvfs is plain integers, for which zero is a valid value.
    let mut stat: libc::statvfs64 = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is ours.
    check(libc::c_long::from(unsafe { libc::fstatvfs64(file.as_fd().as_raw_fd(), &raw mut stat) }))?;
    #[allow(clippy::useless_conversion)] // the width differs between architectures
    Ok(stat.f_flag.into())
}

/// chown of what the descriptor names, O_PATH too, following nothing. `None` leaves an id as it is.
pub fn chown(file: impl AsFd, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    let same = u32::MAX;
    // SAFETY: the empty path with AT_EMPTY_PATH names the descriptor itself.
    check(libc::c_long::from(unsafe {
        libc::fchownat(
            file.as_fd().as_raw_fd(),
            c"".as_ptr(),
            uid.unwrap_or(same),
            gid.unwrap_or(same),
            libc::AT_EMPTY_PATH,
        )
    }))
    .map(drop)
}

/// chmod of what the descriptor names, O_PATH too, but no symbolic link: `fchmodat2` (Linux 6.6), before it through
/// /proc/thread-self/fd of the caller's own procfs.
pub fn chmod(file: impl AsFd, mode: u32) -> Result<()> {
    const SYS_FCHMODAT2: libc::c_long = 452;
    let raw = file.as_fd().as_raw_fd();
    // SAFETY: the empty path with AT_EMPTY_PATH names the descriptor itself.
    match check(unsafe { libc::syscall(SYS_FCHMODAT2, raw, c"".as_ptr(), mode, libc::AT_EMPTY_PATH) }) {
        Err(error) if is_missing(error) => {
            let path = cstr(older::path_of(&file)?)?;
            // SAFETY: the path is a live C string.
            check(libc::c_long::from(unsafe { libc::chmod(path.as_ptr(), mode) })).map(drop)
        }
        done => done.map(drop),
    }
}

/// Sets an extended attribute of what the descriptor names, O_PATH too. setxattr(2).
pub fn set_attribute(file: impl AsFd, name: &str, value: &[u8]) -> Result<()> {
    let (path, name) = (cstr(older::path_of(&file)?)?, cstr(name)?);
    // SAFETY: both are live C strings, and the value's length is told.
    let done = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    check(libc::c_long::from(done)).map(drop)
}

/// An extended attribute of what the descriptor names, O_PATH too; ERANGE where it is longer. getxattr(2).
pub fn attribute(file: impl AsFd, name: &str, limit: usize) -> Result<Vec<u8>> {
    let (path, name) = (cstr(older::path_of(&file)?)?, cstr(name)?);
    let mut value = vec![0u8; limit];
    // SAFETY: both are live C strings, and the buffer's length is told.
    let length = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), limit) };
    value.truncate(usize::try_from(length).map_err(|_| Error(Errno::last()))?);
    Ok(value)
}

/// A `flock` of the whole file, `LOCK_EX`, `LOCK_SH` or `LOCK_UN`, with `LOCK_NB` if the caller does not want to wait.
pub fn flock(file: impl AsFd, operation: i32) -> Result<()> {
    // SAFETY: flock takes no pointers.
    retry(|| check(libc::c_long::from(unsafe { libc::flock(file.as_fd().as_raw_fd(), operation) })).map(drop))
}

/// The names in a directory, without `.` and `..`, in the kernel's order. Reads from the start whatever was read before.
pub fn list(dir: BorrowedFd) -> Result<Vec<OsString>> {
    list_some(dir, usize::MAX)
}

/// At most `most` of them.
pub fn list_some(dir: BorrowedFd, most: usize) -> Result<Vec<OsString>> {
    let own = open(dir, ".", libc::O_RDONLY | libc::O_DIRECTORY, 0)?;
    let entries = nix::dir::Dir::from_fd(own)?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_bytes().to_vec();
        if names.len() == most {
            break;
        }
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    Ok(names)
}

/// A second descriptor of the same open file, close-on-exec.
pub fn duplicate(file: impl AsFd) -> Result<OwnedFd> {
    Ok(file.as_fd().try_clone_to_owned()?)
}

/// `makedev` of the kernel's numbers.
pub fn device(major: u32, minor: u32) -> u64 {
    libc::makedev(major, minor)
}

/// Reads and writes return EAGAIN in place of waiting.
pub fn set_nonblocking(file: impl AsFd) -> Result<()> {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
    fcntl(&file, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Another open file description of a terminal or a pipe, on which writes return EAGAIN in place of waiting; the given one, which
/// others share, stays as it is. `None` for other kinds of file, and where it may not be opened again.
pub fn reopen_nonblocking(file: BorrowedFd) -> Option<OwnedFd> {
    let is_pipe = stat(file).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFIFO);
    if !is_pipe && !super::tty::is_terminal(file) {
        return None;
    }
    let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    open(CWD, format!("/proc/self/fd/{}", file.as_raw_fd()), flags, 0).ok() // the other one still works
}

/// What the effective user may do with a path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Make something in a directory.
    WriteAndSearch,
}

/// EACCES when not, EROFS on a read-only mount. What is true now need not be later.
pub fn may(path: &Path, right: Right) -> Result<()> {
    let mode = match right {
        Right::WriteAndSearch => libc::W_OK | libc::X_OK,
    };
    access(path, mode)
}

/// What the effective user may do: faccessat2 (Linux 5.8). Before it faccessat of the real user, who is the same in this
/// program, as musl does it; capabilities of a user other than root do not count there. The C libraries try it after ENOSYS
/// only.
pub(super) fn access(path: &Path, mode: i32) -> Result<()> {
    let path = cstr(path)?;
    let flags = libc::AT_EACCESS;
    // SAFETY: the path is a live C string.
    match check(unsafe { libc::syscall(libc::SYS_faccessat2, libc::AT_FDCWD, path.as_ptr(), mode, flags) }) {
        Err(error) if is_missing(error) => {
            // SAFETY: as above.
            check(unsafe { libc::syscall(libc::SYS_faccessat, libc::AT_FDCWD, path.as_ptr(), mode) }).map(drop)
        }
        done => done.map(drop),
    }
}
