//! The container's pseudo-terminal: made in its own devpts, its master sent to the parent, its slave our streams.

use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::fs::Root;
use crate::link::{self, Request};
use crate::plan::{Plan, Process, World};
use crate::sys::file::{self, Resolve};
use crate::sys::{self, Errno, mount, process, tty};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Runs in the container's mount namespace, as its root. Without a terminal in the plan it does nothing.
pub fn open(plan: &Plan, root: &Root, link: &link::Child) -> Result<()> {
    let Some(terminal) = plan.process.terminal else {
        return Ok(());
    };
    let pinned = match &plan.world {
        World::New(_) => None,
        World::Join(target) => target.devpts,
    };
    let (master, slave) = open_pair(root, pinned)?;
    if let Some(size) = terminal.size {
        tty::set_size(&master, size).context("set the terminal's size")?;
    }
    let uid = plan.process.user.uid;
    file::chown(&slave, Some(uid), None).with_context(|| format!("give the terminal to user {uid}"))?;
    if matches!(plan.world, World::New(_)) {
        bind_console(root, &slave).context("mount the terminal on /dev/console")?;
    }
    link.ask_go(&Request::Terminal(master))?;
    for number in 0..3 {
        process::place_fd(&slave, number).context("make it the standard streams")?;
    }
    Ok(())
}

/// How often a new terminal is made because a process of the container has taken the one before.
const ATTEMPTS: usize = 32;

/// Both ends. The slave is locked until the parent unlocks it at `Ready`: by then it is the controlling terminal of this
/// session, and a process in the container that opens it by name cannot take it as its own any more (tty_ioctl(4), TIOCSPTLCK).
fn open_pair(root: &Root, pinned: Option<u64>) -> Result<(OwnedFd, OwnedFd)> {
    for _ in 0..ATTEMPTS {
        let master = open_master(root, pinned).context("open /dev/pts/ptmx of the container")?;
        if let Some(slave) = tty::locked_peer(&master).context("open the terminal")? {
            return Ok((master, slave));
        }
    }
    bail!(
        "open the terminal: a process in the container has taken {ATTEMPTS} of them as its own: end it, or exec without a terminal"
    )
}

/// Makes it the controlling terminal of the session that we lead.
pub fn control(plan: &Process) -> Result<()> {
    let Some(_) = plan.terminal else { return Ok(()) };
    tty::control(process::STREAMS[0]).map_err(|error| {
        // It may have opened the slave in the moment before it was locked.
        let hint = match error.0 {
            Errno::EPERM => {
                ": a process in the container has taken it: end that, try again, or exec without a terminal"
            }
            _ => "",
        };
        anyhow!(error).context(format!("make the terminal the controlling one{hint}"))
    })
}

/// The image may have put anything under these names: the directory must be a devpts, and the file in it the multiplexer,
/// reached without a link and without a mount on top (CVE-2025-52565). For exec the directory must be the one that `create` has
/// made (`pinned`, its device number): the container may have mounted another one since.
fn open_master(root: &Root, pinned: Option<u64>) -> Result<OwnedFd> {
    const DEVPTS: i64 = 0x1cd1;
    let pts = root.open(Path::new("/dev/pts")).context("a terminal needs a devpts mount on /dev/pts")?;
    ensure!(
        file::filesystem(&pts)? == DEVPTS,
        "/dev/pts is no devpts; mount one there (type \"devpts\", option \"newinstance\")"
    );
    ensure!(
        pinned.is_none() || pinned == Some(file::stat(&pts)?.st_dev),
        "/dev/pts is not the devpts that the container was created with: unmount what lies over it, or exec without a terminal"
    );
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_NOFOLLOW;
    let master = file::open_in(pts.as_fd(), "ptmx", flags, 0, Resolve::Strict)?;
    let stat = file::stat(&master)?;
    let is_multiplexer = stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == file::device(5, 2);
    if !is_multiplexer {
        bail!("is not the terminal multiplexer (char 5:2)");
    }
    Ok(master)
}

/// The placeholder was made before the root became read-only. Both ends are descriptors. In a /dev that is somebody else's
/// there may be none; and a link there could lead to any file, which the terminal would then cover (CVE-2025-52565).
fn bind_console(root: &Root, slave: &OwnedFd) -> Result<()> {
    let Ok(dev) = root.open(Path::new("/dev")) else { return Ok(()) };
    let target = match file::open(dev.as_fd(), "console", libc::O_PATH | libc::O_NOFOLLOW, 0) {
        Err(sys::Error(Errno::ENOENT | Errno::ENOTDIR)) => return Ok(()),
        other => other?,
    };
    let kind = file::stat(&target)?.st_mode & libc::S_IFMT;
    ensure!(!matches!(kind, libc::S_IFLNK | libc::S_IFDIR), "it is a link or a directory; remove it, or the terminal");
    let copy = mount::clone_tree(slave.as_fd(), "", mount::Depth::One).context("copy the mount")?;
    Ok(mount::attach(copy, target)?)
}
