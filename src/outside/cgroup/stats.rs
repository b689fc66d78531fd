//! What a cgroup has used so far, in the form of runc's `events`: times in nanoseconds, sizes in bytes, nothing where
//! nobody counts.
//!
//! Runs in the runtime's process and only reads. The form is that of cgroup v1; v2's numbers are converted.

use super::Cgroup;
use super::dir::{Dir, Version};
use serde_json::{Map, Value, json};

/// The `data` of an event of type "stats".
pub fn read(cgroup: &Cgroup) -> Value {
    let of = |controller: &str| {
        let v2 = |dir: &&Dir| dir.version == Version::V2 && cgroup.dirs.len() == 1;
        cgroup.dirs.iter().find(|dir| dir.has(controller) || v2(dir))
    };
    let section = |controller: &str, v1: fn(&Dir) -> Value, v2: fn(&Dir) -> Value| match of(controller) {
        Some(dir) if dir.version == Version::V1 => v1(dir),
        Some(dir) => v2(dir),
        None => json!({}),
    };
    let mut cpu = section("cpuacct", cpu_usage_v1, cpu_v2);
    if let Some(dir) = of("cpu").filter(|dir| dir.version == Version::V1) {
        cpu["throttling"] = throttling(dir, "throttled_time", 1);
    }
    json!({
        "cpu": cpu,
        "cpuset": section("cpuset", cpuset_v1, cpuset_v2),
        "memory": section("memory", memory_v1, memory_v2),
        "pids": section("pids", pids, pids),
        "blkio": section("blkio", block_io_v1, block_io_v2),
        "hugetlb": section("hugetlb", huge_pages_v1, huge_pages_v2),
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

fn number(dir: &Dir, file: &str) -> Option<u64> {
    parse(dir.read(file).ok()?.trim())
}

/// "max", no limit, is the largest number, as v1 has it.
fn parse(text: &str) -> Option<u64> {
    if text == "max" { Some(u64::MAX) } else { text.parse().ok() }
}

/// A file of lines "name number".
fn table(dir: &Dir, file: &str) -> Map<String, Value> {
    let text = dir.read(file).unwrap_or_default();
    let line = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), json!(value.trim().parse::<u64>().ok()?)))
    };
    text.lines().filter_map(line).collect()
}

fn entry(table: &Map<String, Value>, name: &str) -> u64 {
    table.get(name).and_then(Value::as_u64).unwrap_or(0)
}

fn throttling(dir: &Dir, time: &str, nanoseconds: u64) -> Value {
    let stat = table(dir, "cpu.stat");
    json!({
        "periods": entry(&stat, "nr_periods"),
        "throttledPeriods": entry(&stat, "nr_throttled"),
        "throttledTime": entry(&stat, time) * nanoseconds,
    })
}

fn cpu_v2(dir: &Dir) -> Value {
    let stat = table(dir, "cpu.stat");
    let mut cpu = json!({
        "usage": {
            "total": entry(&stat, "usage_usec") * 1000,
            "kernel": entry(&stat, "system_usec") * 1000,
            "user": entry(&stat, "user_usec") * 1000,
        },
        "throttling": throttling(dir, "throttled_usec", 1000),
    });
    add_pressure(&mut cpu, dir, "cpu.pressure");
    cpu
}

/// The kernel counts user and kernel time there in ticks of 10 ms (USER_HZ), and per processor in nanoseconds.
fn cpu_usage_v1(dir: &Dir) -> Value {
    const TICK: u64 = 10_000_000;
    let stat = table(dir, "cpuacct.stat");
    let numbers = |text: String| text.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<u64>>();
    let each = dir.read("cpuacct.usage_all").unwrap_or_default();
    let column = |index: usize| {
        let number = |line: &str| line.split(' ').nth(index)?.parse().ok();
        each.lines().skip(1).filter_map(number).collect::<Vec<u64>>()
    };
    json!({"usage": {
        "total": number(dir, "cpuacct.usage").unwrap_or(0),
        "percpu": numbers(dir.read("cpuacct.usage_percpu").unwrap_or_default()),
        "percpu_user": column(1),
        "percpu_kernel": column(2),
        "kernel": entry(&stat, "system") * TICK,
        "user": entry(&stat, "user") * TICK,
    }})
}

