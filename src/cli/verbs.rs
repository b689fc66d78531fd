//! From the parsed words to a verb's request, one function a verb.

use super::args::Asked;
use super::{print, stats};
use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::ops::create::{Create, Stay};
use crate::ops::events::Pace;
use crate::ops::exec::{Exec, IfPaused};
use crate::ops::kill::Whom;
use crate::ops::run::{After, Orphans, Run};
use crate::ops::spec::For;
use crate::ops::{self, Announce, Global, delete, list, ps};
use crate::plan::labels::Labels;
use crate::plan::process::{ExecProcess, NoNewPrivileges, Terminal, Words};
use crate::plan::{NewKeyring, RootChange, cgroup, namespaces};
use crate::sys::{older, process, tty};
use crate::{log, spec};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Returns the exit status.
pub fn run(said: &Asked) -> Result<u8> {
    if matches!(said.verb, "explain" | "check") {
        return judging_verb(said); // without a state directory, which a user need not have
    }
    if !matches!(said.verb, "features" | "spec")
        && let Some((call, error)) = older::missing_call()
    {
        bail!(older::explain(call, error)); // before anything is made that could not be deleted again
    }
    let (root, given) = said.root()?;
    let global = Global { root };
    let done = |result: Result<()>| result.map(|()| 0);
    if !matches!(said.verb, "run" | "create" | "exec") {
        process::close_range(3, u32::MAX, process::Range::CloseOnExec).context("mark inherited descriptors")?; // for hooks, ps
    }
    match said.verb {
        "run" => run_verb(said, &global),
        "create" => done(create_request(said, said.id()?, bundle(said)?).and_then(|r| ops::create::create(&global, r))),
        "start" => done(ops::start::start(&global, &said.id()?)),
        "state" => done(ops::state::state(&global, &said.id()?).and_then(|text| print(&text))),
        "exec" => exec_verb(said, &global),
        "kill" => done(kill_verb(said, &global)),
        "delete" => {
            let force = if said.switch("force") { delete::Force::Yes } else { delete::Force::No };
            done(delete::delete(&global, &said.id()?, force))
        }
        "pause" => done(ops::pause::pause(&global, &said.id()?)),
        "resume" => done(ops::pause::resume(&global, &said.id()?)),
        "ps" => done(ps_verb(said, &global)),
        "list" => done(list_verb(said, &global, given)),
        "events" => done(events_verb(said, &global)),
        "stats" => done(stats_verb(said, &global)),
        "update" => done(ops::update::update(&global, &said.id()?, &super::limits::asked(said)?)),
        "spec" => {
            let whom = if said.switch("rootless") { For::caller() } else { For::Root };
            done(ops::spec::spec(&bundle(said)?, whom))
        }
        "features" => done(ops::features::features().and_then(|text| print(&text))),
        other => bail!("command {other:?} has no code"),
    }
}

fn bundle(said: &Asked) -> Result<PathBuf> {
    match said.path("bundle")? {
        Some(path) => Ok(path),
        None => std::env::current_dir().context("find the current directory"),
    }
}

/// explain and check: the bundle is the argument, or what --bundle names, or the current directory.
fn judging_verb(said: &Asked) -> Result<u8> {
    let argument = said.value("bundle-directory").map(PathBuf::from);
    let named = said.path("bundle")?;
    ensure!(argument.is_none() || named.is_none(), "the bundle is named twice: as an argument and with --bundle");
    let bundle = match argument.or(named) {
        // So that "." has a name, which becomes the id.
        Some(path) => {
            let real = std::fs::canonicalize(&path).map_err(|error| anyhow!(crate::sys::Error::from(error)));
            real.with_context(|| format!("open bundle {}", path.display()))?
        }
        None => bundle(said)?,
    };
    if said.verb == "check" {
        let (text, status) = ops::check::check(&bundle, said.driver()?)?;
        return print(&text).map(|()| status);
    }
    let view = if said.switch("json") { ops::explain::View::Json } else { ops::explain::View::Text };
    print(&ops::explain::explain(&bundle, said.driver()?, view)?).map(|()| 0)
}

fn create_request(said: &Asked, id: String, bundle: PathBuf) -> Result<Create> {
    Ok(Create {
        id,
        bundle,
        announce: announce(said)?,
        change: if said.switch("no-pivot") { RootChange::MoveAndChroot } else { RootChange::Pivot },
        keyring: if said.switch("no-new-keyring") { NewKeyring::No } else { NewKeyring::Yes },
        preserve_fds: number(said, "preserve-fds")?.unwrap_or(0),
        inherited: said.inherited,
        driver: said.driver()?,
    })
}

