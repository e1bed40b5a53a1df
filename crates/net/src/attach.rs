//! Wiring an endpoint, and taking the wires away.

use crate::{
    bridge,
    firewall::{self, Firewall},
    host::Host,
    link::{self, VethPair},
    netlink::{Batch, Refusal, Socket},
    network::{Endpoint, Network},
    plan::Plan,
};
use rustix::{fd::BorrowedFd, io::Errno};
use sampan_types::{Error, ErrorKind, PortMapping, Result};
use std::io;

/// An endpoint that is wired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The link's name on the host.
    pub link: String,
    /// The link's index on the host.
    pub index: u32,
    /// What is published, with the chosen ports.
    pub ports: Vec<PortMapping>,
}

impl Host {
    /// Wires the endpoint to the network namespace `netns`: a veth pair, addresses, default routes, loopback, and the
    /// published ports. What an earlier life of the same endpoint left behind is replaced. A failure undoes all.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without [`Host::ensure_bridge`]; [`ErrorKind::AlreadyExists`] when another endpoint
    /// took a port since the plan was made; those of the kernel.
    pub fn attach(&mut self, plan: Plan, netns: BorrowedFd<'_>) -> Result<Attached> {
        let Plan { network, endpoint } = plan;
        let socket = self.route().map_err(|refusal| fail(&network, &endpoint, refusal))?;
        let wired = wire(&network, &endpoint, socket, netns);
        sampan_sys::failpoint("net.attach.wired");
        match wired.and_then(|index| publish(&network, &endpoint, self).map(|()| index)) {
            Ok(index) => Ok(Attached { link: endpoint.link(), index, ports: endpoint.ports }),
            Err(error) => {
                // The first failure is what a person can act on; a link that stays is replaced at the next attach
                // and taken away by `reconcile`.
                let _ = self.route().and_then(|socket| link::remove_if_there(socket, &endpoint.link()));
                Err(error)
            }
        }
    }

    /// Takes an endpoint off a network: its link, if it is still there, and exactly its published ports. As often as
    /// wanted. The kernel takes its time to remove a link (some 10 ms): where the namespace is ending anyway,
    /// [`Host::retire`] is quicker.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn detach(&mut self, network: &Network, endpoint: &Endpoint) -> Result<()> {
        self.unpublish(network, endpoint)?;
        let removed = self.route().and_then(|socket| link::remove_if_there(socket, &endpoint.link()));
        removed.map_err(|refusal| cannot_disconnect(network, endpoint, refusal))
    }

    /// Takes an endpoint off a network whose namespace has lost its last process: its published ports go, and its link
    /// is taken down, so that nothing goes through it even if something else keeps the namespace. The link itself goes
    /// with the namespace, by the kernel's own doing.
    ///
    /// # Errors
    /// Those of the kernel.
    pub fn retire(&mut self, network: &Network, endpoint: &Endpoint) -> Result<()> {
        self.unpublish(network, endpoint)?;
        let down = self.route().and_then(|socket| link::set_down_if_there(socket, &endpoint.link()));
        down.map_err(|refusal| cannot_disconnect(network, endpoint, refusal))
    }

    fn unpublish(&mut self, network: &Network, endpoint: &Endpoint) -> Result<()> {
        let elements = firewall::of_endpoint(endpoint);
        if elements.is_empty() {
            return Ok(());
        }
        let removed = self.firewall(network).and_then(|mut firewall| firewall.remove(&elements));
        sampan_sys::failpoint("net.detach.unpublished");
        removed.map_err(|refusal| cannot_disconnect(network, endpoint, refusal))
    }
}

/// Brings the loopback link of the network namespace `netns` up: all the network that a container without an endpoint
/// has. [`Host::attach`] does it too.
///
/// # Errors
/// Those of `setns(2)` and the kernel.
pub fn loopback_up(netns: BorrowedFd<'_>) -> Result<()> {
    let fail = |refusal: Refusal| refusal.into_error("cannot bring the loopback link up");
    let mut inside = enter(netns, Socket::route)?.map_err(fail)?;
    let mut changes = Batch::default();
    link::set_up(&mut changes, "lo", LOOPBACK);
    inside.commit(changes).map_err(fail)
}

