//! Namespaces: new ones, joined ones, and those that are refused.

use crate::harness::{Bundle, MAPPED, host, read};
use crate::needs;
use serde_json::json;

/// The types of the specification with the names of their files in /proc/PID/ns.
const KINDS: [(&str, &str); 8] = [
    ("pid", "pid"),
    ("network", "net"),
    ("mount", "mnt"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("user", "user"),
    ("cgroup", "cgroup"),
    ("time", "time"),
];

/// A bundle with all eight namespaces.
fn all() -> Bundle {
    KINDS
        .iter()
        .filter(|(kind, _)| *kind != "user")
        .fold(Bundle::busybox().user_namespace(), |bundle, (kind, _)| bundle.namespace(kind))
}

#[test]
fn every_type_of_namespace_can_be_new() {
    needs!(root);
    let container = all().start();
    for (kind, file) in KINDS {
        let (mine, its) = (format!("/proc/self/ns/{file}"), container.proc(&format!("ns/{file}")));
        assert!(!host::same_file(mine, its), "{kind} namespace is the host's");
    }
}

#[test]
fn a_namespace_that_is_not_listed_is_the_callers() {
    needs!(root);
    let bundle = Bundle::busybox();
    let bundle = ["pid", "ipc", "cgroup"].into_iter().fold(bundle, Bundle::without_namespace);
    let container = bundle.without_mount("/dev/mqueue").start();
    for file in ["pid", "ipc", "cgroup", "user", "time"] {
        assert!(host::same_file(format!("/proc/self/ns/{file}"), container.proc(&format!("ns/{file}"))), "{file}");
    }
}

#[test]
fn every_type_of_namespace_can_be_joined_by_path() {
    needs!(root);
    let bundle = all();
    let first = bundle.start();
    for (kind, file) in KINDS.into_iter().filter(|(kind, _)| *kind != "mount") {
        // A user namespace owns the others, so it is joined along with each of them.
        let second = bundle.twin(kind).unset("/linux/uidMappings").unset("/linux/gidMappings");
        let second = second.join_namespace("user", first.proc("ns/user"));
        let second = second.join_namespace(kind, first.proc(&format!("ns/{file}")));
        let second = if kind == "uts" { second.unset("/hostname") } else { second };
        let container = second.start();
        assert!(host::same_file(first.proc(&format!("ns/{file}")), container.proc(&format!("ns/{file}"))), "{kind}");
    }
}

#[test]
fn mappings_beside_a_joined_user_namespace_must_be_its_own() {
    needs!(root);
    let first = Bundle::busybox().user_namespace();
    let pod = first.start();
    let own = json!([{"containerID": 0, "hostID": MAPPED, "size": 5}, {"containerID": 5, "hostID": MAPPED + 5, "size": 65531}]);
    let join = |name: &str| first.twin(name).join_namespace("user", pod.proc("ns/user")).args(["id", "-u"]);
    let member = join("same").set("/linux/uidMappings", own.clone()).set("/linux/gidMappings", own.clone());
    assert_eq!(member.run().ok().stdout, "0\n");
    let others = json!([{"containerID": 0, "hostID": MAPPED + 1, "size": 65535}]);
    let stranger = join("other").set("/linux/uidMappings", own).set("/linux/gidMappings", others);
    stranger
        .run()
        .refused("linux.gidMappings: the user namespace to join has others (container, host, size: 0 200000 65536)");
}

#[test]
fn a_mount_namespace_can_be_joined_by_path() {
    needs!(root);
    let bundle = Bundle::busybox().args(["sh", "-c", "echo fine; sleep 600"]);
    let holder = bundle.command(["unshare", "-m", "sleep", "100"]).spawn();
    let path = format!("/proc/{}/ns/mnt", holder.pid());
    crate::harness::eventually("a mount namespace", || !host::same_file(&path, "/proc/self/ns/mnt"));
    let container = bundle.join_namespace("mount", &path).start();
    container.has_said("fine");
    assert!(host::same_file(&path, container.proc("ns/mnt")));
    drop(holder); // its root is the container's, too, since that has changed it in their namespace
}

#[test]
fn a_whole_pod_can_share_its_namespaces() {
    needs!(root);
    let pod = Bundle::busybox().start();
    let kinds = [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")];
    let join =
        |bundle: Bundle, (kind, file): &(&str, &str)| bundle.join_namespace(kind, pod.proc(&format!("ns/{file}")));
    let member = kinds.iter().fold(Bundle::busybox().unset("/hostname"), join).start();
    for (kind, file) in kinds {
        assert!(host::same_file(pod.proc(&format!("ns/{file}")), member.proc(&format!("ns/{file}"))), "{kind}");
    }
    assert!(pod.exec(["ps"]).ok().stdout.matches("sleep 600").count() == 2, "both inits in one pid namespace");
    // The member's end must not take the pod's processes along.
    member.delete_by_force().ok();
    assert_eq!(pod.status(), "running");
}

#[test]
fn killing_a_container_in_a_shared_pid_namespace_kills_all_of_it() {
    needs!(root);
    let pod = Bundle::busybox().start();
    let bundle =
        Bundle::busybox().join_namespace("pid", pod.proc("ns/pid")).sh("sleep 600 & sleep 600 & echo ready; wait");
    let member = bundle.start();
    member.has_said("ready");
    member.kill("KILL").ok();
    member.reaches("stopped");
    crate::harness::eventually("its children to go", || host::processes(bundle.home(), bundle.id()).is_empty());
    assert_eq!(pod.status(), "running");
}

#[test]
fn a_path_of_another_type_is_refused() {
    needs!(root);
    for (kind, path) in [
        ("network", "/proc/self/ns/ipc"),
        ("ipc", "/proc/self/ns/uts"),
        ("pid", "/proc/self/ns/net"),
        ("uts", "/etc/passwd"),
    ] {
        let bundle = Bundle::busybox().join_namespace(kind, path);
        assert_ne!(bundle.try_create().code, 0, "{kind} from {path}");
        bundle.assert_nothing_left();
    }
}

#[test]
fn a_path_that_is_not_there_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox().join_namespace("network", "/run/netns/rruntime-test-missing");
    bundle.try_create().refused("/run/netns/rruntime-test-missing");
    bundle.assert_nothing_left();
}

#[test]
fn duplicate_and_unknown_types_are_refused() {
    needs!(root);
    for namespace in
        [json!({"type": "pid"}), json!({"type": "ipc", "path": "/proc/self/ns/ipc"}), json!({"type": "bogus"})]
    {
        let bundle = Bundle::busybox().push("/linux/namespaces", namespace.clone());
        let kind = namespace["type"].as_str().unwrap();
        let output = bundle.try_create();
        assert!(output.code == 1 && output.stderr.contains(kind), "{namespace}: {output:?}");
        bundle.assert_nothing_left();
    }
}

#[test]
fn the_hostname_and_domain_name_are_the_containers_own() {
    needs!(root);
    let host = read("/proc/sys/kernel/hostname");
    let bundle = Bundle::busybox().set("/hostname", "inside").set("/domainname", "example.org");
    let output = bundle.args(["cat", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname"]).run().ok();
    assert_eq!(output.stdout, "inside\nexample.org\n");
    assert_eq!(read("/proc/sys/kernel/hostname"), host);
}

#[test]
fn a_hostname_needs_a_namespace_of_its_own() {
    needs!(root);
    let bundle = Bundle::busybox().without_namespace("uts").set("/hostname", "intruder");
    let output = bundle.try_create();
    assert!(output.code == 1 && output.stderr.to_lowercase().contains("uts namespace"), "{output:?}");
}

#[test]
fn a_new_network_has_a_working_loopback() {
    needs!(root);
    let output = Bundle::busybox().args(["ifconfig"]).run().ok().stdout;
    assert!(output.contains("127.0.0.1") && output.contains("UP"), "{output}");
}

#[test]
fn sysctls_of_the_namespaces_are_set() {
    needs!(root);
    let bundle = Bundle::busybox()
        .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "4242"}))
        .args(["cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/msgmax"]);
    assert_eq!(bundle.run().ok().stdout, "1\n4242\n");
}

