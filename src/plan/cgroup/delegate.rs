//! What of its cgroup a container may divide by itself, and who is to own that. Pure.
//!
//! config-linux.md, "Cgroup ownership". Only cgroup v2: on v1 it would not be safe.

use super::{Cgroup, Layout, Owner, Place, place};
use crate::error::{Context, Result, bail, ensure};
use crate::plan::host::Caller;
use crate::plan::mounts::{MountOp, MountWhat};
use crate::plan::namespaces::{self, Namespaces};
use crate::spec::Spec;
use crate::sys::mount::ATTR_RDONLY;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// crun(1): the container's processes live in a cgroup of this name below the container's, which has the limits. It is theirs.
pub const SUBGROUP: &str = "run.oci.delegate-cgroup";

/// Where everybody expects the hierarchy.
const CONVENTION: &str = "/sys/fs/cgroup";

/// The cgroup that the annotation asks for, relative to the container's.
pub fn subgroup(annotations: Option<&HashMap<String, String>>, layout: &Layout) -> Result<Option<PathBuf>> {
    let said = annotations.and_then(|all| all.get(SUBGROUP)).filter(|name| !name.is_empty());
    let Some(said) = said else { return Ok(None) };
    let path = || -> Result<PathBuf> {
        let path = place::clean(said)?;
        let plain = path == Path::new(said) && path.components().next().is_some();
        ensure!(
            plain,
            "{said:?} is no path below the container's cgroup; write it as a name, or names with \"/\" between them"
        );
        match layout {
            Layout::V2(_) => Ok(path),
            Layout::V1 { .. } => bail!("needs cgroup v2: with v1 it would not be safe; leave it out"),
            Layout::Missing => bail!("needs a cgroup, and the container gets none; leave it out"),
        }
    };
    path().map(Some).with_context(|| format!("annotations: {SUBGROUP}"))
}

/// What decides about the owner.
pub struct Facts<'a> {
    pub spec: &'a Spec,
    pub namespaces: &'a Namespaces,
    pub mounts: &'a [MountOp],
    /// `process.user.uid`
    pub uid: u32,
    pub caller: Caller,
}

/// The user of the host who is to own the container's cgroup, or the one below that was asked for: whoever the container's
/// process is there, if it can see its cgroup, and nothing but that, and may write. `None` where it has the right owner, or
/// we are nobody to give it away.
pub fn owner(cgroup: &Cgroup, facts: &Facts) -> Option<u32> {
    let Place { owner, layout, subgroup } = &cgroup.place;
    let ours = *owner != Owner::Nobody && matches!(layout, Layout::V2(_)) && facts.caller == Caller::Root;
    let asked = subgroup.is_some() || (facts.namespaces.makes(libc::CLONE_NEWCGROUP) && facts.is_writable());
    let uid = facts.uid_on_host().filter(|uid| *uid != 0)?; // we, who made it, are 0
    (ours && asked).then_some(uid)
}

