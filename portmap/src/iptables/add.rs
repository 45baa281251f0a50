//! ADD by a program in one IP version: read, compare, write, again where others changed it meanwhile.

use std::thread;
use std::time::Duration;

use common::error::{Code, Error};
use xtables::state::State;
use xtables::{Table, Variant};

use super::compiled::Compiled;
use super::conflict::{self, Order};
use super::refusal::{Failures, refuse_the_hopeless, tried};
use super::rules::Wanted;
use super::standing::own_chains;
use super::tool::Tool;
use super::undo::Undo;
use super::{by_place, kernel, write};
use crate::config::Evidence;
use crate::options::OnConflict;

/// How often rules that others change at the same time are read and written.
const TRIES: u32 = 30;

/// Brings one IP version's tables to what is wanted.
///
/// # Errors
/// Code 7 for refused conditions, 11 when others hold the lock or keep changing the rules, 102 for a
/// port that another attachment has, 103 when this node cannot translate, 100 for anything else.
/// Nothing is changed then.
pub fn add(
    tool: &Tool,
    wanted: &Wanted,
    evidence: &Evidence,
    on_conflict: OnConflict,
) -> Result<Undo, Error> {
    // Nothing that conditions say acts before it is known to be a test.
    let compiled = match wanted.conditional {
        true => Some(Compiled::of(tool, wanted)?),
        false => None,
    };
    let state = read(tool, wanted)?;
    let owner = (wanted.attachment.clone(), evidence.clone());
    let own = own_chains(&state, &wanted.attachment, evidence);
    let mut undo = match tool.variant {
        Some(Variant::Legacy) if own.is_empty() => Undo::of_nothing(tool.family, owner),
        variant => Undo::of(tool.family, variant, vec![owner])?,
    };
    let compiled = compiled.as_ref();
    let repaired = repair(
        (tool, state),
        &mut undo,
        wanted,
        compiled,
        evidence,
        on_conflict,
    );
    match repaired {
        Ok(()) => Ok(undo),
        Err(error) => Err(match undo.run() {
            Ok(()) => error,
            Err(also) => error.and(also),
        }),
    }
}

fn repair(
    (tool, mut state): (&Tool, State),
    undo: &mut Undo,
    wanted: &Wanted,
    compiled: Option<&Compiled>,
    evidence: &Evidence,
    on_conflict: OnConflict,
) -> Result<(), Error> {
    let careful = on_conflict == OnConflict::Error;
    let mut wanted = wanted.clone();
    let mut failures = Failures::default();
    for attempt in 0..TRIES {
        if careful {
            conflict::refuse(&state, &wanted, evidence, Order::Any)?;
        }
        let chain = write::chain(&state, &wanted, evidence);
        if let Some(compiled) = compiled {
            wanted.conditions_stand = compiled.stand(wanted.family, &chain)?;
        }
        let mut transaction = write::repair(&state, &wanted, evidence);
        let is_change = !transaction.is_empty();
        let is_legacy = tool.variant == Some(Variant::Legacy);
        let has_older = is_legacy && by_place::take_removals(&mut transaction);
        let text = transaction.text();
        match tool.restore(&text) {
            Ok(_) => {
                undo.note(is_change);
                undo.note_for_others(write::for_others(&transaction, &wanted.attachment));
                if has_older {
                    let all = compiled.map_or(wanted.jumps.len(), Compiled::len);
                    let rules = all / wanted.jumps.len().max(1);
                    let is_new = by_place::new_jumps(&state, &transaction, &chain, rules);
                    by_place::remove_older(&wanted, evidence, &chain, &is_new)?;
                }
                return if careful {
                    refuse_if_taken(tool, &wanted, evidence)
                } else {
                    Ok(())
                };
            }
            Err(failure) => {
                refuse_the_hopeless(&failure, &wanted)?;
                failures.note(failure, &text, &wanted)?;
            }
        }
        // Those who came first are done in a few milliseconds.
        thread::sleep(Duration::from_millis(u64::from(attempt.min(10))));
        state = read(tool, &wanted)?;
    }
    Err(Error::new(Code::TryAgainLater, tried(&wanted))
        .with_details(format!("others changed them {TRIES} times meanwhile")))
}

/// Two attachments may both have found a port free. The one whose rules came later gives way.
fn refuse_if_taken(tool: &Tool, wanted: &Wanted, evidence: &Evidence) -> Result<(), Error> {
    let state = read(tool, wanted)?;
    conflict::refuse(&state, wanted, evidence, Order::Older)
}

/// What matters to an attachment: from the kernel, or by a program where that alone can print it.
///
/// # Errors
/// As [`refuse_the_hopeless`], and code 100.
pub fn read(tool: &Tool, wanted: &Wanted) -> Result<State, Error> {
    if tool.variant == Some(Variant::Legacy)
        && let Some(state) = kernel::read(wanted)?
    {
        return Ok(state);
    }
    let mut tables: Vec<Table> = wanted.chains.iter().map(|(table, _)| *table).collect();
    tables.sort();
    tables.dedup();
    tool.save(&tables).or_else(|failure| {
        refuse_the_hopeless(&failure, wanted)?;
        Err(failure.error(Code::System, format!("read the {} rules", wanted.family)))
    })
}
