//! Adjacent host ports of one owner that keep their number: one element in each set, however many they are.
//!
//! Packets come to the single ports first, so a range stays whole where others have ports of it. Where a single
//! element serves a port, the range's claim is the oldest one there, and else the one that is served; a claim that
//! comes between others is a single element, too.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use common::family::{address, bytes};
use nft::object::Element;

use super::elements::{Elements, decoded, host_port_of, place, target};
use super::queue::claims::{Claim, Marks, Queues};
use super::set::{By, Purpose, SetId};
use crate::host_port::HostPort;
use crate::runs::{RUN, adjacent};

/// Host ports on the same addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    first: HostPort,
    last: u16,
}

impl Range {
    /// That of an element, if it has one.
    pub fn of(id: SetId, element: &Element) -> Option<Range> {
        let end = element.key_end.as_ref().filter(|_| id.by.is_range)?;
        Some(Range {
            first: decoded(id, &element.key)?,
            last: decoded(id, end)?.number,
        })
    }

    /// Its ports.
    pub fn ports(self) -> impl Iterator<Item = HostPort> {
        let Range { first, last } = self;
        (first.number..=last).map(move |number| HostPort { number, ..first })
    }

    fn has(self, port: HostPort) -> bool {
        let Range { first, last } = self;
        let number = port.number;
        HostPort { number, ..first } == port && (first.number..=last).contains(&number)
    }

    /// Whether one of these ports is one of its.
    pub fn has_any(self, ports: &BTreeSet<HostPort>) -> bool {
        let next = ports.range(self.first..).next();
        next.is_some_and(|port| self.has(*port))
    }

    fn element(self, purpose: Purpose, claim: &Claim) -> ((SetId, Vec<u8>), Element) {
        let container = claim.to.ip();
        let number = self.last;
        let (id, key) = place(self.first, purpose, container);
        let (_, end) = place(
            HostPort {
                number,
                ..self.first
            },
            purpose,
            container,
        );
        let element = Element {
            key: key.clone(),
            key_end: Some(end),
            data: (purpose == Purpose::Dnat).then(|| bytes(container)),
            comment: Some(claim.owner.clone()),
            siblings: None,
        };
        let by = By::range(id.by.on);
        ((SetId { by, ..id }, key), element)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Range { first, last } = self;
        let (place, port) = (first.place(), first.number);
        write!(f, "{place}{port}-{last}/{}", first.protocol)
    }
}

/// The container's address of an element of the map of ranges.
pub fn container(element: &Element) -> Option<IpAddr> {
    address(element.data.as_deref()?)
}

/// The host ports of an element of any set.
pub fn ports(id: SetId, element: &Element) -> impl Iterator<Item = HostPort> {
    let one = |first: HostPort| Range {
        first,
        last: first.number,
    };
    let range = Range::of(id, element);
    let range = range.or_else(|| host_port_of(id, &element.key).map(one));
    range.into_iter().flat_map(Range::ports)
}

/// Ranges, none meeting another, with the claim on the first port of each.
#[derive(Default)]
pub struct Ranges(BTreeMap<HostPort, (Range, Claim)>);

impl Ranges {
    /// Those of elements. An element without an owner is not a claim.
    pub fn found(elements: &Elements) -> Ranges {
        let mut marks: BTreeMap<(Range, &str), Marks> = BTreeMap::new();
        for ((id, _), element) in elements {
            if let (Some(range), Some(owner)) = (Range::of(*id, element), &element.comment) {
                marks.entry((range, owner)).or_default().add(id.purpose);
            }
        }
        let map = elements
            .iter()
            .filter(|((id, _), _)| id.purpose == Purpose::Dnat);
        let one = |((id, _), element): (&(SetId, Vec<u8>), &Element)| {
            let range = Range::of(*id, element)?;
            let owner = element.comment.clone()?;
            let to = SocketAddr::new(container(element)?, range.first.number);
            let marks = marks.get(&(range, owner.as_str())).copied();
            let marks = marks.unwrap_or_default();
            Some((range.first, (range, Claim { owner, to, marks })))
        };
        Ranges(map.filter_map(one).collect())
    }

