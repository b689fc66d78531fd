//! The mounts of a plan in words, and what each of the words means.

use super::document::Section;
use crate::plan::{Attributes, CgroupView, Content, MountOp, MountWhat, Opener, SourceLink, TargetLink};
use crate::sys::mount::{
    ATTR_ATIME, ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW, ATTR_RDONLY,
    ATTR_STRICTATIME, Depth, flag,
};
use serde_json::{Value, json};

/// The word that sets an attribute, what it means, and the word that clears it.
const ATTRIBUTES: [(u64, &str, &str, &str); 8] = [
    (ATTR_RDONLY, "ro", "nothing can be written through this mount", "rw"),
    (ATTR_NOSUID, "nosuid", "set-user-ID and set-group-ID bits of programs have no effect", "suid"),
    (ATTR_NODEV, "nodev", "device nodes cannot be opened", "dev"),
    (ATTR_NOEXEC, "noexec", "programs cannot be executed", "exec"),
    (ATTR_NOSYMFOLLOW, "nosymfollow", "symbolic links are not followed", "symfollow"),
    (ATTR_NOATIME, "noatime", "reading does not change access times", "atime"),
    (ATTR_STRICTATIME, "strictatime", "every reading changes the access time", "nostrictatime"),
    (ATTR_NODIRATIME, "nodiratime", "reading a directory does not change its access time", "diratime"),
];

const COPY_UP: &str = "tmpcopyup";

/// Not a word of config.json.
const INHERITED: &str = "+source";

/// Options of binds and of common file systems, by what stands before the "=".
const OPTIONS: [(&str, &str); 18] = [
    (COPY_UP, "begins as a copy of the directory that it covers"),
    ("idmap", "its files belong to others here than on the disk, by uidMappings and gidMappings"),
    ("ridmap", "as idmap, and so for all mounted below"),
    ("src-nofollow", "where the source is a symbolic link, the link itself is bound"),
    ("copy-symlink", "where the source is a symbolic link, one like it is made"),
    ("dest-nofollow", "where the place is a symbolic link, the mount lies on the link"),
    ("size=", "the most that it may hold; it is memory"),
    ("mode=", "permissions, in octal"),
    ("uid=", "its owner"),
    ("gid=", "its group"),
    ("nr_inodes=", "the most files that it may hold"),
    ("newinstance", "terminals of its own"),
    ("ptmxmode=", "permissions of its ptmx, in octal"),
    ("hidepid=", "whose processes are seen"),
    ("lowerdir=", "the layers that are only read, the topmost first"),
    ("upperdir=", "where changes go"),
    ("workdir=", "an empty directory for the overlay's own use"),
    ("ro", "nothing can be written through this mount"),
];

const PROPAGATION: [(u64, &str, &str); 4] = [
    (
        flag::MS_SHARED,
        "shared",
        "mounts made by the host later appear inside, and those made inside appear on the host",
    ),
    (flag::MS_SLAVE, "slave", "mounts made by the host later appear inside, those made inside stay inside"),
    (flag::MS_PRIVATE, "private", "mounts made later on one side do not appear on the other"),
    (flag::MS_UNBINDABLE, "unbindable", "as private, and it cannot be bound to another place"),
];

/// The word for MS_* bits, and what it means.
pub fn propagation(bits: u64) -> (String, &'static str) {
    let found = PROPAGATION.iter().find(|(flag, ..)| bits & flag != 0);
    let (word, meaning) = found.map_or(("as the host has it", ""), |(_, word, meaning)| (*word, *meaning));
    (if bits & flag::MS_REC != 0 { format!("r{word}") } else { word.to_owned() }, meaning)
}

pub fn section(mounts: &[MountOp]) -> Section {
    let row = |op: &MountOp| {
        let (what, options) = what(&op.what);
        let inherited = inherits(op).then(|| INHERITED.to_owned());
        let words: Vec<String> = words(&op.attributes).into_iter().chain(options).chain(inherited).collect();
        vec![op.index.to_string(), op.at.display().to_string(), what, words.join(" ")]
    };
    let value = mounts.iter().map(|op| {
        let (what, options) = what(&op.what);
        json!({
            "index": op.index, "destination": op.at, "what": what, "kind": kind(&op.what), "source": source(&op.what),
            "flags": words(&op.attributes), "options": options, "inheritsFlags": inherits(op),
        })
    });
    let mut section = Section::table("mounts", "Mounts, in order", mounts.iter().map(row).collect(), value.collect());
    section.legend = legend(mounts);
    section
}

/// The thing that is mounted, and the options that its file system gets.
fn what(what: &MountWhat) -> (String, Vec<String>) {
    match what {
        MountWhat::New { fs, source: _, options, content, label, instead } => {
            let instead = instead.iter().map(|path| format!(" (or a bind of {}, where not permitted)", path.display()));
            let pair = |(key, value): &(String, Option<String>)| match value {
                Some(value) => format!("{key}={value}"),
                None => key.clone(),
            };
            let copied = (*content == Content::Covered).then(|| COPY_UP.to_owned());
            let label = label.iter().map(|label| format!("rootcontext={label}"));
            let words = options.iter().map(pair).chain(copied).chain(label).collect();
            (format!("new {fs}{}", instead.collect::<String>()), words)
        }
        MountWhat::Bind { source, depth, opener: _, ids, source_link, target_link } => {
            let below = if *depth == Depth::Recursive { " and all mounted below it" } else { "" };
            let ids = ids.as_ref().map(|ids| if ids.depth == Depth::Recursive { "ridmap" } else { "idmap" });
            let from = match source_link {
                SourceLink::Follow => None,
                SourceLink::Bind => Some("src-nofollow"),
                SourceLink::Recreate => Some("copy-symlink"),
            };
            let to = (*target_link == TargetLink::Cover).then_some("dest-nofollow");
            let words = [ids, from, to].into_iter().flatten().map(str::to_owned).collect();
            (format!("bind of {}{below}", source.display()), words)
        }
        MountWhat::Cgroup(CgroupView::V2 { .. }) => ("its cgroup (v2)".to_owned(), Vec::new()),
        MountWhat::Cgroup(CgroupView::V1 { parts, .. }) => (format!("its cgroups ({} of v1)", parts.len()), Vec::new()),
        MountWhat::Remount => ("what is there, with other flags".to_owned(), Vec::new()),
    }
}

