//! The legacy variant's part of ADD that takes rules away: by their places, as of many matches iptables
//! prints what it does not find again.

use common::error::Error;
use xtables::Table;
use xtables::legacy::edit::{self, Doomed};
use xtables::state::State;
use xtables::transaction::{Command, Transaction};

use super::owner;
use super::rules::{DNAT, OWN_PREFIX, Wanted};
use super::standing::{jumps_to, own_chains, strays};
use crate::config::Evidence;

/// Takes out of a transaction what removes jumps and chains, and says whether there was any such thing.
/// What it inserts goes where it would go without what is removed later.
pub fn take_removals(transaction: &mut Transaction) -> bool {
    transaction.keep_deleted(DNAT);
    let removed: Vec<String> = transaction
        .commands(Table::Nat)
        .iter()
        .filter_map(|command| match command {
            Command::Remove(chain) => Some(chain.clone()),
            _ => None,
        })
        .collect();
    let is_removal = |command: &Command| match command {
        Command::Delete(chain, _, rule) => {
            chain == DNAT
                || removed
                    .iter()
                    .any(|removed| rule.ends_with(removed.as_str()))
        }
        Command::Flush(chain, _) | Command::Remove(chain) => removed.contains(chain),
        _ => false,
    };
    let commands = transaction.commands(Table::Nat);
    let any = commands.iter().any(is_removal);
    transaction.retain(|command| !is_removal(command));
    any
}

/// Which of the jumps to a chain are new, in their order, once a transaction was done that removes none. A
/// jump becomes as many rules as its conditions say.
pub fn new_jumps(
    state: &State,
    transaction: &Transaction,
    chain: &str,
    rules_of_a_jump: usize,
) -> Vec<bool> {
    let older: Vec<usize> = jumps_to(state, chain).map(|jump| jump.place).collect();
    let is_older = |place| older.contains(&place).then_some(false);
    let mut all: Vec<Option<bool>> = (0..state.rules(DNAT).len()).map(is_older).collect();
    for command in transaction.commands(Table::Nat) {
        if let Command::Insert(to, place, rule) = command
            && to == DNAT
        {
            let place = (*place).min(all.len());
            let new = match rule.ends_with(chain) {
                true => vec![Some(true); rules_of_a_jump],
                false => vec![None],
            };
            all.splice(place..place, new);
        }
    }
    all.into_iter().flatten().collect()
}

/// Removes an attachment's other chains, and all jumps to this one but the new ones.
///
/// # Errors
/// As [`edit::remove`].
pub fn remove_older(
    wanted: &Wanted,
    evidence: &Evidence,
    chain: &str,
    is_new: &[bool],
) -> Result<(), Error> {
    let mark = owner::comment(&wanted.attachment);
    let select = |state: &State| {
        let mut is_new = is_new.iter().copied();
        let older = jumps_to(state, chain).filter(|_| !is_new.next().unwrap_or(false));
        let older: Vec<_> = older.collect();
        let strays = strays(state, |comment| comment == mark).into_iter();
        let mut chains = own_chains(state, &wanted.attachment, evidence);
        chains.retain(|own| own != chain);
        Doomed {
            chains,
            rules: older
                .into_iter()
                .chain(strays)
                .map(|jump| (DNAT.to_owned(), jump.place))
                .collect(),
        }
    };
    edit::remove(wanted.family, is_own, select).map(drop)
}

fn is_own(chain: &str) -> bool {
    chain == DNAT || chain.starts_with(OWN_PREFIX)
}
