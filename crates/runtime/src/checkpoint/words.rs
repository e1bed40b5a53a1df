//! The messages that CRIU and its callers exchange (criu's `images/rpc.proto`), as far as they are used here.

use super::wire::{self, Message, Value};

/// What is asked for, and what is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dump = 1,
    Restore = 2,
    PreDump = 4,
    Notify = 6,
    FeatureCheck = 9,
    Version = 10,
}

impl Kind {
    /// CRIU's word for it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Dump => "DUMP",
            Self::Restore => "RESTORE",
            Self::PreDump => "PRE_DUMP",
            Self::Notify => "NOTIFY",
            Self::FeatureCheck => "FEATURE_CHECK",
            Self::Version => "VERSION",
        }
    }
}

/// The numbers of the options (`criu_opts`).
pub(super) mod option {
    pub(crate) const IMAGES_DIR_FD: u32 = 1;
    pub(crate) const PID: u32 = 2;
    pub(crate) const LEAVE_RUNNING: u32 = 3;
    pub(crate) const EXT_UNIX_SK: u32 = 4;
    pub(crate) const TCP_ESTABLISHED: u32 = 5;
    pub(crate) const EVASIVE_DEVICES: u32 = 6;
    pub(crate) const SHELL_JOB: u32 = 7;
    pub(crate) const FILE_LOCKS: u32 = 8;
    pub(crate) const LOG_LEVEL: u32 = 9;
    pub(crate) const LOG_FILE: u32 = 10;
    pub(crate) const PAGE_SERVER: u32 = 11;
    pub(crate) const NOTIFY_SCRIPTS: u32 = 12;
    pub(crate) const ROOT: u32 = 13;
    pub(crate) const PARENT_IMG: u32 = 14;
    pub(crate) const TRACK_MEM: u32 = 15;
    pub(crate) const AUTO_DEDUP: u32 = 16;
    pub(crate) const WORK_DIR_FD: u32 = 17;
    pub(crate) const LINK_REMAP: u32 = 18;
    pub(crate) const EXT_MNT: u32 = 23;
    pub(crate) const MANAGE_CGROUPS: u32 = 24;
    pub(crate) const CG_ROOT: u32 = 25;
    pub(crate) const RST_SIBLING: u32 = 26;
    pub(crate) const INHERIT_FD: u32 = 27;
    pub(crate) const MANAGE_CGROUPS_MODE: u32 = 34;
    pub(crate) const EXTERNAL: u32 = 37;
    pub(crate) const EMPTY_NS: u32 = 38;
    pub(crate) const FREEZE_CGROUP: u32 = 44;
    pub(crate) const TCP_SKIP_IN_FLIGHT: u32 = 46;
    pub(crate) const LAZY_PAGES: u32 = 48;
    pub(crate) const STATUS_FD: u32 = 49;
    pub(crate) const ORPHAN_PTS_MASTER: u32 = 50;
    pub(crate) const CONFIG_FILE: u32 = 51;
    pub(crate) const LSM_PROFILE: u32 = 53;
    pub(crate) const LSM_MOUNT_CONTEXT: u32 = 63;
    pub(crate) const NETWORK_LOCK: u32 = 64;
}

/// `criu_network_lock_method`: what holds packets back while a network namespace is dumped.
pub(super) const LOCK_WITH_NFTABLES: i64 = 2;

/// A request without options.
pub(super) fn request(kind: Kind) -> Message {
    let mut request = Message::default();
    request.number(1, kind as i64);
    request
}

/// A request with options.
pub(super) fn request_with(kind: Kind, options: &Message) -> Message {
    let mut request = request(kind);
    request.message(2, options);
    request
}

/// A question that is followed by another request.
pub(super) fn question(kind: Kind) -> Message {
    let mut request = request(kind);
    request.flag(4, true);
    request
}

/// Asks which of the optional features there are.
pub(super) fn feature_question() -> Message {
    let mut features = Message::default();
    features.flag(1, true).flag(2, true);
    let mut request = question(Kind::FeatureCheck);
    request.message(5, &features);
    request
}

/// Says whether a notification was dealt with.
pub(super) fn acknowledgement(success: bool) -> Message {
    let mut answer = request(Kind::Notify);
    answer.number(3, i64::from(success));
    answer
}

/// A pair of texts.
pub(super) fn pair(first: impl AsRef<[u8]>, second: impl AsRef<[u8]>) -> Message {
    let mut pair = Message::default();
    pair.text(1, first).text(2, second);
    pair
}

/// What CRIU says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) kind: i64,
    pub(super) success: bool,
    /// The point that was reached, in a notification, and the process it is about.
    pub(super) script: String,
    pub(super) script_pid: i32,
    /// The process that was restored.
    pub(super) restored: i32,
    pub(super) errno: i32,
    pub(super) message: String,
    pub(super) features: Features,
    pub(super) version: Version,
}

/// What this CRIU can do with this kernel.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) memory_tracking: bool,
    pub(super) lazy_pages: bool,
}

/// Major, minor and third number.
pub(super) type Version = (i64, i64, i64);

impl Answer {
    /// Reads one; `None` where it is damaged.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut answer = Self::default();
        for (field, value) in wire::fields(bytes)? {
            match field {
                1 => answer.kind = value.number(),
                2 => answer.success = value.number() != 0,
                4 => answer.restored = number(value, 1)? as i32,
                5 => {
                    answer.script = find(value, 1)?.map(Value::text).unwrap_or_default();
                    answer.script_pid = number(value, 2)? as i32;
                }
                7 => answer.errno = value.number() as i32,
                8 => {
                    answer.features = Features {
                        memory_tracking: number(value, 1)? != 0,
                        lazy_pages: number(value, 2)? != 0,
                    };
                }
                9 => answer.message = value.text().trim_end().to_owned(),
                10 => answer.version = (number(value, 1)?, number(value, 2)?, number(value, 4)?),
                _ => {}
            }
        }
        Some(answer)
    }
}

fn find(message: Value<'_>, field: u64) -> Option<Option<Value<'_>>> {
    let fields = wire::fields(message.bytes())?;
    Some(fields.into_iter().find(|(own, _)| *own == field).map(|(_, value)| value))
}

fn number(message: Value<'_>, field: u64) -> Option<i64> {
    Some(find(message, field)?.map_or(0, Value::number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let mut notify = Message::default();
        notify.text(1, "post-restore").number(2, 812);
        let mut version = Message::default();
        version.number(1, 4).number(2, 1).number(4, 1);
        let mut answer = Message::default();
        answer.number(1, 6).flag(2, true).message(5, &notify).number(7, 56).message(10, &version);
        let read = Answer::read(answer.bytes()).unwrap();
        assert_eq!((read.kind, read.success, read.errno), (6, true, 56));
        assert_eq!((read.script.as_str(), read.script_pid), ("post-restore", 812));
        assert_eq!(read.version, (4, 1, 1));
        assert_eq!(Answer::read(&[0x2a, 9]), None);
    }

    #[test]
    fn a_refused_notification_says_so() {
        assert_eq!(acknowledgement(false).bytes(), [0x08, 6, 0x18, 0]);
        assert_eq!(acknowledgement(true).bytes(), [0x08, 6, 0x18, 1]);
    }
}
