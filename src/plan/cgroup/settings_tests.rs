//! Every knob of `linux.resources` on both layouts.

use super::*;

pub(super) fn v1() -> Layout {
    let names = ["memory", "cpu", "cpuset", "pids", "blkio", "hugetlb", "net_cls", "net_prio", "rdma", "devices"];
    let on = |name: &&str| HierarchySpot {
        controllers: vec![(*name).to_owned()],
        spot: Spot { mount: format!("/c/{name}").into(), path: "x".into() },
    };
    Layout::V1 { hierarchies: names.iter().map(on).collect(), unified: None }
}

pub(super) fn v2() -> Layout {
    Layout::V2(Spot { mount: "/c".into(), path: "x".into() })
}

fn lowered(layout: &Layout, json: &str) -> Result<(Vec<Setting>, Vec<String>)> {
    let mut warnings = Vec::new();
    let resources: LinuxResources = serde_json::from_str(json).unwrap();
    Ok((settings(&resources, layout, &mut warnings)?, warnings))
}

/// The settings as `file = value`.
fn written(layout: &Layout, json: &str) -> Vec<String> {
    let (settings, _) = lowered(layout, json).unwrap();
    settings.iter().map(|s| format!("{} = {}", s.file, s.value)).collect()
}

fn refusal(layout: &Layout, json: &str) -> String {
    format!("{:#}", lowered(layout, json).unwrap_err())
}

const EVERYTHING_BOTH_KNOW: &str = r#"{
    "memory": {"limit": 1000, "reservation": 500, "swap": 3000},
    "cpu": {"shares": 2048, "quota": 5000, "period": 10000, "burst": 2000, "idle": 1, "cpus": "0-1", "mems": "0"},
    "pids": {"limit": 7},
    "blockIO": {
        "weight": 10,
        "weightDevice": [{"major": 8, "minor": 0, "weight": 1000}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
        "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2}],
        "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 0}]
    },
    "hugepageLimits": [{"pageSize": "2MB", "limit": 4096}],
    "rdma": {"b": {"hcaHandles": 1, "hcaObjects": 2}, "a": {"hcaObjects": 3}}
}"#;

#[test]
fn v1_writes_what_is_said() {
    assert_eq!(
        written(&v1(), EVERYTHING_BOTH_KNOW),
        [
            "memory.limit_in_bytes = 1000",
            "memory.memsw.limit_in_bytes = 3000",
            "memory.soft_limit_in_bytes = 500",
            "cpu.shares = 2048",
            "cpu.cfs_period_us = 10000",
            "cpu.cfs_quota_us = 5000",
            "cpu.cfs_burst_us = 2000",
            "cpu.idle = 1",
            "cpuset.cpus = 0-1",
            "cpuset.mems = 0",
            "pids.max = 7",
            "blkio.weight = 10",
            "blkio.weight_device = 8:0 1000",
            "blkio.throttle.read_bps_device = 8:0 1",
            "blkio.throttle.write_bps_device = 8:0 2",
            "blkio.throttle.read_iops_device = 8:0 3",
            "blkio.throttle.write_iops_device = 8:0 0",
            "hugetlb.2MB.limit_in_bytes = 4096",
            "hugetlb.2MB.rsvd.limit_in_bytes = 4096",
            "rdma.max = a hca_object=3",
            "rdma.max = b hca_handle=1 hca_object=2",
        ]
    );
}

#[test]
fn v2_writes_its_equivalents() {
    assert_eq!(
        written(&v2(), EVERYTHING_BOTH_KNOW),
        [
            "memory.swap.max = 2000",
            "memory.max = 1000",
            "memory.low = 500",
            "cpu.weight = 174",
            "cpu.idle = 1",
            "cpu.max = 5000 10000",
            "cpu.max.burst = 2000",
            "cpuset.cpus = 0-1",
            "cpuset.mems = 0",
            "pids.max = 7",
            "io.bfq.weight = 10",
            "io.bfq.weight = 8:0 1000",
            "io.max = 8:0 rbps=1",
            "io.max = 8:0 wbps=2",
            "io.max = 8:0 riops=3",
            "io.max = 8:0 wiops=max",
            "hugetlb.2MB.max = 4096",
            "hugetlb.2MB.rsvd.max = 4096",
            "rdma.max = a hca_object=3",
            "rdma.max = b hca_handle=1 hca_object=2",
        ]
    );
}

