//! Processes: clone3, pidfds, waiting, prctl, exec, descriptors at the edge of exec.

use super::file::own;
use super::older::is_missing;
use super::{Errno, Error, Result, check, cstr, retry};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// What `clone3` is asked for. The `CLONE_NEW*` bits are the kernel's.
#[derive(Default)]
pub struct Clone<'a> {
    /// Namespaces to make, and nothing but `CLONE_NEW*` bits.
    pub namespaces: u64,
    /// The cgroup v2 directory that the child is born in (`CLONE_INTO_CGROUP`, Linux 5.7).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Sibling of the caller in place of child (`CLONE_PARENT`): whoever waits for the caller waits for it.
    pub sibling: Sibling,
}

#[derive(Default, PartialEq, Eq, Clone, Copy)]
pub enum Sibling {
    #[default]
    No,
    Yes,
}

/// `struct clone_args` up to Linux 5.7; libc has it for some architectures only.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Above the 32 bits that libc's constant has room for.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of `clone` this is.
pub enum Side {
    Parent { pid: i32, pidfd: OwnedFd },
    Child,
}

/// Copies this process, memory included, as fork does: `clone3` (Linux 5.3), or `clone` where that or CLONE_INTO_CGROUP is
/// missing or denied. The caller must be single-threaded, which all of this program is: nothing but the calling thread
/// exists in the child.
pub fn clone(ask: &Clone) -> Result<Side> {
    let mut args = CloneArgs::default();
    let mut pidfd: i32 = -1;
    args.flags = ask.namespaces | libc::CLONE_PIDFD.cast_unsigned() as u64;
    args.pidfd = (&raw mut pidfd).expose_provenance() as u64;
    match ask.sibling {
        Sibling::No => args.exit_signal = libc::SIGCHLD as u64,
        Sibling::Yes => args.flags |= libc::CLONE_PARENT as u64, // it takes the caller's own exit signal
    }
    if let Some(cgroup) = ask.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd().cast_unsigned().into();
    }
    // SAFETY: without CLONE_VM the child has its own copy of this single-threaded process; the struct lives for the call.
    let made = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) });
    match made {
        Err(error) if has_other_way(error, ask) => clone_2(ask),
        Err(error) => Err(error),
        Ok(0) => Ok(Side::Child),
        Ok(pid) => Ok(Side::Parent { pid: i32::try_from(pid).unwrap_or(-1), pidfd: own(pidfd.into()) }),
    }
}

/// Before Linux 5.7 the kernel does not know CLONE_INTO_CGROUP (EINVAL), or not the argument that names the cgroup (E2BIG).
/// In clone(2) the bit of CLONE_NEWTIME is one of the exit signal's.
fn has_other_way(error: Error, ask: &Clone) -> bool {
    let is_old = ask.cgroup.is_some() && matches!(error.0, Errno::EINVAL | Errno::E2BIG);
    (is_missing(error) || is_old) && ask.namespaces & libc::CLONE_NEWTIME as u64 == 0
}

/// `clone` by clone(2). The parent moves the child into its cgroup, and the child does nothing before that.
fn clone_2(ask: &Clone) -> Result<Side> {
    let flags = ask.namespaces | libc::CLONE_PIDFD.cast_unsigned() as u64;
    let flags = match ask.sibling {
        Sibling::No => flags | libc::SIGCHLD as u64,
        Sibling::Yes => flags | libc::CLONE_PARENT as u64,
    };
    let Some(cgroup) = ask.cgroup else { return raw_clone(flags) };
    let (placed, place) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    match raw_clone(flags)? {
        Side::Child => {
            drop(place);
            match super::file::read(&placed, &mut [0u8; 1]) {
                Ok(1) => Ok(Side::Child),
                _ => exit_now(1), // the parent has ended, or could not place this process
            }
        }
        Side::Parent { pid, pidfd } => {
            let move_in = || -> Result<()> {
                let members = super::file::open(cgroup, "cgroup.procs", libc::O_WRONLY, 0)?;
                super::file::write_once(members, pid.to_string().as_bytes())?;
                super::file::write_once(&place, b"p")
            };
            if let Err(error) = move_in() {
                drop(place);
                wait(pid)?;
                return Err(error);
            }
            Ok(Side::Parent { pid, pidfd })
        }
    }
}

/// The flags of `fork_sibling`, as seccomp sees them in the first argument of clone(2).
pub const FORK_SIBLING: u64 = (libc::CLONE_PARENT | libc::CLONE_PIDFD) as u64;

