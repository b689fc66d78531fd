//! The one socket between parent and child, typed at both ends.
//!
//! The child always speaks first, every request gets exactly one reply, and a failure of the child is a value on the same
//! socket. End of file means: the other side is gone. A request names an index into the plan, never a path.
//!
//! Message: one byte of tag, then an index, a number, names, or the text of an error; at most one descriptor beside it.
//!
//! **Who may have sent a message** decides what the parent takes. The parent's end has one type for each phase, with the
//! requests of that phase and no others:
//!
//! 1. `Parent<Hidden>`: no process of a container sees the child (it is alone in a new pid namespace, or still in the
//!    runtime's). `Request`. The last one announces the fork into the pid namespace of a container (`Request::Fork`), and is
//!    sent before it. From the fork on a payload with CAP_SYS_PTRACE can take the child's end (pidfd_getfd(2)) and send
//!    what it likes.
//! 2. `Parent<Forking>`: one message, the number of the process that takes over, which the parent must prove.
//! 3. `Parent<Exposed>`: `ExposedRequest`: few, each once, and of those only that with a seccomp listener may bring a
//!    descriptor.
//! 4. `Parent<Released>`: `Ready` has been asked. Only a failure or the end of file follow.

use crate::error::{Context, Kind, Result, anyhow, bail};
use crate::sys::{self, Errno, socket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Child → parent.
pub enum Request {
    /// Put me into my cgroups (v1: there is no birth into them).
    Place,
    /// The device rules must be in force now: I am going to open files of the image. The parent serves no request before they
    /// are, so that the answer alone says it.
    Rules,
    /// Write the id maps of my new user namespace.
    MapIds,
    /// Mount the root filesystem over itself in my mount namespace: I may not walk to it.
    Root,
    /// A copy of the source of mount number n of the plan.
    Mount(u16),
    /// A copy of the node of device number n of the plan, made by the parent. `Reply::Go`: the parent may not make it either.
    Device(u16),
    /// Move the plan's network devices into my network namespace.
    Network,
    /// Set my resource limits: I may not raise one.
    Limits,
    /// Set my scheduling policy and I/O priority: I may not.
    Scheduling,
    /// Run the hooks that belong to the runtime's namespaces, prestart and createRuntime.
    RunHooks,
    /// Here is the terminal's master.
    Terminal(OwnedFd),
    /// Here is the descriptor on which the kernel asks about system calls: for the agent.
    Listener(OwnedFd),
    /// So much have I made in the root filesystem, as paths in it.
    Made(Vec<PathBuf>),
    /// The sender is going to fork into the container's pid namespace. The one request without a reply: `Child::forked`
    /// follows, sent by the sender, which exits then. The new process reads the reply to that.
    Fork {
        /// The device number of the devpts that was made for /dev/pts.
        devpts: Option<u64>,
    },
    /// Everything is done but the last step; the program has been found.
    Ready {
        /// As in `Fork`.
        devpts: Option<u64>,
    },
}

/// Child → parent, when a payload may be the sender: none of it is believed, and nothing is done with it that the payload
/// could not do to a process of its own container.
#[derive(Debug)]
pub enum ExposedRequest {
    /// As `Request::Limits`.
    Limits,
    /// As `Request::Scheduling`.
    Scheduling,
    /// As `Request::Listener`.
    Listener(OwnedFd),
    /// As `Request::Ready`.
    Ready,
}

/// No process of a container can have sent a message.
pub struct Hidden(());

/// The child forks; a process of the container may have sent any message.
pub struct Forking(());

/// The child has forked; a process of the container may have sent any message.
pub struct Exposed {
    /// The tags of the requests that may still come.
    due: Vec<u8>,
}

/// Nothing is asked any more.
pub struct Released(());

/// Parent → child.
#[derive(Debug)]
pub enum Reply {
    /// Go on. The child's pid as the runtime sees it comes along: inside a pid namespace it cannot know.
    Go {
        pid: i32,
    },
    Mount(OwnedFd),
}

/// The descriptors that the child is born with.
pub struct Ends {
    pub link: Child,
    /// Where a created container waits; `run` and `exec` have none.
    pub gate: Option<OwnedFd>,
    pub entry: Entry,
    /// The host's /proc, when the process is to have labels and cannot make a procfs of its own.
    pub procfs: Option<OwnedFd>,
}

/// How the child got where it is, and which namespaces it still has to enter.
pub enum Entry {
    /// The clone made the new namespaces. Those to be joined, in the plan's order, are still to be entered.
    Direct { joined: Vec<(i32, OwnedFd)> },
    /// An intermediate process had entered the joined namespaces before the clone.
    Staged,
    /// exec.
    Target(Door),
}

/// The way into a running container.
pub struct Door {
    /// A pidfd of its init, or of another thread of init when the first one has ended.
    pub init: OwnedFd,
    /// The namespaces one by one, with their `CLONE_NEW*` bits, where the pidfd does not lead to them: before Linux 6.9 none is
    /// to be had of a thread. Empty otherwise.
    pub namespaces: Vec<(i32, OwnedFd)>,
    /// Its root, where the container has no mount namespace to find it by.
    pub root: Option<OwnedFd>,
}

/// No message is longer; a longer error text is cut.
const LIMIT: usize = 16 * 1024;

const FAILED: u8 = b'!';

/// The parent's end, in one of its phases.
pub struct Parent<Phase = Hidden> {
    end: OwnedFd,
    phase: Phase,
}
/// The child's end.
pub struct Child(OwnedFd);

/// Both ends. After the clone each side drops the one that is not its own.
pub fn pair() -> Result<(Parent, Child)> {
    let (parent, child) = socket::pair().context("make the socket between parent and child")?;
    Ok((Parent { end: parent, phase: Hidden(()) }, Child(child)))
}

impl Parent<Hidden> {
    /// The child's next request; `None` when the child has closed its end: it runs the program now, or it died.
    /// A failure of the child is an error here, with the kind it had there.
    pub fn next(&self) -> Result<Option<Request>> {
        let mut buffer = [0u8; LIMIT];
        let (length, file) = socket::receive(&self.end, &mut buffer).context("hear from the child")?;
        let Some((tag, rest)) = buffer[..length].split_first() else {
            return Ok(None);
        };
        Ok(Some(match (*tag, rest, file) {
            (b'P', [], None) => Request::Place,
            (b'G', [], None) => Request::Rules,
            (b'I', [], None) => Request::MapIds,
            (b'O', [], None) => Request::Root,
            (b'M', [low, high], None) => Request::Mount(u16::from_le_bytes([*low, *high])),
            (b'V', [low, high], None) => Request::Device(u16::from_le_bytes([*low, *high])),
            (b'N', [], None) => Request::Network,
            (LIMITS, [], None) => Request::Limits,
            (SCHEDULING, [], None) => Request::Scheduling,
            (b'H', [], None) => Request::RunHooks,
            (b'T', [], Some(file)) => Request::Terminal(file),
            (LISTENER, [], Some(file)) => Request::Listener(file),
            (b'F', number, None) => Request::Fork { devpts: optional_number(number)? },
            (b'D', names, None) => Request::Made(names.split(|byte| *byte == 0).map(path).collect()),
            (READY, number, None) => Request::Ready { devpts: optional_number(number)? },
            (FAILED, [kind, text @ ..], None) => return Err(decode_error(*kind, text)),
            _ => bail!("the child sent a message that is none (tag {tag}, {length} bytes)"),
        }))
    }

    /// The next phase, once the child has announced its fork.
    pub fn await_fork(self) -> Parent<Forking> {
        Parent { end: self.end, phase: Forking(()) }
    }

    /// The last phase, once `Ready` has been asked.
    pub fn release(self) -> Parent<Released> {
        Parent { end: self.end, phase: Released(()) }
    }
}

impl Parent<Forking> {
    /// The number of the process that was forked, as the sender says. `None` when all who had the child's end have closed it.
    pub fn successor(&self) -> Result<Option<i32>> {
        let mut buffer = [0u8; LIMIT];
        let length = socket::receive_bytes(&self.end, &mut buffer).context("hear from the child")?;
        match &buffer[..length] {
            [] => Ok(None),
            [FORKED, a, b, c, d] => Ok(Some(i32::from_le_bytes([*a, *b, *c, *d]))),
            [FAILED, kind, text @ ..] => Err(decode_error(*kind, text)),
            [tag, ..] => bail!("a process of the container sent a message that cannot come now (tag {tag})"),
        }
    }

    /// The next phase. `listener` says whether the plan lets the child send one.
    pub fn expose(self, listener: Descriptors) -> Parent<Exposed> {
        let mut due = vec![LIMITS, SCHEDULING, READY];
        if listener == Descriptors::One {
            due.push(LISTENER);
        }
        Parent { end: self.end, phase: Exposed { due } }
    }
}

impl Parent<Exposed> {
    /// The next message, if it is a request that may come now: each comes once, none after `Ready`. `None` when all who had
    /// the child's end have closed it.
    pub fn next(&mut self) -> Result<Option<ExposedRequest>> {
        let mut buffer = [0u8; LIMIT];
        // A descriptor that is not taken out of the message is dropped by the kernel without close(2), which a file system of
        // the container's could hold up.
        let (length, file) = match self.phase.due.contains(&LISTENER) {
            true => socket::receive(&self.end, &mut buffer),
            false => socket::receive_bytes(&self.end, &mut buffer).map(|length| (length, None)),
        }
        .context("hear from the child")?;
        let Some((tag, rest)) = buffer[..length].split_first() else {
            return Ok(None);
        };
        if let (FAILED, [kind, text @ ..]) = (*tag, rest) {
            return Err(decode_error(*kind, text));
        }
        let Some(at) = self.phase.due.iter().position(|due| due == tag) else {
            bail!("a process of the container sent a message that cannot come now (tag {tag}, {length} bytes)");
        };
        self.phase.due.swap_remove(at);
        Ok(Some(match (*tag, rest, file) {
            (LIMITS, [], None) => ExposedRequest::Limits,
            (SCHEDULING, [], None) => ExposedRequest::Scheduling,
            (LISTENER, [], Some(file)) => ExposedRequest::Listener(file),
            (READY, [], None) => ExposedRequest::Ready,
            _ => bail!("a process of the container sent a message that is none (tag {tag}, {length} bytes)"),
        }))
    }

    /// The last phase, once `Ready` has been asked.
    pub fn release(self) -> Parent<Released> {
        Parent { end: self.end, phase: Released(()) }
    }
}

impl Parent<Released> {
    /// What comes after the last reply: the end of file when the program runs (or the child died), or why it does not run.
    pub fn end(&self) -> Result<()> {
        let mut buffer = [0u8; LIMIT];
        let length = socket::receive_bytes(&self.end, &mut buffer).context("hear from the child")?;
        match &buffer[..length] {
            [] => Ok(()),
            [FAILED, kind, text @ ..] => Err(decode_error(*kind, text)),
            _ => bail!("the child asked for something after it was ready"),
        }
    }
}

impl<Phase> Parent<Phase> {
    /// EPIPE when it is gone. EAGAIN when it does not read: a reply is never waited for.
    pub fn reply(&self, reply: &Reply) -> sys::Result<()> {
        let (bytes, file) = match reply {
            Reply::Go { pid } => ([&b"G"[..], &pid.to_le_bytes()].concat(), None),
            Reply::Mount(file) => (b"M".to_vec(), Some(file.as_fd())),
        };
        socket::send_now(&self.end, &bytes, file)
    }
}

impl<Phase> AsFd for Parent<Phase> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}

