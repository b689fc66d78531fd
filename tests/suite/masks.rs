//! Masked and read-only paths.

use crate::harness::Bundle;
use crate::needs;
use serde_json::json;
use std::fs;

#[test]
fn masked_files_read_empty_and_masked_directories_list_empty() {
    needs!(root);
    let bundle = Bundle::busybox()
        .file("/etc/secret", "secret")
        .file("/var/secrets/file", "secret")
        .set("/linux/maskedPaths", json!(["/etc/secret", "/var/secrets", "/no/such/path", "/proc/keys"]))
        .sh("wc -c < /etc/secret; ls -A /var/secrets | wc -l; touch /var/secrets/x; echo x > /etc/secret; wc -c < /proc/keys; umount /etc/secret");
    let output = bundle.run();
    assert_eq!(output.stdout, "0\n0\n0\n", "{output:?}");
    assert!(output.code != 0 && output.stderr.contains("Read-only"), "{output:?}");
    assert_eq!(fs::read_to_string(bundle.rootfs().join("etc/secret")).unwrap(), "secret");
}

#[test]
fn every_default_mask_is_a_mount_exactly_there() {
    needs!(root);
    let bundle = Bundle::busybox();
    let paths: Vec<_> = bundle.config()["linux"]["maskedPaths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap().to_owned())
        .collect();
    assert!(paths.len() >= 10);
    let container = bundle.start();
    let table = container.exec(["cat", "/proc/self/mountinfo"]).ok().stdout;
    for path in paths {
        // What the kernel does not have needs no mask.
        if container.exec(["test", "-e", &path]).code == 0 {
            assert!(
                table.lines().any(|line| line.split(' ').nth(4) == Some(path.as_str())),
                "{path} is not masked: {table}"
            );
            let read =
                container.exec(["sh", "-c", &format!("if test -d {path}; then ls -A {path}; else cat {path}; fi")]);
            assert_eq!(read.stdout, "", "{path}");
        }
    }
}

#[test]
fn read_only_paths_cannot_be_written() {
    needs!(root);
    let bundle = Bundle::busybox()
        .directory("/var/data/inner")
        .file("/etc/config", "text")
        .set("/linux/readonlyPaths", json!(["/var/data", "/etc/config", "/no/such/path", "/proc/sys"]))
        .sh("touch /var/data/x; touch /var/data/inner/x; echo > /etc/config; echo 1 > /proc/sys/kernel/msgmax; touch /var/fine && echo fine");
    let output = bundle.run().ok();
    assert_eq!(output.stderr.to_lowercase().matches("read-only").count(), 4, "{output:?}");
    assert_eq!(output.stdout, "fine\n");
}

#[test]
fn a_read_only_path_keeps_the_flags_of_its_mount() {
    needs!(root);
    let output = Bundle::busybox().args(["grep", " /proc/sys ", "/proc/self/mountinfo"]).run().ok().stdout;
    let flags = output.split(' ').nth(5).unwrap();
    assert!(flags.split(',').any(|flag| flag == "ro"), "{output}");
}
