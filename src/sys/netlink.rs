//! rtnetlink, as much of it as moving a network device takes: look at links, list and add addresses, set a link up or down,
//! rename it, move it to another network namespace. rtnetlink(7), netlink(7).
//!
//! A socket stays in the network namespace in which it was made, wherever the process goes later: so two of them are
//! enough to work in two namespaces at once. What the kernel answers is parsed with bounds: a length that does not fit ends
//! the parsing with EBADMSG, whatever it claims.
//!
//! The network namespace may be that of a hostile container. A process with CAP_NET_ADMIN there can send messages to any
//! netlink socket of the namespace, so the socket is connected to the kernel (port 0), which makes the kernel refuse those
//! messages; the sender of each message is checked too, and an answer must be complete within a fixed time. netlink(7).

use super::{Errno, Error, Result, retry};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect, recvfrom, send, setsockopt,
    socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// A request socket of one network namespace.
pub struct Socket {
    file: OwnedFd,
    sequence: Cell<u32>,
}

/// A network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub state: LinkState,
}

/// IFF_UP: whether somebody has switched it on, not whether there is a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    Up,
    Down,
}

/// An address of a device, as far as it can be given to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    pub family: u8,
    pub prefix: u8,
    /// IFA_F_* bits.
    pub flags: u32,
    /// RT_SCOPE_*.
    pub scope: u8,
    /// IPv4 only: the device's name, perhaps with a colon and more.
    pub label: Option<String>,
    /// IFA_* attributes that are handed over as they are: the address, the peer, the broadcast address, the metric.
    pub attributes: Vec<(u16, Vec<u8>)>,
}

/// Kind and body of each message of an answer.
type Answers = Vec<(u16, Vec<u8>)>;

/// The largest answer that is taken: the kernel fills dumps in messages of at most 32 KiB.
const LIMIT: usize = 64 * 1024;
/// Messages of one answer; a device has some dozens of addresses, a machine some thousands.
const MESSAGES: usize = 1 << 20;
/// How long the kernel may take for a whole answer, which it gives at once, and for taking a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a dump is repeated that a change interrupted (NLM_F_DUMP_INTR).
const TRIES: usize = 16;

/// The kernel's own port.
const KERNEL: u32 = 0;

const HEADER: usize = 16;
// linux/netlink.h, in the width that they have in a message.
const FAILED: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP_INTERRUPTED: u16 = 0x10;
const DUMP: u16 = 0x300;
const CREATE: u16 = 0x400 | 0x200; // and exclusively

const IFLA_NEW_IFINDEX: u16 = 49;
const IFA_FLAGS: u16 = 8;
const IFA_RT_PRIORITY: u16 = 9;
/// What an address takes along: its own values, and nothing that names the device or counts its life.
const KEPT: [u16; 4] = [libc::IFA_ADDRESS, libc::IFA_LOCAL, libc::IFA_BROADCAST, IFA_RT_PRIORITY];
/// Flags that whoever adds an address may set. The others are the kernel's.
const SETTABLE: u32 = 0x02 | 0x10 | 0x100 | 0x200 | 0x400; // NODAD HOMEADDRESS MANAGETEMPADDR NOPREFIXROUTE MCAUTOJOIN

impl Address {
    /// What a network device keeps when it moves (config-linux.md, "Network Devices"): not what a lease gave it, and not
    /// what is valid on this link or host only.
    pub fn is_permanent_and_global(&self) -> bool {
        self.flags & libc::IFA_F_PERMANENT != 0 && self.scope == libc::RT_SCOPE_UNIVERSE
    }
}

