//! The properties of a container's scope: what systemd is told of its limits, so that it knows, shows and keeps them when
//! it reads its configuration again. Pure.
//!
//! The limits themselves are written into the cgroup's files as for every other container, with nothing rounded. The
//! table goes from the file to the property, so a value of `unified` has its property like any other, and a new knob is
//! one row. <https://www.freedesktop.org/software/systemd/man/latest/systemd.resource-control.html>

use super::variant::{self, Variant};
use super::{IfMissing, Layout, Setting};
use crate::error::{Context, Result, bail, ensure};
use crate::plan::device_rules::DeviceRules;
use std::collections::{BTreeMap, HashMap};

/// One property of a unit.
#[derive(Clone, PartialEq, Debug)]
pub struct Property {
    pub name: String,
    pub value: Variant,
    pub need: Need,
}

/// What it means when this systemd does not know the property, or not this value of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Need {
    Must,
    /// The files of the cgroup say it anyway.
    Nice,
}

/// `org.systemd.property.NAME`; runc and crun have it too.
pub const PROPERTY: &str = "org.systemd.property.";

/// systemd writes "no limit" and "not set" so.
const INFINITY: u64 = u64::MAX;

/// A file of the cgroup, and what systemd is told of a value in it.
struct Row {
    file: &'static str,
    tell: fn(&str) -> Option<Told>,
}

/// Name and value, one or two of them.
type Told = Vec<(&'static str, Variant)>;

const fn row(file: &'static str, tell: fn(&str) -> Option<Told>) -> Row {
    Row { file, tell }
}

const TABLE: &[Row] = &[
    // cgroup v2
    row("memory.max", |v| amount("MemoryMax", v)),
    row("memory.high", |v| amount("MemoryHigh", v)),
    row("memory.low", |v| amount("MemoryLow", v)),
    row("memory.min", |v| amount("MemoryMin", v)),
    row("memory.swap.max", |v| amount("MemorySwapMax", v)),
    row("memory.zswap.max", |v| amount("MemoryZSwapMax", v)),
    row("pids.max", |v| amount("TasksMax", v)),
    row("cpu.weight", |v| amount("CPUWeight", v)),
    // CPUWeight=idle is 0; what is not idle has a weight, and needs no word.
    row("cpu.idle", |v| (v == "1").then(|| vec![("CPUWeight", Variant::U64(0))])),
    row("cpu.max", |v| {
        let (quota, period) = v.split_once(' ').unwrap_or((v, "100000"));
        bandwidth(quota.parse().ok(), period.trim().parse().ok()?)
    }),
    row("cpuset.cpus", |v| set("AllowedCPUs", v)),
    row("cpuset.mems", |v| set("AllowedMemoryNodes", v)),
    row("io.weight", |v| match v.split_once(' ') {
        None => amount("IOWeight", v),
        Some(("default", weight)) => amount("IOWeight", weight),
        Some((device, weight)) => device_amount("IODeviceWeight", device, weight),
    }),
    row("io.max", |v| {
        let (device, limits) = v.split_once(' ')?;
        let one = |limit: &str| {
            let (key, value) = limit.split_once('=')?;
            let names = [
                ("rbps", "IOReadBandwidthMax"),
                ("wbps", "IOWriteBandwidthMax"),
                ("riops", "IOReadIOPSMax"),
                ("wiops", "IOWriteIOPSMax"),
            ];
            device_amount(names.iter().find(|(name, _)| *name == key)?.1, device, value)
        };
        Some(limits.split_whitespace().filter_map(one).flatten().collect())
    }),
    // cgroup v1
    row("memory.limit_in_bytes", |v| amount("MemoryLimit", v)),
    row("cpu.shares", |v| amount("CPUShares", v)),
    row("blkio.weight", |v| amount("BlockIOWeight", v)),
    row("blkio.throttle.read_bps_device", |v| {
        v.split_once(' ').and_then(|(device, rate)| device_amount("BlockIOReadBandwidth", device, rate))
    }),
    row("blkio.throttle.write_bps_device", |v| {
        v.split_once(' ').and_then(|(device, rate)| device_amount("BlockIOWriteBandwidth", device, rate))
    }),
];

fn number(text: &str) -> Option<u64> {
    match text.trim() {
        "max" | "-1" => Some(INFINITY),
        text => text.parse().ok(),
    }
}

fn amount(name: &'static str, text: &str) -> Option<Told> {
    Some(vec![(name, Variant::U64(number(text)?))])
}

/// systemd keeps whole percents of one CPU, rounded up here so that it never allows less than was asked for.
fn bandwidth(quota: Option<u64>, period: u64) -> Option<Told> {
    const PERCENT: u64 = 10_000;
    let per_second = match quota {
        None => INFINITY,
        Some(quota) => quota.checked_mul(1_000_000)?.checked_div(period)?.checked_next_multiple_of(PERCENT)?,
    };
    Some(vec![("CPUQuotaPeriodUSec", Variant::U64(period)), ("CPUQuotaPerSecUSec", Variant::U64(per_second))])
}

/// A list as `0-3,7` in bits; an empty one takes the restriction away.
fn set(name: &'static str, list: &str) -> Option<Told> {
    /// Linux has no more CPUs than this.
    const MOST: usize = 8192;
    let mut bytes = Vec::new();
    for range in list.trim().split(',').map(str::trim).filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST {
            return None; // the kernel refuses it with a hint
        }
        bytes.resize(bytes.len().max(last / 8 + 1), 0u8);
        (first..=last).for_each(|bit| bytes[bit / 8] |= 1 << (bit % 8));
    }
    Some(vec![(name, Variant::bytes(bytes))])
}

