//! The options of every verb as tables, and clap built from them for the one verb that is asked for.

use super::normal;
use crate::error::{Context, Result, anyhow, bail, did_you_mean, ensure};
use crate::log::{self, Format, Level};
use crate::ops::list::RootGiven;
use crate::plan::cgroup::Driver;
use crate::sys::{credentials, namespace};
use clap::{Arg, ArgAction, ArgMatches, Command};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Switch,
    Value,
    /// May be given again and again.
    Many,
}

pub struct OptionRow {
    pub long: &'static str,
    pub short: Option<char>,
    pub kind: Kind,
    pub help: &'static str,
}

const fn row(long: &'static str, short: Option<char>, kind: Kind, help: &'static str) -> OptionRow {
    OptionRow { long, short, kind, help }
}

use Kind::{Many, Switch, Value};

pub const GLOBAL: &[OptionRow] = &[
    row("root", None, Value, "Directory of the state of containers [/run/rruntime, or $XDG_RUNTIME_DIR/rruntime]"),
    row("log", None, Value, "File to write records to, in place of stderr"),
    row("log-format", None, Value, "Format of the records: text or json"),
    row("log-level", None, Value, "Least level of the records: debug, warning or error"),
    row("debug", None, Switch, "Write debug records too"),
    row("rootless", None, Value, "Accepted for runc's callers; found out by itself"),
    row("systemd-cgroup", None, Switch, "Have systemd make the container's cgroup; cgroupsPath is slice:prefix:name"),
    row("cgroup-manager", None, Value, "cgroupfs, systemd (as --systemd-cgroup), or disabled: no cgroup [cgroupfs]"),
    row("criu", None, Value, "Accepted for runc's callers; has no effect"),
];

const BUNDLE: OptionRow = row("bundle", Some('b'), Value, "Directory of the bundle [the current directory]");
const CONSOLE: OptionRow = row("console-socket", None, Value, "Unix socket that receives the terminal's master");
const PID_FILE: OptionRow = row("pid-file", None, Value, "File to write the process's pid to");
const PIDFD: OptionRow = row("pidfd-socket", None, Value, "Unix socket that receives a pidfd of the process");
const PRESERVE: OptionRow =
    row("preserve-fds", None, Value, "Number of descriptors, from 3 on, that the process keeps");
const NO_PIVOT: OptionRow =
    row("no-pivot", None, Switch, "Move and chroot in place of pivot_root, for hosts on a ramfs");
const NO_KEYRING: OptionRow = row("no-new-keyring", None, Switch, "Keep the caller's session keyring");
const DETACH: OptionRow = row("detach", Some('d'), Switch, "Return as soon as the process runs");
const FORMAT: OptionRow = row("format", Some('f'), Value, "table or json");

const CREATE: &[OptionRow] = &[BUNDLE, CONSOLE, PIDFD, PID_FILE, NO_PIVOT, NO_KEYRING, PRESERVE];
const RUN: &[OptionRow] = &[
    BUNDLE,
    row("id", None, Value, "Id of the container, when the argument is its bundle"),
    CONSOLE,
    PIDFD,
    PID_FILE,
    NO_PIVOT,
    NO_KEYRING,
    PRESERVE,
    DETACH,
    row("keep", None, Switch, "Do not delete the container when it has ended"),
    row("no-subreaper", None, Switch, "Do not adopt the container's orphans"),
];
const EXEC: &[OptionRow] = &[
    row("process", Some('p'), Value, "File with the process object to run"),
    DETACH,
    row("tty", Some('t'), Switch, "Allocate a terminal"),
    row("interactive", Some('i'), Switch, "Accepted by habit: standard input is always connected"),
    row("cwd", None, Value, "Working directory in the container"),
    row("env", Some('e'), Many, "NAME=value for the environment"),
    row("user", Some('u'), Value, "UID[:GID]"),
    row("additional-gids", Some('g'), Many, "A supplementary group id"),
    row("cap", Some('c'), Many, "A capability to add"),
    row("no-new-privs", None, Switch, "Set no_new_privs"),
    row("apparmor", None, Value, "AppArmor profile [the container's]"),
    row("process-label", None, Value, "SELinux label [the container's]"),
    CONSOLE,
    PIDFD,
    PID_FILE,
    PRESERVE,
    row("cgroup", None, Many, "Cgroup below the container's: PATH, or CONTROLLER[,CONTROLLER]:PATH"),
    row("ignore-paused", None, Switch, "Wait with the container when it is paused, in place of refusing"),
];

