//! Reading config.json: bounded, once, into the types of oci-spec; errors name the JSON path.
//!
//! The fast way is oci-spec's own parser. Where it is stricter than the spec (a capability name it does not know must be a
//! warning, not a failure) the text is parsed a second time as plain JSON, cleaned, and tried again; the same second look
//! finds the place of an error. And where it is laxer (it takes 0 for a required number that is missing) a 0 of that kind
//! makes us look again.

pub mod keys;
pub mod shapes;

use crate::error::{Context, Result, anyhow, bail, did_you_mean, ensure};
use crate::sys::file::{self, CWD};
use keys::Checked;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Write;
use std::path::Path;

pub use oci_spec::runtime::Spec;

/// Larger configurations are refused: nobody writes one, and everything here is held in memory.
const LIMIT: usize = 64 << 20;

/// As many values a configuration may have. Each takes up to 768 bytes of memory, however short its text is (the worst are
/// objects that have to be looked at twice, and files of `unified`; plan/memory_tests.rs).
const VALUES: usize = 1 << 18;

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
    let stat = file::stat(&open).context("stat")?;
    if stat.st_mode & libc::S_IFMT == libc::S_IFDIR {
        bail!("is a directory");
    }
    let size = usize::try_from(stat.st_size).unwrap_or(0).max(1023);
    file::read_expecting(open, size, LIMIT).with_context(|| format!("read (at most {} MiB)", LIMIT >> 20))
}

/// The same from standard input.
pub fn read_stdin() -> Result<Vec<u8>> {
    file::read_all(crate::sys::process::STREAMS[0], LIMIT)
        .with_context(|| format!("read (at most {} MiB)", LIMIT >> 20))
}

/// Parses a whole configuration.
pub fn parse(text: &[u8]) -> Result<Read> {
    refuse_too_many(text)?;
    let Checked { text, mut warnings, odd_capability } = keys::check(text, &shapes::CONFIG, "")?;
    match serde_json::from_slice::<Spec>(&text) {
        Ok(spec) if !odd_capability && !has_zero_for_nothing(&spec) => return Ok(Read { spec, warnings }),
        _ => {}
    }
    let (spec, more) = parse_with_care(&text, "")?;
    warnings.extend(more);
    Ok(Read { spec, warnings })
}

/// Parses a `process` object of its own (exec --process).
pub fn parse_process(text: &[u8]) -> Result<(oci_spec::runtime::Process, Vec<String>)> {
    refuse_too_many(text)?;
    let Checked { text, mut warnings, odd_capability } = keys::check(text, &shapes::OF_EXEC, "process")?;
    match serde_json::from_slice(&text) {
        Ok(process) if !odd_capability && !has_zero_limit(&process) => Ok((process, warnings)),
        _ => {
            let (process, more) = parse_with_care(&text, "/process")?;
            warnings.extend(more);
            Ok((process, warnings))
        }
    }
}

/// Every value but the first of all comes after one of three characters. A text of fewer characters is not looked at.
pub fn refuse_too_many(text: &[u8]) -> Result<()> {
    if text.len() <= VALUES {
        return Ok(());
    }
    let (mut values, mut quoted, mut bytes) = (0, false, text.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' => drop(bytes.next()),
            b',' | b'[' | b'{' if !quoted => values += 1,
            _ => {}
        }
    }
    ensure!(
        values <= VALUES,
        "has {values} values, and at most {VALUES} are read; leave out what is there without need"
    );
    Ok(())
}

