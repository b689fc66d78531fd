//! Values of systemd's properties: the types of D-Bus that they have, and their text form. Pure.
//!
//! Annotations `org.systemd.property.NAME` hold GVariant text: `true`, `'text'`, `uint64 5000`, `@au [1, 2]`,
//! `[('/dev/sda', uint64 100)]`. <https://docs.gtk.org/glib/gvariant-text-format.html>

use crate::error::{Context, Result, anyhow, bail, ensure};

/// A value with its type. <https://dbus.freedesktop.org/doc/dbus-specification.html#type-system>
#[derive(Clone, PartialEq, Debug)]
pub enum Variant {
    Bool(bool),
    Byte(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    Double(f64),
    Text(String),
    ObjectPath(String),
    Signature(String),
    /// All items have the type that `element` writes.
    Array {
        element: String,
        items: Vec<Variant>,
    },
    Struct(Vec<Variant>),
}

/// No property has a longer one, and what is longer than this would only fill the bus.
const LONGEST: usize = 64 << 10;

/// D-Bus writes a type's length in one byte. <https://dbus.freedesktop.org/doc/dbus-specification.html#type-system>
pub const LONGEST_SIGNATURE: usize = 255;

/// Deeper than any property of systemd's.
const DEEPEST: usize = 8;

impl Variant {
    pub fn text(text: impl Into<String>) -> Variant {
        Variant::Text(text.into())
    }

    pub fn array(element: &str, items: Vec<Variant>) -> Variant {
        Variant::Array { element: element.to_owned(), items }
    }

    /// A set of numbers as systemd wants sets of CPUs and nodes: bytes, the lowest number in the lowest bit of the first.
    pub fn bytes(bytes: impl IntoIterator<Item = u8>) -> Variant {
        Variant::array("y", bytes.into_iter().map(Variant::Byte).collect())
    }

    /// How D-Bus writes the type.
    pub fn signature(&self) -> String {
        match self {
            Variant::Bool(_) => "b".to_owned(),
            Variant::Byte(_) => "y".to_owned(),
            Variant::I16(_) => "n".to_owned(),
            Variant::U16(_) => "q".to_owned(),
            Variant::I32(_) => "i".to_owned(),
            Variant::U32(_) => "u".to_owned(),
            Variant::I64(_) => "x".to_owned(),
            Variant::U64(_) => "t".to_owned(),
            Variant::Double(_) => "d".to_owned(),
            Variant::Text(_) => "s".to_owned(),
            Variant::ObjectPath(_) => "o".to_owned(),
            Variant::Signature(_) => "g".to_owned(),
            Variant::Array { element, .. } => format!("a{element}"),
            Variant::Struct(fields) => format!("({})", fields.iter().map(Variant::signature).collect::<String>()),
        }
    }

