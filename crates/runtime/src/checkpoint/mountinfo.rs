//! The mounts of a process (proc_pid_mountinfo(5)).

use crate::{error::Cannot, rootfs::unescaped};
use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
use sampan_types::Result;
use std::{
    ffi::OsString,
    os::{
        fd::AsFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mounted {
    pub(super) id: u64,
    pub(super) parent: u64,
    /// Where it is, from the process's root.
    pub(super) point: PathBuf,
    /// The filesystem's type.
    pub(super) kind: String,
}

/// All of them, in the order in which they were made.
pub(super) fn of(process: &str) -> Result<Vec<Mounted>> {
    let path = format!("/proc/{process}/mountinfo");
    let text = std::fs::read(&path).cannot(|| format!("read {path}"))?;
    Ok(text.split(|byte| *byte == b'\n').filter_map(parse).collect())
}

fn parse(line: &[u8]) -> Option<Mounted> {
    let mut fields = line.split(|byte| *byte == b' ');
    let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
    let (id, parent) = (number(fields.next()?)?, number(fields.next()?)?);
    let point = PathBuf::from(OsString::from_vec(unescaped(fields.nth(2)?)));
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(Mounted { id, parent, point, kind: String::from_utf8_lossy(kind).into_owned() })
}

/// The mount that an open file is on, where it is that one's root.
pub(super) fn mount_of(file: impl AsFd) -> Result<Option<u64>> {
    let stat = rustix::fs::statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
        .cannot(|| "find the mount of a file".into())?;
    let root = stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    Ok(root.then_some(stat.stx_mnt_id))
}

/// What is mounted below a mount, at whatever depth.
pub(super) fn below<'a>(all: &'a [Mounted], top: &'a Mounted) -> impl Iterator<Item = &'a Mounted> {
    all.iter().filter(move |mounted| {
        let mut at = *mounted;
        // No mount is its own ancestor, and each step leads to another one.
        for _ in 0..all.len() {
            match all.iter().find(|other| other.id == at.parent && other.id != at.id) {
                Some(parent) if parent.id == top.id => return true,
                Some(parent) => at = parent,
                None => return false,
            }
        }
        false
    })
}

/// A path below another one's place, at the same place below a third: `/mnt/a/b` below `/mnt/a`, moved to `/x`, is `/x/b`.
pub(super) fn moved(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let rest = path.strip_prefix(from).ok()?;
    Some(if rest.as_os_str().as_bytes().is_empty() { to.to_owned() } else { to.join(rest) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let line = b"36 35 98:0 /mnt1 /mnt\\040two rw,noatime master:1 - ext3 /dev/root rw";
        let mounted = parse(line).unwrap();
        assert_eq!((mounted.id, mounted.parent), (36, 35));
        assert_eq!((mounted.point.as_path(), mounted.kind.as_str()), (Path::new("/mnt two"), "ext3"));
        assert_eq!(parse(b"36 35"), None);
    }

    #[test]
    fn descendants_are_found_and_paths_moved() {
        let mount =
            |id, parent, point: &str| Mounted { id, parent, point: point.into(), kind: String::new() };
        let all = [
            mount(1, 1, "/"),
            mount(2, 1, "/a"),
            mount(3, 2, "/a/b"),
            mount(4, 3, "/a/b/c"),
            mount(5, 1, "/d"),
        ];
        let ids: Vec<_> = below(&all, &all[1]).map(|mounted| mounted.id).collect();
        assert_eq!(ids, [3, 4]);
        assert_eq!(moved(Path::new("/a/b"), Path::new("/a"), Path::new("/x")), Some("/x/b".into()));
        assert_eq!(moved(Path::new("/a"), Path::new("/a"), Path::new("/x")), Some("/x".into()));
        assert_eq!(moved(Path::new("/b"), Path::new("/a"), Path::new("/x")), None);
    }

    #[test]
    fn the_mount_of_a_root_is_known() {
        let root = std::fs::File::open("/proc").unwrap();
        let id = mount_of(&root).unwrap().unwrap();
        let own = of("self").unwrap();
        assert!(own.iter().any(|mounted| mounted.id == id && mounted.point == Path::new("/proc")));
        assert_eq!(mount_of(std::fs::File::open("/proc/self").unwrap()).unwrap(), None);
    }
}
