//! Where an attachment's jumps go in `CNI-HOSTPORT-DNAT`: at the top, as the newest owner of a port is served, but
//!
//! - a port of all addresses behind the same port of some (`hostAddresses`, `hostInterfaces`), and both behind
//!   that of a single one (`hostIP`), whoever was first;
//! - a container's port behind the same port of its other networks, where that is served;
//! - a port without conditions behind the same port with some, of whatever addresses.
//!
//! Where no place is behind the ones and before the others, a rule for the packets of the former goes before
//! the new jumps, and leads where theirs leads. Conditions cannot be written for another: then rules for the new
//! one's other ports go there, and its jumps behind. Where the attachment has a single address of some that another
//! has, and all, a rule for the single one goes before the other's jumps, and its own jumps behind them.

use std::collections::{BTreeMap, BTreeSet};

use common::result::Prefix;
use common::{Attachment, Protocol};
use xtables::state::State;

use super::owner;
use super::ranges;
use super::reach::{Reach, may_have_one_of};
use super::rules::{self, DNAT, OWN_PREFIX, Wanted};
use super::shadow::{Behind, Rivals};
use super::standing::{jumps_to, strays};
use crate::host_port::{Forward, HostPort};
use crate::runs::RUN;

/// What goes into [`DNAT`] besides an attachment's jumps, and the places, once those are gone that it had.
#[derive(Debug, PartialEq, Eq)]
pub struct Places {
    /// The place of the jumps.
    pub jumps: usize,
    /// Rules for others and for some of the attachment's own ports, none of them behind the jumps, and their places
    /// in order.
    pub before: Vec<(usize, String)>,
}

/// Finds them.
pub fn place(state: &State, wanted: &Wanted, chain: &str) -> Places {
    let mut scan = Scan::of(wanted);
    let mut rivals = Rivals::default();
    let ports = ports(wanted);
    for (place, rule) in others(state, wanted, chain).enumerate() {
        if may_have_one_of(rule, &ports) {
            scan.pass(state, place, rule, &mut rivals);
        }
    }
    let own = owner::Jump {
        comment: owner::comment(&wanted.attachment),
        chain: chain.to_owned(),
    };
    let singles: Vec<Behind> = scan.singles.iter().copied().collect();
    let at = |place| move |rule| (place, rule);
    let singles = narrow(&own, &singles).into_iter();
    let mut before: Vec<_> = singles.map(at(scan.top.unwrap_or(scan.place))).collect();
    before.extend(scan.before.iter().cloned().map(at(scan.place)));
    if scan.behind.is_some() {
        before.extend(narrow(&own, &scan.others()).into_iter().map(at(scan.place)));
    }
    Places {
        jumps: scan.behind.unwrap_or(scan.place),
        before,
    }
}

/// Whether a rule with conditions stands before an attachment's jumps, has one of its ports, and would be behind
/// them if they were inserted now: whoever is added again is the newest. Of rules without conditions,
/// [`super::shadowed`] knows it.
pub fn is_behind_conditions(state: &State, wanted: &Wanted, chain: &str) -> bool {
    let Some(own) = jumps_to(state, chain).last() else {
        return false;
    };
    let ports = ports(wanted);
    let others = others_at(state, wanted, chain);
    let before = others.take_while(|(place, _)| *place < own.place);
    let before: Vec<&String> = before.map(|(_, rule)| rule).collect();
    let takes_some = |rule: &&String| {
        let Some((jump, meaning)) = owner::jump(rule) else {
            return false;
        };
        let reach = Reach::to(&meaning, state.rules(&jump.chain));
        let mut theirs = reach.ports();
        reach.is_conditional
            && !jump.is_of(&wanted.attachment)
            && theirs.any(|(protocol, range)| {
                let is_in =
                    |port: &HostPort| port.protocol == protocol && range.contains(&port.number);
                wanted.ports.iter().any(|forward| is_in(&forward.port))
            })
    };
    let is_rival = |rule: &&String| may_have_one_of(rule, &ports) && takes_some(rule);
    before.iter().copied().any(|rule| is_rival(&rule)) && {
        let behind = before.get(place(state, wanted, chain).jumps..);
        behind.unwrap_or_default().iter().any(is_rival)
    }
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
    others_at(state, wanted, chain).map(|(_, rule)| rule)
}

