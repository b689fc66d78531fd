//! How much memory a document takes while it is read and planned.
//!
//! The bound is five times its text, and 768 bytes for each of its values: an empty string is three bytes of text, and 24
//! of a `String` in a `Vec` that doubles, once as it was said and once in the plan; an object that has to be looked at
//! twice is a node of a tree. 512 KiB are for what does not depend on the document: tables, and the regular expressions of
//! oci-spec, made once. More than 262,144 values are refused, which makes it 192 MiB at most over five times the text.

use super::fuzz_tests::full;
use super::tests::{cgroups, request, with};
use super::*;
use crate::fuzz::{bundle_of, often};
use crate::spec;
use crate::sys::alloc::counted::peak;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const CONSTANT: usize = 512 << 10;
const OF_A_VALUE: usize = 768;

/// Bytes at most while it is read, and until it is planned.
fn measure(text: &[u8]) -> (usize, usize) {
    let bundle = bundle_of(text);
    let host = Host { cgroups: cgroups(), ..Host::for_tests() };
    let (_, reading) = peak(|| spec::read(bundle.path()));
    let (_, both) =
        peak(|| spec::read(bundle.path()).map(|read| (create(&read.spec, &request(), &host).is_ok(), read)));
    (reading, both)
}

fn values(document: &Value) -> usize {
    match document {
        Value::Array(list) => 1 + list.iter().map(values).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(values).sum::<usize>(),
        _ => 1,
    }
}

#[track_caller]
fn stays_bounded(what: &str, document: &Value) {
    let text = serde_json::to_vec(document).unwrap();
    let (values, began) = (values(document), Instant::now());
    let (reading, both) = measure(&text);
    let (time, size) = (began.elapsed(), text.len());
    let times = |bytes: usize| bytes as f64 / size as f64;
    println!(
        "{what:35} {size:>9} bytes {values:>8} values  read {:5.2}  planned {:5.2}  {time:?}",
        times(reading),
        times(both)
    );
    let bound = 5 * size + OF_A_VALUE * values + CONSTANT;
    assert!(both.max(reading) <= bound, "{what}: {both} bytes for {size} bytes and {values} values");
    assert!(time < Duration::from_secs(30), "{what}: {time:?}");
}

/// A list made of numbers up to there.
fn list(count: usize, one: impl Fn(usize) -> Value) -> Value {
    (0..count).map(one).collect()
}

fn map(count: usize, one: impl Fn(usize) -> (String, Value)) -> Value {
    (0..count).map(one).collect()
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!({}), |inner, _| json!({"a": inner}))
}

const MANY: usize = 100_000;

/// What a person might mean, and far too much of it: a multiple of the text is the bound, whatever the number of values.
#[test]
fn a_large_document_takes_a_multiple_of_its_text() {
    let pair = |n: usize| json!(format!("NAME_{n}=some value {n}"));
    let mount = |n: usize| json!({"destination": format!("/mnt/{n}"), "type": "bind", "source": format!("/srv/{n}"), "options": ["rbind", "ro"]});
    let device = |n: usize| json!({"path": format!("/dev/x{n}"), "type": "c", "major": 1, "minor": n, "uid": 0, "gid": 0, "fileMode": 438});
    let hook =
        |n: usize| json!({"path": format!("/usr/libexec/hook-{n}"), "args": ["hook", "poststop", n.to_string()]});
    for (times, what, document) in [
        (5, "env", with("/process/env", list(MANY, pair))),
        (5, "a string of 1 MiB", with("/process/cwd", json!(format!("/{}", "a".repeat(1 << 20))))),
        (5, "1 MiB in env", with("/process/env", json!([format!("A={}", "a".repeat(1 << 20))]))),
        (5, "a path of 500,000 parts", with("/process/cwd", json!("/a".repeat(500_000)))),
        (5, "groups", with("/process/user/additionalGids", list(MANY, |n| json!(n)))),
        (5, "devices", with("/linux/devices", list(MANY / 10, device))),
        (7, "mounts", with("/mounts", list(MANY / 10, mount))),
        (
            7,
            "annotations",
            with("/annotations", map(MANY / 10, |n| (format!("com.example.key.{n}"), json!(format!("value {n}"))))),
        ),
        (8, "hooks", with("/hooks", json!({"poststop": list(MANY / 10, hook)}))),
        (9, "masks", with("/linux/maskedPaths", list(MANY, |n| json!(format!("/proc/{n}"))))),
    ] {
        stays_bounded(what, &document);
        let text = serde_json::to_vec(&document).unwrap();
        let (reading, both) = measure(&text);
        assert!(both.max(reading) <= times * text.len() + CONSTANT, "{what}: {both} bytes for {}", text.len());
    }
}

