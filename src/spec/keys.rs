//! The keys of config.json, looked at in its text before it is parsed: unknown ones, those that differ from a known one by
//! case only, and lists in the place of objects, all of which the parser would take without a word.
//!
//! runc is written in Go, whose JSON package compares keys without case: `"UID": 0` counts there. It counts here as well,
//! with a warning: the key is rewritten in the text. Two keys that differ by case only are refused, because readers of the
//! file would not agree on which one counts.
//!
//! The scan goes once through the text, holds nothing of it, and goes no deeper than the table of keys; a text that is not
//! JSON ends it, and is left to the parser.

use super::shapes::Shape::{self, Capabilities, List, Map, Object};
use crate::error::{Result, bail, did_you_mean};
use std::borrow::Cow;
use std::ops::Range;

/// Number of keys that get a warning each.
const NAMED: usize = 16;

/// The text with every key as the parser knows it, and a warning for each that was not so.
pub struct Checked<'a> {
    pub text: Cow<'a, [u8]>,
    pub warnings: Vec<String>,
    /// A name of a capability is not spelt as the specification has it.
    pub odd_capability: bool,
}

/// Scans the text. `at` is where its top would stand in a config.json, as `process`, and empty for a whole one.
///
/// Fails where a list stands in the place of an object, and where two keys of an object differ by case only.
pub fn check<'a>(text: &'a [u8], shape: &Shape, at: &'static str) -> Result<Checked<'a>> {
    let mut scan = Scan {
        text,
        at: 0,
        path: vec![Step::Key(at)],
        warnings: Vec::new(),
        odd: 0,
        respelt: Vec::new(),
        odd_capability: false,
    };
    scan.value(shape)?;
    let Scan { mut warnings, odd, respelt, odd_capability, .. } = scan;
    if odd > NAMED {
        warnings.push(format!("{} more keys are unknown, repeated or in another case", odd - NAMED));
    }
    if respelt.is_empty() {
        return Ok(Checked { text: Cow::Borrowed(text), warnings, odd_capability });
    }
    let (mut new, mut done) = (Vec::with_capacity(text.len()), 0);
    for (place, name) in respelt {
        new.extend_from_slice(&text[done..place.start]);
        new.extend_from_slice(name.as_bytes());
        done = place.end;
    }
    new.extend_from_slice(&text[done..]);
    Ok(Checked { text: Cow::Owned(new), warnings, odd_capability })
}

