//! mounts[]: each entry becomes one operation that the child performs, in order.

use super::cgroup::Place;
use super::namespaces::Namespaces;
use super::options::{self, Effect};
use crate::error::{Context, Result, bail, ensure};
use crate::spec::Spec;
use crate::sys::mount::{ATTR_RDONLY, Depth};
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
    New { fs: String, source: Option<String>, options: Vec<(String, Option<String>)> },
    /// Something that exists, seen at another place too.
    Bind { source: PathBuf, depth: Depth, opener: Opener },
    /// The container's view of its cgroup.
    Cgroup(CgroupView),
    /// Other attributes for what is mounted there already.
    Remount,
}

/// Which side can reach the source of a bind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opener {
    Child,
    /// In a user namespace the container's root may not be allowed to walk to it.
    Parent,
}

#[derive(Debug)]
pub enum CgroupView {
    /// One hierarchy. When the kernel refuses a new instance, a bind of `fallback` on the host.
    V2 { fallback: PathBuf },
    /// A tmpfs with these options, a directory a hierarchy, and links for controllers that share one.
    V1 { base: Vec<(String, Option<String>)>, parts: Vec<CgroupPart>, links: Vec<(String, String)> },
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

/// What is set on the mount(s) before they become visible.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Attributes {
    pub set: u64,
    pub clear: u64,
    pub recursive_set: u64,
    pub recursive_clear: u64,
    /// MS_* flags with their depth, in the order given.
    pub propagation: Vec<(Depth, u64)>,
}

/// linux.rootfsPropagation as MS_* bits. Absent: what happens on the host is seen inside, nothing goes out.
pub(super) fn root_propagation(word: Option<&str>) -> Result<u64> {
    let Some(word) = word.filter(|word| !word.is_empty()) else {
        return Ok(libc::MS_SLAVE | libc::MS_REC);
    };
    match options::find(word) {
        Some(Effect::Propagation { depth, flag }) => {
            Ok(flag | if depth == Depth::Recursive { libc::MS_REC } else { 0 })
        }
        _ => {
            let names = ["shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"];
            let hint = options::did_you_mean(word, names.into_iter());
            let hint = hint.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
            bail!("linux.rootfsPropagation: unknown value {word:?}{hint}; it is shared, slave, private or unbindable")
        }
    }
}

/// `label`: the SELinux context of what is mounted anew.
pub(super) fn lower(
    spec: &Spec,
    bundle: &Path,
    namespaces: &Namespaces,
    place: &Place,
    label: Option<&str>,
) -> Result<Vec<MountOp>> {
    let mounts = spec.mounts().as_deref().unwrap_or_default();
    ensure!(mounts.len() < usize::from(u16::MAX), "mounts: {} are too many; the limit is 65534", mounts.len());
    let scene = Scene { bundle, namespaces, place, label };
    mounts.iter().enumerate().map(|(i, mount)| scene.one(i, mount).with_context(|| format!("mounts[{i}]"))).collect()
}

/// What all mounts are lowered against.
struct Scene<'a> {
    bundle: &'a Path,
    namespaces: &'a Namespaces,
    place: &'a Place,
    label: Option<&'a str>,
}

/// The words of one mount, sorted by what they do.
#[derive(Default)]
struct Words {
    attributes: Attributes,
    bind: Option<Depth>,
    remount: Option<()>,
    superblock: Vec<(usize, &'static str)>,
    data: Vec<(usize, String)>,
}

impl Scene<'_> {
    fn one(&self, index: usize, mount: &oci_spec::runtime::Mount) -> Result<MountOp> {
        let at = destination(mount.destination())?;
        let mapped = mount.uid_mappings().is_some() || mount.gid_mappings().is_some();
        ensure!(!mapped, "uidMappings: id-mapped mounts are not supported by this version; remove the mappings");
        let mut words = sort_words(mount.options().as_deref().unwrap_or_default())?;
        let fs = mount.typ().as_deref().unwrap_or("none");
        if matches!(fs, "bind" | "rbind") && words.bind.is_none() && words.remount.is_none() {
            words.bind = Some(if fs == "rbind" { Depth::Recursive } else { Depth::One });
        }
        let what = if words.remount.is_some() {
            refuse_data(&words, "a remount")?;
            MountWhat::Remount
        } else if let Some(depth) = words.bind {
            refuse_data(&words, "a bind mount")?;
            self.bind(mount, depth)?
        } else if matches!(fs, "cgroup" | "cgroup2") {
            MountWhat::Cgroup(self.cgroup_view()?)
        } else {
            new_filesystem(fs, mount, &words, self.label)?
        };
        check_below_proc(&at, &what)?;
        let index = u16::try_from(index).unwrap_or(u16::MAX);
        Ok(MountOp { index, at, what, attributes: words.attributes })
    }

