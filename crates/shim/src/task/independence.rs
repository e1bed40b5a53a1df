//! What makes the shim independent of who started it, and reachable for others.

use crate::{bundle::Bundle, oom::OomProtection};
use rustix::{
    fd::{AsRawFd as _, OwnedFd},
    fs::{Mode, OFlags},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
    process::Signal,
};
use sampan_sys::startup;
use sampan_types::{Error, ErrorKind, Result};
use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt as _};

/// The descriptor on which the engine waits.
const CONTROL: i32 = 3;

/// Descriptor 3, which must be a stream socket.
pub(super) fn control_socket() -> Result<OwnedFd> {
    let unusable = |why: String| {
        Error::new(ErrorKind::InvalidInput, format!("cannot use descriptor {CONTROL} as control socket"))
            .because(why)
            .hint("this program is started by sampan, not by hand")
    };
    let socket = startup::adopt(CONTROL).map_err(|error| unusable(error.to_string()))?;
    match rustix::net::sockopt::socket_type(&socket) {
        Ok(SocketType::STREAM) => Ok(socket),
        Ok(_) => Err(unusable("it is not a stream socket".to_owned())),
        Err(errno) => Err(unusable(io::Error::from(errno).to_string())),
    }
}

/// Becomes independent of who started this process: a session of its own, no directory kept busy, no signal from a
/// terminal or a closed socket.
pub(super) fn leave_caller() -> OomProtection {
    // Fails only where this is the leader of a session already.
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    startup::ignore(Signal::HUP);
    startup::ignore(Signal::PIPE);
    OomProtection::take()
}

/// What goes wrong from now on and cannot be told to a client stands in the bundle.
pub(super) fn redirect_stderr(bundle: &Bundle) -> Result<()> {
    let path = bundle.shim_log();
    let failed = |error| Error::io(format!("cannot open {}", path.display()), error);
    let file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
    rustix::stdio::dup2_stderr(&file).map_err(|errno| failed(errno.into()))
}

/// Listens on `shim.sock`, which only its owner may connect to.
pub(super) fn listen(bundle: &Bundle) -> Result<OwnedFd> {
    let path = bundle.socket();
    let bound = || -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // The path of a socket is limited to 107 bytes (unix(7)); the bundle's may be longer, its descriptor's is not.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&bundle.path, flags, Mode::empty())?;
        let short = format!("/proc/self/fd/{}/shim.sock", directory.as_raw_fd());
        let mask = rustix::process::umask(Mode::from_raw_mode(0o177));
        let result = rustix::net::bind(&socket, &SocketAddrUnix::new(short)?);
        rustix::process::umask(mask);
        result?;
        rustix::net::listen(&socket, 128)?;
        Ok(socket)
    };
    bound().map_err(|error| Error::io(format!("cannot listen on {}", path.display()), error))
}
