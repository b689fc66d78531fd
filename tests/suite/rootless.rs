//! A user without any privileges runs containers.

use crate::harness::{Bundle, Container, Invocation, eventually, read};
use crate::needs;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

/// Somebody who owns nothing on this machine but the test's directory.
const USER: u32 = 54_321;
pub const AS_USER: [&str; 4] = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"];

/// A bundle of the user's, with the configuration of `spec --rootless`.
pub fn bundle() -> Bundle {
    let bundle = Bundle::busybox();
    give(bundle.home());
    let dir = bundle.host_directory("rootless");
    give(&dir);
    bundle.runtime(["spec", "--rootless", "--bundle", dir.to_str().unwrap()]).under(AS_USER).output().ok();
    let mut config: Value = serde_json::from_str(&read(dir.join("config.json"))).expect("spec writes JSON");
    assert_eq!(config["linux"]["uidMappings"], json!([{"containerID": 0, "hostID": USER, "size": 1}]));
    config["process"]["terminal"] = json!(false);
    bundle.set("", config).sh("sleep 600")
}

fn give(path: &Path) {
    chown(path, Some(USER), Some(USER)).expect("chown");
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if !entry.path().is_symlink() && entry.file_name() != "io" {
            give(&entry.path());
        }
    }
}

pub fn by_user(bundle: &Bundle, verb: &str) -> Invocation {
    bundle.write();
    bundle.invocation(verb).under(AS_USER)
}

fn run(bundle: &Bundle) -> String {
    by_user(bundle, "run").output().ok().stdout
}

fn start(bundle: &Bundle) -> Container {
    by_user(bundle, "create").output().ok();
    let container = bundle.handle();
    does(&container, "start", &[]);
    container
}

pub fn does(container: &Container, verb: &str, args: &[&str]) -> String {
    let words = [&[verb, container.id()][..], args].concat();
    container.runtime(words).under(AS_USER).output().ok().stdout
}

/// As the user sees it: root refuses the state of another user.
fn state(container: &Container) -> Value {
    serde_json::from_str(&does(container, "state", &[])).expect("state prints JSON")
}

pub fn pid(container: &Container) -> i64 {
    state(container)["pid"].as_i64().expect("a pid")
}

#[test]
fn a_user_runs_a_container_and_is_root_in_it() {
    needs!(root);
    let bundle = bundle().sh("id -u; id -g; cat /proc/self/uid_map; hostname; echo $$; ls /dev/null /dev/pts/ptmx");
    let text = run(&bundle);
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "0", "54321", "1", "rruntime", "1", "/dev/null", "/dev/pts/ptmx"]);
    bundle.assert_nothing_left();
}

#[test]
fn a_user_leads_a_container_through_its_life() {
    needs!(root);
    let container = start(&bundle());
    assert_eq!(does(&container, "exec", &["id", "-u"]), "0\n");
    let pid = pid(&container);
    assert_eq!(read(format!("/proc/{pid}/uid_map")).split_whitespace().nth(1), Some("54321"));
    let listed = container.runtime(["list", "--quiet"]).under(AS_USER).output().ok().stdout;
    assert_eq!(listed.trim(), container.id());
    let shown = container.runtime(["ps", "--format", "json", container.id()]).under(AS_USER).output().ok().stdout;
    assert_eq!(shown.trim(), format!("[{pid}]"));
    does(&container, "kill", &["KILL"]);
    eventually("its end", || state(&container)["status"] == "stopped");
    does(&container, "delete", &[]);
}

