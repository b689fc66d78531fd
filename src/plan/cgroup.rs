//! Which cgroup a container gets, and what is written into it. Pure.
//!
//! Two axes: `Owner` says who makes and removes the directories, `Layout` where the files of a controller lie. *What*
//! is written is a list of `Setting`s, lowered from `linux.resources` by the tables in `v1` and `v2`, one row per knob.
//! After this every value has been checked as far as that is possible without asking the kernel.

pub mod delegate;
mod place;
pub mod scope;
pub mod systemd;
mod table;
mod v1;
mod v2;
pub mod variant;
mod view;

pub use view::view;

use super::device_rules::{self, DeviceRules};
use super::host::cgroup::{Cgroups, Hierarchy};
use super::host::{Caller, Host};
use crate::error::{Context, Result, bail, ensure};
use oci_spec::runtime::{Linux, LinuxResources};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// `--systemd-cgroup`, `--cgroup-manager`: who is to make the container's cgroup.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Driver {
    /// The runtime, in cgroupfs.
    #[default]
    Cgroupfs,
    Systemd,
    /// Nobody: the container stays in the caller's.
    Disabled,
}

/// The plan for a container's cgroup.
#[derive(Clone, PartialEq, Debug)]
pub struct Cgroup {
    pub place: Place,
    /// In the order of writing.
    pub settings: Vec<Setting>,
    /// `None` where no device controller exists to enforce them.
    pub devices: Option<DeviceRules>,
    /// What systemd is told, if it makes the cgroup.
    pub properties: Vec<systemd::Property>,
    /// The user of the host who is given the container's cgroup, or its `subgroup`, to divide it.
    pub delegated_to: Option<u32>,
}

/// All that later commands need to find the cgroup again; saved with the container.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Place {
    pub owner: Owner,
    pub layout: Layout,
    /// Where below it the processes live, if they are to divide that by themselves. v2 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subgroup: Option<PathBuf>,
}

/// Who makes and removes the directories.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Owner {
    Us,
    /// It makes the directory around the container's first process, and removes it.
    Systemd(Scope),
    /// There are none.
    Nobody,
}

/// A transient unit of systemd. systemd.scope(5).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Scope {
    pub unit: String,
    pub manager: Manager,
    /// Its own directory below the mount, relative; the container's may be one below.
    pub path: PathBuf,
}

/// Which systemd.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Manager {
    System,
    User,
}

/// Where a setting's file lives.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Layout {
    V2(Spot),
    /// One directory per hierarchy; in hybrid mode `unified` too.
    V1 {
        hierarchies: Vec<HierarchySpot>,
        unified: Option<Spot>,
    },
    Missing,
}

/// A directory of cgroupfs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Spot {
    pub mount: PathBuf,
    /// Below the mount: relative, without `.` and `..`, never empty.
    pub path: PathBuf,
}

/// A directory of a v1 hierarchy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HierarchySpot {
    /// As in `host::cgroup::Hierarchy`.
    pub controllers: Vec<String>,
    #[serde(flatten)]
    pub spot: Spot,
}

/// One write to one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Whose file it is: on v1 it decides about the directory, on v2 it must be enabled for the file to exist. `cgroup`
    /// for the core files of v2.
    pub controller: Cow<'static, str>,
    pub file: Cow<'static, str>,
    pub value: String,
    pub if_missing: IfMissing,
}

/// What a setting does when the kernel has no such file although the controller is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IfMissing {
    Fail,
    /// Nothing is lost: the kernel does by default what the value asks for, or another setting covers it.
    Skip,
    /// Another file has the same meaning.
    Instead(Box<Setting>),
}

impl Place {
    /// Must the first process be put into directories that it cannot be born into? Those of v1, and those that are made
    /// around it.
    pub fn needs_placing(&self) -> bool {
        self.owner != Owner::Nobody && (self.is_v1() || matches!(self.owner, Owner::Systemd(_)))
    }

    /// The same for one more process. A user may write no process of a session into the tree of the user's manager: that
    /// asks the system's for it.
    pub fn needs_placing_later(&self) -> bool {
        let of_user = matches!(&self.owner, Owner::Systemd(scope) if scope.manager == Manager::User);
        self.owner != Owner::Nobody && (self.is_v1() || of_user)
    }

    fn is_v1(&self) -> bool {
        matches!(&self.layout, Layout::V1 { hierarchies, .. } if !hierarchies.is_empty())
    }

