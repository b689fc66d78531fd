//! linux.namespaces, id mappings and time offsets: which namespaces are made, which are joined.

use super::host::{Caller, Host};
use crate::error::{Context, Result, bail, ensure};
use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Every namespace type: the spec's word and the kernel's bit. In the order in which joined ones are entered: the user
/// namespace first, since it gives the right to enter the others; the mount namespace last but for it, since paths change
/// their meaning there.
pub const KINDS: [(LinuxNamespaceType, &str, i32); 8] = [
    (LinuxNamespaceType::User, "user", libc::CLONE_NEWUSER),
    (LinuxNamespaceType::Ipc, "ipc", libc::CLONE_NEWIPC),
    (LinuxNamespaceType::Uts, "uts", libc::CLONE_NEWUTS),
    (LinuxNamespaceType::Network, "network", libc::CLONE_NEWNET),
    (LinuxNamespaceType::Pid, "pid", libc::CLONE_NEWPID),
    (LinuxNamespaceType::Cgroup, "cgroup", libc::CLONE_NEWCGROUP),
    (LinuxNamespaceType::Time, "time", libc::CLONE_NEWTIME),
    (LinuxNamespaceType::Mount, "mount", libc::CLONE_NEWNS),
];

#[derive(Debug)]
pub struct Namespaces {
    /// `CLONE_NEW*` bits of those to be made.
    pub new: i32,
    /// Those to be joined, in the order of `KINDS`.
    pub join: Vec<Join>,
    /// Present exactly when a user namespace is made.
    pub maps: Option<IdMaps>,
    /// What config.json says about a user namespace that is joined: it must be so already.
    pub joined_maps: Option<JoinedMaps>,
    /// Only with a new time namespace.
    pub time_offsets: Vec<TimeOffset>,
}

/// What a joined user namespace is said to map.
#[derive(Debug)]
pub struct JoinedMaps {
    pub uids: Vec<IdMap>,
    pub gids: Vec<IdMap>,
}

#[derive(Debug)]
pub struct Join {
    pub kind: i32,
    pub path: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMaps {
    pub uids: Vec<IdMap>,
    pub gids: Vec<IdMap>,
    pub writer: MapWriter,
}

/// Who may write the maps. user_namespaces(7), "Defining user and group ID mappings".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapWriter {
    /// The parent: it has CAP_SETUID and CAP_SETGID.
    Root,
    /// The parent, its own two ids and nothing else; the price is setgroups(2) denied for ever.
    OwnIds,
    /// newuidmap(1) and newgidmap(1), within /etc/subuid and /etc/subgid.
    Helpers,
}

/// `size` ids from `container` on are the host's from `host` on.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    pub container: u32,
    pub host: u32,
    pub size: u32,
}

#[derive(Debug)]
pub struct TimeOffset {
    /// `monotonic` or `boottime`.
    pub clock: String,
    pub seconds: i64,
    pub nanoseconds: u32,
}

impl Namespaces {
    /// Bits of the namespaces that the container has, made or joined.
    pub fn own(&self) -> i32 {
        self.join.iter().fold(self.new, |bits, join| bits | join.kind)
    }

    /// The bits that the clone itself makes. The cgroup namespace waits for the placement (its root is the cgroup that its
    /// maker is in), a time namespace with offsets is made by its first inhabitant.
    pub fn at_birth(&self) -> i32 {
        let later = if self.time_offsets.is_empty() { 0 } else { libc::CLONE_NEWTIME };
        self.new & !libc::CLONE_NEWCGROUP & !later
    }

    pub fn makes(&self, kind: i32) -> bool {
        self.new & kind != 0
    }

    pub fn joins(&self, kind: i32) -> bool {
        self.join.iter().any(|join| join.kind == kind)
    }

    /// Is the pid namespace joined by a fork, after everything else? `Plan::forks_late`.
    pub fn joins_pid_late(&self) -> bool {
        self.joins(libc::CLONE_NEWPID) && !self.has(libc::CLONE_NEWUSER)
    }

    pub fn has(&self, kind: i32) -> bool {
        self.own() & kind != 0
    }
}

/// The spec's word for a `CLONE_NEW*` bit.
pub fn name(kind: i32) -> &'static str {
    KINDS.iter().find(|(_, _, bit)| *bit == kind).map_or("unknown", |(_, name, _)| name)
}