/// May a message bring a descriptor?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Descriptors {
    None,
    One,
}

const LIMITS: u8 = b'U';
const SCHEDULING: u8 = b'S';
const LISTENER: u8 = b'L';
const READY: u8 = b'R';
const FORKED: u8 = b'B';

fn optional_number(bytes: &[u8]) -> Result<Option<u64>> {
    match bytes {
        [] => Ok(None),
        bytes => Ok(Some(u64::from_le_bytes(bytes.try_into().context("the child sent a number that is none")?))),
    }
}

fn number(tag: u8, number: Option<u64>) -> Vec<u8> {
    number.iter().fold(vec![tag], |bytes, number| [&bytes[..], &number.to_le_bytes()].concat())
}

impl Child {
    /// Asks and waits for the answer.
    pub fn ask(&self, request: &Request) -> Result<Reply> {
        self.say(request)?;
        self.hear()
    }

    /// Tells the parent which process takes over; that one reads the answer.
    pub fn forked(&self, pid: i32) -> Result<()> {
        let bytes = [&[FORKED][..], &pid.to_le_bytes()].concat();
        socket::send(&self.0, &bytes, None).context("tell the parent")
    }

    /// Sends a request, whose answer `hear_go` takes, if it has one.
    pub fn say(&self, request: &Request) -> Result<()> {
        let (bytes, file): (Vec<u8>, _) = match request {
            Request::Place => (vec![b'P'], None),
            Request::Rules => (vec![b'G'], None),
            Request::MapIds => (vec![b'I'], None),
            Request::Root => (vec![b'O'], None),
            Request::Mount(index) => ([&b"M"[..], &index.to_le_bytes()].concat(), None),
            Request::Device(index) => ([&b"V"[..], &index.to_le_bytes()].concat(), None),
            Request::Network => (vec![b'N'], None),
            Request::Limits => (vec![LIMITS], None),
            Request::Scheduling => (vec![SCHEDULING], None),
            Request::RunHooks => (vec![b'H'], None),
            Request::Terminal(file) => (vec![b'T'], Some(file.as_fd())),
            Request::Listener(file) => (vec![LISTENER], Some(file.as_fd())),
            Request::Fork { devpts } => (number(b'F', *devpts), None),
            Request::Made(names) => (made(names), None),
            Request::Ready { devpts } => (number(READY, *devpts), None),
        };
        socket::send(&self.0, &bytes, file).context("ask the parent")
    }

