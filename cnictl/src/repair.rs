//! Attachments of the cache: CHECK, ADD where they have drifted, and CHECK again.
//!
//! Each step is done for all of them before the next, so that a plugin can look once for all.

mod confirm;
mod job;
mod moved;
mod outcome;
mod tasks;

use std::collections::{BTreeMap, BTreeSet};

use common::cache::{Cache, Entry};
use common::drift::verdict;
use common::error::Error;
use common::{Attachment, Drift, Operate, Request};

use moved::Move;
use tasks::tasks_by;

use crate::finding::some;
use crate::plugins::show_warnings;
use crate::today::Configs;

pub use confirm::{confirm, put_right};
pub use job::{Job, what_became_of};
pub use outcome::{Difference, Outcome};
pub use tasks::{Task, tasks};

/// One request of a task: what CHECK said of it, and then what ADD and CHECK said.
struct Step<'a> {
    /// The place of its task.
    task: usize,
    entry: &'a Entry,
    request: &'a Request,
    /// What newer attachments have of its attachment.
    taken: &'a BTreeSet<String>,
    /// Whether they have it.
    is_behind: bool,
    may_change: bool,
    drift: Option<Difference>,
    /// Why CHECK could not tell; its drift says so, too, as ADD may repair that.
    unknown: Option<Error>,
    /// Why it was not repaired.
    obstacle: Option<Outcome>,
}

/// How many attachments are repaired between two looks at their files.
const AT_ONCE: usize = 100;

/// Repairs the attachments, or only reports what is wrong with them; oldest first.
pub fn run<P: Operate>(tasks: &[Task<'_>]) -> Vec<Outcome> {
    put_right_all::<P>(tasks, &mut [])
}

/// What was found of each attachment by given configurations, and what became of it: it is repaired
/// unless it is held, and what it has of the cache's configurations beside those that count is removed.
pub fn outcomes<'a, P: Operate>(
    cache: &'a Cache,
    configs: &Configs,
    is_held: impl Fn(&Attachment) -> bool,
) -> Vec<(&'a Entry, Outcome)> {
    let mut tasks = tasks_by::<P>(cache, false, configs);
    for task in &mut tasks {
        task.is_dry = is_held(&task.job.entry.attachment);
    }
    let mut moves = match configs.is_of_today() {
        true => moved::of::<P>(&tasks, cache),
        false => Vec::new(),
    };
    let outcomes = put_right_all::<P>(&tasks, &mut moves);
    let entries = tasks.iter().map(|task| task.job.entry);
    entries.zip(outcomes).collect()
}

fn put_right_all<P: Operate>(tasks: &[Task<'_>], moves: &mut [Move]) -> Vec<Outcome> {
    let mut steps = steps(tasks);
    let mut todo: Vec<&mut Step<'_>> = steps.iter_mut().collect();
    each(&mut todo, P::drifts, |step, drifts| {
        step.drift = match drifts.map(|drifts| step.own(drifts)) {
            Ok(drifts) if drifts.is_empty() => None,
            Ok(drifts) => Some(Difference::of(&P::names(step.request), &drifts)),
            Err(error) => Some(Difference::unknown(step.unknown.insert(error))),
        };
    });
    come_after::<P>(tasks, &mut todo);
    todo.retain(|step| step.drift.is_some() && step.may_change);
    for some in todo.chunks_mut(AT_ONCE) {
        let mut present: Vec<&mut Step<'_>> = some.iter_mut().map(|step| &mut **step).collect();
        present.retain_mut(|step| step.is_wanted());
        each(&mut present, P::add_all, |step, done| {
            show_warnings::<P>(step.request);
            step.obstacle = done.err().map(Outcome::Failed);
        });
    }
    todo.retain(|step| step.obstacle.is_none());
    each(&mut todo, P::drifts, |step, drifts| {
        let drifts = drifts.map(|drifts| step.own(drifts));
        let verdict = drifts.and_then(|drifts| verdict(&step.entry.attachment, &drifts));
        step.obstacle = verdict.err().map(Outcome::Failed);
    });
    for (place, (one, task)) in moves.iter_mut().zip(tasks).enumerate() {
        let its = of_task(&steps, place);
        let is_hindered = its.iter().any(|step| step.obstacle.is_some());
        if !is_hindered && !task.is_left_alone(its) {
            one.carry_out::<P>(task);
        }
    }
    let outcome = |(place, task): (usize, &Task<'_>)| {
        let its = of_task(&steps, place);
        task.outcome(its, moves.get(place))
    };
    tasks.iter().enumerate().map(outcome).collect()
}

/// ADD of an attachment takes what it claims, also what newer ones have: they are added again after it.
fn come_after<P: Operate>(tasks: &[Task<'_>], steps: &mut [&mut Step<'_>]) {
    let is_changed = |step: &&&mut Step<'_>| step.drift.is_some() && step.may_change;
    let changed = steps.iter().filter(is_changed);
    let mut changed: BTreeMap<usize, Option<usize>> =
        changed.map(|step| (step.task, None)).collect();
    for (place, task) in tasks.iter().enumerate() {
        if changed.contains_key(&place) {
            for newer in &task.newer {
                changed.entry(*newer).or_insert(Some(place));
            }
        }
    }
    for step in steps.iter_mut().filter(|step| step.drift.is_none()) {
        let older = changed.get(&step.task).copied().flatten();
        if let Some(older) = older
            .and_then(|older| tasks.get(older))
            .filter(|_| step.may_change)
        {
            let names = P::names(step.request);
            let text = format!("again before {}", older.job.entry.attachment);
            step.drift = Some(Difference {
                line: format!("{}: {text}", some(&names)),
                whole: text,
            });
        }
    }
}

impl Step<'_> {
    /// The drifts that are its own: what newer attachments have is theirs.
    fn own(&mut self, drifts: Vec<Drift>) -> Vec<Drift> {
        let is_own = |drift: &Drift| {
            let taken = drift.taken.as_ref();
            !taken.is_some_and(|what| self.taken.contains(what))
        };
        let (own, theirs): (Vec<Drift>, Vec<Drift>) = drifts.into_iter().partition(is_own);
        self.is_behind |= !theirs.is_empty();
        own
    }

    /// Whether the runtime still has the attachment as it was when it was checked.
    fn is_wanted(&mut self) -> bool {
        self.obstacle = what_became_of(self.entry);
        self.obstacle.is_none()
    }
}

