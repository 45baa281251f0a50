//! What the tables hold of an attachment.

use std::collections::BTreeSet;

use common::Attachment;
use xtables::Table;
use xtables::meaning::Meaning;
use xtables::state::State;

use super::owner::{self, Claim, Jump};
use super::reach::{Reach, may_have_one_of};
use super::rules::{DNAT, OWN_PREFIX, Wanted, exact_name, is_own_name, shared_name};
use super::translation::translations;
use crate::config::Evidence;
use crate::entry;

/// A jump rule of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its place in [`DNAT`], counted from 0.
    pub place: usize,
    /// The rule as printed.
    pub rule: String,
}

/// What an attachment's chain is to the request.
pub fn claim(state: &State, attachment: &Attachment, chain: &str) -> Claim {
    let comments: Vec<String> = jumps_to(state, chain)
        .filter_map(|standing| Meaning::of(&standing.rule).comment().map(str::to_owned))
        .collect();
    owner::claim(attachment, comments.iter().map(String::as_str))
}

/// The jump rules that lead to a chain.
pub fn jumps_to<'a>(state: &'a State, chain: &'a str) -> impl Iterator<Item = Standing> + 'a {
    state
        .rules(DNAT)
        .iter()
        .enumerate()
        .filter(move |(_, rule)| rule.contains(chain) && Meaning::of(rule).goes_to() == chain)
        .map(|(place, rule)| Standing {
            place,
            rule: rule.clone(),
        })
}

/// The rules of [`DNAT`] that bear an owner's mark, have ports, and lead to no attachment's chain, last
/// first: jumps whose target was changed.
pub fn strays(state: &State, is_whose: impl Fn(&str) -> bool) -> Vec<Standing> {
    let rules = state.rules(DNAT).iter().enumerate().rev();
    rules
        .filter(|(_, rule)| !is_surely_a_jump(rule))
        .filter(|(_, rule)| {
            owner::jump(rule).is_some_and(|(jump, meaning)| {
                let is_jump = meaning.find("multiport").is_some();
                is_jump && is_whose(&jump.comment) && !meaning.leads_to_prefix(OWN_PREFIX)
            })
        })
        .map(|(place, rule)| Standing {
            place,
            rule: rule.clone(),
        })
        .collect()
}

/// Whether a rule ends as jumps do. Most of a long chain are not worth taking apart.
fn is_surely_a_jump(rule: &str) -> bool {
    let mut words = rule.rsplitn(3, ' ');
    let target = words.next().unwrap_or_default();
    target.starts_with(OWN_PREFIX) && words.next() == Some("-j")
}

/// Whether a chain forwards to the request's addresses only, and its ports only.
fn speaks_for(evidence: &Evidence, rules: &[String]) -> bool {
    let Evidence {
        addresses, ports, ..
    } = evidence;
    let made = translations(rules);
    !made.is_empty()
        && made.iter().all(|t| {
            addresses.contains(&t.to.ip()) && ports.contains(&(t.port.protocol, t.port.number))
        })
}

/// The chains of an owner, of those that it can have.
pub fn own_chains(state: &State, owner: &Attachment, evidence: &Evidence) -> Vec<String> {
    let exact = exact_name(owner);
    let is_own = |chain: &String| {
        let Some(rules) = state.chain(chain) else {
            return false;
        };
        let (own, found) = (entry::of(owner), owner::entry_in(rules));
        let is_unmarked = found.is_none();
        let is_its = match own == found.as_deref() {
            true => true,
            false if *chain == exact => is_unmarked,
            // The reference has one chain for all entries, and only one of these may have it.
            false => {
                let is_shared = evidence.are_chains_shared || is_conditional(state, chain);
                is_unmarked && is_shared && speaks_for(evidence, rules)
            }
        };
        match claim(state, owner, chain) {
            Claim::Other => false,
            Claim::Mine => is_its,
            Claim::Orphan => is_its || is_unmarked,
            Claim::Perhaps => is_its && speaks_for(evidence, rules),
        }
    };
    let mut names = vec![shared_name(owner), exact.clone()];
    names.retain(is_own);
    names
}

