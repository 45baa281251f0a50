//! Rules of [`DNAT`] in the way of an attachment's packets.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use common::Drift;
use common::result::Prefix;
use xtables::Table;
use xtables::meaning::Meaning;
use xtables::state::State;

use super::follow;
use super::owner::{self, Jump};
use super::reach::{self, Reach};
use super::rules::{DNAT, Wanted};
use super::shadow::{Forwards, Rivals};
use crate::host_port::{Forward, HostPort, claimed};

/// A rule that may matter, taken apart once for all prefixes.
struct Rule<'a> {
    text: &'a str,
    read: OnceCell<Read>,
}

struct Read {
    meaning: Meaning,
    /// The addresses that it tests, and what it means to packets to them.
    at: Option<Prefix>,
    there: Meaning,
    /// The owner's mark, where it has one and no conditions are known to lead to its chain.
    jump: Option<Jump>,
    /// Whether no packet comes to the rules after it.
    ends: bool,
}

impl Rule<'_> {
    fn read(&self, state: &State) -> &Read {
        self.read.get_or_init(|| {
            let meaning = Meaning::of(self.text);
            let is_for_all = |jump: &Jump| !owner::are_conditional(state.rules(&jump.chain));
            Read {
                at: reach::destination(&meaning),
                there: reach::anywhere(&meaning),
                jump: owner::jump(self.text)
                    .map(|(jump, _)| jump)
                    .filter(is_for_all),
                ends: follow::ends(state.table(Table::Nat), &meaning),
                meaning,
            }
        })
    }
}

impl Read {
    /// What it means to packets to a prefix's addresses; `None` where it tests for others.
    fn seen_at(&self, prefix: Option<&Prefix>) -> Option<&Meaning> {
        match (prefix, &self.at) {
            (Some(prefix), Some(at)) if !at.meets(prefix) => None,
            (Some(prefix), Some(at)) if at.contains(prefix) => Some(&self.there),
            _ => Some(&self.meaning),
        }
    }
}

/// The rules in the way, each once for a port.
pub fn drifts(state: &State, wanted: &Wanted, chain: &str) -> Vec<Drift> {
    let ports: BTreeSet<u16> = wanted.ports.iter().map(|one| one.port.number).collect();
    let may_matter = |rule: &&String| rule.contains(chain) || reach::may_have_one_of(rule, &ports);
    let rules = state.rules(DNAT).iter().filter(may_matter);
    let rules: Vec<Rule<'_>> = rules
        .map(|text| Rule {
            text,
            read: OnceCell::new(),
        })
        .collect();
    let mut rivals = Rivals::default();
    let mut lost = BTreeSet::new();
    let everywhere = [None];
    let limits: Vec<Option<&Prefix>> = wanted.only.iter().map(Some).collect();
    for at in if limits.is_empty() {
        &everywhere[..]
    } else {
        &limits
    } {
        lost.extend(lost_at(state, wanted, chain, (&rules, &mut rivals), *at));
    }
    let family = wanted.family;
    let drift = |(place, port): (usize, HostPort)| {
        let object = format!("rules of {DNAT} ({family}) before those to {chain}");
        let HostPort {
            protocol, number, ..
        } = port;
        let rule = rules.get(place);
        let by = rule.and_then(|rule| rule.read(state).jump.as_ref());
        let rule = rule.map_or("", |rule| rule.text);
        Drift::new(object, format!("none for {number}/{protocol}"), rule)
            .of_taken(by.map(|_| claimed(family, port, wanted.interfaces.as_deref())))
    };
    lost.into_iter().map(drift).collect()
}

/// The ports whose packets to some addresses do not come to the attachment, to any without a prefix, each with
/// the place of the rule that takes them.
fn lost_at(
    state: &State,
    wanted: &Wanted,
    chain: &str,
    (rules, rivals): (&[Rule<'_>], &mut Rivals),
    at: Option<&Prefix>,
) -> Vec<(usize, HostPort)> {
    let is_there = |forward: &&Forward| match (forward.port.address, at) {
        (Some(addr), Some(prefix)) => prefix.has(addr),
        _ => true,
    };
    let there: Vec<Forward> = wanted.ports.iter().filter(is_there).copied().collect();
    let mut left = Forwards::of(&there);
    let mut all = Vec::new();
    for (place, rule) in rules.iter().enumerate() {
        if left.is_empty() {
            break;
        }
        let read = rule.read(state);
        let Some(seen) = read.seen_at(at) else {
            continue;
        };
        if seen.goes_to() == chain {
            let reach = Reach::of(seen);
            // What its conditions test does not limit it.
            let is_condition = wanted.conditional && wanted.only.is_empty();
            let at = reach.at.filter(|_| !is_condition);
            let reached = left.reached(&Reach { at, ..reach });
            reached.iter().for_each(|forward| left.remove(forward));
            continue;
        }
        let mut lost = match read.ends {
            true => left.matched(seen),
            false => Vec::new(),
        };
        if let Some(jump) = &read.jump {
            let mut matched = left.matched(seen);
            if at.is_some() {
                // Of other limits, what they have in common is enough.
                let mut partly = left.matched(&read.there);
                partly.retain(|ours| ours.port.address.is_none());
                matched.extend(partly);
            }
            let taken = rivals.taken(jump, matched, &Reach::of(&read.meaning), state);
            if jump.is_of(&wanted.attachment) {
                // A container does not take a port from itself: its other network serves it.
                taken.iter().for_each(|forward| left.remove(forward));
            } else {
                lost.extend(taken);
            }
        }
        for forward in lost {
            all.push((place, forward.port));
            left.remove(&forward);
        }
    }
    all
}
