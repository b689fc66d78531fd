//! Looks at AppArmor: does it have the profile, does the profile around this process let it do what `run` does? The kernel is asked, since the list of profiles (securityfs) is not mounted everywhere, and is root's.

use super::{Finding, Scene};
use crate::plan::labels;
use crate::plan::process::NoNewPrivileges;
use crate::sys::file::{self, CWD};
use crate::sys::{self, Errno, exe};
use std::os::fd::OwnedFd;
use std::path::Path;

pub fn executable(_: &Scene, findings: &mut Vec<Finding>) {
    if !is_confined() {
        return;
    }
    if let Err(error @ sys::Error(Errno::EACCES)) = exe::try_seal() {
        findings.push(Finding::error(String::new(), format!("{}: {error}", exe::refusal(error))));
    }
}

pub fn profile(scene: &Scene, findings: &mut Vec<Finding>) {
    let Some(profile) = &scene.plan.process.labels.apparmor else { return };
    if let Err(error) = ask(profile, scene.plan.process.no_new_privileges) {
        let text = format!("{profile:?}: {}: {error}", labels::why_no_profile(error));
        findings.push(Finding::error("process.apparmorProfile", text));
    }
}

/// Is there an AppArmor profile around this process? It reads as `name (mode)`, and no label of another module does.
pub fn is_confined() -> bool {
    let read = || file::read_all(attribute(libc::O_RDONLY)?, 4096);
    read().is_ok_and(|label| label.windows(2).any(|pair| pair == b" ("))
}

/// `permprofile` tells whether the profile could be taken on, and changes nothing (AA_CHANGE_TEST). As `inside::labels`, a
/// confined process with no_new_privs asks for the profile on top of its own.
fn ask(profile: &str, no_new_privileges: NoNewPrivileges) -> sys::Result<()> {
    let is_stacked = no_new_privileges == NoNewPrivileges::Set && !profile.starts_with('&') && is_confined();
    let on_top = if is_stacked { "&" } else { "" };
    file::write_once(attribute(libc::O_WRONLY)?, format!("permprofile {on_top}{profile}").as_bytes())
}

/// Of AppArmor's own, or of the first module on kernels before 5.8.
fn attribute(flags: i32) -> sys::Result<OwnedFd> {
    match file::open(CWD, "/proc/thread-self/attr/apparmor/current", flags, 0) {
        Err(sys::Error(Errno::ENOENT)) => file::open(CWD, "/proc/thread-self/attr/current", flags, 0),
        other => other,
    }
}

/// The caller's own parameters, which nothing is written to: the policy knows the container's by the same names. In another user
/// namespace than the container's the right to write them is another one.
pub fn parameters(scene: &Scene, findings: &mut Vec<Finding>) {
    if !scene.is_for_root() || scene.sandbox.namespaces.has(libc::CLONE_NEWUSER) || !is_confined() {
        return;
    }
    for (path, _) in &scene.sandbox.sysctl {
        let path = Path::new("/proc/sys").join(path);
        if let Err(error @ sys::Error(Errno::EACCES)) = file::open(CWD, &path, libc::O_WRONLY, 0) {
            let text = format!("{}: {}: {error}", path.display(), labels::WHY_NO_PARAMETER);
            findings.push(Finding::error("linux.sysctl", text));
        }
    }
}
