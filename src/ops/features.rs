//! features: what this binary can do, from the tables that the planner itself uses. features.md, features-linux.md.

use crate::error::{Context, Result};
use crate::hooks::OCI_VERSION;
use crate::plan::namespaces::KINDS;
use crate::plan::{annotations, memory_policy, options, seccomp};
use serde_json::json;

/// Indented by four blanks, as runc does.
pub fn features() -> Result<String> {
    let words: Vec<&str> = options::WORDS.iter().map(|(word, _)| *word).collect();
    let mut namespaces: Vec<&str> = KINDS.iter().map(|(_, word, _)| *word).collect();
    namespaces.sort_unstable();
    let mut capabilities: Vec<String> = caps::all().iter().map(ToString::to_string).collect();
    capabilities.sort();
    let value = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": words,
        "linux": {
            "namespaces": namespaces,
            "capabilities": capabilities,
            "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true},
            "seccomp": {
                "enabled": true,
                "actions": seccomp::ACTIONS,
                "operators": seccomp::OPERATORS,
                "archs": seccomp::ARCHES,
                "knownFlags": seccomp::FLAGS,
                "supportedFlags": seccomp::FLAGS,
            },
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
            "mountExtensions": {"idmap": {"enabled": true}},
            "memoryPolicy": {"modes": memory_policy::modes(), "flags": memory_policy::flags()},
            "netDevices": {"enabled": true},
        },
        "potentiallyUnsafeConfigAnnotations": annotations::ALL,
        "annotations": {"io.github.rruntime.version": env!("CARGO_PKG_VERSION")},
    });
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(&value, &mut serializer).context("write the features")?;
    Ok(String::from_utf8(text)? + "\n")
}
