//! State that another user may have written, or that a container has filled.

use super::end_payloads::on_the_host;
use crate::harness::{Bundle, Container, binary, read};
use crate::needs;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
}

/// No verb reads the state, or runs a program that it names.
#[track_caller]
fn is_refused_by_every_verb(container: &Container, ran: &Path, text: &str) {
    for verb in ["state", "start", "ps", "pause", "resume", "kill", "delete", "events"] {
        container.does(verb, []).refused(text);
    }
    container.delete_by_force().refused(text);
    container.exec(["true"]).failed(255, text);
    assert_eq!(read(ran), "", "a hook has run");
}

#[test]
fn state_that_another_user_owns_or_can_write_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox();
    let (root, ran) = (bundle.state_root(), bundle.home().join("ran"));
    let bundle = bundle.hook("poststop", &format!("echo ran > {}", ran.display()));
    let container = bundle.create();
    let own = container.state_directory();
    let mode = fs::metadata(&root).unwrap().permissions().mode();
    for (dir, path) in [("the root", &root), ("the container's", &own)] {
        chown(path, Some(1000), None).unwrap();
        is_refused_by_every_verb(&container, &ran, "it belongs to user 1000");
        chown(path, Some(0), None).unwrap();
        for writable in [0o770, 0o702, 0o777] {
            chmod(path, writable);
            is_refused_by_every_verb(&container, &ran, "chmod go-w");
        }
        chmod(path, 0o755);
        assert_eq!(container.status(), "created", "{dir}");
        chmod(path, 0o711);
        assert_eq!(container.status(), "created", "{dir}");
        chmod(path, mode & 0o7777);
    }
    chown(&root, Some(1000), None).unwrap();
    container.runtime(["list"]).output().refused("it belongs to user 1000");
    bundle.twin("b").try_create().refused("it belongs to user 1000");
    chown(&root, Some(0), None).unwrap();
    // As /tmp is: other users can make a directory there, but not change one.
    chmod(&root, 0o1777);
    assert_eq!(container.status(), "created");
    chmod(&root, mode & 0o7777);
    container.end();
    assert_eq!(read(&ran), "ran\n");
}

/// On a tmpfs, as /run is: on a busy disk it takes minutes.
#[test]
fn a_state_directory_with_a_tree_deeper_than_any_path_is_removed() {
    needs!(root);
    needs!(file "/dev/shm");
    let bundle = Bundle::busybox();
    bundle.write();
    let root = tempfile::tempdir_in("/dev/shm").expect("a directory on a tmpfs");
    let (binary, place) = (binary().display().to_string(), root.path().display().to_string());
    let does = |words: &[&str]| {
        bundle.command([&[binary.as_str(), "--root", &place], words].concat()).output().ok();
    };
    does(&["run", "--detach", "--bundle", &bundle.dir().to_string_lossy(), bundle.id()]);
    let notify = root.path().join(bundle.id()).join("notify");
    fs::create_dir_all(&notify).unwrap();
    std::os::unix::fs::symlink("/", notify.join("out")).unwrap();
    let nest = on_the_host(&format!("nest {} 20000", notify.display()));
    bundle.command(nest.iter().map(String::as_str)).output().ok();
    does(&["delete", "--force", bundle.id()]);
    assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "something is left in the state directory");
    bundle.assert_nothing_left();
}
