//! What a firewall would do with a packet, as far as that can be judged from its rules.
//!
//! A rule with a match that is not understood may match or not, so a packet can have several ends. Only
//! where all of them are alike it is known what becomes of it.

mod test;
mod walk;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use common::Error;
use common::{Family, Protocol};
use portmap::firewall::{self, Base, Hook, OUR_TABLES, OURS, sets_mark};

use test::Test;
use walk::walk;

/// A packet, as far as it is known.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Its source.
    pub from: Option<IpAddr>,
    /// Its destination.
    pub to: IpAddr,
    /// Whether that is an address of this node.
    pub is_local: bool,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its destination port.
    pub port: u16,
    /// Where it came in and where it goes out.
    pub interfaces: (Option<String>, Option<String>),
    /// The states of its connection, as iptables calls them.
    pub states: &'static [&'static str],
}

/// What ends a packet's way through a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It continues.
    Accept,
    /// It is dropped or refused.
    Drop,
    /// Its destination is translated.
    Translate,
    /// Its source is.
    Masquerade,
    /// Another program decides.
    Unknown,
}

/// An end, and what decides it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// The table and chain.
    pub place: String,
    /// The rule, or the policy.
    pub rule: String,
    /// Whether a packet that comes there surely ends there.
    pub is_sure: bool,
}

impl End {
    /// Whether it is portmap that decides, ours or the reference.
    pub fn is_ours(&self) -> bool {
        let table = self.place.rsplit(' ').next();
        table.is_some_and(|table| OUR_TABLES.contains(&table)) || self.rule.contains(OURS)
    }

    /// For people.
    pub fn text(&self) -> String {
        format!("{} ({})", self.rule, self.place)
    }
}

struct Rule {
    words: String,
    tests: Vec<Test>,
    /// Whether it changes the mark before its target acts.
    marks: bool,
    target: Target,
}

enum Target {
    Nothing,
    Marks,
    Return,
    Ends(Verdict),
    Jump(String),
    Goto(String),
}

struct Chain {
    table: String,
    name: String,
    base: Option<Base>,
    rules: Vec<Rule>,
}

/// The rules of the IP versions that were looked at.
#[derive(Default)]
pub struct Firewalls(BTreeMap<Family, Firewall>);

impl Firewalls {
    /// Those of an IP version, read once.
    pub fn of(&mut self, family: Family) -> &Firewall {
        let read = || Firewall::read(family);
        self.0.entry(family).or_insert_with(read)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Family, &Firewall)> {
        self.0.iter().map(|(family, firewall)| (*family, firewall))
    }
}

/// The rules of one IP version.
pub struct Firewall {
    chains: Vec<Chain>,
    places: HashMap<(String, String), usize>,
    /// What could not be read.
    pub errors: Vec<Error>,
}

impl Firewall {
    /// That of the calling thread's namespace.
    pub fn read(family: Family) -> Firewall {
        let (chains, errors) = firewall::chains(family);
        Firewall::of(chains, errors)
    }

    fn of(chains: Vec<firewall::Chain>, errors: Vec<Error>) -> Firewall {
        let names = chains.iter().map(|c| (c.table.clone(), c.name.clone()));
        let places = names.enumerate().map(|(place, name)| (name, place));
        let places = places.collect();
        let chains = chains.into_iter().map(|chain| Chain {
            table: chain.table,
            name: chain.name,
            base: chain.base,
            rules: chain.rules.into_iter().map(Rule::of).collect(),
        });
        Firewall {
            chains: chains.collect(),
            places,
            errors,
        }
    }

    /// The tables, each as often as it has chains, with how many rules the chain has.
    pub fn tables(&self) -> impl Iterator<Item = (&str, usize)> {
        let chains = self.chains.iter();
        chains.map(|chain| (chain.table.as_str(), chain.rules.len()))
    }

    /// Whether it has a chain of that name.
    pub fn has_chain(&self, name: &str) -> bool {
        self.chains.iter().any(|chain| chain.name == name)
    }

    /// The ends of a packet in each of a hook's chains that translate, or in those that do not, in their
    /// order.
    pub fn ends(&self, hook: Hook, is_nat: bool, packet: &Packet) -> Vec<Vec<End>> {
        let walked = self.walked(hook, is_nat, packet).into_iter();
        walked.map(|one| one.ends).collect()
    }

    fn walked(&self, hook: Hook, is_nat: bool, packet: &Packet) -> Vec<Walked> {
        let is_it = |base: &Base| base.hook == hook && base.is_nat == is_nat;
        let chains = self.chains.iter();
        let chains = chains.filter_map(|chain| Some((chain.base.filter(is_it)?, chain)));
        let mut chains: Vec<(Base, &Chain)> = chains.collect();
        chains.sort_by_key(|(base, _)| base.priority);
        let walked = chains.into_iter().map(|(base, chain)| {
            let (mut ends, goes_through) = walk(self, chain, packet);
            if goes_through {
                let (verdict, rule) = match base.drops {
                    true => (Verdict::Drop, "policy DROP"),
                    false => (Verdict::Accept, "policy ACCEPT"),
                };
                ends.push(End {
                    verdict,
                    place: chain.place(),
                    rule: rule.to_owned(),
                    is_sure: true,
                });
            }
            Walked {
                priority: base.priority,
                ends,
                ends_early: !goes_through && chain.leads_to_ours(),
            }
        });
        walked.collect()
    }

