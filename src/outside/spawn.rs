//! Making the child: which clone, from where. Nobody else knows how many forks there were.
//!
//! Usually one clone3 makes all namespaces and puts the child into its v2 cgroup. Where a user namespace is joined, or a new
//! one is to be combined with joined ones that it has no rights over, an intermediate process goes first. Into a pid
//! namespace that is joined the child itself forks, when it has done everything else (`inside::fork`); its successor's
//! pidfd arrives over the link.

use super::cgroup::{self, Cgroup};
use super::chroot;
use super::launch::{Elsewhere, Inside};
use super::patience::wait_for_word;
use crate::error::{Context, Result, anyhow, ensure};
use crate::interrupt::Interrupt;
use crate::link::{self, Door, Ends, Entry};
use crate::plan::{Placing, Plan, World, labels};
use crate::proc::{self, ProcessId};
use crate::sys::file::{self, CWD};
use crate::sys::process::{self, Clone, Exit, Sibling, Side};
use crate::sys::{self, Errno, socket};
use crate::undo::Draft;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// The process between clone and execve, and init after it.
pub struct Child {
    pub pid: i32,
    pub pidfd: OwnedFd,
}

/// What the child is born with, besides the link.
pub struct Birth {
    pub gate: Option<OwnedFd>,
    /// exec: the container.
    pub target: Option<Door>,
    /// create: namespaces to join, in the plan's order.
    pub joined: Vec<(i32, OwnedFd)>,
    /// The host's /proc, for the labels, where that is safe.
    pub procfs: Option<OwnedFd>,
}

/// Makes the child, which runs `inside.enter` and never returns here. Dropped without `keep`, it is killed and reaped.
pub fn spawn(
    plan: &Plan,
    cgroup: &mut Cgroup,
    birth: Birth,
    inside: &Inside,
    interrupt: &Interrupt,
    elsewhere: &Elsewhere,
) -> Result<(Draft<Child>, link::Parent)> {
    let (ours, theirs) = link::pair()?;
    let (new, staged) = match &plan.world {
        World::Join(_) => (0, false),
        World::New(sandbox) => {
            let namespaces = &sandbox.namespaces;
            let joins_user = namespaces.joins(libc::CLONE_NEWUSER);
            let mixes = namespaces.makes(libc::CLONE_NEWUSER) && !namespaces.join.is_empty();
            (namespaces.at_birth(), joins_user || mixes)
        }
    };
    let new = u64::from(new.cast_unsigned());
    let _stay = match &plan.world {
        World::New(sandbox) => Some(Stay::at(&sandbox.bundle)?),
        World::Join(_) => None,
    };
    let child = if staged {
        in_stages(plan, cgroup, birth, inside, new, &ours, theirs, interrupt, elsewhere)?
    } else {
        directly(plan, cgroup, birth, inside, new, theirs, elsewhere)?
    };
    Ok((Draft::new(child, kill), ours))
}

/// As long as this lives, we are in the bundle, and so are our children from their birth: relative names of file system options
/// start there, and root of a user namespace may not be allowed to walk there.
struct Stay {
    home: Option<OwnedFd>,
}

impl Stay {
    fn at(bundle: &Path) -> Result<Stay> {
        let home = file::open(CWD, ".", libc::O_PATH | libc::O_DIRECTORY, 0).ok(); // one that we may not use is no loss
        process::chdir(bundle).context("enter the bundle")?;
        Ok(Stay { home })
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            let _ = process::fchdir(home); // it was ours
        }
    }
}

/// How long a killed child may take to end, in milliseconds.
const PATIENCE: i32 = 2000;

#[allow(clippy::needless_pass_by_value)] // what is undone is gone
fn kill(child: Child) {
    kill_and_reap(&child);
}

/// Kills and reaps the child. Returns it, if it does not die: it waits in the kernel, for a file system that does not answer.
pub fn end(child: Draft<Child>) -> Option<ProcessId> {
    let id = proc::identify(child.pid).ok();
    kill_and_reap(&child.keep());
    let lives = || id.filter(|id| proc::is_alive(*id).unwrap_or(true));
    for _ in 0..20 {
        lives()?;
        std::thread::sleep(Duration::from_millis(10));
    }
    lives()
}

