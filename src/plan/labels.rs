//! process.apparmorProfile, process.selinuxLabel, linux.mountLabel: what the kernel's security module knows the process and
//! its mounts as.
//!
//! Where the module is off, a label of the process is refused: the container would run with less protection than it was
//! promised (runtime.md, "Create": what cannot be applied is an error). A label of mounts is a warning then: it only lets the
//! labelled process in, and where nobody is kept out nothing is lost.

use super::host::Host;
use super::host::lsm::Presence;
use super::process::ExecProcess;
use crate::error::{Result, ensure};
use crate::spec::Spec;
use crate::sys::{Errno, Error};
use oci_spec::runtime as oci;
use serde::{Deserialize, Serialize};

/// Set for the next execve. `None`: as the runtime's, by the rules of the loaded policy.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
pub struct Labels {
    pub apparmor: Option<String>,
    pub selinux: Option<String>,
}

/// Whether the host's security modules matter.
#[derive(PartialEq, Eq, Debug)]
pub enum Asked {
    Yes {
        /// The labels that the policy of SELinux must know.
        selinux: Vec<String>,
    },
    No,
}

impl Asked {
    pub fn by_spec(spec: &Spec) -> Asked {
        let mounts = spec.linux().as_ref().and_then(|linux| given(linux.mount_label().as_ref()));
        let process = spec.process().as_ref();
        let apparmor = process.and_then(|process| given(process.apparmor_profile().as_ref()));
        let selinux = process.and_then(|process| given(process.selinux_label().as_ref()));
        Asked::when(apparmor, [selinux, mounts])
    }

    /// What exec inherits was judged by create.
    pub fn by_exec(process: &ExecProcess) -> Asked {
        let (apparmor, selinux) = match process {
            ExecProcess::Whole(process) => (process.apparmor_profile(), process.selinux_label()),
            ExecProcess::Words(words) => (&words.labels.apparmor, &words.labels.selinux),
        };
        Asked::when(given(apparmor.as_ref()), [given(selinux.as_ref()), None])
    }

    fn when(apparmor: Option<&String>, selinux: [Option<&String>; 2]) -> Asked {
        let selinux: Vec<String> = selinux.into_iter().flatten().cloned().collect();
        if apparmor.is_none() && selinux.is_empty() { Asked::No } else { Asked::Yes { selinux } }
    }
}

/// An empty text is none.
fn given(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.is_empty())
}

pub(super) fn lower(process: &oci::Process, host: &Host) -> Result<Labels> {
    Ok(Labels {
        apparmor: apparmor("apparmorProfile", process.apparmor_profile().as_ref(), host)?,
        selinux: selinux("selinuxLabel", process.selinux_label().as_ref(), host)?,
    })
}

/// `field` is what the user wrote it in.
fn apparmor(field: &str, profile: Option<&String>, host: &Host) -> Result<Option<String>> {
    let Some(profile) = given(profile) else { return Ok(None) };
    ensure!(!profile.contains(char::is_control), "{field}: {profile:?} holds a control character");
    if host.lsm.apparmor == Presence::Off && profile == "unconfined" {
        return Ok(None); // everybody is
    }
    ensure!(
        host.lsm.apparmor == Presence::On,
        "{field}: {profile:?} cannot be applied: AppArmor is not enabled on this host; remove it, or boot with apparmor=1"
    );
    Ok(Some(profile.clone()))
}

fn selinux(field: &str, label: Option<&String>, host: &Host) -> Result<Option<String>> {
    let Some(label) = given(label) else { return Ok(None) };
    ensure!(!label.contains(char::is_control), "{field}: {label:?} holds a control character");
    ensure!(
        host.lsm.selinux == Presence::On,
        "{field}: {label:?} cannot be applied: SELinux is not enabled on this host; remove it, or boot with selinux=1"
    );
    refuse_invalid(field, label, host)?;
    Ok(Some(label.clone()))
}

/// Why AppArmor does not give a profile, and what to do: for the write of it, and for `check`, which asks before.
pub fn why_no_profile(error: Error) -> &'static str {
    match error.0 {
        Errno::ENOENT => "no such profile is loaded; load it with apparmor_parser",
        Errno::EACCES | Errno::EPERM => {
            "the profile that this runtime is confined by does not allow it; add \"change_profile,\" to that one"
        }
        _ => "AppArmor does not take it",
    }
}

/// Why a clone into a new user namespace fails with EACCES.
pub const WHY_NO_USER_NAMESPACE: &str =
    "the profile or policy that this runtime is confined by allows no user namespace (AppArmor: add \"userns,\" to it)";

/// Why a mount fails with EACCES in a mount namespace of one's own.
pub const WHY_NO_MOUNT: &str = "the profile or policy that this runtime is confined by allows no mounts (AppArmor: add \"mount, umount, pivot_root,\" to it)";

/// Why a kernel parameter of the container's own namespace may not be written.
pub const WHY_NO_PARAMETER: &str =
    "it is read-only, or the profile or policy that this runtime is confined by does not allow it";

/// The kernel itself would say no more than EINVAL, and only when the label is applied.
fn refuse_invalid(field: &str, label: &String, host: &Host) -> Result<()> {
    ensure!(
        !host.lsm.invalid.contains(label),
        "{field}: {label:?}: the loaded SELinux policy knows no such label; correct its user, role, type or level, or load the \
         policy module that defines them"
    );
    Ok(())
}

