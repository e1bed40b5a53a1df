//! Which program holds a port of the host.

use rustix::{
    io::Errno,
    net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt},
};
use sampan_types::Protocol;
use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Whether no listener has a port on an address (unspecified: on any of the family): the kernel would let a program
/// have it. False too where a connection goes out from the port, or a datagram socket that talks to one peer only.
///
/// # Errors
/// `AddrNotAvailable` if the address is not this host's; others of bind(2).
pub(crate) fn is_free(protocol: Protocol, address: SocketAddr) -> io::Result<bool> {
    let (kind, number) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = match net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(number)) {
        Ok(socket) => socket,
        // A host without the protocol or the family has no listener of it.
        Err(Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT) => return Ok(true),
        Err(errno) => return Err(errno.into()),
    };
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if protocol == Protocol::Tcp {
        // Connections that are closing (TIME_WAIT) hold no port against a listener.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    match net::bind(&socket, &address) {
        Ok(()) => Ok(true),
        Err(Errno::ADDRINUSE) => Ok(false),
        // Whether a listener is there cannot be told; the firewall needs no right to ports.
        Err(Errno::ACCESS) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// A socket that takes what comes to a port from anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listener {
    /// The address it is bound to; unspecified is every address of the family (of both, for IPv6: whether a socket
    /// takes IPv4 too cannot be seen from outside).
    pub(crate) address: IpAddr,
    /// The port.
    pub(crate) port: u16,
    /// The socket's inode.
    inode: u64,
}

/// The listeners of a protocol in the calling thread's network namespace.
///
/// # Errors
/// Those of reading `/proc` (proc_pid_net(5)).
pub(crate) fn listeners(protocol: Protocol) -> io::Result<Vec<Listener>> {
    let (files, state) = match protocol {
        // TCP_LISTEN, and the state of a socket that is connected to nobody (net/tcp_states.h).
        Protocol::Tcp => (["tcp", "tcp6"], "0A"),
        Protocol::Udp => (["udp", "udp6"], "07"),
        // The kernel lists SCTP otherwise; a taken port is found out when somebody connects.
        Protocol::Sctp => return Ok(Vec::new()),
    };
    let mut found = Vec::new();
    for file in files {
        match fs::read_to_string(format!("/proc/thread-self/net/{file}")) {
            Ok(text) => found.extend(text.lines().skip(1).filter_map(|line| parse(line, state))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// One line: number, local address and port, remote ones, state, and, as tenth word, the inode.
fn parse(line: &str, wanted: &str) -> Option<Listener> {
    let mut words = line.split_ascii_whitespace();
    let (address, port) = words.nth(1)?.split_once(':')?;
    let state = words.nth(1)?;
    let inode = words.nth(5)?.parse().ok()?;
    (state == wanted).then_some(Listener {
        address: parse_address(address)?,
        port: u16::from_str_radix(port, 16).ok()?,
        inode,
    })
}

/// Addresses are printed as 32-bit numbers in the host's byte order.
fn parse_address(text: &str) -> Option<IpAddr> {
    let word = |text: &str| Some(u32::from_str_radix(text, 16).ok()?.to_ne_bytes());
    match text.len() {
        8 => Some(Ipv4Addr::from(word(text)?).into()),
        32 => {
            let mut octets = [0; 16];
            for (n, part) in octets.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(text.get(n * 8..n * 8 + 8)?)?);
            }
            Some(Ipv6Addr::from(octets).to_canonical())
        }
        _ => None,
    }
}

impl Listener {
    /// Whether publishing its port on `host_ip` (`None`: on every address) would take connections from it.
    pub(crate) fn collides(&self, host_ip: Option<IpAddr>) -> bool {
        match (host_ip, self.address) {
            (None, _) => true,
            (Some(ip), address) if ip.is_unspecified() => ip.is_ipv4() == address.is_ipv4() || any6(address),
            (Some(ip), address) if address.is_unspecified() => {
                ip.is_ipv4() == address.is_ipv4() || any6(address)
            }
            (Some(ip), address) => ip == address,
        }
    }

    /// The program that has the socket, as `nginx (pid 812)`; `None` if no process that can be looked into has it.
    pub(crate) fn holder(&self) -> Option<String> {
        let wanted = format!("socket:[{}]", self.inode);
        fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
            let pid: u32 = process.file_name().to_str()?.parse().ok()?;
            let mut open = fs::read_dir(process.path().join("fd")).ok()?.flatten();
            open.find(|fd| {
                fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str())
            })?;
            let name = fs::read_to_string(process.path().join("comm")).ok()?;
            Some(format!("{} (pid {pid})", name.trim_end()))
        })
    }
}

fn any6(address: IpAddr) -> bool {
    address == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str =
        "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 25153 1";
    const TCP6: &str = "   1: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A \
                        00000000:00000000 00:00000000 00000000     0        0 7 1";

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_proc() {
        let listener = parse(TCP, "0A").unwrap();
        assert_eq!(
            (listener.address, listener.port, listener.inode),
            ("127.0.0.1".parse().unwrap(), 8080, 25153)
        );
        assert_eq!(parse(TCP, "07"), None);
        let listener = parse(TCP6, "0A").unwrap();
        assert_eq!((listener.address, listener.port), ("::".parse().unwrap(), 80));
    }

    #[test]
    fn which_addresses_collide() {
        let on = |address: &str| Listener { address: address.parse().unwrap(), port: 80, inode: 0 };
        let ip = |text: &str| Some(text.parse().unwrap());
        assert!(on("127.0.0.1").collides(None));
        assert!(on("127.0.0.1").collides(ip("0.0.0.0")));
        assert!(!on("127.0.0.1").collides(ip("192.0.2.1")));
        assert!(on("0.0.0.0").collides(ip("192.0.2.1")));
        assert!(!on("0.0.0.0").collides(ip("::")));
        assert!(on("::").collides(ip("192.0.2.1")));
    }

    #[test]
    fn this_program_is_found_as_holder() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let all = listeners(Protocol::Tcp).unwrap();
        let listener = all.iter().find(|listener| listener.port == port).unwrap();
        assert!(listener.holder().unwrap().ends_with(&format!("(pid {})", std::process::id())));
    }
}
