//! What is to be looked at of an attachment, and whether the runtime still has it as it was.

use std::fs;
use std::io::ErrorKind;
use std::time::SystemTime;

use common::cache::Entry;
use common::error::{Code, Error};
use common::operate::Claim;
use common::sys::netns::{self, Netns, OpenError};
use common::{Operate, Request};

use super::Outcome;
use crate::requests::{netns_of, requests_by};
use crate::today::Configs;

/// An attachment whose network has the plugin in its chain.
pub struct Job<'a> {
    /// What the cache knows of it.
    pub entry: &'a Entry,
    /// The plugin's parts, or why they are not known.
    pub requests: Result<Vec<Request>, Error>,
    /// Why no work is needed, known before anything is looked at.
    pub obstacle: Option<Outcome>,
    /// The plugin's parts by the cache's configuration, where another one counts.
    pub former: Vec<Request>,
    /// See [`Operate::claims`].
    pub claims: Vec<Claim>,
    /// When the runtime made it; nothing is done where that is not known.
    pub made: Option<SystemTime>,
}

impl<'a> Job<'a> {
    /// `None` when the plugin is not in the network's chain, and was not.
    pub fn of<P: Operate>(entry: &'a Entry, configs: &Configs) -> Option<Job<'a>> {
        let config = configs.of_entry(entry);
        let requests = config.and_then(|config| requests_by::<P>(entry, &config));
        let former = match configs.is_of_today() {
            true => requests_by::<P>(entry, &entry.config),
            false => Ok(Vec::new()),
        };
        let requests = match (requests, &former) {
            // Whether anything is to go is not known, so nothing is in order.
            (Ok(now), Err(error)) if now.is_empty() => Err(error.clone()),
            (requests, _) => requests,
        };
        // Beside today's parts, what is left of others is found in the kernel.
        let former = former.unwrap_or_default();
        if requests.as_ref().is_ok_and(Vec::is_empty) && former.is_empty() {
            return None;
        }
        let made = made(entry);
        let obstacle = match &made {
            Err(outcome) => Some(outcome.clone()),
            Ok(_) => obstacle(entry, requests.as_deref().unwrap_or_default()),
        };
        let claims = match (&requests, &obstacle) {
            (Ok(requests), None) => requests.iter().flat_map(P::claims).collect(),
            _ => Vec::new(),
        };
        Some(Job {
            entry,
            requests,
            former,
            obstacle,
            claims,
            made: made.ok(),
        })
    }

    /// What is to be checked: nothing where there is an obstacle.
    pub(super) fn requests(&self) -> &[Request] {
        match (&self.obstacle, &self.requests) {
            (None, Ok(requests)) => requests,
            _ => &[],
        }
    }
}

/// What the runtime did with an attachment since the cache was read, if anything.
pub fn what_became_of(entry: &Entry) -> Option<Outcome> {
    match Entry::read(&entry.file) {
        Ok(Some(now)) if now == *entry => None,
        Ok(Some(_)) => Some(Outcome::Renewed),
        Ok(None) => Some(Outcome::Deleted),
        Err(error) => Some(Outcome::Failed(error)),
    }
}

fn obstacle(entry: &Entry, requests: &[Request]) -> Option<Outcome> {
    let path = match netns_of(entry) {
        Ok(path) => path,
        Err(error) => return Some(Outcome::Failed(error)),
    };
    match Netns::open(path) {
        Err(OpenError::Gone(_)) => return Some(Outcome::Gone),
        Err(OpenError::Foreign(error) | OpenError::Unusable(error)) => {
            return Some(Outcome::Failed(error));
        }
        Ok(_) => {}
    }
    let is_allowed = requests.iter().any(|request| request.own_netns_allowed);
    (netns::is_own(path) && !is_allowed).then(|| {
        let error = Error::new(Code::InvalidNetns, "the namespace is the node's own");
        Outcome::Failed(error.with_details(path.display()))
    })
}

fn made(entry: &Entry) -> Result<SystemTime, Outcome> {
    let modified = fs::metadata(&entry.file).and_then(|meta| meta.modified());
    modified.map_err(|cause| match cause.kind() {
        ErrorKind::NotFound => Outcome::Deleted,
        _ => {
            let msg = format!("read the age of {}", entry.file.display());
            Outcome::Failed(Error::new(Code::Io, msg).with_details(cause))
        }
    })
}
