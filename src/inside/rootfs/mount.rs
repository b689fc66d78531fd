//! One mount of the plan, performed: made detached, given its attributes, then attached to a descriptor of its place. At no
//! moment is it visible with other attributes than planned.

use super::{Built, cgroupfs, copy_up, procfs};
use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::fs::{Made, Root, Target, Through};
use crate::link::{self, Request};
use crate::plan::mounts::explain_source;
use crate::plan::{Attributes, Content, MountOp, MountWhat, Opener, SourceLink, TargetLink, options};
use crate::sys::file::{self, CWD};
use crate::sys::mount::{self, Change, Depth};
use crate::sys::mountinfo::{self, MountLine};
use crate::sys::{self, Errno};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Returns the mount when it still has to become read-only, after the last one: `close`.
pub fn perform(
    op: &MountOp,
    root: &mut Root,
    link: &link::Child,
    built: &mut Built,
    pid_namespace: Option<&OwnedFd>,
) -> Result<Option<OwnedFd>> {
    match &op.what {
        MountWhat::New { fs, source, options, content, label, instead } => {
            let target = directory(root, &op.at, fs)?;
            refuse_procfs(&op.at, &target)?;
            if has_long_value(source.as_deref(), options) {
                let made = by_mount_2(op, fs, source.as_deref(), options, &target, root)?;
                built.fresh.push(file::stat(&made)?.st_dev);
                return Ok(None);
            }
            let copies = *content == Content::Covered && target.made == Made::Before;
            // A mount that is read-only from the start would reject the copy, the label, device nodes and mount points of
            // later entries (a /dev).
            let is_filled = copies || fs == "tmpfs" || label.is_some();
            let later = if is_filled { op.attributes.set & mount::ATTR_RDONLY } else { 0 };
            // fsmount(2) takes it from Linux 5.14 on, mount(2) from 5.10 on.
            let on_attach = op.attributes.set & mount::ATTR_NOSYMFOLLOW;
            let set = op.attributes.set & !later & !on_attach;
            let made = begin(fs, pid_namespace).and_then(|context| {
                let made = new_filesystem(context, fs, source.as_deref(), options, set, &target)?;
                if let ("proc", Some(namespace)) = (fs.as_str(), pid_namespace) {
                    procfs::check(&made, namespace).context("check the procfs of the pid namespace that is joined")?;
                }
                Ok(made)
            });
            let made = match (made, instead) {
                (Err(error), Some(source)) if is_not_permitted(&error) => {
                    return bind_of_host(source, op, &target, root).map(|()| None);
                }
                (made, _) => made?,
            };
            if fs != "devtmpfs" {
                built.fresh.push(file::stat(&made)?.st_dev); // that one is the host's, wherever it is mounted
            }
            if let Some(label) = label {
                set_label(&made, label).with_context(|| format!("config.json: linux.mountLabel: {label:?}"))?;
            }
            if fs == "devpts" && op.at == Path::new("/dev/pts") {
                built.devpts = Some(file::stat(&made)?.st_dev);
            }
            if copies {
                link.ask_go(&Request::Rules)?;
                copy_up::copy(&target.file, &made, options)?;
            }
            let attributes = Attributes { set: on_attach, clear: 0, ..op.attributes.clone() };
            let unfinished = if later == 0 { None } else { Some(made.try_clone().context("hold it")?) };
            put(made, op, &attributes, &target, root)?;
            Ok(unfinished)
        }
        MountWhat::Bind { source, depth, opener, source_link, target_link, .. } => {
            let copy = match opener {
                Opener::Child => open_source(source, *depth, *source_link)
                    .map_err(|error| explain_source(error, *depth))
                    .with_context(|| format!("bind mount source {}", source.display()))?,
                Opener::Parent => link.ask_mount(&Request::Mount(op.index))?,
            };
            let kind = file::stat(&copy)?.st_mode & libc::S_IFMT;
            if *source_link == SourceLink::Recreate && kind == libc::S_IFLNK {
                let content = file::readlink(copy.as_fd(), "").context("read the link")?;
                return root.make_link(&op.at, &content).context("copy the link").map(|()| None);
            }
            let target = place_for(&copy, kind, *target_link, root, op)?;
            refuse_procfs(&op.at, &target)?;
            if target.through == Through::Links {
                // Before Linux 5.8 there is no such number; none of our kernels is so old.
                built.led_astray.extend(mount::id(&copy));
            }
            put(copy, op, &op.attributes, &target, root).map(|()| None)
        }
        MountWhat::Cgroup(view) => {
            let target = directory(root, &op.at, "cgroup")?;
            cgroupfs::mount(view, &op.attributes, target.file).map(|()| None)
        }
        MountWhat::Remount => {
            let target = root.open(&op.at)?;
            for change in changes(&op.attributes) {
                mount::change_attached(&target, &change).map_err(explain_change)?;
            }
            propagate(&target, &op.attributes).map(|()| None)
        }
    }
}

