//! /dev: nodes, links, the console's place.

use super::Built;
use super::ground::{self, Owner};
use crate::error::{Context, Result, bail, ensure};
use crate::fs::Root;
use crate::link::{self, Reply, Request};
use crate::log;
use crate::plan::devices::{LINKS, Rights, Way, WithoutNode, described, is_default};
use crate::plan::{DevSetup, Device};
use crate::sys::file::{self, CWD};
use crate::sys::mount::{self, Depth};
use crate::sys::{self, Errno};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What is to become of /dev, now that all mounts are there: what was planned, but the host's own is left alone however it
/// came into the container.
pub fn setup(planned: DevSetup, root: &Root, built: &Built) -> Result<DevSetup> {
    if planned == DevSetup::LeaveAlone {
        return Ok(planned);
    }
    match ground::owner(Path::new("/dev"), root, built).context("look at /dev")? {
        Owner::Container => Ok(DevSetup::Furnish),
        Owner::Host => {
            log::warning(
                "config.json: /dev is the host's own: nothing is made or changed in it; mount a tmpfs on /dev for one of the \
                 container's",
            );
            Ok(DevSetup::LeaveAlone)
        }
    }
}

pub fn make_nodes(devices: &[Device], root: &Root, dev: DevSetup, built: &Built, link: &link::Child) -> Result<()> {
    let mut parent: Option<(&Path, OwnedFd)> = None; // most nodes are in the same directory
    for (number, device) in devices.iter().enumerate() {
        if dev == DevSetup::LeaveAlone && device.path.starts_with("/dev") {
            if !is_default(&device.path) {
                log::warning(format!("config.json: linux.devices: {}: is not made", device.path.display()));
            }
            continue;
        }
        let dir = device.path.parent().unwrap_or(Path::new("/"));
        let dir_fd = match parent.take() {
            Some((path, open)) if path == dir => open,
            _ => checked_directory(dir, root, built)
                .with_context(|| format!("config.json: linux.devices: {}", device.path.display()))?,
        };
        let made = match device.way {
            Way::Make => make(device, dir_fd.as_fd(), root),
            Way::ByParent => ask_parent(number, device, dir_fd.as_fd(), root, link),
            Way::BindFromHost(without) => match (of_the_host(device), without) {
                (Err(_), WithoutNode::ByParent) => ask_parent(number, device, dir_fd.as_fd(), root, link),
                (node, _) => node.and_then(|node| bind(device, &node, dir_fd.as_fd(), root)),
            },
        };
        made.with_context(|| format!("make device {}", device.path.display()))?;
        parent = Some((dir, dir_fd));
    }
    Ok(())
}

/// A link in the image must not lead a node into a volume, where others could use it, or into the host's /dev. Links within
/// the root filesystem are followed, but not for /dev.
fn checked_directory(path: &Path, root: &Root, built: &Built) -> Result<OwnedFd> {
    let ours = |owner| match owner {
        Owner::Container => Ok(()),
        Owner::Host => bail!("{} is in the host's own /dev, where nothing is made", path.display()),
    };
    ours(ground::owner(path, root, built)?)?;
    if path.starts_with("/dev") || !has_links(path, root) {
        return directory(path, root);
    }
    let dir = root.make_dir_on_own_mount(path).with_context(|| format!("make {}", path.display()))?;
    ours(ground::owner_of(&dir, root, built)?)?;
    Ok(dir)
}

fn has_links(path: &Path, root: &Root) -> bool {
    let is_link = |place: &Path| matches!(root.open_without_links(place), Err(sys::Error(Errno::ELOOP)));
    path.ancestors().any(is_link)
}

fn directory(path: &Path, root: &Root) -> Result<OwnedFd> {
    let made = root.make_dir_without_links(path);
    let made = made.with_context(|| format!("make {}, following no link of the image", path.display()));
    Ok(made?.file)
}

fn make(device: &Device, dir: BorrowedFd, root: &Root) -> Result<()> {
    let name = device.path.file_name().unwrap_or_default();
    let made = file::mknod(dir, name, device.kind.bits(), device.mode, device.number);
    if made.is_ok() {
        root.note(dir, &device.path);
    }
    match made {
        // The umask is 0 and we are root: mode and owner are right already, in the usual case.
        Ok(()) if (device.uid, device.gid) == (0, 0) => Ok(()),
        Ok(()) => {
            let node = file::open(dir, name, libc::O_PATH | libc::O_NOFOLLOW, 0)?;
            check(device, &node)?;
            set_rights(device, &node)
        }
        Err(sys::Error(Errno::EEXIST)) => adopt(device, dir),
        // mknod(2): not in a user namespace, where the caller may be already (Podman's users are). Elsewhere the host's node
        // would be in the hands of the container's root.
        Err(sys::Error(Errno::EPERM)) if !sys::namespace::is_in_first_user() => {
            bind(device, &of_the_host(device)?, dir, root)
        }
        Err(error) => Err(error.into()),
    }
}

/// The image has something of that name: it must be that very device (config-linux.md, "Devices").
fn adopt(device: &Device, dir: BorrowedFd) -> Result<()> {
    let name = device.path.file_name().unwrap_or_default();
    let node = file::open(dir, name, libc::O_PATH | libc::O_NOFOLLOW, 0)?;
    check(device, &node).context("the image has a file of that name that is something else")?;
    let stat = file::stat(&node)?;
    let right = (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777) == (device.uid, device.gid, device.mode);
    if device.rights == Rights::Stated && !right { set_rights(device, &node) } else { Ok(()) }
}

