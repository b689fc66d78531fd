//! Messages of D-Bus as bytes: just the types that systemd's manager takes and answers. Little-endian, no descriptors.
//!
//! What comes in is checked before it is used: lengths against what is there, texts for being text. Nothing is allocated
//! by a length that a peer has only claimed. <https://dbus.freedesktop.org/doc/dbus-specification.html>

use crate::error::{Context, Result, bail, ensure};
use crate::plan::cgroup::variant::{LONGEST_SIGNATURE, Variant};

/// What follows the first 16 bytes of a message, at most. The protocol allows 128 MiB; systemd's answers have some hundred
/// bytes.
const LONGEST: usize = 4 << 20;

/// The part of a message that says how long the rest is.
pub const START: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Call,
    Return,
    Error,
    Signal,
}

/// Codes of the header's fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR: u8 = 4;
const REPLY_TO: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Whom a call goes to.
#[derive(Clone, Copy)]
pub struct Address<'a> {
    /// None on a connection that has no bus in between.
    pub destination: Option<&'a str>,
    pub path: &'a str,
    pub interface: &'a str,
}

/// A message that came in.
#[derive(Debug)]
pub struct Message {
    pub kind: Kind,
    pub member: String,
    /// Of an error.
    pub error: String,
    /// The call that it answers.
    pub reply_to: Option<u32>,
    signature: String,
    body: Vec<u8>,
}

/// Puts together what is sent. Alignment counts from the start of the message, or of the body, which begins aligned to 8.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
    /// Something in it does not fit the format.
    too_long: bool,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.align(8);
        self.bytes.extend(value.to_le_bytes());
    }

    fn u16(&mut self, value: u16) {
        self.align(2);
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn text(&mut self, text: &str) {
        self.u32(length(text.len()));
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, text: &str) {
        // The plan refuses a longer one. A cut length would make another message of the rest, so the message is refused whole.
        self.too_long |= text.len() > LONGEST_SIGNATURE;
        self.bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    /// An array: its length in bytes, the padding up to the first item, the items.
    pub fn array(&mut self, alignment: usize, items: impl FnOnce(&mut Writer)) {
        self.u32(0);
        let at = self.bytes.len();
        self.align(alignment);
        let first = self.bytes.len();
        items(self);
        let size = length(self.bytes.len() - first);
        self.bytes[at - 4..at].copy_from_slice(&size.to_le_bytes());
    }

    /// A value behind its own signature.
    pub fn variant(&mut self, value: &Variant) {
        self.signature(&value.signature());
        self.value(value);
    }

    fn value(&mut self, value: &Variant) {
        match value {
            Variant::Bool(on) => self.u32(u32::from(*on)),
            Variant::Byte(n) => self.bytes.push(*n),
            Variant::I16(n) => self.u16(n.cast_unsigned()),
            Variant::U16(n) => self.u16(*n),
            Variant::I32(n) => self.u32(n.cast_unsigned()),
            Variant::U32(n) => self.u32(*n),
            Variant::I64(n) => self.u64(n.cast_unsigned()),
            Variant::U64(n) => self.u64(*n),
            Variant::Double(n) => self.u64(n.to_bits()),
            Variant::Text(text) | Variant::ObjectPath(text) => self.text(text),
            Variant::Signature(text) => self.signature(text),
            Variant::Array { element, items } => {
                self.array(alignment(element), |w| items.iter().for_each(|item| w.value(item)));
            }
            Variant::Struct(fields) => {
                self.align(8);
                fields.iter().for_each(|field| self.value(field));
            }
        }
    }

    /// The entries of `a(sv)`: names with values.
    pub fn properties<'a>(&mut self, all: impl Iterator<Item = (&'a str, &'a Variant)>) {
        self.array(8, |w| {
            for (name, value) in all {
                w.align(8);
                w.text(name);
                w.variant(value);
            }
        });
    }

    fn field(&mut self, code: u8, value: &Variant) {
        self.align(8);
        self.bytes.push(code);
        self.variant(value);
    }
}

