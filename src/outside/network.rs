//! Moving network devices of the host into the container's network namespace, in the runtime's process.
//! config-linux.md, "Network Devices".
//!
//! Everything that can be looked at is looked at before the first device moves. From then on a `Draft` owes each of them
//! to the host: physical devices would come back by themselves when the namespace dies, but renamed and without their
//! addresses, and virtual ones would be destroyed.
//!
//! Processes of the network namespace may have CAP_NET_ADMIN there and rename what arrives. So the device gets a number
//! that the runtime chooses, and is found again by that number.

use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::log;
use crate::plan::network::{NetDevice, NetName};
use crate::sys::file::{self, CWD};
use crate::sys::netlink::{Address, Link, LinkState, Socket};
use crate::sys::{self, Errno, namespace, process};
use crate::undo::Draft;
use std::os::fd::{AsFd, OwnedFd};

/// Devices that are in the container. Dropped without `keep`, they go back to the host as they were.
pub struct Moved {
    host: Side,
    container: Side,
    devices: Vec<Device>,
}

/// One of the two network namespaces, and a socket that works in it from wherever we are.
struct Side {
    namespace: OwnedFd,
    socket: Socket,
}

/// A device as it was on the host, and how to find it in the container.
struct Device {
    link: Link,
    addresses: Vec<Address>,
    /// The name that it is moved under.
    arrival: String,
    /// Names that it may have there if the move fails halfway.
    perhaps: Vec<String>,
    /// Its number there, once a move has been tried.
    index_there: Option<u32>,
}

/// Moves all devices of the plan into the network namespace of process `pid`, under their new names, with their permanent
/// addresses of global scope, and sets them up.
pub fn move_in(devices: &[NetDevice], pid: i32) -> Result<Draft<Moved>> {
    let sides = open(pid).context("config.json: linux.netDevices")?;
    let mut moved = Draft::new(Moved { host: sides.0, container: sides.1, devices: Vec::new() }, give_back);
    let named = |device: &NetDevice| format!("config.json: linux.netDevices.{}", device.host);
    let look = |device: &NetDevice| moved.look(device).with_context(|| named(device));
    let found: Vec<Device> = devices.iter().map(look).collect::<Result<_>>()?;
    for (device, was) in devices.iter().zip(found) {
        moved.devices.push(was);
        moved.take(device).with_context(|| named(device))?;
    }
    Ok(moved)
}

fn open(pid: i32) -> Result<(Side, Side)> {
    let open = |path: &str| file::open(CWD, path, libc::O_RDONLY, 0).with_context(|| format!("open {path}"));
    let (ours, theirs) = (open("/proc/self/ns/net")?, open(&format!("/proc/{pid}/ns/net"))?);
    let same = |a: file::Stat, b: file::Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
    ensure!(!same(file::stat(&ours)?, file::stat(&theirs)?), "the container's network namespace is the host's own");
    let here = Socket::open().context("make a socket to the kernel's network")?;
    let there = socket_in(&theirs, &ours)?;
    Ok((Side { namespace: ours, socket: here }, Side { namespace: theirs, socket: there }))
}

/// A socket belongs to the namespace that it was made in: we go there for that moment only.
fn socket_in(namespace: &OwnedFd, home: &OwnedFd) -> Result<Socket> {
    namespace::enter(namespace, libc::CLONE_NEWNET).context("enter the container's network namespace")?;
    let socket = Socket::open();
    namespace::enter(home, libc::CLONE_NEWNET).context("come back to our own network namespace")?;
    socket.context("make a socket to the container's network")
}

impl Moved {
    /// What there is to know before anything is touched: is the device there, and is its new name free?
    fn look(&self, device: &NetDevice) -> Result<Device> {
        let Some(link) = self.host.socket.link(&device.host).context("look for it")? else {
            bail!("there is no network device of this name in the runtime's network namespace (see `ip link`)")
        };
        // When the kernel is to choose the last name, the device passes under one that nobody else uses.
        let arrival = device.target().map_or_else(|| format!("rr-{}", process::pid()), str::to_string);
        if self.link_there(&arrival)?.is_some() {
            bail!(
                "the container has a network device called {arrival} already; choose another name, or a template as \"eth%d\""
            )
        }
        let old_is_free = self.link_there(&link.name)?.is_none();
        let perhaps = old_is_free.then(|| link.name.clone()).into_iter().chain([arrival.clone()]).collect();
        let addresses = self.host.socket.addresses(link.index).context("list its addresses")?; // before it is set down:
        let addresses = addresses.into_iter().filter(Address::is_permanent_and_global).collect(); // IPv6 ones go then
        Ok(Device { link, addresses, arrival, perhaps, index_there: None })
    }

    fn link_there(&self, name: &str) -> Result<Option<Link>> {
        self.container.socket.link(name).context("look at the container's network devices")
    }

