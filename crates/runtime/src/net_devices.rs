//! Network devices of the host that a container takes over (config-linux.md, "Network Devices").
//!
//! A device goes to the container's network namespace under its new name and comes up there; index, hardware address and
//! MTU the kernel keeps. Addresses it takes away, so those that are permanent and of global scope are given back. When
//! the namespace ends, the kernel returns physical devices to the host and removes the others.

mod route;

use crate::{error::invalid, namespaces::Namespaces};
use route::{Request, Socket, find, flag, kind};
use rustix::io::Errno;
use sampan_types::{
    Error, ErrorKind, Result,
    spec::{Linux, NamespaceKind},
};
use std::{
    ffi::CStr,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

// Attributes of links (linux/if_link.h).
const LINK_NAME: u16 = 3;
const LINK_NETNS_FD: u16 = 28;
/// `IFF_UP`
const UP: u32 = 1;

// Attributes of addresses (linux/if_addr.h).
const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const BROADCAST: u16 = 4;
const FLAGS: u16 = 8;
const PRIORITY: u16 = 9;
const PROTOCOL: u16 = 11;
/// `IFA_F_PERMANENT`
const PERMANENT: u32 = 0x80;
/// Flags that a new address may have; the others tell its state.
const KEPT: u32 = 0x02 | 0x10 | 0x100 | 0x200 | 0x400;
/// `RT_SCOPE_UNIVERSE`
const GLOBAL: u8 = 0;

/// The longest name of a link, without its end (`IFNAMSIZ`).
const MAX_NAME: usize = 15;

/// Refuses what cannot be: names that no device can have, two devices with one name, and a container that shares the
/// host's network.
pub(crate) fn check(linux: &Linux, namespaces: &Namespaces) -> Result<()> {
    if linux.net_devices.is_empty() {
        return Ok(());
    }
    if !namespaces.has(NamespaceKind::Network) || namespaces.shares_network()? {
        return Err(invalid(
            "cannot move network devices",
            "the container has no network namespace of its own",
        ));
    }
    let mut taken = Vec::new();
    for (name, device) in &linux.net_devices {
        let new = new_name(name, device.name.as_deref());
        for name in [name.as_str(), new] {
            check_name(name)?;
        }
        if taken.contains(&new) && !new.contains('%') {
            return Err(invalid(
                format!("invalid network device {name:?}"),
                format!("{new:?} is named twice"),
            ));
        }
        taken.push(new);
    }
    Ok(())
}

/// As the kernel's `dev_valid_name`; a `%d` is replaced by the first number that is free.
fn check_name(name: &str) -> Result<()> {
    let plain = name.replacen("%d", "0", 1);
    let fine = !matches!(name, "" | "." | "..")
        && name.len() <= MAX_NAME
        && !plain.chars().any(|c| c.is_ascii_whitespace() || c.is_control() || matches!(c, '/' | ':' | '%'));
    match fine {
        true => Ok(()),
        false => Err(invalid(format!("invalid network device {name:?}"), "no device can have this name")),
    }
}

fn new_name<'a>(name: &'a str, new: Option<&'a str>) -> &'a str {
    new.filter(|new| !new.is_empty()).unwrap_or(name)
}

/// Moves all of a specification's devices from the caller's network namespace into `netns`.
pub(crate) fn move_all(linux: &Linux, netns: BorrowedFd<'_>) -> Result<()> {
    if linux.net_devices.is_empty() {
        return Ok(());
    }
    let here = Socket::open()?;
    let there = sampan_sys::netns::enter(netns, Socket::open)
        .map_err(|error| Error::io("cannot enter the container's network namespace", error.into()))??;
    for (name, device) in &linux.net_devices {
        let new = new_name(name, device.name.as_deref());
        move_one(&here, &there, netns, name, new).map_err(|error| {
            Error::new(error.kind(), format!("cannot move network device {name:?} into the container"))
                .because(error)
        })?;
    }
    Ok(())
}

fn move_one(here: &Socket, there: &Socket, netns: BorrowedFd<'_>, name: &str, new: &str) -> Result<()> {
    let get = Request::new(kind::GET_LINK, 0, &link_header(0, 0, 0)).text(LINK_NAME, name);
    let index = here
        .ask(get, &format!("find network device {name:?}"))?
        .first()
        .and_then(|(_, link)| index_of(link))
        .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no network device {name:?}")))?;
    let addresses = addresses(here, index)?;
    let before = links(there)?;
    // The kernel would find that out when the device is there already.
    if before.iter().any(|(_, taken)| taken == new) {
        let what = format!("cannot name it {new:?}");
        return Err(
            Error::new(ErrorKind::AlreadyExists, what).because("the container has a device of this name")
        );
    }
    // One message: down, over, renamed.
    let set = Request::new(kind::SET_LINK, flag::ACK, &link_header(index, 0, UP))
        .attribute(LINK_NETNS_FD, &netns.as_fd().as_raw_fd().to_ne_bytes())
        .text(LINK_NAME, new);
    here.ask(set, &format!("move {name:?} as {new:?}"))?;
    // It keeps its index unless another one has that.
    let index = links(there)?
        .into_iter()
        .map(|(index, _)| index)
        .find(|index| before.iter().all(|(earlier, _)| earlier != index))
        .ok_or_else(|| Error::io(format!("cannot find {new:?} again"), Errno::NODEV.into()))?;
    for address in addresses {
        there.ask(address.request(index), &format!("give {new:?} its address {}", address.text()))?;
    }
    let up = Request::new(kind::SET_LINK, flag::ACK, &link_header(index, UP, UP));
    there.ask(up, &format!("set {new:?} up")).map(drop)
}

/// `struct ifinfomsg`.
fn link_header(index: i32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&change.to_ne_bytes());
    header
}

