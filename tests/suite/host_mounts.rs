//! Containers without a mount namespace. Their mounts are made in that of the caller, which is one of the test's own here, and
//! are gone from it after the container.

use crate::harness::{Bundle, Output, binary, terminal};
use crate::needs;
use serde_json::json;

fn bundle() -> Bundle {
    Bundle::busybox().without_namespace("mount").file("/marker", "in the image\n")
}

/// Runs a script in a mount namespace of its own that stands for a host. There `$R` is the runtime, `create` makes the
/// container `$ID`, and `as_before` fails unless the table of mounts is as it was at first.
fn on_a_host(bundle: &Bundle, script: &str) -> Output {
    let script = format!(
        r#"create() {{ $R create --bundle "$B" "$ID"; }}
        as_before() {{ [ "$(cat /proc/self/mountinfo)" = "$before" ] || {{ diff -u "$T" /proc/self/mountinfo; exit 99; }}; }}
        settle() {{ before=$(cat /proc/self/mountinfo); cat /proc/self/mountinfo > "$T"; }}
        settle
        {script}"#
    );
    let (root, dir) = (bundle.state_root(), bundle.dir().to_string_lossy().into_owned());
    bundle.write();
    bundle
        .command(["unshare", "-m", "sh", "-ec", &script])
        .env("R", &format!("{} --root {}", binary().display(), root.display()))
        .env("B", &dir)
        .env("T", &format!("{dir}/table"))
        .env("ID", bundle.id())
        .output()
}

#[test]
fn the_mount_namespace_is_the_callers_and_the_root_the_containers() {
    needs!(root);
    let bundle = bundle().sh("readlink /proc/self/ns/mnt; cat /marker; pwd; echo end; sleep 600");
    let script = "readlink /proc/self/ns/mnt; create; $R start $ID; until grep -q end $OUT; do :; done; \
                  $R delete --force $ID; as_before";
    let lines = on_a_host(&bundle, &format!("OUT=/proc/$$/fd/1; {script}")).ok().stdout;
    let lines: Vec<_> = lines.lines().collect();
    assert_eq!(lines[1..], [lines[0], "in the image", "/", "end"]);
    bundle.assert_nothing_left();
}

#[test]
fn create_warns_of_it() {
    needs!(root);
    let output = on_a_host(&bundle(), "create; $R delete --force $ID; as_before").ok();
    let warning =
        "config.json: linux.namespaces: without a mount namespace the container's mounts are made on the host";
    assert!(output.stderr.contains(warning), "{}", output.stderr);
}

#[test]
fn exec_sees_the_containers_root_and_nothing_of_the_way_there() {
    needs!(root);
    for pid in ["own", "shared"] {
        let bundle = if pid == "own" { bundle() } else { bundle().without_namespace("pid") };
        let script = "create; $R start $ID; readlink /proc/self/ns/mnt; \
                      $R exec $ID sh -c 'readlink /proc/self/ns/mnt; cat /marker; pwd; ls /proc/self/fd | wc -l'; \
                      $R delete --force $ID; as_before";
        let lines = on_a_host(&bundle, script).ok().stdout;
        let lines: Vec<_> = lines.lines().collect();
        assert_eq!(lines[1..], [lines[0], "in the image", "/", "4"], "{pid}: three streams, and the listing's own");
    }
}

#[test]
fn run_ends_with_the_mounts_as_they_were() {
    needs!(root);
    let bundle = bundle().args(["cat", "/marker"]);
    let output =
        on_a_host(&bundle, "$R run --bundle $B $ID; as_before; $R run --no-pivot --bundle $B $ID; as_before").ok();
    assert_eq!(output.stdout, "in the image\nin the image\n");
    bundle.assert_nothing_left();
}

#[test]
fn masks_and_read_only_paths_hold_and_the_host_keeps_its_own() {
    needs!(root);
    let bundle = bundle()
        .file("/secret", "password\n")
        .file("/hidden/file", "")
        .file("/fixed/file", "")
        .set("/root/readonly", true)
        .set("/linux/maskedPaths", json!(["/secret", "/hidden", "/proc/version"]))
        .set("/linux/readonlyPaths", json!(["/fixed", "/proc/sys"]));
    let script = "create; $R start $ID; \
         $R exec $ID sh -c 'cat /secret; ls /hidden; wc -c < /proc/version; echo x > /fixed/file; echo x > /file; \
             echo x > /proc/sys/kernel/core_pattern; true'; \
         $R delete --force $ID; as_before; cat $B/rootfs/secret; ls $B/rootfs/hidden; echo x > $B/rootfs/file";
    let output = on_a_host(&bundle, script).ok();
    assert_eq!(output.stdout, "0\npassword\nfile\n");
    assert_eq!(output.stderr.matches("Read-only file system").count(), 3, "{}", output.stderr);
}

#[test]
fn a_terminal_is_on_the_containers_console() {
    needs!(root);
    let bundle = bundle().terminal(true).sh("test -c /dev/console && echo as$(tty)_it_should");
    let (mut ours, theirs, _) = terminal::pair();
    let script = "before=$(cat /proc/self/mountinfo); \"$@\" && [ \"$before\" = \"$(cat /proc/self/mountinfo)\" ]";
    let run = bundle.invocation("run").under(["unshare", "-m", "sh", "-c", script, "sh"]).terminal(theirs);
    assert_eq!(run.output().code, 0);
    ours.has_shown("as/dev/pts/0_it_should");
}

