//! Terminals: the console socket, and the caller's own terminal in the foreground.

use crate::harness::terminal::{Console, pair};
use crate::harness::{Bundle, Container, me};
use crate::needs;
use serde_json::json;
use std::fs;

/// A bundle whose payload has a terminal, and the socket on which that is handed over.
fn with_console(bundle: Bundle) -> (Bundle, Console) {
    let console = Console::listen(&bundle.home().join("console.sock"));
    let bundle = bundle.terminal(true).option("--console-socket").option(console.path());
    (bundle, console)
}

#[test]
fn create_hands_over_one_terminal_in_one_message() {
    needs!(root);
    let (bundle, console) = with_console(Bundle::busybox());
    let _container = bundle.create();
    // Already there when create returns.
    let mut delivery = console.receive();
    assert_eq!(delivery.descriptors.len(), 1);
    assert!((1..4096).contains(&delivery.payload.len()), "{} bytes of payload", delivery.payload.len());
    assert!(delivery.was_all(), "more than one message");
    assert!(console.is_quiet(), "more than one connection");
}

#[test]
fn the_terminal_is_the_payloads_own() {
    needs!(root);
    let script = "tty; test -t 0 && test -t 1 && test -t 2 && echo three; echo > /dev/tty && echo controlling; read line; echo got $line";
    let (bundle, console) = with_console(Bundle::busybox().sh(script));
    let container = bundle.create();
    let mut terminal = console.terminal();
    let container = container.start();
    for text in ["/dev/pts/0", "three", "controlling"] {
        terminal.has_shown(text);
    }
    terminal.write("hello\n");
    terminal.has_shown("got hello");
    container.reaches("stopped");
}

#[test]
fn the_console_is_the_terminal() {
    needs!(root);
    let (bundle, console) = with_console(Bundle::busybox().sh("echo through the console > /dev/console; sleep 600"));
    let container = bundle.create();
    let mut terminal = console.terminal();
    let container = container.start();
    terminal.has_shown("through the console");
    let device = container.exec(["stat", "-c", "%F %t", "/dev/console"]).ok().stdout;
    assert_eq!(device, "character special file 88\n", "a slave of devpts, major 136");
}

#[test]
fn the_terminal_has_the_configured_size() {
    needs!(root);
    let bundle = Bundle::busybox().set("/process/consoleSize", json!({"height": 31, "width": 97})).sh("stty size");
    let (bundle, console) = with_console(bundle);
    let container = bundle.create();
    let mut terminal = console.terminal();
    let _container = container.start();
    terminal.has_shown("31 97");
}

#[test]
fn the_terminal_belongs_to_the_user() {
    needs!(root);
    let (bundle, console) =
        with_console(Bundle::busybox().user(1000, 1000).sh("stat -c %u $(tty); echo again > /dev/stderr"));
    let container = bundle.create();
    let mut terminal = console.terminal();
    let _container = container.start();
    terminal.has_shown("1000");
    terminal.has_shown("again");
}

#[test]
fn a_terminal_works_in_a_user_namespace() {
    needs!(root);
    let (bundle, console) = with_console(Bundle::busybox().user_namespace().sh("tty; stat -c %u $(tty)"));
    let container = bundle.create();
    let mut terminal = console.terminal();
    let _container = container.start();
    terminal.has_shown("/dev/pts/0");
    terminal.has_shown("\n0");
}

#[test]
fn exec_can_have_a_terminal_through_a_socket() {
    needs!(root);
    let container = Bundle::busybox().start();
    let console = Console::listen(&container.home().join("exec.sock"));
    let options = ["--tty", "--detach", "--console-socket", console.path()];
    container.exec_with(options, ["sh", "-c", "tty; read line; echo got $line"]).ok();
    let mut terminal = console.terminal();
    terminal.has_shown("/dev/pts/");
    terminal.write("hello\n");
    terminal.has_shown("got hello");
}

/// The container may mount what it likes over its own.
#[test]
fn the_terminal_of_exec_is_of_the_devpts_that_create_made() {
    needs!(root);
    let container = Bundle::busybox().start();
    let pid = container.pid().to_string();
    let inside = |words: &[&str]| {
        let enter = ["nsenter", "--mount", "--target", &pid, "/bin/busybox"];
        container.command(enter.into_iter().chain(words.iter().copied())).output().ok();
    };
    let console = Console::listen(&container.home().join("exec.sock"));
    let options = ["--tty", "--detach", "--console-socket", console.path()];
    inside(&["mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666", "other", "/dev/pts"]);
    container.exec_with(options, ["tty"]).failed(255, "is not the devpts that the container was created with");
    container.exec(["true"]).ok();
    inside(&["umount", "/dev/pts"]);
    let console = Console::listen(&container.home().join("again.sock")); // the other one has had its connection
    container.exec_with(["--tty", "--detach", "--console-socket", console.path()], ["tty"]).ok();
    console.terminal().has_shown("/dev/pts/");
}

