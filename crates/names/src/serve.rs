//! Serving all networks of a directory.

use crate::{
    contract::PROBLEM_FILE,
    dhcp,
    dns::{self, Reaction},
    forward::{forward, read_message, write_message},
    resolvers::Resolvers,
    sockets::{self, Unbound},
    zone::Zone,
};
use rustix::net::netdevice::name_to_index;
use sampan_types::{Error, Result};
use std::{
    cell::RefCell,
    collections::HashMap,
    fs,
    io::{self, ErrorKind as Io},
    net::IpAddr,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    task::{JoinSet, LocalSet, yield_now},
    time::{sleep, timeout},
};

/// How long the process stays without an endpoint.
const IDLE: Duration = Duration::from_secs(10);
/// How often new and gone networks are looked for. A network's endpoints are looked up at each question.
const LOOK: Duration = Duration::from_millis(200);
/// How long a connection may say nothing.
const SILENCE: Duration = Duration::from_secs(10);
/// Questions that are asked of others at a time, and connections, for one address; more are dropped, and come again.
const AT_ONCE: usize = 256;
/// The longest message.
const LONGEST: usize = 65535;

/// Serves until no network has had an endpoint for [`IDLE`].
pub(crate) async fn until_idle(dir: &Path) -> Result<()> {
    LocalSet::new().run_until(serve(dir)).await
}

/// Whether any network in the directory has an endpoint.
pub(crate) fn has_endpoints(dir: &Path) -> Result<bool> {
    let zones = folders(dir)?.into_iter().filter_map(|folder| Zone::open(&folder).ok().flatten());
    Ok(zones.map(|zone| zone.len()).sum::<usize>() > 0)
}

async fn serve(dir: &Path) -> Result<()> {
    let resolvers = Rc::new(RefCell::new(Resolvers::new("/etc/resolv.conf")));
    let mut served: HashMap<PathBuf, Served> = HashMap::new();
    let mut used = Instant::now();
    while used.elapsed() < IDLE {
        let folders = folders(dir)?;
        served.retain(|folder, served| folders.contains(folder) && served.is_right());
        // Ended tasks give their sockets back when they are next looked at.
        yield_now().await;
        for folder in folders {
            if let Some(known) = served.get(&folder) {
                used = if known.zone.borrow().len() > 0 { Instant::now() } else { used };
            } else if let Some(new) = start(&folder, &resolvers) {
                served.insert(folder, new);
            }
        }
        sleep(LOOK).await;
    }
    Ok(())
}

