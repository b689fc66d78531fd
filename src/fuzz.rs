//! Documents and words by chance, for tests that ask only that nothing panics, takes more than seconds, or is shown as more
//! than one line. The same ones in every run; `RRUNTIME_FUZZ=N` makes N times as many, of which none is of the usual run
//! (`hack/fuzz`).

use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// xorshift64*, for what can be had again.
pub struct Random(pub u64);

/// What has a meaning somewhere, or had one for an attacker.
const WORDS: [&str; 40] = [
    "",
    "/",
    ".",
    "..",
    "../..",
    "//",
    "/proc",
    "/proc/self/fd/7",
    "/dev/null",
    "/sys/fs/cgroup",
    "a",
    "-1",
    "0",
    "1",
    "+1",
    "0x1",
    "max",
    "4294967295",
    "4294967296",
    "18446744073709551616",
    "1e3",
    "0-3,7",
    "5-2",
    "CAP_SYS_ADMIN",
    "ro",
    "bind",
    "rslave",
    "idmap=uids=0-0-1",
    "mode=0777",
    "\0",
    "\n",
    "\u{1b}[31m",
    "é",
    "\u{202e}",
    "a/b:c",
    "x=y",
    "a,b",
    "%s%n",
    "SCMP_ACT_ERRNO",
    "tmpfs",
];

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end
    }

    pub fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())].clone()
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One word, several together, or one that is far too long.
    pub fn text(&mut self) -> String {
        match self.below(12) {
            0 => self.of(&WORDS).repeat(1 + self.below(5000)),
            1..4 => (0..self.below(5)).map(|_| self.of(&WORDS)).collect(),
            _ => self.of(&WORDS).to_owned(),
        }
    }

    pub fn value(&mut self, depth: usize) -> Value {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 => Value::Null,
            1 => json!(self.one_in(2)),
            2 => json!(self.of(&[0i64, 1, -1, 2, 1000, i64::MAX, i64::MIN, 1 << 32])),
            3 => json!(self.of(&[u64::MAX, 1 << 63, 4_294_967_295])),
            4 => json!(self.of(&[0.5f64, 1e300, -0.0])),
            5 => json!(self.text()),
            6 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            7 => (0..self.below(4)).map(|_| (self.text(), self.value(depth - 1))).collect(),
            _ => vec![self.value(0); 1 + self.below(300)].into(),
        }
    }

    /// Changes something somewhere in it: another value, one more, one less, one twice.
    pub fn change(&mut self, at: &mut Value) {
        let stop = self.one_in(6);
        match at {
            Value::Object(map) if !map.is_empty() && !stop => {
                let key = map.keys().nth(self.below(map.len())).cloned().expect("a key");
                match self.below(8) {
                    0 => drop(map.remove(&key)),
                    1 => drop(map.insert(self.text(), self.value(2))),
                    _ => self.change(&mut map[&key]),
                }
            }
            Value::Array(list) if !list.is_empty() && !stop => {
                let place = self.below(list.len());
                match self.below(8) {
                    0 => drop(list.remove(place)),
                    1 => list.push(list[place].clone()),
                    2 => list.push(self.value(2)),
                    _ => self.change(&mut list[place]),
                }
            }
            Value::String(text) if self.one_in(2) => {
                let (cut, more) = (text.chars().take(self.below(text.len() + 1)).collect::<String>(), self.text());
                *text = cut + &more;
            }
            at => *at = self.value(2),
        }
    }

    /// The same in bytes: cut off, turned around, put in.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        let place = self.below(bytes.len() + 1);
        match self.below(4) {
            0 => bytes.truncate(place),
            1 => bytes.insert(place, u8::try_from(self.below(256)).unwrap_or(0)),
            2 => bytes.splice(place..place, self.text().into_bytes()).for_each(drop),
            _ => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 1 << self.below(8)),
        }
    }
}

/// Does `deed` so often, each time with numbers of its own; fails with the number that leads there again.
#[track_caller]
pub fn often(usual: u64, deed: impl Fn(&mut Random)) {
    let times: u64 = std::env::var("RRUNTIME_FUZZ").ok().and_then(|times| times.parse().ok()).unwrap_or(0);
    let seeds = if times == 0 { 1..=usual } else { usual + 1..=usual * (times + 1) };
    for seed in seeds {
        let began = Instant::now();
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            deed(&mut Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        }));
        assert!(done.is_ok(), "seed {seed}");
        assert!(began.elapsed() < Duration::from_secs(5), "seed {seed} takes {:?}", began.elapsed());
    }
}

/// A directory with nothing but this configuration.
pub fn bundle_of(config: &[u8]) -> tempfile::TempDir {
    let bundle = tempfile::tempdir().expect("make a directory");
    std::fs::write(bundle.path().join("config.json"), config).expect("write a configuration");
    bundle
}

/// What a person sees must be one line without control characters, and not longer than a screen of what was wrong.
#[track_caller]
pub fn is_fit_to_show(error: &anyhow::Error) {
    let line = crate::log::visible(&crate::error::line(error));
    assert!(!line.trim().is_empty() && !line.contains(char::is_control), "{line:?}");
}