fn device_amount(name: &'static str, device: &str, text: &str) -> Option<Told> {
    let entry = Variant::Struct(vec![Variant::text(format!("/dev/block/{device}")), Variant::U64(number(text)?)]);
    Some(vec![(name, Variant::array("(st)", vec![entry]))])
}

/// What systemd is told of these settings; what it has no property for stays between us and the kernel.
pub fn of_settings(settings: &[Setting]) -> Vec<Property> {
    let mut all = Vec::new();
    for setting in settings {
        for (name, value) in tell(setting) {
            put(&mut all, Property { name: name.to_owned(), value, need: Need::Nice });
        }
    }
    for (name, value) in v1_bandwidth(settings) {
        put(&mut all, Property { name: name.to_owned(), value, need: Need::Nice });
    }
    all
}

fn tell(setting: &Setting) -> Told {
    let row = TABLE.iter().find(|row| row.file == setting.file);
    match (row, &setting.if_missing) {
        (Some(row), _) => (row.tell)(setting.value.trim()).unwrap_or_default(),
        (None, IfMissing::Instead(other)) => tell(other),
        (None, _) => Vec::new(),
    }
}

/// v1 has two files for what is one thing to systemd.
fn v1_bandwidth(settings: &[Setting]) -> Told {
    let value = |file: &str| settings.iter().rev().find(|s| s.file == file).map(|s| s.value.as_str());
    let (quota, period) = (value("cpu.cfs_quota_us"), value("cpu.cfs_period_us"));
    if quota.or(period).is_none() {
        return Vec::new();
    }
    let period = period.and_then(|text| text.parse().ok()).unwrap_or(100_000);
    bandwidth(quota.and_then(|text| text.parse().ok()), period).unwrap_or_default()
}

/// A later value replaces, entries of lists by device are added.
fn put(all: &mut Vec<Property>, new: Property) {
    match (all.iter_mut().find(|old| old.name == new.name).map(|old| &mut old.value), new.value) {
        (Some(Variant::Array { element, items }), Variant::Array { items: more, .. }) if element == "(st)" => {
            items.extend(more);
        }
        (Some(old), value) => *old = value,
        (None, value) => all.push(Property { value, ..new }),
    }
}