    /// The caller's own cgroup, where a container without one stays.
    pub fn of_caller(host: &Cgroups) -> Place {
        let spot = |mount: &Path, own: &Path| {
            let path = own.strip_prefix("/").unwrap_or(own);
            Spot { mount: mount.to_owned(), path: if path.as_os_str().is_empty() { ".".into() } else { path.into() } }
        };
        let layout = match host {
            Cgroups::Missing => Layout::Missing,
            Cgroups::V2 { mount, own } => Layout::V2(spot(mount, own)),
            Cgroups::V1 { hierarchies, unified } => {
                let on =
                    |h: &Hierarchy| HierarchySpot { controllers: h.controllers.clone(), spot: spot(&h.mount, &h.own) };
                Layout::V1 {
                    hierarchies: hierarchies.iter().map(on).collect(),
                    unified: unified.as_ref().map(|h| spot(&h.mount, &h.own)),
                }
            }
        };
        Place { owner: Owner::Nobody, layout, subgroup: None }
    }
}

impl Spot {
    pub fn full(&self) -> PathBuf {
        self.mount.join(&self.path)
    }
}

impl Layout {
    /// Is there a directory whose files this controller has?
    fn has(&self, controller: &str) -> bool {
        match self {
            Layout::V2(_) => true, // whether it is enabled, or can be, only the kernel knows
            Layout::V1 { hierarchies, .. } => hierarchies.iter().any(|h| h.controllers.iter().any(|c| c == controller)),
            Layout::Missing => false,
        }
    }

    /// The kernel has its device programs in the unified hierarchy of a hybrid machine as well.
    fn has_device_programs(&self) -> bool {
        matches!(self, Layout::V2(_) | Layout::V1 { unified: Some(_), .. })
    }
}

/// What config.json says about the cgroup of a container, and the id that names it where that says nothing.
#[derive(Clone, Copy)]
pub struct Said<'a> {
    pub annotations: Option<&'a HashMap<String, String>>,
    pub linux: &'a Linux,
    pub id: &'a str,
}

impl Said<'_> {
    fn resources(&self) -> Cow<'_, LinuxResources> {
        self.linux.resources().as_ref().map_or_else(|| Cow::Owned(LinuxResources::default()), Cow::Borrowed)
    }
}

/// The cgroup of a new container.
pub fn lower(said: Said, host: &Host, warnings: &mut Vec<String>) -> Result<Cgroup> {
    let path = said.linux.cgroups_path().as_deref();
    let layout = place::layout(path, said.id, &host.cgroups, warnings).context("linux.cgroupsPath")?;
    let settings = settings(&said.resources(), &layout, warnings)?;
    let devices = match host.caller() {
        Caller::Root => devices(&said.resources(), &layout, warnings)?,
        // A user can make no node, and opens through a bind mount what the host lets that user open anyway.
        Caller::User => None,
    };
    let owner = if layout == Layout::Missing { Owner::Nobody } else { Owner::Us };
    let subgroup = delegate::subgroup(said.annotations, &layout)?;
    let place = Place { owner, layout, subgroup };
    Ok(Cgroup { place, settings, devices, properties: Vec::new(), delegated_to: None })
}

/// `--cgroup-manager disabled`: no cgroup, and so no limits. Which is no secret to be found out by looking.
pub fn disabled(said: Said, host: &Host, warnings: &mut Vec<String>) -> Result<Cgroup> {
    delegate::subgroup(said.annotations, &Layout::Missing)?;
    let would_be = lower(Said { annotations: None, ..said }, host, &mut Vec::new())?;
    ensure!(
        would_be.settings.is_empty(),
        "linux.resources: limits need a cgroup, and --cgroup-manager disabled asks for none; leave out one of them"
    );
    let restricts = would_be.devices.is_some_and(|rules| !rules.allow_everything());
    if restricts && said.resources().devices().is_some() {
        warnings.push(
            "linux.resources.devices: --cgroup-manager disabled: the container may open every device that it can make a \
             node for"
                .to_owned(),
        );
    }
    Ok(Cgroup::none())
}

impl Cgroup {
    /// None at all.
    pub fn none() -> Cgroup {
        let place = Place { owner: Owner::Nobody, layout: Layout::Missing, subgroup: None };
        Cgroup { place, settings: Vec::new(), devices: None, properties: Vec::new(), delegated_to: None }
    }
}

/// What `linux.resources` asks for, without the device rules. Refuses what this layout cannot do; an update lowers its
/// merged resources here again.
pub fn settings(resources: &LinuxResources, layout: &Layout, warnings: &mut Vec<String>) -> Result<Vec<Setting>> {
    let rows = match layout {
        Layout::V2(_) => v2::TABLE,
        Layout::V1 { .. } | Layout::Missing => v1::TABLE,
    };
    table::lower(rows, resources, layout, warnings)
}