impl Facts<'_> {
    /// What lies on top at the conventional place decides.
    fn is_writable(&self) -> bool {
        let at = |op: &&MountOp| op.at == Path::new(CONVENTION);
        let Some(op) = self.mounts.iter().rev().find(at) else { return false };
        let said = self.spec.mounts().iter().flatten().nth(usize::from(op.index));
        let source = said.and_then(|mount| mount.source().as_deref());
        matches!(op.what, MountWhat::Cgroup(_))
            && source == Some(Path::new("cgroup"))
            && op.attributes.everywhere() & ATTR_RDONLY == 0
    }

    /// `None` for one that nobody can tell: in a user namespace that is joined without a word about its maps.
    fn uid_on_host(&self) -> Option<u32> {
        let Namespaces { maps, joined_maps, .. } = self.namespaces;
        let map = maps.as_ref().map(|maps| &maps.uids).or(joined_maps.as_ref().map(|maps| &maps.uids));
        match map {
            Some(map) => namespaces::on_host(map, self.uid),
            None if self.namespaces.has(libc::CLONE_NEWUSER) => None,
            None => Some(self.uid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::cgroup::Spot;
    use crate::plan::host::Host;
    use crate::plan::host::cgroup::Cgroups;
    use crate::plan::{Sandbox, World, create, tests::request};
    use serde_json::{Value, json};

    fn v2() -> Layout {
        Layout::V2(Spot { mount: "/c".into(), path: "x".into() })
    }

    fn document() -> Value {
        json!({
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs"},
            "process": {"args": ["/x"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
            "mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid"]}],
            "linux": {
                "namespaces": [{"type": "mount"}, {"type": "cgroup"}, {"type": "user"}],
                "uidMappings": [
                    {"containerID": 0, "hostID": 100_000, "size": 1000},
                    {"containerID": 5000, "hostID": 200_000, "size": 1000},
                ],
                "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 1000}],
            }
        })
    }

    fn sandbox(document: Value, cgroups: Cgroups) -> Result<Sandbox> {
        let spec: Spec = serde_json::from_value(document).unwrap();
        let host = Host { cgroups, ..Host::for_tests() };
        match create(&spec, &request(), &host)?.world {
            World::New(sandbox) => Ok(*sandbox),
            World::Join(_) => panic!(),
        }
    }

    fn owner_with(change: impl FnOnce(&mut Value)) -> Option<u32> {
        let mut said = document();
        change(&mut said);
        let cgroups = Cgroups::V2 { mount: "/c".into(), own: "/own".into() };
        sandbox(said, cgroups).unwrap().cgroup.delegated_to
    }

    #[test]
    fn the_owner_is_the_user_of_the_process_on_the_host() {
        assert_eq!(owner_with(|_| ()), Some(100_000));
        assert_eq!(owner_with(|said| said["process"]["user"]["uid"] = json!(5001)), Some(200_001));
        let no_user_namespace = |said: &mut Value| {
            said["linux"] = json!({"namespaces": [{"type": "mount"}, {"type": "cgroup"}]});
        };
        assert_eq!(owner_with(no_user_namespace), None, "root's it is anyway");
        let plain_user = |said: &mut Value| {
            no_user_namespace(said);
            said["process"]["user"]["uid"] = json!(1000);
        };
        assert_eq!(owner_with(plain_user), Some(1000));
    }

    #[test]
    fn nobody_else_gets_it_unless_it_can_be_seen_alone_and_written() {
        let options = |options: Value| owner_with(|said| said["mounts"][0]["options"] = options);
        assert_eq!((options(json!(["ro"])), options(json!(["ro", "rw"]))), (None, Some(100_000)));
        assert_eq!(owner_with(|said| said["mounts"][0]["source"] = json!("other")), None);
        assert_eq!(owner_with(|said| said["mounts"][0]["destination"] = json!("/cgroup")), None);
        assert_eq!(owner_with(|said| said["mounts"] = json!([])), None);
        assert_eq!(owner_with(|said| drop(said["linux"]["namespaces"].as_array_mut().unwrap().remove(1))), None);
        let covered = |said: &mut Value| {
            let more = json!({"destination": "/sys/fs/cgroup", "type": "tmpfs", "source": "tmpfs"});
            said["mounts"].as_array_mut().unwrap().push(more);
        };
        assert_eq!(owner_with(covered), None);
        let v1 = Cgroups::V1 { hierarchies: Vec::new(), unified: None };
        assert_eq!(sandbox(document(), v1).unwrap().cgroup.delegated_to, None);
    }

    #[test]
    fn the_subgroup_of_the_annotation_is_below_and_only_on_v2() {
        let named =
            |name: &str, layout: &Layout| subgroup(Some(&HashMap::from([(SUBGROUP.into(), name.into())])), layout);
        assert_eq!(named("init", &v2()).unwrap(), Some("init".into()));
        assert_eq!(named("a/b", &v2()).unwrap(), Some("a/b".into()));
        assert_eq!((named("", &v2()).unwrap(), subgroup(None, &v2()).unwrap()), (None, None));
        for bad in ["..", "../x", "a/../b", "/a", ".", "a\nb"] {
            let error = format!("{:#}", named(bad, &v2()).unwrap_err());
            assert!(error.starts_with("annotations: run.oci.delegate-cgroup: "), "{error}");
        }
        let v1 = Layout::V1 { hierarchies: Vec::new(), unified: None };
        assert!(format!("{:#}", named("x", &v1).unwrap_err()).contains("needs cgroup v2"));
        assert!(format!("{:#}", named("x", &Layout::Missing).unwrap_err()).contains("the container gets none"));
        // Then the mount needs not be there.
        let said = |said: &mut Value| {
            said["mounts"] = json!([]);
            said["annotations"] = json!({SUBGROUP: "x"});
        };
        assert_eq!(owner_with(said), Some(100_000));
    }
}