    /// Whether a packet comes to a rule of portmap's that translates. What keeps it from there is sure where
    /// all that the packet can meet does so.
    ///
    /// A translation and a drop end its way through all chains, anything else that through one chain. Of chains
    /// of one priority the kernel runs the newest first, and does not report which that is.
    pub fn reaches(&self, hook: Hook, packet: &Packet) -> Reaches {
        let walked = self.walked(hook, true, packet);
        for chains in walked.chunk_by(|one, other| one.priority == other.priority) {
            let with_ours = chains.iter().filter(|one| one.has_ours()).count();
            for one in chains {
                let translates = |end: &End| end.verdict == Verdict::Translate;
                let takes = |end: &&End| match end.verdict {
                    Verdict::Accept => one.has_ours(),
                    Verdict::Drop => true,
                    _ => translates(end),
                };
                let mut foreign = one.ends.iter().take_while(|end| !end.is_ours());
                if let Some(end) = foreign.find(takes) {
                    let is_before = with_ours == usize::from(one.has_ours());
                    let is_all = one.ends.iter().all(|end| translates(end) && !end.is_ours());
                    return Reaches::Stopped(End {
                        is_sure: is_before && (end.is_sure || is_all),
                        ..end.clone()
                    });
                }
            }
            if with_ours > 0 {
                return Reaches::Ours;
            }
        }
        let mut early = walked.into_iter().filter(|one| one.ends_early);
        match early.find_map(|mut one| one.ends.pop()) {
            // Whatever else it may meet does not lead to ours either.
            Some(end) => Reaches::Stopped(End {
                is_sure: true,
                ..end
            }),
            None => Reaches::Nothing,
        }
    }

    /// What a hook's filters do with a packet.
    pub fn filters(&self, hook: Hook, packet: &Packet) -> Filtered {
        let ends = self.ends(hook, false, packet);
        let is_drop = |end: &&End| end.verdict == Verdict::Drop;
        let sure = |ends: &Vec<End>| {
            let drops = ends.iter().all(|end| is_drop(&end));
            let named = ends.iter().find(|end| end.is_sure).or(ends.first());
            named.filter(|_| drops).cloned()
        };
        if let Some(end) = ends.iter().find_map(sure) {
            return Filtered::Dropped(end);
        }
        let mut all = ends.iter().flatten();
        match all.find(|end| is_drop(end) || end.verdict == Verdict::Unknown) {
            Some(end) => Filtered::Unknown(end.clone()),
            None => Filtered::Passed,
        }
    }
}

/// A packet's way through a base chain.
struct Walked {
    priority: i32,
    ends: Vec<End>,
    /// Whether it ends before the end of a chain that leads to ours.
    ends_early: bool,
}

impl Walked {
    fn has_ours(&self) -> bool {
        self.ends.iter().any(End::is_ours)
    }
}

/// Whether a packet comes to ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reaches {
    /// It does, as far as is known.
    Ours,
    /// Something else has it first, or may.
    Stopped(End),
    /// Nothing leads there.
    Nothing,
}

/// What filters do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filtered {
    /// They let the packet pass.
    Passed,
    /// They drop it: what does.
    Dropped(End),
    /// It cannot be judged: what may drop it.
    Unknown(End),
}

impl Chain {
    fn place(&self) -> String {
        format!("chain {} of {}", self.name, self.table)
    }

    fn leads_to_ours(&self) -> bool {
        let is_it = |rule: &Rule| match &rule.target {
            Target::Jump(name) | Target::Goto(name) => name == OURS,
            _ => false,
        };
        self.rules.iter().any(is_it)
    }
}

impl Rule {
    fn of(rule: firewall::Rule) -> Rule {
        Rule {
            tests: rule
                .matches
                .iter()
                .flat_map(|part| test::of(part))
                .collect(),
            marks: rule.matches.iter().any(|part| sets_mark(part)),
            target: Target::of(&rule.target),
            words: rule.words,
        }
    }

    /// Whether a packet matches, where that is known.
    fn matches(&self, packet: &Packet, mark: Option<u32>) -> Option<bool> {
        let mut known = Some(true);
        for test in &self.tests {
            match test.holds(packet, mark) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => known = None,
            }
        }
        known
    }
}

impl Target {
    fn of(words: &[String]) -> Target {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] => Target::Nothing,
            ["goto", chain, ..] => Target::Goto((*chain).to_owned()),
            ["ACCEPT", ..] => Target::Ends(Verdict::Accept),
            ["DROP" | "REJECT", ..] => Target::Ends(Verdict::Drop),
            ["RETURN", ..] => Target::Return,
            ["DNAT" | "REDIRECT" | "NETMAP", ..] => Target::Ends(Verdict::Translate),
            ["MASQUERADE" | "SNAT", ..] => Target::Ends(Verdict::Masquerade),
            ["QUEUE" | "NFQUEUE" | "TPROXY", ..] => Target::Ends(Verdict::Unknown),
            ["MARK" | "CONNMARK", ..] => Target::Marks,
            [
                "LOG" | "NFLOG" | "CT" | "TCPMSS" | "NOTRACK" | "TRACE" | "SET" | "CHECKSUM",
                ..,
            ] => Target::Nothing,
            [chain, ..] => Target::Jump((*chain).to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