/// A copy of this process whose parent is ours (`CLONE_PARENT`), in the pid namespace that our children are born in. By clone(2):
/// profiles that hide clone3, whose arguments they cannot see, let it pass.
pub fn fork_sibling() -> Result<Side> {
    raw_clone(FORK_SIBLING)
}

fn raw_clone(flags: u64) -> Result<Side> {
    let mut pidfd: i32 = -1;
    let (none, at) = (0usize, &raw mut pidfd);
    let flags = libc::c_ulong::try_from(flags).map_err(|_| Error(Errno::EINVAL))?;
    let (first, second) = if cfg!(target_arch = "s390x") { (0, flags) } else { (flags, 0) };
    // SAFETY: without CLONE_VM, and with no stack named, the child has its own copy of this single-threaded process.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone, first, second, at, none, none) })?;
    if pid == 0 {
        return Ok(Side::Child);
    }
    Ok(Side::Parent { pid: i32::try_from(pid).unwrap_or(-1), pidfd: own(pidfd.into()) })
}

/// `pidfd_open` (Linux 5.3).
pub fn pidfd_open(pid: i32) -> Result<OwnedFd> {
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }).map(own)
}

/// `pidfd_open` of a single thread, which need not be the first of its process (`PIDFD_THREAD`). EINVAL before Linux 6.9.
pub fn pidfd_open_thread(tid: i32) -> Result<OwnedFd> {
    const PIDFD_THREAD: i32 = libc::O_EXCL;
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_pidfd_open, tid, PIDFD_THREAD) }).map(own)
}

/// The same as `pidfd_signal` for the whole process of a thread (`PIDFD_SIGNAL_THREAD_GROUP`, Linux 6.9).
pub fn pidfd_signal_process_of(thread: impl AsFd, signal: i32) -> Result<()> {
    const PIDFD_SIGNAL_THREAD_GROUP: i32 = 1 << 1;
    let (fd, none) = (thread.as_fd().as_raw_fd(), std::ptr::null::<libc::siginfo_t>());
    // SAFETY: a null siginfo asks the kernel to fill it in as kill(2) does.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, none, PIDFD_SIGNAL_THREAD_GROUP) };
    check(sent).map(drop)
}

/// `pidfd_send_signal` (Linux 5.1). ESRCH when the process is gone, even if its number is somebody else's by now.
pub fn pidfd_signal(pidfd: impl AsFd, signal: i32) -> Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo asks the kernel to fill it in as kill(2) does.
    check(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_fd().as_raw_fd(), signal, none, 0) }).map(drop)
}

/// `kill(2)` of a single process.
pub fn kill(pid: i32, signal: i32) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

impl Exit {
    /// What a shell would say: the code, or 128 + the signal.
    pub fn status(self) -> u8 {
        match self {
            Exit::Code(code) => u8::try_from(code & 0xff).unwrap_or(u8::MAX),
            Exit::Signal(signal) => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        }
    }
}

/// Waits for one particular child and reaps it.
pub fn wait(pid: i32) -> Result<Exit> {
    retry(|| wait_for(pid, 0)).map(|found| found.map_or(Exit::Code(0), |(_, exit)| exit))
}

/// Reaps one particular child, if it has ended and can be reaped.
pub fn try_wait(pid: i32) -> Result<Option<Exit>> {
    Ok(retry(|| wait_for(pid, libc::WNOHANG))?.map(|(_, exit)| exit))
}

/// Does the descriptor name a child of this process, dead or alive? waitid(2) with P_PIDFD (Linux 5.4) knows no other
/// processes: ECHILD for those, EBADF for a file that is no pidfd.
pub fn is_our_child(pidfd: impl AsFd) -> Result<bool> {
    // SAFETY: siginfo_t is plain data, for which zero is a valid value.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::WNOWAIT | libc::WNOHANG | libc::__WALL;
    let id = pidfd.as_fd().as_raw_fd().cast_unsigned();
    // SAFETY: the struct is ours. With these options nothing is waited for and nothing is reaped.
    let looked = retry(|| check(unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut info, options) }.into()));
    match looked {
        Ok(_) => Ok(true),
        Err(Error(Errno::ECHILD | Errno::EBADF)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reaps any child that has ended: its pid and how it ended; `None` when none has (or there is none).
pub fn reap() -> Result<Option<(i32, Exit)>> {
    match retry(|| wait_for(-1, libc::WNOHANG)) {
        Err(Error(Errno::ECHILD)) => Ok(None),
        other => other,
    }
}

fn wait_for(pid: i32, flags: i32) -> Result<Option<(i32, Exit)>> {
    let mut status = 0;
    // SAFETY: the status is ours.
    let got = check(unsafe { libc::waitpid(pid, &raw mut status, flags | libc::__WALL) }.into())?;
    let exit = if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    };
    Ok((got != 0).then(|| (i32::try_from(got).unwrap_or(-1), exit)))
}

pub fn pid() -> i32 {
    std::process::id().cast_signed()
}

/// Ends this process at once: no destructors, no buffers flushed. What a child does that must not run its parent's code.
///
/// The container's seccomp filter may already be on us and forbid even this: C libraries would then try for ever, so that
/// what they do is done here, and a fault, which no filter can forbid, ends it.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: neither call takes pointers; abort(3) ends in an illegal instruction when its signal does not arrive.
    unsafe {
        libc::syscall(libc::SYS_exit_group, code);
        libc::syscall(libc::SYS_exit, code);
        libc::abort()
    }
}

