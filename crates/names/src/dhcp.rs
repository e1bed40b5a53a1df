//! DHCPv4 (RFC 2131) for endpoints that run their own client: always the address that they have anyway.

use crate::{contract::NetworkEntry, zone::Zone};
use dhcproto::v4::{
    Decodable, Decoder, DhcpOption, Encodable, HType, Message, MessageType, Opcode, OptionCode,
};
use std::net::{Ipv4Addr, SocketAddrV4};

/// Seconds for which an address is given. It stays the same for the container's life; the client only asks again.
const LEASE: u32 = 3600;
/// The port of clients (RFC 2131, section 4.1).
const CLIENT_PORT: u16 = 68;

/// The answer to a client's message, and where it goes; `None` for whatever is not an endpoint's request.
pub(crate) fn answer(zone: &Zone, bytes: &[u8]) -> Option<(Vec<u8>, SocketAddrV4)> {
    let request = Message::decode(&mut Decoder::new(bytes)).ok()?;
    if request.opcode() != Opcode::BootRequest || request.htype() != HType::Eth {
        return None;
    }
    let entry = zone.by_mac(request.chaddr())?;
    let network = zone.network();
    let server = network.ipv4_gateway;
    match request.opts().get(OptionCode::ServerIdentifier) {
        // The client has taken another server's offer.
        Some(DhcpOption::ServerIdentifier(chosen)) if *chosen != server => return None,
        _ => {}
    }
    let kind = match request.opts().msg_type()? {
        MessageType::Discover => MessageType::Offer,
        MessageType::Request if wanted(&request).is_none_or(|address| address == entry.ipv4) => {
            MessageType::Ack
        }
        MessageType::Request => MessageType::Nak,
        MessageType::Inform => MessageType::Ack,
        _ => return None,
    };
    let inform = request.opts().msg_type() == Some(MessageType::Inform);
    let given = if inform || kind == MessageType::Nak { Ipv4Addr::UNSPECIFIED } else { entry.ipv4 };
    let kept = if kind == MessageType::Nak { Ipv4Addr::UNSPECIFIED } else { request.ciaddr() };
    let mut reply = Message::new_with_id(
        request.xid(),
        kept,
        given,
        Ipv4Addr::UNSPECIFIED,
        request.giaddr(),
        request.chaddr(),
    );
    reply.set_opcode(Opcode::BootReply).set_flags(request.flags());
    let options = reply.opts_mut();
    options.insert(DhcpOption::MessageType(kind));
    options.insert(DhcpOption::ServerIdentifier(server));
    if kind != MessageType::Nak {
        configure(network, options);
        options.insert(DhcpOption::Hostname(entry.hostname.clone()));
        if !inform {
            options.insert(DhcpOption::AddressLeaseTime(LEASE));
        }
    }
    // A client that has no address yet cannot be sent to by it; all the same it may be asked by neighbours who it is.
    let target = if kept.is_unspecified() { Ipv4Addr::BROADCAST } else { kept };
    Some((reply.to_vec().ok()?, SocketAddrV4::new(target, CLIENT_PORT)))
}

/// The address that the client asks for.
fn wanted(request: &Message) -> Option<Ipv4Addr> {
    match request.opts().get(OptionCode::RequestedIpAddress) {
        Some(DhcpOption::RequestedIpAddress(address)) => Some(*address),
        _ => Some(request.ciaddr()).filter(|address| !address.is_unspecified()),
    }
}

