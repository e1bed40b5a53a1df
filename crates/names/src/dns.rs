//! DNS messages (RFC 1035): what a network answers itself, and what it passes on.

use crate::zone::{Known, Zone};
use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, Query, ResponseCode},
    rr::{
        DNSClass, Name, RData, Record, RecordType,
        rdata::{A, AAAA, PTR},
    },
};
use std::net::IpAddr;

/// Seconds for which others may keep an answer: short, since containers come and go.
const TTL: u32 = 5;
/// The longest answer over UDP to those who do not say what they take (RFC 1035, section 4.2.1).
const PLAIN_UDP: u16 = 512;
/// The longest answer over UDP that is not likely to be cut into fragments (DNS flag day 2020).
const EDNS_UDP: u16 = 1232;

/// What to do with a request.
#[derive(Debug, PartialEq)]
pub(crate) enum Reaction {
    /// Send this back.
    Reply(Vec<u8>),
    /// Ask the host's resolvers.
    Forward,
    /// Nothing: it is not a request.
    Ignore,
}

/// What the network does with a request's bytes. `udp`: the answer must fit what the asker takes.
pub(crate) fn react(zone: &mut Zone, bytes: &[u8], udp: bool) -> Reaction {
    let Ok(request) = Message::from_vec(bytes) else { return Reaction::Ignore };
    if request.metadata.message_type != MessageType::Query {
        return Reaction::Ignore;
    }
    let [query] = request.queries.as_slice() else {
        return reply(&request, ResponseCode::FormErr, Vec::new(), udp);
    };
    if request.metadata.op_code != OpCode::Query {
        return reply(&request, ResponseCode::NotImp, Vec::new(), udp);
    }
    if query.query_class != DNSClass::IN {
        return Reaction::Forward;
    }
    let name = query.name.to_ascii();
    match zone.look_up(name.trim_end_matches('.')) {
        Known::Addresses(addresses) => {
            let wanted = addresses.into_iter().filter_map(|address| record(query, address));
            reply(&request, ResponseCode::NoError, wanted.collect(), udp)
        }
        Known::Name(name) => match Name::from_ascii(&name) {
            Ok(mut name) if matches!(query.query_type, RecordType::PTR | RecordType::ANY) => {
                name.set_fqdn(true);
                let data = RData::PTR(PTR(name));
                let record = Record::from_rdata(query.name.clone(), TTL, data);
                reply(&request, ResponseCode::NoError, vec![record], udp)
            }
            _ => reply(&request, ResponseCode::NoError, Vec::new(), udp),
        },
        Known::Nobody => reply(&request, ResponseCode::NXDomain, Vec::new(), udp),
        Known::Unknown => Reaction::Forward,
    }
}

/// The answer that nobody could be asked.
pub(crate) fn failure(bytes: &[u8]) -> Option<Vec<u8>> {
    let request = Message::from_vec(bytes).ok()?;
    match reply(&request, ResponseCode::ServFail, Vec::new(), true) {
        Reaction::Reply(bytes) => Some(bytes),
        _ => None,
    }
}

/// Whether `answer` belongs to the request: the same id and question. Names are compared without regard to case.
pub(crate) fn answers(answer: &[u8], request: &[u8], id: u16) -> bool {
    let (Ok(answer), Ok(request)) = (Message::from_vec(answer), Message::from_vec(request)) else {
        return false;
    };
    answer.metadata.id == id
        && answer.metadata.message_type == MessageType::Response
        && answer.queries == request.queries
}

/// Whether an upstream server's answer is one: not a refusal that another server may not give.
pub(crate) fn is_useful(answer: &[u8]) -> bool {
    // The response code's low four bits (RFC 1035, section 4.1.1): 2 server failure, 4 not implemented, 5 refused.
    answer.get(3).is_some_and(|flags| !matches!(flags & 0xf, 2 | 4 | 5))
}

fn record(query: &Query, address: IpAddr) -> Option<Record> {
    let data = match (query.query_type, address) {
        (RecordType::A | RecordType::ANY, IpAddr::V4(address)) => RData::A(A(address)),
        (RecordType::AAAA | RecordType::ANY, IpAddr::V6(address)) => RData::AAAA(AAAA(address)),
        _ => return None,
    };
    Some(Record::from_rdata(query.name.clone(), TTL, data))
}

