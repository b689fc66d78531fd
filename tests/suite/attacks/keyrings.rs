//! Session keyrings are found by their names.

use super::insider;
use crate::harness::Bundle;
use crate::needs;
use std::time::Duration;

#[test]
fn a_keyring_made_beforehand_under_the_name_of_a_container_gets_none_of_its_keys() {
    needs!(root);
    let victim = Bundle::busybox();
    let attacker = insider::with(Bundle::busybox(), "squat", &format!("_ses.{}", victim.id())).start();
    attacker.has_said("waiting");
    let victim = insider::with(victim, "keep-secret", "").start();
    victim.has_said("kept");
    std::thread::sleep(Duration::from_millis(200)); // the attacker looks every 5 ms
    assert!(!attacker.output().contains("REACHED"), "{}", attacker.output());
}

#[test]
fn no_other_container_of_the_same_user_sees_the_name_of_a_keyring() {
    needs!(root);
    let victim = Bundle::busybox();
    let other = victim.twin("b").unset("/linux/maskedPaths").start();
    let victim = victim.start();
    let keys = other.exec(["cat", "/proc/keys"]).ok().stdout;
    assert!(keys.contains(&format!("_ses.{}.", other.id())), "its own: {keys}");
    assert!(!keys.contains(victim.id()), "{keys}");
}

#[test]
fn exec_has_the_keyring_of_the_container() {
    needs!(root);
    for bundle in [Bundle::busybox(), Bundle::busybox().user_namespace()] {
        let container = insider::with(bundle.user(1000, 1000), "show-keyring", "").sh(
            "RRUNTIME_TEST_INSIDER=show-keyring /insider --exact attacks::insider::as_a_payload --nocapture; sleep 600",
        );
        let container = container.start();
        container.has_said("keyring ");
        let exec = container.exec_with(["--env", &insider::variable("show-keyring")], insider::COMMAND).ok().stdout;
        let of = |text: &str| text.split_once("keyring ").and_then(|(_, rest)| Some(rest.lines().next()?.to_owned()));
        assert!(of(&exec).is_some() && of(&exec) == of(&container.output()), "{exec}\n{}", container.output());
        assert!(!exec.contains("keyring -"), "{exec}");
    }
}
