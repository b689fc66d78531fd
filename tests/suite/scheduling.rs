//! What share of the machine a process gets: policy, I/O priority, CPUs, memory nodes.

use crate::harness::{Bundle, Container, eventually, read};
use crate::needs;
use serde_json::{Value, json};
use std::fs;

/// What a program of the host prints about a process, `chrt -p` or `ionice -p`.
#[track_caller]
fn look(container: &Container, program: &str, pid: i32) -> String {
    container.command([program, "-p", &pid.to_string()]).output().ok().stdout
}

/// The pid of a process that exec leaves running: of these words, or of a process file.
#[track_caller]
fn left_running(container: &Container, file: Option<Value>) -> i32 {
    let pid_file = container.home().join("exec.pid");
    let _ = fs::remove_file(&pid_file);
    let pid_path = pid_file.to_str().unwrap();
    match file {
        None => container.exec_with(["-d", "--pid-file", pid_path], ["sleep", "600"]).ok(),
        Some(mut process) => {
            for (key, value) in [("args", json!(["sleep", "600"])), ("cwd", json!("/")), ("env", json!(["PATH=/bin"]))]
            {
                process[key] = value;
            }
            let path = container.home().join("process.json");
            fs::write(&path, process.to_string()).unwrap();
            container.exec_with(["-d", "--pid-file", pid_path, "-p", path.to_str().unwrap()], []).ok()
        }
    };
    read(pid_file).parse().expect("a pid")
}

/// The nice value of a process: field 19 of its stat.
fn nice(pid: i32) -> i32 {
    let stat = read(format!("/proc/{pid}/stat"));
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().parse().unwrap()
}

/// Where a process may run.
fn cpus(pid: i32) -> String {
    let status = read(format!("/proc/{pid}/status"));
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("a living process");
    line.trim().to_string()
}

