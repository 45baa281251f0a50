//! What is requested of the kernel, and whether a connection that it lists is meant.
//!
//! Numbers: include/uapi/linux/netfilter/nfnetlink_conntrack.h.

use std::net::{IpAddr, Ipv4Addr};

use common::sys::netlink::attribute;
use common::sys::nla::Nla;
use common::{Family, Protocol};

use super::Stale;

/// `CTA_TUPLE_ORIG`, `CTA_TUPLE_REPLY`, `CTA_FILTER`
pub const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const FILTER: u16 = 25;
/// `CTA_TUPLE_IP`, `CTA_TUPLE_PROTO`
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
/// `CTA_IP_V4_SRC` and `CTA_IP_V6_SRC`; the destinations have the next numbers.
const V4_SRC: u16 = 1;
const V6_SRC: u16 = 3;
/// A tuple's source and its destination, as an offset to those.
const SRC: u16 = 0;
const DST: u16 = 1;
/// `CTA_PROTO_NUM`, `CTA_PROTO_DST_PORT`
const PROTO_NUM: u16 = 1;
const DST_PORT: u16 = 3;
/// `CTA_FILTER_ORIG_FLAGS`, `CTA_FILTER_REPLY_FLAGS`
const ORIG_FLAGS: u16 = 1;
const REPLY_FLAGS: u16 = 2;
/// What of a tuple the kernel shall compare: `CTA_FILTER_F_*` in
/// net/netfilter/nf_conntrack_netlink.c.
const BY_SRC: u32 = 1 << 0;
const BY_DST: u32 = 1 << 1;
const BY_PROTO: u32 = 1 << 3;
const BY_DST_PORT: u32 = 1 << 5;

/// What the kernel shall compare of a connection. Addresses are of IPv4 only: the kernel's filter takes
/// unequal IPv6 addresses for equal and the other way round (`ctnetlink_filter_match_tuple`, seen in
/// 6.18).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter {
    protocol: Protocol,
    /// The port it was opened to.
    host_port: Option<u16>,
    /// Who opened it.
    from: Option<Ipv4Addr>,
    /// The address it was opened to.
    to: Option<Ipv4Addr>,
    /// Who answers.
    answers: Option<Ipv4Addr>,
}

impl Filter {
    /// All of a protocol, to one port or to any.
    pub fn listing(protocol: Protocol, host_port: Option<u16>) -> Filter {
        Filter {
            protocol,
            host_port,
            from: None,
            to: None,
            answers: None,
        }
    }

    /// The attributes that say so.
    pub fn attributes(&self) -> Vec<Nla> {
        let Filter {
            protocol,
            host_port,
            from,
            to,
            answers,
        } = self;
        let addresses = [(SRC, from, BY_SRC), (DST, to, BY_DST)];
        let mut flags = BY_PROTO;
        let mut ip = Vec::new();
        for (which, addr, flag) in addresses {
            if let Some(addr) = addr {
                ip.push(Nla::value(V4_SRC + which, addr.octets()));
                flags |= flag;
            }
        }
        let mut proto = vec![Nla::u8(PROTO_NUM, protocol.number())];
        if let Some(port) = host_port {
            proto.push(Nla::be16(DST_PORT, *port));
            flags |= BY_DST_PORT;
        }
        let mut original = Vec::new();
        if !ip.is_empty() {
            original.push(Nla::nested(TUPLE_IP, ip));
        }
        original.push(Nla::nested(TUPLE_PROTO, proto));
        let mut attributes = vec![Nla::nested(TUPLE_ORIG, original)];
        if let Some(addr) = answers {
            let ip = [Nla::value(V4_SRC + SRC, addr.octets())];
            attributes.push(Nla::nested(TUPLE_REPLY, [Nla::nested(TUPLE_IP, ip)]));
        }
        let reply_flags = answers.map_or(0, |_| BY_SRC);
        attributes.push(Nla::nested(
            FILTER,
            [
                Nla::u32(ORIG_FLAGS, flags),
                Nla::u32(REPLY_FLAGS, reply_flags),
            ],
        ));
        attributes
    }
}

