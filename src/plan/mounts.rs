//! mounts[]: each entry becomes one operation that the child performs, in order.

use super::cgroup::Place;
use super::host::Caller;
use super::mount_ids::{self, IdMapping};
use super::mount_words::Words;
use super::namespaces::{self, Namespaces};
use super::options::{self, Effect, SourceLink, TargetLink};
use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::spec::Spec;
use crate::sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW, ATTR_RDONLY, Depth, flag};
use crate::sys::{self, Errno};
use oci_spec::runtime::Mount;
use std::path::{Component, Path, PathBuf};

/// One mount, ready to be performed.
#[derive(Debug)]
pub struct MountOp {
    /// Its number in config.json, for messages and for the parent.
    pub index: u16,
    /// Inside the root filesystem, absolute, without `.` and `..`.
    pub at: PathBuf,
    pub what: MountWhat,
    pub attributes: Attributes,
}

#[derive(Debug)]
pub enum MountWhat {
    /// A new instance of a file system.
    New {
        fs: String,
        source: Option<String>,
        options: Vec<(String, Option<String>)>,
        content: Content,
        /// The SELinux context that its root gets, where the type takes none as an option.
        label: Option<String>,
        /// What of the host is bound, with all below it, where the kernel does not permit a new instance.
        instead: Option<PathBuf>,
    },
    /// Something that exists, seen at another place too.
    Bind {
        source: PathBuf,
        depth: Depth,
        opener: Opener,
        ids: Option<IdMapping>,
        source_link: SourceLink,
        target_link: TargetLink,
    },
    /// The container's view of its cgroup.
    Cgroup(CgroupView),
    /// Other attributes for what is mounted there already.
    Remount,
}

/// What a new file system holds at first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// What its type says.
    Own,
    /// A copy of the directory that it covers (`tmpcopyup`).
    Covered,
}

/// Which side opens the source of a bind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opener {
    Child,
    /// In a user namespace the container's root may not be allowed to walk to it, and nobody in one may map its ids.
    Parent,
}

#[derive(Debug)]
pub enum CgroupView {
    /// One hierarchy. When the kernel refuses a new instance, a bind of `fallback` on the host.
    V2 { fallback: PathBuf, flags: RootFlags },
    /// A tmpfs with these options, a directory a hierarchy, and links for controllers that share one.
    V1 { base: Vec<(String, Option<String>)>, parts: Vec<CgroupPart>, links: Vec<(String, String)> },
}

/// The flags of cgroup2's superblock (`nsdelegate`, `memory_recursiveprot` …). The machine has one superblock, and a mount from
/// the first cgroup namespace sets its flags anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RootFlags {
    /// The container makes a cgroup namespace: the kernel ignores the flags of a mount from there.
    Ignored,
    /// The mount repeats the flags that the host's mount has.
    Repeated,
}

#[derive(Debug)]
pub struct CgroupPart {
    /// The directory's name below the tmpfs.
    pub name: String,
    pub source: PartSource,
}

#[derive(Debug)]
pub enum PartSource {
    /// A new instance with these options (controllers, or `none` and `name=`): the cgroup namespace makes it ours.
    Instance(Vec<(String, Option<String>)>),
    /// The container's directory on the host.
    Bind(PathBuf),
}

/// The flags that a bind has from its source as long as no word says anything of flags. Once one word does, the others are
/// cleared, as with runc and crun, whose remount names all of them. Access times stay.
const OF_A_SOURCE: u64 = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC | ATTR_NOSYMFOLLOW;

/// What is set on the mount(s) before they become visible.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Attributes {
    pub set: u64,
    pub clear: u64,
    /// Flags that a bind does not take from its source, though no word names them: cleared where the kernel permits it, and
    /// kept where they are locked, as in a user namespace. mount_namespaces(7), "Restrictions on mount namespaces".
    pub unnamed: u64,
    pub recursive_set: u64,
    pub recursive_clear: u64,
    /// MS_* flags with their depth, in the order given.
    pub propagation: Vec<(Depth, u64)>,
}