    fn hear(&self) -> Result<Reply> {
        let mut buffer = [0u8; 8];
        let (length, file) = socket::receive(&self.0, &mut buffer).context("hear from the parent")?;
        match (&buffer[..length], file) {
            ([b'G', a, b, c, d], None) => Ok(Reply::Go { pid: i32::from_le_bytes([*a, *b, *c, *d]) }),
            (b"M", Some(file)) => Ok(Reply::Mount(file)),
            ([], _) => bail!("the parent is gone"),
            _ => bail!("the parent sent an answer that is none"),
        }
    }

    /// Asks for something whose only answer is "go on"; returns our pid as the runtime sees it.
    pub fn ask_go(&self, request: &Request) -> Result<i32> {
        self.say(request)?;
        self.hear_go()
    }

    /// Asks for a mount.
    pub fn ask_mount(&self, request: &Request) -> Result<OwnedFd> {
        match self.ask(request)? {
            Reply::Mount(mount) => Ok(mount),
            Reply::Go { .. } => bail!("the parent answered another question"),
        }
    }

    /// Waits for the answer to what somebody else has said.
    pub fn hear_go(&self) -> Result<i32> {
        match self.hear()? {
            Reply::Go { pid } => Ok(pid),
            Reply::Mount(_) => bail!("the parent answered another question"),
        }
    }

