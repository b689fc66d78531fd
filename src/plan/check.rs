//! Named checks: each a rule of the spec or of good sense that can be judged before anything is touched.

use super::namespaces::{self, IdMap, IdMaps, MapWriter, Namespaces};
use super::process::User;
use super::{RootChange, TerminalUse};
use crate::error::{Result, bail, ensure};
use crate::spec::Spec;
use oci_spec::runtime::Linux;
use std::path::{Component, Path, PathBuf};

/// Longer ids would not leave room for the names that are built from them.
const ID_LIMIT: usize = 200;

/// Letters, digits and `_ + . -`; no dot first; at most 200 bytes. It becomes a directory name.
pub fn container_id(id: &str) -> Result<()> {
    ensure!(!id.is_empty(), "container id cannot be empty");
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
    ensure!(
        id.bytes().all(fits) && !id.starts_with('.') && id.len() <= ID_LIMIT,
        "invalid container ID format: {id:?}: use letters, digits and \"_+.-\", at most {ID_LIMIT} of them, and no dot first"
    );
    Ok(())
}

/// What concerns the configuration as a whole.
pub(super) fn whole(spec: &Spec, warnings: &mut Vec<String>) -> Result<()> {
    oci_version(spec.version())?;
    for (name, present) in [
        ("solaris", spec.solaris().is_some()),
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("zos", spec.zos().is_some()),
    ] {
        if present {
            warnings.push(format!("config.json: {name}: is for another platform and has no effect here"));
        }
    }
    unsupported(spec)
}

/// The configuration must be of the 1.x series, which all releases of 1.x can read.
fn oci_version(version: &str) -> Result<()> {
    let first = version.split(['.', '-', '+']).next().unwrap_or_default();
    ensure!(!version.is_empty(), "ociVersion: is empty; write the version of the runtime-spec, as \"1.0.2\"");
    ensure!(first == "1", "ociVersion: {version:?} is not supported; this runtime reads 1.x");
    Ok(())
}

/// Fields that come with a later version: refused, so that nobody relies on them in vain.
fn unsupported(spec: &Spec) -> Result<()> {
    let Some(linux) = spec.linux() else {
        return Ok(());
    };
    let table = [
        ("linux.netDevices", linux.net_devices().as_ref().is_some_and(|map| !map.is_empty())),
        ("linux.intelRdt", linux.intel_rdt().is_some()),
        ("linux.memoryPolicy", linux.memory_policy().is_some()),
        ("linux.personality", linux.personality().is_some()),
        ("linux.mountLabel", linux.mount_label().as_ref().is_some_and(|label| !label.is_empty())),
    ];
    match table.iter().find(|(_, present)| *present) {
        Some((field, _)) => bail!("{field}: is not supported by this version; remove it"),
        None => Ok(()),
    }
}

/// What needs a namespace of its own must have it: otherwise it would change the host.
pub(super) fn namespace_use(spec: &Spec, linux: &Linux, namespaces: &Namespaces, change: RootChange) -> Result<()> {
    let own_uts = namespaces.has(libc::CLONE_NEWUTS);
    let need = |field: &str, kind: i32| -> Result<()> {
        let word = namespaces::name(kind);
        bail!("{field}: needs a {word} namespace of its own; add {{\"type\": \"{word}\"}} to linux.namespaces")
    };
    if spec.hostname().as_ref().is_some_and(|name| !name.is_empty()) && !own_uts {
        return need("hostname", libc::CLONE_NEWUTS);
    }
    if spec.domainname().as_ref().is_some_and(|name| !name.is_empty()) && !own_uts {
        return need("domainname", libc::CLONE_NEWUTS);
    }
    if namespaces.has(libc::CLONE_NEWNS) {
        let private =
            linux.rootfs_propagation().as_deref().is_some_and(|word| word.trim_start_matches('r') == "private");
        ensure!(
            !(change == RootChange::MoveAndChroot && private),
            "linux.rootfsPropagation: private does not go together with --no-pivot; leave one of them out"
        );
        return Ok(());
    }
    // Without a mount namespace every mount would land on the host, for ever, and no protection would hold.
    need("linux.namespaces", libc::CLONE_NEWNS)
}

/// In a new user namespace an id without a mapping does not exist.
pub(super) fn mapped_ids(user: &User, maps: Option<&IdMaps>) -> Result<()> {
    let Some(maps) = maps else { return Ok(()) };
    let check = |field: &str, id: u32, map: &[IdMap], name: &str| -> Result<()> {
        let known = namespaces::is_mapped(map, id);
        ensure!(known, "process.user.{field}: {id} does not exist in the user namespace; add it to linux.{name}");
        Ok(())
    };
    check("uid", user.uid, &maps.uids, "uidMappings")?;
    check("gid", user.gid, &maps.gids, "gidMappings")?;
    ensure!(
        user.groups.is_empty() || maps.writer != MapWriter::OwnIds,
        "process.user.additionalGids: a user who maps only the own group cannot add others (setgroups is denied): remove \
         them, or map subordinate ids (subgid(5))"
    );
    user.groups.iter().try_for_each(|group| check("additionalGids", *group, &maps.gids, "gidMappings"))
}

/// A terminal needs somebody who holds its other end.
pub(super) fn terminal(wanted: bool, held_by: TerminalUse) -> Result<()> {
    match (wanted, held_by) {
        (true, TerminalUse::Nobody) => bail!(
            "cannot allocate tty if rruntime will detach without setting console socket: give --console-socket, or set \
             process.terminal to false"
        ),
        (false, TerminalUse::Socket) => bail!(
            "cannot use console socket if rruntime will not detach or allocate tty: leave --console-socket out, or set \
             process.terminal to true"
        ),
        _ => Ok(()),
    }
}

