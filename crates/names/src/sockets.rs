//! The sockets that a network is served on.

use crate::contract::NetworkEntry;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};
use tokio::net::{TcpListener, UdpSocket};

/// The ports of DNS (RFC 1035, section 4.2) and of DHCP servers (RFC 2131, section 4.1).
const DNS: u16 = 53;
const DHCP: u16 = 67;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;

/// A socket that could not be had.
#[derive(Debug)]
pub(crate) struct Unbound {
    what: String,
    source: io::Error,
}

impl std::fmt::Display for Unbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot serve {}: {}", self.what, self.source)
    }
}

/// Takes port 53 of the network's addresses, whether the bridge has them already or not.
pub(crate) fn bind_dns(network: &NetworkEntry) -> Result<(Vec<UdpSocket>, Vec<TcpListener>), Unbound> {
    let gateways = [Some(IpAddr::V4(network.ipv4_gateway)), network.ipv6_gateway.map(IpAddr::V6)];
    let (mut udp, mut tcp) = (Vec::new(), Vec::new());
    for address in gateways.into_iter().flatten().map(|address| SocketAddr::new(address, DNS)) {
        let unbound = |source| Unbound { what: format!("DNS on {address}"), source };
        udp.push(bind_udp(address).map_err(unbound)?);
        tcp.push(bind_tcp(address).map_err(unbound)?);
    }
    Ok((udp, tcp))
}

/// Takes the port of DHCP servers on a bridge. Clients without an address send to everybody on their link; the socket
/// is tied to the bridge, so that other links' clients are not heard and other servers not disturbed.
pub(crate) fn bind_dhcp(bridge: &str) -> Result<UdpSocket, Unbound> {
    let bind = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        socket.bind_device(Some(bridge.as_bytes()))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.bind(&SockAddr::from(SocketAddr::from((Ipv4Addr::UNSPECIFIED, DHCP))))?;
        UdpSocket::from_std(socket.into())
    };
    bind().map_err(|source| Unbound { what: format!("DHCP on {bridge}"), source })
}

fn socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), Some(protocol))?;
    // The address may come later than this process, and come back.
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true)?,
        SocketAddr::V6(_) => {
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        }
    }
    Ok(socket)
}

fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, Type::DGRAM, Protocol::UDP)?;
    socket.bind(&address.into())?;
    UdpSocket::from_std(socket.into())
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address, Type::STREAM, Protocol::TCP)?;
    // Connections of an earlier process that are still closing are no obstacle.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}
