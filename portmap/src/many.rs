//! CHECK and ADD of many attachments: by one look for all of them, and one write for a hundred of them,
//! where a backend gains by that.

use std::collections::BTreeSet;

use common::error::Error;
use common::log::Log;
use common::sys::lock::Children;
use common::{Added, Attachment, Drift, Plugin, Request};

use crate::config::Config;
use crate::limits::Node;
use crate::plan::Plan;
use crate::turn::{self, Turn};
use crate::{
    Portmap, backend, backends, drifts as drifts_of_one, entry, forget, open_loopback, stale,
    warn_of_unserved,
};

/// How many attachments are written at once. Each holds a file descriptor meanwhile, and a process
/// often has no more than 1024.
const AT_ONCE: usize = 100;

/// What a request is about.
struct Asked<'a> {
    request: &'a Request,
    planned: Result<(Plan, Config), Error>,
}

impl<'a> Asked<'a> {
    fn of(request: &'a Request, node: &Node) -> Asked<'a> {
        let planned =
            Config::parse(request).and_then(|(config, _)| Ok((Plan::of(&config, node)?, config)));
        Asked { request, planned }
    }

    /// All of them, by one look at the node.
    fn all(requests: &[&'a Request]) -> Vec<Asked<'a>> {
        let node = Node::default();
        let of = |request: &&'a Request| Asked::of(request, &node);
        requests.iter().map(of).collect()
    }

    /// Its plan, where it wants anything.
    fn wanted(&self) -> Option<backend::Job<'_>> {
        let (plan, config) = self.planned.as_ref().ok()?;
        (!plan.families.is_empty()).then_some((plan, config))
    }

    /// The same, where it can be written together with others.
    fn plain(&self) -> Option<backend::Job<'_>> {
        let is_plain = |(_, config): &backend::Job<'_>| backends::at_once(config).is_some();
        self.wanted().filter(is_plain)
    }
}

/// How each differs from its plan.
pub fn drifts(requests: &[&Request]) -> Vec<Result<Vec<Drift>, Error>> {
    let jobs = Asked::all(requests);
    let wanted: Vec<_> = jobs.iter().filter_map(Asked::wanted).collect();
    let seen = backends::observe(&wanted);
    let one = |job: Asked<'_>| {
        let (plan, config) = job.planned?;
        // What cannot be judged is shown by the commands that look at all rules.
        drifts_of_one(&seen, (&plan, &config), &Log::default())
    };
    jobs.into_iter().map(one).collect()
}

/// ADD of each, the last being the newest: in their order, so that it gets the ports it wants.
pub fn add(requests: &[&Request]) -> Vec<Result<(), Error>> {
    let jobs = Asked::all(requests);
    let alike = jobs.chunk_by(|one, next| one.plain().is_some() == next.plain().is_some());
    let chunks = alike.flat_map(|jobs| jobs.chunks(AT_ONCE));
    chunks.flat_map(add_chunk).collect()
}

fn add_chunk(jobs: &[Asked<'_>]) -> Vec<Result<(), Error>> {
    let plain: Vec<_> = jobs.iter().filter_map(Asked::plain).collect();
    if plain.len() == jobs.len() && write(&plain) {
        let finish = |(job, (plan, config)): (&Asked<'_>, &backend::Job<'_>)| {
            let log = &job.request.log;
            warn_of_unserved(plan, config, log);
            backends::leave_other(plan, config, log)?;
            let opened = open_loopback(plan, log).map(drop);
            forget(stale(plan, false, log), log);
            opened
        };
        return jobs.iter().zip(&plain).map(finish).collect();
    }
    let add = |job: &Asked<'_>| Portmap::add(job.request).map(Added::keep);
    jobs.iter().map(add).collect()
}

fn write(jobs: &[backend::Job<'_>]) -> bool {
    // A chain may have the plugin twice; nobody can wait for himself.
    let whose = jobs
        .iter()
        .map(|(plan, _)| entry::attachment(&plan.attachment));
    let whose: BTreeSet<Attachment> = whose.collect();
    let turn = |one| turn::of(one, Children::Hold);
    let turns: Result<Vec<Turn>, Error> = whose.iter().map(turn).collect();
    turns.is_ok_and(|_turns| backends::apply_all(jobs))
}
