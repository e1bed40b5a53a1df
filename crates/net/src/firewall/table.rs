//! The engine's nf_tables table: fixed chains and rules, and the sets and maps that networks and endpoints fill.
//!
//! | set or map | key | value | filled by |
//! |---|---|---|---|
//! | `bridges` | bridge | | network |
//! | `within` | bridge, bridge | | network: in and out on the same bridge |
//! | `resolvers4`, `resolvers6` | gateway address | | network |
//! | `ports4`, `ports6` | protocol, host port | address, port | endpoint published on every address |
//! | `bound4`, `bound6` | address, protocol, host port | address, port | endpoint published on one address |
//! | `loops4`, `loops6` | address, address | | endpoint that publishes: from itself to itself |
//!
//! What the rules mean:
//! - A published port is led to its endpoint wherever the connection comes from: outside, the host itself, another
//!   endpoint. The client's source address stays, but for two cases in which the answer would not find back: from
//!   127.0.0.0/8, and from an endpoint to a port published by its own network. These get the gateway's address. (With
//!   `br_netfilter`, the firewall sees frames between ports of a bridge too, without the link that they came in by.
//!   The answer then finds back by itself, but for an endpoint that connects to itself: hence `loops`.)
//! - ::1 is left alone: the kernel has no way to lead a connection from there elsewhere (no `route_localnet` for
//!   IPv6), and refused at once is better than lost; `localhost` then falls back to 127.0.0.1.
//! - Port 53 of a gateway always reaches the engine's resolver, whatever is published.
//! - What endpoints send beyond their networks gets the outgoing link's address.
//! - An endpoint is reached from beyond its bridge only by what is published and by answers: not by routing directly
//!   to its address, nor from another of the engine's networks. Nothing else is ever dropped.
//! - 127.0.0.0/8 of the host, which `route_localnet` opens on the bridges, is closed to endpoints, and a port
//!   published on it to other hosts (CVE-2020-8558).
//!
//! In and out link of one packet in postrouting need Linux 5.7, addresses with ports as map values 5.6.

use super::expression::{Expression, R0};
use crate::netlink::Batch;
use netlink_bindings::nftables::{CtKeys, MetaKeys, Nfgenmsg, PayloadBase, Request, SetFlags};

/// `NFPROTO_INET`, `NFPROTO_IPV4`, `NFPROTO_IPV6` (linux/netfilter.h).
pub(super) const INET: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;
/// Hooks (`NF_INET_*`, linux/netfilter.h).
const PREROUTING: u32 = 0;
const FORWARD: u32 = 2;
const OUTPUT: u32 = 3;
const POSTROUTING: u32 = 4;
/// Connection states and status bits (linux/netfilter/nf_conntrack_common.h): established or related; DNAT done.
const ANSWERING: u32 = 0x2 | 0x4;
const DNATTED: u32 = 0x20;

/// Kinds of values, for programs that list the table (`enum datatypes` of nftables): they do not change what the
/// kernel does. Several kinds in one key take six bits each.
mod kind {
    pub(super) const ADDRESS4: u32 = 7;
    pub(super) const ADDRESS6: u32 = 8;
    pub(super) const PROTOCOL: u32 = 12;
    pub(super) const PORT: u32 = 13;
    pub(super) const LINK: u32 = 41;
}

/// A set's remark for programs that list it (`NFTNL_UDATA_SET_KEYBYTEORDER`, 4 bytes, `BYTEORDER_HOST_ENDIAN`): its
/// keys are in the host's byte order. nft prints names of links only with it.
const HOST_ORDER: [u8; 6] = {
    let [a, b, c, d] = 1u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};

const fn kinds<const N: usize>(kinds: [u32; N]) -> u32 {
    let (mut all, mut n) = (0, 0);
    while n < N {
        all = all << 6 | kinds[n];
        n += 1;
    }
    all
}

