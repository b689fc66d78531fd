//! The root itself: a mount of its own to begin with, "/" in the end.

use crate::error::{Context, Result, anyhow, ensure};
use crate::fs::Root;
use crate::link::{self, Request};
use crate::log;
use crate::plan::{Movable, NOT_MOVABLE, Opener, RootChange, Rootfs, labels};
use crate::sys::file::{self, CWD};
use crate::sys::mount::{self, Change, Depth, flag};
use crate::sys::mountinfo::{self, MountLine};
use crate::sys::{Errno, Error, process};
use std::cell::RefCell;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Cuts this namespace's mounts from the host's as planned, and makes the root filesystem a mount of its own. What is made
/// in it from now on is written down in `made`.
pub fn prepare(rootfs: &Rootfs, link: &link::Child, made: &Rc<RefCell<Vec<PathBuf>>>) -> Result<Root> {
    if rootfs.change == RootChange::Chroot {
        return Ok(Root::recorded(open_prepared(rootfs)?, made)?);
    }
    mount::change(c"/", while_building(rootfs.propagation))
        .map_err(|error| match error.0 {
            Errno::EACCES => anyhow!(error).context(labels::WHY_NO_MOUNT),
            _ => error.into(),
        })
        .context("set the propagation of \"/\"")?;
    let named = |what: &str| format!("config.json: root.path: {what} {}", rootfs.path.display());
    if !rootfs.cuts_everything() {
        // pivot_root refuses a shared parent, and our mount must not appear on the host.
        cut_parent(rootfs).with_context(|| named("find the mount that holds"))?;
    }
    let copy = match mount::clone_tree(CWD, &rootfs.path, Depth::Recursive) {
        Err(Error(Errno::EACCES)) if rootfs.opener == Opener::Parent => link.ask_mount(&Request::Root)?,
        copy => {
            let copy = copy.with_context(|| named("copy the mount of"))?;
            let at =
                file::open(CWD, &rootfs.path, libc::O_PATH | libc::O_DIRECTORY, 0).with_context(|| named("open"))?;
            mount::attach(&copy, at).with_context(|| named("mount"))?;
            copy
        }
    };
    if !rootfs.cuts_everything() {
        // Mounts below the root may be shared with the host: ours, masks included, must not appear there.
        let slave = Change { depth: Depth::Recursive, set: 0, clear: 0, unnamed: 0, propagation: flag::MS_SLAVE };
        mount::change_attached(&copy, &slave).with_context(|| named("cut from the host"))?;
    }
    Ok(Root::recorded(copy, made)?)
}

/// Without a mount namespace the parent has made the mount, since it takes it down again.
fn open_prepared(rootfs: &Rootfs) -> Result<OwnedFd> {
    let named = || format!("config.json: root.path: open {}", rootfs.path.display());
    let root = file::open(CWD, &rootfs.path, libc::O_PATH | libc::O_DIRECTORY, 0).with_context(named)?;
    ensure!(mount::is_mount_root(&root).with_context(named)?, "{}: is no mount any more", named());
    Ok(root)
}

/// What is unbindable cannot be a source of ours either (volumes, masks, the console): until all of them are made, private
/// stands for it.
fn while_building(propagation: u64) -> u64 {
    if propagation & flag::MS_UNBINDABLE != 0 {
        propagation & !flag::MS_UNBINDABLE | flag::MS_PRIVATE
    } else {
        propagation
    }
}

/// The propagation that others than this process shall see: last, in the container's root, when nothing is left to mount.
pub fn spread(rootfs: &Rootfs) -> Result<()> {
    if rootfs.propagation & (flag::MS_SHARED | flag::MS_UNBINDABLE) != 0 {
        mount::change(c"/", rootfs.propagation).context("set the root's propagation")?;
    }
    Ok(())
}

