//! What was asked for and cannot be had is an error: nothing is left out in silence.

use super::{base, weakly};
use crate::harness::{Bundle, Output, binary};
use crate::needs;
use serde_json::json;

/// `run` in a mount namespace that stands for the host's, with everything shared. `CHANGED` follows if its mounts, with their
/// propagation, are not as before.
fn on_a_shared_host(bundle: &Bundle) -> Output {
    bundle.write();
    let script = r#"mount --make-rshared /; before=$(cat /proc/self/mountinfo)
        "$R" --root "$S" run --bundle "$B" "$ID"; code=$?
        [ "$before" = "$(cat /proc/self/mountinfo)" ] || echo CHANGED; exit $code"#;
    let unshare = ["unshare", "--mount", "sh", "-c", script];
    let text = |path: &std::path::Path| path.display().to_string();
    let invocation = bundle.command(unshare).env("R", &text(&binary())).env("S", &text(&bundle.state_root()));
    invocation.env("B", &text(bundle.dir())).env("ID", bundle.id()).output()
}

#[test]
fn no_cve_without_a_mount_namespace_protections_hold_or_the_container_is_refused() {
    needs!(root);
    let write = "for f in /file /fixed/file /tmpro/file; do echo x > $f && echo wrote $f; done 2>/dev/null; \
                 cat /secret; cat /proc/keys; echo end";
    let bundle = base().without_namespace("mount").file("/fixed/old", "").file("/secret", "the secret\n");
    let bundle = bundle.directory("/tmpro").sh(write);
    let careless = weakly(&bundle, &format!("chroot $ROOT /bin/sh -c '{write}'"));
    let expected = "wrote /file\nwrote /fixed/file\nwrote /tmpro/file\nthe secret\nend\n";
    assert_eq!(careless.stdout, expected, "the attack does not bite");
    for name in ["file", "fixed/file", "tmpro/file"] {
        std::fs::remove_file(bundle.rootfs().join(name)).unwrap();
    }

    let protections = [
        ("root", bundle.twin("root").set("/root/readonly", true), "wrote"),
        ("tmpfs", bundle.twin("tmpfs").mount("/tmpro", "tmpfs", "tmpfs", &["ro"]), "wrote /tmpro"),
        ("masked", bundle.twin("masked").set("/linux/maskedPaths", json!(["/secret", "/proc/keys"])), "the secret"),
        ("read-only", bundle.twin("fixed").set("/linux/readonlyPaths", json!(["/fixed"])), "wrote /fixed"),
    ];
    for (name, bundle, failure) in protections {
        let output = on_a_shared_host(&bundle);
        let refused = output.code != 0 && output.stdout.is_empty();
        assert!(refused || output.stdout.ends_with("end\n"), "{name}: {output:?}");
        assert!(!output.stdout.contains(failure) && !output.stdout.contains("CHANGED"), "{name}: {output:?}");
        for name in ["file", "fixed/file", "tmpro/file"] {
            let _ = std::fs::remove_file(bundle_root(&bundle).join(name));
        }
        bundle.assert_nothing_left();
    }
}

/// The root filesystem of a twin is the first bundle's.
fn bundle_root(bundle: &Bundle) -> std::path::PathBuf {
    bundle.config()["root"]["path"].as_str().expect("a path").into()
}
