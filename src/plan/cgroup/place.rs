//! `linux.cgroupsPath` → the directory in each hierarchy. Pure; the same rules as runc's cgroupfs driver, because
//! engines look for their containers where runc puts them.

use super::{HierarchySpot, Layout, Spot};
use crate::error::{Result, bail, ensure};
use crate::plan::host::cgroup::{Cgroups, Hierarchy};
use std::path::{Component, Path, PathBuf};

/// NAME_MAX: what cgroupfs takes for one directory.
const LONGEST_NAME: usize = 255;

/// Below PATH_MAX, so that the mount and a file's name still fit.
const LONGEST_PATH: usize = 3800;

/// An absolute path is taken from the mount. A relative one, or the id for want of one, is taken
/// - on v2 from the *parent* of the runtime's own cgroup: its own has processes in it, and a cgroup with processes
///   cannot have children with controllers;
/// - on v1, which has no such rule, from the runtime's own cgroup in each hierarchy.
pub(super) fn layout(said: Option<&Path>, id: &str, host: &Cgroups, warnings: &mut Vec<String>) -> Result<Layout> {
    let said = said.map(|path| path.to_str().unwrap_or_default()).unwrap_or_default();
    let cleaned = clean(said)?;
    if said.starts_with('/') && cleaned.as_os_str().is_empty() {
        bail!("{said:?} is the root cgroup, which takes no limits; name a cgroup below it, or leave cgroupsPath out");
    }
    if said.matches(':').count() == 2 {
        warnings.push(format!(
            "linux.cgroupsPath: {said:?} looks like slice:prefix:name for systemd, and is used as a plain directory; \
             --systemd-cgroup makes a scope of it"
        ));
    }
    let absolute = said.starts_with('/');
    let name = if cleaned.as_os_str().is_empty() { clean(id)? } else { cleaned };
    let spot = |mount: &Path, base: &Path| -> Result<Spot> {
        let base = if absolute { PathBuf::new() } else { clean(base.to_str().unwrap_or_default())? };
        Ok(Spot { mount: mount.to_owned(), path: base.join(&name) })
    };
    Ok(match host {
        Cgroups::Missing => {
            ensure!(said.is_empty(), "no cgroup hierarchy is mounted on this machine; mount one at /sys/fs/cgroup");
            warnings.push("linux.cgroupsPath: no cgroup hierarchy is mounted: the container gets no cgroup".to_owned());
            Layout::Missing
        }
        Cgroups::V2 { mount, own } => Layout::V2(spot(mount, own.parent().unwrap_or(Path::new("")))?),
        Cgroups::V1 { hierarchies, unified } => {
            let on = |h: &Hierarchy| -> Result<HierarchySpot> {
                Ok(HierarchySpot { controllers: h.controllers.clone(), spot: spot(&h.mount, &h.own)? })
            };
            let unified = unified.as_ref().map(|h| spot(&h.mount, &h.own)).transpose()?;
            Layout::V1 { hierarchies: hierarchies.iter().map(on).collect::<Result<_>>()?, unified }
        }
    })
}

/// The path as if `/` were its root: relative, `.` and `..` resolved without looking, so that it cannot lead out of the
/// directory it is joined to. Refuses what the kernel would refuse later or print ambiguously.
pub(super) fn clean(said: &str) -> Result<PathBuf> {
    ensure!(
        !said.contains(['\0', '\n']),
        "{said:?} has a NUL or a newline in it, which no cgroup may have in its name"
    );
    let mut path = PathBuf::new();
    for component in Path::new(said).components() {
        match component {
            Component::ParentDir => drop(path.pop()),
            Component::Normal(name) => {
                ensure!(name.len() <= LONGEST_NAME, "{name:?} is longer than {LONGEST_NAME} bytes; shorten it");
                path.push(name);
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    ensure!(path.as_os_str().len() <= LONGEST_PATH, "is longer than {LONGEST_PATH} bytes; shorten it");
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(own: &str) -> Cgroups {
        Cgroups::V2 { mount: "/sys/fs/cgroup".into(), own: own.into() }
    }

    fn placed(said: Option<&str>, host: &Cgroups) -> String {
        match layout(said.map(Path::new), "ctr", host, &mut Vec::new()).unwrap() {
            Layout::V2(spot) => spot.full().display().to_string(),
            Layout::V1 { hierarchies, unified } => {
                let all = hierarchies.iter().map(|h| &h.spot).chain(unified.as_ref());
                all.map(|spot| spot.full().display().to_string()).collect::<Vec<_>>().join(" ")
            }
            Layout::Missing => "missing".to_owned(),
        }
    }

    #[test]
    fn on_v2_a_relative_path_is_a_sibling_of_the_runtime() {
        let host = v2("/system.slice/engine.service");
        for (said, expected) in [
            (None, "/sys/fs/cgroup/system.slice/ctr"),
            (Some(""), "/sys/fs/cgroup/system.slice/ctr"),
            (Some("a/b"), "/sys/fs/cgroup/system.slice/a/b"),
            (Some("../../a"), "/sys/fs/cgroup/system.slice/a"),
            (Some(".."), "/sys/fs/cgroup/system.slice/ctr"),
            (Some("/a/b"), "/sys/fs/cgroup/a/b"),
            (Some("/../../a/./../b//c/"), "/sys/fs/cgroup/b/c"),
        ] {
            assert_eq!(placed(said, &host), expected, "{said:?}");
        }
        assert_eq!(placed(None, &v2("/")), "/sys/fs/cgroup/ctr");
    }

    #[test]
    fn on_v1_a_relative_path_is_below_the_runtime_in_each_hierarchy() {
        let on = |name: &str, own: &str| Hierarchy {
            controllers: vec![name.to_owned()],
            mount: Path::new("/c").join(name),
            own: own.into(),
        };
        let unified = Hierarchy { controllers: Vec::new(), mount: "/c/unified".into(), own: "/".into() };
        let host = Cgroups::V1 { hierarchies: vec![on("memory", "/svc"), on("pids", "/")], unified: Some(unified) };
        assert_eq!(placed(Some("x"), &host), "/c/memory/svc/x /c/pids/x /c/unified/x");
        assert_eq!(placed(Some("/x"), &host), "/c/memory/x /c/pids/x /c/unified/x");
    }

    #[test]
    fn paths_that_no_cgroup_can_have_are_refused() {
        let long = "x".repeat(256);
        let deep = "x/".repeat(2000);
        for bad in ["/", "/..", "a\0b", "a\nb", long.as_str(), deep.as_str()] {
            assert!(layout(Some(Path::new(bad)), "ctr", &v2("/"), &mut Vec::new()).is_err(), "{bad:.20}");
        }
    }

    #[test]
    fn without_cgroups_a_path_is_refused_and_silence_is_a_warning() {
        let mut warnings = Vec::new();
        assert_eq!(layout(None, "ctr", &Cgroups::Missing, &mut warnings).unwrap(), Layout::Missing);
        assert_eq!(warnings.len(), 1);
        assert!(layout(Some(Path::new("/x")), "ctr", &Cgroups::Missing, &mut warnings).is_err());
    }
}
