//! state: what a container is doing, as JSON. Also what `list` shows of each.

use super::Global;
use crate::error::{Context, Kind, Result, anyhow, bail};
use crate::hooks::OCI_VERSION;
use crate::outside::record::{self, Record, StateDir, Status};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The state as the spec has it, with what runc adds. The order of the fields is the order of the output.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    pub oci_version: &'static str,
    pub id: String,
    /// 0 when stopped.
    pub pid: i32,
    pub status: &'static str,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    pub created: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    pub owner: String,
}

/// Pretty, two spaces, and a newline at the end.
pub fn state(global: &Global, id: &str) -> Result<String> {
    let (state, record) = record::load(&global.root, id)?;
    Ok(serde_json::to_string_pretty(&show(&state, record, String::new())?).context("write the state")? + "\n")
}

pub fn show(state: &StateDir, record: Record, owner: String) -> Result<Shown> {
    let status = state.status(&record)?;
    if status == Status::Creating {
        bail!(anyhow!(Kind::NotExist).context(format!("{:?}", record.id))); // callers know four states, and this is none
    }
    let pid = match (status, record.init) {
        (Status::Stopped, _) | (_, None) => 0,
        (_, Some(init)) => init.pid,
    };
    Ok(Shown {
        oci_version: OCI_VERSION,
        id: record.id,
        pid,
        status: status.name(),
        bundle: record.bundle,
        rootfs: record.rootfs,
        created: record.created,
        annotations: record.annotations,
        owner,
    })
}
