//! Payloads that lie in wait for the process that enters their pid namespace: this test program, run again as a container's.

use crate::harness::Bundle;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};
use std::fs;
use std::io::{IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

const KIND: &str = "RRUNTIME_TEST_THIEF";
const WANTED: &str = "RRUNTIME_TEST_WANTED";

/// The program of the image that is this test program.
pub const PROGRAM: [&str; 5] = ["/probe", "--exact", "attacks::thief::as_a_payload", "--nocapture", "--test-threads=1"];

/// A bundle whose payload is a thief: `kill`, `place`, `ready` or `fuzz` (see `steal_links`), `watch` (see `watch_arguments`) or `read` (see `read_all`).
pub fn with(bundle: Bundle, kind: &str, wanted: &str) -> Bundle {
    let program = std::env::current_exe().expect("the path of this program");
    fs::copy(program, bundle.rootfs().join("probe")).expect("copy this program into the image");
    let backwards: String = wanted.chars().rev().collect(); // programs that are run later have this variable, too
    bundle.args(PROGRAM).env(&format!("{KIND}={kind}")).env(&format!("{WANTED}={backwards}"))
}

/// Sends a pidfd of a process of the host to the first program that connects.
#[allow(unsafe_code)]
pub fn give_pidfd(listener: &UnixListener, pid: i32) {
    // SAFETY: no pointers; the descriptor is new.
    let pidfd =
        unsafe { OwnedFd::from_raw_fd(libc::syscall(libc::SYS_pidfd_open, pid, 0).try_into().expect("a descriptor")) };
    let (stream, _) = listener.accept().expect("a thief that connects");
    send(&stream, b"x", Some(pidfd.as_raw_fd()));
}

/// Does nothing, except as a container's payload.
#[test]
fn as_a_payload() {
    let wanted: String = std::env::var(WANTED).unwrap_or_default().chars().rev().collect();
    match std::env::var(KIND).as_deref() {
        Ok("watch") => watch_arguments(&wanted),
        Ok("read") => read_all(&wanted),
        Ok("read-init") => println!("{}", if holds(1, &wanted) { "FOUND" } else { "nothing" }),
        Ok(kind) => steal_links(kind, wanted.parse().unwrap_or(0)),
        Err(_) => {}
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{text}").and_then(|()| out.flush()).expect("say something");
}

/// All processes but those of this program, whose threads have numbers, too.
fn others() -> impl Iterator<Item = i32> {
    let own = fs::read_dir("/proc/self/task").expect("our own threads").flatten();
    let own: Vec<i32> = own.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    (2..400).filter(move |pid| !own.contains(pid))
}

#[allow(unsafe_code)]
fn signal(pid: i32, signal: i32) -> bool {
    // SAFETY: no pointers.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// Looks for a text in the arguments of each process that appears, which takes no right; says `FOUND`.
fn watch_arguments(wanted: &str) {
    say("looking");
    loop {
        for pid in others() {
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if contains(&arguments, wanted) {
                say("FOUND");
            } else if contains(&arguments, "rruntime") {
                say("READ a process");
            }
        }
    }
}

/// Looks for a text in the arguments, the environment and the memory of each process that appears; says `FOUND` and where.
fn read_all(wanted: &str) {
    say("looking");
    loop {
        for pid in others() {
            if !signal(pid, libc::SIGSTOP) {
                continue;
            }
            say("READ a process");
            for file in ["cmdline", "environ"] {
                let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                if contains(&text, wanted) {
                    say(&format!("FOUND in {file}"));
                }
            }
            if holds(pid, wanted) {
                say("FOUND in memory");
            }
            signal(pid, libc::SIGCONT);
        }
    }
}

fn contains(text: &[u8], wanted: &str) -> bool {
    text.windows(wanted.len()).any(|part| part == wanted.as_bytes())
}

/// Is the text in the memory that the process can write?
fn holds(pid: i32, wanted: &str) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let Ok(mut memory) = fs::File::open(format!("/proc/{pid}/mem")) else { return false };
    maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        let number = |text| u64::from_str_radix(text, 16).unwrap_or(0);
        let Some((start, end)) = range.map(|(start, end)| (number(start), number(end))) else { return false };
        let mut bytes = vec![0; usize::try_from(end - start).unwrap_or(0).min(32 << 20)];
        memory.seek(SeekFrom::Start(start)).is_ok() && memory.read_exact(&mut bytes).is_ok() && contains(&bytes, wanted)
    })
}

