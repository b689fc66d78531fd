//! Against the kernel, as root: in cgroups of our own named `rruntime-test-…`, which are removed again. v1 and hybrid
//! as the machine has them; v2 in a private mount namespace of the test's thread, with cgroup2 on /sys/fs/cgroup.
//!
//! A test on a machine that lacks what it needs passes and says so.

use super::*;
use crate::plan::device_rules;
use crate::plan::host::cgroup::{self as host, Cgroups};
use crate::sys::process::{self, Clone, Side};
use crate::sys::{credentials, namespace};
use nix::mount::{MsFlags, mount};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Name of a cgroup that nobody else has.
fn name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("rruntime-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The machine's own layout, if that is v1 or hybrid and we are root.
fn v1() -> Option<Cgroups> {
    let host = host::gather().unwrap();
    let good = matches!(host, Cgroups::V1 { .. }) && credentials::effective_uid() == 0;
    if !good {
        eprintln!("not tested: needs root on a machine with cgroup v1");
    }
    good.then_some(host)
}

/// Pure v2, for the calling thread alone.
fn v2() -> Option<Cgroups> {
    let none = None::<&str>;
    let private = namespace::unshare(libc::CLONE_NEWNS).is_ok()
        && mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).is_ok()
        && mount(none, "/sys/fs/cgroup", Some("cgroup2"), MsFlags::empty(), none).is_ok();
    if !private {
        eprintln!("not tested: needs root that may mount cgroup2");
        return None;
    }
    let host = host::gather().unwrap();
    assert!(matches!(host, Cgroups::V2 { .. }), "{host:?}");
    Some(host)
}

