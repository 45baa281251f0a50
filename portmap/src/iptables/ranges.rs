//! Adjacent host ports, which one rule matches however many they are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::host_port::{Forward, HostPort};
use crate::runs::adjacent;

/// The most ports that one multiport match takes (XT_MULTI_PORTS in
/// include/uapi/linux/netfilter/xt_multiport.h).
pub const PORTS_A_RULE: usize = 15;

/// Ports from the first to the last, which may be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first port.
    pub first: u16,
    /// The last port.
    pub last: u16,
}

impl Range {
    /// A single port.
    pub fn one(port: u16) -> Range {
        Range {
            first: port,
            last: port,
        }
    }

    fn is_one(self) -> bool {
        self.first == self.last
    }
}

/// As iptables writes it.
impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_one() {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}:{}", self.first, self.last),
        }
    }
}

/// The ports of a list in its order; runs of at least `least` adjacent ones become a range where the list has
/// the first of them that it names.
pub fn of_list(ports: &[u16], least: usize) -> Vec<Range> {
    let all: BTreeSet<u16> = ports.iter().copied().collect();
    let mut runs: BTreeMap<u16, u16> = BTreeMap::new();
    for run in adjacent(all, |a, b| a.checked_add(1) == Some(*b)) {
        if let ([first, ..], Some(last)) = (run.as_slice(), run.last())
            && run.len() >= least
        {
            runs.insert(*first, *last);
        }
    }
    let mut written = BTreeSet::new();
    let range = |port: &u16| match runs.range(..=port).next_back() {
        Some((first, last)) if port <= last => {
            let (first, last) = (*first, *last);
            written.insert(first).then_some(Range { first, last })
        }
        _ => Some(Range::one(*port)),
    };
    ports.iter().filter_map(range).collect()
}

/// As many of them as one multiport match takes, again and again: a range counts twice there.
pub fn for_rules(ranges: &[Range]) -> Vec<Vec<Range>> {
    let mut all: Vec<Vec<Range>> = Vec::new();
    let mut room = 0;
    for range in ranges {
        let size = if range.is_one() { 1 } else { 2 };
        match all.last_mut() {
            Some(last) if size <= room => last.push(*range),
            _ => {
                room = PORTS_A_RULE;
                all.push(vec![*range]);
            }
        }
        room -= size;
    }
    all
}

/// Forwards in the order written, each alone or in a run of at least `least` adjacent host ports of one
/// protocol and one address.
///
/// A run of single addresses is where its first forward is, one of all addresses where its last one is, so
/// that a port of one address stays before the same port of all.
pub fn of_forwards(forwards: &[Forward], least: usize) -> Vec<Vec<Forward>> {
    let mut first: BTreeMap<HostPort, usize> = BTreeMap::new();
    for (place, forward) in forwards.iter().enumerate() {
        // Of two mappings of one port, the first counts.
        first.entry(forward.port).or_insert(place);
    }
    let mut runs = adjacent(first, |(a, _), (b, _)| a.next() == Some(*b));
    runs.retain(|run| run.len() >= least);
    let mut at: BTreeMap<usize, Vec<Forward>> = BTreeMap::new();
    let mut in_runs: BTreeSet<HostPort> = BTreeSet::new();
    for run in runs {
        in_runs.extend(run.iter().map(|(port, _)| port));
        let is_wide = run.iter().any(|(port, _)| port.address.is_none());
        let places = run.iter().map(|(_, place)| *place);
        let place = if is_wide { places.max() } else { places.min() };
        let its = run.iter().filter_map(|(_, place)| forwards.get(*place));
        at.insert(place.unwrap_or(0), its.copied().collect());
    }
    let written = |(place, forward): (usize, &Forward)| match in_runs.contains(&forward.port) {
        true => at.remove(&place),
        false => Some(vec![*forward]),
    };
    forwards.iter().enumerate().filter_map(written).collect()
}

/// What of a run one rule translates: at least `least` ports that keep their number, or one.
pub fn of_run(run: &[Forward], least: usize) -> Vec<&[Forward]> {
    let keeps = |forward: &Forward| forward.to.port() == forward.port.number;
    run.chunk_by(|a, b| keeps(a) && keeps(b))
        .flat_map(|some| match some.len() >= least {
            true => some.chunks(some.len()),
            false => some.chunks(1),
        })
        .collect()
}

#[cfg(test)]
mod tests;
