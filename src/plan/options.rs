//! The words of `mounts[].options`: one row each, used by the planner and by `features`.

pub use crate::error::did_you_mean;
use crate::sys::mount::{
    ATTR_ATIME, ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW, ATTR_RDONLY,
    ATTR_STRICTATIME, Depth, flag,
};

/// What a word does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Sets and clears mount attributes.
    Attributes {
        depth: Depth,
        set: u64,
        clear: u64,
    },
    /// A property of the superblock: the word is handed to fsconfig; binds ignore it, as mount(2) does.
    Superblock(&'static str),
    /// As `Attributes` of one mount, and for a new file system of the superblock too (`ro`, `rw`).
    Both {
        set: u64,
        clear: u64,
        superblock: &'static str,
    },
    /// MS_* bits.
    Propagation {
        depth: Depth,
        flag: u64,
    },
    Bind(Depth),
    Remount,
    /// Other owners are shown than the file system has: on the mount, or on all below it too.
    IdMap(Depth),
    /// A tmpfs begins with a copy of what it covers.
    CopyUp,
    Source(SourceLink),
    Target(TargetLink),
    /// A flag of mount(2) that has no effect in any kernel that we run on.
    OldFlag,
    /// The file system's own choice.
    Nothing,
}

/// What becomes of a bind's source that is a symbolic link. crun(1), "src-nofollow", "copy-symlink".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SourceLink {
    #[default]
    Follow,
    /// The link itself is bound.
    Bind,
    /// A link of the same content is made at the destination, and nothing is mounted.
    Recreate,
}

/// What becomes of a bind's destination that is a symbolic link. crun(1), "dest-nofollow".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TargetLink {
    #[default]
    Follow,
    /// The mount lies on the link itself.
    Cover,
}

impl Effect {
    /// Is it a flag of mount(2)? Only then runc and crun remount a bind.
    pub fn is_of_flags(self) -> bool {
        matches!(self, Attributes { depth: Depth::One, .. } | Both { .. } | Superblock(_) | OldFlag)
    }
}

use Effect::{
    Attributes, Bind, Both, CopyUp, IdMap, Nothing, OldFlag, Propagation, Remount, Source, Superblock, Target,
};

const fn one(set: u64, clear: u64) -> Effect {
    Attributes { depth: Depth::One, set, clear }
}

const fn all(set: u64, clear: u64) -> Effect {
    Attributes { depth: Depth::Recursive, set, clear }
}

const fn spread(depth: Depth, flag: u64) -> Effect {
    Propagation { depth, flag }
}

/// config.md, "Linux mount options", and the three that crun adds; sorted. An access-time word replaces the others, so it clears the whole mask.
pub const WORDS: &[(&str, Effect)] = &[
    ("async", Superblock("async")),
    ("atime", one(0, ATTR_NOATIME)),
    ("bind", Bind(Depth::One)),
    ("copy-symlink", Source(SourceLink::Recreate)),
    ("defaults", Nothing),
    ("dest-nofollow", Target(TargetLink::Cover)),
    ("dev", one(0, ATTR_NODEV)),
    ("diratime", one(0, ATTR_NODIRATIME)),
    ("dirsync", Superblock("dirsync")),
    ("exec", one(0, ATTR_NOEXEC)),
    ("idmap", IdMap(Depth::One)),
    ("iversion", Superblock("iversion")),
    ("lazytime", Superblock("lazytime")),
    ("loud", OldFlag),
    ("mand", OldFlag),
    ("noatime", one(ATTR_NOATIME, ATTR_ATIME)),
    ("nodev", one(ATTR_NODEV, 0)),
    ("nodiratime", one(ATTR_NODIRATIME, 0)),
    ("noexec", one(ATTR_NOEXEC, 0)),
    ("noiversion", OldFlag),
    ("nolazytime", Superblock("nolazytime")),
    ("nomand", OldFlag),
    ("norelatime", one(0, 0)),
    ("nostrictatime", one(0, ATTR_STRICTATIME)),
    ("nosuid", one(ATTR_NOSUID, 0)),
    ("nosymfollow", one(ATTR_NOSYMFOLLOW, 0)),
    ("private", spread(Depth::One, flag::MS_PRIVATE)),
    ("ratime", all(0, ATTR_NOATIME)),
    ("rbind", Bind(Depth::Recursive)),
    ("rdev", all(0, ATTR_NODEV)),
    ("rdiratime", all(0, ATTR_NODIRATIME)),
    ("relatime", one(0, ATTR_ATIME)),
    ("remount", Remount),
    ("rexec", all(0, ATTR_NOEXEC)),
    ("ridmap", IdMap(Depth::Recursive)),
    ("rnoatime", all(ATTR_NOATIME, ATTR_ATIME)),
    ("rnodev", all(ATTR_NODEV, 0)),
    ("rnodiratime", all(ATTR_NODIRATIME, 0)),
    ("rnoexec", all(ATTR_NOEXEC, 0)),
    ("rnorelatime", all(0, 0)),
    ("rnostrictatime", all(0, ATTR_STRICTATIME)),
    ("rnosuid", all(ATTR_NOSUID, 0)),
    ("rnosymfollow", all(ATTR_NOSYMFOLLOW, 0)),
    ("ro", Both { set: ATTR_RDONLY, clear: 0, superblock: "ro" }),
    ("rprivate", spread(Depth::Recursive, flag::MS_PRIVATE)),
    ("rrelatime", all(0, ATTR_ATIME)),
    ("rro", all(ATTR_RDONLY, 0)),
    ("rrw", all(0, ATTR_RDONLY)),
    ("rshared", spread(Depth::Recursive, flag::MS_SHARED)),
    ("rslave", spread(Depth::Recursive, flag::MS_SLAVE)),
    ("rstrictatime", all(ATTR_STRICTATIME, ATTR_ATIME)),
    ("rsuid", all(0, ATTR_NOSUID)),
    ("rsymfollow", all(0, ATTR_NOSYMFOLLOW)),
    ("runbindable", spread(Depth::Recursive, flag::MS_UNBINDABLE)),
    ("rw", Both { set: 0, clear: ATTR_RDONLY, superblock: "rw" }),
    ("shared", spread(Depth::One, flag::MS_SHARED)),
    ("silent", OldFlag),
    ("slave", spread(Depth::One, flag::MS_SLAVE)),
    ("src-nofollow", Source(SourceLink::Bind)),
    ("strictatime", one(ATTR_STRICTATIME, ATTR_ATIME)),
    ("suid", one(0, ATTR_NOSUID)),
    ("symfollow", one(0, ATTR_NOSYMFOLLOW)),
    ("sync", Superblock("sync")),
    ("tmpcopyup", CopyUp),
    ("unbindable", spread(Depth::One, flag::MS_UNBINDABLE)),
];

pub fn find(word: &str) -> Option<Effect> {
    WORDS.iter().find(|(name, _)| *name == word).map(|(_, effect)| *effect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_are_understood() {
        let names = || WORDS.iter().map(|(name, _)| *name);
        assert_eq!(did_you_mean("nosudi", names()), Some("nosuid"));
        assert_eq!(did_you_mean("rrpivate", names()), Some("rprivate"));
        assert_eq!(did_you_mean("size=64k", names()), None);
    }

    #[test]
    fn words_are_sorted_and_once_each() {
        assert!(WORDS.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