/// Nothing that we send comes near 4 GiB.
fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn alignment(signature: &str) -> usize {
    match signature.as_bytes().first() {
        Some(b'y' | b'g') => 1,
        Some(b'n' | b'q') => 2,
        Some(b'x' | b't' | b'd' | b'(') => 8,
        _ => 4,
    }
}

/// A method call, whole. An error when a type in it is longer than the format can say.
pub fn call(serial: u32, to: &Address, member: &str, signature: &str, body: &Writer) -> Result<Vec<u8>> {
    let mut message = Writer { bytes: vec![b'l', 1, 0, 1], too_long: false };
    message.u32(length(body.bytes.len()));
    message.u32(serial);
    message.array(8, |w| {
        w.field(PATH, &Variant::ObjectPath(to.path.to_owned()));
        w.field(INTERFACE, &Variant::text(to.interface));
        w.field(MEMBER, &Variant::text(member));
        if let Some(destination) = to.destination {
            w.field(DESTINATION, &Variant::text(destination));
        }
        if !signature.is_empty() {
            w.field(SIGNATURE, &Variant::Signature(signature.to_owned()));
        }
    });
    message.align(8);
    message.bytes.extend(&body.bytes);
    ensure!(!message.too_long && !body.too_long, "a value has a type of more than {LONGEST_SIGNATURE} letters");
    Ok(message.bytes)
}

/// How long a message is in all, from its first 16 bytes.
pub fn whole_length(start: &[u8]) -> Result<usize> {
    let mut reader = Reader { bytes: start, at: 0 };
    let (endian, _, _, version) = (reader.u8()?, reader.u8()?, reader.u8()?, reader.u8()?);
    ensure!(endian == b'l' && version == 1, "a message in an unknown format");
    let (body, _, fields) = (reader.u32()? as usize, reader.u32()?, reader.u32()? as usize);
    ensure!(body <= LONGEST && fields <= LONGEST, "a message of {body} bytes, which is too long");
    Ok((START + fields).next_multiple_of(8) + body)
}

impl Message {
    /// `bytes`: one whole message.
    pub fn parse(bytes: &[u8]) -> Result<Message> {
        ensure!(bytes.len() == whole_length(bytes)?, "a message that is cut off");
        let mut reader = Reader { bytes, at: 1 };
        let kind = match reader.u8()? {
            1 => Kind::Call,
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            other => bail!("a message of unknown type {other}"),
        };
        let (none, mut member, mut error, mut signature) = (String::new, String::new(), String::new(), String::new());
        let mut reply_to = None;
        reader.at = 12;
        let end = reader.u32()? as usize + START;
        while reader.at < end {
            reader.align(8);
            let code = reader.u8()?;
            let of = reader.signature()?;
            let (text, number) = match of.as_str() {
                "s" | "o" => (reader.text()?, 0),
                "g" => (reader.signature()?, 0),
                "u" => (none(), reader.u32()?),
                other => bail!("a header with a field of type {other:?}"),
            };
            match code {
                MEMBER => member = text,
                ERROR => error = text,
                SIGNATURE => signature = text,
                REPLY_TO => reply_to = Some(number),
                _ => {}
            }
        }
        let body = bytes.get(end.next_multiple_of(8)..).unwrap_or_default().to_vec();
        Ok(Message { kind, member, error, reply_to, signature, body })
    }

