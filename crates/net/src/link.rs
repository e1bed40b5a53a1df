//! The rtnetlink messages of bridges, veth pairs, addresses and routes (rtnetlink(7), `ip-link`'s kinds in
//! `Documentation/netlink/specs/rt-link.yaml`).

use crate::netlink::{Batch, Refusal, Socket};
use netlink_bindings::{
    rt_addr::{self, Ifaddrmsg},
    rt_link::{self, Ifinfomsg},
    rt_route::{self, Rtmsg},
    traits::{NetlinkRequest, Pusher},
    utils::{finalize_nested_header, push_nested_header},
};
use rustix::{
    fd::{AsRawFd, BorrowedFd},
    io::Errno,
};
use std::net::IpAddr;

/// `IFF_UP` (netdevice(7)).
const UP: u32 = 0x1;
/// `VETH_INFO_PEER` (linux/veth.h): the peer's link message, nested.
const VETH_PEER: u16 = 1;
/// `IFLA_INFO_DATA` (linux/if_link.h).
const INFO_DATA: u16 = 2;
/// `IFA_F_NODAD` (linux/if_addr.h): usable at once, without looking for a holder of the same address. The engine
/// gives each address out once.
const NO_DAD: u32 = 0x02;
/// `RTPROT_STATIC`, `RT_TABLE_MAIN`, `RTN_UNICAST` (linux/rtnetlink.h); the scope 0 is `RT_SCOPE_UNIVERSE`.
const STATIC: u8 = 4;
const MAIN: u8 = 254;
const UNICAST: u8 = 1;

/// `AF_INET` or `AF_INET6`.
pub(crate) fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 2,
        IpAddr::V6(_) => 10,
    }
}

/// A link as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// The bridge it is a port of.
    pub(crate) master: Option<u32>,
    pub(crate) up: bool,
    pub(crate) mac: Vec<u8>,
    pub(crate) mtu: u32,
}

