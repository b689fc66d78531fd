//! The state directory: what is recorded, and what `delete --force` makes of a record that is broken.

use crate::harness::{Bundle, Container, eventually, host, read};
use crate::needs;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

fn record(container: &Container) -> std::path::PathBuf {
    container.state_directory().join("state.json")
}

#[test]
fn the_record_is_json_and_names_the_init() {
    needs!(root);
    let container = Bundle::busybox().create();
    let record: serde_json::Value = serde_json::from_str(&read(record(&container))).expect("state.json is JSON");
    assert!(record.to_string().contains(&container.pid().to_string()));
}

#[test]
fn what_was_made_in_the_root_filesystem_is_on_record() {
    needs!(root);
    let bundle = Bundle::busybox().mount("/a/b/c", "tmpfs", "tmpfs", &[]).mount("/a/b/c/d", "tmpfs", "tmpfs", &[]);
    let made = |container: &Container| {
        let record: serde_json::Value = serde_json::from_str(&read(record(container))).unwrap();
        record["made"].clone()
    };
    let container = bundle.create();
    // Not /a/b/c/d, nor what is in the tmpfs on /dev: these go with the container.
    assert_eq!(made(&container), serde_json::json!(["/a", "/a/b", "/a/b/c"]));
    container.delete_by_force().ok();
    assert_eq!(made(&bundle.create()), serde_json::Value::Null, "it was there the second time");
    // Without a /dev of its own it is all of the image.
    let bundle = Bundle::busybox().without_dev();
    fs::remove_dir_all(bundle.rootfs().join("dev")).unwrap();
    let made = made(&bundle.create());
    for name in ["/dev", "/dev/null", "/dev/fd"] {
        assert!(made.as_array().unwrap().iter().any(|made| made == name), "{name}: {made}");
    }
}

/// It could be in use by another container of the same image, so it is told and not removed.
#[test]
fn what_a_failed_create_leaves_in_the_root_filesystem_is_told() {
    needs!(root);
    let bundle = Bundle::busybox().mount("/made", "tmpfs", "tmpfs", &[]).args(["/no/such/program"]);
    let output = bundle.try_create().refused("no such file or directory");
    assert!(output.stderr.contains("left in the root filesystem") && output.stderr.contains("\"/made\""), "{output:?}");
    let output = bundle.try_create().refused("no such file or directory");
    assert!(!output.stderr.contains("left in the root filesystem"), "{output:?}");
    bundle.assert_nothing_left();
}

#[test]
fn the_state_directory_is_nobody_elses_business() {
    needs!(root);
    let container = Bundle::busybox().create();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o077;
    assert_eq!(mode(&container.state_directory()) & 0o066, 0, "others may pass at most");
    assert_eq!(mode(&record(&container)), 0, "state.json");
}

#[test]
fn missing_directories_of_the_root_are_made() {
    needs!(root);
    let bundle = Bundle::busybox().args(["true"]);
    let deep = bundle.home().join("not/yet/there");
    let dir = bundle.write().dir().to_str().unwrap();
    bundle.runtime(["--root", deep.to_str().unwrap(), "run", "--bundle", dir, bundle.id()]).output().ok();
    assert_eq!(fs::read_dir(deep).unwrap().count(), 0);
}

/// Breaks the record of a running container in one way; other verbs may fail but not hang, `delete --force` may not.
#[track_caller]
fn survives(what: &str, damage: impl Fn(&Container)) {
    let bundle = Bundle::busybox();
    let other = bundle.twin("other").start();
    let container = bundle.start();
    let pid = container.pid();
    damage(&container);
    for verb in ["state", "kill", "pause", "start"] {
        let output = container.does(verb, []);
        let running = verb == "state" && output.stdout.contains("running");
        assert!(!running && !output.stderr.contains("panicked"), "{what}: {verb}: {output:?}");
    }
    let list = bundle.runtime(["list", "-q"]).output();
    assert!(list.code == 0 && list.stdout.contains(other.id()), "{what}: {list:?}");
    container.delete_by_force().ok();
    eventually("init to die", || !host::is_alive(pid));
    assert!(!container.state_directory().exists(), "{what}: the state directory is left");
    eventually("the cgroup to go", || host::cgroups(container.id()).is_empty());
    assert_eq!(other.status(), "running", "{what}");
    assert_eq!(bundle.start().status(), "running", "{what}: the id can be used again");
}

#[test]
fn a_truncated_record_does_not_stop_delete_by_force() {
    needs!(root);
    for keep in [0, 1, 2] {
        survives(&format!("cut to {keep}/3"), |container| {
            let text = fs::read(record(container)).unwrap();
            fs::write(record(container), &text[..text.len() * keep / 3]).unwrap();
        });
    }
}

#[test]
fn a_corrupt_record_does_not_stop_delete_by_force() {
    needs!(root);
    let broken: [(&str, &[u8]); 4] = [
        ("an array", b"[]"),
        ("a number", b"7"),
        ("no text", b"\xff\xfe\x00{"),
        ("other keys", b"{\"init\":{},\"pid\":\"x\"}"),
    ];
    for (what, bytes) in broken {
        survives(what, |container| fs::write(record(container), bytes).unwrap());
    }
}