const UPDATE: &[OptionRow] = &[
    row("resources", Some('r'), Value, "File with the new values as JSON, in the form of linux.resources; - for stdin"),
    row("blkio-weight", None, Value, "Weight of block I/O, 10 to 1000"),
    row("cpu-period", None, Value, "Period of the CPU quota, in microseconds"),
    row("cpu-quota", None, Value, "CPU time in each period, in microseconds; -1 for no limit"),
    row("cpu-burst", None, Value, "CPU time that may be saved up, in microseconds"),
    row("cpu-share", None, Value, "Share of CPU time relative to others, 2 to 262144"),
    row("cpu-rt-period", None, Value, "Period of real-time scheduling, in microseconds (cgroup v1)"),
    row("cpu-rt-runtime", None, Value, "Real-time CPU time in each period, in microseconds (cgroup v1)"),
    row("cpu-idle", None, Value, "1: runs only when nobody else wants the CPU"),
    row("cpuset-cpus", None, Value, "CPUs to run on, as 0-3,7"),
    row("cpuset-mems", None, Value, "Memory nodes to use, as 0-1"),
    row("memory", None, Value, "Limit of memory: bytes, or 512m, 1g; -1 for none"),
    row("memory-reservation", None, Value, "Memory that is kept under pressure: bytes, or 512m"),
    row("memory-swap", None, Value, "Limit of memory and swap together; -1 for no limit of swap"),
    row("kernel-memory", None, Value, "Obsolete; has no effect on current kernels"),
    row("kernel-memory-tcp", None, Value, "Limit of TCP buffers (cgroup v1)"),
    row("pids-limit", None, Value, "Number of processes and threads; -1 for no limit"),
    row(
        "device-rule",
        None,
        Many,
        "Rule for devices, after those it has: [allow|deny] TYPE MAJOR:MINOR ACCESS, as \"c 10:229 rw\"",
    ),
];

/// A verb: its options, its positional arguments (as clap's usage shows them), what it does.
struct Verb {
    name: &'static str,
    options: &'static [OptionRow],
    positional: &'static [(&'static str, Times)],
    about: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    Once,
    Maybe,
    Any,
}

use Times::{Any, Maybe, Once};

const ID: (&str, Times) = ("container-id", Once);

