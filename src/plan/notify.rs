//! sd_notify(3): the socket by which the payload tells a service manager that it is ready.
//!
//! Whoever called us may have one (NOTIFY_SOCKET). The payload never gets that one: it gets a socket in a directory of the
//! container's state, bound to /run/notify, and `start` and `run` hand on what it says there (`outside::notify`).

use super::process::Process;
use crate::error::{Context, Result};
use oci_spec::runtime::{Mount, MountBuilder};
use std::path::Path;

/// The directory's name, in the state directory as well as below the container's /run.
pub const DIRECTORY: &str = "notify";
/// The socket's name in it.
pub const SOCKET: &str = "notify.sock";
const AT: &str = "/run/notify";
const VARIABLE: &str = "NOTIFY_SOCKET";

/// Who brings a socket of his own for the payload, as Podman does, is not talked into ours.
pub(super) fn is_wanted(process: &Process) -> bool {
    !process.args.is_empty()
        && !process.env.iter().any(|pair| pair.split_once('=').is_some_and(|(name, _)| name == VARIABLE))
}

/// As if config.json said it.
pub(super) fn mount(directory: &Path) -> Result<Mount> {
    let options = ["bind", "ro", "nosuid", "nodev", "noexec"].map(String::from).to_vec();
    let mount = MountBuilder::default().destination(AT).typ("bind").source(directory).options(options);
    mount.build().context("the mount for NOTIFY_SOCKET")
}

pub(super) fn tell(process: &mut Process) {
    process.env.push(format!("{VARIABLE}={AT}/{SOCKET}"));
}
