//! The console: what the image or a volume has at /dev/console and in /dev/pts.

use super::{base, base_without_dev, ways_to, weakly};
use crate::harness::terminal::Console;
use crate::harness::{Bundle, HostState, read};
use crate::needs;
use std::fs;
use std::os::unix::fs::symlink;

fn with_console(bundle: Bundle) -> (Bundle, Console) {
    let path = bundle.home().join("console.sock");
    let _ = fs::remove_file(&path);
    let console = Console::listen(&path);
    let bundle = bundle.terminal(true).option("--console-socket").option(console.path());
    (bundle, console)
}

/// Says where /dev/console is a terminal, and tries to write what must not be written.
const ATTACK: &str = "stat -c '%F %t' /dev/console; echo attack > /dev/console; cat /target; sleep 600";

/// Creates and starts a container with a terminal. It may fail; what starts must have a terminal for a console.
#[track_caller]
fn console_is_a_terminal_or_there_is_no_container(what: &str, bundle: Bundle) {
    let (bundle, console) = with_console(bundle.sh(ATTACK));
    let (container, created) = bundle.create_by(|it| it);
    assert!(!created.stderr.contains("still running"), "{what}");
    if created.code == 0 {
        let mut terminal = console.terminal();
        let container = container.start();
        terminal.has_shown("character special file 88");
        terminal.has_shown("the target");
        assert_eq!(read(bundle.rootfs().join("target")), "the target\n", "{what}");
        drop(container);
    } else {
        drop(container);
    }
    bundle.assert_nothing_left_after(what);
}

#[test]
fn cve_2025_52565_no_image_chooses_what_becomes_the_console() {
    needs!(root);
    let bundle = base().file("/target", "the target\n");
    let pts = bundle.host_directory("pts");
    for number in 0..32 {
        symlink("/target", pts.join(number.to_string())).unwrap();
    }
    fs::write(pts.join("ptmx"), "no device").unwrap();
    let careless = format!(
        "mount --bind {} $ROOT/dev/pts 2>/dev/null || {{ mkdir $ROOT/dev/pts; mount --bind {0} $ROOT/dev/pts; }}; \
         : > $ROOT/dev/console; chroot $ROOT /bin/sh -c 'mount --bind /dev/pts/0 /dev/console && echo attack > /dev/console; cat /target'",
        pts.display()
    );
    assert_eq!(weakly(&bundle, &careless).stdout, "attack\n", "the attack does not bite");

    let host = HostState::new();
    for ptmx in ["file", "link to the host's", "pipe", "link to a file"] {
        let bundle = base().file("/target", "the target\n");
        let _ = fs::remove_file(pts.join("ptmx"));
        match ptmx {
            "file" => fs::write(pts.join("ptmx"), "no device").unwrap(),
            "pipe" => nix::unistd::mkfifo(&pts.join("ptmx"), nix::sys::stat::Mode::S_IRWXU).unwrap(),
            "link to a file" => symlink("/target", pts.join("ptmx")).unwrap(),
            _ => {
                // The host's devpts is in the container, at a place of the attacker's choice.
                symlink("/hostpts/ptmx", pts.join("ptmx")).unwrap();
            }
        }
        let bundle = bundle.bind("/dev/pts", "/hostpts", &["rbind"]);
        let bundle = bundle.without_mount("/dev/pts").bind(&pts, "/dev/pts", &["rbind"]);
        console_is_a_terminal_or_there_is_no_container(ptmx, bundle);
    }
    for (name, target) in
        [("link", "/target"), ("dangling", "/created"), ("into proc", "/proc/sys/kernel/core_pattern")]
    {
        let bundle = base_without_dev().file("/target", "the target\n").symlink("/dev/console", target);
        console_is_a_terminal_or_there_is_no_container(name, bundle);
        // In a directory of the host that is bound on /dev, with a devpts of the container's own.
        let bundle = base_without_dev().file("/target", "the target\n");
        let dev = bundle.host_directory("dev");
        fs::create_dir(dev.join("pts")).unwrap();
        symlink(target, dev.join("console")).unwrap();
        let bundle = bundle.bind(&dev, "/dev", &["rbind"]);
        let bundle = bundle.mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=666"]);
        console_is_a_terminal_or_there_is_no_container(name, bundle);
    }
    let bundle = base_without_dev().file("/target", "the target\n").directory("/dev/console");
    console_is_a_terminal_or_there_is_no_container("directory", bundle);
    host.assert_same();
}

#[test]
fn cve_2025_52565_exec_takes_no_terminal_from_a_devpts_that_is_none() {
    needs!(root);
    let bundle = base().file("/target", "the target\n").args(["sleep", "600"]);
    let pts = bundle.host_directory("pts");
    for name in ["ptmx", "0", "1", "2"] {
        symlink("/target", pts.join(name)).unwrap();
    }
    let container = bundle.without_mount("/dev/pts").bind(&pts, "/dev/pts", &["rbind"]).start();
    let console = Console::listen(&container.home().join("exec.sock"));
    let options = ["--tty", "--detach", "--console-socket", console.path()];
    let output = container.exec_with(options, ["sh", "-c", "echo attack"]);
    assert_ne!(output.code, 0, "{output:?}");
    assert_eq!(container.exec(["cat", "/target"]).ok().stdout, "the target\n");
}

#[test]
fn cve_2026_88264_a_console_that_is_a_link_makes_no_file_of_the_host() {
    needs!(root);
    for name in ["created", "console"] {
        for way in 0..2 {
            for terminal in [false, true] {
                for read_only in [false, true] {
                    let bundle = base_without_dev().set("/root/readonly", read_only);
                    let mut canary = bundle.canary();
                    let target = ways_to(canary.dir())[way].join(name);
                    let bundle = bundle.symlink("/dev/console", target);
                    if name == "created" {
                        weakly(&bundle, ": >> $ROOT/dev/console");
                        assert!(!canary.changes().is_empty(), "the attack does not bite");
                        fs::remove_file(canary.dir().join(name)).unwrap();
                        canary.changes();
                    }
                    let (bundle, console) = if terminal {
                        let (bundle, console) = with_console(bundle);
                        (bundle, Some(console))
                    } else {
                        (bundle, None)
                    };
                    let (container, created) = bundle.create_by(|it| it);
                    if let Some(console) = console.filter(|_| created.code == 0) {
                        drop(console.receive());
                    }
                    drop(container);
                    canary.assert_unchanged();
                    bundle.assert_nothing_left();
                }
            }
        }
    }
}
