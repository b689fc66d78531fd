//! The container's root filesystem, built from outside of it and then entered.
//!
//! Runs in the child, in the new mount namespace and in the bundle, while "/" is still the host's. Everything below the root is reached
//! through one `Root`, so nothing in the image can lead out, and what the image mounts or links cannot be mistaken for
//! the host's. Afterwards "/" is the container's and the host's tree is gone from this namespace.

mod cgroupfs;
mod chroot;
mod copy_up;
mod dev;
mod ground;
mod mask;
mod mount;
mod pivot;
mod procfs;

pub use pivot::spread;

use super::process::Umask;
use crate::error::{Context, Result, ensure};
use crate::fs::Root;
use crate::hooks::{self, Surroundings};
use crate::link::{self, Request};
use crate::plan::{Access, DevSetup, MountOp, Plan, RootChange, Sandbox};
use crate::sys;
use crate::sys::mount::{Change, Depth};
use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::Rc;

/// What there is to tell of it.
#[derive(Default)]
pub struct Built {
    /// What had to be made in the root filesystem, as paths in it.
    pub made: Rc<RefCell<Vec<PathBuf>>>,
    /// The device number of the devpts that was mounted on /dev/pts.
    pub devpts: Option<u64>,
    /// The device numbers of the file systems that were made for this container.
    pub fresh: Vec<u64>,
    /// The numbers of bind mounts that links of the image have led elsewhere than config.json says.
    pub led_astray: Vec<u64>,
}

/// `pid_namespace` is one that the child joins later.
pub fn build(
    plan: &Plan,
    sandbox: &Sandbox,
    link: &link::Child,
    umask: &Umask,
    built: &mut Built,
    pid_namespace: Option<&OwnedFd>,
) -> Result<()> {
    if sandbox.namespaces.joins(libc::CLONE_NEWNS) {
        sys::process::chdir(&sandbox.bundle).context("enter the bundle")?; // setns(2) has led us to that namespace's "/"
    }
    if sandbox.rootfs.change != RootChange::Chroot && sandbox.namespaces.makes(libc::CLONE_NEWNS) {
        chroot::leave(sandbox)?;
    }
    let mut root = pivot::prepare(&sandbox.rootfs, link, &built.made)?;
    let named = |op: &MountOp| format!("config.json: mounts[{}]: mount on {}", op.index, op.at.display());
    let mut unfinished = Vec::new();
    for op in &sandbox.mounts {
        let mount = mount::perform(op, &mut root, link, built, pid_namespace).with_context(|| named(op))?;
        unfinished.extend(mount.map(|mount| (op, mount)));
    }
    let dev = dev::setup(sandbox.dev_setup, &root, built)?;
    dev::make_nodes(&sandbox.devices, &root, dev, built, link)?;
    if dev == DevSetup::Furnish {
        dev::make_links(&root)?;
    }
    if plan.process.terminal.is_some() {
        dev::make_console(&root, dev)?;
    }
    make_cwd(plan, &root)?;
    umask.during(|| run_hooks(plan, sandbox, &root, link))?; // the host's tree is still there, for what hooks bind from it
    for (op, mount) in unfinished {
        mount::close(&mount).with_context(|| named(op))?;
    }
    mask::protect(sandbox, &root)?; // last, so that nothing can be mounted over a mask
    if sandbox.rootfs.access == Access::ReadOnly {
        let change = Change { depth: Depth::One, set: sys::mount::ATTR_RDONLY, clear: 0, unnamed: 0, propagation: 0 };
        sys::mount::change_attached(&root, &change).context("make the root filesystem read-only")?;
    }
    pivot::enter(&sandbox.rootfs, root)
}

/// A missing working directory is made, inside the root.
fn make_cwd(plan: &Plan, root: &Root) -> Result<()> {
    let made = root.make_dir(&plan.process.cwd);
    made.map(drop).with_context(|| format!("config.json: process.cwd: {}", plan.process.cwd.display()))
}

/// prestart and createRuntime by the parent, in its namespaces; createContainer here. runtime.md, "Lifecycle".
fn run_hooks(plan: &Plan, sandbox: &Sandbox, root: &Root, link: &link::Child) -> Result<()> {
    let hooks = &plan.hooks;
    if hooks.prestart.is_empty() && hooks.create_runtime.is_empty() && hooks.create_container.is_empty() {
        return Ok(());
    }
    let pid = link.ask_go(&Request::RunHooks)?;
    ensure!(pid > 0, "the parent does not know our pid");
    let (bundle, annotations) = (&sandbox.bundle, &sandbox.annotations);
    let state = hooks::State { id: &plan.id, status: "creating", pid, bundle, annotations };
    // As runc's: what such a hook mounts or makes is in the image, which may lie anywhere.
    sys::process::fchdir(root).context("enter the root filesystem")?;
    hooks::run("createContainer", &hooks.create_container, &state, &Surroundings::Nothing, None)
}