fn announce(said: &Asked) -> Result<Announce> {
    Ok(Announce {
        pid_file: said.path("pid-file")?,
        console_socket: said.path("console-socket")?,
        pidfd_socket: said.path("pidfd-socket")?,
    })
}

fn number(said: &Asked, name: &str) -> Result<Option<u32>> {
    let Some(text) = said.text(name)? else {
        return Ok(None);
    };
    Ok(Some(text.parse().with_context(|| format!("--{name} {text:?} is not a number"))?))
}

fn stay(said: &Asked) -> Stay {
    if said.switch("detach") { Stay::Leave } else { Stay::Foreground }
}

fn run_verb(said: &Asked, global: &Global) -> Result<u8> {
    let argument = said.text("container-id-or-bundle")?.unwrap_or_default();
    let (id, bundle) = which(said, &argument)?;
    let request = Run {
        create: create_request(said, id, bundle)?,
        stay: stay(said),
        after: if said.switch("keep") { After::Keep } else { After::Delete },
        orphans: if said.switch("no-subreaper") { Orphans::Leave } else { Orphans::Adopt },
    };
    ops::run::run(global, request)
}

/// Is the argument of `run` an id, as runc has it, or a bundle, as a person writes it? See the verb's help.
fn which(said: &Asked, argument: &str) -> Result<(String, PathBuf)> {
    let named = said.text("id")?;
    let holds_config = |dir: &Path| dir.join("config.json").is_file();
    let is_path = argument.contains('/') || matches!(argument, "." | "..");
    let is_bundle = said.value("bundle").is_none()
        && holds_config(Path::new(argument))
        && (is_path || !holds_config(Path::new(".")));
    if !is_bundle {
        ensure!(
            said.value("bundle").is_some() || !is_path,
            "{argument}: no config.json there: make one with `rruntime spec --bundle {argument}`"
        );
        ensure!(
            is_path || said.value("bundle").is_some() || holds_config(Path::new(".")),
            "{argument}: there is no config.json, neither here nor in {argument}: name a bundle (a directory with a config.json \
             and a root filesystem; `rruntime spec` writes the former). The name of an image is for engines, which make bundles \
             of images"
        );
        ensure!(
            named.is_none() || named.as_deref() == Some(argument),
            "--id: the argument {argument:?} is the id already"
        );
        return Ok((argument.to_string(), bundle(said)?));
    }
    let path = std::fs::canonicalize(argument).with_context(|| format!("open bundle {argument}"))?;
    let base = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok((named.unwrap_or(base), path))
}

fn exec_verb(said: &Asked, global: &Global) -> Result<u8> {
    let process = match said.path("process")? {
        Some(path) => {
            let read = || spec::parse_process(&spec::read_file(&path)?);
            let (process, warnings) = read().with_context(|| format!("--process {}", path.display()))?;
            warnings.iter().for_each(log::warning);
            ExecProcess::Whole(Box::new(process))
        }
        None => ExecProcess::Words(words(said)?),
    };
    let request = Exec {
        id: said.id()?,
        process,
        announce: announce(said)?,
        stay: stay(said),
        preserve_fds: number(said, "preserve-fds")?.unwrap_or(0),
        inherited: said.inherited,
        cgroups: cgroup::sub_cgroups(&said.texts("cgroup")?)?,
        paused: if said.switch("ignore-paused") { IfPaused::Wait } else { IfPaused::Refuse },
    };
    ops::exec::exec(global, request)
}

fn words(said: &Asked) -> Result<Words> {
    let group = |text: String| id_number(&text).with_context(|| format!("--additional-gids {text:?}"));
    Ok(Words {
        args: said.texts("command")?,
        env: said.texts("env")?,
        cwd: said.text("cwd")?.map(PathBuf::from),
        user: said.text("user")?.map(|text| user(&text)).transpose()?,
        groups: said.texts("additional-gids")?.into_iter().map(group).collect::<Result<_>>()?,
        capabilities: said.texts("cap")?,
        terminal: said.switch("tty").then_some(Terminal { size: None }),
        labels: Labels { apparmor: said.text("apparmor")?, selinux: said.text("process-label")? },
        no_new_privileges: said.switch("no-new-privs").then_some(NoNewPrivileges::Set),
    })
}

