//! events and stats: what a container uses.

use crate::harness::{Bundle, eventually, read};
use crate::needs;
use serde_json::{Value, json};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON document a line")).collect()
}

#[test]
fn one_line_of_statistics() {
    needs!(root);
    let container = Bundle::busybox().sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 600").start();
    let text = container.does("events", ["--stats"]).ok().stdout;
    let start = format!("{{\"type\":\"stats\",\"id\":\"{}\",\"data\":{{", container.id());
    assert!(text.starts_with(&start), "scripts read it as text: {text}");
    let line = lines(&text).pop().expect("one line");
    assert_eq!((line["type"].as_str(), line["id"].as_str()), (Some("stats"), Some(container.id())));
    for key in ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt"] {
        assert!(line["data"][key].is_object(), "{key} in {line}");
    }
    assert_eq!(line["data"]["network_interfaces"], Value::Null);
}

#[test]
fn time_and_memory_and_processes_are_counted() {
    needs!(root);
    needs!(controller "cpu");
    needs!(controller "memory");
    needs!(controller "pids");
    let container = Bundle::busybox()
        .limit_pids(50)
        .set("/linux/resources/memory", json!({"limit": 100_000_000}))
        .sh("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo done; sleep 600")
        .start();
    container.has_said("done");
    let line = lines(&container.does("events", ["--stats"]).ok().stdout).remove(0);
    let number = |pointer: &str| {
        line["data"].pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer} in {line}"))
    };
    assert!(number("/cpu/usage/total") > 1_000_000);
    assert!(number("/cpu/usage/kernel") + number("/cpu/usage/user") > 0);
    assert!((99_000_000..=100_000_000).contains(&number("/memory/usage/limit")));
    assert!((10_000..100_000_000).contains(&number("/memory/usage/usage")));
    assert!(number("/memory/raw/pgfault") > 0);
    assert_eq!(number("/pids/limit"), 50);
    assert!((1..5).contains(&number("/pids/current")));
}

#[test]
fn statistics_go_on_until_the_container_ends() {
    needs!(root);
    let container = Bundle::busybox().start();
    let events = container.runtime(["events", "--interval", "50ms", container.id()]).spawn();
    eventually("three lines", || events.stdout().lines().count() >= 3);
    container.kill("KILL").ok();
    let output = events.wait().ok();
    assert!(lines(&output.stdout).iter().all(|line| line["type"] == "stats"));
}

#[test]
fn want_of_memory_is_an_event() {
    needs!(root);
    needs!(controller "memory");
    let eat = "sleep 0.3; dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; echo survived; sleep 600";
    let container = Bundle::busybox()
        .set("/linux/resources/memory", json!({"limit": 20_000_000, "swap": 20_000_000}))
        .sh(eat)
        .create();
    let events = container.runtime(["events", "--interval", "1h", container.id()]).spawn();
    eventually("it listens", || read(format!("/proc/{}/wchan", events.pid())).contains("poll"));
    let container = container.start();
    eventually("the event", || lines(&events.stdout()).iter().any(|line| line["type"] == "oom"));
    assert_eq!(lines(&events.stdout())[0], json!({"type": "oom", "id": container.id()}));
    container.kill("KILL").ok();
    events.wait().ok();
}

#[test]
fn what_does_not_run_has_no_statistics() {
    needs!(root);
    let container = Bundle::busybox().sh("exit 0").start();
    container.reaches("stopped");
    container.does("events", ["--stats"]).refused(&format!("container with id {} is not running", container.id()));
    let container = Bundle::busybox().start();
    container.does("events", ["--interval=0s"]).refused("duration interval must be greater than 0");
    container.does("events", ["--interval=often"]).refused("is no duration");
}

#[test]
fn a_busy_container_shows_a_whole_processor_in_the_table() {
    needs!(root);
    needs!(controller "cpu");
    let busy = Bundle::busybox().sh("while :; do :; done").start();
    let output = busy.runtime(["stats", busy.id()]).output().ok();
    let mut words = output.stdout.lines().nth(1).expect("a line").split_whitespace();
    assert_eq!(words.next(), Some(busy.id()));
    let share: f64 = words.next().and_then(|word| word.strip_suffix('%')?.parse().ok()).expect("a share");
    assert!((10.0..110.0).contains(&share), "{}", output.stdout);
}
