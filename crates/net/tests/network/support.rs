//! Network namespaces as hosts and containers. As root; what is made here goes with the test's threads.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use sampan_net::{Attached, Endpoint, Host, Network};
use sampan_types::PortMapping;
use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// A network namespace.
pub(crate) struct Namespace(OwnedFd);

impl Namespace {
    pub(crate) fn new() -> Self {
        let made = thread::spawn(|| {
            sampan_sys::netns::unshare().expect("tests of networks need root");
            sampan_sys::netns::current().unwrap()
        });
        Self(made.join().unwrap())
    }

    /// Runs `work` inside, on a thread of its own; sockets that it opens stay inside.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
                move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs a program inside and gives what it prints.
    pub(crate) fn sh(&self, script: &str) -> String {
        self.run(|| {
            let output = Command::new("sh").args(["-ec", script]).stdin(Stdio::null()).output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{script}: {errors}");
            String::from_utf8_lossy(&output.stdout).into_owned()
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Addresses of the wire between host and outside (RFC 5737, RFC 3849).
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub(crate) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
pub(crate) const HOST6: &str = "2001:db8:1::1";
pub(crate) const OUTSIDE6: &str = "2001:db8:1::2";

/// A host with one network, and another host on a wire to it.
pub(crate) struct World {
    pub(crate) host: Namespace,
    pub(crate) outside: Namespace,
    pub(crate) network: Network,
}

impl World {
    pub(crate) fn new() -> Self {
        let (host, outside) = (Namespace::new(), Namespace::new());
        host.sh("ip link set lo up");
        outside.sh("ip link set lo up");
        // The peer is made here and pushed over by the process id of a shell that waits inside.
        outside.run(|| {
            let mut waiting = Command::new("sleep").arg("60").spawn().unwrap();
            host.sh(&format!(
                "ip link add wire0 type veth peer name wire1 netns {pid}
                 ip addr add {HOST}/24 dev wire0; ip addr add {HOST6}/64 dev wire0 nodad; ip link set wire0 up",
                pid = waiting.id()
            ));
            waiting.kill().unwrap();
            waiting.wait().unwrap();
        });
        outside.sh(&format!(
            "ip addr add {OUTSIDE}/24 dev wire1; ip addr add {OUTSIDE6}/64 dev wire1 nodad; ip link set wire1 up"
        ));
        let network = Network {
            name: "default".into(),
            bridge: "sampan0".into(),
            table: "sampan".into(),
            ipv4: "10.77.3.0/24".parse().unwrap(),
            ipv4_gateway: "10.77.3.1".parse().unwrap(),
            ipv6: Some("fd77:1:2:3::/64".parse().unwrap()),
            ipv6_gateway: Some("fd77:1:2:3::1".parse().unwrap()),
            mtu: None,
        };
        assert!(host.run(|| Host::new().ensure_bridge(&network)).unwrap(), "the firewall was empty");
        Self { host, outside, network }
    }

    /// An endpoint that publishes ports, given as a user types them.
    pub(crate) fn endpoint(&self, number: u8, ports: &[&str]) -> Endpoint {
        let ipv4 = Ipv4Addr::new(10, 77, 3, number);
        Endpoint {
            id: format!("{number:064x}").chars().rev().collect(),
            name: format!("c{number}"),
            ipv4,
            ipv6: self.network.ipv6_of(ipv4),
            mac: Network::mac_of(ipv4),
            interface: "eth0".into(),
            ports: ports.iter().flat_map(|text| PortMapping::parse(text).unwrap()).collect(),
        }
    }

    pub(crate) fn attach(
        &self,
        endpoint: &Endpoint,
        container: &Namespace,
    ) -> sampan_types::Result<Attached> {
        self.host.run(|| {
            let mut host = Host::new();
            let plan = host.plan(&self.network, endpoint)?;
            host.attach(plan, container.fd())
        })
    }

    /// A new container on the network.
    pub(crate) fn container(&self, number: u8, ports: &[&str]) -> (Namespace, Endpoint) {
        let (container, endpoint) = (Namespace::new(), self.endpoint(number, ports));
        self.attach(&endpoint, &container).unwrap();
        (container, endpoint)
    }
}

/// A socket that was closed just now may still be open in a program that another test's thread is starting.
fn bound<T>(bind: impl Fn() -> std::io::Result<T>) -> T {
    let start = Instant::now();
    loop {
        match bind() {
            Err(error) if error.kind() == ErrorKind::AddrInUse && start.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(5));
            }
            result => return result.unwrap(),
        }
    }
}

/// A server that answers one connection with the address that it sees as the client's.
pub(crate) fn tcp_server(namespace: &Namespace, address: &str) -> thread::JoinHandle<()> {
    let listener = namespace.run(|| bound(|| TcpListener::bind(address)));
    thread::spawn(move || {
        let (mut stream, peer) = listener.accept().unwrap();
        stream.write_all(peer.ip().to_canonical().to_string().as_bytes()).unwrap();
    })
}

/// Whether a connection from inside a namespace comes about.
pub(crate) fn connects(namespace: &Namespace, address: SocketAddr) -> bool {
    namespace.run(|| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
}

/// Connects from inside a namespace; gives what the server saw as the client's address.
pub(crate) fn tcp_seen_from(namespace: &Namespace, address: SocketAddr) -> std::io::Result<IpAddr> {
    namespace.run(|| {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text.parse().unwrap())
    })
}

/// Sends a datagram to a server that tells each sender its address; gives what it saw, and checks that the answer
/// comes from where the question went.
pub(crate) fn udp_seen_from(namespace: &Namespace, address: SocketAddr) -> std::io::Result<IpAddr> {
    namespace.run(|| {
        let any: IpAddr = if address.is_ipv4() {
            Ipv4Addr::UNSPECIFIED.into()
        } else {
            std::net::Ipv6Addr::UNSPECIFIED.into()
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(address)?;
        socket.send(b"?")?;
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes)?;
        Ok(std::str::from_utf8(&bytes[..length]).unwrap().parse().unwrap())
    })
}

/// A server of datagrams: tells one sender its address.
pub(crate) fn udp_server(namespace: &Namespace, address: &str) -> thread::JoinHandle<()> {
    let socket = namespace.run(|| bound(|| UdpSocket::bind(address)));
    thread::spawn(move || {
        let (_, peer) = socket.recv_from(&mut [0; 64]).unwrap();
        socket.send_to(peer.ip().to_canonical().to_string().as_bytes(), peer).unwrap();
    })
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn at(address: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into(), port)
}
