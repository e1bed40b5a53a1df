//! Networks and endpoints as values, and the arithmetic of their addresses.

use ipnet::{Ipv4Net, Ipv6Net};
use sampan_types::{Error, ErrorKind, PortMapping, Result};
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The longest name of a link, in bytes (`IFNAMSIZ` less its zero byte).
const LINK_NAME_MAX: usize = 15;

/// A bridge network as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// What people call it.
    pub name: String,
    /// The bridge's link name, at most 15 bytes.
    pub bridge: String,
    /// The engine's nf_tables table (family inet), shared by all its networks.
    pub table: String,
    /// IPv4 subnet.
    pub ipv4: Ipv4Net,
    /// The host's address in it, the endpoints' default route and resolver.
    pub ipv4_gateway: Ipv4Addr,
    /// IPv6 subnet, where the network has one.
    pub ipv6: Option<Ipv6Net>,
    /// The host's address in the IPv6 subnet.
    pub ipv6_gateway: Option<Ipv6Addr>,
    /// Bytes of payload a frame carries; the kernel's default (1500) where absent.
    #[serde(default)]
    pub mtu: Option<u32>,
}

/// A container's place on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The container's id. Its first 11 digits name the link on the host.
    pub id: String,
    /// The container's name, for messages.
    pub name: String,
    /// IPv4 address, inside the network's subnet.
    pub ipv4: Ipv4Addr,
    /// IPv6 address, where the network has IPv6.
    pub ipv6: Option<Ipv6Addr>,
    /// Link-layer address; [`Network::mac_of`] gives the usual one.
    pub mac: [u8; 6],
    /// The link's name inside: `eth0`.
    pub interface: String,
    /// Published ports.
    pub ports: Vec<PortMapping>,
}

impl Endpoint {
    /// The link's name on the host: `sp` and the first 11 digits of the id.
    pub fn link(&self) -> String {
        link_name(&self.id)
    }
}

/// The host's link of the endpoint with this id.
pub(crate) fn link_name(id: &str) -> String {
    let digits: String = id.chars().filter(char::is_ascii_alphanumeric).take(LINK_NAME_MAX - 4).collect();
    format!("sp{digits}")
}

/// Whether a link's name is one that [`link_name`] gives.
pub(crate) fn is_endpoint_link(name: &str) -> bool {
    name.len() == LINK_NAME_MAX - 2
        && name.strip_prefix("sp").is_some_and(|id| id.bytes().all(|b| b.is_ascii_alphanumeric()))
}

impl Network {
    /// The lowest address that is free: not the subnet's first or last, not the gateway, and not `taken`.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] when every address is taken.
    pub fn free_ipv4(&self, mut taken: impl FnMut(Ipv4Addr) -> bool) -> Result<Ipv4Addr> {
        self.ipv4.hosts().find(|address| *address != self.ipv4_gateway && !taken(*address)).ok_or_else(|| {
            Error::new(ErrorKind::Exhausted, format!("cannot give an address on network {}", self.name))
                .because(format!("all addresses of {} are taken", self.ipv4))
                .hint("remove containers that are not needed any more (sampan ps -a shows them)")
        })
    }

    /// The IPv6 address that goes with an IPv4 address: the same number within its subnet. `None` without IPv6, or
    /// where it would be the gateway's or does not fit.
    pub fn ipv6_of(&self, ipv4: Ipv4Addr) -> Option<Ipv6Addr> {
        let subnet = self.ipv6?;
        let number = u128::from(ipv4.to_bits().checked_sub(self.ipv4.network().to_bits())?);
        let address = Ipv6Addr::from_bits(subnet.network().to_bits() | number);
        (subnet.contains(&address) && Some(address) != self.ipv6_gateway && number != 0).then_some(address)
    }

    /// The link-layer address that goes with an IPv4 address. Because it follows from the address, neighbours that
    /// remember an earlier holder of the address reach the new one at once.
    pub fn mac_of(ipv4: Ipv4Addr) -> [u8; 6] {
        let [a, b, c, d] = ipv4.octets();
        // 0x02: locally administered, unicast (IEEE 802, section 8.4).
        [0x02, 0x5a, a, b, c, d]
    }

