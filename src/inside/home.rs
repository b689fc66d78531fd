//! HOME for a process whose environment names none: the user's directory in the container's /etc/passwd, else "/".
//!
//! The file belongs to the image, so nothing in it is trusted: only a regular file is read, line by line in bounded memory,
//! and a directory that no environment can hold is left out with a warning.

use crate::error::{Context, Result};
use crate::fs::Root;
use crate::log;
use crate::plan::Process;
use crate::plan::process::Home;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

const PASSWD: &str = "/etc/passwd";

/// Bytes of the file that are read: some 500,000 users.
const FILE_LIMIT: u64 = 64 << 20;
/// Bytes of a line that are kept; of a longer one the rest is skipped.
const LINE_LIMIT: u64 = 64 << 10;
/// A path has at most so many bytes (PATH_MAX, which counts a terminating zero).
const PATH_LIMIT: usize = 4095;

/// The value for HOME; `None` when the environment has one. A user without a usable line gets "/".
pub fn of(plan: &Process, root: &Root) -> Option<String> {
    if plan.home == Home::AsGiven {
        return None;
    }
    let found = read(root, plan.user.uid).unwrap_or_else(|error| {
        log::warning(format!("HOME is \"/\": {PASSWD} of the container: {error:#}"));
        None
    });
    Some(found.unwrap_or_else(|| "/".to_string()))
}

fn read(root: &Root, uid: u32) -> Result<Option<String>> {
    match root.open_regular(Path::new(PASSWD))? {
        Some(file) => search(File::from(file), uid),
        None => Ok(None), // an image without a passwd file has no homes
    }
}

/// The directory of the first line of this user whose directory can be used.
fn search(file: impl Read, uid: u32) -> Result<Option<String>> {
    let mut rest = BufReader::with_capacity(1 << 16, file.take(FILE_LIMIT));
    let mut line = Vec::new();
    loop {
        line.clear();
        rest.by_ref().take(LINE_LIMIT).read_until(b'\n', &mut line).context("read")?;
        let Some(last) = line.last() else { break };
        let whole = *last == b'\n' || line.len() as u64 != LINE_LIMIT;
        if !whole {
            rest.skip_until(b'\n').context("read")?;
        }
        match directory(&line, uid) {
            Ok(None) => {}
            Ok(Some(_)) | Err(_) if !whole && line.iter().filter(|byte| **byte == b':').count() < 6 => {
                warn(uid, "its line is longer than 64 KiB");
            }
            Ok(Some(home)) => return Ok(Some(home)),
            Err(why) => warn(uid, why),
        }
    }
    if rest.get_ref().limit() == 0 {
        log::warning(format!("{PASSWD} of the container: only the first {} MiB are read", FILE_LIMIT >> 20));
    }
    Ok(None)
}

fn warn(uid: u32, why: &str) {
    log::warning(format!(
        "{PASSWD} of the container: the directory of user {uid} is left out: {why}; correct the line"
    ));
}

/// The directory that this line gives the user, or why it cannot be one. `None` for other users' lines. passwd(5)
fn directory(line: &[u8], uid: u32) -> std::result::Result<Option<String>, &'static str> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut fields = line.split(|byte| *byte == b':');
    let id = fields.nth(2).and_then(|id| std::str::from_utf8(id).ok()).and_then(|id| id.parse::<u32>().ok());
    let Some(home) = fields.nth(2).filter(|_| id == Some(uid)) else { return Ok(None) };
    match std::str::from_utf8(home) {
        _ if home.len() > PATH_LIMIT => Err("it is longer than any path (4095 bytes)"),
        _ if home.contains(&0) => Err("it holds a NUL byte"),
        Err(_) => Err("it is not UTF-8"),
        Ok(home) if home.starts_with('/') => Ok(Some(home.to_string())),
        Ok(_) => Ok(None), // empty or relative: as if there were none
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(text: &[u8]) -> Option<String> {
        search(text, 7).unwrap()
    }

    #[test]
    fn the_first_usable_line_of_the_user_counts() {
        assert_eq!(home(b"root:x:0:0::/root:/bin/sh\nu:x:7:7::/a:/bin/sh\nv:x:7:7::/b:\n").as_deref(), Some("/a"));
        assert_eq!(home(b"u:x:7:7::relative:\nv:x:7:7::/b").as_deref(), Some("/b"));
        assert_eq!(home(b"u:x:7:7::/a\0b:\nv:x:7:7::/b\r\n").as_deref(), Some("/b"));
        assert_eq!(home(b"u:x:7\n:::\n\n7:7:7:7:7"), None);
        assert_eq!(home(b""), None);
    }

    #[test]
    fn long_lines_cost_no_more_than_themselves() {
        let long = |count: usize| vec![b'x'; count];
        let other = [b"o:x:8:8:", &long(1 << 20)[..], b":/o:\nu:x:7:7::/a:\n"].concat();
        assert_eq!(home(&other).as_deref(), Some("/a"));
        let directory = [b"u:x:7:7::/", &long(200_000)[..], b":/bin/sh\n"].concat();
        assert_eq!(home(&directory), None);
        let shell = [b"u:x:7:7::/a:", &long(200_000)[..]].concat();
        assert_eq!(home(&shell).as_deref(), Some("/a"), "the part that was cut off is the shell");
        let end = [b"u:x:7:7:", &long(200_000)[..], b"\nu:x:7:7::/b:\n"].concat();
        assert_eq!(home(&end).as_deref(), Some("/b"));
    }
}
