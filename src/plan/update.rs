//! update: new limits merged into those that the container has. Pure.
//!
//! What is asked for is a part of `linux.resources`; what it does not say stays as it is. Written is only what becomes
//! different, in the order of the tables.

use super::cgroup::systemd::{self, Property};
use super::cgroup::{self, Layout, Owner, Place, Setting};
use super::device_rules::{self, DeviceRules};
use crate::error::{Context, Result};
use crate::spec;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxResources};
use serde_json::{Map, Value};

/// What an update does to a cgroup.
#[derive(Debug)]
pub struct Update {
    /// To be kept in the template: what the container has from now on.
    pub resources: LinuxResources,
    pub settings: Vec<Setting>,
    /// The rules from now on, and those until now. `None`: they stay as they are.
    pub devices: Option<(DeviceRules, DeviceRules)>,
    /// `memory.checkBeforeUpdate`: the limit, in bytes, below which the use of memory must be.
    pub memory_below: Option<u64>,
    /// What systemd is told, if the cgroup is one of its scopes, and what it is told to take that back.
    pub properties: Vec<Property>,
    pub properties_back: Vec<Property>,
    pub warnings: Vec<String>,
}

/// The request of an update.
#[derive(Debug, Default)]
pub struct Request {
    /// A JSON object in the form of `linux.resources`. Its `devices` have no effect: engines send the list that they stored,
    /// in which the devices that a wrapper or a hook added at `create` are missing.
    pub resources: Value,
    /// Rules that hold from now on, after those that the container has.
    pub device_rules: Vec<LinuxDeviceCgroup>,
}

/// The update of a container that has the limits `stored`.
pub fn update(stored: &LinuxResources, asked: &Request, place: &Place) -> Result<Update> {
    let mut warnings = Vec::new();
    let Request { resources: asked, device_rules } = asked;
    let mut merged = serde_json::to_value(stored).context("the stored resources")?;
    let mut asked = asked.clone();
    unsay(&mut asked);
    if let Value::Object(asked) = &mut asked {
        asked.remove("devices");
    }
    drop_what_is_overruled(&mut merged, &asked);
    merge(&mut merged, &asked, "");
    let mut resources: LinuxResources = spec::from_value(&merged, "/linux/resources")?;
    // What was taken once but would be refused today has no way to be compared with: then all is written again.
    let before = cgroup::settings(stored, &place.layout, &mut Vec::new()).unwrap_or_default();
    let mut settings = cgroup::settings(&resources, &place.layout, &mut warnings)?;
    let devices = if device_rules.is_empty() {
        None
    } else {
        let earlier = resources.devices().iter().flatten().filter(|rule| !device_rules.contains(rule));
        let rules = earlier.chain(device_rules).cloned().collect();
        resources.set_devices(Some(rules));
        let (new, old) = (rules_of(&resources)?, rules_of(stored).context("the stored resources")?);
        (new != old).then_some((new, old))
    };
    let (properties, properties_back) = match &place.owner {
        Owner::Systemd(_) => {
            let (mut old, mut new) = (systemd::of_settings(&before), systemd::of_settings(&settings));
            if let (Some((rules, until_now)), Layout::V1 { .. }) = (&devices, &place.layout) {
                old.extend(systemd::of_devices(until_now));
                new.extend(systemd::of_devices(rules));
            }
            (systemd::change(&old, &new), systemd::change(&new, &old))
        }
        Owner::Us | Owner::Nobody => (Vec::new(), Vec::new()),
    };
    // systemd writes its own idea of everything that it was told of, rounded: so all is written again after it.
    if properties.is_empty() {
        settings.retain(|setting| !before.contains(setting));
    }
    let memory_below = resources.memory().as_ref().and_then(|memory| {
        let limit = memory.limit().filter(|limit| *limit > 0)?;
        (memory.check_before_update() == Some(true)).then(|| limit.unsigned_abs())
    });
    Ok(Update { resources, settings, devices, memory_below, properties, properties_back, warnings })
}

fn rules_of(resources: &LinuxResources) -> Result<DeviceRules> {
    device_rules::lower(resources.devices().as_deref().unwrap_or_default()).context("devices")
}

