//! Looks at SELinux: does the loaded policy let this process start the program with the label that config.json asks for?

use super::files::open_root;
use super::machine;
use super::{Finding, Scene, Whose};
use crate::plan::process::NoNewPrivileges;
use crate::sys::file::{self, CWD};
use std::path::Path;

/// A label has no more bytes than a page.
const LIMIT: usize = 4096;

const SELINUX: &str = "/sys/fs/selinux";

/// execve(2) asks the same, when everything else is done.
pub fn transition(scene: &Scene, findings: &mut Vec<Finding>) {
    let process = &scene.plan.process;
    let Some(label) = &process.labels.selinux else { return };
    let own = machine::read("/proc/self/attr/current");
    let own = own.trim_matches(['\0', '\n']);
    let enforces = machine::number(&format!("{SELINUX}/enforce")) == Some(1);
    if own == label || !enforces || scene.whose == Whose::Root {
        return;
    }
    let mut asked = vec![
        (own, own, "process", "setexec", "to label what it starts"),
        (own, label.as_str(), "process", "transition", "to start a process with this label"),
    ];
    if process.no_new_privileges == NoNewPrivileges::Set {
        asked.push((own, label, "process2", "nnp_transition", "to do so with noNewPrivileges"));
    }
    if process.keyring.is_some() {
        asked.push((own, label, "key", "create", "to label the session keyring"));
    }
    let of_program = label_of_program(scene);
    if let Some(of_program) = &of_program {
        asked.push((label, of_program, "file", "entrypoint", "to start a program with this label"));
    }
    for (source, target, class, permission, why) in asked {
        if is_allowed(source, target, class, permission) == Some(false) {
            let text = format!(
                "{label:?}: the loaded SELinux policy gives {source} no right {class} {{ {permission} }} on {target}, which is \
                 needed {why}: allow it there, or label the files as the policy names them"
            );
            findings.push(Finding::error("process.selinuxLabel", text));
        }
    }
}

/// Of a program in the root filesystem's own files.
fn label_of_program(scene: &Scene) -> Option<String> {
    let root = open_root(scene)?;
    let candidates = super::paths::candidates(scene);
    let covered = |path: &Path| scene.sandbox.mounts.iter().any(|op| path.starts_with(&op.at));
    let program = candidates.iter().filter(|path| !covered(path)).find_map(|path| root.open(path).ok())?;
    let label = file::attribute(program, "security.selinux", LIMIT).ok()?;
    Some(String::from_utf8_lossy(&label).trim_end_matches('\0').to_owned())
}

/// As selinuxfs answers: the rights in hexadecimal, then what is no matter here. `None` where it may not be asked.
fn is_allowed(source: &str, target: &str, class: &str, permission: &str) -> Option<bool> {
    let class = format!("{SELINUX}/class/{class}");
    let index = machine::number(&format!("{class}/index"))?;
    let bit = machine::number(&format!("{class}/perms/{permission}"))?;
    let ask = || {
        let access = file::open(CWD, format!("{SELINUX}/access"), libc::O_RDWR, 0)?;
        file::write_once(&access, format!("{source} {target} {index}").as_bytes())?;
        file::read_all(access, LIMIT)
    };
    let answer = ask().ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let rights = u32::from_str_radix(answer.split(' ').next()?, 16).ok()?;
    Some(rights >> (bit - 1) & 1 == 1)
}