/// `None` is also the answer where there is no SELinux: nothing has a label there.
pub(super) fn of_mounts(label: Option<&String>, host: &Host, warnings: &mut Vec<String>) -> Result<Option<String>> {
    let Some(label) = given(label) else { return Ok(None) };
    ensure!(!label.contains(char::is_control), "linux.mountLabel: {label:?} holds a control character");
    if host.lsm.selinux == Presence::Off {
        warnings.push("linux.mountLabel: has no effect: SELinux is not enabled on this host".to_string());
        return Ok(None);
    }
    refuse_invalid("linux.mountLabel", label, host)?;
    Ok(Some(label.clone()))
}

impl Labels {
    pub fn is_empty(&self) -> bool {
        *self == Labels::default()
    }

    /// For exec: what is not asked for is the container's.
    pub(super) fn or(self, template: &Labels) -> Labels {
        Labels {
            apparmor: self.apparmor.or_else(|| template.apparmor.clone()),
            selinux: self.selinux.or_else(|| template.selinux.clone()),
        }
    }

    /// `exec --apparmor` and `--process-label`.
    pub(super) fn from_words(asked: &Labels, host: &Host) -> Result<Labels> {
        Ok(Labels {
            apparmor: apparmor("--apparmor", asked.apparmor.as_ref(), host)?,
            selinux: selinux("--process-label", asked.selinux.as_ref(), host)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::host::lsm::Lsm;

    fn host(presence: Presence) -> Host {
        Host { lsm: Lsm { apparmor: presence, selinux: presence, invalid: Vec::new() }, ..Host::for_tests() }
    }

    fn process(profile: &str, label: &str) -> oci::Process {
        let text = format!(
            r#"{{"cwd":"/","user":{{"uid":0,"gid":0}},"apparmorProfile":"{profile}","selinuxLabel":"{label}"}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_label_is_refused_where_nothing_would_heed_it() {
        let error = |process| lower(&process, &host(Presence::Off)).unwrap_err().to_string();
        let text = error(process("acme", ""));
        assert!(text.starts_with("apparmorProfile: \"acme\" cannot be applied: AppArmor is not enabled"), "{text}");
        let text = error(process("", "system_u:system_r:container_t:s0"));
        assert!(text.starts_with("selinuxLabel: \"system_u:"), "{text}");
        for harmless in ["", "unconfined"] {
            assert!(lower(&process(harmless, ""), &host(Presence::Off)).unwrap().is_empty());
        }
    }

    #[test]
    fn a_label_of_mounts_is_a_warning_there() {
        let (mut warnings, label) = (Vec::new(), "u:r:t:s0".to_string());
        assert_eq!(of_mounts(Some(&label), &host(Presence::Off), &mut warnings).unwrap(), None);
        assert_eq!(warnings, ["linux.mountLabel: has no effect: SELinux is not enabled on this host"]);
        assert_eq!(of_mounts(Some(&label), &host(Presence::On), &mut Vec::new()).unwrap(), Some(label));
    }

    #[test]
    fn exec_has_the_containers_labels_unless_it_names_its_own() {
        let on = host(Presence::On);
        let template = lower(&process("acme", "u:r:t:s0"), &on).unwrap();
        assert_eq!(lower(&process("", ""), &on).unwrap().or(&template), template);
        let own = lower(&process("other", ""), &on).unwrap().or(&template);
        assert_eq!((own.apparmor.as_deref(), own.selinux.as_deref()), (Some("other"), Some("u:r:t:s0")));
        assert!(lower(&process("a\\nb", ""), &on).is_err());
    }

    #[test]
    fn the_host_is_looked_at_only_for_labels() {
        let spec = |process: oci::Process| {
            let mut spec: Spec = serde_json::from_str(r#"{"ociVersion":"1.0.2"}"#).unwrap();
            spec.set_process(Some(process));
            spec
        };
        assert_eq!(Asked::by_spec(&spec(process("", ""))), Asked::No);
        assert_eq!(Asked::by_spec(&spec(process("acme", ""))), Asked::Yes { selinux: Vec::new() });
        assert_eq!(Asked::by_spec(&spec(process("", "u:r:t"))), Asked::Yes { selinux: vec!["u:r:t".to_owned()] });
    }

    #[test]
    fn a_label_that_the_policy_does_not_know_is_refused_by_its_field() {
        let (mut host, label) = (host(Presence::On), "u:r:none_t:s0".to_string());
        host.lsm.invalid.push(label.clone());
        let known = process("", "u:r:t:s0");
        assert!(lower(&known, &host).is_ok());
        let whole = lower(&process("", &label), &host).unwrap_err();
        let word =
            Labels::from_words(&Labels { selinux: Some(label.clone()), ..Labels::default() }, &host).unwrap_err();
        let mounts = of_mounts(Some(&label), &host, &mut Vec::new()).unwrap_err();
        for (field, error) in [("selinuxLabel", whole), ("--process-label", word), ("linux.mountLabel", mounts)] {
            let text = error.to_string();
            assert!(text.starts_with(&format!("{field}: \"u:r:none_t:s0\": the loaded SELinux policy")), "{text}");
        }
    }
}
