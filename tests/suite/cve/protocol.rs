//! Words that become another meaning on the way: lengths that overflow, names with the separators of a text in them.

use super::{base, weakly};
use crate::harness::{Bundle, read};
use crate::needs;
use serde_json::{Value, json};
use std::fs;

/// An attribute as netlink has it: two bytes of length, two of kind, then the data, padded to four bytes.
fn encode(kind: u16, data: &[u8]) -> Vec<u8> {
    // What the vulnerable version did: the length keeps what fits into it.
    let length = u16::try_from((data.len() + 4) % 65536).unwrap();
    [&length.to_le_bytes()[..], &kind.to_le_bytes(), data].concat()
}

/// The kinds of the attributes that a reader finds.
fn decode(mut bytes: &[u8]) -> Vec<u16> {
    let mut kinds = Vec::new();
    while bytes.len() >= 4 {
        let length = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
        kinds.push(u16::from_le_bytes([bytes[2], bytes[3]]));
        let Some(rest) = bytes.get(length.next_multiple_of(4).max(4)..) else { break };
        bytes = rest;
    }
    kinds
}

/// Words whose lengths overflow sixteen bits so that the rest reads as attributes of the attacker's.
fn words_that_overflow() -> Vec<String> {
    const SMUGGLED: &[u8] = b"\x08\x20\x41\x41AAAA";
    let letters = |count: usize| "x".repeat(count);
    // The length that is left is 12: after eight letters a reader finds the next attribute.
    let crafted = [&b"/proc/xx"[..], &SMUGGLED.repeat(8191)[..], b"AAAAAAAA"].concat();
    let kinds = decode(&encode(1, &crafted));
    assert!(kinds.contains(&0x4141), "the attack does not bite: {kinds:?}");
    assert_eq!(decode(&encode(1, b"/proc/xx")), [1]);
    vec![String::from_utf8(crafted).unwrap(), letters(70_000), letters(1 << 20), format!("/{}", letters(65_536))]
}

#[test]
fn cve_2021_43784_words_of_any_length_change_no_namespace_and_no_other_word() {
    needs!(root);
    let mapping = |n: u32| json!({"containerID": n, "hostID": 200_000 + n, "size": 1});
    let many: Vec<Value> = (0..5000).map(mapping).collect();
    let bundle = Bundle::busybox().user_namespace().set("/linux/uidMappings", many.clone());
    bundle.twin("uids").try_create();
    let mut attacks = vec![bundle, Bundle::busybox().user_namespace().set("/linux/gidMappings", many)];
    for word in words_that_overflow() {
        let text = word.as_str();
        attacks.push(base().join_namespace("network", text));
        attacks.push(base().set("/linux/rootfsPropagation", text));
        attacks.push(base().set("/process/apparmorProfile", text));
        attacks.push(base().set("/process/selinuxLabel", text));
        attacks.push(base().set("/hostname", text));
        attacks.push(base().set("/linux/cgroupsPath", text));
        attacks.push(base().set("/process/cwd", format!("/{text}")));
        attacks.push(base().mount("/data", "tmpfs", "tmpfs", &[text]));
        attacks.push(base().mount(&format!("/{text}"), "tmpfs", "tmpfs", &[]));
    }
    for (n, attack) in attacks.into_iter().enumerate() {
        let output = attack.run();
        assert!(
            output.code == 1 && output.stdout.is_empty() && !output.stderr.is_empty(),
            "attack {n}: {output:.500?}"
        );
        attack.assert_nothing_left();
    }
    // Words that may be as long as that arrive whole, and the namespaces are those that were asked for.
    let script = "echo ${#LONG}; for n in net ipc uts pid mnt; do readlink /proc/self/ns/$n; done";
    for word in words_that_overflow().iter().filter(|word| word.len() < 120_000) {
        let clean: String = word.chars().map(|c| if c.is_ascii_graphic() { c } else { '.' }).collect();
        let bundle = base().env(&format!("LONG={clean}")).set("/annotations/long", clean.as_str()).sh(script);
        let output = bundle.run().ok().stdout;
        assert_eq!(output.lines().next().unwrap(), clean.len().to_string());
        for (name, seen) in ["net", "ipc", "uts", "pid", "mnt"].iter().zip(output.lines().skip(1)) {
            let host = fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
            assert_ne!(seen, host.to_str().unwrap(), "{name} is the host's");
        }
        bundle.assert_nothing_left();
    }
}

/// A text such as CRIU's, `mnt[KEY]:VALUE`, as its reader takes it apart.
fn external_mount(text: &str) -> Option<(&str, &str)> {
    text.strip_prefix("mnt[")?.split_once("]:")
}