fn send(to: &impl AsRawFd, bytes: &[u8], file: Option<RawFd>) -> bool {
    let files: Vec<RawFd> = file.into_iter().collect();
    let control = if files.is_empty() { vec![] } else { vec![ControlMessage::ScmRights(&files)] };
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    sendmsg::<UnixAddr>(to.as_raw_fd(), &[IoSlice::new(bytes)], &control, flags, None).is_ok()
}

/// Waits up to a second for an answer.
fn hear(from: &impl AsRawFd) -> usize {
    let mut buffer = [0; 64];
    for _ in 0..100 {
        let mut parts = [IoSliceMut::new(&mut buffer)];
        if let Ok(message) = recvmsg::<UnixAddr>(from.as_raw_fd(), &mut parts, None, MsgFlags::MSG_DONTWAIT) {
            return message.bytes;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    0
}

/// Takes the link of each process that enters, and speaks to the runtime in its place: names the host's process as the one that was
/// forked (by a descriptor, or by its `number`), and has it killed, moved into the container's cgroups, or announced; asks what
/// only a new container may ask (`first`); says anything (`fuzz`); or says nothing and keeps the link (`hold`).
#[allow(unsafe_code)]
fn steal_links(kind: &str, victim: i32) {
    let stream = UnixStream::connect("/data/gift").expect("a giver");
    let mut space = nix::cmsg_space!([RawFd; 1]);
    let mut byte = [0];
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message =
        recvmsg::<UnixAddr>(stream.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty()).expect("a gift");
    let gift = message.cmsgs().expect("a descriptor").find_map(|message| match message {
        ControlMessageOwned::ScmRights(files) => files.first().copied(),
        _ => None,
    });
    let gift = gift.expect("the pidfd of a process of the host");
    // SAFETY: no pointers.
    let own = unsafe { RawFd::try_from(libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0)).unwrap_or(-1) };
    say("looking");
    let (mut seed, mut held) = (7u64, Vec::new());
    loop {
        for pid in others() {
            if !signal(pid, libc::SIGSTOP) {
                continue;
            }
            for link in links(pid) {
                say("TOOK a link");
                match kind {
                    "hold" => held.push(link),
                    "number" => {
                        send(&link, &[b"B", &victim.to_le_bytes()[..]].concat(), None);
                        hear(&link);
                        send(&link, b"!\0no luck", None);
                    }
                    "first" => {
                        for message in [&b"D/x"[..], b"M\0\0", b"N", b"H", b"P"] {
                            send(&link, message, None);
                        }
                        hear(&link);
                    }
                    "fuzz" => chat(&link, &[None, Some(gift), Some(own), Some(0), Some(link.as_raw_fd())], &mut seed),
                    _ => {
                        send(&link, b"B", Some(gift));
                        hear(&link);
                        let (message, file): (&[u8], _) = match kind {
                            "place" => (b"P", None),
                            "ready" => (b"R", None),
                            _ => (b"!\0no luck", None),
                        };
                        send(&link, message, file);
                        hear(&link);
                    }
                }
            }
            signal(pid, libc::SIGCONT);
        }
    }
}

/// The SEQPACKET sockets of a process, taken out of it.
#[allow(unsafe_code)]
fn links(pid: i32) -> Vec<OwnedFd> {
    let take = |number: libc::c_long| {
        let number = RawFd::try_from(number).ok().filter(|number| *number >= 0)?;
        // SAFETY: the descriptor is new.
        Some(unsafe { OwnedFd::from_raw_fd(number) })
    };
    // SAFETY: no pointers.
    let Some(pidfd) = take(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) }) else { return Vec::new() };
    let sockets = (3..64).filter_map(|number| {
        // SAFETY: as above.
        take(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), number, 0) })
    });
    let is_link = |file: &OwnedFd| {
        nix::sys::socket::getsockopt(file, nix::sys::socket::sockopt::SockType)
            .is_ok_and(|kind| kind == nix::sys::socket::SockType::SeqPacket)
    };
    sockets.filter(is_link).collect()
}

/// Some messages by chance: the tags of the protocol and others, any length, any descriptor, heard or not.
fn chat(link: &OwnedFd, files: &[Option<RawFd>], seed: &mut u64) {
    let mut chance = |below: usize| {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*seed >> 33).unwrap_or(0) % below
    };
    for _ in 0..1 + chance(5) {
        let mut message = vec![b"PIMNUSHTLBDR!GXBRLUS"[chance(20)]];
        let length = [0, 0, 0, 1, 2, 8, 300, 17_000][chance(8)];
        message.extend((0..length).map(|_| u8::try_from(chance(256)).unwrap_or(0)));
        send(link, &message, files[chance(files.len())]);
        if chance(2) == 0 {
            hear(link);
        }
    }
}
