//! Small reads of the machine for the looks: files of /proc, permissions, what a path is.

use crate::sys::file::{self, CWD};
use crate::sys::{self, Errno};
use std::path::Path;

/// Far more than any file that is asked for here has.
const LIMIT: usize = 1 << 20;

/// The text of a file of the host's; nothing when it is not there or not for us.
pub fn read(path: impl AsRef<Path>) -> String {
    let read = || file::read_all(file::open(CWD, path, libc::O_RDONLY | libc::O_NONBLOCK, 0)?, LIMIT);
    read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// A number in a file of /proc/sys.
pub fn number(path: &str) -> Option<i64> {
    read(path).trim().parse().ok()
}

/// The S_IFMT bits of what a path of the host's leads to.
pub fn kind(path: &Path) -> sys::Result<u32> {
    Ok(mode(path)? & libc::S_IFMT)
}

/// The same, of a symbolic link itself.
pub fn kind_of_link(path: &Path) -> sys::Result<u32> {
    Ok(file::stat(file::open(CWD, path, libc::O_PATH | libc::O_NOFOLLOW, 0)?)?.st_mode & libc::S_IFMT)
}

/// Its whole st_mode.
pub fn mode(path: &Path) -> sys::Result<u32> {
    Ok(file::stat(file::open(CWD, path, libc::O_PATH, 0)?)?.st_mode)
}

/// Not there, or a way to it that is none.
pub fn is_absent(error: sys::Error) -> bool {
    matches!(error.0, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP)
}

pub fn kind_name(kind: u32) -> &'static str {
    match kind {
        libc::S_IFDIR => "a directory",
        libc::S_IFREG => "a file",
        libc::S_IFCHR | libc::S_IFBLK => "a device",
        libc::S_IFSOCK => "a socket",
        libc::S_IFIFO => "a FIFO",
        _ => "something else",
    }
}

/// Version and patch level of the running kernel: 6 and 18 of `6.18.4-something`.
pub fn kernel() -> (u32, u32) {
    parse_kernel(&read("/proc/sys/kernel/osrelease"))
}

fn parse_kernel(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Our own hard limits, by the kernel's numbers, in the order in which /proc/self/limits has them (proc_pid_limits(5): its
/// columns are 26, 21 and 21 wide).
pub fn hard_limit(resource: u32) -> Option<u64> {
    let row = usize::try_from(resource).ok()? + 1;
    parse_hard_limit(read("/proc/self/limits").lines().nth(row)?)
}

fn parse_hard_limit(line: &str) -> Option<u64> {
    match line.get(47..68)?.trim() {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_releases_are_read() {
        for (text, expected) in [("6.18.4-x\n", (6, 18)), ("5.10.0-21-amd64", (5, 10)), ("6.1+", (6, 1)), ("", (0, 0))]
        {
            assert_eq!(parse_kernel(text), expected);
        }
    }

    #[test]
    fn limits_are_read_by_their_columns() {
        let line = "Max open files            1024                 524288               files     ";
        assert_eq!(parse_hard_limit(line), Some(524_288));
        let line = "Max cpu time              unlimited            unlimited            seconds   ";
        assert_eq!(parse_hard_limit(line), Some(u64::MAX));
        assert_eq!(
            hard_limit(7),
            Some(nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap().1)
        );
    }
}
