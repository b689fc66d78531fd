//! Device nodes for a container in a user namespace, made by root of the first one. mknod(2) denies the child to make them.
//!
//! The nodes are made in a tmpfs of the parent's, which is mounted only in the mount namespace of a helper. Its superblock
//! belongs to the first user namespace, so that the nodes can be opened (a tmpfs of the container's has SB_I_NODEV). The child
//! gets a detached copy of the mount for each single node and attaches it; no process of the container reaches the tmpfs.

use super::helper;
use crate::error::{Context, Result, anyhow, bail};
use crate::plan::namespaces::IdMap;
use crate::plan::{Device, Sandbox};
use crate::sys::file;
use crate::sys::mount::{self, Depth};
use crate::sys::{self, Errno, namespace};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

/// The nodes that were made, by the number of the device in the plan.
pub struct Nodes(BTreeMap<usize, (PathBuf, sys::Result<OwnedFd>)>);

/// Makes all nodes that the child may ask for. `pid` is in the container's user namespace, which has its maps.
pub fn make(sandbox: &Sandbox, pid: i32) -> Result<Nodes> {
    let named = |device: &Device| format!("config.json: linux.devices: {}", device.path.display());
    let (uids, gids) = (super::mappings::of(pid, "uid_map")?, super::mappings::of(pid, "gid_map")?);
    let (mut numbers, mut wanted) = (Vec::new(), Vec::new());
    for (number, device) in sandbox.devices.iter().enumerate().filter(|(_, device)| device.is_made_by_parent()) {
        let uid = on_the_host(&uids, device.uid).context("uid").with_context(|| named(device))?;
        let gid = on_the_host(&gids, device.gid).context("gid").with_context(|| named(device))?;
        numbers.push(number);
        wanted.push((device, uid, gid));
    }
    let label = sandbox.mount_label.as_deref();
    let made = helper::descriptors(|| {
        let directory = private_directory(label)?;
        let make = |(number, (device, uid, gid)): (usize, &(&Device, u32, u32))| {
            let name = number.to_string();
            file::mknod(directory.as_fd(), &name, device.kind.bits(), device.mode, device.number)?;
            let node = mount::clone_tree(directory.as_fd(), &name, Depth::One)?;
            file::chown(&node, Some(*uid), Some(*gid))?;
            file::chmod(&node, device.mode)?; // the umask, and chown, which takes set-id bits away
            Ok(node)
        };
        Ok(wanted.iter().enumerate().map(make).collect())
    });
    let made = made.context("make device nodes for the user namespace in a tmpfs of the runtime's")?;
    let paths = wanted.iter().map(|(device, ..)| device.path.clone());
    Ok(Nodes(numbers.into_iter().zip(paths.zip(made)).collect()))
}

impl Nodes {
    /// The node of a device; each is given away once. `None` where the kernel denies to make it (a cgroup's device rules, a
    /// security module).
    pub fn take(&mut self, number: u16) -> Result<Option<OwnedFd>> {
        match self.0.remove(&usize::from(number)) {
            Some((_, Ok(node))) => Ok(Some(node)),
            Some((_, Err(sys::Error(Errno::EPERM | Errno::EACCES)))) => Ok(None),
            Some((path, Err(error))) => {
                Err(anyhow!(error).context(format!("config.json: linux.devices: {}: make the node", path.display())))
            }
            None => bail!("the child asked for a device that is not planned"),
        }
    }
}

/// A tmpfs that is mounted in a mount namespace of the calling process alone, which must be one for this purpose.
fn private_directory(label: Option<&str>) -> sys::Result<OwnedFd> {
    namespace::unshare(libc::CLONE_NEWNS)?;
    // Where the runtime runs in a chroot, "/" would be no mount point.
    namespace::enter_own_root()?;
    mount::change(c"/", mount::flag::MS_REC | mount::flag::MS_PRIVATE)?; // otherwise the mount would appear on the host
    let context = mount::begin("tmpfs")?;
    context.set("mode", Some("700"))?;
    if let Some(label) = label {
        context.set("context", Some(label))?; // or the policy would deny the container its devices
    }
    let directory = context.mount(mount::ATTR_NOSUID | mount::ATTR_NOEXEC).map_err(|(error, _)| error)?;
    mount::attach(&directory, mount::place("/")?)?; // before Linux 6.15 what is not attached cannot be copied
    Ok(directory)
}

/// The id outside of the user namespace for one inside.
fn on_the_host(map: &[IdMap], id: u32) -> Result<u32> {
    let within = |line: &&IdMap| id.checked_sub(line.container).is_some_and(|offset| offset < line.size);
    match map.iter().find(within) {
        Some(line) => Ok(line.host + (id - line.container)),
        None => bail!("{id} is not mapped in the container's user namespace: map it, or choose another owner"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_in_its_line_of_the_map() {
        let line = |container, host, size| IdMap { container, host, size };
        let map = [line(0, 1000, 1), line(1, 100_000, 65535), line(4_000_000_000, 5, 10)];
        for (id, host) in [(0, 1000), (1, 100_000), (65535, 165_534), (4_000_000_009, 14)] {
            assert_eq!(on_the_host(&map, id).unwrap(), host);
        }
        assert!(on_the_host(&map, 65536).is_err() && on_the_host(&map, 4_000_000_010).is_err());
    }
}