/// prctl(2) with arguments that are numbers. Each has the width of the kernel's unsigned long: of a narrower one C leaves the
/// upper half undefined, and some options look at all of it.
pub(super) fn prctl(option: i32, a: libc::c_ulong, b: libc::c_ulong) -> Result<()> {
    let none: libc::c_ulong = 0;
    // SAFETY: the options used in `sys` take integers only.
    check(unsafe { libc::prctl(option, a, b, none, none) }.into()).map(drop)
}

/// Whether other processes may trace this one or look through its /proc entries (prctl(2), PR_SET_DUMPABLE).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Dumpable {
    No,
    Yes,
}

pub fn set_dumpable(dumpable: Dumpable) -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(dumpable == Dumpable::Yes), 0)
}

/// Orphans among our descendants become our children, until we end.
pub fn become_subreaper() -> Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0)
}

/// Irrevocable: execve grants nothing from now on (set-user-ID bits, file capabilities).
pub fn set_no_new_privileges() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)
}

/// Replaces this process. Returns only with an error.
pub fn exec(path: &CStr, args: &[CString], env: &[CString]) -> Error {
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both arrays end in null, and they and their strings live until the image is replaced.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    Error(Errno::last())
}

/// Replaces this process by the program that an open file holds. Returns only with an error.
pub fn exec_fd(file: impl AsFd, args: &[CString], env: &[CString]) -> Error {
    let (args, env) = (pointers(args), pointers(env));
    let fd = file.as_fd().as_raw_fd();
    // SAFETY: as for `exec`; the empty path with AT_EMPTY_PATH names the descriptor.
    unsafe { libc::syscall(libc::SYS_execveat, fd, c"".as_ptr(), args.as_ptr(), env.as_ptr(), libc::AT_EMPTY_PATH) };
    let error = Error(Errno::last());
    let path = match error.0 {
        Errno::ENOENT => cstr(format!("/proc/self/fd/{fd}")),
        _ => return error,
    };
    // Linux 5.10 answers so for a memfd where the host has no /dev/fd.
    // SAFETY: as above.
    path.map_or(error, |path| unsafe {
        libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr());
        Error(Errno::last())
    })
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
}

/// May the effective user execute this file? EACCES when not.
pub fn may_execute(path: &str) -> Result<()> {
    super::file::access(path.as_ref(), libc::X_OK)
}

/// What to do with a range of descriptors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Close them now.
    Close,
    /// Mark them to be closed by execve (Linux 5.11).
    CloseOnExec,
}

/// `close_range` (Linux 5.9, its flag 5.11) over `first..=last`; where that is missing or denied, one call a descriptor.
pub fn close_range(first: u32, last: u32, how: Range) -> Result<()> {
    if first > last {
        return Ok(());
    }
    let flags = if how == Range::Close { 0 } else { libc::CLOSE_RANGE_CLOEXEC };
    // SAFETY: every OwnedFd in such a range is, by the callers' contract, never used or dropped again (they end in execve
    // or in exit_now), or, with CloseOnExec, stays open.
    match check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }) {
        Err(Error(Errno::ENOSYS | Errno::EPERM | Errno::EINVAL)) => {
            close_each(first, last, how);
            Ok(())
        }
        done => done.map(drop),
    }
}

/// Linux gives out the lowest free number. So once this process has closed what its caller left open, its own descriptors
/// have low numbers, but for a few that are named and kept.
const LOW_NUMBERS: u32 = 1 << 16;

/// Takes every low number, and those that /proc names besides. After the change of the root /proc is the container's, and
/// says what the image's author likes; by then all numbers are low.
fn close_each(first: u32, last: u32, how: Range) {
    for number in first..=last.min(LOW_NUMBERS) {
        close_one(number, how);
    }
    let Ok(open) = super::older::own_entry("fd", libc::O_RDONLY | libc::O_DIRECTORY) else { return };
    let names = super::file::list(open.as_fd()).unwrap_or_default(); // as if there was no /proc
    let numbers = names.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok());
    let high: Vec<u32> = numbers.filter(|number| (first..=last).contains(number) && *number > LOW_NUMBERS).collect();
    high.into_iter().for_each(|number| close_one(number, how));
}

