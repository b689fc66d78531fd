//! exec: are the namespaces that were entered the container's own?
//!
//! Init may have moved meanwhile: a process without any privilege makes itself a user namespace and a mount namespace in it, and mounts
//! there what it likes over /bin. An `exec` that follows it runs those files with the rights that were asked for. So every
//! namespace must be one that the container was created with, or belong to the container's user namespace: only a process that is
//! privileged in the container can have made it.

use crate::error::{Context, Result, bail};
use crate::plan::Target;
use crate::plan::namespaces::{KINDS, name, proc_name};
use crate::sys::file;
use crate::sys::namespace::{self, Identity};
use std::os::fd::{AsFd, OwnedFd};

/// Looks at the namespaces that this process has entered, not at those of init, which may change in between: through `procfs`, the
/// host's, which was opened before. The pid namespace of init cannot change.
pub fn check(target: &Target, procfs: &OwnedFd) -> Result<()> {
    let known = |kind: i32| target.known.iter().find(|(other, _)| *other == kind).map(|(_, identity)| *identity);
    let open = |kind: i32| {
        let path = format!("self/ns/{}", proc_name(kind));
        file::open(procfs.as_fd(), &path, libc::O_RDONLY, 0).with_context(|| format!("open /proc/{path}"))
    };
    let user = Identity::of(&open(libc::CLONE_NEWUSER)?).context("look at the user namespace")?;
    if target.namespaces & libc::CLONE_NEWUSER != 0 && known(libc::CLONE_NEWUSER).is_some_and(|known| known != user) {
        return refuse(libc::CLONE_NEWUSER);
    }
    let kinds = KINDS.iter().map(|(_, _, kind)| *kind).filter(|kind| target.namespaces & kind != 0);
    for kind in kinds.filter(|kind| !matches!(*kind, libc::CLONE_NEWUSER | libc::CLONE_NEWPID)) {
        let joined = open(kind)?;
        if known(kind).is_some() && known(kind) == Identity::of(&joined).ok() {
            continue;
        }
        // EPERM: the owner is not below the user namespace that we are in now.
        match namespace::owner(&joined).and_then(Identity::of) {
            Ok(owner) if owner == user => {}
            _ => return refuse(kind),
        }
    }
    Ok(())
}

fn refuse(kind: i32) -> Result<()> {
    bail!(
        "init has left the container's {0} namespace for one of a user namespace that the container has made itself, where an \
         exec would run whatever init has mounted there: enter it with nsenter(1) as an unprivileged user, or start the \
         container again",
        name(kind)
    )
}
