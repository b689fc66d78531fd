//! Containers without a mount namespace. config-linux.md, "Namespaces": a type that is not listed MUST be inherited; so the
//! container's mounts are made in the host's mount namespace, below its root filesystem, and chroot(2) makes that its "/".

use super::mounts::{MountOp, MountWhat};
use super::namespaces::Namespaces;
use super::{RootChange, Rootfs};
use crate::error::{Result, ensure};
use crate::sys::mount::{Depth, flag};
use oci_spec::runtime::Linux;

/// How the root filesystem becomes "/": as the caller asked, or by chroot where there is no mount namespace.
pub(super) fn root_change(
    linux: &Linux,
    namespaces: &Namespaces,
    asked: RootChange,
    warnings: &mut Vec<String>,
) -> Result<RootChange> {
    let propagation = linux.rootfs_propagation().as_deref().unwrap_or_default();
    if namespaces.has(libc::CLONE_NEWNS) {
        ensure!(
            !(asked == RootChange::MoveAndChroot && propagation.trim_start_matches('r') == "private"),
            "linux.rootfsPropagation: private does not go together with --no-pivot; leave one of them out"
        );
        return Ok(asked);
    }
    ensure!(
        !namespaces.has(libc::CLONE_NEWUSER),
        "linux.namespaces: a user namespace has no right over the host's mounts: add {{\"type\": \"mount\"}}"
    );
    ensure!(
        propagation.is_empty(),
        "linux.rootfsPropagation: {propagation:?} would change the host's \"/\": remove it, or add {{\"type\": \"mount\"}} to \
         linux.namespaces"
    );
    warnings.push(
        "config.json: linux.namespaces: without a mount namespace the container's mounts are made on the host, where all can \
         see them, and its root is no more than a chroot, which does not hold a process with CAP_SYS_CHROOT: add {\"type\": \
         \"mount\"}"
            .to_string(),
    );
    Ok(RootChange::Chroot)
}

/// In a mount namespace of its own everything is a slave of the host's from the start, unless `linux.rootfsPropagation` says
/// otherwise. Then, and without a mount namespace, a bind would be the host's peer: what is mounted below it later, by the plan
/// or by the container, would appear on the host as well. So it becomes a slave, if it does not say what it is to be.
pub(super) fn keep_in(rootfs: &Rootfs, mounts: &mut [MountOp]) {
    for op in mounts {
        let cut = match rootfs.change {
            RootChange::Chroot => !matches!(op.what, MountWhat::Remount),
            _ => {
                matches!(op.what, MountWhat::Bind { .. })
                    && op.attributes.propagation.is_empty()
                    && !rootfs.cuts_everything()
            }
        };
        if cut {
            op.attributes.propagation.insert(0, (Depth::Recursive, flag::MS_SLAVE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::host::Host;
    use crate::plan::namespaces;

    fn change(linux: &str, asked: RootChange) -> (Result<RootChange>, usize) {
        let linux: Linux = serde_json::from_str(linux).unwrap();
        let namespaces = namespaces::lower(&linux, &Host::for_tests()).unwrap();
        let mut warnings = Vec::new();
        (root_change(&linux, &namespaces, asked, &mut warnings), warnings.len())
    }

    #[test]
    fn without_a_mount_namespace_there_is_a_chroot_and_a_warning() {
        for asked in [RootChange::Pivot, RootChange::MoveAndChroot] {
            let (made, warnings) = change(r#"{"namespaces":[{"type":"pid"}]}"#, asked);
            assert_eq!((made.unwrap(), warnings), (RootChange::Chroot, 1));
            for namespace in [r#"{"type":"mount"}"#, r#"{"type":"mount","path":"/proc/1/ns/mnt"}"#] {
                let (made, warnings) = change(&format!(r#"{{"namespaces":[{namespace}]}}"#), asked);
                assert_eq!((made.unwrap(), warnings), (asked, 0));
            }
        }
    }

    #[test]
    fn what_would_need_the_hosts_mounts_is_refused() {
        let ids = r#"[{"containerID":0,"hostID":1,"size":1}]"#;
        for (linux, place) in [
            (
                &format!(r#"{{"namespaces":[{{"type":"user"}}],"uidMappings":{ids},"gidMappings":{ids}}}"#)[..],
                "linux.namespaces",
            ),
            (r#"{"namespaces":[{"type":"user","path":"/proc/1/ns/user"}]}"#, "linux.namespaces"),
            (r#"{"rootfsPropagation":"slave"}"#, "linux.rootfsPropagation"),
        ] {
            let error = change(linux, RootChange::Pivot).0.unwrap_err().to_string();
            assert!(error.starts_with(place), "{error}");
        }
    }
}
