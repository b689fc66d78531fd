//! Unix sockets: the pair between parent and child, messages with descriptors, paths of any length.

use super::file::{CWD, open, own};
use super::{Errno, Error, Result, check, retry};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind, connect, listen,
    sendmsg, setsockopt, socket, socketpair, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::IoSlice;
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

/// Writes to a file of any kind; to a socket without waiting for room (EAGAIN), since that cannot be opened again as
/// non-blocking, and its flags are shared with other processes.
pub fn write_now(to: impl AsFd, bytes: &[u8]) -> Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    match nix::sys::socket::send(to.as_fd().as_raw_fd(), bytes, flags) {
        Err(Errno::ENOTSOCK) => Ok(nix::unistd::write(to, bytes)?),
        other => Ok(other?),
    }
}

/// How many descriptors the kernel sends in one message at most (SCM_MAX_FD).
const MOST_DESCRIPTORS: usize = 253;

/// One message into `buffer`: its length (0: the peer is gone) and the descriptor that came with it, close-on-exec.
/// A message that does not fit is EMSGSIZE, one with more than one descriptor EPROTO. Every descriptor that
/// arrived is owned before anything else is looked at: none stays open after an error.
pub fn receive(from: impl AsFd, buffer: &mut [u8]) -> Result<(usize, Option<OwnedFd>)> {
    let mut control = [0u64; space_for(MOST_DESCRIPTORS).div_ceil(size_of::<u64>())]; // aligned as cmsghdr asks
    let message = match receive_message(from, buffer, &mut control) {
        Err(Error(Errno::ECONNRESET)) => return Ok((0, None)), // it went with something of ours unread: gone all the same
        other => other?,
    };
    let mut files = message.files;
    if message.flags & (libc::MSG_CTRUNC | libc::MSG_TRUNC) == 0 && files.len() <= 1 {
        return Ok((message.length, files.pop()));
    }
    Err(Error(if message.flags & libc::MSG_TRUNC != 0 { Errno::EMSGSIZE } else { Errno::EPROTO }))
}

/// One message into `buffer`, for which the kernel makes no descriptor of ours, whatever comes with it. What does not fit
/// into the buffer is EMSGSIZE. The kernel drops the files of the message in this call: without flush (that is close(2)'s), but
/// the last reference to a file may have its file system wait. A sender that is not trusted is read by a process that
/// may hang.
pub fn receive_bytes(from: impl AsFd, buffer: &mut [u8]) -> Result<usize> {
    let message = match receive_message(from, buffer, &mut []) {
        Err(Error(Errno::ECONNRESET)) => return Ok(0), // as for `receive`
        other => other?,
    };
    if message.flags & libc::MSG_TRUNC != 0 { Err(Error(Errno::EMSGSIZE)) } else { Ok(message.length) }
}

struct Message {
    length: usize,
    files: Vec<OwnedFd>,
    flags: i32,
}

#[allow(clippy::cast_possible_truncation)] // of a few bytes for each of at most 253 descriptors
const fn space_for(descriptors: usize) -> usize {
    let bytes = (descriptors * size_of::<RawFd>()) as u32;
    // SAFETY: CMSG_SPACE only computes.
    unsafe { libc::CMSG_SPACE(bytes) as usize }
}

#[allow(clippy::useless_conversion, clippy::unnecessary_cast)] // the C libraries disagree on the types of these fields
fn receive_message(from: impl AsFd, buffer: &mut [u8], control: &mut [u64]) -> Result<Message> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let length = size_of_val(control);
    // SAFETY: msghdr is plain data, for which zero is a valid value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    let got = retry(|| {
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = if length == 0 { std::ptr::null_mut() } else { control.as_mut_ptr().cast() };
        header.msg_controllen = length as _;
        // SAFETY: the header, and the buffers that it names with their lengths, live for the call.
        let got = unsafe { libc::recvmsg(from.as_fd().as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        check(got as libc::c_long)
    })?;
    let mut files = Vec::new();
    // SAFETY: the kernel has filled in the header and the control buffer, which the CMSG_* functions walk through; the descriptors in
    // it were made for us in this call.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(&raw const header);
        while let Some(entry) = next.as_ref() {
            if (entry.cmsg_level, entry.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let count = (entry.cmsg_len as usize).saturating_sub(libc::CMSG_LEN(0) as usize) / size_of::<RawFd>();
                let numbers = libc::CMSG_DATA(next).cast::<RawFd>();
                files.extend((0..count).map(|n| OwnedFd::from_raw_fd(numbers.add(n).read_unaligned())));
            }
            next = libc::CMSG_NXTHDR(&raw const header, next);
        }
    }
    Ok(Message { length: usize::try_from(got).unwrap_or(0), files, flags: header.msg_flags })
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
    setsockopt(&end, sockopt::SendTimeout, &TimeVal::seconds(CONNECT_TIMEOUT))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn send_many(to: &OwnedFd, count: usize) {
        let raw = vec![0; count];
        let control = [ControlMessage::ScmRights(&raw)];
        sendmsg::<UnixAddr>(to.as_raw_fd(), &[IoSlice::new(b"x")], &control, MsgFlags::empty(), None).unwrap();
    }

    /// The kernel closes a descriptor that was sent when its last owner is gone: so the other end of a pair tells.
    fn is_held(file: &OwnedFd) -> bool {
        !crate::sys::process::poll(&[file.as_fd()], 0).unwrap()[0]
    }

    #[test]
    fn surplus_descriptors_are_refused_and_closed() {
        let (ours, theirs) = pair().unwrap();
        let (here, there) = pair().unwrap();
        let raw = [there.as_raw_fd(); 5];
        let control = [ControlMessage::ScmRights(&raw)];
        sendmsg::<UnixAddr>(theirs.as_raw_fd(), &[IoSlice::new(b"x")], &control, MsgFlags::empty(), None).unwrap();
        drop(there);
        assert!(is_held(&here));
        assert_eq!(receive(&ours, &mut [0; 8]).unwrap_err().0, Errno::EPROTO);
        assert!(!is_held(&here));
        send_many(&theirs, MOST_DESCRIPTORS);
        assert_eq!(receive(&ours, &mut []).unwrap_err().0, Errno::EMSGSIZE);
        send_many(&theirs, 1);
        assert!(matches!(receive(&ours, &mut [0; 8]), Ok((1, Some(_)))));
    }

    #[test]
    fn bytes_are_received_without_what_comes_with_them() {
        let (ours, theirs) = pair().unwrap();
        let (here, there) = pair().unwrap();
        send(&theirs, b"hello", Some(there.as_fd())).unwrap();
        drop(there);
        let mut buffer = [0; 8];
        assert_eq!(receive_bytes(&ours, &mut buffer).unwrap(), 5);
        assert!(!is_held(&here));
        send(&theirs, b"too long for it", None).unwrap();
        assert_eq!(receive_bytes(&ours, &mut buffer).unwrap_err().0, Errno::EMSGSIZE);
    }
}
