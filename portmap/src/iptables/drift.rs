//! How the tables differ from what an attachment wants.

use std::collections::{BTreeSet, HashMap};

use common::Drift;
use common::result::Prefix;
use xtables::Table;
use xtables::meaning::{Meaning, same};
use xtables::state::State;

use super::reach::Reach;
use super::rules::{DNAT, GUARD, Jump, SETMARK, Shared, Wanted};
use super::shadow::Forwards;
use super::standing::{Standing, jumps_to};
use super::{follow, owner, shadowed};
use crate::entry;

/// Whether a chain does not say which entry it is of, and should.
pub fn is_unmarked(rules: &[String], wanted: &Wanted) -> bool {
    entry::of(&wanted.attachment).is_some() && owner::entry_in(rules).is_none()
}

/// How an attachment's chain differs. One with a rule for each port, as the reference writes it, is as good.
pub fn chain_drift(state: &State, wanted: &Wanted, chain: &str) -> Vec<Drift> {
    let drifts = ranged_chain_drift(state, wanted, chain);
    match state.chain(chain) {
        Some(_) => fewer(drifts, wanted, |one| ranged_chain_drift(state, one, chain)),
        None => drifts,
    }
}

/// The drifts, or those from rules for each port where they are fewer.
fn fewer(
    drifts: Vec<Drift>,
    wanted: &Wanted,
    of: impl FnOnce(&Wanted) -> Vec<Drift>,
) -> Vec<Drift> {
    if drifts.is_empty() {
        return drifts;
    }
    let single = wanted.singly().map(|single| of(&single));
    match single {
        Some(single) if single.len() < drifts.len() => single,
        _ => drifts,
    }
}

fn ranged_chain_drift(state: &State, wanted: &Wanted, chain: &str) -> Vec<Drift> {
    let object = format!("chain {chain} of table nat ({})", wanted.family);
    let Some(actual) = state.chain(chain) else {
        return vec![Drift::new(object, "present", "missing").of_missing("chain")];
    };
    let mut drifts = Vec::new();
    let own = match is_unmarked(actual, wanted) {
        // As the reference leaves it. Our next ADD writes the rule.
        true => wanted.own.split_last().map_or(&[][..], |(_, rest)| rest),
        false => &wanted.own,
    };
    for place in 0..actual.len().max(own.len()) {
        let (want, have) = (own.get(place), actual.get(place));
        let equal = matches!((want, have), (Some(want), Some(have)) if same(want, have));
        if !equal {
            let show = |rule: Option<&String>| rule.map_or("no rule", String::as_str).to_owned();
            let rule = format!("rule {} of {object}", place + 1);
            let drift = Drift::new(rule, show(want), show(have));
            drifts.push(match have {
                Some(_) => drift,
                None => drift.of_missing("rule"),
            });
        }
    }
    drifts
}

/// How the jump rules to an attachment's chain differ. There may be others for some of its packets alone:
/// a newer attachment that claims less of them has put them before its own. Those for each port are as good.
pub fn jump_drift(state: &State, wanted: &Wanted, chain: &str) -> Vec<Drift> {
    let drifts = ranged_jump_drift(state, wanted, chain);
    match jumps_to(state, chain).next() {
        Some(_) => fewer(drifts, wanted, |one| ranged_jump_drift(state, one, chain)),
        None => drifts,
    }
}

