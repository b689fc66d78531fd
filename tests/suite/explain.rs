//! explain and check: the plan in words, what stands in its way, and nothing done.

use crate::harness::{Bundle, Output, host, read};
use crate::needs;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

/// Somebody who owns nothing on this machine but the test's directory.
const USER: u32 = 54_321;
const AS_USER: [&str; 4] = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"];

/// The example of the repository with the test's root filesystem.
fn example() -> Bundle {
    let bundle = Bundle::busybox();
    let config: Value = serde_json::from_str(include_str!("../../config.json.example")).expect("the example is JSON");
    bundle.set("", config)
}

/// The example without limits, which need controllers that cgroup v2 may not have on this machine.
fn unlimited_example() -> Bundle {
    example().set("/linux/resources", json!({}))
}

fn ask(bundle: &Bundle, verb: &str) -> Output {
    bundle.write();
    bundle.runtime([verb, bundle.dir().to_str().unwrap()]).output()
}

fn ask_as_user(bundle: &Bundle, words: &[&str]) -> Output {
    bundle.write();
    let words = [words, &[bundle.dir().to_str().unwrap()]].concat();
    bundle.runtime(words).under(AS_USER).output()
}

/// The text with runs of blanks and line breaks as one blank.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every file below a directory with its size and times.
fn snapshot(dir: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name() == "io" {
            continue; // the harness's own
        }
        let (path, stat) = (entry.path(), entry.metadata().expect("look at a file"));
        found.push(format!("{} {} {} {}", path.display(), stat.size(), stat.mtime_nsec(), stat.ctime_nsec()));
        if stat.is_dir() {
            found.extend(snapshot(&path));
        }
    }
    found.sort();
    found
}

#[test]
fn the_example_is_explained_in_plain_words() {
    needs!(root);
    let text = flat(&ask(&example(), "explain").ok().stdout);
    for line in [
        "hostname example",
        "rootfs, read-only",
        "new ipc, uts, network, pid, cgroup, time, mount",
        "the host's user: uids and gids in the container are the same outside",
        "boottime: +86400 s",
        "user uid 0, gid 0, groups 5",
        "umask 0022",
        "OOM score 100",
        "bounding, effective, permitted CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID, NET_BIND_SERVICE",
        "inheritable, ambient none",
        "RLIMIT_NOFILE soft 512 hard 1024",
        "from 3 rules for",
        "otherwise SCMP_ACT_ALLOW",
        "poststop at most 5 s /bin/true poststop",
        "7 /volumes/share bind of /usr/share and all mounted below it rro rnosuid rnodev rslave",
        "1 /dev new tmpfs nosuid strictatime mode=755 size=65536k",
        "nosuid set-user-ID and set-group-ID bits of programs have no effect",
        "/dev/net/tun c 10:200 mode 0666, owner 0:0",
        "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger",
        "/proc/sys/net/ipv4/ping_group_range = 0 0",
        "64 MiB",
        "at most 64 processes and threads",
        "allow c 10:229 rwm",
        "annotations 1,",
        "Not asked for id maps",
    ] {
        assert!(text.contains(line), "{line:?} is not in: {text}");
    }
    let limit = match host::layout() {
        host::Layout::V1 => "memory.limit_in_bytes = 67108864 64 MiB",
        host::Layout::V2 => "cpu.max = 50000 100000 at most 0.5 CPUs",
    };
    assert!(text.contains(limit), "{text}");
}

#[test]
fn lines_fit_a_terminal_and_hold_no_control_characters() {
    needs!(root);
    let bundle = Bundle::busybox().args(["echo", "\u{1b}[2J\nforged"]).env("A=\u{7}b").set("/hostname", "x\ty");
    for bundle in [bundle.twin("x"), example()] {
        let text = ask(&bundle, "explain").ok().stdout;
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        // A word is not broken, so the path of the test's directory may be longer.
        let long = text.lines().find(|line| line.chars().count() > 100 && !line.contains("rruntime-test"));
        assert_eq!(long, None);
    }
    let text = ask(&bundle, "explain").ok().stdout;
    assert!(text.contains("echo '\\u{1b}[2J\\nforged'"), "{text}");
}