    /// Those that claims become. What is found stays while all of its ports are claimed so; beside it, only claims
    /// become ranges that had no elements: an ADD that is repeated changes nothing.
    pub fn wanted(queues: &Queues, found: &Elements) -> Ranges {
        let mut all = Ranges::found(found);
        all.0
            .retain(|_, (range, claim)| match claimed(queues, *range, claim) {
                Some(now) => {
                    *claim = now;
                    true
                }
                None => false,
            });
        let runs = new_runs(queues, found, &all);
        all.0.extend(runs);
        all
    }

    /// Each range with the claim on its first port.
    pub fn iter(&self) -> impl Iterator<Item = &(Range, Claim)> {
        self.0.values()
    }

    /// The claim on the ports of the range that has a port.
    pub fn at(&self, port: HostPort) -> Option<&Claim> {
        let (_, (range, claim)) = self.0.range(..=port).next_back()?;
        range.has(port).then_some(claim)
    }

    /// The element that a port would have by itself.
    pub fn single(&self, (id, key): &(SetId, Vec<u8>)) -> Option<Element> {
        let is_map = id.purpose == Purpose::Dnat;
        let port = host_port_of(*id, key).filter(|_| is_map)?;
        let claim = self.at(port)?;
        Some(Element {
            key: key.clone(),
            key_end: None,
            data: Some(target(claim.at(port).to)),
            comment: Some(claim.owner.clone()),
            siblings: None,
        })
    }

    /// What of the claims on a port is in single elements: who waits, and who is served.
    pub fn rest<'a>(
        &self,
        port: HostPort,
        claims: &'a [Claim],
    ) -> (&'a [Claim], Option<&'a Claim>) {
        let owner = self.at(port).map(|claim| &claim.owner);
        let is_its = |claim: &Claim| Some(&claim.owner) == owner;
        match claims {
            [waiting @ .., last] if is_its(last) => (waiting, None),
            [first, waiting @ .., last] if is_its(first) => (waiting, Some(last)),
            [waiting @ .., last] => (waiting, Some(last)),
            [] => (&[], None),
        }
    }

    /// The elements of all of them.
    pub fn elements(&self) -> Elements {
        let of = |(range, claim): &(Range, Claim)| {
            let purposes = [Purpose::Dnat].into_iter().chain(claim.marks.purposes());
            let all = purposes.map(|purpose| range.element(purpose, claim));
            all.collect::<Vec<_>>()
        };
        self.iter().flat_map(of).collect()
    }
}

/// The claim on the first port of a range, where its owner claims all of them and they lead where they led.
fn claimed(queues: &Queues, range: Range, claim: &Claim) -> Option<Claim> {
    let of = |port: HostPort| {
        let same = |one: &&Claim| {
            one.owner == claim.owner && one.to == SocketAddr::new(claim.to.ip(), port.number)
        };
        queues.get(&port)?.iter().find(same)
    };
    let first = of(range.first)?;
    range
        .ports()
        .all(|port| of(port).is_some())
        .then(|| first.clone())
}

/// Runs of claims that are neither in single elements nor in ranges.
fn new_runs(
    queues: &Queues,
    found: &Elements,
    ranges: &Ranges,
) -> BTreeMap<HostPort, (Range, Claim)> {
    let is_claim = |id: &SetId| matches!(id.purpose, Purpose::Dnat | Purpose::Shadowed);
    let singles: HashSet<(HostPort, &str)> = found
        .iter()
        .filter(|((id, _), _)| is_claim(id))
        .filter_map(|((id, key), element)| {
            Some((host_port_of(*id, key)?, element.comment.as_deref()?))
        })
        .collect();
    let new = queues.iter().filter_map(|(port, claims)| {
        let is_new = |claim: &&Claim| {
            claim.to.port() == port.number && !singles.contains(&(*port, claim.owner.as_str()))
        };
        let is_free = ranges.at(*port).is_none();
        Some((*port, claims.iter().rfind(is_new).filter(|_| is_free)?))
    });
    let follows = |(port, claim): &(HostPort, &Claim), (next, other): &(HostPort, &Claim)| {
        port.next() == Some(*next) && claim.at(*next) == **other
    };
    let mut runs = adjacent(new, follows);
    runs.retain(|run| run.len() >= RUN);
    let range = |run: Vec<(HostPort, &Claim)>| {
        let ((first, claim), (last, _)) = (*run.first()?, run.last()?);
        let last = last.number;
        Some((first, (Range { first, last }, claim.clone())))
    };
    runs.into_iter().filter_map(range).collect()
}

#[cfg(test)]
mod tests;