fn index_of(link: &[u8]) -> Option<i32> {
    link.get(4..8)?.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
}

/// Index and name of every device.
fn links(socket: &Socket) -> Result<Vec<(i32, String)>> {
    let replies = socket
        .ask(Request::new(kind::GET_LINK, flag::DUMP, &link_header(0, 0, 0)), "list network devices")?;
    let link = |(own, link): &route::Reply| {
        let name = find(link.get(16..)?, LINK_NAME)?;
        let name = CStr::from_bytes_until_nul(name).ok()?.to_string_lossy().into_owned();
        (*own == kind::NEW_LINK).then_some((index_of(link)?, name))
    };
    Ok(replies.iter().filter_map(link).collect())
}

/// An address as it is to be given again: family, prefix, attributes.
#[derive(Debug)]
struct Address {
    family: u8,
    prefix: u8,
    flags: u32,
    attributes: Vec<(u16, Vec<u8>)>,
}

impl Address {
    /// From the kernel's message (`struct ifaddrmsg` and attributes), where it is one to keep.
    fn read(message: &[u8], index: i32) -> Option<Self> {
        let &[family, prefix, flags, scope, a, b, c, d, ref attributes @ ..] = message else { return None };
        let flags = match find(attributes, FLAGS).and_then(<[u8]>::first_chunk) {
            Some(bytes) => u32::from_ne_bytes(*bytes),
            None => u32::from(flags),
        };
        let keep = i32::from_ne_bytes([a, b, c, d]) == index && scope == GLOBAL && flags & PERMANENT != 0;
        keep.then(|| Self {
            family,
            prefix,
            flags: flags & KEPT,
            attributes: [ADDRESS, LOCAL, BROADCAST, PRIORITY, PROTOCOL]
                .into_iter()
                .filter_map(|kind| Some((kind, find(attributes, kind)?.to_vec())))
                .collect(),
        })
    }

    fn request(&self, index: i32) -> Request {
        let mut header = [self.family, self.prefix, 0, GLOBAL, 0, 0, 0, 0];
        header[4..].copy_from_slice(&index.to_ne_bytes());
        let request = Request::new(kind::NEW_ADDRESS, flag::ACK | flag::CREATE | flag::EXCLUSIVE, &header);
        self.attributes
            .iter()
            .fold(request, |request, (kind, value)| request.attribute(*kind, value))
            .attribute(FLAGS, &self.flags.to_ne_bytes())
    }

    fn text(&self) -> String {
        let value = self.attributes.first().map_or(&[][..], |(_, value)| value.as_slice());
        let address = match value.len() {
            4 => value.first_chunk::<4>().map(|own| std::net::Ipv4Addr::from(*own).to_string()),
            _ => value.first_chunk::<16>().map(|own| std::net::Ipv6Addr::from(*own).to_string()),
        };
        format!("{}/{}", address.unwrap_or_default(), self.prefix)
    }
}

