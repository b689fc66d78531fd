//! Against the kernel, as root: in cgroups of our own named `rruntime-test-…`, which are removed again. v1 and hybrid
//! as the machine has them; v2 in a private mount namespace of the test's thread, with cgroup2 on /sys/fs/cgroup.
//!
//! A test on a machine that lacks what it needs passes and says so.

mod devices;
mod join;
mod kill;
mod life;
mod limits;

use super::*;
use crate::plan::device_rules;
use crate::plan::host::Host;
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

/// A mount namespace for the calling thread alone, with another file system on /sys/fs/cgroup.
fn mounted(fs: &str) -> bool {
    let none = None::<&str>;
    let done = namespace::unshare(libc::CLONE_NEWNS).is_ok()
        && mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).is_ok()
        && mount(none, "/sys/fs/cgroup", Some(fs), MsFlags::empty(), none).is_ok();
    if !done {
        eprintln!("not tested: needs root that may mount {fs}");
    }
    done
}

/// Pure v2, for the calling thread alone.
fn v2() -> Option<Cgroups> {
    if !mounted("cgroup2") {
        return None;
    }
    let host = host::gather().unwrap();
    assert!(matches!(host, Cgroups::V2 { .. }), "{host:?}");
    Some(host)
}

fn planned(host: &Cgroups, path: &str, resources: &str) -> plan::Cgroup {
    let json = format!(r#"{{"cgroupsPath": {path:?}, "resources": {resources}}}"#);
    let linux = serde_json::from_str(&json).unwrap();
    let said = plan::Said { annotations: None, linux: &linux, id: "ctr" };
    plan::lower(said, &Host::for_tests_with(host), &mut Vec::new()).unwrap()
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
        cgroup.add_all(pid, &Interrupt::take().unwrap()).unwrap();
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
