//! Tries the first steps of a container in a child that ends at once. It does so only under an AppArmor profile or a seccomp
//! filter, since nothing else tells what those deny.

use super::{Finding, Scene, apparmor, machine};
use crate::plan::labels;
use crate::sys::process::{self, Clone, Exit, Side};
use crate::sys::{self, Errno, mount};

const BY_FILTER: &str = "a seccomp filter is in force around this runtime, and denies it if no other line says why; allow clone, clone3, \
                         unshare, setns and mount there (Docker: --security-opt seccomp=unconfined)";

/// May this process make a mount namespace, with a user namespace if the plan has one, and change a mount in it?
pub fn namespaces(scene: &Scene, findings: &mut Vec<Finding>) {
    let namespaces = &scene.sandbox.namespaces;
    let makes_user = namespaces.makes(libc::CLONE_NEWUSER);
    // Without the rights that a namespace needs it is refused for that, which another look says.
    let is_filtered = has_filter() && (makes_user || scene.is_for_root());
    if !namespaces.makes(libc::CLONE_NEWNS) || !(is_filtered || apparmor::is_confined()) {
        return;
    }
    let user = if makes_user { libc::CLONE_NEWUSER } else { 0 };
    let bits = u64::from((libc::CLONE_NEWNS | user).cast_unsigned());
    let (denied, step, by_profile) = match process::clone(&Clone { namespaces: bits, ..Clone::default() }) {
        Ok(Side::Child) => {
            let done = mount::change(c"/", mount::flag::MS_SLAVE | mount::flag::MS_REC);
            process::exit_now(done.map_or_else(|error| error.0 as i32, |()| 0))
        }
        Ok(Side::Parent { pid, .. }) => match process::wait(pid) {
            Ok(Exit::Code(code)) => (Errno::from_raw(code), "mount", labels::WHY_NO_MOUNT),
            _ => return, // it was killed, which says nothing of the policy
        },
        Err(error) => (error.0, "make namespaces", labels::WHY_NO_USER_NAMESPACE),
    };
    let error = sys::Error(denied);
    let text = match denied {
        Errno::EACCES => format!("{by_profile}: {error}"),
        Errno::EPERM | Errno::ENOSYS if is_filtered => format!("{step}: {BY_FILTER}: {error}"),
        _ => return, // other looks explain it
    };
    findings.push(Finding::error("linux.namespaces", text));
}

/// proc_pid_status(5): 2 is a filter.
fn has_filter() -> bool {
    machine::read("/proc/self/status")
        .lines()
        .any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}