/// Does a bind have the flags of its source, because no word names a flag of its own?
fn inherits(op: &MountOp) -> bool {
    matches!(op.what, MountWhat::Bind { .. }) && op.attributes.unnamed == 0
}

fn kind(what: &MountWhat) -> Value {
    match what {
        MountWhat::New { fs, .. } => json!(fs),
        MountWhat::Bind { depth: Depth::One, .. } => "bind".into(),
        MountWhat::Bind { depth: Depth::Recursive, .. } => "rbind".into(),
        MountWhat::Cgroup(_) => "cgroup".into(),
        MountWhat::Remount => "remount".into(),
    }
}

fn source(what: &MountWhat) -> Value {
    match what {
        MountWhat::New { source, .. } => json!(source),
        MountWhat::Bind { source, opener: Opener::Child | Opener::Parent, .. } => json!(source),
        MountWhat::Cgroup(_) | MountWhat::Remount => Value::Null,
    }
}

/// The flags as words of config.json: those for the mount itself, then those for all below it.
fn words(attributes: &Attributes) -> Vec<String> {
    let Attributes { set, clear, unnamed: _, recursive_set, recursive_clear, propagation: spread } = attributes;
    let mut words = Vec::new();
    for (start, set, clear) in [("", *set, *clear), ("r", *recursive_set, *recursive_clear)] {
        // An access-time word clears the whole mask before it sets its own bits: without any it is "relatime".
        let relatime = clear & ATTR_ATIME == ATTR_ATIME && set & ATTR_ATIME == 0;
        let clear = if clear & ATTR_ATIME == ATTR_ATIME { clear & !ATTR_ATIME } else { clear };
        for (bit, on, _, off) in ATTRIBUTES {
            let word = if set & bit != 0 { Some(on) } else { Some(off).filter(|_| clear & bit != 0) };
            words.extend(word.map(|word| format!("{start}{word}")));
        }
        words.extend(relatime.then(|| format!("{start}relatime")));
    }
    let flag =
        |(depth, flag): &(Depth, u64)| propagation(flag | if *depth == Depth::Recursive { flag::MS_REC } else { 0 }).0;
    words.extend(spread.iter().map(flag));
    words
}

/// Every word that was used, once.
fn legend(mounts: &[MountOp]) -> Vec<(String, String)> {
    let flags: Vec<String> = mounts.iter().flat_map(|op| words(&op.attributes)).collect();
    let options: Vec<String> = mounts.iter().flat_map(|op| what(&op.what).1).collect();
    let used = |word: &str| flags.iter().any(|flag| flag == word);
    let mut legend: Vec<(String, String)> = Vec::new();
    let mut add = |word: &str, meaning: &str| {
        if !legend.iter().any(|(known, _)| known == word) {
            legend.push((word.to_owned(), meaning.to_owned()));
        }
    };
    let relatime = (0, "relatime", "reading changes an access time that is older than the last change", "");
    for (_, on, meaning, _) in ATTRIBUTES.into_iter().chain([relatime]) {
        if used(on) || used(&format!("r{on}")) {
            add(on, meaning);
        }
    }
    for (_, word, meaning) in PROPAGATION {
        if used(word) || used(&format!("r{word}")) {
            add(word, meaning);
        }
    }
    if mounts.iter().any(inherits) {
        add(INHERITED, "and ro, nosuid, nodev, noexec, nosymfollow as the source has them");
    }
    let plain: Vec<&str> = ATTRIBUTES.iter().map(|row| row.1).chain(PROPAGATION.iter().map(|row| row.1)).collect();
    let is_deep = |flag: &&String| flag.strip_prefix('r').is_some_and(|word| plain.contains(&word));
    if let Some(flag) = flags.iter().find(is_deep) {
        add(&format!("r in {flag}"), "also for all that is mounted below");
    }
    for (word, meaning) in OPTIONS {
        if options.iter().any(|option| option == word || word.ends_with('=') && option.starts_with(word)) {
            add(word, meaning);
        }
    }
    legend
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_said_in_the_words_that_asked_for_them() {
        for word in crate::plan::options::WORDS.iter().filter_map(|(word, effect)| match effect {
            crate::plan::options::Effect::Attributes { depth, set, clear } => Some((*word, *depth, *set, *clear)),
            _ => None,
        }) {
            let (word, depth, set, clear) = word;
            let attributes = match depth {
                Depth::One => Attributes { set, clear, ..Attributes::default() },
                Depth::Recursive => Attributes { recursive_set: set, recursive_clear: clear, ..Attributes::default() },
            };
            let expected = if (set, clear) == (0, 0) { vec![] } else { vec![word.to_owned()] };
            assert_eq!(words(&attributes), expected, "{word}");
        }
    }

    #[test]
    fn propagation_has_its_word() {
        assert_eq!(propagation(flag::MS_SLAVE | flag::MS_REC).0, "rslave");
        assert_eq!(propagation(flag::MS_SHARED).0, "shared");
    }
}
