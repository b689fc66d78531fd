//! A container that keeps `delete` from its end must not have the poststop hooks run again and again.

use crate::harness::{Bundle, host, read};
use crate::needs;
use std::fs;
use std::process::{Child, Command};

/// A process of the host, ended with the guard.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn poststop_hooks_run_once_however_often_delete_is_tried() {
    needs!(root);
    needs!(controller "freezer");
    let bundle = Bundle::busybox();
    let ran = bundle.home().join("ran");
    let container = bundle.hook("poststop", &format!("echo ran >> {}", ran.display())).args(["true"]).start();
    container.reaches("stopped");
    // A process that is not the container's keeps its cgroup.
    let sleeper = Sleeper(Command::new("sleep").arg("60").spawn().unwrap());
    for dir in host::cgroups(container.id()) {
        let _ = fs::write(dir.join("cgroup.procs"), sleeper.0.id().to_string()); // a cpuset may take none
    }
    for _ in 0..2 {
        container.delete().refused("it still has 1 process(es)");
        assert_eq!(read(&ran), "ran\n");
    }
    drop(sleeper);
    container.delete().ok();
    assert_eq!(read(&ran), "ran\n");
}
