//! Signals: block them, read them from a descriptor, put everything back for the payload.

use super::{Result, check};
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::os::fd::{AsFd, BorrowedFd};

/// All signals, blocked and read from a descriptor.
pub struct Signals(SignalFd);

/// Blocks every signal that can be blocked, and opens the descriptor to read them from. Children inherit the block: they
/// call `restore`.
pub fn take_all() -> Result<Signals> {
    let all = SigSet::all();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), None)?;
    Ok(Signals(SignalFd::with_flags(&all, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?))
}

/// The signals that were blocked before.
pub struct Mask(SigSet);

/// Blocks SIGTERM, SIGINT, SIGHUP and SIGQUIT, and opens the descriptor to read them from. Blocked, also those arrive that
/// the caller ignores (nohup(1)): `is_ignored` tells.
pub fn take_endings() -> Result<(Signals, Mask)> {
    use nix::sys::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    let endings: SigSet = [SIGTERM, SIGINT, SIGHUP, SIGQUIT].into_iter().collect();
    let signals = SignalFd::with_flags(&endings, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let mut before = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_BLOCK, Some(&endings), Some(&mut before))?;
    Ok((Signals(signals), Mask(before)))
}

/// Blocks these and no others. What has arrived in the meantime arrives now.
pub fn set_mask(mask: &Mask) {
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&mask.0), None); // fails only for an unknown "how"
}

impl Signals {
    /// The next signal that has arrived, if any.
    pub fn next(&self) -> Result<Option<i32>> {
        let info = self.0.read_signal()?;
        Ok(info.map(|info| info.ssi_signo.cast_signed()))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Nothing blocked, SIGPIPE as the kernel starts it (Rust's runtime ignores it). Other dispositions are never changed by
/// us; those the caller ignored are reset too, so that the payload starts as from a clean init.
pub fn restore() -> Result<()> {
    for signal in 1..=libc::SIGRTMAX() {
        if signal != libc::SIGKILL && signal != libc::SIGSTOP && is_ignored(signal) {
            // SAFETY: SIG_DFL installs no code.
            check(unsafe { libc::signal(signal, libc::SIG_DFL) }.cast_signed() as libc::c_long)?;
        }
    }
    unblock()
}

/// The signals that ask a program to end will end this process, with 128 + n, until it becomes a program. Without this the
/// first process of a pid namespace does not even hear them: the kernel delivers to it only what it handles
/// (pid_namespaces(7)).
pub fn end_when_asked() -> Result<()> {
    extern "C" fn end(signal: libc::c_int) {
        super::process::exit_now(128 + signal) // system calls only, so it may run in a signal handler
    }
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        // SAFETY: the handler only makes a system call.
        check(unsafe { libc::signal(signal, end as *const () as libc::sighandler_t) }.cast_signed() as libc::c_long)?;
    }
    Ok(())
}

/// Nothing blocked.
pub fn unblock() -> Result<()> {
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Did the caller want this signal to have no effect?
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: sigaction is plain data, for which zero is a valid value; a null pointer changes nothing.
    let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let done = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now) };
    done == 0 && now.sa_sigaction == libc::SIG_IGN
}