#[test]
fn a_socket_path_may_be_longer_than_an_address() {
    needs!(root);
    let bundle = Bundle::busybox().terminal(true);
    let deep = bundle.host_directory(&"d".repeat(150));
    // The listener binds through a short name, as an engine has to do as well.
    let short = bundle.home().join("s");
    std::os::unix::fs::symlink(&deep, &short).unwrap();
    let console = Console::listen(&short.join("console.sock"));
    let bundle = bundle.option("--console-socket").option(deep.join("console.sock").to_str().unwrap());
    let _container = bundle.create();
    console.terminal();
}

#[test]
fn a_socket_and_a_terminal_go_together() {
    needs!(root);
    let bundle = Bundle::busybox();
    let console = Console::listen(&bundle.home().join("console.sock"));
    let me = me();
    let socket_alone = bundle.twin("a").option("--console-socket").option(console.path());
    let text = format!("cannot use console socket if {me} will not detach or allocate tty");
    socket_alone.try_create().refused(&text);
    let text = format!("cannot allocate tty if {me} will detach without setting console socket");
    bundle.twin("b").terminal(true).try_create().refused(&text);
    bundle.twin("c").terminal(true).option("--detach").invocation("run").output().refused(&text);
    bundle.assert_nothing_left();
}

#[test]
fn a_socket_nobody_listens_on_fails_create_and_leaves_nothing() {
    needs!(root);
    let bundle = Bundle::busybox().terminal(true);
    let file = bundle.host_file("file", "no socket");
    for path in [bundle.home().join("missing.sock"), file] {
        let bundle = bundle
            .twin(path.file_stem().unwrap().to_str().unwrap())
            .option("--console-socket")
            .option(path.to_str().unwrap());
        assert_eq!(bundle.try_create().code, 1, "{}", path.display());
        bundle.assert_nothing_left();
    }
}

// --- the caller's own terminal ---

#[test]
fn run_connects_the_callers_terminal() {
    needs!(root);
    let bundle = Bundle::busybox().terminal(true).sh("tty; read line; echo got $line; exit 5");
    let (mut outside, slave, _) = pair();
    let process = bundle.invocation("run").terminal(slave).spawn();
    outside.has_shown("/dev/pts/0");
    outside.write("hello\n");
    outside.has_shown("got hello");
    assert_eq!(process.wait().code, 5);
}

#[test]
fn lines_end_as_the_program_ends_them_unless_a_terminal_shows_them() {
    needs!(root);
    let script = "echo one; echo two";
    let bundle = Bundle::busybox().terminal(true).sh(script);
    let (mut outside, slave, _) = pair();
    let keys = || slave.try_clone().unwrap();
    assert_eq!(bundle.invocation("run").reading_from(keys()).output().ok().stdout, "one\ntwo\n");
    let container = Bundle::busybox().start();
    let exec = container.execution(["-t"], ["sh", "-c", script]).reading_from(keys());
    assert_eq!(exec.output().ok().stdout, "one\ntwo\n");
    // The caller's own is raw meanwhile: it needs the carriage returns.
    bundle.twin("shown").invocation("run").terminal(slave).output().ok();
    outside.has_shown("one\r\ntwo\r\n");
}

/// runc ends at once, too: no key and no end of the input would reach the shell, which would wait for ever.
#[test]
fn a_terminal_without_one_outside_is_refused() {
    needs!(root);
    let bundle = Bundle::busybox().terminal(true).args(["sh"]);
    bundle.run().refused("none of standard input, output and error is a terminal");
    bundle.assert_nothing_left();
    let container = Bundle::busybox().start();
    let exec = container.exec_with(["-t"], ["sh"]);
    assert!(exec.code == 255 && exec.stderr.contains("set it to false, give one (script -qec"), "{exec:?}");
}

#[test]
fn run_gives_back_the_terminal_as_it_was() {
    needs!(root);
    let bundle = Bundle::busybox().terminal(true).sh("echo ready; read line");
    let (mut outside, slave, path) = pair();
    let settings = || bundle.command(["stty", "-a", "-F", path.to_str().unwrap()]).output().ok().stdout;
    let before = settings();
    let process = bundle.invocation("run").terminal(slave).spawn();
    outside.has_shown("ready");
    assert!(settings().contains("-icanon"), "the caller's terminal is raw while the container has it");
    outside.write("\n");
    process.wait().ok();
    assert_eq!(settings(), before);
}