/// With systemd "/" is shared: what is attached appears in other mount namespaces too.
#[test]
fn on_a_shared_host_nothing_spreads_and_nothing_of_the_host_is_unmounted() {
    needs!(root);
    let bundle = bundle();
    let volume = bundle.host_directory("volume");
    for name in ["inner", "sub"] {
        std::fs::create_dir(volume.join(name)).unwrap();
    }
    let below = bundle.host_directory("below");
    // What a hook binds there is the host's peer: its submounts would go along with ours.
    let hook = format!("mount --rbind {} {}/hooked", volume.display(), bundle.rootfs().display());
    let bundle = bundle
        .directory("/below")
        .directory("/hooked")
        .hook("createContainer", &hook)
        .bind(&volume, "/data", &["rbind"])
        .mount("/data/sub", "tmpfs", "tmpfs", &[])
        .bind(&volume, "/shared", &["rbind", "rshared"])
        .bind("/dev", "/hostdev", &["rbind"])
        .mount("/hostdev/shm", "tmpfs", "tmpfs", &[]);
    let script = format!(
        "mount --make-rshared /; mount -t tmpfs none {volume}/inner; mount --bind {below} $B/rootfs/below; settle
         unshare -m --propagation unchanged sleep 60 & other=$!
         while [ \"$(readlink /proc/$other/ns/mnt)\" = \"$(readlink /proc/self/ns/mnt)\" ]; do :; done
         count() {{ wc -l < /proc/$other/mountinfo; }}
         were=$(count); create; echo $(($(count) - were)) more there
         $R start $ID; $R exec $ID grep -c ' /below ' /proc/self/mountinfo
         grep -c {volume}/sub /proc/self/mountinfo || true
         $R delete $ID --force; as_before; echo $(($(count) - were)) more there; kill $other",
        volume = volume.display(),
        below = below.display(),
    );
    let output = on_a_host(&bundle, &script).ok();
    assert_eq!(output.stdout, "1 more there\n1\n0\n0 more there\n", "{}", output.stderr);
}

#[test]
fn what_config_json_mounts_over_the_root_is_taken_down_too() {
    needs!(root);
    let bundle = bundle();
    let mut mounts = bundle.config()["mounts"].clone();
    let over = json!({"destination": "/", "source": bundle.rootfs(), "options": ["rbind", "nosuid"]});
    mounts.as_array_mut().unwrap().insert(0, over);
    let bundle = bundle.set("/mounts", mounts);
    let script = "create; $R start $ID; $R exec $ID cat /marker; $R delete --force $ID; as_before";
    assert_eq!(on_a_host(&bundle, script).ok().stdout, "in the image\n");
}

#[test]
fn a_create_that_fails_leaves_no_mount() {
    needs!(root);
    let whole = bundle();
    let hooked = whole.twin("hook").hook("createContainer", "exit 3");
    let unmountable = whole.twin("mount").mount("/mnt", "tmpfs", "tmpfs", &["bogus=1"]);
    for bundle in [whole.twin("program").args(["/no/such/program"]), hooked, unmountable] {
        on_a_host(&bundle, "! create; as_before").ok();
        bundle.assert_nothing_left();
    }
}

#[test]
fn the_mounts_of_a_killed_create_are_taken_down_by_delete() {
    needs!(root);
    let bundle = bundle().hook("createRuntime", "exec sleep 987");
    let script = "create & creator=$!
         until grep -q \"$B/rootfs\" /proc/self/mountinfo && [ -e $S/$ID/intent.json ]; do :; done
         kill -9 $(cat /proc/$creator/task/$creator/children) $creator 2>/dev/null || true
         $R delete --force $ID; as_before; $R delete --force $ID; as_before";
    let script = format!("S={}\n{script}", bundle.state_root().display());
    on_a_host(&bundle, &script).ok();
}

#[test]
fn mounts_that_are_gone_already_are_no_error_and_those_of_others_are_left_alone() {
    needs!(root);
    let bundle = bundle();
    let script = "create; $R kill $ID KILL; umount -l $B/rootfs; umount -l $B/rootfs; as_before
         mount -t tmpfs none $B/rootfs; settle; $R delete --force $ID; as_before";
    on_a_host(&bundle, script).ok();
}

#[test]
fn a_second_container_on_the_same_root_filesystem_is_refused() {
    needs!(root);
    let first = bundle();
    let second = first.twin("second");
    second.write();
    let script = format!(
        "create; $R create --bundle {} {} || true; $R delete --force $ID; as_before",
        second.dir().display(),
        second.id()
    );
    let output = on_a_host(&first, &script).ok();
    let told = format!("config.json: root.path: container {:?} has its mounts there", first.id());
    assert!(output.stderr.contains(&told), "{}", output.stderr);
    second.assert_nothing_left();
}

#[test]
fn mounts_that_cannot_be_reached_keep_the_record() {
    needs!(root);
    let script = "create; mount -t tmpfs none $B; ! $R delete --force $ID; umount $B; $R delete --force $ID; as_before";
    let output = on_a_host(&bundle(), script).ok();
    assert!(output.stderr.contains("take down the container's mounts"), "{}", output.stderr);
}

#[test]
fn what_would_need_the_hosts_mounts_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox().user_namespace().without_namespace("mount");
    on_a_host(&bundle, "create").refused("a user namespace has no right over the host's mounts");
    bundle.assert_nothing_left();
    let bundle = Bundle::busybox().without_namespace("mount").set("/linux/rootfsPropagation", "rslave");
    on_a_host(&bundle, "create").refused("linux.rootfsPropagation: \"rslave\" would change the host's \"/\"");
    bundle.assert_nothing_left();
}
