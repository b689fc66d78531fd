//! A container may divide its cgroup: who is given it, where its processes live then, and how exec finds them.

use crate::harness::{Bundle, Container, eventually, read};
use crate::needs;
use serde_json::json;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// With a cgroup namespace, and its cgroup mounted.
fn bundle(options: &[&str]) -> Bundle {
    Bundle::busybox().mount("/sys/fs/cgroup", "cgroup", "cgroup", options)
}

fn directory(container: &Container) -> PathBuf {
    Path::new("/sys/fs/cgroup").join(container.id())
}

/// The names in a directory that belong to this user; "." for itself.
fn owned_by(dir: &Path, uid: u32) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .flatten()
        .filter(|entry| entry.metadata().is_ok_and(|it| it.uid() == uid))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.extend((fs::metadata(dir).unwrap().uid() == uid).then(|| ".".to_owned()));
    names.sort();
    names
}

/// What the kernel lets an owner have, as far as it is there.
fn delegable(dir: &Path) -> Vec<String> {
    let list = read("/sys/kernel/cgroup/delegate");
    let mut names: Vec<String> = list.lines().filter(|name| dir.join(name).exists()).map(str::to_owned).collect();
    names.push(".".to_owned());
    names.sort();
    names
}

fn host_uid(bundle: &Bundle) -> u32 {
    u32::try_from(bundle.config()["linux"]["uidMappings"][0]["hostID"].as_u64().unwrap()).unwrap()
}

/// v2: where init is, as the host sees it.
fn place_of(pid: i32) -> String {
    let text = read(format!("/proc/{pid}/cgroup"));
    text.lines().find_map(|line| line.strip_prefix("0::")).expect("a place").to_owned()
}

const DIVIDE: &str = "mkdir /sys/fs/cgroup/sub && echo $$ > /sys/fs/cgroup/sub/cgroup.procs && grep ^0:: /proc/self/cgroup; \
                      echo 3 > /sys/fs/cgroup/cgroup.max.depth || echo refused; sleep 600";

#[test]
fn root_of_a_user_namespace_may_divide_its_cgroup_and_change_no_limit() {
    needs!(root);
    needs!(v2);
    let bundle = bundle(&["nosuid"]).user_namespace().sh(DIVIDE);
    let container = bundle.start();
    container.has_said("refused");
    assert!(container.output().contains("0::/sub\n"), "{}", container.output());
    let dir = directory(&container);
    assert_eq!(place_of(container.pid()), format!("/{}/sub", container.id()));
    let mut expected = delegable(&dir);
    expected.push("sub".to_owned());
    expected.sort();
    assert_eq!(owned_by(&dir, host_uid(&bundle)), expected);
    assert_eq!(container.exec(["grep", "^0::", "/proc/self/cgroup"]).ok().stdout, "0::/\n");
    container.end();
    bundle.assert_nothing_left();
}

#[test]
fn the_cgroup_belongs_to_the_user_of_the_process() {
    needs!(root);
    needs!(v2);
    let script = "mkdir /sys/fs/cgroup/sub && echo $$ > /sys/fs/cgroup/sub/cgroup.procs && grep ^0:: /proc/self/cgroup";
    assert_eq!(bundle(&[]).user(1234, 1234).sh(script).run().ok().stdout, "0::/sub\n");
    let container = bundle(&[]).user_namespace().user(7, 7).create();
    let owner = fs::metadata(directory(&container)).unwrap().uid();
    assert_eq!(owner % 1000, 7, "{owner}");
}

#[test]
fn a_cgroup_that_cannot_be_written_or_is_not_seen_alone_is_not_handed_over() {
    needs!(root);
    needs!(v2);
    let read_only = bundle(&["ro"]);
    let unmounted = Bundle::busybox();
    let shared = bundle(&["rw"]).without_namespace("cgroup");
    for bundle in [read_only, unmounted, shared] {
        let bundle = bundle.user_namespace();
        let container = bundle.create();
        assert_eq!(owned_by(&directory(&container), 0).first().map(String::as_str), Some("."));
        assert_eq!(owned_by(&directory(&container), host_uid(&bundle)), [""; 0]);
    }
}

