//! A network's bridge on the host.

use crate::{
    firewall::{self, Firewall},
    host::Host,
    link,
    netlink::{Batch, Refusal, Socket},
    network::Network,
};
use rustix::io::Errno;
use sampan_types::{Error, ErrorKind, Result};
use std::{fs, io};

impl Host {
    /// Makes the network's bridge, gateway addresses, sysctls and part of the firewall, whatever of it is missing.
    /// Cheap when all is there. True when the firewall lacked the network: what was published is gone too then
    /// (something flushed the ruleset, or this is the first use since boot), and endpoints that live need
    /// [`Host::reconcile`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for a network that makes no sense; [`ErrorKind::Conflict`] if another link has the
    /// bridge's name; those of the kernel.
    pub fn ensure_bridge(&mut self, network: &Network) -> Result<bool> {
        network.check()?;
        let fail = |refusal: Refusal| refusal.into_error(what(network));
        let socket = self.route().map_err(fail)?;
        let ready = match link::find(socket, &network.bridge).map_err(fail)? {
            Some(link) if link.mac != mac(network) => return Err(foreign(network)),
            Some(link) => link.up,
            None => false,
        };
        if ready {
            forward()?;
        } else {
            set_up(network, socket)?;
        }
        self.firewall(network).and_then(|mut firewall| fill(network, &mut firewall)).map_err(fail)
    }

    /// Removes the network's bridge, and its part of the firewall. Links of endpoints that are still there lose their
    /// bridge but stay. Nothing happens if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if another link has the bridge's name; those of the kernel.
    pub fn remove_bridge(&mut self, network: &Network) -> Result<()> {
        let fail = |refusal: Refusal| refusal.into_error(format!("cannot remove network {}", network.name));
        let socket = self.route().map_err(fail)?;
        match link::find(socket, &network.bridge).map_err(fail)? {
            Some(link) if link.mac != mac(network) => return Err(foreign(network)),
            Some(_) => link::remove_if_there(socket, &network.bridge).map_err(fail)?,
            None => {}
        }
        let mut firewall = self.firewall(network).map_err(fail)?;
        firewall.remove(&firewall::of_network(network)).map_err(fail)?;
        firewall.remove_table_if_unused().map_err(fail)
    }
}

/// Makes the bridge as it should be. It comes up last, so that one that is up is complete, whenever this was
/// interrupted.
pub(crate) fn set_up(network: &Network, socket: &mut Socket) -> Result<()> {
    let fail = |refusal: Refusal| refusal.into_error(what(network));
    let name = &network.bridge;
    let mut changes = Batch::default();
    link::add_bridge(&mut changes, name, mac(network), network.mtu);
    match socket.commit(changes) {
        Err(refusal) if refusal.errno != Errno::EXIST => return Err(fail(refusal)),
        _ => {}
    }
    let bridge = link::find(socket, name).map_err(fail)?;
    let bridge =
        bridge.ok_or_else(|| Refusal::new(format!("find the bridge {name}"), Errno::NODEV)).map_err(fail)?;
    if bridge.mac != mac(network) {
        return Err(foreign(network));
    }
    // Connections from 127.0.0.1 to published ports leave through the bridge; the firewall keeps endpoints out.
    set(&format!("ipv4/conf/{name}/route_localnet"), "1")?;
    if network.ipv6.is_some() {
        // A container must not tell the host where to send its packets.
        set(&format!("ipv6/conf/{name}/accept_ra"), "0")?;
        set(&format!("ipv6/conf/{name}/accept_dad"), "0")?;
    }
    forward()?;
    let mut changes = Batch::default();
    link::add_address(&mut changes, bridge.index, network.ipv4_gateway.into(), network.ipv4.prefix_len());
    if let (Some(subnet), Some(gateway)) = (network.ipv6, network.ipv6_gateway) {
        link::add_address(&mut changes, bridge.index, gateway.into(), subnet.prefix_len());
    }
    link::set_up(&mut changes, name, bridge.index);
    socket.commit(changes).map_err(fail)
}

/// Puts the network into the firewall; false if it was there.
pub(crate) fn fill(network: &Network, firewall: &mut Firewall<'_>) -> Result<bool, Refusal> {
    let elements = firewall::of_network(network);
    if elements
        .iter()
        .try_fold(true, |all, element| Ok::<_, Refusal>(all && firewall.find(element)?.is_some()))?
    {
        return Ok(false);
    }
    firewall.create_table()?;
    firewall.add(&elements)?;
    Ok(true)
}

/// Lets the host pass packets on, which it does not by default. IPv6 forwarding makes the kernel forget the routes
/// that it learned from router advertisements, unless it is told to keep listening to them (`accept_ra` 2,
/// `Documentation/networking/ip-sysctl.rst`): links that listened go on doing so.
fn forward() -> Result<()> {
    if get("ipv4/ip_forward")?.as_deref() == Some("0") {
        set("ipv4/ip_forward", "1")?;
    }
    if get("ipv6/conf/all/forwarding")?.as_deref() == Some("0") {
        let links = fs::read_dir(format!("{SYSCTL}/ipv6/conf"));
        for link in links.map_err(|error| Error::io("cannot list the links' sysctls", error))?.flatten() {
            let key = format!("ipv6/conf/{}/accept_ra", link.file_name().to_string_lossy());
            if !["all", "default"].iter().any(|name| link.file_name() == *name)
                && get(&key)?.as_deref() == Some("1")
            {
                set(&key, "2")?;
            }
        }
        set("ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

/// The sysctls of the calling thread's network namespace.
const SYSCTL: &str = "/proc/sys/net";

/// A sysctl's value; `None` if the kernel does not have it (no IPv6, a link that has gone).
fn get(key: &str) -> Result<Option<String>> {
    match fs::read_to_string(format!("{SYSCTL}/{key}")) {
        Ok(value) => Ok(Some(value.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("cannot read the sysctl net/{key}"), error)),
    }
}

fn set(key: &str, value: &str) -> Result<()> {
    fs::write(format!("{SYSCTL}/{key}"), value)
        .map_err(|error| Error::io(format!("cannot set the sysctl net/{key} to {value}"), error))
}

/// The bridge's own link-layer address. It follows from the gateway's, so that it tells this network's bridge from
/// another's, and never changes.
fn mac(network: &Network) -> [u8; 6] {
    Network::mac_of(network.ipv4_gateway)
}

fn what(network: &Network) -> String {
    format!("cannot set up network {}", network.name)
}

fn foreign(network: &Network) -> Error {
    Error::new(ErrorKind::Conflict, what(network))
        .because(format!("there is a link {} that is not this network's bridge", network.bridge))
        .hint(format!(
            "remove that link (ip link del {}), or give the network another bridge name",
            network.bridge
        ))
}
