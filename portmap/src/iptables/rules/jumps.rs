//! The rules that lead from [`DNAT`](super::DNAT) to an attachment's chain.

use std::collections::BTreeSet;

use common::result::Prefix;
use common::{Attachment, Protocol};
use xtables::words::joined;

use crate::host_port::Forward;
use crate::iptables::owner;
use crate::iptables::ranges::{self, Range};
use crate::limits::Allowed;
use crate::plan::Forwards;

/// A rule that leads from [`DNAT`](super::DNAT) to the attachment's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// The protocol.
    pub protocol: Protocol,
    /// The ports, in the order written.
    pub ports: Vec<Range>,
    /// The rule up to its target, except for conditions.
    matches: String,
    /// The conditions.
    conditions: String,
}

impl Jump {
    /// The whole rule.
    pub fn to(&self, chain: &str) -> String {
        let Jump {
            matches,
            conditions,
            ..
        } = self;
        match conditions.as_str() {
            "" => self.plain(chain),
            conditions => format!("{matches} {conditions} -j {chain}"),
        }
    }

    /// The rule without conditions.
    pub fn plain(&self, chain: &str) -> String {
        format!("{} -j {chain}", self.matches)
    }
}

/// The rules that lead to the attachment's chain. Ports of the other IP version stay in a list that
/// is needed anyway, as in the reference; a list that has no other is left out.
pub(super) fn jumps(
    attachment: &Attachment,
    forwards: &Forwards,
    only: &[Prefix],
    least: usize,
) -> Vec<Jump> {
    let destinations: Vec<Option<&Prefix>> = match only {
        [] => vec![None],
        only => only.iter().map(Some).collect(),
    };
    let comment = owner::comment(attachment);
    let needed: BTreeSet<(Protocol, u16)> = forwards
        .ports
        .iter()
        .map(|forward| (forward.port.protocol, forward.port.number))
        .collect();
    let mut jumps = Vec::new();
    for protocol in Protocol::ALL {
        let all: Vec<u16> = forwards
            .listed
            .iter()
            .filter(|(p, _)| *p == protocol)
            .map(|(_, n)| *n)
            .collect();
        let is_needed = |Range { first, last }: &Range| {
            let mut needed = needed.range((protocol, *first)..=(protocol, *last));
            needed.next().is_some()
        };
        for some in ranges::for_rules(&ranges::of_list(&all, least)) {
            if !some.iter().any(is_needed) {
                continue;
            }
            jumps.extend(destinations.iter().map(|destination| Jump {
                protocol,
                matches: jump(&comment, *destination, protocol, &some),
                ports: some.clone(),
                conditions: joined(&forwards.conditions),
            }));
        }
    }
    jumps
}

/// The addresses that jumps are limited to: those of ports without an address, and those that ports have.
pub(super) fn destinations(only: Option<&Allowed>, ports: &[Forward]) -> Vec<Prefix> {
    let Some(Allowed { prefixes, .. }) = only else {
        return Vec::new();
    };
    let mut all = prefixes.clone();
    for addr in ports.iter().filter_map(|forward| forward.port.address) {
        if !all.iter().any(|prefix| prefix.has(addr)) {
            all.push(Prefix::whole(addr));
        }
    }
    all
}

/// What leads packets of some ports to an attachment's chain, by its owner's mark; as many as
/// [`ranges::for_rules`] gives for one.
pub fn jump(
    comment: &str,
    destination: Option<&Prefix>,
    protocol: Protocol,
    ports: &[Range],
) -> String {
    let destination = destination.map(Prefix::to_string);
    let list: Vec<String> = ports.iter().map(Range::to_string).collect();
    let list = list.join(",");
    let mut words = Vec::new();
    if let Some(destination) = &destination {
        words.extend(["-d", destination]);
    }
    words.extend(["-p", protocol.name(), "-m", "comment", "--comment", comment]);
    words.extend(["-m", "multiport", "--dports", &list]);
    joined(&words)
}
