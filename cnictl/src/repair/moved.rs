//! What an attachment has of an earlier configuration, beside what today's wants.

use common::cache::Cache;
use common::{Attachment, Operate, Request};

use super::{Difference, Outcome, Task, what_became_of};

/// What is to go, and what became of that.
#[derive(Debug, Default)]
pub struct Move {
    /// What it is, if anything.
    pub what: Option<Difference>,
    /// Why it is still there, or may be.
    pub obstacle: Option<Outcome>,
}

/// What is to go of each task's attachment.
pub fn of<P: Operate>(tasks: &[Task<'_>], cache: &Cache) -> Vec<Move> {
    let parts: Vec<(&Attachment, &[Request])> = tasks
        .iter()
        .map(|task| (&task.job.entry.attachment, task.job.requests()))
        .collect();
    let one = |(answer, task): (Result<Vec<_>, _>, &Task<'_>)| match answer {
        // Nothing is reported of those that are not to be looked at.
        _ if task.job.obstacle.is_some() || task.job.requests.is_err() => Move::default(),
        Ok(drifts) if drifts.is_empty() => Move::default(),
        Ok(drifts) => Move {
            what: Some(Difference::of(&[], &drifts)),
            obstacle: None,
        },
        Err(error) => Move {
            what: None,
            obstacle: Some(Outcome::Failed(error)),
        },
    };
    P::leftovers(&parts, cache)
        .into_iter()
        .zip(tasks)
        .map(one)
        .collect()
}

impl Move {
    /// Removes it, unless nothing may be done.
    pub fn carry_out<P: Operate>(&mut self, task: &Task<'_>) {
        let Task { job, is_dry, .. } = task;
        if self.what.is_none() || *is_dry {
            return;
        }
        self.obstacle = what_became_of(job.entry);
        if self.obstacle.is_none() {
            let retired = P::retire(&job.former, job.requests());
            self.obstacle = retired.err().map(Outcome::Failed);
        }
    }
}
