//! Cgroups that others use, that do not freeze or thaw, that fill faster than they are emptied.

use super::with_faults;
use crate::harness::host::{self, Layout};
use crate::harness::{Bundle, Container, eventually, read};
use crate::needs;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn directories(container: &Container) -> Vec<PathBuf> {
    host::cgroups(container.id())
}

/// Delete takes away what is the container's: it does not kill who was put into its cgroup by somebody else, unless by force.
#[test]
fn a_stranger_in_the_cgroup() {
    needs!(root);
    let container = Bundle::busybox().start();
    let mut stranger = container.command(["sleep", "600"]).spawn();
    for dir in directories(&container) {
        fs::write(dir.join("cgroup.procs"), stranger.pid().to_string()).unwrap();
    }
    container.kill("KILL").ok();
    container.reaches("stopped");
    let deleted = container.delete();
    assert!(deleted.code == 1 && !stranger.is_over(), "{deleted:?}");
    assert!(deleted.stderr.contains(&stranger.pid().to_string()), "{}", deleted.stderr);
    assert_eq!(container.status(), "stopped", "it can be tried again");
    container.end();
    assert!(stranger.is_over());
}

#[test]
fn a_container_that_cannot_be_paused_goes_on() {
    needs!(root);
    needs!(program "strace");
    let container = Bundle::busybox().sh("while :; do echo tick; sleep 0.05; done").start();
    let file = if host::layout() == Layout::V1 { "freezer.state" } else { "cgroup.freeze" };
    let frozen = directories(&container).into_iter().map(|dir| dir.join(file)).find(|file| file.exists()).unwrap();
    for error in ["EIO", "EPERM", "EBUSY"] {
        let fault = format!("write:error={error}");
        let output = with_faults(container.runtime(["pause", container.id()]), &[&fault]).output();
        assert!(output.code != 0, "{error}: {output:?}");
        assert!(["THAWED\n", "0\n"].contains(&read(&frozen).as_str()), "{error}: it is frozen");
        let before = container.output().len();
        eventually("the container to go on", || container.output().len() > before);
    }
    container.end();
}

/// Whatever kills it by force has to be faster than it forks.
#[test]
fn a_fork_bomb_in_a_shared_pid_namespace_is_deleted() {
    needs!(root);
    needs!(controller "pids");
    let script = "while :; do sleep 5 & done";
    let bundle = Bundle::busybox().without_namespace("pid").limit_pids(150).sh(script);
    let container = bundle.start();
    eventually("many processes", || host::processes(bundle.home(), bundle.id()).len() > 100);
    let began = Instant::now();
    container.delete_by_force().ok();
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    bundle.assert_nothing_left();
}

/// A process that waits for an answer of a file system that never comes does not die. Delete says so in time, and a later one
/// finishes when it has.
#[test]
fn a_process_that_cannot_die_is_named_and_deleted_later() {
    needs!(root);
    needs!(file "/dev/fuse");
    let bundle = Bundle::busybox();
    let silent = Silent::mount(&bundle.host_directory("silent"));
    let bundle = bundle.bind(&silent.0, "/mnt", &[]).sh("echo up; exec cat /mnt/x");
    let container = bundle.start();
    container.has_said("up");
    let pid = container.pid();
    eventually("a process that waits for the file system", || silent.was_asked());
    let began = Instant::now();
    let deleted = container.delete_by_force();
    assert!(deleted.code == 1 && deleted.stderr.contains(&pid.to_string()), "{deleted:?}");
    assert!(began.elapsed() < Duration::from_secs(30), "it took {:?}", began.elapsed());
    drop(silent); // whoever waits is told that there is nothing
    eventually("its end", || !host::is_alive(pid));
    container.delete_by_force().ok();
    bundle.assert_nothing_left();
}

/// A FUSE file system that is mounted properly and then answers nothing. fuse(4), linux/fuse.h
struct Silent(PathBuf, Option<fs::File>, std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Silent {
    fn mount(at: &std::path::Path) -> Self {
        use std::io::{Read, Write};
        use std::os::fd::AsRawFd;
        let device = fs::File::options().read(true).write(true).open("/dev/fuse").unwrap();
        let options = format!("fd={},rootmode=40755,user_id=0,group_id=0", device.as_raw_fd());
        nix::mount::mount(Some("silent"), at, Some("fuse"), nix::mount::MsFlags::empty(), Some(options.as_str()))
            .unwrap();
        let mut ours = device.try_clone().unwrap();
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let heard = asked.clone();
        std::thread::spawn(move || {
            let mut request = vec![0u8; 1 << 17];
            while ours.read(&mut request).is_ok() {
                let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().unwrap());
                let mut answer = match word(4) {
                    1 => {
                        heard.store(true, std::sync::atomic::Ordering::Relaxed); // FUSE_LOOKUP: never answered
                        continue;
                    }
                    2 | 36 => continue, // FUSE_FORGET and FUSE_INTERRUPT want no answer
                    3 => [vec![0u8; 16 + 16 + 60], 0o40755u32.to_ne_bytes().to_vec(), vec![0u8; 24]].concat(), // FUSE_GETATTR
                    26 => [vec![0u8; 16], 7u32.to_ne_bytes().to_vec(), 31u32.to_ne_bytes().to_vec(), vec![0u8; 56]]
                        .concat(), // FUSE_INIT
                    _ => [0u32.to_ne_bytes(), (-libc::ENOSYS).to_ne_bytes(), [0; 4], [0; 4]].concat(),
                };
                let length = u32::try_from(answer.len()).unwrap();
                answer[0..4].copy_from_slice(&length.to_ne_bytes());
                answer[8..16].copy_from_slice(&request[8..16]); // the request's number
                let _ = ours.write_all(&answer); // who asked may be gone
            }
        });
        Silent(at.to_owned(), Some(device), asked)
    }

    fn was_asked(&self) -> bool {
        self.2.load(std::sync::atomic::Ordering::Relaxed)
    }
}

impl Drop for Silent {
    /// By force the connection is cut, which answers everybody.
    fn drop(&mut self) {
        nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_FORCE | nix::mount::MntFlags::MNT_DETACH).ok();
        self.1.take();
    }
}

/// Nobody stays frozen, also where the end of init ends nobody else.
#[test]
fn a_paused_container_without_a_pid_namespace_is_deleted() {
    needs!(root);
    let container = Bundle::busybox().without_namespace("pid").sh("sleep 600 & exec sleep 600").start();
    container.does("pause", []).ok();
    let stays = container.pid();
    assert_eq!(container.kill("TERM").code, 0, "it is pending");
    // v2 lets signals that kill through.
    assert!(host::is_alive(stays) || host::layout() == Layout::V2);
    container.end();
    assert!(!host::is_alive(stays));
}
