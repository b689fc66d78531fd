//! Opening the namespaces that are to be joined, before anything is made: their paths may mean something else later.

use crate::error::{Context, Result, bail};
use crate::plan::Namespaces;
use crate::plan::namespaces::{name, proc_name};
use crate::sys::file::{self, CWD};
use crate::sys::namespace;
use std::os::fd::OwnedFd;

/// Each with its `CLONE_NEW*` bit, in the plan's order, checked to be of that type.
pub fn open(plan: &Namespaces) -> Result<Vec<(i32, OwnedFd)>> {
    let one = |join: &crate::plan::Join| -> Result<(i32, OwnedFd)> {
        let (path, wanted) = (join.path.display(), name(join.kind));
        let named = || format!("config.json: linux.namespaces: {wanted}: {path}");
        let file = file::open(CWD, &join.path, libc::O_RDONLY | libc::O_NONBLOCK, 0).with_context(named)?;
        match namespace::kind(&file) {
            Ok(kind) if kind == join.kind => Ok((join.kind, file)),
            Ok(kind) => {
                bail!("config.json: linux.namespaces: {path} is a {} namespace, not a {wanted} one", name(kind))
            }
            Err(_) => bail!(
                "config.json: linux.namespaces: {path} is no namespace: give a path like /proc/PID/ns/{}",
                proc_name(join.kind)
            ),
        }
    };
    plan.join.iter().map(one).collect()
}