impl Socket {
    /// In the network namespace that the caller is in now.
    pub fn open() -> Result<Socket> {
        let file = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
        bind(file.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        connect(file.as_raw_fd(), &NetlinkAddr::new(KERNEL, 0))?;
        setsockopt(&file, sockopt::SendTimeout, &TimeVal::seconds(PATIENCE.as_secs().cast_signed()))?;
        Ok(Socket { file, sequence: Cell::new(0) })
    }

    /// `None` when there is no device of that name.
    pub fn link(&self, name: &str) -> Result<Option<Link>> {
        let body = [link_header(0, 0, 0), text_attribute(libc::IFLA_IFNAME, name)].concat();
        self.one_link(&body)
    }

    pub fn link_by_index(&self, index: u32) -> Result<Option<Link>> {
        self.one_link(&link_header(index, 0, 0))
    }

    fn one_link(&self, body: &[u8]) -> Result<Option<Link>> {
        match self.ask(libc::RTM_GETLINK, 0, body) {
            Ok(answers) => {
                answers.iter().find(|(kind, _)| *kind == libc::RTM_NEWLINK).map(|(_, b)| link(b)).transpose()
            }
            Err(Error(Errno::ENODEV)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All addresses of a device, of every family.
    pub fn addresses(&self, index: u32) -> Result<Vec<Address>> {
        let mut list = Vec::new();
        for (_, body) in
            self.ask(libc::RTM_GETADDR, DUMP, &[0; 8])?.iter().filter(|(kind, _)| *kind == libc::RTM_NEWADDR)
        {
            let (of, address) = address(body)?;
            if of == index {
                list.push(address);
            }
        }
        Ok(list)
    }

    /// EEXIST when the device has it already.
    pub fn add_address(&self, index: u32, address: &Address) -> Result<()> {
        let flags = address.flags & SETTABLE;
        let mut body = vec![address.family, address.prefix, 0, address.scope];
        body.extend(index.to_ne_bytes());
        for (kind, value) in &address.attributes {
            body.extend(attribute(*kind, value));
        }
        if let Some(label) = &address.label {
            body.extend(text_attribute(libc::IFA_LABEL, label));
        }
        body.extend(attribute(IFA_FLAGS, &flags.to_ne_bytes()));
        self.ask(libc::RTM_NEWADDR, CREATE, &body).map(drop)
    }

    pub fn set(&self, index: u32, state: LinkState) -> Result<()> {
        let up = libc::IFF_UP.cast_unsigned();
        let flags = if state == LinkState::Up { up } else { 0 };
        self.ask(libc::RTM_NEWLINK, 0, &link_header(index, flags, up)).map(drop)
    }

    /// A name that ends in `%d` is completed by the kernel. EEXIST when it is taken.
    pub fn rename(&self, index: u32, name: &str) -> Result<()> {
        let body = [link_header(index, 0, 0), text_attribute(libc::IFLA_IFNAME, name)].concat();
        self.ask(libc::RTM_NEWLINK, 0, &body).map(drop)
    }

    /// To another network namespace, under another name and another number, in one step. A failure does not say on which
    /// side the device is. EEXIST when the name is taken there, EBUSY when the number is, EINVAL when such a device cannot
    /// move. Before Linux 5.13 the kernel chooses the number, its own one when that is free.
    pub fn move_to(&self, index: u32, namespace: BorrowedFd, name: &str, new_index: u32) -> Result<()> {
        let target = namespace.as_raw_fd().to_ne_bytes();
        let body = [
            link_header(index, 0, 0),
            text_attribute(libc::IFLA_IFNAME, name),
            attribute(libc::IFLA_NET_NS_FD, &target),
            attribute(IFLA_NEW_IFINDEX, &new_index.to_ne_bytes()),
        ];
        self.ask(libc::RTM_NEWLINK, 0, &body.concat()).map(drop)
    }

    /// One request and its whole answer. A dump that was interrupted by a change is asked for again. ETIMEDOUT when there is
    /// no whole answer in time.
    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> Result<Answers> {
        for _ in 0..TRIES {
            let sequence = self.sequence.get().wrapping_add(1);
            self.sequence.set(sequence);
            let request = message(kind, REQUEST | ACK | flags, sequence, body);
            retry(|| Ok(send(self.file.as_raw_fd(), &request, MsgFlags::empty())?))?;
            if let Some(answers) = self.hear(sequence, flags & DUMP == DUMP)? {
                return Ok(answers);
            }
        }
        Err(Error(Errno::EINTR))
    }

    /// `None` when the answer is not to be relied on.
    fn hear(&self, sequence: u32, dump: bool) -> Result<Option<Answers>> {
        let (mut answers, mut whole) = (Vec::new(), true);
        let mut buffer = vec![0u8; LIMIT];
        let until = Instant::now() + PATIENCE;
        loop {
            let (length, sender) = self.receive(&mut buffer, until)?;
            if sender != Some(KERNEL) {
                continue; // from a process, which has no part in this
            }
            if length == LIMIT {
                return Err(Error(Errno::EMSGSIZE)); // it may be cut off
            }
            let datagram = &buffer[..length];
            for part in parts(datagram)? {
                if part.sequence != sequence {
                    continue; // the rest of an answer that we gave up on
                }
                whole &= part.flags & DUMP_INTERRUPTED == 0;
                match part.kind {
                    FAILED => return acknowledged(part.body).map(|()| whole.then_some(answers)),
                    DONE if dump => return acknowledged(part.body).map(|()| whole.then_some(answers)),
                    kind => answers.push((kind, part.body.to_vec())),
                }
                if answers.len() > MESSAGES {
                    return Err(Error(Errno::EMSGSIZE));
                }
            }
        }
    }
}

impl Socket {
    /// The next datagram: its length, cut off at the buffer's, and its sender's port.
    fn receive(&self, buffer: &mut [u8], until: Instant) -> Result<(usize, Option<u32>)> {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error(Errno::ETIMEDOUT));
            }
            let milliseconds = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
            if !retry(|| super::process::poll(&[self.file.as_fd()], milliseconds))?[0] {
                continue;
            }
            match recvfrom::<NetlinkAddr>(self.file.as_raw_fd(), buffer) {
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                other => {
                    let (length, sender) = other?;
                    return Ok((length, sender.map(|address| address.pid())));
                }
            }
        }
    }
}

struct Part<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    body: &'a [u8],
}

