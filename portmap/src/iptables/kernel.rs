//! The kernel's tables without iptables: what can be seen and changed this way costs no program.

use common::Family;
use common::error::Error;
use nft::socket::Nft;
use xtables::nf_tables::concern::Concern;
use xtables::raw::Raw;
use xtables::state::State;
use xtables::{Table, Variant, legacy, nf_tables};

use super::rules::Wanted;
use super::{follow, standing};

/// Which of the named chains of the nat table exist in the legacy variant.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn chains(family: Family, names: &[String]) -> Result<Vec<String>, Error> {
    let tables = legacy::Tables::of(family, &[Table::Nat])?;
    let there = |name: &&String| tables.has_chain(Table::Nat, name);
    Ok(names.iter().filter(there).cloned().collect())
}

/// Whether a variant has a table, without making it.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn has_table(variant: Variant, family: Family, table: Table) -> Result<bool, Error> {
    match variant {
        Variant::Legacy => legacy::has(family, table),
        Variant::Nft => match Nft::open_if_any()? {
            Some(mut nft) => nf_tables::has_table(&mut nft, family, table),
            None => Ok(false),
        },
    }
}

/// Adds the beginnings of chains of others that may keep packets from ours.
fn follow(tables: &legacy::Tables, mut state: State, wanted: &Wanted) -> State {
    for _ in 0..follow::DEPTH {
        let unread = follow::unread(&state, wanted);
        let names = unread.iter().map(|(table, name)| (*table, name.as_str()));
        let more = tables.beginnings(&names.collect::<Vec<_>>(), follow::RULES);
        if more == State::default() {
            break;
        }
        state.merge(more);
    }
    state
}

/// What matters to an attachment in the legacy variant: its chains and the shared ones, those of others that
/// could have the wanted ports, and what may keep packets from them; `None` if one has a rule that only iptables
/// can print.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn read(wanted: &Wanted) -> Result<Option<State>, Error> {
    let own = [wanted.shared_name(), wanted.exact_name()];
    let mut chains = wanted.all_chains();
    chains.extend(own.iter().map(|name| (Table::Nat, name.as_str())));
    chains.sort_unstable();
    chains.dedup();
    let tables = legacy::Tables::of(wanted.family, &tables_of(&chains))?;
    let Some(mut state) = tables.read(&chains) else {
        return Ok(None);
    };
    let rivals = standing::rivals(&state, wanted);
    let rivals = rivals.iter().map(|name| (Table::Nat, name.as_str()));
    let Some(rivals) = tables.read(&rivals.collect::<Vec<_>>()) else {
        return Ok(None);
    };
    state.merge(rivals);
    Ok(Some(follow(&tables, state, wanted)))
}

/// The rules of a chain of the nat table in the kernel's own bytes, those of concern at least; none without
/// such a chain.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn raw(
    variant: Variant,
    family: Family,
    chain: &str,
    concern: &Concern,
) -> Result<Vec<Raw>, Error> {
    match variant {
        Variant::Nft => nf_tables::raw::rules(family, chain, concern),
        Variant::Legacy => legacy::raw(family, chain),
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