/// Explains EINVAL for the copy of a source without the mounts below it. mount_namespaces(7): to a user namespace those mounts are
/// locked together; and an unbindable mount is never copied.
pub fn explain_source(error: sys::Error, depth: Depth) -> anyhow::Error {
    if error.0 == Errno::EINVAL && depth == Depth::One {
        return anyhow!(error).context(LOCKED);
    }
    error.into()
}

/// The remedy of that.
pub const LOCKED: &str = "where something is mounted below the source, a user namespace can only bind all of it: write \"rbind\" in \
                          place of \"bind\" (an unbindable source is bound by neither)";

/// linux.rootfsPropagation as MS_* bits. Absent: what happens on the host is seen inside, nothing goes out.
pub(super) fn root_propagation(word: Option<&str>) -> Result<u64> {
    let Some(word) = word.filter(|word| !word.is_empty()) else {
        return Ok(flag::MS_SLAVE | flag::MS_REC);
    };
    match options::find(word) {
        Some(Effect::Propagation { depth, flag }) => {
            Ok(flag | if depth == Depth::Recursive { flag::MS_REC } else { 0 })
        }
        _ => {
            let names = ["shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"];
            let hint = options::did_you_mean(word, names.into_iter());
            let hint = hint.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
            bail!("linux.rootfsPropagation: unknown value {word:?}{hint}; it is shared, slave, private or unbindable")
        }
    }
}

pub(super) fn lower(spec: &Spec, scene: &Scene, warnings: &mut Vec<String>) -> Result<Vec<MountOp>> {
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    ensure!(mounts.len() < usize::from(u16::MAX), "mounts: {} are too many; the limit is 65534", mounts.len());
    let mut operations = Vec::with_capacity(mounts.len() + 1); // one for /run/notify
    for (i, mount) in mounts.iter().enumerate() {
        operations.push(scene.one(i, mount, warnings).with_context(|| format!("mounts[{i}]"))?);
    }
    Ok(operations)
}

/// What all mounts are lowered against.
pub(super) struct Scene<'a> {
    pub bundle: &'a Path,
    pub namespaces: &'a Namespaces,
    pub place: &'a Place,
    pub caller: Caller,
    /// The SELinux context of what is mounted anew.
    pub label: Option<&'a str>,
    /// The option that passes the label on.
    pub context: &'static str,
}

