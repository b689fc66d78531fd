//! Whether the runtime runs in a chroot. For messages and `check`: the child looks for itself (`inside/rootfs/chroot.rs`).

use super::helper;
use crate::sys::file::{self, CWD};
use crate::sys::mountinfo::{self, MountLine};
use crate::sys::{Errno, Error, mount, namespace};
use std::path::Path;

/// Is the root of this process another one than that of its mount namespace? False where that cannot be told: only root can
/// see it when something is mounted on the directory.
pub fn is_ours() -> bool {
    let table = mountinfo::table().and_then(mountinfo::read).unwrap_or_default(); // see above
    let mounts: Vec<MountLine> = table.lines().filter_map(MountLine::parse).collect();
    if !mounts.is_empty() && !mounts.iter().any(|line| line.at == Path::new("/")) {
        return true; // a plain directory
    }
    let look = || {
        let here = mount::root()?;
        namespace::enter_own_root()?;
        if mount::root()? == here { Err(Error(Errno::ENOENT)) } else { file::open(CWD, "/", libc::O_PATH, 0) }
    };
    helper::descriptor(look).is_ok()
}
