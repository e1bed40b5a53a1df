//! Where a detached container waits at its *created* point: a socket that init listens on until somebody starts it.
//!
//! The runtime binds it before init is cloned, since init may have no rights over its directory. Who starts the container connects
//! and says [`Message::Proceed`]; what fails from there on is told on that connection, which `execve` closes.

use crate::{
    error::Cannot,
    sync::{Channel, Message, unexpected},
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    fs::{Mode, OFlags},
    io::Errno,
    net::{
        AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
        socket_with,
    },
};
use sampan_sys::exec::close_others;
use sampan_types::Result;
use std::{
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// The longest path that a socket address holds (unix(7)).
const MAX_ADDRESS: usize = 107;

/// The listening end, held by init.
#[derive(Debug)]
pub(crate) struct Gate(OwnedFd);

impl Gate {
    /// Makes the socket. Its directory must belong to the caller alone.
    pub(crate) fn bind(path: &Path) -> Result<Self> {
        let socket = socket()?;
        with_address(path, |address| bind(&socket, address))
            .and_then(|()| listen(&socket, 1))
            .cannot(|| format!("make the socket {}", path.display()))?;
        Ok(Self(socket))
    }

    /// In init: waits until somebody starts the container. `runtime` is who creates it: once it has said [`Message::Detach`] it may
    /// go, before that its end is the container's.
    ///
    /// All other descriptors of the calling process from `first` up are closed: this is the last that it does before its program.
    pub(crate) fn wait(self, runtime: &Channel, first: u32) -> Result<Channel> {
        close_others(first, &[self.0.as_fd(), runtime.as_fd()])
            .cannot(|| "close inherited descriptors".into())?;
        self.wait_for_starter(runtime)
    }

    fn wait_for_starter(self, runtime: &Channel) -> Result<Channel> {
        let mut runtime = Some(runtime);
        loop {
            let ready = self.poll(runtime)?;
            if ready.gate
                && let Some(starter) = self.accept()?
            {
                return Ok(starter);
            }
            if ready.runtime
                && let Some(channel) = runtime.take()
            {
                match channel.receive()? {
                    Some((Message::Detach, _)) => {}
                    other => return Err(unexpected(other.map(|(message, _)| message))),
                }
            }
        }
    }

    fn poll(&self, runtime: Option<&Channel>) -> Result<Ready> {
        let mut entries = vec![PollFd::new(&self.0, PollFlags::IN)];
        entries.extend(runtime.map(|channel| PollFd::new(channel, PollFlags::IN)));
        rustix::io::retry_on_intr(|| poll(&mut entries, None)).cannot(|| "wait to be started".into())?;
        let ready = |at: usize| entries.get(at).is_some_and(|entry| !entry.revents().is_empty());
        Ok(Ready { gate: ready(0), runtime: ready(1) })
    }

    /// Somebody who means it; `None` for one who has gone again.
    fn accept(&self) -> Result<Option<Channel>> {
        let socket = match accept_with(&self.0, SocketFlags::CLOEXEC) {
            Err(Errno::CONNABORTED | Errno::INTR) => return Ok(None),
            socket => socket.cannot(|| "wait to be started".into())?,
        };
        let starter = Channel::from(socket);
        Ok(matches!(starter.receive()?, Some((Message::Proceed, _))).then_some(starter))
    }
}

struct Ready {
    gate: bool,
    runtime: bool,
}

/// Has init go on. The gate is gone afterwards: a container is started once.
pub(crate) fn open(path: &Path) -> Result<Channel> {
    let socket = socket()?;
    with_address(path, |address| connect(&socket, address))
        .cannot(|| format!("connect to {}", path.display()))?;
    let channel = Channel::from(socket);
    channel.tell(&Message::Proceed, &[])?;
    rustix::fs::unlink(path).cannot(|| format!("remove {}", path.display()))?;
    Ok(channel)
}

fn socket() -> Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .cannot(|| "make a socket".into())
}

/// A path that is too long for an address is reached through its directory.
fn with_address(path: &Path, work: impl Fn(&SocketAddrUnix) -> Result<(), Errno>) -> Result<(), Errno> {
    if path.as_os_str().len() <= MAX_ADDRESS {
        return work(&SocketAddrUnix::new(path)?);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL) };
    let directory = rustix::fs::open(directory, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let mut address = format!("/proc/self/fd/{}/", directory.as_fd().as_raw_fd()).into_bytes();
    address.extend(name.as_bytes());
    work(&SocketAddrUnix::new(address)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_starts_it_is_heard_also_after_the_runtime_has_gone() {
        for below in ["here".to_owned(), "d".repeat(120)] {
            let temporary = tempfile::tempdir().unwrap();
            let directory = temporary.path().join(below);
            std::fs::create_dir(&directory).unwrap();
            let path = directory.join("gate");
            let gate = Gate::bind(&path).unwrap();
            let (runtime, theirs) = Channel::pair().unwrap();
            runtime.send(&Message::Detach, &[]).unwrap();
            drop(runtime);
            let waiting = std::thread::spawn(move || gate.wait_for_starter(&theirs));
            let starter = open(&path).unwrap();
            assert!(!path.exists());
            waiting.join().unwrap().unwrap().send(&Message::Ready, &[]).unwrap();
            assert!(matches!(starter.receive().unwrap(), Some((Message::Ready, _))));
            assert!(starter.receive().unwrap().is_none());
        }
    }

    #[test]
    fn a_runtime_that_goes_too_early_ends_it() {
        let directory = tempfile::tempdir().unwrap();
        let gate = Gate::bind(&directory.path().join("gate")).unwrap();
        let (runtime, theirs) = Channel::pair().unwrap();
        drop(runtime);
        let error = gate.wait_for_starter(&theirs).unwrap_err();
        assert_eq!(error.causes(), ["the other side has gone"]);
    }
}
