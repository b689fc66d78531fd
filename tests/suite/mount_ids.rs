//! Id-mapped mounts: a volume shown with other owners than it has on the disk.

use crate::harness::{Bundle, MAPPED};
use crate::needs;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

/// A volume with files of user 0 and of user 7 (group 8).
fn volume(bundle: &Bundle) -> PathBuf {
    let volume = bundle.host_directory("volume");
    for (name, uid, gid) in [("root", 0, 0), ("seven", 7, 8)] {
        fs::write(volume.join(name), name).unwrap();
        chown(volume.join(name), Some(uid), Some(gid)).unwrap();
    }
    volume
}

fn map(host: u32, size: u32) -> Value {
    json!([{"containerID": 0, "hostID": host, "size": size}])
}

fn mapped(bundle: Bundle, source: &Path, options: &[&str], host: u32) -> Bundle {
    bundle.push(
        "/mounts",
        json!({"destination": "/volume", "type": "none", "source": source, "options": options,
               "uidMappings": map(host, 65536), "gidMappings": map(host, 65536)}),
    )
}

const LOOK: &str = "stat -c '%u %g' /volume/root /volume/seven";

#[test]
fn without_a_user_namespace_the_mapping_of_the_mount_is_seen() {
    needs!(root);
    needs!(kernel "5.12");
    let bundle = Bundle::busybox();
    let source = volume(&bundle);
    for (name, options) in [("idmap", &["bind", "idmap"][..]), ("ridmap", &["rbind", "ridmap"]), ("plain", &["rbind"])]
    {
        let bundle = mapped(bundle.twin(name), &source, options, 1000).sh(LOOK);
        assert_eq!(bundle.run().ok().stdout, "1000 1000\n1007 1008\n", "{name}");
    }
    // What is made through the mount has the owner of the disk.
    let bundle = mapped(bundle.twin("made"), &source, &["bind", "idmap"], 1000).user(1003, 1004);
    fs::set_permissions(&source, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    bundle.sh("touch /volume/made").run().ok();
    let made = fs::metadata(source.join("made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (3, 4));
}

#[test]
fn in_a_user_namespace_the_volume_belongs_to_the_container() {
    needs!(root);
    needs!(kernel "5.12");
    let bundle = Bundle::busybox().user_namespace();
    let source = volume(&bundle);
    let look = "stat -c '%u %g' /volume/root /volume/seven; touch /volume/made";
    let own = bundle.twin("own").bind(&source, "/volume", &["idmap"]).sh(look);
    assert_eq!(own.run().ok().stdout, "0 0\n7 8\n");
    assert_eq!(fs::metadata(source.join("made")).unwrap().uid(), 0);
    // The same mapping said once more, and another one.
    let same = mapped(bundle.twin("same"), &source, &["bind", "idmap"], MAPPED).sh(LOOK);
    assert_eq!(same.run().ok().stdout, "0 0\n7 8\n");
    let other = mapped(bundle.twin("other"), &source, &["bind", "ridmap", "ro"], MAPPED + 10).sh(LOOK);
    assert_eq!(other.run().ok().stdout, "10 10\n17 18\n");
}

#[test]
fn a_joined_user_namespace_gives_its_mapping() {
    needs!(root);
    needs!(kernel "5.12");
    let bundle = Bundle::busybox().user_namespace();
    let source = volume(&bundle);
    let first = bundle.start();
    let second = bundle
        .twin("second")
        .unset("/linux/uidMappings")
        .unset("/linux/gidMappings")
        .join_namespace("user", first.proc("ns/user"))
        .bind(&source, "/volume", &["idmap"])
        .sh(LOOK);
    assert_eq!(second.run().ok().stdout, "0 0\n7 8\n");
}

#[test]
fn only_ridmap_reaches_the_mounts_below() {
    needs!(root);
    needs!(kernel "5.12");
    let bundle = Bundle::busybox();
    let source = volume(&bundle);
    fs::create_dir(source.join("below")).unwrap();
    let script = format!("mount -t tmpfs none {s}/below && : > {s}/below/file && \"$@\"", s = source.display());
    for (word, seen) in [("idmap", "1000\n0\n"), ("ridmap", "1000\n1000\n")] {
        let bundle = mapped(bundle.twin(word), &source, &["rbind", word], 1000);
        let bundle = bundle.sh("stat -c %u /volume/root /volume/below/file");
        let output = bundle.invocation("run").under(["unshare", "-m", "sh", "-c", &script, "sh"]).output();
        assert_eq!(output.ok().stdout, seen, "{word}");
    }
}

#[test]
fn the_mapping_can_stand_in_the_option() {
    needs!(root);
    needs!(kernel "5.12");
    let bundle = Bundle::busybox();
    let source = volume(&bundle);
    let word = "idmap=uids=0-500-5#7-700-1;gids=0-600-10";
    let bundle = bundle.bind(&source, "/volume", &[word]).sh(LOOK);
    assert_eq!(bundle.run().ok().stdout, "500 600\n700 608\n");
}

#[test]
fn a_file_system_that_cannot_be_mapped_is_named() {
    needs!(root);
    needs!(kernel "5.12");
    let bundle = mapped(Bundle::busybox(), Path::new("/proc"), &["bind", "idmap"], 1000);
    bundle.try_create().refused("cannot map the ids of proc");
    bundle.assert_nothing_left();
}

#[test]
fn without_the_system_call_the_kernel_is_named() {
    needs!(root);
    needs!(program "strace");
    let bundle = Bundle::busybox();
    let source = volume(&bundle);
    let bundle = mapped(bundle, &source, &["bind", "idmap"], 1000).args(["true"]);
    let output = bundle.invocation("run").under(crate::harness::WITHOUT_MOUNT_SETATTR).output();
    output.refused("id-mapped mounts need Linux 5.12");
    bundle.assert_nothing_left();
}

#[test]
fn mappings_that_make_no_sense_are_refused_with_their_place() {
    needs!(root);
    let bundle = Bundle::busybox();
    let source = volume(&bundle);
    let number = bundle.config()["mounts"].as_array().unwrap().len();
    let place = |rest: &str| format!("config.json: mounts[{number}].{rest}");
    for (name, refused, why) in [
        ("none", bundle.twin("none").bind(&source, "/volume", &["idmap"]), "options[1]: there is no mapping"),
        (
            "half",
            mapped(bundle.twin("half"), &source, &["bind", "idmap"], 5).unset(&format!("/mounts/{number}/gidMappings")),
            "gidMappings: is missing",
        ),
        (
            "tmpfs",
            mapped(bundle.twin("tmpfs"), &source, &["idmap"], 5).set(&format!("/mounts/{number}/type"), "tmpfs"),
            "options[0]: only a bind mount",
        ),
        (
            "silent",
            mapped(bundle.twin("silent"), &source, &[], 5).set(&format!("/mounts/{number}/type"), "tmpfs"),
            "uidMappings: only a bind mount",
        ),
        (
            "empty",
            mapped(bundle.twin("empty"), &source, &["bind", "idmap"], 5)
                .set(&format!("/mounts/{number}/uidMappings"), map(5, 0)),
            "uidMappings[0].size: is 0",
        ),
    ] {
        let output = refused.try_create();
        assert!(output.stderr.contains(&place(why)), "{name}: {output:?}");
        assert_eq!(output.code, 1);
    }
    bundle.assert_nothing_left();
}
