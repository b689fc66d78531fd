//! A bundle to describe in a few words: busybox as root filesystem, the configuration of the runtime's own `spec`, edited.

use super::home::Home;
use super::image::make_rootfs;
use super::{Container, Invocation, Output};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Uids and gids of a container with `user_namespace()` start here on the host.
pub const MAPPED: u32 = 200_000;

pub struct Bundle {
    pub(super) home: Arc<Home>,
    pub(super) dir: PathBuf,
    id: String,
    config: Value,
    options: Vec<String>,
}

impl Bundle {
    /// The defaults of `spec`, without a terminal, with a writable root, a cgroup of the test's own and a payload that stays.
    pub fn busybox() -> Self {
        let home = Arc::new(Home::new());
        let dir = home.path().join("bundle");
        make_rootfs(&dir.join("rootfs"));
        let id = format!("{}a", home.name());
        Self { config: default_config(&home), options: Vec::new(), home, dir, id }
            .terminal(false)
            .set("/root/readonly", false)
            .own_cgroup()
            .args(["sleep", "600"])
    }

    /// Another bundle of the same test, with the same configuration and a root filesystem shared with this one.
    pub fn twin(&self, suffix: &str) -> Self {
        let dir = self.home.path().join(format!("bundle-{suffix}"));
        fs::create_dir(&dir).expect("make a bundle");
        let (home, config, options) = (self.home.clone(), self.config.clone(), self.options.clone());
        let id = format!("{}{suffix}", home.name());
        Self { home, dir, id, config, options }.set("/root/path", self.rootfs().to_str()).own_cgroup()
    }

    fn own_cgroup(self) -> Self {
        let path = format!("/{}", self.id);
        self.set("/linux/cgroupsPath", path)
    }

    // --- the configuration ---

    pub fn args<const N: usize>(self, args: [&str; N]) -> Self {
        self.set("/process/args", json!(args.as_slice()))
    }

    /// A payload of busybox shell.
    pub fn sh(self, script: &str) -> Self {
        self.args(["sh", "-c", script])
    }

