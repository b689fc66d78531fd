//! The world of a plan in words: namespaces, root filesystem, mounts, devices, kernel parameters.
//!
//! `Sandbox` is taken apart field by field: a new one does not compile until it has its line here.

use super::document::Section;
use super::{cgroup, mounts};
use crate::plan::devices::{DeviceKind, LINKS, Way};
use crate::plan::namespaces::{IdMap, KINDS, MapWriter, TimeOffset};
use crate::plan::network::NetDevice;
use crate::plan::resctrl::{Class, Monitoring, Resctrl};
use crate::plan::{Access, DevSetup, Device, Namespaces, Opener, Plan, RootChange, Rootfs, Sandbox};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The sections before those of the program, and those after.
pub fn sections(plan: &Plan, sandbox: &Sandbox) -> (Vec<Section>, Vec<Section>) {
    let Sandbox {
        bundle,
        namespaces,
        hostname,
        domainname,
        net_devices,
        sysctl,
        rootfs,
        mounts,
        devices,
        dev_setup,
        masked,
        readonly,
        mount_label,
        cgroup,
        resctrl,
        notify: _,    // of the caller, not of the bundle
        resources: _, // the cgroup is what becomes of them
        annotations,
    } = sandbox;
    let mut container = Section::facts("container", "Container");
    let id = &plan.id;
    container.say(
        "id",
        id.as_str(),
        "id",
        format!("{id} (what `run` makes of the bundle's name; any other can be given)"),
    );
    container.say("bundle", json!(bundle), "bundle", bundle.display().to_string());
    add_rootfs(&mut container, rootfs);
    container.list("hostname", json!(hostname), "hostname", hostname.iter().cloned().collect());
    container.list("domainname", json!(domainname), "domain name", domainname.iter().cloned().collect());
    let count =
        (!annotations.is_empty()).then(|| format!("{}, handed to hooks and shown by `state`", annotations.len()));
    container.list("annotations", json!(annotations), "annotations", count.into_iter().collect());
    container.list("mountLabel", json!(mount_label), "mount label", mount_label.iter().cloned().collect());
    let mut before = vec![container];
    before.extend(all_namespaces(namespaces));
    let after = vec![
        mounts::section(mounts),
        all_devices(devices, *dev_setup),
        paths("maskedPaths", "Hidden paths: an empty file or directory lies over them", masked),
        paths("readonlyPaths", "Read-only paths", readonly),
        parameters(sysctl),
        network_devices(net_devices),
        intel_rdt(resctrl.as_ref()),
    ];
    (before, after.into_iter().chain(cgroup::sections(cgroup)).collect())
}

fn add_rootfs(section: &mut Section, rootfs: &Rootfs) {
    let Rootfs { path, access, propagation, change, opener: Opener::Child | Opener::Parent, movable: _ } = rootfs;
    let read_only = *access == Access::ReadOnly;
    let words = if read_only { "read-only" } else { "writable: what the container writes stays there" };
    section.say("root", json!({"path": path, "readonly": read_only}), "root", format!("{}, {words}", path.display()));
    let how = match change {
        RootChange::Pivot => "pivot_root",
        RootChange::MoveAndChroot => "move and chroot",
        RootChange::Chroot => "chroot, in the host's mount namespace",
    };
    section.list("rootChange", how, "", Vec::new());
    let (word, meaning) = mounts::propagation(*propagation);
    section.say("rootfsPropagation", word.as_str(), "propagation", format!("{word}: {meaning}"));
}

/// What sharing a namespace with the host means.
fn of_the_host(kind: i32) -> &'static str {
    match kind {
        libc::CLONE_NEWUSER => "uids and gids in the container are the same outside",
        libc::CLONE_NEWIPC => "message queues and shared memory of the host",
        libc::CLONE_NEWUTS => "the name of the host",
        libc::CLONE_NEWNET => "interfaces, ports and abstract sockets of the host",
        libc::CLONE_NEWPID => "processes of the host can be seen and, with the rights for it, signalled",
        libc::CLONE_NEWCGROUP => "paths in /proc/self/cgroup are those of the host",
        libc::CLONE_NEWTIME => "the clocks of the host",
        _ => "the host's",
    }
}

fn all_namespaces(namespaces: &Namespaces) -> Vec<Section> {
    let Namespaces { new, join, maps, joined_maps, time_offsets } = namespaces;
    let mut section = Section::facts("namespaces", "Namespaces");
    let made: Vec<&str> = KINDS.iter().filter(|(.., bit)| new & bit != 0).map(|(_, word, _)| *word).collect();
    section.list("new", json!(made), "new", (!made.is_empty()).then(|| made.join(", ")).into_iter().collect());
    let name = crate::plan::namespaces::name;
    let lines = join.iter().map(|join| format!("{}: {}", name(join.kind), join.path.display())).collect();
    let value: Value = join.iter().map(|join| (name(join.kind).to_owned(), json!(join.path))).collect();
    section.list("joined", value, "joined", lines);
    let shared = || KINDS.iter().filter(|(.., bit)| !namespaces.has(*bit));
    let lines = shared().map(|(_, word, bit)| format!("{word}: {}", of_the_host(*bit))).collect();
    section.list("host", shared().map(|(_, word, _)| *word).collect::<Vec<_>>(), "the host's", lines);
    let offset = |offset: &TimeOffset| {
        let fraction = if offset.nanoseconds == 0 { String::new() } else { format!(" and {} ns", offset.nanoseconds) };
        format!("{}: {:+} s{fraction} from the host's", offset.clock, offset.seconds)
    };
    let value: Value =
        time_offsets.iter().map(|o| (o.clock.clone(), json!({"secs": o.seconds, "nanosecs": o.nanoseconds}))).collect();
    section.list("timeOffsets", value, "clocks", time_offsets.iter().map(offset).collect());
    let mut ids = Section::facts("idMaps", "Id maps");
    if let Some(maps) = maps {
        ids.list("uidMappings", id_map(&maps.uids), "users", map_lines(&maps.uids));
        ids.list("gidMappings", id_map(&maps.gids), "groups", map_lines(&maps.gids));
        let writer = match maps.writer {
            MapWriter::Root => "the runtime",
            MapWriter::OwnIds => "the runtime; groups cannot be changed in the container (setgroups is denied)",
            MapWriter::Helpers => "newuidmap and newgidmap, within /etc/subuid and /etc/subgid",
        };
        ids.say("writer", writer, "written by", writer);
    }
    if let Some(maps) = joined_maps {
        ids.list("uidMappings", id_map(&maps.uids), "users", map_lines(&maps.uids));
        ids.list("gidMappings", id_map(&maps.gids), "groups", map_lines(&maps.gids));
        ids.say("writer", "nobody", "written by", "whoever made the user namespace: they must be so already");
    }
    vec![section, ids]
}

