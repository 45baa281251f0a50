//! What a rule lets through: ports and addresses.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use common::Protocol;
use common::result::Prefix;
use xtables::meaning::Meaning;

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
pub fn contains(list: &str, port: u16) -> bool {
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
    pub protocol: Option<Protocol>,
    /// The addresses that packets go to, where it tests them.
    pub at: Option<Prefix>,
    pub ports: &'a str,
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
