//! Standard input, output and error.

use crate::{Stdio, error::Cannot, idmap::IdMaps};
use rustix::fs::{FileType, Mode, OFlags, Stat, Uid, makedev};
use sampan_types::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Gives the streams to the user, so that a program which is not root can open `/dev/stdout` again. The runtime does it,
/// since a user namespace has no right over files that come from outside; there, only pipes are given away.
pub(crate) fn give(stdio: &Stdio, uid: u32, maps: Option<&IdMaps>) -> Result<()> {
    let host = match maps {
        Some(maps) => maps.host_uid(uid),
        None => Some(uid),
    };
    let Some(host) = host else { return Ok(()) };
    match stdio {
        Stdio::Console { .. } => Ok(()),
        Stdio::Fds(fds) => fds.iter().try_for_each(|fd| give_one(fd.as_fd(), host, maps.is_some())),
        Stdio::Inherit => [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()]
            .into_iter()
            .try_for_each(|fd| give_one(fd, host, maps.is_some())),
    }
}

fn give_one(fd: BorrowedFd<'_>, uid: u32, only_pipes: bool) -> Result<()> {
    // A closed stream has no owner.
    let Ok(stat) = rustix::fs::fstat(fd) else { return Ok(()) };
    let kind = FileType::from_raw_mode(stat.st_mode);
    if stat.st_uid == uid || is_null(&stat) || (only_pipes && kind != FileType::Fifo) {
        return Ok(());
    }
    match rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), None) {
        // Streams that have no owner to change, or that belong to somebody else, work as they are.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::PERM | rustix::io::Errno::ROFS) => Ok(()),
        Err(errno) => Err(errno).cannot(|| "give the standard streams to the user".into()),
    }
}

/// In the child, at its root: has those streams that are the host's null device be the container's own. Nothing of the host is held
/// then, and a checkpoint finds the file. Without one of its own the container keeps the host's.
pub(crate) fn take_own_null() -> Result<()> {
    let host: [bool; 3] = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()]
        .map(|fd| rustix::fs::fstat(fd).is_ok_and(|stat| is_null(&stat)));
    if !host.contains(&true) {
        return Ok(());
    }
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let Ok(own) = rustix::fs::open("/dev/null", flags, Mode::empty()) else { return Ok(()) };
    if !rustix::fs::fstat(&own).is_ok_and(|stat| is_null(&stat)) {
        return Ok(());
    }
    let placed = || {
        rustix::fs::fcntl_setfl(&own, OFlags::RDWR)?;
        if host[0] {
            rustix::stdio::dup2_stdin(&own)?;
        }
        if host[1] {
            rustix::stdio::dup2_stdout(&own)?;
        }
        if host[2] {
            rustix::stdio::dup2_stderr(&own)?;
        }
        Ok::<(), rustix::io::Errno>(())
    };
    placed().cannot(|| "take the container's null device".into())
}

fn is_null(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3)
}

/// In the child: puts three descriptors in their places.
pub(crate) fn place(fds: &[OwnedFd; 3]) -> Result<()> {
    let put = |fds: [BorrowedFd<'_>; 3]| {
        rustix::stdio::dup2_stdin(fds[0])
            .and_then(|()| rustix::stdio::dup2_stdout(fds[1]))
            .and_then(|()| rustix::stdio::dup2_stderr(fds[2]))
    };
    let given = [fds[0].as_fd(), fds[1].as_fd(), fds[2].as_fd()];
    let placed = if given.iter().all(|fd| fd.as_raw_fd() > 2) {
        put(given)
    } else {
        // They stand in each other's places.
        let copy = |fd| rustix::io::fcntl_dupfd_cloexec(fd, 3);
        copy(given[0]).and_then(|input| {
            let (output, error) = (copy(given[1])?, copy(given[2])?);
            put([input.as_fd(), output.as_fd(), error.as_fd()])
        })
    };
    placed.cannot(|| "set the standard streams".into())
}
