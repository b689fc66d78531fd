//! The program of a plan in words: what runs, as whom, with which rights and limits.
//!
//! `Process` is taken apart field by field: a new one does not compile until it has its line here.

use super::document::Section;
use super::units;
use crate::plan::labels::Labels;
use crate::plan::process::{Capabilities, Home, Keyring, NoNewPrivileges, Process, Rlimit, Terminal, User};
use crate::plan::{Hook, Hooks};
use crate::spec::Spec;
use serde_json::{Value, json};

pub fn sections(process: &Process, hooks: &Hooks, spec: &Spec) -> Vec<Section> {
    let Process {
        args,
        env,
        home,
        cwd,
        user,
        capabilities,
        rlimits,
        no_new_privileges,
        oom_score_adj,
        // These five in the words of config.json, which the plan has turned into numbers of the kernel.
        scheduler: _,
        io_priority: _,
        exec_affinity: _,
        personality: _,
        memory_policy: _,
        terminal,
        labels,
        seccomp: _, // its own section
        keyring,
        preserve_fds: _, // of the command line, not of config.json
    } = process;
    let mut section = Section::facts("process", "Program");
    section.say("args", json!(args), "command", units::command(args));
    section.say("cwd", json!(cwd), "directory", cwd.display().to_string());
    add_user(&mut section, user);
    add_terminal(&mut section, terminal.as_ref());
    section.list("env", json!(env), "environment", env.clone());
    if *home == Home::FromPasswd {
        section.say("home", "passwd", "HOME", "from the container's /etc/passwd, else /");
    }
    let no_new = *no_new_privileges == NoNewPrivileges::Set;
    let words =
        if no_new { "set: no program gains rights by being executed" } else { "not set: set-user-ID programs work" };
    section.say("noNewPrivileges", no_new, "no_new_privs", words);
    let words = oom_score_adj.map(|adj| format!("{adj} (−1000 is never killed for memory, 1000 is killed first)"));
    section.list("oomScoreAdj", json!(oom_score_adj), "OOM score", words.into_iter().collect());
    add_keyring(&mut section, keyring.as_ref());
    let (said, linux) = (spec.process().as_ref(), spec.linux().as_ref());
    add_said(&mut section, "scheduler", said.and_then(|said| said.scheduler().as_ref()), "scheduling");
    add_said(&mut section, "ioPriority", said.and_then(|said| said.io_priority().as_ref()), "I/O priority");
    add_said(&mut section, "execCPUAffinity", said.and_then(|said| said.exec_cpu_affinity().as_ref()), "CPUs of exec");
    add_said(&mut section, "personality", linux.and_then(|linux| linux.personality().as_ref()), "personality");
    add_said(&mut section, "memoryPolicy", linux.and_then(|linux| linux.memory_policy().as_ref()), "memory nodes");
    let Labels { apparmor, selinux } = labels;
    section.list("apparmorProfile", json!(apparmor), "AppArmor", apparmor.iter().cloned().collect());
    section.list("selinuxLabel", json!(selinux), "SELinux", selinux.iter().cloned().collect());
    vec![section, capability_sets(capabilities), limits(rlimits), seccomp(process, spec), all_hooks(hooks)]
}

/// What config.json says, in its own words: `policy SCHED_FIFO, priority 10`.
fn add_said<T: serde::Serialize>(section: &mut Section, key: &'static str, said: Option<&T>, label: &'static str) {
    let value = json!(said);
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let pairs = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let words = pairs.map(|(name, value)| format!("{name} {}", plain(value))).collect::<Vec<_>>().join(", ");
    section.list(key, value.clone(), label, said.map(|_| words).into_iter().collect());
}

