//! What a rule lets through: ports and addresses.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use common::Protocol;
use common::result::Prefix;
use xtables::meaning::{Meaning, tests_nothing};

use super::owner;

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
        let protocol = meaning.find("-p").and_then(<[String]>::first);
        let ports = meaning.ports().unwrap_or_default();
        Reach {
            protocol: protocol.and_then(|name| Protocol::from_text(name)),
            at: destination(meaning),
            ports,
            is_conditional: !meaning.matches.iter().all(|part| is_usual(part, ports)),
        }
    }

    /// That of a jump to a chain with these rules, which may say that its jumps have conditions. Those that do not
    /// show it test for nothing but addresses, which then are no limits.
    pub fn to(meaning: &'a Meaning, rules: &[String]) -> Reach<'a> {
        let reach = Reach::of(meaning);
        match !reach.is_conditional && owner::are_conditional(rules) {
            true => Reach {
                at: None,
                is_conditional: true,
                ..reach
            },
            false => reach,
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

/// Whether a jump without conditions to these ports may test this.
fn is_usual(part: &[String], ports: &str) -> bool {
    let words: Vec<&str> = part.iter().map(String::as_str).collect();
    match words.as_slice() {
        _ if tests_nothing(part) => true,
        ["-d", network] => Prefix::from_text(network).is_some(),
        ["-p", name] => Protocol::from_text(name).is_some(),
        ["multiport", "--dports", list] => *list == ports,
        ["addrtype", "--dst-type", "LOCAL"] => true,
        _ => false,
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

    #[test]
    fn whatever_else_a_jump_tests_is_a_condition() {
        let jump = "-p tcp -m comment --comment x -m multiport --dports 80,81";
        for (more, is_conditional) in [
            ("", false),
            ("-d 192.0.2.0/24", false),
            ("-m addrtype --dst-type LOCAL", false),
            ("-m comment --comment -j", false),
            ("-m tcp", false),
            ("! -d 192.0.2.0/24", true),
            ("-m tcp --sport 1:1023", true),
            ("-m tcp --dport 80", true),
            ("-m addrtype --src-type LOCAL", true),
            ("-m addrtype --dst-type LOCAL --limit-iface-in", true),
            ("-m multiport --sports 1,2", true),
            ("-m multiport ! --sports 1,2", true),
            ("-m multiport --dports 1", true),
            ("-m multiport ! --dports 80", true),
        ] {
            let meaning = Meaning::of(&format!("{jump} {more} -j CNI-DN-x"));
            let reach = Reach::of(&meaning);
            assert_eq!(reach.is_conditional, is_conditional, "{more}");
            assert_eq!((reach.ports, meaning.goes_to()), ("80,81", "CNI-DN-x"));
        }
    }
}
