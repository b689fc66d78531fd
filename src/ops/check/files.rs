//! Looks at files: the root filesystem, the sources of binds and their places, the namespaces to join.

use super::machine::{is_absent, kind, kind_name, kind_of_link};
use super::{Concerns, Finding, Scene, Severity};
use crate::fs::Root;
use crate::plan::devices::{Rights, Way, WithoutNode};
use crate::plan::mounts;
use crate::plan::namespaces::{KINDS, name, proc_name};
use crate::plan::{Device, MountOp, MountWhat, SourceLink, TargetLink};
use crate::sys::file::{self, CWD};
use crate::sys::mount::Depth;
use crate::sys::mountinfo::{self, MountLine};
use crate::sys::{self, Errno, namespace};
use std::os::fd::AsFd;
use std::path::Path;

/// The root filesystem as a tree to resolve paths in.
pub fn open_root(scene: &Scene) -> Option<Root> {
    let flags = libc::O_PATH | libc::O_DIRECTORY;
    file::open(CWD, &scene.sandbox.rootfs.path, flags, 0).ok().map(Root::new) // `root` says why not
}

/// Where we may not look, root might.
fn of(error: sys::Error, finding: Finding) -> Finding {
    if is_absent(error) { finding } else { finding.of_this_user() }
}

pub fn root(scene: &Scene, findings: &mut Vec<Finding>) {
    let path = &scene.sandbox.rootfs.path;
    let said = path.display();
    match kind(path) {
        Ok(libc::S_IFDIR) => {}
        Ok(other) => {
            let text =
                format!("{said} is {}, not a directory: name the directory of the root filesystem", kind_name(other));
            findings.push(Finding::error("root.path", text));
        }
        Err(error) => {
            let text =
                format!("{said}: {error}: make the directory and put the root filesystem into it, or name another");
            findings.push(of(error, Finding::error("root.path", text)));
        }
    }
}

/// Without the boot's number no record of a container can be made.
pub fn procfs(_: &Scene, findings: &mut Vec<Finding>) {
    if let Err(error) = crate::proc::boot_id() {
        findings.push(Finding::error(String::new(), format!("{error:#}")));
    }
}

/// Where no node can be made, the host's of that name or number is bound.
pub fn devices(scene: &Scene, findings: &mut Vec<Finding>) {
    for device in &scene.sandbox.devices {
        if device.way == Way::BindFromHost(WithoutNode::Refuse) {
            let at_path = device_at(&device.path, device);
            let found = if at_path.is_ok() { at_path } else { device_at(&device.path_by_number(), device).or(at_path) };
            findings.extend(said_of(device, found));
        }
    }
}

fn device_at(path: &Path, device: &Device) -> sys::Result<file::Stat> {
    let stat = file::stat(file::open(CWD, path, libc::O_PATH, 0)?)?;
    let is_wanted = stat.st_mode & libc::S_IFMT == device.kind.bits() && stat.st_rdev == device.number;
    if is_wanted { Ok(stat) } else { Err(sys::Error(Errno::ENODEV)) }
}

fn said_of(device: &Device, found: sys::Result<file::Stat>) -> Option<Finding> {
    let (path, wanted) = (device.path.display(), device.described());
    match found {
        Ok(stat) if device.rights == Rights::Stated && stat.st_mode & 0o7777 != device.mode => {
            let mode = stat.st_mode & 0o7777;
            let text = format!(
                "{path} keeps the owner and the mode {mode:04o} of the host's node: only root of the host can make one with \
                 mode {:04o}",
                device.mode
            );
            Some(Finding::warning("linux.devices", text))
        }
        Ok(_) => None,
        Err(error) => {
            let why = if error.0 == Errno::ENODEV { format!("is not {wanted}") } else { error.to_string() };
            let make = wanted.replace(':', " ");
            let text = format!(
                "{path}: {why}: a user namespace needs the host's node: make it there (mknod {path} {make}), or start as root"
            );
            Some(Finding::error("linux.devices", text).of_this_user())
        }
    }
}