/// Sending the listener's descriptor to an agent comes with a later version.
pub(super) fn seccomp(program: Option<&super::seccomp::Program>) -> Result<()> {
    let listens = program.is_some_and(|program| program.listener.is_some());
    ensure!(!listens, "linux.seccomp.listenerPath: is not supported by this version; remove it, and SCMP_ACT_NOTIFY");
    Ok(())
}

/// Absolute and without `..`; repeated ones once.
pub(super) fn paths(field: &str, list: Option<&Vec<String>>) -> Result<Vec<PathBuf>> {
    let mut clean: Vec<PathBuf> = Vec::new();
    for (index, text) in list.into_iter().flatten().enumerate() {
        let path = Path::new(text);
        let fits = path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
        ensure!(
            path.is_absolute() && fits,
            "{field}[{index}]: {text:?} is not an absolute path without \"..\"; write the full path in the container"
        );
        ensure!(path != Path::new("/"), "{field}[{index}]: \"/\" is the whole root; set root.readonly for that");
        let path: PathBuf = path.components().collect();
        if !clean.contains(&path) {
            clean.push(path);
        }
    }
    Ok(clean)
}

/// Kernel parameters that the IPC namespace keeps apart. sysctl/kernel.rst, ipc_namespaces(7).
const IPC_SYSCTLS: [&str; 8] = ["auto_msgmni", "msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni"];

/// Only parameters that a namespace of the container's own keeps apart from the host's. Both notations, `.` and `/`.
pub(super) fn sysctl(linux: &Linux, namespaces: &Namespaces) -> Result<Vec<(PathBuf, String)>> {
    let mut list = Vec::new();
    for (key, value) in linux.sysctl().iter().flatten() {
        let path = sysctl_path(key);
        let clean = !path.is_empty() && !path.contains('\0') && path.split('/').all(|p| !matches!(p, "" | "." | ".."));
        ensure!(
            clean,
            "linux.sysctl: {key:?} is no name of a kernel parameter; write it as sysctl(8) does, as \"net.core.somaxconn\""
        );
        let need = |kind: i32| -> Result<()> {
            let word = namespaces::name(kind);
            ensure!(
                namespaces.has(kind),
                "linux.sysctl: {key}: belongs to the {word} namespace, which is the host's here; add {{\"type\": \
                 \"{word}\"}} to linux.namespaces"
            );
            Ok(())
        };
        match path.split_once('/') {
            Some(("net", _)) => need(libc::CLONE_NEWNET)?,
            Some(("fs", rest)) if rest.starts_with("mqueue/") => need(libc::CLONE_NEWIPC)?,
            Some(("kernel", "shm_rmid_forced")) => need(libc::CLONE_NEWIPC)?,
            Some(("kernel", name)) if IPC_SYSCTLS.contains(&name) => need(libc::CLONE_NEWIPC)?,
            Some(("kernel", "domainname")) => need(libc::CLONE_NEWUTS)?,
            Some(("kernel", "hostname")) => {
                bail!("linux.sysctl: {key}: use the field hostname of config.json")
            }
            Some(("user", _)) => need(libc::CLONE_NEWUSER)?,
            _ => bail!(
                "linux.sysctl: {key}: is not kept apart by any namespace, so setting it would change the host; remove it"
            ),
        }
        list.push((PathBuf::from(path), value.clone()));
    }
    list.sort();
    Ok(list)
}

/// sysctl(8): when the first separator is a dot, dots separate and slashes stand for dots; otherwise as it is.
fn sysctl_path(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(at) if key.as_bytes()[at] == b'.' => key
            .chars()
            .map(|c| {
                if c == '.' {
                    '/'
                } else if c == '/' {
                    '.'
                } else {
                    c
                }
            })
            .collect(),
        _ => key.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::host::Host;

    #[test]
    fn ids_that_are_no_directory_names_are_refused() {
        for id in ["", ".", "..", "a/b", "../x", "a b", "ä", "x\n", "a\0", &"x".repeat(201)] {
            assert!(container_id(id).is_err(), "{id:?}");
        }
        for id in ["a", "-rf", "A_1+2.3-4", &"x".repeat(200)] {
            assert!(container_id(id).is_ok(), "{id:?}");
        }
    }

    #[test]
    fn only_namespaced_parameters_are_set() {
        let with = |key: &str| {
            let linux = format!(r#"{{"namespaces":[{{"type":"network"}}],"sysctl":{{"{key}":"1"}}}}"#);
            let linux: Linux = serde_json::from_str(&linux).unwrap();
            sysctl(&linux, &namespaces::lower(&linux, &Host::for_tests()).unwrap())
        };
        assert_eq!(with("net.ipv4.conf.eth0/1.mtu").unwrap()[0].0, Path::new("net/ipv4/conf/eth0.1/mtu"));
        assert_eq!(with("net/ipv4/ip_forward").unwrap()[0].0, Path::new("net/ipv4/ip_forward"));
        for key in ["kernel.shmmax", "kernel.core_pattern", "net", "net/../kernel/core_pattern", "vm.swappiness", ""] {
            assert!(with(key).is_err(), "{key}");
        }
    }

    #[test]
    fn versions_of_the_1_series_are_read() {
        for version in ["1.0.0", "1.0.2-dev", "1.3.0", "1.99.1+x"] {
            assert!(oci_version(version).is_ok());
        }
        for version in ["", "0.9.0", "2.0.0", "11.0.0"] {
            assert!(oci_version(version).is_err());
        }
    }
}
