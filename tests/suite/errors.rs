//! Errors: the words engines look for, the shape of the log, one clear line.

use crate::harness::{Bundle, Output, me};
use crate::needs;
use serde_json::Value;
use std::fs;

/// The answers of `check` and `run` on a host that a script has changed, in a mount namespace of its own.
fn on_a_host_where(script: &str, bundle: &Bundle) -> [Output; 2] {
    bundle.write();
    let script = format!("{script} && exec \"$@\"");
    let wrapper = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script, "sh"];
    let dir = bundle.dir().to_string_lossy().into_owned();
    let check = bundle.runtime(["check", "--bundle", &dir]).under(wrapper).output();
    [check, bundle.invocation("run").under(wrapper).output()]
}

#[test]
fn a_proc_without_its_sys_is_named_with_the_remedy_also_by_check() {
    needs!(root);
    needs!(kernel "5.8");
    let [check, run] = on_a_host_where("mount -t proc -o subset=pid proc /proc", &Bundle::busybox());
    let remedy = "subset=pid): mount a whole one there";
    assert!(check.code == 1 && check.stdout.contains(remedy), "{check:#?}");
    run.refused(remedy);
}

#[test]
fn a_device_that_the_host_lacks_is_named_with_the_remedy_also_by_check() {
    needs!(root);
    // With the right to make nodes root needs none of the host's.
    let script = "mount -t tmpfs dev /dev && mknod -m 666 /dev/zero c 1 5 && \
                  set -- setpriv --bounding-set=-mknod --inh-caps=-mknod \"$@\"";
    let [check, run] = on_a_host_where(script, &Bundle::busybox().user_namespace());
    let remedy = "a user namespace needs the host's node: make it there (mknod /dev/null c 1 3)";
    assert!(check.code == 1 && check.stdout.contains(remedy), "{check:#?}");
    run.refused(remedy);
}

#[test]
fn a_program_that_cannot_run_is_named_in_the_words_engines_know() {
    needs!(root);
    let bundle = Bundle::busybox().script("/plain", "text", 0o644);
    let cases = [
        ("no-such-program", "exec: \"no-such-program\": executable file not found in $PATH"),
        ("/no/such/program", "exec: \"/no/such/program\": stat /no/such/program: no such file or directory"),
        ("/plain", "exec: \"/plain\": permission denied"),
    ];
    for verb in ["create", "run"] {
        for (program, text) in cases {
            let bundle = bundle.twin("x").args([program]);
            let output = bundle.invocation(verb).output().refused(text);
            let prefix = format!("{} {verb} failed: ", me());
            assert!(output.stderr.contains(&prefix), "{output:?}");
            bundle.assert_nothing_left();
            fs::remove_dir_all(bundle.dir()).unwrap();
        }
    }
}

#[test]
fn a_missing_interpreter_is_named_after_the_error() {
    needs!(root);
    // Callers look for the program and the error side by side.
    let bundle = Bundle::busybox().script("/script", "#!/no/such/interpreter\n", 0o755);
    let text = "exec /script: no such file or directory (ENOENT); is the interpreter that it names";
    bundle.twin("run").args(["/script"]).run().refused(text);
    bundle.start().exec(["/script"]).failed(255, text);
}

#[test]
fn a_json_log_has_one_object_with_the_three_keys() {
    needs!(root);
    let bundle = Bundle::busybox().args(["/missing"]);
    let log = bundle.home().join("log.json");
    let invocation = bundle.write().runtime([
        "--log",
        log.to_str().unwrap(),
        "--log-format",
        "json",
        "create",
        "--bundle",
        bundle.dir().to_str().unwrap(),
        bundle.id(),
    ]);
    let output = invocation.output().refused("no such file or directory");
    let text = fs::read_to_string(&log).unwrap();
    let record: Value = serde_json::from_str(&text).expect("the whole file is one JSON object");
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
    assert_eq!(record["level"], "error");
    let time = record["time"].as_str().unwrap();
    assert!(time.len() >= 20 && time.as_bytes()[4] == b'-' && time.as_bytes()[10] == b'T', "{time}");
    let message = record["msg"].as_str().unwrap();
    assert!(message.contains("exec: \"/missing\": stat /missing: no such file or directory"), "{message}");
    // The bare message also goes to stderr, for those who read only that.
    assert_eq!(output.stderr.trim(), message);
}

