//! A systemd to talk to: a D-Bus peer that makes scopes as systemd would, and notes what it is asked for.
//!
//! It knows just the methods that a runtime needs, and decodes by the signature that a message claims; what is malformed
//! panics, and the test fails.

use super::host::{self, Layout};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Helpful,
    /// It has never heard of this property.
    Without(&'static str),
    /// It lets every job of starting fail, once the unit is made.
    Failing,
    /// A unit of that name is there, and stays.
    Occupied,
    /// It makes the unit, and never says that the job is done.
    Silent,
    /// It hangs up when it is asked for a unit.
    Dying,
}

pub struct Systemd {
    socket: PathBuf,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Systemd {
    pub fn listen(home: &Path, mood: Mood) -> Self {
        let socket = home.join("bus");
        let listener = UnixListener::bind(&socket).expect("bind the bus");
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = calls.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, mood, &noted);
            }
        });
        Self { socket, calls }
    }

    pub fn address(&self) -> String {
        format!("unix:path={},guid=00", self.socket.display())
    }

    /// Everything but the greetings, one line a call, since the last time.
    pub fn heard(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().expect("the calls"))
    }
}

/// The directories of a unit in the root slice, in the hierarchies that systemd uses.
pub fn directories(unit: &str) -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    match host::layout() {
        Layout::V2 => vec![top.join(unit)],
        Layout::V1 => ["systemd", "unified", "memory"].map(|name| top.join(name).join(unit)).to_vec(),
    }
}

fn serve(mut stream: UnixStream, mood: Mood, calls: &Mutex<Vec<String>>) {
    let mut text = Vec::new();
    let mut greeted = false;
    while !text.ends_with(b"BEGIN\r\n") {
        let mut byte = [0u8];
        if stream.read_exact(&mut byte).is_err() {
            return; // somebody who only looked
        }
        text.push(byte[0]);
        if !greeted && text.ends_with(b"DATA\r\n") {
            assert!(text.starts_with(b"\0AUTH EXTERNAL\r\n"), "{:?}", String::from_utf8_lossy(&text));
            stream.write_all(b"DATA\r\nOK 00112233445566778899aabbccddeeff\r\n").expect("greet");
            greeted = true;
        }
    }
    while let Some(call) = Call::read(&mut stream) {
        let known = !matches!(call.member.as_str(), "Hello" | "AddMatch");
        if known {
            calls.lock().expect("the calls").push(format!("{} {}", call.member, call.args.join(" ")));
        }
        if !answer(&mut stream, &call, mood) {
            return;
        }
    }
}

/// False to hang up.
fn answer(stream: &mut UnixStream, call: &Call, mood: Mood) -> bool {
    let unit = call.args.first().cloned().unwrap_or_default();
    let there = || directories(&unit)[0].exists();
    match call.member.as_str() {
        "Hello" => reply(stream, call, "s", &string(":1.1")),
        "AddMatch" | "SetUnitProperties" => reply(stream, call, "", &[]),
        "StartTransientUnit" => match mood {
            Mood::Without(name) if call.args[2].contains(&format!("{name}=")) => {
                let text = format!("Cannot set property {name}, or unknown property.");
                refuse(stream, call, "org.freedesktop.DBus.Error.PropertyReadOnly", &text);
            }
            Mood::Occupied => {
                refuse(stream, call, "org.freedesktop.systemd1.UnitExists", "Unit was already loaded.");
            }
            Mood::Dying => return false,
            _ => {
                for dir in directories(&unit) {
                    fs::create_dir(&dir).expect("make the scope");
                    let pid = call.args[2].rsplit("PIDs=[").next().and_then(|rest| rest.split(']').next());
                    fs::write(dir.join("cgroup.procs"), pid.expect("PIDs")).expect("put the process into the scope");
                }
                match mood {
                    Mood::Silent => reply(stream, call, "o", &string(JOB)),
                    Mood::Failing => job(stream, call, &unit, "failed"),
                    _ => job(stream, call, &unit, "done"),
                }
            }
        },
        "StopUnit" if there() => {
            directories(&unit).iter().for_each(|dir| drop(fs::remove_dir(dir)));
            job(stream, call, &unit, "done");
        }
        "StopUnit" | "ResetFailedUnit" => {
            refuse(stream, call, "org.freedesktop.systemd1.NoSuchUnit", "Unit not loaded.");
        }
        other => refuse(stream, call, "org.freedesktop.DBus.Error.UnknownMethod", other),
    }
    true
}

// --- messages ---

struct Call {
    serial: u32,
    member: String,
    args: Vec<String>,
}

impl Call {
    fn read(stream: &mut UnixStream) -> Option<Call> {
        let mut start = [0u8; 16];
        stream.read_exact(&mut start).ok()?;
        let number = |at: usize| u32::from_le_bytes(start[at..at + 4].try_into().unwrap());
        assert_eq!((start[0], start[1], start[3]), (b'l', 1, 1), "a method call");
        let (body, serial, fields) = (number(4) as usize, number(8), number(12) as usize);
        let mut bytes = start.to_vec();
        bytes.resize((16 + fields).next_multiple_of(8) + body, 0);
        stream.read_exact(&mut bytes[16..]).ok()?;
        let mut head = Decoder { bytes: &bytes, at: 16 };
        let (mut member, mut signature) = (String::new(), String::new());
        while head.at < 16 + fields {
            head.align(8);
            let code = head.byte();
            match (code, head.value("v").as_str()) {
                (3, text) => member = text.to_owned(),
                (8, text) => signature = text.to_owned(),
                _ => {}
            }
        }
        let at = (16 + fields).next_multiple_of(8);
        let mut decoder = Decoder { bytes: &bytes[at..], at: 0 };
        let mut rest = signature.as_str();
        let mut args = Vec::new();
        while !rest.is_empty() {
            let (first, more) = rest.split_at(first_type(rest));
            args.push(decoder.value(first));
            rest = more;
        }
        assert_eq!(decoder.at, body, "{member}: the body is longer than its signature says");
        Some(Call { serial, member, args })
    }
}