fn id_map(map: &[IdMap]) -> Value {
    map.iter().map(|line| json!({"containerID": line.container, "hostID": line.host, "size": line.size})).collect()
}

fn map_lines(map: &[IdMap]) -> Vec<String> {
    let range = |first: u32, size: u32| match size {
        1 => first.to_string(),
        _ => format!("{first} to {}", first + (size - 1)),
    };
    let line = |l: &IdMap| {
        format!(
            "{} in the container {} {} on the host",
            range(l.container, l.size),
            if l.size == 1 { "is" } else { "are" },
            range(l.host, l.size)
        )
    };
    map.iter().map(line).collect()
}

fn all_devices(devices: &[Device], setup: DevSetup) -> Section {
    let row = |device: &Device| {
        let (kind, letter) = kind(device.kind);
        let (major, minor) = (libc::major(device.number), libc::minor(device.number));
        let number =
            if device.kind == DeviceKind::Fifo { kind.to_owned() } else { format!("{letter} {major}:{minor}") };
        let way = match device.way {
            Way::Make => "",
            Way::ByParent => ", made by the runtime outside of the user namespace",
            Way::BindFromHost(_) => ", the host's node, bound",
        };
        let rights = format!("mode {:04o}, owner {}:{}{way}", device.mode, device.uid, device.gid);
        vec![device.path.display().to_string(), number, rights]
    };
    let value = devices.iter().map(|device| {
        let (major, minor) = (libc::major(device.number), libc::minor(device.number));
        json!({
            "path": device.path, "type": kind(device.kind).1, "major": major, "minor": minor, "fileMode": device.mode,
            "uid": device.uid, "gid": device.gid, "boundFromHost": matches!(device.way, Way::BindFromHost(_)),
        })
    });
    let mut section = Section::table("devices", "Devices", devices.iter().map(row).collect(), value.collect());
    section.legend = match setup {
        DevSetup::Furnish => {
            let names: Vec<&str> = LINKS.iter().map(|(name, _)| *name).collect();
            vec![("links".to_owned(), format!("in /dev: {}", names.join(", ")))]
        }
        DevSetup::LeaveAlone => vec![("/dev".to_owned(), "is a bind mount: nothing is made in it".to_owned())],
    };
    section
}

fn kind(kind: DeviceKind) -> (&'static str, &'static str) {
    match kind {
        DeviceKind::Character => ("character device", "c"),
        DeviceKind::Block => ("block device", "b"),
        DeviceKind::Fifo => ("FIFO", "p"),
    }
}

fn paths(key: &'static str, title: &str, list: &[PathBuf]) -> Section {
    let words = list.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join("  ");
    let rows = if list.is_empty() { Vec::new() } else { vec![vec![words]] };
    Section::table(key, title, rows, json!(list))
}

fn network_devices(devices: &[NetDevice]) -> Section {
    let row = |device: &NetDevice| vec![device.host.clone(), format!("called {} in the container", device.called())];
    let value = devices.iter().map(|device| (device.host.clone(), json!({"name": device.called()}))).collect();
    Section::table("netDevices", "Network devices taken from the host", devices.iter().map(row).collect(), value)
}

fn intel_rdt(resctrl: Option<&Resctrl>) -> Section {
    let mut section = Section::facts("intelRdt", "Cache and memory bandwidth (resctrl)");
    let Some(Resctrl { class, schemata, monitoring }) = resctrl else { return section };
    let name = match class {
        Class::Default => "the default one".to_owned(),
        Class::Named(name) => name.clone(),
        Class::Own => "the container's own, removed with it".to_owned(),
    };
    section.say("class", name.as_str(), "group", name.as_str());
    section.list("schemata", json!(schemata), "schemata", schemata.clone());
    let own = *monitoring == Monitoring::Own;
    section.list("monitoring", own, "monitoring", own.then(|| "a group of its own".to_owned()).into_iter().collect());
    section
}

fn parameters(sysctl: &[(PathBuf, String)]) -> Section {
    let rows = sysctl.iter().map(|(path, value)| vec![format!("/proc/sys/{}", path.display()), format!("= {value}")]);
    let value = sysctl.iter().map(|(path, value)| (path.display().to_string(), json!(value))).collect();
    Section::table("sysctl", "Kernel parameters", rows.collect(), value)
}