/// Is there a number that oci-spec would also give us for a missing one, where that makes a difference?
fn has_zero_for_nothing(spec: &Spec) -> bool {
    let Some(linux) = spec.linux() else { return spec.process().as_ref().is_some_and(has_zero_limit) };
    let maps = [linux.uid_mappings(), linux.gid_mappings()];
    let resources = linux.resources().as_ref();
    let block = resources.and_then(|all| all.block_io().as_ref());
    let throttles = block.map(|block| {
        [
            block.throttle_read_bps_device(),
            block.throttle_write_bps_device(),
            block.throttle_read_iops_device(),
            block.throttle_write_iops_device(),
        ]
    });
    let priorities = resources.and_then(|all| all.network().as_ref()).and_then(|network| network.priorities().as_ref());
    spec.process().as_ref().is_some_and(has_zero_limit)
        || maps.into_iter().flatten().flatten().any(|map| map.host_id() == 0 || map.size() == 0)
        || linux.devices().iter().flatten().any(|device| device.major() == 0 || device.path().as_os_str().is_empty())
        || resources.and_then(|all| all.pids().as_ref()).is_some_and(|pids| pids.limit() == 0)
        || resources.and_then(|all| all.hugepage_limits().as_ref()).into_iter().flatten().any(|huge| huge.limit() == 0)
        || priorities.into_iter().flatten().any(|one| one.priority() == 0)
        || block.and_then(|all| all.weight_device().as_ref()).into_iter().flatten().any(|device| device.major() == 0)
        || throttles.iter().flatten().copied().flatten().flatten().any(|one| one.major() == 0 || one.rate() == 0)
}

fn has_zero_limit(process: &oci_spec::runtime::Process) -> bool {
    process.rlimits().iter().flatten().any(|limit| limit.soft() == 0 || limit.hard() == 0)
}

/// What the spec requires of each entry of a list, and oci-spec makes up when it is missing.
const REQUIRED: [(&str, &[&str]); 11] = [
    ("/process/rlimits", &["type", "soft", "hard"]),
    ("/linux/uidMappings", &["containerID", "hostID", "size"]),
    ("/linux/gidMappings", &["containerID", "hostID", "size"]),
    ("/linux/devices", &["type", "path"]),
    ("/linux/resources/hugepageLimits", &["pageSize", "limit"]),
    ("/linux/resources/network/priorities", &["name", "priority"]),
    ("/linux/resources/blockIO/weightDevice", &["major", "minor"]),
    ("/linux/resources/blockIO/throttleReadBpsDevice", &["major", "minor", "rate"]),
    ("/linux/resources/blockIO/throttleWriteBpsDevice", &["major", "minor", "rate"]),
    ("/linux/resources/blockIO/throttleReadIOPSDevice", &["major", "minor", "rate"]),
    ("/linux/resources/blockIO/throttleWriteIOPSDevice", &["major", "minor", "rate"]),
];

fn require(value: &Value, at: &str) -> Result<()> {
    for (list, keys) in REQUIRED {
        let entries = list.strip_prefix(at).and_then(|place| value.pointer(place)).and_then(Value::as_array);
        for (index, entry) in entries.into_iter().flatten().enumerate() {
            let Value::Object(entry) = entry else { continue };
            if let Some(key) = keys.iter().find(|key| !entry.contains_key(**key)) {
                bail!("{}: is missing", dotted(&format!("{list}/{index}/{key}")));
            }
        }
    }
    Ok(())
}

/// `pids.limit` may be left out, which is not the limit 0.
fn leave_out_unsaid_limit(value: &mut Value) {
    if let Some(Value::Object(resources)) = value.pointer_mut("/linux/resources")
        && resources.get("pids").and_then(Value::as_object).is_some_and(|pids| !pids.contains_key("limit"))
    {
        resources.remove("pids");
    }
}

/// `at` is where the text's top would stand in a config.json.
fn parse_with_care<T: DeserializeOwned>(text: &[u8], at: &str) -> Result<(T, Vec<String>)> {
    let mut value: Value = serde_json::from_slice(text).map_err(|e| anyhow!("not JSON: {e}"))?;
    let mut warnings = Vec::new();
    let process = if at.is_empty() { value.pointer_mut("/process") } else { Some(&mut value) };
    if let Some(process) = process {
        leave_out_unknown_capabilities(process, &mut warnings);
        complete_user(process);
        spell_as_the_parser_does(process);
    }
    leave_out_unsaid_limit(&mut value);
    let missing = require(&value, at);
    // The one or the other: a tree of values is many times as large as its text.
    let clean = in_text(&value, text.len());
    drop(value);
    match typed(&clean) {
        Ok(parsed) => missing.map(|()| (parsed, warnings)),
        Err(complaint) => {
            let value = serde_json::from_slice(clean.as_bytes()).context("not JSON any more")?;
            Err(locate::<T>(value, at, &complaint))
        }
    }
}

