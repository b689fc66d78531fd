//! Every word of `mounts[].options`, one row each, and what the kernel shows of it.

use crate::harness::Bundle;
use crate::needs;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

/// Options of the mount and of its file system, as mountinfo shows them, for the mount at exactly `at`.
fn shown(table: &str, at: &str) -> BTreeSet<String> {
    let line =
        table.lines().rfind(|line| line.split(' ').nth(4) == Some(at)).unwrap_or_else(|| panic!("no {at}: {table}"));
    let (mount, superblock) = line.split_once(" - ").unwrap();
    let mount = mount.split(' ').skip(5).flat_map(|word| word.split(','));
    // Options of the superblock with a mark, since both sides have rw.
    let superblock = superblock.split(' ').nth(2).unwrap().split(',').map(|word| format!("sb:{word}"));
    mount.map(str::to_owned).chain(superblock).collect()
}

fn table_of(bundle: Bundle) -> String {
    bundle.args(["cat", "/proc/self/mountinfo"]).run().ok().stdout
}

/// Words after which a mount, made with the words before them, shows (or, with "!", does not show) something.
const WORDS: &[(&str, &str)] = &[
    ("sync async", "!sb:sync"),
    ("async", "!sb:sync"),
    ("sync", "sb:sync"),
    ("dirsync", "sb:dirsync"),
    ("lazytime", "sb:lazytime"),
    ("lazytime nolazytime", "!sb:lazytime"),
    ("iversion", "rw"),
    ("noiversion", "rw"),
    ("silent", "rw"),
    ("loud", "rw"),
    ("mand", "rw"),
    ("nomand", "rw"),
    ("defaults", "relatime"),
    ("ro", "ro"),
    ("ro rw", "rw"),
    ("nosuid", "nosuid"),
    ("nosuid suid", "!nosuid"),
    ("nodev", "nodev"),
    ("nodev dev", "!nodev"),
    ("noexec", "noexec"),
    ("noexec exec", "!noexec"),
    ("noatime", "noatime"),
    ("noatime atime", "relatime"),
    ("nodiratime", "nodiratime"),
    ("nodiratime diratime", "!nodiratime"),
    ("relatime", "relatime"),
    ("strictatime", "!relatime"),
    ("strictatime relatime", "relatime"),
    ("strictatime nostrictatime", "relatime"),
    ("norelatime", "rw"),
    ("noatime strictatime", "!noatime"),
    ("nosymfollow", "nosymfollow"),
    ("nosymfollow symfollow", "!nosymfollow"),
    ("private", "rw"),
    ("unbindable", "unbindable"),
    ("nosuid,nodev", ""),
];

#[test]
fn each_word_is_seen_on_a_new_file_system() {
    needs!(root);
    let bundle = Bundle::busybox();
    let rows: Vec<_> = WORDS.iter().filter(|(_, expected)| !expected.is_empty()).collect();
    let mounts = rows.iter().enumerate().fold(bundle, |bundle, (n, (words, _))| {
        bundle.mount(&format!("/m{n}"), "tmpfs", "tmpfs", &words.split(' ').collect::<Vec<_>>())
    });
    let table = table_of(mounts);
    for (n, (words, expected)) in rows.iter().enumerate() {
        let shown = shown(&table, &format!("/m{n}"));
        let good = expected.strip_prefix('!').map_or_else(|| shown.contains(*expected), |word| !shown.contains(word));
        assert!(good, "{words}: {shown:?}");
    }
}

/// What a bind of a host mount with these flags shows after a word; the recursive word does the same below.
const ON_BINDS: &[(&str, &str, &str)] = &[
    ("", "ro", "ro"),
    ("ro", "rw", "!ro"),
    ("", "nosuid", "nosuid"),
    ("nosuid", "suid", "!nosuid"),
    ("", "nodev", "nodev"),
    ("nodev", "dev", "!nodev"),
    ("", "noexec", "noexec"),
    ("noexec", "exec", "!noexec"),
    ("", "noatime", "noatime"),
    ("noatime", "atime", "!noatime"),
    ("", "nodiratime", "nodiratime"),
    ("nodiratime", "diratime", "!nodiratime"),
    ("noatime", "relatime", "relatime"),
    ("noatime", "norelatime", "noatime"),
    ("", "strictatime", "!relatime"),
    ("strictatime", "nostrictatime", "relatime"),
    ("", "nosymfollow", "nosymfollow"),
    ("nosymfollow", "symfollow", "!nosymfollow"),
];

