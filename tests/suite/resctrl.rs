//! linux.intelRdt. No machine of ours has resctrl, so the kernel's mount table is a forged one that names a directory of the
//! test as resctrl; what the kernel would do in there is left out. The rest is tested in src/outside/resctrl.rs.

use crate::harness::{Bundle, Container, Invocation, Output, eventually, read};
use crate::needs;
use serde_json::{Value, json};
use std::path::PathBuf;

/// A directory that the runtime takes for a resctrl file system, with a group `there` in it.
fn forged(bundle: &Bundle) -> PathBuf {
    let top = bundle.home().join("resctrl");
    for dir in ["info", "mon_groups", "there/mon_groups"] {
        std::fs::create_dir_all(top.join(dir)).unwrap();
    }
    for (file, text) in [
        ("tasks", ""),
        ("schemata", "    L3:0=007ff\n"),
        ("there/tasks", ""),
        ("there/schemata", "    L3:0=0000f;1=000f0\n    MB:0= 20\n"),
    ] {
        std::fs::write(top.join(file), text).unwrap();
    }
    let table = format!("{}999 1 0:99 / {} rw - resctrl resctrl rw\n", read("/proc/self/mountinfo"), top.display());
    std::fs::write(bundle.home().join("mountinfo"), table).unwrap();
    top
}

/// Runs the invocation with the forged table: in a mount namespace of its own, over that of just this process.
fn fooled(bundle: &Bundle, invocation: Invocation) -> Invocation {
    let script = format!("mount --bind {}/mountinfo /proc/$$/mountinfo && exec \"$@\"", bundle.home().display());
    invocation.under(["unshare", "--mount", "sh", "-c", &script, "sh"])
}

fn with(group: Value) -> (Bundle, PathBuf) {
    let bundle = Bundle::busybox().set("/linux/intelRdt", group);
    let top = forged(&bundle);
    (bundle, top)
}

fn create(bundle: &Bundle) -> (Container, Output) {
    bundle.create_by(|it| fooled(bundle, it))
}

#[test]
fn without_resctrl_it_is_refused_with_what_to_do() {
    needs!(root);
    let bundle = Bundle::busybox().set("/linux/intelRdt", json!({"closID": "x"}));
    bundle.try_create().refused("linux.intelRdt: no resctrl file system is mounted on this host: mount it");
    bundle.assert_nothing_left();
}

#[test]
fn the_containers_processes_are_put_into_the_group() {
    needs!(root);
    let (bundle, top) = with(json!({"closID": "there"}));
    let (container, created) = create(&bundle);
    created.ok();
    assert_eq!(read(top.join("there/tasks")), container.pid().to_string());
    assert_eq!(read(top.join("there/schemata")).lines().count(), 2, "nothing is written that nobody asked for");
    let container = container.start();
    let file = container.home().join("pid");
    let name = file.to_str().unwrap().to_string();
    container.exec_with(["--pid-file", &name], ["true"]).ok();
    assert!(read(top.join("there/tasks")).starts_with(&read(&name)), "exec comes in too");
    container.delete_by_force().ok();
    assert!(top.join("there").exists(), "a named group is not the container's");
}

#[test]
fn the_default_class_is_the_top() {
    needs!(root);
    let (bundle, top) = with(json!({"closID": "/", "l3CacheSchema": "L3:0=7ff"}));
    let (container, created) = create(&bundle);
    created.ok();
    assert_eq!(read(top.join("tasks")), container.pid().to_string());
    assert!(read(top.join("schemata")).starts_with("L3:0=7ff\n"));
}

#[test]
fn the_schemata_of_a_group_that_is_there_must_agree() {
    needs!(root);
    let (bundle, _) = with(json!({"closID": "there", "schemata": ["L3:0=f;1=f0"], "memBwSchema": "MB:0=20"}));
    let (container, created) = create(&bundle);
    created.ok();
    container.delete_by_force().ok();
    let (bundle, top) = with(json!({"closID": "there", "l3CacheSchema": "L3:0=ff"}));
    create(&bundle)
        .1
        .refused("linux.intelRdt: closID: the group there is there already, and its schemata is not \"L3:0=ff\"");
    assert_eq!(read(top.join("there/tasks")), "");
    bundle.assert_nothing_left();
}

#[test]
fn a_group_that_is_not_there_must_be_described() {
    needs!(root);
    let (bundle, _) = with(json!({"closID": "elsewhere"}));
    create(&bundle).1.refused("linux.intelRdt: closID: there is no group \"elsewhere\"");
    bundle.assert_nothing_left();
}

/// The kernel would fill a new group with files; a plain directory stays empty, and so the creation fails just then.
#[test]
fn after_a_failure_no_group_is_left() {
    needs!(root);
    for group in [json!({}), json!({"schemata": ["L3:0=f"]}), json!({"closID": "new", "schemata": ["L3:0=f"]})] {
        let (bundle, top) = with(group);
        let output = create(&bundle).1;
        assert!(
            output.code == 1 && output.stderr.contains("resctrl") | output.stderr.contains("schemata"),
            "{output:?}"
        );
        let names: Vec<_> = std::fs::read_dir(&top).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 5, "{names:?}");
        bundle.assert_nothing_left();
    }
    let (bundle, top) = with(json!({"closID": "there", "enableMonitoring": true}));
    let output = create(&bundle).1;
    assert!(output.code == 1, "{output:?}");
    eventually("the monitoring group to go", || std::fs::read_dir(top.join("there/mon_groups")).unwrap().count() == 0);
}