enum Step {
    Key(&'static str),
    /// A key that the author chose.
    Own(String),
    Index(usize),
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    path: Vec<Step>,
    warnings: Vec<String>,
    /// Keys with something to say of, named in `warnings` or not.
    odd: usize,
    /// Keys, without their quotes, and how they are written.
    respelt: Vec<(Range<usize>, &'static str)>,
    odd_capability: bool,
}

impl Scan<'_> {
    /// Goes past one value; `false` where the text is not JSON.
    fn value(&mut self, shape: &Shape) -> Result<bool> {
        match (shape, self.next()) {
            (Object(fields), Some(b'{')) => {
                let mut seen = vec![None; fields.len()];
                self.members(|scan, key| scan.field(fields, key, &mut seen))
            }
            (Map(shape), Some(b'{')) => self.members(|scan, key| {
                let own = String::from_utf8_lossy(&scan.text[key]).into_owned();
                scan.below(Step::Own(own), shape)
            }),
            (Object(_), Some(b'[')) => bail!("{}: is a list; an object in braces belongs there", self.place(None)),
            (List(shape), Some(b'[')) => {
                let mut index = 0;
                self.entries(b']', |scan| {
                    index += 1;
                    scan.below(Step::Index(index - 1), shape)
                })
            }
            (Capabilities, Some(b'[')) => self.entries(b']', |scan| {
                let _ = scan.next();
                let begin = scan.at;
                let is_string = scan.skip();
                scan.odd_capability |= !is_capability(&scan.text[begin..scan.at.min(scan.text.len())]);
                Ok(is_string)
            }),
            _ => Ok(self.skip()),
        }
    }

    /// Counts one more key with something to say of.
    fn is_to_be_named(&mut self) -> bool {
        self.odd += 1;
        self.odd <= NAMED
    }

    fn below(&mut self, step: Step, shape: &Shape) -> Result<bool> {
        self.path.push(step);
        let done = self.value(shape)?;
        self.path.pop();
        Ok(done)
    }

    /// A key of an object that the specification describes, and its value. `seen`: the place of each field's key so far.
    fn field(
        &mut self,
        fields: &'static [(&'static str, Shape)],
        key: Range<usize>,
        seen: &mut [Option<usize>],
    ) -> Result<bool> {
        let raw = &self.text[key.clone()];
        let exact = fields.iter().position(|(name, _)| name.as_bytes() == raw);
        let name = if exact.is_some() { Cow::Borrowed("") } else { unescaped(raw) };
        let index = exact.or_else(|| fields.iter().position(|(field, _)| are_alike(field, &name)));
        let Some(index) = index else {
            if self.is_to_be_named() {
                let hint = did_you_mean(&name.to_ascii_lowercase(), fields.iter().map(|(field, _)| *field));
                let hint = hint.map(|near| format!(" (did you mean {near:?}?)")).unwrap_or_default();
                let shown: String = name.chars().take(100).collect();
                self.warnings.push(format!("{}: ignoring an unknown key{hint}", self.place(Some(&shown))));
            }
            return Ok(self.skip());
        };
        let (field, shape) = &fields[index];
        if let Some(earlier) = seen[index] {
            let is_the_same = self.text[earlier..].starts_with(raw) && exact.is_some();
            if !is_the_same {
                bail!("{}: is there twice, in different spelling; remove one of them", self.place(Some(field)));
            }
            if self.is_to_be_named() {
                self.warnings.push(format!("{}: is there twice, and the last one counts", self.place(Some(field))));
            }
        }
        seen[index] = Some(key.start);
        if exact.is_none() {
            if *field != name && self.is_to_be_named() {
                let place = self.place(Some(&name));
                self.warnings.push(format!("{place}: taken for {field:?}, as runc takes it; write it so"));
            }
            self.respelt.push((key, field));
        }
        self.below(Step::Key(field), shape)
    }

    fn members(&mut self, mut member: impl FnMut(&mut Self, Range<usize>) -> Result<bool>) -> Result<bool> {
        self.entries(b'}', |scan| {
            if scan.next() != Some(b'"') {
                return Ok(false);
            }
            let begin = scan.at + 1;
            if !scan.skip() {
                return Ok(false);
            }
            let key = begin..scan.at - 1;
            if scan.next() != Some(b':') {
                return Ok(false);
            }
            scan.at += 1;
            member(scan, key)
        })
    }

    /// What stands between brackets or braces, of which the first one is next, with commas in between.
    fn entries(&mut self, end: u8, mut entry: impl FnMut(&mut Self) -> Result<bool>) -> Result<bool> {
        self.at += 1;
        if self.next() != Some(end) {
            loop {
                if !entry(self)? {
                    return Ok(false);
                }
                match self.next() {
                    Some(b',') => self.at += 1,
                    Some(byte) if byte == end => break,
                    _ => return Ok(false),
                }
            }
        }
        self.at += 1;
        Ok(true)
    }

    /// The byte at which the next token begins.
    fn next(&mut self) -> Option<u8> {
        while self.text.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    /// Goes past a value whatever it is, without recursion; `false` where the text ends before it.
    fn skip(&mut self) -> bool {
        let mut depth = 0_usize;
        loop {
            match self.next() {
                None => return false,
                Some(b'"') => {
                    if !self.skip_string() {
                        return false;
                    }
                }
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                Some(b'}' | b']') => {
                    if depth == 0 {
                        return false;
                    }
                    depth -= 1;
                    self.at += 1;
                }
                Some(b',' | b':') if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                Some(b',' | b':') => return false,
                Some(_) => {
                    let is_end = |byte: &u8| byte.is_ascii_whitespace() || b",:]}[{\"".contains(byte);
                    let rest = &self.text[self.at..];
                    self.at += rest.iter().position(is_end).unwrap_or(rest.len());
                }
            }
            if depth == 0 {
                return true;
            }
        }
    }

    fn skip_string(&mut self) -> bool {
        self.at += 1;
        while let Some(byte) = self.text.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => return true,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
        false
    }

    /// `linux.devices[0].path`.
    fn place(&self, key: Option<&str>) -> String {
        let steps = self.path.iter().map(|step| match step {
            Step::Key(name) => (*name).to_owned(),
            Step::Own(name) => name.clone(),
            Step::Index(index) => format!("[{index}]"),
        });
        let all = steps.chain(key.map(str::to_owned)).filter(|step| !step.is_empty());
        let place = all.fold(String::new(), |place, step| match step.starts_with('[') || place.is_empty() {
            true => place + &step,
            false => place + "." + &step,
        });
        if place.is_empty() { "the document".to_owned() } else { place }
    }
}

fn unescaped(raw: &[u8]) -> Cow<'_, str> {
    if !raw.contains(&b'\\') {
        return String::from_utf8_lossy(raw);
    }
    let quoted = [b"\"", raw, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).map_or_else(|_| String::from_utf8_lossy(raw), Cow::Owned)
}

/// Is it spelt as a capability of the specification, in its quotes?
fn is_capability(quoted: &[u8]) -> bool {
    let name = quoted.strip_prefix(b"\"CAP_").and_then(|rest| rest.strip_suffix(b"\""));
    let is_plain = |name: &[u8]| name.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
    name.is_some_and(|name| is_plain(name) && !name.starts_with(b"CAP_")) // the parser takes any number of prefixes
}

