//! Pseudo-terminals and the caller's own terminal.

use super::file::own;
use super::{Errno, Error, Result, check};
use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// Rows and columns, in characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

/// The slave of a pty master, opened without a name (TIOCGPTPEER, Linux 4.13), so that nothing in the image can stand in for it
/// (CVE-2025-52565), and locked again. `None` when another process has taken it as its controlling terminal in between: the
/// kernel opens no slave that is locked, not even so.
pub fn locked_peer(master: impl AsFd) -> Result<Option<OwnedFd>> {
    set_lock(&master, 0)?;
    let slave = open_peer(&master)?;
    set_lock(&master, 1)?;
    let mut session: libc::pid_t = 0;
    // SAFETY: this ioctl fills one pid_t; ENOTTY when the terminal controls no session.
    let taken = check(unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCGSID, &raw mut session) }.into());
    match taken {
        Err(Error(Errno::ENOTTY)) => Ok(Some(slave)),
        other => other.map(|_| None),
    }
}

/// Others may open the slave from now on. Opening it in vain while it was locked made it fail (TTY_IO_ERROR): the kernel
/// takes that back with the next open that succeeds.
pub fn unlock(master: impl AsFd) -> Result<()> {
    set_lock(&master, 0)?;
    open_peer(&master).map(drop)
}

fn set_lock(master: impl AsFd, lock: libc::c_int) -> Result<()> {
    // SAFETY: this ioctl reads one int.
    check(unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCSPTLCK, &raw const lock) }.into()).map(drop)
}

fn open_peer(master: impl AsFd) -> Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: this ioctl takes flags by value and returns a new descriptor.
    check(unsafe { libc::ioctl(master.as_fd().as_raw_fd(), libc::TIOCGPTPEER, flags) }.into()).map(own)
}

/// The request of `control`, as seccomp sees it (the C libraries disagree on its type).
#[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)]
pub const TAKE: u64 = libc::TIOCSCTTY as u64;

/// Makes a terminal the controlling one of this session, which we lead.
pub fn control(terminal: impl AsFd) -> Result<()> {
    // SAFETY: this ioctl takes an int by value.
    check(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(drop)
}

pub fn size(terminal: impl AsFd) -> Result<Size> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: this ioctl fills the struct.
    check(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) }.into())?;
    Ok(Size { rows: size.ws_row, columns: size.ws_col })
}

pub fn set_size(terminal: impl AsFd, size: Size) -> Result<()> {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: this ioctl reads the struct.
    check(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }.into()).map(drop)
}

pub fn is_terminal(file: impl AsFd) -> bool {
    nix::unistd::isatty(file).unwrap_or(false)
}

/// Has a terminal's lines end as its programs end them: with a newline, without a carriage return before it.
pub fn keep_newlines(terminal: impl AsFd) -> Result<()> {
    let mut settings = tcgetattr(&terminal)?;
    settings.output_flags.remove(OutputFlags::ONLCR);
    Ok(tcsetattr(&terminal, SetArg::TCSANOW, &settings)?)
}

/// A terminal in raw mode; dropped, it is as it was.
pub struct Raw {
    terminal: OwnedFd,
    before: Termios,
}

pub fn make_raw(terminal: OwnedFd) -> Result<Raw> {
    let before = tcgetattr(&terminal)?;
    let mut raw = before.clone();
    cfmakeraw(&mut raw);
    tcsetattr(&terminal, SetArg::TCSANOW, &raw)?;
    Ok(Raw { terminal, before })
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before); // the terminal may be gone, and we are leaving
    }
}