#[test]
fn every_kind_of_sysctl_that_a_namespace_has_is_set() {
    needs!(root);
    let values = json!({
        "kernel.sem": "250 32000 100 200", "kernel/shmmni": "99", "kernel.shm_rmid_forced": "1", "fs.mqueue.queues_max": "7",
        "kernel.domainname": "example.org", "user.max_net_namespaces": "5", "net.core.somaxconn": "123",
    });
    let bundle = Bundle::busybox()
        .user_namespace()
        .set("/linux/sysctl", values)
        .sh("cd /proc/sys; tr '\\t' ' ' < kernel/sem; cat kernel/shmmni kernel/shm_rmid_forced fs/mqueue/queues_max \
         kernel/domainname user/max_net_namespaces net/core/somaxconn");
    assert_eq!(bundle.run().ok().stdout, "250 32000 100 200\n99\n1\n7\nexample.org\n5\n123\n");
}

/// The name by which AppArmor knows the file.
#[test]
fn sysctls_are_written_to_files_that_have_their_names_in_proc() {
    needs!(root);
    needs!(program "strace");
    for (name, bundle) in [("plain", Bundle::busybox()), ("user", Bundle::busybox().user_namespace())] {
        let bundle = bundle.set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"})).args(["true"]);
        let log = bundle.home().join(format!("{name}.log"));
        let strace = ["strace", "-f", "-y", "-qq", "-e", "trace=write,fsopen", "-o", log.to_str().unwrap()];
        let bundle = bundle.without_mount("/proc").unset("/linux/maskedPaths").unset("/linux/readonlyPaths");
        bundle.invocation("run").under(strace).output().ok();
        let log = read(log);
        assert!(log.contains("</proc/sys/net/ipv4/ip_forward>, \"1\""), "{log}");
        assert!(!log.contains("fsopen(\"proc\""), "a procfs is made for it: {log}");
    }
}

