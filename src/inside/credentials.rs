//! From root to the container's user: groups, ids, capabilities. The order is that of capabilities(7): the bounding set
//! while we may still change it, ids with the permitted set kept, then the sets exactly as planned.

use super::procfs;
use super::world::Setgroups;
use crate::error::{Context, Result, ensure};
use crate::log;
use crate::plan::Process;
use crate::plan::process::{NoNewPrivileges, capability_name};
use crate::sys::file;
use crate::sys::process::Dumpable;
use crate::sys::{self, Errno, credentials, process};
use std::path::Path;

/// While still privileged: the bounding set, the streams' owner, and the promise to keep capabilities over the change of
/// ids.
pub fn prepare(plan: &Process) -> Result<()> {
    for capability in 0..64 {
        if plan.capabilities.bounding >> capability & 1 == 0 {
            match credentials::drop_from_bounding(capability) {
                Err(sys::Error(Errno::EINVAL)) => break, // beyond the last one that this kernel knows
                other => other.with_context(|| format!("bounding set: drop {}", capability_name(capability)))?,
            }
        }
    }
    own_streams(plan.user.uid)?;
    credentials::keep_capabilities().context("keep the capabilities over the change of user")
}

/// The payload's user may open /dev/stdout and the like again: pipes and sockets become the user's. Terminals, files and
/// devices stay whose they are (CVE-2026-88265).
fn own_streams(uid: u32) -> Result<()> {
    for stream in process::STREAMS {
        let stat = file::stat(stream).context("look at the standard streams")?;
        let kind = stat.st_mode & libc::S_IFMT;
        if (kind == libc::S_IFIFO || kind == libc::S_IFSOCK) && stat.st_uid != uid {
            match file::chown(stream, Some(uid), None) {
                // Not ours to give (another user namespace, a read-only mount): it still works as it is.
                Err(sys::Error(Errno::EPERM | Errno::EROFS | Errno::EINVAL)) | Ok(()) => {}
                Err(error) => {
                    return Err(error).context("give a standard stream to the container's user");
                }
            }
        }
    }
    Ok(())
}

/// Afterwards this process is the container's user with exactly the planned capabilities, in its working directory. Where
/// `as_administrator` has something to do, that one capability is still permitted, but has no effect.
pub fn become_user(plan: &Process, setgroups: Setgroups) -> Result<()> {
    let user = &plan.user;
    let early = process::chdir(&plan.cwd); // as root: the user may not be allowed to walk there
    set_groups(plan, setgroups)?;
    let hint = |what: &str, id: u32| format!("become {what} {id}: is it mapped in the user namespace?");
    credentials::set_gid(user.gid).with_context(|| hint("group", user.gid))?;
    credentials::set_uid(user.uid).with_context(|| hint("user", user.uid))?;
    if early.is_err() {
        // On a file system where root is nobody (NFS, FUSE) only the user may walk there.
        process::chdir(&plan.cwd).with_context(|| {
            format!("chdir to cwd ({:?}) set in config.json failed", plan.cwd.display().to_string())
        })?;
    }
    check_cwd(&plan.cwd)?;
    set_capabilities(plan)?;
    if plan.no_new_privileges == NoNewPrivileges::Set {
        process::set_no_new_privileges().context("set no_new_privs")?;
    }
    process::set_dumpable(Dumpable::No).context("hide from /proc") // the change of user may have undone it
}

/// Even to an empty list: the caller's groups must not pass, unless an annotation lets them. Where the user namespace
/// forbids setgroups there is nothing to drop and nothing can be added.
fn set_groups(plan: &Process, setgroups: Setgroups) -> Result<()> {
    let Some(groups) = &plan.user.groups else { return Ok(()) };
    match credentials::set_groups(groups) {
        Err(sys::Error(Errno::EPERM)) if groups.is_empty() && is_denied(setgroups) => Ok(()),
        other => other.with_context(|| format!("set supplementary groups {groups:?}")),
    }
}

fn is_denied(setgroups: Setgroups) -> bool {
    if setgroups != Setgroups::AskProc {
        return setgroups == Setgroups::Denied;
    }
    let read = || -> Result<Vec<u8>> { Ok(file::read_all(procfs::own_file("setgroups", libc::O_RDONLY)?, 16)?) };
    read().is_ok_and(|text| text.starts_with(b"deny")) // without an answer setgroups(2) has the last word
}

/// The directory must be inside the root: what getcwd(2) cannot reach from it is the host (CVE-2024-21626).
fn check_cwd(asked: &Path) -> Result<()> {
    let cwd = process::cwd().with_context(|| format!("process.cwd: {} does not exist any more", asked.display()))?;
    ensure!(
        cwd.is_absolute(),
        "process.cwd: {} leads out of the container's root; current working directory is outside of container mount \
         namespace root -- possible container breakout detected",
        asked.display()
    );
    Ok(())
}

/// Runs what must be the last and takes CAP_SYS_ADMIN: installing a filter without no_new_privs (seccomp(2)). Afterwards the
/// capabilities are exactly the planned ones. The filter is in force by then and must allow capset.
pub fn as_administrator<T>(plan: &Process, run: impl FnOnce() -> Result<T>) -> Result<()> {
    let extra = kept_for_the_filter(plan);
    if extra == 0 {
        return run().map(drop);
    }
    put_capabilities(plan, extra, extra)?;
    run()?;
    put_capabilities(plan, 0, 0).context(
        "the seccomp profile must allow capset, or process.noNewPrivileges be set: \
         without it the filter has to be in force before the capabilities go",
    )
}

fn kept_for_the_filter(plan: &Process) -> u64 {
    let needed = plan.seccomp.is_some() && plan.no_new_privileges == NoNewPrivileges::Unset;
    if needed { credentials::SYS_ADMIN } else { 0 }
}

fn put_capabilities(plan: &Process, more_effective: u64, more_permitted: u64) -> Result<()> {
    let sets = &plan.capabilities;
    let (effective, permitted) = (sets.effective | more_effective, sets.permitted | more_permitted);
    credentials::set_capabilities(effective, permitted, sets.inheritable).with_context(|| {
        format!(
            "set capabilities: effective {effective:#x}, permitted {permitted:#x}, inheritable {:#x}: \
             effective must be within permitted, inheritable within the bounding set",
            sets.inheritable
        )
    })
}

fn set_capabilities(plan: &Process) -> Result<()> {
    let sets = &plan.capabilities;
    put_capabilities(plan, 0, kept_for_the_filter(plan))?;
    credentials::clear_ambient().context("clear the ambient capabilities")?;
    for capability in (0..64).filter(|bit| sets.ambient >> bit & 1 == 1) {
        if let Err(error) = credentials::raise_ambient(capability) {
            // It must be permitted and inheritable; a set that cannot be had in full is a warning (config.md).
            let name = capability_name(capability);
            log::warning(format!("process.capabilities.ambient: can't raise ambient capability {name}: {error}"));
        }
    }
    Ok(())
}
