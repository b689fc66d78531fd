//! A procfs of a pid namespace that this process is not in: that of a container whose pid namespace is joined.
//!
//! A procfs shows the pid namespace of the process that opens the file system. A child with the runtime's rights must not be seen
//! in there (`inside::fork`), so the namespace is named to the kernel (option `pidns`, Linux 6.17). On older kernels
//! a helper goes there to open it that is worth nothing to the processes in there: its user namespace is new and maps no id, its
//! root is an empty tmpfs, its memory holds nothing of ours, and it has one descriptor, over which it sends the opened file
//! system.

use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::sys::file::{self, CWD};
use crate::sys::process::{self, Clone, Range, Side};
use crate::sys::{self, Errno, alloc, keyring, mount, namespace, socket};
use std::os::fd::{AsFd, OwnedFd};

/// How long the helper may take, in milliseconds.
const PATIENCE: i32 = 10_000;

/// Opens a procfs of an open pid namespace, to be configured and mounted.
pub fn begin(pid_namespace: &OwnedFd) -> Result<mount::Context> {
    let context = mount::begin("proc").context("open file system \"proc\"")?;
    match context.set_file("pidns", pid_namespace) {
        Ok(()) => Ok(context),
        Err(sys::Error(Errno::EINVAL)) => by_helper(pid_namespace).context(
            "open a procfs of the pid namespace that is joined (without Linux 6.17 it takes user namespaces; is \
             /proc/sys/user/max_user_namespaces 0?)",
        ),
        Err(error) => Err(error).context("option \"pidns\" of procfs"),
    }
}

/// What a helper has opened may be what a process in the namespace has put in its place.
pub fn check(procfs: &OwnedFd, pid_namespace: &OwnedFd) -> Result<()> {
    ensure!(file::filesystem(procfs)? == file::PROC_SUPER_MAGIC, "it is no procfs");
    let shown = file::stat_at(procfs.as_fd(), c"1/ns/pid", 0).context("look at its first process")?;
    let wanted = file::stat(pid_namespace)?;
    ensure!((shown.st_dev, shown.st_ino) == (wanted.st_dev, wanted.st_ino), "it shows another pid namespace");
    Ok(())
}

fn by_helper(pid_namespace: &OwnedFd) -> Result<mount::Context> {
    let (hear, tell) = socket::pair().context("make a socket to the helper")?;
    match process::clone(&Clone::default()).context("clone a helper")? {
        Side::Child => {
            drop(hear);
            match confine(pid_namespace, &tell) {
                Ok(()) => alloc::forget_all_but(|| tell, open_inside),
                Err(error) => {
                    let _ = socket::send(&tell, format!("{error:#}").as_bytes(), None); // a parent that is gone needs no answer
                    process::exit_now(1)
                }
            }
        }
        Side::Parent { pid, pidfd } => {
            drop(tell);
            let answer = receive(&hear);
            let _ = process::pidfd_signal(&pidfd, libc::SIGKILL); // it may have ended by itself
            process::wait(pid).context("reap the helper")?;
            answer
        }
    }
}

fn receive(hear: &OwnedFd) -> Result<mount::Context> {
    ensure!(sys::retry(|| process::poll(&[hear.as_fd()], PATIENCE))?[0], "the helper says nothing");
    let mut text = [0; 1024];
    match socket::receive(hear, &mut text).context("hear from the helper")? {
        (_, Some(file)) => mount::Context::from_file(file).context("the helper sent another file"),
        (0, None) => bail!("the helper died"),
        (length, None) => Err(anyhow!("{}", String::from_utf8_lossy(&text[..length]))),
    }
}

/// Afterwards the children of this process are in the pid namespace, and there is nothing that one who gets hold of them could
/// take: no id, no file, no key.
fn confine(pid_namespace: &OwnedFd, tell: &OwnedFd) -> Result<()> {
    namespace::enter(pid_namespace, libc::CLONE_NEWPID).context("enter the pid namespace")?;
    keyring::leave_session().context("leave the caller's session keyring")?;
    namespace::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).context("make a user namespace")?;
    let attributes = mount::ATTR_NOSUID | mount::ATTR_NODEV | mount::ATTR_NOEXEC;
    let empty = mount::begin("tmpfs")?.mount(attributes).map_err(|(error, _)| error).context("mount an empty root")?;
    mount::attach(&empty, file::open(CWD, ".", libc::O_PATH, 0)?).context("attach an empty root")?;
    process::fchdir(&empty)?;
    mount::pivot_here().context("enter an empty root")?;
    mount::detach(c".").context("leave the root")?;
    process::chdir("/")?;
    drop(empty);
    let kept = process::number(tell).cast_unsigned();
    if let Some(before) = kept.checked_sub(1) {
        process::close_range(0, before, Range::Close)?;
    }
    Ok(process::close_range(kept + 1, u32::MAX, Range::Close)?)
}

/// Runs in the confined helper. Its child is in the pid namespace.
#[allow(clippy::needless_pass_by_value)] // it owns all that is left
fn open_inside(tell: OwnedFd) -> ! {
    match process::clone(&Clone::default()) {
        Ok(Side::Child) => {
            let _ = match mount::begin("proc") {
                Ok(context) => socket::send(&tell, b"p", Some(context.as_fd())),
                Err(error) => socket::send(&tell, error.to_string().as_bytes(), None),
            }; // a parent that is gone needs no answer
        }
        Ok(Side::Parent { pid, .. }) => {
            let _ = process::wait(pid); // however it ended, it has sent what it had
        }
        Err(error) => {
            let _ = socket::send(&tell, error.to_string().as_bytes(), None); // as above
        }
    }
    process::exit_now(0)
}
