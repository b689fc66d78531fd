//! Between a payload and the service manager of the runtime's caller: sd_notify(3).
//!
//! Runs in `start` and `run`. The payload writes to a socket of its container's state (`plan::notify`); what it says about
//! itself is handed on, and that it is ready together with the pid that the service manager is to watch. Whatever else it
//! says stays here: it could speak for others, or keep descriptors there.
//!
//! The payload may send descriptors along. None is received, but the kernel drops them in the process that reads, or that
//! closes the socket with messages in it, and the last reference to a file may wait for a file system of the payload's
//! own (FUSE). So a process apart reads the socket, and the bytes alone arrive here: if it hangs, nothing waits for it.

use super::record::StateDir;
use crate::error::{Context, Result, ensure};
use crate::log;
use crate::plan::notify::SOCKET;
use crate::sys::process::{self, Clone, Events, Range, Side, Watch};
use crate::sys::{file, socket};
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// No message of a payload is longer, in bytes.
const LONGEST: usize = 4096;
/// How long the service manager may take to note what it was told.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the reader may take to end, in milliseconds. It has nothing left to do, unless a file of the payload's holds it.
const READER_PATIENCE: i32 = 200;
/// So many messages are handed on after the end of init, which processes without a pid namespace of their own outlive.
const AFTER_THE_END: usize = 64;
/// What a payload may say about itself.
const WORDS: [&str; 8] =
    ["READY", "RELOADING", "STOPPING", "STATUS", "ERRNO", "WATCHDOG", "EXTEND_TIMEOUT_USEC", "MONOTONIC_USEC"];

pub struct Proxy {
    /// What the payload says arrives here.
    messages: Option<OwnedFd>,
    reader: OwnedFd,
    reader_pid: i32,
    /// The caller's NOTIFY_SOCKET.
    manager: OsString,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    Ready,
    /// Another message, or one that is not handed on.
    Else,
    /// There will be no more: the reader has ended.
    Nothing,
}

/// For `create`: the container's NOTIFY_SOCKET. Every process in the container may write to it.
pub fn make_socket(state: &StateDir) -> Result<OwnedFd> {
    let made = process::without_umask(|| socket::hear_in(state.dir.as_fd(), SOCKET)); // a chmod(2) afterwards would go by a name
    made.context("make the container's NOTIFY_SOCKET")
}

/// Has `create` made a socket for the payload?
pub fn is_prepared(state: &StateDir) -> bool {
    file::open(state.dir.as_fd(), SOCKET, libc::O_PATH | libc::O_NOFOLLOW, 0).is_ok()
}

/// Reads the socket until nothing is there that wants to know. Runs in a process of its own, which holds nothing else.
fn read(socket: &OwnedFd, messages: &OwnedFd) -> Result<Infallible> {
    process::new_session()?; // no key of the caller's terminal is for it
    let mut kept = [socket, messages].map(|file| process::number(file).cast_unsigned());
    kept.sort_unstable();
    let mut first = 0;
    for number in kept {
        process::close_range(first, number.saturating_sub(1), Range::Close)?;
        first = number + 1;
    }
    process::close_range(first, u32::MAX, Range::Close)?;
    let mut buffer = [0u8; LONGEST];
    loop {
        let mut watches = [socket, messages].map(|file| Watch { file: file.as_fd(), events: Events::READ });
        crate::sys::retry(|| process::watch(&mut watches))?;
        ensure!(watches[1].events == Events::NONE, "the runtime has ended");
        match socket::receive_bytes(socket, &mut buffer) {
            Ok(length) if length > 0 => socket::send(messages, &buffer[..length], None)?,
            _ => {} // empty, or longer than any that is handed on
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.messages = None; // the reader ends
        if process::poll(&[self.reader.as_fd()], READER_PATIENCE).is_ok_and(|ended| ended[0]) {
            let _ = process::wait(self.reader_pid); // `run` may have reaped it
        }
    }
}

impl Proxy {
    /// Before the program runs, or right after. `None` if no service manager waits, or the container was created without one.
    pub fn of(socket: Option<OwnedFd>, manager: Option<OsString>) -> Result<Option<Proxy>> {
        let (Some(socket), Some(manager)) = (socket, manager) else { return Ok(None) };
        let (ours, theirs) = socket::pair().context("make a socket to the reader of NOTIFY_SOCKET")?;
        match process::clone(&Clone::default()).context("make the reader of NOTIFY_SOCKET")? {
            Side::Child => {
                let _ = read(&socket, &theirs); // the end of the runtime is the usual reason
                process::exit_now(0)
            }
            Side::Parent { pid, pidfd } => {
                Ok(Some(Proxy { messages: Some(ours), reader: pidfd, reader_pid: pid, manager }))
            }
        }
    }

    /// What to wait for; `None` when nothing more will come.
    pub fn to_watch(&self) -> Option<Watch<'_>> {
        self.messages.as_ref().map(|file| Watch { file: file.as_fd(), events: Events::READ })
    }

    /// Hands one message on. When the payload is ready, the service manager is told that `main` is its process.
    pub fn hand_on(&mut self, main: i32) -> Said {
        let mut buffer = [0u8; LONGEST];
        let received = self.messages.as_ref().map(|messages| socket::receive(messages, &mut buffer));
        let Some(Ok((length @ 1.., _))) = received else {
            self.messages = None;
            return Said::Nothing;
        };
        let Some((said, text)) = worth(&String::from_utf8_lossy(&buffer[..length]), main) else { return Said::Else };
        if let Err(error) = self.tell(text.as_bytes(), None) {
            log::warning(format!("{error:#}"));
        }
        said
    }

    /// Returns when the payload is ready and the service manager knows, or when `init` has ended. The service manager asks
    /// who a sender is: so we stay until it has read everything ("BARRIER=1", sd_notify_barrier(3)).
    pub fn until_ready(&mut self, init: BorrowedFd, main: i32) -> Result<()> {
        let mut left = AFTER_THE_END;
        loop {
            let mut watches = vec![Watch { file: init, events: Events::READ }];
            watches.extend(self.to_watch());
            crate::sys::retry(|| process::watch(&mut watches)).context("wait for the container to be ready")?;
            let has_ended = watches[0].events != Events::NONE;
            let has_news = watches.get(1).is_some_and(|watch| watch.events != Events::NONE);
            drop(watches);
            left -= usize::from(has_ended);
            if has_ended && (!has_news || left == 0) {
                return Ok(());
            }
            if has_news && self.hand_on(main) == Said::Ready {
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
