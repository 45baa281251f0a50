//! Connections that the kernel remembers from before: UDP and SCTP clients that keep sending would be
//! served by a rule that is gone, or by none, for as long as they keep sending.
//!
//! Two ways lead there. A filtered delete skips empty buckets of the kernel's table and locks only the
//! others, but says no more than "these fields equal these values"; a listing takes every bucket's lock,
//! then one look serves any number of ports. With 262,144 buckets, an empty table and a table of 20,000:
//! 0.3 and 4.2 ms for each delete, 4 and 15 ms for a listing.

mod filter;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;

use common::error::{Code, Error};
use common::sys::netlink::{DUMP, GET, Netlink, Refusal, attribute, u32_at};
use common::sys::nla::{self, Nla};
use common::{Family, Protocol};
use nix::errno::Errno;

use crate::address;
use crate::host_port::{Forward, HostPort};
use filter::{Filter, TUPLE_ORIG, filters};

pub use filter::is_meant;

/// `NFNL_SUBSYS_CTNETLINK` with `IPCTNL_MSG_CT_GET`, `IPCTNL_MSG_CT_DELETE` and
/// `IPCTNL_MSG_CT_GET_STATS` (include/uapi/linux/netfilter/nfnetlink_conntrack.h, as the numbers below).
const CT_GET: u16 = 1 << 8 | 1;
const CT_DELETE: u16 = 1 << 8 | 2;
const CT_GET_STATS: u16 = 1 << 8 | 5;
/// `CTA_STATS_GLOBAL_ENTRIES`
const GLOBAL_ENTRIES: u16 = 1;
/// `CTA_ID`, `CTA_ZONE`
const ID: u16 = 12;
const ZONE: u16 = 18;
/// `NLA_F_NESTED`
const NESTED: u16 = 1 << 15;

/// What a delete costs apart from the entries it looks at, in entries.
const DELETE_COST: u32 = 1_500;
/// What a listing costs, in the same unit.
const LISTING_COST: u32 = 20_000;

/// Connections to drop: those to a host port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stale {
    /// The IP version.
    pub family: Family,
    /// The port they were opened to; without an address, at any of this node.
    pub port: HostPort,
    /// The container that answers them; `None` for any, and for nobody.
    pub container: Option<IpAddr>,
    /// The container whose connections stay.
    pub kept: Option<IpAddr>,
}

impl From<Forward> for Stale {
    fn from(Forward { port, to }: Forward) -> Stale {
        Stale {
            family: Family::of(to.ip()),
            port,
            container: Some(to.ip()),
            kept: None,
        }
    }
}

