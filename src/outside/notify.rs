//! Between a payload and the service manager of whoever called us: sd_notify(3).
//!
//! Runs in `start` and `run`. The payload writes to a socket in its container's state directory, of which it sees nothing
//! else (`plan::notify`); what it says about itself is handed on, and that it is ready together with the pid that the service
//! manager is to watch. Whatever else it says stays here: it could speak for others, or keep descriptors there.

use super::record::StateDir;
use crate::error::{Context, Result, ensure};
use crate::log;
use crate::plan::notify::{DIRECTORY, SOCKET};
use crate::sys::process::{self, Events, Watch};
use crate::sys::{Errno, Error, file, socket};
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// More than that nobody says at once.
const LONGEST: usize = 4096;
/// How long the service manager may take to note what it was told.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a payload may say about itself.
const WORDS: [&str; 8] =
    ["READY", "RELOADING", "STOPPING", "STATUS", "ERRNO", "WATCHDOG", "EXTEND_TIMEOUT_USEC", "MONOTONIC_USEC"];

pub struct Proxy {
    /// Where the payload writes to.
    socket: OwnedFd,
    /// The caller's NOTIFY_SOCKET.
    manager: OsString,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    Ready,
    /// Or nothing that concerns anybody.
    Else,
}

/// For `create`. The payload may be anybody in the container.
pub fn make_directory(state: &StateDir) -> Result<()> {
    with_all_permissions(|| file::mkdir(state.dir.as_fd(), DIRECTORY, 0o755))
        .context("make the directory for NOTIFY_SOCKET")
}

/// A chmod(2) afterwards would follow whatever an `exec` into the created container may have put there.
fn with_all_permissions<T>(make: impl FnOnce() -> T) -> T {
    let before = process::set_umask(0);
    let made = make();
    process::set_umask(before);
    made
}

/// Before the program runs. None if nobody waits, or none of it was prepared when the container was created.
pub fn listen(state: &StateDir, manager: Option<OsString>) -> Result<Option<Proxy>> {
    let Some(manager) = manager else { return Ok(None) };
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let directory = match file::open(state.dir.as_fd(), DIRECTORY, flags, 0) {
        Err(Error(Errno::ENOENT)) => return Ok(None),
        other => other.context("open the directory for NOTIFY_SOCKET")?,
    };
    let _ = file::unlink(directory.as_fd(), SOCKET); // of a `start` that was killed
    let socket = with_all_permissions(|| socket::hear_in(directory.as_fd(), SOCKET));
    let socket = socket.context("make the container's NOTIFY_SOCKET")?;
    Ok(Some(Proxy { socket, manager }))
}

impl Proxy {
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Hands one message on. When the payload is ready, the service manager is told that `main` is its process.
    pub fn hand_on(&self, main: i32) -> Said {
        let mut buffer = [0u8; LONGEST];
        let message = match socket::receive(&self.socket, &mut buffer) {
            Ok((length, _)) => String::from_utf8_lossy(&buffer[..length]).into_owned(),
            Err(error) => {
                log::debug(format!("a message to NOTIFY_SOCKET was dropped: {error}"));
                return Said::Else;
            }
        };
        let Some((said, text)) = worth(&message, main) else { return Said::Else };
        if let Err(error) = self.tell(text.as_bytes(), None) {
            log::warning(format!("{error:#}"));
        }
        said
    }

    /// Returns when the payload is ready and the service manager knows, or when `init` has ended. The service manager asks
    /// who a sender is: so we stay until it has read everything ("BARRIER=1", sd_notify_barrier(3)).
    pub fn until_ready(&self, init: BorrowedFd, main: i32) -> Result<()> {
        loop {
            let mut watches = [self.as_fd(), init].map(|file| Watch { file, events: Events::READ });
            crate::sys::retry(|| process::watch(&mut watches)).context("wait for the container to be ready")?;
            if watches[0].events == Events::NONE {
                return Ok(()); // it has ended, and said all it had to say
            }
            if self.hand_on(main) == Said::Ready {
                break;
            }
        }
        let (until, barrier) = std::io::pipe().context("wait for the service manager")?;
        self.tell(b"BARRIER=1", Some(barrier.as_fd()))?;
        drop(barrier);
        let mut watches = [Watch { file: until.as_fd(), events: Events::READ }];
        process::watch_for(&mut watches, PATIENCE).context("wait for the service manager")?;
        if watches[0].events == Events::NONE {
            log::warning(format!(
                "the service manager has not taken note of the container in {} s",
                PATIENCE.as_secs()
            ));
        }
        Ok(())
    }

    fn tell(&self, text: &[u8], file: Option<BorrowedFd>) -> Result<()> {
        let named =
            || format!("tell NOTIFY_SOCKET {:?}, which was given by the caller", self.manager.display().to_string());
        let manager = self.manager.as_bytes();
        let end = match manager.split_first() {
            Some((b'@', name)) => socket::speak_to_abstract(name),
            _ => socket::speak_to(Path::new(OsStr::from_bytes(manager))),
        };
        socket::send(end.with_context(named)?, text, file).with_context(named)
    }
}

/// The caller's service manager: an absolute path, or `@` and the name of an abstract socket. A set but empty variable is none.
pub fn manager() -> Result<Option<OsString>> {
    let Some(manager) = std::env::var_os("NOTIFY_SOCKET").filter(|manager| !manager.is_empty()) else {
        return Ok(None);
    };
    ensure!(
        matches!(manager.as_bytes(), [b'/' | b'@', _, ..]),
        "NOTIFY_SOCKET: {:?} is neither an absolute path nor \"@\" and a name; unset it, or name a Unix socket",
        manager.display().to_string()
    );
    Ok(Some(manager))
}

/// What of a message is handed on, if anything is.
fn worth(message: &str, main: i32) -> Option<(Said, String)> {
    let lines = message.lines().filter(|line| line.split_once('=').is_some_and(|(word, _)| WORDS.contains(&word)));
    let mut text: String = lines.flat_map(|line| [line, "\n"]).collect();
    if !text.lines().any(|line| line == "READY=1") {
        return (!text.is_empty()).then_some((Said::Else, text));
    }
    text.push_str(&format!("MAINPID={main}\n"));
    Some((Said::Ready, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_speaks_for_itself_only() {
        let all = "MAINPID=1\nREADY=1\nFDSTORE=1\nSTATUS=up\nBARRIER=1\nFDNAME=x\nnonsense\n";
        assert_eq!(worth(all, 7), Some((Said::Ready, "READY=1\nSTATUS=up\nMAINPID=7\n".to_owned())));
        assert_eq!(worth("STATUS=half way", 7), Some((Said::Else, "STATUS=half way\n".to_owned())));
        assert_eq!(worth("BARRIER=1", 7), None);
        assert_eq!(worth("", 7), None);
        assert_eq!(worth("READY=0", 7), Some((Said::Else, "READY=0\n".to_owned())));
    }
}
