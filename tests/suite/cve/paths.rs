//! Names in the image or on a shared volume that lead out: while mount points are made, and while mounts are made on them.

use super::{SLOW, base, base_without_dev, bites, climbing, never_leads_out, rounds, volume_that_swaps, weakly};
use crate::harness::terminal::Console;
use crate::harness::{Bundle, Canary};
use crate::needs;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::symlinkat;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Mount points of one container: each is a round of the race.
const MANY: usize = 60;

/// Binds a file or a directory of the host.
fn with(bundle: Bundle, kind: &str, at: &str) -> Bundle {
    let source = match kind {
        "file" => bundle.host_file("source", "x"),
        _ => bundle.host_directory("source-directory"),
    };
    bundle.bind(source, at, &[])
}

#[test]
fn cve_2019_18837_a_mount_point_that_is_itself_a_link_leads_nowhere() {
    needs!(root);
    let links = |bundle: Bundle, canary: &Canary| {
        let (new, d) = (canary.dir().join("new"), climbing(&canary.dir().join("d")));
        bundle.symlink("/data/link", new).symlink("/data/rel", d).symlink("/data/loop", "loop")
    };
    let bundle = base();
    let mut canary = bundle.canary();
    let bundle = links(bundle, &canary);
    weakly(&bundle, ": > $ROOT/data/link; mkdir -p $ROOT/data/rel/new");
    assert!(canary.changes().len() > 2, "the attack does not bite");

    for kind in ["file", "directory"] {
        for at in ["/data/link", "/data/link/", "/data/rel", "/data/rel/"] {
            let bundle = base();
            let canary = bundle.canary();
            let bundle = with(links(bundle, &canary), kind, at);
            bundle.run();
            canary.assert_unchanged();
            bundle.assert_nothing_left_after(&format!("{kind} on {at}"));
        }
        for at in ["/data/loop", "/data/loop/", "/data/loop/x"] {
            let bundle = with(base().symlink("/data/loop", "loop"), kind, at);
            let output = bundle.run();
            assert!(output.code != 0 && output.stdout.is_empty(), "{kind} on {at}: {output:?}");
            bundle.assert_nothing_left();
        }
    }
    for (kind, name) in [("directory", "d"), ("directory", "new"), ("file", "marker"), ("file", "new")] {
        never_leads_out(|bundle, canary| with(bundle.symlink("/target", canary.join(name)), kind, "/target"));
        // A component on the way, rather than the last one.
        never_leads_out(|bundle, canary| with(bundle.symlink("/way", canary), kind, &format!("/way/{name}/deep")));
    }
    // A name that climbs, without any link.
    never_leads_out(|bundle, canary| {
        let at = format!("/../../../../../..{}/new", canary.strip_prefix("..").unwrap_or(canary).display());
        with(bundle, "directory", &at)
    });
}

