//! Looks at what a user namespace needs when a user makes it: the switches of distributions, the helpers, subordinate ids.

use super::files::place_of_namespace;
use super::machine::{number, read};
use super::{Finding, Scene};
use crate::plan::host::Caller;
use crate::plan::namespaces::{IdMap, IdMaps, MapWriter};
use std::path::Path;

/// Where `outside::idmap` finds newuidmap and newgidmap.
const HELPER_DIRS: [&str; 7] =
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin", "/run/wrappers/bin"];

pub fn user_namespaces(scene: &Scene, findings: &mut Vec<Finding>) {
    if scene.plan.caller == Caller::Root || !scene.sandbox.namespaces.makes(libc::CLONE_NEWUSER) {
        return;
    }
    let place = place_of_namespace(scene, libc::CLONE_NEWUSER);
    if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        let text = "only root may make user namespaces here: set the sysctl kernel.unprivileged_userns_clone to 1";
        findings.push(Finding::error(&place, text).of_this_user());
    }
    if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        let text = "AppArmor gives no rights in user namespaces to programs without a profile that says \"userns\": write one for \
                    rruntime, or set the sysctl kernel.apparmor_restrict_unprivileged_userns to 0";
        findings.push(Finding::warning(&place, text));
    }
}

/// The maps, if newuidmap and newgidmap are to write them.
fn helped<'a>(scene: &Scene<'a>) -> Option<&'a IdMaps> {
    scene.sandbox.namespaces.maps.as_ref().filter(|maps| maps.writer == MapWriter::Helpers)
}

pub fn helpers(scene: &Scene, findings: &mut Vec<Finding>) {
    if helped(scene).is_none() {
        return;
    }
    for (program, place) in [("newuidmap", "linux.uidMappings"), ("newgidmap", "linux.gidMappings")] {
        if !HELPER_DIRS.iter().any(|dir| Path::new(dir).join(program).exists()) {
            let text = format!(
                "more ids than the user's own need the program {program}: install it (package uidmap, or shadow-utils), or map \
                 only the own id"
            );
            findings.push(Finding::error(place, text).of_this_user());
        }
    }
}

pub fn subordinate(scene: &Scene, findings: &mut Vec<Finding>) {
    let Some(maps) = helped(scene) else { return };
    let (uid, gid) = (scene.host.euid, scene.host.egid);
    let passwd = read("/etc/passwd");
    let names = names(&passwd, uid);
    for (field, file, map, own) in
        [("uidMappings", "/etc/subuid", &maps.uids, uid), ("gidMappings", "/etc/subgid", &maps.gids, gid)]
    {
        let ranges = ranges(&read(file), &names);
        for (index, line) in map.iter().enumerate() {
            let is_own = line.size == 1 && line.host == own;
            if !is_own && !covers(&ranges, line) {
                let last = line.host + (line.size - 1);
                let text = format!(
                    "{file} does not give user {uid} the ids {} to {last}: add a line such as \"{}:{}:{}\", or map others",
                    line.host,
                    names.first().map_or("", String::as_str),
                    line.host,
                    line.size
                );
                findings.push(Finding::error(format!("linux.{field}[{index}]"), text).of_this_user());
            }
        }
    }
}

/// By what a user may be called in /etc/subuid: the names in /etc/passwd, and the number. subuid(5).
fn names(passwd: &str, uid: u32) -> Vec<String> {
    let fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let own = fields.filter(|fields| fields.get(2).and_then(|id| id.parse().ok()) == Some(uid));
    own.map(|fields| fields[0].to_owned()).chain([uid.to_string()]).collect()
}

/// `name:first:count`, the ranges of one user as first and count.
fn ranges(text: &str, names: &[String]) -> Vec<(u64, u64)> {
    let line = |line: &str| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let (first, count) = (fields.next()?.trim().parse().ok()?, fields.next()?.trim().parse().ok()?);
        names.iter().any(|name| name == owner).then_some((first, count))
    };
    text.lines().filter_map(line).collect()
}

fn covers(ranges: &[(u64, u64)], line: &IdMap) -> bool {
    let (first, size) = (u64::from(line.host), u64::from(line.size));
    ranges.iter().any(|(start, count)| first >= *start && first + size <= start.saturating_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subordinate_ids_belong_to_a_name_or_a_number() {
        let names = names("root:x:0:0::/:\nann:x:1000:1000::/:\n", 1000);
        assert_eq!(names, ["ann", "1000"]);
        let ranges = ranges("bob:5:6\nann:100000:65536\n1000:300000:10\nbad\n", &names);
        assert_eq!(ranges, [(100_000, 65_536), (300_000, 10)]);
        let line = |host, size| IdMap { container: 1, host, size };
        assert!(covers(&ranges, &line(100_000, 65_536)) && covers(&ranges, &line(300_009, 1)));
        assert!(!covers(&ranges, &line(100_000, 65_537)) && !covers(&ranges, &line(99_999, 2)));
    }
}
