//! Links, addresses and routes as netlink messages: written, and read again.
//!
//! Layouts: `struct ifaddrmsg` (include/uapi/linux/if_addr.h) and `struct rtmsg`
//! (include/uapi/linux/rtnetlink.h).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;

use common::family;
use common::result::Prefix;
use common::sys::netlink::{DUMP, Message, Netlink, Refusal, attribute, u32_at};
use common::sys::netns::Netns;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};
use nix::libc;

use super::plan::{End, OwnAddress, Plan, Route};

/// Bytes before the attributes.
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

/// The host's end, with its peer made inside the container's namespace at once.
pub fn pair_attributes(plan: &Plan, netns: &Netns) -> Vec<LinkAttribute> {
    let mut peer = LinkMessage::default();
    peer.attributes = end_attributes(&plan.container);
    let inside = LinkAttribute::NetNsFd(netns.fd().as_raw_fd());
    peer.attributes.push(inside);
    let data = LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer)));
    let info = LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth), data]);
    let mut attributes = end_attributes(&plan.host);
    attributes.push(info);
    attributes
}

fn end_attributes(end: &End) -> Vec<LinkAttribute> {
    let mac = end
        .mac
        .map(|mac| LinkAttribute::Address(mac.bytes().to_vec()));
    let name = LinkAttribute::IfName(end.name.clone());
    [name].into_iter().chain(mac).collect()
}

/// An address for a link.
pub fn address_message(index: u32, address: &OwnAddress) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family_of(address.prefix);
    message.header.prefix_len = address.prefix.len;
    message.header.index = index;
    // No other host can have the address on a new pair: no need to wait for duplicates to answer.
    let mut flags = AddressFlags::Nodad;
    if !address.prefix_route {
        flags |= AddressFlags::Noprefixroute;
    }
    message.attributes = vec![
        AddressAttribute::Local(address.prefix.addr),
        AddressAttribute::Address(address.prefix.addr),
        AddressAttribute::Flags(flags),
    ];
    message
}

/// A route through a link.
pub fn route_message(index: u32, Route { dst, via }: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family_of(*dst);
    message.header.destination_prefix_length = dst.len;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Boot;
    message.header.kind = RouteType::Unicast;
    message.header.scope = match via {
        None if dst.addr.is_ipv4() => RouteScope::Link,
        _ => RouteScope::Universe,
    };
    message.attributes = vec![RouteAttribute::Oif(index)];
    if dst.len > 0 {
        let to = RouteAttribute::Destination(RouteAddress::from(dst.addr));
        message.attributes.push(to);
    }
    let gateway = via.map(|via| RouteAttribute::Gateway(RouteAddress::from(via)));
    message.attributes.extend(gateway);
    message
}

fn family_of(prefix: Prefix) -> AddressFamily {
    match prefix.addr.is_ipv4() {
        true => AddressFamily::Inet,
        false => AddressFamily::Inet6,
    }
}

/// The addresses of a link.
pub fn addresses(netlink: &mut Netlink, link: u32) -> Result<Vec<Prefix>, Refusal> {
    let replies = netlink.request(libc::RTM_GETADDR, DUMP, &AddressMessage::default())?;
    Ok(replies
        .iter()
        .filter_map(|reply| address(reply, link))
        .collect())
}

/// The routes of the main table through a link.
pub fn routes(netlink: &mut Netlink, link: u32) -> Result<Vec<Route>, Refusal> {
    let replies = netlink.request(libc::RTM_GETROUTE, DUMP, &RouteMessage::default())?;
    Ok(replies
        .iter()
        .filter_map(|reply| route(reply, link))
        .collect())
}

fn address(message: &Message, link: u32) -> Option<Prefix> {
    let body = &message.body;
    if message.kind != libc::RTM_NEWADDR || u32_at(body, 4) != Some(link) {
        return None;
    }
    let attributes = body.get(ADDRESS_HEADER..)?;
    let own = attribute(attributes, libc::IFA_LOCAL);
    let addr = family::address(own.or_else(|| attribute(attributes, libc::IFA_ADDRESS))?)?;
    let len = *body.get(1)?;
    Some(Prefix { addr, len })
}

fn route(message: &Message, link: u32) -> Option<Route> {
    let body = &message.body;
    let attributes = body.get(ROUTE_HEADER..)?;
    let through = u32_at(attribute(attributes, libc::RTA_OIF)?, 0)?;
    let is_main = *body.get(4)? == libc::RT_TABLE_MAIN;
    if message.kind != libc::RTM_NEWROUTE || !is_main || through != link {
        return None;
    }
    let len = *body.get(1)?;
    let addr = match attribute(attributes, libc::RTA_DST) {
        Some(bytes) => family::address(bytes)?,
        None if i32::from(*body.first()?) == libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        None => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let via = attribute(attributes, libc::RTA_GATEWAY).and_then(family::address);
    let dst = Prefix { addr, len };
    Some(Route { dst, via })
}