/// A set, or a map where it has a value: name, key's kind and bytes, value's kind and bytes.
type Set = (&'static str, (u32, u32), Option<(u32, u32)>);

const VALUE4: Option<(u32, u32)> = Some((kinds([kind::ADDRESS4, kind::PORT]), 8));
const VALUE6: Option<(u32, u32)> = Some((kinds([kind::ADDRESS6, kind::PORT]), 20));

const SETS: [Set; 10] = [
    ("bridges", (kind::LINK, 16), None),
    ("within", (kinds([kind::LINK, kind::LINK]), 32), None),
    ("resolvers4", (kind::ADDRESS4, 4), None),
    ("resolvers6", (kind::ADDRESS6, 16), None),
    ("ports4", (kinds([kind::PROTOCOL, kind::PORT]), 8), VALUE4),
    ("ports6", (kinds([kind::PROTOCOL, kind::PORT]), 8), VALUE6),
    ("bound4", (kinds([kind::ADDRESS4, kind::PROTOCOL, kind::PORT]), 12), VALUE4),
    ("bound6", (kinds([kind::ADDRESS6, kind::PROTOCOL, kind::PORT]), 24), VALUE6),
    ("loops4", (kinds([kind::ADDRESS4, kind::ADDRESS4]), 8), None),
    ("loops6", (kinds([kind::ADDRESS6, kind::ADDRESS6]), 32), None),
];

/// A chain: name, and where it is hooked: type, hook, priority (`raw` is -300, `dstnat` -100, `srcnat` 100).
type Chain = (&'static str, Option<(&'static str, u32, i32)>);

const CHAINS: [Chain; 6] = [
    ("guard", Some(("filter", PREROUTING, -300))),
    ("publish", None),
    ("prerouting", Some(("nat", PREROUTING, -100))),
    ("output", Some(("nat", OUTPUT, -100))),
    ("postrouting", Some(("nat", POSTROUTING, 100))),
    ("forward", Some(("filter", FORWARD, 0))),
];

