//! The difference between the tables and what is wanted, as commands.

use std::collections::BTreeSet;

use common::Attachment;
use xtables::Table;
use xtables::meaning::Meaning;
use xtables::state::State;
use xtables::transaction::{Command, Transaction};

use super::drift::{self, Fault};
use super::order::{self, Places};
use super::rules::{DNAT, Wanted};
use super::standing::{self, Standing, jumps_to};
use super::{owner, shadowed};
use crate::config::Evidence;

/// What is missing or different.
pub fn repair(state: &State, wanted: &Wanted, evidence: &Evidence) -> Transaction {
    let (mut transaction, chain) = chains(state, wanted, evidence);
    jumps(&mut transaction, state, wanted, &chain);
    transaction
}

/// What is missing or different of all but the jumps, and the attachment's chain.
fn chains(state: &State, wanted: &Wanted, evidence: &Evidence) -> (Transaction, String) {
    let mut transaction = Transaction::default();
    for (table, chain) in &wanted.chains {
        if !state.table(*table).contains_key(*chain) {
            transaction.push(*table, Command::New((*chain).to_owned()));
        }
    }
    for shared in &wanted.shared {
        let Some(fault) = drift::fault(state, wanted, shared) else {
            continue;
        };
        let (chain, rule) = (shared.chain.to_owned(), shared.rule.clone());
        // Directly before what is in its way: what others have before that stays first.
        let command = match fault {
            _ if shared.first => Command::Insert(chain, 0, rule),
            Fault::Hidden(place, _) => Command::Insert(chain, place, rule),
            Fault::NoChain | Fault::NoRule | Fault::Undone(_) => Command::Append(chain, rule),
        };
        transaction.push(shared.table, command);
    }
    let mine = standing::own_chains(state, &wanted.attachment, evidence);
    let chain = choose(state, wanted, &mine);
    own(&mut transaction, state, wanted, &chain);
    let others = mine.into_iter().filter(|other| *other != chain);
    others.for_each(|other| remove(&mut transaction, state, Table::Nat, &other));
    (transaction, chain)
}

/// The chain that an attachment has, or gets.
pub fn chain(state: &State, wanted: &Wanted, evidence: &Evidence) -> String {
    let mine = standing::own_chains(state, &wanted.attachment, evidence);
    choose(state, wanted, &mine)
}

/// The reference's chain unless another attachment has it; one's own stays what it is.
fn choose(state: &State, wanted: &Wanted, mine: &[String]) -> String {
    let shared = wanted.shared_name();
    match mine.first() {
        Some(chain) => chain.clone(),
        None if state.chain(&shared).is_none() => shared,
        None => wanted.exact_name(),
    }
}

fn own(transaction: &mut Transaction, state: &State, wanted: &Wanted, chain: &str) {
    let standing = state.chain(chain);
    let is_unmarked = standing.is_some_and(|rules| drift::is_unmarked(rules, wanted));
    if standing.is_none() || is_unmarked || !drift::chain_drift(state, wanted, chain).is_empty() {
        let command = match standing {
            None => Command::New(chain.to_owned()),
            Some(rules) => Command::Flush(chain.to_owned(), rules.to_vec()),
        };
        transaction.push(Table::Nat, command);
        fill(transaction, wanted, chain);
    }
}

fn jumps(transaction: &mut Transaction, state: &State, wanted: &Wanted, chain: &str) {
    let jumps_differ = (wanted.conditional && !wanted.conditions_stand)
        || !drift::jump_drift(state, wanted, chain).is_empty()
        || !shadowed::drifts(state, wanted, chain).is_empty()
        || order::is_behind_conditions(state, wanted, chain);
    if jumps_differ {
        replace_jumps(transaction, state, wanted, chain);
    }
}

/// Deletes an attachment's jumps, and inserts them anew.
fn replace_jumps(transaction: &mut Transaction, state: &State, wanted: &Wanted, chain: &str) {
    delete_jumps(transaction, state, chain);
    let mark = owner::comment(&wanted.attachment);
    delete_strays(transaction, state, |comment| comment == mark);
    insert_jumps(transaction, state, wanted, chain);
}

