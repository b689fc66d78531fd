//! Whole documents through reading and planning: what is accepted, and how what is refused is called.

use super::*;
use crate::spec;
use serde_json::{Value, json};

/// The plan of a document, without warnings; its text is read as a file would be.
fn planned(document: &Value) -> Result<Plan> {
    let read = spec::parse(&serde_json::to_vec(document).unwrap()).context("config.json")?;
    create(&read.spec, &request(), &Host { cgroups: cgroups(), ..Host::for_tests() })
}

pub(super) fn request() -> CreateRequest {
    CreateRequest {
        id: "c".to_string(),
        bundle: "/bundle".into(),
        change: RootChange::Pivot,
        keyring: Some("_ses.c.x".to_owned()),
        preserve_fds: 0,
        activation: super::process::Activation::default(),
        terminal: TerminalUse::Foreground,
        driver: Driver::Cgroupfs,
        notify: None,
    }
}

pub(super) fn cgroups() -> host::cgroup::Cgroups {
    host::cgroup::Cgroups::V2 { mount: "/sys/fs/cgroup".into(), own: "/own".into() }
}

/// The least that makes a container, with a value put in at a JSON pointer.
pub(super) fn with(pointer: &str, value: Value) -> Value {
    let mut document = json!({
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "process": {"cwd": "/", "args": ["sh"], "user": {"uid": 0, "gid": 0}},
        "linux": {"namespaces": [{"type": "mount"}]},
    });
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let mut at = &mut document;
    for step in parent.split('/').skip(1) {
        at = match at {
            Value::Array(list) => &mut list[step.parse::<usize>().unwrap()],
            object => &mut object[step],
        };
    }
    match (value, at) {
        (Value::Null, at) => drop(at.as_object_mut().unwrap().remove(key)),
        (value, Value::Array(list)) => list.push(value),
        (value, at) => at[key] = value,
    }
    document
}

/// Good documents of every shape that the specification shows.
#[test]
fn what_the_specification_allows_is_planned() {
    let namespaces = |more: &[Value]| Value::from([&[json!({"type": "mount"})], more].concat());
    let network = json!({
        "namespaces": namespaces(&[json!({"type": "network"})]),
        "netDevices": {"eth0": {"name": "container_eth0"}, "ens4": {}, "ens5": {}},
    });
    let user = json!({
        "namespaces": namespaces(&[json!({"type": "user"})]),
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 32000}],
        "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 32000}],
    });
    let clocks = json!({
        "namespaces": namespaces(&[json!({"type": "time"})]),
        "timeOffsets": {"monotonic": {"secs": 5}, "boottime": {"nanosecs": 7}},
    });
    for (pointer, value) in [
        ("/unknown", json!({"anything": [1, null]})),
        ("/process/unknown", json!(true)),
        ("/ociVersion", json!("1.99.0-rc.1+x")),
        ("/annotations", json!({"com.example.key": ""})),
        ("/root/path", json!("/absolute")),
        ("/mounts", json!([])),
        ("/mounts", json!([{"destination": "relative/is/from/root", "type": "tmpfs"}])),
        ("/hooks", json!({"prestart": [{"path": "/bin/true", "timeout": 1, "env": [], "args": []}]})),
        ("/process/rlimits", json!([{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}])),
        ("/process/consoleSize", json!({"height": 4_000_000, "width": 1})), // ignored without a terminal
        ("/process/user", json!({"uid": 1, "gid": 2, "umask": 63, "additionalGids": [5, 6]})),
        ("/process/capabilities", json!({"bounding": ["CAP_CHOWN", "CAP_OF_TOMORROW"]})),
        ("/linux/resources", json!({})),
        ("/linux/resources", json!({"pids": {}})),
        (
            "/linux/resources",
            json!({"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10000}, "rxe3": {"hcaObjects": 1}}}),
        ),
        ("/linux/resources", json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]})),
        ("/linux", network),
        ("/linux", user),
        ("/linux", clocks),
        ("/linux/intelRdt", json!({"closID": "guaranteed_group", "schemata": ["L3:0=7f0;1=1f", "MB:0=20;1=70"]})),
        ("/linux/devices", json!([{"path": "/data/pipe", "type": "p"}])),
        ("/linux/maskedPaths", json!(["/proc/kcore"])),
        ("/freebsd", json!({"jail": {"vnet": "disable"}})), // another platform's business
    ] {
        let document = with(pointer, value);
        if let Err(error) = planned(&document) {
            panic!("{pointer} of {document}: {error:#}");
        }
    }
}

