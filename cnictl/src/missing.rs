//! What attachments of the cache have by their configuration, and the kernel does not have.

use std::fmt;

use common::cache::Entry;
use common::{Error, Operate, Request};

use crate::repair::{Outcome, Task, what_became_of};

/// The command that repairs it.
pub const RECONCILE: &str = "cnictl reconcile";

/// What to do about what is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayOut {
    /// To run [`RECONCILE`].
    Reconcile,
    /// The same; newer attachments come before it then.
    Behind,
    /// That does not help: why.
    Nothing(String),
}

impl fmt::Display for WayOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WayOut::Reconcile | WayOut::Behind => RECONCILE,
            WayOut::Nothing(why) => why,
        })
    }
}

/// What is missing of one plugin's things.
#[derive(Debug)]
pub struct Missing<R> {
    /// Each with what to do about it.
    pub rows: Vec<(R, WayOut)>,
    /// Attachments of which it is not known.
    pub errors: Vec<Error>,
}

/// A part of an attachment that is looked at.
struct Part<'a> {
    entry: &'a Entry,
    request: &'a Request,
    way_out: WayOut,
}

/// Compares attachments of the cache with what the kernel was found to have afterwards. An attachment
/// that the runtime deletes or adds again meanwhile is left out.
pub fn missing<P: Operate>(tasks: &[Task<'_>], found: &[P::Row]) -> Missing<P::Row> {
    let mut missing = Missing {
        rows: Vec::new(),
        errors: Vec::new(),
    };
    let mut parts = Vec::new();
    for task in tasks {
        let entry = task.job.entry;
        let way_out = match &task.job.obstacle {
            Some(Outcome::Gone | Outcome::Deleted) => continue,
            Some(other) => WayOut::Nothing(other.details()),
            None if task.is_superseded => WayOut::Behind,
            None => WayOut::Reconcile,
        };
        match &task.job.requests {
            Ok(requests) => parts.extend(requests.iter().map(|request| Part {
                entry,
                request,
                way_out: way_out.clone(),
            })),
            Err(error) => missing.errors.push(error.clone()),
        }
    }
    let requests: Vec<&Request> = parts.iter().map(|part| part.request).collect();
    for (part, answer) in parts.iter().zip(P::missing(&requests, found)) {
        missing.take::<P>(part, answer);
    }
    missing
}

impl<R> Missing<R> {
    fn take<P: Operate<Row = R>>(&mut self, part: &Part<'_>, answer: Result<Vec<R>, Error>) {
        if answer.as_ref().is_ok_and(Vec::is_empty) {
            return;
        }
        match (what_became_of(part.entry), answer) {
            (Some(Outcome::Failed(error)), _) => self.errors.push(error),
            (Some(_), _) => {}
            (None, Ok(rows)) => {
                let rows = rows.into_iter().map(|row| (row, part.way_out.clone()));
                self.rows.extend(rows);
            }
            (None, Err(error)) => self.errors.push(Error {
                msg: format!("{} of {}: {}", P::NAME, part.entry.attachment, error.msg),
                ..error
            }),
        }
    }
}
