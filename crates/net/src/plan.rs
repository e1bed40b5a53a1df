//! Checking an endpoint before anything is touched.

use crate::{
    firewall::{self, Firewall},
    host::Host,
    listener::{self, Listener},
    netlink::Refusal,
    network::{Endpoint, Network, is_host_of},
    subnet::hash,
};
use sampan_types::{Error, ErrorKind, PortMapping, Result};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// An endpoint that has been checked, the only thing that can be attached. Made by [`Host::plan`].
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) network: Network,
    pub(crate) endpoint: Endpoint,
}

impl Plan {
    /// The published ports, those that the engine was to choose (host port 0) chosen.
    pub fn ports(&self) -> &[PortMapping] {
        &self.endpoint.ports
    }
}

/// Where the kernel takes ports for outgoing connections from (`net.ipv4.ip_local_port_range`) by default; chosen
/// ports come from there too, as with other engines.
const CHOSEN: std::ops::RangeInclusive<u16> = 32768..=60999;

impl Host {
    /// Checks everything about an endpoint, and touches nothing: addresses, names, and that what it publishes is free
    /// of other programs and other endpoints. Host ports of 0 are replaced by free ones.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for addresses, names and ports that make no sense; [`ErrorKind::AlreadyExists`] for
    /// a port that is taken, naming the program or endpoint that has it; [`ErrorKind::Exhausted`] when no port is left
    /// to choose; those of asking the kernel.
    pub fn plan(&mut self, network: &Network, endpoint: &Endpoint) -> Result<Plan> {
        network.check()?;
        check(network, endpoint)?;
        let mut endpoint = endpoint.clone();
        if !endpoint.ports.is_empty() {
            let firewall = self.firewall(network).map_err(cannot_look)?;
            endpoint.ports = Ports { firewall, network, placed: Vec::new() }.place(&endpoint)?;
        }
        Ok(Plan { network: network.clone(), endpoint })
    }
}

fn check(network: &Network, endpoint: &Endpoint) -> Result<()> {
    let invalid = |why: String| {
        let what = format!("cannot connect {} to network {}", endpoint.name, network.name);
        Err(Error::new(ErrorKind::InvalidInput, what).because(why))
    };
    let Endpoint { ipv4, mac, interface, .. } = endpoint;
    if !is_host_of(network.ipv4, *ipv4) {
        return invalid(format!("{ipv4} is no host address of {}", network.ipv4));
    }
    if *ipv4 == network.ipv4_gateway {
        return invalid(format!("{ipv4} is the network's gateway"));
    }
    match (endpoint.ipv6, network.ipv6) {
        (Some(address), Some(subnet)) if !subnet.contains(&address) || address == subnet.network() => {
            return invalid(format!("{address} is no host address of {subnet}"));
        }
        (Some(address), _) if Some(address) == network.ipv6_gateway => {
            return invalid(format!("{address} is the network's gateway"));
        }
        (Some(address), None) => return invalid(format!("the network has no IPv6 for {address}")),
        _ => {}
    }
    if mac[0] & 1 != 0 || *mac == [0; 6] {
        return invalid("the link-layer address is not one of a single station".into());
    }
    if endpoint.id.len() < 11 || !endpoint.id.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return invalid(format!("{:?} is not an endpoint's id", endpoint.id));
    }
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%');
    if interface.is_empty()
        || interface.len() > 15
        || !interface.bytes().all(plain)
        || interface.starts_with('.')
    {
        return invalid(format!("{interface:?} cannot be a link's name"));
    }
    if interface == "lo" {
        return invalid("lo is the loopback link's name".into());
    }
    Ok(())
}

/// The host's ports.
struct Ports<'a> {
    firewall: Firewall<'a>,
    network: &'a Network,
    /// What the endpoint gets.
    placed: Vec<PortMapping>,
}

