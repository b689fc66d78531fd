//! Payloads that attack from within: this very test program, which is static, run again as a container's.

use crate::harness::Bundle;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const KIND: &str = "RRUNTIME_TEST_PROBE";
const SECRET: &str = "RRUNTIME_TEST_SECRET";

/// A container whose payload is one of the probes below: `spy`, `spy-and-trace`, `weigh` or `hold`. `secret` is a file of the host.
pub fn with(bundle: Bundle, kind: &str, secret: &Path) -> Bundle {
    let program = std::env::current_exe().expect("the path of this program");
    fs::copy(program, bundle.rootfs().join("probe")).expect("copy this program into the image");
    bundle
        .args(["/probe", "--exact", "cve::probe::as_a_payload", "--nocapture", "--test-threads=1"])
        .env(&format!("{KIND}={kind}"))
        .env(&format!("{SECRET}={}", secret.display()))
}

/// Nothing, but for a container's payload.
#[test]
fn as_a_payload() {
    match std::env::var(KIND).as_deref() {
        Ok("spy") => spy(false),
        Ok("spy-and-trace") => spy(true),
        Ok("weigh") => weigh(),
        Ok("hold") => hold(),
        _ => {}
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "{text}").and_then(|()| out.flush()).expect("say something");
}

/// The other processes in sight, but init.
fn others() -> impl Iterator<Item = (i32, PathBuf)> {
    let me = std::process::id().cast_signed();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())));
    pids.filter(move |(pid, _)| *pid != me && *pid != 1)
}

fn identity(path: impl AsRef<Path>) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()))
}

/// The programs of the image.
fn own_programs() -> HashSet<(u64, u64)> {
    ["/bin/busybox", "/probe"].into_iter().filter_map(identity).collect()
}

/// Looks through everybody who appears, for a way to the host; says `REACHED` and by what.
fn spy(trace: bool) {
    let (secret, own) = (std::env::var(SECRET).expect("a secret to look for"), own_programs());
    let relative = secret.trim_start_matches('/');
    say("looking");
    loop {
        for (pid, dir) in others() {
            for way in ["root", "cwd/../../../../../.."] {
                if dir.join(way).join(relative).exists() {
                    say(&format!("REACHED {way}"));
                }
            }
            for entry in fs::read_dir(dir.join("fd")).into_iter().flatten().flatten() {
                let number: i32 = entry.file_name().to_string_lossy().parse().unwrap_or(0);
                let link = fs::read_link(entry.path()).unwrap_or_default();
                // A directory from which one climbs to the host's root; a file that is not the payload's own.
                let climbs = entry.path().join("../../../../../../../..").join(relative).exists();
                if climbs || number > 2 && link.starts_with(Path::new(&secret).parent().expect("a directory")) {
                    say(&format!("REACHED descriptor {number} {}", link.display()));
                }
            }
            // Somebody who is no program of the image, before and after we got hold of him.
            if trace && foreign(&dir, &own) && caught(pid, &dir) && foreign(&dir, &own) {
                say("REACHED by tracing");
            }
        }
        reap();
    }
}

/// Says `REACHED` and the capabilities of everybody who appears with more of them than we have, whatever he does with them: for us, who
/// may trace him, they are ours. Capabilities in another user namespace are worth nothing here.
fn weigh() {
    let user_namespace = |dir: &Path| fs::read_link(dir.join("ns/user")).ok();
    let here = user_namespace(Path::new("/proc/self"));
    let permitted = |dir: &Path| {
        let status = fs::read_to_string(dir.join("status")).ok()?;
        let set = status.lines().find_map(|line| line.strip_prefix("CapPrm:"))?;
        u64::from_str_radix(set.trim(), 16).ok()
    };
    let own = permitted(Path::new("/proc/self")).expect("capabilities of our own");
    say("looking");
    loop {
        for (_, dir) in others() {
            if let Some(more) = permitted(&dir).filter(|set| set & !own != 0 && user_namespace(&dir) == here) {
                say(&format!("REACHED capabilities {:x}", more & !own));
            }
        }
    }
}

/// True when this process still runs a program that is not of the image, as far as one can see.
fn foreign(dir: &Path, own: &HashSet<(u64, u64)>) -> bool {
    identity(dir.join("exe")).is_some_and(|exe| !own.contains(&exe))
}

/// Every way to get hold of a process, or of what it has.
#[allow(unsafe_code)]
fn caught(pid: i32, dir: &Path) -> bool {
    if fs::File::options().read(true).write(true).open(dir.join("mem")).is_ok() {
        return true;
    }
    // SAFETY: no pointers; whoever is traced is let go when we end.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) } == 0;
    // SAFETY: no pointers; the descriptors are this process's, which ends soon.
    let stolen = unsafe {
        let pidfd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        pidfd >= 0 && (3..8).any(|fd| libc::syscall(libc::SYS_pidfd_getfd, pidfd, fd, 0) >= 0)
    };
    seized || stolen
}

/// Whom we trace must be waited for.
#[allow(unsafe_code)]
fn reap() {
    // SAFETY: no pointers.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG | libc::__WALL) } > 0 {}
}

/// Gets hold of every executable in sight that is not of the image, and tries to write it from then on. Says `held` and how
/// the kernel refused, or `OVERWRITTEN`.
fn hold() {
    let own = own_programs();
    let mut held: HashMap<(u64, u64), (fs::File, HashSet<i32>)> = HashMap::new();
    say("looking");
    loop {
        for (_, dir) in others() {
            let opened = fs::File::options().read(true).custom_flags(libc::O_PATH).open(dir.join("exe"));
            let found = opened.ok().and_then(|file| Some((file.metadata().ok()?, file)));
            if let Some((meta, file)) = found.filter(|(meta, _)| !own.contains(&(meta.dev(), meta.ino()))) {
                held.entry((meta.dev(), meta.ino())).or_insert((file, HashSet::new()));
            }
        }
        for (file, refusals) in held.values_mut() {
            let again = format!("/proc/self/fd/{}", file.as_raw_fd());
            match fs::File::options().write(true).truncate(true).open(again) {
                Ok(_) => say("OVERWRITTEN"),
                Err(why) => {
                    if refusals.insert(why.raw_os_error().unwrap_or(0)) {
                        say(&format!("held: {why}"));
                    }
                }
            }
        }
    }
}
