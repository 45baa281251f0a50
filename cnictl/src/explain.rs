//! Why a host port does not answer: each station of a packet, as far as the first one that is broken.
//!
//! | module | what it looks at |
//! | --- | --- |
//! | [`outside`] | on the node, up to the rule that translates |
//! | [`inside`] | the container: its namespace, its address, who listens, its own firewall |
//! | [`between`] | the way from the node to the container, and back |

mod between;
mod inside;
mod outside;

use std::net::IpAddr;

use common::Error;
use common::cache::{Cache, Entry};
use common::{Family, Protocol};
use portmap::Portmap;
use portmap::address::{interface_towards, local};
use portmap::firewall::Hook;
use portmap::list::row::Row;

use crate::cli::value::Wanted;
use crate::doctor::ports::port;
use crate::finding::{Finding, Severity};
use crate::firewall::{Filtered, Firewall, Firewalls, Packet};
use crate::mappings::{Mapping, is_outside, mappings_by};
use crate::missing::WayOut;
use crate::owners::Owners;
use crate::repair::tasks;
use crate::state::State;

/// A question.
#[derive(Debug)]
pub struct Question<'a> {
    /// The port.
    pub port: &'a Wanted,
    /// The sender.
    pub from: Option<IpAddr>,
    /// Whether one connection may be opened.
    pub may_probe: bool,
}

/// The way of packets to one host port of one IP version.
struct Way<'a> {
    question: &'a Question<'a>,
    mapping: &'a Mapping,
    owner: String,
    entry: Option<&'a Entry>,
    firewall: &'a Firewall,
    /// The node's addresses.
    addresses: Vec<IpAddr>,
}

