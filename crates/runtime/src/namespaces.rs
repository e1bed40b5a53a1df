//! Which namespaces a container gets: new ones, and those it joins.

use crate::{
    error::{Cannot, invalid},
    procfs::Proc,
};
use rustix::{
    fs::{Mode, OFlags},
    thread::{LinkNameSpaceType, ThreadNameSpaceType, UnshareFlags, move_into_link_name_space},
};
use sampan_types::{
    Result,
    spec::{Linux, NamespaceKind},
};
use std::{
    fmt::Write,
    os::fd::{AsFd, OwnedFd},
};

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
                return Err(invalid("invalid namespaces", format!("the {kind} namespace is named twice")));
            }
            namespaces.kinds.push(kind);
            match namespace.path.as_ref().filter(|path| !path.as_os_str().is_empty()) {
                None => namespaces.new |= UnshareFlags::from_bits_retain(bits(kind)),
                Some(path) => {
                    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                        .cannot(|| format!("open namespace {}", path.display()))?;
                    if sampan_sys::namespace::kind(&fd).ok() != Some(bits(kind)) {
                        let what = format!("cannot join the {kind} namespace {}", path.display());
                        return Err(invalid(what, "the path is none of this kind"));
                    }
                    namespaces.joined.push((kind, fd));
                }
            }
        }
        namespaces.check_offsets(linux)?;
        Ok(namespaces)
    }

    /// Offsets are those of a new time namespace: the host's clocks have none, and a joined one's are set for good.
    fn check_offsets(&self, linux: &Linux) -> Result<()> {
        if !linux.time_offsets.is_empty() && !self.makes(NamespaceKind::Time) {
            return Err(invalid("invalid timeOffsets", "the container has no time namespace of its own"));
        }
        match linux.time_offsets.iter().find(|(clock, _)| !matches!(clock.as_str(), "monotonic" | "boottime"))
        {
            Some((clock, _)) => {
                Err(invalid(format!("invalid timeOffsets of {clock:?}"), "it must be monotonic or boottime"))
            }
            None => Ok(()),
        }
    }

    /// Whether its network is the runtime's own, for want of a namespace or by a path to that one.
    pub(crate) fn shares_network(&self) -> Result<bool> {
        if !self.has(NamespaceKind::Network) {
            return Ok(true);
        }
        let Some((_, joined)) = self.joined.iter().find(|(kind, _)| *kind == NamespaceKind::Network) else {
            return Ok(false);
        };
        let own = rustix::fs::stat("/proc/self/ns/net").cannot(|| "inspect the network namespace".into())?;
        let joined = rustix::fs::fstat(joined).cannot(|| "inspect the network namespace".into())?;
        Ok((own.st_dev, own.st_ino) == (joined.st_dev, joined.st_ino))
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

    /// Whether processes of others will be able to see the calling process once it has joined.
    pub(crate) fn joins_strangers(&self) -> bool {
        self.joined.iter().any(|(kind, _)| matches!(kind, NamespaceKind::Pid | NamespaceKind::User))
    }

    /// What clone3 makes. Not the control group namespace: its root is the group its maker is in, and the child enters
    /// its group only afterwards. Nor the time namespace: its clocks are set for good once a process is in it.
    pub(crate) fn cloned(&self) -> UnshareFlags {
        self.new.difference(UnshareFlags::NEWCGROUP | UnshareFlags::NEWTIME)
    }

    /// Moves the calling process into a new time namespace with these offsets.
    pub(crate) fn enter_new_time(&self, linux: &Linux, proc: &Proc) -> Result<()> {
        sampan_sys::clone::unshare_time().cannot(|| "make a time namespace".into())?;
        let mut lines = String::new();
        for (clock, offset) in &linux.time_offsets {
            let _ = writeln!(lines, "{clock} {} {}", offset.secs, offset.nanosecs);
        }
        if !lines.is_empty() {
            proc.write("self/timens_offsets", &lines)?;
        }
        // The link itself is what leads to the namespace.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let time = rustix::fs::open("/proc/self/ns/time_for_children", flags, Mode::empty())
            .cannot(|| "open the new time namespace".into())?;
        enter(NamespaceKind::Time, &time)
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
    move_into_link_name_space(fd.as_fd(), Some(link)).cannot(|| format!("join the {kind} namespace"))
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
