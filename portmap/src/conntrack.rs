//! Connections that the kernel remembers from before: UDP and SCTP clients that keep sending would be
//! served by a rule that is gone, or by none, for as long as they keep sending.
//!
//! Numbers: include/uapi/linux/netfilter/nfnetlink_conntrack.h.

use std::collections::HashSet;
use std::net::IpAddr;

use common::error::{Code, Error};
use common::sys::netlink::{DUMP, GET, Netlink, Refusal, attribute};
use common::sys::nla::{self, Nla};
use nix::errno::Errno;

use crate::address;
use crate::host_port::HostPort;
use crate::mapping::{Family, Protocol};

/// `NFNL_SUBSYS_CTNETLINK` with `IPCTNL_MSG_CT_GET` and `IPCTNL_MSG_CT_DELETE`.
const CT_GET: u16 = 1 << 8 | 1;
const CT_DELETE: u16 = 1 << 8 | 2;
/// `CTA_TUPLE_ORIG`, `CTA_TUPLE_REPLY`, `CTA_ID`, `CTA_FILTER`
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const FILTER: u16 = 25;
/// `CTA_TUPLE_IP`, `CTA_TUPLE_PROTO`
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
/// `CTA_IP_V4_SRC` and `CTA_IP_V6_SRC`; the destinations have the next numbers.
const V4_SRC: u16 = 1;
const V6_SRC: u16 = 3;
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
const BY_PROTO_AND_PORT: u32 = 1 << 3 | 1 << 5;
/// `CTA_ZONE`
const ZONE: u16 = 18;
/// `NLA_F_NESTED`
const NESTED: u16 = 1 << 15;

/// Connections to drop: those to a host port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stale {
    /// The IP version.
    pub family: Family,
    /// The protocol.
    pub protocol: Protocol,
    /// The port they were opened to.
    pub host_port: u16,
    /// The address they were opened to; `None` for any address of this node.
    pub host_ip: Option<IpAddr>,
    /// The container that answers them; `None` for any, and for nobody.
    pub container: Option<IpAddr>,
}

impl From<&Stale> for HostPort {
    fn from(stale: &Stale) -> HostPort {
        HostPort {
            protocol: stale.protocol,
            address: stale.host_ip,
            port: stale.host_port,
        }
    }
}

/// Drops connections; TCP ones end by themselves, with their endpoint.
///
/// # Errors
/// Code 100 with everything that could not be dropped.
pub fn drop_stale(stale: impl IntoIterator<Item = Stale>) -> Result<(), Error> {
    let stale: HashSet<Stale> = stale
        .into_iter()
        .filter(|s| s.protocol != Protocol::Tcp)
        .collect();
    if stale.is_empty() {
        return Ok(());
    }
    let mut socket = Netlink::netfilter()?;
    let mut errors = Vec::new();
    for one in stale {
        if let Err(refusal) = drop_one(&mut socket, &one) {
            errors.push(
                Error::new(
                    Code::System,
                    format!(
                        "drop old connections to port {}/{}",
                        one.host_port, one.protocol
                    ),
                )
                .with_details(refusal),
            );
        }
    }
    Error::all(errors).map_or(Ok(()), Err)
}

fn drop_one(socket: &mut Netlink, stale: &Stale) -> Result<(), Refusal> {
    // A port of any address of the node: the kernel cannot be asked for "any of mine", and the same
    // port of other machines is none of our business. And the kernel's filter takes unequal IPv6
    // addresses for equal and the other way round (ctnetlink_filter_match_tuple, seen in 6.18).
    let by_address = stale.host_ip.is_some() || stale.container.is_some();
    if !by_address || stale.family == Family::V6 {
        return drop_listed(socket, stale);
    }
    let body = nla::body(&header(stale.family), &filter(stale))?;
    match socket.request_bytes(CT_DELETE, GET, &body) {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.errno == Errno::ENOENT => Ok(()),
        // Kernels before 6.x cannot filter when they delete.
        Err(refusal) if is_unsupported(&refusal) => drop_listed(socket, stale),
        Err(refusal) => Err(refusal),
    }
}

fn is_unsupported(refusal: &Refusal) -> bool {
    matches!(refusal.errno, Errno::EINVAL | Errno::EOPNOTSUPP)
}