/// The messages of one datagram.
fn parts(mut datagram: &[u8]) -> Result<Vec<Part<'_>>> {
    let mut list = Vec::new();
    while !datagram.is_empty() {
        let length = u32_at(datagram, 0)? as usize;
        let body = datagram.get(HEADER..length).ok_or(BROKEN)?;
        list.push(Part {
            kind: u16_at(datagram, 4)?,
            flags: u16_at(datagram, 6)?,
            sequence: u32_at(datagram, 8)?,
            body,
        });
        datagram = datagram.get(aligned(length)..).unwrap_or_default();
    }
    Ok(list)
}

/// The attributes after a message's fixed part: kind (without the bits for nesting and byte order) and value.
fn attributes(mut rest: &[u8]) -> Result<Vec<(u16, &[u8])>> {
    let mut list = Vec::new();
    while rest.len() >= 4 {
        let length = usize::from(u16_at(rest, 0)?);
        list.push((u16_at(rest, 2)? & 0x3fff, rest.get(4..length).ok_or(BROKEN)?));
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    Ok(list)
}

fn acknowledged(body: &[u8]) -> Result<()> {
    match u32_at(body, 0)?.cast_signed() {
        0 => Ok(()),
        error => Err(Error(Errno::from_raw(error.saturating_neg()))),
    }
}

fn link(body: &[u8]) -> Result<Link> {
    let (index, flags) = (u32_at(body, 4)?, u32_at(body, 8)?);
    let name = attributes(body.get(16..).ok_or(BROKEN)?)?.into_iter().find(|(kind, _)| *kind == libc::IFLA_IFNAME);
    let state = if flags & libc::IFF_UP.cast_unsigned() != 0 { LinkState::Up } else { LinkState::Down };
    Ok(Link { index, name: text(name.ok_or(BROKEN)?.1), state })
}

/// The number of the device and one address of it.
fn address(body: &[u8]) -> Result<(u32, Address)> {
    let fixed = body.get(..8).ok_or(BROKEN)?;
    let mut address = Address {
        family: fixed[0],
        prefix: fixed[1],
        flags: fixed[2].into(),
        scope: fixed[3],
        label: None,
        attributes: Vec::new(),
    };
    for (kind, value) in attributes(&body[8..])? {
        match kind {
            IFA_FLAGS => address.flags = u32_at(value, 0)?,
            libc::IFA_LABEL => address.label = Some(text(value)),
            kind if KEPT.contains(&kind) => address.attributes.push((kind, value.to_vec())),
            _ => {}
        }
    }
    Ok((u32_at(fixed, 4)?, address))
}

const BROKEN: Error = Error(Errno::EBADMSG);

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    let four = bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).ok_or(BROKEN)?;
    Ok(u32::from_ne_bytes(four))
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    let two = bytes.get(at..at + 2).and_then(|part| part.try_into().ok()).ok_or(BROKEN)?;
    Ok(u16::from_ne_bytes(two))
}

