//! DEL and GC in one IP version and one variant.

use std::thread;
use std::time::Duration;

use common::Attachment;
use common::error::{Code, Error};

use super::kernel::Doomed;
use super::observe::{own_chains, strays};
use super::owner;
use super::rules::{DNAT, OLD_PREFIX, OLD_SNAT, OWN_PREFIX, Table, exact_name, shared_name};
use super::state::State;
use super::tool::{Failure, Tool, Variant};
use super::transaction::Transaction;
use super::translation::{Translation, translations};
use super::{kernel, write};
use crate::config::Evidence;
use crate::mapping::Family;

/// How often rules that others change at the same time are read and written.
const TRIES: u32 = 30;

/// Removes what an attachment has in one variant, and says what it was; `None` for nothing.
///
/// # Errors
/// Code 11 when others hold the lock or keep changing the rules, 100 for anything else.
pub fn del(
    family: Family,
    variant: Variant,
    attachment: &Attachment,
    evidence: &Evidence,
) -> Result<Option<Vec<Translation>>, Error> {
    let names = [
        shared_name(attachment),
        exact_name(attachment),
        write::old_name(attachment),
    ];
    let present = kernel::chains(variant, family, &names)?;
    if present.is_empty() {
        return Ok(None);
    }
    let what = format!("remove the {family} rules of {attachment}");
    let select = |state: &State| {
        let mut chains = own_chains(state, attachment, evidence);
        let old = write::old_name(attachment);
        if write::is_old_of(state, attachment, &old) {
            chains.push(old);
        }
        chains
    };
    let quick = present.iter().all(|name| !name.starts_with(OLD_PREFIX));
    let mark = owner::comment(attachment);
    let is_dead = |comment: &str| comment == mark;
    let quick = quick.then_some(&present);
    remove((family, variant), &what, quick, select, is_dead)
}

/// The chains of an attachment that translate in one variant. The reference leaves an empty one where
/// all host addresses are of the other IP version.
///
/// # Errors
/// Code 100 when the rules cannot be read.
pub fn left(
    family: Family,
    variant: Variant,
    attachment: &Attachment,
    evidence: &Evidence,
) -> Result<Vec<String>, Error> {
    let names = [shared_name(attachment), exact_name(attachment)];
    let present = kernel::chains(variant, family, &names)?;
    let tool = match present.is_empty() {
        true => None,
        false => Tool::of(family, variant),
    };
    match tool.map(|tool| read(&tool, Some(&present))) {
        None => Ok(Vec::new()),
        Some(Ok(state)) => {
            let mut chains = own_chains(&state, attachment, evidence);
            chains.retain(|chain| {
                state
                    .chain(chain)
                    .is_some_and(|rules| !translations(rules).is_empty())
            });
            Ok(chains)
        }
        Some(Err(failure)) if failure.is_missing_table() => Ok(Vec::new()),
        Some(Err(failure)) => Err(fatal(&failure, &format!("read the {family} rules"))),
    }
}

/// Removes what a network's attachments have in one variant, unless `is_valid` says of their mark
/// that they live.
///
/// # Errors
/// As [`del`].
pub fn gc(
    family: Family,
    variant: Variant,
    network: &str,
    is_valid: impl Fn(&str) -> bool,
) -> Result<Option<Vec<Translation>>, Error> {
    let leading = [DNAT.to_owned(), OLD_SNAT.to_owned()];
    if kernel::chains(variant, family, &leading)?.is_empty() {
        return Ok(None);
    }
    let what = format!("remove the {family} rules of dead attachments of network {network}");
    let is_dead = |comment: &str| owner::is_of_network(comment, network) && !is_valid(comment);
    let select = |state: &State| {
        let jumps = state.jumps().iter().filter_map(|rule| owner::jump(rule));
        let old = state.chain(OLD_SNAT).unwrap_or(&[]).iter();
        let old = old.filter_map(|rule| owner::old_jump(rule));
        let (mut dead, mut alive) = (Vec::new(), Vec::new());
        for jump in jumps.map(|(jump, _)| jump).chain(old) {
            if is_dead(&jump.comment) {
                &mut dead
            } else {
                &mut alive
            }
            .push(jump.chain);
        }
        dead.retain(|chain| is_own_name(chain) && !alive.contains(chain));
        dead.sort();
        dead.dedup();
        dead
    };
    remove((family, variant), &what, None, select, is_dead)
}

