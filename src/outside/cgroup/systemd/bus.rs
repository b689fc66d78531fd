//! A connection to systemd's manager: over the bus, or directly where there is no bus.
//!
//! Runs in the runtime's process, and only for `--systemd-cgroup`. One connection per command, calls one after the other.
//! Nobody is waited for longer than `PATIENCE`; being asked to end is noticed while waiting.

use super::wire::{self, Address, Kind, Message, Writer};
use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::interrupt::Interrupt;
use crate::plan::cgroup::Manager;
use crate::sys::{self, file, process, socket};
use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// How long systemd may take to answer, and to finish a job.
const PATIENCE: Duration = Duration::from_secs(30);

/// Jobs of others whose end we hear of before the answer to our own call.
const MOST_JOBS: usize = 1024;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER: Address = Address {
    destination: Some(SYSTEMD),
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};
const BUS: Address = Address {
    destination: Some("org.freedesktop.DBus"),
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// The signal that a job has ended; a connection without a bus gets it unasked.
const MATCH: &str = "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',\
                     member='JobRemoved',path='/org/freedesktop/systemd1'";

pub struct Bus<'a> {
    end: OwnedFd,
    link: Link,
    serial: u32,
    unread: Vec<u8>,
    /// Jobs that have ended, with their results.
    ended: VecDeque<(String, String)>,
    interrupt: Option<&'a Interrupt>,
}

/// What is at the other end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Bus,
    Systemd,
}

/// An answer that is an error: its name as D-Bus has it, and what it says.
#[derive(Debug)]
pub struct Refusal {
    pub name: String,
    pub text: String,
}

impl Refusal {
    pub fn is(&self, short: &str) -> bool {
        self.name.rsplit('.').next() == Some(short)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text.trim_end_matches('.'), self.name)
    }
}

impl std::error::Error for Refusal {}