/// Climbs until the mount point is found: a change of propagation answers EINVAL on anything else. Searching mountinfo would
/// miss lines that the kernel (before 5.8) skips while the table changes. A root that is to be a slave is a copy of one.
fn cut_parent(rootfs: &Rootfs) -> Result<()> {
    let cut = if rootfs.propagation & flag::MS_SLAVE != 0 { flag::MS_SLAVE } else { flag::MS_PRIVATE };
    let mut at: PathBuf = std::fs::canonicalize(&rootfs.path)?;
    loop {
        let here = CString::new(at.as_os_str().as_bytes())?;
        match mount::change(&here, cut) {
            Ok(()) => return Ok(()),
            Err(Error(Errno::EINVAL)) if at.pop() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Makes the root "/". Afterwards nothing of the host's tree can be reached from this process (by chroot alone: as long as
/// it has no CAP_SYS_CHROOT).
pub fn enter(rootfs: &Rootfs, root: Root) -> Result<()> {
    process::fchdir(&root).context("enter the root filesystem")?;
    drop(root);
    match rootfs.change {
        RootChange::Pivot => pivot(rootfs)?,
        RootChange::MoveAndChroot => move_and_chroot(rootfs)?,
        RootChange::Chroot => mount::chroot_here().context("chroot")?, // the host's tree is not ours to move or unmount
    }
    process::chdir("/").context("enter the new root")
}

fn pivot(rootfs: &Rootfs) -> Result<()> {
    let old = mount::place("/").context("open the old root")?;
    match mount::pivot_here() {
        Err(error @ Error(Errno::EINVAL)) if is_initramfs()? => {
            ensure!(
                rootfs.movable == Movable::Yes,
                anyhow!(error).context(format!("pivot_root is not possible here, and {NOT_MOVABLE}"))
            );
            ensure!(
                rootfs.propagation & flag::MS_PRIVATE == 0,
                anyhow!(error).context(
                    "pivot_root is not possible here, and its stand-in does not go together with linux.rootfsPropagation \
                     \"private\": leave that out"
                )
            );
            log::warning(
                "pivot_root is not possible here, as on a host that runs from its initramfs: the root filesystem is moved over \
                 \"/\" instead, as with --no-pivot",
            );
            return move_and_chroot(rootfs);
        }
        pivoted => pivoted.context("pivot_root")?,
    }
    process::fchdir(&old).context("enter the old root")?;
    drop(old);
    if !rootfs.cuts_everything() {
        // Some of the old tree may still be shared with the host: the unmounting must not reach it.
        mount::change(c".", flag::MS_SLAVE | flag::MS_REC).context("cut the old root from the host")?;
    }
    mount::detach(c".").context("unmount the old root")
}

/// Is "/" the initramfs, which pivot_root cannot leave? It is the one mount that has no parent but itself.
fn is_initramfs() -> Result<bool> {
    let table = read(mount_table()?)?;
    Ok(table
        .lines()
        .filter_map(MountLine::parse)
        .any(|line| line.fs == "rootfs" && line.at == Path::new("/") && line.id == line.parent))
}

/// For `--no-pivot`, and where pivot_root answers EINVAL. The old tree stays below the moved root, unreachable but there: a full procfs or sysfs in it would let the
/// container mount a fresh one without our masks (mount_too_revealing), however well it is hidden. So all that the root does
/// not stand on is unmounted, the newest first, since it may lie on older ones; what is locked is covered. While something
/// is shared with the host all is only covered: what is unmounted here may vanish there, as its parent's propagation says.
fn move_and_chroot(rootfs: &Rootfs) -> Result<()> {
    let own = process::cwd().context("find the root filesystem")?;
    let is_other = |line: &MountLine| !line.at.starts_with(&own) && !own.starts_with(&line.at);
    let (before, after) = (mount_table()?, mount_table()?); // opened while there is a /proc, read when it is time
    let before = read(before)?;
    if rootfs.cuts_everything() {
        for line in before.lines().rev().filter_map(MountLine::parse).filter(is_other) {
            let path = CString::new(line.at.as_os_str().as_bytes())?;
            // It may have gone with another one, or be locked: the second look tells.
            let _ = mount::change(&path, flag::MS_PRIVATE | flag::MS_REC).and_then(|()| mount::detach(&path));
        }
    }
    // The kernel counts whole ones only.
    let shows_all = |line: &MountLine| (line.fs == "proc" || line.fs == "sysfs") && line.root == "/";
    let after = read(after)?;
    for line in after.lines().rev().filter_map(MountLine::parse).filter(|line| is_other(line) && shows_all(line)) {
        let named = || format!("hide {} of the host: unmount it there", line.at.display());
        cover(&line.at).with_context(named)?;
    }
    // What is moved to "/" must not appear on the host's, nor what the host mounts later in the tree that stays.
    mount::change(c"/", flag::MS_PRIVATE).context("cut \"/\" from the host")?;
    for line in after.lines().filter_map(MountLine::parse).filter(|line| !line.at.starts_with(&own)) {
        let _ = mount::change(&CString::new(line.at.as_os_str().as_bytes())?, flag::MS_PRIVATE); // if it is to be seen
    }
    mount::move_here_to_root().context("move the root filesystem to \"/\"")?;
    mount::chroot_here().context("chroot")
}

fn mount_table() -> Result<OwnedFd> {
    mountinfo::table().context("open the table of mounts")
}

fn read(table: OwnedFd) -> Result<String> {
    mountinfo::read(table).context("read the table of mounts")
}

/// Below a mount point that nobody can see, nothing could be covered. The host's own is not.
fn cover(at: &Path) -> Result<()> {
    let place = mount::place(at)?;
    ensure!(mount::is_mount_root(&place)?, "another mount lies over it");
    mount::change(&CString::new(at.as_os_str().as_bytes())?, flag::MS_SLAVE)?;
    if file::filesystem(&place)? == file::TMPFS_MAGIC {
        return Ok(()); // by us, or by the host
    }
    let empty = mount::begin("tmpfs")?.mount(mount::ATTR_RDONLY).map_err(|(error, _)| error)?;
    Ok(mount::attach(empty, place)?)
}