/// Makes read-only what had to stay open while places were made in it.
pub fn close(mount: &OwnedFd) -> Result<()> {
    let change = Change { depth: Depth::One, set: mount::ATTR_RDONLY, clear: 0, unnamed: 0, propagation: 0 };
    mount::change_attached(mount, &change).context("make it read-only")
}

fn is_not_permitted(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(sys::Error(Errno::EPERM)))
}

/// What is the host's stays as the host has it: read-only, with all below it (CVE-2023-25809).
fn bind_of_host(source: &Path, op: &MountOp, target: &Target, root: &mut Root) -> Result<()> {
    let named = || format!("bind {} of the host, since a new one is not permitted", source.display());
    let copy = mount::clone_tree(CWD, source, Depth::Recursive).with_context(named)?;
    let recursive_set = op.attributes.set & !mount::ATTR_ATIME | mount::ATTR_RDONLY;
    let attributes = Attributes { set: 0, clear: 0, recursive_set, ..op.attributes.clone() };
    put(copy, op, &attributes, target, root).with_context(named)
}

/// For a file system whose superblock exists before the mount, so that it takes no `context` option.
fn set_label(made: &OwnedFd, label: &str) -> sys::Result<()> {
    match file::set_attribute(made, "security.selinux", label.as_bytes()) {
        Err(sys::Error(Errno::EOPNOTSUPP)) => Ok(()), // the loaded policy gives this file system no labels
        done => done,
    }
}

fn open_source(source: &Path, depth: Depth, link: SourceLink) -> sys::Result<OwnedFd> {
    match link {
        SourceLink::Follow => mount::clone_tree(CWD, source, depth),
        SourceLink::Bind | SourceLink::Recreate => mount::clone_unfollowed(CWD, source, depth),
    }
}

/// Attaches, then sets the propagation: a mount below a shared one becomes shared by being attached.
fn put(made: OwnedFd, op: &MountOp, attributes: &Attributes, target: &Target, root: &mut Root) -> Result<()> {
    attach(&made, &target.file, attributes)?;
    propagate(&made, attributes)?;
    if op.at == Path::new("/") {
        *root = Root::new(made); // it lies on top of the old root: from now on it is the root
    }
    Ok(())
}

/// Attaches a detached mount that has the planned attributes before anybody can see it, where the kernel can do that.
pub fn attach(made: &OwnedFd, target: impl AsFd, attributes: &Attributes) -> Result<()> {
    mount::attach_with(made, target, &changes(attributes)).map_err(explain_change)
}

/// What a mount still needs; nothing, in the usual case.
fn changes(attributes: &Attributes) -> Vec<Change> {
    let one = (Depth::One, attributes.set, attributes.clear, attributes.unnamed);
    let all = (Depth::Recursive, attributes.recursive_set, attributes.recursive_clear, 0);
    let asked = [one, all].into_iter().filter(|(_, set, clear, unnamed)| set | clear | unnamed != 0);
    let change =
        |(depth, set, clear, unnamed)| Change { depth, set, clear: with_atime(set, clear), unnamed, propagation: 0 };
    asked.map(change).collect()
}

fn explain_change(error: sys::Error) -> anyhow::Error {
    let hint = match error.0 {
        Errno::ENOSYS => ": a mount below is hidden by another one, and to change it needs Linux 5.12 (mount_setattr)",
        Errno::EOPNOTSUPP => ": nosymfollow needs Linux 5.10; leave it out",
        Errno::EPERM => ": a flag of the source is locked, since its mount belongs to an outer user namespace",
        _ => "",
    };
    anyhow!(error).context(format!("attach it with its attributes{hint}"))
}

