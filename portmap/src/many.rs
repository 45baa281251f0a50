//! CHECK and ADD of many attachments: with the iptables backend by one look at the
//! tables for all of them, and one program for a hundred of them, instead of several for each.

use std::collections::BTreeSet;

use common::error::Error;
use common::{Attachment, Drift, Plugin, Request};

use crate::config::Config;
use crate::iptables::{self, Tables};
use crate::options::Backend;
use crate::plan::Plan;
use crate::turn::Turn;
use crate::{
    Portmap, backends, drifts as drifts_of_one, forget, open_loopback, stale, warn_of_unserved,
};

/// How many attachments are written at once. Each holds a file descriptor meanwhile, and a process
/// often has no more than 1024.
const AT_ONCE: usize = 100;

/// What a request is about.
struct Job<'a> {
    request: &'a Request,
    planned: Result<(Plan, Config), Error>,
}

impl<'a> Job<'a> {
    fn of(request: &'a Request) -> Job<'a> {
        let planned = Config::parse(request).map(|(config, _)| (Plan::new(&config), config));
        Job { request, planned }
    }

    /// The plan, where iptables is to have it.
    fn for_iptables(&self) -> Option<(&Plan, &Config)> {
        let (plan, config) = self.planned.as_ref().ok()?;
        let backend = backends::choose(config).ok()?;
        (backend == Backend::Iptables && !plan.families.is_empty()).then_some((plan, config))
    }

    /// The same, where it can be written together with others.
    fn plain(&self) -> Option<(&Plan, &Config)> {
        self.for_iptables()
            .filter(|(_, config)| iptables::is_plain(config))
    }
}

/// How each differs from its plan.
pub fn drifts(requests: &[&Request]) -> Vec<Result<Vec<Drift>, Error>> {
    let jobs: Vec<Job<'_>> = requests.iter().map(|request| Job::of(request)).collect();
    let read: Vec<_> = jobs.iter().filter_map(Job::for_iptables).collect();
    let tables = Tables::read(&read);
    let one = |job: Job<'_>| {
        let (plan, config) = job.planned?;
        drifts_of_one(&plan, &config, &tables)
    };
    jobs.into_iter().map(one).collect()
}

/// ADD of each, the last being the newest: in their order, so that it gets the ports it wants.
pub fn add(requests: &[&Request]) -> Vec<Result<(), Error>> {
    let jobs: Vec<Job<'_>> = requests.iter().map(|request| Job::of(request)).collect();
    let alike = jobs.chunk_by(|one, next| one.plain().is_some() == next.plain().is_some());
    let chunks = alike.flat_map(|jobs| jobs.chunks(AT_ONCE));
    chunks.flat_map(add_chunk).collect()
}

fn add_chunk(jobs: &[Job<'_>]) -> Vec<Result<(), Error>> {
    let plain: Vec<_> = jobs.iter().filter_map(Job::plain).collect();
    if plain.len() == jobs.len() && write(&plain) {
        let finish = |(job, (plan, config)): (&Job<'_>, &(&Plan, &Config))| {
            let log = &job.request.log;
            warn_of_unserved(config, log);
            let opened = open_loopback(plan, log).map(drop);
            forget(stale(plan), log);
            opened
        };
        return jobs.iter().zip(&plain).map(finish).collect();
    }
    let add = |job: &Job<'_>| Portmap::add(job.request).map(drop);
    jobs.iter().map(add).collect()
}

fn write(jobs: &[(&Plan, &Config)]) -> bool {
    // A chain may have the plugin twice; nobody can wait for himself.
    let whose: BTreeSet<&Attachment> = jobs.iter().map(|(plan, _)| &plan.attachment).collect();
    let turns: Result<Vec<Turn>, Error> = whose.into_iter().map(Turn::of).collect();
    turns.is_ok_and(|_turns| iptables::add_many(jobs))
}
