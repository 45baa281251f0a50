//! Creates and removes the pair, and compares it with the plan.

use std::fmt::Display;
use std::path::Path;

use common::mac::Mac;
use common::sys::link::{Change, Link};
use common::sys::netlink::{CREATE, Netlink};
use common::sys::netns::Netns;
use common::sys::sysctl;
use common::{Code, Context, Drift, Error, Family};
use netlink_packet_route::link::InfoKind;
use nix::libc;

use super::message::{self, address_message, pair_attributes, route_message};
use super::plan::{End, Plan};

/// Makes the pair with everything on it, or nothing; the hardware addresses of both ends.
pub fn add(plan: &Plan, netns: &Path) -> Result<(Mac, Mac), Error> {
    let netns = Netns::open(netns)?;
    let mut inside = netns.run(Netlink::route)?;
    let mut host = Netlink::route()?;
    let (outer, inner) = (&plan.host.name, &plan.container.name);
    if inside.link_by_name(inner).ok().flatten().is_some() {
        let taken = format!("{inner} is already there in {}", netns.path().display());
        return Err(Error::new(Code::System, taken));
    }
    let made = host.create_link(pair_attributes(plan, &netns));
    made.context(Code::System, || {
        format!("create veth pair {outer} and {inner}")
    })?;
    let made = netns
        .run(|| without_dad(inner))
        .and_then(|()| without_dad(outer))
        .and_then(|()| furnish(plan, &mut host, &mut inside));
    if let Err(error) = made {
        return Err(match remove(outer) {
            Ok(()) => error,
            Err(removal) => error.and(removal),
        });
    }
    made
}

fn furnish(plan: &Plan, host: &mut Netlink, inside: &mut Netlink) -> Result<(Mac, Mac), Error> {
    let outer = link(host, &plan.host.name)?;
    let inner = link(inside, &plan.container.name)?;
    host.set_alias(outer.index, &plan.alias)
        .context(Code::System, || tried("mark", &plan.host.name))?;
    // Both ends must be up before there can be routes.
    for (netlink, link) in [(&mut *host, &outer), (&mut *inside, &inner)] {
        netlink
            .change_link(link.index, Change::Up(true))
            .context(Code::System, || tried("set up", &link.name))?;
    }
    equip(host, outer.index, &plan.host)?;
    equip(inside, inner.index, &plan.container)?;
    plan.forward
        .iter()
        .try_for_each(|family| forward(*family))?;
    let mac = |link: &Link| {
        link.mac
            .ok_or_else(|| Error::new(Code::System, tried("read the address of", &link.name)))
    };
    Ok((mac(&outer)?, mac(&inner)?))
}

fn equip(netlink: &mut Netlink, index: u32, end: &End) -> Result<(), Error> {
    for address in &end.addresses {
        let message = address_message(index, address);
        let added = netlink.request(libc::RTM_NEWADDR, CREATE, &message);
        added.context(Code::System, || {
            format!("add address {} to {}", address.prefix, end.name)
        })?;
    }
    for route in &end.routes {
        let added = netlink.request(libc::RTM_NEWROUTE, CREATE, &route_message(index, route));
        added.context(Code::System, || {
            format!("add route to {} through {}", route.dst, end.name)
        })?;
    }
    Ok(())
}

/// Removes the pair; success if it is gone.
pub fn remove(host_name: &str) -> Result<(), Error> {
    let mut netlink = Netlink::route()?;
    let found = netlink
        .link_by_name(host_name)
        .context(Code::System, || tried("find", host_name))?;
    // The name is hashed: a link of another kind is not ours, whatever it is called.
    match found.filter(|link| link.kind == "veth") {
        Some(link) => netlink
            .delete_link(link.index)
            .context(Code::System, || tried("delete", host_name)),
        None => Ok(()),
    }
}

