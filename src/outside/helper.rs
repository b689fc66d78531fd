//! A child of the parent's that makes mounts in another mount namespace, and sends them back as descriptors.

use crate::error::{Context, Result, bail};
use crate::sys::process::{self, Clone, Side};
use crate::sys::{self, Errno, socket};
use std::os::fd::{AsFd, OwnedFd};

/// Runs `make` in a process of its own, with the caller's rights, and returns what it returns. The process may enter other
/// namespaces; it is gone when this function returns. An error of `make` as a whole is the outer error.
pub fn descriptors(make: impl FnOnce() -> sys::Result<Vec<sys::Result<OwnedFd>>>) -> Result<Vec<sys::Result<OwnedFd>>> {
    let (receiver, sender) = socket::pair().context("make a socket to the helper")?;
    match process::clone(&Clone::default()).context("clone a helper")? {
        Side::Child => {
            drop(receiver);
            send(&sender, &make());
            process::exit_now(0)
        }
        Side::Parent { pid, .. } => {
            drop(sender);
            let received = receive(&receiver);
            drop(receiver);
            process::wait(pid).context("reap the helper")?;
            received
        }
    }
}

/// As `descriptors`, for one.
pub fn descriptor(make: impl FnOnce() -> sys::Result<OwnedFd>) -> Result<OwnedFd> {
    match descriptors(|| Ok(vec![make()]))?.pop() {
        Some(made) => Ok(made?),
        None => bail!("the helper made nothing"),
    }
}

/// One message for each descriptor or error, and one that ends the list. A parent that is gone needs none of them.
fn send(sender: &OwnedFd, made: &sys::Result<Vec<sys::Result<OwnedFd>>>) {
    let error = |word: u8, error: &sys::Error| [&[word][..], &(error.0 as i32).to_le_bytes()].concat();
    let items = match made {
        Ok(items) => items,
        Err(whole) => {
            let _ = socket::send(sender, &error(b'E', whole), None); // see above
            return;
        }
    };
    for item in items {
        let sent = match item {
            Ok(file) => socket::send(sender, b"m", Some(file.as_fd())),
            Err(one) => socket::send(sender, &error(b'e', one), None),
        };
        if sent.is_err() {
            return; // the next one would arrive in the place of this one; the parent sees the end of the messages
        }
    }
    let _ = socket::send(sender, b".", None); // see above
}

fn receive(receiver: &OwnedFd) -> Result<Vec<sys::Result<OwnedFd>>> {
    let errno = |bytes: [u8; 4]| sys::Error(Errno::from_raw(i32::from_le_bytes(bytes)));
    let mut made = Vec::new();
    loop {
        let mut buffer = [0u8; 8];
        let (length, file) = socket::receive(receiver, &mut buffer).context("receive from the helper")?;
        match (&buffer[..length], file) {
            (b"m", Some(file)) => made.push(Ok(file)),
            ([b'e', a, b, c, d], None) => made.push(Err(errno([*a, *b, *c, *d]))),
            ([b'E', a, b, c, d], None) => return Err(errno([*a, *b, *c, *d]).into()),
            (b".", None) => return Ok(made),
            _ => bail!("the helper died"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::{self, CWD};

    #[test]
    fn descriptors_and_errors_arrive_in_their_order() {
        let made = descriptors(|| {
            let open = |path: &str| file::open(CWD, path, libc::O_PATH, 0);
            Ok(vec![open("/"), open("/no/such/file"), open("/proc")])
        });
        let made = made.unwrap();
        assert_eq!(made.len(), 3);
        assert!(made[0].is_ok() && made[2].is_ok());
        assert_eq!(made[1].as_ref().unwrap_err().0, Errno::ENOENT);
    }

    #[test]
    fn a_failure_of_the_whole_is_the_error() {
        let error = descriptors(|| Err(sys::Error(Errno::EPERM))).unwrap_err();
        assert_eq!(error.downcast_ref::<sys::Error>().map(|error| error.0), Some(Errno::EPERM));
    }
}
