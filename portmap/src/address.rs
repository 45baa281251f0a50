//! The node's addresses and routes.
//!
//! Layouts: include/uapi/linux/rtnetlink.h and if_addr.h.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use common::Family;
use common::error::{Code, Context, Error};
use common::family::address;
use common::result::Prefix;
use common::sys::netlink::{DUMP, GET, Message, Netlink, attribute, u32_at};
use common::sys::nla::{self, Nla};
use nix::errno::Errno;
use nix::libc;

/// Bytes of `struct ifaddrmsg`, and where in it are `ifa_flags` and `ifa_index`.
const ADDRESS_HEADER: usize = 8;
const ADDRESS_FLAGS: usize = 2;
const ADDRESS_INTERFACE: usize = 4;
/// `IFA_F_DADFAILED`
const DUPLICATE: u8 = 0x08;
/// `IFA_ADDRESS` and `IFA_LOCAL`; the latter, where there is one, is the address of this end.
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// Bytes of `struct rtmsg`, and where in it are `rtm_dst_len`, `rtm_table` and `rtm_type`.
const ROUTE_HEADER: usize = 12;
const ROUTE_LENGTH: usize = 1;
const ROUTE_TABLE: usize = 4;
const ROUTE_TYPE: usize = 7;
/// `RTA_DST` and `RTA_OIF`
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
/// What the kernel answers of an address that no packet reaches: without a route, and by a route that is
/// `unreachable`, `prohibit` or `blackhole` (`fib_props` in net/ipv4/fib_semantics.c).
const UNREACHED: [Errno; 4] = [
    Errno::ENETUNREACH,
    Errno::EHOSTUNREACH,
    Errno::EACCES,
    Errno::EINVAL,
];

/// The addresses of the calling thread's namespace.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn local(family: Family) -> Result<Vec<IpAddr>, Error> {
    let all = assigned(&mut Netlink::route()?, family)?.into_iter();
    Ok(all.map(|assigned| assigned.addr).collect())
}

/// An address that was given to an interface.
struct Assigned {
    interface: u32,
    flags: u8,
    addr: IpAddr,
}

fn assigned(socket: &mut Netlink, family: Family) -> Result<Vec<Assigned>, Error> {
    let mut request = [0; ADDRESS_HEADER];
    if let Some(first) = request.first_mut() {
        *first = number(family);
    }
    let read = |reply: Message| {
        let (header, attributes) = reply.body.split_at_checked(ADDRESS_HEADER)?;
        let value = attribute(attributes, IFA_LOCAL).or(attribute(attributes, IFA_ADDRESS))?;
        Some(Assigned {
            interface: u32_at(header, ADDRESS_INTERFACE)?,
            flags: *header.get(ADDRESS_FLAGS)?,
            addr: address(value)?,
        })
    };
    let all = socket.collect(libc::RTM_GETADDR, DUMP, &request, read);
    let all = all.context(Code::System, || {
        format!("list the node's {family} addresses")
    })?;
    Ok(all.into_iter().flatten().collect())
}

/// Addresses that the kernel takes for the node's own, and the interface because of which it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The interface's name.
    pub interface: String,
    /// The addresses.
    pub prefix: Prefix,
}

/// The interfaces of a namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Their names.
    pub names: Vec<String>,
    /// The addresses that are local because of them.
    pub local: Vec<Local>,
}

/// Those of the calling thread's namespace, with what its local routing table says: that alone makes an address
/// local to netfilter (`fib daddr type local`, `addrtype`). Routes of that type in others are for transparent
/// proxies, and often of all addresses, or for the addresses of a VRF. An IPv6 address without any gets its route
/// a second or two after it was given to the interface, as the kernel first looks for duplicates, and no flag says
/// any longer that it does where it has found none (`addrconf_dad_work` in net/ipv6/addrconf.c).
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn interfaces() -> Result<Interfaces, Error> {
    let tried = || "list the node's interfaces and their local routes".to_owned();
    let mut socket = Netlink::route()?;
    let links = socket.links(None).context(Code::System, tried)?;
    let names: HashMap<u32, String> = links.into_iter().map(|l| (l.index, l.name)).collect();
    // Read before the routes, so that none gets its route unseen.
    let assigned = assigned(&mut socket, Family::V6)?;
    let mut routes: Vec<Route> = Vec::new();
    for family in Family::ALL {
        let mut header = [0; ROUTE_HEADER];
        if let Some(first) = header.first_mut() {
            *first = number(family);
        }
        let read = |reply: Message| local_route(&reply.body);
        let found = socket.collect(libc::RTM_GETROUTE, DUMP, &header, read);
        routes.extend(found.context(Code::System, tried)?.into_iter().flatten());
    }
    let routed: HashSet<(u32, Prefix)> = routes.iter().map(|r| (r.interface, r.prefix)).collect();
    let to_come = assigned.into_iter().filter_map(|one| {
        let place = (one.interface, Prefix::whole(one.addr));
        (one.flags & DUPLICATE == 0 && !routed.contains(&place)).then_some(place)
    });
    let now = routes.iter().filter(|route| route.is_of_local_table);
    let now = now.map(|route| (route.interface, route.prefix));
    let local = to_come.chain(now).filter_map(|(interface, prefix)| {
        let interface = names.get(&interface)?.clone();
        Some(Local { interface, prefix })
    });
    let local = local.collect();
    let names = names.into_values().collect();
    Ok(Interfaces { names, local })
}

/// A route of type `local`.
struct Route {
    interface: u32,
    prefix: Prefix,
    is_of_local_table: bool,
}

fn local_route(body: &[u8]) -> Option<Route> {
    let (header, attributes) = body.split_at_checked(ROUTE_HEADER)?;
    let route = Route {
        interface: u32_at(attribute(attributes, RTA_OIF)?, 0)?,
        prefix: Prefix {
            addr: address(attribute(attributes, RTA_DST)?)?,
            len: *header.get(ROUTE_LENGTH)?,
        },
        is_of_local_table: header.get(ROUTE_TABLE) == Some(&libc::RT_TABLE_LOCAL),
    };
    (header.get(ROUTE_TYPE) == Some(&libc::RTN_LOCAL)).then_some(route)
}

/// The interface through which packets to an address leave, or `None` without a route.
///
/// # Errors
/// Code 100 when the kernel does not say.
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
    let tried = || format!("look for the route to {addr}");
    let replies = match socket.request_bytes(libc::RTM_GETROUTE, GET, &body) {
        Err(refusal) if refusal.says(&UNREACHED) => return Ok(None),
        replies => replies.context(Code::System, tried)?,
    };
    let index = replies
        .iter()
        .find_map(|reply| u32_at(attribute(reply.body.get(ROUTE_HEADER..)?, RTA_OIF)?, 0));
    let Some(index) = index else {
        return Ok(None);
    };
    let link = socket.link_by_index(index).context(Code::System, tried)?;
    Ok(link.map(|link| link.name))
}

/// The number of an interface, or `None` without one of that name.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn interface_index(name: &str) -> Result<Option<u32>, Error> {
    let link = Netlink::route()?.link_by_name(name);
    let link = link.context(Code::System, || format!("look for interface {name}"))?;
    Ok(link.map(|link| link.index))
}

fn number(family: Family) -> u8 {
    let number = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    u8::try_from(number).unwrap_or_default()
}
