//! From a plan to a child that is ready: spawn it, serve it. The one way for create, run and exec.

use super::cgroup::Cgroup;
use super::console::Console;
use super::labels;
use super::network::Moved;
use super::patience::{self, Patience, Word};
use super::serve::{self, Service};
use super::spawn::{self, Birth, Child};
use crate::error::{Context, Result};
use crate::interrupt::Interrupt;
use crate::link::{self, Door, Ends, Entry, Released, Reply};
use crate::plan::{Plan, World};
use crate::proc::ProcessId;
use crate::undo::Draft;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// What the child runs. `ops` passes it, so that this side of the wall need not know the other.
pub struct Inside {
    pub enter: fn(&Plan, Ends) -> !,
    /// What an intermediate process does before the real clone, and the descriptors that it and the real child need.
    pub stage: fn(&Plan, &Entry, &[BorrowedFd]) -> Result<()>,
}

/// Looks for another cgroup, only when it is needed.
pub type Elsewhere<'a> = dyn Fn() -> Result<Option<Cgroup>> + 'a;

pub struct Launch<'a> {
    pub plan: &'a Plan,
    pub cgroup: &'a mut Cgroup,
    pub gate: Option<OwnedFd>,
    /// exec: the container.
    pub target: Option<Door>,
    /// create: the opened namespaces to join.
    pub joined: Vec<(i32, OwnedFd)>,
    pub console: Console,
    pub inside: Inside,
    pub interrupt: &'a Interrupt,
    /// exec: another cgroup to be born in, when the container's own no longer takes processes.
    pub elsewhere: &'a Elsewhere<'a>,
}

/// A child that has done everything but the last step. Dropped without `go`, it is killed and reaped.
pub struct Ready {
    child: Draft<Child>,
    link: link::Parent<Released>,
    /// Whether processes of a container can reach the child, and hold it up.
    exposure: Exposure,
    /// The terminal's master, when we carry its bytes ourselves.
    pub master: Option<OwnedFd>,
    /// Network devices of the host that are in the container now.
    moved: Option<Draft<Moved>>,
    /// What was made in the root filesystem, as paths in it.
    pub made: Vec<PathBuf>,
    /// create: the device number of the devpts on /dev/pts, when it is the container's own.
    pub devpts: Option<u64>,
    /// Whether prestart or createRuntime hooks have run.
    pub hooks: HooksRun,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Exposure {
    Hidden,
    Exposed {
        /// How long it may take until its program runs, in milliseconds; -1: for ever.
        bound: i32,
    },
}

/// A failed launch, whether hooks of the container have run by then (then the caller must run the poststop hooks), and what
/// stays in the root filesystem.
pub struct Failed {
    pub error: anyhow::Error,
    pub hooks: HooksRun,
    pub made: Vec<PathBuf>,
    /// The child, if it could not be killed.
    pub left: Option<ProcessId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HooksRun {
    No,
    Yes,
}

/// What the child has had done outside, as far as it got.
pub struct Done {
    pub hooks: HooksRun,
    pub moved: Option<Draft<Moved>>,
    pub made: Vec<PathBuf>,
    pub devpts: Option<u64>,
}

pub fn launch(launch: Launch) -> std::result::Result<Ready, Failed> {
    let Launch { plan, cgroup, gate, target, joined, console, inside, interrupt, elsewhere } = launch;
    let mut done = Done { hooks: HooksRun::No, moved: None, made: Vec::new(), devpts: None };
    let spawned = labels::procfs(plan).and_then(|procfs| {
        spawn::spawn(plan, cgroup, Birth { gate, target, joined, procfs }, &inside, interrupt, elsewhere)
    });
    let mut left = None;
    let result = spawned.and_then(|(mut child, link)| {
        // While the child is busy with its mounts. Before it opens a file of the image (/etc/passwd, what tmpcopyup copies), where
        // another container on the same tree may have put a device, it asks and waits (`Request::Rules`).
        let restricted = match &plan.world {
            World::New(sandbox) => cgroup.restrict_devices(&sandbox.cgroup),
            World::Join(_) => Ok(()),
        };
        let service = Service { plan, cgroup, console, interrupt, done: &mut done };
        match restricted.and_then(|()| serve::until_ready(service, &mut child, link)) {
            Ok((link, master)) => Ok((child, link, master)),
            Err(error) => {
                left = spawn::end(child);
                Err(error)
            }
        }
    });
    let Done { hooks, moved, made, devpts } = done;
    match result {
        Ok((child, link, master)) => {
            let bound = patience::silence_with(&plan.hooks.start_container);
            let exposure = if plan.forks_late() { Exposure::Exposed { bound } } else { Exposure::Hidden };
            Ok(Ready { child, link, exposure, master, moved, made, devpts, hooks })
        }
        Err(error) => Err(Failed { error, hooks, made, left }),
    }
}

impl Ready {
    pub fn pid(&self) -> i32 {
        self.child.pid
    }

    pub fn pidfd(&self) -> &OwnedFd {
        &self.child.pidfd
    }

    /// Kills the child. Returns it, if it does not die.
    pub fn end(self) -> Option<ProcessId> {
        spawn::end(self.child)
    }

    /// Lets the child go on to its gate, and lets go of it: whoever reaps orphans above us reaps it.
    pub fn go_to_gate(self) -> Result<Child> {
        self.link.reply(&Reply::Go { pid: self.child.pid }).context("answer the child")?;
        self.moved.map(Draft::keep);
        Ok(self.child.keep())
    }

    /// Lets the child become the program; returns when it has, or with why it has not.
    pub fn go(self, interrupt: &Interrupt) -> Result<(Child, Option<OwnedFd>)> {
        self.link.reply(&Reply::Go { pid: self.child.pid }).context("answer the child")?;
        let word = self.wait_for_program(interrupt)?; // once the program runs, signals are for it
        // Closed by execve, or by a death in between: then its status tells, as that of any program.
        if word == Word::Here {
            self.link.end()?;
        }
        self.moved.map(Draft::keep);
        Ok((self.child.keep(), self.master))
    }

    fn wait_for_program(&self, interrupt: &Interrupt) -> Result<Word> {
        let patience = Patience::new(interrupt);
        match self.exposure {
            Exposure::Hidden => patience.wait_for_hidden(&self.child, self.link.as_fd()),
            Exposure::Exposed { bound } => patience.wait_for_program(&self.child, self.link.as_fd(), bound),
        }
    }
}