#[test]
fn a_user_has_the_oom_score_and_the_limits_that_were_asked_for() {
    needs!(root);
    let bundle = bundle()
        .set("/process/oomScoreAdj", 321)
        .set("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 99}]));
    let container = start(&bundle);
    assert_eq!(read(format!("/proc/{}/oom_score_adj", pid(&container))), "321\n");
    assert_eq!(does(&container, "exec", &["sh", "-c", "cat /proc/self/oom_score_adj; ulimit -n"]), "321\n77\n");
    does(&container, "delete", &["--force"]);
}

#[test]
fn without_a_user_namespace_a_user_is_told_what_to_add() {
    needs!(root);
    let bundle = bundle().set("/linux/namespaces", json!([{"type": "pid"}, {"type": "mount"}]));
    let bundle = bundle.unset("/linux/uidMappings").unset("/linux/gidMappings").unset("/hostname");
    by_user(&bundle, "run").output().refused("rruntime spec --rootless");
    bundle.assert_nothing_left();
}

#[test]
fn what_does_not_exist_in_the_user_namespace_is_refused_by_name() {
    needs!(root);
    let cases = [
        ("/process/user/uid", json!(7), "process.user.uid: 7 does not exist in the user namespace"),
        ("/process/user/gid", json!(7), "process.user.gid: 7 does not exist"),
        ("/process/user/additionalGids", json!([0]), "process.user.additionalGids: a user who maps only the own group"),
        ("/mounts/1/options", json!(["gid=5"]), "mounts[1].options[0]: \"gid=5\": this id does not exist"),
    ];
    for (pointer, value, text) in cases {
        let bundle = bundle().set(pointer, value);
        by_user(&bundle, "run").output().refused(text);
        bundle.assert_nothing_left();
    }
}

#[test]
fn limits_without_a_delegated_cgroup_are_refused_with_the_remedy() {
    needs!(root);
    let bundle = bundle().set("/linux/resources", json!({"pids": {"limit": 20}}));
    by_user(&bundle, "run").output().refused("Delegate=yes");
    bundle.assert_nothing_left();
}

/// Shell text that puts the caller into a cgroup that is the user's, as a systemd session would.
pub fn delegate(bundle: &Bundle) -> String {
    let dir = format!("/sys/fs/cgroup/{}-delegated", bundle.id());
    for path in [dir.clone(), format!("{dir}/own")] {
        fs::create_dir(&path).expect("make a cgroup");
        for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"] {
            chown(Path::new(&path).join(file), Some(USER), Some(USER)).expect("delegate the cgroup");
        }
    }
    format!("echo $$ > {dir}/own/cgroup.procs")
}

pub fn undelegate(bundle: &Bundle) {
    for below in ["/own", ""] {
        let _ = fs::remove_dir(format!("/sys/fs/cgroup/{}-delegated{below}", bundle.id())); // v1 has none
    }
}

#[test]
fn in_a_delegated_cgroup_a_user_has_cgroups_too() {
    needs!(root);
    needs!(v2);
    let bundle = bundle();
    by_user(&bundle, "create").after_shell(&delegate(&bundle)).output().ok();
    let container = bundle.handle();
    does(&container, "start", &[]);
    let own = format!("/{0}-delegated/{0}", bundle.id());
    let cgroup = read(format!("/proc/{}/cgroup", pid(&container)));
    assert_eq!(cgroup.lines().find_map(|line| line.strip_prefix("0::")), Some(own.as_str()));
    does(&container, "pause", &[]);
    assert_eq!(state(&container)["status"], "paused");
    does(&container, "resume", &[]);
    does(&container, "delete", &["--force"]);
    assert!(!Path::new(&format!("/sys/fs/cgroup{own}")).exists());
    undelegate(&bundle);
}

/// Subordinate ids of the user's, in an /etc that only the command sees.
fn with_subordinate_ids(bundle: &Bundle, invocation: Invocation) -> Invocation {
    let etc = bundle.host_directory("etc");
    fs::set_permissions(&etc, fs::Permissions::from_mode(0o755)).unwrap();
    for (name, text) in [
        ("passwd", "root:x:0:0::/:/bin/sh\nsomebody:x:54321:54321::/:/bin/sh\n"),
        ("group", "root:x:0:\nsomebody:x:54321:\n"),
        ("subuid", "somebody:300000:1000\n"),
        ("subgid", "somebody:300000:1000\n"),
    ] {
        fs::write(etc.join(name), text).unwrap();
    }
    let script = format!("mount --make-rprivate / && mount --bind {} /etc && exec \"$@\"", etc.display());
    invocation.under(["unshare", "-m", "sh", "-c", &script, "sh"])
}

fn mapped(bundle: Bundle, first: u32) -> Bundle {
    let map = json!([
        {"containerID": 0, "hostID": USER, "size": 1},
        {"containerID": 1, "hostID": first, "size": 1000},
    ]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map)
}

