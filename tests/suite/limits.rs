//! Limits: written where they belong, and in force before the payload's first instruction.

use crate::harness::host::{self, Layout};
use crate::harness::{Bundle, read};
use crate::needs;
use serde_json::{Value, json};

/// What the files of a container's cgroup must say: for v1 and for v2.
struct Case {
    resources: Value,
    controller: &'static str,
    v1: &'static [(&'static str, &'static str)],
    v2: &'static [(&'static str, &'static str)],
}

#[track_caller]
fn holds(case: &Case) {
    let Some(top) = host::controller(case.controller) else {
        return;
    };
    let container =
        Bundle::busybox().set(&format!("/linux/resources/{}", case.controller), case.resources.clone()).create();
    let files = if host::layout() == Layout::V1 { case.v1 } else { case.v2 };
    for (file, value) in files {
        let seen = read(top.join(container.id()).join(file));
        assert_eq!(seen.trim(), *value, "{file} for {}", case.resources);
    }
}

#[test]
fn the_number_of_processes_is_limited() {
    needs!(root);
    needs!(controller "pids");
    for (limit, value) in [(20, "20"), (-1, "max")] {
        let container = Bundle::busybox().limit_pids(limit).create();
        assert_eq!(read(host::controller("pids").unwrap().join(container.id()).join("pids.max")).trim(), value);
    }
}

#[test]
fn memory_is_limited() {
    needs!(root);
    needs!(controller "memory");
    let resources = json!({"limit": 67_108_864, "reservation": 33_554_432});
    let v1 = &[("memory.limit_in_bytes", "67108864"), ("memory.soft_limit_in_bytes", "33554432")];
    holds(&Case { resources, controller: "memory", v1, v2: &[("memory.max", "67108864"), ("memory.low", "33554432")] });
}

#[test]
fn processor_time_is_limited() {
    needs!(root);
    needs!(controller "cpu");
    let resources = json!({"shares": 512, "quota": 20_000, "period": 50_000});
    let v1 = &[("cpu.shares", "512"), ("cpu.cfs_quota_us", "20000"), ("cpu.cfs_period_us", "50000")];
    holds(&Case { resources, controller: "cpu", v1, v2: &[("cpu.max", "20000 50000")] });
}

#[test]
fn a_period_without_a_quota_is_written() {
    needs!(root);
    needs!(controller "cpu");
    let case = Case {
        resources: json!({"period": 40_000}),
        controller: "cpu",
        v1: &[("cpu.cfs_quota_us", "-1"), ("cpu.cfs_period_us", "40000")],
        v2: &[("cpu.max", "max 40000")],
    };
    holds(&case);
}

#[test]
fn swap_is_limited_together_with_memory() {
    needs!(root);
    needs!(controller "memory");
    let resources = json!({"limit": 67_108_864, "swap": 100_663_296});
    let v1 = &[("memory.limit_in_bytes", "67108864"), ("memory.memsw.limit_in_bytes", "100663296")];
    let v2 = &[("memory.max", "67108864"), ("memory.swap.max", "33554432")];
    holds(&Case { resources, controller: "memory", v1, v2 });
}

#[test]
fn what_only_v1_has_is_written_there() {
    needs!(root);
    needs!(v1);
    needs!(controller "memory");
    needs!(controller "cpu");
    let resources = json!({"swappiness": 7, "disableOOMKiller": true, "kernelTCP": 8_388_608, "useHierarchy": true, "limit": 67_108_864});
    let container = Bundle::busybox().set("/linux/resources/memory", resources).create();
    let dir = host::controller("memory").unwrap().join(container.id());
    assert_eq!(read(dir.join("memory.swappiness")).trim(), "7");
    assert!(read(dir.join("memory.oom_control")).starts_with("oom_kill_disable 1\n"));
    for (file, value) in [("memory.kmem.tcp.limit_in_bytes", "8388608"), ("memory.use_hierarchy", "1")] {
        if dir.join(file).exists() {
            assert_eq!(read(dir.join(file)).trim(), value, "{file}");
        }
    }
    let dir = host::controller("cpu").unwrap();
    if dir.join("cpu.rt_runtime_us").exists() {
        let real_time = json!({"realtimeRuntime": 3000, "realtimePeriod": 500_000});
        let container = Bundle::busybox().set("/linux/resources/cpu", real_time).create();
        let value = |file: &str| read(dir.join(container.id()).join(file)).trim().to_owned();
        assert_eq!((value("cpu.rt_runtime_us"), value("cpu.rt_period_us")), ("3000".to_owned(), "500000".to_owned()));
    }
}

