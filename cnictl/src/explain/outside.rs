//! On the node, up to the rule that translates.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use common::Error;
use portmap::list::listeners;

use super::{PROBED, Way};
use crate::cli::node::Wanted;
use crate::commands::ports::host;
use crate::doctor::ports::process;
use crate::finding::{Finding, some};
use crate::firewall::{Filtered, Reaches, Verdict};
use crate::missing::{RECONCILE, WayOut};
use crate::state::State;

/// How long a connection may take to be made.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the address is one of the node's.
pub fn address(way: &Way<'_>) -> Result<Finding, Error> {
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
    let what = format!("{} of {}", host(&row.forward), way.owner);
    Ok(match &way.mapping.state {
        // The next station names the rule.
        State::Active | State::Taken(_) => Finding::ok("", format!("{what} is in {}", row.backend)),
        State::Missing(way_out) => {
            let text = format!("{what} is in the runtime's cache, but no rule exists");
            match way_out {
                WayOut::Reconcile => Finding::error("", text).run(RECONCILE),
                WayOut::Nothing(why) => Finding::error("", format!("{text}: {why}")),
            }
        }
        State::Stale(why) => {
            let text = format!("{what} is in {}, but {why}", row.backend);
            Finding::error("", text).run("cnictl gc --dry-run")
        }
        State::Shadowed(by) => Finding::error("", format!("{what} is behind that of {by}")),
        State::Contested(by) => {
            Finding::warning("", format!("{what} is also {by}")).run("cnictl ports")
        }
    })
}

/// Rules of others before it.
pub fn ahead(way: &Way<'_>) -> Result<Finding, Error> {
    let Some(packet) = way.arriving() else {
        return Ok(Finding::warning("", "unknown"));
    };
    let hook = way.hook();
    Ok(match way.firewall.reaches(hook, &packet) {
        Reaches::Ours => Finding::ok("", "none takes it before ours"),
        Reaches::Stopped(end) if !end.is_sure => {
            Finding::warning("", format!("{} may take it before ours", end.text()))
        }
        Reaches::Stopped(end) => {
            let what = match end.verdict {
                Verdict::Translate => "takes it",
                _ => "ends the traversal",
            };
            let text = format!("{} {what} before ours", end.text());
            Finding::error("", text).run("cnictl reconcile")
        }
        Reaches::Nothing => {
            let text = format!("nothing leads from {} to ours", hook.name());
            Finding::error("", text).run("cnictl reconcile")
        }
    })
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
