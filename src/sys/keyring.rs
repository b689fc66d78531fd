//! Session keyrings: join one by its name, leave one. keyctl(2), session-keyring(7).

use super::{Errno, Error, Result, check, cstr};

/// Joins (or makes) the session keyring of this name, so that the caller's keys stay behind, and lets the given class of
/// processes search it. ENOSYS without key management, EDQUOT when the user has too many keys. keyctl(2).
pub fn join_session(name: &str, search: Search) -> Result<()> {
    let name = cstr(name)?;
    // SAFETY: the name is a live C string.
    let serial = check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) })?;
    // Possessor all, and the search bit asked for, with which `exec` finds the keyring by its name. Nothing to view: /proc/keys
    // and KEYCTL_DESCRIBE would tell the name to other containers of the same user.
    let possessor = 0x3f00_0000u32;
    let search = match search {
        Search::User => 0x0008_0000u32,
        Search::Other => 0x0000_0008u32,
    };
    // SAFETY: no pointers.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, serial, possessor | search) }).map(drop)
}

/// Leaves the session keyring for a new one without a name. A kernel or a filter without key management has none to leave.
pub fn leave_session() -> Result<()> {
    let no_name = std::ptr::null::<libc::c_char>();
    // SAFETY: a null name asks for an anonymous keyring.
    match check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, no_name) }) {
        Err(Error(Errno::ENOSYS | Errno::EPERM)) => Ok(()),
        other => other.map(drop),
    }
}

/// Who besides the possessor may search the session keyring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Search {
    /// The container's root, whom `exec` is when it joins.
    User,
    /// In records of older versions.
    Other,
}

/// 128 bits that no other process can guess, in hexadecimal digits. getrandom(2).
pub fn random_token() -> Result<String> {
    let mut bits = [0u8; 16];
    // SAFETY: the buffer is ours and its length is told; so few bytes always come whole.
    check(unsafe { libc::syscall(libc::SYS_getrandom, bits.as_mut_ptr(), bits.len(), 0) })?;
    Ok(format!("{:032x}", u128::from_ne_bytes(bits)))
}
