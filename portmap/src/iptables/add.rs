//! ADD in one IP version: one restore when all is as usual, else read, compare, write.

use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use common::error::{Code, Error};

use super::conflict::{self, Order};
use super::rules::{Table, Wanted};
use super::state::State;
use super::tool::{Failure, Tool, Variant};
use super::transaction::Transaction;
use super::{look, write};
use crate::config::OnConflict;
use crate::mapping::Family;

/// How often rules that others change at the same time are read and written.
const TRIES: u32 = 30;
/// How often the same input may fail in the same way before it is not the others' doing.
const SAME_FAILURES: u32 = 4;

/// What takes back one IP version's changes.
#[derive(Debug)]
pub struct Undo {
    tool: Tool,
    transaction: Transaction,
}

impl Undo {
    /// Takes the changes back.
    ///
    /// # Errors
    /// Code 100 when iptables refuses.
    pub fn run(self) -> Result<(), Error> {
        let Undo { tool, transaction } = self;
        if transaction.is_empty() {
            return Ok(());
        }
        tool.restore(&transaction.text())
            .map(drop)
            .map_err(|failure| {
                failure.error(Code::System, format!("take back the {} rules", tool.family))
            })
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
    addresses: &[IpAddr],
    on_conflict: OnConflict,
) -> Result<Undo, Error> {
    if on_conflict == OnConflict::Replace && may_be_new(&tool, wanted) {
        let transaction = write::fast(wanted);
        match tool.restore(&transaction.text()) {
            Ok(_) => {
                return Ok(Undo {
                    tool,
                    transaction: transaction.inverse(),
                });
            }
            Err(failure) => refuse_the_hopeless(&failure, wanted)?,
        }
    }
    slow(tool, wanted, addresses, on_conflict)
}

/// Whether the attachment surely has no chain under its second name; the first is asserted by the
/// transaction itself.
fn may_be_new(tool: &Tool, wanted: &Wanted) -> bool {
    let names = [wanted.exact_name()];
    match tool.variant {
        Some(Variant::Nft) => look::chains(Variant::Nft, wanted.family, &names).is_empty(),
        Some(Variant::Legacy) | None => true,
    }
}

fn slow(
    tool: Tool,
    wanted: &Wanted,
    addresses: &[IpAddr],
    on_conflict: OnConflict,
) -> Result<Undo, Error> {
    let careful = on_conflict == OnConflict::Error;
    let mut failures = Failures::default();
    for attempt in 0..TRIES {
        let state = read(&tool, wanted)?;
        if careful {
            conflict::refuse(&state, wanted, addresses, Order::Any)?;
        }
        let transaction = write::repair(&state, wanted, addresses);
        let text = transaction.text();
        match tool.restore(&text) {
            Ok(_) => {
                let undo = Undo {
                    tool,
                    transaction: transaction.inverse(),
                };
                return if careful {
                    keep_unless_taken(undo, wanted, addresses)
                } else {
                    Ok(undo)
                };
            }
            Err(failure) => {
                refuse_the_hopeless(&failure, wanted)?;
                failures.note(failure, &text, wanted)?;
            }
        }
        // Those who came first are done in a few milliseconds.
        thread::sleep(Duration::from_millis(u64::from(attempt.min(10))));
    }
    Err(Error::new(Code::TryAgainLater, tried(wanted))
        .with_details(format!("others changed them {TRIES} times in between")))
}

/// Two attachments may both have found a port free. The one whose rules came later gives way.
fn keep_unless_taken(undo: Undo, wanted: &Wanted, addresses: &[IpAddr]) -> Result<Undo, Error> {
    let state = read(&undo.tool, wanted)?;
    match conflict::refuse(&state, wanted, addresses, Order::Older) {
        Ok(()) => Ok(undo),
        Err(error) => Err(match undo.run() {
            Ok(()) => error,
            Err(also) => error.and(also),
        }),
    }
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

fn tried(wanted: &Wanted) -> String {
    format!("write the {} rules of {}", wanted.family, wanted.attachment)
}

/// Failures that trying again does not mend.
fn refuse_the_hopeless(failure: &Failure, wanted: &Wanted) -> Result<(), Error> {
    let code = if failure.is_lock() {
        Code::TryAgainLater
    } else if failure.is_missing_table() {
        Code::Unsupported
    } else if failure.is_permission() {
        Code::System
    } else {
        return Ok(());
    };
    Err(failure.error(code, tried(wanted)))
}

/// Tells a refusal from a race: in a race, the input or the answer changes.
#[derive(Default)]
struct Failures {
    last: Option<(String, Failure)>,
    count: u32,
}

impl Failures {
    fn note(&mut self, failure: Failure, input: &str, wanted: &Wanted) -> Result<(), Error> {
        let this = (input.to_owned(), failure);
        self.count = if self.last.as_ref() == Some(&this) {
            self.count + 1
        } else {
            1
        };
        if self.count >= SAME_FAILURES {
            return Err(refused(&this.1, input, wanted));
        }
        self.last = Some(this);
        Ok(())
    }
}

fn refused(failure: &Failure, input: &str, wanted: &Wanted) -> Error {
    let line = failure
        .line()
        .and_then(|number| input.lines().nth(number.checked_sub(1)?));
    // The legacy variant names the COMMIT line when the kernel refuses a rule.
    let may_be_a_jump = line.is_none_or(|line| line.contains("dnat name: ") || line == "COMMIT");
    if wanted.conditional && may_be_a_jump {
        let key = match wanted.family {
            Family::V4 => "conditionsV4",
            Family::V6 => "conditionsV6",
        };
        return failure.error(
            Code::InvalidConfig,
            format!("{key}: iptables refuses these matches"),
        );
    }
    let tried = match line {
        Some(line) => format!("{}, in {line:?}", tried(wanted)),
        None => tried(wanted),
    };
    failure.error(Code::System, tried)
}