fn in_text(value: &Value, size: usize) -> String {
    let mut text = String::with_capacity(size);
    // Writing to memory does not fail.
    let _ = write!(text, "{value}");
    text
}

/// A part of a configuration that is there as plain JSON; `at` is where it would stand in config.json.
pub fn from_value<T: DeserializeOwned>(value: &Value, at: &str) -> Result<T> {
    typed(&value.to_string()).map_err(|complaint| locate::<T>(value.clone(), at, &complaint))
}

/// A value's text as what it should be, or serde's complaint without a position. By way of its text, since a second kind
/// of deserializer for all of oci-spec's types would be a twentieth of the binary.
fn typed<T: DeserializeOwned>(text: &str) -> std::result::Result<T, String> {
    serde_json::from_slice(text.as_bytes()).map_err(|error| {
        let text = error.to_string();
        text.rsplit_once(" at line ").map_or(text.as_str(), |(complaint, _)| complaint).to_string()
    })
}

/// config.md: a runtime SHOULD warn about a capability that it cannot map, and go on. A name without `CAP_`, or in lower case,
/// is none to the specification and to runc, though oci-spec takes it for one.
fn leave_out_unknown_capabilities(process: &mut Value, warnings: &mut Vec<String>) {
    let Some(Value::Object(sets)) = process.pointer_mut("/capabilities") else {
        return;
    };
    for (set, names) in sets {
        let Value::Array(names) = names else { continue };
        names.retain(|name| {
            let known = typed::<oci_spec::runtime::Capability>(&name.to_string()).ok();
            let meant = known.and_then(|known| serde_json::to_value(known).ok());
            let known = meant.as_ref().is_some_and(|meant| name == meant);
            if !known {
                let hint = meant.map(|meant| format!(" (write {meant})")).unwrap_or_default();
                warnings.push(format!("process.capabilities.{set}: ignoring unknown capability {name}{hint}"));
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

/// Bytes that may be read over and over again to find a place: seconds. In what is larger, the place found is an outer one.
const EFFORT: usize = 64 << 20;

/// Finds the innermost place that makes the configuration unreadable: a value is guilty when the whole would be read
/// (or would fail elsewhere) without it.
fn locate<T: DeserializeOwned>(mut value: Value, at: &str, complaint: &str) -> anyhow::Error {
    let mut path = String::new();
    let size = value.to_string().len().max(1);
    let mut trials = EFFORT / size;
    while let Some(step) = guilty_child::<T>(&mut value, size, &path, complaint, &mut trials) {
        path.push('/');
        path.push_str(&step);
    }
    let (name, hint) = (dotted(&format!("{at}{path}")), hint(complaint));
    if name.is_empty() { anyhow!("{complaint}{hint}") } else { anyhow!("{name}: {complaint}{hint}") }
}

/// `/a/0/b` as people write it: `a[0].b`.
fn dotted(pointer: &str) -> String {
    pointer.split('/').skip(1).fold(String::new(), |name, step| match step.parse::<usize>() {
        Ok(index) => format!("{name}[{index}]"),
        Err(_) if name.is_empty() => step.to_string(),
        Err(_) => format!("{name}.{step}"),
    })
}

/// serde's complaint about an unknown word quotes it, and then every word that it knows.
fn hint(complaint: &str) -> String {
    let mut quoted = complaint.split('`').skip(1).step_by(2);
    match (complaint.starts_with("unknown variant"), quoted.next()) {
        (true, Some(word)) => {
            did_you_mean(word, quoted).map(|near| format!(" (did you mean {near:?}?)")).unwrap_or_default()
        }
        _ => String::new(),
    }
}

fn guilty_child<T: DeserializeOwned>(
    whole: &mut Value,
    size: usize,
    path: &str,
    complaint: &str,
    trials: &mut usize,
) -> Option<String> {
    let keys: Vec<String> = match whole.pointer(path)? {
        Value::Object(map) => map.keys().cloned().collect(),
        Value::Array(list) => (0..list.len().min(256)).map(|i| i.to_string()).collect(),
        _ => return None,
    };
    keys.into_iter().take(*trials).find(|key| {
        *trials -= 1;
        let Some(taken) = take(whole, path, key) else { return false };
        let result = typed::<T>(&in_text(whole, size));
        put_back(whole, path, key, taken);
        match result {
            Ok(_) => true,
            // The same complaint, or one that only taking it away has caused.
            Err(other) => {
                other != complaint && !(complaint.starts_with("missing") && other == format!("missing field `{key}`"))
            }
        }
    })
}

/// Takes a member or an element away from what the path names.
fn take(whole: &mut Value, path: &str, key: &str) -> Option<Value> {
    match whole.pointer_mut(path)? {
        Value::Object(map) => map.remove(key),
        Value::Array(list) => key.parse().ok().filter(|index| *index < list.len()).map(|index| list.remove(index)),
        _ => None,
    }
}

fn put_back(whole: &mut Value, path: &str, key: &str, taken: Value) {
    match (whole.pointer_mut(path), key.parse()) {
        (Some(Value::Object(map)), _) => drop(map.insert(key.to_owned(), taken)),
        (Some(Value::Array(list)), Ok(index)) => list.insert(index, taken),
        _ => {}
    }
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
        let text = r#"{"ociVersion":"1.0.2","linux":{"namespaces":[{"type":"mont"}]}}"#;
        assert!(message(text).ends_with("(did you mean \"mount\"?)"), "{}", message(text));
    }

    #[test]
    fn what_is_required_is_not_made_up() {
        for (text, place) in [
            (r#"{"process":{"cwd":"/","rlimits":[{"type":"RLIMIT_CPU","hard":1}]}}"#, "process.rlimits[0].soft"),
            (r#"{"process":{"cwd":"/","rlimits":[{"type":"RLIMIT_CPU","soft":0}]}}"#, "process.rlimits[0].hard"),
            (r#"{"linux":{"uidMappings":[{"containerID":0,"size":1}]}}"#, "linux.uidMappings[0].hostID"),
            (r#"{"linux":{"gidMappings":[{"containerID":0,"hostID":1}]}}"#, "linux.gidMappings[0].size"),
            (r#"{"linux":{"devices":[{"type":"c","major":1,"minor":3}]}}"#, "linux.devices[0].path"),
            (
                r#"{"linux":{"resources":{"hugepageLimits":[{"pageSize":"2MB"}]}}}"#,
                "linux.resources.hugepageLimits[0].limit",
            ),
            (
                r#"{"linux":{"resources":{"network":{"priorities":[{"name":"eth0"}]}}}}"#,
                "linux.resources.network.priorities[0].priority",
            ),
            (
                r#"{"linux":{"resources":{"blockIO":{"throttleReadIOPSDevice":[{"major":8,"minor":0}]}}}}"#,
                "linux.resources.blockIO.throttleReadIOPSDevice[0].rate",
            ),
        ] {
            assert_eq!(message(text), format!("{place}: is missing"));
        }
        let text = r#"{"cwd":"/","args":["x"],"rlimits":[{"type":"RLIMIT_CPU","hard":1}]}"#;
        let error = parse_process(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error, "process.rlimits[0].soft: is missing");
    }

    #[test]
    fn a_limit_of_pids_that_nobody_said_is_none() {
        let pids = |text: &str| {
            let text = format!(r#"{{"linux":{{"resources":{{"pids":{text}}}}}}}"#);
            let spec = parse(text.as_bytes()).unwrap().spec;
            let resources = spec.linux().as_ref().unwrap().resources().clone().unwrap();
            resources.pids().map(|pids| pids.limit())
        };
        assert_eq!((pids("{}"), pids(r#"{"limit":0}"#), pids(r#"{"limit":7}"#)), (None, Some(0), Some(7)));
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