/// Fields of which an empty value means "not said": engines written in Go send every field of what they know.
const EMPTY_IS_NOTHING: [(&str, &[&str]); 5] = [
    ("memory", &["limit", "reservation", "swap", "kernel", "kernelTCP"]),
    ("cpu", &["shares", "quota", "period", "realtimeRuntime", "realtimePeriod", "cpus", "mems"]),
    ("blockIO", &["weight", "leafWeight"]),
    ("pids", &["limit"]),
    ("network", &["classID"]),
];

/// Takes out what says nothing: null everywhere, and the empty values above.
fn unsay(asked: &mut Value) {
    for (section, fields) in EMPTY_IS_NOTHING {
        if let Some(Value::Object(map)) = asked.get_mut(section) {
            map.retain(|name, value| !(fields.contains(&name.as_str()) && is_empty(value)));
        }
    }
    remove_nulls(asked);
}

fn is_empty(value: &Value) -> bool {
    value.as_i64() == Some(0) || value.as_str() == Some("")
}

fn remove_nulls(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, value| !value.is_null());
        map.values_mut().for_each(remove_nulls);
    }
}

/// Stored values that a new one makes senseless.
fn drop_what_is_overruled(stored: &mut Value, asked: &Value) {
    let new = |section: &str, field: &str| asked.get(section).and_then(|section| section.get(field));
    let mut forget = |section: &str, field: &str| {
        if let Some(Value::Object(map)) = stored.get_mut(section) {
            map.remove(field);
        }
    };
    if new("memory", "limit").and_then(Value::as_i64) == Some(-1) && new("memory", "swap").is_none() {
        forget("memory", "swap"); // unlimited memory, and nothing said of swap: that is unlimited as well
    }
    if new("cpu", "idle").and_then(Value::as_i64) == Some(1) {
        forget("cpu", "shares"); // an idle group has no share
    }
}

/// What identifies an entry of a list, for lists whose entries are replaced one by one.
const KEYS: [(&str, &[&str]); 6] = [
    ("/blockIO/weightDevice", &["major", "minor"]),
    ("/blockIO/throttleReadBpsDevice", &["major", "minor"]),
    ("/blockIO/throttleWriteBpsDevice", &["major", "minor"]),
    ("/blockIO/throttleReadIOPSDevice", &["major", "minor"]),
    ("/blockIO/throttleWriteIOPSDevice", &["major", "minor"]),
    ("/hugepageLimits", &["pageSize"]),
];