impl<'a> Bus<'a> {
    /// `interrupt`: who may ask us to end while we wait.
    pub fn open(manager: Manager, interrupt: Option<&'a Interrupt>) -> Result<Bus<'a>> {
        first(manager, |address, link| {
            let (end, unread, ended) = (connect(address)?, Vec::new(), VecDeque::new());
            let mut bus = Bus { end, link, serial: 0, unread, ended, interrupt };
            bus.authenticate().context("introduce ourselves")?;
            if link == Link::Bus {
                // Nobody waits for these answers: if one is an error, the next call fails with it.
                bus.post(&BUS, "Hello", "", &Writer::default())?;
                let mut rule = Writer::default();
                rule.text(MATCH);
                bus.post(&BUS, "AddMatch", "s", &rule)?;
            }
            Ok(bus)
        })
    }

    /// Does anybody listen there?
    pub fn probe(manager: Manager) -> Result<()> {
        first(manager, |address, _| connect(address).map(drop))
    }

    /// The kernel tells the other side who we are; saying it ourselves would be wrong in a user namespace.
    fn authenticate(&mut self) -> Result<()> {
        self.send(b"\0AUTH EXTERNAL\r\nDATA\r\n")?;
        let until = Instant::now() + PATIENCE;
        loop {
            let line = self.line(until)?;
            match line.split(' ').next() {
                Some("OK") => break,
                Some("DATA") => {} // it asks for what we have said already
                _ => bail!("it answers {line:?}: it does not accept this user"),
            }
        }
        self.send(b"BEGIN\r\n")
    }

    fn line(&mut self, until: Instant) -> Result<String> {
        loop {
            if let Some(at) = self.unread.windows(2).position(|two| two == b"\r\n") {
                let line = self.unread.drain(..at + 2).take(at).collect::<Vec<u8>>();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            ensure!(self.unread.len() < 4096, "it does not speak D-Bus");
            self.read(until)?;
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<()> {
        socket::send(&self.end, bytes, None).context("send")
    }

    /// Waits for more bytes.
    fn read(&mut self, until: Instant) -> Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        let left = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
        let ready = match self.interrupt {
            Some(interrupt) => interrupt.wait_for([self.end.as_fd()], left)?[0],
            None => sys::retry(|| process::poll(&[self.end.as_fd()], left)).context("wait")?[0],
        };
        ensure!(ready || Instant::now() < until, "no answer for {} s", PATIENCE.as_secs());
        if ready {
            let mut buffer = [0u8; 4096];
            let (count, _) = socket::receive(&self.end, &mut buffer).context("receive")?;
            ensure!(count > 0, "the connection was closed");
            self.unread.extend(&buffer[..count]);
        }
        Ok(())
    }

    fn next(&mut self, until: Instant) -> Result<Message> {
        loop {
            if let Some(start) = self.unread.get(..wire::START) {
                let length = wire::whole_length(start)?;
                if self.unread.len() >= length {
                    let whole: Vec<u8> = self.unread.drain(..length).collect();
                    return Message::parse(&whole);
                }
            }
            self.read(until)?;
        }
    }

    fn post(&mut self, to: &Address, member: &str, signature: &str, body: &Writer) -> Result<()> {
        self.serial += 1;
        let to = Address { destination: to.destination.filter(|_| self.link == Link::Bus), ..*to };
        self.send(&wire::call(self.serial, &to, member, signature, body)?)
    }

    /// Calls a method, and returns its answer. An error of the other side is a `Refusal`.
    fn call(&mut self, to: &Address, member: &str, signature: &str, body: &Writer) -> Result<Message> {
        self.post(to, member, signature, body)?;
        let until = Instant::now() + PATIENCE;
        loop {
            let message = self.next(until)?;
            match message.kind {
                Kind::Return if message.reply_to == Some(self.serial) => return Ok(message),
                Kind::Error => {
                    let text = message.words().unwrap_or_default().into_iter().next().unwrap_or_default();
                    bail!(Refusal { name: message.error, text })
                }
                _ => self.note(&message)?,
            }
        }
    }

    /// A method of the manager.
    pub fn ask(&mut self, member: &str, signature: &str, body: &Writer) -> Result<()> {
        self.call(&MANAGER, member, signature, body).map(drop)
    }

    /// A method of the manager that makes a job: returns when the job is done, with its result (`done`, `failed`, …).
    pub fn run(&mut self, member: &str, signature: &str, body: &Writer) -> Result<String> {
        let answer = self.call(&MANAGER, member, signature, body)?;
        let job = answer.words()?.into_iter().next().context("an answer without a job")?;
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.ended.iter().position(|(ended, _)| *ended == job) {
                return Ok(self.ended.swap_remove_back(at).map(|(_, result)| result).unwrap_or_default());
            }
            let message = self.next(until)?;
            self.note(&message)?;
        }
    }

    /// JobRemoved: number, job, unit, result.
    fn note(&mut self, message: &Message) -> Result<()> {
        if message.kind == Kind::Signal && message.member == "JobRemoved" {
            if let [_, job, _, result] = &message.words()?[..] {
                self.ended.push_back((job.clone(), result.clone()));
            }
            if self.ended.len() > MOST_JOBS {
                self.ended.pop_front();
            }
        }
        Ok(())
    }
}

/// The first address where it works out; else what happened at the best one.
fn first<T>(manager: Manager, mut go: impl FnMut(&str, Link) -> Result<T>) -> Result<T> {
    let mut failed = None;
    for (address, link) in addresses(manager)? {
        match go(&address, link) {
            Ok(done) => return Ok(done),
            Err(error) if crate::error::is_interrupted(&error) => return Err(error),
            Err(error) => drop(failed.get_or_insert(error.context(address))),
        }
    }
    let error = failed.unwrap_or_else(|| anyhow!("no address of a bus is known"));
    Err(error.context(explain(manager)))
}

fn connect(address: &str) -> Result<OwnedFd> {
    let end = match address.strip_prefix('@') {
        Some(name) => socket::connect_to_abstract(name.as_bytes()),
        None => socket::connect_to(address),
    };
    end.context("connect")
}

/// Where the manager may be reached, best first; `@` begins the name of an abstract socket. The last of them needs no bus.
fn addresses(manager: Manager) -> Result<Vec<(String, Link)>> {
    let variable = match manager {
        Manager::System => "DBUS_SYSTEM_BUS_ADDRESS",
        Manager::User => "DBUS_SESSION_BUS_ADDRESS",
    };
    let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let mut all = Vec::new();
    if let Some(said) = text(variable) {
        all = unix_addresses(&said).into_iter().map(|address| (address, Link::Bus)).collect();
        ensure!(
            !all.is_empty(),
            "{variable}: {said:?} names no Unix socket; write unix:path=/run/dbus/system_bus_socket"
        );
        return Ok(all);
    }
    match manager {
        Manager::System => {
            all.push(("/run/dbus/system_bus_socket".to_owned(), Link::Bus));
            all.push(("/run/systemd/private".to_owned(), Link::Systemd));
        }
        Manager::User => {
            let dir = text("XDG_RUNTIME_DIR").context(
                "neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set, so your systemd cannot be found: log in by \
                 ssh or a login manager (not su), or set XDG_RUNTIME_DIR=/run/user/UID",
            )?;
            all.push((format!("{dir}/bus"), Link::Bus));
            all.push((format!("{dir}/systemd/private"), Link::Systemd));
        }
    }
    Ok(all)
}

/// `unix:path=/run/bus,guid=…;unix:abstract=x` → what can be connected to.
fn unix_addresses(said: &str) -> Vec<String> {
    let one = |address: &str| {
        let keys = address.strip_prefix("unix:")?;
        keys.split(',').find_map(|pair| match pair.split_once('=')? {
            ("path", value) => unescape(value),
            ("abstract", value) => Some(format!("@{}", unescape(value)?)),
            _ => None,
        })
    };
    said.split(';').filter_map(one).collect()
}

/// `%2f` is a slash.
fn unescape(value: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Has this machine been booted with systemd? sd_booted(3).
pub fn is_booted() -> bool {
    file::open(file::CWD, "/run/systemd/system", libc::O_PATH | libc::O_DIRECTORY, 0).is_ok()
}

fn explain(manager: Manager) -> &'static str {
    match manager {
        _ if !is_booted() => "systemd does not run on this machine (there is no /run/systemd/system)",
        Manager::System => "systemd cannot be reached: does dbus run (systemctl status dbus)?",
        Manager::User => {
            "your systemd cannot be reached: is dbus-user-session installed, and do you have a session (loginctl \
             enable-linger)?"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::unix_addresses;

    #[test]
    fn addresses_are_sockets() {
        assert_eq!(unix_addresses("unix:path=/run/a%20b,guid=1;unix:abstract=/tmp/x"), ["/run/a b", "@/tmp/x"]);
        assert!(unix_addresses("tcp:host=localhost").is_empty() && unix_addresses("unix:path=%zz").is_empty());
    }
}
