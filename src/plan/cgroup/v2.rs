//! The knobs of cgroup v2, in the order of writing. A new knob is one row. Pure.
//!
//! The spec's fields were made for v1. What has an equivalent is converted; what has none is refused, as the spec
//! demands (config-linux.md, "Unified"), unless the value asks for what v2 does anyway.
//! `memory.checkBeforeUpdate` has no row: a new cgroup uses nothing yet, so only an update has something to check.
//! <https://docs.kernel.org/admin-guide/cgroup-v2.html>

use super::table::*;
use super::{IfMissing, Setting};
use crate::error::{Result, bail, ensure};
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice, LinuxWeightDevice};

pub(super) const TABLE: &[Row] = &[
    write("memory.swap", "memory", "memory.swap.max", swap_alone),
    ignore("memory.limit", |r| memory(r, LinuxMemory::limit) == Some(0), "0 is taken for not set; -1 is no limit"),
    write("memory.limit", "memory", "memory.max", |r| bytes(memory(r, LinuxMemory::limit), "max")),
    write("memory.reservation", "memory", "memory.low", |r| bytes(memory(r, LinuxMemory::reservation), "max")),
    refuse(
        "memory.kernel",
        |r| memory(r, kernel) > Some(0),
        "cgroup v2 counts kernel memory in memory.limit; use that",
    ),
    refuse(
        "memory.kernelTCP",
        |r| memory(r, LinuxMemory::kernel_tcp) > Some(0),
        "cgroup v2 counts socket buffers in memory.limit; use that",
    ),
    refuse(
        "memory.swappiness",
        // -1, "not set", arrives as the largest number when the writer's type was unsigned.
        |r| memory(r, LinuxMemory::swappiness).is_some_and(|swappiness| swappiness != u64::MAX),
        "cgroup v2 has no swappiness; limit swap with memory.swap, or leave it out",
    ),
    refuse(
        "memory.disableOOMKiller",
        |r| memory(r, LinuxMemory::disable_oom_killer) == Some(true),
        "cgroup v2 cannot disable the OOM killer; process.oomScoreAdj makes it less likely to be chosen",
    ),
    ignore(
        "memory.useHierarchy",
        |r| memory(r, LinuxMemory::use_hierarchy) == Some(false),
        "cgroup v2 always counts hierarchically",
    ),
    write("cpu.shares", "cpu", "cpu.weight", |r| Ok(cpu(r, LinuxCpu::shares).and_then(weight_of_shares).map(value))),
    // After the weight, which an idle cgroup does not take.
    write("cpu.idle", "cpu", "cpu.idle", idle),
    write("cpu.quota", "cpu", "cpu.max", maximum),
    write("cpu.burst", "cpu", "cpu.max.burst", burst),
    refuse(
        "cpu.realtimeRuntime",
        |r| cpu(r, LinuxCpu::realtime_runtime).is_some_and(|runtime| runtime != 0),
        "cgroup v2 does not limit real-time scheduling; leave it out",
    ),
    refuse(
        "cpu.realtimePeriod",
        |r| cpu(r, LinuxCpu::realtime_period).is_some_and(|period| period != 0),
        "cgroup v2 does not limit real-time scheduling; leave it out",
    ),
    write("cpu.cpus", "cpuset", "cpuset.cpus", |r| list(cpu(r, |cpu| cpu.cpus().clone()))),
    write("cpu.mems", "cpuset", "cpuset.mems", |r| list(cpu(r, |cpu| cpu.mems().clone()))),
    write("pids.limit", "pids", "pids.max", |r| Ok(pids(r))),
    write_each("blockIO.weight", block_weight),
    refuse(
        "blockIO.leafWeight",
        |r| block_io(r, LinuxBlockIo::leaf_weight).is_some_and(|weight| weight != 0),
        "cgroup v2 has no leaf weight; use blockIO.weight",
    ),
    write_each("blockIO.weightDevice", |r| weights(r, device_weight)),
    write_each("blockIO.throttleReadBpsDevice", |r| throttle(r, "rbps", LinuxBlockIo::throttle_read_bps_device)),
    write_each("blockIO.throttleWriteBpsDevice", |r| throttle(r, "wbps", LinuxBlockIo::throttle_write_bps_device)),
    write_each("blockIO.throttleReadIOPSDevice", |r| throttle(r, "riops", LinuxBlockIo::throttle_read_iops_device)),
    write_each("blockIO.throttleWriteIOPSDevice", |r| throttle(r, "wiops", LinuxBlockIo::throttle_write_iops_device)),
    write_each("hugepageLimits", |r| huge_pages(r, "max")),
    refuse(
        "network.classID",
        |r| r.network().as_ref().and_then(|network| network.class_id()).is_some_and(|id| id != 0),
        "cgroup v2 has no net_cls; match the cgroup's path instead (iptables -m cgroup --path, nft socket cgroupv2)",
    ),
    refuse(
        "network.priorities",
        |r| r.network().as_ref().and_then(|n| n.priorities().as_ref()).is_some_and(|list| !list.is_empty()),
        "cgroup v2 has no net_prio; leave it out",
    ),
    write_each("rdma", rdma),
    // Last: whoever names a file of v2 knows best.
    write_each("unified", unified),
];

