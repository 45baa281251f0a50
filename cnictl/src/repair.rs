//! Attachments of the cache: CHECK, ADD where they have drifted, and CHECK again.
//!
//! Each step is done for all of them before the next, so that a plugin can look once for all.

mod moved;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::time::SystemTime;

use common::cache::{Cache, Entry};
use common::drift::{in_a_line, verdict};
use common::error::{Code, Error};
use common::operate::Claim;
use common::sys::netns::{self, Netns, OpenError};
use common::{Attachment, Drift, Operate, Request};

use moved::Move;

use crate::finding::some;
use crate::plugins::show_warnings;
use crate::requests::{netns_of, requests, requests_by};
use crate::today::Configs;

/// How an attachment was found, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As ADD left it.
    InOrder,
    /// Not as ADD left it: what differs. Nothing was done.
    Drifted(Difference),
    /// Not as ADD left it: what differed. It is now.
    Repaired(Difference),
    /// Deleted by the runtime meanwhile: it was not repaired, or the repair was rolled back.
    Deleted,
    /// Added again by the runtime before it was repaired: it is as that ADD left it.
    Renewed,
    /// Newer attachments have taken all that it claims: it is left to them.
    Superseded,
    /// Its namespace is gone: there is nothing to repair.
    Gone,
    /// It is not, or may not be, as ADD left it: why.
    Failed(Error),
}

/// How an attachment differs from its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// In short: `8080/tcp: chain and 6 rules missing`.
    pub line: String,
    /// Everything.
    pub whole: String,
}

impl Difference {
    /// Of drifts, of something that may have names.
    fn of(names: &[String], drifts: &[Drift]) -> Difference {
        let whole: Vec<String> = drifts.iter().map(Drift::to_string).collect();
        let mut line = in_a_line(drifts);
        if !names.is_empty() {
            line = format!("{}: {line}", some(names));
        }
        let whole = whole.join("; ");
        Difference { line, whole }
    }

    /// Of a CHECK that failed, perhaps for something that ADD repairs, such as a table that is gone.
    fn unknown(error: &Error) -> Difference {
        Difference {
            line: error.to_string(),
            whole: error.to_string(),
        }
    }

    fn join(all: &[&Difference]) -> Option<Difference> {
        let join = |text: fn(&Difference) -> &str| {
            let texts: Vec<&str> = all.iter().map(|one| text(one)).collect();
            texts.join("; ")
        };
        (!all.is_empty()).then(|| Difference {
            line: join(|one| &one.line),
            whole: join(|one| &one.whole),
        })
    }
}

impl Outcome {
    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::InOrder => "ok",
            Outcome::Drifted(_) => "drifted",
            Outcome::Repaired(_) => "repaired",
            Outcome::Deleted => "deleted",
            Outcome::Renewed => "renewed",
            Outcome::Superseded => "superseded",
            Outcome::Gone => "gone",
            Outcome::Failed(_) => "failed",
        }
    }

    /// Whether the kernel's state may have been changed.
    pub fn is_touched(&self) -> bool {
        matches!(self, Outcome::Repaired(_) | Outcome::Failed(_))
    }

    /// The rest.
    pub fn details(&self) -> String {
        match self {
            Outcome::InOrder => String::new(),
            Outcome::Drifted(what) | Outcome::Repaired(what) => what.whole.clone(),
            Outcome::Deleted => "deleted by the runtime meanwhile".into(),
            Outcome::Renewed => "added again by the runtime meanwhile".into(),
            Outcome::Superseded => "newer attachments have what it claims".into(),
            Outcome::Gone => "the network namespace is gone".into(),
            Outcome::Failed(error) => error.to_string(),
        }
    }

    /// The rest in short.
    pub fn line(&self) -> String {
        match self {
            Outcome::Drifted(what) | Outcome::Repaired(what) => what.line.clone(),
            other => other.details(),
        }
    }
}

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
    fn requests(&self) -> &[Request] {
        match (&self.obstacle, &self.requests) {
            (None, Ok(requests)) => requests,
            _ => &[],
        }
    }
}

/// A job, and whether it is only to be looked at.
pub struct Task<'a> {
    /// The job.
    pub job: Job<'a>,
    /// Whether nothing may be done.
    pub is_dry: bool,
    /// Whether newer attachments have all that it claims.
    pub is_superseded: bool,
    /// What newer attachments have of it, as [`Claim::what`].
    taken: BTreeSet<String>,
    /// The places of the next and of the newest of those attachments, for each.
    newer: BTreeSet<usize>,
}

/// The attachments whose networks have the plugin, oldest first, as the runtime made them: so the newest
/// has the last word again.
pub fn tasks<P: Operate>(cache: &Cache, is_dry: bool) -> Vec<Task<'_>> {
    tasks_by::<P>(cache, is_dry, &Configs::default())
}

