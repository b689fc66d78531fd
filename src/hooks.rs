//! Running a list of hooks: the container's state on stdin, a bounded wait, a bounded share of their output in the error.
//!
//! Runs in whichever process calls it: the runtime's (prestart, createRuntime, poststart, poststop) or the child's
//! (createContainer before the pivot, startContainer after it). A hook that fails or does not end in time has been killed,
//! with its process group, and reaped when this returns; so has one that runs when we are asked to end. A hook does not
//! outlive the process that runs it.

mod output;

use crate::error::{Context, Result, anyhow, bail};
use crate::interrupt::Interrupt;
use crate::plan::Hook;
use crate::sys::process;
use crate::sys::seccomp::Filter;
use output::Output;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is quoted of a failing hook's output.
const OUTPUT_LIMIT: usize = 4096;

/// The state that hooks read on stdin. runtime.md, "State".
pub struct State<'a> {
    pub id: &'a str,
    pub status: &'static str,
    /// As the runtime's pid namespace numbers it; 0 when there is no process any more.
    pub pid: i32,
    pub bundle: &'a Path,
    pub annotations: &'a BTreeMap<String, String>,
}

/// The version of the runtime-spec that this runtime implements.
pub const OCI_VERSION: &str = "1.3.0";

impl State<'_> {
    pub fn to_json(&self) -> String {
        let mut state = serde_json::json!({
            "ociVersion": OCI_VERSION,
            "id": self.id,
            "status": self.status,
            "pid": self.pid,
            "bundle": self.bundle,
        });
        if !self.annotations.is_empty() {
            state["annotations"] = serde_json::json!(self.annotations);
        }
        state.to_string()
    }
}

/// The environment of hooks that name none of their own, and what holds them.
pub enum Surroundings<'a> {
    /// The caller's own.
    Inherit,
    Nothing,
    /// The container's. What runs there comes from the image, so the filter holds it too, where it is not in force yet.
    Container {
        env: &'a [String],
        filter: Option<&'a Filter>,
    },
}

/// Runs the hooks one after another, in `cwd` or where this process is; the first failure ends it.
pub fn run(kind: &str, hooks: &[Hook], state: &State, env: &Surroundings, cwd: Option<&Path>) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let output = Output::of(kind, state.annotations)?;
    let state = state.to_json();
    for (index, hook) in hooks.iter().enumerate() {
        let name = || format!("error running {kind} hook #{index}: {}", hook.path.display());
        run_one(hook, &state, env, cwd, &output).with_context(name)?;
    }
    Ok(())
}

/// Runs all of them, whatever becomes of one; returns the failures.
pub fn run_all(kind: &str, hooks: &[Hook], state: &State, env: &Surroundings, cwd: &Path) -> Vec<anyhow::Error> {
    let one = |hook: &Hook| run(kind, std::slice::from_ref(hook), state, env, Some(cwd)).err();
    hooks.iter().filter_map(one).collect()
}

fn run_one(hook: &Hook, state: &str, env: &Surroundings, cwd: Option<&Path>, to: &Output) -> Result<()> {
    let deadline = hook.timeout.and_then(|seconds| Instant::now().checked_add(Duration::from_secs(seconds))); // beyond time: none
    let (output, sink) = std::io::pipe().context("make a pipe for its output")?;
    let mut command = Command::new(&hook.path);
    let (first, rest) = hook.args.split_first().map_or((None, &[][..]), |(first, rest)| (Some(first), rest));
    if let Some(name) = first {
        command.arg0(name);
    }
    command.args(rest).process_group(0).stdin(Stdio::piped());
    if let Some(cwd) = cwd {
        command.current_dir(cwd);
    }
    to.give_to(&mut command, &sink)?;
    drop(sink);
    match (&hook.env, env) {
        (Some(own), _) => set_env(&mut command, own),
        (None, Surroundings::Container { env, .. }) => set_env(&mut command, env),
        (None, Surroundings::Nothing) => set_env(&mut command, &[]),
        (None, Surroundings::Inherit) => {}
    }
    process::die_with_us(&mut command);
    if let Surroundings::Container { filter: Some(filter), .. } = env {
        filter.hold(&mut command); // after the line above, whose calls the profile need not allow
    }
    let interrupt = Interrupt::take()?;
    let child = command.spawn().map_err(|e| anyhow!(crate::sys::Error::from(e)))?;
    drop(command); // our copies of the pipe's writing end
    let result = attend(child, state, output.into(), deadline, &interrupt);
    result.with_context(|| match hook.timeout {
        Some(seconds) => format!("(timeout {seconds} s)"),
        None => "failed".to_string(),
    })
}