#[test]
fn the_policy_is_the_configured_one_and_exec_inherits_it() {
    needs!(root);
    needs!(program "chrt");
    let scheduler = json!({"policy": "SCHED_BATCH", "nice": 7, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
    let container = Bundle::busybox().set("/process/scheduler", scheduler).start();
    for pid in [container.pid(), left_running(&container, None), left_running(&container, Some(json!({})))] {
        let seen = look(&container, "chrt", pid);
        assert!(seen.contains("policy: SCHED_BATCH|SCHED_RESET_ON_FORK"), "{seen}");
        assert_eq!(nice(pid), 7);
    }
    let own = left_running(&container, Some(json!({"scheduler": {"policy": "SCHED_IDLE"}})));
    let seen = look(&container, "chrt", own);
    assert!(seen.contains("policy: SCHED_IDLE\n"), "{seen}");
}

#[test]
fn a_policy_that_takes_a_privilege_works_in_a_user_namespace_too() {
    needs!(root);
    // The kernel asks for CAP_SYS_NICE in the initial user namespace, which only the runtime has.
    let bundle = Bundle::busybox().user_namespace();
    let container = bundle.set("/process/scheduler", json!({"policy": "SCHED_OTHER", "nice": -7})).start();
    assert_eq!([container.pid(), left_running(&container, None)].map(nice), [-7, -7]);
}

#[test]
fn a_real_time_policy_is_set() {
    needs!(root);
    needs!(program "chrt");
    needs!(v2); // on v1 the kernel may keep real time from a cgroup without cpu.realtimeRuntime
    let container = Bundle::busybox().set("/process/scheduler", json!({"policy": "SCHED_RR", "priority": 5})).start();
    for pid in [container.pid(), left_running(&container, None)] {
        let seen = look(&container, "chrt", pid);
        assert!(seen.contains("policy: SCHED_RR\n") && seen.contains("priority: 5\n"), "{seen}");
    }
}

#[test]
fn a_deadline_is_kept() {
    needs!(root);
    needs!(program "chrt");
    let deadline = json!({"policy": "SCHED_DEADLINE", "nice": 19, "runtime": 42000, "deadline": 100_000,
        "period": 1_000_000, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
    let container = Bundle::busybox().start();
    let seen = look(&container, "chrt", left_running(&container, Some(json!({"scheduler": deadline}))));
    assert!(seen.contains("policy: SCHED_DEADLINE|SCHED_RESET_ON_FORK"), "{seen}");
    assert!(seen.contains("42000/100000/1000000"), "{seen}");
}

#[test]
fn values_of_another_policy_are_refused() {
    needs!(root);
    let bundle = Bundle::busybox();
    for (scheduler, text) in [
        (json!({"policy": "SCHED_OTHER", "nice": 20}), "config.json: process.scheduler.nice: 20 is out of range"),
        (json!({"policy": "SCHED_OTHER", "priority": 1}), "scheduler.priority: only SCHED_FIFO and SCHED_RR have one"),
        (json!({"policy": "SCHED_FIFO"}), "scheduler.priority: 0 is out of range"),
        (json!({"policy": "SCHED_RR", "priority": 1, "period": 9000}), "belong to SCHED_DEADLINE"),
        (json!({"policy": "SCHED_ISO"}), "scheduler.policy: SCHED_ISO"),
        (json!({"policy": "SCHED_FAIR"}), "process.scheduler.policy: unknown variant"),
    ] {
        bundle.twin("x").set("/process/scheduler", scheduler).try_create().refused(text);
        bundle.assert_nothing_left();
        fs::remove_dir_all(bundle.home().join("bundle-x")).unwrap();
    }
}

#[test]
fn what_the_kernel_refuses_is_explained() {
    needs!(root);
    needs!(controller "cpuset");
    let deadline = json!({"policy": "SCHED_DEADLINE", "runtime": 42000, "deadline": 100_000});
    let bundle = Bundle::busybox().set("/linux/resources/cpu/cpus", "0").set("/process/scheduler", deadline);
    bundle.try_create().refused("config.json: process.scheduler: ");
    bundle.assert_nothing_left();
}

#[test]
fn the_io_priority_is_the_configured_one_and_exec_inherits_it() {
    needs!(root);
    needs!(program "ionice");
    let bundle = Bundle::busybox().set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 6}));
    let container = bundle.start();
    for pid in [container.pid(), left_running(&container, None), left_running(&container, Some(json!({})))] {
        assert_eq!(look(&container, "ionice", pid), "best-effort: prio 6\n");
    }
    let own = left_running(&container, Some(json!({"ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}})));
    assert_eq!(look(&container, "ionice", own), "idle\n");
    let real_time = json!({"class": "IOPRIO_CLASS_RT", "priority": 2});
    let other = Bundle::busybox().user_namespace().set("/process/ioPriority", real_time).start();
    assert_eq!(look(&other, "ionice", other.pid()), "realtime: prio 2\n");
}

#[test]
fn an_io_priority_out_of_range_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox().set("/process/ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 8}));
    bundle.try_create().refused("config.json: process.ioPriority.priority: 8 is out of range");
    bundle.assert_nothing_left();
}

#[test]
fn exec_runs_on_the_cpus_it_is_given_and_init_does_not() {
    needs!(root);
    let all = cpus(i32::try_from(std::process::id()).unwrap());
    let affinity = |initial: &str, last: &str| json!({"execCPUAffinity": {"initial": initial, "final": last}});
    let configured = Bundle::busybox().set("/process/execCPUAffinity", json!({"final": "0"})).start();
    assert_eq!(cpus(configured.pid()), all);
    assert_eq!(cpus(left_running(&configured, None)), "0");
    assert_eq!(cpus(left_running(&configured, Some(json!({"execCPUAffinity": {}})))), all);
    let plain = Bundle::busybox().start();
    assert_eq!(cpus(left_running(&plain, None)), all);
    assert_eq!(cpus(left_running(&plain, Some(affinity("0", "")))), "0", "nothing takes it from where it began");
    assert_eq!(cpus(left_running(&plain, Some(affinity("0", &all)))), all);
    assert_eq!(cpus(left_running(&plain, Some(affinity("", "0")))), "0");
}

#[test]
fn the_runtime_itself_runs_on_the_initial_cpus() {
    needs!(root);
    let bundle = Bundle::busybox().set("/process/execCPUAffinity", json!({"initial": "0"}));
    let container = bundle.start();
    let process = container.execution([], ["sh", "-c", "echo ready; sleep 600"]).spawn();
    process.has_said("ready");
    eventually("the runtime on CPU 0", || cpus(process.pid()) == "0");
}

#[test]
fn cpus_that_are_none_are_refused() {
    needs!(root);
    let bundle = Bundle::busybox();
    for (list, text) in [("3-1", "execCPUAffinity.initial: \"3-1\""), ("1,x", "process.execCPUAffinity")] {
        let bundle = bundle.twin(&list.replace(',', "")).set("/process/execCPUAffinity", json!({"initial": list}));
        bundle.try_create().refused(text);
        bundle.assert_nothing_left();
    }
    let container = bundle.twin("far").set("/process/execCPUAffinity", json!({"final": "65535"})).start();
    container.exec(["true"]).failed(255, "process.execCPUAffinity.final: is none of these CPUs online");
}

// --- memory and personality ---

#[test]
fn the_memory_policy_is_the_configured_one_and_exec_inherits_it() {
    needs!(root);
    needs!(file "/proc/self/numa_maps");
    let policy = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    let container = Bundle::busybox().set("/linux/memoryPolicy", policy).start();
    for pid in [container.pid(), left_running(&container, None), left_running(&container, Some(json!({})))] {
        let maps = read(format!("/proc/{pid}/numa_maps"));
        assert!(maps.lines().all(|line| line.contains(" bind=static:0")), "{maps}");
    }
    let plain = Bundle::busybox().start();
    assert!(read(plain.proc("numa_maps")).lines().all(|line| line.contains(" default")));
}

#[test]
fn a_memory_policy_without_nodes_is_set() {
    needs!(root);
    needs!(file "/proc/self/numa_maps");
    for (mode, word) in [("MPOL_DEFAULT", " default"), ("MPOL_LOCAL", " local"), ("MPOL_PREFERRED", " local")] {
        let container = Bundle::busybox().set("/linux/memoryPolicy", json!({"mode": mode})).start();
        let maps = read(container.proc("numa_maps"));
        assert!(maps.lines().all(|line| line.contains(word)), "{mode}: {maps}");
    }
}

#[test]
fn a_memory_policy_that_cannot_be_is_refused() {
    needs!(root);
    needs!(file "/proc/self/numa_maps");
    let bundle = Bundle::busybox();
    for (policy, text) in [
        (json!({"mode": "MPOL_BIND"}), "config.json: linux.memoryPolicy.nodes: MPOL_BIND needs at least one"),
        (json!({"mode": "MPOL_LOCAL", "nodes": "0"}), "linux.memoryPolicy.nodes: MPOL_LOCAL takes none"),
        (json!({"mode": "MPOL_BIND", "nodes": "60000"}), "linux.memoryPolicy: MPOL_BIND: has this machine"),
        (json!({"mode": "MPOL_ELSEWHERE"}), "linux.memoryPolicy.mode: unknown variant"),
    ] {
        bundle.twin("x").set("/linux/memoryPolicy", policy).try_create().refused(text);
        bundle.assert_nothing_left();
        fs::remove_dir_all(bundle.home().join("bundle-x")).unwrap();
    }
}

#[test]
fn a_kernel_without_numa_is_named() {
    needs!(root);
    needs!(program "strace");
    let bundle = Bundle::busybox().set("/linux/memoryPolicy", json!({"mode": "MPOL_LOCAL"}));
    let output = bundle
        .invocation("create")
        .under(["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=set_mempolicy:error=ENOSYS"])
        .output();
    output.refused("linux.memoryPolicy: MPOL_LOCAL: this kernel is built without NUMA");
    bundle.assert_nothing_left();
}

#[test]
fn the_personality_is_the_configured_one_and_exec_inherits_it() {
    needs!(root);
    let bundle = Bundle::busybox();
    let container = bundle.twin("32").set("/linux/personality", json!({"domain": "LINUX32"})).start();
    assert_eq!(read(container.proc("personality")), "00000008\n");
    for file in [None, Some(json!({}))] {
        assert_eq!(read(format!("/proc/{}/personality", left_running(&container, file))), "00000008\n");
    }
    let linux = bundle.twin("64").set("/linux/personality", json!({"domain": "LINUX"}));
    let output = linux.args(["cat", "/proc/self/personality"]).invocation("run");
    needs!(program "setarch");
    assert_eq!(output.under(["setarch", "-R"]).output().ok().stdout, "00000000\n", "the caller's flags are gone");
}

#[test]
fn flags_of_the_personality_are_refused() {
    needs!(root);
    let bundle = Bundle::busybox();
    let personality = json!({"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]});
    bundle.set("/linux/personality", personality).try_create().refused("linux.personality.flags: unknown value");
}