/// Only chains of attachments are ever removed, whatever a comment says.
fn is_own_name(chain: &str) -> bool {
    chain.starts_with(OWN_PREFIX) || chain.starts_with(OLD_PREFIX)
}

/// Removes the selected chains, what leads to them, and what else bears the mark of a dead owner.
fn remove(
    (family, variant): (Family, Variant),
    what: &str,
    quick: Option<&Vec<String>>,
    select: impl Fn(&State) -> Vec<String>,
    is_dead: impl Fn(&str) -> bool,
) -> Result<Option<Vec<Translation>>, Error> {
    if variant == Variant::Legacy {
        return remove_legacy(family, select, is_dead);
    }
    let Some(tool) = Tool::of(family, variant) else {
        // Rules without a program to change them: whoever made them had one.
        return Err(
            Error::new(Code::Unsupported, what).with_details("iptables-restore is not installed")
        );
    };
    let mut last = None;
    for attempt in 0..TRIES {
        let state = match read(&tool, quick.filter(|_| attempt == 0)) {
            Ok(state) => state,
            Err(failure) if failure.is_missing_table() => return Ok(None),
            Err(failure) => return Err(fatal(&failure, what)),
        };
        let chains = select(&state);
        let mut transaction = Transaction::default();
        for chain in &chains {
            write::remove(&mut transaction, &state, chain);
        }
        write::delete_strays(&mut transaction, &state, &is_dead);
        match tool.restore(&transaction.text()) {
            Ok(_) => {
                let gone = chains.iter().filter_map(|chain| state.chain(chain));
                let gone = gone.flat_map(translations).collect();
                return Ok((!transaction.is_empty()).then_some(gone));
            }
            Err(failure) if failure.is_lock() || failure.is_permission() => {
                return Err(fatal(&failure, what));
            }
            Err(failure) => last = Some(failure),
        }
        // The first failure may only mean that rules elsewhere lead to the chain.
        thread::sleep(Duration::from_millis(u64::from(attempt.min(10))));
    }
    Err(match last {
        Some(failure) => failure.error(Code::TryAgainLater, what),
        None => Error::new(Code::TryAgainLater, what),
    })
}

/// The same in the legacy variant, which needs no program for it.
fn remove_legacy(
    family: Family,
    select: impl Fn(&State) -> Vec<String>,
    is_dead: impl Fn(&str) -> bool,
) -> Result<Option<Vec<Translation>>, Error> {
    let is_ours = |name: &str| is_own_name(name) || [DNAT, OLD_SNAT].contains(&name);
    let choose = |state: &State| Doomed {
        chains: select(state),
        jumps: strays(state, &is_dead)
            .into_iter()
            .map(|s| s.place)
            .collect(),
    };
    let removed = kernel::remove_legacy(family, is_ours, choose)?;
    Ok(removed.and_then(|(state, doomed)| {
        let gone = doomed.chains.iter().filter_map(|chain| state.chain(chain));
        let gone = gone.flat_map(translations).collect();
        (!doomed.is_empty()).then_some(gone)
    }))
}

/// The jumps and the attachment's chains, or everything.
fn read(tool: &Tool, quick: Option<&Vec<String>>) -> Result<State, Failure> {
    if let (Some(names), Some(variant)) = (quick, tool.variant) {
        let mut chains: Vec<(Table, &str)> = vec![(Table::Nat, DNAT)];
        chains.extend(names.iter().map(|name| (Table::Nat, name.as_str())));
        let found = kernel::read(variant, tool.family, &chains).unwrap_or(None);
        // The legacy variant prints everything as fast.
        let found = match variant {
            Variant::Nft if found.is_none() => tool.list(&chains)?,
            _ => found,
        };
        if let Some(state) = found {
            return Ok(state);
        }
    }
    tool.save(&[Table::Nat])
}

fn fatal(failure: &Failure, what: &str) -> Error {
    let code = if failure.is_lock() {
        Code::TryAgainLater
    } else {
        Code::System
    };
    failure.error(code, what)
}
