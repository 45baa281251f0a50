//! One attachment of the cache: CHECK, and ADD where it has drifted.

use std::path::Path;

use super::networks::requests;
use crate::cache::Entry;
use crate::error::{Code, Error};
use crate::plugin::Plugin;
use crate::request::Request;
use crate::sys::netns::{self, Netns, OpenError};

/// How an attachment was found, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As ADD left it.
    InOrder,
    /// Not as ADD left it: what differs. Nothing was done.
    Drifted(String),
    /// Not as ADD left it: what differed. It is now.
    Repaired(String),
    /// Deleted by the runtime while it was being repaired, and so taken back.
    Deleted,
    /// Its namespace is gone: there is nothing to repair.
    Gone,
    /// It is not, or may not be, as ADD left it: why.
    Failed(Error),
}

impl Outcome {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::InOrder => "ok",
            Outcome::Drifted(_) => "drifted",
            Outcome::Repaired(_) => "repaired",
            Outcome::Deleted => "deleted",
            Outcome::Gone => "gone",
            Outcome::Failed(_) => "failed",
        }
    }

    /// The rest.
    pub fn details(&self) -> String {
        match self {
            Outcome::InOrder => String::new(),
            Outcome::Drifted(what) | Outcome::Repaired(what) => what.clone(),
            Outcome::Deleted => "deleted by the runtime meanwhile".into(),
            Outcome::Gone => "the network namespace is gone".into(),
            Outcome::Failed(error) => error.to_string(),
        }
    }
}

/// Puts an attachment right, or only says what is wrong with it. `None` when the plugin is not in
/// its network's chain.
pub fn repair<P: Plugin>(entry: &Entry, is_dry: bool) -> Option<Outcome> {
    let requests = match requests::<P>(entry) {
        Ok(requests) if requests.is_empty() => return None,
        Ok(requests) => requests,
        Err(error) => return Some(Outcome::Failed(error)),
    };
    let path = Path::new(&entry.netns);
    match Netns::open(path) {
        Err(OpenError::Gone(_)) => return Some(Outcome::Gone),
        Err(OpenError::Unusable(error)) => return Some(Outcome::Failed(error)),
        Ok(_) => {}
    }
    if netns::is_own(path) && !requests.iter().any(|request| request.own_netns_allowed) {
        let error = Error::new(Code::InvalidNetns, "the namespace is the node's own")
            .with_details(path.display());
        return Some(Outcome::Failed(error));
    }
    Some(all::<P>(&requests, is_dry))
}

fn all<P: Plugin>(requests: &[Request], is_dry: bool) -> Outcome {
    let mut drifts = Vec::new();
    for request in requests {
        let Err(error) = P::check(request) else {
            continue;
        };
        // CHECK may fail for what ADD puts right, such as a table that is gone.
        drifts.push(match error.code {
            Code::Drift => error.details,
            _ => error.to_string(),
        });
        if is_dry {
            continue;
        }
        let outcome = P::add(request).and_then(|_| P::check(request));
        if let Err(error) = outcome {
            return Outcome::Failed(error);
        }
    }
    match (drifts.is_empty(), is_dry) {
        (true, _) => Outcome::InOrder,
        (false, true) => Outcome::Drifted(drifts.join("; ")),
        (false, false) => Outcome::Repaired(drifts.join("; ")),
    }
}

/// Takes a repair back when the runtime has deleted the attachment meanwhile: it forgets an
/// attachment after its DEL, so a repair may come in between.
pub fn confirm<P: Plugin>(entry: &Entry, outcome: Outcome) -> Outcome {
    if !matches!(outcome, Outcome::Repaired(_)) || entry.file.exists() {
        return outcome;
    }
    let taken_back = requests::<P>(entry).and_then(|requests| {
        let errors = requests.iter().filter_map(|request| P::del(request).err());
        Error::all(errors.collect()).map_or(Ok(()), Err)
    });
    match taken_back {
        Ok(()) => Outcome::Deleted,
        Err(error) => Outcome::Failed(error),
    }
}
