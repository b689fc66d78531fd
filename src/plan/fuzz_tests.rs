//! Documents that nobody would write, read and planned: refused or not, and nothing worse.

use super::host::Host;
use super::tests::request;
use super::*;
use crate::fuzz::{Random, is_fit_to_show, often};
use crate::spec;
use serde_json::{Value, json};

/// A configuration with something of everything.
pub(super) fn full() -> Value {
    let mut document: Value = serde_json::from_str(include_str!("../ops/spec.json")).unwrap();
    let more = json!({
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 65536}],
        "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 65536}],
        "sysctl": {"net.ipv4.ip_forward": "1", "kernel.shmmax": "2"},
        "cgroupsPath": "/a/b",
        "rootfsPropagation": "rslave",
        "mountLabel": "system_u:object_r:x:s0",
        "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}],
        "netDevices": {"eth0": {"name": "inside"}},
        "timeOffsets": {"monotonic": {"secs": 1, "nanosecs": 2}},
        "personality": {"domain": "LINUX"},
        "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-1", "flags": ["MPOL_F_STATIC_NODES"]},
        "intelRdt": {"closID": "x", "schemata": ["L3:0=f"]},
        "resources": {
            "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "r"}],
            "memory": {"limit": 1_000_000, "swap": 2_000_000, "reservation": 5, "swappiness": 60, "checkBeforeUpdate": true},
            "cpu": {"shares": 1024, "quota": 1000, "period": 100_000, "cpus": "0-1", "mems": "0", "idle": 0, "burst": 5},
            "pids": {"limit": 5},
            "blockIO": {"weight": 10, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}]},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 9}],
            "network": {"classID": 1, "priorities": [{"name": "lo", "priority": 5}]},
            "rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10}},
            "unified": {"memory.high": "max"},
        },
        "seccomp": {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": 1,
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "listenerPath": "/run/agent",
            "syscalls": [
                {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
                {"names": ["personality"], "action": "SCMP_ACT_NOTIFY", "args": [{"index": 0, "value": 8, "valueTwo": 1, "op": "SCMP_CMP_MASKED_EQ"}]},
            ],
        },
    });
    document["linux"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document["linux"]["namespaces"].as_array_mut().unwrap().extend([json!({"type": "user"}), json!({"type": "time"})]);
    let process = json!({
        "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [5]},
        "consoleSize": {"height": 1, "width": 2},
        "oomScoreAdj": 5,
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 4},
        "scheduler": {"policy": "SCHED_BATCH", "nice": 3, "flags": ["SCHED_FLAG_RESET_ON_FORK"]},
        "execCPUAffinity": {"initial": "0", "final": "0-1"},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 6}],
        "selinuxLabel": "x", "apparmorProfile": "y",
    });
    document["process"].as_object_mut().unwrap().extend(process.as_object().unwrap().clone());
    document["hostname"] = json!("h");
    document["domainname"] = json!("d");
    document["annotations"] = json!({"run.oci.keep_original_groups": "1", "org.systemd.property.X": "'y'", "org.opencontainers.image.stopSignal": "TERM"});
    document["hooks"] = json!({"prestart": [{"path": "/bin/x", "args": ["x"], "env": ["a=b"], "timeout": 3}], "poststop": [{"path": "/y"}]});
    let mounts = [
        json!({"destination": "/a", "type": "bind", "source": "/etc", "options": ["rbind", "ro", "idmap", "mode=0755"], "uidMappings": [{"containerID": 0, "hostID": 1, "size": 2}]}),
        json!({"destination": "/b", "type": "tmpfs", "source": "t", "options": ["tmpcopyup", "size=5m", "nosuid", "rprivate"]}),
    ];
    document["mounts"].as_array_mut().unwrap().extend(mounts);
    document
}

/// The host as each of the layouts, and each driver.
fn asked(random: &mut Random) -> (CreateRequest, Host) {
    use super::host::cgroup::Cgroups;
    let v2 = || Cgroups::V2 { mount: "/sys/fs/cgroup".into(), own: "/own".into() };
    let mut host = Host::for_tests();
    if random.one_in(2) {
        host.cgroups = v2();
    }
    let driver = random.of(&[Driver::Cgroupfs, Driver::Systemd, Driver::Disabled]);
    let mut asked = request();
    asked.driver = driver;
    (asked, host)
}

/// Reads and plans; the plan itself says nothing here but that there is one.
fn plan(text: &[u8], random: &mut Random) {
    let (asked, host) = asked(random);
    match spec::parse(text).and_then(|read| create(&read.spec, &asked, &host)) {
        Ok(plan) => {
            let template = plan.template().expect("a template");
            let text = serde_json::to_vec(&template).unwrap();
            assert!(serde_json::from_slice::<Template>(&text).is_ok());
        }
        Err(error) => is_fit_to_show(&error),
    }
}

#[test]
fn the_whole_document_is_a_good_one_to_begin_with() {
    let mut text = full();
    for owner in ["intelRdt", "mountLabel", "netDevices"] {
        text["linux"].as_object_mut().unwrap().remove(owner);
    }
    let read = spec::parse(&serde_json::to_vec(&text).unwrap());
    assert!(read.is_ok(), "{:#}", read.err().unwrap());
}

#[test]
fn changed_documents_are_planned_or_refused() {
    let full = full();
    often(1500, |random| {
        let mut document = full.clone();
        for _ in 0..=random.below(6) {
            random.change(&mut document);
        }
        plan(&serde_json::to_vec(&document).unwrap(), random);
    });
}

#[test]
fn damaged_documents_are_planned_or_refused() {
    let text = serde_json::to_vec(&full()).unwrap();
    often(1500, |random| {
        let mut text = text.clone();
        for _ in 0..=random.below(3) {
            random.damage(&mut text);
        }
        plan(&text, random);
    });
}

/// What `exec` reads: templates of another version, or of a disk that lies.
#[test]
fn changed_templates_are_read_or_refused() {
    let (mut least, (asked, host)) = (json!({}), asked(&mut Random(1)));
    for key in ["ociVersion", "root", "process"] {
        least[key] = serde_json::from_str::<Value>(include_str!("../ops/spec.json")).unwrap()[key].clone();
    }
    least["process"]["terminal"] = json!(false);
    least["linux"] = json!({"namespaces": [{"type": "mount"}, {"type": "pid"}]});
    let read = spec::parse(&serde_json::to_vec(&least).unwrap()).unwrap();
    let template = create(&read.spec, &asked, &host).unwrap().template().unwrap();
    let good = serde_json::to_value(template).unwrap();
    often(1500, |random| {
        let mut changed = good.clone();
        (0..=random.below(4)).for_each(|_| random.change(&mut changed));
        let mut text = serde_json::to_vec(&changed).unwrap();
        if random.one_in(2) {
            random.damage(&mut text);
        }
        let _ = serde_json::from_slice::<Template>(&text);
    });
}

#[test]
fn options_of_mounts_and_paths_of_cgroups_are_any_words() {
    let full = full();
    often(1500, |random| {
        let mut document = full.clone();
        let count = random.below(8);
        document["mounts"][1]["options"] = (0..count).map(|_| random.text()).collect();
        document["mounts"][1]["type"] = json!(random.of(&["bind", "tmpfs", "proc", "cgroup", "none", ""]));
        document["mounts"][1]["destination"] = json!(random.text());
        document["linux"]["cgroupsPath"] = json!(random.text());
        plan(&serde_json::to_vec(&document).unwrap(), random);
    });
}
