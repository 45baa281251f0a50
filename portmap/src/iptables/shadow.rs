//! Rules that keep packets from a rule that stands after them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use common::Protocol;
use common::result::Prefix;
use xtables::meaning::Meaning;
use xtables::state::State;

use super::owner::Jump;
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

    /// Those whose packets all get to a chain through a rule that leads there, but for its conditions.
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
                ["comment", ..] | ["addrtype", "--dst-type", "LOCAL"] => {}
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

/// The ranges of a list such as `80,443,1000:2000`.
pub fn ranges(list: &str) -> impl Iterator<Item = (u16, u16)> {
    list.split(',').filter_map(|item| {
        let (from, to) = item.split_once(':').unwrap_or((item, item));
        let from = from.parse().ok().or(from.is_empty().then_some(0))?;
        let to = to.parse().ok().or(to.is_empty().then_some(u16::MAX))?;
        (from <= to).then_some((from, to))
    })
}

/// Whether such a list has a port.
fn contains(list: &str, port: u16) -> bool {
    ranges(list).any(|(from, to)| (from..=to).contains(&port))
}

/// The prefix of addresses that a rule tests, if it tests one.
pub fn destination(meaning: &Meaning) -> Option<Prefix> {
    let [network] = meaning.find("-d")? else {
        return None;
    };
    Prefix::from_text(network)
}

/// What a rule means to packets to addresses that it tests for.
pub fn anywhere(meaning: &Meaning) -> Meaning {
    let mut meaning = meaning.clone();
    let is_destination = |part: &Vec<String>| part.first().is_some_and(|word| word == "-d");
    if destination(&meaning).is_some() {
        meaning.matches.retain(|part| !is_destination(part));
    }
    meaning
}

/// What a rule that leads to an attachment's chain lets through to it.
#[derive(Debug)]
pub struct Reach<'a> {
    protocol: Option<Protocol>,
    /// The addresses that packets go to, where it tests them.
    pub at: Option<Prefix>,
    ports: &'a str,
    /// Whether it tests more than protocol, addresses and ports.
    pub is_conditional: bool,
}

impl<'a> Reach<'a> {
    /// That of a jump.
    pub fn of(meaning: &'a Meaning) -> Reach<'a> {
        let word = |name, at: usize| meaning.find(name).and_then(|words| words.get(at));
        Reach {
            protocol: word("-p", 0).and_then(|name| Protocol::from_text(name)),
            at: destination(meaning),
            ports: word("multiport", 1).map_or("", String::as_str),
            is_conditional: !meaning.matches.iter().all(|part| is_usual(part)),
        }
    }

    /// The ports, for each protocol.
    pub fn ports(&self) -> impl Iterator<Item = (Protocol, RangeInclusive<u16>)> {
        let protocol = self.protocol.into_iter();
        protocol
            .flat_map(|protocol| ranges(self.ports).map(move |(from, to)| (protocol, from..=to)))
    }

    /// Whether it takes some of these ports alone.
    pub fn is_part_of(&self, ports: &BTreeSet<(Protocol, u16)>) -> bool {
        let mut ranges = self.ports();
        let is_part = |(protocol, mut range): (Protocol, RangeInclusive<u16>)| {
            range.all(|port| ports.contains(&(protocol, port)))
        };
        self.protocol.is_some() && ranges.all(is_part)
    }
}

/// Whether a jump without conditions may test this.
fn is_usual(part: &[String]) -> bool {
    match part {
        [name, network] if name == "-d" => Prefix::from_text(network).is_some(),
        [name, ..] => {
            let names = [
                "comment",
                "-p",
                "multiport",
                "tcp",
                "udp",
                "sctp",
                "addrtype",
            ];
            names.contains(&name.as_str())
        }
        [] => true,
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

/// Whether a multiport match may have one of these ports.
pub fn may_have_one_of(rule: &str, ports: &BTreeSet<u16>) -> bool {
    port_ranges(rule).is_none_or(|ranges| {
        let has_one = |(from, to): (u16, u16)| ports.range(from..=to).next().is_some();
        ranges.into_iter().any(has_one)
    })
}

/// The ports that a multiport match may have; `None` of a rule without one.
pub fn port_ranges(rule: &str) -> Option<Vec<(u16, u16)>> {
    let (_, rest) = rule.split_once("--dports ")?;
    let list = rest.split(' ').next().unwrap_or_default();
    let range = |item: &str| {
        let (from, to) = item.split_once(':').unwrap_or((item, item));
        let from = from.parse().unwrap_or(0);
        let to = to.parse().unwrap_or(u16::MAX).max(from);
        (from, to)
    };
    Some(list.split(',').map(range).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::Protocol;

    fn hides(rule: &str, forward: &Forward) -> bool {
        let meaning = Meaning::of(rule);
        ends(&meaning) && !Forwards::of(&[*forward]).matched(&meaning).is_empty()
    }

    fn forward(host_ip: Option<&str>) -> Forward {
        Forward {
            port: HostPort {
                protocol: Protocol::Tcp,
                address: host_ip.map(|text| text.parse().unwrap()),
                within: None,
                number: 8080,
            },
            to: "10.22.0.2:80".parse().unwrap(),
        }
    }

    #[test]
    fn final_rules_hide_what_they_surely_match() {
        for rule in [
            "-j ACCEPT",
            "-p tcp -j RETURN",
            "-p tcp -m tcp --dport 8080 -j DNAT --to-destination 1.1.1.1:1",
            "-p tcp -m tcp --dport 8000:9000 -j REDIRECT --to-ports 1",
            "-m addrtype --dst-type LOCAL -j ACCEPT",
            "-m addrtype --dst-type LOCAL -g ELSEWHERE",
            "-p tcp -m multiport --dports 1,8080 -m comment --comment x -j ACCEPT",
            "-p tcp -m tcp ! --dport 22 -j RETURN",
            "-p tcp -m multiport ! --dports 1:100,443 -j ACCEPT",
            "! -p udp -j ACCEPT",
            "-m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT",
            "-p tcp -m state --state NEW -j RETURN",
        ] {
            assert!(hides(rule, &forward(None)), "{rule}");
        }
        assert!(hides(
            "-d 192.0.2.1/32 -j ACCEPT",
            &forward(Some("192.0.2.1"))
        ));
    }

    #[test]
    fn rules_that_let_some_packets_through_do_not_hide() {
        for rule in [
            "-j LOG",
            "-j KUBE-SERVICES",
            "-g CNI-HOSTPORT-DNAT",
            "-p udp -j ACCEPT",
            "-s 10.0.0.0/8 -j ACCEPT",
            "-d 192.0.2.1/32 -j ACCEPT",
            "! -p tcp -j ACCEPT",
            "-p tcp -m tcp ! --dport 8080 -j RETURN",
            "-p tcp -m multiport ! --dports 8000:9000 -j RETURN",
            "-m conntrack --ctstate ESTABLISHED -j ACCEPT",
            "-m conntrack ! --ctstate NEW -j ACCEPT",
            "-p tcp -m tcp --dport 8081 -j ACCEPT",
            "-i eth0 -j ACCEPT",
        ] {
            assert!(!hides(rule, &forward(None)), "{rule}");
        }
    }
}
