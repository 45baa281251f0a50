//! DEL and GC, in both variants and IP versions.

pub mod legacy;
mod living;

use common::error::Error;
use common::log::Log;
use common::netconf::ValidAttachment;
use common::{Attachment, Family};
use xtables::state::State;

use super::families::{lost, side_by_side};
use super::{compiled, native, owner, standing, theirs};
use crate::config::Evidence;
use crate::host_port::Forward;

pub use living::{Dead, Living};

/// Removes what an attachment has, in both variants, and says what it was; `None` for nothing.
/// `evidence` is what the request says of its mappings, as far as it can be understood.
///
/// # Errors
/// Everything that could not be removed.
pub fn del(attachment: &Attachment, evidence: &Evidence) -> Removed {
    let (evidence, unknown) = match theirs::likely(attachment, evidence.clone()) {
        Ok(evidence) => (evidence, None),
        Err(error) => (evidence.clone(), Some(error)),
    };
    let native = native::del(attachment, &evidence, &Family::ALL);
    let removed = everywhere(native, |family| legacy::del(family, attachment, &evidence));
    and(removed, unknown)
}

/// A removal, and what else failed.
fn and(removed: Removed, failed: Option<Error>) -> Removed {
    match (removed, failed) {
        (removed, None) => removed,
        (Ok(_), Some(error)) => Err(error),
        (Err(error), Some(also)) => Err(error.and(also)),
    }
}

/// Removes what entries of an attachment have, except for kept ones, in both variants, and says what it was; `None`
/// for nothing.
///
/// # Errors
/// Everything that could not be removed.
pub fn entries(attachment: &Attachment, kept: &[Attachment], evidence: &Evidence) -> Removed {
    let select = |state: &State| {
        let chains = standing::entries(state, attachment, kept, evidence);
        chains.into_iter().collect()
    };
    // Jumps whose target was changed do not say which entry's they are.
    let mark = owner::comment(attachment);
    let are_all = kept.is_empty() && owner::is_unique(&mark);
    let is_dead = |comment: &str| are_all && comment == mark;
    let native = native::entries(attachment, select, is_dead);
    everywhere(native, |family| legacy::entries(family, select, is_dead))
}

/// What attachments of a network have that are not valid, in both variants, and what could not be read of it.
pub struct Collection {
    living: Living,
    native: Result<Dead, Error>,
    legacy_v4: Result<Dead, Error>,
    legacy_v6: Result<Dead, Error>,
}

impl Collection {
    /// That of a network.
    pub fn of(network: &str, valid: &[ValidAttachment]) -> Collection {
        let living = Living::of(network, valid);
        Collection {
            native: native::dead(&living),
            legacy_v4: legacy::dead(Family::V4, &living),
            legacy_v6: legacy::dead(Family::V6, &living),
            living,
        }
    }

    /// Removes it, and says what it was. Names what may be the network's.
    ///
    /// # Errors
    /// Everything that could not be read or removed.
    pub fn remove(self, log: &Log) -> Removed {
        let Collection {
            living,
            native,
            legacy_v4,
            legacy_v6,
        } = self;
        let native = native.and_then(|dead| native::gc(&living, &dead));
        let swept = compiled::sweep();
        let of = |family| {
            let dead = match family {
                Family::V4 => &legacy_v4,
                Family::V6 => &legacy_v6,
            };
            legacy::gc(family, &living, dead.as_ref().map_err(Error::clone)?)
        };
        let removed = everywhere(native, of);
        living.warnings().for_each(|warning| log.warn(warning));
        and(removed, swept.err())
    }
}

type Removed = Result<Option<Vec<Forward>>, Error>;

/// Runs a removal in the legacy variant too, and carries on after failures.
fn everywhere(native: Removed, action: impl Fn(Family) -> Removed + Sync) -> Removed {
    let (outcome, other) = side_by_side(|| action(Family::V4), || action(Family::V6));
    let outcomes = [native, outcome, other.unwrap_or_else(lost)];
    let (mut removed, mut errors): (Option<Vec<_>>, _) = (None, Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(Some(some)) => removed.get_or_insert_default().extend(some),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    Error::all(errors).map_or(Ok(removed), Err)
}
