//! The verbs, one file each. The only layer that knows both sides of the wall: it hands the child's entry point to the
//! parent's launch, and decides in which order a verb's steps are done and undone.

pub mod check;
pub mod create;
pub mod delete;
pub mod events;
pub mod exec;
pub mod explain;
pub mod features;
pub mod kill;
pub mod list;
pub mod pause;
pub mod ps;
pub mod run;
pub mod spec;
pub mod start;
pub mod state;
pub mod update;

use crate::error::{Context, Result, bail, ensure};
use crate::log;
use crate::outside::Inside;
use crate::plan::TerminalUse;
use crate::plan::process::Activation;
use crate::sys::file::{self, CWD};
use crate::sys::{process, socket, tty};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Options that every verb has.
pub struct Global {
    /// The directory of all state directories, absolute.
    pub root: PathBuf,
}

/// The child's side, for `launch`.
fn inside() -> Inside {
    Inside { enter: crate::inside::enter, stage: crate::inside::stage }
}

/// Where the pid, a pidfd and the terminal of a new process are announced.
#[derive(Default, Clone)]
pub struct Announce {
    pub pid_file: Option<PathBuf>,
    pub console_socket: Option<PathBuf>,
    pub pidfd_socket: Option<PathBuf>,
}

impl Announce {
    /// Where the master of a terminal could go.
    fn terminal_use(&self, stay: create::Stay) -> TerminalUse {
        match (&self.console_socket, stay) {
            (Some(_), _) => TerminalUse::Socket,
            (None, create::Stay::Leave) => TerminalUse::NoHolder,
            (None, create::Stay::Foreground) if process::STREAMS.iter().any(tty::is_terminal) => {
                TerminalUse::Foreground
            }
            (None, create::Stay::Foreground) => TerminalUse::Missing,
        }
    }

    /// Decimal, without a newline, never seen half-written. Engines parse it strictly.
    fn write_pid(&self, pid: i32) -> Result<()> {
        let Some(path) = &self.pid_file else {
            return Ok(());
        };
        let named = || format!("write pid file {}", path.display());
        let (Some(name), parent) = (path.file_name(), path.parent()) else {
            bail!("pid file {} has no name", path.display())
        };
        let parent = parent.filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let dir = file::open(CWD, parent, libc::O_RDONLY | libc::O_DIRECTORY, 0).with_context(named)?;
        crate::fs::replace(dir.as_fd(), &name.to_string_lossy(), pid.to_string().as_bytes(), 0o644).with_context(named)
    }

    /// A pid file that promises a process which does not run is worse than none.
    fn remove_pid(&self) {
        if let Some(path) = &self.pid_file {
            let _ = file::unlink(CWD, path); // it may never have been written
        }
    }

    /// A pidfd of the new process, to whoever listens there; the message says what it is of.
    fn send_pidfd(&self, pidfd: &OwnedFd, what: &str) -> Result<()> {
        let Some(path) = &self.pidfd_socket else {
            return Ok(());
        };
        let send = || socket::send(socket::connect_to(path)?, what.as_bytes(), Some(pidfd.as_fd()));
        send().with_context(|| format!("send the pidfd to {}: somebody must be listening there", path.display()))
    }
}

/// What is no error of ours, but nobody else can tell: to the log, and to stderr as well where that is a file.
fn say(text: &str) {
    log::warning(text);
    if log::has_file() {
        let _ = file::write_all(process::STREAMS[2], format!("{}\n", log::visible(text)).as_bytes()); // see log
    }
}

/// As many descriptors the runtime has open at once, with a margin: a directory for each hierarchy of cgroup v1, the state, the
/// link, what is undone after a failure.
const DESCRIPTORS: u64 = 48;

/// The descriptors that the payload is to keep must have been there before we opened anything of ours (`inherited`, from 3
/// on); all others of our caller's stay outside (CVE-2024-21626).
fn keep_only(preserve_fds: u32, listen_fds: u32, inherited: u32) -> Result<()> {
    let kept = preserve_fds.saturating_add(listen_fds);
    ensure!(
        kept <= inherited,
        "unable to stat preserved-fd {inherited} (of {kept}): descriptor {} is not open",
        u64::from(inherited) + 3
    );
    let (limit, needed) = (process::rlimit(process::OPEN_FILES)?.0, DESCRIPTORS + u64::from(kept));
    ensure!(
        limit >= needed,
        "this process may have {limit} open files, and needs up to {needed}: raise the limit (ulimit -n, or LimitNOFILE= of a unit)"
    );
    process::close_range(3 + kept, u32::MAX, process::Range::CloseOnExec).context("mark inherited descriptors")
}

/// What the service manager passes to this very process. sd_listen_fds(3).
fn activation() -> Activation {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid == std::process::id() => {
            Activation { count, names: std::env::var("LISTEN_FDNAMES").ok() }
        }
        _ => Activation::default(),
    }
}