/// The filters that together are exactly the connections meant, or `None` where the kernel's filters
/// cannot say it. `local` are the node's addresses: "any of mine" takes a filter for each. What goes to
/// 127.0.0.0/8 comes from 127.0.0.1, unless it was bound to another of these addresses on purpose.
pub fn filters(stale: &Stale, local: &[IpAddr]) -> Option<Vec<Filter>> {
    let v4 = |addr: IpAddr| match addr {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    };
    // Nor can they say "of anybody but".
    if stale.family == Family::V6 || stale.kept.is_some() {
        return None;
    }
    let base = Filter {
        to: stale.port.address.and_then(v4),
        answers: stale.container.and_then(v4),
        ..Filter::listing(stale.port.protocol, Some(stale.port.number))
    };
    if base.to.is_some() || base.answers.is_some() {
        return Some(vec![base]);
    }
    let mut own: Vec<Ipv4Addr> = local.iter().copied().filter_map(v4).collect();
    own.push(Ipv4Addr::LOCALHOST);
    own.sort_unstable();
    own.dedup();
    let mut filters: Vec<Filter> = own
        .into_iter()
        .map(|addr| Filter {
            to: Some(addr),
            ..base
        })
        .collect();
    filters.push(Filter {
        from: Some(Ipv4Addr::LOCALHOST),
        ..base
    });
    Some(filters)
}

/// Whether a listed connection is one of those to drop.
pub fn is_meant(attributes: &[u8], stale: &Stale, local: &[IpAddr]) -> bool {
    let Some(tuple) = attribute(attributes, TUPLE_ORIG) else {
        return false;
    };
    let destination = address_in(tuple, DST);
    let port = attribute(tuple, TUPLE_PROTO).and_then(|proto| {
        let number = attribute(proto, PROTO_NUM)?.first()?;
        let port: [u8; 2] = attribute(proto, DST_PORT)?.try_into().ok()?;
        Some((*number, u16::from_be_bytes(port)))
    });
    let answers = attribute(attributes, TUPLE_REPLY).and_then(|tuple| address_in(tuple, SRC));
    let to_us = match (stale.port.address, destination) {
        (_, None) => false,
        (Some(only), Some(destination)) => only == destination,
        (None, Some(destination)) => {
            stale.container.is_some() || destination.is_loopback() || local.contains(&destination)
        }
    };
    port == Some((stale.port.protocol.number(), stale.port.number))
        && to_us
        && stale
            .container
            .is_none_or(|container| answers == Some(container))
        && stale
            .kept
            .is_none_or(|container| answers != Some(container))
}

/// A tuple's source or destination.
fn address_in(tuple: &[u8], which: u16) -> Option<IpAddr> {
    let ip = attribute(tuple, TUPLE_IP)?;
    if let Some(bytes) = attribute(ip, V4_SRC + which) {
        return Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?));
    }
    let bytes = attribute(ip, V6_SRC + which)?;
    Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_port::HostPort;

    fn stale(family: Family, host_ip: Option<&str>, container: Option<&str>) -> Stale {
        Stale {
            family,
            port: HostPort {
                protocol: Protocol::Udp,
                address: host_ip.map(|text| text.parse().unwrap()),
                within: None,
                number: 53,
            },
            container: container.map(|text| text.parse().unwrap()),
            kept: None,
        }
    }

    #[test]
    fn any_address_of_the_node_takes_a_filter_for_each_and_one_for_what_comes_from_loopback() {
        let local = ["10.99.0.1", "127.0.0.1", "fd99::1"].map(|text| text.parse().unwrap());
        let filters = filters(&stale(Family::V4, None, None), &local).unwrap();
        let told: Vec<_> = filters.iter().map(|f| (f.from, f.to, f.answers)).collect();
        let (loopback, node) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(10, 99, 0, 1));
        assert_eq!(
            told,
            [
                (None, Some(node), None),
                (None, Some(loopback), None),
                (Some(loopback), None, None),
            ]
        );
        assert!(filters.iter().all(|f| f.host_port == Some(53)));
    }

    #[test]
    fn an_address_or_a_container_is_one_filter_and_ipv6_is_none() {
        let one = |stale: &Stale| filters(stale, &[]).unwrap().len();
        assert_eq!(one(&stale(Family::V4, Some("10.99.0.1"), None)), 1);
        assert_eq!(one(&stale(Family::V4, None, Some("10.22.0.2"))), 1);
        for stale in [
            stale(Family::V6, None, None),
            stale(Family::V6, Some("fd99::1"), None),
            stale(Family::V6, None, Some("fd00::2")),
            Stale {
                kept: Some("10.22.0.2".parse().unwrap()),
                ..stale(Family::V4, None, None)
            },
        ] {
            assert_eq!(filters(&stale, &[]), None);
        }
    }
}
