//! stats: a table of what containers use, for people. CPU use is the difference of two samples of the cgroup's own counter,
//! so it is the container's and not the host's.

use crate::error::Result;
use crate::ops::events::Sample;
use serde_json::Value;
use std::time::Duration;

const HEADER: [&str; 11] = [
    "ID",
    "CPU",
    "THROTTLED",
    "MEMORY",
    "LIMIT",
    "PIDS",
    "READ",
    "WRITTEN",
    "PRESSURE cpu/mem/io",
    "OOM KILLS",
    "SWAP",
];

/// The time between the two samples of a table.
pub const PAUSE: Duration = Duration::from_secs(1);

/// A table line for every container that is in both lists.
pub fn table(before: &[Sample], now: &[Sample]) -> String {
    let mut rows = vec![HEADER.map(str::to_owned)];
    for sample in now {
        if let Some(old) = before.iter().find(|old| old.id == sample.id) {
            rows.push(row(old, sample));
        }
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADER.len()).map(width).collect();
    let line = |row: &[String; 11]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn row(old: &Sample, now: &Sample) -> [String; 11] {
    let seconds = now.at.duration_since(old.at).as_secs_f64().max(0.001);
    let number = |sample: &Sample, pointer: &str| sample.data.pointer(pointer).and_then(Value::as_u64);
    // Of two counters that began anew (the container was started again) the difference is nothing.
    #[allow(clippy::cast_precision_loss)] // of two samples close together
    let share = |pointer: &str| {
        let (before, after) = (number(old, pointer)?, number(now, pointer)?);
        Some(format!("{:.1}%", after.saturating_sub(before) as f64 / seconds / 1e7)) // nanoseconds in a second, in percent
    };
    let bytes = |pointer: &str| number(now, pointer).map(size);
    let pressure = ["cpu", "memory", "blkio"].map(|section| {
        let average = now.data.pointer(&format!("/{section}/psi/some/avg10")).and_then(Value::as_f64);
        average.map_or_else(|| "-".to_owned(), |average| format!("{average:.0}"))
    });
    let known = |cell: Option<String>| cell.unwrap_or_else(|| "-".to_owned());
    let pids = match (number(now, "/pids/current"), number(now, "/pids/limit")) {
        (Some(current), Some(limit)) if limit > 0 => Some(format!("{current} of {limit}")),
        (current, _) => current.map(|current| current.to_string()),
    };
    let swap = number(now, "/memory/swap/usage").zip(number(now, "/memory/usage/usage"));
    [
        now.id.clone(),
        known(share("/cpu/usage/total")),
        known(share("/cpu/throttling/throttledTime")),
        known(bytes("/memory/usage/usage")),
        known(bytes("/memory/usage/limit")),
        known(pids),
        known(traffic(now, "Read")),
        known(traffic(now, "Write")),
        if pressure.iter().all(|one| one == "-") { "-".to_owned() } else { pressure.join("/") },
        known(now.oom_killed.map(|count| count.to_string())),
        known(swap.map(|(both, memory)| size(both.saturating_sub(memory)))),
    ]
}

/// Bytes of all devices, in one direction.
fn traffic(sample: &Sample, what: &str) -> Option<String> {
    let entries = sample.data.pointer("/blkio/ioServiceBytesRecursive")?.as_array()?;
    let of = entries.iter().filter(|entry| entry["op"] == what).filter_map(|entry| entry["value"].as_u64());
    Some(size(of.sum()))
}

/// `12.3 MiB`; what no machine has is no limit.
fn size(bytes: u64) -> String {
    if bytes > 1 << 62 {
        return "none".to_owned();
    }
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    #[allow(clippy::cast_precision_loss)] // three digits are shown
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1000.0 && unit + 1 < units.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", units[unit]) }
}

/// The table again and again, at the top of an empty screen, until nobody is left or the caller ends it.
pub fn live(take: impl Fn() -> Result<Vec<Sample>>, print: fn(&str) -> Result<()>) -> Result<()> {
    let mut before = take()?;
    while !before.is_empty() {
        std::thread::sleep(PAUSE);
        let now = take()?;
        print(&format!("\x1b[H\x1b[J{}", table(&before, &now)))?;
        before = now;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Instant;

    #[test]
    fn cpu_use_is_of_the_time_between_two_samples() {
        let at = Instant::now();
        let sample = |at: Instant, total: u64| Sample {
            at,
            id: "x".into(),
            data: json!({"cpu": {"usage": {"total": total}}, "memory": {"usage": {"limit": u64::MAX, "usage": 12_900_000}}}),
            oom_killed: Some(2),
        };
        let text = table(&[sample(at, 1_000_000_000)], &[sample(at + Duration::from_secs(2), 1_500_000_000)]);
        let line = text.lines().nth(1).unwrap();
        assert!(line.starts_with("x   25.0%") && line.contains("12.3 MiB") && line.contains("none"), "{text}");
    }

    #[test]
    fn sizes_have_three_digits_or_so() {
        for (bytes, text) in
            [(0, "0 B"), (999, "999 B"), (1 << 20, "1.0 MiB"), (5 << 30, "5.0 GiB"), (u64::MAX, "none")]
        {
            assert_eq!(size(bytes), text);
        }
    }
}
