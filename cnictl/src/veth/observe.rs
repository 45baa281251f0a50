//! Which addresses and routes a link has.
//!
//! Layouts: `struct ifaddrmsg` (include/uapi/linux/if_addr.h) and `struct rtmsg`
//! (include/uapi/linux/rtnetlink.h).

use std::net::IpAddr;

use common::result::Prefix;
use common::sys::netlink::{DUMP, Message, Netlink, Refusal, attribute, u32_at};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::route::RouteMessage;
use nix::libc;

use super::plan::Route;

/// Bytes before the attributes.
const ADDRESS_HEADER: usize = 8;
const ROUTE_HEADER: usize = 12;

/// The addresses of a link.
pub fn addresses(netlink: &mut Netlink, link: u32) -> Result<Vec<Prefix>, Refusal> {
    let replies = netlink.request(libc::RTM_GETADDR, DUMP, &AddressMessage::default())?;
    Ok(replies
        .iter()
        .filter_map(|message| address(message, link))
        .collect())
}

/// The routes of the main table through a link.
pub fn routes(netlink: &mut Netlink, link: u32) -> Result<Vec<Route>, Refusal> {
    let replies = netlink.request(libc::RTM_GETROUTE, DUMP, &RouteMessage::default())?;
    Ok(replies
        .iter()
        .filter_map(|message| route(message, link))
        .collect())
}

fn address(message: &Message, link: u32) -> Option<Prefix> {
    let body = &message.body;
    if message.kind != libc::RTM_NEWADDR || u32_at(body, 4) != Some(link) {
        return None;
    }
    let attributes = body.get(ADDRESS_HEADER..)?;
    let bytes = attribute(attributes, libc::IFA_LOCAL)
        .or_else(|| attribute(attributes, libc::IFA_ADDRESS))?;
    Some(Prefix {
        addr: ip(bytes)?,
        len: *body.get(1)?,
    })
}

fn route(message: &Message, link: u32) -> Option<Route> {
    let body = &message.body;
    let attributes = body.get(ROUTE_HEADER..)?;
    let through = attribute(attributes, libc::RTA_OIF).and_then(|bytes| u32_at(bytes, 0));
    if message.kind != libc::RTM_NEWROUTE
        || *body.get(4)? != libc::RT_TABLE_MAIN
        || through != Some(link)
    {
        return None;
    }
    let addr = match (
        attribute(attributes, libc::RTA_DST),
        i32::from(*body.first()?),
    ) {
        (Some(bytes), _) => ip(bytes)?,
        (None, libc::AF_INET) => IpAddr::from([0; 4]),
        (None, _) => IpAddr::from([0; 16]),
    };
    let via = attribute(attributes, libc::RTA_GATEWAY).and_then(ip);
    Some(Route {
        dst: Prefix {
            addr,
            len: *body.get(1)?,
        },
        via,
    })
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}
