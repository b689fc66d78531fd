//! Every verb with its options and arguments, from which the command line is read and the help is made.

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
const NO_PIVOT: OptionRow = row(
    "no-pivot",
    None,
    Switch,
    "Move and chroot in place of pivot_root, for hosts on a ramfs; by itself where pivot_root cannot work",
);
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
    row("interactive", Some('i'), Switch, "Accepted for Docker's users: standard input is always connected"),
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
    row("cpu-idle", None, Value, "1: runs only when no other process wants the CPU"),
    row("cpuset-cpus", None, Value, "CPUs to run on, as 0-3,7"),
    row("cpuset-mems", None, Value, "Memory nodes to use, as 0-1"),
    row("memory", None, Value, "Limit of memory: bytes, or 512m, 1g; -1 for none"),
    row("memory-reservation", None, Value, "Memory that is kept under pressure: bytes, or 512m"),
    row("memory-swap", None, Value, "Limit of memory and swap together; -1 for no limit of swap"),
    row("kernel-memory", None, Value, "Obsolete; has no effect on current kernels"),
    row("kernel-memory-tcp", None, Value, "Limit of TCP buffers (cgroup v1)"),
    row("pids-limit", None, Value, "Number of processes and threads; -1 for no limit"),
    row("device-rule", None, Many, "Device rule to add: [allow|deny] TYPE MAJOR:MINOR ACCESS, as \"c 10:229 rw\""),
];

/// A verb: its options, its positional arguments (as clap's usage shows them), what it does.
pub struct Verb {
    pub name: &'static str,
    pub options: &'static [OptionRow],
    pub positional: &'static [(&'static str, Times)],
    pub about: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Times {
    Once,
    Maybe,
    Any,
}

pub use Times::{Any, Maybe, Once};

pub const ID: (&str, Times) = ("container-id", Once);

pub const VERBS: &[Verb] = &[
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
    Verb { name: "pause", options: &[], positional: &[ID], about: "Suspend all processes in the container" },
    Verb { name: "resume", options: &[], positional: &[ID], about: "Resume all processes in the container" },
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

/// Commands of Docker and Podman, each with the command of rruntime that does the same.
pub const HABITS: [(&str, &str); 12] = [
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