#[test]
fn each_word_changes_a_bind_and_its_recursive_twin_what_is_below() {
    needs!(root);
    let bundle = Bundle::busybox();
    let mut script = String::new();
    let mut filled = bundle;
    for (n, (before, word, _)) in ON_BINDS.iter().enumerate() {
        let source = filled.host_directory(&format!("v{n}"));
        let before = if before.is_empty() { "rw" } else { before };
        script += &format!(
            "mount -t tmpfs none {s} && mkdir {s}/below && mount -t tmpfs none {s}/below && \
             mount -o remount,bind,{before} {s}/below && mount -o remount,bind,{before} {s} && ",
            s = source.display()
        );
        filled = filled.mount(&format!("/one{n}"), "none", &source.to_string_lossy(), &["rbind", word]).mount(
            &format!("/all{n}"),
            "none",
            &source.to_string_lossy(),
            &["rbind", &format!("r{word}")],
        );
    }
    let output = filled
        .args(["cat", "/proc/self/mountinfo"])
        .invocation("run")
        .under(["unshare", "-m", "sh", "-c", &format!("{script} \"$@\""), "sh"])
        .output();
    let table = output.ok().stdout;
    for (n, (before, word, expected)) in ON_BINDS.iter().enumerate() {
        let holds = |at: &str| {
            let shown = shown(&table, at);
            expected.strip_prefix('!').map_or_else(|| shown.contains(*expected), |word| !shown.contains(word))
        };
        let [one, below_one, all, below_all] =
            ["one", "one", "all", "all"].map(|name| format!("/{name}{n}")).map(|at| at);
        let seen =
            [holds(&one), holds(&format!("{below_one}/below")), holds(&all), holds(&format!("{below_all}/below"))];
        // What changes nothing (norelatime) holds everywhere.
        let changes = *word != "norelatime";
        assert_eq!(seen, [true, !changes, true, true], "{before} -> {word}: {table}");
    }
}