fn set_rights(device: &Device, node: &OwnedFd) -> Result<()> {
    file::chown(node, Some(device.uid), Some(device.gid)).context("set its owner")?;
    file::chmod(node, device.mode).context("set its mode") // after chown, which takes set-id bits away
}

fn check(device: &Device, node: &OwnedFd) -> Result<()> {
    let stat = file::stat(node)?;
    let same_number = device.number == stat.st_rdev || device.number == 0;
    let kind = stat.st_mode & libc::S_IFMT;
    let is_wanted = kind == device.kind.bits() && same_number;
    ensure!(is_wanted, "it is {}, and {} is asked for", described(kind, stat.st_rdev), device.described());
    Ok(())
}

/// The parent makes the node, or may not do so either.
fn ask_parent(number: usize, device: &Device, dir: BorrowedFd, root: &Root, link: &link::Child) -> Result<()> {
    let index = u16::try_from(number).context("a container has at most 65536 devices")?;
    match link.ask(&Request::Device(index))? {
        Reply::Mount(node) => attach(device, node, dir, root),
        Reply::Go { .. } => bind(device, &of_the_host(device)?, dir, root),
    }
}

/// Where none can be made: the host's node of the same name, or of the same number, checked to be the device that was asked
/// for.
fn of_the_host(device: &Device) -> Result<OwnedFd> {
    let found = |path: &Path| -> Result<OwnedFd> {
        let copy = mount::clone_tree(CWD, path, Depth::One)?;
        check(device, &copy)?;
        Ok(copy)
    };
    let own = match found(&device.path) {
        Ok(copy) => return Ok(copy),
        Err(error) => error,
    };
    if let Ok(copy) = found(&device.path_by_number()) {
        return Ok(copy); // a host that has it nowhere is told about the name that the user knows
    }
    Err(own).with_context(|| {
        let (path, wanted) = (device.path.display(), device.described().replace(':', " "));
        format!("a user namespace needs the host's node: make it there (mknod {path} {wanted}), or start as root")
    })
}

/// Binds a node of the host's, which keeps the mode and the owner that it has there.
fn bind(device: &Device, node: &OwnedFd, dir: BorrowedFd, root: &Root) -> Result<()> {
    let stat = file::stat(node)?;
    let mode = stat.st_mode & 0o7777;
    if device.rights == Rights::Stated && (stat.st_uid, stat.st_gid, mode) != (device.uid, device.gid, device.mode) {
        log::warning(format!(
            "config.json: linux.devices: {}: keeps mode {mode:04o} and owner {}:{} (as the container sees it) of the host's \
             node: only root of the host can make one with mode {:04o} and owner {}:{}",
            device.path.display(),
            stat.st_uid,
            stat.st_gid,
            device.mode,
            device.uid,
            device.gid
        ));
    }
    attach(device, node, dir, root)
}

fn attach(device: &Device, node: impl AsFd, dir: BorrowedFd, root: &Root) -> Result<()> {
    let target = root.make_name(dir, device.path.file_name().unwrap_or_default(), &device.path)?.file;
    let kind = file::stat(&target)?.st_mode & libc::S_IFMT;
    ensure!(!matches!(kind, libc::S_IFLNK | libc::S_IFDIR), "the image has a link or a directory of that name");
    Ok(mount::attach(node, target)?)
}

/// runtime-linux.md, "Dev symbolic links". What the image or the user has put there stays, but for ptmx, which must lead
/// to the container's own devpts.
pub fn make_links(root: &Root) -> Result<()> {
    let dev = directory(Path::new("/dev"), root)?;
    for (name, target) in LINKS {
        if name == "core" && file::stat_at(CWD, c"/proc/kcore", 0).is_err() {
            continue;
        }
        let made = match file::symlink(target, dev.as_fd(), name) {
            Err(sys::Error(Errno::EEXIST)) if name == "ptmx" => replace_ptmx(dev.as_fd(), target),
            Err(sys::Error(Errno::EEXIST)) => Ok(()),
            other => other.map(|()| root.note(dev.as_fd(), Path::new("/dev").join(name))).map_err(Into::into),
        };
        made.with_context(|| format!("link /dev/{name} to {target}"))?;
    }
    Ok(())
}

fn replace_ptmx(dev: BorrowedFd, target: &str) -> Result<()> {
    match file::unlink(dev, "ptmx") {
        Err(sys::Error(Errno::EBUSY)) => return Ok(()), // the user has mounted something there
        Err(sys::Error(Errno::EISDIR)) => bail!("the image has a directory of that name"),
        other => other?,
    }
    Ok(file::symlink(target, dev, "ptmx")?)
}

/// The place where the terminal will be mounted, while the root is still writable.
pub fn make_console(root: &Root, setup: DevSetup) -> Result<()> {
    if setup == DevSetup::LeaveAlone {
        return Ok(());
    }
    let dev = directory(Path::new("/dev"), root)?;
    match file::mknod(dev.as_fd(), "console", libc::S_IFREG, 0o600, 0) {
        Ok(()) => {
            root.note(dev.as_fd(), "/dev/console");
            Ok(())
        }
        Err(sys::Error(Errno::EEXIST)) => {
            let there = file::open(dev.as_fd(), "console", libc::O_PATH | libc::O_NOFOLLOW, 0)?;
            let kind = file::stat(there)?.st_mode & libc::S_IFMT;
            ensure!(
                kind != libc::S_IFLNK && kind != libc::S_IFDIR,
                "/dev/console in the image is a link or a directory; a terminal cannot be mounted there"
            );
            Ok(())
        }
        Err(error) => Err(error).context("make /dev/console"),
    }
}