fn fill(transaction: &mut Transaction, wanted: &Wanted, chain: &str) {
    for rule in &wanted.own {
        transaction.push(Table::Nat, Command::Append(chain.to_owned(), rule.clone()));
    }
}

fn insert_jumps(transaction: &mut Transaction, state: &State, wanted: &Wanted, chain: &str) {
    let Places { jumps, before } = order::place(state, wanted, chain);
    let own = wanted.jumps.iter().map(|jump| (jumps, jump.to(chain)));
    // From the last place on, so that each is beside a rule that is there already.
    for (place, rule) in before.into_iter().chain(own).rev() {
        let command = Command::Insert(DNAT.to_owned(), place, rule);
        transaction.push(Table::Nat, command);
    }
}

/// The jumps that a transaction inserts for others, before an attachment's own.
pub fn for_others(transaction: &Transaction, attachment: &Attachment) -> Vec<String> {
    let mark = owner::comment(attachment);
    let is_theirs =
        |rule: &&String| owner::jump(rule).is_some_and(|(jump, _)| jump.comment != mark);
    let inserted = transaction.commands(Table::Nat).iter();
    let inserted = inserted.filter_map(|command| match command {
        Command::Insert(into, _, rule) if into == DNAT => Some(rule),
        _ => None,
    });
    inserted.filter(is_theirs).cloned().collect()
}

/// The places of such jumps in [`DNAT`]. Of equal ones, the first is the newest.
pub fn places_of(state: &State, jumps: &[String]) -> BTreeSet<usize> {
    let jumps: Vec<Meaning> = jumps.iter().map(|jump| Meaning::of(jump)).collect();
    let mut wanted: Vec<&Meaning> = jumps.iter().collect();
    let mut places = BTreeSet::new();
    for (place, rule) in state.rules(DNAT).iter().enumerate() {
        if wanted.is_empty() {
            break;
        }
        let meaning = Meaning::of(rule);
        if let Some(found) = wanted.iter().position(|jump| **jump == meaning) {
            wanted.remove(found);
            places.insert(place);
        }
    }
    places
}

/// Deletes such jumps.
pub fn delete_for_others(transaction: &mut Transaction, state: &State, jumps: &[String]) {
    for place in places_of(state, jumps).into_iter().rev() {
        if let Some(rule) = state.rules(DNAT).get(place) {
            let command = Command::Delete(DNAT.to_owned(), place, rule.clone());
            transaction.push(Table::Nat, command);
        }
    }
}

fn delete_jumps(transaction: &mut Transaction, state: &State, chain: &str) {
    // From the last on, so that the places of the others stay true.
    let standing: Vec<_> = jumps_to(state, chain).collect();
    for jump in standing.into_iter().rev() {
        let command = Command::Delete(DNAT.to_owned(), jump.place, jump.rule);
        transaction.push(Table::Nat, command);
    }
}

/// Deletes what is left of jumps whose target was changed.
pub fn delete_strays(
    transaction: &mut Transaction,
    state: &State,
    is_whose: impl Fn(&str) -> bool,
) {
    for Standing { place, rule } in standing::strays(state, is_whose) {
        transaction.push(Table::Nat, Command::Delete(DNAT.to_owned(), place, rule));
    }
}

/// Removes a chain with everything that leads to it.
pub fn remove(transaction: &mut Transaction, state: &State, table: Table, chain: &str) {
    let Some(rules) = state.table(table).get(chain) else {
        return;
    };
    for (from, standing) in state.table(table) {
        if from == chain {
            continue;
        }
        for (place, rule) in standing.iter().enumerate().rev() {
            if rule.contains(chain) && leads_to(rule, chain) {
                let command = Command::Delete(from.clone(), place, rule.clone());
                transaction.push(table, command);
            }
        }
    }
    transaction.push(table, Command::Flush(chain.to_owned(), rules.clone()));
    transaction.push(table, Command::Remove(chain.to_owned()));
}

fn leads_to(rule: &str, chain: &str) -> bool {
    let target = Meaning::of(rule).target;
    let mut words = target.iter().map(String::as_str);
    match words.next() {
        Some("goto") => words.next() == Some(chain),
        first => first == Some(chain),
    }
}