#[test]
fn the_json_has_the_same_facts() {
    needs!(root);
    let bundle = example();
    let text = bundle.write().runtime(["explain", "--json", "-b", bundle.dir().to_str().unwrap()]).output().ok().stdout;
    let plan: Value = serde_json::from_str(&text).expect("--json prints JSON");
    for (pointer, value) in [
        ("/container/hostname", json!("example")),
        ("/container/root/readonly", json!(true)),
        ("/container/annotations", json!({"com.example.owner": "documentation"})),
        ("/namespaces/host", json!(["user"])),
        ("/namespaces/timeOffsets/boottime/secs", json!(86400)),
        ("/process/user", json!({"uid": 0, "gid": 0, "additionalGids": [5]})),
        ("/process/umask", json!(0o22)),
        ("/process/oomScoreAdj", json!(100)),
        ("/process/args/0", json!("sh")),
        ("/capabilities/ambient", json!([])),
        ("/capabilities/bounding/0", json!("CAP_CHOWN")),
        ("/rlimits/0", json!({"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024})),
        ("/seccomp/defaultAction", json!("SCMP_ACT_ALLOW")),
        ("/hooks/poststop/0/timeout", json!(5)),
        ("/mounts/7/source", json!("/usr/share")),
        ("/mounts/7/flags", json!(["rro", "rnosuid", "rnodev", "rslave"])),
        ("/devices/0/path", json!("/dev/net/tun")),
        ("/maskedPaths/0", json!("/proc/acpi")),
        ("/sysctl/kernel~1shmmax", json!("67108864")),
        ("/deviceRules/default", json!("deny")),
        ("/deviceRules/rules/0", json!({"verdict": "allow", "rule": "c 10:229 rwm"})),
        ("/plannedFor", json!("caller")),
    ] {
        assert_eq!(plan.pointer(pointer), Some(&value), "{pointer}: {text}");
    }
    let sizes: Vec<&Value> = plan["cgroupWrites"].as_array().unwrap().iter().map(|write| &write["meaning"]).collect();
    assert!(sizes.contains(&&json!("64 MiB")), "{text}");
}

#[test]
fn the_bundle_is_named_in_every_way() {
    needs!(root);
    let bundle = Bundle::busybox();
    bundle.write();
    let dir = bundle.dir().to_str().unwrap();
    for verb in ["explain", "check"] {
        let ways: [&[&str]; 5] = [&[verb], &[verb, "."], &[verb, dir], &[verb, "--bundle", dir], &[verb, "-b", "."]];
        let said: Vec<String> = ways
            .iter()
            .map(|words| bundle.runtime(words.iter().copied()).cwd(bundle.dir()).output().ok().stdout)
            .collect();
        assert!(said.iter().all(|text| *text == said[0]), "{said:#?}");
        bundle.runtime([verb, dir, "-b", dir]).output().refused("named twice");
        bundle.runtime([verb, "/no/such/bundle"]).output().refused("open bundle /no/such/bundle: no such file");
        bundle.runtime([verb]).cwd("/proc").output().refused("rruntime spec --bundle");
    }
}

#[test]
fn nothing_is_touched() {
    needs!(root);
    let bundle = example();
    bundle.write();
    let cgroups = || {
        let all = host::cgroup_tree().into_iter();
        all.filter(|dir| dir.file_name().is_some_and(|name| name == "bundle")).collect::<Vec<PathBuf>>()
    };
    let mounts = || read("/proc/self/mountinfo").lines().filter(|line| line.contains("bundle")).count();
    let look = || (snapshot(bundle.home()), cgroups(), mounts());
    let before = look();
    for words in [&["explain"][..], &["explain", "--json"], &["check"]] {
        let words = [words, &[bundle.dir().to_str().unwrap()]].concat();
        let output = bundle.runtime(words).output(); // the limits need controllers, which v2 may not have here
        assert!(output.stderr.is_empty() && !output.stdout.is_empty(), "{output:?}");
    }
    assert!(look() == before, "a file, a cgroup or a mount has changed");
}

#[test]
fn no_system_call_changes_anything() {
    needs!(root);
    needs!(program "strace");
    let bundle = example();
    bundle.write();
    let log = bundle.home().join("io/calls");
    let log_name = log.to_str().unwrap().to_owned();
    for verb in ["explain", "check"] {
        let calls = "trace=clone,clone3,fork,vfork,mount,fsopen,open_tree,move_mount,unshare,setns,mkdirat,mkdir,unlinkat,\
                     renameat,renameat2,kill,pidfd_send_signal,bpf,seccomp,execve,chmod,fchmodat,fchownat";
        let strace = ["strace", "-f", "-qq", "-o", &log_name, "-e", calls];
        bundle.runtime([verb, bundle.dir().to_str().unwrap()]).under(strace).output();
        let text = read(&log);
        // Whether the kernel has a call is asked with arguments that it refuses.
        let is_question = |line: &&str| line.contains("(-1, ") || line.contains("fsopen(NULL, ");
        let others: Vec<&str> = text.lines().filter(|line| !is_question(line) || !line.contains(" = -1 E")).collect();
        assert!(others.len() == 1 && others[0].contains("execve("), "{text}");
    }
}

#[test]
fn a_user_is_shown_the_plan_of_root_and_told_why_it_is_not_for_users() {
    needs!(root);
    let bundle = unlimited_example();
    let text = flat(&ask_as_user(&bundle, &["explain"]).ok().stdout);
    assert!(text.starts_with("The plan as root would have it"), "{text}");
    assert!(text.contains("bounding, effective, permitted CHOWN") && text.contains("/dev/net/tun c 10:200"), "{text}");
    assert!(text.contains("config.json: linux.namespaces: user 54321 has no right"), "{text}");
    assert!(text.ends_with("refused: user 54321 cannot run this bundle (1 reason); root could"), "{text}");
    let json: Value = serde_json::from_str(&ask_as_user(&bundle, &["explain", "--json"]).ok().stdout).unwrap();
    assert_eq!(json["plannedFor"], "root");
    assert_eq!(json["runs"], json!({"caller": false, "root": true}));
    assert_eq!(json["errors"][0]["place"], "linux.namespaces");
    let output = ask_as_user(&bundle, &["check"]);
    assert!(output.code == 1 && output.stdout.contains("`rruntime spec --rootless`"), "{output:?}");
    assert_eq!(output.stdout.lines().last(), Some("refused: user 54321 cannot run this bundle (1 reason); root could"));
}

#[test]
fn what_root_cannot_run_either_is_said_to_a_user() {
    needs!(root);
    let bundle = Bundle::busybox().args(["/no/such/program"]);
    let output = ask_as_user(&bundle, &["check"]);
    assert!(output.code == 1 && output.stdout.contains("(2 reasons); neither could root"), "{output:?}");
    let output = ask_as_user(&bundle.set("/linux/cgroupsPath", "/"), &["check"]);
    assert!(output.code == 1 && output.stdout.contains("refused: nobody can run this bundle"), "{output:?}");
}

#[test]
fn a_bundle_of_a_user_is_for_that_user() {
    needs!(root);
    let bundle = Bundle::busybox();
    let dir = bundle.host_directory("rootless");
    chown(&dir, Some(USER), Some(USER)).unwrap();
    bundle.runtime(["spec", "--rootless", "--bundle", dir.to_str().unwrap()]).under(AS_USER).output().ok();
    let config: Value = serde_json::from_str(&read(dir.join("config.json"))).unwrap();
    let bundle = bundle.set("", config);
    // No state directory is needed, so neither is XDG_RUNTIME_DIR.
    let output = ask_as_user(&bundle, &["check"]).ok();
    assert!(output.stdout.ends_with("fine: user 54321 can run this bundle\n"), "{output:?}");
    let text = flat(&ask_as_user(&bundle, &["explain"]).ok().stdout);
    assert!(text.contains("users 0 in the container is 54321 on the host"), "{text}");
    let cases = [
        (bundle.twin("a").set("/process/oomScoreAdj", -500), "process.oomScoreAdj: -500 is below"),
        (
            bundle.twin("b").set("/process/rlimits/0", json!({"type": "RLIMIT_CORE", "soft": 0, "hard": 5})),
            "process.rlimits[0].hard: 5 is above this process's own hard limit of RLIMIT_CORE (0)",
        ),
        (
            bundle.twin("c").set("/linux/resources", json!({"pids": {"limit": 5}})),
            "linux.resources: limits need a cgroup",
        ),
        (
            bundle.twin("d").push("/linux/uidMappings", json!({"containerID": 1, "hostID": 100, "size": 5})),
            "linux.uidMappings[1]: /etc/subuid does not give user 54321 the ids 100 to 104",
        ),
    ];
    for (bundle, text) in cases {
        bundle.write();
        let invocation = bundle.runtime(["check", bundle.dir().to_str().unwrap()]).under(AS_USER);
        let output = invocation.after_shell("ulimit -c 0").output();
        assert!(output.code == 1 && output.stdout.contains(text), "{text}: {output:?}");
        let limited = bundle.config()["linux"].get("resources").is_some() && host::controller("pids").is_none();
        assert!(output.stdout.contains("root could\n") || limited, "{output:?}");
    }
}

#[test]
fn every_finding_is_listed_with_errors_first() {
    needs!(root);
    let bundle = Bundle::busybox()
        .without_namespace("cgroup")
        .args(["nosuch"])
        .bind("/no/such/source", "/data", &["ro"])
        .mount("/x", "nosuchfs", "none", &[])
        .hook_with("poststop", json!({"path": "/no/hook"}))
        .join_namespace("network", "/proc/self/ns/uts");
    let output = ask(&bundle, "check");
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!((output.code, lines.len()), (1, 6), "{output:?}");
    for (place, why) in [
        ("process.args[0]", "\"nosuch\" is in no directory of PATH"),
        ("mounts[7].source", "/no/such/source: no such file or directory (ENOENT)"),
        ("hooks.poststop[0].path", "/no/hook: no such file or directory (ENOENT)"),
        ("linux.namespaces[4].path", "/proc/self/ns/uts is a uts namespace, not a network one"),
    ] {
        let line = format!("config.json: {place}: {why}");
        assert!(lines[..4].iter().any(|said| said.starts_with(&line)), "{line}: {output:?}");
    }
    assert!(lines[4].starts_with("warning: config.json: mounts[8].type: this kernel has no file system"), "{output:?}");
    assert_eq!(lines[5], "refused: root cannot run this bundle here (4 reasons)");
    let text = ask(&bundle, "explain").ok().stdout;
    assert!(text.contains("Why it cannot be run") && text.contains("Warnings"), "{text}");
}

#[test]
fn warnings_do_not_fail() {
    needs!(root);
    let bundle = Bundle::busybox()
        .set("/windows", json!({"layerFolders": ["x"]}))
        .set("/process/capabilities/bounding", json!(["CAP_KILL", "CAP_TELEPORT"]));
    let output = ask(&bundle, "check").ok();
    assert!(output.stdout.contains("warning: config.json: windows: is for another platform"), "{output:?}");
    assert!(
        output.stdout.contains("warning: config.json: process.capabilities.bounding: ignoring unknown"),
        "{output:?}"
    );
    assert!(output.stdout.ends_with("fine: root can run this bundle\n"), "{output:?}");
}

#[test]
fn a_terminal_is_as_good_as_none() {
    needs!(root);
    for terminal in [true, false] {
        ask(&Bundle::busybox().terminal(terminal), "check").ok();
    }
}

#[test]
fn a_program_is_found_as_the_container_will_find_it() {
    needs!(root);
    let bundle = Bundle::busybox().script("/tool/run", "#!/bin/sh", 0o755).script("/plain", "text", 0o644);
    let volume = bundle.host_directory("volume");
    fs::write(volume.join("prog"), "#!/bin/sh").unwrap();
    fs::set_permissions(volume.join("prog"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("/tool/run", bundle.rootfs().join("absolute")).unwrap();
    let fine = [
        bundle.twin("a").args(["/absolute"]),
        bundle.twin("b").args(["./run"]).set("/process/cwd", "/tool"),
        bundle.twin("c").args(["run"]).set("/process/env", json!(["PATH=/no:/tool"])),
        bundle.twin("d").args(["/volume/prog"]).bind(&volume, "/volume", &[]),
    ];
    std::os::unix::fs::symlink("volume", bundle.rootfs().join("link")).unwrap();
    let through = bundle.twin("i").args(["/link/prog"]).bind(&volume, "/volume", &[]);
    let output = ask(&through, "check").ok();
    assert!(
        output.stdout.starts_with("warning: config.json: process.args[0]: \"/link/prog\" is not to be seen"),
        "{output:?}"
    );
    for bundle in fine {
        let output = ask(&bundle, "check").ok();
        assert_eq!(output.stdout, "fine: root can run this bundle\n");
    }
    let refused = [
        (bundle.twin("e").args(["/plain"]), "\"/plain\" cannot be executed"),
        (bundle.twin("f").args(["run"]), "\"run\" is in no directory of PATH"),
        (bundle.twin("g").args(["/tool"]), "\"/tool\" is not in the root filesystem"),
        (bundle.twin("h").args(["/volume/other"]).bind("/etc/hostname", "/volume", &[]), "\"/volume/other\""),
    ];
    for (bundle, text) in refused {
        let output = ask(&bundle, "check");
        assert!(output.stdout.contains(&format!("process.args[0]: {text}")), "{output:?}");
    }
}

#[test]
fn a_mount_does_not_go_on_something_of_another_kind() {
    needs!(root);
    let bundle = Bundle::busybox().script("/file", "", 0o644);
    fs::create_dir(bundle.rootfs().join("dir")).unwrap();
    for (bundle, place) in [
        (bundle.twin("a").bind("/etc", "/file", &[]), "mounts[7].destination: /file is a file in the root filesystem"),
        (bundle.twin("b").bind("/etc/passwd", "/dir", &[]), "mounts[7].destination: /dir is a directory"),
        (bundle.twin("c").mount("/file", "tmpfs", "tmpfs", &[]), "mounts[7].destination: /file is a file"),
    ] {
        let output = ask(&bundle, "check");
        assert!(output.code == 1 && output.stdout.contains(place), "{output:?}");
        bundle.try_create().refused("");
    }
}

#[test]
fn what_runs_is_found_fine() {
    needs!(root);
    let bundle = Bundle::busybox().args(["true"]);
    let rootfs = bundle.rootfs();
    let dirs = ["upper", "work", "empty"].map(|name| bundle.host_directory(name));
    let [upper, work, empty] = dirs.each_ref().map(|dir| dir.to_str().unwrap());
    let layers = [format!("lowerdir={}", rootfs.display()), format!("upperdir={upper}"), format!("workdir={work}")];
    let overlay = json!({"destination": "/", "type": "overlay", "source": "overlay", "options": layers});
    let mut mounts = bundle.config()["mounts"].clone();
    mounts.as_array_mut().unwrap().insert(0, overlay);
    let cases = [
        bundle.twin("a"),
        bundle.twin("b").set("/root/path", empty).set("/mounts", mounts),
        bundle.twin("c").bind("/etc/passwd", "/etc/passwd", &["ro"]).bind("/etc", "/new/place", &["rro"]),
        bundle.twin("d").join_namespace("network", "/proc/self/ns/net").unset("/linux/sysctl"),
        bundle.twin("e").without_namespace("network").without_namespace("ipc"),
        bundle.twin("f").hook_with("createRuntime", json!({"path": "/bin/true"})).user(5, 6),
        bundle.twin("g").bind("/dev", "/dev", &["rbind"]).without_mount("/dev/mqueue"),
        Bundle::busybox().args(["true"]).user_namespace(),
    ];
    for bundle in cases {
        let output = ask(&bundle, "check").ok();
        assert!(output.stdout.ends_with("fine: root can run this bundle\n"), "{output:?}");
        bundle.run().ok();
    }
}

#[test]
fn root_without_its_rights_is_told_which_are_missing() {
    needs!(root);
    for (name, text) in [
        ("mknod", "linux.devices: this process lacks CAP_MKNOD"),
        ("setpcap", "process.capabilities.bounding: this process lacks CAP_SETPCAP"),
        ("net_admin", "linux.namespaces: this process lacks CAP_NET_ADMIN"),
    ] {
        let bundle = Bundle::busybox();
        let (without, write) = (format!("-{name}"), bundle.write());
        let wrapper = ["setpriv", "--bounding-set", &without, "--inh-caps", &without];
        let output = write.runtime(["check", write.dir().to_str().unwrap()]).under(wrapper).output();
        assert!(output.code == 1 && output.stdout.contains(text), "{output:?}");
        assert!(output.stdout.ends_with("refused: root cannot run this bundle here (1 reason)\n"), "{output:?}");
        write.invocation("run").under(wrapper).output().refused("");
    }
}

/// A broken configuration: where, what is put there, and how the message begins; and a part of the remedy.
type Broken = (&'static str, Value, &'static str, &'static str);

fn broken() -> Vec<Broken> {
    let bind = |options: Value| json!({"destination": "/v", "source": "/tmp", "options": options});
    vec![
        ("/mounts/-", bind(json!(["bind", "nosudi"])), "mounts[7].options[1]", "did you mean \"nosuid\"?"),
        (
            "/mounts/-",
            json!({"destination": "/v", "source": "/no/x", "options": ["bind"]}),
            "mounts[7].source",
            "make it",
        ),
        ("/mounts/-", json!({"destination": "/v", "options": ["bind"]}), "mounts[7].source", "needs one"),
        ("/mounts/-", json!({"type": "tmpfs"}), "mounts[7]", "destination"),
        ("/mounts/-", json!({"destination": "/v"}), "mounts[7].type", "\"bind\""),
        ("/mounts/-", json!({"destination": "/proc/self", "type": "tmpfs"}), "mounts[7].destination", "only cpuinfo"),
        ("/mounts", json!("x"), "mounts", "expected a sequence"),
        ("/process/args", json!([]), "process.args", "names the program"),
        ("/process/args", json!("sh"), "process.args", "expected a sequence"),
        ("/process/args", json!(["nosuch"]), "process.args[0]", "set PATH in process.env"),
        ("/process/cwd", json!("tmp"), "process.cwd", "begin it with \"/\""),
        ("/process/env", json!(["A=1", "B"]), "process.env[1]", "NAME=value"),
        ("/process/user/uid", json!("root"), "process.user.uid", "expected u32"),
        ("/process/user/umask", json!(999), "process.user.umask", "write it in decimal"),
        ("/process/rlimits/0/type", json!("RLIMIT_FILES"), "process.rlimits[0].type", "`RLIMIT_NOFILE`"),
        (
            "/process/rlimits/-",
            json!({"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}),
            "process.rlimits[1]",
            "keep one",
        ),
        ("/process/rlimits/0/soft", json!(5000), "process.rlimits[0].soft", "lower it, or raise hard"),
        ("/process/rlimits/0/hard", json!(1u64 << 40), "process.rlimits[0].hard", "fs.nr_open"),
        ("/process/oomScoreAdj", json!(-2000), "process.oomScoreAdj", "from -1000 to 1000"),
        ("/process/user/additionalGids", json!([-1]), "process.user.additionalGids[0]", "expected u32"),
        ("/root", Value::Null, "root", "root.path"),
        ("/root/path", json!("nowhere"), "root.path", "name another"),
        ("/root/path", json!("config.json"), "root.path", "not a directory"),
        ("/ociVersion", json!("2.0.0"), "ociVersion", "reads 1.x"),
        ("/linux/namespaces/-", json!({"type": "nett"}), "linux.namespaces[5].type", "`network`"),
        ("/linux/namespaces/-", json!({"type": "pid"}), "linux.namespaces[5]", "keep one of them"),
        ("/linux/namespaces/1/path", json!("netns"), "linux.namespaces[1].path", "write the full path"),
        ("/linux/namespaces/1/path", json!("/no/ns"), "linux.namespaces[1].path", "leave the path out"),
        ("/linux/namespaces/1/path", json!("/etc/passwd"), "linux.namespaces[1].path", "/proc/PID/ns/net"),
        ("/linux/namespaces", json!([{"type": "mount"}]), "hostname", "add {\"type\": \"uts\"}"),
        ("/linux/sysctl", json!({"vm.swappiness": "1"}), "linux.sysctl.vm.swappiness", "remove it"),
        ("/linux/sysctl", json!({"kernel.hostname": "x"}), "linux.sysctl.kernel.hostname", "use the field hostname"),
        ("/linux/sysctl", json!({"net.core.somaxconn": 1}), "linux.sysctl.net.core.somaxconn", "expected a string"),
        ("/linux/sysctl", json!({"user.max_pid_namespaces": "1"}), "linux.sysctl.user.max_pid_namespaces", "add {"),
        ("/linux/seccomp/defaultAction", json!("SCMP_ACT_DENY"), "linux.seccomp.defaultAction", "`SCMP_ACT_ERRNO`"),
        ("/linux/seccomp/defaultAction", json!("SCMP_ACT_KILL"), "linux.seccomp", "allow it"),
        ("/linux/resources/memory", json!({"limit": -5}), "linux.resources.memory.limit", "-1 for no limit"),
        ("/linux/resources/memory", json!({"limit": 9, "swap": 5}), "linux.resources.memory.swap", "write the sum"),
        ("/linux/resources/cpu", json!({"quota": 5}), "linux.resources.cpu.quota", "microseconds"),
        ("/linux/resources/cpu", json!({"idle": 7}), "linux.resources.cpu.idle", "write 1"),
        ("/linux/resources/devices/0/access", json!("rx"), "linux.resources.devices[0].access", "remove it"),
        ("/linux/cgroupsPath", json!("/"), "linux.cgroupsPath", "name a cgroup below it"),
        ("/linux/cgroupsPath", json!("a".repeat(300)), "linux.cgroupsPath", "shorten it"),
        ("/linux/maskedPaths", json!(["proc/x"]), "linux.maskedPaths[0]", "full path"),
        ("/linux/readonlyPaths", json!(["/"]), "linux.readonlyPaths[0]", "root.readonly"),
        ("/linux/rootfsPropagation", json!("salve"), "linux.rootfsPropagation", "did you mean \"slave\"?"),
        ("/linux/devices", json!([{"path": "/dev/x", "type": "a"}]), "linux.devices[0].type", "c, b, u or p"),
        ("/linux/uidMappings", json!([{"containerID": 0, "hostID": 1, "size": 1}]), "linux.uidMappings", "add {"),
        ("/linux/timeOffsets", json!({"boottime": {"secs": 1}}), "linux.timeOffsets", "add {\"type\": \"time\"}"),
        ("/hooks/prestart", json!([{"path": "true"}]), "hooks.prestart[0].path", "write the full path"),
        ("/hooks/poststop", json!([{"path": "/bin/sh", "timeout": 0}]), "hooks.poststop[0].timeout", "give seconds"),
        ("/hooks/poststop", json!([{"path": "/no/hook"}]), "hooks.poststop[0].path", "install the program"),
        ("/hooks/startContainer", json!([{"path": "/no"}]), "hooks.startContainer[0].path", "put it there"),
    ]
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_its_remedy() {
    needs!(root);
    let bundle = Bundle::busybox();
    for (number, (pointer, value, place, remedy)) in broken().into_iter().enumerate() {
        let twin = bundle.twin(&number.to_string()).without_namespace("cgroup");
        let twin = match pointer.strip_suffix("/-") {
            Some(list) => twin.push(list, value),
            None if value.is_null() => twin.unset(pointer),
            None => twin.set(pointer, value),
        };
        let output = ask(&twin, "check");
        let first = output.stdout.lines().next().unwrap_or_default();
        let said = first.starts_with(&format!("config.json: {place}: ")) && first.contains(remedy);
        assert!(output.code == 1 && said && output.stderr.is_empty(), "{pointer}: {place}: {remedy}: {output:#?}");
        assert!(output.stdout.lines().last().unwrap_or_default().starts_with("refused: "), "{output:#?}");
    }
    for (text, why) in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("{\"ociVersion\": \"1.0.2\",}", "not JSON: trailing comma at line 1 column 24"),
        ("null", "invalid type: null"),
        ("[]", "the document: is a list"),
    ] {
        fs::write(bundle.write().dir().join("config.json"), text).unwrap();
        let output = bundle.runtime(["check", bundle.dir().to_str().unwrap()]).output();
        assert!(output.code == 1 && output.stdout.starts_with(&format!("config.json: {why}")), "{output:?}");
        bundle.runtime(["explain", bundle.dir().to_str().unwrap()]).output().refused(&format!("config.json: {why}"));
    }
}

#[test]
fn create_says_the_same_place() {
    needs!(root);
    for (pointer, value, text) in [
        ("/process/cwd", json!("tmp"), "create failed: config.json: process.cwd: "),
        ("/linux/namespaces/5", json!({"type": "pid"}), "create failed: config.json: linux.namespaces[5]: a second"),
        ("/linux/resources/devices/0/access", json!("x"), "config.json: linux.resources.devices[0].access: "),
    ] {
        let bundle = Bundle::busybox().without_namespace("cgroup");
        let bundle = match pointer.strip_suffix("/5") {
            Some(list) => bundle.push(list, value),
            None => bundle.set(pointer, value),
        };
        bundle.try_create().refused(text);
    }
}
