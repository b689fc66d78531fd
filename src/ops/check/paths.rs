//! Looks at programs: the container's own, found as `inside::exec` will find it, and those of the hooks.

use super::files::{InContainer, look_up, open_root};
use super::machine::{is_absent, mode};
use super::{Finding, Scene};
use crate::plan::{Hook, Process};
use crate::sys::{Errno, Error, process};
use std::path::{Path, PathBuf};

/// What execvp(3) searches when there is no PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Where a program may be.
enum Search {
    Runs,
    /// It is there, but nobody may execute it.
    NotExecutable,
    Absent,
    Unknown,
}

pub fn program(scene: &Scene, findings: &mut Vec<Finding>) {
    let process = &scene.plan.process;
    if open_root(scene).is_none() {
        return; // said already
    }
    let Some(name) = process.args.first() else { return };
    let (path, candidates) = (search_path(process), candidates(scene));
    let place = "process.args[0]";
    match search(scene, &candidates) {
        Search::Runs => {}
        Search::NotExecutable => {
            let text =
                format!("{name:?} cannot be executed in the root filesystem: give it the x permission (chmod +x)");
            findings.push(Finding::error(place, text));
        }
        Search::Absent if name.contains('/') => {
            let text = format!("{name:?} is not in the root filesystem: put it there, or name another program");
            findings.push(Finding::error(place, text));
        }
        Search::Absent => {
            let text = format!(
                "{name:?} is in no directory of PATH ({path}) in the root filesystem: put it there, write its full path, or set \
                 PATH in process.env"
            );
            findings.push(Finding::error(place, text));
        }
        Search::Unknown => {
            let text =
                format!("{name:?} is not to be seen in the root filesystem; it may come with a mount, or with a hook");
            findings.push(Finding::warning(place, text));
        }
    }
}

/// Where the program may be, in the container.
pub fn candidates(scene: &Scene) -> Vec<PathBuf> {
    let process = &scene.plan.process;
    match process.args.first() {
        None => Vec::new(),
        Some(name) if name.contains('/') => vec![process.cwd.join(name)],
        Some(name) => search_path(process).split(':').map(|dir| process.cwd.join(dir).join(name)).collect(),
    }
}

fn search_path(process: &Process) -> &str {
    process.env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH)
}

fn search(scene: &Scene, candidates: &[PathBuf]) -> Search {
    let mut result = Search::Absent;
    for candidate in candidates {
        match look_up(scene, candidate) {
            (InContainer::Found(stat), _) if stat.st_mode & libc::S_IFMT != libc::S_IFREG => {}
            (InContainer::Found(stat), _) if stat.st_mode & 0o111 != 0 => return Search::Runs,
            (InContainer::Found(_), _) => result = Search::NotExecutable,
            (InContainer::Unknown, _) if matches!(result, Search::Absent) => result = Search::Unknown,
            (InContainer::Unknown | InContainer::Absent, _) => {}
        }
    }
    result
}

pub fn hooks(scene: &Scene, findings: &mut Vec<Finding>) {
    let hooks = &scene.plan.hooks;
    for (kind, list) in [
        ("prestart", &hooks.prestart),
        ("createRuntime", &hooks.create_runtime),
        ("createContainer", &hooks.create_container),
        ("poststart", &hooks.poststart),
        ("poststop", &hooks.poststop),
    ] {
        for (index, hook) in list.iter().enumerate() {
            findings.extend(on_the_host(hook, format!("hooks.{kind}[{index}].path")));
        }
    }
    for (index, hook) in hooks.start_container.iter().enumerate() {
        let place = format!("hooks.startContainer[{index}].path");
        let path = hook.path.display();
        match search(scene, std::slice::from_ref(&hook.path)) {
            Search::Runs | Search::Unknown => {}
            Search::Absent => {
                let text = format!("{path} is not in the root filesystem, where this kind of hook runs: put it there");
                findings.push(Finding::error(place, text));
            }
            Search::NotExecutable => {
                let text = format!("{path} cannot be executed in the root filesystem: give it the x permission");
                findings.push(Finding::error(place, text));
            }
        }
    }
}

fn on_the_host(hook: &Hook, place: String) -> Option<Finding> {
    let path = hook.path.display();
    match may_run(&hook.path) {
        Ok(()) => None,
        Err(error) if is_absent(error) => {
            Some(Finding::error(place, format!("{path}: {error}: install the program, or name another")))
        }
        Err(error) => {
            let finding = Finding::error(place, format!("{path}: {error}: give it the x permission, or name another"));
            let nobody = mode(&hook.path).is_ok_and(|mode| mode & 0o111 == 0 || mode & libc::S_IFMT != libc::S_IFREG);
            Some(if nobody { finding } else { finding.of_this_user() })
        }
    }
}

fn may_run(path: &Path) -> Result<(), Error> {
    match mode(path)? & libc::S_IFMT {
        libc::S_IFREG => process::may_execute(&path.to_string_lossy()),
        libc::S_IFDIR => Err(Error(Errno::EISDIR)),
        _ => Err(Error(Errno::EACCES)),
    }
}
