//! linux.memoryPolicy: which memory nodes the process takes its pages from. set_mempolicy(2).

use super::list;
use crate::error::{Context, Result, bail, ensure};
use oci_spec::runtime::{LinuxMemoryPolicy, MemoryPolicyFlagType as Flag, MemoryPolicyModeType as Mode};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct MemoryPolicy {
    /// The spec's word, for messages.
    pub name: String,
    /// The kernel's mode, with its flags.
    pub mode: u32,
    pub nodes: list::Set,
}

/// Which nodes a mode takes. set_mempolicy(2).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nodes {
    None,
    Some,
    Any,
}

/// The kernel's numbers: include/uapi/linux/mempolicy.h.
const MODES: [(Mode, &str, u32, Nodes); 7] = [
    (Mode::MpolDefault, "MPOL_DEFAULT", 0, Nodes::None),
    (Mode::MpolPreferred, "MPOL_PREFERRED", 1, Nodes::Any),
    (Mode::MpolBind, "MPOL_BIND", 2, Nodes::Some),
    (Mode::MpolInterleave, "MPOL_INTERLEAVE", 3, Nodes::Some),
    (Mode::MpolLocal, "MPOL_LOCAL", 4, Nodes::None),
    (Mode::MpolPreferredMany, "MPOL_PREFERRED_MANY", 5, Nodes::Some),
    (Mode::MpolWeightedInterleave, "MPOL_WEIGHTED_INTERLEAVE", 6, Nodes::Some),
];

const FLAGS: [(Flag, &str, u32); 3] = [
    (Flag::MpolFNumaBalancing, "MPOL_F_NUMA_BALANCING", 1 << 13),
    (Flag::MpolFRelativeNodes, "MPOL_F_RELATIVE_NODES", 1 << 14),
    (Flag::MpolFStaticNodes, "MPOL_F_STATIC_NODES", 1 << 15),
];

/// For `features`.
pub fn modes() -> Vec<&'static str> {
    MODES.iter().map(|(_, name, ..)| *name).collect()
}

/// For `features`.
pub fn flags() -> Vec<&'static str> {
    FLAGS.iter().map(|(_, name, _)| *name).collect()
}

pub(super) fn lower(asked: &LinuxMemoryPolicy) -> Result<MemoryPolicy> {
    let (_, name, mode, takes) =
        MODES.into_iter().find(|(mode, ..)| *mode == asked.mode()).expect("MODES has every mode");
    let nodes = list::parse(asked.nodes().as_deref().unwrap_or_default()).context("nodes")?;
    match (takes, nodes.is_empty()) {
        (Nodes::None, false) => bail!("nodes: {name} takes none; remove them"),
        (Nodes::Some, true) => bail!("nodes: {name} needs at least one, as \"0\" or \"0-3,7\""),
        _ => {}
    }
    let words = asked.flags().iter().flatten();
    let bits =
        words.flat_map(|word| FLAGS.iter().filter(move |row| row.0 == *word)).fold(0, |all, (.., bit)| all | bit);
    let both = FLAGS[1].2 | FLAGS[2].2;
    ensure!(bits & both != both, "flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other");
    Ok(MemoryPolicy { name: name.to_string(), mode: mode | bits, nodes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(json: &str) -> Result<MemoryPolicy> {
        lower(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn modes_flags_and_nodes_are_the_kernels() {
        let policy = lowered(r#"{"mode":"MPOL_BIND","nodes":"1,4095","flags":["MPOL_F_STATIC_NODES"]}"#).unwrap();
        assert_eq!(policy.mode, 2 | 1 << 15);
        assert_eq!((policy.nodes.words().len(), policy.nodes.words()[0]), (64, 2));
        for (name, number) in modes().into_iter().zip(0..) {
            let nodes = if matches!(number, 0 | 4) { "" } else { "0" };
            assert_eq!(lowered(&format!(r#"{{"mode":"{name}","nodes":"{nodes}"}}"#)).unwrap().mode, number);
        }
        assert!(lowered(r#"{"mode":"MPOL_PREFERRED"}"#).unwrap().nodes.is_empty());
    }

    #[test]
    fn nodes_and_flags_must_fit_the_mode() {
        for (json, text) in [
            (r#"{"mode":"MPOL_DEFAULT","nodes":"0"}"#, "nodes: MPOL_DEFAULT takes none"),
            (r#"{"mode":"MPOL_LOCAL","nodes":"0"}"#, "nodes: MPOL_LOCAL takes none"),
            (r#"{"mode":"MPOL_BIND"}"#, "nodes: MPOL_BIND needs"),
            (r#"{"mode":"MPOL_INTERLEAVE","nodes":" "}"#, "nodes: MPOL_INTERLEAVE needs"),
            (r#"{"mode":"MPOL_BIND","nodes":"1-x"}"#, "nodes: \"1-x\""),
            (
                r#"{"mode":"MPOL_BIND","nodes":"0","flags":["MPOL_F_STATIC_NODES","MPOL_F_RELATIVE_NODES"]}"#,
                "flags: MPOL_F_STATIC_NODES and",
            ),
        ] {
            let error = format!("{:#}", lowered(json).expect_err(json));
            assert!(error.starts_with(text), "{json}: {error}");
        }
    }
}
