//! The attachments of a plugin in their order, and what newer ones have of each.

use std::collections::{BTreeSet, HashMap};

use common::Operate;
use common::cache::Cache;
use common::operate::Claim;

use super::Job;
use crate::today::Configs;

/// A job, and whether it is only to be looked at.
pub struct Task<'a> {
    /// The job.
    pub job: Job<'a>,
    /// Whether nothing may be done.
    pub is_dry: bool,
    /// Whether newer attachments have all that it claims.
    pub is_superseded: bool,
    /// What newer attachments have of it, as [`Claim::what`].
    pub(super) taken: BTreeSet<String>,
    /// The places of the next and of the newest of those attachments, for each.
    pub(super) newer: BTreeSet<usize>,
}

/// The newer attachments that have some of what one claims.
struct Newer {
    /// The places of the next one and of the newest.
    places: BTreeSet<usize>,
    /// Whether one of them has all of it.
    have_all: bool,
}

/// The attachments whose networks have the plugin, oldest first, as the runtime made them: so the newest
/// has the last word again.
pub fn tasks<P: Operate>(cache: &Cache, is_dry: bool) -> Vec<Task<'_>> {
    tasks_by::<P>(cache, is_dry, &Configs::default())
}

/// The same by given configurations.
pub(super) fn tasks_by<'a, P: Operate>(
    cache: &'a Cache,
    is_dry: bool,
    configs: &Configs,
) -> Vec<Task<'a>> {
    let entries = cache.entries.iter();
    let mut jobs: Vec<Job<'_>> = entries
        .filter_map(|entry| Job::of::<P>(entry, configs))
        .collect();
    jobs.sort_by_key(|job| job.made);
    let mut claimed: HashMap<&str, Vec<(usize, &Claim)>> = HashMap::new();
    for (place, job) in jobs.iter().enumerate() {
        for claim in &job.claims {
            let same = claimed.entry(claim.what.as_str()).or_default();
            same.push((place, claim));
        }
    }
    let newer = |(place, job): (usize, &Job<'_>)| {
        let who_has = |claim: &Claim| {
            let same = claimed
                .get(claim.what.as_str())
                .map_or(&[][..], Vec::as_slice);
            let newer = same.partition_point(|(other, _)| *other <= place);
            let newer = same.get(newer..).unwrap_or_default();
            let meets = |(_, other): &&(usize, &Claim)| other.meets(claim);
            // The next one has the next: not all are noted for each, as thousands may claim one port.
            let ends = [newer.iter().find(meets), newer.iter().rfind(meets)];
            let ends = ends.into_iter().flatten();
            Newer {
                places: ends.map(|(other, _)| *other).collect(),
                have_all: newer.iter().any(|(_, other)| other.covers(claim)),
            }
        };
        job.claims.iter().map(who_has).collect::<Vec<_>>()
    };
    let newer: Vec<Vec<Newer>> = jobs.iter().enumerate().map(newer).collect();
    let task = |(job, newer): (Job<'a>, Vec<Newer>)| {
        let claims = job.claims.iter().zip(&newer);
        let taken = claims.filter(|(_, newer)| !newer.places.is_empty());
        Task {
            is_superseded: !newer.is_empty() && newer.iter().all(|newer| newer.have_all),
            taken: taken.map(|(claim, _)| claim.what.clone()).collect(),
            newer: newer.into_iter().flat_map(|newer| newer.places).collect(),
            job,
            is_dry,
        }
    };
    jobs.into_iter().zip(newer).map(task).collect()
}
