//! Elements of the table's sets and maps: what networks and endpoints are in the firewall.

use crate::network::{Endpoint, Network};
use sampan_types::{PortMapping, Protocol};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An element: the set or map, its key and, in a map, its value.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    pub(super) set: &'static str,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    /// What it stands for, for messages.
    pub(super) what: String,
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        (self.set, &self.key, &self.value) == (other.set, &other.key, &other.value)
    }
}

impl Element {
    /// An element that was found in the firewall.
    pub(super) fn found(set: &'static str, key: Vec<u8>, value: Option<Vec<u8>>) -> Self {
        Self { set, key, value, what: "an element".into() }
    }

    /// The address of the endpoint that an element is for.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        // In `loops` the key begins with it, in the maps the value.
        let bytes = self.value.as_deref().unwrap_or(&self.key);
        match self.set.ends_with('4') {
            true => Some(Ipv4Addr::from(*bytes.first_chunk::<4>()?).into()),
            false => Some(Ipv6Addr::from(*bytes.first_chunk::<16>()?).into()),
        }
    }
}

/// The sets and maps that endpoints fill.
pub(super) const OF_ENDPOINTS: [&str; 6] = ["ports4", "ports6", "bound4", "bound6", "loops4", "loops6"];

/// What a network is in the firewall.
pub(crate) fn of_network(network: &Network) -> Vec<Element> {
    let bridge = link_key(&network.bridge);
    let element = |set, key| Element { set, key, value: None, what: format!("network {}", network.name) };
    let mut elements = vec![
        element("bridges", bridge.clone()),
        element("within", [bridge.clone(), bridge].concat()),
        element("resolvers4", network.ipv4_gateway.octets().into()),
    ];
    elements.extend(network.ipv6_gateway.map(|gateway| element("resolvers6", gateway.octets().into())));
    elements
}

/// What an endpoint's published ports are in the firewall.
pub(crate) fn of_endpoint(endpoint: &Endpoint) -> Vec<Element> {
    let targets = [Some(IpAddr::V4(endpoint.ipv4)), endpoint.ipv6.map(IpAddr::V6)];
    let mut elements = Vec::new();
    for mapping in &endpoint.ports {
        for target in targets.into_iter().flatten().filter(|target| reaches(mapping.host_ip, *target)) {
            elements.push(published(mapping, target));
        }
    }
    if !elements.is_empty() {
        elements.extend(targets.into_iter().flatten().map(|target| Element {
            set: if target.is_ipv4() { "loops4" } else { "loops6" },
            key: [octets(target), octets(target)].concat(),
            value: None,
            what: format!("the address {target}"),
        }));
    }
    elements
}

/// Whether a port published on `host_ip` leads to an address of this family: IPv4 to IPv4, IPv6 to IPv6.
fn reaches(host_ip: Option<IpAddr>, target: IpAddr) -> bool {
    host_ip.is_none_or(|host_ip| host_ip.is_ipv4() == target.is_ipv4())
}

fn published(mapping: &PortMapping, target: IpAddr) -> Element {
    let port = |port: u16| [port.to_be_bytes(), [0; 2]].concat();
    let service = [vec![number(mapping.protocol), 0, 0, 0], port(mapping.host_port)].concat();
    // The unspecified address is every address of its family.
    let bound = mapping.host_ip.filter(|address| !address.is_unspecified());
    let (set, key) = match (bound, target) {
        (None, IpAddr::V4(_)) => ("ports4", service),
        (None, IpAddr::V6(_)) => ("ports6", service),
        (Some(address), IpAddr::V4(_)) => ("bound4", [octets(address), service].concat()),
        (Some(address), IpAddr::V6(_)) => ("bound6", [octets(address), service].concat()),
    };
    let value = [octets(target), port(mapping.container_port)].concat();
    Element { set, key, value: Some(value), what: format!("port {}/{}", mapping.host_port, mapping.protocol) }
}

/// The protocol's number in an IP header.
fn number(protocol: Protocol) -> u8 {
    match protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
        Protocol::Sctp => 132,
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

/// A link's name as a key: 16 bytes, filled up with zeros.
fn link_key(name: &str) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.resize(16, 0);
    key
}
