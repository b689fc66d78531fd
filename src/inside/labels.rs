//! The labels that the next execve gives this process: written into the attributes of this very thread, through a procfs of our
//! own, or through a handle of the host's that was opened before any namespace of the container was entered. Neither is in this
//! mount namespace, so for a path-based security module their files have no name there; if it denies one, the container's own
//! /proc is asked, where the file has its name.
//!
//! Nothing that an image has mounted or linked can stand in the way: every step goes by descriptor, over no link and onto no
//! other mount (CVE-2019-16884, CVE-2025-52881). And what was written is read back.

use super::procfs::{self, Subset, denied};
use crate::error::{Context, Result, anyhow, ensure};
use crate::plan::process::NoNewPrivileges;
use crate::plan::{Process, labels};
use crate::sys::file::{self, Resolve};
use crate::sys::{self, Errno};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The kernel's own limit for an attribute is a page.
const LIMIT: usize = 4096;

/// Before the keyring is made (it gets the label too), and before a filter of the container's could forbid it. Afterwards the
/// host's procfs, if we were given it, is closed.
pub fn set(plan: &Process, hosts: Option<OwnedFd>) -> Result<()> {
    if plan.labels.is_empty() {
        return Ok(());
    }
    let procfs = match hosts {
        Some(procfs) => procfs,
        None => procfs::private(Subset::Processes)?,
    };
    match give(plan, &procfs) {
        Err(error) if denied(&error) => {
            // The second refusal says nothing new; before the fork, `exec` is not even visible in the container's /proc.
            procfs::mounted().and_then(|procfs| give(plan, &procfs)).map_err(|_| error)
        }
        done => done,
    }
}

fn give(plan: &Process, procfs: &OwnedFd) -> Result<()> {
    let own = Attributes::of_this_thread(procfs.as_fd()).context("open the attributes of this process in /proc")?;
    if let Some(profile) = &plan.labels.apparmor {
        let named = || format!("config.json: process.apparmorProfile: {profile:?}");
        own.set_profile(profile, plan.no_new_privileges).with_context(named)?;
    }
    if let Some(label) = &plan.labels.selinux {
        let named = || format!("config.json: process.selinuxLabel: {label:?}");
        own.set_label(label).with_context(named)?; // says what is wrong with the label itself, so it goes first
        if plan.keyring.is_some() {
            own.set_label_of_keys(label).with_context(named)?; // execve takes it back
        }
    }
    Ok(())
}

/// The directory /proc/PID/task/TID/attr.
struct Attributes(OwnedFd);

impl Attributes {
    fn of_this_thread(procfs: BorrowedFd) -> Result<Attributes> {
        let own = file::readlink(procfs, "thread-self")?; // procfs counts as its maker does: this is our pid on the host
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        Ok(Attributes(file::open_in(procfs, own.join("attr"), flags, 0, Resolve::Strict)?))
    }

    /// AppArmor's own file, or that of the first module on kernels before 5.8.
    fn apparmor(&self, name: &str) -> &'static str {
        let here = file::open_in(self.0.as_fd(), Path::new("apparmor").join(name), libc::O_PATH, 0, Resolve::Strict);
        if here.is_ok() { "apparmor/" } else { "" }
    }

    /// With no_new_privs a confined process can only be confined further: the profile is stacked on its own then.
    fn set_profile(&self, profile: &str, no_new_privileges: NoNewPrivileges) -> Result<()> {
        let dir = self.apparmor("exec");
        let is_unconfined = || self.read(&format!("{dir}current")).map(|label| label == "unconfined");
        let stacked = no_new_privileges == NoNewPrivileges::Set && !is_unconfined()?;
        let command = if stacked { "stack" } else { "exec" };
        let name = format!("{dir}exec");
        self.write(&name, &format!("{command} {profile}"))
            .map_err(|error| anyhow!(error).context(labels::why_no_profile(error)))?;
        let answer = self.read(&name)?;
        ensure!(names_profile(&answer, profile), "AppArmor says {answer:?} after it was set");
        Ok(())
    }

    fn set_label(&self, label: &str) -> Result<()> {
        self.write("exec", label).map_err(|error| {
            let hint = match error.0 {
                Errno::EINVAL => {
                    "the loaded SELinux policy knows no such label; correct it, or load the policy module that defines it"
                }
                Errno::EACCES | Errno::EPERM => "the loaded policy does not let this runtime give labels (setexec)",
                _ => "SELinux does not take it",
            };
            anyhow!(error).context(hint)
        })?;
        let answer = self.read("exec")?;
        ensure!(names_label(&answer, label), "SELinux says {answer:?} after it was set");
        Ok(())
    }

    fn set_label_of_keys(&self, label: &str) -> Result<()> {
        self.write("keycreate", label).map_err(|error| {
            let hint = match error.0 {
                Errno::EACCES | Errno::EPERM => {
                    "label the session keyring: the loaded SELinux policy allows this runtime no key { create } for this label; \
                     correct the label, or allow it, or make no keyring (--no-new-keyring)"
                }
                _ => "label the session keyring",
            };
            anyhow!(error).context(hint)
        })
    }

    fn write(&self, name: &str, text: &str) -> sys::Result<()> {
        let file = file::open_in(self.0.as_fd(), name, libc::O_WRONLY, 0, Resolve::Strict)?;
        file::write_once(file, text.as_bytes())
    }

    fn read(&self, name: &str) -> Result<String> {
        let read = || file::read_all(file::open_in(self.0.as_fd(), name, libc::O_RDONLY, 0, Resolve::Strict)?, LIMIT);
        let text = read().with_context(|| format!("read attribute {name}"))?;
        Ok(String::from_utf8_lossy(&text).trim_matches(['\0', '\n', ' ']).to_string())
    }
}

