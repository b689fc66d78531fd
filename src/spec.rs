//! Reading config.json: bounded, once, into the types of oci-spec; errors name the JSON path.
//!
//! The fast way is oci-spec's own parser. Where it is stricter than the spec (a capability name it does not know must be a
//! warning, not a failure) the text is parsed a second time as plain JSON, cleaned, and tried again; the same second look
//! finds the place of an error.

use crate::error::{Context, Result, anyhow, bail};
use crate::sys::file::{self, CWD};
use serde_json::Value;
use std::path::Path;

pub use oci_spec::runtime::Spec;

/// Larger configurations are refused: nobody writes one, and everything here is held in memory.
const LIMIT: usize = 64 << 20;

/// What reading gave: the configuration, and what had to be left out of it.
pub struct Read {
    pub spec: Spec,
    pub warnings: Vec<String>,
}

/// Reads a bundle's configuration.
pub fn read(bundle: &Path) -> Result<Read> {
    let path = bundle.join("config.json");
    let text = read_file(&path).with_context(|| {
        format!(
            "{}: make one with `rruntime spec --bundle {}`, or name the bundle with --bundle",
            path.display(),
            bundle.display()
        )
    })?;
    parse(&text).with_context(|| path.display().to_string())
}

/// Reads a small JSON file that the caller named. A FIFO or a device is refused before it can hang us.
pub fn read_file(path: &Path) -> Result<Vec<u8>> {
    let open = file::open(CWD, path, libc::O_RDONLY | libc::O_NONBLOCK, 0).context("open")?;
    let kind = file::stat(&open).context("stat")?.st_mode & libc::S_IFMT;
    if kind == libc::S_IFDIR {
        bail!("is a directory");
    }
    file::read_all(open, LIMIT).with_context(|| format!("read (at most {} MiB)", LIMIT >> 20))
}

/// The same from standard input.
pub fn read_stdin() -> Result<Vec<u8>> {
    file::read_all(crate::sys::process::STREAMS[0], LIMIT)
        .with_context(|| format!("read (at most {} MiB)", LIMIT >> 20))
}

/// Parses a whole configuration.
pub fn parse(text: &[u8]) -> Result<Read> {
    if let Ok(spec) = serde_json::from_slice(text) {
        return Ok(Read { spec, warnings: Vec::new() });
    }
    let (spec, warnings) = parse_with_care(text, "")?;
    Ok(Read { spec, warnings })
}

/// Parses a `process` object of its own (exec --process).
pub fn parse_process(text: &[u8]) -> Result<(oci_spec::runtime::Process, Vec<String>)> {
    match serde_json::from_slice(text) {
        Ok(process) => Ok((process, Vec::new())),
        Err(_) => parse_with_care(text, "/process"),
    }
}

/// `at` is where the text's top would stand in a config.json.
fn parse_with_care<T: serde::de::DeserializeOwned>(text: &[u8], at: &str) -> Result<(T, Vec<String>)> {
    let mut value: Value = serde_json::from_slice(text).map_err(|e| anyhow!("not JSON: {e}"))?;
    let mut warnings = Vec::new();
    let process = if at.is_empty() { value.pointer_mut("/process") } else { Some(&mut value) };
    if let Some(process) = process {
        leave_out_unknown_capabilities(process, &mut warnings);
        complete_user(process);
        spell_as_the_parser_does(process);
    }
    match serde_json::from_value(value.clone()) {
        Ok(parsed) => Ok((parsed, warnings)),
        Err(error) => Err(locate::<T>(&value, &error)),
    }
}

/// config.md: a runtime SHOULD warn about a capability that it cannot map, and go on.
fn leave_out_unknown_capabilities(process: &mut Value, warnings: &mut Vec<String>) {
    let Some(Value::Object(sets)) = process.pointer_mut("/capabilities") else {
        return;
    };
    for (set, names) in sets {
        let Value::Array(names) = names else { continue };
        names.retain(|name| {
            let known = serde_json::from_value::<oci_spec::runtime::Capability>(name.clone()).is_ok();
            if !known {
                warnings.push(format!("process.capabilities.{set}: ignoring unknown capability {name}"));
            }
            known
        });
    }
}

/// Callers leave out the user, or a part of it, and mean 0.
fn complete_user(process: &mut Value) {
    let Value::Object(process) = process else { return };
    if let Value::Object(user) = process.entry("user").or_insert_with(|| Value::Object(serde_json::Map::new())) {
        for id in ["uid", "gid"] {
            user.entry(id).or_insert_with(|| Value::from(0));
        }
    }
}