pub fn namespaces(scene: &Scene, findings: &mut Vec<Finding>) {
    for join in &scene.sandbox.namespaces.join {
        let (path, wanted) = (join.path.display(), name(join.kind));
        let place = place_of_namespace(scene, join.kind) + ".path";
        let finding = match namespace_at(&join.path) {
            Ok(Some(found)) if found == join.kind => continue,
            Ok(Some(found)) => {
                let text = format!("{path} is a {} namespace, not a {wanted} one: name another", name(found));
                Finding::error(place, text)
            }
            Ok(None) => {
                let text = format!("{path} is no namespace: give a path like /proc/PID/ns/{}", proc_name(join.kind));
                Finding::error(place, text)
            }
            Err(error) => {
                let text =
                    format!("{path}: {error}: name a namespace that exists, or leave the path out for a new one");
                of(error, Finding::error(place, text))
            }
        };
        findings.push(finding);
    }
}

/// The kind of the namespace, `None` for something else. Devices are not opened: that can have consequences.
fn namespace_at(path: &Path) -> sys::Result<Option<i32>> {
    if kind(path)? != libc::S_IFREG {
        return Ok(None);
    }
    let file = file::open(CWD, path, libc::O_RDONLY | libc::O_NONBLOCK, 0)?;
    Ok(namespace::kind(file).ok()) // what does not know the question is none
}

/// `linux.namespaces[2]`.
pub fn place_of_namespace(scene: &Scene, bit: i32) -> String {
    let word = KINDS.iter().find(|(.., own)| *own == bit).map(|(kind, ..)| *kind);
    let linux = scene.spec.linux().as_ref();
    let index = linux.and_then(|linux| linux.namespaces().as_ref()?.iter().position(|n| Some(n.typ()) == word));
    index.map_or("linux.namespaces".to_owned(), |index| format!("linux.namespaces[{index}]"))
}

pub fn bind_sources(scene: &Scene, findings: &mut Vec<Finding>) {
    for op in &scene.sandbox.mounts {
        let MountWhat::Bind { source, source_link, .. } = &op.what else { continue };
        // What is below the root filesystem may be made by an earlier mount, or by a hook.
        let prepared = !scene.plan.hooks.create_runtime.is_empty() || !scene.plan.hooks.prestart.is_empty();
        let there = if *source_link == SourceLink::Follow { kind(source) } else { kind_of_link(source) };
        if let Err(error) = there {
            let text = format!("{}: {error}: make it, or name what is there", source.display());
            let finding = of(error, Finding::error(format!("mounts[{}].source", op.index), text));
            let severity = if prepared { Severity::Warning } else { Severity::Error };
            findings.push(Finding { severity, ..finding });
        } else if is_locked(scene, op) {
            findings.push(Finding::error(format!("mounts[{}].options", op.index), mounts::LOCKED));
        }
    }
}

/// Is it a bind of one mount, by a user namespace, of a source with mounts below?
fn is_locked(scene: &Scene, op: &MountOp) -> bool {
    let MountWhat::Bind { source, depth: Depth::One, .. } = &op.what else { return false };
    let namespaces = &scene.sandbox.namespaces;
    if !namespaces.makes(libc::CLONE_NEWNS) || !namespaces.has(libc::CLONE_NEWUSER) {
        return false;
    }
    let table = mountinfo::table().and_then(mountinfo::read).unwrap_or_default(); // `procfs` says why not
    let source = std::fs::canonicalize(source).unwrap_or_else(|_| source.clone());
    let is_below = |line: MountLine| line.at != source && line.at.starts_with(&source);
    table.lines().filter_map(MountLine::parse).any(is_below)
}