#[test]
fn cve_2021_30465_a_mount_never_lands_where_a_link_points_that_another_container_slips_in() {
    needs!(root);
    needs!(program "strace");
    let bundle = base();
    let mut canary = bundle.canary();
    let target = canary.dir().join("d");
    // The mount points are there on both sides of the race, so that nothing but the mount itself is seen to go astray.
    for n in 0..MANY {
        fs::create_dir(target.join(format!("m{n}"))).unwrap();
    }
    canary.changes();
    let (volume, swap) = volume_that_swaps(&bundle, &target);
    for n in 0..MANY {
        let inside = volume.join("a").join(format!("m{n}"));
        let _ = fs::create_dir(&inside).or_else(|_| fs::create_dir(volume.join("b").join(format!("m{n}"))));
    }
    canary.changes();
    let bundle = bundle.directory("/vol");
    let careless = format!(
        "mount --bind {} $ROOT/vol; for n in $(seq 0 {}); do mount -t tmpfs none $ROOT/vol/a/m$n; done 2>/dev/null; \
         grep ' {}' /proc/self/mountinfo",
        volume.display(),
        MANY - 1,
        target.display()
    );
    bites("mounts by string", || !weakly(&bundle, &careless).stdout.is_empty());

    let count = "grep -c '^.* /[^ ]*/m[0-9]* .* - tmpfs' /proc/self/mountinfo";
    let mounts = |bundle: Bundle| {
        (0..MANY).fold(bundle.bind(&volume, "/vol", &["rbind"]), |bundle, n| {
            bundle.mount(&format!("/vol/a/m{n}"), "tmpfs", "tmpfs", &[])
        })
    };
    let plain = mounts(bundle.twin("plain")).sh(count);
    // What was mounted outside could be bound from there.
    let out = bundle.rootfs().join("vol/a/m1/..");
    let bound = mounts(bundle.twin("bound")).bind(out, "/out", &[]).args(["cat", "/out/marker", "/out/../marker"]);
    let (mut made, mut runs) = (0, 0);
    for round in rounds(3000) {
        let slow = round % 16 == 15;
        let run = |bundle: &Bundle| {
            let invocation = bundle.invocation("run");
            if slow { invocation.under(SLOW).output() } else { invocation.output() }
        };
        let output = run(&plain);
        // All of them are in the container, or there is no container.
        assert!(output.code != 0 || output.stdout.trim() == MANY.to_string(), "{output:?}");
        made += usize::from(output.code == 0);
        assert_eq!(run(&bound).stdout, "");
        canary.assert_unchanged();
        runs += 1;
    }
    drop(swap);
    eprintln!("{runs} times {MANY} mounts, {made} containers");
    assert!(made > 0, "no container ever came to be");
    bundle.assert_nothing_left();
}

#[test]
fn cve_2024_45310_mount_points_are_never_made_where_a_link_points_that_another_container_slips_in() {
    needs!(root);
    needs!(program "strace");
    let bundle = base();
    let mut canary = bundle.canary();
    let (volume, swap) = volume_that_swaps(&bundle, &canary.dir().join("d"));
    let mut round = 0;
    bites("directories and files made by string", || {
        round += 1;
        let _ = fs::create_dir_all(volume.join(format!("a/careless{round}/y/z")));
        let _ = fs::write(volume.join(format!("a/careless-file{round}")), "");
        !canary.changes().is_empty()
    });

    let (directory, file) = (bundle.host_directory("source"), bundle.host_file("file", "x"));
    let (mut runs, mut made) = (0, 0);
    for round in rounds(5000) {
        let bundle = bundle.twin(&format!("r{round}")).bind(&volume, "/vol", &["rbind"]);
        let bundle = (0..MANY / 2).fold(bundle, |bundle, n| {
            bundle.bind(&directory, &format!("/vol/a/x{round}-{n}/y/z"), &[]).bind(
                &file,
                &format!("/vol/a/f{round}-{n}/g"),
                &[],
            )
        });
        let invocation = bundle.invocation("run");
        let output = if round % 16 == 15 { invocation.under(SLOW).output() } else { invocation.output() };
        made += usize::from(output.code == 0);
        assert!(canary.changes().is_empty(), "{output:?}");
        runs += 1;
    }
    drop(swap);
    eprintln!("{runs} times {MANY} mount points, {made} containers");
    bundle.assert_nothing_left();
}

/// An image of nothing but programs, and a configuration that has the runtime make all the names it ever makes.
fn bare() -> (Bundle, Console) {
    let bundle = base_without_dev();
    empty(&bundle);
    let console = Console::listen(&bundle.home().join("console.sock"));
    let device = json!({"path": "/dev/own/device", "type": "c", "major": 1, "minor": 3});
    let bundle = with(with(bundle, "file", "/made/file"), "directory", "/made/directory");
    let bundle = bundle.set("/process/cwd", "/made/cwd").push("/linux/devices", device).terminal(true);
    let bundle = bundle.mount("/made/tmpfs", "tmpfs", "tmpfs", &["tmpcopyup"]).args(["true"]);
    let bundle = bundle.mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=666", "mode=620"]);
    let bundle = bundle.option("--console-socket").option(console.path());
    (bundle, console)
}