    /// Sets what a JSON pointer names, and makes the objects on the way.
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        *place(&mut self.config, pointer) = value.into();
        self
    }

    /// Appends to the list a JSON pointer names.
    pub fn push(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let list = place(&mut self.config, pointer);
        if list.is_null() {
            *list = json!([]);
        }
        list.as_array_mut().expect("a list").push(value.into());
        self
    }

    /// Removes the key a JSON pointer names.
    pub fn unset(mut self, pointer: &str) -> Self {
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        if let Some(object) = self.config.pointer_mut(parent).and_then(Value::as_object_mut) {
            object.remove(key);
        }
        self
    }

    pub fn config(&self) -> &Value {
        &self.config
    }

    pub fn terminal(self, terminal: bool) -> Self {
        self.set("/process/terminal", terminal)
    }

    pub fn user(self, uid: u32, gid: u32) -> Self {
        self.set("/process/user", json!({"uid": uid, "gid": gid}))
    }

    pub fn env(self, variable: &str) -> Self {
        self.push("/process/env", variable)
    }

    pub fn mount(self, destination: &str, kind: &str, source: &str, options: &[&str]) -> Self {
        self.push("/mounts", json!({"destination": destination, "type": kind, "source": source, "options": options}))
    }

    /// A volume: a host path, bound into the container.
    pub fn bind(self, source: impl AsRef<Path>, destination: &str, options: &[&str]) -> Self {
        let options = [&["bind"], options].concat();
        self.mount(destination, "bind", &source.as_ref().to_string_lossy(), &options)
    }

    /// Removes the mount with this destination.
    pub fn without_mount(mut self, destination: &str) -> Self {
        let mounts = self.config["mounts"].as_array_mut().expect("mounts");
        mounts.retain(|mount| mount["destination"] != destination);
        self
    }

    /// Leaves only the mount of /proc.
    pub fn without_dev(self) -> Self {
        ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue"].into_iter().fold(self, Bundle::without_mount)
    }

    pub fn without_namespace(mut self, kind: &str) -> Self {
        let namespaces = self.config["linux"]["namespaces"].as_array_mut().expect("namespaces");
        namespaces.retain(|namespace| namespace["type"] != kind);
        self
    }

    pub fn namespace(self, kind: &str) -> Self {
        self.without_namespace(kind).push("/linux/namespaces", json!({"type": kind}))
    }

    pub fn join_namespace(self, kind: &str, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_string_lossy();
        self.without_namespace(kind).push("/linux/namespaces", json!({"type": kind, "path": path}))
    }

    /// A user namespace in which root is the host's uid `MAPPED`.
    pub fn user_namespace(self) -> Self {
        let map = json!([{"containerID": 0, "hostID": MAPPED, "size": 65536}]);
        self.namespace("user").set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map).owned_by(MAPPED)
    }

    pub fn deny_syscall(self, name: &str) -> Self {
        let names = if name == "mkdir" { vec!["mkdir", "mkdirat"] } else { vec![name] }; // arm64 has the second only
        let rule = json!([{"names": names, "action": "SCMP_ACT_ERRNO"}]);
        let arch = if cfg!(target_arch = "aarch64") { "SCMP_ARCH_AARCH64" } else { "SCMP_ARCH_X86_64" };
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch], "syscalls": rule});
        self.set("/linux/seccomp", profile)
    }

    pub fn limit_pids(self, limit: i64) -> Self {
        self.set("/linux/resources/pids/limit", limit)
    }

    pub fn capabilities(self, set: &str, names: &[&str]) -> Self {
        self.set(&format!("/process/capabilities/{set}"), json!(names))
    }

    /// Capabilities that the process has, and may pass on to its programs.
    pub fn grant(self, names: &[&str]) -> Self {
        ["bounding", "effective", "permitted"].into_iter().fold(self, |bundle, set| bundle.capabilities(set, names))
    }

    /// A hook that runs a shell script.
    pub fn hook(self, kind: &str, script: &str) -> Self {
        self.hook_with(kind, json!({"path": "/bin/sh", "args": ["sh", "-c", script]}))
    }

    pub fn hook_with(self, kind: &str, hook: Value) -> Self {
        self.push(&format!("/hooks/{kind}"), hook)
    }

    /// A further option for `create` and `run`.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    // --- the deeds ---

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn state_root(&self) -> PathBuf {
        self.home.state()
    }

    /// Writes config.json.
    pub fn write(&self) -> &Self {
        let text = serde_json::to_vec_pretty(&self.config).expect("print the configuration");
        fs::write(self.dir.join("config.json"), text).expect("write config.json");
        self
    }

    /// The runtime with this test's `--root` and any arguments.
    pub fn runtime<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Invocation {
        self.home.runtime(args)
    }

    /// A program of the host.
    pub fn command<'a>(&self, argv: impl IntoIterator<Item = &'a str>) -> Invocation {
        self.home.command(argv)
    }

    /// `create` or `run` with the bundle, the options and the id.
    pub fn invocation(&self, verb: &str) -> Invocation {
        self.global_invocation(&[], verb)
    }

    /// The same, with options before the verb.
    pub fn global_invocation(&self, globals: &[&str], verb: &str) -> Invocation {
        self.write();
        let dir = self.dir.to_string_lossy();
        let words =
            globals.iter().copied().chain([verb, "--bundle", &dir]).chain(self.options.iter().map(String::as_str));
        self.home.runtime(words.chain([self.id.as_str()]))
    }

    pub fn run(&self) -> Output {
        self.invocation("run").output()
    }

    pub fn try_create(&self) -> Output {
        self.create_by(|it| it).1
    }

    #[track_caller]
    pub fn create(&self) -> Container {
        self.create_after("")
    }

    /// Creates the container after shell commands in the same process.
    #[track_caller]
    pub fn create_after(&self, script: &str) -> Container {
        let (container, created) = self.create_by(|it| if script.is_empty() { it } else { it.after_shell(script) });
        created.ok();
        container
    }

    /// Creates the container with a changed invocation; the handle deletes whatever came of it.
    #[track_caller]
    pub fn create_by(&self, change: impl FnOnce(Invocation) -> Invocation) -> (Container, Output) {
        let process = change(self.invocation("create")).spawn();
        let mut container = self.handle();
        container.output = process.stdout_file().to_owned();
        (container, process.wait())
    }

    #[track_caller]
    pub fn start(&self) -> Container {
        self.create().start()
    }

    /// A handle on the container of this id, however it came to be.
    pub fn handle(&self) -> Container {
        Container { home: self.home.clone(), id: self.id.clone(), output: PathBuf::new() }
    }

    /// Fails the test when anything of a container is on the machine.
    #[track_caller]
    pub fn assert_nothing_left(&self) {
        self.assert_nothing_left_after("the container");
    }

    #[track_caller]
    pub fn assert_nothing_left_after(&self, what: &str) {
        self.home.assert_nothing_left(what);
    }
}

/// What a JSON pointer names, with objects made on the way.
fn place<'a>(config: &'a mut Value, pointer: &str) -> &'a mut Value {
    pointer.split('/').skip(1).fold(config, |value, key| {
        if value.is_null() {
            *value = json!({});
        }
        match value {
            Value::Array(list) => &mut list[key.parse::<usize>().expect("an index")],
            object => &mut object[key],
        }
    })
}

/// What the runtime's `spec` writes, asked once.
fn default_config(home: &Home) -> Value {
    static CONFIG: OnceLock<Value> = OnceLock::new();
    let ask = || {
        let dir = home.path().join("spec");
        fs::create_dir(&dir).expect("make a directory");
        home.runtime(["spec", "--bundle", &dir.to_string_lossy()]).output().ok();
        let text = fs::read(dir.join("config.json")).expect("spec writes config.json");
        serde_json::from_slice(&text).expect("spec writes JSON")
    };
    CONFIG.get_or_init(ask).clone()
}
