//! Lists of numbers as the kernel writes them, `0-3,7`: CPUs and memory nodes. cpuset(7), "List format".

use crate::error::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// One bit a number, the lowest first, in as many words as it takes: what sched_setaffinity(2) and set_mempolicy(2) read.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
pub struct Set(Vec<u64>);

/// Higher numbers are typing errors: no kernel counts so many CPUs or nodes.
const HIGHEST: usize = 65535;

impl Set {
    pub fn words(&self) -> &[u64] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add(&mut self, number: usize) {
        if self.0.len() <= number / 64 {
            self.0.resize(number / 64 + 1, 0);
        }
        self.0[number / 64] |= 1 << (number % 64);
    }
}

/// An empty text is an empty set.
pub(super) fn parse(text: &str) -> Result<Set> {
    let mut set = Set::default();
    if text.trim().is_empty() {
        return Ok(set);
    }
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            bail!("{text:?}: {part:?} is neither a number nor a range; write it like \"0-3,7\"")
        };
        ensure!(first <= last, "{text:?}: the range {part:?} ends before it begins");
        ensure!(last <= HIGHEST, "{text:?}: {part:?} is too high; the last number is {HIGHEST}");
        (first..=last).for_each(|number| set.add(number));
    }
    Ok(set)
}

/// Digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_ranges_become_bits() {
        assert_eq!(parse("0-3,7").unwrap().words(), [0b1000_1111]);
        assert_eq!(parse("64, 1").unwrap().words(), [2, 1]);
        assert_eq!(parse("5,5-5,4-6").unwrap().words(), [0b111_0000]);
        assert_eq!(parse("65535").unwrap().words().len(), 1024);
        assert_eq!(parse("0-4095").unwrap().words(), [u64::MAX; 64]);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in [",", "1,", "-1", "1-", "-", "a", "1-2-3", "+1", "0x1", "5-2", "65536", "99999999999999999999"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
