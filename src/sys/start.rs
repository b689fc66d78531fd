//! Where the kernel hands over to us.
//!
//! This stands in for the entry that Rust's standard library would make: that one looks at its streams, its stack and
//! /proc/self/maps first, at every start, and a `run` starts twice (`exe`). What of it we need is done here.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The array that the kernel has put on the stack: pointers to the arguments, null, pointers to the environment, null.
static ARGUMENTS: AtomicPtr<*const c_char> = AtomicPtr::new(ptr::null_mut());

/// What /proc/PID/cmdline says of a child of the runtime.
const TITLE: &[u8] = b"rruntime init";

/// Overwrites the arguments and the environment of this process, which /proc/PID/cmdline and environ show: the first to
/// every process that sees this one. proc_pid_cmdline(5).
pub fn forget_arguments() {
    let (first, length) = arguments();
    // SAFETY: the strings are on this process's own stack, and `main` has copied what it needs of them.
    unsafe {
        ptr::write_bytes(first, 0, length);
        write_title(first, length);
    }
}

/// Where the strings of the arguments and of the environment are, one behind the other, and how many bytes that is.
pub fn arguments() -> (*mut u8, usize) {
    let array = ARGUMENTS.load(Ordering::Relaxed);
    if array.is_null() {
        return (ptr::without_provenance_mut(1), 0); // in unit tests, whose entry is another
    }
    // SAFETY: the array is the kernel's, and as it was: execve(2) gives at least one argument.
    unsafe {
        let first = (*array).cast_mut().cast::<u8>();
        (first, end_of_strings(array).offset_from_unsigned(first))
    }
}

/// # Safety
/// The bytes are those that `arguments` named.
pub unsafe fn write_title(first: *mut u8, length: usize) {
    // SAFETY: as many bytes as there are; the last one stays zero.
    unsafe { ptr::copy_nonoverlapping(TITLE.as_ptr(), first, TITLE.len().min(length.saturating_sub(1))) };
}

/// The address behind the last thing that the kernel has put on the stack, the name of the executable. Null when it is not
/// known.
pub fn end_of_stack() -> *mut u8 {
    // SAFETY: getauxval(3) only looks; the name is a C string that lives as long as the process.
    unsafe {
        let name = libc::getauxval(libc::AT_EXECFN);
        if name == 0 {
            return ptr::null_mut();
        }
        let name = CStr::from_ptr(ptr::with_exposed_provenance(usize::try_from(name).unwrap_or(0)));
        name.as_ptr().add(name.count_bytes() + 1).cast_mut().cast()
    }
}

/// # Safety
/// `array` is the kernel's, not yet overwritten.
unsafe fn end_of_strings(array: *const *const c_char) -> *mut u8 {
    // SAFETY: both halves of the array end in null.
    unsafe {
        let (mut at, mut last, mut halves) = (array, *array, 0);
        while halves < 2 {
            if (*at).is_null() {
                halves += 1;
            } else {
                last = last.max(*at);
            }
            at = at.add(1);
        }
        last.add(CStr::from_ptr(last).count_bytes() + 1).cast_mut().cast()
    }
}

/// Called by the C library's start-up code. The arguments are taken from here, since a static musl binary does not give
/// them to `std::env::args`.
#[cfg(not(test))] // the test harness brings its own
#[unsafe(no_mangle)]
extern "C" fn main(count: libc::c_int, arguments: *const *const libc::c_char) -> libc::c_int {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    // A peer that is gone is an error of write, not our end. Of a caller that ignores SIGCHLD this process has inherited that:
    // the kernel would then reap the children itself, and wait(2) know no exit status (ECHILD).
    // SAFETY: no other thread exists; SIG_IGN and SIG_DFL install no code.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
    }
    ARGUMENTS.store(arguments.cast_mut(), Ordering::Relaxed);
    let count = usize::try_from(count).unwrap_or(0);
    let argv: Vec<OsString> = (0..count)
        // SAFETY: the C library passes `count` pointers to strings that live as long as the process.
        .map(|i| OsString::from_vec(unsafe { CStr::from_ptr(*arguments.add(i)) }.to_bytes().to_vec()))
        .collect();
    crate::run(argv).into()
}
