//! Unix sockets: the pair between parent and child, messages with descriptors, paths of any length.

use super::file::{CWD, open, own};
use super::{Errno, Error, Result, check, retry};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind,
    connect, listen, recvmsg, sendmsg, setsockopt, socket, socketpair, sockopt,
};
use nix::sys::time::TimeVal;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

/// A connected pair that keeps message boundaries (SOCK_SEQPACKET), close-on-exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// One message with at most one descriptor. A peer that is gone is EPIPE, never SIGPIPE.
pub fn send(to: impl AsFd, bytes: &[u8], file: Option<BorrowedFd>) -> Result<()> {
    send_with(to.as_fd(), bytes, file, MsgFlags::empty())
}

/// As `send`, without waiting for room: EAGAIN when the peer does not read.
pub fn send_now(to: impl AsFd, bytes: &[u8], file: Option<BorrowedFd>) -> Result<()> {
    send_with(to.as_fd(), bytes, file, MsgFlags::MSG_DONTWAIT)
}

fn send_with(to: BorrowedFd, bytes: &[u8], file: Option<BorrowedFd>, flags: MsgFlags) -> Result<()> {
    let raw: Vec<RawFd> = file.iter().map(AsRawFd::as_raw_fd).collect();
    let control: Vec<ControlMessage> = if raw.is_empty() { vec![] } else { vec![ControlMessage::ScmRights(&raw)] };
    let (fd, parts) = (to.as_raw_fd(), [IoSlice::new(bytes)]);
    retry(|| Ok(sendmsg::<UnixAddr>(fd, &parts, &control, flags | MsgFlags::MSG_NOSIGNAL, None)?)).map(drop)
}

/// One message into `buffer`: its length (0: the peer is gone) and the descriptor that came with it, close-on-exec.
/// A message that does not fit is EMSGSIZE.
pub fn receive(from: impl AsFd, buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    let fd = from.as_fd().as_raw_fd();
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = loop {
        match recvmsg::<UnixAddr>(fd, &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Err(Errno::EINTR) => {}
            Err(Errno::ECONNRESET) => return Ok((0, None)), // it went with something of ours unread: gone all the same
            other => break other?,
        }
    };
    let mut file = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            for number in numbers {
                // SAFETY: the kernel has just made this descriptor for us.
                file = Some(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }
    if message.flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(Error(Errno::EMSGSIZE));
    }
    Ok((message.bytes, file))
}

/// One message into `buffer`, as `receive`; descriptors that came with it are dropped by the kernel, and never become ours
/// to close: a close(2) could wait for a file system of the sender's.
pub fn receive_bytes(from: impl AsFd, buffer: &mut [u8]) -> Result<usize> {
    let fd = from.as_fd().as_raw_fd();
    let mut parts = [IoSliceMut::new(buffer)];
    loop {
        match recvmsg::<UnixAddr>(fd, &mut parts, None, MsgFlags::MSG_CMSG_CLOEXEC) {
            Ok(message) if message.flags.contains(MsgFlags::MSG_TRUNC) => return Err(Error(Errno::EMSGSIZE)),
            Ok(message) => return Ok(message.bytes),
            Err(Errno::EINTR) => {}
            Err(Errno::ECONNRESET) => return Ok(0), // as for `receive`
            Err(error) => return Err(error.into()),
        }
    }
}

/// A stream socket connected to the socket at `path`, whatever the path's length.
pub fn connect_to(path: impl AsRef<Path>) -> Result<OwnedFd> {
    connect_path(path.as_ref(), SockType::Stream)
}

/// A stream socket connected to the abstract socket of that name. unix(7).
pub fn connect_to_abstract(name: &[u8]) -> Result<OwnedFd> {
    connect_address(&UnixAddr::new_abstract(name)?, SockType::Stream)
}

/// A datagram socket whose messages go to the one at `path`, whatever the path's length.
pub fn speak_to(path: &Path) -> Result<OwnedFd> {
    connect_path(path, SockType::Datagram)
}

/// The same, to the abstract socket of that name.
pub fn speak_to_abstract(name: &[u8]) -> Result<OwnedFd> {
    connect_address(&UnixAddr::new_abstract(name)?, SockType::Datagram)
}

/// Seconds that a connection, or a message on it, may take.
const CONNECT_TIMEOUT: i64 = 10;

/// A long path is reached through an O_PATH descriptor and /proc/self/fd (sun_path holds 107 bytes).
fn connect_path(path: &Path, kind: SockType) -> Result<OwnedFd> {
    if path.as_os_str().len() < 108 {
        return connect_address(&UnixAddr::new(path)?, kind);
    }
    let target = open(CWD, path, libc::O_PATH, 0)?;
    connect_address(&UnixAddr::new(Path::new(&format!("/proc/self/fd/{}", target.as_raw_fd())))?, kind)
}

fn connect_address(address: &UnixAddr, kind: SockType) -> Result<OwnedFd> {
    let end = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    // A listener that accepts nobody must not hold us for ever: with a full queue connect(2) then fails with EAGAIN.
    setsockopt(&end, sockopt::SendTimeout, &TimeVal::new(CONNECT_TIMEOUT, 0))?;
    connect(end.as_raw_fd(), address)?;
    Ok(end)
}

/// A datagram socket called `name` in an open directory, for whoever may write to it there.
pub fn hear_in(dir: BorrowedFd, name: &str) -> Result<OwnedFd> {
    let end = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    bind(end.as_raw_fd(), &UnixAddr::new(Path::new(&format!("/proc/self/fd/{}/{name}", dir.as_raw_fd())))?)?;
    Ok(end)
}

/// A listening SEQPACKET socket called `name` in an open directory.
pub fn listen_in(dir: BorrowedFd, name: &str) -> Result<OwnedFd> {
    let end = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    let address = UnixAddr::new(Path::new(&format!("/proc/self/fd/{}/{name}", dir.as_raw_fd())))?;
    bind(end.as_raw_fd(), &address)?;
    listen(&end, Backlog::new(128)?)?;
    Ok(end)
}

/// A SEQPACKET connection to the socket called `name` in an open directory. Does not wait: EAGAIN when the queue of the
/// listener is full, ECONNREFUSED when nobody listens, ENOENT when there is no such socket.
pub fn connect_packet_in(dir: BorrowedFd, name: &str) -> Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let end = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    connect(end.as_raw_fd(), &UnixAddr::new(Path::new(&format!("/proc/self/fd/{}/{name}", dir.as_raw_fd())))?)?;
    set_blocking(&end)?;
    Ok(end)
}

fn set_blocking(file: impl AsFd) -> Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_SETFL, 0) }.into()).map(drop)
}

/// The next connection to a listening socket.
pub fn accept(listener: impl AsFd) -> Result<OwnedFd> {
    let fd = retry(|| Ok(accept4(listener.as_fd().as_raw_fd(), SockFlag::SOCK_CLOEXEC)?))?;
    Ok(own(fd.into()))
}

/// Brings the loopback interface of this network namespace up, as people expect of a fresh one. netdevice(7).
pub fn loopback_up() -> Result<()> {
    let end = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    // SAFETY: ifreq is plain data, for which zero is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l'.cast_signed() as libc::c_char;
    request.ifr_name[1] = b'o'.cast_signed() as libc::c_char;
    request.ifr_ifru.ifru_flags = libc::c_short::try_from(libc::IFF_UP | libc::IFF_RUNNING).unwrap_or(1);
    // SAFETY: the struct lives for the call.
    check(unsafe { libc::ioctl(end.as_raw_fd(), libc::SIOCSIFFLAGS as libc::Ioctl, &raw const request) }.into())
        .map(drop)
}
