//! Numbers of the kernel in words of people: sizes, times, shares, masks. Pure.

use crate::plan::cgroup::Setting;

/// `64 MiB`; what is no whole number of a unit keeps one decimal.
pub fn bytes(count: u64) -> String {
    const UNITS: [(&str, u32); 4] = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match UNITS.iter().find(|(_, shift)| count >> shift > 0) {
        None => format!("{count} bytes"),
        Some((unit, shift)) if count.trailing_zeros() >= *shift => format!("{} {unit}", count >> shift),
        Some((unit, shift)) => {
            let tenths = u128::from(count) * 10 / (1 << shift);
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
    }
}

/// A number of microseconds.
pub fn microseconds(count: u64) -> String {
    match count {
        0 => "0 s".to_owned(),
        n if n % 1_000_000 == 0 => format!("{} s", n / 1_000_000),
        n if n % 1000 == 0 => format!("{} ms", n / 1000),
        n => format!("{n} µs"),
    }
}

/// What a write to a file of a cgroup asks for; empty where the value speaks for itself.
pub fn of_setting(setting: &Setting) -> String {
    let value = setting.value.as_str();
    let number: Option<u64> = value.parse().ok();
    match (setting.file.as_ref(), number) {
        ("cgroup.procs", _) => String::new(),
        ("cpu.max", _) => cpu_max(value),
        (_, None) if matches!(value, "max" | "-1") => "no limit".to_owned(),
        ("cpu.shares", Some(shares)) => format!("{} × the usual share of CPU time", ratio(shares, 1024)),
        ("cpu.weight", Some(weight)) => format!("{} × the usual share of CPU time", ratio(weight, 100)),
        (file, Some(time)) if file.ends_with("_us") || file == "cpu.max.burst" => microseconds(time),
        ("pids.max", Some(limit)) => format!("at most {limit} processes and threads"),
        ("memory.swappiness" | "memory.oom_control" | "memory.use_hierarchy", _) => String::new(),
        (file, Some(size)) if file.starts_with("memory.") || file.starts_with("hugetlb.") => bytes(size),
        _ => String::new(),
    }
}

/// `50000 100000`: half a CPU.
fn cpu_max(value: &str) -> String {
    let numbers: Vec<Option<u64>> = value.split(' ').map(|number| number.parse().ok()).collect();
    match numbers[..] {
        [Some(quota), Some(period)] if period > 0 => format!("at most {} CPUs", ratio(quota, period)),
        _ => "no limit".to_owned(),
    }
}

/// With at most two decimals.
fn ratio(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 100 / u128::from(whole);
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A value of a resource limit, by the name of its type. setrlimit(2).
pub fn of_rlimit(name: &str, value: u64) -> String {
    if value == u64::MAX {
        return "no limit".to_owned();
    }
    match name {
        "RLIMIT_AS" | "RLIMIT_CORE" | "RLIMIT_DATA" | "RLIMIT_FSIZE" | "RLIMIT_MEMLOCK" | "RLIMIT_MSGQUEUE"
        | "RLIMIT_RSS" | "RLIMIT_STACK" => bytes(value),
        "RLIMIT_CPU" => format!("{value} s"),
        "RLIMIT_RTTIME" => microseconds(value),
        _ => value.to_string(),
    }
}

/// A command line as a shell takes it.
pub fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./,:@%".contains(c);
    let quoted = |word: &String| match word.chars().all(plain) && !word.is_empty() {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_said_as_people_say_them() {
        for (count, text) in [(0, "0 bytes"), (64 << 20, "64 MiB"), (1536, "1.5 KiB"), (3 << 40, "3 TiB")] {
            assert_eq!(bytes(count), text);
        }
        assert!(bytes(u64::MAX).ends_with(" TiB"));
        assert_eq!([50_000, 2_000_000, 7].map(microseconds), ["50 ms", "2 s", "7 µs"]);
    }

    #[test]
    fn settings_have_a_unit() {
        let setting = |file: &'static str, value: &str| {
            let if_missing = crate::plan::cgroup::IfMissing::Fail;
            of_setting(&Setting { controller: "x".into(), file: file.into(), value: value.into(), if_missing })
        };
        assert_eq!(setting("cpu.max", "50000 100000"), "at most 0.5 CPUs");
        assert_eq!(setting("cpu.max", "max 100000"), "no limit");
        assert_eq!(setting("cpu.shares", "512"), "0.5 × the usual share of CPU time");
        assert_eq!(setting("memory.max", "67108864"), "64 MiB");
        assert_eq!(setting("memory.limit_in_bytes", "-1"), "no limit");
    }

    #[test]
    fn a_command_can_be_pasted_into_a_shell() {
        let words = ["sh", "-c", "echo it's"].map(str::to_owned);
        assert_eq!(command(&words), "sh -c 'echo it'\\''s'");
    }
}
