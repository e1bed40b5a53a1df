//! Maps of user and group ids (user_namespaces(7)).

mod unprivileged;

use crate::{
    error::{Cannot, invalid},
    procfs,
};
use rustix::{
    fs::{Mode, OFlags},
    process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid},
    thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space},
};
use sampan_sys::clone::Child;
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{IdMapping, Linux},
};
use serde::{Deserialize, Serialize};
use std::{
    fmt::Write,
    os::fd::{AsFd, OwnedFd},
};

/// A container's maps of users and groups.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IdMaps {
    pub(crate) uids: Vec<IdMapping>,
    pub(crate) gids: Vec<IdMapping>,
}

impl IdMaps {
    /// The maps of a new user namespace.
    pub(crate) fn of_new(linux: &Linux) -> Result<Self> {
        if linux.uid_mappings.is_empty() || linux.gid_mappings.is_empty() {
            return Err(invalid("invalid user namespace", "it has no uidMappings or gidMappings"));
        }
        Ok(Self { uids: linux.uid_mappings.clone(), gids: linux.gid_mappings.clone() })
    }

    /// The maps of a joined one: the specification's where it gives them, else read through a process in it.
    pub(crate) fn of_joined(linux: &Linux, namespace: &OwnedFd) -> Result<Self> {
        if !linux.uid_mappings.is_empty() {
            return Self::of_new(linux);
        }
        let (reader, writer) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).cannot(|| "make a pipe".into())?;
        let child = sampan_sys::clone::clone(UnshareFlags::empty(), None, || {
            let joined = move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::User));
            let ready = joined.and_then(|()| rustix::io::write(&writer, b"."));
            rustix::event::pause();
            i32::from(ready.is_err())
        })
        .cannot(|| "start a reader of id maps".into())?;
        drop(writer);
        let ready = rustix::io::read(&reader, &mut [0]).cannot(|| "wait for a reader of id maps".into());
        let maps = ready.and_then(|_| {
            Ok(Self {
                uids: parse(&read_map(child.pid, "uid_map")?),
                gids: parse(&read_map(child.pid, "gid_map")?),
            })
        });
        end(&child)?;
        maps
    }

    /// The id outside of a user inside.
    pub(crate) fn host_uid(&self, uid: u32) -> Option<u32> {
        outside(&self.uids, uid)
    }

    /// The id outside of a group inside.
    pub(crate) fn host_gid(&self, gid: u32) -> Option<u32> {
        outside(&self.gids, gid)
    }

    /// Gives a process in a new user namespace its maps, each in one write as the kernel wants it.
    pub(crate) fn write(&self, pid: i32) -> Result<()> {
        if !rustix::process::geteuid().is_root() {
            return unprivileged::write(self, pid);
        }
        write_file(&format!("/proc/{pid}/uid_map"), &lines(&self.uids))?;
        write_file(&format!("/proc/{pid}/gid_map"), &lines(&self.gids))
    }

    /// These maps of groups, and users as they are.
    pub(crate) fn groups_alone(&self) -> Self {
        let all = IdMapping { container_id: 0, host_id: 0, size: u32::MAX };
        Self { uids: vec![all], gids: self.gids.clone() }
    }

    /// A user namespace that has these maps and no process, for the mounts that map ids on their own.
    pub(crate) fn namespace(&self) -> Result<OwnedFd> {
        let child = sampan_sys::clone::clone(UnshareFlags::NEWUSER, None, || {
            rustix::event::pause();
            0
        })
        .cannot(|| "make a user namespace".into())?;
        let namespace = self.write(child.pid).and_then(|()| open(child.pid));
        end(&child)?;
        namespace
    }
}

fn end(child: &Child) -> Result<()> {
    pidfd_send_signal(&child.pidfd, Signal::KILL)
        .and_then(|()| waitid(WaitId::PidFd(child.pidfd.as_fd()), WaitIdOptions::EXITED))
        .map(drop)
        .cannot(|| "end the keeper of a user namespace".into())
}

fn read_map(pid: i32, name: &str) -> Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{name}"))
        .cannot(|| format!("read the {name} of the joined namespace"))
}

fn parse(text: &str) -> Vec<IdMapping> {
    let line = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse);
        let (container_id, host_id, size) =
            (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(IdMapping { container_id, host_id, size })
    };
    text.lines().filter_map(line).collect()
}

/// The user namespace of a process.
pub(crate) fn open(pid: i32) -> Result<OwnedFd> {
    open_namespace(pid, "user")
}

/// A namespace of a process, by its name in `/proc/<pid>/ns`.
pub(crate) fn open_namespace(pid: i32, name: &str) -> Result<OwnedFd> {
    rustix::fs::open(format!("/proc/{pid}/ns/{name}"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .cannot(|| format!("open the {name} namespace of process {pid}"))
}

/// Writes to a file of the runtime's own `/proc`, in one go; refuses one that is none of the kernel's.
pub(crate) fn write_file(path: &str, text: &str) -> Result<()> {
    let what = || format!("write {:?} to {path}", text.trim_end());
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).cannot(what)?;
    if !procfs::holds(&file).cannot(what)? {
        return Err(Error::new(ErrorKind::PermissionDenied, format!("cannot {}", what()))
            .because("it is no file of a proc filesystem"));
    }
    rustix::io::write(file, text.as_bytes()).map(drop).cannot(what)
}

fn outside(map: &[IdMapping], id: u32) -> Option<u32> {
    map.iter()
        .find(|line| id >= line.container_id && id - line.container_id < line.size)
        .and_then(|line| line.host_id.checked_add(id - line.container_id))
}

fn lines(map: &[IdMapping]) -> String {
    map.iter().fold(String::new(), |mut text, line| {
        let _ = writeln!(text, "{} {} {}", line.container_id, line.host_id, line.size);
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_mapped_by_the_line_they_fall_into() {
        let map = [(0, 1000, 1), (1, 100_000, 10), (20, u32::MAX - 1, 5)]
            .map(|(container_id, host_id, size)| IdMapping { container_id, host_id, size });
        assert_eq!(outside(&map, 0), Some(1000));
        assert_eq!(outside(&map, 10), Some(100_009));
        assert_eq!(outside(&map, 11), None);
        assert_eq!(outside(&map, 24), None, "beyond the last id there is");
        assert_eq!(lines(&map[..2]), "0 1000 1\n1 100000 10\n");
        assert_eq!(parse("         0       1000          1\n 1 100000 10\n"), map[..2]);
    }

    #[test]
    fn only_the_kernel_s_files_are_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let error = write_file(path, "0 0 1\n").unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write \"0 0 1\" to {path}"));
        assert_eq!(error.causes(), ["it is no file of a proc filesystem"]);
        assert_eq!(std::fs::read(file.path()).unwrap(), b"");
    }

    #[test]
    fn a_new_namespace_needs_maps() {
        let error = IdMaps::of_new(&Linux::default()).unwrap_err();
        assert_eq!(error.causes(), ["it has no uidMappings or gidMappings"]);
    }
}