fn cpuset_v1(dir: &Dir) -> Value {
    let flag = |name: &str| number(dir, &format!("cpuset.{name}")).unwrap_or(0);
    let level = dir.read("cpuset.sched_relax_domain_level").ok().and_then(|text| text.trim().parse::<i64>().ok());
    json!({
        "cpus": list(&dir.read("cpuset.cpus").unwrap_or_default()),
        "cpu_exclusive": flag("cpu_exclusive"),
        "mems": list(&dir.read("cpuset.mems").unwrap_or_default()),
        "mem_hardwall": flag("mem_hardwall"),
        "mem_exclusive": flag("mem_exclusive"),
        "memory_migrate": flag("memory_migrate"),
        "memory_spread_page": flag("memory_spread_page"),
        "memory_spread_slab": flag("memory_spread_slab"),
        "memory_pressure": flag("memory_pressure"),
        "sched_load_balance": flag("sched_load_balance"),
        "sched_relax_domain_level": level.unwrap_or(0),
    })
}

fn cpuset_v2(dir: &Dir) -> Value {
    let effective = |name: &str| list(&dir.read(name).unwrap_or_default());
    json!({"cpus": effective("cpuset.cpus.effective"), "mems": effective("cpuset.mems.effective")})
}

/// `0-2,7` → 0, 1, 2, 7.
fn list(text: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<u16>().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

fn memory_v1(dir: &Dir) -> Value {
    let group = |prefix: &str| {
        let of = |name: &str| number(dir, &format!("memory.{prefix}{name}"));
        let limit = of("limit_in_bytes")?;
        let (usage, max) = (of("usage_in_bytes").unwrap_or(0), of("max_usage_in_bytes").unwrap_or(0));
        Some(json!({"limit": limit, "usage": usage, "max": max, "failcnt": of("failcnt").unwrap_or(0)}))
    };
    let raw = table(dir, "memory.stat");
    let mut memory = json!({"cache": entry(&raw, "cache"), "raw": raw});
    for (name, prefix) in [("usage", ""), ("swap", "memsw."), ("kernel", "kmem."), ("kernelTCP", "kmem.tcp.")] {
        if let Some(found) = group(prefix) {
            memory[name] = found;
        }
    }
    memory
}

/// Swap is reported together with memory, as v1 counts it.
fn memory_v2(dir: &Dir) -> Value {
    let raw = table(dir, "memory.stat");
    let Some(usage) = number(dir, "memory.current") else { return json!({"raw": raw}) };
    let limit = number(dir, "memory.max").unwrap_or(u64::MAX);
    let mut memory = json!({"cache": entry(&raw, "file"), "raw": raw});
    memory["usage"] =
        json!({"limit": limit, "usage": usage, "max": number(dir, "memory.peak").unwrap_or(0), "failcnt": 0});
    if let Some(swap) = number(dir, "memory.swap.current") {
        let swap_limit = number(dir, "memory.swap.max").unwrap_or(u64::MAX);
        let together = if swap_limit == u64::MAX { swap_limit } else { swap_limit.saturating_add(limit) };
        memory["swap"] = json!({"limit": together, "usage": swap + usage, "failcnt": 0});
    }
    add_pressure(&mut memory, dir, "memory.pressure");
    memory
}

/// No limit is 0 here.
fn pids(dir: &Dir) -> Value {
    let limit = number(dir, "pids.max").filter(|limit| *limit != u64::MAX);
    json!({"current": number(dir, "pids.current").unwrap_or(0), "limit": limit.unwrap_or(0)})
}

/// `8:0 Read 4096` of the throttling layer, which sees every request; the proportional one only some schedulers have.
fn block_io_v1(dir: &Dir) -> Value {
    let entries = |file: &str| {
        let line = |line: &str| {
            let mut words = line.split(' ');
            let (major, minor) = words.next()?.split_once(':')?;
            Some(device(major, minor, words.next()?, words.next()?.parse().ok()?))
        };
        dir.read(file).unwrap_or_default().lines().filter_map(line).collect::<Vec<Value>>()
    };
    json!({
        "ioServiceBytesRecursive": entries("blkio.throttle.io_service_bytes_recursive"),
        "ioServicedRecursive": entries("blkio.throttle.io_serviced_recursive"),
    })
}

fn device(major: &str, minor: &str, what: &str, value: u64) -> Value {
    let id = |text: &str| text.parse::<u64>().unwrap_or(0);
    json!({"major": id(major), "minor": id(minor), "op": what, "value": value})
}

/// `8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0`.
fn block_io_v2(dir: &Dir) -> Value {
    let (mut bytes, mut counts) = (Vec::new(), Vec::new());
    for line in dir.read("io.stat").unwrap_or_default().lines() {
        let mut words = line.split(' ');
        let Some((major, minor)) = words.next().and_then(|id| id.split_once(':')) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, what) = match key {
                "rbytes" => (&mut bytes, "Read"),
                "wbytes" => (&mut bytes, "Write"),
                "dbytes" => (&mut bytes, "Discard"),
                "rios" => (&mut counts, "Read"),
                "wios" => (&mut counts, "Write"),
                "dios" => (&mut counts, "Discard"),
                _ => continue,
            };
            list.push(device(major, minor, what, value.parse().unwrap_or(0)));
        }
    }
    let mut all = json!({"ioServiceBytesRecursive": bytes, "ioServicedRecursive": counts});
    add_pressure(&mut all, dir, "io.pressure");
    all
}

