//! Taking back what a program wrote, or a removal took: whatever failed, the attachments' chains and the rules
//! that lead there become what they were. What all attachments share stays, as others may have come to need it.

use common::error::Error;
use common::{Attachment, Family};
use xtables::Variant;
use xtables::legacy::chains::Former;
use xtables::legacy::edit::{self, Doomed};
use xtables::state::State;

use super::rules::{DNAT, is_own_name};
use super::standing::own_chains;
use super::{native, write};
use crate::config::Evidence;

/// What attachments had in one IP version.
#[derive(Debug)]
pub struct Undo {
    family: Family,
    owners: Vec<(Attachment, Evidence)>,
    legacy: Option<Former>,
    native: Option<native::Undo>,
    /// The jumps to others' chains that were inserted since.
    for_others: Vec<String>,
    /// Whether anything was changed; what is shared is not rolled back.
    changed: bool,
}

impl Undo {
    /// Notes what attachments have in the tables of a variant, or in those of both.
    ///
    /// # Errors
    /// Code 100 when the kernel does not say.
    pub fn of(
        family: Family,
        variant: Option<Variant>,
        owners: Vec<(Attachment, Evidence)>,
    ) -> Result<Undo, Error> {
        let has = |this| variant.is_none_or(|variant| variant == this);
        let legacy = has(Variant::Legacy)
            .then(|| edit::former(family, is_asked, |state| doomed(state, &owners, &[])));
        let native = has(Variant::Nft).then(|| native::Undo::of(family, &owners));
        Ok(Undo {
            family,
            legacy: legacy.transpose()?,
            native: native.transpose()?,
            owners,
            for_others: Vec::new(),
            changed: false,
        })
    }

    /// The same for an attachment that has nothing in the legacy tables.
    pub fn of_nothing(family: Family, owner: (Attachment, Evidence)) -> Undo {
        Undo {
            family,
            owners: vec![owner],
            legacy: Some(Former::default()),
            native: None,
            for_others: Vec::new(),
            changed: false,
        }
    }

    /// Whether there was anything to change.
    pub fn is_change(&self) -> bool {
        self.changed
    }

    /// Notes that something was changed.
    pub fn note(&mut self, is_change: bool) {
        self.changed |= is_change;
    }

    /// Notes what a program inserts for others.
    pub fn note_for_others(&mut self, jumps: Vec<String>) {
        self.for_others.extend(jumps);
    }

    /// Takes it back.
    ///
    /// # Errors
    /// As [`edit::put_back`] and [`native::Undo::run`].
    pub fn run(self) -> Result<(), Error> {
        let Undo {
            family,
            owners,
            legacy,
            native,
            for_others,
            changed: _,
        } = self;
        let legacy = legacy.map(|former| {
            let doomed = |state: &State| doomed(state, &owners, &for_others);
            edit::put_back(family, is_asked, doomed, &former)
        });
        let outcomes = [legacy, native.map(native::Undo::run)];
        let errors = outcomes.into_iter().flatten().filter_map(Result::err);
        let failed = |error: Error| {
            Error::new(error.code, format!("roll back the {family} rules")).with_details(error)
        };
        Error::all(errors.map(failed).collect()).map_or(Ok(()), Err)
    }
}

fn is_asked(chain: &str) -> bool {
    chain == DNAT || is_own_name(chain)
}

fn doomed(state: &State, owners: &[(Attachment, Evidence)], for_others: &[String]) -> Doomed {
    let own = owners.iter();
    let own = own.flat_map(|(attachment, evidence)| own_chains(state, attachment, evidence));
    // What was inserted for others would stand before what comes back.
    let places = write::places_of(state, for_others).into_iter();
    Doomed {
        chains: own.collect(),
        rules: places.map(|place| (DNAT.to_owned(), place)).collect(),
    }
}