/// The kernel's name of the file in /proc/PID/ns.
pub fn proc_name(kind: i32) -> &'static str {
    match kind {
        libc::CLONE_NEWNET => "net",
        libc::CLONE_NEWNS => "mnt",
        _ => name(kind),
    }
}

pub(super) fn lower(linux: &Linux, host: &Host) -> Result<Namespaces> {
    let mut seen = 0;
    let mut namespaces =
        Namespaces { new: 0, join: Vec::new(), maps: None, joined_maps: None, time_offsets: Vec::new() };
    for (index, namespace) in linux.namespaces().iter().flatten().enumerate() {
        let (_, word, bit) = KINDS.into_iter().find(|(typ, ..)| *typ == namespace.typ()).expect("KINDS has every type");
        if seen & bit != 0 {
            bail!("namespaces[{index}]: a second {word} namespace; keep one of them");
        }
        seen |= bit;
        match namespace.path() {
            Some(path) if !path.as_os_str().is_empty() => {
                ensure!(
                    path.is_absolute(),
                    "namespaces[{index}].path: {} is not absolute; write the full path, as \"/run/netns/x\"",
                    path.display()
                );
                namespaces.join.push(Join { kind: bit, path: path.clone() });
            }
            _ => namespaces.new |= bit,
        }
    }
    namespaces.join.sort_by_key(|join| KINDS.iter().position(|(_, _, bit)| *bit == join.kind));
    if host.caller() == Caller::User && !namespaces.has(libc::CLONE_NEWUSER) {
        bail!(
            "namespaces: user {} has no right to make containers without a user namespace: add {{\"type\": \"user\"}} with \
             uidMappings and gidMappings (`rruntime spec --rootless` writes such a file), or run rruntime as root",
            host.euid
        );
    }
    namespaces.maps = maps(linux, &namespaces, host)?;
    namespaces.joined_maps = joined_maps(linux, &namespaces)?;
    namespaces.time_offsets = time_offsets(linux, &namespaces)?;
    Ok(namespaces)
}

fn maps(linux: &Linux, namespaces: &Namespaces, host: &Host) -> Result<Option<IdMaps>> {
    let (uids, gids) = (linux.uid_mappings(), linux.gid_mappings());
    let given = uids.iter().flatten().next().is_some() || gids.iter().flatten().next().is_some();
    if !namespaces.makes(libc::CLONE_NEWUSER) {
        ensure!(
            !given || namespaces.joins(libc::CLONE_NEWUSER),
            "uidMappings: need a user namespace; add {{\"type\": \"user\"}} to linux.namespaces"
        );
        return Ok(None);
    }
    let uids = one_map(uids.as_deref().unwrap_or_default()).context("uidMappings")?;
    let gids = one_map(gids.as_deref().unwrap_or_default()).context("gidMappings")?;
    let only = |map: &[IdMap], id: u32| matches!(map, [one] if one.size == 1 && one.host == id);
    let writer = match host.caller() {
        Caller::Root => MapWriter::Root,
        Caller::User if only(&uids, host.euid) && only(&gids, host.egid) => MapWriter::OwnIds,
        Caller::User => MapWriter::Helpers,
    };
    Ok(Some(IdMaps { uids, gids, writer }))
}

/// A user or group id, as config.json or the command line says it. The highest number is none: to the kernel it means
/// "leave the id as it is", so that setresuid(2) succeeds and the process stays root.
pub fn id(value: u32) -> Result<u32> {
    ensure!(value != u32::MAX, "{value} is no id; the highest one is {}", u32::MAX - 1);
    Ok(value)
}

/// Does the map give this id of the container a host's?
pub fn is_mapped(map: &[IdMap], id: u32) -> bool {
    on_host(map, id).is_some()
}

/// The host's id for one of the container's.
pub fn on_host(map: &[IdMap], id: u32) -> Option<u32> {
    let in_line = |line: &IdMap| {
        let offset = id.checked_sub(line.container).filter(|offset| *offset < line.size)?;
        line.host.checked_add(offset)
    };
    map.iter().find_map(in_line)
}

/// Engines name the mappings also where the user namespace is joined: for the containers of a pod.
fn joined_maps(linux: &Linux, namespaces: &Namespaces) -> Result<Option<JoinedMaps>> {
    let (uids, gids) = (linux.uid_mappings(), linux.gid_mappings());
    let given = uids.iter().flatten().next().is_some() || gids.iter().flatten().next().is_some();
    if !given || !namespaces.joins(libc::CLONE_NEWUSER) {
        return Ok(None);
    }
    let uids = one_map(uids.as_deref().unwrap_or_default()).context("uidMappings")?;
    Ok(Some(JoinedMaps { uids, gids: one_map(gids.as_deref().unwrap_or_default()).context("gidMappings")? }))
}