fn merge(stored: &mut Value, asked: &Value, path: &str) {
    match (stored, asked) {
        (Value::Object(old), Value::Object(new)) => {
            for (name, value) in new {
                let path = format!("{path}/{name}");
                match old.get_mut(name) {
                    Some(Value::Null) | None => drop(old.insert(name.clone(), value.clone())),
                    Some(there) => merge(there, value, &path),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) => match KEYS.iter().find(|(list, _)| *list == path) {
            Some((_, keys)) => new.iter().for_each(|entry| upsert(old, entry, keys)),
            None => old.clone_from(new),
        },
        (old, new) => old.clone_from(new),
    }
}

fn upsert(list: &mut Vec<Value>, entry: &Value, keys: &[&str]) {
    let same = |other: &&mut Value| keys.iter().all(|key| other.get(key) == entry.get(key));
    match list.iter_mut().find(same) {
        Some(there) => merge(there, entry, ""),
        None => list.push(entry.clone()),
    }
}

/// A part of `linux.resources` from single values, by JSON pointers of two steps.
pub fn object(values: Vec<(&str, &str, Value)>) -> Value {
    let mut all = Map::new();
    for (section, field, value) in values {
        let section = all.entry(section).or_insert_with(|| Value::Object(Map::new()));
        section[field] = value;
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::Spot;
    use super::*;
    use serde_json::json;

    fn place() -> Place {
        Place { owner: Owner::Us, layout: Layout::V2(Spot { mount: "/c".into(), path: "x".into() }), subgroup: None }
    }

    fn updated(stored: Value, asked: &Value) -> Result<Vec<String>> {
        let stored: LinuxResources = serde_json::from_value(stored).unwrap();
        let update = update(&stored, &Request { resources: asked.clone(), ..Request::default() }, &place())?;
        Ok(update.settings.iter().map(|s| format!("{}={}", s.file, s.value)).collect())
    }

    #[test]
    fn what_is_not_said_stays_and_is_not_written_again() {
        let stored = json!({"memory": {"limit": 1000, "swap": 3000}, "pids": {"limit": 5}, "cpu": {"period": 50_000}});
        assert_eq!(updated(stored.clone(), &json!({"pids": {"limit": 7}})).unwrap(), ["pids.max=7"]);
        assert_eq!(updated(stored.clone(), &json!({"cpu": {"quota": 10_000}})).unwrap(), ["cpu.max=10000 50000"]);
        assert!(updated(stored, &json!({"memory": {"limit": 0, "swap": 0}, "cpu": {"cpus": ""}})).unwrap().is_empty());
    }

    #[test]
    fn memory_without_a_limit_takes_the_limit_of_swap_with_it() {
        let stored = json!({"memory": {"limit": 1000, "swap": 3000}});
        assert_eq!(
            updated(stored.clone(), &json!({"memory": {"limit": -1}})).unwrap(),
            ["memory.swap.max=max", "memory.max=max"]
        );
        let error = updated(stored, &json!({"memory": {"limit": 4000}})).unwrap_err();
        assert!(format!("{error:#}").contains("is less than memory.limit (4000)"), "{error:#}");
    }

    #[test]
    fn lists_of_devices_are_merged_entry_by_entry() {
        let rate = |minor: u32, rate: u32| json!({"major": 8, "minor": minor, "rate": rate});
        let stored = json!({"blockIO": {"throttleReadBpsDevice": [rate(0, 10), rate(16, 20)]}});
        let asked = json!({"blockIO": {"throttleReadBpsDevice": [rate(16, 30), rate(32, 40)]}});
        assert_eq!(updated(stored, &asked).unwrap(), ["io.max=8:16 rbps=30", "io.max=8:32 rbps=40"]);
    }

    #[test]
    fn only_a_limit_has_something_to_check() {
        let below = |resources: Value| {
            let asked = Request { resources, ..Request::default() };
            update(&LinuxResources::default(), &asked, &place()).unwrap().memory_below
        };
        assert_eq!(below(json!({"memory": {"limit": 1000, "checkBeforeUpdate": true}})), Some(1000));
        assert_eq!(below(json!({"memory": {"limit": 1000, "checkBeforeUpdate": false}})), None);
        assert_eq!(below(json!({"memory": {"limit": 1000}})), None);
        assert_eq!(below(json!({"memory": {"limit": -1, "checkBeforeUpdate": true}})), None);
    }

    #[test]
    fn unified_is_replaced_value_by_value() {
        let stored = json!({"unified": {"memory.high": "1000", "pids.max": "7"}});
        assert_eq!(updated(stored, &json!({"unified": {"memory.high": "2000"}})).unwrap(), ["memory.high=2000"]);
    }

    #[test]
    fn only_rules_that_are_asked_for_by_themselves_change_those_of_the_container() {
        let stored: LinuxResources = serde_json::from_value(json!({"devices": [
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 195, "access": "rw"},
        ]}))
        .unwrap();
        let with = |resources: Value, rules: &[&str]| {
            let device_rules = rules.iter().map(|rule| device_rules::from_words(rule).unwrap()).collect();
            let update = update(&stored, &Request { resources, device_rules }, &place()).unwrap();
            (update.devices.is_some(), update.resources.devices().as_ref().unwrap().len())
        };
        assert_eq!(with(json!({"devices": [{"allow": true, "access": "rwm"}]}), &[]), (false, 2));
        assert_eq!(with(json!({"devices": []}), &[]), (false, 2));
        assert_eq!(with(json!({}), &["c 10:229 rw"]), (true, 3));
        assert_eq!(with(json!({}), &["c 195:* rw"]), (false, 2), "it is there already");
        assert_eq!(with(json!({}), &["deny c 195:* rw"]), (true, 3));
    }
}
