//! The annotations that have a meaning to this runtime; they are crun's (crun(1)), and runc's for systemd. All others are only passed on.

use super::cgroup::delegate;
use super::cgroup::scope::SUBGROUP;
use super::cgroup::systemd::PROPERTY;
use super::process::User;
use crate::error::{Result, anyhow, ensure};
use crate::spec::Spec;
use std::path::Path;

/// Unless "0": the process keeps the supplementary groups of the runtime's caller.
pub const KEEP_GROUPS: &str = "run.oci.keep_original_groups";
/// Files to which the output of hooks is appended.
pub const HOOKS_STDOUT: &str = "run.oci.hooks.stdout";
pub const HOOKS_STDERR: &str = "run.oci.hooks.stderr";

/// The option by which new file systems get `linux.mountLabel`; `context` without it. mount(8), "context=".
pub const CONTEXT_TYPE: &str = "run.oci.mount_context_type";

/// What `features` tells engines to keep from users that they do not trust.
pub const ALL: [&str; 7] =
    [PROPERTY, delegate::SUBGROUP, HOOKS_STDERR, HOOKS_STDOUT, KEEP_GROUPS, CONTEXT_TYPE, SUBGROUP];

fn value<'a>(spec: &'a Spec, name: &str) -> Option<&'a String> {
    spec.annotations().as_ref()?.get(name)
}

/// The paths must mean the same in whichever directory a command runs.
pub(super) fn check(spec: &Spec) -> Result<()> {
    for name in [HOOKS_STDOUT, HOOKS_STDERR] {
        if let Some(path) = value(spec, name) {
            let fits = Path::new(path).is_absolute() && !path.contains('\0');
            ensure!(fits, "annotations: {name}: {path:?} is not an absolute path");
        }
    }
    Ok(())
}

/// The option that `CONTEXT_TYPE` names.
pub(super) fn context_type(spec: &Spec) -> Result<&'static str> {
    const TYPES: [&str; 4] = ["context", "fscontext", "defcontext", "rootcontext"];
    let Some(said) = value(spec, CONTEXT_TYPE) else { return Ok(TYPES[0]) };
    let known = TYPES.into_iter().find(|known| known == said);
    known.ok_or_else(|| anyhow!("annotations: {CONTEXT_TYPE}: {said:?} is none of {}", TYPES.join(", ")))
}

/// With crun these change what runs (another handler, a seccomp program, a virtual machine, WebAssembly); crun(1).
pub(super) fn warn_of_others(spec: &Spec, warnings: &mut Vec<String>) {
    const PREFIXES: [&str; 4] = ["run.oci.", "krun.", "run.wasm", "module.wasm.image/"];
    let mut others: Vec<&String> = spec.annotations().iter().flat_map(|all| all.keys()).collect();
    others.retain(|name| PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && !ALL.contains(&name.as_str()));
    others.sort_unstable();
    let warning = |name| format!("annotations: {name}: has a meaning to crun and none here: it changes nothing");
    warnings.extend(others.into_iter().map(warning));
}

/// What is said to systemd reaches nobody without it. Of its properties nothing is said: Podman sets them for every container.
pub(super) fn warn_of_systemd(spec: &Spec, warnings: &mut Vec<String>) {
    if value(spec, SUBGROUP).is_some() {
        warnings.push(format!("annotations: {SUBGROUP}: has no effect without --systemd-cgroup"));
    }
}

pub(super) fn apply_to_user(spec: &Spec, user: &mut User, warnings: &mut Vec<String>) {
    if value(spec, KEEP_GROUPS).is_some_and(|value| value != "0") {
        user.keep_groups(warnings);
    }
}

impl User {
    pub(super) fn keep_groups(&mut self, warnings: &mut Vec<String>) {
        if self.groups.take().is_some_and(|groups| !groups.is_empty()) {
            warnings.push(format!("process.user.additionalGids: has no effect with the annotation {KEEP_GROUPS}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(annotation: &str) -> Spec {
        serde_json::from_str(&format!(r#"{{"ociVersion":"1.0.2","annotations":{{{annotation}}}}}"#)).unwrap()
    }

    #[test]
    fn groups_are_kept_unless_zero_says_not_to() {
        for (annotation, kept) in [
            (r#""run.oci.keep_original_groups":"1""#, true),
            (r#""run.oci.keep_original_groups":"""#, true),
            (r#""run.oci.keep_original_groups":"0""#, false),
            (r#""other":"1""#, false),
        ] {
            let mut user = User { uid: 0, gid: 0, groups: Some(vec![5]), umask: None };
            let mut warnings = Vec::new();
            apply_to_user(&spec(annotation), &mut user, &mut warnings);
            assert_eq!((user.groups.is_none(), warnings.len()), (kept, usize::from(kept)), "{annotation}");
        }
    }

    #[test]
    fn annotations_of_crun_that_have_no_effect_here_are_named() {
        let mut warnings = Vec::new();
        let said = r#""run.oci.handler":"krun","run.oci.seccomp_bpf_data":"x","krun.cpus":"2","run.oci.hooks.stdout":"/x","a":"b""#;
        warn_of_others(&spec(said), &mut warnings);
        let named: Vec<&str> = warnings.iter().filter_map(|warning| warning.split(": ").nth(1)).collect();
        assert_eq!(named, ["krun.cpus", "run.oci.handler", "run.oci.seccomp_bpf_data"]);
    }

    #[test]
    fn the_option_of_the_mount_label_is_one_of_four() {
        assert_eq!(context_type(&spec("")).unwrap(), "context");
        assert_eq!(context_type(&spec(r#""run.oci.mount_context_type":"rootcontext""#)).unwrap(), "rootcontext");
        let error = context_type(&spec(r#""run.oci.mount_context_type":"other""#)).unwrap_err().to_string();
        assert!(error.contains("\"other\" is none of context, fscontext"), "{error}");
    }

    #[test]
    fn files_for_output_are_named_absolutely() {
        assert!(check(&spec(r#""run.oci.hooks.stdout":"/var/log/hooks""#)).is_ok());
        let error = check(&spec(r#""run.oci.hooks.stderr":"hooks""#)).unwrap_err().to_string();
        assert!(error.starts_with("annotations: run.oci.hooks.stderr: \"hooks\" is not an absolute path"), "{error}");
    }
}
