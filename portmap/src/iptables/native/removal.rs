//! DEL and GC: rules go by their handles, whatever else they test. What the kernel does not let go is
//! reported, and everything else goes.

use common::error::{Code, Error};
use common::{Attachment, Family};
use nft::command::Command;
use nft::socket::Nft;
use xtables::Table;
use xtables::nf_tables::{self, Seen, batch};
use xtables::state::State;
use xtables::transaction::Transaction;

use super::super::remove::{Dead, Living};
use super::super::rules::{DNAT, exact_name, leading_to, marked, shared_name};
use super::super::standing::own_chains;
use super::super::translation::translations;
use super::super::{owner, write};
use super::look::own_alone;
use super::{commit, steady};
use crate::config::Evidence;
use crate::host_port::Forward;

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth<'a> {
    /// An attachment's chains and the jumps to them, where these are found without a look at all jumps.
    Own,
    /// Where an attachment's rules usually are, with the jumps to these chains of others.
    Usual(&'a [String]),
    /// The whole table: rules anywhere may lead to a chain.
    Whole,
}

/// Removes what an attachment has in some IP versions, and gives what it was; `None` for nothing.
///
/// # Errors
/// Everything that could not be removed.
pub fn del(
    attachment: &Attachment,
    evidence: &Evidence,
    families: &[Family],
) -> Result<Option<Vec<Forward>>, Error> {
    if !may_have(families, attachment)? {
        return Ok(None);
    }
    let mark = owner::comment(attachment);
    let look = |nft: &mut Nft, family, depth| look(nft, family, attachment, depth);
    let select = |state: &State| own_chains(state, attachment, evidence);
    remove(families, look, select, |comment| comment == mark)
}

/// Whether there is anything to remove. Most pods have no ports, and wait for nobody then.
///
/// # Errors
/// As [`Nft::open_if_any`].
pub fn may_have(families: &[Family], attachment: &Attachment) -> Result<bool, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(false);
    };
    let names = names(attachment);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let is_there = |family: &Family| {
        let present = nf_tables::present(&mut nft, *family, Table::Nat, &names);
        // What cannot be read now is reported by the removal.
        present.map_or(true, |names| !names.is_empty())
    };
    Ok(families.iter().any(is_there))
}

fn names(attachment: &Attachment) -> [String; 2] {
    [shared_name(attachment), exact_name(attachment)]
}

/// What a network's attachments have that do not live.
///
/// # Errors
/// Code 100 with what the kernel refused.
pub fn dead(living: &Living) -> Result<Dead, Error> {
    let mut dead = Dead::default();
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(dead);
    };
    for family in Family::ALL {
        let seen = steady(&mut nft, |nft| all_of(nft, family))?;
        dead.extend(seen.map_or_else(Dead::default, |seen| living.dead(&seen.state)));
    }
    Ok(dead)
}

/// Removes what is still there of it.
///
/// # Errors
/// As [`del`].
pub fn gc(living: &Living, dead: &Dead) -> Result<Option<Vec<Forward>>, Error> {
    if dead.is_empty() {
        return Ok(None);
    }
    let look = |nft: &mut Nft, family, _| all_of(nft, family);
    let select = |state: &State| living.still_dead(dead, state);
    remove(&Family::ALL, look, select, |mark| dead.have(mark))
}

/// Removes the selected chains of entries of an attachment, and what else has the mark of a dead owner, and
/// gives what it was; `None` for nothing.
///
/// # Errors
/// As [`del`].
pub fn entries(
    attachment: &Attachment,
    select: impl Fn(&State) -> Vec<String>,
    is_dead: impl Fn(&str) -> bool,
) -> Result<Option<Vec<Forward>>, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(None);
    };
    let usual = shared_name(attachment);
    let mark = owner::comment(attachment);
    let concern = marked(mark.clone());
    let mut may_have = |family| {
        let chains = [(Table::Nat, DNAT), (Table::Nat, usual.as_str())];
        let seen = Seen::chains(&mut nft, family, &chains, &concern);
        // What cannot be read now is reported by the removal.
        seen.map_or(true, |Seen { state, .. }| {
            let mut jumps = state.rules(DNAT).iter();
            let is_marked =
                |rule: &String| owner::jump(rule).is_some_and(|(jump, _)| jump.comment == mark);
            state.chain(&usual).is_some() || jumps.any(is_marked)
        })
    };
    let mut families = Family::ALL.to_vec();
    families.retain(|family| may_have(*family));
    if families.is_empty() {
        return Ok(None);
    }
    let look = |nft: &mut Nft, family, _| all_of(nft, family);
    remove(&families, look, select, is_dead)
}

/// The nat table; `None` where nothing of it can be an attachment's.
fn all_of(nft: &mut Nft, family: Family) -> Result<Option<Seen>, Error> {
    match nf_tables::present(nft, family, Table::Nat, &[DNAT])?.is_empty() {
        true => Ok(None),
        false => Seen::whole(nft, family, &[Table::Nat]).map(Some),
    }
}

