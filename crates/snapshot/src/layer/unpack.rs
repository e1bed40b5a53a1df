//! Making one entry after the other.

use super::{
    archive::{Archive, Kind, Member, show},
    field::damaged,
    metadata,
    tree::{self, Tree},
    whiteout::{self, Mark},
};
use crate::LayerTarget;
use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, linkat, makedev, mkdirat, mknodat, openat, statat, symlinkat},
    io::Errno,
};
use sampan_types::{Error, ErrorKind, Result};
use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

/// Unpacks every member. Gives the bytes of files' content and the number of members.
pub(super) fn unpack<R: Read>(archive: &mut Archive<R>, target: &LayerTarget) -> Result<(u64, u64)> {
    let place = || format!("cannot unpack a layer into {}", target.upper.display());
    let mut tree = Tree::open(target).map_err(|error| Error::io(place(), error))?;
    let (mut size, mut entries) = (0, 0);
    while let Some(member) = archive.next().map_err(|error| explain("cannot read the layer".into(), error))? {
        size += archive.remaining();
        entries += 1;
        make(&mut tree, archive, &member)
            .map_err(|error| explain(format!("cannot unpack {}", show(&member.name)), error))?;
    }
    tree.finish().map_err(|error| Error::io(place(), error))?;
    Ok((size, entries))
}

/// Failures that the archive is to blame for are invalid input; the others are the host's.
fn explain(what: String, error: io::Error) -> Error {
    let archives =
        [Errno::NOTDIR, Errno::LOOP, Errno::NAMETOOLONG, Errno::NOENT, Errno::FBIG].map(Errno::raw_os_error);
    let blamed = matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput)
        || error.raw_os_error().is_some_and(|code| archives.contains(&code));
    if blamed { Error::new(ErrorKind::InvalidInput, what).because(error) } else { Error::io(what, error) }
}

fn make<R: Read>(tree: &mut Tree, archive: &mut Archive<R>, member: &Member) -> io::Result<()> {
    let path = tree::normal(&member.name)?;
    let (directory, name) = tree::split_last(&path);
    let mark = whiteout::mark(name)?;
    let parent = tree.directory(directory)?;
    let parent = parent.as_fd();
    match mark {
        Mark::None => {}
        Mark::Ignored => return Ok(()),
        Mark::Opaque => return if tree.lower.is_empty() { Ok(()) } else { whiteout::make_opaque(parent) },
        Mark::Deleted(name) => return whiteout::delete(tree, parent, name),
    }
    if name.is_empty() {
        return match member.kind {
            Kind::Directory => finish_directory(tree, parent, &path, member),
            _ => Err(damaged("it is not a directory, but stands for the root of the tree")),
        };
    }
    match member.kind {
        Kind::File => make_file(tree, archive, parent, name, member),
        Kind::Directory => make_directory(tree, parent, name, &path, member),
        Kind::HardLink => make_hard_link(tree, parent, name, member),
        Kind::SymbolicLink => {
            if member.link.is_empty() {
                return Err(damaged("it is a symbolic link to nothing"));
            }
            let link = OsStr::from_bytes(&member.link);
            create(tree, parent, name, || symlinkat(link, parent, name))?;
            metadata::set_at(parent, name, member, true)
        }
        Kind::CharacterDevice | Kind::BlockDevice | Kind::Fifo => make_special(tree, parent, name, member),
    }
}

/// Creates something under `name`; what stands there is removed first. Gives whether it was a whiteout.
fn create<T>(
    tree: &mut Tree,
    parent: BorrowedFd<'_>,
    name: &[u8],
    mut make: impl FnMut() -> rustix::io::Result<T>,
) -> io::Result<(T, bool)> {
    match make() {
        Err(Errno::EXIST) => {
            let was_whiteout = tree.clear(parent, name)?;
            Ok((make()?, was_whiteout))
        }
        made => Ok((made?, false)),
    }
}