    fn bind(&self, mount: &oci_spec::runtime::Mount, depth: Depth) -> Result<MountWhat> {
        let Some(source) = mount.source() else { bail!("source: is missing; a bind mount needs one") };
        ensure!(!source.as_os_str().is_empty(), "source: is empty; a bind mount needs one");
        let inside_userns = self.namespaces.has(libc::CLONE_NEWUSER);
        let opener = if inside_userns { Opener::Parent } else { Opener::Child };
        Ok(MountWhat::Bind { source: self.bundle.join(source), depth, opener })
    }

    fn cgroup_view(&self) -> Result<CgroupView> {
        let mut view = super::cgroup::view(self.place, self.namespaces.makes(libc::CLONE_NEWCGROUP))?;
        if let CgroupView::V1 { base, .. } = &mut view {
            base.extend(self.label.map(context_option));
        }
        Ok(view)
    }
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

fn sort_words(list: &[String]) -> Result<Words> {
    let mut words = Words::default();
    for (index, word) in list.iter().enumerate() {
        ensure!(!word.contains('\0'), "options[{index}]: holds a NUL byte");
        if options::REFUSED.contains(&word.as_str()) {
            bail!("options[{index}]: {word:?} is not supported by this version; remove it");
        }
        match options::find(word) {
            Some(effect) => words.take(index, effect),
            None if word.is_empty() => {}
            None => words.data.push((index, word.clone())),
        }
    }
    Ok(words)
}

impl Words {
    /// A later word wins over an earlier one that says the contrary.
    fn take(&mut self, index: usize, effect: Effect) {
        let attributes = &mut self.attributes;
        match effect {
            Effect::Attributes { depth: Depth::One, set, clear } => {
                (attributes.set, attributes.clear) = (attributes.set & !clear | set, attributes.clear & !set | clear);
            }
            Effect::Attributes { depth: Depth::Recursive, set, clear } => {
                let (old_set, old_clear) = (attributes.recursive_set, attributes.recursive_clear);
                (attributes.recursive_set, attributes.recursive_clear) =
                    (old_set & !clear | set, old_clear & !set | clear);
            }
            Effect::Both { set, clear, superblock } => {
                self.take(index, Effect::Attributes { depth: Depth::One, set, clear });
                self.superblock.retain(|(_, word)| !matches!(*word, "ro" | "rw"));
                self.superblock.push((index, superblock));
            }
            Effect::Superblock(word) => self.superblock.push((index, word)),
            Effect::Propagation { depth, flag } => attributes.propagation.push((depth, flag)),
            Effect::Bind(depth) => self.bind = Some(depth),
            Effect::Remount => self.remount = Some(()),
            Effect::Nothing => {}
        }
    }
}

/// A word that is none of ours belongs to the file system; where there is no new file system it is an error.
fn refuse_data(words: &Words, what: &str) -> Result<()> {
    let Some((index, word)) = words.data.first() else {
        return Ok(());
    };
    let hint = options::did_you_mean(word, options::WORDS.iter().map(|(name, _)| *name));
    let hint = hint.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
    bail!("options[{index}]: unknown option {word:?}{hint}; {what} takes no options of a file system")
}

fn new_filesystem(fs: &str, mount: &oci_spec::runtime::Mount, words: &Words, label: Option<&str>) -> Result<MountWhat> {
    ensure!(fs != "none" && !fs.is_empty(), "type: is missing, and no option says \"bind\" or \"rbind\"");
    let mut data: Vec<(String, Option<String>)> = Vec::new();
    if !has_shared_superblock(fs) {
        // `rw` is what a file system is anyway; saying so would be refused by some.
        let asked = words.superblock.iter().filter(|(_, word)| *word != "rw");
        data.extend(asked.map(|(_, word)| ((*word).to_string(), None)));
    }
    for (_, word) in &words.data {
        data.push(match word.split_once('=') {
            Some((key, value)) => (key.to_string(), Some(value.to_string())),
            None => (word.clone(), None),
        });
    }
    let named =
        data.iter().any(|(key, _)| matches!(key.as_str(), "context" | "fscontext" | "defcontext" | "rootcontext"));
    if takes_label(fs) && !named {
        data.extend(label.map(context_option));
    }
    let source = mount.source().as_ref().map(|source| source.to_string_lossy().into_owned());
    Ok(MountWhat::New { fs: fs.to_string(), source, options: data })
}

/// These share one superblock with everybody else in the namespace they show: making it read-only would make it so for
/// the next container in the pod. The attribute of our own mount is enough.
fn has_shared_superblock(fs: &str) -> bool {
    matches!(fs, "proc" | "sysfs" | "mqueue" | "devpts" | "bpf" | "securityfs" | "debugfs" | "tracefs")
}

/// The loaded policy labels file systems that the kernel fills; each devpts is one of its own.
fn takes_label(fs: &str) -> bool {
    fs == "devpts" || !has_shared_superblock(fs)
}

/// As one value, without the quotes that mount(8) needs around its commas.
fn context_option(label: &str) -> (String, Option<String>) {
    ("context".to_string(), Some(label.to_string()))
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
    /// Is the mount itself read-only?
    pub fn is_read_only(&self) -> bool {
        (self.set | self.recursive_set) & ATTR_RDONLY != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Words {
        sort_words(&list.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_later_word_wins() {
        assert!(words(&["rw", "ro"]).attributes.is_read_only());
        assert_eq!(words(&["ro", "rw"]).attributes.clear, ATTR_RDONLY);
    }

    #[test]
    fn a_typing_error_in_a_bind_is_refused_with_a_hint() {
        let error = refuse_data(&words(&["rbind", "nosudi"]), "a bind mount").unwrap_err().to_string();
        assert!(error.starts_with("options[1]: unknown option \"nosudi\" (did you mean \"nosuid\"?)"), "{error}");
    }

    #[test]
    fn new_file_systems_get_the_label_of_mounts() {
        let options = |fs: &str, words: &str| {
            let mount = format!(r#"{{"destination":"/x","type":"{fs}","options":[{words}]}}"#);
            let mount: oci_spec::runtime::Mount = serde_json::from_str(&mount).unwrap();
            let words = sort_words(mount.options().as_deref().unwrap()).unwrap();
            match new_filesystem(fs, &mount, &words, Some("u:r:t:s0:c1,c2")).unwrap() {
                MountWhat::New { options, .. } => options,
                _ => panic!(),
            }
        };
        let label = ("context".to_string(), Some("u:r:t:s0:c1,c2".to_string()));
        for fs in ["tmpfs", "devpts"] {
            assert_eq!(options(fs, ""), std::slice::from_ref(&label), "{fs}");
        }
        for fs in ["proc", "sysfs", "mqueue"] {
            assert_eq!(options(fs, ""), [], "{fs}");
        }
        assert_eq!(options("tmpfs", "\"context=own\""), [("context".to_string(), Some("own".to_string()))]);
    }

    #[test]
    fn destinations_cannot_climb() {
        assert_eq!(destination(Path::new("/a/../../b/./c")).unwrap(), Path::new("/b/c"));
        assert_eq!(destination(Path::new("rel/x")).unwrap(), Path::new("/rel/x"));
    }

    #[test]
    fn proc_is_covered_only_where_lxcfs_does() {
        let tmpfs = || MountWhat::New { fs: "tmpfs".into(), source: None, options: vec![] };
        assert!(check_below_proc(Path::new("/proc"), &tmpfs()).is_err());
        assert!(check_below_proc(Path::new("/proc/self/attr"), &tmpfs()).is_err());
        assert!(check_below_proc(Path::new("/proc/meminfo"), &tmpfs()).is_ok());
        assert!(check_below_proc(Path::new("/process"), &tmpfs()).is_ok());
    }

    #[test]
    fn propagation_words_are_checked() {
        assert_eq!(root_propagation(None).unwrap(), libc::MS_SLAVE | libc::MS_REC);
        assert_eq!(root_propagation(Some("rshared")).unwrap(), libc::MS_SHARED | libc::MS_REC);
        assert!(root_propagation(Some("salve")).unwrap_err().to_string().contains("did you mean \"slave\""));
    }
}