/// A number that is not open is none to take care of: EBADF.
fn close_one(number: u32, how: Range) {
    let number = number.cast_signed();
    // SAFETY: as for `close_range`; neither call takes pointers.
    unsafe {
        match how {
            Range::Close => libc::close(number),
            Range::CloseOnExec => libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC),
        }
    };
}

/// Puts `file` at the number `at` (0, 1, 2, or 3 and up for preserved ones), open across execve.
pub fn place_fd(file: impl AsFd, at: i32) -> Result<()> {
    // SAFETY: dup3 of a borrowed descriptor; whoever owns `at` by that number wants it replaced.
    let done = unsafe { libc::dup3(file.as_fd().as_raw_fd(), at, 0) };
    match check(done.into()) {
        Err(Error(Errno::EINVAL)) => keep_over_exec(file), // it is there already
        other => other.map(drop),
    }
}

/// Takes the close-on-exec mark from a descriptor.
pub fn keep_over_exec(file: impl AsFd) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_SETFD, 0) }.into()).map(drop)
}

/// Is a descriptor of this number open?
pub fn fd_is_open(number: i32) -> bool {
    // SAFETY: F_GETFD looks and changes nothing.
    unsafe { libc::fcntl(number, libc::F_GETFD) >= 0 }
}

/// How many descriptors are open from 3 on, without a gap.
pub fn inherited_fds() -> u32 {
    (3u32..).take_while(|number| fd_is_open(number.cast_signed())).map(|number| number - 2).last().unwrap_or(0)
}

/// The raw number, for protocols that name descriptors by it (LISTEN_FDS, a terminal's master).
pub fn number(file: impl AsFd) -> i32 {
    file.as_fd().as_raw_fd()
}

/// Opens /dev/null on each of 0, 1 and 2 that is closed, so that no file of ours ever lands there.
pub fn fill_standard_streams() -> Result<()> {
    for number in 0..3 {
        if !fd_is_open(number) {
            let null = cstr("/dev/null")?;
            // SAFETY: the lowest free number is this one: it leaks on purpose, as a standard stream does.
            check(unsafe { libc::open(null.as_ptr(), libc::O_RDWR) }.into())?;
        }
    }
    Ok(())
}

/// `getcwd(2)` as the kernel says it, unlike libc's: a directory outside of the root reads "(unreachable)/…".
pub fn cwd() -> Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let mut buffer = vec![0u8; libc::PATH_MAX as usize + 1];
    // SAFETY: the buffer is ours and its length is told.
    let length = check(unsafe { libc::syscall(libc::SYS_getcwd, buffer.as_mut_ptr(), buffer.len()) })?;
    buffer.truncate(usize::try_from(length).unwrap_or(1) - 1);
    Ok(std::ffi::OsString::from_vec(buffer).into())
}

pub fn chdir(path: impl AsRef<std::path::Path>) -> Result<()> {
    Ok(nix::unistd::chdir(path.as_ref())?)
}

pub fn fchdir(dir: impl AsFd) -> Result<()> {
    Ok(nix::unistd::fchdir(dir)?)
}

/// A new session without a terminal. EPERM when we lead one already.
pub fn new_session() -> Result<()> {
    nix::unistd::setsid()?;
    Ok(())
}

/// Sets the file mode creation mask and returns the one before.
pub fn set_umask(mask: u32) -> u32 {
    // SAFETY: no pointers, cannot fail.
    unsafe { libc::umask(mask) }
}

/// Runs `make` with a umask of 0, so that what it makes has exactly the mode that it names. The umask belongs to the whole
/// process, which has one thread.
pub fn without_umask<T>(make: impl FnOnce() -> T) -> T {
    let before = set_umask(0);
    let made = make();
    set_umask(before);
    made
}

/// RLIMIT_NOFILE in one width: the C libraries differ.
#[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)]
pub const OPEN_FILES: u32 = libc::RLIMIT_NOFILE as u32;

/// Our own limit, soft and hard, by the kernel's number of the resource.
pub fn rlimit(resource: u32) -> Result<(u64, u64)> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    let none = std::ptr::null::<libc::rlimit64>();
    // SAFETY: the struct is ours and lives for the call.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, none, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets a resource limit of a process, by the kernel's number of the resource. EPERM when `hard` is above the present one
