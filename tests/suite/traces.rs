//! What a trace of the system calls shows, of everybody between the clone and the program: nothing is named by a path that an
//! image or a volume could bend, nothing of the host is open at the end, procfs is written through a descriptor of its root.

use crate::harness::Bundle;
use crate::harness::trace::trace;
use crate::needs;
use serde_json::json;
use std::path::PathBuf;

/// Up to this call, and from then on.
fn at<'a>(trace: &'a [String], call: &str) -> Option<(&'a [String], &'a [String])> {
    trace.iter().position(|line| line.starts_with(call)).map(|place| trace.split_at(place))
}

/// The host's nodes that are bound where none may be made, or for masks.
const DEVICES: [&str; 6] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

/// Why this call names something by a path, if it does. What is in `trusted` are the host's own paths, from config.json.
fn bendable(line: &str, trusted: &[&str]) -> Option<&'static str> {
    let (call, rest) = line.split_once('(')?;
    if line.contains(") = -1 ENOSYS") {
        return None;
    }
    let words: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
    let first = words.first().copied().unwrap_or_default();
    match call {
        "open" | "creat" | "mkdir" | "mknod" | "symlink" | "unlink" | "rmdir" | "rename" | "link" | "chmod"
        | "chown" | "lchown" => Some("is no call on a descriptor"),
        // Propagation of the new namespace's own root, before anything of the image is mounted there; of the root's mount.
        "mount" if rest.starts_with("NULL, \"/\", NULL, MS_") || rest.starts_with("NULL, \".\", NULL, MS_") => None,
        "mount" | "umount2" if rest.starts_with("\".\"") => None,
        "mount" if rest.starts_with("NULL, ") && trusted.iter().any(|path| path.starts_with(first)) => None,
        "mount" | "umount2" | "umount" => Some("is no call on a descriptor"),
        "openat" | "openat2" | "open_tree" | "mkdirat" | "mknodat" | "unlinkat" | "fchmodat" | "fchmodat2"
        | "fchownat" | "renameat" | "renameat2" | "linkat" | "name_to_handle_at" => {
            if rest.starts_with("AT_FDCWD") || first.starts_with('/') {
                let known = matches!(first, "/" | ".") || DEVICES.contains(&first) || trusted.contains(&first);
                return (!known || !matches!(call, "openat" | "open_tree")).then_some("names a path of the host's");
            }
            let held = call == "openat2" && (rest.contains("RESOLVE_IN_ROOT") || rest.contains("RESOLVE_BENEATH"));
            (first.contains('/') && !held).then_some("walks more than one name unheld")
        }
        "symlinkat" | "move_mount" => {
            let name = words.last().copied().unwrap_or_default();
            name.contains('/').then_some("walks more than one name unheld")
        }
        _ => None,
    }
}

/// A bundle that has everything made in its image.
fn full(bundle: Bundle) -> (Bundle, PathBuf) {
    let volume = bundle.host_directory("volume");
    let bundle = bundle
        .bind(&volume, "/deep/in/the/image", &["rbind", "ro"])
        .mount("/cover", "tmpfs", "tmpfs", &["ro"])
        .push("/linux/devices", json!({"path": "/dev/deep/fuse", "type": "c", "major": 10, "minor": 229}))
        .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
        .set("/linux/maskedPaths", json!(["/proc/keys", "/proc/acpi", "/proc/timer_list"]))
        .set("/linux/readonlyPaths", json!(["/proc/sys", "/proc/bus"]))
        .set("/root/readonly", true)
        .args(["true"]);
    (bundle, volume)
}

/// Of the one among them that pivots: what it does until then, and after.
fn child<'a>(traces: &'a [Vec<String>], call: &str) -> (&'a [String], &'a [String]) {
    traces.iter().find_map(|trace| at(trace, call)).unwrap_or_else(|| panic!("nobody calls {call}"))
}

fn check_paths(lines: &[String], trusted: &[&str], what: &str) {
    assert!(lines.len() > 20, "{what}: {} calls only", lines.len());
    let found: Vec<_> = lines.iter().filter_map(|line| Some((bendable(line, trusted)?, line))).collect();
    assert!(found.is_empty(), "{what}: {found:#?}");
}

/// Every file of procfs that is written is opened beneath a descriptor of a procfs, and never by an absolute path.
fn check_procfs(lines: &[String], what: &str) {
    for line in lines {
        let writes = line.contains("O_WRONLY") || line.contains("O_RDWR");
        let absolute = line.starts_with("open") && line.contains("\"/proc");
        assert!(!(writes && absolute), "{what}: {line}");
    }
}

