//! Puts the device rules into force: writes on v1, a BPF program on v2.
//!
//! Runs in the runtime's process, before anything of the container runs in the cgroup.

use super::dir::{Dir, Version};
use super::is_denied;
use crate::error::{Context, Result, anyhow};
use crate::plan::device_rules::DeviceRules;
use crate::sys::file::write_once;
use crate::sys::{Errno, Error, bpf, namespace};
use std::os::fd::{BorrowedFd, OwnedFd};

/// `dirs` are those of one cgroup. What was in force there before is replaced. Does nothing for root of a user namespace.
pub(super) fn apply(dirs: &[Dir], rules: &DeviceRules) -> Result<()> {
    // The controller of v1 where there is one; the unified hierarchy of a hybrid machine can stand in for it.
    let v1 = dirs.iter().find(|dir| dir.has("devices"));
    let dir = v1.or_else(|| dirs.iter().find(|dir| dir.version == Version::V2));
    let Some((dir, fd)) = dir.and_then(|dir| Some((dir, dir.fd()?))) else {
        return Ok(());
    };
    let result = match dir.version {
        Version::V1 => write(dir, rules),
        Version::V2 => attach(dir, fd, rules).with_context(|| format!("cgroup: device rules of {dir}")),
    };
    match result {
        // In a user namespace nobody may restrict devices, but neither can anybody make a node: what the container has is
        // bound from the host, which decides who opens it. So it is for users (`plan::cgroup::lower`).
        Err(error) if is_denied(&error) && !namespace::is_in_first_user() => Ok(()),
        result => result,
    }
}

fn write(dir: &Dir, rules: &DeviceRules) -> Result<()> {
    let list = "devices.list";
    let current =
        if dir.is_fresh() { None } else { Some(dir.read(list).with_context(|| format!("read {dir}/{list}"))?) };
    let mut open: Option<(&str, OwnedFd)> = None;
    for write in rules.writes(current.as_deref())? {
        let doing = || format!("cgroup: write {:?} to {dir}/{}", write.value, write.file);
        // One write per rule, but neighbours share an open file.
        let file = match open.take().filter(|(name, _)| *name == write.file) {
            Some((_, file)) => file,
            None => dir.open(write.file, libc::O_WRONLY).with_context(doing)?,
        };
        write_once(&file, write.value.as_bytes()).map_err(explain_write).with_context(doing)?;
        open = Some((write.file, file));
    }
    Ok(())
}

fn explain_write(error: Error) -> anyhow::Error {
    let hint = match error.0 {
        Errno::EPERM => "a parent cgroup does not allow as much, or we have no CAP_SYS_ADMIN",
        Errno::EINVAL => "the rules cannot be started over while there are cgroups below",
        _ => return error.into(),
    };
    anyhow!(error).context(hint)
}

/// A program that stands there is replaced, so that there is no moment without one. Several (of a systemd unit, say)
/// are taken off after ours is on.
fn attach(dir: &Dir, fd: BorrowedFd, rules: &DeviceRules) -> Result<()> {
    let old = if dir.is_fresh() { Vec::new() } else { bpf::attached(fd).context("list the programs")? };
    if rules.allow_everything() {
        return take_off(fd, &old);
    }
    let program = bpf::load_device_program(&rules.program()).map_err(explain_load).context("load the program")?;
    match &old[..] {
        [one] => bpf::replace(fd, one, &program).context("replace the program"),
        all => {
            bpf::attach(fd, &program).context("attach the program")?;
            take_off(fd, all)
        }
    }
}

fn take_off(fd: BorrowedFd, programs: &[OwnedFd]) -> Result<()> {
    programs.iter().try_for_each(|program| bpf::detach(fd, program)).context("detach the program before")
}

fn explain_load(error: Error) -> anyhow::Error {
    let hint = match error.0 {
        Errno::EPERM => "needs CAP_BPF, or CAP_SYS_ADMIN, in the first user namespace",
        Errno::ENOSYS | Errno::EINVAL => "the kernel may lack CONFIG_CGROUP_BPF",
        _ => return error.into(),
    };
    anyhow!(error).context(hint)
}
