//! Named checks: each a rule of the spec or of good sense that can be judged before anything is touched.

use super::TerminalUse;
use super::namespaces::{self, IdMap, IdMaps, MapWriter, Namespaces};
use super::process::User;
use crate::error::{Result, bail, ensure};
use crate::spec::Spec;
use crate::sys::process::Personality;
use oci_spec::runtime::{Linux, LinuxPersonality, LinuxPersonalityDomain};
use std::collections::BTreeSet;
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
    annotations(spec)?;
    let names = [("hostname", spec.hostname()), ("domainname", spec.domainname())];
    names.iter().try_for_each(|(field, name)| uts_name(field, name.as_deref().unwrap_or_default()))?;
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
    Ok(())
}

/// config.md, "Specification version": a version as SemVer 2.0.0 writes it, of the 1.x series, which all releases of 1.x
/// can read.
fn oci_version(version: &str) -> Result<()> {
    ensure!(
        !version.is_empty(),
        "ociVersion: is missing or empty; write the version of the runtime-spec, as \"1.0.2\""
    );
    let Some(major) = semantic_version(version) else {
        bail!("ociVersion: {version:?} is no version as SemVer writes it; write three numbers, as \"1.0.2\"")
    };
    ensure!(major == "1", "ociVersion: {version:?} is not supported; this runtime reads 1.x");
    Ok(())
}

/// The major number of `1.2.3-before.4+build.5`; `None` when it is no such version. <https://semver.org/spec/v2.0.0.html>
fn semantic_version(version: &str) -> Option<&str> {
    let word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let number = |part: &str| digits(part) && (part == "0" || !part.starts_with('0'));
    let (rest, build) = version.split_once('+').map_or((version, None), |(rest, build)| (rest, Some(build)));
    let (core, before) = rest.split_once('-').map_or((rest, None), |(core, before)| (core, Some(before)));
    let release = build.is_none_or(|build| build.split('.').all(word))
        && before.is_none_or(|before| before.split('.').all(|part| word(part) && (!digits(part) || number(part))));
    let parts: Vec<&str> = core.split('.').collect();
    (release && parts.len() == 3 && parts.iter().all(|part| number(part))).then(|| parts[0])
}

/// config.md, "Annotations".
fn annotations(spec: &Spec) -> Result<()> {
    let unnamed = spec.annotations().as_ref().is_some_and(|all| all.contains_key(""));
    ensure!(!unnamed, "annotations: one of them has an empty key; give it a name, as \"com.example.key\"");
    Ok(())
}

/// As long as the kernel takes (__NEW_UTS_LEN, uname(2)).
fn uts_name(field: &str, name: &str) -> Result<()> {
    ensure!(name.len() <= 64, "{field}: has {} bytes; the kernel takes 64", name.len());
    ensure!(!name.contains('\0'), "{field}: holds a NUL byte");
    Ok(())
}

/// What needs a namespace of its own must have it: otherwise it would change the host.
pub(super) fn namespace_use(spec: &Spec, namespaces: &Namespaces) -> Result<()> {
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
    Ok(())
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
    let groups = user.groups.as_deref().unwrap_or_default();
    ensure!(
        groups.is_empty() || maps.writer != MapWriter::OwnIds,
        "process.user.additionalGids: a user who maps only the own group cannot add others (setgroups is denied): remove \
         them, or map subordinate ids (subgid(5))"
    );
    groups.iter().try_for_each(|group| check("additionalGids", *group, &maps.gids, "gidMappings"))
}