#[test]
fn every_byte_of_the_terminal_arrives() {
    needs!(root);
    let bundle = Bundle::busybox().terminal(true).sh("seq 1 5000; echo end");
    let (mut outside, slave, _) = pair();
    let process = bundle.invocation("run").terminal(slave).spawn();
    outside.has_shown("end");
    process.wait().ok();
    let seen = outside.seen().replace('\r', "");
    let expected: String = (1..=5000).map(|n| format!("{n}\n")).collect();
    assert!(seen.contains(&expected), "{} bytes", seen.len());
}

/// Changes the size of the outer terminal and tells the runtime, as a terminal emulator does.
fn resize(container: &Container, path: &std::path::Path, pid: i32, rows: &str, columns: &str) {
    let stty = container.home().to_owned();
    let argv = ["stty", "-F", path.to_str().unwrap(), "rows", rows, "cols", columns];
    crate::harness::Invocation::new(&stty, argv).output().ok();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGWINCH).unwrap();
}

#[test]
fn the_size_of_the_callers_terminal_is_followed() {
    needs!(root);
    let bundle = Bundle::busybox().terminal(true).sh("while :; do stty size; sleep 0.05; done");
    let (mut outside, slave, path) = pair();
    let container = bundle.handle();
    bundle.command(["stty", "-F", path.to_str().unwrap(), "rows", "41", "cols", "111"]).output().ok();
    let process = bundle.invocation("run").terminal(slave).spawn();
    outside.has_shown("41 111");
    resize(&container, &path, process.pid(), "23", "71");
    outside.has_shown("23 71");
    container.kill("KILL").ok();
    assert_eq!(process.wait().code, 137);
}

#[test]
fn exec_connects_the_callers_terminal() {
    needs!(root);
    let container = Bundle::busybox().start();
    let (mut outside, slave, _) = pair();
    let process =
        container.execution(["-t"], ["sh", "-c", "tty; read line; echo got $line; exit 6"]).terminal(slave).spawn();
    outside.has_shown("/dev/pts/");
    outside.write("hello\n");
    outside.has_shown("got hello");
    assert_eq!(process.wait().code, 6);
}

#[test]
fn keys_of_the_terminal_reach_the_payload_as_signals() {
    needs!(root);
    let bundle = Bundle::busybox()
        .terminal(true)
        .sh("trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.05; done");
    let (mut outside, slave, _) = pair();
    let process = bundle.invocation("run").terminal(slave).spawn();
    outside.has_shown("ready");
    outside.write("\u{3}");
    outside.has_shown("interrupted");
    assert_eq!(process.wait().code, 9);
}

#[test]
fn a_terminal_is_not_mounted_on_what_a_link_in_a_bound_dev_leads_to() {
    needs!(root);
    // CVE-2025-52565: the terminal would cover any file that the owner of that directory likes.
    let bundle = Bundle::busybox().without_dev();
    let dev = bundle.host_directory("dev");
    fs::create_dir(dev.join("pts")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", dev.join("console")).unwrap();
    let bundle =
        bundle.bind(&dev, "/dev", &["rbind"]).mount("/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=666"]);
    let (bundle, _console) = with_console(bundle);
    bundle.try_create().refused("mount the terminal on /dev/console: it is a link");
    fs::remove_file(dev.join("console")).unwrap();
    bundle.create();
}

#[test]
fn a_terminal_and_an_unbindable_root_go_together() {
    needs!(root);
    for word in ["unbindable", "runbindable", "rshared"] {
        let bundle = Bundle::busybox().set("/linux/rootfsPropagation", word).sh("echo fine > /dev/console; sleep 600");
        let (bundle, console) = with_console(bundle);
        let container = bundle.create();
        let mut terminal = console.terminal();
        let container = container.start();
        terminal.has_shown("fine");
        let table = container.exec(["cat", "/proc/self/mountinfo"]).ok().stdout;
        let mark = if word == "rshared" { "shared:" } else { "unbindable" };
        let root = table.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
        assert!(root.contains(mark), "{word}: {table}");
        let console = table.lines().find(|line| line.split(' ').nth(4) == Some("/dev/console")).unwrap();
        assert_eq!(console.contains(mark), word.starts_with('r'), "{word}: {table}");
    }
}
