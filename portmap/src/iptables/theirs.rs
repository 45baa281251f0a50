//! The reference has one chain for all entries of an attachment. Its jumps test conditions in the IP versions that
//! have some; in the other one it looks like the chain of the plain entry. So the first shows the owner in both.

use common::error::Error;
use common::{Attachment, Family};
use xtables::state::State;

use super::remove::legacy;
use super::rules::shared_name;
use super::standing::own_chains;
use super::{native, owner};
use crate::config::Evidence;

/// What a request says, with what the kernel shows of the attachment's chains.
///
/// # Errors
/// Code 100 when the kernel does not say.
pub fn known(owner: &Attachment, evidence: Evidence) -> Result<Evidence, Error> {
    // With conditions in both IP versions each shows for itself.
    let [family] = evidence.conditional[..] else {
        return Ok(evidence);
    };
    let is_shared = |state: &State| {
        let shared = shared_name(owner);
        let is_unmarked = owner::entry_in(state.rules(&shared)).is_none();
        is_unmarked && own_chains(state, owner, &evidence).contains(&shared)
    };
    let are_chains_shared =
        is_shared(&native::look_at(family, owner)?) || is_shared(&legacy::look(family, owner)?);
    Ok(Evidence {
        are_chains_shared,
        ..evidence
    })
}

/// As [`known`], for CHECK and DEL. In an IP version that the container lacks the reference makes no rules, so nothing
/// there shows the owner. What maps the same ports to the same addresses without conditions then counts as the
/// attachment's: CHECK finds it as good, and DEL of the plain entry is due as well.
///
/// # Errors
/// As [`known`].
pub fn likely(owner: &Attachment, evidence: Evidence) -> Result<Evidence, Error> {
    let lacks = |family: &Family| {
        let mut addresses = evidence.addresses.iter();
        !addresses.any(|address| Family::of(*address) == *family)
    };
    match !evidence.conditional.is_empty() && evidence.conditional.iter().all(lacks) {
        true => Ok(Evidence {
            are_chains_shared: true,
            ..evidence
        }),
        false => known(owner, evidence),
    }
}