fn set_env(command: &mut Command, pairs: &[String]) {
    command.env_clear().envs(pairs.iter().filter_map(|pair| pair.split_once('=')));
}

/// Feeds the state, collects output, waits. Nothing here can wait longer than the deadline.
fn attend(
    mut child: Child,
    state: &str,
    output: OwnedFd,
    deadline: Option<Instant>,
    interrupt: &Interrupt,
) -> Result<()> {
    let pidfd = process::pidfd_open(child.id().cast_signed()).context("watch it")?;
    let mut stdin = child.stdin.take();
    let mut unsent = state.as_bytes();
    let mut said = Vec::new();
    if let Some(stdin) = &stdin {
        nix::fcntl::fcntl(stdin, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK))
            .context("prepare stdin")?;
    }
    let mut reader = std::fs::File::from(output);
    let mut reading = true;
    loop {
        // A hook need not read: what does not fit into the pipe at once is offered again and again while it lives.
        if let Some(pipe) = &mut stdin {
            match pipe.write(unsent) {
                Ok(n) => unsent = &unsent[n..],
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => unsent = &[], // it closed its stdin: it does not want to know
            }
            if unsent.is_empty() {
                stdin = None;
            }
        }
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            kill_group(&mut child);
            bail!("did not end in time and was killed{}", quote(&said));
        }
        let slice = if stdin.is_some() { Duration::from_millis(20) } else { Duration::from_secs(3600) };
        let wait = left.unwrap_or(slice).min(slice);
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX).max(1);
        let news = if reading { reader.as_fd() } else { pidfd.as_fd() }; // a closed output has no more news
        let [has_ended, has_news] =
            interrupt.wait_for([pidfd.as_fd(), news], wait).inspect_err(|_| kill_group(&mut child))?;
        if reading && has_news {
            reading = collect(&mut reader, &mut said);
        }
        if has_ended {
            break;
        }
    }
    let status = child.wait().context("reap it")?;
    if status.success() {
        return Ok(());
    }
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (_, Some(libc::SIGSYS)) => "killed by SIGSYS, bad system call: linux.seccomp forbids it".to_string(),
        (_, Some(signal)) => format!("killed by signal {signal}"),
        _ => "ended".to_string(),
    };
    bail!("{how}{}", quote(&said))
}

/// Takes what is there, keeps a bounded part of it; false at the end of file.
fn collect(reader: &mut std::fs::File, said: &mut Vec<u8>) -> bool {
    let mut buffer = [0u8; OUTPUT_LIMIT];
    match reader.read(&mut buffer) {
        Ok(0) | Err(_) => false,
        Ok(n) => {
            let room = OUTPUT_LIMIT - said.len();
            said.extend_from_slice(&buffer[..n.min(room)]);
            true
        }
    }
}

/// The hook's whole process group, so that nothing it started outlives it; then the hook itself is reaped.
fn kill_group(child: &mut Child) {
    let _ = process::kill(-child.id().cast_signed(), libc::SIGKILL); // it may have just ended: then there is nobody to kill
    let _ = child.wait(); // it is dead or dying; its status interests nobody
}

fn quote(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(", output: {text:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Option<u64>) -> Result<()> {
        let args = vec!["sh".into(), "-c".into(), script.into()];
        let hook = Hook { path: "/bin/sh".into(), args, env: None, timeout };
        let annotations = BTreeMap::new();
        let state = State { id: "x", status: "creating", pid: 7, bundle: Path::new("/b"), annotations: &annotations };
        run("createRuntime", &[hook], &state, &Surroundings::Inherit, Some(Path::new("/")))
    }

    #[test]
    fn a_hook_reads_the_state() {
        shell(r#"grep -q '"status":"creating"'"#, None).unwrap();
    }

    #[test]
    fn a_failing_hook_is_quoted() {
        let error = format!("{:#}", shell("echo no luck >&2; exit 3", None).unwrap_err());
        assert!(error.contains("createRuntime hook #0: /bin/sh") && error.contains("exit status 3"), "{error}");
        assert!(error.contains("no luck"), "{error}");
    }

    #[test]
    fn a_hanging_hook_is_killed_with_its_children() {
        let start = Instant::now();
        let error = format!("{:#}", shell("sleep 100 & sleep 100", Some(1)).unwrap_err());
        assert!(error.contains("did not end in time") && start.elapsed() < Duration::from_secs(20), "{error}");
    }

    #[test]
    fn a_daemon_that_holds_the_output_does_not_hold_us() {
        let start = Instant::now();
        shell("sleep 5 & exit 0", None).unwrap();
        assert!(start.elapsed() < Duration::from_secs(4));
    }
}