    /// Tells the parent what was made in the root filesystem, in as many messages as it takes.
    pub fn tell_made(&self, names: &[PathBuf]) -> Result<()> {
        let mut rest = names;
        while !rest.is_empty() {
            let mut room = LIMIT;
            let fits = |name: &&PathBuf| {
                room = room.saturating_sub(name.as_os_str().len() + 1);
                room > 0
            };
            let count = rest.iter().take_while(fits).count().max(1); // no path is longer than a message
            let (now, later) = rest.split_at(count);
            self.ask_go(&Request::Made(now.to_vec()))?;
            rest = later;
        }
        Ok(())
    }

    /// Tells the parent why there will be no container.
    pub fn fail(&self, error: &anyhow::Error) {
        send_failure(&self.0, error);
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    std::ffi::OsStr::from_bytes(bytes).into()
}

fn made(names: &[PathBuf]) -> Vec<u8> {
    let names: Vec<&[u8]> = names.iter().map(|name| name.as_os_str().as_bytes()).collect();
    [b"D", &names.join(&0)[..]].concat()
}

/// Sends an error as a value. Nobody may be left to hear it; then nobody needs it.
fn send_failure(to: impl AsFd, error: &anyhow::Error) {
    let mut bytes = vec![FAILED, encode_kind(error)];
    bytes.extend(crate::error::line(error).into_bytes());
    bytes.truncate(LIMIT);
    let _ = socket::send(to, &bytes, None); // see above
}

fn encode_kind(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Kind>() {
        None | Some(Kind::Interrupted(_)) => 0,
        Some(Kind::NotExist) => 1,
        Some(Kind::NotRunning) => 2,
    }
}

fn decode_error(kind: u8, text: &[u8]) -> anyhow::Error {
    let text = String::from_utf8_lossy(text).into_owned();
    match kind {
        1 => anyhow!(Kind::NotExist).context(text),
        2 => anyhow!(Kind::NotRunning).context(text),
        _ => anyhow!(text),
    }
}

/// What a created container waits at: a listening socket in its state directory, which `start` connects to.
///
/// Everybody who can connect there is root on the host. An empty connection (somebody asked whether we still wait, or a
/// `start` was killed) opens nothing; the one word opens it. The connection then serves as link for what may still fail.
pub mod gate {
    use super::{Context, Errno, OwnedFd, Result, bail, decode_error, send_failure, socket, sys};
    use std::os::fd::{AsFd, BorrowedFd};

