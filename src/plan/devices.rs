//! Device nodes and links in /dev. config-linux.md, "Devices" and "Default Devices"; runtime-linux.md, "Dev symbolic links".

use super::host::Host;
use super::mounts::{MountOp, MountWhat};
use super::namespaces::{Namespaces, id};
use crate::error::{Context, Result, bail, ensure};
use crate::sys::file::device;
use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceType};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// One node to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Inside the root filesystem, absolute.
    pub path: PathBuf,
    pub kind: DeviceKind,
    /// As `makedev` gives it; 0 for a FIFO.
    pub number: u64,
    /// Permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub rights: Rights,
    pub way: Way,
}

/// Whether mode and owner are somebody's wish: then a node that the image has gets them too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rights {
    Stated,
    Usual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    Character,
    Block,
    Fifo,
}

impl DeviceKind {
    /// The S_IF* bits.
    pub fn bits(self) -> u32 {
        match self {
            DeviceKind::Character => libc::S_IFCHR,
            DeviceKind::Block => libc::S_IFBLK,
            DeviceKind::Fifo => libc::S_IFIFO,
        }
    }
}

/// How a node comes into being.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The child makes it in place.
    Make,
    /// In a user namespace the child may not make device nodes, but the parent may: it makes the node in a file system of
    /// its own, and the child attaches a copy of that.
    ByParent,
    /// In a user namespace: the host's node of the same name or number is bound there.
    BindFromHost(WithoutNode),
}

/// What follows where the host has no such node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutNode {
    Refuse,
    ByParent,
}

impl Device {
    /// Does the child ask the parent for it, or may it?
    pub fn is_made_by_parent(&self) -> bool {
        matches!(self.way, Way::ByParent | Way::BindFromHost(WithoutNode::ByParent))
    }

    /// Another name of the device on hosts with udev: a link to the node, named after the number.
    pub fn path_by_number(&self) -> PathBuf {
        let directory = if self.kind == DeviceKind::Block { "block" } else { "char" };
        format!("/dev/{directory}/{}:{}", libc::major(self.number), libc::minor(self.number)).into()
    }

    /// Type and number, as `mknod` takes them.
    pub fn described(&self) -> String {
        described(self.kind.bits(), self.number)
    }
}

/// Type and number of a node, `c 10:229`. `kind` has the S_IF* bits.
pub fn described(kind: u32, number: u64) -> String {
    let numbers = format!("{}:{}", libc::major(number), libc::minor(number));
    match kind {
        libc::S_IFCHR => format!("c {numbers}"),
        libc::S_IFBLK => format!("b {numbers}"),
        libc::S_IFIFO => "a FIFO".to_owned(),
        libc::S_IFDIR => "a directory".to_owned(),
        _ => "no device".to_owned(),
    }
}

/// Whether the runtime furnishes /dev at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevSetup {
    Furnish,
    /// /dev is a bind of something outside: it is somebody else's, nothing is made in it.
    LeaveAlone,
}

/// Default devices: path, major, minor.
const DEFAULTS: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Links: name in /dev, and what it points to. `core` exists where the kernel has /proc/kcore.
pub const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Is it one of the devices that every container gets?
pub fn is_default(path: &Path) -> bool {
    DEFAULTS.iter().any(|(default, ..)| Path::new(default) == path)
}

pub(super) fn setup(mounts: &[MountOp]) -> DevSetup {
    let bound = |op: &MountOp| op.at == Path::new("/dev") && matches!(op.what, MountWhat::Bind { .. });
    if mounts.iter().any(bound) { DevSetup::LeaveAlone } else { DevSetup::Furnish }
}

