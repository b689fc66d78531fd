//! Writing the id maps of the child's new user namespace. user_namespaces(7).

use crate::error::{Context, Result};
use crate::plan::IdMaps;
use crate::plan::namespaces::map_text;
use crate::sys::file::{self, CWD};

/// As root: both maps in one write each. The child waits for this before it does anything as its new root.
pub fn write(maps: &IdMaps, pid: i32) -> Result<()> {
    for (name, map) in [("uid_map", &maps.uids), ("gid_map", &maps.gids)] {
        let path = format!("/proc/{pid}/{name}");
        let text = map_text(map);
        let write = || file::write_once(file::open(CWD, &path, libc::O_WRONLY, 0)?, text.as_bytes());
        write().with_context(|| format!("write {name} of the user namespace: {:?}", text.trim()))?;
    }
    Ok(())
}