/// All properties of a new scope but `PIDs`, which is known when there is a process.
pub(super) fn for_new(
    id: &str,
    slice: &str,
    layout: &Layout,
    settings: &[Setting],
    devices: Option<&DeviceRules>,
) -> Vec<Property> {
    let must = |name: &str, value| Property { name: name.to_owned(), value, need: Need::Must };
    let nice = |name: &str| Property { name: name.to_owned(), value: Variant::Bool(true), need: Need::Nice };
    let v2 = matches!(layout, Layout::V2(_));
    let mut all = vec![
        must("Description", Variant::text(format!("rruntime container {id}"))),
        must("Slice", Variant::text(slice)),
        // The files below the scope are ours: systemd makes it, and leaves what is in it alone.
        must("Delegate", Variant::Bool(true)),
        // It must outlive a shutdown of what stops "everything": its engine stops it.
        must("DefaultDependencies", Variant::Bool(false)),
        nice("CPUAccounting"),
        nice("MemoryAccounting"),
        nice("TasksAccounting"),
        nice(if v2 { "IOAccounting" } else { "BlockIOAccounting" }),
        // What failed (a process was killed for want of memory) must not keep the name occupied. systemd 236.
        Property { value: Variant::text("inactive-or-failed"), ..nice("CollectMode") },
    ];
    all.extend(of_settings(settings));
    all.extend(of_groups(settings));
    if !v2 {
        all.extend(devices.map(of_devices).unwrap_or_default());
    }
    all
}

/// `memory.oom.group` is a policy of the unit, which only a new unit takes. systemd 253.
fn of_groups(settings: &[Setting]) -> Option<Property> {
    let together = settings.iter().rev().find(|setting| setting.file == "memory.oom.group")?;
    let policy = if together.value.trim() == "1" { "kill" } else { "continue" };
    Some(Property { name: "OOMPolicy".to_owned(), value: Variant::text(policy), need: Need::Nice })
}

/// cgroup v1: systemd writes its own list whenever it looks at the unit again, so it must have ours. What it cannot say (an
/// exception to a permission) is left out: then it knows of no restriction, and does not touch the file.
///
/// On v2 nothing is said: systemd's program would be a second one beside ours, and every access must pass both. It only
/// ever replaces its own, so ours stays for the life of the cgroup.
pub fn of_devices(rules: &DeviceRules) -> Vec<Property> {
    let nice = |name: &str, value| Property { name: name.to_owned(), value, need: Need::Nice };
    let pair = |(path, access): (String, String)| Variant::Struct(vec![Variant::Text(path), Variant::Text(access)]);
    match rules.allowed() {
        Some(list) => vec![
            nice("DevicePolicy", Variant::text("strict")),
            nice("DeviceAllow", Variant::array("(ss)", list.into_iter().map(pair).collect())),
        ],
        None => vec![nice("DevicePolicy", Variant::text("auto"))],
    }
}

/// What the runtime itself decides.
const OURS: [&str; 3] = ["PIDs", "Slice", "Delegate"];

/// The annotations' properties, after ours so that they win.
pub(super) fn add_annotated(all: &mut Vec<Property>, annotations: Option<&HashMap<String, String>>) -> Result<()> {
    let mut said: Vec<_> = annotations.into_iter().flatten().filter(|(key, _)| key.starts_with(PROPERTY)).collect();
    said.sort();
    let mut properties = BTreeMap::new(); // one may be said in two ways: seconds and microseconds
    for (key, text) in said {
        let property = annotated(&key[PROPERTY.len()..], text).with_context(|| key.clone())?;
        properties.insert(property.name.clone(), property);
    }
    all.retain(|ours| !properties.contains_key(&ours.name));
    all.extend(properties.into_values());
    Ok(())
}