pub(super) fn lower(
    linux: &Linux,
    namespaces: &Namespaces,
    host: &Host,
    setup: DevSetup,
    warnings: &mut Vec<String>,
) -> Result<Vec<Device>> {
    // The defaults of a user namespace are the host's, as long as it has them: that costs no file system.
    let (way, default) = match (namespaces.has(libc::CLONE_NEWUSER), host.makes_nodes()) {
        (false, _) => (Way::Make, Way::Make),
        (true, true) => (Way::ByParent, Way::BindFromHost(WithoutNode::ByParent)),
        (true, false) => (Way::BindFromHost(WithoutNode::Refuse), Way::BindFromHost(WithoutNode::Refuse)),
    };
    let (mut devices, mut places): (Vec<Device>, _) = (Vec::new(), BTreeMap::new());
    for (index, asked) in linux.devices().iter().flatten().enumerate() {
        let device = one(asked, way).with_context(|| format!("linux.devices[{index}]"))?;
        match places.get(&device.path).map(|place: &usize| &devices[*place]) {
            None => {
                places.insert(device.path.clone(), devices.len());
                devices.push(device);
            }
            Some(earlier) if *earlier == device => {} // containerd writes those of a device plugin so in a privileged pod
            Some(_) => bail!(
                "linux.devices[{index}].path: {} is there already, as another device, or with another mode or owner; keep one of \
                 them",
                device.path.display()
            ),
        }
    }
    if setup == DevSetup::LeaveAlone {
        let (left_out, made): (Vec<Device>, Vec<Device>) =
            devices.into_iter().partition(|device| device.path.starts_with("/dev")); // whoever brings /dev brings what is in it
        warnings.extend(left_out.iter().map(|device| {
            format!("config.json: linux.devices: {}: is not made, since /dev is a bind mount", device.path.display())
        }));
        return Ok(made);
    }
    for (path, major, minor) in DEFAULTS {
        if !devices.iter().any(|device| device.path == Path::new(path)) {
            let (kind, number) = (DeviceKind::Character, device(major, minor));
            devices.push(Device {
                path: path.into(),
                kind,
                number,
                mode: 0o666,
                uid: 0,
                gid: 0,
                rights: Rights::Usual,
                way: default,
            });
        }
    }
    Ok(devices)
}

