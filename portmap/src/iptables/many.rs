//! Many attachments, written at once.

use common::Family;
use xtables::Table;
use xtables::state::{Chains, State};
use xtables::transaction::{Command, Transaction};

use super::families::Variants;
use super::observe::Tables;
use super::rules::all_wanted;
use super::undo::Undo;
use super::{apply as one, native, write};
use crate::config::{Config, Evidence};
use crate::options::Mark;
use crate::plan::Plan;
use crate::turn;

/// Writes what these attachments lack, the last of them being the newest: by one batch, or one program for
/// each IP version. Says whether that was done; if not, nothing was, as far as it could be rolled back.
pub fn add(jobs: &[(&Plan, &Config)]) -> bool {
    let Ok(variants) = Variants::find() else {
        return false;
    };
    let (native, by_program) = variants.split(Family::ALL.into_iter());
    let _turn = (!by_program.is_empty()).then(turn::to_write_by_programs);
    if native::add_many(jobs, &native).is_err() {
        return false;
    }
    let tables = match by_program.is_empty() {
        true => Tables::default(),
        false => Tables::read(jobs),
    };
    let families = tables
        .by_family()
        .into_iter()
        .filter(|(family, _)| by_program.contains(family));
    let mut written = Vec::new();
    for (family, tables) in families {
        if jobs.iter().all(|(plan, _)| plan.family(family).is_none()) {
            continue;
        }
        let done = tables.and_then(|(tool, state)| {
            let transaction = transaction(state, family, jobs)?;
            let owner = |(plan, config): &(&Plan, &Config)| {
                (plan.attachment.clone(), Evidence::of_config(config))
            };
            let owners = jobs.iter().map(owner).collect();
            written.push(Undo::of(family, tool.variant, owners).ok()?);
            tool.restore(&transaction.text()).ok()
        });
        if done.is_none() {
            // One by one they will be looked at again.
            written.into_iter().for_each(|undo| drop(undo.run()));
            return false;
        }
    }
    let leave = |(plan, config)| one::leave_unplanned(variants, plan, config).is_ok();
    jobs.iter().copied().all(leave)
}

/// What all attachments together lack in one IP version, each as the ones before it leave the tables;
/// `None` where an attachment needs the attention of an ADD of its own.
fn transaction(mut state: State, family: Family, jobs: &[(&Plan, &Config)]) -> Option<Transaction> {
    let mut all = Transaction::default();
    for (plan, config) in jobs {
        if matches!(&config.mark, Mark::Chain(name) if state.chain(name).is_none()) {
            return None;
        }
        for wanted in all_wanted(plan, config, &[family]) {
            let one = write::repair(&state, &wanted, &Evidence::of_config(config));
            apply(&mut state, &one);
            all.append(one);
        }
    }
    Some(all)
}

/// What the tables are after a transaction.
pub fn apply(state: &mut State, transaction: &Transaction) {
    for table in [Table::Nat, Table::Mangle] {
        let chains = state.table_mut(table);
        for command in transaction.commands(table) {
            obey(chains, command);
        }
    }
}

fn obey(chains: &mut Chains, command: &Command) {
    match command {
        Command::New(chain) => {
            chains.entry(chain.clone()).or_default();
        }
        Command::Append(chain, rule) => {
            chains.entry(chain.clone()).or_default().push(rule.clone());
        }
        Command::Insert(chain, place, rule) => {
            let rules = chains.entry(chain.clone()).or_default();
            rules.insert((*place).min(rules.len()), rule.clone());
        }
        Command::Delete(chain, _, rule) => {
            let rules = chains.entry(chain.clone()).or_default();
            if let Some(place) = rules.iter().position(|standing| standing == rule) {
                rules.remove(place);
            }
        }
        Command::Flush(chain, _) => chains.entry(chain.clone()).or_default().clear(),
        Command::Remove(chain) => {
            chains.remove(chain);
        }
    }
}
