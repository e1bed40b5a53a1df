//! The engine's networks: today the default bridge.

use crate::{
    Engine,
    observe::{Observed, observe},
};
use sampan_names::NetworkEntry;
use sampan_net::{Endpoint, Network};
use sampan_store::NetworkRecord;
use sampan_types::{ContainerRecord, EndpointRecord, Error, ErrorKind, NetworkMode, Result};
use std::os::fd::OwnedFd;

/// Name of the default network.
const DEFAULT: &str = "bridge";

impl Engine {
    /// The default network; its subnets are chosen when it is first needed, and stay.
    pub(crate) fn default_network(&self) -> Result<Network> {
        if let Some(network) = self.known_default_network()? {
            return Ok(network);
        }
        // Two engines on one host start looking from different places.
        let (ipv4, ipv6) = self.host.borrow_mut().choose_subnets(self.paths.instance().as_bytes(), &[])?;
        let first = |address: std::net::Ipv4Addr| std::net::Ipv4Addr::from(u32::from(address) + 1);
        let network = Network {
            name: DEFAULT.to_owned(),
            bridge: self.paths.bridge(),
            table: self.paths.instance().to_owned(),
            ipv4,
            ipv4_gateway: first(ipv4.network()),
            ipv6: Some(ipv6),
            ipv6_gateway: Some(std::net::Ipv6Addr::from(u128::from(ipv6.network()) + 1)),
            mtu: None,
        };
        let record = serde_json::to_value(&network)
            .map_err(|error| Error::new(ErrorKind::Internal, "cannot encode a network").because(error))?;
        let inserted = self.store.insert_network(&NetworkRecord {
            name: network.name.clone(),
            subnet: network.ipv4,
            gateway: network.ipv4_gateway,
            subnet6: network.ipv6,
            gateway6: network.ipv6_gateway,
            record,
        });
        match inserted {
            // Another process was quicker: its choice counts.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => self.default_network(),
            result => result.map(|()| network),
        }
    }

    /// The network of a container's endpoint.
    pub(crate) fn network_of(&self, endpoint: &EndpointRecord) -> Result<Network> {
        let record = self.store.network(&endpoint.network)?;
        record.map_or_else(
            || Err(Error::new(ErrorKind::NotFound, format!("no such network: {}", endpoint.network))),
            decode,
        )
    }

    /// The default network, where it has been chosen.
    pub(crate) fn known_default_network(&self) -> Result<Option<Network>> {
        self.store.network(DEFAULT)?.map(decode).transpose()
    }

    /// Brings a network's bridge up, where it is not.
    pub(crate) fn bring_up(&self, network: &Network) -> Result<()> {
        // Where the firewall had lost the network (`nft flush ruleset`), it has lost published ports too.
        if self.host.borrow_mut().ensure_bridge(network)? {
            let live = self.live_endpoints(network)?;
            if !live.is_empty() {
                self.host.borrow_mut().reconcile(network, &live)?;
            }
        }
        let entry = NetworkEntry {
            bridge: network.bridge.clone(),
            ipv4: network.ipv4,
            ipv4_gateway: network.ipv4_gateway,
            ipv6: network.ipv6,
            ipv6_gateway: network.ipv6_gateway,
        };
        sampan_names::publish_network(&self.paths.names(), &network.name, &entry)
    }

    /// The endpoints of containers that run on a network, or are just being started; none where none runs.
    fn live_endpoints(&self, network: &Network) -> Result<Vec<Endpoint>> {
        let (mut live, mut one_runs) = (Vec::new(), false);
        for record in self.store.containers()? {
            if let Some(endpoint) =
                record.endpoint.as_ref().filter(|endpoint| endpoint.network == network.name)
            {
                match observe(&self.paths, &record.id)? {
                    Observed::Absent => continue,
                    Observed::Running(_) => one_runs = true,
                    Observed::Dead(_) => {}
                }
                live.push(endpoint_of(&record, endpoint));
            }
        }
        Ok(if one_runs { live } else { Vec::new() })
    }

    /// A descriptor that is slow to close: the kernel lets whoever closes a firewall socket wait until what was removed
    /// through it is gone (some 6 ms), at a process's exit too. Handed to another process together with its last
    /// request, it is closed there.
    pub fn linger(&self) -> Option<OwnedFd> {
        self.host.borrow_mut().linger()
    }

    /// Takes a container whose processes have ended, or are about to, off its network: firewall elements, names; its
    /// link goes with its namespace. Idempotent.
    pub(crate) fn detach(&self, record: &ContainerRecord) -> Result<()> {
        let Some(endpoint) = &record.endpoint else {
            return Ok(());
        };
        let network = self.network_of(endpoint)?;
        sampan_names::unpublish(&self.paths.names(), &network.name, record.id.as_str())?;
        self.host.borrow_mut().retire(&network, &endpoint_of(record, endpoint))
    }

    /// Tells the names process of a container, starting it where it does not run.
    pub(crate) fn publish_names(
        &self,
        record: &ContainerRecord,
        network: &Network,
        hostname: &str,
    ) -> Result<()> {
        let Some(endpoint) = &record.endpoint else {
            return Ok(());
        };
        let dir = self.paths.names();
        let entry = sampan_names::Entry {
            name: record.name.to_string(),
            hostname: hostname.to_owned(),
            aliases: vec![record.id.short().to_owned()],
            ipv4: endpoint.ipv4,
            ipv6: endpoint.ipv6,
            mac: endpoint.mac,
        };
        sampan_names::publish(&dir, &network.name, record.id.as_str(), &entry)?;
        let program =
            std::env::current_exe().map_err(|source| Error::io("cannot find this program", source))?;
        let words = [program.as_path(), "internal".as_ref(), "names".as_ref(), &dir];
        sampan_names::ensure_running(&dir, &words.map(|word| word.to_string_lossy().into_owned()))
    }
}

/// The word of `sampan-net` for a container's endpoint.
pub(crate) fn endpoint_of(record: &ContainerRecord, endpoint: &EndpointRecord) -> Endpoint {
    Endpoint {
        id: record.id.to_string(),
        name: record.name.to_string(),
        ipv4: endpoint.ipv4,
        ipv6: endpoint.ipv6,
        mac: endpoint.mac,
        interface: "eth0".to_owned(),
        ports: record.config.ports.clone(),
    }
}

/// The network on which a new container gets an endpoint, by its mode.
pub(crate) fn reserves(mode: &NetworkMode) -> bool {
    *mode == NetworkMode::Bridge
}

fn decode(record: NetworkRecord) -> Result<Network> {
    serde_json::from_value(record.record).map_err(|error| {
        Error::new(ErrorKind::Internal, format!("cannot understand the record of network {}", record.name))
            .because(error)
    })
}
