//! Id-mapped mounts: `mounts[].uidMappings` and `gidMappings`, the options `idmap` and `ridmap`, and crun's way to write the
//! mapping into the option. config.md, "POSIX-platform Mounts"; mount_setattr(2), MOUNT_ATTR_IDMAP, Linux 5.12.

use super::host::Caller;
use super::namespaces::{self, IdMaps, MapWriter, Namespaces};
use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::sys::mount::Depth;
use oci_spec::runtime::{LinuxIdMapping, LinuxIdMappingBuilder, Mount};

/// Whose ids a mount shows in place of those that its file system has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMapping {
    /// The mount alone, or all below it too.
    pub depth: Depth,
    pub ids: Ids,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ids {
    /// As the container's own user namespace maps them, made or joined.
    Own,
    /// `container` is the id on the disk, `host` the one that is seen by the host.
    Of(IdMaps),
}

/// The word that asked for a mapping: its place among the options, and the mapping when the word holds one.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub index: usize,
    pub depth: Depth,
    pub inline: Option<String>,
}

/// The word of an option with its mapping inside: `idmap=uids=0-1000-10#10-2000-5;gids=0-1000-10`. crun(1).
pub(super) fn inline(index: usize, option: &str) -> Option<Word> {
    let (depth, text) = match option.split_once('=') {
        Some(("idmap", text)) => (Depth::One, text),
        Some(("ridmap", text)) => (Depth::Recursive, text),
        _ => return None,
    };
    Some(Word { index, depth, inline: Some(text.to_owned()) })
}

/// The mapping of one bind mount. Mappings without a word mean `idmap`, as with other runtimes; a word without mappings
/// means the container's own.
pub(super) fn lower(
    mount: &Mount,
    word: Option<&Word>,
    namespaces: &Namespaces,
    caller: Caller,
) -> Result<Option<IdMapping>> {
    let given = |list: &Option<Vec<LinuxIdMapping>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let (uids, gids) = (mount.uid_mappings(), mount.gid_mappings());
    let ids = match (given(uids), given(gids), word) {
        (false, false, None) => return Ok(None),
        (true, false, _) => bail!("gidMappings: is missing; it must be given along with uidMappings"),
        (false, true, _) => bail!("uidMappings: is missing; it must be given along with gidMappings"),
        (true, true, Some(Word { index, inline: Some(_), .. })) => {
            bail!("options[{index}]: holds a mapping, and there are uidMappings too; keep one of them")
        }
        (true, true, _) => Ids::Of(IdMaps {
            uids: namespaces::checked_map(uids.as_deref().unwrap_or_default()).context("uidMappings")?,
            gids: namespaces::checked_map(gids.as_deref().unwrap_or_default()).context("gidMappings")?,
            writer: MapWriter::Root,
        }),
        (false, false, Some(Word { index, inline: Some(text), .. })) => {
            Ids::Of(parse(text, namespaces).with_context(|| format!("options[{index}]"))?)
        }
        (false, false, Some(Word { index, .. })) => {
            ensure!(
                namespaces.has(libc::CLONE_NEWUSER),
                "options[{index}]: there is no mapping to apply: give the mount uidMappings and gidMappings, or the container \
                 a user namespace"
            );
            Ids::Own
        }
    };
    ensure!(
        caller == Caller::Root,
        "uidMappings: an id-mapped mount needs CAP_SYS_ADMIN; run rruntime as root, or leave the mapping and \"idmap\" out"
    );
    let depth = word.map_or(Depth::One, |word| word.depth);
    let same = matches!(&ids, Ids::Of(maps) if namespaces.maps.as_ref() == Some(maps));
    Ok(Some(IdMapping { depth, ids: if same { Ids::Own } else { ids } }))
}

/// What is no bind cannot be mapped: a new file system belongs to whoever mounts it.
pub(super) fn refuse(mount: &Mount, word: Option<&Word>) -> Result<()> {
    if let Some(Word { index, .. }) = word {
        bail!("options[{index}]: only a bind mount can be id-mapped; remove the option, or add \"bind\"");
    }
    for (field, list) in [("uidMappings", mount.uid_mappings()), ("gidMappings", mount.gid_mappings())] {
        let given = list.as_ref().is_some_and(|list| !list.is_empty());
        ensure!(!given, "{field}: only a bind mount can be id-mapped; remove the mapping, or add the option \"bind\"");
    }
    Ok(())
}

fn parse(text: &str, namespaces: &Namespaces) -> Result<IdMaps> {
    let (mut uids, mut gids) = (None, None);
    for part in text.split(';').filter(|part| !part.is_empty()) {
        let own = namespaces.maps.as_ref();
        match part.split_once('=') {
            Some(("uids", list)) => uids = Some(ranges(list, own.map(|maps| &maps.uids)).context("uids")?),
            Some(("gids", list)) => gids = Some(ranges(list, own.map(|maps| &maps.gids)).context("gids")?),
            _ => bail!("{part:?} is neither \"uids=\" nor \"gids=\""),
        }
    }
    match (uids, gids) {
        (Some(uids), Some(gids)) => Ok(IdMaps { uids, gids, writer: MapWriter::Root }),
        _ => bail!("needs both, as \"idmap=uids=0-1000-10;gids=0-1000-10\""),
    }
}

