//! spec: a config.json to start from, with the defaults that scripts and suites of runc build on.

use crate::error::{Context, Result, anyhow};
use crate::plan::host::cgroup::{Cgroups, gather};
use crate::sys::{Errno, Error, file};
use std::os::fd::AsFd;
use std::path::Path;

/// Embedded: what is written is what the tests parse.
const DEFAULT: &str = include_str!("spec.json");

/// The last entry of its namespaces, and the one that follows on cgroup v2: on v1 runc, and so everybody, leaves it out.
const LAST: &str = "{\n\t\t\t\t\"type\": \"mount\"\n\t\t\t}";
const CGROUP: &str = ",\n\t\t\t{\n\t\t\t\t\"type\": \"cgroup\"\n\t\t\t}";

/// The text for this host.
fn text(host: &Cgroups) -> String {
    match host {
        Cgroups::V2 { .. } => DEFAULT.replace(LAST, &format!("{LAST}{CGROUP}")),
        Cgroups::V1 { .. } | Cgroups::Missing => DEFAULT.to_string(),
    }
}

/// Writes `config.json` into the bundle. What is there already stays.
pub fn spec(bundle: &Path) -> Result<()> {
    let dir = file::open(file::CWD, bundle, libc::O_RDONLY | libc::O_DIRECTORY, 0)
        .with_context(|| format!("open bundle {}", bundle.display()))?;
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
    let config = match file::open(dir.as_fd(), "config.json", flags, 0o666) {
        Err(Error(Errno::EEXIST)) => {
            return Err(anyhow!("File config.json exists. Remove it first"));
        }
        other => other.context("make config.json")?,
    };
    file::write_all(config, text(&gather()?).as_bytes()).context("write config.json")
}

#[cfg(test)]
mod tests {
    use super::Cgroups;

    #[test]
    fn the_default_can_be_read() {
        let read = crate::spec::parse(super::DEFAULT.as_bytes()).unwrap();
        assert!(read.warnings.is_empty());
        assert_eq!(read.spec.process().as_ref().unwrap().terminal(), Some(true));
        let v2 = Cgroups::V2 { mount: "/".into(), own: "/".into() };
        let read = crate::spec::parse(super::text(&v2).as_bytes()).unwrap();
        assert_eq!(read.spec.linux().as_ref().unwrap().namespaces().as_ref().unwrap().len(), 6);
    }
}
