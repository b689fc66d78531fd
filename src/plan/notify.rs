//! sd_notify(3): the socket by which the payload tells a service manager that it is ready.
//!
//! The caller may have one (NOTIFY_SOCKET). The payload never gets that one: it gets a socket of the container's state, bound to
//! /run/notify/notify.sock, and `start` and `run` hand on what it says there (`outside::notify`). Nothing but the socket is bound:
//! a container that makes the mount writable can write nothing into the state directory.

use super::process::Process;
use crate::error::{Context, Result};
use oci_spec::runtime::{Mount, MountBuilder};
use std::path::Path;

/// The socket's name in the state directory.
pub const SOCKET: &str = "notify.sock";
/// Where it is in the container.
const AT: &str = "/run/notify/notify.sock";
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Who brings a socket of his own for the payload, as Podman does, is not talked into ours.
pub(super) fn is_wanted(process: &Process) -> bool {
    !process.args.is_empty()
        && !process.env.iter().any(|pair| pair.split_once('=').is_some_and(|(name, _)| name == VARIABLE))
}

/// As if config.json said it.
pub(super) fn mount(socket: &Path) -> Result<Mount> {
    let options = ["bind", "ro", "nosuid", "nodev", "noexec"].map(String::from).to_vec();
    let mount = MountBuilder::default().destination(AT).typ("bind").source(socket).options(options);
    mount.build().context("the mount for NOTIFY_SOCKET")
}

pub(super) fn tell(process: &mut Process) {
    process.env.push(format!("{VARIABLE}={AT}"));
}