fn devices(resources: &LinuxResources, layout: &Layout, warnings: &mut Vec<String>) -> Result<Option<DeviceRules>> {
    let said = resources.devices().as_deref().unwrap_or_default();
    let rules = device_rules::lower(said).context("linux.resources.devices")?;
    if layout.has("devices") && !matches!(layout, Layout::V2(_)) {
        rules.writes(None).context("linux.resources.devices")?; // what v1 cannot do is refused here
        return Ok(Some(rules));
    }
    if layout.has_device_programs() {
        return Ok(Some(rules));
    }
    ensure!(said.is_empty(), "linux.resources.devices: {}", table::no_controller("devices"));
    warnings.push(
        "linux.resources.devices: no devices controller is mounted on this machine: the container may open every \
         device that it can make a node for"
            .to_owned(),
    );
    Ok(None)
}

/// `exec --cgroup`: a cgroup below the container's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubCgroup {
    /// Only for these controllers of v1; none: for all of them, or for v2.
    pub controllers: Vec<String>,
    /// Relative, without `.` and `..`; empty for the container's own.
    pub path: PathBuf,
}

/// Parses the values of `--cgroup`: one `PATH`, or any number of `CONTROLLER[,CONTROLLER…]:PATH`.
pub fn sub_cgroups(said: &[impl AsRef<str>]) -> Result<Vec<SubCgroup>> {
    let mut parsed: Vec<SubCgroup> = Vec::new();
    for text in said.iter().map(AsRef::as_ref) {
        let sub = sub_cgroup(text).with_context(|| format!("--cgroup {text:?}"))?;
        let repeated = sub.controllers.iter().find(|c| parsed.iter().any(|other| other.controllers.contains(*c)));
        if let Some(controller) = repeated {
            bail!("--cgroup {text:?}: controller {controller} is named twice; give it one path");
        }
        ensure!(
            said.len() == 1 || !sub.controllers.is_empty(),
            "--cgroup {text:?}: only one path without a CONTROLLER: prefix makes sense; give one, or prefix each"
        );
        parsed.push(sub);
    }
    Ok(parsed)
}

fn sub_cgroup(text: &str) -> Result<SubCgroup> {
    let (controllers, path) = match text.split_once(':') {
        None => (Vec::new(), text),
        Some((names, path)) => (names.split(',').map(str::to_owned).collect(), path),
    };
    ensure!(controllers.iter().all(|c| !c.is_empty()), "a controller before the colon is empty; write CONTROLLER:PATH");
    // Compared component by component: a string prefix let `../ctr10` pass for a child of `ctr1` elsewhere.
    let up = Path::new(path).components().any(|c| c == std::path::Component::ParentDir);
    ensure!(!up, "bad sub cgroup path: {path}: it must lie below the container's cgroup; write it without \"..\"");
    Ok(SubCgroup { controllers, path: place::clean(path)? })
}

#[cfg(test)]
mod fields_tests;
#[cfg(test)]
mod settings_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_the_trip_through_json() {
        let spot = |mount: &str| Spot { mount: mount.into(), path: "a/b".into() };
        let hierarchies =
            vec![HierarchySpot { controllers: vec!["cpu".into(), "cpuacct".into()], spot: spot("/c/cpu") }];
        let layout = Layout::V1 { hierarchies, unified: Some(spot("/c/unified")) };
        for layout in [layout, Layout::V2(spot("/c")), Layout::Missing] {
            let place = Place { owner: Owner::Us, layout, subgroup: None };
            let text = serde_json::to_string(&place).unwrap();
            assert_eq!(serde_json::from_str::<Place>(&text).unwrap(), place);
        }
    }

    #[test]
    fn sub_cgroups_are_parsed_per_controller() {
        let parsed = sub_cgroups(&["memory:sub", "cpu,cpuacct:/a//./b"]).unwrap();
        assert_eq!(parsed[0], SubCgroup { controllers: vec!["memory".into()], path: "sub".into() });
        assert_eq!(parsed[1], SubCgroup { controllers: vec!["cpu".into(), "cpuacct".into()], path: "a/b".into() });
        assert_eq!(sub_cgroups(&["/"]).unwrap()[0].path, Path::new(""));
        assert_eq!(sub_cgroups(&[""; 0]).unwrap(), []);
    }

    #[test]
    fn sub_cgroups_stay_below_the_container() {
        for bad in ["..", "../ctr10", "/../ctr10", "a/../../ctr10", "cpu:a/..", ":x", "cpu,:x", "a\nb"] {
            assert!(sub_cgroups(&[bad]).is_err(), "{bad}");
        }
        assert!(sub_cgroups(&["cpu:a", "cpu:b"]).is_err());
        assert!(sub_cgroups(&["a", "b"]).is_err());
    }
}
