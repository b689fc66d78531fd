//! rruntime: an OCI low-level container runtime.
//!
//! One idea carries everything: say → plan → do. `config.json` is what the user said; `plan` lowers it, once, into all that
//! will be done; `outside` (the runtime's process) and `inside` (the child that becomes the container) do it. The map of the
//! house is docs/design.md.

#![cfg_attr(not(test), no_main)] // the entry is sys::start

mod cli;
mod error;
mod fs;
#[cfg(test)]
mod fuzz;
mod hooks;
mod inside;
mod interrupt;
mod link;
mod log;
mod ops;
mod outside;
mod plan;
mod proc;
mod spec;
mod sys;
mod undo;

use crate::error::Context;
use std::ffi::OsString;

/// The verbs that enter a container and must do so from an executable that it cannot write (CVE-2019-5736).
const ENTERING: [&str; 3] = ["create", "run", "exec"];

/// The whole program: argv in, exit status out.
#[cfg_attr(test, allow(dead_code))]
fn run(argv: Vec<OsString>) -> u8 {
    std::panic::set_hook(Box::new(|info| {
        log::error(format!("internal error, please report it: {info}"));
        sys::process::exit_now(1); // in a child of the clone, abort(3) would signal by a stale thread id
    }));
    match prepare(&argv).and_then(|inherited| cli::run(argv, inherited)) {
        Ok(code) => code,
        Err(failure) => cli::report(&failure),
    }
}

/// Returns how many descriptors, from 3 on, our caller has left open for us.
fn prepare(argv: &[OsString]) -> Result<u32, cli::Failure> {
    let ready = || -> error::Result<u32> {
        sys::process::fill_standard_streams()
            .context("open /dev/null for a standard stream that is closed: make the device, or open the stream")?;
        if argv.iter().any(|word| ENTERING.iter().any(|verb| word == verb)) {
            sys::exe::seal(argv).map_err(|error| error::anyhow!(error).context(sys::exe::refusal(error)))?;
        }
        Ok(sys::process::inherited_fds()) // before anything of ours is opened
    };
    ready().map_err(|error| cli::Failure { error, code: 1 })
}
