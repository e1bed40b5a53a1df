//! Choosing subnets that nothing on the host uses.

use crate::{host::Host, link};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use sampan_types::{Error, ErrorKind, Result};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The private blocks (RFC 1918, section 3), the roomiest first: first address and prefix length.
const POOLS: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
];
/// The prefix length of a chosen IPv4 subnet: room for 253 containers.
const IPV4_PREFIX: u8 = 24;
/// Unique local addresses with a locally assigned prefix (RFC 4193, section 3.1).
const ULA: u128 = 0xfd << 120;
/// The prefix length that address autoconfiguration works with (RFC 4291, section 2.5.1).
const IPV6_PREFIX: u8 = 64;

impl Host {
    /// A private IPv4 /24 and a unique local IPv6 /64 that overlap no address or route of the host, nor any subnet in
    /// `taken`. The search begins where `seed` says, so that two engines with different seeds choose differently
    /// though neither sees the other's networks.
    ///
    /// # Errors
    /// [`ErrorKind::Exhausted`] when the host's routes cover all private addresses; those of asking the kernel.
    pub fn choose_subnets(&mut self, seed: &[u8], taken: &[IpNet]) -> Result<(Ipv4Net, Ipv6Net)> {
        const WHAT: &str = "cannot choose a subnet";
        let used = self.route().and_then(link::used_prefixes).map_err(|refusal| refusal.into_error(WHAT))?;
        let mut used: Vec<IpNet> = used
            .into_iter()
            // A default route (prefix length 0) says nothing about which addresses are in use.
            .filter_map(|(address, prefix)| {
                IpNet::new(address, prefix).ok().filter(|net| net.prefix_len() > 0)
            })
            .collect();
        used.extend(taken);
        match (free_ipv4(seed, &used), free_ipv6(seed, &used)) {
            (Some(ipv4), Some(ipv6)) => Ok((ipv4, ipv6)),
            _ => Err(Error::new(ErrorKind::Exhausted, WHAT)
                .because("the host's addresses and routes cover all private ones")
                .hint("give the network a subnet of its own that is free")),
        }
    }
}

fn free_ipv4(seed: &[u8], used: &[IpNet]) -> Option<Ipv4Net> {
    let start = hash(seed);
    POOLS.iter().find_map(|&(first, prefix)| {
        let count = 1u64 << (IPV4_PREFIX - prefix);
        (0..count).map(|n| (start.wrapping_add(n)) % count).find_map(|n| {
            let address = Ipv4Addr::from_bits(first.to_bits() + ((n as u32) << (32 - IPV4_PREFIX)));
            let subnet = Ipv4Net::new(address, IPV4_PREFIX).ok()?;
            used.iter().all(|net| !overlap(*net, subnet.into())).then_some(subnet)
        })
    })
}

fn free_ipv6(seed: &[u8], used: &[IpNet]) -> Option<Ipv6Net> {
    // 40 bits of global id, 16 of subnet number; a used one makes the next global id the candidate.
    let start = hash(seed);
    (0..1024u64).find_map(|n| {
        let global = u128::from(start.wrapping_add(n) & 0xff_ffff_ffff);
        let subnet = Ipv6Net::new(Ipv6Addr::from_bits(ULA | global << 80), IPV6_PREFIX).ok()?;
        used.iter().all(|net| !overlap(*net, subnet.into())).then_some(subnet)
    })
}

fn overlap(a: IpNet, b: IpNet) -> bool {
    a.contains(&b.network()) || b.contains(&a.network())
}

/// FNV-1a, 64 bits: spreads seeds that differ little.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn seeds_differ_and_are_steady() {
        let one = free_ipv4(b"/var/lib/sampan", &[]).unwrap();
        assert_eq!(one, free_ipv4(b"/var/lib/sampan", &[]).unwrap());
        assert_ne!(one, free_ipv4(b"/tmp/other", &[]).unwrap());
        assert_eq!((one.addr().octets()[0], one.prefix_len()), (10, 24));
        let ipv6 = free_ipv6(b"/var/lib/sampan", &[]).unwrap();
        assert_eq!((ipv6.addr().octets()[0], ipv6.prefix_len()), (0xfd, 64));
        assert_ne!(ipv6, free_ipv6(b"/tmp/other", &[]).unwrap());
    }

    #[test]
    fn what_is_used_is_passed_over() {
        let first = free_ipv4(b"x", &[]).unwrap();
        let second = free_ipv4(b"x", &[first.into()]).unwrap();
        assert!(!overlap(first.into(), second.into()));
        // One address inside is enough.
        let third = free_ipv4(b"x", &nets(&[&format!("{}/32", first.hosts().nth(7).unwrap())])).unwrap();
        assert_eq!(third, second);
        let ipv6 = free_ipv6(b"x", &[]).unwrap();
        assert_ne!(free_ipv6(b"x", &[ipv6.into()]).unwrap(), ipv6);
    }

    #[test]
    fn a_route_over_all_of_ten_leads_to_another_block() {
        let subnet = free_ipv4(b"x", &nets(&["10.0.0.0/8"])).unwrap();
        assert_eq!(subnet.addr().octets()[0], 172);
        assert_eq!(free_ipv4(b"x", &nets(&["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"])), None);
    }
}
