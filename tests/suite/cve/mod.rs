//! The known vulnerabilities of container runtimes since 2016, carried out. docs/security.md lists them, each with its test.
//!
//! Every test first proves that its attack bites: `weakly` does by strings, or without looking, what runtimes did when they
//! were vulnerable, with the same image and the same detector, and must be caught. Then the same attack meets the runtime.
//! The tests name no message of ours, so that `RRUNTIME=/usr/bin/crun cargo test --test suite cve` judges other runtimes:
//! an old one fails where it is vulnerable.
//!
//! Races go on for a few seconds. `RRUNTIME_TEST_ROUNDS=20` makes that twenty times as long, and as many rounds.

mod capabilities;
mod cgroups;
mod console;
mod cwd;
mod devices;
mod entering;
mod executable;
mod fail_open;
mod ids;
mod masks;
mod paths;
pub mod probe;
mod procfs;
mod protocol;
mod rootless;

use crate::harness::{Bundle, Canary, HostState, Output};
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How a runtime under strace gets slow where the races are: 0.2 ms before each of these calls.
const SLOW: [&str; 7] =
    ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=mount,move_mount,mkdirat,mknodat:delay_enter=200"];

/// The usual bundle: all namespaces, /proc, /dev, /sys, masks, few capabilities.
fn base() -> Bundle {
    Bundle::busybox().args(["echo", "fine"])
}

/// The same without any mount on /dev: what is made there is made in the image.
fn base_without_dev() -> Bundle {
    base().without_dev()
}

/// The weak stand-in for a runtime: shell commands on `$ROOT`, the root filesystem, in a mount namespace of their own.
fn weakly(bundle: &Bundle, script: &str) -> Output {
    let host = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script];
    bundle.command(host).env("ROOT", &bundle.rootfs().display().to_string()).output()
}

/// `path` as a relative one that climbs out of wherever it starts.
fn climbing(path: &Path) -> PathBuf {
    Path::new("../../../../../../../../../../..").join(path.strip_prefix("/").expect("an absolute path"))
}

/// The canary by its absolute path and by one that climbs.
fn ways_to(canary: &Path) -> [PathBuf; 2] {
    [canary.to_owned(), climbing(canary)]
}

/// Runs an attack once for each way to the canary, twice each: the second time the image is as the first run left it.
#[track_caller]
fn never_leads_out(attack: impl Fn(Bundle, &Path) -> Bundle) -> Vec<Output> {
    let mut outputs = Vec::new();
    for way in 0..2 {
        let bundle = base();
        let host = HostState::new();
        let canary: Canary = bundle.canary();
        let bundle = attack(bundle, &ways_to(canary.dir())[way]);
        for _ in 0..2 {
            outputs.push(bundle.run());
            canary.assert_unchanged();
        }
        host.assert_same();
        bundle.assert_nothing_left();
    }
    outputs
}

/// Where a copy in memory would be the only way to seal the runtime, and the kernel has none, nothing is entered: that is clear enough.
fn is_unsealed(output: &Output) -> bool {
    let without = std::env::var("RRUNTIME_TEST_WITHOUT").is_ok_and(|call| call.starts_with("memfd_create:"));
    without && output.code == 1 && output.stderr.starts_with("seal this executable")
}

/// Exchanges two names at once. renameat2(2); musl has no function for it.
#[allow(unsafe_code)]
fn exchange_names(one: &Path, other: &Path) {
    let [one, other] = [one, other].map(|path| CString::new(path.as_os_str().as_bytes()).unwrap());
    let (here, how) = (libc::AT_FDCWD, libc::RENAME_EXCHANGE);
    // SAFETY: both names are live C strings.
    let done = unsafe { libc::syscall(libc::SYS_renameat2, here, one.as_ptr(), here, other.as_ptr(), how) };
    assert_eq!(done, 0, "exchange two names: {}", std::io::Error::last_os_error());
}

/// Exchanges two names as fast as it can, until dropped: another container that shares the volume.
struct Swap {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Swap {
    fn of(one: PathBuf, other: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let exchange = move || {
            while !seen.load(Ordering::Relaxed) {
                exchange_names(&one, &other);
            }
        };
        Self { stop, thread: Some(std::thread::spawn(exchange)) }
    }
}

impl Drop for Swap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().expect("a thread").join();
    }
}

/// A volume with a directory `a` and a link `b`, which change places while the guard lives.
fn volume_that_swaps(bundle: &Bundle, target: &Path) -> (PathBuf, Swap) {
    let volume = bundle.host_directory("volume");
    let (a, b) = (volume.join("a"), volume.join("b"));
    if !a.exists() {
        std::fs::create_dir(&a).expect("make a directory");
        symlink(target, &b).expect("make a link");
    }
    (volume, Swap::of(a, b))
}

/// At most `count` numbers, for at most six seconds; both times RRUNTIME_TEST_ROUNDS.
fn rounds(count: u32) -> impl Iterator<Item = u32> {
    rounds_within(Duration::from_secs(6), count)
}

fn rounds_within(time: Duration, count: u32) -> impl Iterator<Item = u32> {
    let factor = std::env::var("RRUNTIME_TEST_ROUNDS").ok().and_then(|it| it.parse().ok()).unwrap_or(1);
    let end = Instant::now() + time * factor;
    (0..count * factor).take_while(move |_| Instant::now() < end)
}

/// Repeats a weak stand-in until it is caught, for at most 20 seconds.
#[track_caller]
fn bites(what: &str, mut caught: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !caught() {
        assert!(Instant::now() < end, "the attack does not bite, so its test proves nothing: {what}");
    }
}
