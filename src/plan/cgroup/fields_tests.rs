//! docs/fields.md against the plan: every field of `linux.resources` is written to the files, and told to systemd by the
//! properties, that its row there names, and to no others.

use super::*;
use crate::plan::device_rules::DeviceRules;
use std::collections::BTreeSet;

const DOCUMENT: &str = include_str!("../../../docs/fields.md");

/// The first cell of each row, and what shows all of it.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("devices", &[r#"{"devices": [{"allow": false, "access": "rwm"}]}"#]),
    ("memory.limit", &[r#"{"memory": {"limit": 1000}}"#]),
    ("memory.reservation", &[r#"{"memory": {"reservation": 1000}}"#]),
    ("memory.swap", &[r#"{"memory": {"swap": -1}}"#]),
    ("memory.kernel", &[r#"{"memory": {"kernel": 1000}}"#]),
    ("memory.kernelTCP", &[r#"{"memory": {"kernelTCP": 1000}}"#]),
    ("memory.swappiness", &[r#"{"memory": {"swappiness": 10}}"#]),
    ("memory.disableOOMKiller", &[r#"{"memory": {"disableOOMKiller": true}}"#]),
    ("memory.useHierarchy", &[r#"{"memory": {"useHierarchy": true}}"#, r#"{"memory": {"useHierarchy": false}}"#]),
    ("memory.checkBeforeUpdate", &[r#"{"memory": {"checkBeforeUpdate": true}}"#]),
    ("cpu.shares", &[r#"{"cpu": {"shares": 512}}"#]),
    ("cpu.quota, cpu.period", &[r#"{"cpu": {"quota": 20000}}"#, r#"{"cpu": {"period": 50000}}"#]),
    ("cpu.burst", &[r#"{"cpu": {"burst": 5000}}"#]),
    (
        "cpu.realtimeRuntime, realtimePeriod",
        &[r#"{"cpu": {"realtimeRuntime": 5000}}"#, r#"{"cpu": {"realtimePeriod": 5000}}"#],
    ),
    ("cpu.cpus, cpu.mems", &[r#"{"cpu": {"cpus": "0"}}"#, r#"{"cpu": {"mems": "0"}}"#]),
    ("cpu.idle", &[r#"{"cpu": {"idle": 1}}"#]),
    ("blockIO.weight", &[r#"{"blockIO": {"weight": 500}}"#]),
    ("blockIO.leafWeight", &[r#"{"blockIO": {"leafWeight": 500}}"#]),
    ("blockIO.weightDevice", &[r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 500}]}}"#]),
    (
        "blockIO.weightDevice[].leafWeight",
        &[r#"{"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "leafWeight": 500}]}}"#],
    ),
    (
        "blockIO.throttle*Device",
        &[
            r#"{"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]}}"#,
            r#"{"blockIO": {"throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 1}]}}"#,
            r#"{"blockIO": {"throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 1}]}}"#,
            r#"{"blockIO": {"throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 1}]}}"#,
        ],
    ),
    ("hugepageLimits", &[r#"{"hugepageLimits": [{"pageSize": "2MB", "limit": 4096}]}"#]),
    ("network.classID", &[r#"{"network": {"classID": 5}}"#]),
    ("network.priorities", &[r#"{"network": {"priorities": [{"name": "lo", "priority": 5}]}}"#]),
    ("pids.limit", &[r#"{"pids": {"limit": 5}}"#]),
    ("rdma", &[r#"{"rdma": {"a": {"hcaHandles": 1}}}"#]),
    // Its files are named by the user; these are those of which systemd is told more than of the other fields'.
    (
        "unified",
        &[r#"{"unified": {"memory.high": "1", "memory.min": "1", "memory.zswap.max": "1", "memory.oom.group": "1"}}"#],
    ),
];

fn rows() -> Vec<Vec<&'static str>> {
    let section = DOCUMENT.split("\n## ").find(|section| section.starts_with("Resources\n")).expect("the section");
    let lines = section.lines().filter(|line| line.starts_with("| `"));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// The words of a cell that are set as code.
fn words(cell: &str) -> BTreeSet<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// What the examples of one field do on one layout.
#[derive(Default)]
struct Outcome {
    files: BTreeSet<String>,
    properties: BTreeSet<String>,
    refused: bool,
    warned: bool,
}

fn outcome(layout: &Layout, examples: &[&str]) -> Outcome {
    let mut all = Outcome::default();
    for json in examples {
        let resources: LinuxResources = serde_json::from_str(json).unwrap();
        let mut warnings = Vec::new();
        match settings(&resources, layout, &mut warnings) {
            Ok(settings) => {
                let rules =
                    resources.devices().as_ref().and_then(|_| devices(&resources, layout, &mut Vec::new()).unwrap());
                all.properties.extend(told(layout, &settings, rules.as_ref()));
                settings.iter().for_each(|setting| note(setting, &mut all.files));
                let is_v1 = matches!(layout, Layout::V1 { .. });
                let writes = rules.filter(|_| is_v1).map(|rules| rules.writes(None).unwrap()).unwrap_or_default();
                all.files.extend(writes.into_iter().map(|write| write.file.to_owned()));
            }
            Err(_) => all.refused = true,
        }
        all.warned |= !warnings.is_empty();
    }
    all
}

fn note(setting: &Setting, files: &mut BTreeSet<String>) {
    files.insert(setting.file.clone().into_owned());
    if let IfMissing::Instead(other) = &setting.if_missing {
        note(other, files);
    }
}

/// The properties that a scope has because of these settings and rules.
fn told(layout: &Layout, settings: &[Setting], rules: Option<&DeviceRules>) -> impl Iterator<Item = String> {
    let of = |settings, rules| systemd::for_new("x", "system.slice", layout, settings, rules);
    let always = of(&[], None);
    of(settings, rules).into_iter().filter(move |one| !always.contains(one)).map(|one| one.name)
}

/// Does a name, in which `*` stands for anything, mean this file?
fn means(name: &str, file: &str) -> bool {
    match name.split_once('*') {
        None => name == file,
        Some((start, end)) => file.len() > start.len() + end.len() && file.starts_with(start) && file.ends_with(end),
    }
}

/// A cell that names files names all of them, and only them; and it says whether the value is refused or warned about.
fn compare(field: &str, cell: &str, outcome: &Outcome) {
    let names: BTreeSet<&str> = words(cell).into_iter().filter(|word| word.contains('.')).collect();
    if field != "unified" {
        for file in &outcome.files {
            assert!(
                names.iter().any(|name| means(name, file)),
                "{field}: {file} is written, but not named in {cell:?}"
            );
        }
        for name in &names {
            assert!(outcome.files.iter().any(|file| means(name, file)), "{field}: {name} is named, but not written");
        }
    }
    assert_eq!(cell.contains("refused") && !cell.contains("then refused"), outcome.refused, "{field}: {cell:?}");
    assert_eq!(cell.contains("warns"), outcome.warned, "{field}: {cell:?}");
}

#[test]
fn every_field_has_the_files_and_the_properties_of_the_documentation() {
    let rows = rows();
    assert_eq!(rows.len(), EXAMPLES.len());
    for (row, (field, examples)) in rows.iter().zip(EXAMPLES) {
        assert_eq!(row[0].replace('`', ""), *field);
        let (v1, v2) = (outcome(&settings_tests::v1(), examples), outcome(&settings_tests::v2(), examples));
        compare(field, row[1], &v1);
        compare(field, row[2], &v2);
        let is_property = |word: &&str| word.starts_with(|c: char| c.is_ascii_uppercase());
        let named: BTreeSet<String> = words(row[3])
            .into_iter()
            .filter(is_property)
            .map(|word| word.split('=').next().unwrap().to_owned())
            .collect();
        assert_eq!(named, &v1.properties | &v2.properties, "{field}: the properties of systemd");
    }
}

#[test]
fn every_field_of_the_specification_has_a_row() {
    let first: Vec<&str> = rows().iter().map(|row| row[0]).collect();
    let all = serde_json::to_value(serde_json::from_str::<LinuxResources>(
        r#"{"devices": [], "memory": {"limit": 1, "reservation": 1, "swap": 1, "kernel": 1, "kernelTCP": 1, "swappiness": 1,
            "disableOOMKiller": true, "useHierarchy": true, "checkBeforeUpdate": true},
            "cpu": {"shares": 1, "quota": 1, "burst": 1, "period": 1, "realtimeRuntime": 1, "realtimePeriod": 1, "cpus": "0",
            "mems": "0", "idle": 1}, "pids": {"limit": 1}, "blockIO": {"weight": 1, "leafWeight": 1, "weightDevice": [],
            "throttleReadBpsDevice": [], "throttleWriteBpsDevice": [], "throttleReadIOPSDevice": [],
            "throttleWriteIOPSDevice": []}, "hugepageLimits": [], "network": {"classID": 1, "priorities": []}, "rdma": {},
            "unified": {}}"#,
    ).unwrap()).unwrap();
    for (section, value) in all.as_object().unwrap() {
        let fields: Vec<String> = match value.as_object().filter(|map| !map.is_empty()) {
            Some(map) => map.keys().cloned().collect(),
            None => vec![String::new()],
        };
        for field in fields {
            let known = |cell: &&str| -> bool {
                let name = format!("{section}.{field}");
                let name = name.trim_end_matches('.');
                words(cell)
                    .iter()
                    .any(|word| means(word, name) || (cell.contains(&format!("`{section}.")) && *word == field))
            };
            assert!(first.iter().any(known), "{section}.{field} has no row");
        }
    }
}