/// and we lack CAP_SYS_RESOURCE in the initial user namespace.
pub fn set_rlimit_of(pid: i32, resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    let old = std::ptr::null_mut::<libc::rlimit64>();
    // SAFETY: the struct lives for the call, a null pointer asks for no old value.
    check(unsafe { libc::syscall(libc::SYS_prlimit64, pid, resource, &raw const limit, old) }).map(drop)
}

/// The command ends when the process that starts it does, however that ends: SIGKILL, by `PR_SET_PDEATHSIG`. What the
/// command starts itself does not.
pub fn die_with_us(command: &mut std::process::Command) {
    let parent = pid();
    let bind = move || {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::SIGKILL)?;
        // Seen from within, a parent that has ended in the meantime is another, or none.
        if nix::unistd::getppid().as_raw() == parent {
            Ok(())
        } else {
            Err(std::io::Error::from_raw_os_error(libc::ESRCH))
        }
    };
    // SAFETY: between fork and execve it makes two system calls, and allocates nothing.
    unsafe { std::os::unix::process::CommandExt::pre_exec(command, bind) };
}

/// Polls descriptors for reading (`POLLIN`) up to `timeout` milliseconds (-1: for ever). Returns which have something,
/// an end of file or an error.
pub fn poll(files: &[BorrowedFd], timeout: i32) -> Result<Vec<bool>> {
    let mut polls: Vec<libc::pollfd> =
        files.iter().map(|f| libc::pollfd { fd: f.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
    // SAFETY: the array is ours and its length is told.
    check(unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, timeout) }.into())?;
    Ok(polls.iter().map(|p| p.revents != 0).collect())
}

/// What to wait for on a descriptor, and what has come. An end of file or an error counts as both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Events(i16);

impl Events {
    pub const NONE: Events = Events(0);
    pub const READ: Events = Events(libc::POLLIN);
    pub const WRITE: Events = Events(libc::POLLOUT);
    /// A kernel file that one can wait for has changed since it was read.
    pub const PRIORITY: Events = Events(libc::POLLPRI);
}

impl std::ops::BitOr for Events {
    type Output = Events;
    fn bitor(self, other: Events) -> Events {
        Events(self.0 | other.0)
    }
}

pub struct Watch<'a> {
    pub file: BorrowedFd<'a>,
    /// Before: what is wanted; after: what there is.
    pub events: Events,
}

/// Waits, without a limit, until one of the wanted events is there.
pub fn watch(watches: &mut [Watch]) -> Result<()> {
    poll_for(watches, -1)
}

/// The same up to a time limit. A signal that was handled ends the wait early.
pub fn watch_for(watches: &mut [Watch], limit: std::time::Duration) -> Result<()> {
    let milliseconds = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX).saturating_add(1);
    match poll_for(watches, milliseconds) {
        Err(Error(Errno::EINTR)) => {
            watches.iter_mut().for_each(|watch| watch.events = Events::NONE);
            Ok(())
        }
        done => done,
    }
}

/// Is one of these events there now?
pub fn is_ready(file: BorrowedFd, events: Events) -> bool {
    let mut watches = [Watch { file, events }];
    poll_for(&mut watches, 0).is_ok() && watches[0].events != Events::NONE
}

fn poll_for(watches: &mut [Watch], timeout: i32) -> Result<()> {
    let mut polls: Vec<libc::pollfd> = watches
        .iter()
        .map(|watch| libc::pollfd { fd: watch.file.as_raw_fd(), events: watch.events.0, revents: 0 })
        .collect();
    // SAFETY: the array is ours and its length is told.
    check(unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, timeout) }.into())?;
    for (watch, poll) in watches.iter_mut().zip(polls) {
        watch.events = Events(poll.revents);
    }
    Ok(())
}

/// The execution domain (personality(2)) as `uname` shows it; flags that the caller had are gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Personality {
    Linux,
    /// A 32-bit machine, such as i686.
    Linux32,
}

pub fn set_personality(personality: Personality) -> Result<()> {
    let domain: libc::c_ulong = match personality {
        Personality::Linux => 0,
        Personality::Linux32 => 8, // PER_LINUX32
    };
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_personality, domain) }).map(drop)
}

/// Standard input, output and error: open from the first line of main on, and never owned by anybody.
pub const STREAMS: [BorrowedFd<'static>; 3] = {
    // SAFETY: `fill_standard_streams` opened what was closed, and nothing in this program closes them.
    unsafe { [BorrowedFd::borrow_raw(0), BorrowedFd::borrow_raw(1), BorrowedFd::borrow_raw(2)] }
};
