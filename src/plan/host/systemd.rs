//! Which systemd would make a scope for us, and where in the hierarchy it keeps its units. Read only when somebody asks for
//! the systemd driver; runs in the runtime's process and changes nothing.

use super::cgroup::{self, Cgroups};
use crate::error::{Context, Result};
use crate::plan::cgroup::Manager;
use crate::sys::credentials;
use crate::sys::file::{self, CWD};
use std::path::{Path, PathBuf};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Systemd {
    pub manager: Manager,
    /// Its cgroup below the mount of the hierarchy, absolute: slices are below it.
    pub root: PathBuf,
}

/// Root of the first user namespace talks to the system's manager, everybody else to their own.
pub fn gather(cgroups: &Cgroups) -> Result<Systemd> {
    let first = read("/proc/1/cgroup").unwrap_or_default(); // hidden with hidepid=2: then systemd is at the top, as usual
    let top = manager_of_system(&first);
    let map = read("/proc/self/uid_map").context("read /proc/self/uid_map")?;
    let euid = credentials::effective_uid();
    if euid == 0 && is_whole(&map) {
        return Ok(Systemd { manager: Manager::System, root: top });
    }
    let own = match cgroups {
        Cgroups::V2 { own, .. } => own.as_path(),
        _ => Path::new("/"),
    };
    Ok(Systemd { manager: Manager::User, root: manager_of_user(own, &top, outside(&map, euid)) })
}

fn read(path: &str) -> Result<String> {
    Ok(String::from_utf8_lossy(&file::read_all(file::open(CWD, path, libc::O_RDONLY, 0)?, 1 << 16)?).into_owned())
}

/// PID 1 lives in `init.scope`, directly below the root of its units.
fn manager_of_system(cgroup_of_first: &str) -> PathBuf {
    let path = |line: &str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        matches!(controllers, "" | "name=systemd").then(|| path.to_owned())
    };
    let own =
        cgroup_of_first.lines().filter_map(path).find_map(|path| Some(path.strip_suffix("/init.scope")?.to_owned()));
    match own {
        Some(root) if !root.is_empty() => root.into(),
        _ => PathBuf::from("/"),
    }
}

/// We are below the service of the user's manager, or in a session beside it: systemd-logind has its place.
fn manager_of_user(own: &Path, top: &Path, uid: u32) -> PathBuf {
    let service = format!("user@{uid}.service");
    let above = own.ancestors().find(|path| path.file_name().is_some_and(|name| *name == *service));
    match above {
        Some(path) => path.to_owned(),
        None => cgroup::join(top, Path::new(&format!("/user.slice/user-{uid}.slice/{service}"))),
    }
}

/// Every id is itself: the first user namespace. user_namespaces(7).
fn is_whole(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// What our id is outside of our user namespace.
fn outside(map: &str, id: u32) -> u32 {
    let row = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse::<u32>);
        let (inside, outside, size) = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        id.checked_sub(inside).filter(|offset| *offset < size).and_then(|offset| outside.checked_add(offset))
    };
    map.lines().find_map(row).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_below_their_manager() {
        assert_eq!(manager_of_system("0::/init.scope\n"), Path::new("/"));
        assert_eq!(manager_of_system("3:cpu:/\n1:name=systemd:/lxc/a/init.scope\n0::/\n"), Path::new("/lxc/a"));
        assert_eq!(manager_of_system("0::/elsewhere\n"), Path::new("/"));
        let user = |own: &str| manager_of_user(Path::new(own), Path::new("/"), 1000).display().to_string();
        let service = "/user.slice/user-1000.slice/user@1000.service";
        assert_eq!(user("/user.slice/user-1000.slice/session-1.scope"), service);
        assert_eq!(user(&format!("{service}/user.slice/podman.scope")), service);
        assert_eq!(user(&format!("/lxc/a{service}/x")), format!("/lxc/a{service}"));
    }

    #[test]
    fn ids_are_read_from_outside() {
        assert!(is_whole("         0          0 4294967295\n") && !is_whole("0 1000 1\n"));
        assert_eq!(outside("0 1000 1\n1 100000 65536\n", 0), 1000);
        assert_eq!(outside("0 1000 1\n1 100000 65536\n", 5), 100_004);
        assert_eq!(outside("0 0 4294967295\n", 1000), 1000);
    }
}
