//! System call filters (config-linux.md, "Seccomp").

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// What happens to a call that no rule names.
    pub default_action: Action,
    /// The error number of a default action that returns one; `EPERM` where absent.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// `SCMP_ARCH_…` beside the native one.
    #[serde(default)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// `SECCOMP_FILTER_FLAG_…`; runtimes choose where absent, which an empty list is not.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// Socket to which a notify descriptor is sent.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_path: Option<PathBuf>,
    /// Sent along with it.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener_metadata: Option<String>,
    /// Rules; the first that fits decides.
    #[serde(default)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub syscalls: Vec<SyscallRule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyscallRule {
    /// Calls by name; unknown names are passed over.
    #[serde(default)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What happens.
    pub action: Action,
    /// The error number of an action that returns one; `EPERM` where absent.
    #[serde(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions, all of which must hold.
    #[serde(default)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<SyscallArg>,
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyscallArg {
    /// Which argument, 0 to 5.
    pub index: u32,
    /// Compared with; the mask for [`Operator::MaskedEqual`].
    #[serde(default)]
    pub value: u64,
    /// The value after masking.
    #[serde(default)]
    pub value_two: u64,
    /// How.
    pub op: Operator,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Kills the thread (the older name).
    #[serde(rename = "SCMP_ACT_KILL")]
    Kill,
    /// Kills the process.
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    /// Kills the thread.
    #[serde(rename = "SCMP_ACT_KILL_THREAD")]
    KillThread,
    /// Sends `SIGSYS`.
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    /// Returns an error number.
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    /// Tells the tracer.
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    /// Goes through.
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
    /// Goes through and is logged.
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    /// Asks the listener.
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// `!=`
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    /// `<`
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    /// `<=`
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    /// `==`
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    /// `>=`
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    /// `>`
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    /// `argument & value == valueTwo`
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}
