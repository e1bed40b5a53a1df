//! The expressions that rules are made of (`Documentation/netlink/specs/nftables.yaml`; `nft --debug=netlink` shows
//! the same in words). Values are in network byte order where packets are compared, in the host's elsewhere.

use netlink_bindings::{
    nftables::{
        BitwiseOps, CmpOps, CtKeys, FibFlags, LookupFlags, MetaKeys, PayloadBase, PushExprListAttrs,
        Registers, VerdictCode,
    },
    traits::Pusher,
    utils::push_header,
};

/// The first of the sixteen 4-byte registers; the others follow it.
pub(super) const R0: u32 = Registers::Reg3200 as u32;

/// `RTN_LOCAL` (linux/rtnetlink.h): the address is one of this host's.
const LOCAL: u32 = 2;
/// `NFT_FIB_RESULT_ADDRTYPE` (linux/netfilter/nf_tables.h; `netlink-bindings` 0.3 counts from 0 instead of 1).
const ADDRESS_TYPE: u32 = 3;
/// `NFT_NAT_DNAT` (linux/netfilter/nf_tables.h).
const DNAT: u32 = 1;

/// Attributes of a look-up (`enum nft_lookup_attributes`, linux/netfilter/nf_tables.h). The specification that
/// `netlink-bindings` 0.3 is made from has them in another order, so they are written here by hand.
mod lookup {
    pub(super) const SOURCE: u16 = 2;
    pub(super) const TARGET: u16 = 3;
    pub(super) const FLAGS: u16 = 5;
}

/// One expression of a rule. A comparison or look-up that fails ends the rule.
#[derive(Debug, Clone, Copy)]
pub(super) enum Expression {
    /// Puts a fact about the packet into a register.
    Meta(MetaKeys, u32),
    /// Puts a fact about the packet's connection into [`R0`].
    Connection(CtKeys),
    /// Puts bytes of the packet into a register: base, offset, length, register.
    Payload(PayloadBase, u32, u32, u32),
    /// Goes on if [`R0`] begins with these bytes.
    Equal(&'static [u8]),
    /// Goes on if [`R0`] has any of these bits, in the host's byte order.
    AnyOf(u32),
    /// Goes on if the key that starts at [`R0`] is in the set.
    In(&'static str),
    /// Goes on if the key that starts at [`R0`] is not in the set.
    NotIn(&'static str),
    /// Replaces the key that starts at [`R0`] by its value in the map; goes on if there is one.
    Map(&'static str),
    /// Goes on if the packet's destination is not an address of this host.
    NotForThisHost,
    /// Sends the connection to the address and port in the registers: family, address, port. Ends the chain.
    Dnat(u8, u32, u32),
    /// Gives the connection the outgoing link's address as its source. Ends the chain.
    Masquerade,
    /// Ends the chain: the packet goes on to the next one.
    Accept,
    /// Ends the packet.
    Drop,
    /// Goes through another chain first.
    Jump(&'static str),
}

impl Expression {
    /// Adds the expression to a rule's list.
    pub(super) fn push<P: Pusher>(self, list: PushExprListAttrs<P>) -> PushExprListAttrs<P> {
        match self {
            Self::Meta(key, register) => {
                let meta = list.nested_elem().nested_data_meta();
                meta.push_key(key as u32).push_dreg(register).end_nested().end_nested()
            }
            Self::Connection(key) => {
                let ct = list.nested_elem().nested_data_ct();
                ct.push_key(key as u32).push_dreg(R0).end_nested().end_nested()
            }
            Self::Payload(base, offset, length, register) => {
                let payload =
                    list.nested_elem().nested_data_payload().push_dreg(register).push_base(base as u32);
                payload.push_offset(offset).push_len(length).end_nested().end_nested()
            }
            Self::Equal(value) => compare(list, CmpOps::Eq, value),
            Self::AnyOf(bits) => {
                let and = list.nested_elem().nested_data_bitwise().push_sreg(R0).push_dreg(R0).push_len(4);
                let and = and.push_op(BitwiseOps::MaskXor as u32);
                let and = and.nested_mask().push_value(&bits.to_ne_bytes()).end_nested();
                let list = and.nested_xor().push_value(&[0; 4]).end_nested().end_nested().end_nested();
                compare(list, CmpOps::Neq, &[0; 4])
            }
            Self::In(set) => lookup(list, set, &[(lookup::SOURCE, R0)]),
            Self::NotIn(set) => {
                lookup(list, set, &[(lookup::SOURCE, R0), (lookup::FLAGS, LookupFlags::Invert as u32)])
            }
            Self::Map(map) => lookup(list, map, &[(lookup::SOURCE, R0), (lookup::TARGET, R0)]),
            Self::NotForThisHost => {
                let fib = list.nested_elem().nested_data_fib().push_dreg(R0);
                let fib = fib.push_result(ADDRESS_TYPE).push_flags(FibFlags::Daddr as u32);
                compare(fib.end_nested().end_nested(), CmpOps::Neq, &LOCAL.to_ne_bytes())
            }
            Self::Dnat(family, address, port) => {
                let nat = list.nested_elem().nested_data_nat().push_type(DNAT).push_family(family.into());
                nat.push_reg_addr_min(address).push_reg_proto_min(port).end_nested().end_nested()
            }
            Self::Masquerade => list.nested_elem().push_name(c"masq").end_nested(),
            Self::Accept => verdict(list, VerdictCode::Accept, None),
            Self::Drop => verdict(list, VerdictCode::Drop, None),
            Self::Jump(chain) => verdict(list, VerdictCode::Jump, Some(chain)),
        }
    }
}

fn compare<P: Pusher>(list: PushExprListAttrs<P>, how: CmpOps, value: &[u8]) -> PushExprListAttrs<P> {
    let compare = list.nested_elem().nested_data_cmp().push_sreg(R0).push_op(how as u32);
    compare.nested_data().push_value(value).end_nested().end_nested().end_nested()
}

fn lookup<P: Pusher>(list: PushExprListAttrs<P>, set: &str, words: &[(u16, u32)]) -> PushExprListAttrs<P> {
    let mut lookup = list.nested_elem().nested_data_lookup().push_set_bytes(set.as_bytes());
    for (attribute, word) in words {
        push_header(lookup.as_vec_mut(), *attribute, 4);
        lookup.as_vec_mut().extend(word.to_be_bytes());
    }
    lookup.end_nested().end_nested()
}

fn verdict<P: Pusher>(
    list: PushExprListAttrs<P>,
    code: VerdictCode,
    chain: Option<&str>,
) -> PushExprListAttrs<P> {
    let immediate = list.nested_elem().nested_data_immediate().push_dreg(Registers::RegVerdict as u32);
    // The codes below zero are written as the unsigned number with the same bits.
    let mut verdict = immediate.nested_data().nested_verdict().push_code(code as u64 as u32);
    if let Some(chain) = chain {
        verdict = verdict.push_chain_bytes(chain.as_bytes());
    }
    verdict.end_nested().end_nested().end_nested().end_nested()
}
