//! A network's names, read anew when its directory has changed.

use crate::contract::{Entry, NETWORK_FILE, NetworkEntry, read};
use std::{
    collections::HashMap,
    ffi::OsStr,
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How coarse the kernel's time stamps of files may be (a tick of its clock, 10 ms at most): a change so soon after
/// another can leave the same stamp.
const STAMP_GRAIN: Duration = Duration::from_millis(20);

/// What a network knows of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// Addresses of both families; the name exists even where one of them has none.
    Addresses(Vec<IpAddr>),
    /// It is the reverse name of this endpoint's address.
    Name(String),
    /// It is the reverse name of an address of the network that nobody has.
    Nobody,
    /// The network does not know it: others may.
    Unknown,
}

/// One network's names.
#[derive(Debug)]
pub(crate) struct Zone {
    name: String,
    folder: PathBuf,
    network: NetworkEntry,
    entries: Vec<Entry>,
    /// Names that are a container's own, in lower case.
    names: HashMap<String, Vec<usize>>,
    /// Host names, aliases and short ids, in lower case.
    aliases: HashMap<String, Vec<usize>>,
    /// The directory's time stamp when it was read; `None` if it cannot be relied on.
    stamp: Option<SystemTime>,
    turn: usize,
}

impl Zone {
    /// The network in a folder; `None` if there is none.
    pub(crate) fn open(folder: &Path) -> io::Result<Option<Self>> {
        let Some(network) = read(&folder.join(NETWORK_FILE))? else { return Ok(None) };
        let name = folder.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let mut zone = Self {
            name,
            folder: folder.to_owned(),
            network,
            entries: Vec::new(),
            names: HashMap::new(),
            aliases: HashMap::new(),
            stamp: None,
            turn: 0,
        };
        zone.refresh()?;
        Ok(Some(zone))
    }

    /// The network itself, as it was when last read.
    pub(crate) fn network(&self) -> &NetworkEntry {
        &self.network
    }

    /// How many endpoints there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The endpoint with this link-layer address.
    pub(crate) fn by_mac(&self, mac: &[u8]) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.mac == mac)
    }

    /// Reads the directory anew if it has changed. `NotFound` when the network has gone.
    pub(crate) fn refresh(&mut self) -> io::Result<()> {
        let stamp = fs::metadata(&self.folder)?.modified()?;
        if self.stamp == Some(stamp) {
            return Ok(());
        }
        self.network = read(&self.folder.join(NETWORK_FILE))?.ok_or(io::ErrorKind::NotFound)?;
        let mut entries = Vec::new();
        for file in fs::read_dir(&self.folder)? {
            let path = file?.path();
            if path.extension() != Some(OsStr::new("json")) || path.ends_with(NETWORK_FILE) {
                continue;
            }
            // One that has gone since is no endpoint; one that makes no sense must not stop the others' names.
            if let Ok(Some(entry)) = read::<Entry>(&path) {
                let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                entries.push((id, entry));
            }
        }
        // In the order of addresses, so that answers do not depend on the file system's order.
        entries.sort_by_key(|(_, entry)| entry.ipv4);
        self.index(entries);
        let age = SystemTime::now().duration_since(stamp).unwrap_or_default();
        self.stamp = (age > STAMP_GRAIN).then_some(stamp);
        Ok(())
    }

    fn index(&mut self, entries: Vec<(String, Entry)>) {
        self.names.clear();
        self.aliases.clear();
        for (number, (id, entry)) in entries.iter().enumerate() {
            self.names.entry(entry.name.to_lowercase()).or_default().push(number);
            let short = id.get(..12).unwrap_or(id);
            for alias in entry.aliases.iter().map(String::as_str).chain([entry.hostname.as_str(), short]) {
                let numbers = self.aliases.entry(alias.to_lowercase()).or_default();
                if numbers.last() != Some(&number) {
                    numbers.push(number);
                }
            }
        }
        self.entries = entries.into_iter().map(|(_, entry)| entry).collect();
    }

    /// What the network knows of a name, given without a dot at the end.
    pub(crate) fn look_up(&mut self, name: &str) -> Known {
        let name = name.to_lowercase();
        if name.ends_with(".in-addr.arpa") || name.ends_with(".ip6.arpa") {
            return self.reverse(&name);
        }
        let bare = name.strip_suffix(self.name.as_str()).and_then(|name| name.strip_suffix('.'));
        let find = |name: &str| self.names.get(name).or_else(|| self.aliases.get(name));
        let Some(numbers) = find(&name).or_else(|| find(bare?)) else { return Known::Unknown };
        // Several endpoints of one name: each in its turn is the first, which is the one most programs take.
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn % numbers.len();
        let entries = numbers[first..].iter().chain(&numbers[..first]).map(|number| &self.entries[*number]);
        let addresses = entries.flat_map(|entry| {
            [Some(IpAddr::V4(entry.ipv4)), entry.ipv6.map(IpAddr::V6)].into_iter().flatten()
        });
        Known::Addresses(addresses.collect())
    }

    fn reverse(&self, name: &str) -> Known {
        let Some(address) = reverse_address(name) else { return Known::Unknown };
        let ours = match address {
            IpAddr::V4(address) => self.network.ipv4.contains(&address),
            IpAddr::V6(address) => self.network.ipv6.is_some_and(|subnet| subnet.contains(&address)),
        };
        let holder =
            self.entries.iter().find(|e| address == e.ipv4 || Some(address) == e.ipv6.map(IpAddr::V6));
        match holder {
            Some(entry) => Known::Name(format!("{}.{}", entry.name, self.name)),
            None if ours => Known::Nobody,
            None => Known::Unknown,
        }
    }
}