fn drop_listed(socket: &mut Netlink, stale: &Stale) -> Result<(), Refusal> {
    let filtered = nla::body(&header(stale.family), &filter(stale))?;
    let replies = match socket.request_bytes(CT_GET, DUMP, &filtered) {
        // Kernels before 5.8 cannot filter at all.
        Err(refusal) if is_unsupported(&refusal) => {
            socket.request_bytes(CT_GET, DUMP, &header(stale.family))
        }
        other => other,
    };
    let replies = replies?;
    if replies.is_empty() {
        return Ok(());
    }
    let local = address::local(stale.family).unwrap_or_default();
    for reply in &replies {
        let Some(attributes) = reply.body.get(HEADER..) else {
            continue;
        };
        if !is_meant(attributes, stale, &local) {
            continue;
        }
        // Never without the tuple: that would be everything.
        let Some(tuple) = attribute(attributes, TUPLE_ORIG) else {
            continue;
        };
        let mut this = vec![Nla::value(TUPLE_ORIG | NESTED, tuple)];
        let more = [ID, ZONE].map(|kind| attribute(attributes, kind).map(|v| Nla::value(kind, v)));
        this.extend(more.into_iter().flatten());
        let body = nla::body(&header(stale.family), &this)?;
        match socket.request_bytes(CT_DELETE, GET, &body) {
            Err(refusal) if refusal.errno != Errno::ENOENT => return Err(refusal),
            _ => {}
        }
    }
    Ok(())
}

/// Whether a listed connection is one of those to drop.
pub fn is_meant(attributes: &[u8], stale: &Stale, local: &[IpAddr]) -> bool {
    let Some(tuple) = attribute(attributes, TUPLE_ORIG) else {
        return false;
    };
    let destination = address_in(tuple, 1);
    let port = attribute(tuple, TUPLE_PROTO).and_then(|proto| {
        let number = attribute(proto, PROTO_NUM)?.first()?;
        let port: [u8; 2] = attribute(proto, DST_PORT)?.try_into().ok()?;
        Some((*number, u16::from_be_bytes(port)))
    });
    let answers = attribute(attributes, TUPLE_REPLY).and_then(|tuple| address_in(tuple, 0));
    let to_us = match (stale.host_ip, destination) {
        (_, None) => false,
        (Some(only), Some(destination)) => only == destination,
        (None, Some(destination)) => {
            stale.container.is_some() || destination.is_loopback() || local.contains(&destination)
        }
    };
    port == Some((stale.protocol.number(), stale.host_port))
        && to_us
        && stale
            .container
            .is_none_or(|container| answers == Some(container))
}

/// A tuple's source (0) or destination (1).
fn address_in(tuple: &[u8], which: u16) -> Option<IpAddr> {
    let ip = attribute(tuple, TUPLE_IP)?;
    if let Some(bytes) = attribute(ip, V4_SRC + which) {
        return Some(IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?));
    }
    let bytes = attribute(ip, V6_SRC + which)?;
    Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?))
}

/// Bytes before the attributes (`struct nfgenmsg`).
const HEADER: usize = 4;

fn header(family: Family) -> [u8; HEADER] {
    let number = match family {
        Family::V4 => nix::libc::AF_INET,
        Family::V6 => nix::libc::AF_INET6,
    };
    [u8::try_from(number).unwrap_or_default(), 0, 0, 0]
}

/// Protocol and port, and IPv4 addresses, for the kernel to compare.
fn filter(stale: &Stale) -> Vec<Nla> {
    let Stale {
        family: _,
        protocol,
        host_port,
        host_ip,
        container,
    } = stale;
    let proto = Nla::nested(
        TUPLE_PROTO,
        [
            Nla::u8(PROTO_NUM, protocol.number()),
            Nla::be16(DST_PORT, *host_port),
        ],
    );
    let v4_only = |addr: &Option<IpAddr>| addr.filter(IpAddr::is_ipv4);
    let (host_ip, container) = (v4_only(host_ip), v4_only(container));
    let mut original: Vec<Nla> = host_ip.map(|addr| ip(addr, 1)).into_iter().collect();
    original.push(proto);
    let by_dst = if host_ip.is_some() { BY_DST } else { 0 };
    let by_src = if container.is_some() { BY_SRC } else { 0 };
    let mut attributes = vec![Nla::nested(TUPLE_ORIG, original)];
    attributes.extend(container.map(|addr| Nla::nested(TUPLE_REPLY, [ip(addr, 0)])));
    attributes.push(Nla::nested(
        FILTER,
        [
            Nla::u32(ORIG_FLAGS, BY_PROTO_AND_PORT | by_dst),
            Nla::u32(REPLY_FLAGS, by_src),
        ],
    ));
    attributes
}

fn ip(addr: IpAddr, which: u16) -> Nla {
    let value = match addr {
        IpAddr::V4(v4) => Nla::value(V4_SRC + which, v4.octets()),
        IpAddr::V6(v6) => Nla::value(V6_SRC + which, v6.octets()),
    };
    Nla::nested(TUPLE_IP, [value])
}