const IS_IPV4: [Expression; 2] = [Expression::Meta(MetaKeys::Nfproto, R0), Expression::Equal(&[IPV4])];
const IS_IPV6: [Expression; 2] = [Expression::Meta(MetaKeys::Nfproto, R0), Expression::Equal(&[IPV6])];
const IN_LINK: Expression = Expression::Meta(MetaKeys::Iifname, R0);
const OUT_LINK: Expression = Expression::Meta(MetaKeys::Oifname, R0);
/// The out link as the second part of a key: each part starts at a multiple of four bytes.
const AND_OUT_LINK: Expression = Expression::Meta(MetaKeys::Oifname, R0 + 4);
/// The 127 of 127.0.0.0/8 as source and destination (RFC 791, section 3.1).
const SOURCE4_HEAD: Expression = Expression::Payload(PayloadBase::NetworkHeader, 12, 1, R0);
const TARGET4_HEAD: Expression = Expression::Payload(PayloadBase::NetworkHeader, 16, 1, R0);
const LOOPBACK_HEAD: Expression = Expression::Equal(&[127]);
const TARGET4: Expression = Expression::Payload(PayloadBase::NetworkHeader, 16, 4, R0);
/// RFC 8200, section 3.
const TARGET6: Expression = Expression::Payload(PayloadBase::NetworkHeader, 24, 16, R0);
const LOOPBACK6: Expression = Expression::Equal(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
const DNS: Expression = Expression::Equal(&[0, 53]);

const fn protocol(register: u32) -> Expression {
    Expression::Meta(MetaKeys::L4Proto, register)
}

/// TCP, UDP and SCTP have the destination port at the same place.
const fn port(register: u32) -> Expression {
    Expression::Payload(PayloadBase::TransportHeader, 2, 2, register)
}

/// Source and destination address together: they stand side by side in both headers.
const BOTH4: Expression = Expression::Payload(PayloadBase::NetworkHeader, 12, 8, R0);
const BOTH6: Expression = Expression::Payload(PayloadBase::NetworkHeader, 8, 32, R0);

/// All rules, by chain, in their order.
fn rules() -> Vec<(&'static str, Vec<Expression>)> {
    use Expression::{
        Accept, AnyOf, Connection, Dnat, Drop, In, Jump, Map, Masquerade, NotForThisHost, NotIn,
    };
    let rule = |chain, parts: &[&[Expression]]| (chain, parts.concat());
    let dnatted = [Connection(CtKeys::Status), AnyOf(DNATTED)];
    vec![
        rule("guard", &[&[IN_LINK, In("bridges")], &IS_IPV4, &[TARGET4_HEAD, LOOPBACK_HEAD, Drop]]),
        rule("guard", &[&[IN_LINK, In("bridges")], &IS_IPV4, &[SOURCE4_HEAD, LOOPBACK_HEAD, Drop]]),
        rule("publish", &[&IS_IPV4, &[TARGET4, In("resolvers4"), port(R0), DNS, Accept]]),
        rule("publish", &[&IS_IPV6, &[TARGET6, In("resolvers6"), port(R0), DNS, Accept]]),
        rule("publish", &[&IS_IPV6, &[TARGET6, LOOPBACK6, Accept]]),
        rule(
            "publish",
            &[&IS_IPV4, &[TARGET4, protocol(R0 + 1), port(R0 + 2), Map("bound4"), Dnat(IPV4, R0, R0 + 1)]],
        ),
        rule(
            "publish",
            &[&IS_IPV6, &[TARGET6, protocol(R0 + 4), port(R0 + 5), Map("bound6"), Dnat(IPV6, R0, R0 + 4)]],
        ),
        rule("publish", &[&[NotForThisHost, Accept]]),
        rule("publish", &[&IS_IPV4, &[protocol(R0), port(R0 + 1), Map("ports4"), Dnat(IPV4, R0, R0 + 1)]]),
        rule("publish", &[&IS_IPV6, &[protocol(R0), port(R0 + 1), Map("ports6"), Dnat(IPV6, R0, R0 + 4)]]),
        rule("prerouting", &[&IS_IPV4, &[TARGET4_HEAD, LOOPBACK_HEAD, Accept]]),
        rule("prerouting", &[&[Jump("publish")]]),
        rule("output", &[&[Jump("publish")]]),
        rule("postrouting", &[&[IN_LINK, In("bridges"), OUT_LINK, NotIn("bridges"), Masquerade]]),
        rule("postrouting", &[&dnatted, &[IN_LINK, AND_OUT_LINK, In("within"), Masquerade]]),
        rule("postrouting", &[&dnatted, &IS_IPV4, &[BOTH4, In("loops4"), Masquerade]]),
        rule("postrouting", &[&dnatted, &IS_IPV6, &[BOTH6, In("loops6"), Masquerade]]),
        rule(
            "postrouting",
            &[&[OUT_LINK, In("bridges")], &IS_IPV4, &[SOURCE4_HEAD, LOOPBACK_HEAD, Masquerade]],
        ),
        rule("forward", &[&[OUT_LINK, NotIn("bridges"), Accept]]),
        rule("forward", &[&[Connection(CtKeys::State), AnyOf(ANSWERING), Accept]]),
        rule("forward", &[&dnatted, &[Accept]]),
        rule("forward", &[&[IN_LINK, AND_OUT_LINK, In("within"), Accept]]),
        rule("forward", &[&[Drop]]),
    ]
}

/// The header of each message about the table.
pub(super) fn header() -> Nfgenmsg {
    Nfgenmsg { nfgen_family: INET, ..Default::default() }
}

/// Adds the making of the whole table. The batch fails with `EEXIST` if there is one of this name.
pub(super) fn create(batch: &mut Batch, table: &str) {
    let mut request = Request::new().set_create().set_excl().op_newtable_do(&header());
    drop(request.encode().push_name_bytes(table.as_bytes()));
    batch.push(format!("create the firewall table {table}"), &request);
    for (n, (name, (key_kind, key_length), value)) in (1..).zip(SETS) {
        let mut request = Request::new().set_create().op_newset_do(&header());
        let set = request.encode().push_table_bytes(table.as_bytes()).push_name_bytes(name.as_bytes());
        let mut set = set.push_id(n).push_key_type(key_kind).push_key_len(key_length);
        if key_kind == kind::LINK {
            set = set.push_userdata(&HOST_ORDER);
        }
        drop(match value {
            Some((kind, length)) => {
                set.push_flags(SetFlags::Map as u32).push_data_type(kind).push_data_len(length)
            }
            None => set.push_flags(0),
        });
        batch.push(format!("create the firewall set {table} {name}"), &request);
    }
    for (name, hook) in CHAINS {
        let mut request = Request::new().set_create().op_newchain_do(&header());
        let mut chain = request.encode().push_table_bytes(table.as_bytes()).push_name_bytes(name.as_bytes());
        if let Some((kind, hook, priority)) = hook {
            chain = chain.push_type_bytes(kind.as_bytes());
            chain = chain.nested_hook().push_num(hook).push_priority(priority).end_nested();
        }
        drop(chain);
        batch.push(format!("create the firewall chain {table} {name}"), &request);
    }
    for (chain, expressions) in rules() {
        let mut request = Request::new().set_create().set_append().op_newrule_do(&header());
        let rule = request.encode().push_table_bytes(table.as_bytes()).push_chain_bytes(chain.as_bytes());
        let list = rule.nested_expressions();
        drop(expressions.into_iter().fold(list, |list, expression| expression.push(list)));
        batch.push(format!("add a rule to the firewall chain {table} {chain}"), &request);
    }
}
