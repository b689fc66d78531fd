//! Being asked to end while something is half made.
//!
//! SIGTERM, SIGINT, SIGHUP and SIGQUIT would end the process on the spot and leave behind what it has made so far. As long as
//! an `Interrupt` lives they come through a descriptor, which is waited for beside whatever else is waited for: being asked
//! to end is then an error like any other, and what is half made is undone on the way out. Used in the runtime's process,
//! and around hooks in whichever process runs them.

use crate::error::{Context, Kind, Result, anyhow};
use crate::sys::process::poll;
use crate::sys::signal::{self, Mask, Signals};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

pub struct Interrupt {
    signals: Signals,
    before: Mask,
}

impl Interrupt {
    /// From now on the four signals end nothing by themselves.
    pub fn take() -> Result<Interrupt> {
        let (signals, before) = signal::take_endings().context("take the signals that ask to end")?;
        Ok(Interrupt { signals, before })
    }

    /// Waits until one of the files can be read or has ended, up to `timeout` milliseconds (-1: for ever); tells which, none
    /// when the time is over. Being asked to end is the error `Kind::Interrupted`.
    pub fn wait_for<const N: usize>(&self, files: [BorrowedFd; N], timeout: i32) -> Result<[bool; N]> {
        let mut all = vec![self.signals.as_fd()];
        all.extend(files);
        let began = Instant::now();
        let mut left = timeout;
        loop {
            let ready = crate::sys::retry(|| poll(&all, left)).context("wait")?;
            if !ready[0] {
                return Ok(std::array::from_fn(|n| ready[n + 1]));
            }
            match self.signals.next().context("read the signals")? {
                Some(signal) if !signal::is_ignored(signal) => return Err(anyhow!(Kind::Interrupted(signal))),
                _ if timeout < 0 => {} // one that the caller ignores, or that somebody else has read: wait on
                _ => {
                    let gone = i32::try_from(began.elapsed().as_millis()).unwrap_or(i32::MAX);
                    left = timeout.saturating_sub(gone).max(0);
                }
            }
        }
    }

    /// As `wait_for`. When one of the files and being asked to end have come both, the file wins, and the signal is left for
    /// those who take the signals next.
    pub fn wait_rather_for<const N: usize>(&self, files: [BorrowedFd; N], timeout: i32) -> Result<[bool; N]> {
        let ready = crate::sys::retry(|| poll(&files, 0)).context("wait")?;
        if ready.contains(&true) {
            return Ok(std::array::from_fn(|n| ready[n]));
        }
        match self.wait_for_all(&files, timeout)? {
            ready if ready[1..].contains(&true) || !ready[0] => Ok(std::array::from_fn(|n| ready[n + 1])),
            _ => self.wait_for(files, 0),
        }
    }

    fn wait_for_all(&self, files: &[BorrowedFd], timeout: i32) -> Result<Vec<bool>> {
        let all: Vec<BorrowedFd> = [self.signals.as_fd()].into_iter().chain(files.iter().copied()).collect();
        crate::sys::retry(|| poll(&all, timeout)).context("wait")
    }
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        signal::set_mask(&self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::is;

    #[test]
    fn being_asked_to_end_is_an_error() {
        let (hear, tell) = crate::sys::socket::pair().unwrap();
        let interrupt = Interrupt::take().unwrap();
        assert_eq!(interrupt.wait_for([hear.as_fd()], 0).unwrap(), [false]);
        crate::sys::socket::send(&tell, b"x", None).unwrap();
        assert_eq!(interrupt.wait_for([hear.as_fd()], 0).unwrap(), [true]);
        nix::sys::signal::raise(nix::sys::signal::SIGTERM).unwrap(); // to this thread
        assert_eq!(interrupt.wait_rather_for([hear.as_fd()], -1).unwrap(), [true]); // and leaves the signal
        let error = interrupt.wait_for([hear.as_fd()], 0).unwrap_err();
        assert!(is(&error, Kind::Interrupted(libc::SIGTERM)) && format!("{error}") == "interrupted by SIGTERM");
    }
}