fn ranged_jump_drift(state: &State, wanted: &Wanted, chain: &str) -> Vec<Drift> {
    let object = format!("rules of {DNAT} ({}) that lead to {chain}", wanted.family);
    let standing: Vec<(Meaning, Standing)> = jumps_to(state, chain)
        .map(|standing| (Meaning::of(&standing.rule), standing))
        .collect();
    let wants: Vec<Meaning> = wanted
        .jumps
        .iter()
        .map(|jump| Meaning::of(&jump.plain(chain)))
        .collect();
    let mut drifts = Vec::new();
    let mut taken = vec![false; standing.len()];
    let mut same: HashMap<&Meaning, Vec<usize>> = HashMap::new();
    for (place, (rule, _)) in standing.iter().enumerate().rev() {
        same.entry(rule).or_default().push(place);
    }
    for (want, jump) in wants.iter().zip(&wanted.jumps) {
        let found: Vec<usize> = match wanted.conditional {
            // Conditions may make several rules of one; what they mean is not compared here.
            true => {
                let left = standing.iter().zip(&taken).enumerate();
                let its = left.filter(|(_, ((rule, _), taken))| !**taken && rule.contains(want));
                its.map(|(place, _)| place).collect()
            }
            false => same.get_mut(want).and_then(Vec::pop).into_iter().collect(),
        };
        for place in &found {
            taken
                .iter_mut()
                .skip(*place)
                .take(1)
                .for_each(|one| *one = true);
        }
        if found.is_empty() {
            let drift = Drift::new(&object, jump.to(chain), "no such rule");
            drifts.push(drift.of_missing("rule"));
        }
    }
    let mark = owner::comment(&wanted.attachment);
    let is_extra = |rule: &Meaning, is_taken: bool| !is_taken && !is_part(rule, wanted, &mark);
    let extra = standing.iter().zip(&taken);
    let extra = extra.filter(|((rule, _), taken)| is_extra(rule, **taken));
    drifts.extend(extra.map(|((_, s), _)| Drift::new(&object, "no such rule", &s.rule)));
    drifts
}

/// Whether a rule that leads to an attachment's chain takes no more than its own.
fn is_part(rule: &Meaning, wanted: &Wanted, mark: &str) -> bool {
    let reach = Reach::of(rule);
    let ports = |jump: &Jump| {
        let (protocol, ports) = (jump.protocol, jump.ports.clone());
        let ports = ports.into_iter().flat_map(|range| range.first..=range.last);
        ports.map(move |port| (protocol, port))
    };
    let own: BTreeSet<_> = wanted.jumps.iter().flat_map(ports).collect();
    let is_plain = !wanted.conditional && !reach.is_conditional;
    let is_allowed = |at: &Prefix| wanted.only.iter().any(|prefix| prefix.contains(at));
    let is_within = wanted.only.is_empty() || reach.at.as_ref().is_some_and(is_allowed);
    is_plain && is_within && rule.comment() == Some(mark) && reach.is_part_of(&own)
}

/// What is wrong with a shared rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Its chain is missing.
    NoChain,
    /// It is missing.
    NoRule,
    /// This rule before it, at this place, takes its packets.
    Hidden(usize, String),
    /// This rule after it rolls back what it does.
    Undone(String),
}

/// What is wrong with a shared rule, if anything.
pub fn fault(state: &State, wanted: &Wanted, shared: &Shared) -> Option<Fault> {
    let Some(rules) = state.table(shared.table).get(shared.chain) else {
        return Some(Fault::NoChain);
    };
    let (want, ports) = (Meaning::of(&shared.rule), Forwards::of(&wanted.ports));
    for (place, standing) in rules.iter().enumerate() {
        let meaning = Meaning::of(standing);
        if meaning == want {
            return undone(rules, shared).map(Fault::Undone);
        }
        let is_lost = || shared.chain == "POSTROUTING" && unmarks(&meaning, mark(wanted));
        if is_in_the_way(state, &meaning, shared, &ports) || is_lost() {
            return Some(Fault::Hidden(place, standing.clone()));
        }
    }
    Some(Fault::NoRule)
}

/// The mark of packets that are to be masqueraded, where our own chain sets it.
fn mark(wanted: &Wanted) -> u32 {
    let mut shared = wanted.shared.iter();
    let sets = shared.find(|shared| shared.chain == SETMARK);
    let mark = sets.and_then(|shared| Meaning::of(&shared.rule).mark());
    mark.map_or(0, |(value, _)| value)
}