/// A station: what was found there.
type Station = fn(&Way<'_>) -> Result<Finding, Error>;

/// In the order in which packets come to them.
const STATIONS: [(&str, Station); 15] = [
    ("address", outside::address),
    ("filters of PREROUTING", outside::filters),
    ("rule", outside::rule),
    ("other rules", outside::ahead),
    ("processes", outside::processes),
    ("translation", outside::translation),
    ("namespace", inside::namespace),
    ("container's address", inside::address),
    ("listener", inside::listener),
    ("container's filters", inside::filters),
    ("forwarding", between::forwarding),
    ("route", between::route),
    ("FORWARD", between::forward),
    ("way back", between::back),
    ("loopback", between::loopback),
];

/// What findings about the runtime's cache are about.
pub const CACHE: &str = "cache";

/// The stations of every way to a port. A way ends at the first station that is broken.
///
/// # Errors
/// What could not be read of the kernel's state.
pub fn explain(question: &Question<'_>, cache: &Cache) -> Result<Vec<Finding>, Error> {
    let owners = Owners::of(cache);
    let mut firewalls = Firewalls::default();
    let tasks = tasks::<Portmap>(cache, true);
    let (mut all, unknown) = mappings_by(&owners, &tasks, &mut firewalls)?;
    all.retain(|mapping| {
        question.port.is(&mapping.row.forward.port)
            && question
                .from
                .is_none_or(|from| family(mapping) == Family::of(from))
    });
    let mut findings: Vec<Finding> = cache.faults.iter().chain(&unknown).map(unread).collect();
    for mapping in serving(&all) {
        let found = owners.index.find(&mapping.row.owner).first().copied();
        let named = !mapping.row.owner.container.is_empty();
        let way = Way {
            question,
            mapping,
            owner: owners.name(&mapping.row.owner),
            entry: found.filter(|_| named),
            firewall: firewalls.of(family(mapping)),
            addresses: local(family(mapping))?,
        };
        findings.extend(way.stations());
    }
    if all.is_empty() {
        findings.push(outside::nobody(question.port, !findings.is_empty())?);
    }
    Ok(findings)
}

fn unread(error: &Error) -> Finding {
    Finding::unread(CACHE, error)
}

/// What filters do with the packet.
fn judged(filtered: Filtered) -> Finding {
    match filtered {
        Filtered::Passed => Finding::ok("", "none drops it"),
        Filtered::Dropped(end) => Finding::error("", format!("{} drops it", end.text())),
        Filtered::Unknown(end) => {
            Finding::warning("", format!("unknown: {} may drop it", end.text()))
        }
    }
}

fn family(mapping: &Mapping) -> Family {
    Family::of(mapping.row.forward.to.ip())
}

/// Of each protocol, IP version, addresses and entry of a list the mapping that has its packets, or would have them.
fn serving(all: &[Mapping]) -> Vec<&Mapping> {
    let mut chosen: Vec<&Mapping> = Vec::new();
    let what = |m: &Mapping| {
        (
            m.row.forward.port.protocol,
            family(m),
            m.row.at(),
            m.row.entry.clone(),
        )
    };
    let rank = |m: &Mapping| match m.state {
        State::Active | State::Contested(_) | State::PartlyShadowed(..) | State::Taken(_) => 0,
        State::Missing(WayOut::Reconcile) => 1,
        State::Stale(_) => 2,
        State::Shadowed(_) | State::Missing(WayOut::Behind | WayOut::Nothing(_)) => 3,
    };
    for mapping in all {
        match chosen.iter_mut().find(|other| what(other) == what(mapping)) {
            Some(other) if rank(mapping) < rank(other) => *other = mapping,
            Some(_) => {}
            None => chosen.push(mapping),
        }
    }
    chosen
}

impl Way<'_> {
    fn row(&self) -> &Row {
        &self.mapping.row
    }

    /// The findings up to the first error.
    fn stations(&self) -> Vec<Finding> {
        let title = format!("{} {}", port(self.row()), family(self.mapping));
        let mut findings = Vec::new();
        for (name, station) in STATIONS {
            let found = station(self).unwrap_or_else(|error| Finding::unread("", &error));
            let is_broken = found.severity == Severity::Error;
            findings.push(Finding {
                object: format!("{title}: {name}"),
                ..found
            });
            if is_broken {
                return findings;
            }
        }
        if self.question.may_probe {
            let found = outside::probe(self);
            findings.push(Finding {
                object: format!("{title}: probe"),
                ..found
            });
        }
        findings
    }

    /// Where packets come from: from this node itself, or from outside.
    fn hook(&self) -> Hook {
        match self.question.from {
            Some(from) if from.is_loopback() || self.addresses.contains(&from) => Hook::Output,
            _ => Hook::Prerouting,
        }
    }

    /// The address that a client writes.
    fn host(&self) -> Option<IpAddr> {
        self.hosts().into_iter().next()
    }

    /// The addresses that a client may write.
    fn hosts(&self) -> Vec<IpAddr> {
        let from = self.question.from.filter(IpAddr::is_loopback);
        let is_on = |ip: &IpAddr| self.row().is_on(*ip);
        let own = self.addresses.iter().copied().filter(is_on);
        match self.row().forward.port.address.or(from.filter(is_on)) {
            Some(one) => vec![one],
            None => {
                let (outside, inside): (Vec<_>, Vec<_>) = own.partition(is_outside);
                let is_outside = self.row().limits.is_none() || !outside.is_empty();
                if is_outside { outside } else { inside }
            }
        }
    }

    /// A packet on its way to the node.
    fn arriving(&self) -> Option<Packet> {
        self.host().map(|to| self.arriving_at(to))
    }

    fn arriving_at(&self, to: IpAddr) -> Packet {
        let from = self.question.from;
        Packet {
            from,
            to,
            is_local: true,
            protocol: self.row().forward.port.protocol,
            port: self.row().forward.port.number,
            interfaces: (came_by(from), None),
            states: &["NEW"],
        }
    }

    /// The same on its way to the container.
    fn translated(&self) -> Result<Packet, Error> {
        let to = self.row().forward.to;
        let arriving = self.arriving_at(to.ip());
        let (came_by, _) = arriving.interfaces;
        Ok(Packet {
            is_local: false,
            port: to.port(),
            interfaces: (came_by, interface_towards(to.ip())?),
            states: &["NEW", "DNAT"],
            ..arriving
        })
    }
}

/// The interface by which packets from an address come, where that is known.
fn came_by(from: Option<IpAddr>) -> Option<String> {
    interface_towards(from?).ok().flatten()
}

/// The protocol that `--probe` speaks.
const PROBED: Protocol = Protocol::Tcp;
