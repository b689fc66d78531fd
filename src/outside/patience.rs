//! How long the parent waits for its child, and what it does meanwhile.
//!
//! Every wait is bounded and hears the signals that ask this command to end (`interrupt`).

use super::spawn::Child;
use crate::error::{Result, anyhow};
use crate::interrupt::Interrupt;
use crate::plan::{Hook, Plan};
use crate::proc;
use crate::sys::file::{self, CWD};
use crate::sys::process;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// How long a child may be silent, in milliseconds. A mount over a slow network may take its time; one that takes longer
/// than this has been given up by the engine that asked for the container.
const SILENCE: i32 = 120_000;
/// How long a child that a container can reach may take until it is ready, and how long it may be stopped altogether after
/// that: a few system calls, on a busy host.
const EXPOSED: Duration = Duration::from_secs(10);
/// The time between two looks at a child that may have been stopped, in milliseconds.
const LOOK: i32 = 20;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// There is something to be read, which may be the end of file.
    Here,
    /// Nothing more will come: it has ended, or runs its program.
    NoMore,
}

/// Waits until the child says something or ends. Its own hooks have the time that config.json gives them.
pub fn wait_for_word(plan: &Plan, child: &Child, from: BorrowedFd, interrupt: &Interrupt) -> Result<Word> {
    let bound = silence_with(&plan.hooks.create_container);
    match interrupt.wait_for([from, child.pidfd.as_fd()], bound)? {
        [true, _] => return Ok(Word::Here),
        [false, true] => return Ok(Word::NoMore), // a successor that it could not tell of waits on the other end until ours closes
        [false, false] => {}
    }
    let pid = child.pid;
    let doing = match proc::state(pid) {
        Ok(Some('D')) => "waits for a device or a file system that does not answer: look at the sources of its mounts",
        Ok(Some('T' | 't')) => "has been stopped by a signal or a debugger",
        _ => "is neither ready nor dead",
    };
    Err(anyhow!("container init (pid {pid}) has said nothing for {} s; it {doing}", bound / 1000))
}

/// How long a child may be silent that runs these hooks meanwhile, in milliseconds; -1, for ever, when one has no timeout.
pub fn silence_with(hooks: &[Hook]) -> i32 {
    let milliseconds = |seconds: u64| i32::try_from(seconds.saturating_mul(1000)).unwrap_or(i32::MAX);
    let longer = |bound: i32, hook: &Hook| Some(bound.saturating_add(milliseconds(hook.timeout?)));
    hooks.iter().try_fold(SILENCE, longer).unwrap_or(-1)
}

/// The waits for a child that processes of a container can signal and trace: short, and one that they stop is continued.
pub struct Patience<'a> {
    interrupt: &'a Interrupt,
    began: Instant,
}

impl Patience<'_> {
    pub fn new(interrupt: &Interrupt) -> Patience<'_> {
        Patience { interrupt, began: Instant::now() }
    }

    /// Waits until the child says something or ends; all such waits together at most `EXPOSED`.
    pub fn wait_for_word(&self, child: &Child, from: BorrowedFd) -> Result<Word> {
        loop {
            match self.interrupt.wait_for([from, child.pidfd.as_fd()], LOOK)? {
                [true, _] => return Ok(Word::Here),
                [false, true] => return Ok(Word::NoMore),
                [false, false] => {}
            }
            continue_if_stopped(child);
            if self.began.elapsed() > EXPOSED {
                return Err(held_up(child));
            }
        }
    }

    /// Waits until a child that no container can reach runs its program (after its startContainer hooks, which have their own
    /// timeouts), says why not, or ends.
    pub fn wait_for_hidden(&self, child: &Child, from: BorrowedFd) -> Result<Word> {
        loop {
            match self.interrupt.wait_rather_for([from, child.pidfd.as_fd()], -1)? {
                [true, _] => return Ok(Word::Here),
                [false, true] => return Ok(Word::NoMore),
                [false, false] => {} // a signal that the caller ignores
            }
        }
    }

    /// Waits until the child runs its program, says why not, or ends. A program may come over a slow network, be handed to a
    /// seccomp agent first, and follow hooks: so this takes up to `bound` milliseconds (-1: for ever). But not long for a
    /// child that is stopped again and again.
    pub fn wait_for_program(&self, child: &Child, from: BorrowedFd, bound: i32) -> Result<Word> {
        let (began, mut stopped) = (Instant::now(), Duration::ZERO);
        let bound = u64::try_from(bound).ok().map(Duration::from_millis);
        loop {
            match self.interrupt.wait_rather_for([from, child.pidfd.as_fd()], LOOK)? {
                [true, _] => return Ok(Word::Here),
                [false, true] => return Ok(Word::NoMore),
                [false, false] => {}
            }
            if runs_another_program(child) {
                return Ok(Word::NoMore); // a copy of its end of the link is in other hands, which keeps the end of file away
            }
            if continue_if_stopped(child) {
                stopped += Duration::from_millis(LOOK.unsigned_abs().into());
            }
            if stopped > EXPOSED {
                return Err(held_up(child));
            }
            if let Some(bound) = bound.filter(|bound| began.elapsed() > *bound) {
                return Err(anyhow!(
                    "process {} has not started its program for {} s: does the file system that it is on answer, and the \
                     seccomp agent?",
                    child.pid,
                    bound.as_secs()
                ));
            }
        }
    }
}

/// Is its executable another one than ours? Then it has called execve.
fn runs_another_program(child: &Child) -> bool {
    let identity =
        |path: &str| file::open(CWD, path, libc::O_PATH, 0).and_then(file::stat).map(|it| (it.st_dev, it.st_ino));
    match (identity(&format!("/proc/{}/exe", child.pid)), identity("/proc/self/exe")) {
        (Ok(theirs), Ok(ours)) => theirs != ours,
        _ => false, // it has ended, or we may not look: other signs tell
    }
}

/// Returns whether it was.
fn continue_if_stopped(child: &Child) -> bool {
    let is_stopped = matches!(proc::state(child.pid), Ok(Some('T' | 't')));
    if is_stopped {
        let _ = process::pidfd_signal(&child.pidfd, libc::SIGCONT); // it may have ended; a traced one is bounded by time
    }
    is_stopped
}

fn held_up(child: &Child) -> anyhow::Error {
    anyhow!(
        "processes of the container hold up the one that comes in (pid {}): they stop it, trace it, or have taken its socket; \
         the command is not run. Kill them, or run without CAP_SYS_PTRACE",
        child.pid
    )
}
