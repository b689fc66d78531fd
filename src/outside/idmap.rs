//! Writing the id maps of the child's new user namespace. user_namespaces(7). The child waits for this before it does
//! anything as its new root.

use crate::error::{Context, Result, anyhow};
use crate::plan::IdMaps;
use crate::plan::namespaces::{IdMap, MapWriter, map_text};
use crate::sys::{self, Errno, file};
use std::process::{Command, Stdio};

pub fn write(maps: &IdMaps, pid: i32) -> Result<()> {
    match maps.writer {
        MapWriter::Root => write_files(maps, pid),
        MapWriter::OwnIds => {
            // Otherwise a group that denies something could be dropped (CVE-2014-8989).
            write_file(pid, "setgroups", "deny")?;
            write_files(maps, pid)
        }
        MapWriter::Helpers => {
            help("newuidmap", pid, &maps.uids)?;
            help("newgidmap", pid, &maps.gids)
        }
    }
}

fn write_files(maps: &IdMaps, pid: i32) -> Result<()> {
    write_file(pid, "uid_map", &map_text(&maps.uids))?;
    write_file(pid, "gid_map", &map_text(&maps.gids))
}

/// In one write: the kernel takes a map once and whole.
fn write_file(pid: i32, name: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    let write = || file::write_once(file::open(file::CWD, &path, libc::O_WRONLY, 0)?, text.as_bytes());
    write().with_context(|| format!("write {name} of the user namespace: {:?}", text.trim()))
}

/// A set-user-ID program that maps subordinate ids. Found where the system has its programs, not where PATH says.
fn help(program: &str, pid: i32, map: &[IdMap]) -> Result<()> {
    let named = || format!("map ids with {program} (from the package uidmap, or shadow-utils)");
    let numbers = map.iter().flat_map(|line| [line.container, line.host, line.size]).map(|number| number.to_string());
    let mut command = Command::new(program);
    command.arg(pid.to_string()).args(numbers).stdin(Stdio::null());
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin:/run/wrappers/bin");
    let output = command.output().map_err(|error| anyhow!(sys::Error::from(error))).with_context(named)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said: String = said.trim().chars().take(500).collect();
    let why = anyhow!("{said}: do /etc/subuid and /etc/subgid give this user the mapped ids?");
    Err(if said.is_empty() { anyhow!(sys::Error(Errno::EPERM)) } else { why }).with_context(named)
}