/// The chains of an owner that translate. The reference leaves an empty one where all host addresses are of
/// the other IP version.
pub fn left(state: &State, owner: &Attachment, evidence: &Evidence) -> Vec<String> {
    let mut chains = own_chains(state, owner, evidence);
    chains.retain(|chain| !translations(state.rules(chain)).is_empty());
    chains
}

/// The chain that an owner has, or the one that it would have.
pub fn own_or_usual(state: &State, owner: &Attachment, evidence: &Evidence) -> String {
    let usual = shared_name(owner);
    let mut own = own_chains(state, owner, evidence);
    // What says its entry was made by us; beside it the reference's does not count.
    own.sort_by_key(|chain| owner::entry_in(state.rules(chain)).is_none());
    let own = own.into_iter().next();
    own.unwrap_or_else(|| match entry::of(owner) {
        Some(_) if state.chain(&usual).is_some() => exact_name(owner),
        _ => usual,
    })
}

/// Whether conditions lead to a chain of the reference's, which limits nothing to addresses. Others may have written
/// jumps to it that test for those.
fn is_conditional(state: &State, chain: &str) -> bool {
    let mut jumps = jumps_to(state, chain).map(|jump| Meaning::of(&jump.rule));
    let tests_more = |jump: &Meaning| {
        let reach = Reach::of(jump);
        reach.is_conditional || reach.at.is_some()
    };
    let Some(first) = jumps.next() else {
        return false;
    };
    tests_more(&first) && jumps.all(|jump| tests_more(&jump))
}

/// The chains to which only jumps of the dead lead, which are judged with the rules there.
pub fn dead_chains(state: &State, is_dead: impl Fn(&Jump, &[String]) -> bool) -> Vec<String> {
    let jumps = state
        .rules(DNAT)
        .iter()
        .filter_map(|rule| owner::jump(rule));
    let (mut dead, mut alive) = (BTreeSet::new(), BTreeSet::new());
    for (jump, _) in jumps {
        match is_dead(&jump, state.rules(&jump.chain)) {
            true => &mut dead,
            false => &mut alive,
        }
        .insert(jump.chain);
    }
    dead.retain(|chain| is_own_name(chain) && !alive.contains(chain));
    dead.into_iter().collect()
}

/// The chains of an attachment that no kept owner has: those of other entries, also of former ones, and those to
/// which nothing leads any longer.
pub fn entries(
    state: &State,
    attachment: &Attachment,
    kept: &[Attachment],
    evidence: &Evidence,
) -> BTreeSet<String> {
    let mark = owner::comment(attachment);
    let usual = shared_name(attachment);
    let is_named = |chain: &str, rules: &[String]| {
        let entry = owner::entry_in(rules);
        chain == usual || chain == exact_name(&entry::owner_of(attachment, entry.as_deref()))
    };
    let chains = state.table(Table::Nat).iter();
    let named = chains.filter(|(chain, rules)| is_own_name(chain) && is_named(chain, rules));
    let is_its = |chain: &&String| {
        let claim = claim(state, attachment, chain);
        matches!(claim, Claim::Mine | Claim::Orphan)
    };
    let mut all: BTreeSet<String> = named
        .map(|(chain, _)| chain)
        .filter(is_its)
        .cloned()
        .collect();
    if owner::is_unique(&mark) {
        all.extend(dead_chains(state, |jump, _| jump.comment == mark));
    }
    for owner in kept {
        for chain in own_chains(state, owner, evidence) {
            all.remove(&chain);
        }
    }
    all
}

/// The chains of others that could have the wanted ports, which must be read to know.
pub fn rivals(state: &State, wanted: &Wanted) -> Vec<String> {
    let ports: BTreeSet<u16> = wanted
        .ports
        .iter()
        .map(|forward| forward.port.number)
        .collect();
    let jumps = state.rules(DNAT).iter();
    let mut rivals: Vec<String> = jumps
        .filter(|rule| may_have_one_of(rule, &ports))
        .filter_map(|rule| Some(owner::jump(rule)?.0.chain))
        .filter(|rival| state.chain(rival).is_none())
        .collect();
    rivals.sort();
    rivals.dedup();
    rivals
}
