//! Commands under strace(1), with all that they start.

use super::{Bundle, Container, Invocation, LIMIT, Output, Process, read, within};

/// The system calls of a command itself, and of each process that came of it, in order.
pub struct Trace {
    pub own: Vec<String>,
    pub others: Vec<Vec<String>>,
}

/// Runs a command that goes well. What it creates in the bundle is deleted.
#[track_caller]
pub fn trace(bundle: &Bundle, invocation: Invocation) -> Trace {
    let directory = bundle.host_directory("traces");
    let prefix = directory.join("of");
    let process = invocation.under(["strace", "-qq", "-ff", "-s", "300", "-o", prefix.to_str().unwrap()]).spawn();
    to_the_end(&bundle.handle(), process).ok();
    let files = std::fs::read_dir(&directory).unwrap().flatten().map(|file| read(file.path()));
    let all = files.map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
    // strace starts the command itself, all others are born in the middle of something.
    let starts = |calls: &Vec<String>| calls.first().is_some_and(|call| call.starts_with("execve("));
    let (mut own, others): (Vec<_>, Vec<_>) = all.partition(starts);
    std::fs::remove_dir_all(directory).unwrap();
    assert_eq!(own.len(), 1, "strace starts one command");
    Trace { own: own.remove(0), others }
}

/// Waits for a command under `strace -f`, which would stay with the init of a container that was created: as soon as the
/// command itself is over, what it created is deleted.
#[track_caller]
pub fn to_the_end(container: &Container, mut process: Process) -> Output {
    let children = format!("/proc/{0}/task/{0}/children", process.pid());
    let ends = within(LIMIT, || {
        if container.state_directory().join("state.json").exists() && read(&children).is_empty() {
            container.delete_by_force().ok();
        }
        process.is_over()
    });
    assert!(ends, "strace does not end");
    process.wait()
}
