//! argv as engines write it → argv as clap reads it.
//!
//! - Go programs write `-long` for `--long`, and `--flag=true` for `--flag`: both become what clap expects.
//! - Everything after the container's id belongs to the command of `exec`, the signal of `kill`, the options of `ps`: a
//!   `--` is put before the id of those, so that nothing behind it is taken for an option.

use super::table::{GLOBAL, Kind, OptionRow, options_of};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Splits at the verb: the globals before it (normalised), the verb, and what follows it (normalised).
pub fn split(argv: Vec<OsString>) -> (Vec<OsString>, Option<String>, Vec<OsString>) {
    let mut words = argv.into_iter().skip(1);
    let mut globals = Vec::new();
    let mut verb = None;
    while let Some(word) = words.next() {
        if !word.as_bytes().starts_with(b"-") {
            verb = Some(word.to_string_lossy().into_owned());
            break;
        }
        take(word, GLOBAL, &mut words, &mut globals);
    }
    let mut rest = Vec::new();
    if let Some(options) = verb.as_deref().and_then(options_of) {
        while let Some(word) = words.next() {
            if !word.as_bytes().starts_with(b"-") || word == "-" {
                if matches!(verb.as_deref(), Some("exec" | "ps" | "kill")) {
                    rest.push("--".into());
                }
                rest.push(word);
                if matches!(verb.as_deref(), Some("exec" | "ps" | "kill")) {
                    let first = words.next().filter(|word| word != "--"); // `exec ID -- CMD`, `kill ID -- SIG`
                    rest.extend(first.into_iter().chain(words.by_ref()));
                }
                continue;
            }
            if word == "--" {
                rest.push(word);
                rest.extend(words.by_ref());
                break;
            }
            take(word, options, &mut words, &mut rest);
        }
    }
    rest.extend(words);
    (globals, verb, rest)
}

/// One option, with its value if it has one in a word of its own.
fn take(word: OsString, table: &[OptionRow], words: &mut impl Iterator<Item = OsString>, out: &mut Vec<OsString>) {
    let bytes = word.as_bytes();
    let (name, value) = match bytes.iter().position(|b| *b == b'=') {
        Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
        None => (bytes, None),
    };
    let bare = name.strip_prefix(b"--").or_else(|| name.strip_prefix(b"-")).unwrap_or(name);
    let row = table.iter().find(|row| {
        let short = row.short.is_some_and(|c| bare == c.to_string().as_bytes() && !name.starts_with(b"--"));
        row.long.as_bytes() == bare || short
    });
    let Some(row) = row else {
        out.push(word); // clap knows it (help), or says that nobody does
        return;
    };
    let long = format!("--{}", row.long);
    match (row.kind, value) {
        (Kind::Switch, None) => out.push(long.into()),
        (Kind::Switch, Some(b"true" | b"1" | b"t")) => out.push(long.into()),
        (Kind::Switch, Some(b"false" | b"0" | b"f")) => {}
        (Kind::Switch, Some(_)) => out.push(word),
        (Kind::Value | Kind::Many, Some(value)) => {
            let joined = [long.as_bytes(), b"=", value].concat();
            out.push(OsString::from_vec(joined));
        }
        (Kind::Value | Kind::Many, None) => match words.next() {
            // As one word, so that a value may begin with a dash.
            Some(value) => out.push(OsString::from_vec([long.as_bytes(), b"=", value.as_bytes()].concat())),
            None => out.push(long.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::split;
    use std::ffi::OsString;

    fn normal(line: &str) -> String {
        let argv = std::iter::once("rruntime").chain(line.split(' ')).map(OsString::from).collect();
        let (globals, verb, rest) = split(argv);
        let text =
            |list: &[OsString]| list.iter().map(|w| w.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        format!("{}|{}|{}", text(&globals), verb.unwrap_or_default(), text(&rest))
    }

    #[test]
    fn options_in_every_spelling() {
        assert_eq!(normal("-root /r -log=x --debug=false create -b /b id"), "--root=/r --log=x|create|--bundle=/b id");
        assert_eq!(normal("run -no-subreaper --detach=true id"), "|run|--no-subreaper --detach id");
    }

    #[test]
    fn the_tail_belongs_to_the_command() {
        assert_eq!(normal("exec -t id ls -l --env x"), "|exec|--tty -- id ls -l --env x");
        assert_eq!(normal("exec --cwd -x id -- ls"), "|exec|--cwd=-x -- id ls");
        assert_eq!(normal("exec id -- ls -- -l"), "|exec|-- id ls -- -l");
        assert_eq!(normal("kill id -- -9"), "|kill|-- id -9");
        assert_eq!(normal("kill -a id -9"), "|kill|--all -- id -9");
    }
}
