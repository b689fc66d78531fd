//! Our own executable, out of the container's reach (CVE-2019-5736).
//!
//! A process in the container that gets hold of `/proc/<ours>/exe` could write to the file once nobody executes it any
//! more. So the verbs that enter a container first start again from an executable that nobody can write:
//!
//! 1. a copy of the file's *mount*, detached and read-only: no byte is copied. It belongs to no mount namespace, so nobody
//!    can change it, bind it elsewhere or mount it again: the kernel refuses all of that for mounts that are not in the
//!    caller's namespace;
//! 2. where that is not permitted (no CAP_SYS_ADMIN, Linux before 5.12), a sealed copy in memory;
//! 3. where neither can be had, not at all.

use super::file::{CWD, open, own, read_all, stat, write_all};
use super::mount::{self, ATTR_RDONLY, Depth, flag};
use super::{Errno, Error, Result, check, process};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

const SEALS: i32 = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

/// Returns when this process runs from an executable that cannot be written; else starts again from one, with the same
/// arguments. Fails when none can be made: the caller must then not enter a container.
pub fn seal(args: &[std::ffi::OsString]) -> Result<()> {
    let exe = open(CWD, "/proc/self/exe", libc::O_PATH, 0)?;
    if is_read_only_mount(&exe)? || is_sealed_memory()? {
        return Ok(());
    }
    let copy = read_only_mount().or_else(|_| sealed_memory())?;
    let args: Vec<CString> = args.iter().filter_map(|arg| CString::new(arg.clone().into_vec()).ok()).collect();
    let env: Vec<CString> = std::env::vars_os()
        .filter_map(|(key, value)| CString::new([key.into_vec(), value.into_vec()].join(&b'=')).ok())
        .collect();
    Err(process::exec_fd(&copy, &args, &env))
}

/// Tries what `seal` needs, but executes nothing. Only a security module that knows files by their names fails this: a mount
/// that is attached nowhere, and memory, have none.
pub fn try_seal() -> Result<()> {
    let copy = read_only_mount().or_else(|_| sealed_memory())?;
    open(CWD, format!("/proc/self/fd/{}", copy.as_raw_fd()), libc::O_RDONLY, 0).map(drop)
}

/// What a refusal of `seal` means, and what to do.
pub fn refusal(error: Error) -> String {
    let hint = match error.0 {
        Errno::EACCES => {
            ": the AppArmor profile of this runtime, if it has one, needs flags=(attach_disconnected), since a sealed executable \
             has no path"
        }
        Errno::ENOENT if !std::path::Path::new("/proc/self").exists() => ": there is no /proc: mount a procfs on it",
        _ => "",
    };
    format!("seal this executable, which a container could otherwise overwrite{hint}")
}

/// A mount whose root is this very file, and read-only: ours, or one that the administrator made.
fn is_read_only_mount(exe: &OwnedFd) -> Result<bool> {
    let (root, flags) = (mount::is_mount_root(exe)?, super::file::mount_flags(exe)?);
    Ok(root && flags & flag::ST_RDONLY != 0)
}

fn read_only_mount() -> Result<OwnedFd> {
    let copy = mount::clone_tree(CWD, "/proc/self/exe", Depth::One)?;
    mount::set_attributes(&copy, Depth::One, ATTR_RDONLY, 0, 0)?;
    Ok(copy)
}

fn is_sealed_memory() -> Result<bool> {
    let exe = open(CWD, "/proc/self/exe", libc::O_RDONLY, 0)?;
    // SAFETY: no pointers. Other files than memfds answer EINVAL.
    let seals = unsafe { libc::fcntl(exe.as_raw_fd(), libc::F_GET_SEALS) };
    Ok(seals >= 0 && seals & SEALS == SEALS)
}

fn sealed_memory() -> Result<OwnedFd> {
    const MFD_EXEC: libc::c_uint = 0x10;
    let name = c"rruntime";
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: the name is a C string. Before Linux 6.3 MFD_EXEC is unknown, and a memfd executable anyway.
    let copy = match check(unsafe { libc::memfd_create(name.as_ptr(), flags | MFD_EXEC) }.into()) {
        // SAFETY: as above.
        Err(Error(Errno::EINVAL)) => check(unsafe { libc::memfd_create(name.as_ptr(), flags) }.into()),
        other => other,
    }
    .map(own)?;
    let exe = open(CWD, "/proc/self/exe", libc::O_RDONLY, 0)?;
    let size = usize::try_from(stat(&exe)?.st_size).unwrap_or(0);
    // Not sendfile: pages on their way through its pipe make F_SEAL_WRITE fail with EBUSY now and then.
    write_all(&copy, &read_all(exe.as_fd(), size + 1)?)?;
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(copy.as_raw_fd(), libc::F_ADD_SEALS, SEALS) }.into())?;
    Ok(copy)
}
