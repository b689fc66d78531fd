//! The outer end of the container's terminal: sent to a console socket, or carried by us in the foreground.

use crate::error::{Context, Result, bail};
use crate::sys::file::{self, CWD};
use crate::sys::process::STREAMS;
use crate::sys::{socket, tty};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Where the master goes.
pub enum Console {
    /// No terminal is planned.
    None,
    /// A connection to the engine: exactly one message with exactly one descriptor goes over it.
    Socket(OwnedFd),
    /// Our caller's terminal, whose size the new one takes.
    Foreground,
}

impl Console {
    /// Connects before anything is made, so that a bad path costs nothing.
    pub fn connect(path: &Path) -> Result<Console> {
        let named = || format!("console socket {}: somebody must be listening there", path.display());
        Ok(Console::Socket(socket::connect_to(path).with_context(named)?))
    }

    /// Takes the master over; returns it when it is ours to carry.
    pub fn take(&mut self, master: OwnedFd) -> Result<Option<OwnedFd>> {
        match std::mem::replace(self, Console::None) {
            Console::None => {
                bail!("the child sent a terminal that is not planned, or a second one")
            }
            Console::Socket(socket) => {
                use std::os::fd::AsFd;
                socket::send(&socket, b"/dev/ptmx", Some(master.as_fd()))
                    .context("send the terminal to the console socket")?;
                Ok(None)
            }
            Console::Foreground => {
                if let Some(Ok(size)) = own_terminal().map(tty::size) {
                    tty::set_size(&master, size).context("set the terminal's size")?;
                }
                if !tty::is_terminal(STREAMS[1]) {
                    // A file or a pipe gets the lines as they were written; a terminal in raw mode needs the returns.
                    tty::keep_newlines(&master).context("prepare the terminal for an output that is none")?;
                }
                Ok(Some(master))
            }
        }
    }
}

/// The terminal of whoever called us, if there is one: on a standard stream, else the controlling one.
pub fn own_terminal() -> Option<OwnedFd> {
    let on_stream = [2, 1, 0].into_iter().map(|i| STREAMS[i]).find(|stream| tty::is_terminal(stream));
    match on_stream {
        Some(stream) => file::duplicate(stream).ok(),
        None => file::open(CWD, "/dev/tty", libc::O_RDWR | libc::O_NOCTTY, 0).ok(), // none is an answer too
    }
}
