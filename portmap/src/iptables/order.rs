//! Where an attachment's jumps go in `CNI-HOSTPORT-DNAT`: at the top, as the newest owner of a port is served, but
//!
//! - a port of all addresses behind the ports of single addresses, and behind its like that is limited to
//!   some addresses, whoever was first;
//! - a container's port behind the same port of its other networks, where that is served.
//!
//! Where no place is behind the ones and before the others, a rule for the packets of the former goes before
//! the new jumps, and leads where theirs leads.

use std::collections::{BTreeMap, BTreeSet};

use common::result::Prefix;
use xtables::state::State;

use super::owner;
use super::rules::{self, DNAT, OWN_PREFIX, PORTS_A_RULE, Wanted};
use super::shadow::{Forwards, Reach, may_have_one_of};
use super::standing::{jumps_to, strays};
use super::translation::translations;
use crate::host_port::HostPort;

/// The place of the jumps once those are gone that the attachment had, and what goes before them.
pub fn place(state: &State, wanted: &Wanted, chain: &str) -> (usize, Vec<String>) {
    let mut scan = Scan::of(wanted);
    let mut rivals = BTreeMap::new();
    let ports = ports(wanted);
    for (place, rule) in others(state, wanted, chain).enumerate() {
        if may_have_one_of(rule, &ports) {
            scan.pass(state, place, rule, &mut rivals);
        }
    }
    (scan.place, scan.before)
}

/// Whether a jump of another attachment may matter to where an attachment's own go.
pub fn may_matter(state: &State, wanted: &Wanted) -> bool {
    let ports = ports(wanted);
    let mut rules = state.rules(DNAT).iter();
    rules.any(|rule| may_have_one_of(rule, &ports))
}

fn ports(wanted: &Wanted) -> BTreeSet<u16> {
    wanted
        .ports
        .iter()
        .map(|forward| forward.port.number)
        .collect()
}

/// The rules that are not the attachment's own.
fn others<'a>(
    state: &'a State,
    wanted: &Wanted,
    chain: &str,
) -> impl Iterator<Item = &'a String> + use<'a> {
    let mark = owner::comment(&wanted.attachment);
    let strays = strays(state, |comment| comment == mark);
    let own = jumps_to(state, chain).chain(strays);
    let own: BTreeSet<usize> = own.map(|standing| standing.place).collect();
    let rules = state.rules(DNAT).iter().enumerate();
    rules.filter_map(move |(place, rule)| (!own.contains(&place)).then_some(rule))
}

/// What the rules of others, as far as they were passed, mean for the new ones.
struct Scan<'a> {
    container: &'a str,
    ours: BTreeSet<HostPort>,
    /// Whether the new ones are limited to some addresses.
    is_limited: bool,
    /// Those of single addresses, without their addresses.
    narrow: BTreeSet<HostPort>,
    place: usize,
    before: Vec<String>,
    /// Whether a rule was passed that would take packets from the new ones.
    is_at_the_end: bool,
    /// The host ports that somebody is served.
    served: BTreeSet<HostPort>,
    /// Host ports with the chains that have them.
    passed: BTreeSet<(String, HostPort)>,
}

/// What a host port of another is to the new ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    First,
    Later,
    Any,
}

impl<'a> Scan<'a> {
    fn of(wanted: &'a Wanted) -> Scan<'a> {
        let narrow = wanted
            .ports
            .iter()
            .filter(|forward| forward.port.address.is_some());
        Scan {
            container: &wanted.attachment.container,
            ours: wanted.ports.iter().map(|forward| forward.port).collect(),
            is_limited: !wanted.only.is_empty(),
            narrow: narrow.map(|forward| everywhere(forward.port)).collect(),
            place: 0,
            before: Vec::new(),
            is_at_the_end: false,
            served: BTreeSet::new(),
            passed: BTreeSet::new(),
        }
    }

    fn pass(
        &mut self,
        state: &State,
        place: usize,
        rule: &str,
        rivals: &mut BTreeMap<String, Forwards>,
    ) {
        let Some((jump, meaning)) = owner::jump(rule) else {
            return;
        };
        if !jump.chain.starts_with(OWN_PREFIX) {
            return;
        }
        let mut reach = Reach::of(&meaning);
        let is_first_of_all = reach.is_limited && !self.is_limited;
        if self.is_limited {
            // Their limits are no reason to come before ours; addresses that their ports have are.
            reach.address = None;
        }
        let theirs = rivals.entry(jump.chain.clone()).or_insert_with(|| {
            let rules = state.rules(&jump.chain);
            Forwards::of(&translations(rules))
        });
        let mut firsts = Vec::new();
        for port in theirs.behind(&reach) {
            let is_served = self.served.insert(port);
            let is_new = self.passed.insert((jump.chain.clone(), port));
            let is_own = is_served && jump.is_of(self.container);
            let is_first = is_own || is_first_of_all;
            match self.order(port, is_first) {
                Order::First if is_new => firsts.push(port),
                Order::Later if !reach.is_conditional => self.is_at_the_end = true,
                _ => {}
            }
        }
        if firsts.is_empty() {
            return;
        }
        // Conditions cannot be written for another, who stays first then.
        if reach.is_conditional || !self.is_at_the_end {
            self.place = place + 1;
        } else {
            self.before.extend(narrow(&jump, &firsts));
        }
    }

    /// Whether packets of a host port go to its owner first; `is_first` if they do where the new ones are for
    /// the same port: its owner is the container itself, and is served, or has it on some addresses alone.
    fn order(&self, port: HostPort, is_first: bool) -> Order {
        if self.ours.contains(&port) {
            return if is_first { Order::First } else { Order::Later };
        }
        match port.address {
            Some(_) if self.ours.contains(&everywhere(port)) => Order::First,
            None if self.narrow.contains(&port) => Order::Later,
            _ => Order::Any,
        }
    }
}

fn everywhere(port: HostPort) -> HostPort {
    HostPort {
        address: None,
        ..port
    }
}

/// Rules that lead some host ports of a jump where it leads.
fn narrow(jump: &owner::Jump, ports: &[HostPort]) -> Vec<String> {
    let mut alike: BTreeMap<_, Vec<u16>> = BTreeMap::new();
    for port in ports {
        let same = alike.entry((port.protocol, port.address)).or_default();
        same.push(port.number);
    }
    let rules = alike.iter().flat_map(|((protocol, address), ports)| {
        let ports = ports.chunks(PORTS_A_RULE);
        ports.map(|some| {
            let address = address.map(Prefix::whole);
            let rule = rules::jump(&jump.comment, address.as_ref(), *protocol, some);
            format!("{rule} -j {}", jump.chain)
        })
    });
    rules.collect()
}

#[cfg(test)]
mod tests;
