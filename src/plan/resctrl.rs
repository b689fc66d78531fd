//! linux.intelRdt: which group of the resctrl file system the container belongs to, and what is written into it.
//! config-linux.md, "IntelRdt"; Documentation/filesystems/resctrl.rst.

use crate::error::{Result, bail, ensure};
use oci_spec::runtime::Linux;

/// What is wanted of resctrl.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resctrl {
    pub class: Class,
    /// Lines for the group's `schemata`, in the order of writing. None: nothing is written.
    pub schemata: Vec<String>,
    pub monitoring: Monitoring,
}

/// The class of service: a directory of the file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// The file system's own top directory.
    Default,
    /// Somebody's: it may be there before us and stays after us.
    Named(String),
    /// The container's own, named after it.
    Own,
}

/// Whether the container gets a monitoring group of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Monitoring {
    Own,
    None,
}

/// Names that the kernel gives to directories of its own.
const RESERVED: [&str; 3] = ["info", "mon_groups", "mon_data"];
const LINES: usize = 1024;

pub(super) fn lower(linux: &Linux, id: &str) -> Result<Option<Resctrl>> {
    let Some(asked) = linux.intel_rdt() else { return Ok(None) };
    let class = match asked.clos_id().as_deref().unwrap_or_default() {
        "" => {
            let taken = RESERVED.contains(&id);
            ensure!(
                !taken,
                "linux.intelRdt.closID: is missing, and the container's id {id:?} cannot be a group; name one"
            );
            Class::Own
        }
        "/" => Class::Default,
        name => {
            let clean = !name.contains(['/', '\0', '\n']) && name.len() <= 255 && !matches!(name, "." | "..");
            ensure!(
                clean && !RESERVED.contains(&name),
                "linux.intelRdt.closID: {name:?} is no name of a group; write one directory name, or \"/\" for the default one"
            );
            Class::Named(name.to_string())
        }
    };
    let mut schemata = Vec::new();
    for (field, prefix, line) in
        [("l3CacheSchema", "L3", asked.l3_cache_schema()), ("memBwSchema", "MB:", asked.mem_bw_schema())]
    {
        let Some(line) = line.as_deref().filter(|line| !line.is_empty()) else { continue };
        let place = format!("linux.intelRdt.{field}");
        one_line(&place, line)?;
        ensure!(
            line.starts_with(prefix),
            "{place}: {line:?} does not begin with \"{prefix}\"; write other lines in schemata"
        );
        schemata.push(line.to_string());
    }
    let lines = asked.schemata().as_deref().unwrap_or_default();
    ensure!(lines.len() <= LINES, "linux.intelRdt.schemata: {} lines are more than {LINES}", lines.len());
    for (index, line) in lines.iter().enumerate() {
        let place = format!("linux.intelRdt.schemata[{index}]");
        one_line(&place, line)?;
        ensure!(line.contains(':'), "{place}: {line:?} is no line of schemata; write it as \"L3:0=ff;1=ff\"");
        schemata.push(line.clone());
    }
    let monitoring = if asked.enable_monitoring().unwrap_or(false) { Monitoring::Own } else { Monitoring::None };
    Ok(Some(Resctrl { class, schemata, monitoring }))
}

fn one_line(place: &str, line: &str) -> Result<()> {
    if line.contains(['\n', '\0']) {
        bail!("{place}: holds a line break; write one line, and further ones in schemata");
    }
    Ok(())
}

/// Does a group whose `schemata` reads `found` have what the line `wanted` says? `L3:0=ff;1=f` is a resource and its
/// domains; the kernel prints numbers with leading zeros and blanks, and domains that were not mentioned.
pub fn agrees(found: &str, wanted: &str) -> bool {
    let Some((resource, domains)) = split(wanted) else { return false };
    let Some(known) = found.lines().filter_map(split).find(|(name, _)| *name == resource).map(|(_, domains)| domains)
    else {
        return false;
    };
    domains.iter().all(|domain| known.contains(domain))
}

fn split(line: &str) -> Option<(&str, Vec<(String, String)>)> {
    let (resource, domains) = line.split_once(':')?;
    let plain = |text: &str| {
        let short = text.trim().trim_start_matches('0').to_ascii_lowercase();
        if short.is_empty() { "0".to_string() } else { short }
    };
    let pairs = domains.split(';').filter(|part| !part.trim().is_empty());
    let pairs = pairs.map(|part| part.split_once('=').map(|(id, value)| (plain(id), plain(value))));
    Some((resource.trim(), pairs.collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(json: &str) -> Result<Resctrl> {
        let linux: Linux = serde_json::from_str(&format!(r#"{{"intelRdt":{json}}}"#)).unwrap();
        lower(&linux, "id").map(|plan| plan.expect("it is wanted"))
    }

    #[test]
    fn lines_are_written_in_the_order_of_the_specification() {
        let json = r#"{"closID":"g","schemata":["L2:0=f"],"memBwSchema":"MB:0=20","l3CacheSchema":"L3:0=7"}"#;
        let plan = lowered(json).unwrap();
        assert_eq!(plan.schemata, ["L3:0=7", "MB:0=20", "L2:0=f"]);
        assert_eq!((plan.class, plan.monitoring), (Class::Named("g".to_string()), Monitoring::None));
    }

    #[test]
    fn a_class_is_one_directory() {
        let class = |id: &str| lowered(&serde_json::json!({"closID": id}).to_string()).map(|plan| plan.class);
        assert_eq!((class("").unwrap(), class("/").unwrap()), (Class::Own, Class::Default));
        for id in ["..", ".", "a/b", "/a", "info", "mon_groups", "a\nb"] {
            assert!(class(id).is_err(), "{id}");
        }
    }

    #[test]
    fn a_schema_that_the_specification_forbids_is_refused() {
        for (json, told) in [
            (r#"{"memBwSchema":"L3:0=1"}"#, "linux.intelRdt.memBwSchema: "),
            (r#"{"l3CacheSchema":"L3:0=1\nL3:1=1"}"#, "linux.intelRdt.l3CacheSchema: "),
            (r#"{"l3CacheSchema":"MB:0=1"}"#, "linux.intelRdt.l3CacheSchema: "),
            (r#"{"schemata":["MB:0=1","L3"]}"#, "linux.intelRdt.schemata[1]: "),
        ] {
            let error = lowered(json).unwrap_err().to_string();
            assert!(error.starts_with(told), "{error}");
        }
        let linux: Linux = serde_json::from_str(r#"{"intelRdt":{}}"#).unwrap();
        assert!(lower(&linux, "info").is_err(), "the kernel has a directory of that name");
    }

    #[test]
    fn monitoring_is_the_containers_own_or_none() {
        let monitoring = |json: &str| lowered(json).unwrap().monitoring;
        assert_eq!(monitoring(r#"{"enableMonitoring":true}"#), Monitoring::Own);
        // These two left the specification with 1.3, and nobody had implemented them.
        assert_eq!(monitoring(r#"{"enableCMT":true,"enableMBM":true}"#), Monitoring::None);
    }

    #[test]
    fn what_the_kernel_prints_is_compared_by_meaning() {
        let found = "    MB:0= 20;1= 70\n    L3:0=007f0;1=0001f\n";
        for wanted in ["L3:0=7f0;1=1f", "L3:1=1F", "MB:0=20", "MB:0=20;1=70;"] {
            assert!(agrees(found, wanted), "{wanted}");
        }
        for wanted in ["L3:0=7f0;1=1e", "L3:2=1f", "L2:0=1", "MB", "L3:0"] {
            assert!(!agrees(found, wanted), "{wanted}");
        }
    }
}