#[test]
fn sysctls_are_set_where_something_covers_them_in_the_proc_of_the_host() {
    needs!(root);
    for cover in [
        "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys", // systemd's ProtectKernelTunables
        "mount --bind /proc/sys/kernel /proc/sys/net",
        "mount -t tmpfs none /proc/sys/net && mkdir -p /proc/sys/net/ipv4 && touch /proc/sys/net/ipv4/ip_forward",
    ] {
        let script = format!("{cover} && exec \"$@\"");
        let host = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"];
        let bundle = Bundle::busybox()
            .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "4242"}))
            .args(["cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/kernel/msgmax"]);
        let output = bundle.invocation("run").under(host).output().ok();
        assert_eq!(output.stdout, "1\n4242\n", "{cover}");
    }
}

#[test]
fn a_sysctl_that_the_kernel_does_not_take_is_an_error_with_its_name() {
    needs!(root);
    for (name, value) in [("net.ipv4.no_such_thing", "1"), ("kernel.shmmni", "many")] {
        let bundle = Bundle::busybox().set("/linux/sysctl", json!({name: value}));
        let output = bundle.try_create();
        let told = format!("/proc/sys/{}", name.replace('.', "/"));
        assert!(output.code == 1 && output.stderr.contains(&told), "{output:?}");
        bundle.assert_nothing_left();
    }
    Bundle::busybox()
        .set("/linux/sysctl", json!({"kernel.hostname": "x"}))
        .try_create()
        .refused("kernel.hostname: use the field hostname of config.json");
}

#[test]
fn sysctls_of_the_host_are_refused() {
    needs!(root);
    for (name, namespace) in [
        ("kernel.pid_max", "pid"),
        ("net.ipv4.ip_forward", "network"),
        ("kernel.msgmax", "ipc"),
        ("kernel.sem", "ipc"),
        ("kernel.shmmax", "ipc"),
        ("fs.mqueue.msg_max", "ipc"),
        ("kernel.domainname", "uts"),
        ("vm.swappiness", "pid"),
    ] {
        let bundle =
            Bundle::busybox().without_namespace(namespace).unset("/hostname").set("/linux/sysctl", json!({name: "1"}));
        let output = bundle.try_create();
        assert!(output.code == 1 && output.stderr.contains(name), "{name}: {output:?}");
    }
}

#[test]
fn time_offsets_move_the_containers_clocks() {
    needs!(root);
    needs!(file "/proc/self/timens_offsets");
    let bundle = Bundle::busybox()
        .namespace("time")
        .set("/linux/timeOffsets", json!({"monotonic": {"secs": 7200}, "boottime": {"secs": 864_000, "nanosecs": 5}}));
    let container = bundle.start();
    let uptime = |text: String| text.split('.').next().unwrap().parse::<u64>().unwrap();
    let (outside, inside) = (uptime(read("/proc/uptime")), uptime(container.exec(["cat", "/proc/uptime"]).ok().stdout));
    assert!(inside >= outside + 863_990, "init and exec see a later boottime: {inside} after {outside}");
    let offsets = container.exec(["cat", "/proc/1/timens_offsets"]).ok().stdout;
    let words: Vec<_> = offsets.split_whitespace().collect();
    assert_eq!(words, ["monotonic", "7200", "0", "boottime", "864000", "5"]);
}

#[test]
fn time_offsets_are_set_in_a_user_namespace_too() {
    needs!(root);
    needs!(file "/proc/self/timens_offsets");
    let offsets = json!({"monotonic": {"secs": 7881, "nanosecs": 2_718_281}, "boottime": {"secs": 1337}});
    let bundle = Bundle::busybox().user_namespace().namespace("time").set("/linux/timeOffsets", offsets);
    let container = bundle.start();
    let seen = container.exec(["cat", "/proc/self/timens_offsets"]).ok().stdout;
    let words: Vec<_> = seen.split_whitespace().collect();
    assert_eq!(words, ["monotonic", "7881", "2718281", "boottime", "1337", "0"]);
    // Another one's user namespace, and clocks of its own.
    let joins = bundle.twin("joins").unset("/linux/uidMappings").unset("/linux/gidMappings");
    let joins = joins.without_namespace("user").join_namespace("user", container.proc("ns/user"));
    assert!(joins.args(["cat", "/proc/self/timens_offsets"]).run().ok().stdout.contains("2718281"));
}

#[test]
fn time_offsets_need_a_time_namespace() {
    needs!(root);
    let bundle = Bundle::busybox().set("/linux/timeOffsets", json!({"boottime": {"secs": 1}}));
    bundle.try_create().refused("time");
}

#[test]
fn a_cgroup_namespace_hides_the_path_from_the_container() {
    needs!(root);
    let output = Bundle::busybox().namespace("cgroup").args(["cat", "/proc/self/cgroup"]).run().ok().stdout;
    assert!(output.lines().all(|line| line.ends_with(":/") || !line.contains("rruntime-test")), "{output}");
}