/// Words of the spec that oci-spec spells otherwise, and an empty list of CPUs, which to the spec is none.
fn spell_as_the_parser_does(process: &mut Value) {
    const WORDS: [(&str, &str); 2] =
        [("SCHED_FLAG_RESET_ON_FORK", "SCHED_RESET_ON_FORK"), ("SCHED_FLAG_DL_OVERRUN", "SCHED_FLAG_D_L_OVERRUN")];
    for flag in process.pointer_mut("/scheduler/flags").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some((_, word)) = WORDS.iter().find(|(word, _)| flag == word) {
            *flag = Value::from(*word);
        }
    }
    if let Some(Value::Object(affinity)) = process.pointer_mut("/execCPUAffinity") {
        affinity.retain(|_, list| list != "");
    }
}

/// Finds the innermost place that makes the configuration unreadable: a value is guilty when the whole would be read
/// (or would fail elsewhere) without it.
fn locate<T: serde::de::DeserializeOwned>(value: &Value, error: &serde_json::Error) -> anyhow::Error {
    let complaint = error.to_string();
    let mut path = String::new();
    let mut trial = value.clone();
    while let Some(step) = guilty_child::<T>(&mut trial, &path, &complaint) {
        path.push('/');
        path.push_str(&step);
    }
    let name = path.split('/').skip(1).fold(String::new(), |name, step| match step.parse::<usize>() {
        Ok(index) => format!("{name}[{index}]"),
        Err(_) if name.is_empty() => step.to_string(),
        Err(_) => format!("{name}.{step}"),
    });
    if name.is_empty() { anyhow!("{complaint}") } else { anyhow!("{name}: {complaint}") }
}

fn guilty_child<T: serde::de::DeserializeOwned>(whole: &mut Value, path: &str, complaint: &str) -> Option<String> {
    let keys: Vec<String> = match whole.pointer(path)? {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(list) => (0..list.len().min(256)).map(|i| i.to_string()).collect(),
        _ => return None,
    };
    keys.into_iter().find(|key| {
        let mut without = whole.clone();
        match without.pointer_mut(path) {
            Some(Value::Object(map)) => drop(map.remove(key)),
            Some(Value::Array(list)) => drop(list.remove(key.parse().unwrap_or(0))),
            _ => return false,
        }
        !matches!(serde_json::from_value::<T>(without), Err(e) if e.to_string() == complaint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        format!("{:#}", parse(text.as_bytes()).err().expect("a refusal"))
    }

    #[test]
    fn errors_name_their_place() {
        let text = r#"{"ociVersion":"1.0.2","process":{"cwd":"/","user":{"uid":0,"gid":0},
            "rlimits":[{"type":"RLIMIT_NOFILE","hard":1,"soft":1},{"type":"RLIMIT_NONE","hard":1,"soft":1}]}}"#;
        assert!(message(text).starts_with("process.rlimits[1].type: unknown variant"), "{}", message(text));
        let text = r#"{"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"pid"},{"type":"nett"}]}}"#;
        assert!(message(text).starts_with("linux.namespaces[1].type: unknown variant"), "{}", message(text));
        assert!(message("{").starts_with("not JSON"));
    }

    #[test]
    fn the_words_of_the_spec_are_read() {
        let flags = [
            "RESET_ON_FORK",
            "RECLAIM",
            "DL_OVERRUN",
            "KEEP_POLICY",
            "KEEP_PARAMS",
            "UTIL_CLAMP_MIN",
            "UTIL_CLAMP_MAX",
        ];
        let flags = flags.map(|flag| format!("\"SCHED_FLAG_{flag}\"")).join(",");
        let text = format!(
            r#"{{"cwd":"/","user":{{"uid":0,"gid":0}},"execCPUAffinity":{{"initial":"0-1","final":""}},
                "scheduler":{{"policy":"SCHED_OTHER","flags":[{flags}]}}}}"#
        );
        let (process, _) = parse_process(text.as_bytes()).unwrap();
        assert_eq!(process.scheduler().as_ref().unwrap().flags().as_ref().unwrap().len(), 7);
        assert_eq!(process.exec_cpu_affinity().as_ref().unwrap().cpu_affinity_final(), &None);
        assert!(
            message(
                r#"{"ociVersion":"1.0.2","process":{"cwd":"/","user":{"uid":0,"gid":0},
            "scheduler":{"policy":"SCHED_OTHER","flags":["SCHED_FLAG_NONE"]}}}"#
            )
            .starts_with("process.scheduler.flags[0]: unknown variant")
        );
    }

    #[test]
    fn an_unknown_capability_is_a_warning() {
        let text = r#"{"ociVersion":"1.0.2","process":{"cwd":"/","user":{"uid":0,"gid":0},
            "capabilities":{"bounding":["CAP_KILL","CAP_TELEPORT"]}}}"#;
        let read = parse(text.as_bytes()).unwrap();
        assert_eq!(read.warnings, ["process.capabilities.bounding: ignoring unknown capability \"CAP_TELEPORT\""]);
    }
}
