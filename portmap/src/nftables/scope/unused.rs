//! Limits that nobody has any longer.

use std::collections::BTreeSet;

use common::Family;
use common::sys::netlink::{Refusal, attribute, text};
use common::sys::nla::Nla;
use nft::command::{Action, Command};
use nft::object::Rule;
use nft::socket::Nft;
use nft::uapi;

use super::asked;
use super::names::{CHAIN, is_addresses, of_chain, of_set};
use crate::limits::Scope;
use crate::nftables::layout::{BY_ADDRESS, chain};
use crate::nftables::set::{By, On};
use crate::nftables::shared;

/// The removal of what limits have that have no port, and that no rule of an attachment asks.
///
/// # Errors
/// What the kernel refused.
pub fn removal(nft: &mut Nft, family: Family) -> Result<Vec<Command>, Refusal> {
    let place = shared::place(family);
    let sets: Vec<String> = nft.sets(place)?.into_iter().map(|set| set.name).collect();
    let mut unused: BTreeSet<Scope> = sets.iter().filter_map(|set| of_set(set)).collect();
    if unused.is_empty() {
        return Ok(Vec::new());
    }
    for set in sets.iter().filter(|set| !is_addresses(set)) {
        if let Some(scope) = of_set(set).filter(|scope| unused.contains(scope))
            && !nft.elements(place, set)?.is_empty()
        {
            unused.remove(&scope);
        }
    }
    let names = [Nla::text(uapi::RULE_TABLE, place.table)];
    let rules = nft.list(uapi::GETRULE, family, &names, |attributes| {
        let chain = attribute(attributes, uapi::RULE_CHAIN).map(text);
        (chain.unwrap_or_default(), Rule::decode(attributes))
    })?;
    let leads = |(from, rule): &(String, Rule)| {
        let scope = rule.jump().and_then(of_chain);
        scope.filter(|_| from == BY_ADDRESS)
    };
    let others = rules
        .iter()
        .filter(|one| leads(one).is_none() && !one.0.starts_with(CHAIN));
    for (_, rule) in others {
        for scope in rule.exprs.iter().filter_map(asked) {
            unused.remove(&scope);
        }
    }
    let is_unused = |scope: Option<Scope>| scope.is_some_and(|scope| unused.contains(&scope));
    let jumps = rules.iter().filter(|one| is_unused(leads(one)));
    let jumps = jumps.map(|(from, rule)| Action::DeleteRule {
        chain: from.clone(),
        handle: Some(rule.handle),
    });
    // The chain of single ports leads to that of ranges.
    let chains = unused.iter().map(|scope| On::Within(*scope));
    let chains = chains.flat_map(|on| [By::one(on), By::range(on)].map(chain));
    let chains: Vec<String> = chains.collect();
    let names: Vec<&str> = chains.iter().map(String::as_str).collect();
    let present = nft.chains(place, &names)?;
    let chains = chains.iter().zip(present);
    let chains = chains.filter_map(|(name, there)| there.map(|_| name.clone()));
    let sets = sets.into_iter().filter(|set| is_unused(of_set(set)));
    let actions = jumps
        .chain(chains.map(Action::DeleteChain))
        .chain(sets.map(Action::DeleteSet));
    Ok(actions.map(|action| Command { place, action }).collect())
}
