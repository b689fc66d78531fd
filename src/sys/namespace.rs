//! Namespaces: enter them, make them, ask what they are.

use super::file::{self, CWD};
use super::{Errno, Error, Result, check, older};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// `setns`: `file` is a namespace (then `kinds` is its one `CLONE_NEW*` bit) or a pidfd (then any set of them; before Linux
/// 5.8 they are entered one by one). A pid namespace is entered by the next child, not by the caller.
pub fn enter(file: impl AsFd, kinds: i32) -> Result<()> {
    // SAFETY: no pointers.
    match check(unsafe { libc::setns(file.as_fd().as_raw_fd(), kinds) }.into()) {
        Err(Error(Errno::EINVAL)) => enter_each(file.as_fd(), kinds),
        done => done.map(drop),
    }
}

/// All are opened first, with the caller's own rights and /proc; the user namespace is entered first, as setns does it.
fn enter_each(pidfd: BorrowedFd, kinds: i32) -> Result<()> {
    const NAMES: [(i32, &str); 8] = [
        (libc::CLONE_NEWUSER, "user"),
        (libc::CLONE_NEWCGROUP, "cgroup"),
        (libc::CLONE_NEWIPC, "ipc"),
        (libc::CLONE_NEWUTS, "uts"),
        (libc::CLONE_NEWNET, "net"),
        (libc::CLONE_NEWPID, "pid"),
        (libc::CLONE_NEWTIME, "time"),
        (libc::CLONE_NEWNS, "mnt"),
    ];
    let Some(pid) = older::descriptor_info(pidfd, "Pid")?.filter(|pid| *pid > 0) else {
        return Err(Error(Errno::EINVAL)); // no pidfd: the kernel means what it says
    };
    let wanted = NAMES.iter().filter(|(kind, _)| kinds & kind != 0);
    let open =
        |(kind, name): &(i32, &str)| Ok((*kind, file::open(CWD, format!("/proc/{pid}/ns/{name}"), libc::O_RDONLY, 0)?));
    let files = wanted.map(open).collect::<Result<Vec<_>>>()?;
    match super::process::pidfd_signal(pidfd, 0) {
        Ok(()) | Err(Error(Errno::EPERM)) => {} // as long as it lives its number is not given to another process
        Err(error) => return Err(error),
    }
    for (kind, file) in files {
        // SAFETY: no pointers.
        check(unsafe { libc::setns(file.as_raw_fd(), kind) }.into())?;
    }
    Ok(())
}

/// Makes the root of the caller's own mount namespace its root and its working directory: it leaves a chroot. setns(2) asks for
/// CAP_SYS_CHROOT and CAP_SYS_ADMIN. By a pidfd, which needs no /proc, or else by the file there.
pub fn enter_own_root() -> Result<()> {
    let by_pidfd = || {
        let own = super::process::pidfd_open(super::process::pid())?;
        // SAFETY: no pointers.
        check(unsafe { libc::setns(own.as_raw_fd(), libc::CLONE_NEWNS) }.into()).map(drop)
    };
    let by_file = || enter(super::older::own_namespace("mnt")?, libc::CLONE_NEWNS);
    by_pidfd().or_else(|error: Error| if error.0 == Errno::EPERM { Err(error) } else { by_file() })
}

/// `unshare` of the given `CLONE_NEW*` bits.
pub fn unshare(kinds: i32) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::unshare(kinds) }.into()).map(drop)
}

/// The kind of the ioctls of namespaces. How it becomes a number differs between architectures. linux/nsfs.h.
const NSIO: u32 = 0xb7;

/// The `CLONE_NEW*` bit of an open namespace file (ioctl_ns(2), NS_GET_NSTYPE). ENOTTY when it is no namespace.
pub fn kind(file: impl AsFd) -> Result<i32> {
    const NS_GET_NSTYPE: libc::Ioctl = libc::_IO(NSIO, 3);
    // SAFETY: this ioctl takes no argument.
    let kind = check(unsafe { libc::ioctl(file.as_fd().as_raw_fd(), NS_GET_NSTYPE) }.into())?;
    Ok(i32::try_from(kind).unwrap_or(0))
}

/// Which namespace, or directory, an open file is: no two that exist at a time have the same device and inode. namespaces(7).
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Identity {
    pub device: u64,
    pub inode: u64,
}

impl Identity {
    pub fn of(file: impl AsFd) -> Result<Identity> {
        let stat = file::stat(file)?;
        Ok(Identity { device: stat.st_dev, inode: stat.st_ino })
    }
}

/// The user namespace in which an open user namespace was made (ioctl_ns(2), NS_GET_PARENT). EPERM when that is neither ours nor
/// below ours.
pub fn parent(file: impl AsFd) -> Result<OwnedFd> {
    const NS_GET_PARENT: libc::Ioctl = libc::_IO(NSIO, 2);
    // SAFETY: this ioctl takes no argument and returns a new descriptor.
    check(unsafe { libc::ioctl(file.as_fd().as_raw_fd(), NS_GET_PARENT) }.into()).map(file::own)
}

/// The user namespace that owns a namespace (ioctl_ns(2), NS_GET_USERNS). EPERM when it is neither ours nor below ours.
pub fn owner(file: impl AsFd) -> Result<OwnedFd> {
    const NS_GET_USERNS: libc::Ioctl = libc::_IO(NSIO, 1);
    // SAFETY: this ioctl takes no argument and returns a new descriptor.
    check(unsafe { libc::ioctl(file.as_fd().as_raw_fd(), NS_GET_USERNS) }.into()).map(file::own)
}

pub fn set_hostname(name: &str) -> Result<()> {
    Ok(nix::unistd::sethostname(name)?)
}

pub fn set_domainname(name: &str) -> Result<()> {
    // SAFETY: the pointer and the length are of the same live string.
    check(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}

/// Is our user namespace the one that the machine started with? proc(5): the kernel's fixed number, `PROC_USER_INIT_INO`.
pub fn is_in_first_user() -> bool {
    file::stat_at(CWD, c"/proc/self/ns/user", 0).is_ok_and(|stat| stat.st_ino == 0xefff_fffd)
}