/// Takes everything out of the image but the programs.
fn empty(bundle: &Bundle) {
    for entry in fs::read_dir(bundle.rootfs()).unwrap().map(|entry| entry.unwrap().path()) {
        if !entry.ends_with("bin") {
            fs::remove_dir_all(&entry).or_else(|_| fs::remove_file(&entry)).unwrap();
        }
    }
}

/// The names that a start adds to the image.
fn names_made(bundle: &Bundle) -> BTreeSet<PathBuf> {
    bundle.create();
    let mut names = BTreeSet::new();
    let mut rest = vec![bundle.rootfs()];
    while let Some(dir) = rest.pop() {
        for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.strip_prefix(bundle.rootfs()).unwrap().to_owned();
            if !name.starts_with("bin") {
                rest.extend(path.symlink_metadata().unwrap().is_dir().then_some(path));
                names.insert(name);
            }
        }
    }
    names
}

#[test]
fn cve_2025_24965_every_name_that_the_runtime_makes_in_an_image_may_be_a_link_and_leads_nowhere() {
    needs!(root);
    let (bundle, console) = bare();
    let names = names_made(&bundle);
    drop(console.receive());
    assert!(names.len() > 18 && names.contains(Path::new("dev/console")), "{names:?}");
    let mut canary = bundle.canary();
    let pipe = canary.dir().join("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    canary.changes();
    let dir = canary.dir().to_owned();
    let targets = [dir.join("marker"), climbing(&dir.join("marker")), dir.join("created"), pipe, dir.join("d")];
    let plant = |name: &Path, target: &Path| {
        empty(&bundle);
        let path = bundle.rootfs().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, &path).unwrap();
    };
    for name in &names {
        plant(name, &targets[2]);
        weakly(&bundle, &format!(": > $ROOT/{}", name.display()));
        assert!(!canary.changes().is_empty(), "{}: the attack does not bite", name.display());
        fs::remove_file(dir.join("created")).unwrap();
        canary.changes();
    }
    for name in &names {
        for target in &targets {
            plant(name, target);
            let (container, created) = bundle.create_by(|it| it);
            if created.code == 0 {
                drop(console.receive());
            }
            drop(container);
            let changes = canary.changes();
            assert!(changes.is_empty(), "{} -> {}: {changes:#?}", name.display(), target.display());
        }
    }
    bundle.assert_nothing_left();
}

#[test]
fn no_cve_a_chain_of_links_longer_than_any_path_ends_in_an_error_or_inside() {
    needs!(root);
    // Each of 39 links (the kernel follows 40) adds a directory with a name of 200 letters: 7800 bytes in all.
    let bundle = base();
    let name = "d".repeat(200);
    let (mut at, flags) = (fs::File::open(bundle.rootfs()).unwrap().into(), OFlag::O_DIRECTORY | OFlag::O_CLOEXEC);
    for n in 0..39 {
        symlinkat(format!("{name}/link{}", n + 1).as_str(), &at, format!("link{n}").as_str()).unwrap();
        mkdirat(&at, name.as_str(), Mode::S_IRWXU).unwrap();
        at = openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
    }
    mkdirat(&at, "link39", Mode::S_IRWXU).unwrap();
    let careless = weakly(&bundle, "realpath -e $ROOT/link0");
    assert!(careless.stderr.contains("File name too long"), "no buffer would be too small: {careless:?}");
    // One link more than the kernel follows, and a second chain on top of the first.
    let bundle = bundle.symlink("/more0", "more1").symlink("/more1", "link0");
    for (kind, name) in [("directory", ""), ("directory", "/new"), ("file", "/file"), ("directory", "/deep/new")] {
        for link in ["link0", "more1", "more0"] {
            let bundle =
                with(bundle.twin(&format!("{link}{}", name.replace('/', "-"))), kind, &format!("/{link}{name}"));
            let output = bundle.run();
            assert!(output.code == 0 || output.code == 1 && !output.stderr.is_empty(), "{link}{name}: {output:?}");
        }
    }
    bundle.assert_nothing_left();
}
