//! ADD by a program in one IP version: one restore when all is as usual, else read, compare, write.

use std::thread;
use std::time::Duration;

use common::error::{Code, Error};
use xtables::state::State;
use xtables::transaction::{Command, Transaction};
use xtables::{Table, Variant};

use super::compiled::Compiled;
use super::conflict::{self, Order};
use super::refusal::{Failures, failed_at, refuse_the_hopeless, tried};
use super::rules::{GUARD, Wanted, is_of_attachments};
use super::tool::{Failure, Tool};
use super::{by_place, kernel, observe, write};
use crate::config::Evidence;
use crate::options::OnConflict;

/// How often rules that others change at the same time are read and written.
const TRIES: u32 = 30;
/// What takes back one IP version's changes to attachments' chains. What is shared stays.
#[derive(Debug)]
pub struct Undo {
    tool: Tool,
    /// The last change first.
    transactions: Vec<Transaction>,
    /// Whether anything was changed; not everything is taken back.
    changed: bool,
}

impl Undo {
    fn nothing(tool: Tool) -> Undo {
        Undo {
            tool,
            transactions: Vec::new(),
            changed: false,
        }
    }

    /// Whether there was anything to change.
    pub fn is_change(&self) -> bool {
        self.changed
    }

    fn note(&mut self, done: &Transaction) {
        self.changed |= !done.is_empty();
        self.transactions.insert(0, done.inverse(is_of_attachments));
    }

    /// Notes what a program may have done that failed: the legacy one fails with its counters, too, when
    /// the rules are in. Where it failed before, a chain of the same name is somebody else's.
    fn note_failed(&mut self, tried: &Transaction, failure: &Failure, input: &str) {
        let is_at_the_end = failed_at(failure, input).is_none_or(|line| line == "COMMIT");
        if self.tool.variant == Some(Variant::Legacy) && is_at_the_end {
            let mut made = tried.inverse(is_of_attachments);
            made.retain(|command| matches!(command, Command::Flush(..) | Command::Remove(_)));
            self.transactions.insert(0, made);
        }
    }

    /// Takes the changes back.
    ///
    /// # Errors
    /// Code 100 when iptables refuses.
    pub fn run(self) -> Result<(), Error> {
        let Undo {
            tool,
            transactions,
            changed: _,
        } = self;
        for mut transaction in transactions {
            if tool.variant == Some(Variant::Legacy) {
                by_place::unmake(tool.family, &mut transaction).map_err(|error| {
                    let tried = format!("roll back the {} rules", tool.family);
                    Error::new(error.code, tried).with_details(error)
                })?;
            }
            tool.restore(&transaction.text()).map_err(|failure| {
                failure.error(Code::System, format!("roll back the {} rules", tool.family))
            })?;
        }
        Ok(())
    }
}

/// Brings one IP version's tables to what is wanted.
///
/// # Errors
/// Code 7 for refused conditions, 11 when others hold the lock or keep changing the rules, 102 for a
/// port that another attachment has, 103 when this node cannot translate, 100 for anything else.
/// Nothing is changed then.
pub fn add(
    tool: Tool,
    wanted: &Wanted,
    evidence: &Evidence,
    on_conflict: OnConflict,
) -> Result<Undo, Error> {
    // Nothing that conditions say acts before it is known to be a test.
    let compiled = match wanted.conditional {
        true => Some(Compiled::of(&tool, wanted)?),
        false => None,
    };
    let mut undo = Undo::nothing(tool);
    let done = match on_conflict {
        OnConflict::Replace => fast(&mut undo, wanted),
        OnConflict::Error => Ok(false),
    };
    let done = match done {
        Ok(true) => Ok(()),
        Ok(false) => {
            let compiled = compiled.as_ref();
            slow(&mut undo, wanted, compiled, evidence, on_conflict)
        }
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => Ok(undo),
        Err(error) => Err(match undo.run() {
            Ok(()) => error,
            Err(also) => error.and(also),
        }),
    }
}

