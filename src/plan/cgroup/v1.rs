//! The knobs of cgroup v1, in the order of writing. A new knob is one row. Pure.
//!
//! Some pairs (limit and swap, period and quota) depend on each other, and which must be first depends on what is there
//! already. The writer puts aside what the kernel refuses for that and tries it again at the end.
//! `memory.checkBeforeUpdate` needs no row: this kernel checks by itself.
//! <https://docs.kernel.org/admin-guide/cgroup-v1/>

use super::table::*;
use super::{IfMissing, Setting};
use crate::error::{Result, bail, ensure};
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice, LinuxWeightDevice};

pub(super) const TABLE: &[Row] = &[
    ignore("memory.limit", |r| memory(r, LinuxMemory::limit) == Some(0), "0 is taken for not set; -1 is no limit"),
    write("memory.limit", "memory", "memory.limit_in_bytes", |r| bytes(memory(r, LinuxMemory::limit), "-1")),
    write("memory.swap", "memory", "memory.memsw.limit_in_bytes", total_swap),
    write("memory.reservation", "memory", "memory.soft_limit_in_bytes", |r| {
        bytes(memory(r, LinuxMemory::reservation), "-1")
    }),
    ignore(
        "memory.kernel",
        |r| memory(r, kernel) > Some(0),
        "obsolete since Linux 5.4; newer kernels ignore the limit",
    ),
    write("memory.kernel", "memory", "memory.kmem.limit_in_bytes", |r| {
        Ok(bytes(memory(r, kernel), "-1")?.map(Value::or_skip))
    }),
    write("memory.kernelTCP", "memory", "memory.kmem.tcp.limit_in_bytes", |r| {
        bytes(memory(r, LinuxMemory::kernel_tcp), "-1")
    }),
    write("memory.swappiness", "memory", "memory.swappiness", swappiness),
    write("memory.disableOOMKiller", "memory", "memory.oom_control", |r| {
        Ok(memory(r, LinuxMemory::disable_oom_killer).filter(|disable| *disable).map(|_| value(1)))
    }),
    ignore(
        "memory.useHierarchy",
        |r| memory(r, LinuxMemory::use_hierarchy) == Some(false),
        "always on since Linux 5.11",
    ),
    // Where writing 1 is still allowed.
    write("memory.useHierarchy", "memory", "memory.use_hierarchy", |r| {
        Ok(memory(r, LinuxMemory::use_hierarchy).filter(|on| *on).map(|_| value(1).or_skip()))
    }),
    write("cpu.shares", "cpu", "cpu.shares", shares),
    write("cpu.period", "cpu", "cpu.cfs_period_us", |r| Ok(period(r)?.map(value))),
    write("cpu.quota", "cpu", "cpu.cfs_quota_us", |r| Ok(quota(r)?.map(|quota| value(quota.max(-1))))),
    write("cpu.burst", "cpu", "cpu.cfs_burst_us", burst),
    write("cpu.idle", "cpu", "cpu.idle", idle),
    write("cpu.realtimePeriod", "cpu", "cpu.rt_period_us", |r| {
        Ok(cpu(r, LinuxCpu::realtime_period).filter(|period| *period != 0).map(value))
    }),
    write("cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us", |r| {
        Ok(cpu(r, LinuxCpu::realtime_runtime).filter(|runtime| *runtime != 0).map(value))
    }),
    write("cpu.cpus", "cpuset", "cpuset.cpus", |r| list(cpu(r, |cpu| cpu.cpus().clone()))),
    write("cpu.mems", "cpuset", "cpuset.mems", |r| list(cpu(r, |cpu| cpu.mems().clone()))),
    write("pids.limit", "pids", "pids.max", |r| Ok(pids(r))),
    write_each("blockIO.weight", block_weight),
    write("blockIO.leafWeight", "blkio", "blkio.leaf_weight", |r| {
        Ok(weight(block_io(r, LinuxBlockIo::leaf_weight))?.map(value))
    }),
    write_each("blockIO.weightDevice", |r| weights(r, device_weight)),
    write_each("blockIO.throttleReadBpsDevice", |r| throttle(r, "read_bps", LinuxBlockIo::throttle_read_bps_device)),
    write_each("blockIO.throttleWriteBpsDevice", |r| throttle(r, "write_bps", LinuxBlockIo::throttle_write_bps_device)),
    write_each("blockIO.throttleReadIOPSDevice", |r| throttle(r, "read_iops", LinuxBlockIo::throttle_read_iops_device)),
    write_each("blockIO.throttleWriteIOPSDevice", |r| {
        throttle(r, "write_iops", LinuxBlockIo::throttle_write_iops_device)
    }),
    write_each("hugepageLimits", |r| huge_pages(r, "limit_in_bytes")),
    write("network.classID", "net_cls", "net_cls.classid", |r| {
        Ok(r.network().as_ref().and_then(|network| network.class_id()).filter(|id| *id != 0).map(value))
    }),
    write_each("network.priorities", priorities),
    write_each("rdma", rdma),
    refuse(
        "unified",
        |r| r.unified().as_ref().is_some_and(|unified| !unified.is_empty()),
        "invalid configuration: cannot use unified on cgroup v1, whose files it does not name; use the other fields of linux.resources",
    ),
];