/// Bad ones, and the place that the message names.
#[test]
fn what_the_specification_forbids_is_refused_with_its_place() {
    let nested = |key: &str, value: Value| json!({key: value});
    for (pointer, value, told) in [
        ("/ociVersion", Value::Null, "ociVersion: is missing"),
        ("/ociVersion", json!("1.0"), "ociVersion: \"1.0\" is no version"),
        ("/ociVersion", json!("2.0.0"), "ociVersion: \"2.0.0\" is not supported"),
        ("/ociVersion", json!(1), "ociVersion: invalid type"),
        ("/root", Value::Null, "root: is missing"),
        ("/root", json!({}), "root.path: is missing"),
        ("/root/readonly", json!("yes"), "root.readonly: invalid type"),
        ("/process/cwd", Value::Null, "process: missing field `cwd`"),
        ("/process/cwd", json!("tmp"), "process: cwd: "),
        ("/process/args", Value::Null, "process: args: is empty"),
        ("/process/args", json!([]), "process: args: is empty"),
        ("/process/env", json!(["A"]), "process: env[0]: "),
        ("/process/env", json!({"A": "b"}), "process.env: invalid type"),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_NOFIL", "soft": 1, "hard": 1}]),
            "process.rlimits[0].type: unknown variant",
        ),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_CPU", "soft": 1, "hard": 1}, {"type": "RLIMIT_CPU", "soft": 1, "hard": 1}]),
            "process: rlimits[1]: a second RLIMIT_CPU",
        ),
        ("/process/rlimits", json!([{"type": "RLIMIT_CPU", "hard": 1}]), "process.rlimits[0].soft: is missing"),
        ("/process/oomScoreAdj", json!(1001), "process: oomScoreAdj: "),
        ("/process/user/umask", json!(0o1000), "process: user.umask: "),
        ("/hostname", json!("x".repeat(65)), "hostname: has 65 bytes"),
        ("/hostname", json!("x"), "hostname: needs a uts namespace"),
        ("/domainname", json!("x"), "domainname: needs a uts namespace"),
        ("/mounts", json!([{"type": "tmpfs"}]), "mounts[0]: missing field `destination`"),
        (
            "/mounts",
            json!([{"destination": "/x", "type": "tmpfs", "options": [7]}]),
            "mounts[0].options[0]: invalid type",
        ),
        ("/hooks", json!({"poststop": [{"args": ["x"]}]}), "hooks.poststop[0]: missing field `path`"),
        ("/hooks", json!({"prestart": [{"path": "true"}]}), "hooks.prestart[0]: path: true is not absolute"),
        ("/hooks", json!({"createRuntime": [{"path": "/true", "timeout": 0}]}), "hooks.createRuntime[0]: timeout: 0 "),
        (
            "/hooks",
            json!({"createRuntime": [{"path": "/true", "timeout": -1}]}),
            "hooks.createRuntime[0]: timeout: -1 ",
        ),
        (
            "/hooks",
            json!({"startContainer": [{"path": "/true", "args": ["a\0"]}]}),
            "hooks.startContainer[0]: args[0]: ",
        ),
        ("/annotations", json!({"": "x"}), "annotations: one of them has an empty key"),
        ("/annotations", json!({"a": 1}), "annotations.a: invalid type"),
        ("/linux/namespaces/x", json!({"type": "mount"}), "linux: namespaces[1]: a second mount namespace"),
        ("/linux/namespaces/x", json!({"type": "pid", "path": "proc/1/ns/pid"}), "linux: namespaces[1].path: "),
        ("/linux/namespaces/x", json!({"type": "pidd"}), "linux.namespaces[1].type: unknown variant `pidd`"),
        (
            "/linux/uidMappings",
            json!([{"containerID": 0, "hostID": 1, "size": 1}]),
            "linux: uidMappings: need a user namespace",
        ),
        ("/linux/timeOffsets", json!({"boottime": {"secs": 1}}), "linux: timeOffsets: need a new time namespace"),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "c"}]), "linux.devices[0]: major: "),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "z", "major": 1, "minor": 1}]), "linux.devices[0].type: "),
        ("/linux/netDevices", nested("eth0", json!({"name": 23})), "linux.netDevices.eth0.name: invalid type"),
        ("/linux/netDevices", nested("eth0", json!({})), "linux.netDevices: needs a network namespace"),
        (
            "/linux/resources",
            json!({"hugepageLimits": [{"limit": 1, "pageSize": "64kB"}]}),
            "linux.resources.hugepageLimits[0]",
        ),
        (
            "/linux/resources",
            json!({"rdma": {"m": {"hcaHandles": "x"}}}),
            "linux.resources.rdma.m.hcaHandles: invalid type",
        ),
        ("/linux/resources", json!({"rdma": {"m": {}}}), "linux.resources.rdma[\"m\"]: "),
        ("/linux/intelRdt", json!({"memBwSchema": "L3:0=f"}), "linux.intelRdt.memBwSchema: "),
        ("/linux/intelRdt", json!({"schemata": ["L3:0=f\nMB:0=10"]}), "linux.intelRdt.schemata[0]: "),
        ("/linux/intelRdt", json!({"closID": "../x"}), "linux.intelRdt.closID: "),
        ("/linux/sysctl", json!({"vm.swappiness": "1"}), "linux.sysctl: vm.swappiness: "),
        (
            "/linux/sysctl",
            json!({"net.core.somaxconn": "1"}),
            "linux.sysctl: net.core.somaxconn: belongs to the network namespace",
        ),
        (
            "/linux",
            json!({"namespaces": [{"type": "mount"}, {"type": "uts"}], "sysctl": {"kernel.hostname": "x"}}),
            "linux.sysctl: kernel.hostname: use the field hostname",
        ),
        ("/linux/maskedPaths", json!(["proc/kcore"]), "linux.maskedPaths[0]: "),
        ("/linux/readonlyPaths", json!(["proc/kcore"]), "linux.readonlyPaths[0]: "),
        (
            "/linux/rootfsPropagation",
            json!("slav"),
            "linux.rootfsPropagation: unknown value \"slav\" (did you mean \"slave\"?)",
        ),
        ("/linux/seccomp", json!({"syscalls": []}), "linux.seccomp: missing field `defaultAction`"),
    ] {
        let document = with(pointer, value);
        let error = match planned(&document) {
            Ok(_) => panic!("{pointer} of {document} is accepted"),
            Err(error) => format!("{error:#}"),
        };
        assert!(error.starts_with(&format!("config.json: {told}")), "{pointer}: {error}");
    }
}