/// The directory to mount on, made where it is missing. /proc and /sys must not be reached through links.
fn directory(root: &Root, at: &Path, fs: &str) -> Result<Target> {
    if matches!(fs, "proc" | "sysfs") { root.make_dir_without_links(at) } else { root.make_dir(at) }
}

/// The plan has checked what is mounted on /proc by its name; a link in the image must not lead there by another
/// (CVE-2019-16884).
fn refuse_procfs(at: &Path, target: &Target) -> Result<()> {
    let named = at.starts_with("/proc");
    ensure!(
        named || file::filesystem(&target.file)? != file::PROC_SUPER_MAGIC,
        "a link in the image leads into /proc; name the destination as it is"
    );
    Ok(())
}

/// A file goes on a file, a directory on a directory.
fn place_for(copy: &OwnedFd, kind: u32, link: TargetLink, root: &Root, op: &MountOp) -> Result<Target> {
    let is_dir = kind == libc::S_IFDIR;
    if op.at == Path::new("/proc") {
        ensure!(file::filesystem(copy)? == file::PROC_SUPER_MAGIC, "only procfs can be bound on /proc");
        return root.make_dir_without_links(&op.at);
    }
    let target = match (is_dir, link) {
        (true, _) => root.make_dir(&op.at),
        (false, TargetLink::Follow) => root.make_file(&op.at),
        (false, TargetLink::Cover) => root.make_file_unfollowed(&op.at),
    };
    let target = target.with_context(|| format!("make mount point {}", op.at.display()))?;
    let target_is_dir = file::stat(&target.file)?.st_mode & libc::S_IFMT == libc::S_IFDIR;
    if is_dir != target_is_dir {
        let kind = |is_dir: bool| if is_dir { "a directory" } else { "a file" };
        bail!("not a directory: the source is {}, the destination {}", kind(is_dir), kind(target_is_dir));
    }
    Ok(target)
}

fn begin(fs: &str, pid_namespace: Option<&OwnedFd>) -> Result<mount::Context> {
    if let ("proc", Some(namespace)) = (fs, pid_namespace) {
        return procfs::begin(namespace);
    }
    mount::begin(fs).map_err(|error| match error {
        sys::Error(Errno::ENODEV) => anyhow!("this kernel has no file system called {fs:?}"),
        error => anyhow!(error).context(format!("open file system {fs:?}")),
    })
}

/// fsconfig(2) takes no longer strings, the NUL byte included.
const LONGEST_VALUE: usize = 255;

fn has_long_value(source: Option<&str>, options: &[(String, Option<String>)]) -> bool {
    let values = options.iter().filter_map(|(_, value)| value.as_deref());
    source.into_iter().chain(values).any(|value| value.len() > LONGEST_VALUE)
}

/// A new file system with options that fsconfig(2) does not take, such as an overlay of many layers: by one call of mount(2),
/// which has all flags in it, so that the mount is never seen without them. Returns the mount, attached.
fn by_mount_2(
    op: &MountOp,
    fs: &str,
    source: Option<&str>,
    options: &[(String, Option<String>)],
    target: &Target,
    root: &Root,
) -> Result<OwnedFd> {
    let MountWhat::New { content: Content::Own, label: None, .. } = &op.what else {
        bail!(
            "an option, or the source, has more than {LONGEST_VALUE} bytes, which does not go together with tmpcopyup or a label"
        );
    };
    ensure!(op.at != Path::new("/"), "an option, or the source, of a mount on \"/\" may have {LONGEST_VALUE} bytes");
    let mut words = Vec::with_capacity(options.len());
    for (key, value) in options {
        let word = value.as_ref().map_or_else(|| key.clone(), |value| format!("{key}={value}"));
        ensure!(
            !has_bare_comma(&word),
            "option {key:?}: beside a value of more than {LONGEST_VALUE} bytes a comma cannot be told from the end of the option"
        );
        words.push(word);
    }
    let data = words.join(",");
    mount::new_over(&target.file, fs, source.unwrap_or("none"), op.attributes.set, &data)
        .with_context(|| format!("mount {fs} with {} bytes of options", data.len()))?;
    // mount(2) returns no descriptor, so the name is used once more: what it leads to now must be a mount of this type on the
    // very mount that the place is in.
    let made = root.open(&op.at).context("open the new mount")?;
    let (own, parent) = (mount::id(&made)?, mount::id(&target.file)?);
    let table = mountinfo::read(mountinfo::table()?)?;
    let kind = |fs: &str| fs.split('.').next().map(str::to_owned); // a table of mounts has subtypes, as fuse.NAME
    let is_new = |line: MountLine| line.id == own && line.parent == parent && kind(line.fs) == kind(fs);
    let found = mount::is_mount_root(&made)? && table.lines().filter_map(MountLine::parse).any(is_new);
    ensure!(found, "the place of the new mount has changed meanwhile");
    let rest = Attributes { set: 0, clear: 0, unnamed: 0, ..op.attributes.clone() };
    for change in changes(&rest) {
        mount::change_attached(&made, &change).map_err(explain_change)?;
    }
    propagate(&made, &rest)?;
    Ok(made)
}