/// Makes the links; gives the index of the host's.
fn wire(network: &Network, endpoint: &Endpoint, host: &mut Socket, netns: BorrowedFd<'_>) -> Result<u32> {
    let fail = |refusal| fail(network, endpoint, refusal);
    let bridge = link::find(host, &network.bridge).map_err(fail)?.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, what(network, endpoint))
            .because(format!("the bridge {} is not there", network.bridge))
    })?;
    let name = endpoint.link();
    let pair = VethPair {
        host: &name,
        bridge: bridge.index,
        inside: &endpoint.interface,
        mac: endpoint.mac,
        mtu: network.mtu,
        netns,
    };
    let create = |host: &mut Socket| {
        let mut changes = Batch::default();
        link::add_veth(&mut changes, &pair);
        if !endpoint.ports.is_empty() {
            // With `br_netfilter`, a connection to a port that the endpoint publishes itself never leaves the bridge.
            link::set_hairpin(&mut changes, &name);
        }
        host.commit(changes)
    };
    match create(host) {
        // The names are the endpoint's own: what has them is left from an earlier life.
        Err(refusal) if refusal.errno == Errno::EXIST => {
            link::remove_if_there(host, &name).map_err(fail)?;
            create(host).map_err(fail)?;
        }
        result => result.map_err(fail)?,
    }
    // A socket belongs to the namespace that it was opened in; only the opening happens inside.
    let mut inside = enter(netns, Socket::route)?.map_err(fail)?;
    let index = index_of(&mut inside, &endpoint.interface).map_err(fail)?;
    let mut changes = Batch::default();
    link::set_up(&mut changes, "lo", LOOPBACK);
    link::add_address(&mut changes, index, endpoint.ipv4.into(), network.ipv4.prefix_len());
    if let (Some(address), Some(subnet)) = (endpoint.ipv6, network.ipv6) {
        link::add_address(&mut changes, index, address.into(), subnet.prefix_len());
    }
    link::set_up(&mut changes, &endpoint.interface, index);
    link::add_default_route(&mut changes, index, network.ipv4_gateway.into());
    if let (Some(_), Some(gateway)) = (endpoint.ipv6, network.ipv6_gateway) {
        link::add_default_route(&mut changes, index, gateway.into());
    }
    inside.commit(changes).map_err(fail)?;
    index_of(host, &name).map_err(fail)
}

/// Puts the published ports into the firewall, and that into order if something emptied it.
fn publish(network: &Network, endpoint: &Endpoint, host: &mut Host) -> Result<()> {
    let elements = firewall::of_endpoint(endpoint);
    if elements.is_empty() {
        return Ok(());
    }
    let add = |mut firewall: Firewall<'_>| match firewall.add(&elements) {
        Err(refusal) if refusal.errno == Errno::NOENT => {
            bridge::fill(network, &mut firewall)?;
            firewall.add(&elements)
        }
        result => result,
    };
    host.firewall(network).and_then(add).map_err(|refusal| match refusal.errno {
        Errno::BUSY | Errno::EXIST => Error::new(ErrorKind::AlreadyExists, what(network, endpoint))
            .because(refusal)
            .hint("another container took a port in the meantime; publish another one"),
        _ => fail(network, endpoint, refusal),
    })
}

/// The loopback link is the first of every network namespace (`LOOPBACK_IFINDEX`, net/flow.h).
const LOOPBACK: u32 = 1;

fn index_of(socket: &mut Socket, name: &str) -> Result<u32, Refusal> {
    let link = link::find(socket, name)?;
    link.map(|link| link.index).ok_or_else(|| Refusal::new(format!("find the link {name}"), Errno::NODEV))
}

fn enter<T>(netns: BorrowedFd<'_>, work: impl FnOnce() -> T) -> Result<T> {
    sampan_sys::netns::enter(netns, work)
        .map_err(|errno| Error::io("cannot enter the container's network namespace", io::Error::from(errno)))
}

fn what(network: &Network, endpoint: &Endpoint) -> String {
    format!("cannot connect {} to network {}", endpoint.name, network.name)
}

fn fail(network: &Network, endpoint: &Endpoint, refusal: Refusal) -> Error {
    refusal.into_error(what(network, endpoint))
}

fn cannot_disconnect(network: &Network, endpoint: &Endpoint, refusal: Refusal) -> Error {
    refusal.into_error(format!("cannot disconnect {} from network {}", endpoint.name, network.name))
}
