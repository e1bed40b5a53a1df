//! What callers say of a checkpoint and of a restore.

use std::path::PathBuf;

/// What both have.
#[derive(Debug, Clone, Default)]
pub struct Criu {
    /// CRIU's program: a path, or a name that is looked for in `PATH`; `criu` where absent.
    pub program: Option<PathBuf>,
    /// The directory of the images. A checkpoint makes it where it is missing.
    pub images: PathBuf,
    /// The directory of CRIU's log and of other files of its work, made where it is missing; that of the images where absent.
    pub work: Option<PathBuf>,
    /// TCP connections are kept.
    pub tcp_established: bool,
    /// Unix sockets may be connected to outside.
    pub ext_unix_sk: bool,
    /// The container may share session and terminal with its caller.
    pub shell_job: bool,
    /// File locks are kept.
    pub file_locks: bool,
    /// Pages are taken out of the parent's images where there are newer ones.
    pub auto_dedup: bool,
    /// Memory follows when it is touched (userfaultfd).
    pub lazy_pages: bool,
    /// What happens to control groups.
    pub cgroups: CgroupMode,
    /// Also a network namespace that is not the container's own is taken for an empty one.
    pub empty_network: bool,
}

/// What CRIU does with control groups and their properties (`criu --manage-cgroups`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CgroupMode {
    /// As CRIU is used to: as `Soft`, unless its configuration says otherwise.
    #[default]
    Usual,
    /// Properties of groups that it makes itself.
    Soft,
    /// All groups and their properties.
    Full,
    /// All groups are to be made, those that are there are an error.
    Strict,
    /// None; what is restored stays in the container's group.
    Ignore,
}

impl CgroupMode {
    /// `criu_cg_mode`.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Ignore => 0,
            Self::Soft => 3,
            Self::Full => 4,
            Self::Strict => 5,
            Self::Usual => 6,
        }
    }
}

/// A checkpoint.
#[derive(Debug, Clone, Default)]
pub struct CheckpointOptions {
    /// What a restore has too.
    pub criu: Criu,
    /// The images of an earlier pre-dump, relative to these.
    pub parent: Option<PathBuf>,
    /// The container goes on afterwards.
    pub leave_running: bool,
    /// Only memory is written, and the container goes on.
    pub pre_dump: bool,
    /// Connections that are being made are passed over.
    pub tcp_skip_in_flight: bool,
    /// Files that have no name any more may get one for the time of the checkpoint.
    pub link_remap: bool,
    /// A descriptor of the caller's that is written to once lazy pages can be asked for.
    pub status_fd: Option<i32>,
    /// Where memory is sent instead of to the images.
    pub page_server: Option<PageServer>,
}

/// Where pages are sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageServer {
    /// Address or name of the host.
    pub address: String,
    /// TCP port.
    pub port: u16,
}

/// A restore.
#[derive(Debug, Clone, Default)]
pub struct RestoreOptions {
    /// What a checkpoint has too.
    pub criu: Criu,
    /// An empty directory of the caller's own, for a mount that nobody else sees.
    pub scratch: PathBuf,
    /// Security module and profile, `apparmor:NAME`, in place of the one that was.
    pub lsm_profile: Option<String>,
    /// SELinux label of mounts, in place of the one that was.
    pub lsm_mount_context: Option<String>,
}
