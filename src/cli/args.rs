//! clap, built from the table of verbs for the one that is asked for, and what the command line said.

use super::normal;
use super::table::{Any, GLOBAL, HABITS, ID, Kind, Maybe, Once, OptionRow, VERBS, Verb};
use crate::error::{Context, Result, anyhow, bail, did_you_mean, ensure};
use crate::log::{self, Format, Level};
use crate::ops::list::RootGiven;
use crate::plan::cgroup::Driver;
use crate::sys::{credentials, namespace};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// What the command line said.
pub enum Said {
    /// Help or version: printed already.
    Done,
    Verb(Box<Asked>),
}

pub struct Asked {
    pub verb: &'static str,
    pub globals: ArgMatches,
    pub args: ArgMatches,
    /// Descriptors from 3 on that our caller has left open, counted before anything of ours was opened.
    pub inherited: u32,
}

pub fn parse(argv: Vec<OsString>, inherited: u32) -> Result<Said> {
    let (globals, name, rest) = normal::split(argv);
    if globals.iter().any(|word| word == "--version" || word == "-v") {
        super::print(&version())?;
        return Ok(Said::Done);
    }
    let top = || with_options(Command::new("rruntime").about(ABOUT).no_binary_name(true), GLOBAL);
    let verb = match name.as_deref() {
        Some("help") | None => return help(top(), &globals),
        Some(name) => VERBS.iter().find(|verb| verb.name == name),
    };
    let Some(verb) = verb else {
        let name = name.unwrap_or_default();
        let habit = HABITS.iter().find(|(word, _)| *word == name).map(|(_, hint)| (*hint).to_owned());
        let near = || did_you_mean(&name, VERBS.iter().map(|verb| verb.name));
        let hint = habit.or_else(|| near().map(|name| format!("did you mean {name:?}?")));
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        bail!("unknown command {name:?}{hint}; see rruntime --help");
    };
    if globals.iter().any(|word| word == "--help" || word == "-h") {
        return help(top(), &globals);
    }
    let Some(globals) = matches(top(), GLOBAL, globals)? else {
        return Ok(Said::Done);
    };
    let Some(args) = matches(verb.command(), verb.options, rest)? else {
        return Ok(Said::Done);
    };
    Ok(Said::Verb(Box::new(Asked { verb: verb.name, globals, args, inherited })))
}

const ABOUT: &str =
    "An OCI low-level container runtime: turns a bundle (config.json and a root filesystem) into a container";

/// The top: every verb with its line.
fn help(mut top: Command, words: &[OsString]) -> Result<Said> {
    let known = |word: &OsString| word == "--help" || word == "-h";
    let unknown = words.iter().find(|word| !known(word) && !GLOBAL.iter().any(|row| starts(word, row.long)));
    if let Some(word) = unknown {
        bail!("unknown option {word:?}; see rruntime --help");
    }
    for verb in VERBS {
        top = top.subcommand(Command::new(verb.name).about(verb.about.lines().next().unwrap_or_default()));
    }
    let text = top.disable_help_subcommand(true).override_usage(USAGE).render_help().to_string();
    super::print(&text)?;
    Ok(Said::Done)
}

const USAGE: &str = "rruntime [OPTIONS] COMMAND [ARGUMENTS]\n       rruntime COMMAND --help";

fn starts(word: &OsString, long: &str) -> bool {
    word.to_string_lossy().strip_prefix("--").is_some_and(|rest| rest.split('=').next() == Some(long))
}

/// Parses; prints help when it was asked for, and then returns `None`.
fn matches(command: Command, rows: &[OptionRow], words: Vec<OsString>) -> Result<Option<ArgMatches>> {
    let name = command.get_name().to_string();
    match command.try_get_matches_from(words) {
        Ok(matches) => Ok(Some(matches)),
        Err(error) if error.kind() == clap::error::ErrorKind::DisplayHelp => {
            super::print(&error.render().to_string())?;
            Ok(None)
        }
        Err(error) if name == "rruntime" => Err(anyhow!("{}; see rruntime --help", explain(&error, rows))),
        Err(error) => Err(anyhow!("{}; see rruntime {name} --help", explain(&error, rows))),
    }
}

/// clap's message on one line; a missing value in the words that Podman looks for.
fn explain(error: &clap::Error, rows: &[OptionRow]) -> String {
    use clap::error::{ContextKind, ErrorKind};
    let context = |kind| error.get(kind).map(ToString::to_string).unwrap_or_default();
    match error.kind() {
        ErrorKind::InvalidValue | ErrorKind::NoEquals | ErrorKind::TooFewValues => {
            format!("flag needs an argument: {}", context(ContextKind::InvalidArg))
        }
        ErrorKind::UnknownArgument => {
            let word = context(ContextKind::InvalidArg);
            let near = did_you_mean(word.trim_start_matches('-'), rows.iter().map(|row| row.long));
            let hint = near.filter(|_| word.starts_with("--")).map(|near| format!(" (did you mean \"--{near}\"?)"));
            format!("unknown option or argument {word:?}{}", hint.unwrap_or_default())
        }
        ErrorKind::MissingRequiredArgument => "the container id is missing".to_string(),
        _ => error.render().to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_string(),
    }
}

impl Verb {
    fn command(&self) -> Command {
        let command =
            Command::new(self.name).about(self.about).no_binary_name(true).bin_name(format!("rruntime {}", self.name));
        let mut command = with_options(command, self.options);
        for (name, times) in self.positional {
            let arg = Arg::new(*name).value_parser(clap::value_parser!(OsString));
            command = command.arg(match times {
                Once => arg.required(true),
                Maybe => arg,
                Any => arg.num_args(0..),
            });
        }
        command
    }
}

