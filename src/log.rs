//! What we say besides our output: records to the log file or to stderr, as text or JSON lines.
//!
//! One descriptor, shared by the runtime and the child (it is close-on-exec, the payload never has it). The shape of a
//! JSON record is the one that containerd, conmon and Podman read: `level`, `msg`, `time`. Text that a container chose goes
//! through the JSON encoder or is quoted, so that it cannot forge a record.

use crate::error::{Context, Result};
use crate::sys::file::{self, CWD};
use crate::sys::process::STREAMS;
use serde_json::json;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub enum Level {
    Debug,
    Warning,
    Error,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    Json,
}

struct Log {
    file: Option<OwnedFd>,
    format: Format,
    level: Level,
}

/// The one mutable global of the program: set once, by `open`.
static LOG: OnceLock<Log> = OnceLock::new();
static LEFT: AtomicBool = AtomicBool::new(false);

/// Opens the log: appended to when it exists. Without a file, records go to stderr.
pub fn open(path: Option<&Path>, format: Format, level: Level) -> Result<()> {
    let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_APPEND | libc::O_NONBLOCK;
    let file = path
        .map(|path| file::open(CWD, path, flags, 0o644).with_context(|| format!("open log file {}", path.display())))
        .transpose()?;
    let _ = LOG.set(Log { file, format, level }); // a second call keeps the first log
    Ok(())
}

/// The log's own descriptor, if it has one.
pub fn file() -> Option<BorrowedFd<'static>> {
    LOG.get()?.file.as_ref().map(AsFd::as_fd)
}

/// Does the log go to a file of its own, so that errors must be shown on stderr as well?
pub fn has_file() -> bool {
    LOG.get().is_some_and(|log| log.file.is_some())
}

pub fn debug(text: impl AsRef<str>) {
    record(Level::Debug, text.as_ref());
}

pub fn warning(text: impl AsRef<str>) {
    record(Level::Warning, text.as_ref());
}

pub fn error(text: impl AsRef<str>) {
    record(Level::Error, text.as_ref());
}

/// One record, one write. A log that cannot be written must not stop a container, so failures end here.
fn record(level: Level, text: &str) {
    let (to, format, least) = match LOG.get() {
        Some(log) => (log.file.as_ref().map(AsFd::as_fd), log.format, log.level),
        None => (None, Format::Text, Level::Warning),
    };
    if level < least || LEFT.load(Ordering::Relaxed) {
        return;
    }
    let name = match level {
        Level::Debug => "debug",
        Level::Warning => "warning",
        Level::Error => "error",
    };
    let line = match format {
        Format::Json => json!({"level": name, "msg": text, "time": timestamp()}).to_string() + "\n",
        Format::Text if to.is_some() => format!("time=\"{}\" level={name} msg={}\n", timestamp(), json!(text)),
        // On stderr a person reads, or conmon, which hands it on as it is.
        Format::Text if level == Level::Error => format!("{}\n", visible(text)),
        Format::Text => format!("{name}: {}\n", visible(text)),
    };
    let _ = file::write_all(to.unwrap_or(STREAMS[2]), line.as_bytes()); // see above
}

/// Control characters, which could forge lines or drive a terminal, as escapes.
pub fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// The child, before it closes its descriptors: from now on nothing is recorded by this process.
pub fn leave() {
    LEFT.store(true, Ordering::Relaxed);
}

/// Now, as RFC 3339 in UTC with seconds.
pub fn timestamp() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc3339(now.as_secs(), None)
}

/// Seconds since the epoch (and nanoseconds of the second, when wanted) as RFC 3339 in UTC.
pub fn rfc3339(seconds: u64, nanoseconds: Option<u32>) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // The civil calendar from a count of days (proleptic Gregorian, eras of 400 years starting in March).
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let fraction = nanoseconds.map(|n| format!(".{n:09}")).unwrap_or_default();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn dates_are_right_around_leap_days() {
        assert_eq!(rfc3339(0, None), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400, None), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_709_251_199, Some(5)), "2024-02-29T23:59:59.000000005Z");
        assert_eq!(rfc3339(4_107_542_400, None), "2100-03-01T00:00:00Z");
    }
}