fn add_user(section: &mut Section, user: &User) {
    let User { uid, gid, groups, umask } = user;
    let more = match groups.as_deref() {
        None => "and the caller's groups, by an annotation".to_owned(),
        Some([]) => "no other groups".to_owned(),
        Some(list) => format!("groups {}", list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    let value = json!({"uid": uid, "gid": gid, "additionalGids": groups});
    section.say("user", value, "user", format!("uid {uid}, gid {gid}, {more}"));
    let words = umask.map_or("as the runtime's".to_owned(), |mask| format!("{mask:04o}"));
    section.say("umask", json!(umask), "umask", words);
}

fn add_terminal(section: &mut Section, terminal: Option<&Terminal>) {
    let size = terminal.and_then(|terminal| terminal.size);
    let words = match (terminal, size) {
        (None, _) => "none; standard input, output and error are the caller's".to_owned(),
        (Some(_), None) => "its own".to_owned(),
        (Some(_), Some(size)) => format!("its own, {} rows of {} columns", size.rows, size.columns),
    };
    let size = size.map(|size| json!({"height": size.rows, "width": size.columns}));
    section.say("terminal", terminal.is_some(), "terminal", words);
    section.list("consoleSize", json!(size), "", Vec::new());
}

fn add_keyring(section: &mut Section, keyring: Option<&Keyring>) {
    let name = keyring.map(|keyring| keyring.name.clone());
    let words = name.as_ref().map_or("the caller's".to_owned(), |name| format!("a new one, {name}"));
    section.say("keyring", json!(name), "keyring", words);
}

/// Each set once; equal sets together.
fn capability_sets(sets: &Capabilities) -> Section {
    let Capabilities { bounding, effective, inheritable, permitted, ambient } = *sets;
    let named = [
        ("bounding", bounding),
        ("effective", effective),
        ("permitted", permitted),
        ("inheritable", inheritable),
        ("ambient", ambient),
    ];
    let mut rows: Vec<(Vec<&str>, u64)> = Vec::new();
    for (name, mask) in named {
        match rows.iter_mut().find(|(_, other)| *other == mask) {
            Some((names, _)) => names.push(name),
            None => rows.push((vec![name], mask)),
        }
    }
    let rows = rows.iter().map(|(names, mask)| vec![names.join(", "), short_names(*mask)]).collect();
    let value = named.map(|(name, mask)| (name.to_owned(), json!(capability_names(mask)))).into_iter().collect();
    Section::table("capabilities", "Capabilities", rows, value)
}

fn short_names(mask: u64) -> String {
    let short = |names: &[String]| names.iter().map(|n| n.trim_start_matches("CAP_")).collect::<Vec<_>>().join(", ");
    let (in_it, out) = (capability_names(mask), capability_names(!mask));
    match (in_it.len(), out.len()) {
        (0, _) => "none".to_owned(),
        (all, 0) => format!("all {all}"),
        (many, few) if few <= 5 && many > 10 => format!("all but {}", short(&out)),
        _ => short(&in_it),
    }
}

/// In the order of the kernel's numbers.
fn capability_names(mask: u64) -> Vec<String> {
    let mut known: Vec<caps::Capability> = caps::all().into_iter().filter(|cap| cap.bitmask() & mask != 0).collect();
    known.sort_by_key(caps::Capability::bitmask);
    known.iter().map(ToString::to_string).collect()
}

fn limits(rlimits: &[Rlimit]) -> Section {
    let row = |limit: &Rlimit| {
        let said = |value| units::of_rlimit(&limit.name, value);
        vec![limit.name.clone(), format!("soft {}", said(limit.soft)), format!("hard {}", said(limit.hard))]
    };
    let value = rlimits.iter().map(|l| json!({"type": l.name, "soft": l.soft, "hard": l.hard})).collect();
    Section::table("rlimits", "Resource limits of the process", rlimits.iter().map(row).collect(), value)
}

fn seccomp(process: &Process, spec: &Spec) -> Section {
    let profile = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    let mut section = Section::facts("seccomp", "System call filter");
    let (Some(program), Some(profile)) = (&process.seccomp, profile) else { return section };
    let native = std::env::consts::ARCH;
    let named = profile.architectures().iter().flatten().map(ToString::to_string);
    let others: Vec<String> = named.filter(|name| name != "SCMP_ARCH_NATIVE").collect();
    let architectures = if others.is_empty() { vec![format!("{native} (native)")] } else { others };
    let (count, default) = (program.instructions.len(), profile.default_action().to_string());
    let rules = profile.syscalls().as_ref().map_or(0, Vec::len);
    let plural = if rules == 1 { "rule" } else { "rules" };
    let words =
        format!("{count} instructions from {rules} {plural} for {}; otherwise {default}", architectures.join(", "));
    section.list("instructions", count, "filter", vec![words]);
    section.list("rules", rules, "", Vec::new());
    section.list("architectures", json!(architectures), "", Vec::new());
    section.list("defaultAction", default, "", Vec::new());
    section.list("flags", program.flags, "", Vec::new());
    section
}

fn all_hooks(hooks: &Hooks) -> Section {
    let Hooks { prestart, create_runtime, create_container, start_container, poststart, poststop } = hooks;
    let kinds = [
        ("prestart", prestart),
        ("createRuntime", create_runtime),
        ("createContainer", create_container),
        ("startContainer", start_container),
        ("poststart", poststart),
        ("poststop", poststop),
    ];
    let row = |kind: &str, Hook { path, args, env: _, timeout }: &Hook| {
        let limit = timeout.map_or("waits for ever".to_owned(), |seconds| format!("at most {seconds} s"));
        let args = args.get(1..).map(units::command).filter(|args| !args.is_empty());
        let words = [Some(path.display().to_string()), args].into_iter().flatten().collect::<Vec<_>>().join(" ");
        vec![kind.to_owned(), limit, words]
    };
    let rows = kinds.iter().flat_map(|(kind, list)| list.iter().map(|hook| row(kind, hook))).collect();
    let value = |hook: &Hook| json!({"path": hook.path, "args": hook.args, "env": hook.env, "timeout": hook.timeout});
    let all: serde_json::Map<String, Value> =
        kinds.iter().map(|(kind, list)| ((*kind).to_owned(), list.iter().map(value).collect())).collect();
    Section::table("hooks", "Hooks, in order", rows, all.into())
}