/// As Go's encoding/json folds: letters without case, and the two letters outside of ASCII that fold to one inside.
fn are_alike(one: &str, other: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    one.chars().map(fold).eq(other.chars().map(fold))
}

#[cfg(test)]
mod tests {
    use super::super::shapes::CONFIG;
    use super::*;

    fn checked(text: &str) -> (String, Vec<String>) {
        let checked = check(text.as_bytes(), &CONFIG, "").unwrap();
        (String::from_utf8(checked.text.into_owned()).unwrap(), checked.warnings)
    }

    fn refusal(text: &str) -> String {
        check(text.as_bytes(), &CONFIG, "").err().expect("a refusal").to_string()
    }

    #[test]
    fn unknown_keys_are_named_with_the_nearest_known_one() {
        for (text, warning) in [
            (r#"{"linux":{"resource":{}}}"#, "linux.resource: ignoring an unknown key (did you mean \"resources\"?)"),
            (
                r#"{"linux":{"resources":{"memory":{"limits":1}}}}"#,
                "linux.resources.memory.limits: ignoring an unknown key (did you mean \"limit\"?)",
            ),
            (
                r#"{"mounts":[{},{"destinatoin":"/"}]}"#,
                "mounts[1].destinatoin: ignoring an unknown key (did you mean \"destination\"?)",
            ),
            (
                r#"{"process":{"usr":{}}, "x" : [1,{"a":"}"}] }"#,
                "process.usr: ignoring an unknown key (did you mean \"user\"?)",
            ),
            (
                r#"{"linux":{"netDevices":{"eth0":{"nmae":""}}}}"#,
                "linux.netDevices.eth0.nmae: ignoring an unknown key (did you mean \"name\"?)",
            ),
        ] {
            let (same, warnings) = checked(text);
            assert_eq!((same.as_str(), warnings[0].as_str()), (text, warning));
        }
        let many = (0..40).map(|n| format!("\"x{n}\":0")).collect::<Vec<_>>().join(",");
        let cases = vec![r#"{"PATH":""}"#; 100].join(",");
        assert_eq!(checked(&format!(r#"{{"hooks":{{"poststop":[{cases}]}}}}"#)).1.len(), 17);
        let (_, warnings) = checked(&format!("{{{many}}}"));
        assert_eq!(
            (warnings.len(), warnings[16].as_str()),
            (17, "24 more keys are unknown, repeated or in another case")
        );
    }

    #[test]
    fn a_key_counts_whatever_its_case_as_in_go() {
        let (text, warnings) = checked(r#"{"Process":{"USER":{"UID":7,"gid":8}},"ROOT":{"readOnly":true}}"#);
        assert_eq!(text, r#"{"process":{"user":{"uid":7,"gid":8}},"root":{"readonly":true}}"#);
        assert_eq!(warnings.len(), 5);
        assert_eq!(warnings[4], "root.readOnly: taken for \"readonly\", as runc takes it; write it so");
        let (text, warnings) = checked(r#"{"h\u006foks":{"pre\u017ftart":[]}}"#);
        assert_eq!((text.as_str(), warnings.len()), (r#"{"hooks":{"prestart":[]}}"#, 1));
        assert_eq!(
            refusal(r#"{"process":{"user":{"uid":1000,"UID":0}}}"#),
            "process.user.uid: is there twice, in different spelling; remove one of them"
        );
        let (_, warnings) = checked(r#"{"hostname":"a","hostname":"b"}"#);
        assert_eq!(warnings, ["hostname: is there twice, and the last one counts"]);
    }

    #[test]
    fn a_list_is_no_object() {
        assert_eq!(refusal("[]"), "the document: is a list; an object in braces belongs there");
        let text = r#"{"process":{"rlimits":[["RLIMIT_CPU",1,1]]}}"#;
        assert_eq!(refusal(text), "process.rlimits[0]: is a list; an object in braces belongs there");
    }

    #[test]
    fn keys_that_the_author_chooses_are_left_alone() {
        let text = r#"{"annotations":{"a.B":"c"},"linux":{"sysctl":{"Net.x":"1"},"resources":{"unified":{"Memory.max":"1"}}}}"#;
        assert_eq!(checked(text), (text.to_owned(), Vec::new()));
    }

    #[test]
    fn the_configuration_that_we_write_has_no_unknown_key() {
        let text = include_str!("../ops/spec.json");
        assert_eq!(checked(text), (text.to_owned(), Vec::new()));
    }

    #[test]
    fn any_text_is_scanned_to_an_end() {
        let words =
            ["{", "}", "[", "]", ",", ":", "\"", "\\", "\"linux\"", "\"UID\"", "1", " ", "null", "\"devices\":[{"];
        crate::fuzz::often(20_000, |random| {
            let text: String = (0..random.below(24)).map(|_| words[random.below(words.len())]).collect();
            let _ = check(text.as_bytes(), &CONFIG, "");
        });
    }
}
