//! Checking an endpoint before anything is touched.

use crate::{
    firewall::{self, Firewall},
    listener::{self, Listener},
    netlink::Refusal,
    network::{Endpoint, Network, is_host_of},
};
use sampan_types::{Error, ErrorKind, PortMapping, Protocol, Result};
use std::net::{IpAddr, Ipv6Addr};

/// An endpoint that has been checked, the only thing that can be attached. Made by [`plan`].
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

/// Checks everything about an endpoint, and touches nothing: addresses, names, and that what it publishes is free of
/// other programs and other endpoints. Host ports of 0 are replaced by free ones.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] for addresses, names and ports that make no sense; [`ErrorKind::AlreadyExists`] for a
/// port that is taken, naming the program or endpoint that has it; [`ErrorKind::Exhausted`] when no port is left to
/// choose; those of reading `/proc` and asking the kernel.
pub fn plan(network: &Network, endpoint: &Endpoint) -> Result<Plan> {
    network.check()?;
    check(network, endpoint)?;
    let mut endpoint = endpoint.clone();
    if !endpoint.ports.is_empty() {
        endpoint.ports = Ports::read(network, &endpoint)?.place(&endpoint)?;
    }
    Ok(Plan { network: network.clone(), endpoint })
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

/// What holds the host's ports.
struct Ports {
    listeners: Vec<(Protocol, Listener)>,
    published: Vec<firewall::Element>,
}

impl Ports {
    fn read(network: &Network, endpoint: &Endpoint) -> Result<Self> {
        // The engine's own resolver on the gateway's address goes on working beside a published port 53.
        let gateways = [Some(IpAddr::V4(network.ipv4_gateway)), network.ipv6_gateway.map(IpAddr::V6)];
        let mut listeners = Vec::new();
        for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
            if endpoint.ports.iter().any(|mapping| mapping.protocol == protocol) {
                let found = listener::listeners(protocol)
                    .map_err(|error| Error::io(format!("cannot list the host's {protocol} ports"), error))?;
                let others =
                    found.into_iter().filter(|l| l.port != 53 || !gateways.contains(&Some(l.address)));
                listeners.extend(others.map(|listener| (protocol, listener)));
            }
        }
        let published = Firewall::open(&network.table)
            .and_then(|mut firewall| firewall.published())
            .map_err(|refusal: Refusal| refusal.into_error("cannot list the published ports"))?;
        Ok(Self { listeners, published })
    }

    /// The endpoint's mappings with all host ports chosen and found free.
    fn place(&self, endpoint: &Endpoint) -> Result<Vec<PortMapping>> {
        let mut placed: Vec<PortMapping> = Vec::with_capacity(endpoint.ports.len());
        for mapping in &endpoint.ports {
            check_mapping(endpoint, mapping)?;
            let mapping = if mapping.host_port == 0 {
                let free = CHOSEN
                    .map(|host_port| PortMapping { host_port, ..mapping.clone() })
                    .find(|mapping| self.holder(endpoint, &placed, mapping).is_none());
                free.ok_or_else(|| {
                    Error::new(ErrorKind::Exhausted, cannot_publish(mapping)).because(format!(
                        "no port of {} to {} is free",
                        CHOSEN.start(),
                        CHOSEN.end()
                    ))
                })?
            } else {
                mapping.clone()
            };
            if let Some(holder) = self.holder(endpoint, &placed, &mapping) {
                return Err(taken(&mapping, holder));
            }
            placed.push(mapping);
        }
        Ok(placed)
    }

    /// What has the mapping's host port already.
    fn holder(&self, endpoint: &Endpoint, placed: &[PortMapping], mapping: &PortMapping) -> Option<Holder> {
        let own = placed.iter().any(|other| {
            (other.host_port, other.protocol) == (mapping.host_port, mapping.protocol)
                && (other.host_ip == mapping.host_ip || other.host_ip.is_none() || mapping.host_ip.is_none())
        });
        if own {
            return Some(Holder::Itself);
        }
        let listener = self.listeners.iter().find(|(protocol, listener)| {
            (*protocol, listener.port) == (mapping.protocol, mapping.host_port)
                && listener.collides(mapping.host_ip)
        });
        if let Some((_, listener)) = listener {
            return Some(Holder::Program(*listener));
        }
        let wanted = firewall::of_endpoint(&Endpoint { ports: vec![mapping.clone()], ..endpoint.clone() });
        // What the endpoint left behind itself is replaced, not in its way.
        let own = [Some(IpAddr::V4(endpoint.ipv4)), endpoint.ipv6.map(IpAddr::V6)];
        let found = self.published.iter().filter(|found| wanted.iter().any(|wanted| wanted.same_port(found)));
        found.filter_map(firewall::Element::address).find(|a| !own.contains(&Some(*a))).map(Holder::Endpoint)
    }
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
