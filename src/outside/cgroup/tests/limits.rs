//! Settings in their files, and by their effect.

use super::*;

#[test]
fn v1_limits_are_in_the_files() {
    let Some(host) = v1() else { return };
    let resources = r#"{
        "memory": {"limit": 20971520, "swap": 31457280, "reservation": 10485760, "swappiness": 10},
        "cpu": {"shares": 512, "quota": 20000, "period": 50000, "burst": 1000, "cpus": "0", "mems": "0"},
        "pids": {"limit": 7},
        "blockIO": {"weight": 200}
    }"#;
    let cgroup = create(&planned(&host, &format!("/{}/sub", name()), resources)).unwrap();
    for (controller, file, expected) in [
        ("memory", "memory.limit_in_bytes", "20971520"),
        ("memory", "memory.memsw.limit_in_bytes", "31457280"),
        ("memory", "memory.soft_limit_in_bytes", "10485760"),
        ("memory", "memory.swappiness", "10"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "20000"),
        ("cpu", "cpu.cfs_period_us", "50000"),
        ("cpu", "cpu.cfs_burst_us", "1000"),
        ("cpuset", "cpuset.cpus", "0"),
        ("cpuset", "cpuset.mems", "0"),
        ("pids", "pids.max", "7"),
    ] {
        assert_eq!(contents(&cgroup, controller, file), expected, "{file}");
    }
}

#[test]
fn limits_that_depend_on_each_other_can_go_both_ways() {
    let Some(host) = v1() else { return };
    let path = format!("/{}", name());
    let with = |json: &str| planned(&host, &path, json).settings;
    let cgroup = create(&planned(&host, &path, "{}")).unwrap();
    for (limit, swap) in
        [(20 << 20, 30 << 20), (100 << 20, 100 << 20), (10 << 20, 11 << 20), (-1, -1), (8 << 20, 9 << 20)]
    {
        settings::write(&cgroup.dirs, &with(&format!(r#"{{"memory": {{"limit": {limit}, "swap": {swap}}}}}"#)))
            .unwrap();
        let swap: i64 = contents(&cgroup, "memory", "memory.memsw.limit_in_bytes").parse().unwrap();
        assert!(limit == -1 || swap > limit - 1);
    }
    for (quota, period) in [(900_000, 1_000_000), (1000, 1000), (500_000, 1_000_000)] {
        settings::write(&cgroup.dirs, &with(&format!(r#"{{"cpu": {{"quota": {quota}, "period": {period}}}}}"#)))
            .unwrap();
    }
    let error = settings::write(&cgroup.dirs, &with(r#"{"cpu": {"cpus": "9000"}}"#)).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.starts_with("cgroup: write \"9000\" to /sys/fs/cgroup/cpuset/rruntime-test-"), "{text}");
    assert!(text.contains("cpuset.cpus: not a list of CPUs"), "{text}");
}

#[test]
fn v2_enables_what_a_setting_needs() {
    let Some(host) = v2() else { return };
    let is_enabled = std::fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control").unwrap();
    if !is_enabled.contains("hugetlb") {
        return eprintln!(
            "not tested: the machine's v2 root has no hugetlb enabled, and its root is not ours to change"
        );
    }
    let (top, json) = (name(), r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]}"#);
    // A parent that somebody else made passes on nothing.
    let path = PathBuf::from("/sys/fs/cgroup").join(&top);
    std::fs::create_dir(&path).unwrap();
    let cgroup = create(&planned(&host, &format!("/{top}/a"), json)).unwrap();
    for file in ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"] {
        assert_eq!(contents(&cgroup, "hugetlb", file), "4194304");
    }
    // One that we made passes on everything that it has, here since the first one needs it.
    let other = create(&planned(&host, &format!("/{top}/b/c"), "{}")).unwrap();
    assert!(contents(&other, "hugetlb", "cgroup.controllers").contains("hugetlb"));
    drop((cgroup, other));
    std::fs::remove_dir(path).unwrap();
}

#[test]
fn v2_says_why_a_controller_is_missing() {
    let Some(host) = v2() else { return };
    if std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap().contains("memory") {
        return eprintln!("not tested: this machine has memory on v2");
    }
    let path = format!("/{}", name());
    let refused = refusal(&planned(&host, &path, r#"{"memory": {"limit": 200}}"#));
    let start =
        format!("cgroup: write \"200\" to /sys/fs/cgroup{path}/memory.max: controller \"memory\" is not available");
    assert!(refused.starts_with(&start) && refused.ends_with("no such file or directory (ENOENT)"), "{refused}");
    assert!(!Path::new("/sys/fs/cgroup").join(&path[1..]).exists());
    // Swap without accounting is no swap.
    create(&planned(&host, &path, r#"{"memory": {"swap": -1}}"#)).unwrap();
}

#[test]
fn an_oom_kill_is_counted() {
    let Some(host) = v1() else { return };
    let json = r#"{"memory": {"limit": 8388608, "swap": 8388608}}"#;
    let cgroup = create(&planned(&host, &format!("/{}", name()), json)).unwrap();
    assert_eq!(cgroup.oom_killed(), Some(0));
    let mut victim = Victim::inside(&cgroup, "tail /dev/zero");
    assert!(!victim.0.wait().unwrap().success());
    assert_eq!(cgroup.oom_killed(), Some(1));
}

#[test]
fn an_update_that_cannot_be_remembered_changes_nothing() {
    on_each_layout(|host| {
        let file = if is_v2(host) { "cgroup.max.depth" } else { "pids.max" };
        let resources = |value: &str| match is_v2(host) {
            true => format!(r#"{{"unified": {{"cgroup.max.depth": "{value}"}}}}"#),
            false => format!(r#"{{"pids": {{"limit": {value}}}}}"#),
        };
        let plan = planned(host, &format!("/{}", name()), &resources("50"));
        let cgroup = create(&plan).unwrap();
        let said = |value: &str| serde_json::from_str(&resources(value)).unwrap();
        let more = serde_json::from_str(&resources("60")).unwrap();
        let asked = crate::plan::update::Request { resources: more, ..Default::default() };
        let update = crate::plan::update::update(&said("50"), &asked, &plan.place).unwrap();
        let value = || cgroup.dirs.iter().find_map(|dir| dir.read(file).ok()).unwrap();
        let error = super::update(&cgroup, &update, || bail!("no room")).unwrap_err();
        assert_eq!((format!("{error:#}").as_str(), value().as_str()), ("no room", "50\n"));
        super::update(&cgroup, &update, || Ok(())).unwrap();
        assert_eq!(value(), "60\n");
    });
}
