//! Where the output of hooks goes: into the pipe that an error quotes from, or appended to the files that annotations name.

use crate::error::{Context, Result};
use crate::plan::annotations::{HOOKS_STDERR, HOOKS_STDOUT};
use crate::sys::file::{self, CWD};
use std::collections::BTreeMap;
use std::io::PipeWriter;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

pub struct Output {
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl Output {
    /// The annotations name files of the host, which startContainer hooks cannot reach: theirs stays in the pipe. So does that
    /// of hooks after the start when the file cannot be opened any more: they may have something to clean up.
    pub fn of(kind: &str, annotations: &BTreeMap<String, String>) -> Result<Output> {
        let open = |name: &str| -> Result<Option<OwnedFd>> {
            let Some(path) = annotations.get(name).filter(|_| kind != "startContainer") else { return Ok(None) };
            let flags = libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_NOCTTY;
            match file::open(CWD, path, flags, 0o600) {
                Err(_) if kind.starts_with("post") => Ok(None),
                file => file.map(Some).with_context(|| format!("annotations: {name}: open {path}")),
            }
        };
        Ok(Output { stdout: open(HOOKS_STDOUT)?, stderr: open(HOOKS_STDERR)? })
    }

    pub fn give_to(&self, command: &mut Command, pipe: &PipeWriter) -> Result<()> {
        let end = |file: &Option<OwnedFd>| -> Result<Stdio> {
            Ok(match file {
                Some(file) => file.try_clone().context("share the file for its output")?.into(),
                None => pipe.try_clone().context("share the pipe")?.into(),
            })
        };
        command.stdout(end(&self.stdout)?).stderr(end(&self.stderr)?);
        Ok(())
    }
}