#[test]
fn the_log_is_appended_to() {
    needs!(root);
    let bundle = Bundle::busybox();
    let log = bundle.host_file("log.json", "{\"earlier\": true}\n");
    let log = log.to_str().unwrap();
    for log in [log.to_owned(), format!("file:{log}")] {
        bundle
            .runtime(["--log", &log, "--log-format=json", "state", "none"])
            .output()
            .refused("container does not exist");
    }
    let text = fs::read_to_string(log).unwrap();
    assert!(text.starts_with("{\"earlier\": true}\n") && text.lines().count() == 3, "{text}");
}

#[test]
fn success_writes_nothing_to_the_log_and_nothing_to_stderr() {
    needs!(root);
    let bundle = Bundle::busybox().args(["true"]);
    let log = bundle.home().join("log.json");
    let dir = bundle.write().dir().to_str().unwrap();
    let output = bundle
        .runtime(["--log", log.to_str().unwrap(), "--log-format", "json", "run", "--bundle", dir, bundle.id()])
        .output()
        .ok();
    assert_eq!((output.stdout, output.stderr), (String::new(), String::new()));
    assert_eq!(crate::harness::read(log), "");
}

#[test]
fn an_error_is_one_line_of_text() {
    needs!(root);
    let missing = Bundle::busybox().handle();
    let output = missing.does("state", []).refused("container does not exist");
    assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 1), "{output:?}");
}

#[test]
fn debug_records_are_json_too() {
    needs!(root);
    let bundle = Bundle::busybox().args(["true"]);
    let log = bundle.home().join("log.json");
    let dir = bundle.write().dir().to_str().unwrap();
    bundle
        .runtime(["--debug", "--log", log.to_str().unwrap(), "--log-format", "json", "run", "-b", dir, bundle.id()])
        .output()
        .ok();
    let text = fs::read_to_string(log).unwrap();
    assert!(!text.is_empty());
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).expect(line);
        assert!(record["level"].is_string() && record["msg"].is_string() && record["time"].is_string(), "{line}");
    }
}

#[test]
fn words_of_the_image_cannot_forge_a_log_record() {
    needs!(root);
    let forged = "/x\n{\"level\":\"error\",\"msg\":\"forged\"}\u{1b}[2J";
    let bundle = Bundle::busybox().args([forged]);
    let log = bundle.home().join("log.json");
    let dir = bundle.write().dir().to_str().unwrap();
    let output = bundle
        .runtime(["--log", log.to_str().unwrap(), "--log-format", "json", "run", "-b", dir, bundle.id()])
        .output();
    assert_eq!(output.code, 1);
    let text = fs::read_to_string(log).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let record: Value = serde_json::from_str(&text).unwrap();
    assert_ne!(record["msg"], "forged");
}

#[test]
fn a_configuration_that_is_wrong_is_refused_before_anything_is_made() {
    needs!(root);
    let bundle = Bundle::busybox();
    let broken = ["", "{", "[]", "{\"ociVersion\": 1}", "null"];
    for text in broken {
        bundle.write();
        fs::write(bundle.dir().join("config.json"), text).unwrap();
        let output = bundle.runtime(["create", "--bundle", bundle.dir().to_str().unwrap(), bundle.id()]).output();
        assert_eq!(output.code, 1, "{text}: {output:?}");
        bundle.assert_nothing_left();
    }
    fs::remove_file(bundle.dir().join("config.json")).unwrap();
    let output = bundle.runtime(["create", "--bundle", bundle.dir().to_str().unwrap(), bundle.id()]).output();
    output.refused("config.json");
}

#[test]
fn what_a_configuration_must_have_is_asked_for() {
    needs!(root);
    let bundle = Bundle::busybox();
    for pointer in ["/root", "/process/args", "/process/cwd"] {
        let bundle = bundle.twin("x").unset(pointer);
        assert_eq!(bundle.try_create().code, 1, "{pointer}");
        bundle.assert_nothing_left();
        fs::remove_dir_all(bundle.dir()).unwrap();
    }
}

#[test]
fn an_unknown_key_in_the_configuration_is_ignored() {
    needs!(root);
    let bundle = Bundle::busybox()
        .set("/future", "x")
        .set("/linux/future", "x")
        .set("/process/future", "x")
        .args(["echo", "fine"]);
    assert_eq!(bundle.run().ok().stdout, "fine\n");
}

#[test]
fn an_unknown_option_names_its_place() {
    needs!(root);
    let bundle = Bundle::busybox();
    let index = bundle.config()["mounts"].as_array().unwrap().len();
    let bundle = bundle.bind("/tmp", "/tmp", &["nosudi"]);
    let output = bundle.try_create();
    assert!(output.code == 1 && output.stderr.contains("nosudi"), "{output:?}");
    assert!(output.stderr.contains(&format!("mounts[{index}]")), "{output:?}");
}
