//! Telling a service's supervisor that the container is ready (`sd_notify(3)`).
//!
//! The supervisor takes messages only from the service's own processes, and a container is none in its eyes. So the container has a socket of its
//! own, and the runtime passes on what is said there: `READY=1`, with the number of the container's first process. Between `create` and
//! `start` only the directory that will hold the socket is there, mounted in the container.

use super::place::Place;
use rustix::{
    event::{PollFd, PollFlags, poll},
    fd::{AsFd, BorrowedFd, OwnedFd},
    fs::Mode,
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, recv, sendto,
        socket_with,
    },
};
use sampan_types::{
    Error, Result,
    spec::{Mount, Spec},
};
use std::path::{Path, PathBuf};

/// The directory, in the container's state and in the container.
const DIRECTORY: &str = "notify";
const INSIDE: &str = "/run/notify";
const SOCKET: &str = "notify.sock";

/// The container's socket, and where its messages go.
#[derive(Debug)]
pub(super) struct Relay {
    socket: OwnedFd,
    supervisor: SocketAddrUnix,
}

/// Gives the container a place for its socket, where this process has a supervisor that listens.
pub(super) fn prepare(place: &Place, spec: &mut Spec) -> Result<()> {
    if supervisor()?.is_none() {
        return Ok(());
    }
    let source = place.path(DIRECTORY);
    rustix::fs::mkdir(&source, Mode::from_raw_mode(0o755))
        .map_err(|errno| Error::io(format!("mkdir {}", source.display()), errno.into()))?;
    spec.mounts.push(mount(source));
    if let Some(process) = &mut spec.process {
        process.env.push(format!("NOTIFY_SOCKET={INSIDE}/{SOCKET}"));
    }
    Ok(())
}

/// Adds the mount of a container that was given such a place to what it was made from.
pub(super) fn complete(place: &Place, spec: &mut Spec) {
    if place.has(DIRECTORY) {
        spec.mounts.push(mount(place.path(DIRECTORY)));
    }
}

fn mount(source: PathBuf) -> Mount {
    Mount {
        destination: INSIDE.into(),
        fs_type: Some("bind".into()),
        source: Some(source),
        options: ["bind", "nosuid", "noexec", "nodev", "ro"].map(str::to_owned).to_vec(),
        ..Mount::default()
    }
}

/// The supervisor's address, where there is one.
fn supervisor() -> Result<Option<SocketAddrUnix>> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let bytes = path.as_encoded_bytes();
    let address = match bytes.strip_prefix(b"@") {
        Some(name) => SocketAddrUnix::new_abstract_name(name),
        None => SocketAddrUnix::new(bytes),
    };
    address.map(Some).map_err(|errno| Error::io("invalid NOTIFY_SOCKET", errno.into()))
}

impl Relay {
    /// Makes the socket, where there is a supervisor and the container was given a place for it.
    pub(super) fn open(place: &Place) -> Result<Option<Self>> {
        let Some(supervisor) = supervisor()? else { return Ok(None) };
        if !place.has(DIRECTORY) {
            return Ok(None);
        }
        Self::listen(&place.path(DIRECTORY).join(SOCKET), supervisor).map(Some)
    }

    fn listen(path: &Path, supervisor: SocketAddrUnix) -> Result<Self> {
        let made = || {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
            bind(&socket, &SocketAddrUnix::new(path)?)?;
            // Whoever the container's program runs as may write to it.
            rustix::fs::chmod(path, Mode::from_raw_mode(0o777))?;
            Ok(socket)
        };
        let socket = made()
            .map_err(|errno: Errno| Error::io(format!("make the socket {}", path.display()), errno.into()))?;
        Ok(Self { socket, supervisor })
    }

    /// Passes on what has been said; true when the container is ready. `pid` is told as the service's main process, which it is once
    /// this process has gone.
    pub(super) fn pass_on(&self, pid: Option<i32>) -> bool {
        let mut buffer = [0; 4096];
        while let Ok((_, count)) = recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
            if buffer[..count].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                let main = pid.map_or(String::new(), |pid| format!("\nMAINPID={pid}"));
                let message = format!("READY=1{main}");
                // A supervisor that has gone needs no news.
                let _ = sendto(&self.socket, message.as_bytes(), SendFlags::NOSIGNAL, &self.supervisor);
                return true;
            }
        }
        false
    }

    /// Waits until the container is ready, or has ended.
    pub(super) fn wait(&self, pid: i32, pidfd: BorrowedFd<'_>) -> Result<()> {
        loop {
            let mut entries =
                [PollFd::new(&self.socket, PollFlags::IN), PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
            rustix::io::retry_on_intr(|| poll(&mut entries, None))
                .map_err(|errno| Error::io("wait for the container to be ready", errno.into()))?;
            let ended = !entries[1].revents().is_empty();
            if self.pass_on(Some(pid)) || ended {
                return Ok(());
            }
        }
    }
}

impl AsFd for Relay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn readiness_is_passed_on_with_the_number_and_nothing_else_is() {
        let base = tempfile::tempdir().unwrap();
        let supervisor = UnixDatagram::bind(base.path().join("host")).unwrap();
        let path = base.path().join("own");
        let relay = Relay::listen(&path, SocketAddrUnix::new(base.path().join("host")).unwrap()).unwrap();
        let container = UnixDatagram::unbound().unwrap();
        container.connect(&path).unwrap();
        container.send(b"STATUS=warming up\nREADY=0").unwrap();
        assert!(!relay.pass_on(Some(7)));
        container.send(b"STATUS=up\nREADY=1\nMAINPID=1").unwrap();
        assert!(relay.pass_on(Some(7)));
        let mut buffer = [0; 64];
        let count = supervisor.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"READY=1\nMAINPID=7");
    }
}