fn addresses(socket: &Socket, index: i32) -> Result<Vec<Address>> {
    let all = socket.ask(Request::new(kind::GET_ADDRESS, flag::DUMP, &[0; 8]), "list addresses")?;
    Ok(all
        .iter()
        .filter(|(own, _)| *own == kind::NEW_ADDRESS)
        .filter_map(|(_, message)| Address::read(message, index))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan_types::spec::{Namespace, NetDevice};
    use std::{process::Command, thread};

    fn ip(words: &str) -> String {
        let out = Command::new("ip").args(words.split(' ')).output().unwrap();
        assert!(out.status.success(), "ip {words}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn devices(list: &[(&str, &str)]) -> Linux {
        let device = |new: &str| NetDevice { name: Some(new.to_owned()).filter(|new| !new.is_empty()) };
        Linux {
            net_devices: list.iter().map(|(name, new)| ((*name).to_owned(), device(new))).collect(),
            namespaces: vec![Namespace { kind: NamespaceKind::Network, path: None }],
            ..Linux::default()
        }
    }

    #[test]
    fn a_device_moves_with_its_addresses_and_its_size() {
        // In a thread of its own, in namespaces of its own.
        thread::spawn(|| {
            sampan_sys::netns::unshare().unwrap();
            let inside = sampan_sys::netns::current().unwrap();
            sampan_sys::netns::unshare().unwrap();
            ip("link add sx0 type veth peer name sx1");
            ip("link set sx0 mtu 1300 address 02:00:00:00:00:07 up");
            ip("addr add 10.9.8.7/24 brd 10.9.8.255 dev sx0");
            ip("addr add 10.9.9.1/32 scope link dev sx0");
            ip("addr add fd00::7/64 dev sx0 nodad");
            move_all(&devices(&[("sx0", "inner%d")]), inside.as_fd()).unwrap();
            assert!(!ip("-o link").contains("sx0:"));
            let shown = sampan_sys::netns::enter(&inside, || ip("addr")).unwrap();
            for text in [
                "inner0",
                "mtu 1300",
                "02:00:00:00:00:07",
                "UP",
                "inet 10.9.8.7/24 brd 10.9.8.255 scope global inner0",
                "inet6 fd00::7/64 scope global",
            ] {
                assert!(shown.contains(text), "{text}: {shown}");
            }
            assert!(!shown.contains("10.9.9.1"), "not of global scope: {shown}");
            // Its name is taken there.
            let error = move_all(&devices(&[("sx1", "inner0")]), inside.as_fd()).unwrap_err();
            assert_eq!(error.to_string(), "cannot move network device \"sx1\" into the container");
            assert_eq!(
                error.causes(),
                ["cannot name it \"inner0\"", "the container has a device of this name"]
            );
            assert!(ip("-o link").contains("sx1@"), "and it stays where it was");
            let error = move_all(&devices(&[("none", "")]), inside.as_fd()).unwrap_err();
            assert_eq!(error.causes()[1], "No such device (os error 19)");
        })
        .join()
        .unwrap();
    }

    #[test]
    fn impossible_names_are_refused() {
        let check = |linux: Linux| {
            check(&linux, &Namespaces::open(&linux).unwrap()).map_err(|error| format!("{error:?}"))
        };
        assert_eq!(check(devices(&[("eth0", "a%d"), ("eth1", "a%d"), ("e.2", "")])), Ok(()));
        for name in ["a b", "a/b", "..", "sixteencharacter", "a%s", "a%d%d", ":"] {
            let error = check(devices(&[("eth0", name)])).unwrap_err();
            assert!(error.contains("no device can have this name"), "{name}: {error}");
        }
        let error = check(devices(&[("eth0", "x"), ("eth1", "x")])).unwrap_err();
        assert!(error.contains("\"x\" is named twice"), "{error}");
        let mut shared = devices(&[("eth0", "x")]);
        shared.namespaces.clear();
        assert!(check(shared).unwrap_err().contains("no network namespace of its own"));
    }
}