/// Creates the attachment's chain where everything else that it needs is there, and no jump of others
/// matters to its own.
///
/// Says whether that was all; whatever was done is noted.
fn fast(undo: &mut Undo, wanted: &Wanted) -> Result<bool, Error> {
    if undo.tool.variant != Some(Variant::Legacy) {
        return Ok(false);
    }
    let glimpse = kernel::glimpse(wanted)?;
    if glimpse.is_unusual {
        return Ok(false);
    }
    let is_sound = |state: &State| {
        let is_sound = |shared| observe::fault(state, wanted, shared).is_none();
        wanted.shared.iter().all(is_sound)
    };
    let transaction = write::fast(wanted);
    // What cannot be seen without iptables it lists in the same run. `-C` could say so too, but the
    // legacy ip6tables takes any mark for the wanted one.
    let is_seen = is_sound(&glimpse.shared);
    let listed = if is_seen {
        vec![]
    } else {
        wanted.shared_chains()
    };
    let text = transaction.text_and_listing(&listed);
    match undo.tool.restore(&text) {
        Ok(printed) => {
            undo.note(&transaction);
            Ok(is_seen || is_sound(&State::from_listing(&printed, GUARD)))
        }
        Err(failure) => {
            undo.note_failed(&transaction, &failure, &text);
            refuse_the_hopeless(&failure, wanted)?;
            Ok(false)
        }
    }
}

fn slow(
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
        let state = read(&undo.tool, &wanted)?;
        if careful {
            conflict::refuse(&state, &wanted, evidence, Order::Any)?;
        }
        let chain = write::chain(&state, &wanted, evidence);
        if let Some(compiled) = compiled {
            wanted.conditions_stand = compiled.stand(wanted.family, &chain)?;
        }
        let whole = write::repair(&state, &wanted, evidence);
        let mut transaction = whole.clone();
        let is_legacy = undo.tool.variant == Some(Variant::Legacy);
        let has_older = is_legacy && by_place::take_removals(&mut transaction);
        let text = transaction.text();
        match undo.tool.restore(&text) {
            Ok(_) => {
                // What goes by its place comes back, too.
                undo.note(&whole);
                if has_older {
                    let all = compiled.map_or(wanted.jumps.len(), Compiled::len);
                    let rules = all / wanted.jumps.len().max(1);
                    let is_new = by_place::new_jumps(&state, &transaction, &chain, rules);
                    by_place::remove_older(&wanted, evidence, &chain, &is_new)?;
                }
                return if careful {
                    refuse_if_taken(undo, &wanted, evidence)
                } else {
                    Ok(())
                };
            }
            Err(failure) => {
                undo.note_failed(&transaction, &failure, &text);
                refuse_the_hopeless(&failure, &wanted)?;
                failures.note(failure, &text, &wanted)?;
            }
        }
        // Those who came first are done in a few milliseconds.
        thread::sleep(Duration::from_millis(u64::from(attempt.min(10))));
    }
    Err(Error::new(Code::TryAgainLater, tried(&wanted))
        .with_details(format!("others changed them {TRIES} times meanwhile")))
}

/// Two attachments may both have found a port free. The one whose rules came later gives way.
fn refuse_if_taken(undo: &Undo, wanted: &Wanted, evidence: &Evidence) -> Result<(), Error> {
    let state = read(&undo.tool, wanted)?;
    conflict::refuse(&state, wanted, evidence, Order::Older)
}

/// The tables that matter to an attachment.
///
/// # Errors
/// As [`refuse_the_hopeless`], and code 100.
pub fn read(tool: &Tool, wanted: &Wanted) -> Result<State, Error> {
    let mut tables: Vec<Table> = wanted.chains.iter().map(|(table, _)| *table).collect();
    tables.sort();
    tables.dedup();
    tool.save(&tables).or_else(|failure| {
        refuse_the_hopeless(&failure, wanted)?;
        Err(failure.error(Code::System, format!("read the {} rules", wanted.family)))
    })
}