/// A document of the specification need not say all that makes a container here: that is put in.
fn completed(mut document: Value) -> Value {
    let old = document["ociVersion"].as_str().is_none_or(|version| version.starts_with("0."));
    if old {
        document["ociVersion"] = json!("1.0.0");
    }
    if document.get("process").is_none() {
        document["process"] = json!({"cwd": "/", "args": ["sh"], "user": {"uid": 0, "gid": 0}});
    }
    let namespaces = document["linux"]["namespaces"].as_array().cloned().unwrap_or_default();
    let missing =
        ["mount", "network", "uts"].into_iter().filter(|kind| namespaces.iter().all(|one| one["type"] != **kind));
    let missing: Vec<Value> = missing.map(|kind| json!({"type": kind})).collect();
    document["linux"]["namespaces"] = json!([namespaces, missing].concat());
    document
}

/// An example shows fields of cgroup v1 and of v2 beside each other, which no machine has both of, and labels of modules
/// that are on. What is refused for its resources alone must be fine without them.
fn planned_somewhere(mut document: Value) -> Result<Plan> {
    let labels =
        host::lsm::Lsm { apparmor: host::lsm::Presence::On, selinux: host::lsm::Presence::On, ..host::lsm::NOT_ASKED };
    let there = || Host { cgroups: cgroups(), lsm: labels.clone(), ..Host::for_tests() };
    let plan = |document: &Value| {
        let read = spec::parse(&serde_json::to_vec(document).unwrap()).context("config.json")?;
        create(&read.spec, &request(), &there())
    };
    match plan(&document) {
        Err(error) if format!("{error:#}").contains("cgroup v2") => {
            document["linux"].as_object_mut().unwrap().remove("resources");
            plan(&document)
        }
        other => other,
    }
}

/// The specification's own examples, where `integration/schema/run` has put them: folders `good` and `bad`.
#[test]
#[ignore = "integration/schema/run fetches the documents and calls this"]
fn documents_of_the_specification() {
    let dir =
        std::path::PathBuf::from(std::env::var_os("RRUNTIME_TEST_DOCUMENTS").expect("a folder with good and bad"));
    for kind in ["good", "bad"] {
        for entry in std::fs::read_dir(dir.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{kind}/{}", path.file_name().unwrap().display());
            let text = std::fs::read(&path).unwrap();
            let answer = match serde_json::from_slice::<Value>(&text) {
                Ok(document) => planned_somewhere(completed(document)).map(|plan| plan.warnings),
                Err(error) => Err(error.into()),
            };
            println!("{name}: {answer:?}");
            let keys = spec::keys::check(&text, &spec::shapes::CONFIG, "").map(|checked| checked.warnings);
            let is_old = |warning: &String| warning.starts_with("linux.resources.oomScoreAdj: "); // before 1.0; in their example
            assert!(kind == "bad" || keys.as_ref().is_ok_and(|keys| keys.iter().all(is_old)), "{name}: {keys:?}");
            match answer {
                Err(error) if kind == "good" => panic!("{name} is refused: {error:#}"),
                Ok(_) if kind == "bad" => panic!("{name} is accepted"),
                _ => {}
            }
        }
    }
}

#[test]
fn what_is_for_other_platforms_has_no_effect() {
    for (pointer, value) in [
        ("/process/commandLine", json!("cmd.exe")),
        ("/process/user/username", json!("ContainerUser")),
        ("/freebsd", json!({"jail": {}})),
    ] {
        let plan = planned(&with(pointer, value)).unwrap();
        assert!(plan.warnings.is_empty() && plan.process.args == ["sh"], "{pointer}: {:?}", plan.warnings);
    }
    let plan = planned(&with("/vm", json!({"kernel": {"path": "/vmlinuz"}}))).unwrap();
    assert!(plan.warnings[0].contains("vm: is for another platform"), "{:?}", plan.warnings);
}
