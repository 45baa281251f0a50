//! What cannot be judged.

use common::error::short;
use xtables::Table;
use xtables::meaning::{Meaning, VERDICT_MAP, same};
use xtables::state::State;

use super::follow;
use super::rules::{Shared, Wanted};
use super::shadow::Forwards;

/// What only nft understands and may keep an attachment's packets from our rules in nat: it may be for some of
/// them alone, such as a list of blocked sources, so nothing of ours is put before it.
pub fn doubts(state: &State, wanted: &Wanted) -> Vec<String> {
    let ports = Forwards::of(&wanted.ports);
    let family = wanted.family;
    let is_way = |shared: &&Shared| {
        shared.table == Table::Nat && matches!(shared.chain, "PREROUTING" | "OUTPUT")
    };
    let of_chain = |shared: &Shared| {
        let rules = state.table(shared.table).get(shared.chain);
        let before = rules.into_iter().flatten();
        let before = before.take_while(|rule| !same(rule, &shared.rule));
        let doubtful = before.filter(|rule| may_take(state, &Meaning::of(rule), &ports));
        let chain = shared.chain;
        let text = |rule: &String| {
            let rule = short(rule);
            format!(
                "chain {chain} of table nat ({family}): a rule before ours may take packets to these host \
                 ports: {rule}; see cnictl explain, or nft -a list chain {} nat {chain}",
                family.nft_name()
            )
        };
        doubtful.map(text).collect::<Vec<String>>()
    };
    wanted
        .shared
        .iter()
        .filter(is_way)
        .flat_map(of_chain)
        .collect()
}

/// Whether a rule of which not all is understood may take packets that all the rest of it lets through.
fn may_take(state: &State, meaning: &Meaning, ports: &Forwards) -> bool {
    let Some(known) = meaning.without_unknown() else {
        return false;
    };
    let ends = match meaning.goes_to() {
        "" => meaning.find(VERDICT_MAP).is_some(),
        _ => follow::ends(state.table(Table::Nat), meaning),
    };
    ends && (known.is_for_all() || !ports.matched(&known).is_empty())
}
