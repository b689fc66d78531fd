//! /sys/fs/cgroup inside: the container's view of its own cgroup.

use super::mount as plain;
use crate::error::{Context, Result};
use crate::fs::Root;
use crate::plan::{Attributes, CgroupView, mounts::CgroupPart, mounts::PartSource};
use crate::sys::file::{self, CWD};
use crate::sys::mount::{self, Depth};
use crate::sys::{self, Errno};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

pub fn mount(view: &CgroupView, attributes: &Attributes, target: OwnedFd) -> Result<()> {
    match view {
        CgroupView::V2 { fallback } => {
            let made = match instance("cgroup2", &[], attributes.set) {
                // A user namespace without a cgroup namespace of its own may not mount one.
                Err(sys::Error(Errno::EPERM | Errno::EBUSY)) => {
                    let copy = mount::clone_tree(CWD, fallback, Depth::One).context("bind the container's cgroup")?;
                    plain::set(&copy, attributes)?;
                    copy
                }
                other => other.context("make a cgroup2 file system")?,
            };
            Ok(mount::attach(made, target)?)
        }
        CgroupView::V1 { base, parts, links } => v1(base, parts, links, attributes, target),
    }
}

/// A tmpfs with a directory for each hierarchy. It becomes read-only when it is furnished; its parts are so from the start.
fn v1(
    base: &[(String, Option<String>)],
    parts: &[CgroupPart],
    links: &[(String, String)],
    attributes: &Attributes,
    target: OwnedFd,
) -> Result<()> {
    let plain_bits = attributes.set & !mount::ATTR_RDONLY;
    let base = instance("tmpfs", base, plain_bits).context("make a tmpfs")?;
    mount::attach(&base, target)?;
    let root = Root::new(base);
    for part in parts {
        let named = || format!("mount hierarchy {}", part.name);
        let made = match &part.source {
            PartSource::Instance(options) => instance("cgroup", options, attributes.set).with_context(named)?,
            PartSource::Bind(source) => {
                let copy = mount::clone_tree(CWD, source, Depth::One).with_context(named)?;
                plain::set(&copy, attributes)?;
                copy
            }
        };
        let place = root.make_dir(Path::new(&part.name)).with_context(named)?;
        mount::attach(made, place.file).with_context(named)?;
    }
    for (name, to) in links {
        file::symlink(to, root.as_fd(), name).with_context(|| format!("link {name}"))?;
    }
    if attributes.is_read_only() {
        mount::set_attributes(&root, Depth::One, mount::ATTR_RDONLY, 0, 0).context("make it read-only")?;
    }
    Ok(())
}

fn instance(fs: &str, options: &[(String, Option<String>)], attributes: u64) -> sys::Result<OwnedFd> {
    let context = mount::begin(fs)?;
    for (key, value) in options {
        context.set(key, value.as_deref())?;
    }
    context.mount(attributes).map_err(|(error, _)| error)
}
