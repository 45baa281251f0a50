//! On the node, up to the rule that translates.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use common::{Error, Operate};
use portmap::Portmap;
use portmap::firewall::dormant;
use portmap::list::at::At;
use portmap::list::listeners;

use super::{PROBED, Way};
use crate::cli::value::Wanted;
use crate::commands::ports::host;
use crate::doctor::ports::process;
use crate::finding::{Finding, some};
use crate::firewall::{End, Filtered, Reaches, Verdict};
use crate::missing::{RECONCILE, WayOut};
use crate::requests::requests;
use crate::state::State;

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the address is one of the node's.
pub fn address(way: &Way<'_>) -> Result<Finding, Error> {
    if let Some(limits) = &way.row().limits {
        return Ok(within(way, limits));
    }
    Ok(match way.row().forward.port.address {
        Some(ip) if !way.addresses.contains(&ip) => {
            let text = format!("the port is mapped on {ip}, which this node does not have");
            Finding::error("", text).run("ip address")
        }
        Some(ip) => Finding::ok("", format!("{ip} is an address of this node")),
        None => {
            let all: Vec<String> = way.addresses.iter().map(ToString::to_string).collect();
            Finding::ok("", format!("all addresses of this node: {}", some(&all)))
        }
    })
}

/// The addresses of the node that limits leave.
fn within(way: &Way<'_>, limits: &At) -> Finding {
    let limits = some(&limits.words());
    let left = way.addresses.iter().filter(|ip| way.row().is_on(**ip));
    let left: Vec<String> = left.map(ToString::to_string).collect();
    let from = way.question.from.filter(IpAddr::is_loopback);
    match (left.is_empty(), from.filter(|ip| !way.row().is_on(*ip))) {
        (true, _) => {
            let text =
                format!("the port is mapped on {limits} alone, and this node has no such address");
            Finding::error("", text).run("ip address")
        }
        (false, Some(ip)) => {
            let text = format!("the port is mapped on {limits} alone, so not on {ip}");
            Finding::warning("", text)
        }
        (false, None) => Finding::ok("", format!("of {limits} this node has {}", some(&left))),
    }
}

/// What the firewall does before anything is translated.
pub fn filters(way: &Way<'_>) -> Result<Finding, Error> {
    if let Some(error) = Error::all(way.firewall.errors.clone()) {
        return Ok(Finding::unread("", &error));
    }
    let Some(packet) = way.arriving() else {
        return Ok(Finding::error(
            "",
            "this node has no address of this IP version",
        ));
    };
    Ok(match way.firewall.filters(way.hook(), &packet) {
        Filtered::Dropped(end) => Finding::error("", format!("{} drops it", end.text())),
        Filtered::Passed | Filtered::Unknown(_) => Finding::ok("", "none is known to drop it"),
    })
}

/// The rule that translates.
pub fn rule(way: &Way<'_>) -> Result<Finding, Error> {
    let row = way.row();
    let what = format!("{} of {}", host(row), way.owner);
    Ok(match &way.mapping.state {
        // The next station names the rule.
        State::Active | State::Taken(_) => Finding::ok("", format!("{what} is in {}", row.backend)),
        State::Missing(way_out) => {
            let text = format!("{what} is in the runtime's cache, but no rule exists");
            match way_out {
                WayOut::Reconcile | WayOut::Behind => Finding::error("", text).run(RECONCILE),
                WayOut::Nothing(why) => Finding::error("", format!("{text}: {why}")),
            }
        }
        State::Stale(why) => {
            let text = format!("{what} is in {}, but {why}", row.backend);
            Finding::error("", text).run("cnictl gc --dry-run")
        }
        State::Shadowed(by) => Finding::error("", format!("{what} is behind that of {by}")),
        State::PartlyShadowed(by, at) => {
            let on = some(&at.words());
            let text = format!("{what} is behind that of {by} on {on}");
            Finding::warning("", text).run("cnictl ports")
        }
        State::Contested(by) => {
            Finding::warning("", format!("{what} is also {by}")).run("cnictl ports")
        }
    })
}

/// Rules of others before it, on whichever of the node's addresses packets may come to.
pub fn ahead(way: &Way<'_>) -> Result<Finding, Error> {
    let hook = way.hook();
    let reaches = |to: &IpAddr| way.firewall.reaches(hook, &way.arriving_at(*to));
    let hosts = way.hosts();
    let found: Vec<Reaches> = hosts.iter().map(reaches).collect();
    if found.is_empty() {
        return Ok(Finding::warning("", "unknown"));
    }
    if found.contains(&Reaches::Nothing) {
        let text = format!("nothing leads from {} to ours", hook.name());
        return Ok(unreached(way, text));
    }
    let is_sure = |one: &Reaches| matches!(one, Reaches::Stopped(end) if end.is_sure);
    let is_all = found.iter().all(is_sure);
    let mut stopped = hosts.iter().zip(&found).filter_map(|(to, one)| match one {
        Reaches::Stopped(end) => Some((to, end)),
        Reaches::Ours | Reaches::Nothing => None,
    });
    Ok(match (stopped.next(), is_all) {
        (None, _) => Finding::ok("", "none takes it before ours"),
        (Some((_, end)), true) => {
            let text = format!("{} {} before ours", end.text(), does(end));
            stays_ahead(way, text, end)
        }
        (Some(first), false) => {
            let sure = std::iter::once(first).chain(stopped);
            let (to, end) = sure.max_by_key(|(_, end)| end.is_sure).unwrap_or(first);
            let on = match hosts.len() {
                1 => String::new(),
                _ => format!(" on {to}"),
            };
            let what = match end.is_sure {
                true => does(end),
                false => "may take it",
            };
            Finding::warning("", format!("{} {what} before ours{on}", end.text()))
        }
    })
}