/// Drops connections; TCP ones end by themselves, with their endpoint.
///
/// # Errors
/// Code 100 with everything that could not be dropped.
pub fn drop_stale(stale: impl IntoIterator<Item = Stale>) -> Result<(), Error> {
    let mut groups: BTreeMap<(Family, Protocol), BTreeSet<Stale>> = BTreeMap::new();
    for one in stale {
        if one.port.protocol != Protocol::Tcp {
            let group = groups.entry((one.family, one.port.protocol));
            group.or_default().insert(one);
        }
    }
    if groups.is_empty() {
        return Ok(());
    }
    let mut socket = Netlink::netfilter()?;
    let entries = entries(&mut socket);
    if entries == Some(0) {
        return Ok(());
    }
    let mut errors = Vec::new();
    for ((family, protocol), group) in groups {
        let group: Vec<Stale> = group.into_iter().collect();
        let local = match group
            .iter()
            .any(|s| s.port.address.or(s.container).is_none())
        {
            true => address::local(family),
            false => Ok(Vec::new()),
        };
        let local = match local {
            Ok(local) => local,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        if let Err(refusal) = drop_group(&mut socket, family, &group, &local, entries) {
            let mut ports = String::new();
            for one in &group {
                // Writing to a String has no way to fail.
                let _ = write!(ports, " {}/{protocol}", one.port.number);
            }
            let tried = format!("drop old {family} connections to ports{ports}");
            errors.push(Error::new(Code::System, tried).with_details(refusal));
        }
    }
    Error::all(errors).map_or(Ok(()), Err)
}

/// How many connections this namespace has, of all kinds; `None` where the kernel does not say.
pub fn entries(socket: &mut Netlink) -> Option<u32> {
    let replies = socket.request_bytes(CT_GET_STATS, GET, &[0; HEADER]).ok()?;
    let attributes = replies.first()?.body.get(HEADER..)?;
    u32_at(attribute(attributes, GLOBAL_ENTRIES)?, 0).map(u32::from_be)
}

/// Drops the connections of one IP version and protocol.
fn drop_group(
    socket: &mut Netlink,
    family: Family,
    group: &[Stale],
    local: &[IpAddr],
    entries: Option<u32>,
) -> Result<(), Refusal> {
    let each: Option<Vec<Vec<Filter>>> = group.iter().map(|one| filters(one, local)).collect();
    if let Some(each) = each {
        let filters = each.concat();
        if are_cheaper(filters.len(), entries) {
            return match delete(socket, family, &filters) {
                // Kernels before 6.x cannot filter when they delete.
                Err(refusal) if is_unsupported(&refusal) => list(socket, family, group, local),
                done => done,
            };
        }
    }
    list(socket, family, group, local)
}

/// Whether so many deletes cost less than a listing.
fn are_cheaper(deletes: usize, entries: Option<u32>) -> bool {
    let entries = entries.unwrap_or(0);
    let each = entries.saturating_add(DELETE_COST);
    u32::try_from(deletes).is_ok_and(|deletes| {
        deletes <= 1 || each.saturating_mul(deletes) <= entries.saturating_add(LISTING_COST)
    })
}

fn delete(socket: &mut Netlink, family: Family, filters: &[Filter]) -> Result<(), Refusal> {
    for filter in filters {
        delete_one(socket, family, &filter.attributes())?;
    }
    Ok(())
}

fn delete_one(socket: &mut Netlink, family: Family, attributes: &[Nla]) -> Result<(), Refusal> {
    let body = nla::body(&header(family), attributes)?;
    match socket.request_bytes(CT_DELETE, GET, &body) {
        Err(refusal) if refusal.errno != Errno::ENOENT => Err(refusal),
        _ => Ok(()),
    }
}

fn is_unsupported(refusal: &Refusal) -> bool {
    matches!(refusal.errno, Errno::EINVAL | Errno::EOPNOTSUPP)
}

/// Lists the connections that the kernel's filter can select, and drops those that are meant.
fn list(
    socket: &mut Netlink,
    family: Family,
    group: &[Stale],
    local: &[IpAddr],
) -> Result<(), Refusal> {
    let Some(first) = group.first() else {
        return Ok(());
    };
    let only = group.iter().all(|one| one.port.number == first.port.number);
    let filter = Filter::listing(first.port.protocol, only.then_some(first.port.number));
    let filtered = nla::body(&header(family), &filter.attributes())?;
    let replies = match socket.request_bytes(CT_GET, DUMP, &filtered) {
        // Kernels before 5.8 cannot filter at all.
        Err(refusal) if is_unsupported(&refusal) => {
            socket.request_bytes(CT_GET, DUMP, &header(family))
        }
        other => other,
    };
    for reply in &replies? {
        let Some(attributes) = reply.body.get(HEADER..) else {
            continue;
        };
        if !group.iter().any(|one| is_meant(attributes, one, local)) {
            continue;
        }
        // Never without the tuple: that would be everything.
        let Some(tuple) = attribute(attributes, TUPLE_ORIG) else {
            continue;
        };
        let mut this = vec![Nla::value(TUPLE_ORIG | NESTED, tuple)];
        let more = [ID, ZONE].map(|kind| attribute(attributes, kind).map(|v| Nla::value(kind, v)));
        this.extend(more.into_iter().flatten());
        delete_one(socket, family, &this)?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_deletes_or_many_entries_make_a_listing_cheaper() {
        assert!(are_cheaper(5, Some(300)));
        assert!(!are_cheaper(60, Some(300)));
        assert!(!are_cheaper(5, Some(20_000)));
        assert!(are_cheaper(1, Some(u32::MAX)));
        assert!(are_cheaper(5, None));
    }
}