/// What may be an attachment's, and the jumps to it.
///
/// # Errors
/// Code 100 when it cannot be read.
pub fn look_at(family: Family, attachment: &Attachment) -> Result<State, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(State::default());
    };
    let seen = steady(&mut nft, |nft| look(nft, family, attachment, Depth::Own))?;
    Ok(seen.map_or_else(State::default, |seen| seen.state))
}

/// What may be an attachment's, with the jumps to some chains of others; `None` when none of its own chains is
/// there.
///
/// # Errors
/// As [`look_at`].
pub fn of_attachment(
    nft: &mut Nft,
    family: Family,
    attachment: &Attachment,
    others: &[String],
) -> Result<Option<Seen>, Error> {
    look(nft, family, attachment, Depth::Usual(others))
}

fn look(
    nft: &mut Nft,
    family: Family,
    attachment: &Attachment,
    depth: Depth<'_>,
) -> Result<Option<Seen>, Error> {
    let own = names(attachment);
    let names: Vec<&str> = own.iter().map(String::as_str).collect();
    let present = nf_tables::present(nft, family, Table::Nat, &names)?;
    if present.is_empty() {
        return Ok(None);
    }
    let others = match depth {
        Depth::Whole => return Seen::whole(nft, family, &[Table::Nat]).map(Some),
        Depth::Own => match own_alone(nft, family, &present)? {
            Some(seen) => return Ok(Some(seen)),
            None => &[],
        },
        Depth::Usual(others) => others,
    };
    let mut chains = vec![(Table::Nat, DNAT)];
    chains.extend(present.iter().map(|name| (Table::Nat, *name)));
    let concern = leading_to([&own, others].concat());
    Seen::chains(nft, family, &chains, &concern).map(Some)
}

/// What a removal came to.
#[derive(Default)]
struct Outcome {
    gone: Option<Vec<Forward>>,
    errors: Vec<Error>,
}

/// Removes the selected chains, with what leads to them and what else has the mark
/// of a dead owner: as is usual, or, where that fails, as far as the kernel lets it go.
fn remove(
    families: &[Family],
    look: impl Fn(&mut Nft, Family, Depth<'static>) -> Result<Option<Seen>, Error>,
    select: impl Fn(&State) -> Vec<String>,
    is_dead: impl Fn(&str) -> bool,
) -> Result<Option<Vec<Forward>>, Error> {
    let Some(mut nft) = Nft::open_if_any()? else {
        return Ok(None);
    };
    let mut run = |depth| {
        commit(&mut nft, |nft| {
            let (mut commands, mut outcome) = (Vec::new(), Outcome::default());
            for family in families.iter().copied() {
                let planned = look(nft, family, depth).and_then(|seen| match seen {
                    Some(seen) => plan(seen, &select, &is_dead, &mut outcome.gone),
                    None => Ok(Vec::new()),
                });
                match planned {
                    Ok(more) => commands.extend(more),
                    Err(error) if depth == Depth::Whole => outcome.errors.push(error),
                    Err(error) => return Err(error),
                }
            }
            if depth == Depth::Whole {
                outcome
                    .errors
                    .extend(leave_out_refused(nft, &mut commands)?);
            }
            Ok((commands, outcome))
        })
    };
    let outcome = match run(Depth::Own) {
        Err(error) if error.code != Code::TryAgainLater => run(Depth::Whole)?,
        usual => usual?,
    };
    Error::all(outcome.errors).map_or(Ok(outcome.gone), Err)
}

fn plan(
    mut seen: Seen,
    select: impl Fn(&State) -> Vec<String>,
    is_dead: impl Fn(&str) -> bool,
    gone: &mut Option<Vec<Forward>>,
) -> Result<Vec<Command>, Error> {
    let mut transaction = Transaction::default();
    for chain in select(&seen.state) {
        write::remove(&mut transaction, &seen.state, Table::Nat, &chain);
        let made = translations(seen.state.rules(&chain));
        gone.get_or_insert_default().extend(made);
    }
    write::delete_strays(&mut transaction, &seen.state, is_dead);
    if !transaction.is_empty() {
        gone.get_or_insert_default();
    }
    batch::commands(&mut seen, &transaction)
}

/// Takes out what the kernel refuses, and says what it was.
fn leave_out_refused(nft: &mut Nft, commands: &mut Vec<Command>) -> Result<Vec<Error>, Error> {
    let mut errors = Vec::new();
    while !commands.is_empty() {
        let mut refused = nft.check(commands)?;
        refused.sort_by_key(|(index, _)| *index);
        refused.dedup_by_key(|(index, _)| *index);
        if refused.is_empty() {
            break;
        }
        for (index, refusal) in refused.into_iter().rev() {
            let command = commands.remove(index);
            errors.push(
                Error::new(Code::System, format!("nf_tables: {command}")).with_details(refusal),
            );
        }
    }
    Ok(errors)
}