fn steps<'a>(tasks: &'a [Task<'_>]) -> Vec<Step<'a>> {
    let of = |(task, one): (usize, &'a Task<'_>)| {
        one.job.requests().iter().map(move |request| Step {
            task,
            entry: one.job.entry,
            request,
            taken: &one.taken,
            is_behind: false,
            may_change: !one.is_dry,
            drift: None,
            unknown: None,
            obstacle: None,
        })
    };
    tasks.iter().enumerate().flat_map(of).collect()
}

/// The steps of the task at a place. They are in the order of the tasks.
fn of_task<'s, 'a>(steps: &'s [Step<'a>], place: usize) -> &'s [Step<'a>] {
    let first = steps.partition_point(|step| step.task < place);
    let end = steps.partition_point(|step| step.task <= place);
    steps.get(first..end).unwrap_or_default()
}

/// Requests all steps at once, and hands each its answer.
fn each<T>(
    steps: &mut [&mut Step<'_>],
    ask: impl Fn(&[&Request]) -> Vec<Result<T, Error>>,
    take: impl Fn(&mut Step<'_>, Result<T, Error>),
) {
    let requests: Vec<&Request> = steps.iter().map(|step| step.request).collect();
    let answers = ask(&requests);
    for (step, answer) in steps.iter_mut().zip(answers) {
        take(step, answer);
    }
}

impl Task<'_> {
    /// Whether newer attachments have all that it claims, and nothing else differs: nothing was written.
    fn is_left_alone(&self, steps: &[Step<'_>]) -> bool {
        let is_behind = steps.iter().any(|step| step.is_behind);
        self.is_superseded && is_behind && steps.iter().all(|step| step.drift.is_none())
    }

    fn outcome(&self, steps: &[Step<'_>], moved: Option<&Move>) -> Outcome {
        match (&self.job.obstacle, &self.job.requests) {
            (Some(obstacle), _) => return obstacle.clone(),
            (None, Err(error)) => return Outcome::Failed(error.clone()),
            (None, Ok(_)) => {}
        }
        let mut obstacles = steps.iter().filter_map(|step| step.obstacle.clone());
        let obstacle = obstacles.next();
        if let Some(obstacle) = obstacle.or_else(|| moved?.obstacle.clone()) {
            return obstacle;
        }
        let mut unknown = steps.iter().filter_map(|step| step.unknown.clone());
        if let Some(error) = unknown.next().filter(|_| self.is_dry) {
            return Outcome::Failed(error);
        }
        let drifts = steps.iter().filter_map(|step| step.drift.as_ref());
        // Where nothing serves, nothing is moved.
        let is_left_alone = self.is_left_alone(steps);
        let moved = moved.filter(|_| !is_left_alone);
        let drifts = drifts.chain(moved.and_then(|moved| moved.what.as_ref()));
        let drifts: Vec<&Difference> = drifts.collect();
        match (Difference::join(&drifts), self.is_dry) {
            (None, _) if is_left_alone => Outcome::Superseded,
            (None, _) => Outcome::InOrder,
            (Some(what), true) => Outcome::Drifted(what),
            (Some(what), false) => Outcome::Repaired(what),
        }
    }
}
