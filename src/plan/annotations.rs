//! The annotations that have a meaning to this runtime; they are crun's (crun(1)), and runc's for systemd. All others are only passed on.

use super::cgroup::delegate;
use super::cgroup::scope::SUBGROUP;
use super::cgroup::systemd::PROPERTY;
use super::process::User;
use crate::error::{Result, ensure};
use crate::spec::Spec;
use std::path::Path;

/// Unless "0": the process keeps the supplementary groups of the runtime's caller.
pub const KEEP_GROUPS: &str = "run.oci.keep_original_groups";
/// Files to which the output of hooks is appended.
pub const HOOKS_STDOUT: &str = "run.oci.hooks.stdout";
pub const HOOKS_STDERR: &str = "run.oci.hooks.stderr";

/// What `features` tells engines to keep from users that they do not trust.
pub const ALL: [&str; 6] = [PROPERTY, delegate::SUBGROUP, HOOKS_STDERR, HOOKS_STDOUT, KEEP_GROUPS, SUBGROUP];

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
    fn files_for_output_are_named_absolutely() {
        assert!(check(&spec(r#""run.oci.hooks.stdout":"/var/log/hooks""#)).is_ok());
        let error = check(&spec(r#""run.oci.hooks.stderr":"hooks""#)).unwrap_err().to_string();
        assert!(error.starts_with("annotations: run.oci.hooks.stderr: \"hooks\" is not an absolute path"), "{error}");
    }
}