#[test]
fn the_processes_live_in_the_cgroup_that_the_annotation_names() {
    needs!(root);
    needs!(v2);
    let bundle = bundle(&["rw"])
        .user_namespace()
        .set("/annotations/run.oci.delegate-cgroup", "payload")
        .set("/linux/resources/unified", json!({"cgroup.max.descendants": "17"}));
    let container = bundle.start();
    let dir = directory(&container);
    assert_eq!(place_of(container.pid()), format!("/{}/payload", container.id()));
    assert_eq!(read(dir.join("cgroup.max.descendants")), "17\n");
    assert_eq!(read(dir.join("payload/cgroup.max.descendants")), "max\n", "the limits are above");
    assert_eq!(owned_by(&dir, 0).first().map(String::as_str), Some("."), "and out of its reach");
    assert_eq!(owned_by(&dir.join("payload"), host_uid(&bundle)), delegable(&dir.join("payload")));
    let seen = container.exec([
        "sh",
        "-c",
        "grep ^0:: /proc/self/cgroup && mkdir /sys/fs/cgroup/payload/x; mkdir /sys/fs/cgroup/x",
    ]);
    assert_eq!((seen.stdout.as_str(), seen.code), ("0::/payload\n", 1), "{seen:?}");
    container.does("pause", []).ok();
    assert_eq!(container.status(), "paused");
    container.does("resume", []).ok();
    assert_eq!(container.does("ps", []).ok().stdout.lines().count(), 2);
    container.end();
    bundle.assert_nothing_left();
}

#[test]
fn explain_says_who_is_given_which_cgroup() {
    needs!(root);
    needs!(v2);
    let told = |bundle: Bundle| {
        let words = ["explain", "--bundle", bundle.write().dir().to_str().unwrap()].map(str::to_owned);
        bundle.runtime(words.iter().map(String::as_str)).output().ok().stdout
    };
    let owned = told(bundle(&["rw"]).user(1234, 1234));
    assert!(owned.contains("belongs to user 1234 of the host, who may divide it"), "{owned}");
    let below = told(Bundle::busybox().set("/annotations/run.oci.delegate-cgroup", "payload"));
    assert!(below.contains("in payload below it\n"), "{below}");
}

#[test]
fn controllers_are_passed_on_to_the_cgroup_of_the_annotation() {
    needs!(root);
    needs!(v2);
    needs!(controller "hugetlb");
    let bundle = bundle(&["rw"])
        .set("/annotations/run.oci.delegate-cgroup", "a/b")
        .set("/linux/resources/hugepageLimits", json!([{"pageSize": "2MB", "limit": 4_194_304}]))
        .sh("grep -c hugetlb /sys/fs/cgroup/a/b/cgroup.controllers; sleep 600");
    let container = bundle.start();
    container.has_said("1\n");
    assert_eq!(container.exec(["grep", "^0::", "/proc/self/cgroup"]).ok().stdout, "0::/a/b\n");
    container.end();
}

#[test]
fn without_v2_the_annotation_is_refused() {
    needs!(root);
    needs!(v1);
    let bundle = Bundle::busybox().set("/annotations/run.oci.delegate-cgroup", "payload");
    bundle.try_create().refused("annotations: run.oci.delegate-cgroup: needs cgroup v2");
    bundle.assert_nothing_left();
}

#[test]
fn what_was_made_for_the_annotation_goes_when_create_fails() {
    needs!(root);
    needs!(v2);
    let bundle = Bundle::busybox().set("/annotations/run.oci.delegate-cgroup", "a/b").args(["/no/such/program"]);
    bundle.try_create().refused("/no/such/program");
    bundle.assert_nothing_left();
    // Also when somebody lives there already.
    let late = Bundle::busybox()
        .set("/annotations/run.oci.delegate-cgroup", "a/b")
        .option("--pid-file=/no/such/directory/pid");
    late.try_create().refused("/no/such/directory");
    late.assert_nothing_left();
}

#[test]
fn exec_follows_init_where_the_cgroup_was_divided() {
    needs!(root);
    needs!(v2);
    needs!(controller "hugetlb");
    let divide = "mkdir /sys/fs/cgroup/sub && echo $$ > /sys/fs/cgroup/sub/cgroup.procs && \
                  echo +hugetlb > /sys/fs/cgroup/cgroup.subtree_control && echo divided; sleep 600";
    let hugetlb = json!([{"pageSize": "2MB", "limit": 4_194_304}]);
    let bundle = || bundle(&["rw"]).set("/linux/resources/hugepageLimits", hugetlb.clone()).sh(divide);
    for bundle in [bundle(), bundle().user_namespace()] {
        let container = bundle.start();
        container.has_said("divided");
        assert_eq!(container.exec(["grep", "^0::", "/proc/self/cgroup"]).ok().stdout, "0::/sub\n");
        container.exec_with(["--cgroup", "/"], ["true"]).failed(255, "the cgroup does not take processes");
        // Its limits are those of its cgroup: out of that nobody is followed.
        let pid = container.pid().to_string();
        fs::write("/sys/fs/cgroup/cgroup.procs", pid).unwrap();
        container.exec(["true"]).failed(255, "init has left it for /");
        fs::write(directory(&container).join("sub/cgroup.procs"), container.pid().to_string()).unwrap();
        eventually("it is back", || container.exec(["true"]).code == 0);
        container.end();
    }
}
