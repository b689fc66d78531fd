//! The one socket between parent and child, typed at both ends.
//!
//! The child always speaks first, every request gets exactly one reply, and a failure of the child is a value on the same
//! socket. End of file means: the other side is gone. A request names an index into the plan, never a path.
//!
//! Message: one byte of tag, then an index, a number, names, or the text of an error; at most one descriptor beside it.

use crate::error::{Context, Kind, Result, anyhow, bail};
use crate::sys::{self, Errno, socket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Child → parent.
pub enum Request {
    /// Put me into my cgroups (v1: there is no birth into them).
    Place,
    /// Write the id maps of my new user namespace.
    MapIds,
    /// A copy of the source of mount number n of the plan.
    Mount(u16),
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
    /// Here is my heir, born in the pid namespace of the container; I am gone. The reply is for it.
    Born(OwnedFd),
    /// Everything is done but the last step; the program has been found.
    Ready {
        /// The device number of the devpts that was made for /dev/pts.
        devpts: Option<u64>,
    },
}

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

/// The parent's end.
pub struct Parent(OwnedFd);
/// The child's end.
pub struct Child(OwnedFd);

/// Both ends. After the clone each side drops the one that is not its own.
pub fn pair() -> Result<(Parent, Child)> {
    let (parent, child) = socket::pair().context("make the socket between parent and child")?;
    Ok((Parent(parent), Child(child)))
}

impl Parent {
    /// The child's next request; `None` when the child has closed its end: it runs the program now, or it died.
    /// A failure of the child is an error here, with the kind it had there.
    pub fn next(&self) -> Result<Option<Request>> {
        let mut buffer = [0u8; LIMIT];
        let (length, file) = socket::receive(&self.0, &mut buffer).context("hear from the child")?;
        let Some((tag, rest)) = buffer[..length].split_first() else {
            return Ok(None);
        };
        Ok(Some(match (*tag, rest, file) {
            (b'P', [], None) => Request::Place,
            (b'I', [], None) => Request::MapIds,
            (b'M', [low, high], None) => Request::Mount(u16::from_le_bytes([*low, *high])),
            (b'N', [], None) => Request::Network,
            (b'U', [], None) => Request::Limits,
            (b'S', [], None) => Request::Scheduling,
            (b'H', [], None) => Request::RunHooks,
            (b'T', [], Some(file)) => Request::Terminal(file),
            (b'L', [], Some(file)) => Request::Listener(file),
            (b'B', [], Some(file)) => Request::Born(file),
            (b'D', names, None) => Request::Made(names.split(|byte| *byte == 0).map(path).collect()),
            (b'R', [], None) => Request::Ready { devpts: None },
            (b'R', number, None) if number.len() == 8 => {
                Request::Ready { devpts: Some(u64::from_le_bytes(std::array::from_fn(|n| number[n]))) }
            }
            (FAILED, [kind, text @ ..], None) => return Err(decode_error(*kind, text)),
            _ => bail!("the child sent a message that is none (tag {tag}, {length} bytes)"),
        }))
    }

    /// EPIPE when it is gone.
    pub fn reply(&self, reply: &Reply) -> sys::Result<()> {
        let (bytes, file) = match reply {
            Reply::Go { pid } => ([&b"G"[..], &pid.to_le_bytes()].concat(), None),
            Reply::Mount(file) => (b"M".to_vec(), Some(file.as_fd())),
        };
        socket::send(&self.0, &bytes, file)
    }
}

impl AsFd for Parent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Child {
    /// Asks and waits for the answer.
    pub fn ask(&self, request: &Request) -> Result<Reply> {
        self.say(request)?;
        self.hear()
    }

    /// Leaves the answer to somebody else who has this end.
    pub fn say(&self, request: &Request) -> Result<()> {
        let (bytes, file): (Vec<u8>, _) = match request {
            Request::Place => (vec![b'P'], None),
            Request::MapIds => (vec![b'I'], None),
            Request::Mount(index) => ([&b"M"[..], &index.to_le_bytes()].concat(), None),
            Request::Network => (vec![b'N'], None),
            Request::Limits => (vec![b'U'], None),
            Request::Scheduling => (vec![b'S'], None),
            Request::RunHooks => (vec![b'H'], None),
            Request::Terminal(file) => (vec![b'T'], Some(file.as_fd())),
            Request::Listener(file) => (vec![b'L'], Some(file.as_fd())),
            Request::Born(file) => (vec![b'B'], Some(file.as_fd())),
            Request::Made(names) => (made(names), None),
            Request::Ready { devpts } => {
                (devpts.iter().fold(vec![b'R'], |tag, number| [&tag[..], &number.to_le_bytes()].concat()), None)
            }
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
    use std::os::fd::BorrowedFd;

    /// The socket's name in the state directory.
    pub const NAME: &str = "gate";
    const WORD: &[u8] = b"start";
    const GOING: &[u8] = b"going";

    /// Child: waits until somebody says the word; returns that connection.
    pub fn wait(listener: &OwnedFd) -> Result<OwnedFd> {
        loop {
            let connection = socket::accept(listener).context("wait at the gate")?;
            let mut buffer = [0u8; 16];
            match socket::receive(&connection, &mut buffer) {
                Ok((length, _)) if &buffer[..length] == WORD => return Ok(connection),
                _ => {} // nobody, or not the word: wait on
            }
        }
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

    /// `start`: opens the gate, and returns when the program runs (end of file) or with why it does not.
    pub fn open(state: BorrowedFd) -> Result<()> {
        let connection = socket::connect_packet_in(state, NAME).context("connect to the gate")?;
        socket::send(&connection, WORD, None).context("open the gate")?;
        let mut buffer = [0u8; super::LIMIT];
        let mut is_going = false;
        loop {
            let (length, _) = socket::receive(&connection, &mut buffer).context("wait for the program to start")?;
            match &buffer[..length] {
                [] if is_going => return Ok(()),
                [] => bail!("container init died before it could run its program"),
                [super::FAILED, kind, text @ ..] => return Err(decode_error(*kind, text)),
                GOING => is_going = true,
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
        for bytes in [&b"M"[..], b"X", b"Gx", b"T", &[0xff; 300]] {
            socket::send(&child.0, bytes, None).unwrap();
            assert!(parent.next().is_err());
        }
    }

    #[test]
    fn any_message_is_one_or_refused() {
        let tags = b"PIMNUSHTLBDR!GX";
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
            socket::send(&parent.0, &bytes, file).unwrap();
            let _ = child.ask(&Request::Ready { devpts: None });
        });
    }
}
