//! One attachment of the cache: CHECK, and ADD where it has drifted.

use std::path::Path;

use super::networks::requests;
use super::show_warnings;
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
    /// Newer attachments have taken all that it claims: it is left to them.
    Superseded,
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
            Outcome::Superseded => "superseded",
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
            Outcome::Superseded => "newer attachments have what it claims".into(),
            Outcome::Gone => "the network namespace is gone".into(),
            Outcome::Failed(error) => error.to_string(),
        }
    }
}

/// An attachment whose network has the plugin in its chain.
pub struct Job<'a> {
    /// What the cache knows of it.
    pub entry: &'a Entry,
    /// The plugin's parts, or why they are not known.
    requests: Result<Vec<Request>, Error>,
    /// Why nothing is to be done, known before anything is looked at.
    obstacle: Option<Outcome>,
    /// See [`Plugin::claims`].
    pub claims: Vec<String>,
}

impl<'a> Job<'a> {
    /// `None` when the plugin is not in the network's chain.
    pub fn of<P: Plugin>(entry: &'a Entry) -> Option<Job<'a>> {
        let requests = requests::<P>(entry);
        if requests.as_ref().is_ok_and(Vec::is_empty) {
            return None;
        }
        let obstacle = obstacle(entry, requests.as_deref().unwrap_or_default());
        let claims = match (&requests, &obstacle) {
            (Ok(requests), None) => requests.iter().flat_map(P::claims).collect(),
            _ => Vec::new(),
        };
        Some(Job {
            entry,
            requests,
            obstacle,
            claims,
        })
    }

    /// Puts the attachment right, or only says what is wrong with it.
    pub fn run<P: Plugin>(&self, is_dry: bool, is_superseded: bool) -> Outcome {
        match (&self.obstacle, &self.requests) {
            (Some(obstacle), _) => obstacle.clone(),
            (None, Err(error)) => Outcome::Failed(error.clone()),
            (None, Ok(requests)) => match all::<P>(requests, is_dry || is_superseded) {
                Outcome::Drifted(_) if is_superseded => Outcome::Superseded,
                outcome => outcome,
            },
        }
    }
}

fn obstacle(entry: &Entry, requests: &[Request]) -> Option<Outcome> {
    let path = Path::new(&entry.netns);
    match Netns::open(path) {
        Err(OpenError::Gone(_)) => return Some(Outcome::Gone),
        Err(OpenError::Unusable(error)) => return Some(Outcome::Failed(error)),
        Ok(_) => {}
    }
    let is_allowed = requests.iter().any(|request| request.own_netns_allowed);
    (netns::is_own(path) && !is_allowed).then(|| {
        let error = Error::new(Code::InvalidNetns, "the namespace is the node's own");
        Outcome::Failed(error.with_details(path.display()))
    })
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
        show_warnings::<P>(request);
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
        let mut errors = Vec::new();
        for request in &requests {
            errors.extend(P::del(request).err());
            show_warnings::<P>(request);
        }
        Error::all(errors).map_or(Ok(()), Err)
    });
    match taken_back {
        Ok(()) => Outcome::Deleted,
        Err(error) => Outcome::Failed(error),
    }
}
