//! The handle on the host's network.

use crate::{
    firewall::Firewall,
    netlink::{Refusal, Socket},
    network::Network,
};
use rustix::fd::OwnedFd;

/// The network of one network namespace: that of the thread that uses the handle first. A process keeps one as long as
/// it has anything to do with networks; its two sockets are opened when they are needed.
///
/// Keeping it is more than thrift: closing a firewall socket waits until the kernel has freed what was removed from
/// the firewall just before, by whomever (5 to 20 ms). [`Host::linger`] is for a process that must not wait at its end.
#[derive(Debug, Default)]
pub struct Host {
    route: Option<Socket>,
    firewall: Option<Socket>,
}

impl Host {
    /// A handle; nothing is opened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the firewall's socket away, if one has been opened: to a process that nobody waits for (as a descriptor
    /// in a message, say), or to be dropped later. The handle opens another one when it needs it.
    pub fn linger(&mut self) -> Option<OwnedFd> {
        self.firewall.take().map(Socket::into_fd)
    }

    /// The socket for links, addresses and routes.
    pub(crate) fn route(&mut self) -> Result<&mut Socket, Refusal> {
        opened(&mut self.route, Socket::route)
    }

    /// The engine's firewall table.
    pub(crate) fn firewall<'a>(&'a mut self, network: &'a Network) -> Result<Firewall<'a>, Refusal> {
        Ok(Firewall::new(opened(&mut self.firewall, Socket::netfilter)?, &network.table))
    }
}

fn opened(
    socket: &mut Option<Socket>,
    open: impl FnOnce() -> Result<Socket, Refusal>,
) -> Result<&mut Socket, Refusal> {
    match socket {
        Some(socket) => Ok(socket),
        None => Ok(socket.insert(open()?)),
    }
}
