//! One error chain for the whole program, and the few kinds that a caller decides on.
//!
//! Errors are `anyhow::Error`: each layer that knows a name adds `what we were doing: on what`, the last link is the
//! cause. They are printed once, in `main`. An error that has to travel from the child to the parent crosses the link as
//! its kind and its text.

use std::fmt;

pub use anyhow::{Context, Result, anyhow, bail, ensure};

/// What a caller of the command line distinguishes. Everything else is just text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// No container of that id; `delete --force` forgives it. Engines match "does not exist".
    NotExist,
    /// The container's init is gone. Engines match "container not running".
    NotRunning,
    /// We were asked to end, by the signal of that number. Never comes from a child.
    Interrupted(i32),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::NotExist => f.write_str("container does not exist"),
            Kind::NotRunning => f.write_str("container not running"),
            Kind::Interrupted(signal) => {
                let name = nix::sys::signal::Signal::try_from(*signal).map_or("a signal", |known| known.as_str());
                write!(f, "interrupted by {name}")
            }
        }
    }
}

impl std::error::Error for Kind {}

/// Is this the kind of the error, however much context was added to it?
pub fn is(error: &anyhow::Error, kind: Kind) -> bool {
    error.downcast_ref::<Kind>() == Some(&kind)
}

/// Were we asked to end?
pub fn is_interrupted(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Kind::Interrupted(_)))
}

/// Several failures of a tear-down that went on: all of them, in order, as one error. `None` when there was none.
pub fn all(errors: Vec<anyhow::Error>) -> Option<anyhow::Error> {
    let mut errors = errors.into_iter();
    let first = errors.next()?;
    let rest: Vec<String> = errors.map(|e| format!("{e:#}")).collect();
    if rest.is_empty() { Some(first) } else { Some(anyhow!("{first:#}; and then: {}", rest.join("; and then: "))) }
}

/// The one line that a person sees: the chain, outermost first.
pub fn line(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

/// The word of a list that a typing error most likely meant: the nearest one, at most two edits away, and no more than half of its letters.
pub fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let limit = word.chars().count().div_ceil(2).min(2);
    known.map(|name| (distance(word, name), name)).filter(|(edits, _)| *edits <= limit).min().map(|(_, name)| name)
}

/// Edits between two words: insertions, deletions, replacements, and neighbours that changed places.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}