/// The same by given configurations.
fn tasks_by<'a, P: Operate>(cache: &'a Cache, is_dry: bool, configs: &Configs) -> Vec<Task<'a>> {
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
            let covers = |(_, other): &&(usize, &Claim)| other.covers(claim);
            // The next one has the next: not all are noted for each, as thousands may claim one port.
            let ends = [newer.iter().find(covers), newer.iter().rfind(covers)];
            let ends = ends.into_iter().flatten();
            ends.map(|(other, _)| *other).collect::<BTreeSet<_>>()
        };
        job.claims.iter().map(who_has).collect::<Vec<_>>()
    };
    let newer: Vec<Vec<BTreeSet<usize>>> = jobs.iter().enumerate().map(newer).collect();
    let task = |(job, newer): (Job<'a>, Vec<BTreeSet<usize>>)| {
        let claims = job.claims.iter().zip(&newer);
        let taken = claims.filter(|(_, newer)| !newer.is_empty());
        let taken: BTreeSet<String> = taken.map(|(claim, _)| claim.what.clone()).collect();
        Task {
            is_superseded: !newer.is_empty() && newer.iter().all(|newer| !newer.is_empty()),
            newer: newer.into_iter().flatten().collect(),
            taken,
            job,
            is_dry,
        }
    };
    jobs.into_iter().zip(newer).map(task).collect()
}

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
            Err(error) => Some(Difference::unknown(&error)),
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
    for (place, one) in moves.iter_mut().enumerate() {
        let is_hindered = |step: &Step<'_>| step.task == place && step.obstacle.is_some();
        if let Some(task) = tasks.get(place)
            && !steps.iter().any(is_hindered)
            && !task.is_left_alone(steps.iter().filter(|step| step.task == place))
        {
            one.carry_out::<P>(task);
        }
    }
    let outcome = |(place, task): (usize, &Task<'_>)| {
        let steps: Vec<&Step<'_>> = steps.iter().filter(|step| step.task == place).collect();
        task.outcome(&steps, moves.get(place))
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

/// What the runtime did with an attachment since the cache was read, if anything.
pub fn what_became_of(entry: &Entry) -> Option<Outcome> {
    match Entry::read(&entry.file) {
        Ok(Some(now)) if now == *entry => None,
        Ok(Some(_)) => Some(Outcome::Renewed),
        Ok(None) => Some(Outcome::Deleted),
        Err(error) => Some(Outcome::Failed(error)),
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
            obstacle: None,
        })
    };
    tasks.iter().enumerate().flat_map(of).collect()
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
    fn is_left_alone<'a>(&self, mut steps: impl Iterator<Item = &'a Step<'a>> + Clone) -> bool {
        let is_behind = steps.clone().any(|step| step.is_behind);
        self.is_superseded && is_behind && steps.all(|step| step.drift.is_none())
    }

    fn outcome(&self, steps: &[&Step<'_>], moved: Option<&Move>) -> Outcome {
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
        let drifts = steps.iter().filter_map(|step| step.drift.as_ref());
        // Where nothing serves, nothing is moved.
        let is_left_alone = self.is_left_alone(steps.iter().copied());
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

/// What is true of a repair after a while. The runtime forgets an attachment after the DEL of its whole
/// chain, so a repair may come between the plugin's own DEL and that.
pub fn confirm<P: Operate>(entry: &Entry, outcome: Outcome) -> Outcome {
    if !outcome.is_touched() {
        return outcome;
    }
    match Entry::read(&entry.file) {
        Ok(Some(now)) if now == *entry => outcome,
        Ok(Some(now)) => renewed::<P>(&now),
        Ok(None) => match (requests::<P>(entry), &outcome) {
            // What cannot be read was not carried out.
            (Err(_), Outcome::Failed(_)) => outcome,
            _ => take_back::<P>(entry),
        },
        Err(error) => Outcome::Failed(error),
    }
}

/// The repair of what the runtime had before may have come after its new ADD.
fn renewed<P: Operate>(now: &Entry) -> Outcome {
    put_right::<P>(now).unwrap_or_else(|| take_back::<P>(now))
}

/// Repairs one attachment; `None` when the plugin is not in its network's chain.
pub fn put_right<P: Operate>(entry: &Entry) -> Option<Outcome> {
    let task = Task {
        job: Job::of::<P>(entry, &Configs::default())?,
        is_dry: false,
        is_superseded: false,
        taken: BTreeSet::new(),
        newer: BTreeSet::new(),
    };
    run::<P>(&[task]).pop()
}

fn take_back<P: Operate>(entry: &Entry) -> Outcome {
    let taken_back = requests::<P>(entry).and_then(|requests| {
        let mut errors = Vec::new();
        for request in &requests {
            errors.extend(P::remove(request).err());
            show_warnings::<P>(request);
        }
        Error::all(errors).map_or(Ok(()), Err)
    });
    match taken_back {
        Ok(()) => Outcome::Deleted,
        Err(error) => Outcome::Failed(error),
    }
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
