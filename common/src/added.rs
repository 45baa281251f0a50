//! What ADD made, until its result is written.

use crate::error::Error;
use crate::result::CniResult;

/// The part of an ADD that depends on whether its result can be written.
pub trait Pending {
    /// Does what cannot be undone, such as a removal that nobody waits for.
    fn keep(self: Box<Self>) {}

    /// Brings back what was there before this ADD, which may be what an earlier ADD of the attachment made.
    ///
    /// # Errors
    /// Everything that could not be brought back.
    fn undo(self: Box<Self>) -> Result<(), Error>;
}

/// A successful ADD.
#[must_use = "the ADD is kept or undone"]
pub struct Added {
    result: CniResult,
    pending: Option<Box<dyn Pending>>,
}

impl Added {
    /// One that changed something, perhaps.
    pub fn new(result: CniResult, pending: impl Pending + 'static) -> Added {
        let pending: Box<dyn Pending> = Box::new(pending);
        Added {
            result,
            pending: Some(pending),
        }
    }

    /// One that had nothing to do.
    pub fn nothing(result: CniResult) -> Added {
        Added {
            result,
            pending: None,
        }
    }

    /// The chain's result.
    pub fn result(&self) -> &CniResult {
        &self.result
    }

    /// Ends it: its result is written, or needs no writing.
    pub fn keep(self) {
        if let Some(pending) = self.pending {
            pending.keep();
        }
    }

    /// Undoes it: its result could not be written.
    ///
    /// # Errors
    /// As [`Pending::undo`].
    pub fn undo(self) -> Result<(), Error> {
        self.pending.map_or(Ok(()), |pending| pending.undo())
    }
}