/// How long the first complete type is.
fn first_type(signature: &str) -> usize {
    match signature.as_bytes()[0] {
        b'a' => 1 + first_type(&signature[1..]),
        b'(' => {
            let mut at = 1;
            while signature.as_bytes()[at] != b')' {
                at += first_type(&signature[at..]);
            }
            at + 1
        }
        _ => 1,
    }
}

struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Decoder<'_> {
    fn align(&mut self, to: usize) {
        while !self.at.is_multiple_of(to) {
            assert_eq!(self.byte(), 0, "padding is zero");
        }
    }

    fn byte(&mut self) -> u8 {
        self.at += 1;
        self.bytes[self.at - 1]
    }

    fn number(&mut self, size: usize) -> u64 {
        self.align(size);
        (0..size).fold(0, |sum, n| sum | u64::from(self.byte()) << (8 * n))
    }

    fn text(&mut self, size: usize) -> String {
        let text = String::from_utf8(self.bytes[self.at..self.at + size].to_vec()).expect("text");
        self.at += size;
        assert_eq!(self.byte(), 0, "a text ends");
        text
    }

    fn value(&mut self, signature: &str) -> String {
        match signature.as_bytes()[0] {
            b'y' => self.byte().to_string(),
            b'b' => (self.number(4) == 1).to_string(),
            b'i' | b'u' => self.number(4).to_string(),
            b'x' | b't' => self.number(8).to_string(),
            b's' | b'o' => {
                let size = self.number(4);
                self.text(size.try_into().unwrap())
            }
            b'g' => {
                let size = self.byte();
                self.text(size.into())
            }
            b'v' => {
                let size = self.byte();
                let signature = self.text(size.into());
                self.value(&signature)
            }
            b'(' => {
                self.align(8);
                let mut fields = Vec::new();
                let mut rest = &signature[1..signature.len() - 1];
                while !rest.is_empty() {
                    let (first, more) = rest.split_at(first_type(rest));
                    fields.push(self.value(first));
                    rest = more;
                }
                fields.join("=")
            }
            b'a' => {
                let size = usize::try_from(self.number(4)).unwrap();
                self.align(if matches!(signature.as_bytes()[1], b'(' | b't' | b'x') { 8 } else { 1 });
                let end = self.at + size;
                let mut items = String::from("[");
                while self.at < end {
                    let item = self.value(&signature[1..]);
                    let comma = if items.len() > 1 { ", " } else { "" };
                    write!(items, "{comma}{item}").unwrap();
                }
                assert_eq!(self.at, end, "an array is as long as it says");
                items + "]"
            }
            other => panic!("a value of type {}", char::from(other)),
        }
    }
}

fn string(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap().to_le_bytes();
    [&length, text.as_bytes(), b"\0"].concat()
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

/// `fields`: code, type and value.
fn send(stream: &mut UnixStream, kind: u8, fields: &[(u8, u8, Vec<u8>)], body: &[u8]) {
    let mut head = Vec::new();
    for (code, of, value) in fields {
        pad(&mut head, 8);
        head.extend([*code, 1, *of, 0]);
        head.extend(value);
    }
    let mut bytes = vec![b'l', kind, 1, 1];
    for number in [body.len(), 1, head.len()] {
        bytes.extend(u32::try_from(number).unwrap().to_le_bytes());
    }
    bytes.extend(head);
    pad(&mut bytes, 8);
    bytes.extend(body);
    let _ = stream.write_all(&bytes); // the runtime may have gone
}

fn signature(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes(), b"\0"].concat()
}

fn reply(stream: &mut UnixStream, call: &Call, of: &str, body: &[u8]) {
    send(stream, 2, &[(5, b'u', call.serial.to_le_bytes().to_vec()), (8, b'g', signature(of))], body);
}

fn refuse(stream: &mut UnixStream, call: &Call, name: &str, text: &str) {
    let fields = [(4, b's', string(name)), (5, b'u', call.serial.to_le_bytes().to_vec()), (8, b'g', signature("s"))];
    send(stream, 3, &fields, &string(text));
}

const JOB: &str = "/org/freedesktop/systemd1/job/7";

/// The end of somebody else's job, the answer, and the end of this one.
fn job(stream: &mut UnixStream, call: &Call, unit: &str, result: &str) {
    removed(stream, "/org/freedesktop/systemd1/job/6", "other.service", "failed");
    reply(stream, call, "o", &string(JOB));
    removed(stream, JOB, unit, result);
}

fn removed(stream: &mut UnixStream, job: &str, unit: &str, result: &str) {
    let mut body = 7u32.to_le_bytes().to_vec();
    for text in [job, unit, result] {
        pad(&mut body, 4);
        body.extend(string(text));
    }
    let fields = [
        (1, b'o', string("/org/freedesktop/systemd1")),
        (2, b's', string("org.freedesktop.systemd1.Manager")),
        (3, b's', string("JobRemoved")),
        (8, b'g', signature("uoss")),
    ];
    send(stream, 4, &fields, &body);
}
