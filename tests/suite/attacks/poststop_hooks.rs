//! A container that keeps `delete` from its end must not have the poststop hooks run again and again.

use crate::harness::{Bundle, host, read};
use crate::needs;
use std::fs;

#[test]
fn poststop_hooks_run_once_however_often_delete_is_tried() {
    needs!(root);
    needs!(controller "freezer");
    let bundle = Bundle::busybox();
    let ran = bundle.home().join("ran");
    let container = bundle.hook("poststop", &format!("echo ran >> {}", ran.display())).args(["true"]).start();
    container.reaches("stopped");
    // A process that is not the container's keeps its cgroup.
    let sleeper = host::Sleeper::new();
    for dir in host::cgroups(container.id()) {
        let _ = fs::write(dir.join("cgroup.procs"), sleeper.pid().to_string()); // a cpuset may take none
    }
    for _ in 0..2 {
        container.delete().refused("it still has 1 process(es)");
        assert_eq!(read(&ran), "ran\n");
    }
    drop(sleeper);
    container.delete().ok();
    assert_eq!(read(&ran), "ran\n");
}
