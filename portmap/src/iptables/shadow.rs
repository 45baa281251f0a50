//! Rules that keep packets from a later rule.

use std::collections::BTreeMap;
use std::net::IpAddr;

use common::Protocol;
use common::result::Prefix;
use xtables::meaning::{Meaning, tests_nothing};
use xtables::state::State;

use super::owner::Jump;
use super::reach::{Reach, contains, ranges};
use super::rules::{CHAINS, DNAT};
use super::translation::translations;
use crate::host_port::{Forward, HostPort};

/// Whether a rule ends a chain for every packet that it matches. `-j` to a chain may come back, and
/// what does not end anything (LOG, MARK, …) does not either.
pub fn is_final(target: &str) -> bool {
    matches!(
        target,
        "ACCEPT"
            | "DROP"
            | "REJECT"
            | "RETURN"
            | "QUEUE"
            | "NFQUEUE"
            | "DNAT"
            | "SNAT"
            | "REDIRECT"
            | "MASQUERADE"
            | "NETMAP"
    )
}

/// Forwards by what rules test of their packets, so that a rule is taken apart once, and costs what it
/// hits: there may be thousands of both.
#[derive(Debug, Default)]
pub struct Forwards {
    by_port: BTreeMap<(Protocol, u16), Vec<Forward>>,
}

impl Forwards {
    /// Those of a list.
    pub fn of(forwards: &[Forward]) -> Forwards {
        let mut all = Forwards::default();
        for forward in forwards {
            let (protocol, port) = (forward.port.protocol, forward.port.number);
            let same = all.by_port.entry((protocol, port)).or_default();
            same.push(*forward);
        }
        all
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.by_port.is_empty()
    }

    /// Takes out one.
    pub fn remove(&mut self, one: &Forward) {
        let (protocol, port) = (one.port.protocol, one.port.number);
        if let Some(same) = self.by_port.get_mut(&(protocol, port)) {
            same.retain(|forward| forward.port.address != one.port.address);
            if same.is_empty() {
                self.by_port.remove(&(protocol, port));
            }
        }
    }

    /// Those whose packets all match. A rule with a match that they do not imply may let some through, so
    /// it does not count.
    pub fn matched(&self, meaning: &Meaning) -> Vec<Forward> {
        let Some(tests) = Tests::of(meaning) else {
            return Vec::new();
        };
        let (first, others) = match tests.ports.split_first() {
            Some((first, others)) => (*first, others),
            None => ("0:65535", &[][..]),
        };
        let mut all = Vec::new();
        for protocol in tests.protocols {
            for (from, to) in ranges(first) {
                all.extend(self.within(protocol, tests.at, from, to));
            }
        }
        all.retain(|forward| {
            let has = |list: &&str| contains(list, forward.port.number);
            others.iter().all(has) && !tests.not_ports.iter().any(has)
        });
        all
    }

    /// Those of a range of ports whose packets all go to some addresses.
    fn within(
        &self,
        protocol: Protocol,
        at: Option<Prefix>,
        from: u16,
        to: u16,
    ) -> impl Iterator<Item = Forward> {
        let range = self.by_port.range((protocol, from)..=(protocol, to));
        let is_within = move |forward: &Forward| match (at, forward.port.address) {
            (None, _) => true,
            (Some(at), Some(addr)) => at.has(addr),
            (Some(_), None) => false,
        };
        range
            .flat_map(|(_, forwards)| forwards)
            .copied()
            .filter(is_within)
    }

    /// Those whose packets all get to a chain through a rule that leads there, except for its conditions.
    pub fn reached(&self, reach: &Reach<'_>) -> Vec<Forward> {
        let protocols = reach.protocol.into_iter();
        let found = protocols.flat_map(|protocol| {
            let ranges = ranges(reach.ports);
            ranges.flat_map(move |(from, to)| self.within(protocol, reach.at, from, to))
        });
        found.collect()
    }

    /// What is left of these behind a rule that leads to their chain.
    pub fn behind(&self, reach: &Reach<'_>) -> Vec<Behind> {
        let anywhere = Reach { at: None, ..*reach };
        let ports = self.reached(&anywhere).into_iter();
        let ports = ports.map(|forward| forward.port);
        let is_left = |port: &HostPort| match (port.address, reach.at) {
            (_, None) => true,
            (Some(addr), Some(at)) => at.has(addr),
            // A single address has its own port before that of all.
            (None, Some(at)) => !self.has_single(port, at),
        };
        let behind = |port: HostPort| Behind {
            port,
            at: port.address.map(Prefix::whole).or(reach.at),
        };
        ports.filter(is_left).map(behind).collect()
    }