impl Ports<'_> {
    /// The endpoint's mappings with all host ports chosen and found free.
    fn place(mut self, endpoint: &Endpoint) -> Result<Vec<PortMapping>> {
        for mapping in &endpoint.ports {
            check_mapping(endpoint, mapping)?;
            let mapping = match mapping.host_port {
                0 => self.choose(endpoint, mapping)?,
                _ => match self.holder(endpoint, mapping)? {
                    Some(holder) => return Err(taken(mapping, holder)),
                    None => mapping.clone(),
                },
            };
            self.placed.push(mapping);
        }
        Ok(self.placed)
    }

    /// The mapping with a free host port. The search begins at a place of the endpoint's own: however many ports are
    /// taken, one of the first is free.
    fn choose(&mut self, endpoint: &Endpoint, mapping: &PortMapping) -> Result<PortMapping> {
        let count = u64::from(CHOSEN.end() - CHOSEN.start()) + 1;
        let start = hash(format!("{}{mapping}", endpoint.id).as_bytes());
        for n in 0..count {
            let offset = (start.wrapping_add(n) % count) as u16;
            let mapping = PortMapping { host_port: CHOSEN.start() + offset, ..mapping.clone() };
            if self.holder(endpoint, &mapping)?.is_none() {
                return Ok(mapping);
            }
        }
        let why = format!("no port of {} to {} is free", CHOSEN.start(), CHOSEN.end());
        Err(Error::new(ErrorKind::Exhausted, cannot_publish(mapping)).because(why))
    }

    /// What has the mapping's host port already.
    fn holder(&mut self, endpoint: &Endpoint, mapping: &PortMapping) -> Result<Option<Holder>> {
        let itself = self.placed.iter().any(|other| {
            (other.host_port, other.protocol) == (mapping.host_port, mapping.protocol)
                && (other.host_ip == mapping.host_ip || other.host_ip.is_none() || mapping.host_ip.is_none())
        });
        if itself {
            return Ok(Some(Holder::Itself));
        }
        // What the endpoint left behind itself is replaced, not in its way.
        let own = [Some(IpAddr::V4(endpoint.ipv4)), endpoint.ipv6.map(IpAddr::V6)];
        for wanted in firewall::of_endpoint(&Endpoint { ports: vec![mapping.clone()], ..endpoint.clone() }) {
            let found = self.firewall.find(&wanted).map_err(cannot_look)?;
            let address = found.as_ref().and_then(firewall::Element::address);
            if let Some(address) = address.filter(|address| !own.contains(&Some(*address))) {
                return Ok(Some(Holder::Endpoint(address)));
            }
        }
        Ok(self.listener(endpoint, mapping)?.map(Holder::Program))
    }

    /// The listener that has the mapping's host port.
    fn listener(&self, endpoint: &Endpoint, mapping: &PortMapping) -> Result<Option<Listener>> {
        let mut free = true;
        for address in addresses(endpoint, mapping) {
            free &= listener::is_free(mapping.protocol, SocketAddr::new(address, mapping.host_port))
                .map_err(|error| not_ours(mapping, address, error))?;
        }
        if free {
            return Ok(None);
        }
        let listeners = listener::listeners(mapping.protocol).map_err(|error| {
            Error::io(format!("cannot list the host's {} ports", mapping.protocol), error)
        })?;
        // The engine's own resolver on the gateway's address goes on working beside a published port 53.
        let gateways =
            [Some(IpAddr::V4(self.network.ipv4_gateway)), self.network.ipv6_gateway.map(IpAddr::V6)];
        let resolver =
            |listener: &Listener| listener.port == 53 && gateways.contains(&Some(listener.address));
        // None is found where a connection goes out from the port: publishing does not disturb it.
        Ok(listeners.into_iter().find(|listener| {
            listener.port == mapping.host_port && listener.collides(mapping.host_ip) && !resolver(listener)
        }))
    }
}

/// The host's addresses that a mapping publishes on.
fn addresses(endpoint: &Endpoint, mapping: &PortMapping) -> Vec<IpAddr> {
    match mapping.host_ip {
        Some(address) => vec![address],
        None => {
            let ipv6 = endpoint.ipv6.map(|_| IpAddr::V6(Ipv6Addr::UNSPECIFIED));
            std::iter::once(IpAddr::V4(Ipv4Addr::UNSPECIFIED)).chain(ipv6).collect()
        }
    }
}

/// The error of an address that cannot be taken at all.
fn not_ours(mapping: &PortMapping, address: IpAddr, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => Error::new(ErrorKind::InvalidInput, cannot_publish(mapping))
            .because(format!("{address} is not an address of this host"))
            .hint("leave the address out to publish on all of them (ip addr shows them)"),
        _ => Error::io(cannot_publish(mapping), error),
    }
}

fn cannot_look(refusal: Refusal) -> Error {
    refusal.into_error("cannot look up the published ports")
}

/// What has a port.
enum Holder {
    Program(Listener),
    Endpoint(IpAddr),
    Itself,
}

/// The error of a port that is taken.
fn taken(mapping: &PortMapping, holder: Holder) -> Error {
    let (cause, hint) = match holder {
        Holder::Program(listener) => match listener.holder() {
            Some(program) => (format!("address in use, held by {program}"), "or stop that process"),
            None => ("address in use".to_owned(), "or stop what listens there (ss -lntup shows it)"),
        },
        Holder::Endpoint(address) => (
            format!("address in use, published for {address}"),
            "or stop that container (sampan ps shows it)",
        ),
        Holder::Itself => ("it is published twice".to_owned(), "or leave one of them out"),
    };
    Error::new(ErrorKind::AlreadyExists, cannot_publish(mapping)).because(cause).hint(format!(
        "-p {}:{}, {hint}",
        another_port(mapping.host_port),
        mapping.container_port
    ))
}

/// A port to propose instead: 80 → 8080, 443 → 8443, others one higher.
fn another_port(port: u16) -> u16 {
    match port {
        1..1000 => port + 8000,
        _ => port.checked_add(1).unwrap_or(port - 1),
    }
}

fn check_mapping(endpoint: &Endpoint, mapping: &PortMapping) -> Result<()> {
    let invalid =
        |why: &str| Error::new(ErrorKind::InvalidInput, cannot_publish(mapping)).because(why.to_owned());
    match mapping.host_ip {
        Some(IpAddr::V6(Ipv6Addr::LOCALHOST)) => {
            Err(Error::new(ErrorKind::Unsupported, cannot_publish(mapping))
                .because("the kernel cannot lead connections to ::1 elsewhere")
                .hint("publish on 127.0.0.1; programs that connect to localhost use it too"))
        }
        Some(IpAddr::V6(_)) if endpoint.ipv6.is_none() => Err(invalid("the container has no IPv6 address")),
        _ if mapping.container_port == 0 => Err(invalid("the container's port is 0")),
        _ => Ok(()),
    }
}

/// `cannot publish port 80/tcp`.
pub(crate) fn cannot_publish(mapping: &PortMapping) -> String {
    match mapping.host_port {
        0 => format!("cannot publish container port {}/{}", mapping.container_port, mapping.protocol),
        port => format!("cannot publish port {port}/{}", mapping.protocol),
    }
}
