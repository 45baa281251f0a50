//! DEL and GC in one IP version of the legacy variant.

use common::error::Error;
use common::{Attachment, Family};
use xtables::legacy::edit::{self, Doomed};
use xtables::state::State;

use super::super::rules::{DNAT, exact_name, is_own_name, shared_name};
use super::super::standing::{own_chains, strays};
use super::super::translation::translations;
use super::super::{kernel, owner};
use super::{Dead, Living};
use crate::config::Evidence;
use crate::host_port::Forward;

/// Removes what an attachment has in the legacy variant, and says what it was; `None` for nothing.
///
/// # Errors
/// Code 11 when others hold the lock or keep changing the rules, 100 for anything else.
pub fn del(
    family: Family,
    attachment: &Attachment,
    evidence: &Evidence,
) -> Result<Option<Vec<Forward>>, Error> {
    if !may_have(family, attachment)? {
        return Ok(None);
    }
    let select = |state: &State| own_chains(state, attachment, evidence);
    let mark = owner::comment(attachment);
    remove(family, select, |comment| comment == mark)
}

/// Whether there is anything that may be an attachment's.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn may_have(family: Family, attachment: &Attachment) -> Result<bool, Error> {
    let names = [shared_name(attachment), exact_name(attachment)];
    Ok(!kernel::chains(family, &names)?.is_empty())
}

/// Removes the selected chains of entries in the legacy variant, and what else has the mark of a dead owner,
/// and says what it was; `None` for nothing.
///
/// # Errors
/// As [`del`].
pub fn entries(
    family: Family,
    select: impl Fn(&State) -> Vec<String>,
    is_dead: impl Fn(&str) -> bool,
) -> Result<Option<Vec<Forward>>, Error> {
    // Who holds the lock is in nobody's way where nothing is to go.
    let state = edit::outlines(family, is_ours)?;
    match select(&state).is_empty() && strays(&state, &is_dead).is_empty() {
        true => Ok(None),
        false => remove(family, select, is_dead),
    }
}

fn is_ours(chain: &str) -> bool {
    is_own_name(chain) || chain == DNAT
}

/// What may be an attachment's in the legacy variant, and the jumps to it.
///
/// # Errors
/// Code 100 when the rules cannot be read.
pub fn look(family: Family, attachment: &Attachment) -> Result<State, Error> {
    let names = [shared_name(attachment), exact_name(attachment)];
    let is_asked = |name: &str| name == DNAT || names.iter().any(|own| own == name);
    edit::outlines(family, is_asked)
}

/// What a network's attachments have in the legacy variant that do not live.
///
/// # Errors
/// Code 100 when the rules cannot be read.
pub fn dead(family: Family, living: &Living) -> Result<Dead, Error> {
    if kernel::chains(family, &[DNAT.to_owned()])?.is_empty() {
        return Ok(Dead::default());
    }
    Ok(living.dead(&edit::outlines(family, is_ours)?))
}

/// Removes what is still there of it.
///
/// # Errors
/// As [`del`].
pub fn gc(family: Family, living: &Living, dead: &Dead) -> Result<Option<Vec<Forward>>, Error> {
    // Who holds the lock is in nobody's way where nothing is to go.
    match dead.is_empty() {
        true => Ok(None),
        false => remove(
            family,
            |state| living.still_dead(dead, state),
            |mark| dead.have(mark),
        ),
    }
}

/// Removes the selected chains, what leads to them, and what else has the mark of a dead owner.
fn remove(
    family: Family,
    select: impl Fn(&State) -> Vec<String>,
    is_dead: impl Fn(&str) -> bool,
) -> Result<Option<Vec<Forward>>, Error> {
    let choose = |state: &State| Doomed {
        chains: select(state),
        rules: strays(state, &is_dead)
            .into_iter()
            .map(|s| (DNAT.to_owned(), s.place))
            .collect(),
    };
    let removed = edit::remove(family, is_ours, choose)?;
    Ok(removed.and_then(|(state, doomed)| {
        let gone = doomed.chains.iter().filter_map(|chain| state.chain(chain));
        let gone = gone.flat_map(translations).collect();
        (!doomed.is_empty()).then_some(gone)
    }))
}