    fn has_single(&self, port: &HostPort, at: Prefix) -> bool {
        let same = self.by_port.get(&(port.protocol, port.number));
        let mut addresses = same
            .into_iter()
            .flatten()
            .filter_map(|one| one.port.address);
        addresses.any(|addr| Prefix::whole(addr) == at)
    }
}

/// A host port behind a rule that leads to its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Behind {
    /// The port.
    pub port: HostPort,
    /// The addresses at which it is one of the rule's; `None` for all.
    pub at: Option<Prefix>,
}

/// What a rule tests, if a forward can imply all of it.
struct Tests<'a> {
    protocols: Vec<Protocol>,
    at: Option<Prefix>,
    ports: Vec<&'a str>,
    not_ports: Vec<&'a str>,
}

impl<'a> Tests<'a> {
    fn of(meaning: &'a Meaning) -> Option<Tests<'a>> {
        let mut tests = Tests {
            protocols: Protocol::ALL.to_vec(),
            at: None,
            ports: Vec::new(),
            not_ports: Vec::new(),
        };
        for part in &meaning.matches {
            let words: Vec<&str> = part.iter().map(String::as_str).collect();
            match words.as_slice() {
                _ if tests_nothing(part) => {}
                ["addrtype", "--dst-type", "LOCAL"] => {}
                // Only a connection's first packet comes to nat.
                ["conntrack", "--ctstate", states] | ["state", "--state", states]
                    if states.split(',').any(|state| state == "NEW") => {}
                ["-p", name] => match name.strip_prefix('!') {
                    Some(name) => {
                        let other = Protocol::from_text(name);
                        tests.protocols.retain(|one| Some(*one) != other);
                    }
                    None => tests.protocols = vec![Protocol::from_text(name)?],
                },
                ["-d", network] => tests.at = Some(Prefix::from_text(network)?),
                ["tcp" | "udp" | "sctp", "--dport", ports] | ["multiport", "--dports", ports] => {
                    tests.ports.push(ports);
                }
                ["tcp" | "udp" | "sctp", "!", "--dport", ports]
                | ["multiport", "!", "--dports", ports] => tests.not_ports.push(ports),
                _ => return None,
            }
        }
        Some(tests)
    }
}

/// Whether a rule ends its chain. `-g` to a chain never comes back to this one; what leads to chains
/// of ours is in nobody's way.
pub fn ends(meaning: &Meaning) -> bool {
    match meaning.goes_to() {
        "goto" => !meaning.target.iter().any(|name| name.starts_with(CHAINS)),
        target => is_final(target),
    }
}

/// The chains of other attachments, each taken apart at most once.
#[derive(Debug, Default)]
pub struct Rivals(BTreeMap<String, Forwards>);

impl Rivals {
    /// The forwards of a chain; none of what is not in `state`.
    pub fn of(&mut self, chain: &str, state: &State) -> &Forwards {
        let rules = || Forwards::of(&translations(state.rules(chain)));
        self.0.entry(chain.to_owned()).or_insert_with(rules)
    }

    /// Those of some forwards that a jump of another owner takes before they reach the rules after it: by what it
    /// lets through to its chain.
    pub fn taken(
        &mut self,
        jump: &Jump,
        mut matched: Vec<Forward>,
        reach: &Reach<'_>,
        state: &State,
    ) -> Vec<Forward> {
        if jump.chain == DNAT || matched.is_empty() {
            return Vec::new();
        }
        let theirs = self.of(&jump.chain, state).behind(reach);
        matched.retain(|ours| theirs.iter().any(|theirs| theirs.port.takes(&ours.port)));
        matched
    }
}

impl Forwards {
    /// One of these, each limited to some addresses, that takes some packets of another, which is so, too.
    /// No limits are all addresses.
    pub fn overlapping(
        &self,
        only: &[Prefix],
        other: HostPort,
        its: &[Prefix],
    ) -> Option<&Forward> {
        let same = self.by_port.get(&(other.protocol, other.number))?;
        let of = |address: Option<IpAddr>, limits: &[Prefix]| match address {
            Some(addr) => vec![Prefix::whole(addr)],
            None => limits.to_vec(),
        };
        let theirs = of(other.address, its);
        same.iter().find(|forward| {
            let ours = of(forward.port.address, only);
            let meets = |one: &Prefix| theirs.iter().any(|other| one.meets(other));
            ours.is_empty() || theirs.is_empty() || ours.iter().any(meets)
        })
    }
}

#[cfg(test)]
mod tests;
