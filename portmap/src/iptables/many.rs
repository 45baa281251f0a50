//! Many attachments over one reading of the tables: what `reconcile` needs after a firewall's reload.

use common::Family;
use xtables::state::{Chains, State};
use xtables::transaction::{Command, Transaction};
use xtables::{Table, Variant};

use super::rules::is_of_attachments;
use super::tool::Tool;
use super::{all_wanted, native, reader, side_by_side, split, write};
use crate::config::{Config, Evidence};
use crate::options::{Mark, OnConflict};
use crate::plan::Plan;

/// All rules of the tables that attachments are in, in each IP version, as far as they could be read.
#[derive(Debug, Default)]
pub struct Tables {
    v4: Option<(Tool, State)>,
    v6: Option<(Tool, State)>,
}

impl Tables {
    /// Reads what these attachments are about.
    pub fn read(jobs: &[(&Plan, &Config)]) -> Tables {
        let read = |family| {
            let wanted = jobs
                .iter()
                .flat_map(|(plan, config)| all_wanted(plan, config, &[family]));
            let mut tables: Vec<Table> = wanted
                .flat_map(|wanted| wanted.chains.into_iter().map(|(table, _)| table))
                .collect();
            tables.sort_unstable();
            tables.dedup();
            if tables.is_empty() {
                return None;
            }
            let tool = reader(family, jobs.iter().any(|(_, config)| !is_plain(config))).ok()?;
            let state = match tool.variant {
                Some(Variant::Nft) => native::whole(family, &tables).ok()?.state,
                Some(Variant::Legacy) | None => tool.save(&tables).ok()?,
            };
            Some((tool, state))
        };
        let (v4, v6) = side_by_side(|| read(Family::V4), || read(Family::V6));
        Tables {
            v4,
            v6: v6.flatten(),
        }
    }

    /// Those of one IP version; none where they could not be read.
    pub fn of(&self, family: Family) -> Option<&(Tool, State)> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }
}

/// Whether ADD of an attachment is no more than the writing of what it lacks.
pub fn is_plain(config: &Config) -> bool {
    config.on_conflict == OnConflict::Replace
        && config.conditions_v4.is_empty()
        && config.conditions_v6.is_empty()
}

/// Writes what these attachments lack, the last of them being the newest: by one batch, or one program for
/// each IP version. Says whether that was done; if not, nothing was, as far as it could be taken back.
pub fn add(jobs: &[(&Plan, &Config)]) -> bool {
    let Ok((native, by_program)) = split(Family::ALL.into_iter()) else {
        return false;
    };
    if native::add_many(jobs, &native).is_err() {
        return false;
    }
    let Tables { v4, v6 } = match by_program.is_empty() {
        true => Tables::default(),
        false => Tables::read(jobs),
    };
    let families = [(Family::V4, v4), (Family::V6, v6)];
    let families = families
        .into_iter()
        .filter(|(family, _)| by_program.contains(family));
    let mut written = Vec::new();
    for (family, tables) in families {
        if jobs.iter().all(|(plan, _)| plan.family(family).is_none()) {
            continue;
        }
        let done = tables.and_then(|(tool, state)| {
            let transaction = transaction(state, family, jobs)?;
            tool.restore(&transaction.text()).ok()?;
            Some((tool, transaction))
        });
        match done {
            Some(done) => written.push(done),
            None => {
                for (tool, transaction) in written {
                    // One by one they will be looked at again.
                    let _ = tool.restore(&transaction.inverse(is_of_attachments).text());
                }
                return false;
            }
        }
    }
    true
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
