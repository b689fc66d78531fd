//! Where the kernel hands over to us.
//!
//! This stands in for the entry that Rust's standard library would make: that one looks at its streams, its stack and
//! /proc/self/maps first, at every start, and a `run` starts twice (`exe`). What of it we need is done here.

/// Called by the C library's start-up code. The arguments are taken from here, since a static musl binary does not give
/// them to `std::env::args`.
#[cfg(not(test))] // the test harness brings its own
#[unsafe(no_mangle)]
extern "C" fn main(count: libc::c_int, arguments: *const *const libc::c_char) -> libc::c_int {
    use std::ffi::{CStr, OsString};
    use std::os::unix::ffi::OsStringExt;
    // SAFETY: no other thread exists; SIG_IGN installs no code. A peer that is gone is an error of write, not our end.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let count = usize::try_from(count).unwrap_or(0);
    let argv: Vec<OsString> = (0..count)
        // SAFETY: the C library passes `count` pointers to strings that live as long as the process.
        .map(|i| OsString::from_vec(unsafe { CStr::from_ptr(*arguments.add(i)) }.to_bytes().to_vec()))
        .collect();
    crate::run(argv).into()
}
