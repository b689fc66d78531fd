//! The words of one mount's `options`, sorted by what they do.

use super::mount_ids;
use super::mounts::Attributes;
use super::options::{self, Effect, SourceLink, TargetLink};
use crate::error::{Result, bail, ensure};
use crate::sys::mount::Depth;

/// The words of one mount, sorted by what they do. A number is the word's place in `options`.
#[derive(Default)]
pub(super) struct Words {
    pub attributes: Attributes,
    /// A word says something of the flags of the mount itself, and not only of those below it.
    pub names_flags: bool,
    pub bind: Option<Depth>,
    pub remount: Option<()>,
    pub ids: Option<mount_ids::Word>,
    pub copy_up: Option<usize>,
    pub source_link: Option<(usize, SourceLink)>,
    pub target_link: Option<(usize, TargetLink)>,
    pub superblock: Vec<(usize, &'static str)>,
    pub data: Vec<(usize, String)>,
}

impl Words {
    pub fn sort(list: &[String]) -> Result<Words> {
        let mut words = Words::default();
        let all = list.iter().enumerate().flat_map(|(index, entry)| pieces(entry).map(move |word| (index, word)));
        for (index, word) in all {
            ensure!(!word.contains('\0'), "options[{index}]: holds a NUL byte");
            if let Some(effect) = options::find(word) {
                words.names_flags |= effect.is_of_flags();
                words.take(index, effect);
            } else if let Some(inline) = mount_ids::inline(index, word) {
                words.ids = Some(inline);
            } else if !word.is_empty() {
                words.data.push((index, word.to_owned()));
            }
        }
        Ok(words)
    }

    /// A later word wins over an earlier one that says the contrary.
    fn take(&mut self, index: usize, effect: Effect) {
        let attributes = &mut self.attributes;
        match effect {
            Effect::Attributes { depth: Depth::One, set, clear } => {
                (attributes.set, attributes.clear) = (attributes.set & !clear | set, attributes.clear & !set | clear);
            }
            Effect::Attributes { depth: Depth::Recursive, set, clear } => {
                let (old_set, old_clear) = (attributes.recursive_set, attributes.recursive_clear);
                (attributes.recursive_set, attributes.recursive_clear) =
                    (old_set & !clear | set, old_clear & !set | clear);
            }
            Effect::Both { set, clear, superblock } => {
                self.take(index, Effect::Attributes { depth: Depth::One, set, clear });
                self.superblock.retain(|(_, word)| !matches!(*word, "ro" | "rw"));
                self.superblock.push((index, superblock));
            }
            Effect::Superblock(word) => {
                self.superblock.retain(|(_, earlier)| *earlier != word);
                self.superblock.push((index, word));
            }
            Effect::Propagation { depth, flag } => attributes.propagation.push((depth, flag)),
            Effect::Bind(depth) => {
                let is_deep = self.bind == Some(Depth::Recursive) || depth == Depth::Recursive;
                self.bind = Some(if is_deep { Depth::Recursive } else { Depth::One });
            }
            Effect::Remount => self.remount = Some(()),
            Effect::IdMap(depth) => self.ids = Some(mount_ids::Word { index, depth, inline: None }),
            Effect::CopyUp => self.copy_up = Some(index),
            Effect::Source(link) => self.source_link = Some((index, link)),
            Effect::Target(link) => self.target_link = Some((index, link)),
            Effect::Nothing | Effect::OldFlag => {}
        }
    }

    /// A word that is none of ours belongs to the file system. Where there is no new one the kernel ignores it, and so do we,
    /// with a warning each; but a word without a value may as well be one of ours, wrongly written, and is refused.
    pub fn without_data(&self, mount: usize, what: &str) -> Result<Vec<String>> {
        let Some((index, word)) = self.data.iter().find(|(_, word)| !word.contains('=')) else {
            let ignored = |(index, word): &(usize, String)| {
                format!("config.json: mounts[{mount}].options[{index}]: {word:?} has no effect on {what}; remove it")
            };
            return Ok(self.data.iter().map(ignored).collect());
        };
        let hint = options::did_you_mean(word, options::WORDS.iter().map(|(name, _)| *name));
        let hint = hint.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default();
        bail!("options[{index}]: unknown option {word:?}{hint}; {what} takes no options of a file system")
    }

    pub fn refuse_links(&self) -> Result<()> {
        match self.source_link.map(|(index, _)| index).or(self.target_link.map(|(index, _)| index)) {
            Some(index) => bail!("options[{index}]: is for a bind mount; remove it, or add \"bind\""),
            None => Ok(()),
        }
    }
}

/// Options whose values may have commas in them: paths, labels, maps of ids.
const WITH_COMMAS: [&str; 11] = [
    "lowerdir",
    "lowerdir+",
    "datadir+",
    "upperdir",
    "workdir",
    "context",
    "fscontext",
    "defcontext",
    "rootcontext",
    "idmap",
    "ridmap",
];

/// Several options in one string, as mount(8) has them, are as many entries (`size=1m,mode=700`).
fn pieces(entry: &str) -> impl Iterator<Item = &str> {
    let name = entry.split(['=', ',']).next().unwrap_or_default();
    let is_whole = WITH_COMMAS.contains(&name) && entry[name.len()..].starts_with('=');
    entry.split(move |c| c == ',' && !is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::mount::ATTR_RDONLY;

    fn words(list: &[&str]) -> Words {
        Words::sort(&list.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn a_later_word_wins() {
        assert_eq!(words(&["rw", "ro"]).attributes.everywhere(), ATTR_RDONLY);
        assert_eq!(words(&["ro", "rw"]).attributes.clear, ATTR_RDONLY);
    }

    #[test]
    fn a_typing_error_in_a_bind_is_refused_with_a_hint() {
        let error = words(&["rbind", "size=1k", "nosudi"]).without_data(0, "a bind mount").unwrap_err().to_string();
        assert!(error.starts_with("options[2]: unknown option \"nosudi\" (did you mean \"nosuid\"?)"), "{error}");
    }
    #[test]
    fn options_of_a_file_system_have_no_effect_on_a_bind() {
        let warnings = words(&["rbind", "ro", "mode=755", "size=1k"]).without_data(9, "a bind mount").unwrap();
        assert_eq!(warnings.len(), 2);
        assert!(
            warnings[0].starts_with("config.json: mounts[9].options[2]: \"mode=755\" has no effect"),
            "{warnings:?}"
        );
    }
}
