//! What limits have in our table is known by its name, and the rule that tests for their addresses.

use common::Family;
use nft::expr::{Expr, FIRST};
use nft::object::Rule;
use nft::parts::address_at;

use crate::limits::Scope;
use crate::nftables::set::SetId;

/// What the names of these chains and of these sets begin with.
pub(super) const CHAIN: &str = "within_";
const ADDRESSES: &str = "addresses_";

/// The chain that asks the maps of the ports within limits.
pub fn chain(scope: Scope) -> String {
    format!("{CHAIN}{scope}")
}

/// The set of the addresses.
pub fn addresses(scope: Scope) -> String {
    format!("{ADDRESSES}{scope}")
}

/// The limits whose chain it is.
pub fn of_chain(chain: &str) -> Option<Scope> {
    Scope::from_text(chain.strip_prefix(CHAIN)?)
}

/// The limits whose set it is.
pub fn of_set(set: &str) -> Option<Scope> {
    match set.strip_prefix(ADDRESSES) {
        Some(scope) => Scope::from_text(scope),
        None => SetId::from_name(set)?.by.scope(),
    }
}

/// Whether a set of the table holds addresses of limits, which are nobody's.
pub fn is_addresses(set: &str) -> bool {
    set.starts_with(ADDRESSES)
}

/// `ip daddr @addresses_…`
pub fn test(family: Family, scope: Scope) -> [Expr; 2] {
    let load = address_at(family, family.destination_offset(), FIRST);
    let lookup = Expr::Lookup {
        set: addresses(scope),
        from: FIRST,
        into: None,
    };
    [load, lookup]
}

/// Takes the rules that lead to chains of limits from the end of a chain's.
pub fn split(rules: &mut Vec<Rule>) -> Vec<Rule> {
    let others = rules.iter().rposition(|rule| !rule.leads_to_one_of(CHAIN));
    rules.split_off(others.map_or(0, |place| place + 1))
}