/// The same, with their places.
fn others_at<'a>(
    state: &'a State,
    wanted: &Wanted,
    chain: &str,
) -> impl Iterator<Item = (usize, &'a String)> + use<'a> {
    let mark = owner::comment(&wanted.attachment);
    let strays = strays(state, |comment| comment == mark);
    let own = jumps_to(state, chain).chain(strays);
    let own: BTreeSet<usize> = own.map(|standing| standing.place).collect();
    let rules = state.rules(DNAT).iter().enumerate();
    rules.filter(move |(place, _)| !own.contains(place))
}

/// What the rules of others, as far as they were passed, mean for the new ones.
struct Scan<'a> {
    owner: &'a Attachment,
    ours: BTreeMap<(Protocol, u16), Vec<HostPort>>,
    /// The addresses of those without one of their own; all of them without any.
    only: &'a [Prefix],
    /// Whether they have conditions, without which no rule may lead to them.
    is_conditional: bool,
    place: usize,
    before: Vec<String>,
    /// The new ones of single addresses that come before ports of others which come before the new ones of all,
    /// and their place.
    singles: BTreeSet<Behind>,
    top: Option<usize>,
    /// The place behind rules with conditions that come after one that would take packets from the new ones, and the
    /// ports that those have.
    behind: Option<usize>,
    conditional: BTreeSet<(Protocol, u16)>,
    /// Whether a rule was passed that would take packets from the new ones.
    is_at_the_end: bool,
    /// The host ports that are served.
    served: BTreeSet<Behind>,
    /// Host ports with the chains that have them.
    passed: BTreeSet<(String, Behind)>,
}

/// What a host port of another is to the new ones.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    First,
    Later,
    /// First, except for packets to single addresses of the new ones.
    Between,
    Any,
}

