//! Where in config.json something is wrong: one notation for all messages. Pure.
//!
//! The lowering adds a piece of the place on each of its levels (`mounts[7]`, then `options[1]`), which a chain of errors
//! prints with colons in between. For a person, and for a program that looks for it, the place is one word.

use crate::error::anyhow;

/// `config.json: mounts[7]: options[1]: unknown option` → `config.json: mounts[7].options[1]: unknown option`.
pub fn joined(error: &anyhow::Error) -> anyhow::Error {
    anyhow!("{}", join(&format!("{error:#}")))
}

/// The same for a text. A warning that lacks the file's name gets it.
pub fn join(text: &str) -> String {
    let (place, rest) = split(text);
    if place.is_empty() { format!("{FILE}: {rest}") } else { format!("{FILE}: {place}: {rest}") }
}

const FILE: &str = "config.json";

/// The place as one word, empty when the text has none, and what is said about it.
pub fn split(text: &str) -> (String, &str) {
    let mut rest = text.strip_prefix(FILE).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(text);
    let mut place = String::new();
    while let Some((piece, after)) = rest.split_once(": ").filter(|(piece, _)| is_place(piece)) {
        if !place.is_empty() && !piece.starts_with('[') {
            place.push('.');
        }
        place.push_str(piece);
        rest = after;
    }
    (place, rest)
}

/// `linux.resources`, `rlimits[1].soft`, `[0].size`, `unified["memory.high"]`: names as JSON has them here, and indices.
fn is_place(piece: &str) -> bool {
    let mut letters = piece.chars().peekable();
    let mut at_start = true;
    while let Some(letter) = letters.next() {
        match letter {
            '[' if letters.peek() == Some(&'"') => {
                letters.next();
                let end = letters.by_ref().any(|letter| letter == '"');
                if !end || letters.next() != Some(']') {
                    return false;
                }
            }
            '[' => loop {
                match letters.next() {
                    Some(']') => break,
                    Some(digit) if digit.is_ascii_digit() => {}
                    _ => return false,
                }
            },
            '.' if !at_start => {
                at_start = true;
                continue;
            }
            'a'..='z' => {}
            'A'..='Z' | '0'..='9' | '_' if !at_start => {}
            _ => return false,
        }
        at_start = false;
    }
    !at_start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_of_a_place_become_one_word() {
        for (said, joined) in [
            (
                "config.json: mounts[7]: options[1]: unknown option \"x: y\"",
                "mounts[7].options[1]: unknown option \"x: y\"",
            ),
            ("config.json: linux: uidMappings: [1].size: is 0", "linux.uidMappings[1].size: is 0"),
            ("linux.resources.unified[\"memory.high\"]: is", "linux.resources.unified[\"memory.high\"]: is"),
            ("config.json: linux.devices: /dev/x: is not made", "linux.devices: /dev/x: is not made"),
            ("config.json: not JSON: EOF", "not JSON: EOF"),
            ("process.rlimits[0]: RLIMIT_CPU: twice", "process.rlimits[0]: RLIMIT_CPU: twice"),
            ("config.json: linux.sysctl.net.ipv4.conf.eth0_1: no", "linux.sysctl.net.ipv4.conf.eth0_1: no"),
        ] {
            assert_eq!(join(said), format!("config.json: {joined}"));
        }
    }

    #[test]
    fn what_is_no_place_is_none() {
        for text in ["", "[x]", "a b", "A", "a.", ".a", "a[1", "a[\"x]", "/dev", "a..b"] {
            assert!(!is_place(text), "{text:?}");
        }
    }
}