    /// The socket's name in the state directory.
    pub const NAME: &str = "gate";
    const WORD: &[u8] = b"start";
    /// The word of a `start` that takes the NOTIFY_SOCKET over.
    const WORD_AND_SOCKET: &[u8] = b"start notify";
    /// Goes before a descriptor: the container's NOTIFY_SOCKET, kept here from `create` until `start`.
    const SOCKET: &[u8] = b"notify";
    const GOING: &[u8] = b"going";

    /// Child: waits until somebody says the word; returns that connection.
    pub fn wait(listener: &OwnedFd) -> Result<OwnedFd> {
        let mut kept: Option<OwnedFd> = None;
        loop {
            let connection = socket::accept(listener).context("wait at the gate")?;
            let mut buffer = [0u8; 16];
            let Ok((length, file)) = socket::receive(&connection, &mut buffer) else { continue }; // an empty connection
            match (&buffer[..length], file) {
                (WORD, _) => return Ok(connection),
                (WORD_AND_SOCKET, _) => {
                    if let Some(socket) = kept {
                        let _ = socket::send(&connection, SOCKET, Some(socket.as_fd())); // a `start` that was killed has said the word
                    }
                    return Ok(connection);
                }
                (SOCKET, Some(socket)) => kept = Some(socket),
                _ => {} // not the word: wait on
            }
        }
    }

    /// `create`: leaves the container's NOTIFY_SOCKET with the process that will wait at the gate.
    pub fn deposit(state: BorrowedFd, file: &OwnedFd) -> Result<()> {
        let connection = socket::connect_packet_in(state, NAME).context("connect to the gate")?;
        socket::send(&connection, SOCKET, Some(file.as_fd())).context("leave the NOTIFY_SOCKET at the gate")
    }

