//! The last steps: find the program, install the filter, run the startContainer hooks, become the program.

use super::payload::StartContainer;
use crate::error::{Context, Result, anyhow};
use crate::hooks::{self, Surroundings};
use crate::link::{self, Request};
use crate::plan::process::NoNewPrivileges;
use crate::plan::{self, Process};
use crate::sys::seccomp::{self, Filter, Notify};
use crate::sys::{self, Errno, process};
use std::ffi::CString;

/// Everything for execve, with nothing left to allocate or look up.
#[derive(Clone)]
pub struct Program {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

/// What execvp(3) searches when there is no PATH.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Looks the program up as the container's user, in the container, so that create and not start reports a missing one.
pub fn find(plan: &Process, home: Option<String>) -> Result<Program> {
    let mut env = plan.env.clone();
    if let Some(home) = home {
        env.retain(|pair| !pair.starts_with("HOME="));
        env.push(format!("HOME={home}"));
    }
    let Some(name) = plan.args.first() else {
        return Ok(Program { path: CString::default(), args: Vec::new(), env: Vec::new() }); // none: `start` will say so
    };
    let path = if name.contains('/') {
        check(name).map_err(|error| complain(name, error))?;
        name.clone()
    } else {
        search(name, &env)?
    };
    let strings = |list: &[String]| list.iter().map(|s| CString::new(s.as_str())).collect::<Result<Vec<_>, _>>();
    Ok(Program { path: CString::new(path)?, args: strings(&plan.args)?, env: strings(&env)? })
}

/// The wording is the one by which engines tell a missing program (127) from one that cannot be run (126).
fn complain(name: &str, error: sys::Error) -> anyhow::Error {
    match error.0 {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP => anyhow!(error).context(format!("exec: {name:?}: stat {name}")),
        _ => anyhow!(error).context(format!("exec: {name:?}")),
    }
}

fn search(name: &str, env: &[String]) -> Result<String> {
    let path = env.iter().find_map(|pair| pair.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let mut refused = None;
    for dir in path.split(':') {
        let dir = if dir.is_empty() { "." } else { dir };
        let candidate = format!("{dir}/{name}");
        match check(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error @ sys::Error(Errno::EACCES)) => refused = Some(error),
            Err(_) => {} // not here
        }
    }
    match refused {
        Some(error) => Err(complain(name, error)),
        None => Err(anyhow!("exec: {name:?}: executable file not found in $PATH")),
    }
}

/// Could this user execute it?
fn check(path: &str) -> sys::Result<()> {
    let stat = sys::file::stat_at(sys::file::CWD, &sys::cstr(path)?, 0)?;
    match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => Err(sys::Error(Errno::EISDIR)),
        libc::S_IFREG => sys::process::may_execute(path),
        _ => Err(sys::Error(Errno::EACCES)),
    }
}

fn filter_of(program: &plan::seccomp::Program) -> Filter {
    let instruction = |i: &plan::seccomp::Instruction| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k };
    Filter { program: program.instructions.iter().map(instruction).collect(), flags: program.flags }
}

/// The container's filter, compiled long ago. exec has the one of create. When an agent is to answer calls, it has its
/// descriptor when this returns; until then we make none but sendmsg and recvmsg, which the plan does not let it ask about.
pub fn install_filter(plan: &Process, link: Option<&link::Child>) -> Result<()> {
    let Some(program) = &plan.seccomp else {
        return Ok(());
    };
    let Filter { program: filter, flags } = filter_of(program);
    let Some(link) = link.filter(|_| program.listener.is_some()) else {
        return seccomp::install(&filter, flags, Notify::No).map(drop).context("install the seccomp filter");
    };
    let listener = seccomp::install(&filter, flags, Notify::Yes).context("install the seccomp filter")?;
    listener.map_or(Ok(()), |listener| link.ask_go(&Request::Listener(listener)).map(drop))
}

/// Must the filter be in force before `Ready`? Without no_new_privs it takes CAP_SYS_ADMIN, and a listener takes the link.
pub fn needs_early_filter(plan: &Process) -> bool {
    plan.no_new_privileges == NoNewPrivileges::Unset || plan.seccomp.as_ref().is_some_and(|it| it.listener.is_some())
}

/// In the container, before the program and with its environment; exec has none.
pub fn start_container_hooks(plan: &Process, all: &StartContainer, program: &Program, pid: i32) -> Result<()> {
    let StartContainer { hooks, id, bundle, annotations } = all;
    let state = hooks::State { id, status: "created", pid, bundle, annotations };
    let env: Vec<String> = program.env.iter().map(|pair| pair.to_string_lossy().into_owned()).collect();
    let filter = plan.seccomp.as_ref().filter(|_| !needs_early_filter(plan)).map(filter_of);
    let surroundings = Surroundings::Container { env: &env, filter: filter.as_ref() };
    hooks::run("startContainer", hooks, &state, &surroundings, Some(&plan.cwd))
}

/// runtime.md, "Start": an error when there is no process.
pub fn expect(program: &Program) -> Result<()> {
    crate::error::ensure!(
        !program.args.is_empty(),
        "config.json: process: is missing; a container needs a program to run"
    );
    Ok(())
}

/// Becomes the program. Returns only with why not.
pub fn run(plan: &Process, program: &Program) -> anyhow::Error {
    let error = process::exec(&program.path, &program.args, &program.env);
    let name = program.path.to_string_lossy();
    if let (Errno::EACCES | Errno::EPERM, Some(label)) = (error.0, &plan.labels.selinux) {
        return anyhow!("exec {name}: {error}{}", explain_transition(label, plan.no_new_privileges));
    }
    let hint = match error.0 {
        Errno::ENOENT => "; is the interpreter that it names (after #!, or its loader) in the image?",
        Errno::ENOEXEC => "; is it for another architecture, or a script without #! line?",
        Errno::E2BIG => "; args and env together are too long for the stack limit",
        _ => "",
    };
    anyhow!("exec {name}: {error}{hint}")
}

/// SELinux decides about the label at the execve only.
fn explain_transition(label: &str, no_new_privileges: NoNewPrivileges) -> String {
    let more = match no_new_privileges {
        NoNewPrivileges::Set => "process2 { nnp_transition } for noNewPrivileges, ",
        NoNewPrivileges::Unset => "",
    };
    format!(
        "; if SELinux denied it (ausearch -m avc): for process.selinuxLabel {label:?} the loaded policy must allow process \
         {{ transition }}, {more}and file {{ entrypoint }} on the program: allow it there, or label the root filesystem as the \
         policy names it"
    )
}
