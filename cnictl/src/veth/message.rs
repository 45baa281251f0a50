//! Links, addresses and routes of the plan as netlink messages.

use std::os::fd::AsRawFd;

use common::sys::netns::Netns;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
};

use super::plan::{End, OwnAddress, Plan, Route};

/// The host's end, with its peer made inside the container's namespace at once.
pub fn pair_attributes(plan: &Plan, netns: &Netns) -> Vec<LinkAttribute> {
    let mut peer = LinkMessage::default();
    peer.attributes = end_attributes(&plan.container);
    peer.attributes
        .push(LinkAttribute::NetNsFd(netns.fd().as_raw_fd()));
    let mut attributes = end_attributes(&plan.host);
    let data = InfoData::Veth(InfoVeth::Peer(peer));
    attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::Veth),
        LinkInfo::Data(data),
    ]));
    attributes
}

fn end_attributes(end: &End) -> Vec<LinkAttribute> {
    let mut attributes = vec![LinkAttribute::IfName(end.name.clone())];
    attributes.extend(
        end.mac
            .map(|mac| LinkAttribute::Address(mac.bytes().to_vec())),
    );
    attributes.extend(end.mtu.map(LinkAttribute::Mtu));
    attributes
}

/// An address for a link.
pub fn address_message(index: u32, address: &OwnAddress) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.prefix.addr.is_ipv4());
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
pub fn route_message(index: u32, route: &Route) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.dst.addr.is_ipv4());
    message.header.destination_prefix_length = route.dst.len;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Boot;
    message.header.kind = RouteType::Unicast;
    message.header.scope = match route.via {
        None if route.dst.addr.is_ipv4() => RouteScope::Link,
        _ => RouteScope::Universe,
    };
    message.attributes = vec![RouteAttribute::Oif(index)];
    if route.dst.len > 0 {
        message
            .attributes
            .push(RouteAttribute::Destination(RouteAddress::from(
                route.dst.addr,
            )));
    }
    message.attributes.extend(
        route
            .via
            .map(|via| RouteAttribute::Gateway(RouteAddress::from(via))),
    );
    message
}

fn family(is_v4: bool) -> AddressFamily {
    if is_v4 {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}