    /// Moves the last device of the list, which is owed to the host by then.
    fn take(&mut self, asked: &NetDevice) -> Result<()> {
        let Moved { host, container, devices } = self;
        let Some(device) = devices.last_mut() else { return Ok(()) };
        host.socket.set(device.link.index, LinkState::Down).context("set it down")?;
        let (from, arrival, own) = (device.link.index, device.arrival.clone(), &mut device.index_there);
        relocate(&host.socket, from, container, &arrival, from, |index| *own = Some(index))
            .context("move it to the container")?;
        let Link { index, mut name, .. } = find(&container.socket, device.index_there, &[arrival])
            .context("look for it in the container")?
            .context("it is not in the container after the move: a process there has moved it on or deleted it")?;
        device.index_there = Some(index);
        if let NetName::Template(template) = &asked.name {
            container.socket.rename(index, template).with_context(|| format!("name it {template}"))?;
            name = container.socket.link_by_index(index).context("ask for its name")?.context("it is gone")?.name;
        }
        for address in &device.addresses {
            add(&container.socket, index, address, &device.link.name, &name)?;
        }
        container.socket.set(index, LinkState::Up).context("set it up in the container")?;
        log::debug(format!("network device {} is {name} in the container", device.link.name));
        Ok(())
    }
}

/// How many numbers are tried that turn out to be taken.
const NUMBERS: u32 = 16;

/// Moves a device to another side, under its old number if that is free there. `chosen` is told the number before each try.
fn relocate(from: &Socket, index: u32, to: &Side, name: &str, wanted: u32, mut chosen: impl FnMut(u32)) -> Result<()> {
    // Far above what the kernel gives by itself, and other numbers than another runtime of this moment tries.
    let high = (1 << 24) + process::pid().cast_unsigned() % (1 << 20) * NUMBERS;
    for number in [wanted].into_iter().chain(high..high + NUMBERS) {
        if to.socket.link_by_index(number)?.is_some() {
            continue;
        }
        chosen(number);
        match from.move_to(index, to.namespace.as_fd(), name, number) {
            Err(sys::Error(Errno::EBUSY)) if to.socket.link_by_index(number)?.is_some() => {} // taken since
            other => return other.map_err(explain),
        }
    }
    bail!("there is no free number for it: processes in the container keep taking them")
}

/// A device by its number, or by the first of these names that one has: before Linux 5.13 the number may be another.
fn find(socket: &Socket, index: Option<u32>, names: &[String]) -> Result<Option<Link>> {
    let mut found = index.map(|index| socket.link_by_index(index)).transpose()?.flatten();
    for name in names {
        found = found.map_or_else(|| socket.link(name), |found| Ok(Some(found)))?;
    }
    Ok(found)
}

/// An address, with its label under the device's name of now.
fn add(socket: &Socket, index: u32, address: &Address, old: &str, name: &str) -> Result<()> {
    let label = address.label.as_deref().and_then(|label| label.strip_prefix(old)).map(|rest| format!("{name}{rest}"));
    let label = label.filter(|label| label.len() <= 15); // the kernel's own choice then: the device's name
    match socket.add_address(index, &Address { label, ..address.clone() }) {
        Err(sys::Error(Errno::EEXIST)) => Ok(()),
        other => other.with_context(|| format!("give it its address {} again", text(address))),
    }
}

fn explain(error: sys::Error) -> anyhow::Error {
    let hint = match error.0 {
        Errno::EEXIST => "a device of this name (or alternative name) is there already",
        Errno::EINVAL => "this kind of device cannot leave its network namespace",
        Errno::EBUSY => "it is in use",
        Errno::EPERM => "that takes CAP_NET_ADMIN in both network namespaces",
        _ => return error.into(),
    };
    anyhow!(error).context(hint)
}

/// For messages: `10.0.0.1/24`.
fn text(address: &Address) -> String {
    let value = [libc::IFA_LOCAL, libc::IFA_ADDRESS]
        .iter()
        .find_map(|kind| address.attributes.iter().find(|(known, _)| known == kind))
        .map_or(&[][..], |(_, value)| value.as_slice());
    let shown = match (<[u8; 4]>::try_from(value), <[u8; 16]>::try_from(value)) {
        (Ok(four), _) => std::net::Ipv4Addr::from(four).to_string(),
        (_, Ok(sixteen)) => std::net::Ipv6Addr::from(sixteen).to_string(),
        _ => format!("{value:02x?}"),
    };
    format!("{shown}/{}", address.prefix)
}

/// There is no container after all. The last one first, as names may have been exchanged.
#[allow(clippy::needless_pass_by_value)] // what is undone is gone
fn give_back(moved: Moved) {
    for device in moved.devices.iter().rev() {
        if let Err(error) = restore(&moved, device) {
            log::warning(format!("giving network device {} back to the host: {error:#}", device.link.name));
        }
    }
}

fn restore(moved: &Moved, device: &Device) -> Result<()> {
    let Link { index, name, state } = &device.link;
    let (home, there) = (&moved.host.socket, &moved.container.socket);
    if home.link_by_index(*index)?.is_none_or(|link| link.name != *name) {
        let away = find(there, device.index_there, &device.perhaps)?.context("it is in neither network namespace")?;
        there.set(away.index, LinkState::Down)?;
        relocate(there, away.index, &moved.host, name, *index, |_| ())?;
    }
    let index = home.link(name)?.context("it did not arrive")?.index;
    for address in &device.addresses {
        add(home, index, address, name, name)?;
    }
    Ok(home.set(index, *state)?)
}
