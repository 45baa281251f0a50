//! The kernel's tables without iptables: what can be seen this way costs no program.
//!
//! | module | what it holds |
//! | --- | --- |
//! | [`nft`] | rules of the nf_tables variant, over netlink |
//! | [`legacy`] | tables of the legacy variant, by socket options |
//! | [`xt`] | matches and targets, which both have in the same bytes |

mod legacy;
mod nft;
mod xt;

use common::error::Error;

use super::rules::{Table, Wanted};
use super::state::State;
use super::tool::Variant;
use crate::mapping::Family;

pub use legacy::edit::{Doomed, remove as remove_legacy};

/// Which of the named chains of the nat table exist in a variant.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn chains(variant: Variant, family: Family, names: &[String]) -> Result<Vec<String>, Error> {
    match variant {
        Variant::Nft => Ok(nft::chains(family, names)),
        Variant::Legacy => {
            let tables = legacy::Tables::of(family, &[Table::Nat])?;
            let there = |name: &&String| tables.has_chain(Table::Nat, name);
            Ok(names.iter().filter(there).cloned().collect())
        }
    }
}

/// What can be told, without iptables, of what an attachment needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Glimpse {
    /// Whether a chain with one of its names exists, or may exist.
    pub has_own: bool,
    /// The chains that all attachments share, each up to the first rule that only iptables can print.
    /// What is in here is there; what is missing may be there.
    pub shared: State,
}

/// Looks at a variant's tables.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn glimpse(variant: Variant, wanted: &Wanted) -> Result<Glimpse, Error> {
    let own = [wanted.shared_name(), wanted.exact_name()];
    let chains = wanted.shared_chains();
    let family = wanted.family;
    match variant {
        Variant::Nft => Ok(nft::glimpse(family, &own, &chains)),
        Variant::Legacy => {
            let tables = legacy::Tables::of(family, &tables_of(&chains))?;
            Ok(Glimpse {
                has_own: own.iter().any(|name| tables.has_chain(Table::Nat, name)),
                shared: tables.glimpse(&chains),
            })
        }
    }
}

/// The named chains that exist, with all their rules; `None` if one has a rule that only iptables can
/// print.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn read(
    variant: Variant,
    family: Family,
    chains: &[(Table, &str)],
) -> Result<Option<State>, Error> {
    match variant {
        Variant::Nft => Ok(nft::read(family, chains)),
        Variant::Legacy => Ok(legacy::Tables::of(family, &tables_of(chains))?.read(chains)),
    }
}

/// The tables of chains.
fn tables_of(chains: &[(Table, &str)]) -> Vec<Table> {
    let mut tables: Vec<Table> = chains.iter().map(|(table, _)| *table).collect();
    tables.sort_unstable();
    tables.dedup();
    tables
}

#[cfg(test)]
mod tests;