/// Removes the pairs marked with this alias whose names are not in the list.
pub fn remove_except(alias: &str, names: &[String]) -> Result<(), Error> {
    let mut netlink = Netlink::route()?;
    let links = netlink
        .links(Some(InfoKind::Veth))
        .context(Code::System, || "list veth links".into())?;
    let dead = links
        .iter()
        .filter(|link| link.alias.as_deref() == Some(alias) && !names.contains(&link.name));
    let remove = |link: &Link| {
        netlink
            .delete_link(link.index)
            .context(Code::System, || tried("delete", &link.name))
    };
    Error::all(dead.map(remove).filter_map(Result::err).collect()).map_or(Ok(()), Err)
}

/// Everything in which the pair differs from the plan.
pub fn drifts(plan: &Plan, netns: &Path) -> Result<Vec<Drift>, Error> {
    let mut inside = Netns::open(netns)?.run(Netlink::route)?;
    let mut drifts = end_drifts(&mut Netlink::route()?, &plan.host)?;
    drifts.extend(end_drifts(&mut inside, &plan.container)?);
    Ok(drifts)
}

fn end_drifts(netlink: &mut Netlink, end: &End) -> Result<Vec<Drift>, Error> {
    let name = &end.name;
    let observe = || tried("observe", name);
    let Some(link) = netlink.link_by_name(name).context(Code::System, observe)? else {
        return Ok(vec![Drift::new(name, "a veth link", "nothing")]);
    };
    let mut drifts = Vec::new();
    let mut compare = |object: &str, expected: String, actual: String| {
        if expected != actual {
            drifts.push(Drift::new(format!("{object} of {name}"), expected, actual));
        }
    };
    compare("kind", "veth".into(), link.kind.clone());
    let state = if link.up { "up" } else { "down" };
    compare("state", "up".into(), state.into());
    if let Some(mac) = end.mac {
        let actual = link.mac.map_or("none".into(), |mac| mac.to_string());
        compare("mac", mac.to_string(), actual);
    }
    let addresses = message::addresses(netlink, link.index).context(Code::System, observe)?;
    let routes = message::routes(netlink, link.index).context(Code::System, observe)?;
    let missing = |what: String| Drift::new(format!("{what} of {name}"), "present", "missing");
    let lost = end.addresses.iter();
    let lost = lost.filter(|address| !addresses.contains(&address.prefix));
    drifts.extend(lost.map(|address| missing(format!("address {}", address.prefix))));
    let lost = end.routes.iter().filter(|route| !routes.contains(route));
    drifts.extend(lost.map(|route| missing(format!("route to {}", route.dst))));
    Ok(drifts)
}

fn link(netlink: &mut Netlink, name: &str) -> Result<Link, Error> {
    let found = netlink
        .link_by_name(name)
        .context(Code::System, || tried("find", name))?;
    found.ok_or_else(|| Error::new(Code::System, tried("find", name)).with_details("it is gone"))
}

/// Makes the host forward packets between its links.
fn forward(family: Family) -> Result<(), Error> {
    let path = match family {
        Family::V4 => sysctl::path(&["net", "ipv4", "ip_forward"]),
        Family::V6 => sysctl::path(&["net", "ipv6", "conf", "all", "forwarding"]),
    };
    let set = |path: &Path| match sysctl::read(path)?.trim() {
        "1" => Ok(()),
        _ => sysctl::write(path, "1"),
    };
    set(&path).context(Code::System, || {
        format!("switch on forwarding in {}", path.display())
    })
}

/// Makes the link-local addresses of a new pair usable at once: no other host can have them, and the
/// kernel resolves neighbours of forwarded packets from no other. Nothing to do without IPv6.
fn without_dad(link: &str) -> Result<(), Error> {
    let path = sysctl::path(&["net", "ipv6", "conf", link, "accept_dad"]);
    match sysctl::write(&path, "0") {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context(Code::System, || format!("write 0 to {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn tried(verb: &str, name: impl Display) -> String {
    format!("{verb} link {name}")
}