fn annotated(name: &str, text: &str) -> Result<Property> {
    let letters = name.len() >= 3 && name.bytes().all(|b| b.is_ascii_alphabetic());
    ensure!(letters, "{name:?} is not the name of a property: three letters at least, and nothing but letters");
    ensure!(!OURS.contains(&name), "the runtime sets {name} itself; leave it out");
    let value = variant::parse(text).with_context(|| format!("{text:?}"))?;
    let property = |name: &str, value| Property { name: name.to_owned(), value, need: Need::Must };
    // As people know it from unit files, and as D-Bus has it: TimeoutStopSec is TimeoutStopUSec.
    match name.strip_suffix("Sec").filter(|stem| stem.ends_with(|c: char| c.is_ascii_lowercase())) {
        None => Ok(property(name, value)),
        Some(stem) => match value.seconds_as_microseconds() {
            Some(microseconds) => Ok(property(&format!("{stem}USec"), Variant::U64(microseconds))),
            None => bail!("{text:?} is not a number of seconds"),
        },
    }
}

/// The way from properties that are in force to others: `new`, and before that back to "nothing set" for what only `old`
/// has, and for lists, to which systemd would add.
pub fn change(old: &[Property], new: &[Property]) -> Vec<Property> {
    let unset = |property: &Property| Property { value: nothing(property), ..property.clone() };
    let gone = old.iter().filter(|old| !new.iter().any(|new| new.name == old.name)).map(unset);
    let lists = new.iter().filter(|new| matches!(&new.value, Variant::Array { .. })).map(unset);
    gone.chain(lists).chain(new.iter().cloned()).collect()
}

/// How systemd is told that it is not set.
fn nothing(property: &Property) -> Variant {
    match &property.value {
        Variant::Array { element, .. } => Variant::array(element, Vec::new()),
        Variant::Text(_) => Variant::text("auto"), // DevicePolicy
        _ if matches!(property.name.as_str(), "MemoryLow" | "MemoryMin") => Variant::U64(0),
        _ => Variant::U64(INFINITY),
    }
}

#[cfg(test)]
mod tests {
    use super::super::v2;
    use super::*;
    use crate::plan::cgroup::Spot;
    use crate::plan::cgroup::table;

    fn v2_settings(resources: &str) -> Vec<Setting> {
        let layout = Layout::V2(Spot { mount: "/c".into(), path: "x".into() });
        table::lower(v2::TABLE, &serde_json::from_str(resources).unwrap(), &layout, &mut Vec::new()).unwrap()
    }

    fn told(resources: &str) -> Vec<(String, Variant)> {
        of_settings(&v2_settings(resources)).into_iter().map(|p| (p.name, p.value)).collect()
    }

    fn numbers(resources: &str) -> Vec<String> {
        told(resources).into_iter().map(|(name, value)| format!("{name}={value:?}")).collect()
    }