const VERBS: &[Verb] = &[
    Verb {
        name: "run",
        options: RUN,
        positional: &[("container-id-or-bundle", Once)],
        about: "Create and start a container.\n\nWith --bundle (or when the argument is no bundle) the argument is the id and \
                the bundle the current directory. Otherwise an argument that names a directory with a config.json is the \
                bundle, and its base name the id: one with a \"/\" in it always, a bare one when the current directory has \
                no config.json itself.",
    },
    Verb { name: "create", options: CREATE, positional: &[ID], about: "Create a container; `start` runs its program" },
    Verb { name: "start", options: &[], positional: &[ID], about: "Run the program of a created container" },
    Verb { name: "state", options: &[], positional: &[ID], about: "Print the state of a container as JSON" },
    Verb {
        name: "exec",
        options: EXEC,
        positional: &[ID, ("command", Any)],
        about: "Run one more program in a container",
    },
    Verb {
        name: "kill",
        options: &[row("all", Some('a'), Switch, "Signal every process of the container")],
        positional: &[ID, ("signal", Maybe)],
        about: "Send a signal (TERM, unless another is named) to a container's init",
    },
    Verb {
        name: "delete",
        options: &[row("force", Some('f'), Switch, "Kill it first if it runs; no error if there is none")],
        positional: &[ID],
        about: "Remove what is left of a container",
    },
    Verb { name: "pause", options: &[], positional: &[ID], about: "Make all processes of a container stand still" },
    Verb { name: "resume", options: &[], positional: &[ID], about: "Let a paused container go on" },
    Verb {
        name: "events",
        options: &[
            row("interval", None, Value, "Time between two lines, as 500ms, 5s, 1m [5s]"),
            row("stats", None, Switch, "Print one line and end"),
        ],
        positional: &[ID],
        about: "Print what a container uses, and when it runs out of memory, as JSON lines",
    },
    Verb {
        name: "stats",
        options: &[row(
            "no-stream",
            None,
            Switch,
            "Print one table and end; so it does when the output is no terminal",
        )],
        positional: &[("container-ids", Any)],
        about: "Show what containers use as a table, until interrupted",
    },
    Verb { name: "update", options: UPDATE, positional: &[ID], about: "Change the limits of a container" },
    Verb {
        name: "ps",
        options: &[FORMAT],
        positional: &[ID, ("ps-options", Any)],
        about: "List the processes of a container",
    },
    Verb {
        name: "list",
        options: &[FORMAT, row("quiet", Some('q'), Switch, "Print ids only")],
        positional: &[],
        about: "List the containers",
    },
    Verb {
        name: "spec",
        options: &[
            row("bundle", Some('b'), Value, "Directory to write config.json to [the current directory]"),
            row("rootless", None, Switch, "For a container that the calling user runs without being root"),
        ],
        positional: &[],
        about: "Write a config.json to start from",
    },
    Verb {
        name: "explain",
        options: &[BUNDLE, row("json", None, Switch, "The same as JSON")],
        positional: &[("bundle-directory", Maybe)],
        about: "Print what `run` would do with a bundle, in plain words\n\nNothing is done, and no rights are needed. At the \
                end stands what a look at this machine has found, and who could run the bundle. A user who could not is shown \
                the plan as root would have it.",
    },
    Verb {
        name: "check",
        options: &[BUNDLE],
        positional: &[("bundle-directory", Maybe)],
        about: "Say whether a bundle can be run here, and if not, why\n\nPrints one line for each finding, with its place in \
                config.json and the remedy, and a verdict. Nothing is done. The exit status is 0 when the calling user can run \
                the bundle, 1 otherwise; warnings do not count.",
    },
    Verb { name: "features", options: &[], positional: &[], about: "Print what this runtime can do, as JSON" },
];

pub fn options_of(verb: &str) -> Option<&'static [OptionRow]> {
    VERBS.iter().find(|known| known.name == verb).map(|known| known.options)
}

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

/// Commands of engines, by those who know them, and what does the same here.
const HABITS: [(&str, &str); 12] = [
    ("rm", "\"delete\" removes a container, with --force one that runs, too"),
    ("remove", "\"delete\" removes a container"),
    ("stop", "\"kill ID\" asks a container to end, \"kill ID KILL\" ends it"),
    ("inspect", "\"state\" prints what a container does, \"explain\" what a bundle is"),
    ("info", "\"features\" prints what this runtime can do, \"check\" what this machine can"),
    ("top", "\"ps\" lists the processes of a container"),
    ("ls", "\"list\" lists the containers"),
    ("unpause", "\"resume\" does that"),
    ("version", "\"--version\" prints it"),
    ("attach", "no output is kept: run without --detach, or with --console-socket"),
    ("logs", "no output is kept: it goes where the streams of run or create went"),
    ("restart", "\"delete --force\", and \"run\" again"),
];

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
            Switch => arg.action(ArgAction::SetTrue).overrides_with(row.long),
            Value => arg.value_name("VALUE").value_parser(clap::value_parser!(OsString)).overrides_with(row.long),
            Many => arg.value_name("VALUE").value_parser(clap::value_parser!(OsString)).action(ArgAction::Append),
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