/// The networks' folders.
fn folders(dir: &Path) -> Result<Vec<PathBuf>> {
    let fail = |error| Error::io(format!("cannot list {}", dir.display()), error);
    let mut folders = Vec::new();
    for file in fs::read_dir(dir).map_err(fail)? {
        let path = file.map_err(fail)?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// A network that is being served. Dropping it ends that.
struct Served {
    zone: Rc<RefCell<Zone>>,
    /// The bridge that DHCP is tied to: one made anew under the same name is another.
    bridge: Option<u32>,
    gateways: Vec<IpAddr>,
    _tasks: JoinSet<()>,
}

impl Served {
    /// Whether the network is still there and the same.
    fn is_right(&self) -> bool {
        let mut zone = self.zone.borrow_mut();
        zone.refresh().is_ok()
            && gateways(&zone) == self.gateways
            && index(&zone.network().bridge) == self.bridge
    }
}

fn gateways(zone: &Zone) -> Vec<IpAddr> {
    let network = zone.network();
    [Some(IpAddr::V4(network.ipv4_gateway)), network.ipv6_gateway.map(IpAddr::V6)]
        .into_iter()
        .flatten()
        .collect()
}

fn index(link: &str) -> Option<u32> {
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::DGRAM, None).ok()?;
    name_to_index(socket, link).ok()
}

/// Begins to serve a network. What cannot be served is said in its folder; nothing is given where that is DNS, so that
/// it is tried again.
fn start(folder: &Path, resolvers: &Rc<RefCell<Resolvers>>) -> Option<Served> {
    let zone = Zone::open(folder).ok().flatten()?;
    let dns = sockets::bind_dns(zone.network());
    let dhcp = sockets::bind_dhcp(&zone.network().bridge);
    tell(folder, [dns.as_ref().err(), dhcp.as_ref().err()]);
    let (udp, tcp) = dns.ok()?;
    let (bridge, gateways) = (index(&zone.network().bridge), gateways(&zone));
    let zone = Rc::new(RefCell::new(zone));
    let resolver =
        Resolver { zone: Rc::clone(&zone), resolvers: Rc::clone(resolvers), own: gateways.clone() };
    let mut tasks = JoinSet::new();
    for socket in udp {
        tasks.spawn_local(serve_udp(socket, resolver.clone()));
    }
    for listener in tcp {
        tasks.spawn_local(serve_tcp(listener, resolver.clone()));
    }
    if let Ok(socket) = dhcp {
        tasks.spawn_local(serve_dhcp(socket, Rc::clone(&zone)));
    }
    Some(Served { zone, bridge, gateways, _tasks: tasks })
}

/// Says what is not served in the network's folder: there is nobody else to tell.
fn tell(folder: &Path, problems: [Option<&Unbound>; 2]) {
    let text: String = problems.into_iter().flatten().map(|problem| format!("{problem}\n")).collect();
    let file = folder.join(PROBLEM_FILE);
    if fs::read_to_string(&file).unwrap_or_default() != text {
        let _ = if text.is_empty() { fs::remove_file(file) } else { fs::write(file, text) };
    }
}

/// What answers a network's questions.
#[derive(Clone)]
struct Resolver {
    zone: Rc<RefCell<Zone>>,
    resolvers: Rc<RefCell<Resolvers>>,
    own: Vec<IpAddr>,
}

impl Resolver {
    fn react(&self, request: &[u8], udp: bool) -> Reaction {
        let mut zone = self.zone.borrow_mut();
        match zone.refresh() {
            Ok(()) => dns::react(&mut zone, request, udp),
            // The network is going away.
            Err(_) => Reaction::Ignore,
        }
    }

    /// What the host's resolvers say, or that none of them does.
    async fn ask_others(&self, request: &[u8], udp: bool) -> Option<Vec<u8>> {
        let resolvers = self.resolvers.borrow_mut().addresses(&self.own);
        match forward(request, &resolvers, udp).await {
            None => dns::failure(request),
            answer => answer,
        }
    }
}

async fn serve_udp(socket: UdpSocket, resolver: Resolver) {
    let socket = Rc::new(socket);
    let mut buffer = vec![0; LONGEST];
    let mut waiting = JoinSet::new();
    loop {
        let Some((length, client)) = received(socket.recv_from(&mut buffer).await).await else { continue };
        while waiting.try_join_next().is_some() {}
        let request = &buffer[..length];
        match resolver.react(request, true) {
            Reaction::Reply(answer) => {
                // A client that cannot be sent to any more asks again, or never.
                let _ = socket.send_to(&answer, client).await;
            }
            Reaction::Ignore => {}
            Reaction::Forward if waiting.len() >= AT_ONCE => {}
            Reaction::Forward => {
                let (socket, resolver, request) = (Rc::clone(&socket), resolver.clone(), request.to_vec());
                waiting.spawn_local(async move {
                    if let Some(answer) = resolver.ask_others(&request, true).await {
                        let _ = socket.send_to(&answer, client).await;
                    }
                });
            }
        }
    }
}

async fn serve_tcp(listener: TcpListener, resolver: Resolver) {
    let mut connections = JoinSet::new();
    loop {
        let Some((stream, _)) = received(listener.accept().await).await else { continue };
        while connections.try_join_next().is_some() {}
        if connections.len() < AT_ONCE {
            connections.spawn_local(serve_connection(stream, resolver.clone()));
        }
    }
}

async fn serve_connection(mut stream: TcpStream, resolver: Resolver) {
    // Ends with the first thing that goes wrong; the client has its socket to learn it from.
    while let Ok(Ok(request)) = timeout(SILENCE, read_message(&mut stream)).await {
        let answer = match resolver.react(&request, false) {
            Reaction::Reply(answer) => Some(answer),
            Reaction::Ignore => None,
            Reaction::Forward => resolver.ask_others(&request, false).await,
        };
        let Some(answer) = answer else { return };
        if !matches!(timeout(SILENCE, write_message(&mut stream, &answer)).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn serve_dhcp(socket: UdpSocket, zone: Rc<RefCell<Zone>>) {
    let mut buffer = vec![0; LONGEST];
    loop {
        let Some((length, _)) = received(socket.recv_from(&mut buffer).await).await else { continue };
        let answer = {
            let mut zone = zone.borrow_mut();
            zone.refresh().ok().and_then(|()| dhcp::answer(&zone, &buffer[..length]))
        };
        if let Some((answer, target)) = answer {
            let _ = socket.send_to(&answer, target).await;
        }
    }
}

/// What was received. An error concerns an earlier datagram or connection (ICMP, a reset); should one persist, it must
/// not make this process spin.
async fn received<T>(result: io::Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            if !matches!(error.kind(), Io::ConnectionRefused | Io::ConnectionReset | Io::Interrupted) {
                sleep(LOOK).await;
            }
            None
        }
    }
}
