//! A container that exists. Dropped, it is killed and deleted.

use super::home::Home;
use super::{Invocation, Output, eventually, read};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub struct Container {
    pub(super) home: Arc<Home>,
    pub(super) id: String,
    /// Where the payload's stdout goes.
    pub(super) output: PathBuf,
}

impl Container {
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The test's own directory on the host.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The runtime's directory for this container.
    pub fn state_directory(&self) -> PathBuf {
        self.home.state().join(&self.id)
    }

    pub fn runtime<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Invocation {
        self.home.runtime(args)
    }

    /// A program of the host.
    pub fn command<'a>(&self, argv: impl IntoIterator<Item = &'a str>) -> Invocation {
        self.home.command(argv)
    }

    /// Runs `verb ID args...`.
    pub fn does<const N: usize>(&self, verb: &str, args: [&str; N]) -> Output {
        self.runtime([verb, &self.id].into_iter().chain(args)).output()
    }

    #[track_caller]
    pub fn start(self) -> Self {
        self.does("start", []).ok();
        self
    }

    #[track_caller]
    pub fn state(&self) -> Value {
        serde_json::from_str(&self.does("state", []).ok().stdout).expect("state prints JSON")
    }

    #[track_caller]
    pub fn status(&self) -> String {
        self.state()["status"].as_str().expect("a status").to_owned()
    }

    /// The pid of the container's init, as the host sees it.
    #[track_caller]
    pub fn pid(&self) -> i32 {
        i32::try_from(self.state()["pid"].as_i64().expect("a pid")).expect("a pid")
    }

    /// A file below /proc/PID of the container's init.
    #[track_caller]
    pub fn proc(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{file}", self.pid()))
    }

    pub fn exec<const N: usize>(&self, command: [&str; N]) -> Output {
        self.exec_with([], command)
    }

    pub fn exec_with<const N: usize, const M: usize>(&self, options: [&str; N], command: [&str; M]) -> Output {
        self.execution(options, command).output()
    }

    pub fn execution<const N: usize, const M: usize>(&self, options: [&str; N], command: [&str; M]) -> Invocation {
        self.runtime(["exec"].into_iter().chain(options).chain([self.id.as_str()]).chain(command))
    }

    pub fn kill(&self, signal: &str) -> Output {
        self.does("kill", [signal])
    }

    pub fn delete(&self) -> Output {
        self.does("delete", [])
    }

    pub fn delete_by_force(&self) -> Output {
        self.runtime(["delete", "--force", &self.id]).output()
    }

    /// What the payload has written to its stdout.
    pub fn output(&self) -> String {
        read(&self.output)
    }

    #[track_caller]
    pub fn has_said(&self, text: &str) {
        eventually(&format!("{text:?} from the container"), || self.output().contains(text));
    }

    #[track_caller]
    pub fn reaches(&self, status: &str) {
        eventually(&format!("status {status}"), || self.status() == status);
    }

    /// Waits for the payload's end and gives what it wrote.
    #[track_caller]
    pub fn finish(&self) -> String {
        self.reaches("stopped");
        self.output()
    }

    /// Kills and deletes the container and fails the test when something of it is left.
    #[track_caller]
    pub fn end(self) {
        let home = self.home.clone();
        self.delete_by_force().ok();
        home.assert_nothing_left("delete --force");
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.state_directory().exists() {
            let deleted = self.delete_by_force();
            assert!(deleted.code == 0 || std::thread::panicking(), "delete --force {}: {deleted:?}", self.id);
        }
    }
}
