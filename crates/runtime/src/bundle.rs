//! What a container is made from.

use crate::cgroup::CgroupDriver;
use sampan_types::{
    Mount,
    spec::{ConsoleSize, Spec},
};
use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

/// A container to be made.
#[derive(Debug, Clone, Copy)]
pub struct Bundle<'a> {
    /// Its identity, shown to hooks and in errors.
    pub id: &'a str,
    /// The specification.
    pub spec: &'a Spec,
    /// The bundle's directory, absolute; relative paths of the specification start there.
    pub path: &'a Path,
    /// Where the root filesystem comes from.
    pub rootfs: Rootfs<'a>,
}

/// Where a root filesystem comes from.
#[derive(Debug, Clone, Copy)]
pub enum Rootfs<'a> {
    /// The directory `root.path` of the specification, as it is.
    Spec,
    /// A snapshot's mount, made inside the container's namespaces; id-mapped where it has a new user namespace.
    Mount(&'a Mount),
}

/// A process's standard input, output and error.
#[derive(Debug)]
pub enum Stdio {
    /// The caller's own.
    Inherit,
    /// These three.
    Fds([OwnedFd; 3]),
    /// A terminal made from the container's own devpts. Its master is given back (`console`), `/dev/console` shows its slave.
    Console {
        /// Size at start.
        size: Option<ConsoleSize>,
    },
}

/// What the specification has no word for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Where a detached container is to wait: the path of a socket that is made, in a directory of the caller's own. After
    /// [`crate::Container::detach`] the container needs its creator no more, and whoever opens it may start it. Absent, it is started by
    /// its creator.
    pub gate: Option<PathBuf>,
    /// The old root is left by moving the new one over it and `chroot`, for roots that `pivot_root` refuses (a ramdisk).
    pub no_pivot: bool,
    /// Session keyrings are shared with the caller instead of made.
    pub no_new_keyring: bool,
    /// So many descriptors from 3 on stay open in the program.
    pub preserve_fds: u32,
    /// Who makes its control groups.
    pub cgroup: CgroupDriver,
    /// The caller may lack the right to make control groups: then the container has none of its own, unless its specification
    /// asks for a path or for limits. With systemd, it is the user's own that is asked.
    pub rootless: bool,
    /// The kernel kills init as soon as the calling process ends (`PR_SET_PDEATHSIG`).
    pub die_with_parent: bool,
    /// The container's root may make control groups of its own below the container's (system containers): the
    /// directory and its delegatable files are given to the mapped root, in every hierarchy.
    pub delegate_cgroup: bool,
}
