//! Payloads of the tests about the end of a container: this test program, which is static, run again in the container.

use crate::harness::Bundle;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const KIND: &str = "RRUNTIME_TEST_END";
/// The arguments that make this program a payload.
pub const ARGS: [&str; 5] =
    ["/probe", "--exact", "attacks::end_payloads::as_a_payload", "--nocapture", "--test-threads=1"];

/// A container whose payload is one of the kinds below.
pub fn with(bundle: Bundle, kind: &str) -> Bundle {
    let program = std::env::current_exe().expect("the path of this program");
    fs::copy(program, bundle.rootfs().join("probe")).expect("copy this program into the image");
    bundle.args(ARGS).env(&format!("{KIND}={kind}"))
}

/// A command of the host that runs this program as one of the kinds below.
pub fn on_the_host(kind: &str) -> Vec<String> {
    let program = std::env::current_exe().expect("the path of this program");
    let args = ARGS[1..].iter().map(|word| (*word).to_owned());
    let first = ["env".to_owned(), format!("{KIND}={kind}"), program.display().to_string()];
    first.into_iter().chain(args).collect()
}

/// Nothing, but for a payload.
#[test]
fn as_a_payload() {
    let kind = std::env::var(KIND).unwrap_or_default();
    let mut words = kind.split(' ');
    match words.next() {
        Some("end-the-first-thread") => end_the_first_thread(|| say_forever("alive")),
        Some("end-the-first-thread-and-then-the-rest") => end_the_first_thread(|| {
            std::thread::sleep(Duration::from_millis(300));
            say("done");
            std::process::exit(7)
        }),
        Some("start-another-without-a-first-thread") => {
            let mut other = Command::new(ARGS[0]);
            other.args(&ARGS[1..]).env(KIND, "end-the-first-thread").stdin(Stdio::null());
            let _other = other.spawn().expect("start another process").wait();
            say_forever("init");
        }
        Some("leave-the-first-thread-in-a-removed-cgroup") => leave_the_first_thread_behind(),
        Some("nest") => nest(words.next().expect("a directory"), words.next().expect("a depth")),
        Some("hang") => hang(words.next().expect("a directory"), &words.collect::<Vec<_>>().join(" ")),
        _ => {}
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{text}").and_then(|()| out.flush()).expect("say something");
}

fn say_forever(text: &str) -> ! {
    loop {
        say(text);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ends the first thread of this process, as pthread_exit(3) in `main` does, and goes on in this one.
#[allow(unsafe_code)]
fn end_the_first_thread(rest: fn() -> !) -> ! {
    extern "C" fn heard(_: libc::c_int) {
        let text = b"heard the signal\n";
        // SAFETY: write(2) may be called in a signal handler; the buffer is a constant.
        unsafe { libc::write(1, text.as_ptr().cast(), text.len()) };
    }
    extern "C" fn end(_: libc::c_int) {
        // SAFETY: no pointers. It ends the thread that got the signal; what its stack owns is never used again.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
    // SAFETY: both handlers only make a system call; tgkill(2) takes no pointers.
    unsafe {
        libc::signal(libc::SIGUSR1, heard as *const () as libc::sighandler_t);
        libc::signal(libc::SIGUSR2, end as *const () as libc::sighandler_t);
        let first = libc::getpid();
        assert_ne!(libc::gettid(), first, "tests run in threads of their own");
        assert_eq!(libc::syscall(libc::SYS_tgkill, first, first, libc::SIGUSR2), 0);
    }
    std::thread::sleep(Duration::from_millis(50));
    rest()
}

/// On v2 the process is then on no list of processes: its first thread ended in a cgroup that is gone.
fn leave_the_first_thread_behind() {
    let top = Path::new("/sys/fs/cgroup");
    fs::create_dir(top.join("x")).expect("make a cgroup");
    fs::write(top.join("x/cgroup.procs"), "0").expect("enter a cgroup");
    end_the_first_thread(|| {
        let top = Path::new("/sys/fs/cgroup");
        std::thread::sleep(Duration::from_millis(150));
        fs::write(top.join("cgroup.procs"), std::process::id().to_string()).expect("leave the cgroup");
        fs::remove_dir(top.join("x")).expect("remove the cgroup");
        say_forever("hidden")
    });
}

/// Makes directories (cgroups, where the file system is one of cgroups), each in the one before.
fn nest(top: &str, depth: &str) {
    std::env::set_current_dir(top).expect("enter the directory");
    for _ in 0..depth.parse().expect("a number") {
        fs::create_dir("directory").expect("make a directory");
        std::env::set_current_dir("directory").expect("enter the directory");
    }
    say("nested");
}

/// Mounts a FUSE file system that reads requests and answers none but the first, and runs a shell command beside it. Its end is the end of the file
/// system.
fn hang(at: &str, command: &str) {
    let mut fuse = fs::File::options().read(true).write(true).open("/dev/fuse").expect("open /dev/fuse");
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", fuse.as_raw_fd());
    let none = nix::mount::MsFlags::empty();
    nix::mount::mount(Some("hung"), at, Some("fuse"), none, Some(options.as_str())).expect("mount a FUSE file system");
    let (mut serve, asked) = (fuse.try_clone().expect("a second descriptor"), format!("{at}.asked"));
    std::thread::spawn(move || {
        let mut buffer = vec![0u8; 1 << 20];
        while let Ok(got) = serve.read(&mut buffer) {
            // FUSE_INIT, number 26: fuse_out_header, then fuse_init_out of version 7.31.
            if got > 16 && buffer[4..8] == 26u32.to_le_bytes() {
                let mut answer = vec![0u8; 16 + 64];
                answer[0..4].copy_from_slice(&80u32.to_le_bytes());
                answer[8..16].copy_from_slice(&buffer[8..16]);
                answer[16..20].copy_from_slice(&7u32.to_le_bytes());
                answer[20..24].copy_from_slice(&31u32.to_le_bytes());
                answer[36..40].copy_from_slice(&65536u32.to_le_bytes());
                serve.write_all(&answer).expect("answer the first request");
            } else {
                fs::write(&asked, "").expect("say that a process waits now");
            }
        }
    });
    let status = Command::new("/bin/sh").args(["-c", command]).status().expect("run the command");
    say(&format!("the command ended: {status}"));
    let _ = fuse.flush();
    std::process::exit(0);
}