/// `acme (enforce)`, or with a namespace or a stack around it.
fn names_profile(answer: &str, profile: &str) -> bool {
    let name = profile.rsplit([':', '&']).next().unwrap_or(profile).trim_start_matches("//");
    answer.split(" (").next().is_some_and(|label| label.ends_with(name) || label.contains(&format!("{name}//&")))
}

/// The kernel orders the categories of the level as it likes: user, role and type must be the same.
fn names_label(answer: &str, label: &str) -> bool {
    let stem = |text: &str| text.splitn(4, ':').take(3).map(str::to_string).collect::<Vec<_>>();
    stem(answer) == stem(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::CWD;
    use std::fs;

    /// A directory that looks like /proc as far as a label goes.
    fn procfs(files: &[(&str, &str)]) -> (tempfile::TempDir, Attributes) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("7/task/8/attr/apparmor")).unwrap();
        std::os::unix::fs::symlink("7/task/8", dir.path().join("thread-self")).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join("7/task/8/attr").join(name), text).unwrap();
        }
        let open = file::open(CWD, dir.path(), libc::O_PATH | libc::O_DIRECTORY, 0).unwrap();
        let own = Attributes::of_this_thread(open.as_fd()).unwrap();
        (dir, own)
    }

    #[test]
    fn a_label_goes_into_the_attributes_of_this_thread() {
        let (dir, own) = procfs(&[("exec", "")]);
        own.set_label("u:r:container_t:s0:c1,c2").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("7/task/8/attr/exec")).unwrap(), "u:r:container_t:s0:c1,c2");
    }

    #[test]
    fn a_profile_goes_into_apparmors_own_file_where_there_is_one() {
        let written = |files: &[(&str, &str)], name: &str, nnp| {
            let (dir, own) = procfs(files);
            own.set_profile("acme", nnp).unwrap();
            fs::read_to_string(dir.path().join("7/task/8/attr").join(name)).unwrap()
        };
        let (set, unset) = (NoNewPrivileges::Set, NoNewPrivileges::Unset);
        let own = [("apparmor/exec", ""), ("apparmor/current", "unconfined\n"), ("exec", "")];
        assert_eq!(written(&own, "apparmor/exec", unset), "exec acme");
        assert_eq!(written(&own, "apparmor/exec", set), "exec acme");
        assert_eq!(written(&[("exec", "")], "exec", unset), "exec acme");
        let confined = [("apparmor/exec", ""), ("apparmor/current", "docker-default (enforce)\n")];
        assert_eq!(written(&confined, "apparmor/exec", set), "stack acme");
        assert_eq!(written(&confined, "apparmor/exec", unset), "exec acme");
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let (dir, own) = procfs(&[("target", "")]);
        std::os::unix::fs::symlink("target", dir.path().join("7/task/8/attr/exec")).unwrap();
        assert!(own.set_label("u:r:t:s0").is_err());
        assert_eq!(fs::read_to_string(dir.path().join("7/task/8/attr/target")).unwrap(), "");
    }

    #[test]
    fn what_the_kernel_answers_must_be_what_was_asked() {
        assert!(names_profile("acme (enforce)", "acme") && names_profile("unconfined", "unconfined"));
        assert!(names_profile(":ns://acme (complain)", ":ns:acme") && names_profile("docker//&acme (mixed)", "acme"));
        assert!(names_profile("acme//&docker (mixed)", "&acme"));
        assert!(!names_profile("", "acme") && !names_profile("other (enforce)", "acme"));
        assert!(names_label("u:r:t:s0:c1,c2", "u:r:t:s0:c2,c1") && !names_label("", "u:r:t:s0"));
        assert!(!names_label("u:r:other_t:s0", "u:r:t:s0"));
    }
}