#[test]
fn features_list_every_word_and_each_is_accepted() {
    needs!(root);
    let bundle = Bundle::busybox();
    let features: serde_json::Value = serde_json::from_str(&bundle.runtime(["features"]).output().ok().stdout).unwrap();
    assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
    let words: Vec<&str> =
        features["mountOptions"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
    // config.md, "Linux mount options".
    let spec = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev nodiratime \
                noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime rbind rdev \
                rdiratime relatime remount rexec rnoatime rnodiratime rnoexec rnorelatime rnostrictatime rnosuid \
                rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid rsymfollow runbindable rw \
                shared silent slave strictatime suid symfollow sync tmpcopyup unbindable idmap ridmap";
    let missing: Vec<_> = spec.split_whitespace().filter(|word| !words.contains(word)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let source = bundle.host_directory("source");
    let map = serde_json::json!([{"containerID": 0, "hostID": 0, "size": 10}]);
    let binds = words.iter().filter(|word| !matches!(**word, "remount" | "tmpcopyup"));
    let bundle = binds.enumerate().fold(bundle, |bundle, (n, word)| {
        let mapping = if word.ends_with("idmap") { map.clone() } else { serde_json::json!([]) };
        bundle.push(
            "/mounts",
            serde_json::json!({"destination": format!("/b{n}"), "type": "none", "source": source,
                               "options": ["bind", word], "uidMappings": mapping, "gidMappings": mapping}),
        )
    });
    bundle.args(["true"]).run().ok();
}

#[test]
fn a_remount_changes_what_is_there() {
    needs!(root);
    let bundle = Bundle::busybox().mount("/tmp", "tmpfs", "tmpfs", &["nosuid"]).mount(
        "/tmp",
        "none",
        "tmpfs",
        &["remount", "ro", "nodev"],
    );
    let shown = shown(&table_of(bundle), "/tmp");
    assert!(["ro", "nosuid", "nodev"].iter().all(|flag| shown.contains(*flag)), "{shown:?}");
}

#[test]
fn a_relative_destination_counts_from_the_root_and_is_warned_about() {
    needs!(root);
    let bundle = Bundle::busybox();
    let number = bundle.config()["mounts"].as_array().unwrap().len();
    let output =
        bundle.mount("some/place", "tmpfs", "tmpfs", &[]).sh("grep -c ' /some/place ' /proc/self/mountinfo").run().ok();
    assert_eq!(output.stdout, "1\n");
    let warning = format!("config.json: mounts[{number}].destination: \"some/place\" is relative");
    assert!(output.stderr.replace("\\\"", "\"").contains(&warning), "{output:?}");
}

#[test]
fn a_link_as_a_source_is_followed_bound_or_copied() {
    needs!(root);
    let bundle = Bundle::busybox().file("/etc/here", "in the image\n").file("/etc/there", "covered\n");
    let host = bundle.host_directory("host");
    fs::write(host.join("file"), "of the host\n").unwrap();
    symlink("file", host.join("to-file")).unwrap();
    symlink("/etc/here", host.join("to-here")).unwrap();
    for (name, source, word, expected) in
        [("follow", "to-file", "rw", "of the host\n"), ("bound", "to-here", "src-nofollow", "in the image\n")]
    {
        let bundle = bundle.twin(name).bind(host.join(source), "/etc/there", &[word]);
        assert_eq!(bundle.args(["cat", "/etc/there"]).run().ok().stdout, expected, "{name}");
    }
    let copied = bundle.twin("copied").bind(host.join("to-here"), "/new/link", &["copy-symlink"]);
    let copied = copied.bind(host.join("file"), "/new/file", &["copy-symlink"]);
    let copied = copied.sh("readlink /new/link; cat /new/link /new/file; grep -c ' /new/' /proc/self/mountinfo");
    let expected = "/etc/here\nin the image\nof the host\n1\n";
    assert_eq!(copied.run().ok().stdout, expected);
    assert_eq!(copied.run().ok().stdout, expected, "the link is there already");
    let other = bundle.twin("other").bind(host.join("to-here"), "/etc/there", &["copy-symlink"]);
    other.try_create().refused("something else");
    let both = bundle.twin("both").bind(host.join("to-here"), "/x", &["copy-symlink", "dest-nofollow"]);
    both.try_create().refused("does not go together");
    let no_bind = bundle.twin("no-bind").mount("/x", "tmpfs", "tmpfs", &["src-nofollow"]);
    no_bind.try_create().refused("is for a bind mount");
}

#[test]
fn a_link_as_a_destination_is_followed_or_covered() {
    needs!(root);
    let bundle = Bundle::busybox().file("/etc/goal", "goal\n").symlink("/etc/link", "goal");
    let file = bundle.host_file("file", "of the host\n");
    for (name, word, expected) in
        [("follow", "rw", "of the host\nof the host\n"), ("cover", "dest-nofollow", "of the host\ngoal\n")]
    {
        let bundle = bundle.twin(name).bind(&file, "/etc/link", &[word]).args(["cat", "/etc/link", "/etc/goal"]);
        assert_eq!(bundle.run().ok().stdout, expected, "{name}");
    }
}

#[test]
fn a_word_that_means_nothing_to_a_cgroup_mount_is_warned_about() {
    needs!(root);
    let bundle = Bundle::busybox().mount("/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "sideways"]).args(["true"]);
    let output = bundle.run().ok();
    assert!(output.stderr.contains("options[2]: ") && output.stderr.contains("sideways"), "{output:?}");
}

#[test]
fn options_of_a_file_system_on_a_bind_are_a_warning() {
    needs!(root);
    let bundle = Bundle::busybox();
    let index = bundle.config()["mounts"].as_array().unwrap().len();
    let bundle = bundle.mount("/tmp", "bind", "/tmp", &["bind", "ro", "mode=755", "size=1k"]);
    let output = bundle.args(["echo", "fine"]).run().ok();
    assert_eq!(output.stdout, "fine\n");
    for (option, word) in [(2, "mode=755"), (3, "size=1k")] {
        let place = format!("config.json: mounts[{index}].options[{option}]: ");
        let line = output.stderr.lines().find(|line| line.contains(&place));
        assert!(line.is_some_and(|line| line.contains(word)), "{}", output.stderr);
    }
}