fn does(end: &End) -> &'static str {
    match end.verdict {
        Verdict::Translate => "takes it",
        _ => "ends the traversal",
    }
}

/// Where CHECK does not mind a rule, `reconcile` leaves it where it is.
fn stays_ahead(way: &Way<'_>, text: String, end: &End) -> Finding {
    if is_repairable(way) {
        return Finding::error("", text).run(RECONCILE);
    }
    let run = match end
        .place
        .strip_prefix("chain ")
        .and_then(|p| p.split_once(" of "))
    {
        Some((chain, table)) => match table.strip_suffix(" (legacy)") {
            Some(table) => format!("iptables-legacy-save -t {table}"),
            None => format!("nft -a list chain {table} {chain}"),
        },
        None => "cnictl doctor".to_owned(),
    };
    let text =
        format!("{text}, and cnictl reconcile leaves it there: delete it, or move it behind ours");
    Finding::error("", text).run(run)
}

fn unreached(way: &Way<'_>, text: String) -> Finding {
    let nat = format!("{} nat", super::family(way.mapping).nft_name());
    let dormant = dormant(super::family(way.mapping)).unwrap_or_default();
    match way.row().backend == "iptables-nft" && dormant.contains(&nat) {
        true => {
            let text = format!("{text}: table {nat} is dormant, so no packet meets its rules");
            Finding::error("", text).run(format!("nft add table {nat}"))
        }
        false => Finding::error("", text).run(RECONCILE),
    }
}

/// Whether CHECK of the attachment reports something.
fn is_repairable(way: &Way<'_>) -> bool {
    let requests = way.entry.map(requests::<Portmap>);
    let requests = requests.and_then(Result::ok).unwrap_or_default();
    let drifts = Portmap::drifts(&requests.iter().collect::<Vec<_>>());
    drifts
        .iter()
        .any(|found| found.as_ref().is_ok_and(|drifts| !drifts.is_empty()))
}

/// Processes of the node that listen on the same port.
pub fn processes(way: &Way<'_>) -> Result<Finding, Error> {
    let row = way.row();
    let is_it =
        |port, protocol| (port, protocol) == (row.forward.port.number, row.forward.port.protocol);
    let all: Vec<String> = listeners(is_it)?.iter().map(process).collect();
    Ok(match all.is_empty() {
        true => Finding::ok("", "no process of the node listens on it"),
        false => {
            let text = format!(
                "a process of the node also listens on it and gets no connections from outside: {}",
                some(&all)
            );
            Finding::warning("", text)
        }
    })
}

/// The receiver.
pub fn translation(way: &Way<'_>) -> Result<Finding, Error> {
    let row = way.row();
    let counted = row.counters.map_or(String::new(), |counters| {
        format!(", {} connections so far", counters.packets)
    });
    let text = format!("to {} of {}{counted}", row.forward.to, way.owner);
    Ok(match row.is_conditional {
        true => Finding::warning(
            "",
            format!("{text}, only for packets that match its conditions"),
        ),
        false => Finding::ok("", text),
    })
}

/// Of a port that no attachment has.
pub fn nobody(port: &Wanted, is_doubtful: bool) -> Result<Finding, Error> {
    let Wanted { number, protocols } = port;
    let all = listeners(|port, protocol| port == *number && protocols.contains(&protocol))?;
    let all: Vec<String> = all.iter().map(process).collect();
    let object = format!("{port}: rule");
    Ok(match (all.is_empty(), is_doubtful) {
        (false, _) => {
            let text = format!("no container has it; processes of the node: {}", some(&all));
            Finding::warning(object, text)
        }
        (true, true) => Finding::error(object, "no known rule leads to a container"),
        (true, false) => {
            let text = "nobody has it: no attachment in the runtime's cache and no process";
            Finding::error(object, text).run("cnictl ports")
        }
    })
}

/// One connection.
pub fn probe(way: &Way<'_>) -> Finding {
    let row = way.row();
    let Some(host) = way.host().filter(|_| row.forward.port.protocol == PROBED) else {
        return Finding::warning("", "only TCP can be probed");
    };
    let to = SocketAddr::new(host, row.forward.port.number);
    match TcpStream::connect_timeout(&to, PATIENCE) {
        Ok(_) => Finding::ok("", format!("{to} answers this node")),
        Err(cause) => Finding::error("", format!("{to} does not answer this node: {cause}")),
    }
}
