//! `linux.cgroupsPath` as slice:prefix:name → the scope that systemd makes, and its directory. Pure; the same rules as
//! runc's systemd driver, because engines look for their containers where runc puts them.

use super::{Cgroup, Layout, Manager, Owner, Place, Said, Scope, Spot, delegate, devices, place, settings, systemd};
use crate::error::{Context, Result, bail, ensure};
use crate::plan::host::systemd::Systemd;
use crate::plan::host::{Caller, Host};
use std::path::{Path, PathBuf};

/// crun(1): the container's processes live in a cgroup of this name below the scope's. Without it they live in the scope's
/// own, as with runc.
pub const SUBGROUP: &str = "run.oci.systemd.subgroup";

/// systemd.unit(5): no unit has a longer name.
const LONGEST_UNIT: usize = 255;

/// The cgroup of a new container, for `--systemd-cgroup`.
pub fn lower(said: Said, host: &Host, warnings: &mut Vec<String>) -> Result<Cgroup> {
    let Said { annotations, linux, id } = said;
    let known = host.systemd.as_ref().context("the systemd driver needs to know which systemd")?;
    let path = linux.cgroups_path().as_deref().map(|path| path.to_str().unwrap_or_default()).unwrap_or_default();
    let (slice, unit) = names(path, id, known.manager).context("linux.cgroupsPath")?;
    let path = below(&known.root, &slice).context("linux.cgroupsPath")?.join(&unit);
    let mut layout = place::layout(Some(&path), id, &host.cgroups, warnings).context("linux.cgroupsPath")?;
    check_layout(&layout, known.manager)?;
    let spot = match &layout {
        Layout::V2(spot) => Some(spot.path.clone()),
        _ => None,
    };
    if let Some(name) = annotations.and_then(|all| all.get(SUBGROUP)).filter(|name| !name.is_empty()) {
        add_subgroup(&mut layout, name).with_context(|| format!("annotations: {SUBGROUP}"))?;
    }
    let settings = settings(&said.resources(), &layout, warnings)?;
    let devices = match host.caller() {
        Caller::Root if known.manager == Manager::System => devices(&said.resources(), &layout, warnings)?,
        _ => None, // a user can make no node
    };
    let mut properties = systemd::for_new(id, &slice, &layout, &settings, devices.as_ref());
    systemd::add_annotated(&mut properties, annotations).context("annotations")?;
    let scope = Scope { unit, manager: known.manager, path: spot.unwrap_or_else(|| relative(&path)) };
    let subgroup = delegate::subgroup(annotations, &layout)?;
    let place = Place { owner: Owner::Systemd(scope), layout, subgroup };
    Ok(Cgroup { place, settings, devices, properties, delegated_to: None })
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

fn check_layout(layout: &Layout, manager: Manager) -> Result<()> {
    match layout {
        Layout::V2(_) => Ok(()),
        Layout::V1 { .. } if manager == Manager::System => Ok(()),
        Layout::V1 { .. } => {
            bail!("--systemd-cgroup: a user's systemd cannot limit anything with cgroup v1; leave the option out")
        }
        Layout::Missing => {
            bail!("--systemd-cgroup: no cgroup hierarchy is mounted on this machine; mount one at /sys/fs/cgroup")
        }
    }
}

/// The slice, unexpanded, and the name of the unit.
fn names(said: &str, id: &str, manager: Manager) -> Result<(String, String)> {
    let home = match manager {
        Manager::System => "system.slice",
        Manager::User => "user.slice",
    };
    if said.is_empty() {
        // The only character of an id that no unit may have in its name; escaped as systemd-escape(1) does it.
        return Ok((home.to_owned(), format!("rruntime-{}.scope", id.replace('+', "\\x2b"))));
    }
    let [slice, prefix, name] = said.split(':').collect::<Vec<_>>()[..] else {
        bail!(
            "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {said:?} instead; write \
             \"system.slice:engine:name\", leave it out, or do without --systemd-cgroup"
        )
    };
    ensure!(!name.is_empty(), "{said:?} has no name after the second colon; write slice:prefix:name");
    ensure!(
        !name.ends_with(".slice"),
        "{name:?} names a slice, and a slice holds other units but no processes; name a scope"
    );
    let unit = format!("{prefix}-{name}.scope");
    let bad = unit.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.\\@".contains(*c)));
    if let Some(bad) = bad {
        bail!("{unit:?}: no unit of systemd has a {bad:?} in its name; use letters, digits, \"-\", \"_\" and \".\"");
    }
    ensure!(unit.len() <= LONGEST_UNIT, "{unit:?} is longer than {LONGEST_UNIT} bytes; shorten it");
    Ok((if slice.is_empty() { home.to_owned() } else { slice.to_owned() }, unit))
}

/// The name of a slice is its way down: `a-b.slice` is `a.slice/a-b.slice`. systemd.slice(5).
fn below(root: &Path, slice: &str) -> Result<PathBuf> {
    let invalid = || format!("{slice:?} is no name of a slice; write it as a-b.slice, for b below a");
    let name = slice.strip_suffix(".slice").with_context(invalid)?;
    let mut path = root.to_owned();
    if name == "-" {
        return Ok(path);
    }
    let known = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_.\\@".contains(c));
    let parts: Vec<&str> = name.split('-').collect();
    for end in 1..=parts.len() {
        ensure!(known(parts[end - 1]), invalid());
        path.push(format!("{}.slice", parts[..end].join("-")));
    }
    Ok(path)
}

fn add_subgroup(layout: &mut Layout, name: &str) -> Result<()> {
    let path = place::clean(name)?;
    let plain = path.components().count() == 1 && path == Path::new(name);
    ensure!(plain, "{name:?} is not the name of one directory");
    match layout {
        Layout::V2(Spot { path: whole, .. }) => whole.push(path),
        _ => bail!("needs cgroup v2; leave it out"),
    }
    Ok(())
}

impl Scope {
    /// Names the systemd that a person can ask about it.
    pub fn systemctl(&self) -> &'static str {
        match self.manager {
            Manager::System => "systemctl",
            Manager::User => "systemctl --user",
        }
    }
}

