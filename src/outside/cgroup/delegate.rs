//! Hands the container's cgroup, or one below it, over to the container's user, who may divide it then.
//!
//! Runs in the runtime's process. config-linux.md, "Cgroup ownership": the directory and the files that the kernel names, which
//! move processes and pass controllers on; never a limit. cgroups(7), "Cgroup delegation".

use super::dir::{Dir, read};
use super::{Cgroup, join, v2};
use crate::error::{Context, Result};
use crate::plan::cgroup as plan;
use crate::sys::file::{self, CWD};
use crate::sys::{Errno, Error};
use std::path::{Path, PathBuf};

/// The kernel's list. Linux 4.15.
const LIST: &str = "/sys/kernel/cgroup/delegate";

/// The specification's, for want of that.
const WITHOUT_LIST: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads";

/// Makes the cgroup below, if there is to be one; otherwise gives the container's own away, if that is planned.
pub(super) fn hand_over(cgroup: &mut Cgroup, plan: &plan::Cgroup) -> Result<()> {
    let [dir] = &cgroup.dirs[..] else { return Ok(()) };
    if let Some(path) = &plan.place.subgroup {
        let (below, done) = dir.make_below(path);
        let below = cgroup.subgroup.insert(below);
        return done.and_then(|()| v2::make_valid(below));
    }
    plan.delegated_to.map_or(Ok(()), |uid| give(dir, uid))
}

/// The group stays: the specification speaks of the user alone.
fn give(dir: &Dir, uid: u32) -> Result<()> {
    let list = match read(CWD, Path::new(LIST)) {
        Err(Error(Errno::ENOENT)) => WITHOUT_LIST.to_owned(),
        list => list.with_context(|| format!("read {LIST}"))?,
    };
    let doing = |name: &str| format!("cgroup: give {dir}/{name} to user {uid}");
    let own = dir.fd().ok_or(Error(Errno::ENOENT)).and_then(|own| file::chown(own, Some(uid), None));
    own.with_context(|| doing(""))?;
    for name in list.lines().filter(|name| !name.is_empty() && !name.contains('/')) {
        match dir.open(name, libc::O_PATH | libc::O_NOFOLLOW) {
            Err(Error(Errno::ENOENT)) => {} // of a controller that is not enabled here
            file => file.and_then(|file| file::chown(file, Some(uid), None)).with_context(|| doing(name))?,
        }
    }
    Ok(())
}

/// Only when it has its cgroup namespace: that begins at the container's cgroup, and shows the one below as a part of it.
pub(super) fn move_below(cgroup: &Cgroup, pid: i32, owner: Option<u32>) -> Result<()> {
    let ([dir], Some(below)) = (&cgroup.dirs[..], &cgroup.subgroup) else { return Ok(()) };
    join::add(below, pid)?;
    // Now that nobody is left above: a cgroup with processes passes no controllers on.
    let steps = below.path().ancestors().skip(1).take_while(|path| path.starts_with(dir.path()));
    let mut above: Vec<PathBuf> = steps.map(Path::to_owned).collect();
    above.reverse();
    for path in above {
        let all = dir.read_parent(&path, "cgroup.controllers").unwrap_or_default();
        v2::enable_in(dir, &path, &all.split_whitespace().collect::<Vec<_>>()); // what it lacks, its owner sees
    }
    owner.map_or(Ok(()), |uid| give(below, uid)) // now that the files of the controllers are there
}
