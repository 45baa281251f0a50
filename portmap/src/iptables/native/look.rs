//! What each verb has to know: no chain is read that it does not need.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use common::error::Error;
use common::{Family, Protocol};
use nft::socket::Nft;
use xtables::Table;
use xtables::meaning::Meaning;
use xtables::nf_tables::concern::Concern;
use xtables::nf_tables::{self, Rule, Seen, raw};
use xtables::raw::End;
use xtables::state::State;

use super::super::follow;
use super::super::reach::Reach;
use super::super::rules::{DNAT, Wanted, leading_to};
use super::super::standing::{self, jumps_to};
use super::super::translation::translations;

/// How often tables that others change at the same time are read before what was read counts.
const LOOKS: u32 = 20;
/// The most jumps that are requested one by one.
const MOST_JUMPS: usize = 64;

/// What ADD has to know.
///
/// # Errors
/// Code 100 with what the kernel refused.
pub fn of(nft: &mut Nft, wanted: &Wanted) -> Result<Seen, Error> {
    let names = own_names(wanted);
    let mut chains = wanted.all_chains();
    chains.extend(names.iter().map(|name| (Table::Nat, name.as_str())));
    with_rivals(
        nft,
        wanted,
        &chains,
        &concern(wanted),
        Seen::nothing(wanted.family),
    )
}

/// What CHECK has to know: no jump behind the last of an attachment's own matters to it, and the kernel says
/// how many those are. `fallback` is what is wanted where the foreign chain that marks packets is not used.
///
/// # Errors
/// As [`of`].
pub fn to_check(nft: &mut Nft, wanted: &Wanted, fallback: Option<&Wanted>) -> Result<Seen, Error> {
    let names = own_names(wanted);
    let own = names.each_ref().map(|name| (Table::Nat, name.as_str()));
    let mut concern = concern(wanted);
    let seen = Seen::chains(nft, wanted.family, &own, &concern)?;
    let mut jumps = 0;
    for (table, name) in own {
        jumps += nf_tables::led_to(nft, &seen, table, name)?.unwrap_or(0);
    }
    concern.jumps = Some(jumps).filter(|jumps| *jumps > 0);
    let mut chains = wanted.all_chains();
    chains.extend(fallback.into_iter().flat_map(Wanted::all_chains));
    with_rivals(nft, wanted, &chains, &concern, seen)
}

fn own_names(wanted: &Wanted) -> [String; 2] {
    [wanted.shared_name(), wanted.exact_name()]
}

/// Reads chains besides what was seen, and those of others that could have the wanted ports.
fn with_rivals(
    nft: &mut Nft,
    wanted: &Wanted,
    chains: &[(Table, &str)],
    concern: &Concern,
    mut seen: Seen,
) -> Result<Seen, Error> {
    let tables: BTreeSet<Table> = wanted.shared.iter().map(|shared| shared.table).collect();
    seen.note_dormant(nft, &tables.into_iter().collect::<Vec<_>>())?;
    seen.add(nft, chains, concern)?;
    let rivals = standing::rivals(&seen.state, wanted);
    let rivals: Vec<_> = rivals
        .iter()
        .map(|name| (Table::Nat, name.as_str()))
        .collect();
    seen.add(nft, &rivals, concern)?;
    follow(nft, &mut seen, wanted)?;
    Ok(seen)
}

/// Which jumps to attachments' chains matter to one.
fn concern(wanted: &Wanted) -> Concern {
    Concern {
        ports: wanted.ports.iter().map(|port| port.port.number).collect(),
        ..leading_to(own_names(wanted).to_vec())
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

/// Chains of an attachment with the jumps to them, and no others of [`DNAT`]. The kernel says how many jumps
/// there are; where ADD wrote them, their handles come directly after those of the chain's rules. `None` where
/// one is elsewhere, or where one that was there seems to lead elsewhere now.
///
/// # Errors
/// As [`of`].
pub fn own_alone(nft: &mut Nft, family: Family, chains: &[&str]) -> Result<Option<Seen>, Error> {
    let all: Vec<_> = chains.iter().map(|name| (Table::Nat, *name)).collect();
    let mut seen = Seen::chains(nft, family, &all, &Concern::default())?;
    let mut jumps = Vec::new();
    for chain in chains {
        let count = nf_tables::led_to(nft, &seen, Table::Nat, chain)?;
        let rules = seen.rules(Table::Nat, chain);
        let last = rules.last().and_then(|rule| rule.handle);
        let (Some(count @ 1..=MOST_JUMPS), Some(last)) = (count, last) else {
            return Ok(None);
        };
        let handles = (last..).skip(1).take(count);
        let found = nf_tables::by_handle(nft, family, (Table::Nat, DNAT), handles)?;
        let end = End::Chain((*chain).to_owned());
        let leads_there = |rule: &Rule| raw::raw(&rule.expressions).end == end;
        if found.len() != count || !found.iter().all(leads_there) {
            return Ok(None);
        }
        jumps.extend(found);
    }
    seen.insert(Table::Nat, DNAT, jumps);
    let is_whole = chains.iter().all(|chain| is_reached(&seen.state, chain));
    Ok(is_whole.then_some(seen))
}

/// Whether each port that a chain translates has a jump, whatever addresses packets go to: where jumps are
/// limited to some, how many there were is not known.
fn is_reached(state: &State, chain: &str) -> bool {
    let jumps = jumps_to(state, chain).map(|standing| Meaning::of(&standing.rule));
    let of_all = jumps.filter(|jump| jump.find("-d").is_none());
    let ports = of_all.flat_map(|jump| Reach::of(&jump).ports().collect::<Vec<_>>());
    let ports: Vec<_> = ports.collect();
    let mut made = translations(state.chain(chain).unwrap_or(&[])).into_iter();
    made.all(|one| {
        let is_its = |(protocol, range): &(Protocol, RangeInclusive<u16>)| {
            *protocol == one.port.protocol && range.contains(&one.port.number)
        };
        ports.iter().any(is_its)
    })
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
