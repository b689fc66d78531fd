//! events: what a container uses, again and again or once, and when the kernel runs out of its memory. One JSON document a
//! line, in runc's form, which containerd reads.

use super::Global;
use super::list::RootGiven;
use crate::error::{Context, Result, bail};
use crate::outside::cgroup::{Cgroup, Oom, stats};
use crate::outside::record::{self, Status};
use crate::sys::process::{self, Events, Watch};
use serde_json::{Value, json};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// `--stats`
    Once,
    Every(Duration),
}

/// Hands each line to `print`. Returns when the container has ended.
pub fn events(global: &Global, id: &str, pace: Pace, print: fn(&str) -> Result<()>) -> Result<()> {
    let (state, record) = record::load(&global.root, id)?;
    let cgroup = state.cgroup(&record)?;
    let pidfd = record.init_pidfd()?;
    let Some(pidfd) = pidfd.filter(|_| state.status(&record).is_ok_and(|status| status != Status::Stopped)) else {
        bail!("container with id {id} is not running");
    };
    let interval = match pace {
        Pace::Once => return print(&line("stats", id, Some(stats::read(&cgroup)))),
        Pace::Every(interval) => interval,
    };
    let mut oom = Oom::watch(&cgroup)?;
    let mut next = Instant::now() + interval;
    loop {
        let mut watches = vec![Watch { file: pidfd.as_fd(), events: Events::READ }];
        watches.extend(oom.as_ref().map(Oom::to_watch));
        let left = next.saturating_duration_since(Instant::now());
        process::watch_for(&mut watches, left).context("wait for events")?;
        let ended = watches[0].events != Events::NONE;
        if let Some(oom) = &mut oom
            && oom.has_happened(&cgroup)
        {
            print(&line("oom", id, None))?;
        }
        if ended {
            return Ok(());
        }
        if Instant::now() >= next {
            print(&line("stats", id, Some(stats::read(&cgroup))))?;
            next = Instant::now() + interval;
        }
    }
}

/// The type comes first: scripts search the text for `{"type":"oom","id":…}`.
fn line(kind: &str, id: &str, data: Option<Value>) -> String {
    let (kind, id) = (json!(kind), json!(id));
    let data = data.map(|data| format!(r#","data":{data}"#)).unwrap_or_default();
    format!("{{\"type\":{kind},\"id\":{id}{data}}}\n")
}

/// What a container has used up to now, for a table.
pub struct Sample {
    pub at: Instant,
    pub id: String,
    pub data: Value,
    /// `None` where nobody counts.
    pub oom_killed: Option<u64>,
}

/// One sample of each container that runs; all of them when none is named.
pub fn samples(global: &Global, ids: &[String]) -> Result<Vec<Sample>> {
    let named = !ids.is_empty();
    let ids = if named { ids.to_vec() } else { super::list::ids(global, RootGiven::No)? };
    let one = |id: String| -> Result<Option<Sample>> {
        let (state, record) = record::load(&global.root, &id)?;
        if state.status(&record)? == Status::Stopped {
            if named {
                bail!("container with id {id} is not running");
            }
            return Ok(None);
        }
        let cgroup: Cgroup = state.cgroup(&record)?;
        Ok(Some(Sample { at: Instant::now(), id, data: stats::read(&cgroup), oom_killed: cgroup.oom_killed() }))
    };
    let found = ids.into_iter().map(one).filter(|sample| named || sample.is_ok()); // unnamed ones may just have gone
    Ok(found.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
}