fn with_options(mut command: Command, rows: &[OptionRow]) -> Command {
    for row in rows {
        let arg = Arg::new(row.long).long(row.long).help(row.help);
        let arg = match row.short {
            Some(short) => arg.short(short),
            None => arg,
        };
        command = command.arg(match row.kind {
            Kind::Switch => arg.action(ArgAction::SetTrue).overrides_with(row.long),
            Kind::Value => arg.value_name("VALUE").value_parser(clap::value_parser!(OsString)).overrides_with(row.long),
            Kind::Many => arg.value_name("VALUE").value_parser(clap::value_parser!(OsString)).action(ArgAction::Append),
        });
    }
    command
}

fn version() -> String {
    let commit = option_env!("RRUNTIME_COMMIT").unwrap_or("unknown");
    format!(
        "rruntime version {}\ncommit: {commit}\nspec: {}\n+SYSTEMD +SECCOMP +EBPF +CAP\n",
        env!("CARGO_PKG_VERSION"),
        crate::hooks::OCI_VERSION
    )
}

impl Asked {
    pub fn switch(&self, name: &str) -> bool {
        self.args.get_flag(name)
    }

    pub fn value(&self, name: &str) -> Option<&OsString> {
        self.args.get_one::<OsString>(name)
    }

    /// As UTF-8 text; what is not is refused by name.
    pub fn text(&self, name: &str) -> Result<Option<String>> {
        self.value(name).map(|value| utf8(name, value)).transpose()
    }

    pub fn texts(&self, name: &str) -> Result<Vec<String>> {
        self.args.get_many::<OsString>(name).into_iter().flatten().map(|value| utf8(name, value)).collect()
    }

    /// A path, absolute from here on: the working directory may change.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>> {
        let absolute = |value: &OsString| std::path::absolute(value).with_context(|| format!("--{name} {value:?}"));
        self.value(name).map(absolute).transpose()
    }

    pub fn id(&self) -> Result<String> {
        Ok(self.text(ID.0)?.unwrap_or_default())
    }

    fn global(&self, name: &str) -> Result<Option<String>> {
        self.globals.get_one::<OsString>(name).map(|value| utf8(name, value)).transpose()
    }

    pub fn open_log(&self) -> Result<()> {
        let format = match self.global("log-format")?.as_deref() {
            None | Some("" | "text") => Format::Text,
            Some("json") => Format::Json,
            Some(other) => bail!("invalid log-format: {other}"),
        };
        let level = match self.global("log-level")?.as_deref() {
            _ if self.globals.get_flag("debug") => Level::Debug,
            Some("debug") => Level::Debug,
            Some("warning" | "warn" | "info") => Level::Warning,
            Some("error") => Level::Error,
            // Podman reads a log file as one JSON object: nothing but the error may be in it.
            None if self.globals.contains_id("log") => Level::Error,
            None => Level::Warning,
            Some(other) => bail!("invalid log-level: {other}; it is debug, warning or error"),
        };
        let path = self.globals.get_one::<OsString>("log").map(log_file).transpose()?;
        log::open(path.as_deref(), format, level)
    }

    /// `--systemd-cgroup` is runc's word for it, `--cgroup-manager` crun's.
    pub fn driver(&self) -> Result<Driver> {
        let asked = match self.global("cgroup-manager")?.as_deref() {
            None => None,
            Some("cgroupfs") => Some(Driver::Cgroupfs),
            Some("systemd") => Some(Driver::Systemd),
            Some("disabled") => Some(Driver::Disabled),
            Some(other) => bail!("--cgroup-manager {other:?}: is none of cgroupfs, systemd and disabled"),
        };
        match (asked, self.globals.get_flag("systemd-cgroup")) {
            (None | Some(Driver::Systemd), true) => Ok(Driver::Systemd),
            (Some(_), true) => bail!("--systemd-cgroup and --cgroup-manager contradict each other; give one of them"),
            (asked, false) => Ok(asked.unwrap_or_default()),
        }
    }

    /// The state directory and whether it was named.
    pub fn root(&self) -> Result<(PathBuf, RootGiven)> {
        if let Some(root) = self.globals.get_one::<OsString>("root") {
            ensure!(!root.is_empty(), "Option --root argument should not be empty");
            let root = std::path::absolute(root).with_context(|| format!("--root {root:?}"))?;
            ensure!(root.components().count() > 1, "Option --root argument should not be set to /");
            return Ok((root, RootGiven::Yes));
        }
        let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        let root = match runtime_dir {
            Some(dir) if is_a_users() => PathBuf::from(dir).join("rruntime"),
            _ => PathBuf::from("/run/rruntime"),
        };
        Ok((root, RootGiven::No))
    }
}

/// Is the caller somebody whose state belongs below XDG_RUNTIME_DIR? Podman's users are root of a user namespace, by another
/// name; who says to be root there means /run.
fn is_a_users() -> bool {
    credentials::effective_uid() != 0
        || (std::env::var_os("USER").is_none_or(|name| name != "root") && !namespace::is_in_first_user())
}

fn utf8(name: &str, value: &OsString) -> Result<String> {
    value.to_str().map(str::to_string).ok_or_else(|| anyhow!("{name}: {value:?} is not UTF-8"))
}

/// `file:PATH` is crun's form of a path; of its others there is none.
fn log_file(said: &OsString) -> Result<PathBuf> {
    let text = said.to_string_lossy();
    for other in ["journald", "syslog"] {
        if text.strip_prefix(other).is_some_and(|rest| rest.starts_with(':')) {
            bail!(
                "--log {text}: a log is a file; name one, or leave --log out and give stderr to {other} (systemd-cat, logger)"
            );
        }
    }
    Ok(PathBuf::from(OsStr::from_bytes(said.as_bytes().strip_prefix(b"file:").unwrap_or(said.as_bytes()))))
}