#[test]
fn a_burst_is_written() {
    needs!(root);
    needs!(controller "cpu");
    let resources = json!({"quota": 20_000, "period": 50_000, "burst": 10_000});
    let v2 = &[("cpu.max", "20000 50000"), ("cpu.max.burst", "10000")];
    holds(&Case { resources, controller: "cpu", v1: &[("cpu.cfs_burst_us", "10000")], v2 });
}

#[test]
fn an_idle_container_is_marked_so() {
    needs!(root);
    needs!(controller "cpu");
    holds(&Case {
        resources: json!({"idle": 1}),
        controller: "cpu",
        v1: &[("cpu.idle", "1")],
        v2: &[("cpu.idle", "1")],
    });
}

#[test]
fn block_devices_are_limited() {
    needs!(root);
    needs!(v1);
    needs!(controller "blkio");
    needs!(file "/sys/block/loop0/dev");
    let device = read("/sys/block/loop0/dev").trim().to_owned();
    let (major, minor) = device.split_once(':').unwrap();
    let rate = |rate: u64| json!([{"major": major.parse::<i64>().unwrap(), "minor": minor.parse::<i64>().unwrap(), "rate": rate}]);
    let resources = json!({
        "throttleReadBpsDevice": rate(1_000_001),
        "throttleWriteBpsDevice": rate(1_000_002),
        "throttleReadIOPSDevice": rate(1003),
        "throttleWriteIOPSDevice": rate(1004),
    });
    let top = host::controller("blkio").unwrap();
    let container = Bundle::busybox().set("/linux/resources/blockIO", resources).create();
    for (file, value) in [("read_bps", 1_000_001), ("write_bps", 1_000_002), ("read_iops", 1003), ("write_iops", 1004)]
    {
        let seen = read(top.join(container.id()).join(format!("blkio.throttle.{file}_device")));
        assert_eq!(seen, format!("{device} {value}\n"), "{file}");
    }
    let weighted = Bundle::busybox().set("/linux/resources/blockIO", json!({"weight": 300}));
    let known = ["blkio.weight", "blkio.bfq.weight"];
    match known.iter().find(|file| top.join(container.id()).join(file).exists()) {
        Some(file) => assert_eq!(read(top.join(weighted.create().id()).join(file)).trim(), "300"),
        None => drop(weighted.try_create().refused("no I/O scheduler with weights")),
    }
}

#[test]
fn a_leaf_weight_is_refused_with_the_reason() {
    needs!(root);
    needs!(v1);
    needs!(controller "blkio");
    let bundle = Bundle::busybox().set("/linux/resources/blockIO", json!({"leafWeight": 300}));
    bundle.try_create().refused("Linux 5.0 removed leaf weights");
    bundle.assert_nothing_left();
}

#[test]
fn huge_pages_are_limited() {
    needs!(root);
    needs!(controller "hugetlb");
    needs!(file "/sys/kernel/mm/hugepages/hugepages-2048kB");
    let limits = json!([{"pageSize": "2MB", "limit": 4_194_304}]);
    let container = Bundle::busybox().set("/linux/resources/hugepageLimits", limits).create();
    let dir = host::controller("hugetlb").unwrap().join(container.id());
    let files = match host::layout() {
        Layout::V1 => ["hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.rsvd.limit_in_bytes"],
        Layout::V2 => ["hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"],
    };
    for file in files {
        assert_eq!(read(dir.join(file)).trim(), "4194304", "{file}");
    }
}

#[test]
fn processors_and_memory_nodes_are_limited() {
    needs!(root);
    needs!(controller "cpuset");
    let container = Bundle::busybox().set("/linux/resources/cpu", json!({"cpus": "0", "mems": "0"})).start();
    let dir = host::controller("cpuset").unwrap().join(container.id());
    assert_eq!((read(dir.join("cpuset.cpus")).trim(), read(dir.join("cpuset.mems")).trim()), ("0", "0"));
    assert_eq!(
        container.exec(["grep", "Cpus_allowed_list", "/proc/self/status"]).ok().stdout,
        "Cpus_allowed_list:\t0\n"
    );
}

#[test]
fn a_cpuset_is_the_parents_unless_told() {
    needs!(root);
    needs!(controller "cpuset");
    needs!(v1);
    let container = Bundle::busybox().start();
    let top = host::controller("cpuset").unwrap();
    for file in ["cpuset.cpus", "cpuset.mems"] {
        assert_eq!(read(top.join(container.id()).join(file)), read(top.join(file)));
    }
}

#[test]
fn limits_are_in_force_before_the_first_instruction() {
    needs!(root);
    needs!(controller "pids");
    // Not even one child: the payload's first fork fails.
    let output = Bundle::busybox().limit_pids(1).sh("true & echo forked").run();
    assert!(output.code != 0 && !output.stdout.contains("forked"), "{output:?}");
}

