//! What rules become on v1, and which are refused.

use super::*;

pub(super) fn rules(json: &str) -> DeviceRules {
    lower(&serde_json::from_str::<Vec<LinuxDeviceCgroup>>(json).unwrap()).unwrap()
}

fn texts(rules: &DeviceRules) -> Vec<String> {
    rules
        .writes(None)
        .unwrap()
        .iter()
        .map(|w| format!("{} {}", w.file.trim_start_matches("devices."), w.value))
        .collect()
}

pub(super) const DENY_ALL: &str = r#"{"allow": false, "access": "rwm"}"#;

#[test]
fn without_a_word_only_everybodys_devices_are_allowed() {
    let writes = texts(&rules("[]"));
    assert_eq!(writes[..4], ["deny a", "allow c *:* m", "allow b *:* m", "allow c 1:3 rwm"]);
    assert_eq!((writes.len(), texts(&rules(&format!("[{DENY_ALL}]")))), (12, writes));
}

#[test]
fn a_privileged_container_is_allowed_everything() {
    let all = rules(r#"[{"allow": false, "access": "rwm"}, {"allow": true, "type": "a", "access": "rwm"}]"#);
    assert!(all.allow_everything());
    assert_eq!(texts(&all), ["allow a"]);
}

#[test]
fn a_denied_device_is_an_exception_from_everything() {
    let all = rules(r#"[{"allow": true, "access": "rwm"}, {"allow": false, "type": "b", "major": 8, "access": "rw"}]"#);
    assert_eq!(texts(&all), ["allow a", "deny b 8:* rw"]);
}

#[test]
fn a_user_cannot_deny_what_everybody_has() {
    let plain = rules("[]");
    assert_eq!(rules(r#"[{"allow": false, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]"#), plain);
    assert_eq!(rules(r#"[{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "r"}]"#), plain);
}

#[test]
fn part_of_an_exception_can_be_taken_back() {
    let json = r#"[{"allow": true, "type": "c", "major": 9, "minor": 1, "access": "rwm"},
                   {"allow": false, "type": "c", "major": 9, "access": "w"}]"#;
    assert!(texts(&rules(json)).contains(&"allow c 9:1 rm".to_owned()));
}

#[test]
fn only_the_difference_is_written() {
    let plain = rules("[]");
    let list: String = texts(&plain)[1..].iter().map(|line| line.replacen("allow ", "", 1) + "\n").collect();
    assert_eq!(plain.writes(Some(&list)).unwrap(), []);
    let other = format!("{}c 9:1 rw\n", list.replacen("c 1:3 rwm\n", "", 1));
    let write = |file, value: &str| Write { file, value: value.to_owned() };
    let expected = [write("devices.deny", "c 9:1 rw"), write("devices.allow", "c 1:3 rwm")];
    assert_eq!(plain.writes(Some(&other)).unwrap(), expected);
    assert_eq!(plain.writes(Some("a *:* rwm\n")).unwrap(), plain.writes(None).unwrap());
}

#[test]
fn a_hole_in_a_wildcard_is_refused_on_v1() {
    let json = r#"[{"allow": true, "type": "c", "major": 9, "access": "rwm"},
                   {"allow": false, "type": "c", "major": 9, "minor": 1, "access": "w"}]"#;
    let error = rules(json).writes(None).unwrap_err().to_string();
    assert!(error.starts_with("\"c 9:1 w\" after \"c 9:* rwm\": "), "{error}");
}

#[test]
fn a_partial_rule_for_all_kinds_is_two_rules() {
    let all = rules(r#"[{"allow": true, "access": "rwm"}, {"allow": false, "major": 8, "access": "w"}]"#);
    assert_eq!(texts(&all), ["allow a", "deny b 8:* w", "deny c 8:* w"]);
}

#[test]
fn what_is_no_rule_is_refused_by_name() {
    for (json, expected) in [
        (r#"{"allow": true}"#, "[0]: access: is empty"),
        (r#"{"allow": true, "access": "rx"}"#, "[0]: access: \"rx\" has a letter"),
        (r#"{"allow": true, "access": "r", "type": "p"}"#, "[0]: type: \"p\" cannot"),
        (r#"{"allow": true, "access": "r", "major": -2}"#, "[0]: major: -2 is not"),
        (r#"{"allow": true, "access": "r", "minor": 4294967296}"#, "[0]: minor: 4294967296 is not"),
    ] {
        let said: LinuxDeviceCgroup = serde_json::from_str(json).unwrap();
        let error = format!("{:#}", lower(&[said]).unwrap_err());
        assert!(error.starts_with(expected), "{error}");
    }
}