/// UID[:GID], decimal. Never a name: a passwd file of the image has no say in who runs (CVE-2016-3697).
fn user(text: &str) -> Result<(u32, Option<u32>)> {
    let parse = || -> Result<(u32, Option<u32>)> {
        Ok(match text.split_once(':') {
            None => (id_number(text)?, None),
            Some((uid, gid)) => (id_number(uid)?, Some(id_number(gid)?)),
        })
    };
    parse().with_context(|| format!("--user {text:?}: give UID or UID:GID as numbers"))
}

/// Digits only; the highest number means "leave it" to the kernel and is no id.
fn id_number(text: &str) -> Result<u32> {
    ensure!(!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()), "{text:?} is not a number");
    let id: u32 = text.parse().with_context(|| format!("{text} is too high for an id"))?;
    namespaces::id(id)
}

fn kill_verb(said: &Asked, global: &Global) -> Result<()> {
    let signal = said.text("signal")?.unwrap_or_else(|| "SIGTERM".to_string());
    let whom = if said.switch("all") { Whom::Everybody } else { Whom::Init };
    ops::kill::kill(global, &said.id()?, &signal, whom)
}

fn ps_verb(said: &Asked, global: &Global) -> Result<()> {
    let view = match said.text("format")?.as_deref() {
        None | Some("table") => ps::View::Table,
        Some("json") => ps::View::Json,
        Some(other) => bail!("invalid format option {other:?}: it is table or json"),
    };
    print(&ops::ps::ps(global, &said.id()?, view, &said.texts("ps-options")?)?)
}

fn list_verb(said: &Asked, global: &Global, given: list::RootGiven) -> Result<()> {
    let view = match said.text("format")?.as_deref() {
        _ if said.switch("quiet") => list::View::Ids,
        None | Some("table") => list::View::Table,
        Some("json") => list::View::Json,
        Some(other) => bail!("invalid format option {other:?}: it is table or json"),
    };
    print(&list::list(global, given, view)?)
}

fn events_verb(said: &Asked, global: &Global) -> Result<()> {
    let interval = said.text("interval")?.map_or(Ok(Duration::from_secs(5)), |text| duration(&text))?;
    ensure!(!interval.is_zero(), "duration interval must be greater than 0");
    let pace = if said.switch("stats") { Pace::Once } else { Pace::Every(interval) };
    ops::events::events(global, &said.id()?, pace, print)
}

/// As Go writes them: a sum of numbers with units, `1m30s`, `0.5s`.
fn duration(text: &str) -> Result<Duration> {
    let bad = || anyhow!("--interval: {text:?} is no duration; write a number with ms, s, m or h, as 5s");
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let after = &rest[digits..];
        let unit = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let seconds = match &after[..unit] {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(bad()),
        };
        sum += rest[..digits].parse::<f64>().map_err(|_| bad())? * seconds;
        rest = &after[unit..];
    }
    Duration::try_from_secs_f64(sum).map_err(|_| bad())
}

fn stats_verb(said: &Asked, global: &Global) -> Result<()> {
    let ids = said.texts("container-ids")?;
    let take = || ops::events::samples(global, &ids);
    if tty::is_terminal(process::STREAMS[1]) && !said.switch("no-stream") {
        return stats::live(take, print);
    }
    let before = take()?;
    std::thread::sleep(stats::PAUSE);
    print(&stats::table(&before, &take()?))
}

#[cfg(test)]
mod tests {
    use super::user;

    /// CVE-2026-30892 and CVE-2016-3697: exactly the ids that were asked for, or none.
    #[test]
    fn users_are_numbers() {
        assert_eq!(user("1").unwrap(), (1, None));
        assert_eq!(user("1:2").unwrap(), (1, Some(2)));
        assert_eq!(user("0:5").unwrap(), (0, Some(5)));
        assert_eq!(user("01").unwrap(), (1, None));
        for text in ["", ":5", "5:", "5:x", "x", "-1", "+1", " 1", "0x1", "4294967295", "4294967296", "1:2:3"] {
            assert!(user(text).is_err(), "{text:?}");
        }
        assert!(user(&"9".repeat(30)).is_err());
    }

    /// A number in it is the one that was written, or there is none: never root by mistake (CVE-2026-30892).
    #[test]
    fn any_user_is_two_numbers_or_refused() {
        crate::fuzz::often(20_000, |random| {
            let text = random.text();
            if let Ok((uid, gid)) = user(&text) {
                let said: Vec<_> = text.split(':').map(|number| number.parse::<u32>().ok()).collect();
                assert_eq!(said, [Some(uid)].into_iter().chain(gid.map(Some)).collect::<Vec<_>>(), "{text:?}");
            }
        });
    }
}
