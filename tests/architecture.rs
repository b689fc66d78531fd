//! The walls of the house (docs/design.md), kept by reading the source: who may import whom, where `unsafe` lives, what
//! the planning must not touch. Moving a wall is done here, on purpose, in a commit of its own.

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer may use those before it in this list. `plan` and `spec` know each other's neighbours only by types.
const LAYERS: &[(&str, &[&str])] = &[
    ("sys", &[]),
    ("undo", &[]),
    ("fuzz", &["error", "log"]),
    ("error", &[]),
    ("log", &["error", "sys"]),
    ("fs", &["error", "sys"]),
    ("proc", &["error", "sys"]),
    ("spec", &["error", "sys"]),
    ("plan", &["error", "spec", "sys"]),
    ("link", &["error", "sys"]),
    ("interrupt", &["error", "sys"]),
    ("hooks", &["error", "sys", "interrupt", "plan"]),
    ("inside", &["error", "sys", "log", "fs", "plan", "link", "hooks"]),
    ("outside", &["error", "sys", "log", "fs", "proc", "undo", "interrupt", "plan", "link", "hooks"]),
    (
        "ops",
        &[
            "error",
            "sys",
            "log",
            "fs",
            "proc",
            "undo",
            "interrupt",
            "spec",
            "plan",
            "link",
            "hooks",
            "inside",
            "outside",
        ],
    ),
    ("cli", &["error", "sys", "log", "spec", "plan", "hooks", "ops"]),
    ("main", &["error", "sys", "log", "cli"]),
];

/// Files with their text, tests and comments taken out.
fn sources() -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    assert!(files.len() > 40, "the source is somewhere else");
    files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            (path, code)
        })
        .collect()
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

fn name(path: &Path) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    path.strip_prefix(root).unwrap().display().to_string()
}

fn layer(path: &Path) -> String {
    name(path).split('/').next().unwrap().trim_end_matches(".rs").to_string()
}

/// `crate::x` and, for `use crate::{x, y}`, each of them.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let list = list.split("};").next().unwrap_or_default();
            found.extend(list.split(',').map(|word| word.trim().split(':').next().unwrap_or_default().to_string()));
        } else {
            found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    found.retain(|word| !word.is_empty());
    found
}

#[test]
fn layers_import_only_what_stands_before_them() {
    for (path, code) in sources() {
        let own = layer(&path);
        let (_, allowed) = LAYERS.iter().find(|(name, _)| *name == own).unwrap_or_else(|| panic!("{own} has no layer"));
        for import in imports(&code) {
            if import == "fuzz" {
                continue; // is there in tests only, the compiler sees to that
            }
            let known = LAYERS.iter().any(|(name, _)| *name == import);
            let fits = import == own || allowed.contains(&import.as_str()) || !known;
            assert!(fits, "{} uses crate::{import}, which {own} must not", name(&path));
        }
    }
}

#[test]
fn the_entry_is_the_only_way_up() {
    // sys::start hands over to the program: the one call against the direction of the layers.
    for (path, code) in sources() {
        if layer(&path) == "sys" && !name(&path).ends_with("start.rs") {
            assert!(!code.contains("crate::run("), "{}", name(&path));
        }
    }
}

#[test]
fn unsafe_lives_in_sys() {
    for (path, code) in sources() {
        let own = layer(&path);
        let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
        let found = words.clone().any(|word| word == "unsafe" || word == "allow_unsafe");
        assert!(own == "sys" || !found, "{} has unsafe code", name(&path));
        let raw = ["from_raw_fd", "into_raw_fd", "RawFd", "as_raw_fd", "libc::syscall"];
        let raw = raw.into_iter().find(|word| code.contains(word));
        assert!(own == "sys" || raw.is_none(), "{} has {raw:?}: raw descriptors stay in sys", name(&path));
    }
}

#[test]
fn planning_touches_nothing() {
    let forbidden = ["std::fs", "std::env", "std::process", "File::open", "file::open", "file::read", "std::net"];
    for (path, code) in sources() {
        let file = name(&path);
        if layer(&path) != "plan" || file.starts_with("plan/host") {
            continue;
        }
        let found = forbidden.into_iter().find(|word| code.contains(word));
        assert!(found.is_none(), "{file} uses {found:?}: only plan/host looks at the machine");
        let calls = ["sys::mount::attach", "sys::process::clone", "sys::namespace::", "sys::socket::"];
        let found = calls.into_iter().find(|word| code.contains(word));
        assert!(found.is_none(), "{file} does something ({found:?})");
    }
}

#[test]
fn no_promises() {
    for (path, code) in sources() {
        for word in ["todo!", "unimplemented!", "TODO", "FIXME", "XXX", "dbg!"] {
            assert!(!code.contains(word), "{} has {word}", name(&path));
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for (path, _) in sources() {
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{} does not open with what it does", name(&path));
    }
}

#[test]
fn files_stay_readable() {
    for (path, code) in sources() {
        let limit = if name(&path).contains("seccomp/numbers") { 2000 } else { 480 };
        let lines = code.lines().count();
        assert!(lines <= limit, "{} has {lines} lines of code: what are its two subjects?", name(&path));
    }
}

#[test]
fn there_are_no_threads_and_no_cargo_features() {
    for (path, code) in sources() {
        assert!(!code.contains("thread::spawn"), "{} starts a thread", name(&path));
        assert!(!code.contains("cfg(feature"), "{} depends on a cargo feature", name(&path));
    }
}
