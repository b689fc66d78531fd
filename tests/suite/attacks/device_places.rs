//! Links of the image where linux.devices are made: no node may come into a volume that config.json does not name there.

use crate::harness::Bundle;
use crate::needs;
use serde_json::json;
use std::path::Path;

fn null_at(bundle: Bundle, path: &str) -> Bundle {
    bundle.push("/linux/devices", json!({"path": path, "type": "c", "major": 1, "minor": 3}))
}

/// Everything in a directory, with what is in it.
fn content(dir: &Path) -> Vec<String> {
    let mut found: Vec<_> = std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()).collect();
    found.extend(
        found
            .clone()
            .iter()
            .filter(|path| path.is_dir())
            .flat_map(|path| std::fs::read_dir(path).unwrap().flatten().map(|entry| entry.path()).collect::<Vec<_>>()),
    );
    found.iter().map(|path| path.display().to_string()).collect()
}

#[test]
fn a_device_outside_dev_is_not_made_in_a_volume_that_a_link_leads_to() {
    needs!(root);
    for (link, target, path) in [
        ("/data", "/volume", "/data/node"),
        ("/data", "/volume/deep", "/data/more/node"),
        ("/data", "volume/missing", "/data/node"),
        ("/data/inner", "../volume", "/data/inner/node"),
    ] {
        let bundle = Bundle::busybox();
        let volume = bundle.host_directory("volume");
        std::fs::create_dir(volume.join("deep")).unwrap();
        let before = content(&volume);
        let bundle = null_at(bundle.bind(&volume, "/volume", &[]).symlink(link, target).args(["true"]), path);
        let output = bundle.run();
        assert_eq!(content(&volume), before, "{link} -> {target}: {output:?}");
        assert!(output.code == 1, "{output:?}");
        assert!(output.stderr.contains("a link of the image leads to /volume, where another"), "{output:?}");
        bundle.assert_nothing_left();
    }
}

#[test]
fn a_link_within_the_image_leads_a_device_to_its_place() {
    needs!(root);
    let bundle = null_at(Bundle::busybox().directory("/usr/lib").symlink("/lib", "usr/lib"), "/lib/made/node");
    let bundle = bundle.sh("stat -c '%F %t:%T' /usr/lib/made/node");
    assert_eq!(bundle.run().ok().stdout, "character special file 1:3\n");
}

#[test]
fn a_device_is_made_in_the_volume_that_the_configuration_names() {
    needs!(root);
    let bundle = Bundle::busybox();
    let volume = bundle.host_directory("volume");
    let bundle = null_at(bundle.bind(&volume, "/volume", &[]), "/volume/node").sh("stat -c '%t:%T' /volume/node");
    assert_eq!(bundle.run().ok().stdout, "1:3\n");
}

#[test]
fn a_volume_that_a_link_leads_to_dev_gets_no_devices_and_no_links() {
    needs!(root);
    for (link, destination, path) in [
        ("/dev", "/volume", "/dev/node"),
        ("/dev", "/volume", "/usual"),
        ("/dev/deep", "/volume", "/dev/deep/node"),
        ("/data", "/volume", "/data/below/node"),
    ] {
        let bundle = Bundle::busybox().without_dev();
        let volume = bundle.host_directory("volume");
        let bundle = bundle.directory(link).symlink(destination, link).bind(&volume, destination, &[]);
        let bundle = null_at(bundle.args(["true"]), path);
        let output = bundle.run();
        assert_eq!(content(&volume), [""; 0], "{link}, {path}: {output:?}");
        assert!(output.stderr.contains("a link of the image leads a bind mount"), "{output:?}");
        bundle.assert_nothing_left();
    }
}