/// In the options of overlay a comma of a path is written `\\,`.
fn has_bare_comma(word: &str) -> bool {
    let mut escaped = false;
    word.chars().any(|c| {
        let found = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        found
    })
}

fn new_filesystem(
    context: mount::Context,
    fs: &str,
    source: Option<&str>,
    options: &[(String, Option<String>)],
    attributes: u64,
    target: &Target,
) -> Result<OwnedFd> {
    if let Some(source) = source {
        context.set("source", Some(source)).with_context(|| format!("set source {source:?}"))?;
    }
    for (key, value) in options {
        set_option(&context, fs, key, value.as_deref())?;
    }
    if fs == "tmpfs" && target.made == Made::Before && !options.iter().any(|(key, _)| key == "mode") {
        // It covers a directory of the image, and looks like it.
        let mode = file::stat(&target.file)?.st_mode & 0o7777;
        context.set("mode", Some(&format!("{mode:o}"))).context("set mode")?;
    }
    context.mount(attributes).map_err(|(error, complaint)| explain(error, &complaint, fs))
}

fn set_option(context: &mount::Context, fs: &str, key: &str, value: Option<&str>) -> Result<()> {
    let Err(error) = context.set(key, value) else {
        return Ok(());
    };
    if error.0 == Errno::EINVAL && key == "iversion" {
        return Ok(()); // a file system that does not count versions has none to turn on
    }
    let word = value.map_or_else(|| key.to_string(), |value| format!("{key}={value}"));
    let hint = options::did_you_mean(&word, options::WORDS.iter().map(|(name, _)| *name));
    let hint = hint.map(|name| format!(" (did you mean {name:?}?)"));
    let hint = match (hint, error.0, key) {
        (None, Errno::EINVAL, "context") => Some(" (linux.mountLabel, or this mount's own)".to_owned()),
        (hint, ..) => hint,
    };
    let hint = hint.unwrap_or_default();
    let complaint = context.complaint();
    let complaint = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
    Err(anyhow!(error).context(format!("option {word:?}{hint} is refused by {fs}{complaint}")))
}

fn explain(error: sys::Error, complaint: &str, fs: &str) -> anyhow::Error {
    let complaint = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
    let hint = match (error.0, fs) {
        (Errno::EPERM, "sysfs") => ": a new sysfs needs a network namespace of the container's own; bind /sys instead",
        (Errno::EPERM, "proc") => {
            ": a new procfs needs a pid namespace of the container's own, and a full /proc on the host"
        }
        _ => "",
    };
    anyhow!(error).context(format!("make a {fs} file system{hint}{complaint}"))
}

/// The access-time values are a field, not bits: to set any, the whole field must be cleared.
fn with_atime(set: u64, clear: u64) -> u64 {
    if (set | clear) & mount::ATTR_ATIME != 0 { clear | mount::ATTR_ATIME } else { clear }
}

pub fn propagate(mount: impl AsFd, attributes: &Attributes) -> Result<()> {
    for (depth, flag) in &attributes.propagation {
        let change = Change { depth: *depth, set: 0, clear: 0, unnamed: 0, propagation: *flag };
        mount::change_attached(&mount, &change).context("set its propagation")?;
    }
    Ok(())
}
