//! Keys of config.json that are misspelt: none is dropped in silence, and case counts as little as with runc.

use crate::harness::Bundle;
use crate::needs;
use serde_json::json;

#[test]
fn a_key_counts_whatever_its_case_and_warns() {
    needs!(root);
    let bundle = Bundle::busybox()
        .set("/process/user", json!({"UID": 1000, "Gid": 1001}))
        .set("/process/NoNewPrivileges", true)
        .unset("/process/noNewPrivileges")
        .set("/root", json!({"path": "rootfs", "readOnly": true}))
        .sh("id -u; id -g; grep NoNewPrivs /proc/self/status; touch /file");
    let ran = bundle.run();
    assert!(ran.stdout.starts_with("1000\n1001\nNoNewPrivs:\t1\n"), "{ran:?}");
    assert!(ran.stderr.contains("Read-only file system"), "{ran:?}");
    for warning in [
        "process.user.UID: taken for \"uid\"",
        "process.user.Gid: taken for \"gid\"",
        "process.NoNewPrivileges: taken for \"noNewPrivileges\"",
        "root.readOnly: taken for \"readonly\"",
    ] {
        assert!(ran.stderr.contains(warning), "{ran:?}");
    }
}

#[test]
fn an_unknown_key_warns_wherever_it_stands() {
    needs!(root);
    let bundle = Bundle::busybox()
        .set("/linux/resource", json!({"pids": {"limit": 1}}))
        .set("/process/rlimit", json!([]))
        .args(["echo", "there"]);
    let resource = "linux.resource: ignoring an unknown key (did you mean \"resources\"?)";
    let rlimit = "process.rlimit: ignoring an unknown key (did you mean \"rlimits\"?)";
    for verb in ["run", "check", "explain"] {
        let output = match verb {
            "run" => bundle.run(),
            verb => bundle.write().runtime([verb, bundle.dir().to_str().unwrap()]).output(),
        };
        let said = output.stdout.clone() + &output.stderr;
        assert!(said.contains(resource) && said.contains(rlimit), "{verb}: {output:?}");
    }
    let container = Bundle::busybox().start();
    let process = json!({"args": ["echo", "there"], "cwd": "/", "Env": ["PATH=/bin"], "noNewPrivilege": true});
    let file = container.home().join("process.json");
    std::fs::write(&file, process.to_string()).unwrap();
    let ran = container.runtime(["exec", "--process", file.to_str().unwrap(), container.id()]).output().ok();
    assert_eq!(ran.stdout, "there\n");
    assert!(ran.stderr.contains("process.noNewPrivilege: ignoring an unknown key"), "{ran:?}");
    assert!(ran.stderr.contains("process.Env: taken for \"env\""), "{ran:?}");
    let asked = json!({"memory": {"limits": 1000}});
    let ran = container.runtime(["update", "--resources", "-", container.id()]).stdin(&asked.to_string()).output();
    assert!(ran.stderr.contains("resources.memory.limits: ignoring an unknown key"), "{ran:?}");
}

#[test]
fn two_spellings_of_a_key_and_lists_in_the_place_of_objects_are_refused() {
    needs!(root);
    let twice = Bundle::busybox().set("/process/user", json!({"uid": 1000, "gid": 1000, "UID": 0}));
    twice.try_create().refused("process.user.uid: is there twice, in different spelling; remove one of them");
    let list = Bundle::busybox().set("/process/user", json!([0, 0]));
    list.try_create().refused("process.user: is a list; an object in braces belongs there");
}
