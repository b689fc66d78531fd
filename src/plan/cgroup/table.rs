//! The shape of the two tables, the one loop that lowers them, and the checks and conversions that both share. Pure.

use super::{IfMissing, Layout, Setting};
use crate::error::{Context, Result, bail, ensure};
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources, LinuxThrottleDevice, LinuxWeightDevice};
use std::borrow::Cow;

/// One knob of `linux.resources`.
pub(super) struct Row {
    /// Its place below `linux.resources`.
    said: &'static str,
    does: Does,
}

enum Does {
    /// One value to one file.
    Write { controller: &'static str, file: &'static str, value: fn(&LinuxResources) -> Result<Option<Value>> },
    /// A list or a map.
    WriteEach(fn(&LinuxResources) -> Entries),
    /// This layout cannot do it. config-linux.md, "Unified": what cannot be converted MUST be an error.
    Refuse { asked: fn(&LinuxResources) -> bool, why: &'static str },
    /// It makes no difference here.
    Ignore { asked: fn(&LinuxResources) -> bool, why: &'static str },
}

/// For each entry of a list or a map the rest of its place in the JSON, and its settings.
pub(super) type Entries = Vec<(String, Result<Vec<Setting>>)>;

/// The text for a file.
pub(super) struct Value {
    text: String,
    if_missing: IfMissing,
}

impl Value {
    /// Without this file there is nothing to do.
    pub fn or_skip(self) -> Value {
        Value { if_missing: IfMissing::Skip, ..self }
    }
}

#[allow(clippy::needless_pass_by_value)] // so that `map(value)` reads well
pub(super) fn value(text: impl ToString) -> Value {
    Value { text: text.to_string(), if_missing: IfMissing::Fail }
}

pub(super) const fn write(
    said: &'static str,
    controller: &'static str,
    file: &'static str,
    value: fn(&LinuxResources) -> Result<Option<Value>>,
) -> Row {
    Row { said, does: Does::Write { controller, file, value } }
}

pub(super) const fn write_each(said: &'static str, each: fn(&LinuxResources) -> Entries) -> Row {
    Row { said, does: Does::WriteEach(each) }
}

pub(super) const fn refuse(said: &'static str, asked: fn(&LinuxResources) -> bool, why: &'static str) -> Row {
    Row { said, does: Does::Refuse { asked, why } }
}

pub(super) const fn ignore(said: &'static str, asked: fn(&LinuxResources) -> bool, why: &'static str) -> Row {
    Row { said, does: Does::Ignore { asked, why } }
}

/// A setting whose absence is an error.
#[allow(clippy::needless_pass_by_value)] // text or number, as it comes
pub(super) fn setting(
    controller: impl Into<Cow<'static, str>>,
    file: impl Into<String>,
    value: impl ToString,
) -> Setting {
    let (controller, file) = (controller.into(), file.into().into());
    Setting { controller, file, value: value.to_string(), if_missing: IfMissing::Fail }
}

/// Every row in turn. Errors and warnings start with the place in the JSON.
pub(super) fn lower(
    rows: &[Row],
    said: &LinuxResources,
    layout: &Layout,
    warnings: &mut Vec<String>,
) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for row in rows {
        let place = |rest: &str| format!("linux.resources.{}{rest}", row.said);
        let mut add = |rest: &str, setting: Setting| {
            let known = layout.has(&setting.controller);
            ensure!(known, "{}: {}", place(rest), no_controller(&setting.controller));
            settings.push(setting);
            Ok(())
        };
        match row.does {
            Does::Write { controller, file, value } => {
                if let Some(Value { text, if_missing }) = value(said).with_context(|| place(""))? {
                    add("", Setting { controller: controller.into(), file: file.into(), value: text, if_missing })?;
                }
            }
            Does::WriteEach(each) => {
                for (rest, entry) in each(said) {
                    for setting in entry.with_context(|| place(&rest))? {
                        add(&rest, setting)?;
                    }
                }
            }
            Does::Refuse { asked, why } => ensure!(!asked(said), "{}: {why}", place("")),
            Does::Ignore { asked, why } => {
                if asked(said) {
                    warnings.push(format!("{}: {why}", place("")));
                }
            }
        }
    }
    Ok(settings)
}

pub(super) fn no_controller(controller: &str) -> String {
    format!(
        "this machine has no cgroup v1 hierarchy with the {controller} controller; mount it, or leave the setting out"
    )
}

/// A field of `resources.memory`; 0 is Go's way to write "not set" where it makes no sense as a value.
pub(super) fn memory<T>(said: &LinuxResources, field: fn(&LinuxMemory) -> Option<T>) -> Option<T> {
    said.memory().as_ref().and_then(field)
}

pub(super) fn cpu<T>(said: &LinuxResources, field: fn(&LinuxCpu) -> Option<T>) -> Option<T> {
    said.cpu().as_ref().and_then(field)
}

pub(super) fn block_io<T>(said: &LinuxResources, field: fn(&LinuxBlockIo) -> Option<T>) -> Option<T> {
    said.block_io().as_ref().and_then(field)
}

/// `cpu.cpus` and `cpu.mems`: a list as it stands; empty is "not set".
pub(super) fn list(text: Option<String>) -> Result<Option<Value>> {
    ensure!(!text.as_deref().unwrap_or_default().contains('\n'), "has a newline in it; write a list such as 0-3,7");
    Ok(text.filter(|text| !text.is_empty()).map(value))
}

/// A size in bytes; -1, no limit, is written as `unlimited`.
pub(super) fn bytes(size: Option<i64>, unlimited: &str) -> Result<Option<Value>> {
    Ok(match size {
        None | Some(0) => None,
        Some(-1) => Some(value(unlimited)),
        Some(size) if size > 0 => Some(value(size)),
        Some(size) => bail!("{size} is not a size; write bytes, or -1 for no limit"),
    })
}

/// `memory.swap` is memory and swap together.
pub(super) enum Swap {
    Unset,
    Unlimited,
    Total { total: i64, limit: Option<i64> },
}

/// Unlimited memory without a word about swap means unlimited swap. `limit` is `None` when memory is unlimited.
pub(super) fn swap(said: &LinuxResources) -> Result<Swap> {
    let limit = memory(said, LinuxMemory::limit).filter(|limit| *limit != 0);
    match (memory(said, LinuxMemory::swap).filter(|swap| *swap != 0), limit) {
        (None, Some(-1)) | (Some(-1), _) => Ok(Swap::Unlimited),
        (None, _) => Ok(Swap::Unset),
        (Some(total), _) if total < 0 => {
            bail!("{total} is not a size; write bytes, or -1 for no limit")
        }
        (Some(_), None) => {
            bail!("counts memory and swap together, so it needs memory.limit; set that as well")
        }
        (Some(total), Some(-1)) => Ok(Swap::Total { total, limit: None }),
        (Some(total), Some(limit)) => {
            ensure!(
                total >= limit,
                "{total} is less than memory.limit ({limit}), but counts memory and swap together; write the sum"
            );
            Ok(Swap::Total { total, limit: Some(limit) })
        }
    }
}

/// The limits of `pids.max`. 0 is a limit too, written as 1: systemd has no 0, and the container's first process must
/// be born inside. It cannot fork either way.
pub(super) fn pids(said: &LinuxResources) -> Option<Value> {
    let limit = said.pids().as_ref()?.limit();
    Some(if limit < 0 { value("max") } else { value(limit.max(1)) })
}

/// cfs quota and period, in microseconds; what the kernel takes, checked here for a better message than EINVAL.
pub(super) fn bandwidth(said: &LinuxResources) -> Result<(Option<i64>, Option<u64>)> {
    Ok((quota(said)?, period(said).context("with this cpu.period")?))
}

pub(super) fn quota(said: &LinuxResources) -> Result<Option<i64>> {
    let quota = cpu(said, LinuxCpu::quota).filter(|quota| *quota != 0);
    if let Some(quota) = quota.filter(|quota| (1..1000).contains(quota)) {
        bail!("{quota} is less than 1000 (1 ms); write microseconds");
    }
    Ok(quota)
}

pub(super) fn period(said: &LinuxResources) -> Result<Option<u64>> {
    let period = cpu(said, LinuxCpu::period).filter(|period| *period != 0);
    if let Some(period) = period.filter(|period| !(1000..=1_000_000).contains(period)) {
        bail!("{period} is outside of 1000 to 1000000 (1 ms to 1 s); write microseconds");
    }
    Ok(period)
}

pub(super) fn burst(said: &LinuxResources) -> Result<Option<Value>> {
    let Some(burst) = cpu(said, LinuxCpu::burst) else {
        return Ok(None);
    };
    let quota = cpu(said, LinuxCpu::quota).filter(|quota| *quota > 0);
    let fits = quota.is_none_or(|quota| burst <= quota.unsigned_abs());
    ensure!(fits, "{burst} is more than cpu.quota; a burst saves up quota, so it cannot exceed it");
    Ok(Some(value(burst)))
}

pub(super) fn idle(said: &LinuxResources) -> Result<Option<Value>> {
    let idle = cpu(said, LinuxCpu::idle);
    ensure!(
        idle.is_none_or(|idle| idle == 0 || idle == 1),
        "is neither 0 nor 1; write 1 for a container that gets only what others leave"
    );
    Ok(idle.map(value))
}

/// A weight of the block layer. 0 is "not set".
pub(super) fn weight(weight: Option<u16>) -> Result<Option<u16>> {
    let weight = weight.filter(|weight| *weight != 0);
    ensure!(
        weight.is_none_or(|w| (10..=1000).contains(&w)),
        "is outside of 10 to 1000; write a weight between them, or 0 for the usual one"
    );
    Ok(weight)
}

/// Each entry of `blockIO.weightDevice`, by its index.
pub(super) fn weights(said: &LinuxResources, one: fn(&LinuxWeightDevice) -> Result<Vec<Setting>>) -> Entries {
    let all = said.block_io().as_ref().and_then(|io| io.weight_device().as_deref()).unwrap_or_default();
    let checked = |device: &LinuxWeightDevice| {
        let asked = device.weight().or(device.leaf_weight()).is_some();
        ensure!(asked, "has neither weight nor leafWeight; give one");
        one(device)
    };
    all.iter().enumerate().map(|(i, device)| (format!("[{i}]"), checked(device))).collect()
}

/// Each entry of one of the four throttle lists, by its index.
pub(super) fn throttles(
    list: Option<&Option<Vec<LinuxThrottleDevice>>>,
    one: impl Fn(&LinuxThrottleDevice) -> Setting,
) -> Entries {
    let all = list.and_then(Option::as_deref).unwrap_or_default();
    all.iter().enumerate().map(|(i, device)| (format!("[{i}]"), Ok(vec![one(device)]))).collect()
}

/// Each entry of `hugepageLimits`. The limit counts reservations where the kernel can (Linux 5.7), and page faults
/// always.
pub(super) fn huge_pages(said: &LinuxResources, suffix: &str) -> Entries {
    let one = |size: &str, limit: i64| {
        page_size(size)?;
        ensure!(limit >= 0, "limit: {limit} is below zero; write bytes");
        let reserved = setting("hugetlb", format!("hugetlb.{size}.rsvd.{suffix}"), limit);
        let used = setting("hugetlb", format!("hugetlb.{size}.{suffix}"), limit);
        Ok(vec![used, Setting { if_missing: IfMissing::Skip, ..reserved }])
    };
    let all = said.hugepage_limits().as_deref().unwrap_or_default();
    all.iter().enumerate().map(|(i, entry)| (format!("[{i}]"), one(entry.page_size(), entry.limit()))).collect()
}

/// It becomes part of a file's name, so nothing but a size may pass.
fn page_size(said: &str) -> Result<()> {
    let digits = said.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = &said[digits.len()..];
    let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if number && matches!(unit, "KB" | "MB" | "GB") {
        return Ok(());
    }
    match unit.chars().next().map(|first| first.to_ascii_uppercase()) {
        Some(first @ ('K' | 'M' | 'G')) if number => {
            bail!("pageSize: {said:?} (did you mean \"{digits}{first}B\"?)")
        }
        _ => bail!("pageSize: {said:?} is not a size as the kernel writes it; write 64KB, 2MB or 1GB"),
    }
}

/// Each entry of `rdma`, in the order of the device names.
pub(super) fn rdma(said: &LinuxResources) -> Entries {
    let one = |device: &str, limits: &oci_spec::runtime::LinuxRdma| {
        ensure!(is_word(device), "is not the name of a device");
        let handles = limits.hca_handles().map(|n| format!(" hca_handle={n}"));
        let objects = limits.hca_objects().map(|n| format!(" hca_object={n}"));
        ensure!(handles.is_some() || objects.is_some(), "has neither hcaHandles nor hcaObjects; give one");
        let both = [handles, objects].map(Option::unwrap_or_default).concat();
        Ok(vec![setting("rdma", "rdma.max", format!("{device}{both}"))])
    };
    let mut all: Vec<_> = said.rdma().iter().flatten().collect();
    all.sort_by_key(|(name, _)| *name);
    all.into_iter().map(|(name, limits)| (format!("[{name:?}]"), one(name, limits))).collect()
}

/// Something that stands between blanks in a kernel file.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}
