//! Properties of mounts (mount_setattr(2), Linux 5.12).

use crate::check;
use std::{
    io,
    ops::BitOr,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

/// linux/statfs.h; `libc` has none.
const ST_NOSYMFOLLOW: u64 = 0x2000;

/// A set of `MOUNT_ATTR_…`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Attr(u64);

impl Attr {
    /// No writing.
    pub const RDONLY: Self = Self(libc::MOUNT_ATTR_RDONLY);
    /// No set-user-id programs.
    pub const NOSUID: Self = Self(libc::MOUNT_ATTR_NOSUID);
    /// No devices.
    pub const NODEV: Self = Self(libc::MOUNT_ATTR_NODEV);
    /// No programs.
    pub const NOEXEC: Self = Self(libc::MOUNT_ATTR_NOEXEC);
    /// The bits of the access time's policy; cleared before one of them is set.
    pub const ATIME: Self = Self(libc::MOUNT_ATTR__ATIME);
    /// Access times are written rarely. No bit: the policy when the others are cleared.
    pub const RELATIME: Self = Self(libc::MOUNT_ATTR_RELATIME);
    /// Access times are not written.
    pub const NOATIME: Self = Self(libc::MOUNT_ATTR_NOATIME);
    /// Access times are always written.
    pub const STRICTATIME: Self = Self(libc::MOUNT_ATTR_STRICTATIME);
    /// No access times for directories.
    pub const NODIRATIME: Self = Self(libc::MOUNT_ATTR_NODIRATIME);
    /// Symbolic links are not followed (Linux 5.14).
    pub const NOSYMFOLLOW: Self = Self(libc::MOUNT_ATTR_NOSYMFOLLOW);

    /// The bits, as fsmount(2) takes them too.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The bits that a less privileged mount namespace cannot take off its mounts (mount_namespaces(7)), with their names in mount(8).
    pub const LOCKABLE: [(Self, &'static str); 6] = [
        (Self::RDONLY, "ro"),
        (Self::NOSUID, "nosuid"),
        (Self::NODEV, "nodev"),
        (Self::NOEXEC, "noexec"),
        (Self::NOATIME, "noatime"),
        (Self::NODIRATIME, "nodiratime"),
    ];

    /// Those of the mount that `file` is on (statvfs(3)).
    ///
    /// # Errors
    /// What fstatfs(2) gives.
    pub fn of(file: impl AsFd) -> io::Result<Self> {
        let flags = rustix::fs::fstatvfs(file)?.f_flag.bits();
        let own = [
            (libc::ST_RDONLY, Self::RDONLY),
            (libc::ST_NOSUID, Self::NOSUID),
            (libc::ST_NODEV, Self::NODEV),
            (libc::ST_NOEXEC, Self::NOEXEC),
            (libc::ST_NOATIME, Self::NOATIME),
            (libc::ST_NODIRATIME, Self::NODIRATIME),
            (ST_NOSYMFOLLOW, Self::NOSYMFOLLOW),
        ]
        .into_iter()
        .filter(|(flag, _)| flags & flag != 0)
        .fold(Self::default(), |all, (_, attr)| all | attr);
        let strict = flags & (libc::ST_NOATIME | libc::ST_RELATIME) == 0;
        Ok(if strict { own | Self::STRICTATIME } else { own })
    }

    /// Whether no bit is set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all bits of the other set are in this one.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Attr {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// How mounts below a mount travel to its peers (mount_namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Both ways.
    Shared,
    /// From the peers only.
    Slave,
    /// Not at all.
    Private,
    /// Not at all, and it cannot be bound.
    Unbindable,
}

/// What changes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Change<'a> {
    /// Bits to set.
    pub set: Attr,
    /// Bits to clear, before the others are set.
    pub clear: Attr,
    /// New propagation.
    pub propagation: Option<Propagation>,
    /// Ids on the filesystem appear as this user namespace maps them. Only for a mount that is not attached yet.
    pub idmap: Option<BorrowedFd<'a>>,
    /// Whether mounts below it change too, all or none.
    pub recursive: bool,
}

impl Change<'_> {
    /// Whether nothing would be different.
    pub fn is_nothing(&self) -> bool {
        self.set.is_empty() && self.clear.is_empty() && self.propagation.is_none() && self.idmap.is_none()
    }

    /// Changes the mount whose root `mount` refers to.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN` over the mount namespace, for a bit that is locked, or where ids are to be mapped, over the
    /// filesystem; `EINVAL` where the filesystem cannot map ids or `mount` is no mount's root; `ENOSYS` before Linux 5.12.
    pub fn apply(&self, mount: impl AsFd) -> io::Result<()> {
        let attr = libc::mount_attr {
            attr_set: self.set.0 | self.idmap.map_or(0, |_| libc::MOUNT_ATTR_IDMAP),
            attr_clr: self.clear.0,
            propagation: self.propagation.map_or(0, |propagation| match propagation {
                Propagation::Shared => libc::MS_SHARED,
                Propagation::Slave => libc::MS_SLAVE,
                Propagation::Private => libc::MS_PRIVATE,
                Propagation::Unbindable => libc::MS_UNBINDABLE,
            }),
            userns_fd: self.idmap.map_or(0, |userns| userns.as_raw_fd() as u64),
        };
        let flags = libc::AT_EMPTY_PATH | if self.recursive { libc::AT_RECURSIVE } else { 0 };
        // SAFETY: the path is an empty string, `attr` is valid and outlives the call, its size is told; the kernel only reads both.
        check(unsafe {
            libc::syscall(
                libc::SYS_mount_setattr,
                mount.as_fd().as_raw_fd(),
                c"".as_ptr(),
                flags,
                &raw const attr,
                size_of::<libc::mount_attr>(),
            )
        })?;
        Ok(())
    }
}