    /// Seconds as microseconds. `None` for what is no number, or one that does not fit.
    pub fn seconds_as_microseconds(&self) -> Option<u64> {
        const MILLION: u64 = 1_000_000;
        let whole = match *self {
            Variant::Byte(n) => u64::from(n),
            Variant::U16(n) => u64::from(n),
            Variant::U32(n) => u64::from(n),
            Variant::U64(n) => n,
            Variant::I16(n) => u64::try_from(n).ok()?,
            Variant::I32(n) => u64::try_from(n).ok()?,
            Variant::I64(n) => u64::try_from(n).ok()?,
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and 10^15
            Variant::Double(n) if (0.0..1e9).contains(&n) => return Some((n * 1e6) as u64),
            _ => return None,
        };
        whole.checked_mul(MILLION)
    }
}

/// Reads one value of GVariant text.
pub fn parse(text: &str) -> Result<Variant> {
    ensure!(text.len() <= LONGEST, "is longer than {LONGEST} bytes");
    ensure!(!text.contains('\0'), "holds a NUL");
    let mut parser = Parser { rest: text };
    let value = parser.value(None, 0)?;
    parser.blanks();
    ensure!(parser.rest.is_empty(), "{:?} follows after the value", parser.rest);
    let length = value.signature().len();
    ensure!(length <= LONGEST_SIGNATURE, "has a type of {length} letters; D-Bus takes {LONGEST_SIGNATURE}");
    Ok(value)
}

/// Words that name the type of what follows.
const TYPES: [(&str, &str); 13] = [
    ("boolean", "b"),
    ("byte", "y"),
    ("int16", "n"),
    ("uint16", "q"),
    ("int32", "i"),
    ("uint32", "u"),
    ("handle", "i"),
    ("int64", "x"),
    ("uint64", "t"),
    ("double", "d"),
    ("string", "s"),
    ("objectpath", "o"),
    ("signature", "g"),
];

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn takes(&mut self, c: char) -> bool {
        self.blanks();
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn word(&mut self, part: fn(char) -> bool) -> &str {
        let end = self.rest.find(|c| !part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// `expected`: the type that the place has; `None` where the value itself decides.
    fn value(&mut self, expected: Option<&str>, depth: usize) -> Result<Variant> {
        ensure!(depth < DEEPEST, "is nested deeper than {DEEPEST}");
        self.blanks();
        let value = match self.rest.chars().next() {
            None => bail!("ends where a value should be"),
            Some('@') => {
                self.rest = &self.rest[1..];
                let said = self.word(|c| !c.is_whitespace()).to_owned();
                let (whole, more) = first_type(&said)?;
                ensure!(more.is_empty(), "@{said} is not one type");
                self.value(Some(whole), depth + 1)?
            }
            Some('[') => self.array(expected, depth)?,
            Some('(') => self.fields(expected, depth)?,
            Some('\'' | '"') => self.string(expected)?,
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => {
                let word = self.word(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
                number(word, expected)?
            }
            Some(_) => {
                let word = self.word(|c| c.is_ascii_alphanumeric()).to_owned();
                match (word.as_str(), TYPES.iter().find(|(name, _)| *name == word)) {
                    ("true", _) => Variant::Bool(true),
                    ("false", _) => Variant::Bool(false),
                    (_, Some((_, code))) => self.value(Some(code), depth + 1)?,
                    _ => bail!(
                        "{:?} is no value; write true, 5, 'text', uint64 5000, ['a', 'b'], as gvariant text has it",
                        format!("{word}{}", self.rest)
                    ),
                }
            }
        };
        let (is, wanted) = (value.signature(), expected.unwrap_or_default());
        ensure!(wanted.is_empty() || is == wanted, "a value of type {is} stands where one of type {wanted} should");
        Ok(value)
    }

    fn array(&mut self, expected: Option<&str>, depth: usize) -> Result<Variant> {
        self.takes('[');
        let mut element = expected.and_then(|whole| whole.strip_prefix('a')).map(str::to_owned);
        let mut items = Vec::new();
        while !self.takes(']') {
            ensure!(items.is_empty() || self.takes(','), "a comma or ] is missing before {:?}", self.rest);
            let item = self.value(element.as_deref(), depth + 1)?;
            element.get_or_insert_with(|| item.signature());
            items.push(item);
        }
        let element = element.context("an empty array does not show its type; write @as [] for one of strings")?;
        Ok(Variant::Array { element, items })
    }

    fn fields(&mut self, expected: Option<&str>, depth: usize) -> Result<Variant> {
        self.takes('(');
        let mut types = expected.and_then(|whole| whole.strip_prefix('(')?.strip_suffix(')'));
        let mut fields = Vec::new();
        while !self.takes(')') {
            ensure!(fields.is_empty() || self.takes(','), "a comma or ) is missing before {:?}", self.rest);
            let mut own = None;
            if let Some(all) = types.filter(|all| !all.is_empty()) {
                let (first, more) = first_type(all)?;
                (own, types) = (Some(first), Some(more));
            }
            fields.push(self.value(own, depth + 1)?);
        }
        ensure!(!fields.is_empty(), "() holds nothing, which D-Bus cannot send");
        Ok(Variant::Struct(fields))
    }

    fn string(&mut self, expected: Option<&str>) -> Result<Variant> {
        let mut chars = self.rest.char_indices();
        let quote = chars.next().map(|(_, c)| c);
        let mut text = String::new();
        while let Some((at, c)) = chars.next() {
            if Some(c) == quote {
                self.rest = &self.rest[at + c.len_utf8()..];
                return match expected {
                    Some("o") => object_path(text),
                    Some("g") => signature(text),
                    _ => Ok(Variant::Text(text)),
                };
            }
            text.push(match c {
                '\\' => match chars.next().map(|(_, c)| c) {
                    Some('n') => '\n',
                    Some('t') => '\t',
                    Some(c @ ('\\' | '\'' | '"')) => c,
                    Some(c) => bail!("\\{c} is not understood in a string"),
                    None => break,
                },
                c => c,
            });
        }
        bail!("the closing quote is missing in {:?}", self.rest)
    }
}

/// A bare number is an int32, or a double when it is written as one.
fn number(word: &str, expected: Option<&str>) -> Result<Variant> {
    let bad = || anyhow!("{word:?} is no number{}", expected.map(|t| format!(" of type {t}")).unwrap_or_default());
    let hexadecimal = word.trim_start_matches(['-', '+']).starts_with("0x");
    let double = !hexadecimal && word.contains(['.', 'e', 'E']);
    let code = expected.unwrap_or(if double { "d" } else { "i" });
    if code == "d" {
        return word.parse().map(Variant::Double).map_err(|_| bad());
    }
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let parsed = match digits.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16),
        None => digits.parse::<i128>(),
    };
    let whole = parsed.map(|n| if negative { -n } else { n }).map_err(|_| bad())?;
    let value = match code {
        "y" => whole.try_into().map(Variant::Byte),
        "n" => whole.try_into().map(Variant::I16),
        "q" => whole.try_into().map(Variant::U16),
        "i" => whole.try_into().map(Variant::I32),
        "u" => whole.try_into().map(Variant::U32),
        "x" => whole.try_into().map(Variant::I64),
        "t" => whole.try_into().map(Variant::U64),
        _ => return Err(bad()),
    };
    value.map_err(|_| bad())
}

/// What the bus takes for a path: it ends the connection of a caller who sends another.
fn object_path(text: String) -> Result<Variant> {
    let name = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let fits = text == "/" || text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(name));
    ensure!(fits, "{text:?} is no object path; write one as '/org/example/name'");
    Ok(Variant::ObjectPath(text))
}

/// The same for a value that is itself the name of types.
fn signature(text: String) -> Result<Variant> {
    ensure!(text.len() <= LONGEST_SIGNATURE, "a signature has at most {LONGEST_SIGNATURE} letters");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        (_, rest) = first_type(rest)?;
    }
    Ok(Variant::Signature(text))
}

