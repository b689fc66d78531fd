//! A bundle to describe in a few words: busybox as root filesystem, the configuration of the runtime's own `spec`, edited.

use super::home::Home;
use super::{Canary, Container, Invocation, Output};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

/// Uids and gids of a container with `user_namespace()` start here on the host.
pub const MAPPED: u32 = 200_000;

pub struct Bundle {
    home: Arc<Home>,
    dir: PathBuf,
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
        let rule = json!([{"names": [name], "action": "SCMP_ACT_ERRNO"}]);
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

    // --- the files ---

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    pub fn file(self, path: &str, content: &str) -> Self {
        let path = self.inside(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("make a directory");
        fs::write(path, content).expect("write a file of the image");
        self
    }

    pub fn script(self, path: &str, content: &str, mode: u32) -> Self {
        let bundle = self.file(path, content);
        fs::set_permissions(bundle.inside(path), fs::Permissions::from_mode(mode)).expect("chmod a file of the image");
        bundle
    }

    pub fn directory(self, path: &str) -> Self {
        fs::create_dir_all(self.inside(path)).expect("make a directory of the image");
        self
    }

    /// Puts a symlink into the image, in place of whatever is there.
    pub fn symlink(self, path: &str, target: impl AsRef<Path>) -> Self {
        let path = self.inside(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("make a directory");
        let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        symlink(target, path).expect("make a symlink");
        self
    }

    /// Gives the image's directories to a user of the host.
    pub fn owned_by(self, uid: u32) -> Self {
        for path in ["", "dev", "proc", "sys", "tmp", "root"] {
            std::os::unix::fs::chown(self.rootfs().join(path), Some(uid), Some(uid)).expect("chown the image");
        }
        self
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.rootfs().join(path.trim_start_matches('/'))
    }

    /// A directory of the host next to the bundle, made on the first call.
    pub fn host_directory(&self, name: &str) -> PathBuf {
        let dir = self.home.path().join(name);
        fs::create_dir_all(&dir).expect("make a directory");
        dir
    }

    /// A file of the host next to the bundle.
    pub fn host_file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.home.path().join(name);
        fs::write(&path, content).expect("write a file");
        path
    }

    pub fn canary(&self) -> Canary {
        Canary::new(self.home.path().join("canary"))
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
        self.write();
        let dir = self.dir.to_string_lossy();
        let words = [verb, "--bundle", &dir].into_iter().chain(self.options.iter().map(String::as_str));
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
        self.home.assert_nothing_left();
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

/// busybox with all its names, and the directories a root filesystem has.
fn make_rootfs(rootfs: &Path) {
    static NAMES: OnceLock<Vec<String>> = OnceLock::new();
    let list = || {
        let listed = Command::new("/bin/busybox").arg("--list").output().expect("a static busybox in /bin");
        String::from_utf8_lossy(&listed.stdout).lines().filter(|name| *name != "busybox").map(str::to_owned).collect()
    };
    for dir in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "var"] {
        fs::create_dir_all(rootfs.join(dir)).expect("make the root filesystem");
    }
    fs::copy("/bin/busybox", rootfs.join("bin/busybox")).expect("copy busybox");
    for name in NAMES.get_or_init(list) {
        symlink("busybox", rootfs.join("bin").join(name)).expect("name an applet");
    }
    fs::write(rootfs.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
        .expect("write passwd");
    fs::write(rootfs.join("etc/group"), "root:x:0:\nuser:x:1000:\n").expect("write group");
}
