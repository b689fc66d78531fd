//! spec: a config.json to start from, with the defaults that scripts and suites of runc build on.

use crate::error::{Context, Result, anyhow};
use crate::plan::host::cgroup::{Cgroups, gather};
use crate::sys::{Errno, Error, credentials, file};
use std::os::fd::AsFd;
use std::path::Path;

/// Embedded: what is written is what the tests parse.
const DEFAULT: &str = include_str!("spec.json");

/// The last entry of its namespaces, and the one that follows on cgroup v2: on v1 runc, and so everybody, leaves it out.
const LAST: &str = "{\n\t\t\t\t\"type\": \"mount\"\n\t\t\t}";
const CGROUP: &str = ",\n\t\t\t{\n\t\t\t\t\"type\": \"cgroup\"\n\t\t\t}";

/// Whom the container is for: `--rootless` or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum For {
    Root,
    /// This user and group, and no others: they are the container's root.
    User {
        uid: u32,
        gid: u32,
    },
}

impl For {
    /// Who calls us.
    pub fn caller() -> For {
        For::User { uid: credentials::effective_uid(), gid: credentials::effective_gid() }
    }
}

/// The text for this host.
fn text(host: &Cgroups, whom: For) -> String {
    let text = match host {
        Cgroups::V2 { .. } => DEFAULT.replace(LAST, &format!("{LAST}{CGROUP}")),
        Cgroups::V1 { .. } | Cgroups::Missing => DEFAULT.to_string(),
    };
    match whom {
        For::Root => text,
        For::User { uid, gid } => rootless(&text, uid, gid),
    }
}

/// As runc's: a user namespace in place of the network namespace; the host's /sys, since sysfs goes with the network; no
/// group 5 for terminals, which does not exist; no limits.
fn rootless(text: &str, uid: u32, gid: u32) -> String {
    let map = |name: &str, id: u32| {
        format!(
            "\t\t\"{name}\": [\n\t\t\t{{\n\t\t\t\t\"containerID\": 0,\n\t\t\t\t\"hostID\": {id},\n\t\t\t\t\"size\": 1\n\t\t\t}}\n\t\t],\n"
        )
    };
    let (before_sys, rest) = cut(text, "\t\t{\n\t\t\t\"destination\": \"/sys\"");
    let (_, after_mounts) = cut(rest, "\t],\n\t\"linux\"");
    let (before_limits, rest) = cut(after_mounts, "\t\t\"resources\"");
    let (_, after_limits) = cut(rest, "\t\t\"namespaces\"");
    let maps = map("uidMappings", uid) + &map("gidMappings", gid);
    let text = [before_sys, SYS_OF_HOST, before_limits, &maps, after_limits].concat();
    text.replace(",\n\t\t\t\t\"gid=5\"", "").replace("\"type\": \"network\"", "\"type\": \"user\"")
}

const SYS_OF_HOST: &str = "\t\t{\n\t\t\t\"destination\": \"/sys\",\n\t\t\t\"type\": \"none\",\n\t\t\t\"source\": \"/sys\",\n\
    \t\t\t\"options\": [\n\t\t\t\t\"rbind\",\n\t\t\t\t\"nosuid\",\n\t\t\t\t\"noexec\",\n\t\t\t\t\"nodev\",\n\t\t\t\t\"ro\"\n\t\t\t]\n\t\t}\n";

/// The text before and from a mark on, which is known to be there: the text is our own.
fn cut<'a>(text: &'a str, mark: &str) -> (&'a str, &'a str) {
    text.split_at(text.find(mark).unwrap_or(text.len()))
}

/// Writes `config.json` into the bundle. What is there already stays.
pub fn spec(bundle: &Path, whom: For) -> Result<()> {
    let dir = file::open(file::CWD, bundle, libc::O_RDONLY | libc::O_DIRECTORY, 0)
        .with_context(|| format!("open bundle {}", bundle.display()))?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
    let config = match file::open(dir.as_fd(), "config.json", flags, 0o666) {
        Err(Error(Errno::EEXIST)) => {
            return Err(anyhow!("File config.json exists. Remove it first"));
        }
        other => other.context("make config.json")?,
    };
    file::write_all(config, text(&gather()?, whom).as_bytes()).context("write config.json")
}

#[cfg(test)]
mod tests {
    use super::{Cgroups, For};

    #[test]
    fn the_default_can_be_read() {
        let read = crate::spec::parse(super::DEFAULT.as_bytes()).unwrap();
        assert!(read.warnings.is_empty());
        assert_eq!(read.spec.process().as_ref().unwrap().terminal(), Some(true));
        let v2 = Cgroups::V2 { mount: "/".into(), own: "/".into() };
        let read = crate::spec::parse(super::text(&v2, For::Root).as_bytes()).unwrap();
        assert_eq!(read.spec.linux().as_ref().unwrap().namespaces().as_ref().unwrap().len(), 6);
    }

    #[test]
    fn the_rootless_default_is_a_plan_for_its_user() {
        let v2 = Cgroups::V2 { mount: "/".into(), own: "/".into() };
        let read = crate::spec::parse(super::text(&v2, For::User { uid: 1000, gid: 1001 }).as_bytes()).unwrap();
        let linux = read.spec.linux().as_ref().unwrap();
        let names: Vec<String> =
            linux.namespaces().iter().flatten().map(|namespace| namespace.typ().to_string()).collect();
        assert_eq!(names, ["pid", "user", "ipc", "uts", "mnt", "cgroup"]);
        assert_eq!(linux.uid_mappings().as_ref().unwrap()[0].host_id(), 1000);
        assert_eq!(linux.gid_mappings().as_ref().unwrap()[0].host_id(), 1001);
        assert!(linux.resources().is_none() && linux.masked_paths().as_ref().unwrap().len() == 10);
        let mounts = read.spec.mounts().as_ref().unwrap();
        assert_eq!(mounts.last().unwrap().source().as_ref().unwrap(), std::path::Path::new("/sys"));
        assert!(mounts.iter().all(|mount| !mount.options().iter().flatten().any(|word| word == "gid=5")));
    }
}
