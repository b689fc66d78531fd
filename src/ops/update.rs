//! update: other limits for a container that is there.

use super::Global;
use crate::error::{Context, Kind, Result, anyhow, bail};
use crate::log;
use crate::outside::cgroup;
use crate::outside::record::{self, Lock, Status};
use crate::plan::cgroup::{Layout, Owner};
use crate::plan::update as plan;
use crate::spec;
use serde_json::Value;

const NOWHERE: &str = "the container has no cgroup of its own, so it can have no limits";

/// All of what is asked for comes into force, or nothing.
pub fn update(global: &Global, id: &str, asked: &plan::Request) -> Result<()> {
    if asked.resources.get("devices").is_some_and(|devices| !devices.is_null()) {
        log::debug(
            "update: the devices of --resources are left out, as engines send a stored list; --device-rule changes rules",
        );
    }
    let (state, _) = record::load(&global.root, id)?;
    let _held = state.lock(Lock::Exclusive)?;
    let record = state.read()?;
    if !matches!(state.status(&record)?, Status::Created | Status::Running | Status::Paused) {
        bail!(anyhow!(Kind::NotRunning));
    }
    let mut template = state.template()?;
    let nowhere = record.cgroup.owner == Owner::Nobody || record.cgroup.layout == Layout::Missing;
    let place = if nowhere { NOWHERE } else { "resources" };
    let update = plan::update(&template.resources, asked, &record.cgroup).context(place)?;
    update.warnings.iter().for_each(log::warning);
    if nowhere && !(update.settings.is_empty() && update.devices.is_none()) {
        bail!(NOWHERE);
    }
    template.resources.clone_from(&update.resources);
    let prepared = state.prepare_template(&template).context("nothing is changed, since it could not be kept")?;
    cgroup::update(&state.cgroup(&record)?, &update, || prepared.commit())
}

/// The object of `--resources FILE`, or of standard input for `-`.
pub fn read_resources(file: &str) -> Result<Value> {
    let text = match file {
        "-" => spec::read_stdin(),
        path => spec::read_file(path.as_ref()),
    };
    let text = text.with_context(|| format!("--resources {file}"))?;
    spec::refuse_too_many(&text).with_context(|| format!("--resources {file}"))?;
    let read = spec::keys::check(&text, &spec::shapes::OF_UPDATE, "resources");
    let read = read.with_context(|| format!("--resources {file}"))?;
    read.warnings.iter().for_each(|warning| log::warning(format!("--resources {file}: {warning}")));
    let value: Value = serde_json::from_slice(&read.text).with_context(|| format!("--resources {file}: not JSON"))?;
    if !value.is_object() {
        bail!("--resources {file}: is no object in the form of linux.resources");
    }
    Ok(value)
}