#[test]
fn exec_is_under_the_limits_too() {
    needs!(root);
    needs!(controller "pids");
    let container = Bundle::busybox().limit_pids(4).start();
    let output = container.exec(["sh", "-c", "sleep 1 & sleep 1 & sleep 1 & sleep 1 & sleep 1 & echo all"]);
    assert!(output.code != 0 && !output.stdout.contains("all"), "{output:?}");
}

#[test]
fn a_payload_over_its_memory_limit_is_killed() {
    needs!(root);
    needs!(controller "memory");
    let memory = json!({"limit": 16_777_216, "swap": 16_777_216});
    let bundle = Bundle::busybox().set("/linux/resources/memory", memory).args(["head", "-c", "64m", "/dev/zero"]);
    assert_eq!(bundle.twin("fine").run().code, 0, "head itself needs little");
    // A variable of the shell holds it all.
    let greedy = bundle.twin("greedy").sh("x=$(head -c 64m /dev/zero | tr '\\0' x); echo ${#x}");
    let output = greedy.run();
    assert!(output.code != 0 && !output.stdout.contains("67108864"), "code {} {}", output.code, output.stdout.len());
}

/// A program that wants more than there is.
const GREEDY: [&str; 5] = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"];

fn small_memory(bytes: u64) -> Bundle {
    Bundle::busybox().set("/linux/resources/memory", json!({"limit": bytes, "swap": bytes}))
}

#[test]
fn run_says_that_its_program_was_killed_for_want_of_memory() {
    needs!(root);
    needs!(controller "memory");
    let bundle = small_memory(16 << 20).args(GREEDY);
    let output = bundle.run();
    assert_eq!(output.code, 137, "{output:?}");
    let said = "the kernel killed a process of it for want of memory: its limit is 16777216 bytes (16 MiB); raise \
                linux.resources.memory.limit";
    assert!(output.stderr.contains(said), "{output:?}");
    bundle.assert_nothing_left();
    // A shell tells of its program by the same status. And where the log is a file, people still see it.
    let log = bundle.home().join("log");
    let shell = bundle.twin("shell").sh("dd if=/dev/zero of=/dev/null bs=64M count=1; exit $?");
    shell.write();
    let output = shell.global_invocation(&["--log-level", "warning", "--log", log.to_str().unwrap()], "run").output();
    assert!(
        output.code == 137 && output.stderr.contains(said) && read(&log).contains(said),
        "{output:?} {}",
        read(&log)
    );
    // Nothing is said of another end.
    for script in ["exit 3", "sh -c 'kill -9 $$'; exit $?", "exit 137"] {
        let output = small_memory(16 << 20).sh(script).run();
        assert!(output.code != 0 && !output.stderr.contains("want of memory"), "{script}: {output:?}");
    }
}

#[test]
fn create_says_that_its_limit_of_memory_is_too_small_for_it() {
    needs!(root);
    needs!(controller "memory");
    // Nobody knows from where on it is enough.
    for bytes in [4096, 65536, 262_144, 524_288] {
        for bundle in [small_memory(bytes), small_memory(bytes).user_namespace()] {
            let output = bundle.try_create();
            if output.code == 0 && bytes > 4096 {
                bundle.handle().end();
                continue;
            }
            assert!(output.stderr.contains("linux.resources.memory.limit"), "{bytes}: {output:?}");
            bundle.assert_nothing_left();
        }
    }
}

#[test]
fn a_limit_that_cannot_be_is_refused_and_leaves_nothing() {
    needs!(root);
    needs!(controller "cpu");
    needs!(controller "cpuset");
    for cpu in [json!({"cpus": "5-2"}), json!({"cpus": "4096"}), json!({"quota": 5, "period": 1})] {
        let bundle = Bundle::busybox().set("/linux/resources/cpu", cpu.clone());
        assert_eq!(bundle.try_create().code, 1, "{cpu}");
        bundle.assert_nothing_left();
    }
}

#[test]
fn unified_writes_the_files_it_names() {
    needs!(root);
    needs!(v2);
    let bundle = Bundle::busybox().set("/linux/resources/unified", json!({"cgroup.max.descendants": "17"}));
    let container = bundle.create();
    assert_eq!(read(format!("/sys/fs/cgroup/{}/cgroup.max.descendants", container.id())).trim(), "17");
}

#[test]
fn unified_names_no_file_elsewhere() {
    needs!(root);
    needs!(v2);
    let bundle = Bundle::busybox();
    for key in ["../cgroup.max.depth", "a/b", "/cgroup.max.depth", ""] {
        let bundle = bundle.twin("x").set("/linux/resources/unified", json!({key: "3"}));
        assert_eq!(bundle.try_create().code, 1, "{key:?}");
        bundle.assert_nothing_left();
        std::fs::remove_dir_all(bundle.dir()).unwrap();
    }
}