/// Splits off the first complete type.
fn first_type(signature: &str) -> Result<(&str, &str)> {
    let mut depth = 0usize;
    for (at, c) in signature.char_indices() {
        match c {
            'a' => continue,
            '(' => depth += 1,
            ')' if depth > 0 => depth -= 1,
            'b' | 'y' | 'n' | 'q' | 'i' | 'u' | 'x' | 't' | 'd' | 's' | 'o' | 'g' => {}
            _ => break,
        }
        if depth == 0 {
            return Ok(signature.split_at(at + 1));
        }
    }
    bail!("{signature:?} is not a type that a property can have")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_typed_values() {
        for (text, signature, value) in [
            ("true", "b", Variant::Bool(true)),
            (" false ", "b", Variant::Bool(false)),
            ("5", "i", Variant::I32(5)),
            ("-0x10", "i", Variant::I32(-16)),
            ("1.5", "d", Variant::Double(1.5)),
            ("uint64 18446744073709551615", "t", Variant::U64(u64::MAX)),
            ("@t 7", "t", Variant::U64(7)),
            ("byte 255", "y", Variant::Byte(255)),
            ("'it\\'s'", "s", Variant::text("it's")),
            ("\"a'b\"", "s", Variant::text("a'b")),
            ("objectpath '/a'", "o", Variant::ObjectPath("/a".into())),
            ("@as []", "as", Variant::array("s", vec![])),
            ("['a', 'b']", "as", Variant::array("s", vec![Variant::text("a"), Variant::text("b")])),
            ("[uint64 1, 2]", "at", Variant::array("t", vec![Variant::U64(1), Variant::U64(2)])),
            ("@au [1,2]", "au", Variant::array("u", vec![Variant::U32(1), Variant::U32(2)])),
            (
                "[('/dev/sda', uint64 100)]",
                "a(st)",
                Variant::array("(st)", vec![Variant::Struct(vec![Variant::text("/dev/sda"), Variant::U64(100)])]),
            ),
            (
                "@a(st) [('x', 1)]",
                "a(st)",
                Variant::array("(st)", vec![Variant::Struct(vec![Variant::text("x"), Variant::U64(1)])]),
            ),
        ] {
            let parsed = parse(text).unwrap_or_else(|error| panic!("{text}: {error:#}"));
            assert_eq!((parsed.signature().as_str(), &parsed), (signature, &value), "{text}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_with_a_reason() {
        for (text, why) in [
            ("", "ends where a value should be"),
            ("yes", "is no value"),
            ("'a", "closing quote"),
            ("[]", "write @as []"),
            ("[1, 'a']", "type"),
            ("[1 2]", "comma"),
            ("1 2", "follows"),
            ("byte 256", "no number of type y"),
            ("2147483648", "no number"),
            ("uint64 -1", "no number of type t"),
            ("@z 5", "not a type"),
            ("@ii 5", "not one type"),
            ("[[[[[[[[[[1]]]]]]]]]]", "nested"),
            ("()", "holds nothing"),
            ("{'a': 1}", "is no value"),
            ("<5>", "is no value"),
            ("'a\\u0041'", "not understood"),
            ("uint64", "ends where"),
            ("@s 5", "type"),
            ("objectpath 'a'", "no object path"),
            ("objectpath '/a/'", "no object path"),
            ("signature 'z'", "not a type"),
            (&format!("({})", vec!["1"; 254].join(",")), "has a type of 256 letters"),
            (&format!("signature '{}'", "i".repeat(256)), "at most 255"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn seconds_are_counted_in_microseconds() {
        assert_eq!(Variant::I32(5).seconds_as_microseconds(), Some(5_000_000));
        assert_eq!(Variant::Double(0.5).seconds_as_microseconds(), Some(500_000));
        assert_eq!(Variant::U64(u64::MAX).seconds_as_microseconds(), None);
        assert_eq!(Variant::I64(-1).seconds_as_microseconds(), None);
        assert_eq!(Variant::text("5s").seconds_as_microseconds(), None);
    }
}
