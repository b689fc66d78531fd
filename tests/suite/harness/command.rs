//! Running a program: its output in files (so that a container which keeps them open blocks nobody), its time limited.

use super::LIMIT;
use super::older_kernel::OlderKernel;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How a command ended: its exit status as a shell gives it (128+n for a signal), and what it wrote.
#[derive(Debug, Clone)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The output itself when the command succeeded, a failed test otherwise.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "expected success: {self:#?}");
        self
    }

    /// The output itself when the command failed with 1 and `text` on stderr, a failed test otherwise.
    #[track_caller]
    pub fn refused(self, text: &str) -> Self {
        self.failed(1, text)
    }

    /// The output itself when the command ended with `code` and `text` on stderr, a failed test otherwise.
    #[track_caller]
    pub fn failed(self, code: i32, text: &str) -> Self {
        // A text log quotes the message once more.
        let said = self.stderr.contains(text) || self.stderr.replace("\\\"", "\"").contains(text);
        assert!(self.code == code && said, "expected exit {code} and {text:?}: {self:#?}");
        self
    }
}

/// A command about to run.
pub struct Invocation {
    argv: Vec<OsString>,
    before: String,
    env: Vec<(String, Option<String>)>,
    stdin: Option<File>,
    terminal: Option<File>,
    /// A system call that the kernel is not to have.
    older: Option<OlderKernel>,
    cwd: Option<PathBuf>,
    scratch: PathBuf,
}

impl Invocation {
    pub fn new(scratch: &Path, argv: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let argv = argv.into_iter().map(|word| word.as_ref().to_owned()).collect();
        let env = ["XDG_RUNTIME_DIR", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET"];
        let env = env.map(|name| (name.to_owned(), None)).to_vec();
        Self {
            argv,
            before: String::new(),
            env,
            stdin: None,
            terminal: None,
            older: None,
            cwd: None,
            scratch: scratch.to_owned(),
        }
    }

    /// Shell commands that prepare the process before it becomes the program: `umask 077`, `exec 7</etc`.
    pub fn after_shell(mut self, script: &str) -> Self {
        self.before.push_str(script);
        self.before.push('\n');
        self
    }

    /// Runs the command under another program, such as strace.
    pub fn under<const N: usize>(mut self, wrapper: [&str; N]) -> Self {
        self.argv.splice(0..0, wrapper.map(OsString::from));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), Some(value.to_owned())));
        self
    }

    pub fn cwd(mut self, dir: impl Into<PathBuf>) -> Self {
        self.cwd = Some(dir.into());
        self
    }

    pub fn stdin(mut self, text: &str) -> Self {
        let path = self.fresh("in");
        std::fs::write(&path, text).expect("write stdin");
        self.stdin = Some(File::open(path).expect("open stdin"));
        self
    }

    /// Runs the command as on a kernel without the call that `RRUNTIME_TEST_WITHOUT` names, if it names one.
    pub fn on_older_kernel(mut self) -> Self {
        self.older = OlderKernel::asked_for();
        self
    }

    /// Runs the command as on this kernel: a word as for `RRUNTIME_TEST_WITHOUT`.
    pub fn on_kernel(mut self, kernel: &str) -> Self {
        self.older = Some(OlderKernel::named(kernel));
        self
    }

    /// Gives the command this terminal as stdin, stdout and stderr.
    pub fn terminal(mut self, slave: File) -> Self {
        self.terminal = Some(slave);
        self
    }

    /// Gives the command this terminal as stdin, and files as stdout and stderr.
    pub fn reading_from(mut self, slave: File) -> Self {
        self.stdin = Some(slave);
        self
    }

    /// Starts the command and waits for its end.
    #[track_caller]
    pub fn output(self) -> Output {
        self.spawn().wait()
    }

    /// Starts the command.
    #[track_caller]
    pub fn spawn(self) -> Process {
        let (stdout, stderr) = (self.fresh("out"), self.fresh("err"));
        let mut command = if self.before.is_empty() {
            let mut command = Command::new(&self.argv[0]);
            command.args(&self.argv[1..]);
            command
        } else {
            let mut command = Command::new("/bin/sh");
            command.arg("-c").arg(format!("{}exec \"$@\"", self.before)).arg("sh").args(&self.argv);
            command
        };
        for (name, value) in &self.env {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(dir) = &self.cwd {
            command.current_dir(dir);
        }
        if let Some(kernel) = &self.older {
            kernel.hold(&mut command);
        }
        let create = |path: &Path| Stdio::from(File::create(path).expect("create an output file"));
        if let Some(slave) = &self.terminal {
            let end = || Stdio::from(slave.try_clone().expect("duplicate the terminal"));
            command.stdin(end()).stdout(end()).stderr(end());
        } else {
            command
                .stdin(self.stdin.map_or_else(Stdio::null, Stdio::from))
                .stdout(create(&stdout))
                .stderr(create(&stderr));
        }
        let child = command.spawn().unwrap_or_else(|why| panic!("start {:?}: {why}", self.argv));
        Process { child, argv: self.argv, stdout, stderr }
    }

    fn fresh(&self, kind: &str) -> PathBuf {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        self.scratch.join(format!("{}.{kind}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }
}

/// A command under way. Dropped, it is killed and reaped.
pub struct Process {
    child: Child,
    argv: Vec<OsString>,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a pid")
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).expect("signal the command");
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        super::read(&self.stdout)
    }

    /// The file its stdout goes to.
    pub fn stdout_file(&self) -> &Path {
        &self.stdout
    }

    /// Waits until `text` has appeared on stdout.
    #[track_caller]
    pub fn has_said(&self, text: &str) {
        super::eventually(&format!("{text:?} on the output of {:?}", self.argv), || self.stdout().contains(text));
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("wait for the command").is_some()
    }

    #[track_caller]
    pub fn wait(mut self) -> Output {
        self.wait_here()
    }

    #[track_caller]
    fn wait_here(&mut self) -> Output {
        let (end, mut pause) = (Instant::now() + LIMIT, Duration::from_micros(200));
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait for the command") {
                break status;
            }
            if Instant::now() > end {
                let (stdout, stderr) = (super::read(&self.stdout), super::read(&self.stderr));
                panic!("still running after {LIMIT:?}: {:?}\nstdout: {stdout}\nstderr: {stderr}", self.argv);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        };
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Output { code, stdout: super::read(&self.stdout), stderr: super::read(&self.stderr) }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