#[test]
fn a_huge_record_costs_no_memory() {
    needs!(root);
    let container = Bundle::busybox().start();
    let file = fs::File::options().write(true).open(record(&container)).unwrap();
    file.set_len(100 << 30).unwrap(); // a sparse file
    let limited = container.runtime(["state", container.id()]).after_shell("ulimit -v 1500000").output();
    assert!(limited.code == 1 && limited.stderr.contains("state.json"), "{limited:?}");
    container.end();
}

/// What a writer that was killed has left under the name that the next one writes to, whatever it is.
#[test]
fn a_record_is_never_written_into_what_lies_there() {
    needs!(root);
    needs!(controller "pids");
    let container = Bundle::busybox().start();
    let template = container.state_directory().join("template.json");
    let host = container.home().join("of-the-host");
    for leave in ["head -c 1000000 /dev/zero > $name", "ln -s $HOST $name", "ln $HOST $name"] {
        fs::write(&host, "the host's").unwrap();
        let update = container.runtime(["update", "--pids-limit", "99", container.id()]);
        let script = format!("name={}/.template.json.$$; {leave}", container.state_directory().display());
        update.after_shell(&script).env("HOST", host.to_str().unwrap()).output().ok();
        serde_json::from_str::<serde_json::Value>(&read(&template)).expect("a whole template");
        assert_eq!(read(&host), "the host's", "{leave}");
        assert!(fs::symlink_metadata(&template).unwrap().is_file());
        let names = fs::read_dir(container.state_directory()).unwrap().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with('.')).collect();
        assert!(left.is_empty(), "{leave}: {left:?}");
    }
}

#[test]
fn a_missing_record_does_not_stop_delete_by_force() {
    needs!(root);
    survives("no record", |container| fs::remove_file(record(container)).unwrap());
}

#[test]
fn a_record_that_is_no_file_is_neither_followed_nor_waited_for() {
    needs!(root);
    survives("a directory", |container| {
        fs::remove_file(record(container)).unwrap();
        fs::create_dir(record(container)).unwrap();
    });
    survives("a link", |container| {
        fs::remove_file(record(container)).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", record(container)).unwrap();
    });
    survives("a fifo", |container| {
        fs::remove_file(record(container)).unwrap();
        nix::unistd::mkfifo(&record(container), nix::sys::stat::Mode::S_IRWXU).unwrap();
    });
}

#[test]
fn a_state_directory_that_vanished_does_not_stop_delete_by_force() {
    needs!(root);
    let container = Bundle::busybox().start();
    let kept = container.home().join("kept");
    fs::rename(container.state_directory(), &kept).unwrap();
    container.delete_by_force().ok();
    assert_eq!(container.runtime(["list", "-q"]).output().ok().stdout, "");
    fs::rename(&kept, container.state_directory()).unwrap();
}

/// Puts another pid in place of init's in every number of the record.
fn replace_pid(container: &Container, old: i32, new: u32) {
    let text = read(record(container));
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let (old, mut out, mut rest) = (old.to_string(), String::new(), text.as_str());
    while let Some(at) = rest.find(&old) {
        let (before, after) = (&rest[..at], &rest[at + old.len()..]);
        let whole = !digit(before.chars().last()) && !digit(after.chars().next());
        out.push_str(before);
        out.push_str(if whole { new.to_string() } else { old.clone() }.as_str());
        rest = after;
    }
    fs::write(record(container), out + rest).unwrap();
}

#[test]
fn a_stranger_with_the_same_pid_is_left_alone() {
    needs!(root);
    let container = Bundle::busybox().start();
    let init = container.pid();
    let mut stranger = Command::new("sleep").arg("100").spawn().unwrap();
    replace_pid(&container, init, stranger.id());
    assert_eq!(container.status(), "stopped");
    container.kill("KILL").refused("container not running");
    container.delete_by_force().ok();
    let spared = stranger.try_wait().unwrap().is_none();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    assert!(spared, "a process that is not the container's was killed");
}

#[test]
fn a_record_from_before_a_reboot_is_of_a_stopped_container() {
    needs!(root);
    let container = Bundle::busybox().start();
    let boot = read("/proc/sys/kernel/random/boot_id");
    let text = read(record(&container));
    assert!(text.contains(boot.trim()), "the record names the boot");
    fs::write(record(&container), text.replace(boot.trim(), "00000000-0000-0000-0000-000000000000")).unwrap();
    assert_eq!(container.status(), "stopped");
    container.kill("KILL").refused("container not running");
    fs::write(record(&container), text).unwrap();
}

#[test]
fn start_after_the_death_of_init_fails_at_once() {
    needs!(root);
    let container = Bundle::busybox().create();
    let pid = nix::unistd::Pid::from_raw(container.pid());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    eventually("init to die", || !host::is_alive(pid.as_raw()));
    let began = std::time::Instant::now();
    assert_eq!(container.does("start", []).code, 1);
    assert!(began.elapsed() < std::time::Duration::from_secs(10));
    container.reaches("stopped");
}

#[test]
fn a_root_with_odd_characters_works() {
    needs!(root);
    let bundle = Bundle::busybox().args(["echo", "fine"]);
    let dir = bundle.write().dir().to_str().unwrap();
    for name in ["with space", "colon:comma,back\\slash", "ünïcode"] {
        let root = bundle.home().join(name);
        let output = bundle.runtime(["--root", root.to_str().unwrap(), "run", "--bundle", dir, bundle.id()]).output();
        assert_eq!(output.ok().stdout, "fine\n");
    }
}
