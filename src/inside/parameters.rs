//! linux.sysctl: the kernel parameters of the container's namespaces.
//!
//! A file in /proc/sys is that of the namespaces of the process that opens it, whichever procfs it is opened through (sysctl(5),
//! net_ctl_header_lookup). So the procfs that is mounted on /proc serves, which costs no new one, and whose files have their
//! names for a path-based security module.

use super::procfs::{self, Named, Subset, denied};
use crate::error::{Context, Result};
use crate::plan::{Sandbox, labels};
use crate::sys::{self, Errno, file};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Before anything of the image is mounted.
pub fn set(sandbox: &Sandbox) -> Result<()> {
    if sandbox.sysctl.is_empty() {
        return Ok(());
    }
    let is_own = sandbox.namespaces.makes(libc::CLONE_NEWNS);
    let mut ways = Ways { is_own, mounted: None, private: None, named: None };
    for (name, value) in &sandbox.sysctl {
        let path = Path::new("sys").join(name);
        let write = |file| file::write_once(file, value.as_bytes()).map_err(Into::into);
        let done = ways.open(&path).and_then(write).map_err(|error| match denied(&error) {
            true => error.context(labels::WHY_NO_PARAMETER),
            false => error,
        });
        done.with_context(|| format!("config.json: linux.sysctl: write {value:?} to /proc/{}", path.display()))?;
    }
    Ok(())
}

struct Ways {
    /// Is this the child's own mount namespace? In another one anything may lie on /proc and below it.
    is_own: bool,
    mounted: Option<OwnedFd>,
    private: Option<OwnedFd>,
    named: Option<Named>,
}

impl Ways {
    /// Opens a parameter through the mounted procfs. Where the file is covered there (LXC's `proc:mixed`, `ProtectKernelTunables`
    /// of systemd), or where /proc shows processes only, through a private procfs; if that is denied, after it got its name. A
    /// denial under the real name is the policy, and final.
    fn open(&mut self, path: &Path) -> Result<OwnedFd> {
        if !self.is_own {
            return match self.through_private(path) {
                Err(error) if denied(&error) => self.through_mounted(path).map_err(|_| error),
                done => done,
            };
        }
        match self.through_mounted(path) {
            Err(error) if denied(&error) => Err(error),
            Err(error) => match self.through_private(path) {
                Err(other) if self.private.is_some() => Err(other),
                done => done.map_err(|_| explain_covered(error)), // no procfs can be made here: the first error says more
            },
            done => done,
        }
    }

    fn through_mounted(&mut self, path: &Path) -> Result<OwnedFd> {
        let procfs = match self.mounted.take() {
            Some(procfs) => procfs,
            None => procfs::mounted()?,
        };
        open(self.mounted.insert(procfs), path)
    }

    fn through_private(&mut self, path: &Path) -> Result<OwnedFd> {
        let procfs = match self.private.take() {
            Some(procfs) => procfs,
            None => procfs::private(Subset::Everything)?,
        };
        let procfs = self.private.insert(procfs);
        match open(procfs, path) {
            Err(error) if self.is_own && self.named.is_none() && denied(&error) => {
                let Ok(named) = Named::new(procfs) else { return Err(error) };
                self.named = Some(named);
                open(procfs, path)
            }
            done => done,
        }
    }
}

fn explain_covered(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(sys::Error(Errno::EXDEV)) => error.context(
            "something is mounted over it in /proc, and no other procfs can be made here: unmount that, or leave the parameter out",
        ),
        _ => error,
    }
}

fn open(procfs: &OwnedFd, path: &Path) -> Result<OwnedFd> {
    Ok(procfs::open(procfs, path, libc::O_WRONLY)?)
}
