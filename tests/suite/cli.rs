//! The command line itself: version, features, spec, help, and options that are wrong.

use crate::harness::{Bundle, Invocation, binary, me};
use crate::needs;
use serde_json::Value;
use std::fs;

/// The binary alone, without `--root`.
fn bare(bundle: &Bundle, word: &str) -> Invocation {
    bundle.command([binary().to_str().expect("a plain path"), word])
}

#[test]
fn the_version_is_in_the_form_engines_parse() {
    let bundle = Bundle::busybox();
    for flag in ["--version", "-v"] {
        let text = bundle.runtime([flag]).output().ok().stdout;
        let (first, rest) = text.split_once('\n').unwrap();
        assert!(first.starts_with(&format!("{} version ", me())), "{text}");
        assert!(rest.lines().any(|line| line.starts_with("spec: 1.")), "{text}");
    }
}

#[test]
fn help_is_no_error() {
    let bundle = Bundle::busybox();
    for words in [&["--help"][..], &["-h"], &["help"], &["create", "--help"], &["exec", "-h"]] {
        let output = bundle.runtime(words.iter().copied()).output().ok();
        assert!(output.stdout.contains("--"), "{words:?}: {output:?}");
    }
}

#[test]
fn features_are_json_and_need_nothing() {
    let bundle = Bundle::busybox();
    let text = bare(&bundle, "features").output().ok().stdout;
    let features: Value = serde_json::from_str(&text).expect("features prints JSON");
    assert_eq!(features["ociVersionMin"], "1.0.0");
    let list =
        |pointer| features.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer}: {text}"));
    assert_eq!(list("/hooks").len(), 6);
    for namespace in ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"] {
        assert!(list("/linux/namespaces").contains(&namespace.into()), "{namespace}");
    }
    for option in ["bind", "rbind", "ro", "rro", "nosuid", "private", "rshared"] {
        assert!(list("/mountOptions").contains(&option.into()), "{option}");
    }
    assert!(list("/linux/capabilities").contains(&"CAP_CHECKPOINT_RESTORE".into()));
    for cgroup in ["v1", "v2"] {
        assert_eq!(features["linux"]["cgroup"][cgroup], true);
    }
    for part in ["seccomp", "apparmor", "selinux"] {
        assert_eq!(features["linux"][part]["enabled"], true, "{part}");
    }
    assert_eq!((list("/linux/memoryPolicy/modes").len(), list("/linux/memoryPolicy/flags").len()), (7, 3));
    assert!(list("/potentiallyUnsafeConfigAnnotations").contains(&"run.oci.hooks.stdout".into()));
}

#[test]
fn spec_writes_what_scripts_build_on() {
    let bundle = Bundle::busybox();
    let dir = bundle.host_directory("new");
    let output = bundle.runtime(["spec"]).cwd(&dir).output().ok();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("", ""));
    let spec: Value = serde_json::from_slice(&fs::read(dir.join("config.json")).unwrap()).unwrap();
    let expected = [
        ("/process/args/0", "sh".into()),
        ("/process/terminal", true.into()),
        ("/process/cwd", "/".into()),
        ("/process/env/1", "TERM=xterm".into()),
        ("/process/noNewPrivileges", true.into()),
        ("/process/capabilities/bounding", serde_json::json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"])),
        ("/process/rlimits/0/type", "RLIMIT_NOFILE".into()),
        ("/root/path", "rootfs".into()),
        ("/root/readonly", true.into()),
        ("/mounts/0/destination", "/proc".into()),
        ("/mounts/6/destination", "/sys/fs/cgroup".into()),
        ("/linux/resources/devices/0/allow", false.into()),
        ("/linux/maskedPaths/0", "/proc/acpi".into()),
        ("/linux/readonlyPaths/0", "/proc/bus".into()),
    ];
    for (pointer, value) in expected {
        assert_eq!(spec.pointer(pointer), Some(&value), "{pointer}");
    }
    assert_eq!(spec["hostname"], me());
}

#[test]
fn spec_never_overwrites() {
    let bundle = Bundle::busybox();
    bundle.write();
    bundle.runtime(["spec"]).cwd(bundle.dir()).output().refused("File config.json exists. Remove it first");
}

