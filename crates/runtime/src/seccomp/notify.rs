//! Another process answers system calls (`SCMP_ACT_NOTIFY`; seccomp_unotify(2)): the descriptor to do it on is taken out of
//! the process that has loaded its filter, and sent to the agent that the profile names.
//!
//! The process that is under the filter only writes one packet and reads one, with calls that any program needs: all others
//! may be the agent's to answer, or forbidden.

use crate::error::invalid;
use rustix::{
    io::IoSlice,
    net::{
        AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
        SocketType, connect, sendmsg, socket_with,
    },
    process::{PidfdGetfdFlags, pidfd_getfd},
};
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{ProcessState, Seccomp, State, VERSION},
};
use std::{
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

/// The specification's name for the descriptor.
const DESCRIPTOR: &str = "seccompFd";

/// Refuses a profile whose agent is not there, before anything is made.
pub(crate) fn check(profile: &Seccomp) -> Result<()> {
    if !super::uses_notify(profile) {
        return Ok(());
    }
    match rustix::fs::stat(path(profile)?) {
        Ok(_) => Ok(()),
        Err(errno) => Err(unreachable(profile, errno)),
    }
}

fn path(profile: &Seccomp) -> Result<&Path> {
    profile
        .listener_path
        .as_deref()
        .ok_or_else(|| invalid("invalid seccomp profile", "SCMP_ACT_NOTIFY needs a listenerPath"))
}

fn unreachable(profile: &Seccomp, errno: rustix::io::Errno) -> Error {
    let agent = profile.listener_path.as_deref().unwrap_or(Path::new(""));
    Error::new(
        ErrorKind::Unavailable,
        "failed to connect with seccomp agent specified in the seccomp profile",
    )
    .because(Error::io(format!("cannot connect to {}", agent.display()), errno.into()))
}

/// Sends the agent the descriptor that process `pid`, held by `pidfd`, has as its number `fd`.
pub(crate) fn forward(
    profile: &Seccomp,
    pidfd: BorrowedFd<'_>,
    pid: i32,
    fd: i32,
    state: State,
) -> Result<()> {
    let listener = pidfd_getfd(pidfd, fd, PidfdGetfdFlags::empty()).map_err(|errno| {
        Error::io(format!("cannot take the seccomp descriptor of process {pid}"), errno.into())
    })?;
    let told = ProcessState {
        oci_version: VERSION.to_owned(),
        fds: vec![DESCRIPTOR.to_owned()],
        pid,
        metadata: profile.listener_metadata.clone(),
        state,
    };
    let text = serde_json::to_vec(&told).map_err(|error| {
        Error::new(ErrorKind::Internal, "cannot write the state for the seccomp agent").because(error)
    })?;
    let agent = dial(path(profile)?).map_err(|errno| unreachable(profile, errno))?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = [listener.as_fd()];
    ancillary.push(SendAncillaryMessage::ScmRights(&fds));
    rustix::io::retry_on_intr(|| sendmsg(&agent, &[IoSlice::new(&text)], &mut ancillary, SendFlags::NOSIGNAL))
        .map(drop)
        .map_err(|errno| Error::io("cannot send the seccomp descriptor to its agent", errno.into()))
}

fn dial(path: &Path) -> rustix::io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}