/// Whether a rule takes a mark from every packet.
fn unmarks(meaning: &Meaning, mark: u32) -> bool {
    let sets = meaning.mark().filter(|_| meaning.is_for_all());
    mark != 0 && sets.is_some_and(|(value, mask)| (mark & !mask) ^ (value & mark) == 0)
}

/// A rule after the last one like a shared rule that takes its mark from every packet again.
fn undone(rules: &[String], shared: &Shared) -> Option<String> {
    if shared.chain != SETMARK || rules.len() < 2 {
        return None;
    }
    let mark = Meaning::of(&shared.rule).mark()?.0;
    let later = rules.rsplit(|rule| same(rule, &shared.rule)).next()?;
    let unmarks = |rule: &&String| unmarks(&Meaning::of(rule), mark);
    later.iter().find(unmarks).cloned()
}

/// The first table of those that an attachment needs whose rules no packet meets.
pub fn dormant(state: &State, wanted: &Wanted) -> Option<Table> {
    let mut tables = wanted.shared.iter().map(|shared| shared.table);
    tables.find(|table| state.obstacle(*table, None).is_some())
}

fn shared_drift(state: &State, wanted: &Wanted, shared: &Shared) -> Option<Drift> {
    let other = state.obstacle(shared.table, Some(shared.chain));
    let (actual, missing) = match fault(state, wanted, shared)? {
        Fault::NoChain if other.is_some() => (format!("a chain that has {}", other?), false),
        Fault::NoChain => ("no such chain".to_owned(), true),
        Fault::NoRule => ("no such rule".to_owned(), true),
        Fault::Hidden(_, by) => (format!("{by} before it"), false),
        Fault::Undone(by) => (format!("{by} after it"), false),
    };
    let (table, family) = (shared.table.name(), wanted.family);
    let object = format!("chain {} of table {table} ({family})", shared.chain);
    let drift = Drift::new(object, &shared.rule, actual);
    Some(match missing {
        true => drift.of_missing("rule"),
        false => drift,
    })
}

/// Whether a rule keeps packets from a shared rule after it.
fn is_in_the_way(state: &State, standing: &Meaning, shared: &Shared, ports: &Forwards) -> bool {
    let leads_to_ours =
        shared.table == Table::Nat && matches!(shared.chain, "PREROUTING" | "OUTPUT");
    let takes_ours = || leads_to_ours && !ports.matched(standing).is_empty();
    (standing.is_for_all() || takes_ours()) && follow::ends(state.table(shared.table), standing)
}

/// Everything that differs from what an attachment wants.
///
/// A guard of which there is no trace was never made: only the reference added attachments here. They
/// are as it left them, so that is not a drift; our next ADD makes the guard.
pub fn drifts(state: &State, wanted: &Wanted, chain: &str) -> Vec<Drift> {
    let dormant = dormant(state, wanted).map(|table| {
        let object = format!("table {} ({})", table.name(), wanted.family);
        Drift::new(object, "active", "dormant")
    });
    let mut drifts: Vec<Drift> = dormant.into_iter().collect();
    drifts.extend(chain_drift(state, wanted, chain));
    drifts.extend(jump_drift(state, wanted, chain));
    drifts.extend(shadowed::drifts(state, wanted, chain));
    let never_made = is_without_guard(state);
    drifts.extend(
        wanted
            .shared
            .iter()
            .filter(|shared| !(never_made && shared.table == Table::Mangle))
            .filter_map(|shared| shared_drift(state, wanted, shared)),
    );
    drifts
}

/// Whether neither the guard's chain nor a jump to it exists.
fn is_without_guard(state: &State) -> bool {
    let mangle = state.table(Table::Mangle);
    !mangle.contains_key(GUARD)
        && !mangle
            .values()
            .flatten()
            .any(|rule| Meaning::of(rule).goes_to() == GUARD)
}
