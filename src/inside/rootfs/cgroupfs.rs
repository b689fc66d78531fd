//! /sys/fs/cgroup inside: the container's view of its own cgroup.

use super::mount as plain;
use crate::error::{Context, Result, anyhow};
use crate::fs::Root;
use crate::plan::mounts::{CgroupPart, PartSource, RootFlags};
use crate::plan::{Attributes, CgroupView};
use crate::sys::file::{self, CWD};
use crate::sys::mount::{self, Change, Depth};
use crate::sys::mountinfo::{self, MountLine};
use crate::sys::{self, Errno};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

pub fn mount(view: &CgroupView, attributes: &Attributes, target: OwnedFd) -> Result<()> {
    match view {
        CgroupView::V2 { fallback, flags } => {
            let bits = attributes.everywhere();
            let options = match flags {
                RootFlags::Ignored => Vec::new(),
                RootFlags::Repeated => flags_of_the_host().context("read the flags of the host's cgroup2")?,
            };
            let ready = Attributes::default(); // a new instance has its attributes from the start
            let (made, left) = match instance("cgroup2", &options, bits) {
                // A user namespace without a cgroup namespace of its own may not mount one.
                Err(sys::Error(Errno::EPERM | Errno::EBUSY)) => match mount::clone_tree(CWD, fallback, Depth::One) {
                    Ok(copy) => (copy, attributes),
                    // A user's container without a cgroup: nothing of the host's may show here (CVE-2023-25809).
                    Err(error) if is_withheld(error) => {
                        (instance("tmpfs", &[], bits | mount::ATTR_RDONLY).context("make a tmpfs")?, &ready)
                    }
                    Err(error) => return Err(error).context("bind the container's cgroup"),
                },
                other => (other.context("make a cgroup2 file system")?, &ready),
            };
            plain::attach(&made, target, left)?;
            plain::propagate(&made, attributes)
        }
        CgroupView::V1 { base, parts, links } => v1(base, parts, links, attributes, target),
    }
}

/// The flags of cgroup2's superblock, as options for a mount of it. Mounted without them from the first cgroup namespace, it
/// would lose them for the whole machine. Runs while the mount table still has the host's mounts.
fn flags_of_the_host() -> Result<Vec<(String, Option<String>)>> {
    let table = mountinfo::read(mountinfo::table()?)?;
    let line = table.lines().filter_map(MountLine::parse).find(|line| line.fs == "cgroup2");
    let line = line.ok_or_else(|| {
        anyhow!(
            "the mount namespace that is joined has no cgroup2 mount: add {{\"type\": \"cgroup\"}} to linux.namespaces, or \
             remove the cgroup mount"
        )
    })?;
    Ok(line.options.split(',').filter(|option| is_flag(option)).map(|flag| (flag.to_owned(), None)).collect())
}

/// Is it a flag of cgroup2 itself? `rw` and `ro` are every superblock's; a label belongs to a security module.
fn is_flag(option: &str) -> bool {
    !matches!(option, "" | "rw" | "ro" | "seclabel") && !option.contains('=')
}

/// Not there, or not for us: what a user meets to whom no cgroup is delegated.
fn is_withheld(error: sys::Error) -> bool {
    matches!(error.0, Errno::ENOENT | Errno::EACCES | Errno::EPERM)
}

/// A tmpfs with a directory for each hierarchy that the container has. It becomes read-only when it is furnished; its parts
/// are so from the start.
fn v1(
    base: &[(String, Option<String>)],
    parts: &[CgroupPart],
    links: &[(String, String)],
    attributes: &Attributes,
    target: OwnedFd,
) -> Result<()> {
    let bits = attributes.everywhere();
    let plain_bits = bits & !mount::ATTR_RDONLY;
    let ready = Attributes::default(); // as above
    let base = instance("tmpfs", base, plain_bits).context("make a tmpfs")?;
    mount::attach(&base, target)?;
    let root = Root::new(base);
    for part in parts {
        let named = || format!("mount hierarchy {}", part.name);
        let (made, left) = match &part.source {
            PartSource::Instance(options) => (instance("cgroup", options, bits), &ready),
            PartSource::Bind(source) => (mount::clone_tree(CWD, source, Depth::One), attributes),
        };
        let made = match made {
            Err(error) if is_withheld(error) => continue,
            made => made.with_context(named)?,
        };
        let place = root.make_dir(Path::new(&part.name)).with_context(named)?.file;
        plain::attach(&made, place, left).with_context(named)?;
    }
    for (name, to) in links {
        file::symlink(to, root.as_fd(), name).with_context(|| format!("link {name}"))?;
    }
    if bits & mount::ATTR_RDONLY != 0 {
        let read_only = Change { depth: Depth::One, set: mount::ATTR_RDONLY, clear: 0, unnamed: 0, propagation: 0 };
        mount::change_attached(&root, &read_only).context("make it read-only")?;
    }
    plain::propagate(&root, attributes)
}

fn instance(fs: &str, options: &[(String, Option<String>)], attributes: u64) -> sys::Result<OwnedFd> {
    let context = mount::begin(fs)?;
    for (key, value) in options {
        context.set(key, value.as_deref())?;
    }
    context.mount(attributes).map_err(|(error, _)| error)
}