/// A directory goes on a directory, anything else on anything else.
pub fn mount_places(scene: &Scene, findings: &mut Vec<Finding>) {
    let Some(root) = open_root(scene) else { return };
    for op in &scene.sandbox.mounts {
        let by_link = |op: &MountOp| match &op.what {
            MountWhat::Bind { source_link, target_link, .. } => {
                *source_link != SourceLink::Follow || *target_link != TargetLink::Follow
            }
            _ => false,
        };
        if matches!(op.what, MountWhat::Remount) || by_link(op) || covered(&scene.sandbox.mounts, op) {
            continue;
        }
        let at = root.open(&op.at).and_then(file::stat).map(|stat| stat.st_mode & libc::S_IFMT);
        let Ok(at) = at else { continue }; // what is missing is made
        let place = format!("mounts[{}].destination", op.index);
        let is_dir = |kind: u32| kind == libc::S_IFDIR;
        match &op.what {
            MountWhat::Bind { source, .. } => {
                let Ok(from) = kind(source) else { continue };
                if is_dir(from) != is_dir(at) {
                    let (there, it) = (kind_name(at), kind_name(from));
                    let text = format!(
                        "{} is {there} in the root filesystem, and {} is {it}: change one of them",
                        op.at.display(),
                        source.display()
                    );
                    findings.push(Finding::error(place, text));
                }
            }
            _ if !is_dir(at) => {
                let text = format!(
                    "{} is {} in the root filesystem, where a directory is needed: remove it there, or choose another place",
                    op.at.display(),
                    kind_name(at)
                );
                findings.push(Finding::error(place, text));
            }
            _ => {}
        }
    }
}

/// Does an earlier mount lie over the place of this one? Then what the root filesystem has there does not matter.
fn covered(mounts: &[MountOp], op: &MountOp) -> bool {
    let earlier = mounts.iter().filter(|other| other.index < op.index && !matches!(other.what, MountWhat::Remount));
    earlier.into_iter().any(|other| op.at.starts_with(&other.at))
}

/// What a path of the container's leads to, if that can be told from here.
pub enum InContainer {
    Found(file::Stat),
    Absent,
    /// A file system that does not exist yet has it, or it may have.
    Unknown,
}

/// Looks a path up as the container will see it: in the last mount over it, else in the root filesystem.
pub fn look_up(scene: &Scene, path: &Path) -> (InContainer, Concerns) {
    let over = scene.sandbox.mounts.iter().rev().filter(|op| !matches!(op.what, MountWhat::Remount));
    let over = over.into_iter().find(|op| path.starts_with(&op.at));
    let found = match over.map(|op| (&op.what, path.strip_prefix(&op.at).unwrap_or(path))) {
        None => open_root(scene).map(|root| root.open(path).and_then(file::stat)),
        Some((MountWhat::Bind { source, .. }, rest)) if rest.as_os_str().is_empty() => {
            Some(file::open(CWD, source, libc::O_PATH, 0).and_then(file::stat))
        }
        Some((MountWhat::Bind { source, .. }, rest)) => {
            let tree = file::open(CWD, source, libc::O_PATH | libc::O_DIRECTORY, 0).ok().map(Root::new);
            tree.map(|tree| tree.open(rest).and_then(file::stat))
        }
        Some(_) => None,
    };
    match found {
        None => (InContainer::Unknown, Concerns::Everybody),
        Some(Ok(stat)) => (InContainer::Found(stat), Concerns::Everybody),
        Some(Err(error)) if is_absent(error) && over.is_none() && leads_into_a_mount(scene, path) => {
            (InContainer::Unknown, Concerns::Everybody)
        }
        Some(Err(error)) if is_absent(error) => (InContainer::Absent, Concerns::Everybody),
        Some(Err(_)) => (InContainer::Unknown, Concerns::ThisUser),
    }
}

/// Does a link on the way lead out of the root filesystem's own files, into a place that a mount covers?
fn leads_into_a_mount(scene: &Scene, path: &Path) -> bool {
    let Some(root) = open_root(scene) else { return false };
    let target = |step: &Path| {
        let (parent, name) = (step.parent()?, step.file_name()?);
        let dir = root.open(parent).ok()?;
        Some(parent.join(file::readlink(dir.as_fd(), name).ok()?)) // no link: nowhere else
    };
    let covered = |place: &Path| scene.sandbox.mounts.iter().any(|op| place.starts_with(&op.at));
    path.ancestors().filter_map(target).any(|place| covered(&place))
}
