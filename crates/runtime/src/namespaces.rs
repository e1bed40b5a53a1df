//! Which namespaces a container gets: new ones, and those it joins.

use crate::error::{Cannot, invalid};
use rustix::{
    fs::{Mode, OFlags},
    thread::{LinkNameSpaceType, ThreadNameSpaceType, UnshareFlags, move_into_link_name_space},
};
use sampan_types::{
    Result,
    spec::{Linux, NamespaceKind},
};
use std::os::fd::{AsFd, OwnedFd};

/// The namespaces of a specification, those to be joined held open.
#[derive(Debug)]
pub(crate) struct Namespaces {
    kinds: Vec<NamespaceKind>,
    /// To be made.
    pub(crate) new: UnshareFlags,
    /// To be joined.
    pub(crate) joined: Vec<(NamespaceKind, OwnedFd)>,
}

impl Namespaces {
    /// Those of a container that is there already.
    pub(crate) fn of(linux: &Linux) -> Self {
        let kinds = linux.namespaces.iter().map(|namespace| namespace.kind).collect();
        Self { kinds, new: UnshareFlags::empty(), joined: Vec::new() }
    }

    /// Opens what is to be joined; a path of another kind than it says is refused.
    pub(crate) fn open(linux: &Linux) -> Result<Self> {
        let mut namespaces = Self { kinds: Vec::new(), new: UnshareFlags::empty(), joined: Vec::new() };
        for namespace in &linux.namespaces {
            let kind = namespace.kind;
            if namespaces.has(kind) {
                return Err(invalid("invalid namespaces", format!("{kind:?} is named twice").to_lowercase()));
            }
            namespaces.kinds.push(kind);
            match &namespace.path {
                None => namespaces.new |= UnshareFlags::from_bits_retain(bits(kind)),
                Some(path) => {
                    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                        .cannot(|| format!("open namespace {}", path.display()))?;
                    namespaces.joined.push((kind, fd));
                }
            }
        }
        Ok(namespaces)
    }

    /// Whether the container has a namespace of this kind that the runtime's process is not in by itself.
    pub(crate) fn has(&self, kind: NamespaceKind) -> bool {
        self.kinds.contains(&kind)
    }

    /// Whether a new one of this kind is made.
    pub(crate) fn makes(&self, kind: NamespaceKind) -> bool {
        self.new.contains(UnshareFlags::from_bits_retain(bits(kind)))
    }

    /// A joined user namespace.
    pub(crate) fn joined_user(&self) -> Option<&OwnedFd> {
        self.joined.iter().find(|(kind, _)| *kind == NamespaceKind::User).map(|(_, fd)| fd)
    }

    /// What clone3 makes. The control group namespace is not among it: its root is the group its maker is in, and
    /// the child enters its group only afterwards.
    pub(crate) fn cloned(&self) -> UnshareFlags {
        self.new.difference(UnshareFlags::NEWCGROUP)
    }

    /// All kinds but process ids, for one setns(2) through init's pidfd.
    pub(crate) fn entered(&self) -> ThreadNameSpaceType {
        self.kinds
            .iter()
            .filter(|kind| **kind != NamespaceKind::Pid)
            .fold(ThreadNameSpaceType::empty(), |all, kind| {
                all | ThreadNameSpaceType::from_bits_retain(bits(*kind))
            })
    }

    /// Moves the calling process into the namespaces to be joined. Those that the caller's own rights reach come first;
    /// what is left belongs to the user namespace that is joined, and is entered with the rights that it gives.
    pub(crate) fn join(&self) -> Result<()> {
        let mut left = Vec::new();
        for (kind, fd) in self.joined.iter().filter(|(kind, _)| *kind != NamespaceKind::User) {
            if enter(*kind, fd).is_err() {
                left.push((*kind, fd));
            }
        }
        if let Some(user) = self.joined_user() {
            enter(NamespaceKind::User, user)?;
        }
        left.into_iter().try_for_each(|(kind, fd)| enter(kind, fd))
    }
}

fn enter(kind: NamespaceKind, fd: &OwnedFd) -> Result<()> {
    let link = match kind {
        NamespaceKind::Pid => LinkNameSpaceType::ProcessID,
        NamespaceKind::Network => LinkNameSpaceType::Network,
        NamespaceKind::Ipc => LinkNameSpaceType::InterProcessCommunication,
        NamespaceKind::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
        NamespaceKind::Mount => LinkNameSpaceType::Mount,
        NamespaceKind::User => LinkNameSpaceType::User,
        NamespaceKind::Cgroup => LinkNameSpaceType::ControlGroup,
        NamespaceKind::Time => LinkNameSpaceType::Time,
    };
    move_into_link_name_space(fd.as_fd(), Some(link))
        .cannot(|| format!("join the {} namespace", format!("{kind:?}").to_lowercase()))
}

fn bits(kind: NamespaceKind) -> u32 {
    match kind {
        NamespaceKind::Pid => UnshareFlags::NEWPID,
        NamespaceKind::Network => UnshareFlags::NEWNET,
        NamespaceKind::Ipc => UnshareFlags::NEWIPC,
        NamespaceKind::Uts => UnshareFlags::NEWUTS,
        NamespaceKind::Mount => UnshareFlags::NEWNS,
        NamespaceKind::User => UnshareFlags::NEWUSER,
        NamespaceKind::Cgroup => UnshareFlags::NEWCGROUP,
        NamespaceKind::Time => UnshareFlags::NEWTIME,
    }
    .bits()
}