fn one_map(lines: &[LinuxIdMapping]) -> Result<Vec<IdMap>> {
    ensure!(!lines.is_empty(), "is missing; a new user namespace needs at least one mapping");
    checked_map(lines)
}

/// The kernel takes at most 340 lines, in one write of less than a page. user_namespaces(7).
pub(super) fn checked_map(lines: &[LinuxIdMapping]) -> Result<Vec<IdMap>> {
    let map: Vec<IdMap> =
        lines.iter().map(|l| IdMap { container: l.container_id(), host: l.host_id(), size: l.size() }).collect();
    ensure!(map.len() <= 340 && map_text(&map).len() < 4096, "{} mappings are more than the kernel takes", map.len());
    for (index, line) in map.iter().enumerate() {
        ensure!(line.size > 0, "[{index}].size: is 0; map at least one id");
        let fits = |start: u32| start.checked_add(line.size - 1).is_some_and(|last| last < u32::MAX);
        ensure!(fits(line.container) && fits(line.host), "[{index}]: goes beyond the highest id");
        for other in &map[..index] {
            let overlap = |a: u32, b: u32| a < b.saturating_add(other.size) && b < a.saturating_add(line.size);
            let both = overlap(line.container, other.container) || overlap(line.host, other.host);
            ensure!(!both, "[{index}]: overlaps an earlier mapping");
        }
    }
    Ok(map)
}

/// The text for uid_map and gid_map.
pub fn map_text(map: &[IdMap]) -> String {
    map.iter().map(|m| format!("{} {} {}\n", m.container, m.host, m.size)).collect()
}

fn time_offsets(linux: &Linux, namespaces: &Namespaces) -> Result<Vec<TimeOffset>> {
    let mut offsets = Vec::new();
    for (clock, offset) in linux.time_offsets().iter().flatten() {
        ensure!(
            namespaces.makes(libc::CLONE_NEWTIME),
            "timeOffsets: need a new time namespace; add {{\"type\": \"time\"}} without a path to linux.namespaces"
        );
        ensure!(
            clock == "monotonic" || clock == "boottime",
            "timeOffsets: no clock is called {clock:?}; there are \"monotonic\" and \"boottime\""
        );
        let nanoseconds = offset.nanosecs().unwrap_or(0);
        ensure!(nanoseconds < 1_000_000_000, "timeOffsets.{clock}.nanosecs: {nanoseconds} is a second or more");
        offsets.push(TimeOffset { clock: clock.clone(), seconds: offset.secs().unwrap_or(0), nanoseconds });
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(json: &str) -> Result<Namespaces> {
        let linux: Linux = serde_json::from_str(json).unwrap();
        lower(&linux, &Host::for_tests())
    }

    #[test]
    fn a_second_namespace_of_a_type_is_refused() {
        let error = lowered(r#"{"namespaces":[{"type":"pid"},{"type":"pid","path":"/x"}]}"#).unwrap_err();
        assert!(error.to_string().starts_with("namespaces[1]: a second pid namespace"));
    }

    #[test]
    fn an_empty_path_means_new() {
        let namespaces =
            lowered(r#"{"namespaces":[{"type":"pid","path":""},{"type":"network","path":"/n"}]}"#).unwrap();
        assert!(namespaces.makes(libc::CLONE_NEWPID) && namespaces.joins(libc::CLONE_NEWNET));
        assert_eq!(namespaces.own(), libc::CLONE_NEWPID | libc::CLONE_NEWNET);
    }

    #[test]
    fn overlapping_and_oversized_maps_are_refused() {
        let with = |map: &str| {
            lowered(&format!(r#"{{"namespaces":[{{"type":"user"}}],"uidMappings":[{map}],"gidMappings":[{map}]}}"#))
        };
        assert!(with(r#"{"containerID":0,"hostID":1000,"size":10}"#).is_ok());
        let twice = r#"{"containerID":0,"hostID":1000,"size":10},{"containerID":5,"hostID":3000,"size":10}"#;
        assert!(format!("{:#}", with(twice).unwrap_err()).contains("uidMappings: [1]: overlaps"));
        assert!(with(r#"{"containerID":0,"hostID":4294967295,"size":1}"#).is_err());
        assert!(with("").is_err());
    }
}