fn kill_and_reap(child: &Child) {
    let _ = process::pidfd_signal(&child.pidfd, libc::SIGKILL); // it may have ended by itself
    // In a frozen v1 cgroup it ends when that is thawed: then others reap it.
    let _ = reap(child); // it may be reaped already
}

/// Waits up to `PATIENCE` for the end of the child, and reaps it. `None` when it lives, or when a process that traces it has
/// not let go of what is left of it (ptrace(2)): the process that reaps our orphans reaps it then.
fn reap(child: &Child) -> sys::Result<Option<Exit>> {
    if !sys::retry(|| process::poll(&[child.pidfd.as_fd()], PATIENCE))?[0] {
        return Ok(None);
    }
    for _ in 0..50 {
        if let Some(exit) = process::try_wait(child.pid)? {
            return Ok(Some(exit));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(None)
}

fn directly(
    plan: &Plan,
    cgroup: &Cgroup,
    birth: Birth,
    inside: &Inside,
    new: u64,
    link: link::Child,
    elsewhere: &Elsewhere,
) -> Result<Child> {
    match clone_into(cgroup, new, elsewhere)? {
        Side::Parent { pid, pidfd } => Ok(Child { pid, pidfd }),
        Side::Child => {
            let entry = match birth.target {
                Some(door) => Entry::Target(door),
                None => Entry::Direct { joined: birth.joined },
            };
            (inside.enter)(plan, Ends { link, gate: birth.gate, entry, procfs: birth.procfs })
        }
    }
}

#[allow(clippy::too_many_arguments)] // all that `spawn` knows, and both ends of the link
fn in_stages(
    plan: &Plan,
    cgroup: &mut Cgroup,
    birth: Birth,
    inside: &Inside,
    new: u64,
    ours: &link::Parent,
    link: link::Child,
    interrupt: &Interrupt,
    elsewhere: &Elsewhere,
) -> Result<Child> {
    let (hear, tell) = socket::pair().context("make a socket to the intermediate process")?;
    let Birth { gate, joined, procfs, .. } = birth;
    let entry = Entry::Direct { joined };
    match clone_into(cgroup, 0, elsewhere)? {
        Side::Child => {
            drop(hear);
            let ask = Clone { namespaces: new, cgroup: None, sibling: Sibling::Yes };
            let mut word = [0u8; 8];
            let placed = socket::receive(&tell, &mut word).context("wait for the placement");
            let kept: Vec<BorrowedFd> =
                [link.as_fd(), tell.as_fd()].into_iter().chain(gate.iter().chain(&procfs).map(AsFd::as_fd)).collect();
            let staged = placed.and_then(|_| (inside.stage)(plan, &entry, &kept));
            drop(entry); // what led us here is not for those in there to see
            match staged.and_then(|()| process::clone(&ask).map_err(|e| explain(e, new))) {
                Ok(Side::Child) => (inside.enter)(plan, Ends { link, gate, entry: Entry::Staged, procfs }),
                Ok(Side::Parent { pidfd, .. }) => {
                    let _ = socket::send(tell, b"p", Some(pidfd.as_fd())); // a parent that is gone needs no answer
                    process::exit_now(0)
                }
                Err(error) => {
                    link.fail(&error);
                    process::exit_now(1)
                }
            }
        }
        Side::Parent { pid, pidfd } => {
            drop((tell, link));
            let intermediate = Draft::new(Child { pid, pidfd }, kill);
            place(plan, cgroup, pid, interrupt)?;
            socket::send(&hear, b"g", None).context("tell the intermediate process to go on")?;
            wait_for_word(plan, &intermediate, hear.as_fd(), interrupt)?;
            let mut buffer = [0u8; 8];
            let told = socket::receive(&hear, &mut buffer).context("hear from the intermediate process")?;
            drop(hear); // without an answer the intermediate process ends
            let end = process::wait(intermediate.keep().pid);
            match told {
                (1, Some(pidfd)) => Ok(Child { pid: proc::pid_of(&pidfd)?, pidfd }),
                _ => ours.next().and_then(|_| Err(explain_end(end, cgroup).context("the intermediate process died"))),
            }
        }
    }
}

/// The process that the child has forked inside the container's pid namespace, by its number. A payload may have named another
/// one in its place: only a child of this very process is taken, which no process of the host but our own helpers is.
/// Until that is shown nothing is done with it. As long as we have not reaped it the number is its own.
pub fn successor(pid: i32) -> Result<Draft<Child>> {
    let stranger = || "a process of the container named a process that is not ours; the command is not run";
    ensure!(pid > 0, stranger());
    let pidfd = process::pidfd_open(pid).with_context(stranger)?;
    ensure!(process::is_our_child(&pidfd).context("look at the process that was forked")?, stranger());
    Ok(Draft::new(Child { pid, pidfd }, kill))
}

/// cgroup v1, and systemd: the intermediate process, and with it the child that it makes.
fn place(plan: &Plan, cgroup: &mut Cgroup, pid: i32, interrupt: &Interrupt) -> Result<()> {
    match &plan.world {
        World::New(sandbox) if Placing::of(&sandbox.cgroup.place) == Placing::ByParent => cgroup.add(pid, interrupt),
        _ => Ok(()),
    }
}

fn clone_into(cgroup: &Cgroup, new: u64, elsewhere: &Elsewhere) -> Result<Side> {
    let ask = Clone { namespaces: new, cgroup: cgroup.birth_fd(), sibling: Sibling::No };
    let mut side = process::clone(&ask);
    if matches!(side, Err(sys::Error(Errno::EBUSY | Errno::EOPNOTSUPP)))
        && let Some(other) = elsewhere()?
    {
        side = process::clone(&Clone { cgroup: other.birth_fd(), ..ask });
    }
    side.map_err(|error| explain(error, new))
}

const DOING: &str = "clone the container's process";

fn explain(error: sys::Error, new: u64) -> anyhow::Error {
    let hint = match error.0 {
        Errno::EPERM if new & libc::CLONE_NEWUSER as u64 == 0 => ": new namespaces need CAP_SYS_ADMIN; run as root",
        Errno::EACCES if new & libc::CLONE_NEWUSER as u64 != 0 => {
            return anyhow!(error).context(labels::WHY_NO_USER_NAMESPACE).context(DOING);
        }
        Errno::EACCES => ": the permissions of the cgroup, or a security module, deny it",
        Errno::EPERM if chroot::is_ours() => {
            ": the kernel makes no user namespace for a process in a chroot: start the runtime outside of it, or make the \
             directory the root with pivot_root(8)"
        }
        Errno::EPERM => ": this kernel or a filter does not let us make a user namespace",
        Errno::ENOSPC => ": too many namespaces, or nested too deeply (/proc/sys/user/max_*_namespaces)",
        Errno::EAGAIN => ": too many processes (RLIMIT_NPROC, or pids.max of a cgroup)",
        Errno::ENOSYS => ": a time namespace needs Linux 5.6, and no filter that hides clone3",
        Errno::EBUSY | Errno::EOPNOTSUPP => ": the cgroup does not take processes (its type, or enabled controllers)",
        Errno::EINVAL => ": this kernel lacks one of the namespaces",
        _ => "",
    };
    anyhow!(error).context(format!("{DOING}{hint}"))
}

/// Why a child is gone that said nothing.
pub fn post_mortem(child: &Child, cgroup: &Cgroup) -> anyhow::Error {
    match reap(child) {
        Ok(Some(exit)) => explain_end(Ok(exit), cgroup),
        Ok(None) => anyhow!("container init (pid {}) says no more: a process of the container traces it", child.pid),
        Err(error) => explain_end(Err(error), cgroup),
    }
}

fn explain_end(end: sys::Result<Exit>, cgroup: &Cgroup) -> anyhow::Error {
    let oom = || cgroup::oom_verdict(cgroup);
    match end {
        Ok(Exit::Signal(libc::SIGKILL)) => match oom() {
            Some(verdict) => anyhow!("container init was OOM-killed (memory limit too low?): {verdict}"),
            None => anyhow!("container init died (signal {})", libc::SIGKILL),
        },
        Ok(Exit::Signal(signal)) => anyhow!("container init died (signal {signal})"),
        Ok(Exit::Code(code)) => anyhow!("container init ended (status {code}) without a word"),
        Err(error) => anyhow!(error).context("container init is gone"),
    }
}