impl Systemd {
    /// On a machine where it is as usual.
    #[cfg(test)]
    pub fn for_tests(manager: Manager) -> Systemd {
        let root = match manager {
            Manager::System => "/",
            Manager::User => "/user.slice/user-1000.slice/user@1000.service",
        };
        Systemd { manager, root: root.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::host::cgroup::Cgroups;

    fn planned(said: &str, manager: Manager, annotations: &[(&str, &str)]) -> Result<Cgroup> {
        let json = if said.is_empty() { "{}".to_owned() } else { format!(r#"{{"cgroupsPath": {said:?}}}"#) };
        let host = Host {
            cgroups: Cgroups::V2 { mount: "/c".into(), own: "/own".into() },
            systemd: Some(Systemd::for_tests(manager)),
            ..Host::for_tests()
        };
        let annotations = annotations.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let linux = serde_json::from_str(&json).unwrap();
        lower(Said { annotations: Some(&annotations), linux: &linux, id: "ctr+1" }, &host, &mut Vec::new())
    }

    fn placed(said: &str, manager: Manager, annotations: &[(&str, &str)]) -> String {
        match planned(said, manager, annotations).unwrap().place.layout {
            Layout::V2(spot) => spot.full().display().to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_scope_is_where_runc_puts_it() {
        for (said, path) in [
            ("", "/c/system.slice/rruntime-ctr\\x2b1.scope"),
            ("system.slice:docker:1234", "/c/system.slice/docker-1234.scope"),
            (":docker:1234", "/c/system.slice/docker-1234.scope"),
            ("::1234", "/c/system.slice/-1234.scope"),
            ("-.slice:docker:1", "/c/docker-1.scope"),
            (
                "kubepods-burstable-pod12_3.slice:cri:x",
                "/c/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod12_3.slice/cri-x.scope",
            ),
        ] {
            assert_eq!(placed(said, Manager::System, &[]), path, "{said}");
        }
        let user = "/c/user.slice/user-1000.slice/user@1000.service/user.slice";
        assert_eq!(placed("", Manager::User, &[]), format!("{user}/rruntime-ctr\\x2b1.scope"));
        assert_eq!(placed("user.slice:libpod:1", Manager::User, &[]), format!("{user}/libpod-1.scope"));
    }

    #[test]
    fn what_names_no_scope_is_refused() {
        for (said, why) in [
            ("/plain/path", "slice:prefix:name"),
            ("a:b", "slice:prefix:name"),
            ("a.slice:b:c:d", "slice:prefix:name"),
            ("system.slice:docker:", "no name"),
            ("system.slice::a.slice", "holds other units"),
            ("system.slice:docker:a b", "no unit of systemd has a ' '"),
            ("system.slice:docker:../a", "'/'"),
            ("docker:docker:a", "no name of a slice"),
            ("a--b.slice:docker:a", "no name of a slice"),
            ("-a.slice:docker:a", "no name of a slice"),
            (".slice:docker:a", "no name of a slice"),
            ("a/../b.slice:docker:a", "no name of a slice"),
        ] {
            let error = format!("{:#}", planned(said, Manager::System, &[]).expect_err(said));
            assert!(error.starts_with("linux.cgroupsPath: ") && error.contains(why), "{said}: {error}");
        }
    }

    #[test]
    fn a_subgroup_is_one_directory_below_the_scope() {
        let in_subgroup = |name: &str| placed("system.slice:a:b", Manager::System, &[(SUBGROUP, name)]);
        assert_eq!(in_subgroup("container"), "/c/system.slice/a-b.scope/container");
        assert_eq!(in_subgroup(""), "/c/system.slice/a-b.scope");
        for bad in ["..", "a/b", "/a", "."] {
            assert!(planned("", Manager::System, &[(SUBGROUP, bad)]).is_err(), "{bad}");
        }
        let place = planned("system.slice:a:b", Manager::System, &[(SUBGROUP, "x")]).unwrap().place;
        let Owner::Systemd(scope) = place.owner else { panic!() };
        assert_eq!((scope.unit.as_str(), scope.path.as_path()), ("a-b.scope", Path::new("system.slice/a-b.scope")));
    }
}