/// `DISK-HOST-SIZE`, several with `#` between; `@` before one says that HOST is an id of the container.
fn ranges(list: &str, own: Option<&Vec<namespaces::IdMap>>) -> Result<Vec<namespaces::IdMap>> {
    let one = |text: &str| -> Result<LinuxIdMapping> {
        let (numbers, relative) = text.strip_prefix('@').map_or((text, false), |rest| (rest, true));
        let parsed: Option<Vec<u32>> = numbers.split('-').map(|number| number.parse().ok()).collect();
        let Some([disk, host, size]) = parsed.as_deref() else {
            bail!("{text:?} is not three numbers, as \"0-1000-10\"");
        };
        let host = if relative { on_the_host(*host, own)? } else { *host };
        let built = LinuxIdMappingBuilder::default().container_id(*disk).host_id(host).size(*size).build();
        built.map_err(|error| anyhow!("{error}"))
    };
    let lines = list.split('#').filter(|text| !text.is_empty()).map(one).collect::<Result<Vec<_>>>()?;
    ensure!(!lines.is_empty(), "is empty; map at least one id");
    namespaces::checked_map(&lines)
}

fn on_the_host(id: u32, own: Option<&Vec<namespaces::IdMap>>) -> Result<u32> {
    let holds = |line: &&namespaces::IdMap| id >= line.container && id - line.container < line.size;
    match own.and_then(|map| map.iter().find(holds)) {
        Some(line) => Ok(line.host + (id - line.container)),
        None => bail!("@: id {id} is none of the container's; it must be in linux.uidMappings and gidMappings"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::host::Host;
    use oci_spec::runtime::Linux;

    const USER: &str = r#"{"namespaces":[{"type":"user"}],
        "uidMappings":[{"containerID":0,"hostID":200000,"size":65536}],
        "gidMappings":[{"containerID":0,"hostID":200000,"size":65536}]}"#;

    fn lowered(linux: &str, mount: &str, option: Option<&str>) -> Result<Option<IdMapping>> {
        let linux: Linux = serde_json::from_str(linux).unwrap();
        let namespaces = namespaces::lower(&linux, &Host::for_tests())?;
        let mount: Mount = serde_json::from_str(&format!(r#"{{"destination":"/a"{mount}}}"#)).unwrap();
        let word = option.map(|option| {
            let plain = Word { index: 0, depth: Depth::One, inline: None };
            inline(0, option).unwrap_or(plain)
        });
        lower(&mount, word.as_ref(), &namespaces, Caller::Root)
    }

    fn message(linux: &str, mount: &str, option: Option<&str>) -> String {
        format!("{:#}", lowered(linux, mount, option).unwrap_err())
    }

    const MAPPED: &str = r#","uidMappings":[{"containerID":0,"hostID":5,"size":9}],
        "gidMappings":[{"containerID":0,"hostID":6,"size":9}]"#;

    #[test]
    fn a_word_without_a_mapping_means_the_containers_own() {
        assert_eq!(lowered(USER, "", Some("idmap")).unwrap().unwrap().ids, Ids::Own);
        assert!(message("{}", "", Some("idmap")).starts_with("options[0]: there is no mapping"));
        assert_eq!(lowered(USER, "", None).unwrap(), None);
    }

    #[test]
    fn the_mapping_of_the_mount_wins_and_needs_both_halves() {
        let ids = lowered(USER, MAPPED, Some("idmap")).unwrap().unwrap().ids;
        assert!(matches!(ids, Ids::Of(maps) if maps.uids[0].host == 5 && maps.gids[0].host == 6));
        assert!(lowered("{}", MAPPED, None).unwrap().is_some(), "mappings alone mean idmap");
        let half = r#","uidMappings":[{"containerID":0,"hostID":5,"size":9}]"#;
        assert!(message("{}", half, Some("idmap")).starts_with("gidMappings: is missing"));
        let bad = MAPPED.replace("\"size\":9", "\"size\":0");
        assert!(message("{}", &bad, None).starts_with("uidMappings: [0].size: is 0"));
    }

    #[test]
    fn a_user_without_rights_may_not_map() {
        let linux: Linux = serde_json::from_str(USER).unwrap();
        let namespaces = namespaces::lower(&linux, &Host::for_tests()).unwrap();
        let mount: Mount = serde_json::from_str(r#"{"destination":"/a"}"#).unwrap();
        let word = Word { index: 0, depth: Depth::One, inline: None };
        let error = lower(&mount, Some(&word), &namespaces, Caller::User).unwrap_err().to_string();
        assert!(error.contains("needs CAP_SYS_ADMIN"), "{error}");
    }

    #[test]
    fn the_containers_own_mapping_is_recognised() {
        let same = r#","uidMappings":[{"containerID":0,"hostID":200000,"size":65536}],
            "gidMappings":[{"containerID":0,"hostID":200000,"size":65536}]"#;
        assert_eq!(lowered(USER, same, Some("idmap")).unwrap().unwrap().ids, Ids::Own);
    }

    #[test]
    fn a_mapping_can_stand_in_the_option() {
        let of = |linux, text| match lowered(linux, "", Some(text)).unwrap().unwrap().ids {
            Ids::Of(maps) => maps,
            Ids::Own => panic!("{text}"),
        };
        let maps = of("{}", "idmap=uids=0-1000-10#10-2000-5;gids=3-4-5");
        assert_eq!(namespaces::map_text(&maps.uids), "0 1000 10\n10 2000 5\n");
        assert_eq!(namespaces::map_text(&maps.gids), "3 4 5\n");
        assert_eq!(of(USER, "idmap=uids=@0-7-1;gids=@0-8-1").gids[0].host, 200_008);
        for text in ["idmap=", "idmap=uids=0-1-1", "idmap=uids=0-1;gids=0-1-1", "idmap=uids=@0-1-1;gids=0-1-1"] {
            assert!(message("{}", "", Some(text)).starts_with("options[0]: "), "{text}");
        }
        assert!(message(USER, MAPPED, Some("idmap=uids=0-1-1;gids=0-1-1")).contains("keep one of them"));
    }
}
