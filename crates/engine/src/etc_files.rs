//! `hostname`, `hosts` and `resolv.conf` of a container.

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};
use sampan_types::{EndpointRecord, Error, Mount, NetworkMode, Result};
use std::{fmt::Write as _, io::Write as _, net::IpAddr, path::Path};

/// Writes the three files into `dir`. `resolver` is the address of the network's own name server; without one the
/// host's configuration is copied, minus loopback addresses, which mean something else inside.
pub(crate) fn write(
    dir: &Path,
    hostname: &str,
    network: &NetworkMode,
    endpoint: Option<&EndpointRecord>,
    resolver: Option<IpAddr>,
) -> Result<()> {
    let put = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text)
            .map_err(|source| Error::io(format!("cannot write {}", path.display()), source))
    };
    put("hostname", format!("{hostname}\n"))?;
    put("hosts", hosts(hostname, network, endpoint))?;
    put("resolv.conf", resolv_conf(network, resolver))
}

/// Puts the files of a system container into its own root filesystem, which manages them from then on: each only
/// where the container has no version of its own in its writable layer.
///
/// A link on the way is replaced, never followed: the layer is a container's, and its links point where it likes.
pub(crate) fn install(dir: &Path, rootfs: &Mount) -> Result<()> {
    let Mount::Overlay { upper: Some(upper), .. } = rootfs else {
        return Ok(());
    };
    let etc = upper.join("etc");
    let failed = |source| Error::io(format!("cannot write {}", etc.display()), source);
    match std::fs::create_dir(&etc) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        result => result.map_err(failed)?,
    }
    let folder = rustix::fs::openat(
        rustix::fs::CWD,
        &etc,
        OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|errno| failed(errno.into()))?;
    for name in ["hostname", "hosts", "resolv.conf"] {
        let text = std::fs::read(dir.join(name)).map_err(failed)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&folder, name, flags, Mode::from_raw_mode(0o644)) {
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed(errno.into())),
            Ok(file) => std::fs::File::from(file).write_all(&text).map_err(failed)?,
        }
    }
    Ok(())
}

fn hosts(hostname: &str, network: &NetworkMode, endpoint: Option<&EndpointRecord>) -> String {
    if *network == NetworkMode::Host
        && let Ok(text) = std::fs::read_to_string("/etc/hosts")
    {
        return text;
    }
    let mut text = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n\
                    ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
        .to_owned();
    if let Some(endpoint) = endpoint {
        let _ = writeln!(text, "{}\t{hostname}", endpoint.ipv4);
        if let Some(ipv6) = endpoint.ipv6 {
            let _ = writeln!(text, "{ipv6}\t{hostname}");
        }
    }
    text
}

fn resolv_conf(network: &NetworkMode, resolver: Option<IpAddr>) -> String {
    let host = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    match (network, resolver) {
        (NetworkMode::Host, _) => host,
        (_, Some(resolver)) => {
            let search =
                host.lines().filter(|line| line.starts_with("search ") || line.starts_with("domain "));
            search.fold(format!("nameserver {resolver}\n"), |text, line| text + line + "\n")
        }
        (_, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_its_own_addresses() {
        let endpoint = EndpointRecord {
            network: "bridge".into(),
            ipv4: [10, 1, 2, 3].into(),
            ipv6: Some("fd00::3".parse().unwrap()),
            mac: [2, 0, 0, 0, 0, 1],
        };
        let text = hosts("web", &NetworkMode::Bridge, Some(&endpoint));
        assert!(text.contains("10.1.2.3\tweb\n") && text.contains("fd00::3\tweb\n"));
        assert!(hosts("web", &NetworkMode::None, None).contains("localhost"));
    }

    #[test]
    fn asks_the_networks_own_server() {
        let text = resolv_conf(&NetworkMode::Bridge, Some([10, 1, 2, 1].into()));
        assert!(text.starts_with("nameserver 10.1.2.1\n"));
    }
}
