//! The flags of update → a part of `linux.resources`.

use super::args::Asked;
use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::ops::update::read_resources;
use crate::plan::{device_rules, update};
use serde_json::{Value, json};

/// Flag, section and field of `linux.resources`, and how its value is written.
const FLAGS: &[(&str, &str, &str, Form)] = &[
    ("blkio-weight", "blockIO", "weight", Form::Unsigned),
    ("cpu-period", "cpu", "period", Form::Unsigned),
    ("cpu-quota", "cpu", "quota", Form::Signed),
    ("cpu-burst", "cpu", "burst", Form::Unsigned),
    ("cpu-share", "cpu", "shares", Form::Unsigned),
    ("cpu-rt-period", "cpu", "realtimePeriod", Form::Unsigned),
    ("cpu-rt-runtime", "cpu", "realtimeRuntime", Form::Signed),
    ("cpu-idle", "cpu", "idle", Form::Signed),
    ("cpuset-cpus", "cpu", "cpus", Form::Text),
    ("cpuset-mems", "cpu", "mems", Form::Text),
    ("memory", "memory", "limit", Form::Size),
    ("memory-reservation", "memory", "reservation", Form::Size),
    ("memory-swap", "memory", "swap", Form::Size),
    ("kernel-memory", "memory", "kernel", Form::Size),
    ("kernel-memory-tcp", "memory", "kernelTCP", Form::Size),
    ("pids-limit", "pids", "limit", Form::Processes),
];

#[derive(Clone, Copy)]
enum Form {
    Unsigned,
    Signed,
    Text,
    Size,
    /// 0 is a limit as in config.json, where 1 does the same; in resources sent by an engine it says nothing.
    Processes,
}

/// A file of resources wins over the flags of single limits, as with runc.
pub fn asked(said: &Asked) -> Result<update::Request> {
    let rule = |text: &String| device_rules::from_words(text).context("--device-rule");
    let device_rules = said.texts("device-rule")?.iter().map(rule).collect::<Result<Vec<_>>>()?;
    if let Some(file) = said.text("resources")? {
        return Ok(update::Request { resources: read_resources(&file)?, device_rules });
    }
    let mut values = Vec::new();
    for (flag, section, field, form) in FLAGS {
        if let Some(text) = said.text(flag)?.filter(|text| !text.is_empty()) {
            values.push((*section, *field, value(&text, *form).with_context(|| format!("--{flag} {text:?}"))?));
        }
    }
    ensure!(
        !(values.is_empty() && device_rules.is_empty()),
        "nothing to update: give --resources FILE, or the limits as flags; see rruntime update --help"
    );
    Ok(update::Request { resources: update::object(values), device_rules })
}

fn value(text: &str, form: Form) -> Result<Value> {
    let number = || anyhow!("is not a number");
    Ok(match form {
        Form::Text => json!(text),
        Form::Unsigned => json!(text.parse::<u64>().map_err(|_| number())?),
        Form::Signed => json!(text.parse::<i64>().map_err(|_| number())?),
        Form::Size => json!(size(text)?),
        Form::Processes => match text.parse::<i64>().map_err(|_| number())? {
            0 => json!(1),
            limit => json!(limit),
        },
    })
}

/// Bytes, or with a unit of 1024: `512M`, `1.5g`, `64KiB`; -1 for no limit.
fn size(text: &str) -> Result<i64> {
    if text == "-1" {
        return Ok(-1);
    }
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = lower[digits.len()..].trim_end_matches('b').trim_end_matches('i');
    let power = match unit {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => bail!("is not a size; write bytes, or a number with k, m, g, or -1 for no limit"),
    };
    let number: f64 = digits.trim().parse().map_err(|_| anyhow!("is not a size; write bytes, or 512m, 1g"))?;
    let bytes = number * 1024f64.powi(power);
    ensure!((0.0..9.0e18).contains(&bytes), "is not a size that fits");
    #[allow(clippy::cast_possible_truncation)] // just checked
    Ok(bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, bytes) in
            [("0", 0), ("4096", 4096), ("10M", 10 << 20), ("1g", 1 << 30), ("64KiB", 65536), ("1.5k", 1536), ("-1", -1)]
        {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "x", "-5", "1x", "m", "1e30"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn any_word_is_a_size_or_refused() {
        crate::fuzz::often(20_000, |random| {
            let text = random.text();
            assert!(size(&text).is_err() || size(&text).is_ok_and(|bytes| bytes >= -1), "{text:?}");
        });
    }
}