#[test]
fn the_default_spec_runs() {
    needs!(root);
    let bundle = Bundle::busybox();
    let dir = bundle.host_directory("new");
    bundle.runtime(["spec"]).cwd(&dir).output().ok();
    fs::rename(bundle.rootfs(), dir.join("rootfs")).unwrap();
    let text = fs::read_to_string(dir.join("config.json")).unwrap();
    fs::write(dir.join("config.json"), text.replace("\"terminal\": true", "\"terminal\": false")).unwrap();
    let output = bundle.runtime(["run", bundle.id()]).cwd(&dir).stdin("hostname; exit 3").output();
    assert_eq!((output.code, output.stdout.trim().to_owned()), (3, me()), "{output:?}");
}

#[test]
fn wrong_usage_exits_with_1_and_says_why() {
    let bundle = Bundle::busybox();
    let cases: [(&[&str], &str); 14] = [
        (&["create"], "container id is missing"),
        (&["state", "a", "b"], "state"),
        (&["create", "--bogus", "id"], "bogus"),
        (&["--log-format", "xml", "list"], "xml"),
        (&["--root", "/", "list"], "--root"),
        (&["create", "--bundle"], "flag needs an argument: --bundle"),
        (&["restore", "--lsm-mount-context"], "unknown command \"restore\""), // so Podman knows that it cannot
        (&["--log", "journald:x", "list"], "journald"),
        (&["create", "--pidfile", "/x", "id"], "(did you mean \"--pid-file\"?)"),
        (&["rm", "id"], "\"delete\" removes a container"),
        (&["stop", "id"], "\"kill ID\" asks a container to end"),
        (&["inspect", "id"], "\"state\" prints"),
        (&["strat", "id"], "(did you mean \"start\"?)"),
        (&["run", "busybox"], "The name of an image is for engines"),
    ];
    for (words, text) in cases {
        let output = bundle.runtime(words.iter().copied()).output();
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(output.code == 1 && said.contains(text), "{words:?}: {output:?}");
    }
}

#[test]
fn what_people_type_by_habit_works() {
    needs!(root);
    let container = Bundle::busybox().start();
    let id = container.id();
    assert_eq!(container.runtime(["exec", id, "--", "echo", "--", "there"]).output().ok().stdout, "-- there\n");
    assert_eq!(container.runtime(["exec", "-i", id, "cat"]).stdin("read").output().ok().stdout, "read");
    for words in [&["state", id][..], &["list", "-f", "json"]] {
        let text = container.runtime(words.iter().copied()).output().ok().stdout;
        assert!(text.ends_with("}\n") || text.ends_with("]\n"), "{text:?}");
    }
    container.runtime(["kill", id, "--", "KILL"]).output().ok();
    container.reaches("stopped");
}

#[test]
fn global_flags_of_engines_are_accepted() {
    needs!(root);
    let bundle = Bundle::busybox();
    let log = bundle.home().join("log.json");
    let container = bundle.start();
    let log = log.to_str().unwrap();
    let flags = ["--log", log, "--log-format", "json", "--rootless=false", "state", container.id()];
    container.runtime(flags).output().ok();
    container
        .runtime(["--debug", "--log", log, "--log-format=json", "--rootless", "auto", "state", container.id()])
        .output()
        .ok();
}

#[test]
fn an_empty_xdg_runtime_dir_is_no_directory() {
    needs!(root);
    bare(&Bundle::busybox(), "list").env("XDG_RUNTIME_DIR", "").output().ok();
}

#[test]
fn ids_that_are_no_names_are_refused_by_every_command() {
    needs!(root);
    let bundle = Bundle::busybox();
    let outside = bundle.host_directory("outside");
    for id in ["../outside", "a/b", ".", "..", "a b", "a\nb", "ä", "$x"] {
        for verb in ["state", "start", "kill", "pause", "delete"] {
            bundle.runtime([verb, id]).output().refused("");
        }
        let create = bundle.runtime(["create", "--bundle", bundle.write().dir().to_str().unwrap(), id]).output();
        create.refused("invalid container ID format");
    }
    bundle
        .runtime(["create", "--bundle", bundle.dir().to_str().unwrap(), ""])
        .output()
        .refused("container id cannot be empty");
    let _ = bundle.runtime(["delete", "--force", "../outside"]).output();
    assert!(outside.exists());
}

#[test]
fn an_id_may_have_every_allowed_character() {
    needs!(root);
    let bundle = Bundle::busybox().args(["true"]);
    let dir = bundle.write().dir().to_str().unwrap();
    let long = "x".repeat(200);
    for id in ["A1_b+c-d.e", "0", &long] {
        bundle.runtime(["run", "--bundle", dir, id]).output().ok();
    }
}