fn parse((header, attributes): (Ifinfomsg, rt_link::IterableLinkAttrs<'_>)) -> Option<Link> {
    Some(Link {
        index: u32::try_from(header.ifi_index).ok()?,
        name: attributes.get_ifname().ok()?.to_str().ok()?.to_owned(),
        master: attributes.get_master().ok(),
        up: header.ifi_flags & UP != 0,
        mac: attributes.get_address().unwrap_or_default().to_vec(),
        mtu: attributes.get_mtu().unwrap_or_default(),
    })
}

/// The link with this name, if there is one.
pub(crate) fn find(socket: &mut Socket, name: &str) -> Result<Option<Link>, Refusal> {
    let mut request = rt_link::Request::new().op_getlink_do(&Ifinfomsg::default());
    request.encode().push_ifname_bytes(name.as_bytes());
    match socket.ask(&format!("look up the link {name}"), &request, parse) {
        Ok(links) => Ok(links.into_iter().next()),
        Err(refusal) if refusal.errno == Errno::NODEV => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// All links of the namespace.
pub(crate) fn list(socket: &mut Socket) -> Result<Vec<Link>, Refusal> {
    let request = rt_link::Request::new().op_getlink_dump(&Ifinfomsg::default());
    socket.ask("list the links", &request, parse)
}

/// A new bridge that is up and keeps its link-layer address whatever ports it gets. Fails with `EEXIST` if the name
/// is taken.
pub(crate) fn add_bridge(batch: &mut Batch, name: &str, mac: [u8; 6], mtu: Option<u32>) {
    let header = Ifinfomsg { ifi_flags: UP, ifi_change: UP, ..Default::default() };
    let mut request = rt_link::Request::new().set_create().set_excl().op_newlink_do(&header);
    let mut attributes = request.encode().push_ifname_bytes(name.as_bytes()).push_address(&mac);
    if let Some(mtu) = mtu {
        attributes = attributes.push_mtu(mtu);
    }
    drop(attributes.nested_linkinfo().push_kind(c"bridge"));
    batch.push(format!("create the bridge {name}"), &request);
}

/// One end of a veth pair that stays here as a port of a bridge, and the other, which begins its life in a namespace.
#[derive(Debug)]
pub(crate) struct VethPair<'a> {
    pub(crate) host: &'a str,
    pub(crate) bridge: u32,
    pub(crate) inside: &'a str,
    pub(crate) mac: [u8; 6],
    pub(crate) mtu: Option<u32>,
    pub(crate) netns: BorrowedFd<'a>,
}

/// A new veth pair, the host's end up and in its bridge. One message; fails with `EEXIST` if a name is taken.
pub(crate) fn add_veth(batch: &mut Batch, pair: &VethPair<'_>) {
    let header = Ifinfomsg { ifi_flags: UP, ifi_change: UP, ..Default::default() };
    let mut request = rt_link::Request::new().set_create().set_excl().op_newlink_do(&header);
    let mut attributes = request.encode().push_ifname_bytes(pair.host.as_bytes()).push_master(pair.bridge);
    if let Some(mtu) = pair.mtu {
        attributes = attributes.push_mtu(mtu);
    }
    let mut kind = attributes.nested_linkinfo().push_kind(c"veth");
    let bytes = kind.as_vec_mut();
    let (data, peer) = (push_nested_header(bytes, INFO_DATA), push_nested_header(bytes, VETH_PEER));
    bytes.extend(Ifinfomsg::default().as_slice());
    let mut attributes = rt_link::PushLinkAttrs::new(&mut *bytes)
        .push_ifname_bytes(pair.inside.as_bytes())
        .push_address(&pair.mac)
        .push_net_ns_fd(pair.netns.as_raw_fd() as u32);
    if let Some(mtu) = pair.mtu {
        attributes = attributes.push_mtu(mtu);
    }
    drop(attributes);
    finalize_nested_header(bytes, peer);
    finalize_nested_header(bytes, data);
    drop(kind);
    batch.push(format!("create the link {} with its peer {}", pair.host, pair.inside), &request);
}

/// Lets a bridge send frames back through the port that they came in by (`IFLA_BRPORT_MODE`).
pub(crate) fn set_hairpin(batch: &mut Batch, name: &str) {
    let mut request = rt_link::Request::new().op_newlink_do(&Ifinfomsg::default());
    let attributes = request.encode().push_ifname_bytes(name.as_bytes());
    drop(attributes.nested_linkinfo().nested_slave_data_bridge().push_mode(1));
    batch.push(format!("set the hairpin mode of {name}"), &request);
}

/// Brings a link up.
pub(crate) fn set_up(batch: &mut Batch, name: &str, index: u32) {
    let header = Ifinfomsg { ifi_index: index as i32, ifi_flags: UP, ifi_change: UP, ..Default::default() };
    batch.push(format!("bring the link {name} up"), &rt_link::Request::new().op_newlink_do(&header));
}

/// Removes the link with this name, if there is one. It takes the kernel a long time (some 10 ms).
pub(crate) fn remove_if_there(socket: &mut Socket, name: &str) -> Result<(), Refusal> {
    let mut request = rt_link::Request::new().op_dellink_do(&Ifinfomsg::default());
    request.encode().push_ifname_bytes(name.as_bytes());
    if_there(socket, format!("remove the link {name}"), &request)
}

/// Takes the link with this name down, if there is one: nothing goes through it any more.
pub(crate) fn set_down_if_there(socket: &mut Socket, name: &str) -> Result<(), Refusal> {
    let header = Ifinfomsg { ifi_change: UP, ..Default::default() };
    let mut request = rt_link::Request::new().op_newlink_do(&header);
    request.encode().push_ifname_bytes(name.as_bytes());
    if_there(socket, format!("take the link {name} down"), &request)
}

fn if_there(socket: &mut Socket, step: String, request: &impl NetlinkRequest) -> Result<(), Refusal> {
    let mut changes = Batch::default();
    changes.push(step, request);
    match socket.commit(changes) {
        Err(refusal) if refusal.errno == Errno::NODEV => Ok(()),
        result => result,
    }
}

/// Gives a link an address; nothing happens if it has it.
pub(crate) fn add_address(batch: &mut Batch, index: u32, address: IpAddr, prefix: u8) {
    let header = Ifaddrmsg {
        ifa_family: family(address),
        ifa_prefixlen: prefix,
        ifa_index: index,
        ..Default::default()
    };
    let mut request = rt_addr::Request::new().set_change().op_newaddr_do(&header);
    let attributes = request.encode().push_local(address).push_address(address);
    match address {
        IpAddr::V4(ipv4) => {
            let host_bits = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            drop(attributes.push_broadcast((ipv4.to_bits() | host_bits).into()));
        }
        IpAddr::V6(_) => drop(attributes.push_flags(NO_DAD)),
    }
    batch.push(format!("add the address {address}/{prefix}"), &request);
}

/// Sends what has no other way to a gateway on the link; replaces the default route that is there.
pub(crate) fn add_default_route(batch: &mut Batch, index: u32, gateway: IpAddr) {
    let header = Rtmsg {
        rtm_family: family(gateway),
        rtm_table: MAIN,
        rtm_protocol: STATIC,
        rtm_type: UNICAST,
        ..Default::default()
    };
    let mut request = rt_route::Request::new().set_change().op_newroute_do(&header);
    drop(request.encode().push_gateway(gateway).push_oif(index));
    batch.push(format!("add the default route through {gateway}"), &request);
}

/// The destinations of all addresses and routes of the namespace, as address and prefix length; default routes left
/// out.
pub(crate) fn used_prefixes(socket: &mut Socket) -> Result<Vec<(IpAddr, u8)>, Refusal> {
    let request = rt_addr::Request::new().op_getaddr_dump(&Ifaddrmsg::default());
    let mut used = socket.ask("list the addresses", &request, |(header, attributes)| {
        Some((attributes.get_address().ok()?, header.ifa_prefixlen))
    })?;
    let request = rt_route::Request::new().op_getroute_dump(&Rtmsg::default());
    used.extend(socket.ask("list the routes", &request, |(header, attributes)| {
        Some((attributes.get_dst().ok()?, header.rtm_dst_len))
    })?);
    Ok(used)
}