impl Scene<'_> {
    pub(super) fn one(&self, index: usize, mount: &Mount, warnings: &mut Vec<String>) -> Result<MountOp> {
        let at = destination(mount.destination())?;
        if mount.destination().is_relative() {
            warnings.push(format!(
                "config.json: mounts[{index}].destination: {:?} is relative, which is deprecated; write {at:?}",
                mount.destination()
            ));
        }
        let mut words = Words::sort(mount.options().as_deref().unwrap_or_default())?;
        let fs = mount.typ().as_deref().unwrap_or("none");
        if matches!(fs, "bind" | "rbind") && words.bind.is_none() && words.remount.is_none() {
            words.bind = Some(if fs == "rbind" { Depth::Recursive } else { Depth::One });
        }
        let depth = words.bind.filter(|_| words.remount.is_none());
        if depth.is_none() {
            mount_ids::refuse(mount, words.ids.as_ref())?;
            words.refuse_links()?;
        }
        if let Some(option) = words.copy_up {
            let fits = fs == "tmpfs" && depth.is_none() && words.remount.is_none();
            ensure!(fits, "options[{option}]: \"tmpcopyup\" is for a tmpfs; remove it");
            ensure!(at != Path::new("/"), "options[{option}]: \"tmpcopyup\" cannot copy the whole root; remove it");
        }
        let what = if words.remount.is_some() {
            warnings.extend(words.without_data(index, "a remount")?);
            MountWhat::Remount
        } else if let Some(depth) = depth {
            warnings.extend(words.without_data(index, "a bind mount")?);
            self.bind(mount, depth, &mut words)?
        } else if matches!(fs, "cgroup" | "cgroup2") {
            warnings.extend(words.data.iter().map(|(option, word)| {
                format!("config.json: mounts[{index}].options[{option}]: {word:?} has no effect on a cgroup mount")
            }));
            MountWhat::Cgroup(self.cgroup_view()?)
        } else {
            self.check_owner(&words)?;
            let label = self.label.map(|label| (self.context, label));
            new_filesystem(fs, mount, &words, label, self.instead(fs))?
        };
        if let MountWhat::Bind { source, depth: Depth::Recursive, .. } = &what
            && source.starts_with("/sys")
            && self.namespaces.has(libc::CLONE_NEWUSER)
            && words.attributes.everywhere() & ATTR_RDONLY != 0
        {
            // Below it is the user's own cgroup, which "ro" of the mount above it would not cover (CVE-2023-25809).
            words.attributes.recursive_set |= ATTR_RDONLY;
        }
        check_below_proc(&at, &what)?;
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        Ok(MountOp { index, at, what, attributes: words.attributes })
    }

    fn bind(&self, mount: &Mount, depth: Depth, words: &mut Words) -> Result<MountWhat> {
        let Some(source) = mount.source() else { bail!("source: is missing; a bind mount needs one") };
        ensure!(!source.as_os_str().is_empty(), "source: is empty; a bind mount needs one");
        let ids = mount_ids::lower(mount, words.ids.as_ref(), self.namespaces, self.caller)?;
        let opener = if ids.is_some() { Opener::Parent } else { opener(self.namespaces, self.caller) };
        let source_link = words.source_link.map_or(SourceLink::Follow, |(_, link)| link);
        let target_link = words.target_link.map_or(TargetLink::Follow, |(_, link)| link);
        if words.names_flags {
            let attributes = &mut words.attributes;
            attributes.unnamed = OF_A_SOURCE & !(attributes.set | attributes.clear);
        }
        if let (SourceLink::Recreate, Some((option, _))) = (source_link, words.target_link) {
            bail!("options[{option}]: does not go together with \"copy-symlink\"; keep one of them");
        }
        Ok(MountWhat::Bind { source: self.bundle.join(source), depth, opener, ids, source_link, target_link })
    }

    /// sysfs belongs to the network namespace: a user namespace that does not own the one it is in may not mount it.
    fn instead(&self, fs: &str) -> Option<PathBuf> {
        let foreign = self.namespaces.has(libc::CLONE_NEWUSER) && !self.namespaces.makes(libc::CLONE_NEWNET);
        (fs == "sysfs" && foreign).then(|| PathBuf::from("/sys"))
    }

    /// `uid=` and `gid=` are of the user namespace. The kernel says no more than EINVAL.
    fn check_owner(&self, words: &Words) -> Result<()> {
        for (index, word) in &words.data {
            let Some((name @ ("uid" | "gid"), text)) = word.split_once('=') else { continue };
            let Ok(number) = text.parse() else { continue }; // the file system knows what else it takes
            let id = namespaces::id(number).with_context(|| format!("options[{index}]: {name}"))?;
            let Some(maps) = &self.namespaces.maps else { continue };
            let known = namespaces::is_mapped(if name == "uid" { &maps.uids } else { &maps.gids }, id);
            ensure!(
                known,
                "options[{index}]: {word:?}: this id does not exist in the user namespace; remove the option, or map it"
            );
        }
        Ok(())
    }

    fn cgroup_view(&self) -> Result<CgroupView> {
        let mut view = super::cgroup::view(self.place, self.namespaces.makes(libc::CLONE_NEWCGROUP))?;
        if let CgroupView::V1 { base, .. } = &mut view {
            base.extend(self.label.map(|label| context_option(self.context, label)));
        }
        Ok(view)
    }
}

/// The parent opens for root of a user namespace, which may not be allowed to walk to a place of the host. Without privileges of
/// its own the parent has no right over the child's mount namespace, and no more to read.
pub fn opener(namespaces: &Namespaces, caller: Caller) -> Opener {
    let in_user_namespace = namespaces.has(libc::CLONE_NEWUSER) && caller == Caller::Root;
    if in_user_namespace { Opener::Parent } else { Opener::Child }
}

/// Absolute and lexically clean. Relative destinations are deprecated and taken as from "/".
fn destination(path: &Path) -> Result<PathBuf> {
    ensure!(!path.as_os_str().is_empty(), "destination: is empty; name the place inside the container");
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            _ => {}
        }
    }
    Ok(clean)
}