fn planned(host: &Cgroups, path: &str, resources: &str) -> plan::Cgroup {
    let json = format!(r#"{{"cgroupsPath": {path:?}, "resources": {resources}}}"#);
    plan::lower(&serde_json::from_str(&json).unwrap(), "ctr", host, &mut Vec::new()).unwrap()
}

/// Without the unified directory of a hybrid machine: what pure v1 is.
fn without_unified(host: Cgroups) -> Cgroups {
    match host {
        Cgroups::V1 { hierarchies, .. } => Cgroups::V1 { hierarchies, unified: None },
        other => other,
    }
}

fn is_v2(host: &Cgroups) -> bool {
    matches!(host, Cgroups::V2 { .. })
}

fn paths(plan: &plan::Cgroup) -> Vec<PathBuf> {
    spots(&plan.place).map(|(_, _, spot)| spot.full()).collect()
}

fn contents(cgroup: &Cgroup, controller: &str, file: &str) -> String {
    let dir = cgroup.dirs.iter().find(|dir| dir.has(controller)).or_else(|| cgroup.v2()).unwrap();
    dir.read(file).unwrap().trim().to_owned()
}

fn refusal(plan: &plan::Cgroup) -> String {
    format!("{:#}", create(plan).err().expect("it is refused"))
}

/// A process of ours; killed when dropped.
struct Victim(Child);

impl Victim {
    /// Put into the cgroup, and into its v2 directory as if born there.
    fn inside(cgroup: &Cgroup, script: &str) -> Victim {
        // It waits for a line before it does anything, so that it is inside by then.
        let script = format!("read go; {script}");
        let victim =
            Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut victim = Victim(victim);
        let pid = victim.pid();
        cgroup.add(pid).unwrap();
        if let Some(dir) = cgroup.v2() {
            dir.write("cgroup.procs", &pid.to_string()).unwrap();
        }
        drop(victim.0.stdin.take());
        victim
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may be gone
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a test does on every layout that this machine can show.
fn on_each_layout(test: fn(&Cgroups)) {
    if let Some(host) = v1() {
        test(&host);
        test(&without_unified(host));
    }
    if let Some(host) = v2() {
        test(&host);
    }
}

#[test]
fn create_makes_it_and_an_early_end_unmakes_just_that() {
    on_each_layout(|host| {
        let top = name();
        let plan = planned(host, &format!("/{top}/middle/leaf"), "{}");
        let draft = create(&plan).unwrap();
        assert!(paths(&plan).iter().all(|path| path.is_dir()));
        drop(draft);
        assert!(paths(&plan).iter().all(|path| !path.ancestors().nth(2).unwrap().exists()));

        let outer = create(&planned(host, &format!("/{top}"), "{}")).unwrap();
        drop(create(&plan).unwrap());
        assert!(outer.exists() && paths(&plan).iter().all(|path| !path.parent().unwrap().exists()));
        drop(create(&planned(host, &format!("/{top}"), "{}")).unwrap());
        assert!(outer.exists(), "what was there before stays");
    });
}

#[test]
fn removal_takes_everything_below_and_can_be_repeated() {
    on_each_layout(|host| {
        let plan = planned(host, &format!("/{}", name()), "{}");
        let cgroup = create(&plan).unwrap().keep();
        for path in paths(&plan) {
            std::fs::create_dir_all(path.join("a/b")).unwrap();
            std::fs::create_dir_all(path.join("c")).unwrap();
        }
        cgroup.remove().unwrap();
        assert!(paths(&plan).iter().all(|path| !path.exists()));
        cgroup.remove().unwrap();
        let again = open(&plan.place).unwrap();
        assert!(!again.exists() && again.birth_fd().is_none() && again.needs_place());
        again.remove().unwrap();
        again.kill(libc::SIGKILL).unwrap();
        assert_eq!((again.processes().unwrap(), again.is_frozen().unwrap()), (vec![], false));
        assert!(format!("{:#}", again.add(1).unwrap_err()).contains("is gone: no such file or directory (ENOENT)"));
        assert!(again.freeze().is_err());
    });
}

#[test]
fn a_cgroup_with_processes_is_refused_and_named() {
    on_each_layout(|host| {
        let plan = planned(host, &format!("/{}", name()), "{}");
        let cgroup = create(&plan).unwrap();
        let victim = Victim::inside(&cgroup, "sleep 60");
        let refusal = refusal(&plan);
        assert!(refusal.contains("container's cgroup is not empty: "), "{refusal}");
        assert!(refusal.contains(&format!("{}", victim.pid())), "{refusal}");
        assert!(cgroup.exists());
        cgroup.kill(libc::SIGKILL).unwrap();
        drop(victim);
    });
}

#[test]
fn a_frozen_cgroup_is_refused_also_when_a_parent_is() {
    on_each_layout(|host| {
        let top = name();
        let plan = planned(host, &format!("/{top}"), "{}");
        let cgroup = create(&plan).unwrap();
        cgroup.freeze().unwrap();
        for path in [format!("/{top}"), format!("/{top}/child")] {
            let refusal = refusal(&planned(host, &path, "{}"));
            assert!(refusal.contains("container's cgroup unexpectedly frozen"), "{refusal}");
        }
        cgroup.thaw().unwrap();
        assert!(paths(&plan).iter().all(|path| !path.join("child").exists()));
    });
}

#[test]
fn freeze_stops_and_thaw_goes_on() {
    on_each_layout(|host| {
        let cgroup = create(&planned(host, &format!("/{}", name()), "{}")).unwrap();
        let victim = Victim::inside(&cgroup, "while :; do :; done");
        let used = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", victim.pid())).unwrap();
            stat.rsplit(')').next().unwrap().split(' ').nth(12).unwrap().parse::<u64>().unwrap()
        };
        until("it runs", || used() > 1);
        assert!(!cgroup.is_frozen().unwrap());
        cgroup.freeze().unwrap();
        assert!(cgroup.is_frozen().unwrap());
        let before = used();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(used(), before);
        cgroup.thaw().unwrap();
        until("it runs again", || used() > before + 1);
        assert!(!cgroup.is_frozen().unwrap());
        cgroup.kill(libc::SIGKILL).unwrap();
    });
}

#[test]
fn kill_reaches_everybody_below_however_fast_they_fork() {
    on_each_layout(|host| {
        let plan = planned(host, &format!("/{}", name()), r#"{"pids": {"limit": 100}}"#);
        // The pids controller of this machine may not be on v2.
        let plan = if is_v2(host) { plan::Cgroup { settings: Vec::new(), ..plan } } else { plan };
        let cgroup = create(&plan).unwrap().keep();
        let victims: Vec<Victim> =
            (0..4).map(|_| Victim::inside(&cgroup, "while :; do (sleep 0.01 &); done 2>/dev/null")).collect();
        until("they fork", || cgroup.processes().unwrap().len() > 8);
        cgroup.kill(libc::SIGKILL).unwrap();
        until("all are dead", || cgroup.processes().unwrap().is_empty());
        drop(victims);
        cgroup.remove().unwrap();
        assert!(!paths(&plan)[0].exists());
    });
}

#[test]
fn kill_reaches_the_frozen_and_other_signals_leave_them_so() {
    on_each_layout(|host| {
        let cgroup = create(&planned(host, &format!("/{}", name()), "{}")).unwrap();
        let mut victim = Victim::inside(&cgroup, "trap : TERM; sleep 60");
        until("the trap is set", || cgroup.processes().unwrap().len() == 2);
        cgroup.freeze().unwrap();
        cgroup.kill(libc::SIGTERM).unwrap();
        assert!(cgroup.is_frozen().unwrap());
        assert_eq!(victim.0.try_wait().unwrap(), None);
        cgroup.kill(libc::SIGKILL).unwrap();
        until("it is dead", || victim.0.try_wait().unwrap().is_some());
    });
}

#[test]
fn a_busy_cgroup_is_not_removed_and_its_processes_are_named() {
    on_each_layout(|host| {
        let cgroup = create(&planned(host, &format!("/{}", name()), "{}")).unwrap();
        let victim = Victim::inside(&cgroup, "sleep 60");
        let start = Instant::now();
        let error = format!("{:#}", cgroup.remove().unwrap_err());
        assert!(error.contains(&format!("(pid {}", victim.pid())) && error.contains("(EBUSY)"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(3));
        cgroup.kill(libc::SIGKILL).unwrap();
    });
}

#[test]
fn a_child_is_born_into_the_v2_directory() {
    on_each_layout(|host| {
        let cgroup = create(&planned(host, &format!("/{}", name()), "{}")).unwrap();
        let Some(fd) = cgroup.birth_fd() else {
            assert!(cgroup.needs_place());
            return;
        };
        let ask = Clone { cgroup: Some(fd), ..Clone::default() };
        let Side::Parent { pid, .. } = process::clone(&ask).unwrap() else {
            loop {
                std::thread::sleep(Duration::from_secs(60));
            }
        };
        assert_eq!(cgroup.needs_place(), cgroup.dirs.len() > 1);
        let born = cgroup.v2().unwrap().processes().unwrap();
        cgroup.kill(libc::SIGKILL).unwrap();
        process::wait(pid).unwrap();
        assert_eq!(born, [pid]);
    });
}

#[test]
fn a_denied_device_cannot_be_opened_and_an_allowed_one_can() {
    on_each_layout(|host| {
        // A mode between: /dev/kmsg may be read, but not written, also not by asking for both.
        for (rules, script) in [
            ("[]", "head -c1 /dev/zero && ! true </dev/kmsg"),
            (r#"[{"allow": true, "access": "rwm"}]"#, "true </dev/kmsg"),
            (
                r#"[{"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}]"#,
                "true </dev/kmsg && ! true <>/dev/kmsg",
            ),
            (
                r#"[{"allow": true, "access": "rwm"},
                    {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "w"}]"#,
                "true </dev/kmsg && ! true <>/dev/kmsg && ! true >>/dev/kmsg",
            ),
        ] {
            let cgroup =
                create(&planned(host, &format!("/{}", name()), &format!(r#"{{"devices": {rules}}}"#))).unwrap();
            let mut victim = Victim::inside(&cgroup, &format!("{{ {script}; }} 2>/dev/null"));
            assert!(victim.0.wait().unwrap().success(), "{rules}: {script}");
        }
    });
}

#[test]
fn device_rules_replace_those_before() {
    on_each_layout(|host| {
        let top = format!("/{}", name());
        let with = |rules: &str| planned(host, &top, &format!(r#"{{"devices": {rules}}}"#));
        let cgroup = create(&with("[]")).unwrap();
        let all = r#"[{"allow": true, "access": "rwm"}]"#;
        let programs = |cgroup: &Cgroup| crate::sys::bpf::attached(cgroup.v2().unwrap().fd().unwrap()).unwrap().len();
        for (rules, expected, count) in [("[]", "! true", 1), (all, "true", 0), ("[]", "! true", 1)] {
            let again = create(&with(rules)).unwrap().keep();
            let mut victim = Victim::inside(&again, &format!("{expected} </dev/kmsg 2>/dev/null"));
            assert!(victim.0.wait().unwrap().success(), "{rules}");
            if is_v2(host) {
                assert_eq!(programs(&again), count);
            }
        }
        drop(cgroup);
    });
}

#[test]
fn the_kernel_takes_every_kind_of_program() {
    if credentials::effective_uid() != 0 {
        return eprintln!("not tested: needs root");
    }
    let kinds = ["a", "b", "c"];
    for number in 0..729u32 {
        // Two rules: kind, allow, wildcard or not, whole access or part, in every combination.
        let rule = |n: u32| {
            let (kind, minor) =
                (kinds[(n % 3) as usize], ["", r#""minor": 3, "#, r#""minor": 3, "#][(n / 3 % 3) as usize]);
            let major = if n / 3 % 3 == 2 { r#""major": 9, "# } else { "" };
            let (allow, access) = ([true, false][(n / 9 % 2) as usize], ["rwm", "r", "wm"][(n / 9 % 3) as usize]);
            format!(r#"{{"allow": {allow}, "type": "{kind}", {major}{minor}"access": "{access}"}}"#)
        };
        let json = format!("[{}, {}]", rule(number % 27), rule(number / 27));
        let rules = device_rules::lower(&serde_json::from_str::<Vec<_>>(&json).unwrap()).unwrap();
        crate::sys::bpf::load_device_program(&rules.program()).unwrap_or_else(|error| panic!("{json}: {error}"));
    }
}

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
        cgroup.set(&with(&format!(r#"{{"memory": {{"limit": {limit}, "swap": {swap}}}}}"#))).unwrap();
        let swap: i64 = contents(&cgroup, "memory", "memory.memsw.limit_in_bytes").parse().unwrap();
        assert!(limit == -1 || swap > limit - 1);
    }
    for (quota, period) in [(900_000, 1_000_000), (1000, 1000), (500_000, 1_000_000)] {
        cgroup.set(&with(&format!(r#"{{"cpu": {{"quota": {quota}, "period": {period}}}}}"#))).unwrap();
    }
    let error = cgroup.set(&with(r#"{"cpu": {"cpus": "9000"}}"#)).unwrap_err();
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
    drop(cgroup);
    // One that we made passes on everything.
    let cgroup = create(&planned(&host, &format!("/{top}/b/c"), "{}")).unwrap();
    assert!(contents(&cgroup, "hugetlb", "cgroup.controllers").contains("hugetlb"));
    drop(cgroup);
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
fn a_place_where_no_container_can_live_is_refused() {
    let Some(host) = v2() else { return };
    let top = name();
    let path = PathBuf::from("/sys/fs/cgroup").join(&top);
    std::fs::create_dir_all(path.join("t")).unwrap();
    std::fs::write(path.join("t/cgroup.type"), "threaded").unwrap();
    for inside in ["t", "other"] {
        let refusal = refusal(&planned(&host, &format!("/{top}/{inside}"), "{}"));
        assert!(refusal.contains("where a container cannot live"), "{refusal}");
    }
    std::fs::remove_dir(path.join("t")).unwrap();
    std::fs::remove_dir(path).unwrap();
}

#[test]
fn a_cgroup_that_passes_controllers_on_is_refused() {
    let Some(host) = v2() else { return };
    let top = name();
    let path = PathBuf::from("/sys/fs/cgroup").join(&top);
    std::fs::create_dir(&path).unwrap();
    if std::fs::write(path.join("cgroup.subtree_control"), "+hugetlb").is_ok() {
        let refusal = refusal(&planned(&host, &format!("/{top}"), "{}"));
        assert!(refusal.contains("a cgroup that passes controllers on takes no process"), "{refusal}");
    }
    std::fs::remove_dir(path).unwrap();
}

#[test]
fn exec_can_choose_a_cgroup_below() {
    on_each_layout(|host| {
        let plan = planned(host, &format!("/{}", name()), "{}");
        let cgroup = create(&plan).unwrap().keep();
        for path in paths(&plan) {
            std::fs::create_dir(path.join("below")).unwrap();
        }
        let sub = |said: &[&str]| cgroup.sub(&plan::sub_cgroups(said).unwrap());
        let below = sub(&["below"]).unwrap();
        assert!(below.dirs.iter().all(|dir| dir.path().ends_with("below")));
        assert!(sub(&["/"]).unwrap().dirs.iter().all(|dir| !dir.path().ends_with("below")));
        let missing = format!("{:#}", sub(&["nowhere"]).unwrap_err());
        assert!(missing.contains("no such file or directory"), "{missing}");
        assert!(sub(&["whaaat:/"]).is_err());
        if !is_v2(host) {
            let mixed = sub(&["memory:below"]).unwrap();
            let changed = mixed.dirs.iter().filter(|dir| dir.path().ends_with("below"));
            assert_eq!(changed.map(|dir| dir.has("memory")).collect::<Vec<_>>(), [true]);
        }
        below.dirs.iter().filter(|dir| dir.has("cpuset")).for_each(|dir| v1::fill(dir).unwrap());
        let victim = Victim::inside(&below, "sleep 60");
        assert!(cgroup.processes().unwrap().contains(&victim.pid()));
        cgroup.kill(libc::SIGKILL).unwrap();
        drop(victim);
        below.remove().unwrap();
        assert!(below.exists(), "it is the container's, not ours to remove");
        cgroup.remove().unwrap();
    });
}

#[test]
fn exec_can_follow_a_process() {
    let Some(host) = v2() else { return };
    let plan = planned(&host, &format!("/{}", name()), "{}");
    let cgroup = create(&plan).unwrap().keep();
    let Layout::V2(spot) = &plan.place.layout else { panic!() };
    let found = Cgroup::of_process(&plan.place, &format!("1:cpu:/x\n0::/{}\n", spot.path.display())).unwrap().unwrap();
    assert!(found.exists() && found.birth_fd().is_some());
    assert!(Cgroup::of_process(&plan.place, "0::/../x").is_err());
    cgroup.remove().unwrap();
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
fn without_cgroups_everything_is_quietly_nothing() {
    let plan = plan::lower(&serde_json::from_str("{}").unwrap(), "ctr", &Cgroups::Missing, &mut Vec::new()).unwrap();
    let cgroup = create(&plan).unwrap().keep();
    assert!(!cgroup.exists() && cgroup.birth_fd().is_none() && !cgroup.needs_place());
    cgroup.add(1).unwrap();
    cgroup.remove().unwrap();
    assert!(cgroup.freeze().is_err());
}
