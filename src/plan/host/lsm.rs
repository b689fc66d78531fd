//! Which security modules of this kernel give labels: looked at only when a configuration has one.

use crate::sys::file::{self, CWD};
use crate::sys::mount::flag;
use crate::sys::{Errno, Error};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    On,
    /// Not in this kernel, or switched off; or nobody asked.
    Off,
}

#[derive(Debug, Clone)]
pub struct Lsm {
    pub apparmor: Presence,
    pub selinux: Presence,
    /// Labels of the configuration that the loaded policy of SELinux rejects.
    pub invalid: Vec<String>,
}

/// For configurations without a label.
pub const NOT_ASKED: Lsm = Lsm { apparmor: Presence::Off, selinux: Presence::Off, invalid: Vec::new() };

/// The magic number of selinuxfs. include/uapi/linux/magic.h.
const SELINUX_MAGIC: i64 = 0xf97c_ff8c;

/// `labels` are those for SELinux.
pub fn look(labels: &[String]) -> Lsm {
    let presence = |on: bool| if on { Presence::On } else { Presence::Off };
    let selinux = presence(selinux("/sys/fs/selinux"));
    let asked = if selinux == Presence::On { labels } else { &[] };
    let invalid = asked.iter().filter(|label| is_invalid(label)).cloned().collect();
    Lsm { apparmor: presence(apparmor()), selinux, invalid }
}

fn apparmor() -> bool {
    let path = "/sys/module/apparmor/parameters/enabled";
    let read = || file::read_all(file::open(CWD, path, libc::O_RDONLY, 0)?, 16);
    read().is_ok_and(|text| text.starts_with(b"Y")) // without the module there is no such file
}

/// A kernel with SELinux has its file system mounted there; read-only (as in a container) it means "do not use it", as it
/// does to libselinux.
fn selinux(path: &str) -> bool {
    let look = || {
        let dir = file::open(CWD, path, libc::O_PATH | libc::O_DIRECTORY, 0)?;
        Ok::<_, crate::sys::Error>((file::filesystem(&dir)?, file::mount_flags(&dir)?))
    };
    look().is_ok_and(|(magic, flags)| magic == SELINUX_MAGIC && flags & flag::ST_RDONLY == 0)
}

/// Asks the loaded policy; nothing is changed. A runtime that may not ask (`security { check_context }`) gets the kernel's error
/// when the label is applied.
fn is_invalid(label: &str) -> bool {
    let ask = || file::write_once(file::open(CWD, "/sys/fs/selinux/context", libc::O_RDWR, 0)?, label.as_bytes());
    matches!(ask(), Err(Error(Errno::EINVAL)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_not_yet_selinux() {
        assert!(!selinux("/sys/fs"));
        assert!(!selinux("/nowhere"));
    }
}