fn reply(request: &Message, code: ResponseCode, answers: Vec<Record>, udp: bool) -> Reaction {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.authoritative = code != ResponseCode::ServFail;
    response.metadata.response_code = code;
    response.add_queries(request.queries.iter().cloned());
    response.add_answers(answers);
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(EDNS_UDP);
        response.set_edns(edns);
    }
    let limit = match &request.edns {
        Some(edns) => edns.max_payload().clamp(PLAIN_UDP, EDNS_UDP),
        None => PLAIN_UDP,
    };
    match response.to_vec() {
        // The asker comes back over TCP.
        Ok(bytes) if udp && bytes.len() > limit.into() => {
            response.truncate().to_vec().map_or(Reaction::Ignore, Reaction::Reply)
        }
        Ok(bytes) => Reaction::Reply(bytes),
        Err(_) => Reaction::Ignore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contract::tests::{entry, network},
        publish, publish_network,
    };

    fn request(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.metadata.id = 77;
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    fn zone(count: u8) -> (tempfile::TempDir, Zone) {
        let dir = tempfile::tempdir().unwrap();
        publish_network(dir.path(), "net", &network()).unwrap();
        for number in 0..count {
            let mut entry = entry(&format!("c{number}"), number + 2);
            if number == 1 {
                entry.ipv6 = None;
            }
            publish(dir.path(), "net", &format!("{number:016}"), &entry).unwrap();
        }
        let zone = Zone::open(&dir.path().join("net")).unwrap().unwrap();
        (dir, zone)
    }

    fn ask(zone: &mut Zone, request: &Message, udp: bool) -> Message {
        match react(zone, &request.to_vec().unwrap(), udp) {
            Reaction::Reply(bytes) => Message::from_vec(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn data(message: &Message) -> Vec<String> {
        message.answers.iter().map(|record| record.data.to_string()).collect()
    }

    #[test]
    fn addresses_by_family() {
        let (_dir, mut zone) = zone(2);
        let answer = ask(&mut zone, &request("C0.", RecordType::A), true);
        assert_eq!(data(&answer), ["10.77.3.2"]);
        assert_eq!((answer.metadata.id, answer.metadata.response_code), (77, ResponseCode::NoError));
        assert!(answer.metadata.recursion_available && answer.metadata.recursion_desired);
        assert_eq!(answer.queries[0].name.to_ascii(), "C0.", "the question comes back as it was written");
        assert_eq!(data(&ask(&mut zone, &request("c0.net.", RecordType::AAAA), true)), ["fd77:1:2:3::2"]);
        // Only IPv4: the name exists, it has no such address.
        let answer = ask(&mut zone, &request("c1.", RecordType::AAAA), true);
        assert_eq!((data(&answer).len(), answer.metadata.response_code), (0, ResponseCode::NoError));
        let answer = ask(&mut zone, &request("c0.", RecordType::MX), true);
        assert_eq!((data(&answer).len(), answer.metadata.response_code), (0, ResponseCode::NoError));
    }

    #[test]
    fn reverse_names() {
        let (_dir, mut zone) = zone(1);
        let answer = ask(&mut zone, &request("2.3.77.10.in-addr.arpa.", RecordType::PTR), true);
        assert_eq!(data(&answer), ["c0.net."]);
        let answer = ask(&mut zone, &request("9.3.77.10.in-addr.arpa.", RecordType::PTR), true);
        assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    }

    #[test]
    fn what_is_not_ours() {
        let (_dir, mut zone) = zone(1);
        let mut react = |message: &Message| react(&mut zone, &message.to_vec().unwrap(), true);
        assert_eq!(react(&request("example.org.", RecordType::A)), Reaction::Forward);
        assert_eq!(react(&request("c0.", RecordType::A).into_response()), Reaction::Ignore);
        let mut update = request("c0.", RecordType::A);
        update.metadata.op_code = OpCode::Update;
        assert!(matches!(react(&update), Reaction::Reply(bytes) if bytes[3] & 0xf == 4));
        let mut none = request("c0.", RecordType::A);
        none.queries.clear();
        assert!(matches!(react(&none), Reaction::Reply(bytes) if bytes[3] & 0xf == 1));
        let (_dir, mut zone) = self::zone(1);
        assert_eq!(super::react(&mut zone, b"nonsense", true), Reaction::Ignore);
    }

    #[test]
    fn long_answers_are_cut_for_udp_only() {
        let (_dir, mut zone) = zone(60);
        let mut message = request("service.", RecordType::A);
        let answer = ask(&mut zone, &message, true);
        assert!(answer.metadata.truncation && answer.answers.is_empty());
        assert_eq!(data(&ask(&mut zone, &message, false)).len(), 60);
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        message.set_edns(edns);
        let answer = ask(&mut zone, &message, true);
        assert_eq!((answer.metadata.truncation, data(&answer).len()), (false, 60));
        assert_eq!(answer.edns.map(|edns| edns.max_payload()), Some(1232));
    }

    #[test]
    fn only_the_answer_to_the_question_is_one() {
        let ours = request("example.org.", RecordType::A);
        let bytes = ours.to_vec().unwrap();
        let mut answer = ours.clone().into_response();
        assert!(answers(&answer.to_vec().unwrap(), &bytes, 77));
        assert!(!answers(&answer.to_vec().unwrap(), &bytes, 78), "another id");
        assert!(!answers(&bytes, &bytes, 77), "a question");
        answer.queries[0].set_name(Name::from_ascii("example.com.").unwrap());
        assert!(!answers(&answer.to_vec().unwrap(), &bytes, 77), "another question");
        assert!(is_useful(&answer.to_vec().unwrap()));
        assert!(!is_useful(&failure(&bytes).unwrap()));
    }
}