fn configure(network: &NetworkEntry, options: &mut dhcproto::v4::DhcpOptions) {
    options.insert(DhcpOption::SubnetMask(network.ipv4.netmask()));
    options.insert(DhcpOption::BroadcastAddr(network.ipv4.broadcast()));
    options.insert(DhcpOption::Router(vec![network.ipv4_gateway]));
    options.insert(DhcpOption::DomainNameServer(vec![network.ipv4_gateway]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contract::tests::{entry, network},
        publish, publish_network,
    };

    fn zone() -> (tempfile::TempDir, Zone) {
        let dir = tempfile::tempdir().unwrap();
        publish_network(dir.path(), "net", &network()).unwrap();
        publish(dir.path(), "net", "0123456789abcdef", &entry("db", 2)).unwrap();
        let zone = Zone::open(&dir.path().join("net")).unwrap().unwrap();
        (dir, zone)
    }

    fn request(kind: MessageType, options: &[DhcpOption]) -> Message {
        let none = Ipv4Addr::UNSPECIFIED;
        let mut message = Message::new_with_id(9, none, none, none, none, &[2, 0x5a, 10, 77, 3, 2]);
        message.opts_mut().insert(DhcpOption::MessageType(kind));
        options.iter().for_each(|option| drop(message.opts_mut().insert(option.clone())));
        message
    }

    fn ask(zone: &Zone, request: &Message) -> Option<(Message, SocketAddrV4)> {
        let (bytes, target) = answer(zone, &request.to_vec().unwrap())?;
        Some((Message::decode(&mut Decoder::new(&bytes)).unwrap(), target))
    }

    #[test]
    fn the_reserved_address_and_no_other() {
        let (_dir, zone) = zone();
        let ours: Ipv4Addr = "10.77.3.2".parse().unwrap();
        let (offer, target) = ask(&zone, &request(MessageType::Discover, &[])).unwrap();
        assert_eq!(offer.opts().msg_type(), Some(MessageType::Offer));
        assert_eq!((offer.yiaddr(), offer.xid(), target.to_string()), (ours, 9, "255.255.255.255:68".into()));
        let option = |code| offer.opts().get(code).cloned();
        assert_eq!(
            option(OptionCode::SubnetMask),
            Some(DhcpOption::SubnetMask("255.255.255.0".parse().unwrap()))
        );
        assert_eq!(option(OptionCode::Router), Some(DhcpOption::Router(vec!["10.77.3.1".parse().unwrap()])));
        assert_eq!(option(OptionCode::Hostname), Some(DhcpOption::Hostname("db-host".into())));
        assert_eq!(option(OptionCode::AddressLeaseTime), Some(DhcpOption::AddressLeaseTime(3600)));

        let (ack, _) =
            ask(&zone, &request(MessageType::Request, &[DhcpOption::RequestedIpAddress(ours)])).unwrap();
        assert_eq!((ack.opts().msg_type(), ack.yiaddr()), (Some(MessageType::Ack), ours));
        let other = DhcpOption::RequestedIpAddress("10.77.3.9".parse().unwrap());
        let (nak, _) = ask(&zone, &request(MessageType::Request, &[other])).unwrap();
        assert_eq!((nak.opts().msg_type(), nak.yiaddr()), (Some(MessageType::Nak), Ipv4Addr::UNSPECIFIED));
    }

    #[test]
    fn a_renewal_goes_straight_to_the_client() {
        let (_dir, zone) = zone();
        let mut renewal = request(MessageType::Request, &[]);
        renewal.set_ciaddr(Ipv4Addr::new(10, 77, 3, 2));
        let (ack, target) = ask(&zone, &renewal).unwrap();
        assert_eq!(ack.opts().msg_type(), Some(MessageType::Ack));
        assert_eq!(target.to_string(), "10.77.3.2:68");
    }

    #[test]
    fn silence_for_others() {
        let (_dir, zone) = zone();
        let mut stranger = request(MessageType::Discover, &[]);
        stranger.set_chaddr(&[2, 0x5a, 10, 77, 3, 99]);
        assert!(ask(&zone, &stranger).is_none());
        let other_server = DhcpOption::ServerIdentifier("10.77.3.200".parse().unwrap());
        assert!(ask(&zone, &request(MessageType::Request, &[other_server])).is_none());
        assert!(ask(&zone, &request(MessageType::Release, &[])).is_none());
        assert!(answer(&zone, b"nonsense").is_none());
    }
}
