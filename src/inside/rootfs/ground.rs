//! Whose directory is it in which a device node or a link of /dev is to be made?
//!
//! That is asked of the file system and not of config.json: the host's own /dev comes into a container by a bind, by a mount
//! of devtmpfs (there is only one), or by "/" as root filesystem; and a link of the image can lead a volume to /dev, or a
//! device into a volume.

use super::Built;
use crate::error::{Context, Result, bail};
use crate::fs::Root;
use crate::sys::file::{self, CWD};
use crate::sys::mountinfo::{self, MountLine};
use crate::sys::{self, Errno, mount};
use std::os::fd::OwnedFd;
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Owner {
    Container,
    /// Nothing is made there, and nothing that is there is changed.
    Host,
}

/// Whose the directory at `path` is, or would be, if it were made where links of the image do not lead. A volume that a link
/// of the image has led there is refused. While "/" is still the host's.
pub fn owner(path: &Path, root: &Root, built: &Built) -> Result<Owner> {
    if let Ok(dir) = root.open_without_links(path)
        && built.fresh.contains(&file::stat(&dir)?.st_dev)
        && built.led_astray.is_empty()
    {
        return Ok(Owner::Container); // the usual case: the /dev of config.json
    }
    let mut above: Vec<&Path> = path.ancestors().collect();
    above.reverse();
    for place in above {
        let dir = match root.open_without_links(place) {
            Err(sys::Error(Errno::ENOENT | Errno::ELOOP | Errno::ENOTDIR)) => break, // made, resolved or refused later
            other => other.with_context(|| format!("open {}", place.display()))?,
        };
        if !built.led_astray.is_empty() && built.led_astray.contains(&mount::id(&dir)?) {
            bail!("a link of the image leads a bind mount of config.json to {}; remove the link", place.display());
        }
        if owner_of(&dir, root, built)? == Owner::Host {
            return Ok(Owner::Host);
        }
    }
    Ok(Owner::Container)
}

/// The same for a directory that is open.
pub fn owner_of(dir: &OwnedFd, root: &Root, built: &Built) -> Result<Owner> {
    let (own, base) = (file::stat(dir)?, file::stat(root)?);
    if built.fresh.contains(&own.st_dev) {
        return Ok(Owner::Container);
    }
    let host = file::stat_at(CWD, c"/dev", 0).ok(); // a host without /dev has none to protect
    if host.is_some_and(|dev| (dev.st_dev, dev.st_ino) == (own.st_dev, own.st_ino)) {
        return Ok(Owner::Host);
    }
    if own.st_dev == base.st_dev {
        return Ok(Owner::Container); // a directory of the root filesystem
    }
    // A directory within the host's /dev, when that is a file system of its own; or devtmpfs at any other place.
    let top = file::stat_at(CWD, c"/", 0).context("look at the host's root")?.st_dev;
    let within = host.is_some_and(|dev| dev.st_dev == own.st_dev && dev.st_dev != top);
    Ok(if within || is_devtmpfs(own.st_dev)? { Owner::Host } else { Owner::Container })
}

/// statfs(2) cannot tell: devtmpfs has the magic number of tmpfs.
fn is_devtmpfs(device: u64) -> Result<bool> {
    let table = mountinfo::table().and_then(mountinfo::read).context("read the table of mounts")?;
    let number = format!("{}:{}", libc::major(device), libc::minor(device));
    Ok(table.lines().filter_map(MountLine::parse).any(|line| line.fs == "devtmpfs" && line.device == number))
}
