//! Devices denied and allowed, by opening them.

use super::*;

#[test]
fn a_denied_device_cannot_be_opened_and_an_allowed_one_can() {
    on_each_layout(|host| {
        // A mode between: /dev/kmsg may be read, but not written, also not by asking for both.
        for (rules, script) in [
            ("[]", "head -c1 /dev/zero && ! true </dev/kmsg"),
            (r#"[{"allow": true, "access": "rwm"}]"#, "true </dev/kmsg"),
            (
                r#"[{"allow": true, "type": "c", "major": 1, "minor": 11, "access": "r"}]"#,
                "true </dev/kmsg && ! true <>/dev/kmsg",
            ),
            (
                r#"[{"allow": true, "access": "rwm"},
                    {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "w"}]"#,
                "true </dev/kmsg && ! true <>/dev/kmsg && ! true >>/dev/kmsg",
            ),
        ] {
            let cgroup =
                create(&planned(host, &format!("/{}", name()), &format!(r#"{{"devices": {rules}}}"#))).unwrap();
            let mut victim = Victim::inside(&cgroup, &format!("{{ {script}; }} 2>/dev/null"));
            assert!(victim.0.wait().unwrap().success(), "{rules}: {script}");
        }
    });
}

#[test]
fn device_rules_replace_those_before() {
    on_each_layout(|host| {
        let top = format!("/{}", name());
        let with = |rules: &str| planned(host, &top, &format!(r#"{{"devices": {rules}}}"#));
        let cgroup = create(&with("[]")).unwrap();
        let all = r#"[{"allow": true, "access": "rwm"}]"#;
        let programs = |cgroup: &Cgroup| crate::sys::bpf::attached(cgroup.v2().unwrap().fd().unwrap()).unwrap().len();
        for (rules, expected, count) in [("[]", "! true", 1), (all, "true", 0), ("[]", "! true", 1)] {
            let again = create(&with(rules)).unwrap().keep();
            let mut victim = Victim::inside(&again, &format!("{expected} </dev/kmsg 2>/dev/null"));
            assert!(victim.0.wait().unwrap().success(), "{rules}");
            if is_v2(host) {
                assert_eq!(programs(&again), count);
            }
        }
        drop(cgroup);
    });
}

#[test]
fn the_kernel_takes_every_kind_of_program() {
    if credentials::effective_uid() != 0 {
        return eprintln!("not tested: needs root");
    }
    let kinds = ["a", "b", "c"];
    for number in 0..729u32 {
        // Two rules: kind, allow, wildcard or not, whole access or part, in every combination.
        let rule = |n: u32| {
            let (kind, minor) =
                (kinds[(n % 3) as usize], ["", r#""minor": 3, "#, r#""minor": 3, "#][(n / 3 % 3) as usize]);
            let major = if n / 3 % 3 == 2 { r#""major": 9, "# } else { "" };
            let (allow, access) = ([true, false][(n / 9 % 2) as usize], ["rwm", "r", "wm"][(n / 9 % 3) as usize]);
            format!(r#"{{"allow": {allow}, "type": "{kind}", {major}{minor}"access": "{access}"}}"#)
        };
        let json = format!("[{}, {}]", rule(number % 27), rule(number / 27));
        let rules = device_rules::lower(&serde_json::from_str::<Vec<_>>(&json).unwrap()).unwrap();
        crate::sys::bpf::load_device_program(&rules.program()).unwrap_or_else(|error| panic!("{json}: {error}"));
    }
}
