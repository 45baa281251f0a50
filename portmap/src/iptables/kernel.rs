//! The kernel's tables without iptables: what can be seen and changed this way costs no program.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`nft`] | rules of the nf_tables variant, over netlink |
//! | [`batch`] | what changes there |
//! | [`legacy`] | tables of the legacy variant, by socket options |
//! | [`xt`] | matches and targets, which both have in the same bytes |

pub mod batch;
mod legacy;
pub mod nft;
mod xt;

use std::fs;

use super::rules::{FORMER_GUARD, Table, Wanted};
use super::state::State;
use crate::mapping::Family;

/// Which of the named chains of the nat table exist in the legacy variant. Where it cannot be found out,
/// all of them may.
pub fn chains(family: Family, names: &[String]) -> Vec<String> {
    if !has_legacy(family, Table::Nat) {
        return Vec::new();
    }
    match legacy::Tables::of(family, &[Table::Nat]) {
        Some(tables) => {
            let there = |name: &&String| tables.has_chain(Table::Nat, name);
            names.iter().filter(there).cloned().collect()
        }
        None => names.to_vec(),
    }
}

/// What can be told, without iptables, of what an attachment needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// Whether a chain with one of its names exists, or may exist, or one of an earlier version's.
    pub has_own: bool,
    /// The chains that all attachments share, each up to the first rule that only iptables can print.
    /// What is in here is there; what is missing may be there.
    pub shared: State,
}

/// Looks at the legacy variant's tables.
pub fn glimpse(wanted: &Wanted) -> Glimpse {
    let own = [wanted.shared_name(), wanted.exact_name()];
    let chains = wanted.shared_chains();
    let family = wanted.family;
    match legacy::Tables::of(family, &legacy_tables(family, &chains)) {
        Some(tables) => Glimpse {
            has_own: own.iter().any(|name| tables.has_chain(Table::Nat, name))
                || tables.has_chain(Table::Mangle, FORMER_GUARD),
            shared: tables.glimpse(&chains),
        },
        None => Glimpse {
            has_own: true,
            shared: State::default(),
        },
    }
}

/// The named chains of the legacy variant that exist, with all their rules; `None` if one has a rule that
/// only iptables can print.
pub fn read(family: Family, chains: &[(Table, &str)]) -> Option<State> {
    legacy::Tables::of(family, &legacy_tables(family, chains))?.read(chains)
}

/// The tables of chains, as far as they are there: a legacy table is made, for each namespace, by its
/// first use.
fn legacy_tables(family: Family, chains: &[(Table, &str)]) -> Vec<Table> {
    let mut tables: Vec<Table> = chains.iter().map(|(table, _)| *table).collect();
    tables.sort_unstable();
    tables.dedup();
    tables.retain(|table| has_legacy(family, *table));
    tables
}

fn has_legacy(family: Family, table: Table) -> bool {
    let file = match family {
        Family::V4 => "/proc/thread-self/net/ip_tables_names",
        Family::V6 => "/proc/thread-self/net/ip6_tables_names",
    };
    fs::read_to_string(file).is_ok_and(|names| names.lines().any(|name| name == table.name()))
}

#[cfg(test)]
mod tests;