    /// Checks what the kernel or the firewall would refuse, or take and never work with.
    pub(crate) fn check(&self) -> Result<()> {
        let invalid = |why: String| {
            Err(Error::new(ErrorKind::InvalidInput, format!("invalid network {}", self.name)).because(why))
        };
        let plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
        };
        if !plain(&self.bridge) || self.bridge.len() > LINK_NAME_MAX || self.bridge.starts_with('.') {
            return invalid(format!(
                "{:?} cannot be a link's name (at most 15 of [a-zA-Z0-9_.-])",
                self.bridge
            ));
        }
        if !plain(&self.table) {
            return invalid(format!("{:?} cannot be a firewall table's name", self.table));
        }
        if self.ipv4.prefix_len() > 30 {
            return invalid(format!("the subnet {} has no room for a container", self.ipv4));
        }
        if !is_host_of(self.ipv4, self.ipv4_gateway) {
            return invalid(format!("the gateway {} is no host address of {}", self.ipv4_gateway, self.ipv4));
        }
        match (self.ipv6, self.ipv6_gateway) {
            (None, None) => {}
            (Some(subnet), Some(gateway)) if subnet.contains(&gateway) && gateway != subnet.network() => {}
            (Some(subnet), Some(gateway)) => {
                return invalid(format!("the gateway {gateway} is no host address of {subnet}"));
            }
            _ => return invalid("an IPv6 subnet and its gateway go together".into()),
        }
        match self.mtu {
            // 1280 is the least that IPv6 works with (RFC 8200, section 5), 576 what IPv4 hosts must take (RFC 791).
            Some(mtu) if mtu < 1280 && self.ipv6.is_some() => {
                invalid(format!("MTU {mtu} is too small for IPv6 (1280 or more)"))
            }
            Some(mtu) if !(576..=65535).contains(&mtu) => {
                invalid(format!("MTU {mtu} is not within 576 to 65535"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the address can be a host's in the subnet: inside it, and neither the network's nor the broadcast address.
pub(crate) fn is_host_of(subnet: Ipv4Net, address: Ipv4Addr) -> bool {
    subnet.contains(&address) && address != subnet.network() && address != subnet.broadcast()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn network() -> Network {
        Network {
            name: "default".into(),
            bridge: "sampan0".into(),
            table: "sampan".into(),
            ipv4: "10.77.3.0/24".parse().unwrap(),
            ipv4_gateway: "10.77.3.1".parse().unwrap(),
            ipv6: Some("fd77:1:2:3::/64".parse().unwrap()),
            ipv6_gateway: Some("fd77:1:2:3::1".parse().unwrap()),
            mtu: None,
        }
    }

    #[test]
    fn addresses_go_together() {
        let network = network();
        let ipv4 = network.free_ipv4(|a| a.octets()[3] < 9).unwrap();
        assert_eq!(ipv4, "10.77.3.9".parse::<Ipv4Addr>().unwrap());
        assert_eq!(network.ipv6_of(ipv4), Some("fd77:1:2:3::9".parse().unwrap()));
        assert_eq!(Network::mac_of(ipv4), [0x02, 0x5a, 10, 77, 3, 9]);
        assert_eq!(network.ipv6_of(network.ipv4_gateway), None);
        assert_eq!(network.ipv6_of("10.0.0.1".parse().unwrap()), None);
    }

    #[test]
    fn the_gateway_is_never_given_and_a_full_subnet_says_so() {
        let network = network();
        assert_eq!(network.free_ipv4(|_| false).unwrap(), "10.77.3.2".parse::<Ipv4Addr>().unwrap());
        let error = network.free_ipv4(|_| true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exhausted);
        assert_eq!(error.causes(), ["all addresses of 10.77.3.0/24 are taken"]);
    }

    #[test]
    fn refused_networks() {
        type Change = fn(&mut Network);
        let cases: [(&str, Change); 6] = [
            ("cannot be a link's name", |n| n.bridge = "a-name-too-long-".into()),
            ("cannot be a firewall table's name", |n| n.table = "a b".into()),
            ("no room for a container", |n| n.ipv4 = "10.77.3.0/31".parse().unwrap()),
            ("is no host address of 10.77.3.0/24", |n| n.ipv4_gateway = "10.77.3.255".parse().unwrap()),
            ("go together", |n| n.ipv6_gateway = None),
            ("too small for IPv6", |n| n.mtu = Some(1000)),
        ];
        assert!(network().check().is_ok());
        for (text, change) in cases {
            let mut network = network();
            change(&mut network);
            let error = network.check().unwrap_err();
            assert_eq!(error.to_string(), "invalid network default");
            assert!(error.causes()[0].contains(text), "{error:?}");
        }
    }

    #[test]
    fn link_names() {
        assert_eq!(link_name("0123456789abcdef"), "sp0123456789a");
        assert!(is_endpoint_link("sp0123456789a"));
        assert!(!is_endpoint_link("sp0"));
        assert!(!is_endpoint_link("eth0"));
    }
}