/// A terminal needs somebody who holds its other end.
pub(super) fn terminal(wanted: bool, held_by: TerminalUse) -> Result<()> {
    match (wanted, held_by) {
        (true, TerminalUse::Missing) => bail!(
            "process.terminal is true (or exec has --tty), and none of standard input, output and error is a terminal: set it \
             to false, give one (script -qec 'rruntime ...' /dev/null), or use --detach with --console-socket"
        ),
        (true, TerminalUse::NoHolder) => bail!(
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

/// config-linux.md, "Personality": two domains, and no value for the flags; what is none must be an error (config.md, "Valid
/// values").
pub(super) fn personality(asked: &LinuxPersonality) -> Result<Personality> {
    if let Some(flag) = asked.flags().iter().flatten().next() {
        bail!("linux.personality.flags: unknown value {flag:?}; the runtime-spec knows none, remove it");
    }
    Ok(match asked.domain() {
        LinuxPersonalityDomain::PerLinux => Personality::Linux,
        LinuxPersonalityDomain::PerLinux32 => Personality::Linux32,
    })
}

/// Absolute and without `..`; repeated ones once.
pub(super) fn paths(field: &str, list: Option<&Vec<String>>) -> Result<Vec<PathBuf>> {
    let mut clean: Vec<PathBuf> = Vec::new();
    let mut known = BTreeSet::new();
    for (index, text) in list.into_iter().flatten().enumerate() {
        let path = Path::new(text);
        let fits = path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
        ensure!(
            path.is_absolute() && fits,
            "{field}[{index}]: {text:?} is not an absolute path without \"..\"; write the full path in the container"
        );
        ensure!(path != Path::new("/"), "{field}[{index}]: \"/\" is the whole root; set root.readonly for that");
        if known.insert(path) {
            clean.push(path.components().collect());
        }
    }
    Ok(clean)
}

/// A kernel parameter as a file below /proc/sys, and its value.
pub type Sysctl = (PathBuf, String);

/// Kernel parameters that the IPC namespace keeps apart. sysctl/kernel.rst, ipc_namespaces(7).
const IPC_SYSCTLS: [&str; 8] = ["auto_msgmni", "msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni"];

/// Only parameters that a namespace of the container's own keeps apart from the host's. Both notations, `.` and `/`.
pub(super) fn sysctl(linux: &Linux, namespaces: &Namespaces) -> Result<Vec<Sysctl>> {
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
    if let Some(pair) = list.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        bail!("linux.sysctl: {} is there twice, with dots and with slashes; keep one of them", pair[0].0.display());
    }
    Ok(list)
}

/// The domain name can be said as a parameter too. It is set by its system call all the same: in a user namespace the file
/// belongs to the host's root.
pub(super) fn domainname(spec: &Spec, mut sysctl: Vec<Sysctl>) -> Result<(Vec<Sysctl>, Option<String>)> {
    let field = spec.domainname().clone().filter(|name| !name.is_empty());
    let Some(at) = sysctl.iter().position(|(path, _)| path == Path::new("kernel/domainname")) else {
        return Ok((sysctl, field));
    };
    let (_, parameter) = sysctl.remove(at);
    uts_name("linux.sysctl: kernel.domainname", &parameter)?;
    if let Some(field) = field.filter(|field| *field != parameter) {
        bail!(
            "linux.sysctl: kernel.domainname: says {parameter:?}, and the field domainname {field:?}; keep one of them"
        );
    }
    Ok((sysctl, Some(parameter)))
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
        let linux =
            r#"{"namespaces":[{"type":"network"}],"sysctl":{"net.core.somaxconn":"1","net/core/somaxconn":"2"}}"#;
        let linux: Linux = serde_json::from_str(linux).unwrap();
        let namespaces = namespaces::lower(&linux, &Host::for_tests()).unwrap();
        assert!(sysctl(&linux, &namespaces).unwrap_err().to_string().contains("is there twice"));
    }

    #[test]
    fn every_parameter_needs_its_own_namespace() {
        for (kind, keys) in [
            ("network", &["net.ipv4.ip_forward"][..]),
            ("ipc", &["kernel.sem", "kernel.shmall", "kernel.shm_rmid_forced", "kernel.msgmni", "fs.mqueue.msg_max"]),
            ("uts", &["kernel.domainname"]),
        ] {
            for key in keys {
                let with = |namespaces: &str| {
                    let linux = format!(r#"{{"namespaces":[{namespaces}],"sysctl":{{"{key}":"1"}}}}"#);
                    let linux: Linux = serde_json::from_str(&linux).unwrap();
                    sysctl(&linux, &namespaces::lower(&linux, &Host::for_tests()).unwrap())
                };
                assert!(with(&format!(r#"{{"type":"{kind}"}}"#)).is_ok(), "{key}");
                let error = with(r#"{"type":"pid"},{"type":"time"}"#).unwrap_err().to_string();
                assert!(error.contains(&format!("{key}: belongs to the {kind} namespace")), "{error}");
            }
        }
    }

    #[test]
    fn a_personality_has_a_domain_and_no_flags() {
        let with = |json: &str| personality(&serde_json::from_str(json).unwrap());
        assert_eq!(with(r#"{"domain":"LINUX32","flags":[]}"#).unwrap(), Personality::Linux32);
        let error = with(r#"{"domain":"LINUX","flags":["ADDR_NO_RANDOMIZE"]}"#).unwrap_err().to_string();
        assert!(error.starts_with("linux.personality.flags: unknown value \"ADDR_NO_RANDOMIZE\""), "{error}");
    }

    #[test]
    fn versions_of_the_1_series_are_read() {
        for version in ["1.0.0", "1.0.2-dev", "1.0.0-rc.5", "1.3.0", "1.99.1+x", "1.3.0+dev", "1.0.0-0a.1-x+007"] {
            assert!(oci_version(version).is_ok(), "{version}");
        }
        for version in ["", "0.9.0", "2.0.0", "11.0.0", "1", "1.0", "1.0.x", "v1.0.0", "1.0.0-", "1.0.0+", "1.00.0"] {
            assert!(oci_version(version).is_err(), "{version}");
        }
        for version in ["1.0.0-01", "1.0.0-a..b", "1.0.0+a_b", "1.0.0 ", "1.0.0.0", "1,0,0"] {
            assert!(oci_version(version).is_err(), "{version}");
        }
    }
}