/// What nobody means.
#[test]
fn every_value_takes_a_bounded_amount() {
    let empty = || list(MANY, |_| json!(""));
    let rules =
        |count, one: fn(usize) -> Value| json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(count, one)});
    let with_second_look = |mut document: Value| {
        document["linux"]["devices"] = json!([{"path": "/dev/x", "type": "p", "major": 0}]);
        document
    };
    let refused = |mut document: Value| {
        document["linux"]["devices"] = json!(5);
        document
    };
    let env = with("/process/env", list(MANY, |n| json!(format!("NAME_{n}=some value {n}"))));
    for (what, document) in [
        ("env, looked at twice", with_second_look(env.clone())),
        ("env, with an error elsewhere", refused(env)),
        ("pairs of three bytes", with("/process/env", list(MANY, |n| json!(format!("{n}="))))),
        ("empty strings in args", with("/process/args", empty())),
        ("empty annotations", with("/annotations", map(MANY, |n| (n.to_string(), json!(""))))),
        ("mounts of nothing", with("/mounts", list(MANY, |_| json!({})))),
        ("least mounts", with("/mounts", list(60_000, |_| json!({"destination": "/a"})))),
        ("limits of nothing", with("/process/rlimits", list(MANY, |_| json!({})))),
        ("least hooks", with("/hooks", json!({"poststop": list(MANY, |_| json!({"path": "/a"}))}))),
        (
            "options",
            with(
                "/mounts",
                json!([{"destination": "/a", "type": "tmpfs", "options": list(MANY, |n| json!(["dirsync", "ro"][n % 2]))}]),
            ),
        ),
        (
            "options of a file system",
            with(
                "/mounts",
                json!([{"destination": "/a", "type": "tmpfs", "options": list(MANY, |n| json!(format!("x{n}=5")))}]),
            ),
        ),
        (
            "unknown options",
            with(
                "/mounts",
                json!([{"destination": "/a", "type": "bind", "source": "/b", "options": list(MANY, |n| json!(format!("x{n}")))}]),
            ),
        ),
        (
            "names of calls",
            with(
                "/linux/seccomp",
                json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": list(MANY, |_| json!("read")), "action": "SCMP_ACT_ERRNO"}]}),
            ),
        ),
        (
            "rules",
            with(
                "/linux/seccomp",
                rules(
                    MANY / 4,
                    |n| json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": n, "op": "SCMP_CMP_GT"}]}),
                ),
            ),
        ),
        (
            "files of a cgroup",
            with("/linux/resources", json!({"unified": map(MANY, |n| (format!("a.{n}"), json!("")))})),
        ),
        (
            "huge pages",
            with(
                "/linux/resources",
                json!({"hugepageLimits": list(MANY / 2, |_| json!({"pageSize": "2MB", "limit": 5}))}),
            ),
        ),
        (
            "throttles",
            with(
                "/linux/resources",
                json!({"blockIO": {"throttleReadBpsDevice": list(MANY / 2, |_| json!({"major": 8, "minor": 1, "rate": 5}))}}),
            ),
        ),
        ("unknown capabilities", with("/process/capabilities", json!({"bounding": list(MANY, |_| json!("CAP_X"))}))),
        ("masks", with("/linux/maskedPaths", list(MANY, |n| json!(format!("/{n}"))))),
        ("sysctls", with("/linux/sysctl", map(MANY, |n| (format!("net.{n}"), json!("1"))))),
        ("what is not known", with_second_look(with("/unknown", list(2 * MANY, |_| json!(1))))),
        ("what is not known, and an error", refused(with("/unknown", list(2 * MANY, |_| json!(1))))),
        ("unknown objects", with_second_look(with("/unknown", list(MANY, |n| json!({"a": n}))))),
        ("unknown objects in each other", with_second_look(with("/unknown", list(MANY / 50, |_| nested(50))))),
        ("a name of 1 MiB", with("/hostname", json!("a".repeat(1 << 20)))),
        ("what is written as escapes", with("/process/cwd", json!(format!("/{}", "\n".repeat(1 << 20))))),
    ] {
        stays_bounded(what, &document);
    }
}

/// It stands in the warning or in the error as well, and in what serde says on the way there.
#[test]
fn a_word_of_a_mebibyte_that_is_complained_of_takes_a_multiple_of_it() {
    let word = || "a".repeat(1 << 20);
    for (times, document) in [
        (7, with("/linux/namespaces", json!([{"type": word()}]))),
        (13, with("/process/capabilities", json!({"bounding": [word()]}))),
    ] {
        let (reading, both) = measure(&serde_json::to_vec(&document).unwrap());
        assert!(reading.max(both) < times << 20, "{reading} {both}");
    }
}

#[test]
fn deep_documents_are_refused_before_they_take_anything() {
    for text in ["[".repeat(1 << 20), r#"{"a":"#.repeat(200_000), format!(r#"{{"process":{}"#, "[".repeat(1 << 20))] {
        let (reading, both) = measure(text.as_bytes());
        assert!(reading.max(both) < 2 * text.len() + CONSTANT, "{reading} {both}");
    }
}

#[test]
fn a_document_of_too_many_values_is_refused_before_they_take_anything() {
    let million = |value: Value| with("/process/user/additionalGids", list(1_000_000, |_| value.clone()));
    for (value, count) in
        [(json!(1), 1_000_015), (json!(""), 1_000_015), (json!({}), 2_000_015), (json!([]), 2_000_015)]
    {
        let text = serde_json::to_vec(&million(value)).unwrap();
        let error = spec::parse(&text).err().expect("a refusal").to_string();
        let words = "and at most 262144 are read; leave out what is there without need";
        assert_eq!(error, format!("has {count} values, {words}"));
        let (reading, _) = measure(&text);
        assert!(reading < text.len() + CONSTANT, "{reading}");
    }
    let commas = with("/annotations", json!({"x": ",\\\",".repeat(1 << 20)}));
    assert!(spec::parse(&serde_json::to_vec(&commas).unwrap()).is_ok(), "no commas between values");
}

#[test]
fn changed_documents_take_a_bounded_amount() {
    let full = full();
    often(300, |random| {
        let mut document = full.clone();
        for _ in 0..=random.below(6) {
            random.change(&mut document);
        }
        let text = serde_json::to_vec(&document).unwrap();
        let (reading, both) = measure(&text);
        let bound = 5 * text.len() + OF_A_VALUE * values(&document) + CONSTANT;
        assert!(reading.max(both) <= bound, "{reading} {both} for {}", text.len());
    });
}
