//! argv → a verb's request, and the verb's answer → stdout.
//!
//! Only the sub-command that is asked for is built: parsing costs time at every start. argv is brought into clap's form
//! first (`normal`), because go-runc writes single-dash long options.

mod args;
mod limits;
mod normal;
mod stats;
mod table;
mod verbs;

use crate::error::{Kind, Result};
use crate::log;
use std::ffi::OsString;

/// A finished command: its exit code, or the error and the code that goes with it.
pub struct Failure {
    pub error: anyhow::Error,
    pub code: u8,
}

/// Parses and runs. Help and version are printed here, too.
pub fn run(argv: Vec<OsString>, inherited: u32) -> std::result::Result<u8, Failure> {
    let usual = |error| Failure { error, code: 1 };
    let said = match args::parse(argv, inherited).map_err(usual)? {
        args::Said::Done => return Ok(0),
        args::Said::Verb(said) => said,
    };
    said.open_log().map_err(usual)?;
    let code = if said.verb == "exec" { 255 } else { 1 };
    verbs::run(&said).map_err(|error| Failure {
        code: match error.downcast_ref::<Kind>() {
            Some(Kind::Interrupted(signal)) => u8::try_from(128 + signal).unwrap_or(code), // as a shell tells it
            _ => code,
        },
        error: error.context(format!("{}{} failed", if said.verb == "exec" { "" } else { "rruntime " }, said.verb)),
    })
}

/// The one place where an error becomes visible: to the log for engines, and as plain text on stderr for people and conmon.
pub fn report(failure: &Failure) -> u8 {
    let line = crate::error::line(&failure.error);
    log::error(&line);
    if log::has_file() {
        let _ = crate::sys::file::write_all(
            crate::sys::process::STREAMS[2],
            format!("{}\n", log::visible(&line)).as_bytes(),
        ); // nobody left to tell
    }
    failure.code
}

/// Prints a verb's answer.
fn print(text: &str) -> Result<()> {
    use crate::error::Context;
    crate::sys::file::write_all(crate::sys::process::STREAMS[1], text.as_bytes()).context("write to stdout")
}
