//! The table of the mounts of our mount namespace, /proc/self/mountinfo. proc_pid_mountinfo(5).

use super::Result;
use super::file::{CWD, open, read_all};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Opened while there is a /proc, read when it is time.
pub fn table() -> Result<OwnedFd> {
    open(CWD, "/proc/thread-self/mountinfo", libc::O_RDONLY, 0)
}

/// EFBIG when it has more than 64 MiB.
pub fn read(table: OwnedFd) -> Result<String> {
    Ok(String::from_utf8_lossy(&read_all(table, 64 << 20)?).into_owned())
}

/// One line.
pub struct MountLine<'a> {
    pub id: u64,
    pub parent: u64,
    /// The device number of the file system, as `major:minor`.
    pub device: &'a str,
    /// What of the file system is mounted: its "/", or a path in it (escaped).
    pub root: &'a str,
    /// The mount point, as seen from the root of the process whose table it is.
    pub at: PathBuf,
    pub fs: &'a str,
    /// Of the superblock, separated by commas.
    pub options: &'a str,
}

impl MountLine<'_> {
    pub fn parse(line: &str) -> Option<MountLine<'_>> {
        let (left, right) = line.split_once(" - ")?;
        let mut fields = left.split(' ');
        let (id, parent) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let (device, root, at) = (fields.next()?, fields.next()?, unescape(fields.next()?));
        let (fs, rest) = right.split_once(' ')?;
        let options = rest.rsplit(' ').next()?; // the source, which is before them, may be empty
        Some(MountLine { id, parent, device, root, at, fs, options })
    }
}

/// Blanks, tabs, newlines and backslashes stand as `\ooo`.
pub fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let octal = (*first == b'\\').then(|| tail.get(..3)).flatten();
        let value = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match value {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(std::ffi::OsStr::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_mountinfo_are_read_with_their_blanks() {
        let line = r"36 35 98:0 /mnt1 /a\040b\134c rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let line = MountLine::parse(line).unwrap();
        assert_eq!((line.id, line.parent, line.device, line.fs), (36, 35, "98:0", "ext3"));
        assert_eq!(line.options, "rw,errors=continue");
        assert_eq!(line.at, std::path::Path::new("/a b\\c"));
        assert!(MountLine::parse("").is_none());
    }
}
