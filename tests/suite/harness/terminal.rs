//! Both ends of terminals: a pty pair of the test's own, and the socket on which a runtime hands over a container's.

use super::eventually;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty;
use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// The master end of a terminal, never blocking.
pub struct Pty {
    master: File,
    seen: String,
}

impl Pty {
    fn new(master: File) -> Self {
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a master that does not block");
        Self { master, seen: String::new() }
    }

    pub fn write(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).expect("type on the terminal");
    }

    /// What has come out so far.
    pub fn seen(&mut self) -> &str {
        let mut buffer = [0; 4096];
        // EIO: nobody has the other end open.
        while let Ok(count @ 1..) = self.master.read(&mut buffer) {
            self.seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        &self.seen
    }

    /// Takes one piece of what has come out, as a terminal on a slow line does.
    pub fn read_some(&mut self) {
        let _ = self.master.read(&mut [0; 4096]); // nothing may be there
    }

    #[track_caller]
    pub fn has_shown(&mut self, text: &str) {
        eventually(&format!("{text:?} on the terminal"), || self.seen().contains(text));
    }
}

/// A pty pair: the master, and the slave with its path.
pub fn pair() -> (Pty, File, PathBuf) {
    let master = pty::posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).expect("open a pty");
    pty::grantpt(&master).expect("grant the pty");
    pty::unlockpt(&master).expect("unlock the pty");
    let path = PathBuf::from(pty::ptsname_r(&master).expect("name the pty"));
    let slave = File::options().read(true).write(true).open(&path).expect("open the slave");
    (Pty::new(File::from(OwnedFd::from(master))), slave, path)
}

/// A console socket.
pub struct Console {
    listener: UnixListener,
    path: PathBuf,
}

/// What came through a console socket.
pub struct Delivery {
    pub payload: Vec<u8>,
    pub descriptors: Vec<OwnedFd>,
    connection: UnixStream,
}

impl Console {
    pub fn listen(path: &Path) -> Self {
        let listener = UnixListener::bind(path).expect("bind the console socket");
        listener.set_nonblocking(true).expect("a listener that does not block");
        Self { listener, path: path.to_owned() }
    }

    pub fn path(&self) -> &str {
        self.path.to_str().expect("a plain path")
    }

    /// The one message the runtime sent.
    #[track_caller]
    pub fn receive(&self) -> Delivery {
        let mut connection = None;
        eventually("a connection to the console socket", || {
            connection = connection.take().or_else(|| self.listener.accept().ok());
            connection.is_some()
        });
        let (connection, _) = connection.expect("a connection");
        connection.set_read_timeout(Some(super::LIMIT)).expect("a read timeout");
        let (payload, descriptors) = receive_descriptors(&connection);
        Delivery { payload, descriptors, connection }
    }

    /// The terminal of the container: one descriptor, with at least a byte of payload.
    #[track_caller]
    pub fn terminal(&self) -> Pty {
        let mut delivery = self.receive();
        assert_eq!(delivery.descriptors.len(), 1, "exactly one descriptor");
        assert!(!delivery.payload.is_empty(), "at least one byte of payload");
        Pty::new(File::from(delivery.descriptors.remove(0)))
    }

    /// True when nobody else has connected.
    pub fn is_quiet(&self) -> bool {
        self.listener.accept().is_err()
    }
}

impl Delivery {
    /// True when the sender has closed the connection without another word.
    pub fn was_all(&mut self) -> bool {
        matches!(self.connection.read(&mut [0; 16]), Ok(0))
    }
}

fn receive_descriptors(connection: &UnixStream) -> (Vec<u8>, Vec<OwnedFd>) {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    let (mut bytes, mut control) = ([0; 4096], nix::cmsg_space!([i32; 8]));
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(connection.as_raw_fd(), &mut parts, Some(&mut control), flags).expect("receive");
    let length = message.bytes;
    let mut descriptors = Vec::new();
    for control in message.cmsgs().expect("control messages") {
        if let ControlMessageOwned::ScmRights(received) = control {
            descriptors.extend(received.into_iter().map(own));
        }
    }
    (bytes[..length].to_vec(), descriptors)
}

#[allow(unsafe_code)]
fn own(raw: i32) -> OwnedFd {
    // SAFETY: the kernel has just given us this descriptor in a control message; nobody else knows its number.
    unsafe { OwnedFd::from_raw_fd(raw) }
}
