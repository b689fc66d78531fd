//! The files around a bundle: those of its image, and those of the host next to it.

use super::{Bundle, Canary};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

impl Bundle {
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
}

/// busybox with all its names, and the directories a root filesystem has.
pub fn make_rootfs(rootfs: &Path) {
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