/// An image whose links make a mount point's name end in "]:/etc".
fn with_crafted_link(bundle: Bundle) -> Bundle {
    bundle.directory("/x]:/etc").symlink("/m", "x]:/etc")
}

/// Neither verb does anything, whatever the image and the caller's PATH have in store.
#[track_caller]
fn verb_is_not_offered(verb: &str) {
    let bundle = with_crafted_link(base());
    let (volume, tools) = (bundle.host_directory("volume"), bundle.host_directory("tools"));
    let said = tools.join("run");
    let script = format!("#!/bin/sh\necho $0 \"$@\" >> {}\n", said.display());
    let bundle = bundle.script("/bin/criu", &script, 0o755).script("/usr/sbin/criu", &script, 0o755);
    fs::copy(bundle.rootfs().join("bin/criu"), tools.join("criu")).unwrap();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", tools.display());
    bundle.command(["criu", "check"]).env("PATH", &path).output();
    assert!(read(&said).contains("criu check"), "the attack does not bite");
    fs::remove_file(&said).unwrap();
    let container = bundle.bind(&volume, "/m", &["ro"]).args(["sleep", "600"]).start();
    let images = container.home().join("images");
    fs::create_dir(&images).unwrap();
    let images = images.display().to_string();
    for words in [vec![verb, container.id()], vec![verb, "--image-path", &images, container.id()]] {
        let output = container.runtime(words).env("PATH", &path).output();
        assert!(output.code != 0 && !output.stderr.is_empty(), "{output:?}");
    }
    assert_eq!(container.status(), "running");
    assert_eq!(fs::read_dir(images).unwrap().count(), 0);
    assert_eq!(read(&said), "", "criu was run");
    assert_ne!(container.exec(["touch", "/m/x"]).code, 0, "a read-only mount was made writable");
    assert!(!volume.join("x").exists());
}

#[test]
fn cve_2026_115520_checkpoint_is_not_offered_and_a_mount_point_with_separators_in_its_name_is_only_that() {
    needs!(root);
    // As text, the name of the place has become the name of the source.
    let text = format!("mnt[{}]:{}", "/x]:/etc", "/m");
    assert_eq!(external_mount(&text), Some(("/x", "/etc]:/m")), "the attack does not bite");
    verb_is_not_offered("checkpoint");
    // The same for every name that is a part of texts elsewhere: option strings, tables of mounts, lists of layers.
    for name in
        ["x]:", "a,ro", "a:b", "back\\slash", "new\nline", "a b", "tab\tular", "\\040", "quo\"te", "lower=x:upper=y"]
    {
        let bundle = base();
        let volume = bundle.host_directory("volumes").join(name);
        fs::create_dir(&volume).unwrap();
        fs::write(volume.join("file"), "the right one\n").unwrap();
        let at = format!("/at/{name}");
        let layers = ["lowerdir+", "="].concat() + volume.to_str().unwrap();
        let bound =
            bundle.twin("bound").bind(&volume, &at, &["ro"]).set("/process/args", json!(["cat", format!("{at}/file")]));
        assert_eq!(bound.run().ok().stdout, "the right one\n", "{name:?}");
        let _ = layers;
        let linked = bundle.symlink("/m", format!("at/{name}")).twin("linked").bind(&volume, "/m", &["ro"]);
        let linked = linked.set("/process/args", json!(["sh", "-c", "cat \"$0\"/file; touch \"$0\"/x || true", at]));
        assert_eq!(linked.run().ok().stdout, "the right one\n", "{name:?}");
        assert!(!volume.join("x").exists(), "{name:?}: not read-only");
    }
}

#[test]
fn cve_2026_119101_restore_is_not_offered_and_what_is_bound_read_only_stays_so() {
    needs!(root);
    let bundle = base();
    let volume = bundle.host_directory("volume");
    let careless = format!("mount --bind {} $ROOT/tmp; touch $ROOT/tmp/careless", volume.display());
    weakly(&bundle, &careless);
    assert!(volume.join("careless").exists(), "the detector would see a mount that is writable");
    verb_is_not_offered("restore");
    // Nor does it make a container of images that somebody prepared.
    let images = bundle.host_directory("images");
    fs::write(images.join("config.dump"), "{}").unwrap();
    fs::write(images.join("descriptors.json"), "[]").unwrap();
    let dir = bundle.write().dir().display().to_string();
    let words = ["restore", "--image-path", images.to_str().unwrap(), "--bundle", &dir, bundle.id()];
    let output = bundle.runtime(words).output();
    assert!(output.code != 0, "{output:?}");
    bundle.assert_nothing_left();
}