/// Up to the terminating zero.
fn text(value: &[u8]) -> String {
    let end = value.iter().position(|byte| *byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(&value[..end]).into_owned()
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(body);
    bytes
}

/// struct ifinfomsg: of any family and type.
fn link_header(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    for word in [index, flags, change] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes
}

fn text_attribute(kind: u16, value: &str) -> Vec<u8> {
    attribute(kind, &[value.as_bytes(), &[0]].concat())
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(aligned(bytes.len()), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_of_this_machine_is_read() {
        let socket = Socket::open().unwrap();
        let lo = socket.link("lo").unwrap().unwrap();
        assert_eq!(socket.link_by_index(lo.index).unwrap(), Some(lo.clone()));
        assert_eq!(socket.link("no-such-device").unwrap(), None);
        for address in socket.addresses(lo.index).unwrap() {
            assert!(!address.attributes.is_empty(), "{address:?}");
        }
    }

    #[test]
    fn an_address_is_read_with_what_it_takes_along() {
        let fixed = [&[2u8, 24, 0x80, 0][..], &7u32.to_ne_bytes()].concat();
        let body = [
            fixed,
            attribute(libc::IFA_ADDRESS, &[10, 0, 0, 1]),
            text_attribute(libc::IFA_LABEL, "eth0:1"),
            attribute(libc::IFA_CACHEINFO, &[0; 16]),
            attribute(IFA_FLAGS, &0x280u32.to_ne_bytes()),
        ];
        let (index, address) = address(&body.concat()).unwrap();
        assert_eq!((index, address.family, address.prefix, address.flags), (7, 2, 24, 0x280));
        assert_eq!(address.label.as_deref(), Some("eth0:1"));
        assert_eq!(address.attributes, [(libc::IFA_ADDRESS, vec![10, 0, 0, 1])]);
        assert!(address.is_permanent_and_global());
    }

    #[test]
    fn lengths_that_do_not_fit_are_errors() {
        let good = message(libc::RTM_NEWLINK, 0, 1, &link_header(1, 0, 0));
        assert_eq!(parts(&good).unwrap().len(), 1);
        for length in [0u32, 1, 15, 33, u32::MAX] {
            let mut bad = good.clone();
            bad[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(parts(&bad).is_err(), "{length}");
        }
        for length in [0u16, 3, 9, u16::MAX] {
            let mut bad = attribute(3, b"abc");
            bad[..2].copy_from_slice(&length.to_ne_bytes());
            assert!(attributes(&bad).is_err(), "{length}");
        }
    }

    /// Whatever comes: an answer or an error, and an end.
    #[test]
    fn noise_is_survived() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let length = usize::try_from(random() % 80).unwrap();
            let mut bytes: Vec<u8> = (0..length).map(|_| random().to_le_bytes()[0] & 0x1f).collect();
            if length >= 4 && random() % 2 == 0 {
                bytes[..4].copy_from_slice(&u32::try_from(length).unwrap().to_ne_bytes());
            }
            for part in parts(&bytes).unwrap_or_default() {
                let _ = (link(part.body), address(part.body), acknowledged(part.body));
            }
            let _ = (link(&bytes), address(&bytes), attributes(&bytes));
        }
    }
}
