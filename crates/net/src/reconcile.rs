//! Putting a network right after something else changed the host.

use crate::{
    bridge,
    firewall::{self, Firewall},
    host::Host,
    link,
    netlink::{Refusal, Socket},
    network::{Endpoint, Network, is_endpoint_link},
};
use rustix::io::Errno;
use sampan_types::Result;
use std::{collections::HashSet, net::IpAddr};

impl Host {
    /// Makes the network what it should be with exactly the endpoints `live`: bridge, addresses, sysctls and firewall are
    /// made anew where they are missing (after `nft flush ruleset`, say), live endpoints' published ports put back, and
    /// links and published ports of others (left by a `kill -9`) taken away. An endpoint that is being attached meanwhile
    /// and not in `live` is taken for such a one: the caller holds the network's lock.
    ///
    /// # Errors
    /// As [`Host::ensure_bridge`]; those of the kernel.
    pub fn reconcile(&mut self, network: &Network, live: &[Endpoint]) -> Result<()> {
        network.check()?;
        let fail =
            |refusal: Refusal| refusal.into_error(format!("cannot put network {} right", network.name));
        let socket = self.route().map_err(fail)?;
        bridge::set_up(network, socket)?;
        remove_links(network, live, socket).map_err(fail)?;
        self.firewall(network).and_then(|firewall| put_elements(network, live, firewall)).map_err(fail)
    }
}

fn remove_links(network: &Network, live: &[Endpoint], socket: &mut Socket) -> Result<(), Refusal> {
    let links = link::list(socket)?;
    let Some(bridge) = links.iter().find(|link| link.name == network.bridge) else { return Ok(()) };
    let keep: HashSet<String> = live.iter().map(Endpoint::link).collect();
    let ports = links.iter().filter(|link| link.master == Some(bridge.index));
    for stale in ports.filter(|link| is_endpoint_link(&link.name) && !keep.contains(&link.name)) {
        link::remove_if_there(socket, &stale.name)?;
    }
    Ok(())
}

fn put_elements(network: &Network, live: &[Endpoint], mut firewall: Firewall<'_>) -> Result<(), Refusal> {
    bridge::fill(network, &mut firewall)?;
    let wanted: Vec<_> = live.iter().flat_map(firewall::of_endpoint).collect();
    // The table is shared with the engine's other networks: only what leads into this one is looked at.
    let inside = |address: IpAddr| match address {
        IpAddr::V4(address) => network.ipv4.contains(&address),
        IpAddr::V6(address) => network.ipv6.is_some_and(|subnet| subnet.contains(&address)),
    };
    let mut stale = firewall.published()?;
    stale.retain(|found| found.address().is_some_and(inside) && !wanted.contains(found));
    firewall.remove(&stale)?;
    match firewall.add(&wanted) {
        // Something emptied the firewall between the two.
        Err(refusal) if refusal.errno == Errno::NOENT => {
            bridge::fill(network, &mut firewall)?;
            firewall.add(&wanted)
        }
        result => result,
    }
}