fn new_filesystem(
    fs: &str,
    mount: &Mount,
    words: &Words,
    label: Option<(&'static str, &str)>,
    instead: Option<PathBuf>,
) -> Result<MountWhat> {
    ensure!(fs != "none" && !fs.is_empty(), "type: is missing, and no option says \"bind\" or \"rbind\"");
    let mut data: Vec<(String, Option<String>)> = Vec::new();
    if !has_shared_superblock(fs) {
        // `rw` is what a file system is anyway; saying so would be refused by some. Nothing could be copied into a
        // superblock that is read-only, or made in it for what is mounted there: of a tmpfs the mount alone is.
        let asked = words.superblock.iter().filter(|(_, word)| *word != "rw");
        let asked = asked.filter(|(_, word)| *word != "ro" || (words.copy_up.is_none() && fs != "tmpfs"));
        data.extend(asked.map(|(_, word)| ((*word).to_string(), None)));
    }
    for (_, word) in &words.data {
        data.push(match word.split_once('=') {
            // Its value may be quoted for its commas: mount(2) drops the quotes, fsconfig(2) does not.
            Some((key, value)) if is_context(key) => (key.to_string(), Some(value.replace('"', ""))),
            Some((key, value)) => (key.to_string(), Some(value.to_string())),
            None => (word.clone(), None),
        });
    }
    let named = data.iter().any(|(key, _)| is_context(key));
    if takes_label(fs) && !named {
        data.extend(label.map(|(context, label)| context_option(context, label)));
    }
    let label = label.filter(|_| fs == "mqueue").map(|(_, label)| label.to_owned());
    let source = mount.source().as_ref().map(|source| source.to_string_lossy().into_owned());
    let content = if words.copy_up.is_some() { Content::Covered } else { Content::Own };
    Ok(MountWhat::New { fs: fs.to_string(), source, options: data, content, label, instead })
}

/// These share one superblock with all other mounts of the namespace that they show, or of the machine: making it read-only
/// would make it so for the next container in the pod, or for the host (its /dev: devtmpfs of older kernels takes the flag of
/// every new mount: seen on Linux 6.12). The attribute of our own mount is enough.
fn has_shared_superblock(fs: &str) -> bool {
    const SHARED: [&str; 15] = [
        "proc",
        "sysfs",
        "mqueue",
        "devpts",
        "bpf",
        "securityfs",
        "debugfs",
        "tracefs",
        "devtmpfs",
        "configfs",
        "fusectl",
        "pstore",
        "efivarfs",
        "binfmt_misc",
        "selinuxfs",
    ];
    SHARED.contains(&fs)
}

/// The loaded policy labels file systems that the kernel fills; each devpts is one of its own. The superblock of an mqueue is
/// made with the IPC namespace, so its root is labelled after the mount, as runc and crun do it.
fn takes_label(fs: &str) -> bool {
    fs == "devpts" || !has_shared_superblock(fs)
}

/// The options by which SELinux labels a file system.
fn is_context(key: &str) -> bool {
    matches!(key, "context" | "fscontext" | "defcontext" | "rootcontext")
}

/// As one value, without the quotes that mount(8) needs around its commas.
fn context_option(context: &str, label: &str) -> (String, Option<String>) {
    (context.to_string(), Some(label.to_string()))
}

/// Below /proc only a few files may be covered (as lxcfs does); anything else could stand in for a file that the runtime
/// writes or masks (CVE-2019-16884). /proc itself takes procfs, or a bind, which the child checks to be procfs.
fn check_below_proc(at: &Path, what: &MountWhat) -> Result<()> {
    const ALLOWED: [&str; 10] = [
        "cpuinfo",
        "diskstats",
        "loadavg",
        "meminfo",
        "slabinfo",
        "stat",
        "swaps",
        "sys/crypto/fips_enabled",
        "sys/kernel/ns_last_pid",
        "uptime",
    ];
    let Ok(rest) = at.strip_prefix("/proc") else {
        return Ok(());
    };
    if rest.as_os_str().is_empty() {
        let fits = match what {
            MountWhat::New { fs, .. } => fs == "proc",
            MountWhat::Bind { .. } | MountWhat::Remount => true,
            MountWhat::Cgroup(_) => false,
        };
        ensure!(fits, "destination: \"/proc\" can only hold procfs; use type \"proc\"");
        return Ok(());
    }
    ensure!(
        ALLOWED.iter().any(|allowed| Path::new(allowed) == rest),
        "destination: {} is inside /proc, where only {} can be covered",
        at.display(),
        ALLOWED.join(", ")
    );
    Ok(())
}

impl Attributes {
    /// The bits for a mount that is made together with all that will be below it.
    pub fn everywhere(&self) -> u64 {
        self.set & !self.recursive_clear | self.recursive_set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_file_systems_get_the_label_of_mounts() {
        let options = |fs: &str, words: &str| {
            let mount = format!(r#"{{"destination":"/x","type":"{fs}","options":[{words}]}}"#);
            let mount: oci_spec::runtime::Mount = serde_json::from_str(&mount).unwrap();
            let words = Words::sort(mount.options().as_deref().unwrap()).unwrap();
            match new_filesystem(fs, &mount, &words, Some(("context", "u:r:t:s0:c1,c2")), None).unwrap() {
                MountWhat::New { options, .. } => options,
                _ => panic!(),
            }
        };
        let label = ("context".to_string(), Some("u:r:t:s0:c1,c2".to_string()));
        for fs in ["tmpfs", "devpts"] {
            assert_eq!(options(fs, ""), std::slice::from_ref(&label), "{fs}");
        }
        for fs in ["proc", "sysfs", "mqueue", "devtmpfs"] {
            assert_eq!(options(fs, ""), [], "{fs}");
        }
        for own in [r#""context=own:c1,c2""#, r#""context=\"own:c1,c2\"""#] {
            assert_eq!(options("tmpfs", own), [("context".to_string(), Some("own:c1,c2".to_string()))]);
        }
    }

    /// Its superblock is made with the IPC namespace: the kernel refuses a `context` option.
    #[test]
    fn a_new_mqueue_is_labelled_by_its_root() {
        let label = |fs: &str| {
            let mount = format!(r#"{{"destination":"/x","type":"{fs}"}}"#);
            let mount: oci_spec::runtime::Mount = serde_json::from_str(&mount).unwrap();
            match new_filesystem(fs, &mount, &Words::sort(&[]).unwrap(), Some(("context", "u:r:t:s0")), None).unwrap() {
                MountWhat::New { label, .. } => label,
                _ => panic!(),
            }
        };
        assert_eq!(label("mqueue").as_deref(), Some("u:r:t:s0"));
        assert_eq!([label("tmpfs"), label("proc")], [None, None]);
    }

    #[test]
    fn destinations_cannot_climb() {
        assert_eq!(destination(Path::new("/a/../../b/./c")).unwrap(), Path::new("/b/c"));
        assert_eq!(destination(Path::new("rel/x")).unwrap(), Path::new("/rel/x"));
    }

    #[test]
    fn proc_is_covered_only_where_lxcfs_does() {
        let (fs, content) = ("tmpfs".to_owned(), Content::Own);
        let tmpfs =
            || MountWhat::New { fs: fs.clone(), source: None, options: vec![], content, label: None, instead: None };
        assert!(check_below_proc(Path::new("/proc"), &tmpfs()).is_err());
        assert!(check_below_proc(Path::new("/proc/self/attr"), &tmpfs()).is_err());
        assert!(check_below_proc(Path::new("/proc/meminfo"), &tmpfs()).is_ok());
        assert!(check_below_proc(Path::new("/process"), &tmpfs()).is_ok());
    }

    #[test]
    fn propagation_words_are_checked() {
        assert_eq!(root_propagation(None).unwrap(), flag::MS_SLAVE | flag::MS_REC);
        assert_eq!(root_propagation(Some("rshared")).unwrap(), flag::MS_SHARED | flag::MS_REC);
        assert!(root_propagation(Some("salve")).unwrap_err().to_string().contains("did you mean \"slave\""));
    }
}
