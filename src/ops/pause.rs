//! pause and resume: the whole container stands still, and goes on.

use super::Global;
use crate::error::{Kind, Result, anyhow, bail};
use crate::outside::record::{self, Lock, Status};

pub fn pause(global: &Global, id: &str) -> Result<()> {
    let (state, _) = record::load(&global.root, id)?;
    let _held = state.lock(Lock::Shared)?; // not exclusive: an exec may wait in it for a resume
    let record = state.read()?;
    match state.status(&record)? {
        Status::Created | Status::Running => state.cgroup(&record)?.freeze(),
        Status::Paused => bail!("container already paused"),
        Status::Creating | Status::Stopped => Err(anyhow!(Kind::NotRunning)),
    }
}

pub fn resume(global: &Global, id: &str) -> Result<()> {
    let (state, _) = record::load(&global.root, id)?;
    let _held = state.lock(Lock::Shared)?;
    let record = state.read()?;
    match state.status(&record)? {
        Status::Paused => state.cgroup(&record)?.thaw(),
        _ => bail!("container not paused"),
    }
}