/// The address of a reverse name in lower case (RFC 1035, section 3.5; RFC 3596, section 2.5).
fn reverse_address(name: &str) -> Option<IpAddr> {
    if let Some(name) = name.strip_suffix(".in-addr.arpa") {
        let octets = name.split('.').rev().map(|octet| octet.parse().ok()).collect::<Option<Vec<u8>>>()?;
        return Some(<[u8; 4]>::try_from(octets).ok()?.into());
    }
    let nibbles = name.strip_suffix(".ip6.arpa")?.split('.').rev();
    let mut bits = 0u128;
    let mut count = 0;
    for nibble in nibbles {
        let value = u128::from_str_radix(nibble, 16).ok().filter(|_| nibble.len() == 1)?;
        bits = bits << 4 | value;
        count += 1;
    }
    (count == 32).then(|| IpAddr::V6(bits.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contract::tests::{entry, network},
        publish, publish_network, unpublish, unpublish_network,
    };

    fn addresses(texts: &[&str]) -> Known {
        Known::Addresses(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn zone(dir: &Path) -> Zone {
        publish_network(dir, "net", &network()).unwrap();
        publish(dir, "net", "0123456789abcdef", &entry("db", 2)).unwrap();
        publish(dir, "net", "fedcba9876543210", &entry("Web", 3)).unwrap();
        Zone::open(&dir.join("net")).unwrap().unwrap()
    }

    #[test]
    fn names_of_an_endpoint() {
        let dir = tempfile::tempdir().unwrap();
        let mut zone = zone(dir.path());
        for name in ["db", "DB", "db.net", "db-host", "0123456789ab", "0123456789ab.net"] {
            assert_eq!(zone.look_up(name), addresses(&["10.77.3.2", "fd77:1:2:3::2"]), "{name}");
        }
        assert_eq!(zone.look_up("web"), addresses(&["10.77.3.3", "fd77:1:2:3::3"]));
        for name in ["d", "db.other", "example.org", "net", ".net", "0123456789abcdef"] {
            assert_eq!(zone.look_up(name), Known::Unknown, "{name}");
        }
    }

    #[test]
    fn a_shared_alias_goes_round() {
        let dir = tempfile::tempdir().unwrap();
        let mut zone = zone(dir.path());
        let first = |known| match known {
            Known::Addresses(addresses) => (addresses.len(), addresses[0]),
            other => panic!("{other:?}"),
        };
        let (one, two) = (first(zone.look_up("service")), first(zone.look_up("service")));
        assert_eq!((one.0, two.0), (4, 4));
        assert_ne!(one.1, two.1);
        assert_eq!(first(zone.look_up("service")), one);
    }

    #[test]
    fn a_containers_own_name_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut zone = zone(dir.path());
        let mut thief = entry("thief", 4);
        thief.aliases = vec!["db".into()];
        publish(dir.path(), "net", "aaaaaaaaaaaaaaaa", &thief).unwrap();
        zone.refresh().unwrap();
        assert_eq!(zone.look_up("db"), addresses(&["10.77.3.2", "fd77:1:2:3::2"]));
    }

    #[test]
    fn reverse_names() {
        let dir = tempfile::tempdir().unwrap();
        let mut zone = zone(dir.path());
        assert_eq!(zone.look_up("2.3.77.10.in-addr.arpa"), Known::Name("db.net".into()));
        let ipv6 = "3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.7.7.d.f.ip6.arpa";
        assert_eq!(zone.look_up(ipv6), Known::Name("Web.net".into()));
        assert_eq!(zone.look_up("9.3.77.10.in-addr.arpa"), Known::Nobody);
        for name in ["8.8.8.8.in-addr.arpa", "3.77.10.in-addr.arpa", "x.in-addr.arpa", "10.ip6.arpa"] {
            assert_eq!(zone.look_up(name), Known::Unknown, "{name}");
        }
    }

    #[test]
    fn changes_are_seen_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut zone = zone(dir.path());
        for round in 0..50 {
            unpublish(dir.path(), "net", "0123456789abcdef").unwrap();
            zone.refresh().unwrap();
            assert_eq!(zone.look_up("db"), Known::Unknown, "round {round}");
            publish(dir.path(), "net", "0123456789abcdef", &entry("db", 2)).unwrap();
            zone.refresh().unwrap();
            assert_ne!(zone.look_up("db"), Known::Unknown, "round {round}");
        }
        std::fs::write(dir.path().join("net/broken.json"), "{").unwrap();
        zone.refresh().unwrap();
        assert_eq!(zone.len(), 2, "a damaged file does not stop the others");
        unpublish_network(dir.path(), "net").unwrap();
        assert_eq!(zone.refresh().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
