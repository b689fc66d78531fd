//! What every test stands on: a bundle to describe, a container to talk to, and a machine that must look the same afterwards.
//!
//! `RRUNTIME` names another binary to test (runc, say); `RRUNTIME_TEST_LAYOUT=v2` says that the suite was started in a
//! private mount namespace with cgroup2 on /sys/fs/cgroup; `RRUNTIME_TEST_WITHOUT=statx:ENOSYS` takes a system call away from it; `CI=true` turns a skip that this machine need not have into a failure.

mod bundle;
mod canary;
mod command;
mod container;
mod home;
pub mod host;
mod host_state;
mod image;
mod needs;
mod older_kernel;
pub mod systemd;
pub mod terminal;
pub mod trace;

pub use bundle::{Bundle, MAPPED};
pub use canary::Canary;
pub use command::{Invocation, Output, Process};
pub use container::Container;
pub use host_state::{HostState, identity};
pub use needs::{Need, met};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// No command of the suite may take longer; whoever does is killed by its pid.
pub const LIMIT: Duration = Duration::from_secs(60);

/// The binary under test.
pub fn binary() -> PathBuf {
    std::env::var_os("RRUNTIME").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_rruntime")), PathBuf::from)
}

/// A wrapper under which the kernel has no mount_setattr, as before Linux 5.12.
pub const WITHOUT_MOUNT_SETATTR: [&str; 7] =
    ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "inject=mount_setattr:error=ENOSYS"];

/// The name the binary calls itself by in its messages.
pub fn me() -> String {
    binary().file_name().expect("a program has a name").to_string_lossy().into_owned()
}

/// Polls until `condition` holds, for at most `bound`.
pub fn within(bound: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + bound;
    let mut pause = Duration::from_micros(500);
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Polls until `condition` holds; a test that waits in vain fails with `what`.
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    assert!(within(Duration::from_secs(15), condition), "waited in vain: {what}");
}

/// The text of a file, or nothing when it is gone.
pub fn read(path: impl AsRef<Path>) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// How many times as long as in CI a test tries what it could go on trying (`RRUNTIME_TEST_ROUNDS`).
pub fn effort() -> usize {
    std::env::var("RRUNTIME_TEST_ROUNDS").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}
