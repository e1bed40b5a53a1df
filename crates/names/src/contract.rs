//! What the engine tells: files of networks and endpoints.

use ipnet::{Ipv4Net, Ipv6Net};
use sampan_types::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    fs,
    io::{self, ErrorKind as Io},
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
};

/// A network to serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkEntry {
    /// The bridge's link name.
    pub bridge: String,
    /// IPv4 subnet.
    pub ipv4: Ipv4Net,
    /// The address to serve on, the endpoints' router and resolver.
    pub ipv4_gateway: Ipv4Addr,
    /// IPv6 subnet, where the network has one.
    pub ipv6: Option<Ipv6Net>,
    /// The IPv6 address to serve on.
    pub ipv6_gateway: Option<Ipv6Addr>,
}

/// An endpoint's names and addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The container's name. It goes before other containers' host names and aliases.
    pub name: String,
    /// The container's host name.
    pub hostname: String,
    /// Further names; several endpoints may share one, and are then answered in turn.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// IPv4 address.
    pub ipv4: Ipv4Addr,
    /// IPv6 address, where the endpoint has one.
    pub ipv6: Option<Ipv6Addr>,
    /// Link-layer address, by which DHCP knows the endpoint.
    pub mac: [u8; 6],
}

/// The file of a network.
pub(crate) const NETWORK_FILE: &str = "network.json";
/// The file in which the process says why it does not serve a network.
pub(crate) const PROBLEM_FILE: &str = "problem";

/// Tells of a network, or of a change of it. `dir` is the directory that is shared with the process.
///
/// # Errors
/// Those of writing the file; [`ErrorKind::InvalidInput`] for a name that cannot be a file's.
pub fn publish_network(dir: &Path, network: &str, entry: &NetworkEntry) -> Result<()> {
    let folder = folder(dir, network)?;
    let file = folder.join(NETWORK_FILE);
    // Most often it is there already; then nothing needs to be read anew.
    if read::<NetworkEntry>(&file).is_ok_and(|known| known.as_ref() == Some(entry)) {
        return Ok(());
    }
    fs::create_dir_all(&folder).map_err(|error| Error::io(cannot("make", &folder), error))?;
    write(&file, entry)
}

/// Ends the serving of a network, and forgets its endpoints. Nothing happens if it is not served.
///
/// # Errors
/// Those of removing the files.
pub fn unpublish_network(dir: &Path, network: &str) -> Result<()> {
    let folder = folder(dir, network)?;
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != Io::NotFound => Err(Error::io(cannot("remove", &folder), error)),
        _ => Ok(()),
    }
}

/// Tells of an endpoint, or of a change of it; `id` is the container's.
///
/// # Errors
/// Those of writing the file; [`ErrorKind::NotFound`] before [`publish_network`].
pub fn publish(dir: &Path, network: &str, id: &str, entry: &Entry) -> Result<()> {
    write(&endpoint(dir, network, id)?, entry)
}

/// Forgets an endpoint. Nothing happens if it is not known.
///
/// # Errors
/// Those of removing the file.
pub fn unpublish(dir: &Path, network: &str, id: &str) -> Result<()> {
    let file = endpoint(dir, network, id)?;
    match fs::remove_file(&file) {
        Err(error) if error.kind() != Io::NotFound => Err(Error::io(cannot("remove", &file), error)),
        _ => Ok(()),
    }
}

/// Why the process does not serve a network (another program has the port, say); `None` if nothing is known to be
/// wrong.
pub fn problem(dir: &Path, network: &str) -> Option<String> {
    fs::read_to_string(folder(dir, network).ok()?.join(PROBLEM_FILE)).ok()
}

/// What a file says; `None` if there is none.
pub(crate) fn read<T: DeserializeOwned>(file: &Path) -> io::Result<Option<T>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == Io::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Replaces a file at once: readers see the old one or the new one.
fn write(file: &Path, value: &impl Serialize) -> Result<()> {
    let fail = |error: io::Error| Error::io(cannot("write", file), error);
    let bytes = serde_json::to_vec(value).map_err(|error| fail(error.into()))?;
    let mut new = file.as_os_str().to_owned();
    // The process id keeps two writers of one file apart; what does not end in .json is not read.
    new.push(format!(".{}", std::process::id()));
    fs::write(&new, bytes).map_err(fail)?;
    fs::rename(&new, file).map_err(fail)
}

fn folder(dir: &Path, network: &str) -> Result<PathBuf> {
    Ok(dir.join(plain(network)?))
}

fn endpoint(dir: &Path, network: &str, id: &str) -> Result<PathBuf> {
    Ok(folder(dir, network)?.join(format!("{}.json", plain(id)?)))
}

/// The text, if it can be a file's name here: neither hidden nor a path.
fn plain(text: &str) -> Result<&str> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    if !text.is_empty() && !text.starts_with('.') && text.bytes().all(good) {
        return Ok(text);
    }
    Err(Error::new(ErrorKind::InvalidInput, format!("cannot serve names for {text:?}"))
        .because("only names of [a-zA-Z0-9_.-] can be served"))
}

fn cannot(verb: &str, path: &Path) -> String {
    format!("cannot {verb} {}", path.display())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn network() -> NetworkEntry {
        NetworkEntry {
            bridge: "sampan0".into(),
            ipv4: "10.77.3.0/24".parse().unwrap(),
            ipv4_gateway: "10.77.3.1".parse().unwrap(),
            ipv6: Some("fd77:1:2:3::/64".parse().unwrap()),
            ipv6_gateway: Some("fd77:1:2:3::1".parse().unwrap()),
        }
    }

    pub(crate) fn entry(name: &str, number: u8) -> Entry {
        Entry {
            name: name.into(),
            hostname: format!("{name}-host"),
            aliases: vec!["service".into()],
            ipv4: Ipv4Addr::new(10, 77, 3, number),
            ipv6: Some(Ipv6Addr::new(0xfd77, 1, 2, 3, 0, 0, 0, number.into())),
            mac: [2, 0x5a, 10, 77, 3, number],
        }
    }

    #[test]
    fn published_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let error = publish(dir, "net", "abc", &entry("db", 2)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        publish_network(dir, "net", &network()).unwrap();
        publish_network(dir, "net", &network()).unwrap();
        publish(dir, "net", "abc", &entry("db", 2)).unwrap();
        assert_eq!(read::<Entry>(&dir.join("net/abc.json")).unwrap(), Some(entry("db", 2)));
        assert_eq!(fs::read_dir(dir.join("net")).unwrap().count(), 2, "nothing temporary stays");
        for _ in 0..2 {
            unpublish(dir, "net", "abc").unwrap();
        }
        assert_eq!(read::<Entry>(&dir.join("net/abc.json")).unwrap(), None);
        for _ in 0..2 {
            unpublish_network(dir, "net").unwrap();
        }
        assert!(!dir.join("net").exists());
    }

    #[test]
    fn names_that_are_paths_are_refused() {
        for bad in ["", "..", "a/b", ".x", "a b"] {
            let error = unpublish_network(Path::new("/nonexistent"), bad).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}");
        }
    }
}
