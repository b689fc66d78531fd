//! A test's own corner of the machine: a directory, a `--root`, a name for its cgroups. Whoever leaves something in it fails.

use super::{Invocation, binary, host, within};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

pub struct Home {
    dir: Option<TempDir>,
    path: PathBuf,
    name: String,
}

impl Home {
    pub fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("rruntime-test-{}-{}-", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = tempfile::Builder::new().prefix(&name).tempdir().expect("make a directory for the test");
        let path = dir.path().canonicalize().expect("the directory's path");
        // A container with a user namespace has to pass through here.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("open the directory");
        for part in ["state", "io"] {
            fs::create_dir(path.join(part)).expect("make a directory for the test");
        }
        Self { dir: Some(dir), path, name }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins every container id and every cgroup of this test, and no other's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The directory given as `--root`.
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// The runtime, with this home's `--root`.
    pub fn runtime(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Invocation {
        let mut argv = vec![binary().into_os_string(), "--root".into(), self.state().into()];
        argv.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self.command(argv).on_older_kernel()
    }

    /// Any other program.
    pub fn command(&self, argv: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Invocation {
        Invocation::new(&self.path.join("io"), argv)
    }

    /// What is left of the test's containers on this machine.
    pub fn leftovers(&self) -> Vec<String> {
        // crun keeps a directory to mask others with.
        let of_containers = |entry: &fs::DirEntry| entry.file_name() != ".empty-directory";
        let states = fs::read_dir(self.state()).into_iter().flatten().flatten().filter(of_containers);
        let mut left: Vec<_> = states.map(|entry| format!("state directory {}", entry.path().display())).collect();
        left.extend(host::cgroups(&self.name).iter().map(|dir| format!("cgroup {}", dir.display())));
        left.extend(host::mounts(&self.path).iter().map(|line| format!("mount {line}")));
        left.extend(host::processes(&self.path, &self.name).iter().map(|(pid, what)| format!("process {pid}: {what}")));
        left
    }

    /// Fails the test unless nothing of its containers is left.
    #[track_caller]
    pub fn assert_nothing_left(&self, after: &str) {
        let mut left = Vec::new();
        let clean = within(Duration::from_secs(10), || {
            left = self.leftovers();
            left.is_empty()
        });
        assert!(clean, "left behind by {after}: {left:#?}");
    }

    /// Takes away whatever is left, by our own means and never by the runtime's.
    fn sweep(&self) {
        let gone = within(Duration::from_secs(10), || {
            for dir in host::cgroups(&self.name) {
                let _ = fs::write(dir.join("freezer.state"), "THAWED")
                    .or_else(|_| fs::write(dir.join("cgroup.freeze"), "0"));
            }
            for (pid, _) in host::processes(&self.path, &self.name) {
                let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
            }
            host::cgroups(&self.name).iter().all(|dir| fs::remove_dir(dir).is_ok())
        });
        for line in host::mounts(&self.path) {
            let target = line.split(' ').nth(4).unwrap_or_default();
            let _ = nix::mount::umount2(target, nix::mount::MntFlags::MNT_DETACH);
        }
        if !gone {
            eprintln!("could not remove every cgroup of {}", self.name);
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let failing = std::thread::panicking();
        let mut left = Vec::new();
        let clean = !failing
            && within(Duration::from_secs(10), || {
                left = self.leftovers();
                left.is_empty()
            });
        if !clean {
            self.sweep();
        }
        drop(self.dir.take());
        assert!(clean || failing, "the test left something behind: {left:#?}");
    }
}