#[test]
fn v1_has_knobs_that_v2_refuses() {
    for (json, files) in [
        (r#"{"memory": {"swappiness": 10}}"#, &["memory.swappiness = 10"][..]),
        (r#"{"memory": {"disableOOMKiller": true}}"#, &["memory.oom_control = 1"]),
        (r#"{"memory": {"kernel": 5}}"#, &["memory.kmem.limit_in_bytes = 5"]),
        (r#"{"memory": {"kernelTCP": 5}}"#, &["memory.kmem.tcp.limit_in_bytes = 5"]),
        (r#"{"cpu": {"realtimeRuntime": 5}}"#, &["cpu.rt_runtime_us = 5"]),
        (r#"{"cpu": {"realtimePeriod": 5}}"#, &["cpu.rt_period_us = 5"]),
        (r#"{"blockIO": {"leafWeight": 20}}"#, &["blkio.leaf_weight = 20"]),
        (
            r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "leafWeight": 20}]}}"#,
            &["blkio.leaf_weight_device = 8:0 20"],
        ),
        (r#"{"network": {"classID": 1048577}}"#, &["net_cls.classid = 1048577"]),
        (
            r#"{"network": {"priorities": [{"name": "eth0", "priority": 5}, {"name": "lo", "priority": 0}]}}"#,
            &["net_prio.ifpriomap = eth0 5", "net_prio.ifpriomap = lo 0"],
        ),
    ] {
        assert_eq!(written(&v1(), json), files, "{json}");
        let refusal = refusal(&v2(), json);
        assert!(refusal.starts_with("linux.resources.") && refusal.contains("cgroup v2"), "{refusal}");
    }
}

#[test]
fn v2_takes_values_that_ask_for_nothing() {
    for json in [
        r#"{"memory": {"swappiness": 18446744073709551615, "disableOOMKiller": false, "kernel": -1, "kernelTCP": 0}}"#,
        r#"{"memory": {"useHierarchy": true, "checkBeforeUpdate": true}}"#,
        r#"{"cpu": {"realtimeRuntime": 0, "realtimePeriod": 0, "shares": 0, "quota": 0, "period": 0, "cpus": ""}}"#,
        r#"{"network": {"classID": 0, "priorities": []}, "blockIO": {"weight": 0, "leafWeight": 0}, "unified": {}}"#,
    ] {
        let (settings, warnings) = lowered(&v2(), json).unwrap();
        assert_eq!((settings, warnings), (vec![], vec![]), "{json}");
    }
}

#[test]
fn no_limit_is_written_as_the_layout_has_it() {
    let json = r#"{"memory": {"limit": -1}, "pids": {"limit": -1}, "cpu": {"quota": -1}}"#;
    let v1_files = ["memory.limit_in_bytes = -1", "memory.memsw.limit_in_bytes = -1", "cpu.cfs_quota_us = -1"];
    assert_eq!(written(&v1(), json)[..3], v1_files);
    assert_eq!(
        written(&v2(), json),
        ["memory.swap.max = max", "memory.max = max", "cpu.max = max 100000", "pids.max = max"]
    );
    // Without swap accounting that is what the kernel does anyway.
    let (settings, _) = lowered(&v1(), json).unwrap();
    assert_eq!(settings[1].if_missing, IfMissing::Skip);
}

#[test]
fn swap_is_the_sum_and_needs_its_part() {
    assert_eq!(written(&v2(), r#"{"memory": {"limit": 5, "swap": 5}}"#)[0], "memory.swap.max = 0");
    assert_eq!(written(&v2(), r#"{"memory": {"limit": 5, "swap": -1}}"#)[0], "memory.swap.max = max");
    assert_eq!(written(&v2(), r#"{"memory": {"limit": -1, "swap": 5}}"#)[0], "memory.swap.max = 5");
    for layout in [v1(), v2()] {
        let alone = refusal(&layout, r#"{"memory": {"swap": 5}}"#);
        assert!(alone.starts_with("linux.resources.memory.swap: counts memory and swap together"), "{alone}");
        let less = refusal(&layout, r#"{"memory": {"limit": 5, "swap": 4}}"#);
        assert!(less.starts_with("linux.resources.memory.swap: 4 is less than memory.limit (5)"), "{less}");
    }
}

#[test]
fn the_weight_curve_goes_through_the_agreed_points() {
    // The values of runc's own test, and the ends.
    let points = [(0, None), (1, Some(1)), (2, Some(1)), (3, Some(2)), (1024, Some(100)), (1_000_000, Some(10_000))];
    for (shares, weight) in points.into_iter().chain([(262_144, Some(10_000)), (262_143, Some(10_000))]) {
        assert_eq!(v2::weight_of_shares(shares), weight, "{shares}");
    }
    assert_eq!([10, 500, 1000].map(v2::io_weight), [1, 4950, 10_000]);
}

#[test]
fn weights_have_a_second_file_where_the_first_is_missing() {
    let json = r#"{"blockIO": {"weight": 500}}"#;
    for (layout, other) in [(v1(), "blkio.bfq.weight = 500"), (v2(), "io.weight = 4950")] {
        let (settings, _) = lowered(&layout, json).unwrap();
        let IfMissing::Instead(second) = &settings[0].if_missing else { panic!() };
        assert_eq!(format!("{} = {}", second.file, second.value), other);
    }
}

#[test]
fn pids_zero_is_a_limit() {
    for layout in [v1(), v2()] {
        assert_eq!(written(&layout, r#"{"pids": {"limit": 0}}"#), ["pids.max = 1"]);
        assert_eq!(written(&layout, "{}"), [""; 0]);
    }
}

#[test]
fn unified_is_written_as_given_and_last() {
    let json = r#"{
        "pids": {"limit": 3},
        "unified": {"memory.high": "5", "io.max": "8:0 rbps=1\n8:16 rbps=2\n", "cpuset.cpus": ""}
    }"#;
    let expected =
        ["pids.max = 3", "cpuset.cpus = \n", "io.max = 8:0 rbps=1", "io.max = 8:16 rbps=2", "memory.high = 5"];
    assert_eq!(written(&v2(), json), expected);
    let (settings, _) = lowered(&v2(), json).unwrap();
    assert_eq!(settings.last().unwrap().controller, "memory");
    assert!(
        refusal(&v1(), json)
            .starts_with("linux.resources.unified: invalid configuration: cannot use unified on cgroup v1")
    );
    assert!(lowered(&v1(), r#"{"unified": {}}"#).is_ok());
}

#[test]
fn no_name_leads_out_of_the_cgroup() {
    for key in ["../a", "a/b", "cgroup.procs", "cgroup.kill", "a\\u0000.b", "a\\n.b", "", "memory", ".high", "memory."]
    {
        let refusal = refusal(&v2(), &format!(r#"{{"unified": {{"{key}": "1"}}}}"#));
        assert!(refusal.starts_with("linux.resources.unified["), "{refusal}");
    }
    for size in ["../../x", "2mb", "2M", "MB", "", "2MB/../x", "2 MB", "2MB\\n"] {
        for layout in [v1(), v2()] {
            let refusal = refusal(&layout, &format!(r#"{{"hugepageLimits": [{{"pageSize": "{size}", "limit": 1}}]}}"#));
            assert!(refusal.starts_with("linux.resources.hugepageLimits[0]: pageSize: "), "{refusal}");
        }
    }
    assert!(
        refusal(&v2(), r#"{"hugepageLimits": [{"pageSize": "2M", "limit": 1}]}"#).contains("did you mean \"2MB\"?")
    );
    assert!(
        refusal(&v2(), r#"{"rdma": {"a\nb": {"hcaHandles": 1}}}"#).starts_with("linux.resources.rdma[\"a\\nb\"]: ")
    );
}

#[test]
fn values_out_of_range_are_refused_by_their_place() {
    for (json, place) in [
        (r#"{"memory": {"limit": -2}}"#, "memory.limit: -2"),
        (r#"{"memory": {"limit": 5, "swap": -2}}"#, "memory.swap: -2"),
        (r#"{"memory": {"swappiness": 101}}"#, "memory.swappiness: "),
        (r#"{"cpu": {"quota": 999}}"#, "cpu."),
        (r#"{"cpu": {"period": 999}}"#, "cpu."),
        (r#"{"cpu": {"quota": 5000, "burst": 5001}}"#, "cpu.burst: 5001"),
        (r#"{"cpu": {"idle": 2}}"#, "cpu.idle: "),
        (r#"{"cpu": {"cpus": "0\n1"}}"#, "cpu.cpus: "),
        (r#"{"blockIO": {"weight": 9}}"#, "blockIO.weight: "),
        (r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0}]}}"#, "blockIO.weightDevice[0]: "),
        (r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": -1}]}"#, "hugepageLimits[0]: limit: -1"),
        (r#"{"rdma": {"a": {}}}"#, "rdma[\"a\"]: "),
    ] {
        for layout in [v1(), v2()] {
            let refusal = refusal(&layout, json);
            assert!(refusal.starts_with(&format!("linux.resources.{place}")), "{refusal}");
        }
    }
    for (shares, text) in [(1, "minimum allowed cpu-shares is 2"), (262_145, "maximum allowed cpu-shares is 262144")] {
        assert!(refusal(&v1(), &format!(r#"{{"cpu": {{"shares": {shares}}}}}"#)).contains(text));
    }
}

#[test]
fn a_missing_controller_is_refused_only_when_asked_for() {
    let only = |name: &str| Layout::V1 {
        hierarchies: vec![HierarchySpot {
            controllers: vec![name.to_owned()],
            spot: Spot { mount: "/c".into(), path: "x".into() },
        }],
        unified: None,
    };
    let json = r#"{"pids": {"limit": 3}}"#;
    assert_eq!(written(&only("pids"), json).len(), 1);
    let refusal = refusal(&only("memory"), json);
    assert!(refusal.starts_with("linux.resources.pids.limit: this machine has no cgroup v1 hierarchy"), "{refusal}");
    assert!(lowered(&Layout::Missing, json).is_err());
    assert!(lowered(&Layout::Missing, r#"{"memory": {}}"#).is_ok());
}

#[test]
fn what_makes_no_difference_is_a_warning() {
    for (layout, json, place) in [
        (v1(), r#"{"memory": {"limit": 0}}"#, "memory.limit: "),
        (v1(), r#"{"memory": {"kernel": 5}}"#, "memory.kernel: "),
        (v1(), r#"{"memory": {"useHierarchy": false}}"#, "memory.useHierarchy: "),
        (v2(), r#"{"memory": {"useHierarchy": false}}"#, "memory.useHierarchy: "),
    ] {
        let (_, warnings) = lowered(&layout, json).unwrap();
        assert!(warnings.len() == 1 && warnings[0].starts_with(&format!("linux.resources.{place}")), "{warnings:?}");
    }
}