fn make_file<R: Read>(
    tree: &mut Tree,
    archive: &mut Archive<R>,
    parent: BorrowedFd<'_>,
    name: &[u8],
    member: &Member,
) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (file, _) = create(tree, parent, name, || openat(parent, name, flags, Mode::RUSR | Mode::WUSR))?;
    let mut file = File::from(file);
    match &member.sparse {
        None => {
            let length = archive.remaining();
            write(archive, &mut file, length)?;
        }
        Some(map) => {
            file.set_len(map.size)?;
            for (offset, length) in &map.pieces {
                file.seek(SeekFrom::Start(*offset))?;
                write(archive, &mut file, *length)?;
            }
        }
    }
    metadata::set(file.as_fd(), member, true)
}

fn write<R: Read>(archive: &mut Archive<R>, file: &mut File, mut length: u64) -> io::Result<()> {
    while length > 0 {
        let chunk = archive.chunk()?;
        let take = usize::try_from(length).unwrap_or(usize::MAX).min(chunk.len());
        file.write_all(&chunk[..take])?;
        archive.consume(take);
        length -= take as u64;
    }
    Ok(())
}

fn make_directory(
    tree: &mut Tree,
    parent: BorrowedFd<'_>,
    name: &[u8],
    path: &[u8],
    member: &Member,
) -> io::Result<()> {
    let open = || -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(parent, name, flags, Mode::empty())
    };
    let make = || mkdirat(parent, name, Mode::RWXU);
    let made = match make() {
        // The same directory once more, or one that an entry before had needed.
        Err(Errno::EXIST) => match open() {
            Ok(directory) => return finish_directory(tree, directory.as_fd(), path, member),
            Err(Errno::NOTDIR | Errno::LOOP) => create(tree, parent, name, make)?.1,
            Err(error) => return Err(error.into()),
        },
        made => {
            made?;
            false
        }
    };
    let directory = open()?;
    if made {
        // It was deleted, and is new: what the layers below have in it stays hidden.
        whiteout::make_opaque(directory.as_fd())?;
    }
    finish_directory(tree, directory.as_fd(), path, member)
}

fn finish_directory(
    tree: &mut Tree,
    directory: BorrowedFd<'_>,
    path: &[u8],
    member: &Member,
) -> io::Result<()> {
    tree.set_time_later(path, member.mtime);
    metadata::set(directory, member, false)
}

fn make_hard_link(tree: &mut Tree, parent: BorrowedFd<'_>, name: &[u8], member: &Member) -> io::Result<()> {
    let missing = || damaged(format!("it is a hard link to {}, which is not there", show(&member.link)));
    let target = tree::normal(&member.link)?;
    let (directory, target_name) = tree::split_last(&target);
    if target_name.is_empty() {
        return Err(damaged("it is a hard link to the root of the tree"));
    }
    let found = match tree.existing(directory)? {
        Some(source) => match statat(&source, target_name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if whiteout::is_whiteout(&stat) => return Err(missing()),
            Ok(_) => Some(source),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        },
        None => None,
    };
    let source = match found {
        Some(source) => source,
        // A file of a layer below: it comes up first, as overlay does it.
        None => super::copy_up::copy_up(tree, &target)?.ok_or_else(missing)?,
    };
    create(tree, parent, name, || linkat(&source, target_name, parent, name, AtFlags::empty())).map_err(
        |error| match error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) {
            true => missing(),
            false => error,
        },
    )?;
    Ok(())
}

fn make_special(tree: &mut Tree, parent: BorrowedFd<'_>, name: &[u8], member: &Member) -> io::Result<()> {
    let (major, minor) = member.device;
    let (kind, device) = match member.kind {
        Kind::CharacterDevice if member.device == (0, 0) => {
            return Err(damaged("it is a character device 0/0, which overlayfs takes for a deleted file"));
        }
        Kind::CharacterDevice => (FileType::CharacterDevice, makedev(major, minor)),
        Kind::BlockDevice => (FileType::BlockDevice, makedev(major, minor)),
        _ => (FileType::Fifo, 0),
    };
    create(tree, parent, name, || mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, device))?;
    metadata::set_at(parent, name, member, false)
}
