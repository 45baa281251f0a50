//! What each verb has to know: no chain is read that it does not need.

use std::collections::BTreeSet;

use common::Family;
use common::error::Error;
use nft::socket::Nft;
use xtables::Table;
use xtables::nf_tables::Seen;
use xtables::nf_tables::concern::Concern;

use super::super::follow;
use super::super::rules::{Wanted, leading_to};
use super::super::standing;

/// How often tables that others change at the same time are read before what was read counts.
const LOOKS: u32 = 20;

/// What ADD and CHECK have to know. `fallback` is what is wanted where the foreign chain that marks packets
/// is not used.
///
/// # Errors
/// Code 100 with what the kernel refused.
pub fn of(nft: &mut Nft, wanted: &Wanted, fallback: Option<&Wanted>) -> Result<Seen, Error> {
    let names = [wanted.shared_name(), wanted.exact_name()];
    let mut chains = wanted.all_chains();
    chains.extend(fallback.into_iter().flat_map(Wanted::all_chains));
    chains.extend(names.iter().map(|name| (Table::Nat, name.as_str())));
    with_rivals(nft, wanted, &chains)
}

/// Reads chains, and those of others that could have the wanted ports.
///
/// # Errors
/// As [`of`].
pub fn with_rivals(
    nft: &mut Nft,
    wanted: &Wanted,
    chains: &[(Table, &str)],
) -> Result<Seen, Error> {
    let concern = concern(wanted);
    let mut seen = Seen::chains(nft, wanted.family, chains, &concern)?;
    let rivals = standing::rivals(&seen.state, wanted);
    let rivals: Vec<_> = rivals
        .iter()
        .map(|name| (Table::Nat, name.as_str()))
        .collect();
    seen.add(nft, &rivals, &concern)?;
    follow(nft, &mut seen, wanted)?;
    Ok(seen)
}

/// Which jumps to attachments' chains matter to one.
fn concern(wanted: &Wanted) -> Concern {
    Concern {
        ports: wanted.ports.iter().map(|port| port.port.number).collect(),
        ..leading_to(vec![wanted.shared_name(), wanted.exact_name()])
    }
}

/// Reads the beginnings of chains of others that may keep packets from ours.
fn follow(nft: &mut Nft, seen: &mut Seen, wanted: &Wanted) -> Result<(), Error> {
    let mut asked = BTreeSet::new();
    for _ in 0..follow::DEPTH {
        let unread = follow::unread(&seen.state, wanted);
        let new: Vec<_> = unread.difference(&asked).cloned().collect();
        if new.is_empty() {
            break;
        }
        for (table, chain) in &new {
            seen.add_beginning(nft, *table, chain, follow::RULES)?;
        }
        asked.extend(new);
    }
    Ok(())
}

/// Whole tables.
///
/// # Errors
/// As [`of`].
pub fn whole(family: Family, tables: &[Table]) -> Result<Seen, Error> {
    steady(&mut Nft::open()?, |nft| Seen::whole(nft, family, tables))
}

/// Looks until nothing changes meanwhile: several questions are no snapshot.
///
/// # Errors
/// As `look`.
pub fn steady<T>(nft: &mut Nft, look: impl Fn(&mut Nft) -> Result<T, Error>) -> Result<T, Error> {
    let mut before = nft.generation()?;
    for _ in 0..LOOKS {
        let seen = look(nft)?;
        let after = nft.generation()?;
        if after == before {
            return Ok(seen);
        }
        before = after;
    }
    look(nft)
}