    #[test]
    fn limits_become_properties() {
        assert_eq!(
            numbers(
                r#"{"memory": {"limit": 1000, "reservation": 500, "swap": 3000}, "pids": {"limit": 0},
                    "cpu": {"shares": 1024, "quota": 25000, "period": 50000}, "blockIO": {"weight": 10}}"#
            ),
            [
                "MemorySwapMax=U64(2000)",
                "MemoryMax=U64(1000)",
                "MemoryLow=U64(500)",
                "CPUWeight=U64(100)",
                "CPUQuotaPeriodUSec=U64(50000)",
                "CPUQuotaPerSecUSec=U64(500000)",
                "TasksMax=U64(1)",
                "IOWeight=U64(1)",
            ]
        );
        assert_eq!(numbers(r#"{"memory": {"limit": -1}, "pids": {"limit": -1}}"#).len(), 3);
        assert!(numbers(r#"{"pids": {"limit": -1}}"#)[0].ends_with(&format!("U64({INFINITY})")));
    }

    #[test]
    fn a_share_of_a_percent_is_rounded_up() {
        assert_eq!(numbers(r#"{"cpu": {"quota": 33333}}"#)[1], "CPUQuotaPerSecUSec=U64(340000)");
        assert_eq!(numbers(r#"{"cpu": {"period": 50000}}"#)[1], format!("CPUQuotaPerSecUSec=U64({INFINITY})"));
    }

    #[test]
    fn values_of_unified_have_their_properties_too() {
        assert_eq!(
            numbers(r#"{"unified": {"memory.high": "7", "cpu.max": "max", "cpu.idle": "1", "hugetlb.2MB.max": "0"}}"#),
            [
                "CPUWeight=U64(0)".to_owned(),
                "CPUQuotaPeriodUSec=U64(100000)".to_owned(),
                format!("CPUQuotaPerSecUSec=U64({INFINITY})"),
                "MemoryHigh=U64(7)".to_owned(),
            ]
        );
        assert_eq!(numbers(r#"{"pids": {"limit": 5}, "unified": {"pids.max": "9"}}"#), ["TasksMax=U64(9)"]);
    }

    #[test]
    fn sets_are_bits() {
        let cpus = |list: &str| told(&format!(r#"{{"cpu": {{"cpus": {list:?}}}}}"#))[0].1.clone();
        assert_eq!(cpus("0-3,7"), Variant::bytes([0b1000_1111]));
        assert_eq!(cpus("9"), Variant::bytes([0, 2]));
        assert!(
            told(r#"{"cpu": {"cpus": "3-1"}}"#).is_empty() && told(r#"{"cpu": {"cpus": "0-99999999"}}"#).is_empty()
        );
    }

    #[test]
    fn limits_of_devices_are_one_list() {
        let resources = r#"{"blockIO": {"throttleReadBpsDevice": [
            {"major": 8, "minor": 0, "rate": 5}, {"major": 8, "minor": 16, "rate": 0}]}}"#;
        let entry = |path: &str, rate| Variant::Struct(vec![Variant::text(path), Variant::U64(rate)]);
        let list = vec![entry("/dev/block/8:0", 5), entry("/dev/block/8:16", INFINITY)];
        assert_eq!(told(resources), [("IOReadBandwidthMax".to_owned(), Variant::array("(st)", list))]);
    }

    #[test]
    fn v1_says_quota_and_period_in_two_files() {
        let write = |file: &'static str, value: &str| table::setting("cpu", file, value);
        let told = of_settings(&[write("cpu.cfs_period_us", "50000"), write("cpu.cfs_quota_us", "25000")]);
        assert_eq!(told[1].value, Variant::U64(500_000));
        let told = of_settings(&[write("cpu.cfs_quota_us", "-1")]);
        assert_eq!((&told[0].value, &told[1].value), (&Variant::U64(100_000), &Variant::U64(INFINITY)));
    }

    #[test]
    fn annotations_are_properties() {
        let of = |name: &str, text: &str| {
            annotated(name, text).map(|p| format!("{}={:?}", p.name, p.value)).map_err(|e| format!("{e:#}"))
        };
        assert_eq!(of("TimeoutStopUSec", "uint64 5").unwrap(), "TimeoutStopUSec=U64(5)");
        assert_eq!(of("TimeoutStopSec", "5").unwrap(), "TimeoutStopUSec=U64(5000000)");
        assert_eq!(of("CollectMode", "'inactive'").unwrap(), "CollectMode=Text(\"inactive\")");
        assert!(of("TimeoutStopSec", "'5'").unwrap_err().contains("not a number of seconds"));
        assert!(of("a1b", "5").unwrap_err().contains("not the name"));
        assert!(of("ab", "5").unwrap_err().contains("not the name"));
        assert!(of("PIDs", "@au [1]").unwrap_err().contains("sets PIDs itself"));
        assert!(of("Description", "no quotes").unwrap_err().contains("is no value"));
    }

    #[test]
    fn a_change_takes_back_what_is_no_longer_said() {
        let of = |resources: &str| of_settings(&v2_settings(resources));
        let old = of(r#"{"memory": {"limit": 1000, "reservation": 1}, "cpu": {"cpus": "0"}}"#);
        let new = of(r#"{"memory": {"limit": 2000}}"#);
        let text: Vec<_> = change(&old, &new).iter().map(|p| format!("{}={:?}", p.name, p.value)).collect();
        let empty = r#"AllowedCPUs=Array { element: "y", items: [] }"#;
        assert_eq!(text, ["MemoryLow=U64(0)", empty, "MemoryMax=U64(2000)"]);
    }
}