#[allow(deprecated)] // by the spec too; whoever still says it is told
fn kernel(memory: &LinuxMemory) -> Option<i64> {
    memory.kernel()
}

/// `memsw` counts memory and swap together, as the spec does.
fn total_swap(said: &LinuxResources) -> Result<Option<Value>> {
    Ok(match swap(said)? {
        Swap::Unset => None,
        Swap::Unlimited => Some(value(-1).or_skip()),
        Swap::Total { limit: None, .. } => {
            bail!("limits the sum while memory.limit is -1; limit both, or neither")
        }
        Swap::Total { total, .. } => Some(value(total)),
    })
}

fn swappiness(said: &LinuxResources) -> Result<Option<Value>> {
    // -1, "not set", arrives as the largest number when the writer's type was unsigned.
    let swappiness = memory(said, LinuxMemory::swappiness).filter(|swappiness| *swappiness != u64::MAX);
    ensure!(swappiness.is_none_or(|swappiness| swappiness <= 100), "is outside of 0 to 100");
    Ok(swappiness.map(value))
}

/// The kernel silently clamps; better to say so.
fn shares(said: &LinuxResources) -> Result<Option<Value>> {
    let shares = cpu(said, LinuxCpu::shares).filter(|shares| *shares != 0);
    ensure!(shares.is_none_or(|shares| shares >= 2), "the minimum allowed cpu-shares is 2; write at least that");
    ensure!(
        shares.is_none_or(|shares| shares <= 262_144),
        "the maximum allowed cpu-shares is 262144; write at most that"
    );
    Ok(shares.map(value))
}

/// Linux 5.0 removed CFQ and its files; the BFQ scheduler has its own.
fn either(plain: &'static str, bfq: &'static str, value: &str) -> Setting {
    let bfq = setting("blkio", bfq, value);
    Setting { if_missing: IfMissing::Instead(Box::new(bfq)), ..setting("blkio", plain, value) }
}

fn block_weight(said: &LinuxResources) -> Entries {
    let lowered = weight(block_io(said, LinuxBlockIo::weight)).map(|weight| {
        weight.map(|weight| either("blkio.weight", "blkio.bfq.weight", &weight.to_string())).into_iter().collect()
    });
    vec![(String::new(), lowered)]
}

fn device_weight(device: &LinuxWeightDevice) -> Result<Vec<Setting>> {
    let at = format!("{}:{}", device.major(), device.minor());
    let own = weight(device.weight())?
        .map(|weight| either("blkio.weight_device", "blkio.bfq.weight_device", &format!("{at} {weight}")));
    let leaf = weight(device.leaf_weight())?
        .map(|weight| setting("blkio", "blkio.leaf_weight_device", format!("{at} {weight}")));
    Ok(own.into_iter().chain(leaf).collect())
}

fn throttle(
    said: &LinuxResources,
    what: &str,
    list: fn(&LinuxBlockIo) -> &Option<Vec<LinuxThrottleDevice>>,
) -> Entries {
    throttles(said.block_io().as_ref().map(list), |device| {
        let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
        setting("blkio", format!("blkio.throttle.{what}_device"), value)
    })
}

fn priorities(said: &LinuxResources) -> Entries {
    let one = |name: &str, priority: u32| {
        ensure!(is_word(name), "name: {name:?} is not the name of an interface");
        Ok(vec![setting("net_prio", "net_prio.ifpriomap", format!("{name} {priority}"))])
    };
    let all = said.network().as_ref().and_then(|network| network.priorities().as_deref()).unwrap_or_default();
    all.iter().enumerate().map(|(i, entry)| (format!("[{i}]"), one(entry.name(), entry.priority()))).collect()
}