/// The last thing before the program is that everything from 3 on is closed, but for the link, which closes by itself.
fn check_descriptors(lines: &[String], what: &str) {
    let (before, _) = at(lines, "execve(").unwrap_or_else(|| panic!("{what}: no execve"));
    let last = before.iter().rposition(|line| line.starts_with("close_range(") && line.contains("4294967295, 0)"));
    let last = last.unwrap_or_else(|| panic!("{what}: nothing is closed before the program"));
    let first = before[..last].iter().rposition(|line| !line.starts_with("close_range(")).map_or(0, |place| place + 1);
    let number = |text: &str| text.trim().parse::<u64>().unwrap();
    let closed: Vec<(u64, u64)> = before[first..=last]
        .iter()
        .map(|line| {
            let mut words = line["close_range(".len()..].split(',');
            (number(words.next().unwrap()), number(words.next().unwrap()))
        })
        .collect();
    let open = 1 + closed.windows(2).map(|pair| pair[1].0 - pair[0].1 - 1).sum::<u64>();
    assert!(closed[0].0 == 3 && open <= 2, "{what}: {closed:?}");
    let opened = |line: &&String| {
        ["open", "dup", "socket", "accept", "memfd", "pidfd", "fsmount", "recvmsg"]
            .iter()
            .any(|call| line.starts_with(call))
            || line.contains("F_DUPFD")
    };
    // With a gate it is a message that lets the program go.
    let after: Vec<_> = before[last + 1..].iter().filter(opened).filter(|line| !line.starts_with("recvmsg")).collect();
    assert!(after.is_empty(), "{what}: {after:#?}");
}

#[test]
fn the_test_of_traces_finds_what_is_wrong() {
    let trusted = ["/b/rootfs"];
    for wrong in [
        r#"mkdir("/b/rootfs/x", 0755) = 0"#,
        r#"mkdirat(AT_FDCWD, "/b/rootfs/x", 0755) = 0"#,
        r#"mount("tmpfs", "/b/rootfs/x", "tmpfs", 0, NULL) = 0"#,
        r#"openat(4, "a/b", O_RDONLY|O_CLOEXEC) = 5"#,
        r#"openat(AT_FDCWD, "/b/rootfs/etc/passwd", O_RDONLY) = 5"#,
        r#"openat2(3, "a/b", {flags=O_PATH, resolve=0}, 24) = 5"#,
        r#"fchownat(AT_FDCWD, "/b/rootfs", 0, 0, 0) = 0"#,
        r#"symlinkat("/proc/self/fd", 4, "dev/fd") = 0"#,
    ] {
        assert!(bendable(wrong, &trusted).is_some(), "{wrong}");
    }
    let fine = r#"openat2(3, "a/b", {flags=O_PATH, resolve=RESOLVE_IN_ROOT}, 24) = 5"#;
    assert_eq!(bendable(fine, &trusted), None);
}

#[test]
fn between_clone_and_pivot_root_nothing_is_named_by_a_path() {
    needs!(root);
    needs!(program "strace");
    for verb in ["run", "create"] {
        for user_namespace in [false, true] {
            let (bundle, volume) = full(Bundle::busybox());
            let bundle = if user_namespace {
                bundle.unset("/linux/sysctl").unset("/linux/devices").user_namespace()
            } else {
                bundle
            };
            let what = format!("{verb}, user namespace {user_namespace}");
            let others = trace(&bundle, bundle.invocation(verb)).others;
            let (before, after) = child(&others, "pivot_root(");
            let rootfs = bundle.rootfs();
            let trusted = [rootfs.to_str().unwrap(), volume.to_str().unwrap(), "/sys", "/proc"];
            // The container's own cgroup is bound where the kernel has no new instance for it (v1).
            let own = |line: &&String| {
                !(line.starts_with("open_tree(AT_FDCWD, \"/sys/fs/cgroup/") && line.contains(bundle.id()))
            };
            let before: Vec<String> = before.iter().filter(own).cloned().collect();
            check_paths(&before, &trusted, &what);
            let whole: Vec<String> = before.iter().chain(after).cloned().collect();
            check_procfs(&whole, &what);
            if verb == "run" {
                check_descriptors(&whole, &what);
            }
            bundle.handle().delete_by_force().ok();
        }
    }
}

/// start is the same process at its gate. exec brings in one that nobody sees, and it hands everything to its heir at last.
#[test]
fn whoever_comes_in_by_exec_names_nothing_and_brings_nothing() {
    needs!(root);
    needs!(program "strace");
    let (bundle, _) = full(Bundle::busybox());
    let container = bundle.args(["sleep", "600"]).start();
    let scratch = Bundle::busybox();
    let others = trace(&scratch, container.execution([], ["true"])).others;
    assert_eq!(others.len(), 2, "the one that comes in, and its heir");
    let (outside, inside) = child(&others, "setns(");
    let heir = others.iter().find(|trace| at(trace, "execve(\"/bin").is_some()).expect("one that becomes the program");
    assert!(at(heir, "setns(").is_none() && at(heir, "open").is_none_or(|(before, _)| at(before, "execve(").is_some()));
    let made = outside.iter().chain(inside).chain(heir).find(|line| {
        let call = line.split('(').next().unwrap_or_default();
        call.starts_with("mkdir") || call.starts_with("mknod") || call.starts_with("symlink") || call.contains("mount")
    });
    assert_eq!(made, None);
    let (inside, _) = at(inside, "clone(").expect("an heir");
    let whole: Vec<String> = outside.iter().chain(inside).chain(heir).cloned().collect();
    check_procfs(&whole, "exec");
    check_descriptors(&whole, "exec");
    // What it is born with is the payload's: nothing is given up any more.
    let given_up = ["capset(", "setresuid(", "setresgid(", "setgroups(", "close", "chdir("];
    let late = heir.iter().find(|line| given_up.iter().any(|call| line.starts_with(call)));
    assert!(late.is_none_or(|line| at(heir, "execve(").is_some_and(|(before, _)| !before.contains(line))), "{late:?}");
}