#[allow(deprecated)] // by the spec too; whoever still says it is told
fn kernel(memory: &LinuxMemory) -> Option<i64> {
    memory.kernel()
}

/// v2 counts swap by itself: the sum less the memory. A kernel without swap accounting has no such file, which is as
/// good as no swap and as no limit of it.
fn swap_alone(said: &LinuxResources) -> Result<Option<Value>> {
    Ok(match swap(said)? {
        Swap::Unset => None,
        Swap::Unlimited => Some(value("max").or_skip()),
        Swap::Total { total, limit: None } => Some(value(total)),
        Swap::Total { total, limit: Some(limit) } if total == limit => Some(value(0).or_skip()),
        Swap::Total { total, limit: Some(limit) } => Some(value(total - limit)),
    })
}

/// v1's shares (2 … 1024 … 262144) → v2's weight (1 … 100 … 10000): the curve through those three points that the
/// runtimes and Kubernetes agreed on in 2025; a straight line gave the default of v1 only 39 of 10000.
pub(super) fn weight_of_shares(shares: u64) -> Option<u64> {
    match shares {
        0 => None,
        1 | 2 => Some(1),
        262_144.. => Some(10_000),
        3..262_144 => {
            #[allow(clippy::cast_precision_loss)] // below 2^18
            let l = (shares as f64).log2();
            let weight = 10f64.powf((l * l + 125.0 * l) / 612.0 - 7.0 / 34.0).ceil();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // between 1 and 10000
            Some(weight as u64)
        }
    }
}

fn maximum(said: &LinuxResources) -> Result<Option<Value>> {
    let (quota, period) = bandwidth(said)?;
    let text = match quota {
        None if period.is_none() => return Ok(None),
        Some(quota) if quota > 0 => quota.to_string(),
        _ => "max".to_owned(),
    };
    Ok(Some(value(format!("{text} {}", period.unwrap_or(100_000)))))
}

/// 10 … 1000 → 1 … 10000.
pub(super) fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight) - 10) * 9999 / 990
}

/// BFQ takes the spec's range as it is; the files are there only where that scheduler is built in.
fn io_setting(at: &str, weight: u16) -> Setting {
    let plain = setting("io", "io.weight", format!("{at}{}", io_weight(weight)));
    Setting {
        if_missing: IfMissing::Instead(Box::new(plain)),
        ..setting("io", "io.bfq.weight", format!("{at}{weight}"))
    }
}

fn block_weight(said: &LinuxResources) -> Entries {
    let lowered = weight(block_io(said, LinuxBlockIo::weight))
        .map(|weight| weight.map(|weight| io_setting("", weight)).into_iter().collect());
    vec![(String::new(), lowered)]
}

fn device_weight(device: &LinuxWeightDevice) -> Result<Vec<Setting>> {
    ensure!(device.leaf_weight().is_none_or(|weight| weight == 0), "leafWeight: cgroup v2 has none; use weight");
    let at = format!("{}:{} ", device.major(), device.minor());
    Ok(weight(device.weight())?.map(|weight| io_setting(&at, weight)).into_iter().collect())
}

/// A rate of 0 takes the limit away on v1; v2 says `max` for that.
fn throttle(
    said: &LinuxResources,
    what: &str,
    list: fn(&LinuxBlockIo) -> &Option<Vec<LinuxThrottleDevice>>,
) -> Entries {
    throttles(said.block_io().as_ref().map(list), |device| {
        let rate = if device.rate() == 0 { "max".to_owned() } else { device.rate().to_string() };
        setting("io", "io.max", format!("{}:{} {what}={rate}", device.major(), device.minor()))
    })
}

/// Files of the core that act on processes or on the tree, which the runtime does itself.
const NOT_SETTINGS: [&str; 5] =
    ["cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze", "cgroup.subtree_control"];

/// Files as the user names them, in the order of their names; a value of several lines is as many writes.
fn unified(said: &LinuxResources) -> Entries {
    let one = |file: &str, text: &str| {
        let Some((controller, _)) = file.split_once('.').filter(|(c, rest)| is_word(c) && is_word(rest)) else {
            bail!("must be in the form CONTROLLER.PARAMETER, as memory.high");
        };
        ensure!(!file.contains('/'), "must be a file name (no slashes)");
        ensure!(!NOT_SETTINGS.contains(&file), "is not a limit, but moves or ends processes; leave it out");
        let write = |line: &str| setting(controller.to_owned(), file, line);
        let lines: Vec<Setting> = text.lines().filter(|line| !line.is_empty()).map(write).collect();
        // An empty value resets what takes a list. The kernel does not see a write of nothing, so it gets an empty
        // line.
        Ok(if lines.is_empty() { vec![write("\n")] } else { lines })
    };
    let mut all: Vec<_> = said.unified().iter().flatten().collect();
    all.sort();
    all.into_iter().map(|(file, text)| (format!("[{file:?}]"), one(file, text))).collect()
}
