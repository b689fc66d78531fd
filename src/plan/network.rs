//! linux.netDevices: which of the host's network devices go into the container, and what they are called there.
//! config-linux.md, "Network Devices".

use super::host::{Caller, Host};
use super::namespaces::Namespaces;
use crate::error::{Result, bail, ensure};
use oci_spec::runtime::Linux;

/// A device of the runtime's network namespace that becomes the container's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevice {
    /// Its name on the host.
    pub host: String,
    pub name: NetName,
}

/// What it is called in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetName {
    Kept,
    New(String),
    /// Ends in `%d`, which the kernel replaces by the first free number.
    Template(String),
}

/// More devices than this nobody moves.
const LIMIT: usize = 1024;

pub(super) fn lower(linux: &Linux, namespaces: &Namespaces, host: &Host) -> Result<Vec<NetDevice>> {
    let mut devices: Vec<NetDevice> = Vec::new();
    let Some(asked) = linux.net_devices().as_ref().filter(|map| !map.is_empty()) else { return Ok(devices) };
    ensure!(
        namespaces.has(libc::CLONE_NEWNET),
        "linux.netDevices: needs a network namespace of its own; add {{\"type\": \"network\"}} to linux.namespaces"
    );
    ensure!(
        host.caller() == Caller::Root,
        "linux.netDevices: moving a network device needs root; run rruntime as root"
    );
    ensure!(asked.len() <= LIMIT, "linux.netDevices: {} devices are more than {LIMIT}", asked.len());
    let mut sorted: Vec<_> = asked.iter().collect();
    sorted.sort_by_key(|(host, _)| host.as_str()); // the same order every time: templates are numbered by it
    for (host, device) in sorted {
        let place = format!("linux.netDevices.{host}");
        valid(host, &place)?;
        ensure!(!host.contains('%'), "{place}: no network device has a \"%\" in its name; a template goes into name");
        let name = match device.name().as_deref().filter(|name| !name.is_empty()) {
            None => NetName::Kept,
            Some(name) => inside(name, &format!("{place}.name"))?,
        };
        let device = NetDevice { host: host.clone(), name };
        if let Some(other) = devices.iter().find(|other| other.target().is_some() && other.target() == device.target())
        {
            bail!("{place}: would be called {} as {} is; give one of them another name", device.called(), other.host);
        }
        devices.push(device);
    }
    Ok(devices)
}

fn inside(name: &str, place: &str) -> Result<NetName> {
    valid(name, place)?;
    match name.split_once('%') {
        None => Ok(NetName::New(name.to_string())),
        Some((stem, "d")) if !stem.is_empty() => Ok(NetName::Template(name.to_string())),
        Some(_) => bail!("{place}: {name:?}: a template is a name with \"%d\" at its end, as \"eth%d\""),
    }
}

/// What the kernel takes as a name (dev_valid_name), and not the one that every namespace has already.
fn valid(name: &str, place: &str) -> Result<()> {
    let fits = |byte: u8| !byte.is_ascii_whitespace() && !b"/:\x0b\0".contains(&byte);
    ensure!(
        (1..=15).contains(&name.len()) && name.bytes().all(fits) && name != "." && name != "..",
        "{place}: {name:?} is no name of a network device: 1 to 15 bytes, none of them blank, \"/\" or \":\""
    );
    ensure!(name != "lo", "{place}: every network namespace has a loopback device of its own");
    Ok(())
}

impl NetDevice {
    /// The name that it will have in the container, unless the kernel chooses it.
    pub fn target(&self) -> Option<&str> {
        match &self.name {
            NetName::Kept => Some(&self.host),
            NetName::New(name) => Some(name),
            NetName::Template(_) => None,
        }
    }

    /// The same for messages.
    pub fn called(&self) -> &str {
        match &self.name {
            NetName::Kept => &self.host,
            NetName::New(name) | NetName::Template(name) => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(devices: &str) -> Result<Vec<NetDevice>> {
        with(devices, r#"[{"type":"network"}]"#, &Host::for_tests())
    }

    fn with(devices: &str, namespaces: &str, host: &Host) -> Result<Vec<NetDevice>> {
        let linux = format!(r#"{{"namespaces":{namespaces},"netDevices":{devices}}}"#);
        let linux: Linux = serde_json::from_str(&linux).unwrap();
        lower(&linux, &crate::plan::namespaces::lower(&linux, &Host::for_tests()).unwrap(), host)
    }

    #[test]
    fn names_are_kept_given_or_numbered() {
        let devices =
            lowered(r#"{"ens5":{"name":"net%d"},"eth1":{},"eth0":{"name":"in"},"eth2":{"name":""}}"#).unwrap();
        let names: Vec<_> = devices.iter().map(|d| (d.host.as_str(), d.target())).collect();
        assert_eq!(names, [("ens5", None), ("eth0", Some("in")), ("eth1", Some("eth1")), ("eth2", Some("eth2"))]);
    }

    #[test]
    fn a_name_is_given_once() {
        for twice in [r#"{"a":{"name":"x"},"b":{"name":"x"}}"#, r#"{"a":{"name":"b"},"b":{}}"#] {
            let error = lowered(twice).unwrap_err().to_string();
            assert!(error.starts_with("linux.netDevices.b: would be called"), "{error}");
        }
        assert!(lowered(r#"{"a":{"name":"b"},"b":{"name":"a"}}"#).is_ok(), "they may change their names");
        assert!(lowered(r#"{"a":{"name":"e%d"},"b":{"name":"e%d"}}"#).is_ok(), "a template has many names");
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_place() {
        for name in ["", ".", "..", "a/b", "a:b", "a b", "a\tb", "sixteen-letters-", "lo", "e%d"] {
            let error = lowered(&serde_json::json!({name: {}}).to_string()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("linux.netDevices.{name}: ")), "{error}");
        }
        for name in ["%d", "e%dx", "e%", "e%s", "e%d%d", "a/b", "sixteen-letters-", "lo"] {
            let error = lowered(&serde_json::json!({"eth0": {"name": name}}).to_string()).unwrap_err().to_string();
            assert!(error.starts_with("linux.netDevices.eth0.name: "), "{error}");
        }
    }

    #[test]
    fn it_needs_a_network_namespace_and_root() {
        let (root, user) = (Host::for_tests(), Host { euid: 1000, capabilities: 0, ..Host::for_tests() });
        assert!(with("{}", "[]", &user).unwrap().is_empty());
        let error = with(r#"{"eth0":{}}"#, "[]", &root).unwrap_err().to_string();
        assert!(error.contains("needs a network namespace"), "{error}");
        let error = with(r#"{"eth0":{}}"#, r#"[{"type":"network"}]"#, &user).unwrap_err().to_string();
        assert!(error.contains("needs root"), "{error}");
    }
}
