//! What an older kernel, or a seccomp filter around a nested runtime, lacks: the calls that have no substitute, and the
//! caller's own entries in /proc, by which most substitutes work.
//!
//! A missing call fails with ENOSYS. Filters of container engines that do not know a call answer EPERM (Docker before
//! 20.10, Podman before 2.0), so EPERM leads to the substitute too: where it was the kernel's own refusal, the substitute
//! is refused in the same way.

use super::file::{self, CWD, filesystem, open, read_all};
use super::{Errno, Error, Result, check};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The oldest kernel that has every call without a substitute: `clone` with CLONE_PIDFD and the mount API are of 5.2,
/// pidfd_open and waiting for a pidfd of 5.3. 5.4 is the first long-term kernel after them.
const OLDEST: &str = "5.4";

/// Is the call missing, or possibly denied by a filter?
pub(super) fn is_missing(error: Error) -> bool {
    matches!(error.0, Errno::ENOSYS | Errno::EPERM)
}

/// The first call that this process needs and cannot make: its name, and what the kernel answers. Each is tried with
/// arguments that it refuses before it does anything.
pub fn missing_call() -> Option<(&'static str, Error)> {
    let none = std::ptr::null::<libc::c_char>();
    // SAFETY: descriptor -1 and process -1 do not exist, and the null pointers are never read: EBADF, EINVAL or EFAULT.
    let probes = unsafe {
        [
            ("pidfd_open", check(libc::syscall(libc::SYS_pidfd_open, -1, 0))),
            ("pidfd_send_signal", check(libc::syscall(libc::SYS_pidfd_send_signal, -1, 0, none, 0))),
            ("open_tree", check(libc::syscall(libc::SYS_open_tree, -1, none, u32::MAX))),
            ("move_mount", check(libc::syscall(libc::SYS_move_mount, -1, none, -1, none, u32::MAX))),
            ("fsopen", check(libc::syscall(libc::SYS_fsopen, none, u32::MAX))),
            ("fsconfig", check(libc::syscall(libc::SYS_fsconfig, -1, u32::MAX, none, none, 0))),
            ("fsmount", check(libc::syscall(libc::SYS_fsmount, -1, u32::MAX, u32::MAX))),
        ]
    };
    // Without CAP_SYS_ADMIN some calls about mounts answer EPERM before they look at anything: the capability may come with
    // a user namespace.
    let is_denied = |name: &str, error: Errno| error == Errno::EPERM && name.starts_with("pidfd");
    probes.into_iter().find_map(|(name, answer)| {
        let error = answer.err()?;
        (error.0 == Errno::ENOSYS || is_denied(name, error.0)).then_some((name, error))
    })
}

/// What a user is told about that call.
pub fn explain(call: &str, error: Error) -> String {
    match error.0 {
        Errno::EPERM => format!(
            "a filter around this process denies {call} ({error}): run rruntime outside of that container, or allow the call \
             in its seccomp profile"
        ),
        _ => {
            let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
            let release = release.unwrap_or_default(); // then the sentence has no number
            format!("this kernel, Linux {release}, has no {call} ({error}): rruntime needs Linux {OLDEST} or newer")
        }
    }
}

/// `/proc/thread-self/NAME` of the procfs that is mounted on /proc. ENOSYS when something else is mounted there.
pub(super) fn own_entry(name: &str, flags: i32) -> Result<OwnedFd> {
    let entry = open(CWD, format!("/proc/thread-self/{name}"), flags, 0)?;
    if filesystem(&entry)? == file::PROC_SUPER_MAGIC { Ok(entry) } else { Err(Error(Errno::ENOSYS)) }
}

/// A namespace of this process, for kernels whose setns takes no pidfd.
pub(super) fn own_namespace(name: &str) -> Result<OwnedFd> {
    let links = own_entry("ns", libc::O_PATH | libc::O_DIRECTORY)?; // in a /proc that is one; a namespace is of another file system
    open(links.as_fd(), name, libc::O_RDONLY, 0)
}

/// A path to what the descriptor names, whatever that is, for calls that take no descriptor. Valid while the descriptor is
/// open and the process sees the same /proc.
pub(super) fn path_of(file: &impl AsFd) -> Result<String> {
    own_entry("fd", libc::O_PATH)?;
    Ok(format!("/proc/thread-self/fd/{}", file.as_fd().as_raw_fd()))
}

/// A number in /proc/self/fdinfo: `mnt_id` (Linux 3.15), or `Pid` of a pidfd. proc_pid_fdinfo(5).
pub(super) fn descriptor_info(file: impl AsFd, field: &str) -> Result<Option<i64>> {
    let entry = own_entry(&format!("fdinfo/{}", file.as_fd().as_raw_fd()), libc::O_RDONLY)?;
    let text = read_all(entry, 4096)?;
    let text = String::from_utf8_lossy(&text);
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    Ok(fields.find(|(name, _)| *name == field).and_then(|(_, value)| value.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_kernel_has_every_call_that_is_needed() {
        assert!(missing_call().is_none());
    }

    #[test]
    fn the_kernel_tells_the_mount_of_a_descriptor() {
        let root = open(CWD, "/", libc::O_PATH, 0).unwrap();
        let told = descriptor_info(&root, "mnt_id").unwrap();
        assert_eq!(told, Some(super::super::mount::id(&root).unwrap().cast_signed()));
        assert_eq!(descriptor_info(&root, "Pid").unwrap(), None);
    }
}
