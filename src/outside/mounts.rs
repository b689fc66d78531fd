//! Sources of bind mounts that the child cannot open by itself, and id-mapped ones.

use super::{helper, idmap};
use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::plan::mounts::explain_source;
use crate::plan::{IdMapping, IdMaps, Ids, MountWhat, Opener, Sandbox, SourceLink};
use crate::sys::file::{self, CWD};
use crate::sys::mount::{self, Depth};
use crate::sys::mountinfo::{self, MountLine};
use crate::sys::process::{self, Clone, Side};
use crate::sys::{self, Errno, namespace, socket};
use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A detached copy of the source of mount number `index`. The child `pid` has its mount namespace, and its user namespace has
/// its maps.
pub fn source(sandbox: &Sandbox, index: u16, pid: i32) -> Result<OwnedFd> {
    let named = || format!("config.json: mounts[{index}]");
    match sandbox.mounts.iter().find(|op| op.index == index).map(|op| &op.what) {
        Some(MountWhat::Bind { source, depth, ids, source_link, .. }) => {
            let copy = in_mount_namespace_of(pid, || copy_of(source, *depth, *source_link))
                .map_err(|error| match error.downcast::<sys::Error>() {
                    Ok(error) => explain_source(error, *depth),
                    Err(error) => error,
                })
                .with_context(|| format!("bind mount source {}", source.display()))
                .with_context(named)?;
            if let Some(mapping) = ids {
                map_ids(&copy, mapping, pid, source)
                    .with_context(|| format!("map the ids of {}", source.display()))
                    .with_context(named)?;
            }
            Ok(copy)
        }
        _ => bail!("the child asked for a mount that is not planned"),
    }
}

/// The root filesystem, mounted over itself in the mount namespace of the child `pid`. Root of its user namespace need not be
/// able to walk there: a directory above may be 0700.
pub fn root(sandbox: &Sandbox, pid: i32) -> Result<OwnedFd> {
    let path = &sandbox.rootfs.path;
    ensure!(sandbox.rootfs.opener == Opener::Parent, "the child asked for a root that it can open by itself");
    let mount = || {
        let copy = mount::clone_tree(CWD, path, Depth::Recursive)?;
        mount::attach(&copy, file::open(CWD, path, libc::O_PATH | libc::O_DIRECTORY, 0)?)?;
        Ok(copy)
    };
    in_mount_namespace_of(pid, mount)
        .with_context(|| format!("config.json: root.path: mount {} over itself", path.display()))
}

fn copy_of(source: &Path, depth: Depth, link: SourceLink) -> sys::Result<OwnedFd> {
    match link {
        SourceLink::Follow => mount::clone_tree(CWD, source, depth),
        SourceLink::Bind | SourceLink::Recreate => mount::clone_unfollowed(CWD, source, depth),
    }
}

/// Makes a mount with our rights, but in the child's mount namespace: there the mount is a slave of the host's, and its
/// read-only, nosuid, nodev and noexec flags are locked. A copy made in ours would be a peer of the host's mount, and unlocked.
fn in_mount_namespace_of(pid: i32, make: impl FnOnce() -> sys::Result<OwnedFd>) -> Result<OwnedFd> {
    let namespace =
        file::open(CWD, format!("/proc/{pid}/ns/mnt"), libc::O_RDONLY, 0).context("open its mount namespace")?;
    helper::descriptor(|| namespace::enter(namespace, libc::CLONE_NEWNS).and_then(|()| make()))
}

/// The kernel takes a mapping from a user namespace. The container's own serves where its mapping is the one asked for.
fn map_ids(copy: &OwnedFd, mapping: &IdMapping, pid: i32, source: &Path) -> Result<()> {
    let namespace = match &mapping.ids {
        Ids::Own => user_namespace_of(pid)?,
        Ids::Of(maps) => user_namespace_with(maps)?,
    };
    mount::map_ids(copy, mapping.depth, namespace).map_err(|error| explain(error, mapping.depth, source))
}

fn user_namespace_of(pid: i32) -> Result<OwnedFd> {
    file::open(CWD, format!("/proc/{pid}/ns/user"), libc::O_RDONLY, 0).context("open the user namespace")
}

/// A user namespace that nobody lives in: its only inhabitant waits until it is mapped and held by us, and ends.
fn user_namespace_with(maps: &IdMaps) -> Result<OwnedFd> {
    let (ours, theirs) = socket::pair().context("make a socket to the helper")?;
    let ask = Clone { namespaces: u64::from(libc::CLONE_NEWUSER.cast_unsigned()), ..Clone::default() };
    match process::clone(&ask).context("make a user namespace for the mapping")? {
        Side::Child => {
            drop(ours);
            let _ = socket::receive(theirs, &mut [0u8; 1]); // the end of the file is the word
            process::exit_now(0)
        }
        Side::Parent { pid, .. } => {
            drop(theirs);
            let namespace = idmap::write(maps, pid).and_then(|()| user_namespace_of(pid));
            drop(ours);
            process::wait(pid).context("reap the helper")?;
            namespace
        }
    }
}

fn explain(error: sys::Error, depth: Depth, source: &Path) -> anyhow::Error {
    let hint = match error.0 {
        Errno::EINVAL => {
            let types = filesystems_of(source, depth);
            let types = if types.is_empty() { "its file system".to_owned() } else { types.join(", ") };
            format!(
                ": this kernel cannot map the ids of {types}; use a volume on another file system, or leave idmap out"
            )
        }
        Errno::EPERM => {
            ": it needs CAP_SYS_ADMIN over the file system, and a source that is not id-mapped yet".to_owned()
        }
        Errno::ENOSYS => ": id-mapped mounts need Linux 5.12 (mount_setattr)".to_owned(),
        _ => String::new(),
    };
    anyhow!(error).context(format!("mount_setattr{hint}"))
}

/// The types of the file systems that a path is on, and, with depth, of those mounted below. For a message: what cannot be
/// read is left out.
fn filesystems_of(source: &Path, depth: Depth) -> Vec<String> {
    let table = mountinfo::table().and_then(mountinfo::read).unwrap_or_default(); // see above
    let source = std::fs::canonicalize(source).unwrap_or_else(|_| source.to_owned());
    let mounts: Vec<MountLine> = table.lines().filter_map(MountLine::parse).collect();
    // The last line of the longest mount point above is what one sees at the path.
    let own = mounts.iter().filter(|line| source.starts_with(&line.at)).max_by_key(|line| line.at.components().count());
    let below = mounts.iter().filter(|line| depth == Depth::Recursive && line.at.starts_with(&source));
    let types: BTreeSet<String> = own.into_iter().chain(below).map(|line| line.fs.to_owned()).collect();
    types.into_iter().collect()
}