#[test]
fn a_user_with_subordinate_ids_maps_them() {
    needs!(root);
    needs!(program "newuidmap");
    let bundle = mapped(bundle(), 300_000).set("/process/user", json!({"uid": 5, "gid": 6, "additionalGids": [7]}));
    let bundle = bundle.sh("id; cat /proc/self/uid_map | wc -l");
    let output = with_subordinate_ids(&bundle, by_user(&bundle, "run")).output().ok();
    assert_eq!(output.stdout, "uid=5 gid=6 groups=6,7\n2\n".replace("groups=6,7", "groups=7"));
    bundle.assert_nothing_left();
}

#[test]
fn ids_that_are_not_the_users_are_refused_by_the_helper() {
    needs!(root);
    needs!(program "newuidmap");
    let bundle = mapped(bundle(), 100);
    let output = with_subordinate_ids(&bundle, by_user(&bundle, "run")).output();
    output.refused("do /etc/subuid and /etc/subgid give this user the mapped ids?");
    bundle.assert_nothing_left();
}

#[test]
fn a_user_without_a_runtime_directory_is_told_what_to_set() {
    needs!(root);
    let bundle = bundle();
    bundle.write();
    let argv = [crate::harness::binary().display().to_string(), "run".into(), bundle.id().into()];
    let invocation = bundle.command(argv.iter().map(String::as_str)).under(AS_USER);
    invocation.cwd(bundle.dir()).env("XDG_RUNTIME_DIR", "").output().refused("XDG_RUNTIME_DIR");
}

/// So Podman's users call us.
#[test]
fn root_of_a_user_namespace_by_another_name_keeps_state_in_the_runtime_directory() {
    needs!(root);
    let bundle = bundle();
    bundle.write();
    let directory = bundle.host_directory("runtime");
    let argv = [crate::harness::binary().display().to_string(), "run".into(), bundle.id().into()];
    let invocation = bundle.command(argv.iter().map(String::as_str)).under(["unshare", "--user", "--map-root-user"]);
    // Whether it succeeds is a matter of cgroups.
    invocation.cwd(bundle.dir()).env("XDG_RUNTIME_DIR", directory.to_str().unwrap()).env("USER", "somebody").output();
    assert!(directory.join("rruntime").exists());
}

/// The caller's own user namespace is the container's then: what only the first one's root may do has another way.
#[test]
fn root_of_a_user_namespace_runs_a_container_without_another() {
    needs!(root);
    let bundle = bundle().without_namespace("user").unset("/linux/uidMappings").unset("/linux/gidMappings");
    let bundle = bundle.sh("id -u; cat /proc/self/uid_map; echo gone >/dev/null; stat -c %t:%T /dev/null /dev/zero");
    bundle.write();
    let inside = ["unshare", "--user", "--map-root-user"];
    let output = bundle.invocation("run").under(inside).under(AS_USER).output().ok();
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", &USER.to_string(), "1", "1:3", "1:5"], "{output:?}");
}

/// As Podman makes a user's unit that is a container: the cgroup is delegated, and device rules are the first namespace's.
#[test]
fn root_of_a_user_namespace_has_its_cgroup_and_no_device_rules() {
    needs!(root);
    let bundle = Bundle::busybox().without_namespace("cgroup").set("/linux/resources", json!({}));
    let bundle = bundle.push("/linux/resources/devices", json!({"allow": false, "access": "rwm"}));
    assert_eq!(bundle.config()["mounts"][2]["destination"], "/dev/pts");
    let bundle = bundle.set("/mounts/2/options", json!(["newinstance", "ptmxmode=0666"])); // gid 5 is nobody there
    let bundle = bundle.sh("cat /proc/self/cgroup; echo gone >/dev/null; mknod /tmp/node c 1 3 || echo no node");
    bundle.write();
    let output = bundle.invocation("run").under(["unshare", "--user", "--map-root-user"]).output().ok();
    assert!(output.stdout.contains(bundle.id()), "{output:?}");
    assert!(output.stdout.contains("no node"), "{output:?}");
}
