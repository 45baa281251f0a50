//! The node's addresses and routes.
//!
//! Layouts: include/uapi/linux/rtnetlink.h and if_addr.h.

use std::net::IpAddr;

use common::error::Error;
use common::sys::netlink::{DUMP, GET, Netlink, attribute, u32_at};
use common::sys::nla::{self, Nla};
use nix::libc;
use nix::net::if_::if_indextoname;

use crate::mapping::Family;

/// Bytes of `struct ifaddrmsg`.
const ADDRESS_HEADER: usize = 8;
/// `IFA_ADDRESS` and `IFA_LOCAL`; the latter, where there is one, is the address of this end.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Bytes of `struct rtmsg`.
const ROUTE_HEADER: usize = 12;
/// `RTA_DST` and `RTA_OIF`
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;

/// The addresses of the calling thread's namespace.
///
/// # Errors
/// Code 100 when the kernel gives no socket. What it refuses to list is not there.
pub fn local(family: Family) -> Result<Vec<IpAddr>, Error> {
    let mut socket = Netlink::route()?;
    let mut request = [0; ADDRESS_HEADER];
    if let Some(first) = request.first_mut() {
        *first = number(family);
    }
    let replies = socket
        .request_bytes(libc::RTM_GETADDR, DUMP, &request)
        .unwrap_or_default();
    let read = |body: &Vec<u8>| {
        let attributes = body.get(ADDRESS_HEADER..)?;
        let value = attribute(attributes, IFA_LOCAL).or(attribute(attributes, IFA_ADDRESS))?;
        match value.len() {
            4 => Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?)),
            _ => Some(IpAddr::from(<[u8; 16]>::try_from(value).ok()?)),
        }
    };
    Ok(replies
        .iter()
        .filter_map(|reply| read(&reply.body))
        .collect())
}

/// The interface through which packets to an address leave, or `None` without a route.
///
/// # Errors
/// Code 100 when the kernel gives no socket.
pub fn interface_towards(addr: IpAddr) -> Result<Option<String>, Error> {
    let mut socket = Netlink::route()?;
    let (octets, bits) = match addr {
        IpAddr::V4(v4) => (v4.octets().to_vec(), 32),
        IpAddr::V6(v6) => (v6.octets().to_vec(), 128),
    };
    let mut header = [0; ROUTE_HEADER];
    for (place, value) in header.iter_mut().zip([number(Family::of(addr)), bits]) {
        *place = value;
    }
    let Ok(body) = nla::body(&header, &[Nla::value(RTA_DST, octets)]) else {
        return Ok(None);
    };
    let replies = socket
        .request_bytes(libc::RTM_GETROUTE, GET, &body)
        .unwrap_or_default();
    let index = replies
        .iter()
        .find_map(|reply| u32_at(attribute(reply.body.get(ROUTE_HEADER..)?, RTA_OIF)?, 0));
    let name = index.and_then(|index| if_indextoname(index).ok());
    Ok(name.and_then(|name| name.into_string().ok()))
}

fn number(family: Family) -> u8 {
    let number = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    u8::try_from(number).unwrap_or_default()
}
