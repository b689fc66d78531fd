//! The cgroup of a plan in words: where it is, what is written into it, which devices may be used.

use super::document::Section;
use super::text::TIGHT;
use super::units;
use crate::plan::cgroup::systemd::Property;
use crate::plan::cgroup::{Cgroup, IfMissing, Layout, Owner, Place, Setting};
use crate::plan::host::cgroup::name;
use serde_json::{Value, json};

pub fn sections(cgroup: &Cgroup) -> Vec<Section> {
    let Cgroup { place, settings, devices, properties, delegated_to } = cgroup;
    let rules = devices.as_ref().map(|rules| rules.told());
    let (rows, value) = match rules {
        None => (Vec::new(), Value::Null),
        Some(told) => {
            let word = |allowed| if allowed { "allow" } else { "deny" };
            let rest = vec![word(told.default_allows).to_owned(), "every device that no line below names".to_owned()];
            let rules = || told.rules.iter().map(|(allowed, rule)| (word(*allowed), rule));
            let mut rows = vec![rest];
            for (word, rule) in rules() {
                match rows.last_mut().filter(|row| rows_are_joined(row, word)) {
                    Some(row) => row[1].push_str(&format!(", {}", tight(rule))),
                    None => rows.push(vec![word.to_owned(), tight(rule)]),
                }
            }
            let list: Vec<Value> = rules().map(|(word, rule)| json!({"verdict": word, "rule": rule})).collect();
            (rows, json!({"default": word(told.default_allows), "rules": list}))
        }
    };
    let mut devices = Section::table("deviceRules", "Device rules: the last line that fits holds", rows, value);
    if !devices.is_empty() {
        devices.legend = vec![
            ("c 1:3 rw".to_owned(), "reading and writing the character device 1:3".to_owned()),
            ("b, m, *".to_owned(), "a block device; making the node; any number".to_owned()),
        ];
    }
    vec![directories(place, *delegated_to), told_to_systemd(properties), writes(settings), devices]
}

/// A rule is not broken over two lines.
fn tight(rule: &str) -> String {
    rule.replace(' ', &TIGHT.to_string())
}

/// Is the row one of rules with this verdict, to which another can be added?
fn rows_are_joined(row: &[String], word: &str) -> bool {
    row[0] == word && !row[1].starts_with("every device")
}

fn directories(place: &Place, delegated_to: Option<u32>) -> Section {
    let Place { owner, layout, subgroup } = place;
    let (kind, mut rows): (&str, Vec<(String, String)>) = match layout {
        Layout::V2(spot) => ("v2", vec![("all controllers".to_owned(), spot.full().display().to_string())]),
        Layout::V1 { hierarchies, unified } => {
            let on = hierarchies.iter().map(|h| (name(&h.controllers), h.spot.full().display().to_string()));
            let second = unified.iter().map(|spot| ("unified".to_owned(), spot.full().display().to_string()));
            (if unified.is_some() { "v1 and a unified hierarchy" } else { "v1" }, on.chain(second).collect())
        }
        Layout::Missing => ("none", Vec::new()),
    };
    let value = json!({
        "layout": kind,
        "madeByUs": *owner == Owner::Us,
        "subgroup": subgroup, "delegatedTo": delegated_to,
        "directories": rows.iter().map(|(name, path)| (name.clone(), json!(path))).collect::<Value>(),
    });
    let theirs = delegated_to.map(|uid| format!("belongs to user {uid} of the host, who may divide it"));
    match (subgroup, theirs) {
        (None, None) => {}
        (None, Some(theirs)) => rows.push(("owner".to_owned(), theirs)),
        (Some(path), theirs) => {
            let theirs = theirs.map(|text| format!(", which {text}")).unwrap_or_default();
            rows.push(("processes".to_owned(), format!("in {} below it{theirs}", path.display())));
        }
    }
    let title = match owner {
        Owner::Us => format!("Cgroup ({kind}), made and removed with the container"),
        Owner::Systemd(scope) => format!("Cgroup ({kind}), that of systemd's unit {}", scope.unit),
        Owner::Nobody => "Cgroup of its own".to_owned(),
    };
    Section::table("cgroup", title, rows.into_iter().map(|(name, path)| vec![name, path]).collect(), value)
}

fn told_to_systemd(properties: &[Property]) -> Section {
    let text = |property: &Property| format!("{:?}", property.value);
    let rows = properties.iter().map(|property| vec![property.name.clone(), format!("= {}", text(property))]).collect();
    let value = properties.iter().map(|property| json!({"name": property.name, "value": text(property)})).collect();
    Section::table("unitProperties", "Properties of the unit", rows, value)
}

fn writes(settings: &[Setting]) -> Section {
    let row = |setting: &Setting| {
        let mut words = units::of_setting(setting);
        match &setting.if_missing {
            IfMissing::Fail => {}
            IfMissing::Skip => words.push_str(" (where the kernel has the file)"),
            IfMissing::Instead(other) => words.push_str(&format!(" (or {} = {})", other.file, other.value)),
        }
        vec![setting.file.to_string(), format!("= {}", setting.value), words.trim_start().to_owned()]
    };
    let value = |setting: &Setting| {
        json!({
            "controller": setting.controller, "file": setting.file, "value": setting.value,
            "meaning": units::of_setting(setting),
        })
    };
    let rows = settings.iter().map(row).collect();
    Section::table("cgroupWrites", "Limits, written into it", rows, settings.iter().map(value).collect())
}