    /// What `start` wants besides the start.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub enum Wish {
        Nothing,
        /// The container's NOTIFY_SOCKET.
        Socket,
    }

    /// Child: the execve is next. From here on the end of the connection means that the program runs. A `start` that was killed
    /// meanwhile need not hear it: it has said the word.
    pub fn going(connection: &OwnedFd) -> Result<()> {
        match socket::send(connection, GOING, None) {
            Err(sys::Error(Errno::EPIPE | Errno::ECONNRESET)) => Ok(()),
            other => other.context("tell start"),
        }
    }

    /// Child: tells `start` why the program does not run.
    pub fn fail(connection: &OwnedFd, error: &anyhow::Error) {
        send_failure(connection, error);
    }

    /// Anybody on the host: does the container still wait there?
    pub fn is_closed(state: BorrowedFd) -> Result<bool> {
        match socket::connect_packet_in(state, NAME) {
            Ok(_) | Err(sys::Error(Errno::EAGAIN)) => Ok(true),
            Err(sys::Error(Errno::ECONNREFUSED | Errno::ENOENT)) => Ok(false),
            Err(error) => Err(error).context("look at the gate"),
        }
    }

    /// What `start` sees while it waits.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub enum Seen {
        /// There is something to be read.
        Message,
        /// The program runs, though the connection says nothing: a copy of its other end is in other hands.
        Program,
    }

    /// `start`: opens the gate, and returns when the program runs (end of file) or with why it does not. With the
    /// container's NOTIFY_SOCKET, if that was wished for and is there; no other descriptor is taken. `wait` returns when
    /// something has happened: a process of the container that may trace the one at the gate can keep it from ever speaking.
    pub fn open(state: BorrowedFd, wish: Wish, wait: impl Fn(BorrowedFd) -> Result<Seen>) -> Result<Option<OwnedFd>> {
        let connection = socket::connect_packet_in(state, NAME).context("connect to the gate")?;
        let word = if wish == Wish::Socket { WORD_AND_SOCKET } else { WORD };
        socket::send(&connection, word, None).context("open the gate")?;
        let mut buffer = [0u8; super::LIMIT];
        let (mut is_going, mut kept) = (false, None);
        loop {
            if wait(connection.as_fd())? == Seen::Program {
                return Ok(kept);
            }
            let received = match (wish, &kept) {
                (Wish::Socket, None) => socket::receive(&connection, &mut buffer),
                _ => socket::receive_bytes(&connection, &mut buffer).map(|length| (length, None)),
            };
            let (length, file) = received.context("wait for the program to start")?;
            match &buffer[..length] {
                [] if is_going => return Ok(kept),
                [] => bail!("container init died before it could run its program"),
                [super::FAILED, kind, text @ ..] => return Err(decode_error(*kind, text)),
                GOING if !is_going => is_going = true,
                SOCKET if kept.is_none() => kept = file,
                _ => bail!("the container sent a message that is none"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_child_arrives_with_its_kind() {
        let (parent, child) = pair().unwrap();
        child.fail(&anyhow!(Kind::NotRunning).context("join the container"));
        let error = parent.next().err().unwrap();
        assert!(crate::error::is(&error, Kind::NotRunning));
        assert!(format!("{error:#}").starts_with("join the container: container not running"));
    }

    #[test]
    fn the_end_of_the_child_is_not_an_error() {
        let (parent, child) = pair().unwrap();
        drop(child);
        assert!(parent.next().unwrap().is_none());
    }

    #[test]
    fn as_many_names_as_were_made_arrive() {
        let (parent, child) = pair().unwrap();
        let names: Vec<PathBuf> = (0..3000).map(|n| format!("/a/name/of/some/length/{n}").into()).collect();
        let told = names.clone();
        let teller = std::thread::spawn(move || child.tell_made(&told));
        let mut heard = Vec::new();
        while let Some(Request::Made(some)) = parent.next().unwrap() {
            heard.extend(some);
            parent.reply(&Reply::Go { pid: 1 }).unwrap();
        }
        teller.join().unwrap().unwrap();
        assert_eq!(heard, names);
    }

    #[test]
    fn garbage_is_refused() {
        let (parent, child) = pair().unwrap();
        for bytes in [&b"M"[..], b"X", b"Gx", b"T", b"R1234567", &[0xff; 300]] {
            socket::send(&child.0, bytes, None).unwrap();
            assert!(parent.next().is_err());
        }
    }

    #[test]
    fn an_exposed_child_can_ask_a_few_things_and_each_of_them_once() {
        let hidden = [&b"P"[..], b"I", b"M\0\0", b"V\0\0", b"N", b"H", b"T", b"D/x", b"B", b"L", b"F"];
        for bytes in hidden {
            let (parent, child) = pair().unwrap();
            let mut parent = parent.await_fork().expose(Descriptors::None);
            let (file, _) = socket::pair().unwrap();
            socket::send(&child.0, bytes, Some(file.as_fd())).unwrap();
            assert!(parent.next().is_err(), "{bytes:?}");
        }
        let (parent, child) = pair().unwrap();
        let mut parent = parent.await_fork().expose(Descriptors::One);
        let (file, _) = socket::pair().unwrap();
        let due: [(&[u8], _); 4] = [(b"L", Some(file.as_fd())), (b"U", None), (b"S", None), (b"R", None)];
        for (bytes, file) in due {
            socket::send(&child.0, bytes, file).unwrap();
            parent.next().unwrap();
            socket::send(&child.0, bytes, file).unwrap();
            assert!(parent.next().is_err(), "{bytes:?} for the second time");
        }
    }

    #[test]
    fn a_child_that_forks_says_one_number_and_nothing_else() {
        for bytes in [&b"P"[..], b"M\0\0", b"H", b"N", b"D/x", b"R", b"F", b"B", b"B12345", b"U"] {
            let (parent, child) = pair().unwrap();
            socket::send(&child.0, bytes, None).unwrap();
            assert!(parent.await_fork().successor().is_err(), "{bytes:?}");
        }
        let (parent, child) = pair().unwrap();
        child.say(&Request::Fork { devpts: Some(7) }).unwrap();
        child.forked(42).unwrap();
        assert!(matches!(parent.next().unwrap(), Some(Request::Fork { devpts: Some(7) })));
        assert_eq!(parent.await_fork().successor().unwrap(), Some(42));
    }

    #[test]
    fn a_released_child_asks_nothing() {
        let (parent, child) = pair().unwrap();
        let parent = parent.release();
        socket::send(&child.0, b"P", None).unwrap();
        assert!(parent.end().is_err());
        child.fail(&anyhow!("no such program"));
        assert_eq!(format!("{}", parent.end().unwrap_err()), "no such program");
        drop(child);
        parent.end().unwrap();
    }

    #[test]
    fn any_message_is_one_or_refused() {
        let tags = b"PIMVNUSHTLBDR!GX";
        crate::fuzz::often(3000, |random| {
            let (parent, child) = pair().unwrap();
            let mut bytes = vec![tags[random.below(tags.len())]];
            for _ in 0..random.below(4) {
                random.damage(&mut bytes);
            }
            bytes.truncate(LIMIT);
            let (file, _) = socket::pair().unwrap();
            let file = random.one_in(2).then_some(file.as_fd());
            socket::send(&child.0, &bytes, file).unwrap();
            let _ = parent.next();
            socket::send(&parent.end, &bytes, file).unwrap();
            let _ = child.ask(&Request::Ready { devpts: None });
            let mut parent = parent.await_fork().expose(Descriptors::One);
            socket::send(&child.0, &bytes, file).unwrap();
            let _ = (parent.next(), parent.next());
            socket::send(&child.0, &bytes, file).unwrap();
            let _ = parent.release().end();
        });
    }
}