/// The sizes that this machine has.
fn page_sizes() -> Vec<String> {
    let names = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let kilobytes = names.filter_map(|entry| {
        entry.file_name().to_str()?.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse::<u64>().ok()
    });
    let size = |kb: u64| match kb {
        kb if kb % (1 << 20) == 0 => format!("{}GB", kb >> 20),
        kb if kb % (1 << 10) == 0 => format!("{}MB", kb >> 10),
        kb => format!("{kb}KB"),
    };
    kilobytes.map(size).collect()
}

fn huge_pages(usage: impl Fn(&str) -> Option<Value>) -> Value {
    Value::Object(page_sizes().into_iter().filter_map(|size| Some((size.clone(), usage(&size)?))).collect())
}

fn huge_pages_v1(dir: &Dir) -> Value {
    huge_pages(|size| {
        let of = |name: &str| number(dir, &format!("hugetlb.{size}.{name}"));
        let (max, failures) = (of("max_usage_in_bytes").unwrap_or(0), of("failcnt").unwrap_or(0));
        Some(json!({"usage": of("usage_in_bytes")?, "max": max, "failcnt": failures}))
    })
}

fn huge_pages_v2(dir: &Dir) -> Value {
    huge_pages(|size| {
        let usage = number(dir, &format!("hugetlb.{size}.current"))?;
        Some(json!({"usage": usage, "failcnt": entry(&table(dir, &format!("hugetlb.{size}.events")), "max")}))
    })
}

/// Pressure stall information, where the kernel has it (Linux 4.20, booted with psi=1).
fn add_pressure(section: &mut Value, dir: &Dir, file: &str) {
    let Ok(text) = dir.read(file) else { return };
    let mut psi = Map::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let Some(kind @ ("some" | "full")) = words.next() else { continue };
        let number =
            |value: &str| value.parse::<u64>().map(Value::from).or_else(|_| value.parse::<f64>().map(Value::from));
        let pair = |word: &str| {
            let (name, value) = word.split_once('=')?;
            Some((name.to_owned(), number(value).ok()?))
        };
        psi.insert(kind.to_owned(), Value::Object(words.filter_map(pair).collect()));
    }
    if !psi.is_empty() {
        section["psi"] = Value::Object(psi);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_unfolded() {
        assert_eq!(list("0-2,7\n"), [0, 1, 2, 7]);
        assert!(list("\n").is_empty());
    }

    #[test]
    fn no_limit_is_the_largest_number() {
        assert_eq!((parse("max"), parse("7"), parse("x")), (Some(u64::MAX), Some(7), None));
    }
}