impl<'a> Scan<'a> {
    fn of(wanted: &'a Wanted) -> Scan<'a> {
        let mut ours: BTreeMap<_, Vec<HostPort>> = BTreeMap::new();
        for Forward { port, .. } in &wanted.ports {
            let same = ours.entry((port.protocol, port.number)).or_default();
            same.push(*port);
        }
        Scan {
            owner: &wanted.attachment,
            ours,
            only: &wanted.only,
            is_conditional: wanted.conditional,
            place: 0,
            before: Vec::new(),
            singles: BTreeSet::new(),
            top: None,
            behind: None,
            conditional: BTreeSet::new(),
            is_at_the_end: false,
            served: BTreeSet::new(),
            passed: BTreeSet::new(),
        }
    }

    fn pass(&mut self, state: &State, place: usize, rule: &str, rivals: &mut Rivals) {
        let Some((jump, meaning)) = owner::jump(rule) else {
            return;
        };
        if !jump.chain.starts_with(OWN_PREFIX) {
            return;
        }
        let reach = Reach::to(&meaning, state.rules(&jump.chain));
        // Which of an attachment's entries with conditions takes a packet makes no difference to others.
        let is_entry = reach.is_conditional && jump.comment == owner::comment(self.owner);
        let theirs = rivals.of(&jump.chain, state).behind(&reach);
        let mut firsts = Vec::new();
        for port in theirs {
            let is_served = self.served.insert(port);
            let is_new = self.passed.insert((jump.chain.clone(), port));
            let is_own = is_served && !is_entry && jump.is_of(self.owner);
            match self.order(&port, is_own, reach.is_conditional) {
                Order::First if is_new => firsts.push(port),
                Order::Between if is_new => {
                    firsts.push(port);
                    self.top.get_or_insert(self.place);
                    self.singles.extend(self.singles_of(&port));
                }
                Order::Later if !reach.is_conditional => self.is_at_the_end = true,
                _ => {}
            }
        }
        if firsts.is_empty() {
            return;
        }
        // Conditions cannot be written for another, nor for some of the new ones.
        if self.is_conditional || !self.is_at_the_end {
            self.place = place + 1;
        } else if reach.is_conditional {
            self.behind = Some(place + 1);
            let ports = firsts.iter().map(|first| first.port);
            self.conditional
                .extend(ports.map(|port| (port.protocol, port.number)));
        } else {
            self.before.extend(narrow(&jump, &firsts));
        }
    }

    /// The ports that no rule with conditions has which is before the new jumps, but behind others.
    fn others(&self) -> Vec<Behind> {
        let all = self.ours.iter();
        let others = all.filter(|(key, _)| !self.conditional.contains(key));
        let limits: Vec<Option<Prefix>> = match self.only {
            [] => vec![None],
            only => only.iter().copied().map(Some).collect(),
        };
        let limited = |port: &HostPort| {
            let port = *port;
            limits.iter().map(move |at| Behind { port, at: *at })
        };
        others
            .flat_map(|(_, same)| same)
            .flat_map(limited)
            .collect()
    }

    /// Whether packets of a host port go to its owner first: who has conditions, then who has a single address, then
    /// who has some, then who has all. Of equals, only another network of the same container that is served comes
    /// first.
    fn order(&self, theirs: &Behind, is_own: bool, is_conditional: bool) -> Order {
        let ours = || self.same(theirs).filter(|port| self.meets(port, theirs));
        match (self.is_conditional, is_conditional) {
            (false, false) => {}
            _ if ours().next().is_none() => return Order::Any,
            (true, true) if is_own => return Order::First,
            (true, _) => return Order::Later,
            (false, true) => return Order::First,
        }
        let has_wide = ours().any(|port| port.address.is_none());
        let has_single = ours().any(|port| port.address.is_some());
        let is_limited = !self.only.is_empty();
        let wide = match (theirs.port.address, theirs.at.is_some(), is_limited) {
            _ if !has_wide => Order::Any,
            (Some(_), ..) | (None, true, false) => Order::First,
            (None, false, true) => Order::Later,
            (None, ..) if is_own => Order::First,
            (None, ..) => Order::Later,
        };
        match (has_single, theirs.port.address) {
            (false, _) => wide,
            (true, Some(_)) if is_own => Order::First,
            (true, None) if wide == Order::First => Order::Between,
            (true, _) => Order::Later,
        }
    }

    /// The new ones with a port's protocol and number.
    fn same(&self, theirs: &Behind) -> impl Iterator<Item = &HostPort> {
        let key = (theirs.port.protocol, theirs.port.number);
        self.ours.get(&key).into_iter().flatten()
    }

    /// Those of single addresses among them.
    fn singles_of(&self, theirs: &Behind) -> Vec<Behind> {
        let single = |port: &HostPort| {
            let at = Prefix::whole(port.address?);
            Some(Behind {
                port: *port,
                at: Some(at),
            })
        };
        let all = self.same(theirs).filter(|port| self.meets(port, theirs));
        all.filter_map(single).collect()
    }

    /// Whether one packet can be of both.
    fn meets(&self, ours: &HostPort, theirs: &Behind) -> bool {
        match (ours.address, theirs.at) {
            (_, None) => true,
            (Some(addr), Some(at)) => at.has(addr),
            (None, Some(at)) => {
                self.only.is_empty() || self.only.iter().any(|prefix| prefix.meets(&at))
            }
        }
    }
}

/// Rules that lead some host ports of a jump where it leads.
fn narrow(jump: &owner::Jump, ports: &[Behind]) -> Vec<String> {
    let mut alike: BTreeMap<_, BTreeSet<u16>> = BTreeMap::new();
    for Behind { port, at } in ports {
        let same = alike.entry((port.protocol, *at)).or_default();
        same.insert(port.number);
    }
    let rules = alike.iter().flat_map(|((protocol, at), ports)| {
        let ports: Vec<u16> = ports.iter().copied().collect();
        let ports = ranges::for_rules(&ranges::of_list(&ports, RUN)).into_iter();
        ports.map(|some| {
            let rule = rules::jump(&jump.comment, at.as_ref(), *protocol, &some);
            format!("{rule} -j {}", jump.chain)
        })
    });
    rules.collect()
}

#[cfg(test)]
mod tests;
