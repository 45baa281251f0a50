//! The way from the node to the container, and back.

use std::net::IpAddr;

use common::Error;
use portmap::address::interface_towards;
use portmap::firewall::Hook;

use super::{Way, family, judged};
use crate::doctor::packets::elsewhere;
use crate::doctor::sysctls;
use crate::finding::{Finding, Severity};

/// Whether the node forwards.
pub fn forwarding(way: &Way<'_>) -> Result<Finding, Error> {
    if way.hook() == Hook::Output {
        return Ok(Finding::ok(
            "",
            "not needed: the packet comes from this node",
        ));
    }
    let found = sysctls::forwarding(family(way.mapping), true);
    Ok(found.map_or_else(
        || Finding::ok("", "the node forwards packets"),
        |finding| Finding {
            text: format!("{} {}", finding.object, finding.text),
            ..finding
        },
    ))
}

/// Where the route to the container leads.
pub fn route(way: &Way<'_>) -> Result<Finding, Error> {
    let to = way.row().forward.to.ip();
    let away = interface_towards(elsewhere(family(way.mapping)))?;
    Ok(match interface_towards(to)? {
        None => Finding::error("", format!("the node has no route to {to}")).run("ip route"),
        Some(out) if Some(&out) == away.as_ref() && way.entry.is_some() => {
            let text = format!("to {to} only through {out}, the default route");
            Finding::warning("", text).run(format!("ip route get {to}"))
        }
        Some(out) => Finding::ok("", format!("to {to} through {out}")),
    })
}

/// Whether the firewall lets it through.
pub fn forward(way: &Way<'_>) -> Result<Finding, Error> {
    if way.hook() == Hook::Output {
        return Ok(Finding::ok(
            "",
            "not traversed: the packet comes from this node",
        ));
    }
    let found = judged(way.firewall.filters(Hook::Forward, &way.translated()?));
    Ok(match found.severity {
        Severity::Warning => found.run("cnictl explain PORT --from ADDRESS --probe"),
        _ => found,
    })
}

/// Routes of answers.
pub fn back(way: &Way<'_>) -> Result<Finding, Error> {
    let to = way.question.from.filter(|from| !from.is_loopback());
    let to = to.unwrap_or_else(|| elsewhere(family(way.mapping)));
    if way.hook() == Hook::Prerouting
        && way.question.from.is_some()
        && interface_towards(to)?.is_none()
    {
        return Ok(Finding::error("", format!("the node has no route to {to}")).run("ip route"));
    }
    Ok(match way.way_out(to)? {
        None => Finding::warning("", "unknown: this container is not in the runtime's cache"),
        Some(None) => {
            let text =
                format!("the container has no route to {to}: it receives packets but cannot reply");
            Finding::error("", text)
        }
        Some(Some(out)) => Finding::ok("", format!("the container reaches {to} through {out}")),
    })
}

/// What 127.0.0.1 needs.
pub fn loopback(way: &Way<'_>) -> Result<Finding, Error> {
    let is_it = |ip: &IpAddr| ip.is_loopback() && ip.is_ipv4();
    let is_asked = [way.question.from, way.row().forward.port.address]
        .iter()
        .flatten()
        .any(is_it);
    let out = match is_asked {
        true => interface_towards(way.row().forward.to.ip())?,
        false => None,
    };
    let Some(out) = out else {
        return Ok(Finding::ok("", "not needed"));
    };
    let value = sysctls::read(&format!("net/ipv4/conf/{out}/route_localnet"))?;
    Ok(match value.as_deref() {
        Some("1") => Finding::ok("", format!("route_localnet of {out} is 1")),
        value => {
            let text = format!(
                "route_localnet of {out} is {}: packets from 127.0.0.1 are dropped",
                value.unwrap_or("not there")
            );
            Finding::error("", text).run("cnictl reconcile")
        }
    })
}