    /// The texts and numbers of the body, as text, as far as it has nothing else in front of them.
    pub fn words(&self) -> Result<Vec<String>> {
        let mut reader = Reader { bytes: &self.body, at: 0 };
        let simple = self.signature.chars().take_while(|c| matches!(c, 's' | 'o' | 'u'));
        simple.map(|c| if c == 'u' { Ok(reader.u32()?.to_string()) } else { reader.text() }).collect()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(count).context("a length that cannot be")?;
        let taken = self.bytes.get(self.at..end).context("a message that is cut off")?;
        self.at = end;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32> {
        self.align(4);
        Ok(self.take(4)?.try_into().map(u32::from_le_bytes)?)
    }

    fn text(&mut self) -> Result<String> {
        let size = self.u32()? as usize;
        self.terminated(size)
    }

    fn signature(&mut self) -> Result<String> {
        let size = usize::from(self.u8()?);
        self.terminated(size)
    }

    fn terminated(&mut self, size: usize) -> Result<String> {
        let text = std::str::from_utf8(self.take(size)?).context("a text that is none")?.to_owned();
        ensure!(self.u8()? == 0, "a text without an end");
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_call_is_as_the_specification_has_it() {
        let to = Address { destination: Some("a.b"), path: "/a", interface: "c.d" };
        let mut body = Writer::default();
        body.text("hi");
        let bytes = call(7, &to, "Go", "s", &body).unwrap();
        let expected = [
            "6c010001 07000000 07000000", // a little-endian call, 7 bytes of body, serial 7
            "47000000",                   // 71 bytes of fields, and a byte of padding after them
            "01016f00 02000000 2f610000 00000000",
            "02017300 03000000 632e6400 00000000",
            "03017300 02000000 476f0000 00000000",
            "06017300 03000000 612e6200 00000000",
            "08016700 01730000",
            "02000000 686900",
        ];
        assert_eq!(hex(&bytes), expected.concat().replace(' ', ""));
        assert_eq!(whole_length(&bytes[..START]).unwrap(), bytes.len());
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.kind, message.member.as_str()), (Kind::Call, "Go"));
        assert_eq!(message.words().unwrap(), ["hi"]);
    }

    #[test]
    fn properties_are_aligned() {
        let mut body = Writer::default();
        let list = Variant::array("u", vec![Variant::U32(9)]);
        let all = [("Ab", Variant::Bool(true)), ("Cd", Variant::U64(5)), ("E", list)];
        body.properties(all.iter().map(|(name, value)| (*name, value)));
        let expected = [
            "48000000 00000000", // the length, which does not count the padding before the first item
            "02000000 41620001 62000000 01000000",
            "02000000 43640001 74000000 00000000 05000000 00000000",
            "01000000 45000261 75000000 04000000 09000000",
        ];
        let mut expected = expected.concat().replace(' ', "");
        expected.replace_range(..2, &format!("{:02x}", expected.len() / 2 - 8));
        assert_eq!(hex(&body.bytes), expected);
    }

    #[test]
    fn structs_in_arrays_begin_at_multiples_of_eight() {
        let entry = |path: &str| Variant::Struct(vec![Variant::text(path), Variant::U64(1)]);
        let mut body = Writer::default();
        body.variant(&Variant::array("(st)", vec![entry("/a"), entry("/b")]));
        let expected = [
            "05 612873742900 00", // the type, aligned to the length
            "28000000 00000000 00000000"[..17].into(),
            "02000000 2f610000 01000000 00000000",
            "02000000 2f620000 01000000 00000000",
        ];
        let expected: String = expected.concat().replace(' ', "");
        assert_eq!(hex(&body.bytes).len() % 16, 0, "{}", hex(&body.bytes));
        assert_eq!(hex(&body.bytes)[32..], expected[expected.len() - 64..]);
    }

    #[test]
    fn a_type_that_the_format_cannot_say_is_never_sent() {
        let to = Address { destination: None, path: "/a", interface: "c.d" };
        let with = |count: usize| {
            let mut body = Writer::default();
            body.variant(&Variant::Struct(vec![Variant::Byte(1); count]));
            call(1, &to, "Go", "v", &body)
        };
        assert!(with(253).is_ok() && with(254).is_err() && with(1000).is_err());
    }

    /// What a peer sends must never make us panic or allocate without bound.
    #[test]
    fn broken_messages_are_errors() {
        let to = Address { destination: None, path: "/a", interface: "c.d" };
        let mut body = Writer::default();
        body.text("hello");
        let good = call(1, &to, "Go", "s", &body).unwrap();
        for cut in 0..good.len() {
            assert!(Message::parse(&good[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..good.len() {
            for value in [0u8, 1, 0x7f, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                if let Ok(message) = Message::parse(&bad) {
                    let _ = message.words(); // may fail, must not panic
                }
            }
        }
        let mut huge = good;
        huge[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(whole_length(&huge[..START]).is_err());
    }
}
