//! The host's resolvers, from `/etc/resolv.conf` (resolv.conf(5)).

use std::{
    fs,
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    path::PathBuf,
    time::SystemTime,
};

/// The file, read anew when it changes. Since the process shares the host's network, resolvers on loopback addresses
/// (systemd-resolved, dnsmasq) are asked as they are, with all they know of links and domains.
#[derive(Debug)]
pub(crate) struct Resolvers {
    file: PathBuf,
    stamp: Option<SystemTime>,
    addresses: Vec<SocketAddr>,
}

impl Resolvers {
    /// The resolvers in a file; none where it cannot be read.
    pub(crate) fn new(file: impl Into<PathBuf>) -> Self {
        Self { file: file.into(), stamp: None, addresses: Vec::new() }
    }

    /// The resolvers in their order, without this process's own addresses: asking them would never end.
    pub(crate) fn addresses(&mut self, own: &[IpAddr]) -> Vec<SocketAddr> {
        let stamp = fs::metadata(&self.file).and_then(|file| file.modified()).ok();
        if stamp.is_none() || stamp != self.stamp {
            self.stamp = stamp;
            self.addresses = fs::read_to_string(&self.file).map(|text| parse(&text)).unwrap_or_default();
        }
        self.addresses.iter().filter(|address| !own.contains(&address.ip())).copied().collect()
    }
}

fn parse(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()).flatten()
    });
    servers.filter_map(address).collect()
}

/// An address, for a link-local one with its link (`fe80::1%eth0`).
fn address(text: &str) -> Option<SocketAddr> {
    let Some((address, link)) = text.split_once('%') else {
        return Some(SocketAddr::new(text.parse().ok()?, 53));
    };
    let address: Ipv6Addr = address.parse().ok()?;
    let index = fs::read_to_string(format!("/sys/class/net/{link}/ifindex")).ok();
    let scope = index.and_then(|index| index.trim().parse().ok()).or_else(|| link.parse().ok())?;
    Some(SocketAddrV6::new(address, 53, 0, scope).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file() {
        let text = "# nameserver 9.9.9.9\nsearch example.org\nnameserver 192.0.2.1 # first\n\
                    nameserver\t2001:db8::1\nnameserver nonsense\nnameserver fe80::1%7\noptions edns0\n";
        let found: Vec<String> = parse(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1%7]:53"]);
    }

    #[test]
    fn changes_are_seen_and_own_addresses_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("resolv.conf");
        let mut resolvers = Resolvers::new(&file);
        assert!(resolvers.addresses(&[]).is_empty());
        fs::write(&file, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n").unwrap();
        assert_eq!(resolvers.addresses(&[]).len(), 2);
        assert_eq!(resolvers.addresses(&["192.0.2.1".parse().unwrap()]), ["192.0.2.2:53".parse().unwrap()]);
    }
}