fn one(asked: &LinuxDevice, way: Way) -> Result<Device> {
    let path = asked.path();
    let clean = path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    ensure!(
        path.is_absolute() && clean && path != Path::new("/"),
        "path: {} is no absolute path of a file; write where it is to be, as \"/dev/fuse\"",
        path.display()
    );
    let kind = match asked.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => DeviceKind::Character,
        LinuxDeviceType::B => DeviceKind::Block,
        LinuxDeviceType::P => DeviceKind::Fifo,
        LinuxDeviceType::A => bail!("type: \"a\" is for cgroup rules; a device is c, b, u or p"),
    };
    let mode = asked.file_mode().unwrap_or(0o666);
    // Some engines hand over the whole st_mode: its type must then be the one asked for.
    let typed = mode & libc::S_IFMT;
    ensure!(typed == 0 || typed == kind.bits(), "fileMode: {mode:#o} says another type than {}", asked.typ().as_str());
    let part = |name: &str, value: i64, limit: u32| match u32::try_from(value) {
        Ok(value) if value < limit => Ok(value),
        _ => bail!("{name}: {value} is out of range (0 to {})", limit - 1),
    };
    let number = match kind {
        DeviceKind::Fifo => 0,
        _ => device(part("major", asked.major(), 1 << 12)?, part("minor", asked.minor(), 1 << 20)?),
    };
    let numbered = kind == DeviceKind::Fifo || asked.major() != 0;
    ensure!(
        numbered,
        "major: is missing, or 0, which no device has; write the numbers that `stat -c '%Hr %Lr'` prints"
    );
    let way = if kind == DeviceKind::Fifo { Way::Make } else { way };
    let uid = id(asked.uid().unwrap_or(0)).context("uid")?;
    let gid = id(asked.gid().unwrap_or(0)).context("gid")?;
    let stated = asked.file_mode().is_some() || asked.uid().is_some() || asked.gid().is_some();
    let rights = if stated { Rights::Stated } else { Rights::Usual };
    Ok(Device { path: path.clone(), kind, number, mode: mode & 0o7777, uid, gid, rights, way })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::host::UserNamespace;

    fn lowered(json: &str) -> Result<Vec<Device>> {
        let linux: Linux = serde_json::from_str(json).unwrap();
        let namespaces = crate::plan::namespaces::lower(&linux, &Host::for_tests())?;
        lower(&linux, &namespaces, &Host::for_tests(), DevSetup::Furnish, &mut Vec::new())
    }

    #[test]
    fn in_a_user_namespace_only_root_of_the_machine_makes_nodes() {
        let map = r#"[{"containerID":0,"hostID":100000,"size":65536}]"#;
        let json = format!(
            r#"{{"namespaces":[{{"type":"user"}}],"uidMappings":{map},"gidMappings":{map},
                "devices":[{{"path":"/dev/x","type":"c","major":1,"minor":3}},{{"path":"/pipe","type":"p"}}]}}"#
        );
        let linux: Linux = serde_json::from_str(&json).unwrap();
        let nested = Host { user_namespace: UserNamespace::Nested, ..Host::for_tests() };
        for (host, own, default) in [
            (Host::for_tests(), Way::ByParent, WithoutNode::ByParent),
            (nested, Way::BindFromHost(WithoutNode::Refuse), WithoutNode::Refuse),
        ] {
            let namespaces = crate::plan::namespaces::lower(&linux, &host).unwrap();
            let devices = lower(&linux, &namespaces, &host, DevSetup::Furnish, &mut Vec::new()).unwrap();
            let ways: Vec<Way> = devices.iter().map(|device| device.way).take(3).collect();
            assert_eq!(ways, [own, Way::Make, Way::BindFromHost(default)]);
        }
    }

    #[test]
    fn what_a_bound_dev_lacks_is_told() {
        let linux = r#"{"devices":[{"path":"/dev/x","type":"p"},{"path":"/data/y","type":"p"}]}"#;
        let linux: Linux = serde_json::from_str(linux).unwrap();
        let namespaces = crate::plan::namespaces::lower(&linux, &Host::for_tests()).unwrap();
        let mut warnings = Vec::new();
        let devices = lower(&linux, &namespaces, &Host::for_tests(), DevSetup::LeaveAlone, &mut warnings).unwrap();
        assert_eq!(devices.iter().map(|device| device.path.as_path()).collect::<Vec<_>>(), [Path::new("/data/y")]);
        assert_eq!(warnings, ["config.json: linux.devices: /dev/x: is not made, since /dev is a bind mount"]);
    }

    #[test]
    fn a_device_of_the_user_replaces_the_default_of_its_name() {
        let devices =
            lowered(r#"{"devices":[{"path":"/dev/null","type":"c","major":1,"minor":3,"fileMode":384}]}"#).unwrap();
        let nulls: Vec<_> = devices.iter().filter(|d| d.path == Path::new("/dev/null")).collect();
        assert_eq!(nulls.len(), 1);
        assert_eq!(nulls[0].mode, 0o600);
        assert_eq!(devices.len(), 6);
    }

    #[test]
    fn nonsense_is_refused_with_its_place() {
        for (json, what) in [
            (r#"{"path":"dev/x","type":"c","major":1,"minor":3}"#, "linux.devices[0]: path"),
            (r#"{"path":"/dev/../x","type":"c","major":1,"minor":3}"#, "linux.devices[0]: path"),
            (r#"{"path":"/dev/x","type":"c","major":-1,"minor":3}"#, "linux.devices[0]: major"),
            (r#"{"path":"/dev/x","type":"b","major":1,"minor":1048576}"#, "linux.devices[0]: minor"),
            (r#"{"path":"/dev/x","type":"a","major":1,"minor":3}"#, "linux.devices[0]: type"),
            (r#"{"path":"/dev/x","type":"c","minor":3}"#, "linux.devices[0]: major: is missing"),
            (r#"{"path":"/dev/x","type":"p","fileMode":8630}"#, "linux.devices[0]: fileMode"),
            (r#"{"path":"/dev/x","type":"p","uid":4294967295}"#, "linux.devices[0]: uid: 4294967295 is no id"),
            (r#"{"path":"/dev/x","type":"p","gid":4294967295}"#, "linux.devices[0]: gid: 4294967295 is no id"),
            (r#"{"path":"/dev/x","type":"p"},{"path":"/dev/x","type":"p","uid":7}"#, "linux.devices[1].path"),
        ] {
            let error = format!("{:#}", lowered(&format!("{{\"devices\":[{json}]}}")).unwrap_err());
            assert!(error.starts_with(what), "{error}");
        }
    }
}
