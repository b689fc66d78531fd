//! A container without a mount namespace: its root filesystem is a mount in the host's, and all its mounts are below that one.
//!
//! Two mounts, one on the other. Where the host's tree is shared (as with systemd), whatever is attached appears in the other
//! mount namespaces too, and is shared with them. So the first mount is a single one, which disappears everywhere along with
//! ours; it is made private, and nothing that is attached below it appears anywhere else. The second, on top, is the root
//! filesystem with what the host has mounted below it.

use crate::error::{Context, Result, bail};
use crate::log;
use crate::plan::Rootfs;
use crate::sys::file::{self, CWD};
use crate::sys::mount::{self, Change, Depth, flag};
use crate::sys::mountinfo::{self, MountLine};
use crate::sys::{self, Errno};
use crate::undo::Draft;
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// The first of the two, by which they are found again.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct HostMount {
    /// Without symbolic links.
    at: PathBuf,
    /// Its number in mountinfo, in this boot of the machine.
    id: u64,
    /// The kernel gives that number to another mount once this one is gone; this one it does not. Linux 6.8
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unique: Option<u64>,
}

/// Both mounts, attached nowhere. Dropped, they are gone.
pub struct Detached {
    single: OwnedFd,
    tree: OwnedFd,
    pub mount: HostMount,
}

/// More than can be on top of each other: the two, and what config.json mounts on "/".
const LIMIT: usize = 1 << 16;
const PRIVATE: Change = Change { depth: Depth::One, set: 0, clear: 0, unnamed: 0, propagation: flag::MS_PRIVATE };
const ALL_PRIVATE: Change = Change { depth: Depth::Recursive, ..PRIVATE };

/// Makes the mounts, so that their number can be written down before anybody sees them.
pub fn prepare(rootfs: &Rootfs) -> Result<Detached> {
    let make = || -> Result<Detached> {
        let at = std::fs::canonicalize(&rootfs.path).map_err(sys::Error::from)?;
        let tree = mount::clone_tree(CWD, &at, Depth::Recursive)?;
        match mount::set_attributes(&tree, Depth::Recursive, 0, 0, flag::MS_PRIVATE) {
            Err(sys::Error(Errno::ENOSYS | Errno::EPERM)) => {} // no mount_setattr: when it is attached
            done => done?,
        }
        let single = mount::clone_tree(CWD, &at, Depth::One)?;
        let mount = HostMount { at, id: mount::id(&single)?, unique: mount::unique_id(&single)? };
        Ok(Detached { single, tree, mount })
    };
    make().with_context(|| format!("config.json: root.path: copy the mount of {}", rootfs.path.display()))
}

/// Dropped without `keep`, they are taken down again.
pub fn attach(detached: Detached) -> Result<Draft<HostMount>> {
    let Detached { single, tree, mount } = detached;
    let named = format!("config.json: root.path: mount {}", mount.at.display());
    let at = file::open(CWD, &mount.at, libc::O_PATH | libc::O_DIRECTORY, 0).with_context(|| named.clone())?;
    mount::attach(&single, at).with_context(|| named.clone())?;
    let made = Draft::new(mount, |mount| {
        if let Err(error) = take_down(&mount) {
            log::warning(format!("{error:#}"));
        }
    });
    let on_top = || {
        mount::change_attached(&single, &PRIVATE)?;
        mount::attach(&tree, &single)?;
        mount::change_attached(&tree, &ALL_PRIVATE)
    };
    on_top().context(named)?;
    Ok(made)
}

/// Takes down the mounts and all that has been mounted on them; when they are gone already, or in a mount namespace that is
/// not ours, there is nothing to do. All processes of the container must have ended.
pub fn take_down(mount: &HostMount) -> Result<()> {
    let named = || format!("take down the container's mounts on {}", mount.at.display());
    let path = sys::cstr(&mount.at)?;
    for _ in 0..LIMIT {
        let table =
            mountinfo::table().and_then(mountinfo::read).context("read the table of mounts").with_context(named)?;
        let lines: Vec<MountLine> = table.lines().filter_map(MountLine::parse).collect();
        if !lines.iter().any(|line| line.id == mount.id && line.at == mount.at) {
            return Ok(());
        }
        let place = mount::place(&mount.at).with_context(named)?;
        let top = mount::id(&place).with_context(named)?;
        if top == mount.id && mount.unique.is_some() && mount::unique_id(&place).with_context(named)? != mount.unique {
            return Ok(()); // ours is gone, and somebody else's has its number
        }
        if !stands_on(&lines, top, mount.id) {
            bail!("{}: another mount hides them: unmount that one, then delete the container", named());
        }
        // What is bound may be shared with the host: the unmounting must not reach that.
        mount::change(&path, flag::MS_PRIVATE | flag::MS_REC).with_context(named)?;
        mount::detach(&path).with_context(named)?;
    }
    bail!("{}: there is no end to them", named())
}

/// Is `mount` the one with the number `base`, or on it?
fn stands_on(lines: &[MountLine], mount: u64, base: u64) -> bool {
    let parent =
        |id: &u64| lines.iter().find(|line| line.id == *id).map(|line| line.parent).filter(|parent| parent != id);
    std::iter::successors(Some(mount), parent).take(lines.len() + 1).any(|id| id == base)
}

impl HostMount {
    /// Two containers on one root filesystem would lie on each other, and the end of the lower one would take both.
    pub fn is_at_the_place_of(&self, other: &HostMount) -> bool {
        self.at == other.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_on_ours_is_taken_for_ours() {
        let line = |id, parent| MountLine {
            id,
            parent,
            device: "8:1",
            root: "/",
            at: PathBuf::new(),
            fs: "ext4",
            options: "rw",
        };
        let lines = [line(1, 1), line(20, 1), line(21, 20), line(30, 1)];
        assert!(stands_on(&lines, 20, 20) && stands_on(&lines, 21, 20));
        assert!(!stands_on(&lines, 30, 20) && !stands_on(&lines, 1, 20) && !stands_on(&lines, 99, 20));
    }
}
