//! One look: CHECK of the attachments, ADD where they have drifted; and what is still to be done after it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::cache::{Cache, Entry};
use common::{Attachment, Error, Operate};

use super::changes::Concern;
use super::report::{Line, shown};
use crate::owners::Owners;
use crate::plugins::{Plugin, of};
use crate::repair::{Outcome, confirm, run_by, tasks_by};
use crate::today::Configs;

/// How long after a failure the same is tried again: at first, and in the end. Soon at first, as somebody may
/// have removed again what was repaired before it was looked at.
const RETRY: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(60)];

/// A plugin's part in an attachment.
type Part = (Plugin, Attachment);

/// What looks at the attachments of a cache, and remembers what came of it.
#[derive(Debug)]
pub struct Looker {
    cache_dir: PathBuf,
    config_dir: Option<PathBuf>,
    grace: Duration,
    /// Repairs that stand if the runtime still has the attachments after the grace time.
    unconfirmed: Vec<Repair>,
    /// What could not be repaired, and why.
    failed: BTreeMap<Part, String>,
    /// What of the cache could not be read.
    unreadable: Vec<String>,
    /// When failures are tried again, and how long after the last try that is.
    retry: Option<(Instant, Duration)>,
}

#[derive(Debug)]
struct Repair {
    at: Instant,
    plugin: Plugin,
    entry: Entry,
    outcome: Outcome,
}

impl Looker {
    /// Of a cache, and of a directory where its configurations do not count. `grace` is how long a runtime
    /// may take for the rest of a DEL.
    pub fn new(cache_dir: PathBuf, config_dir: Option<PathBuf>, grace: Duration) -> Looker {
        Looker {
            cache_dir,
            config_dir,
            grace,
            unconfirmed: Vec::new(),
            failed: BTreeMap::new(),
            unreadable: Vec::new(),
            retry: None,
        }
    }

    /// When there is something to do even if nothing changes.
    pub fn due(&self) -> Option<Instant> {
        let confirm = self.unconfirmed.iter().map(|repair| repair.at);
        confirm.chain(self.retry.map(|(at, _)| at)).min()
    }

    /// Whose failures are to be tried again by now.
    pub fn retries(&self, now: Instant) -> Concern {
        let plugins: Vec<Plugin> = self.failed.keys().map(|(plugin, _)| *plugin).collect();
        match self.retry.is_some_and(|(at, _)| at <= now) {
            false => Concern::default(),
            true if plugins.is_empty() => Concern::all("a failure"),
            true => Concern::of(&plugins, "a failure"),
        }
    }

    /// Looks at the attachments of the plugins, and says in a line what was done or is not in order.
    pub fn look(&mut self, concern: &Concern, now: Instant) -> Line {
        let mut line = Line::default();
        // A try changes things, and so ends in another look.
        let is_try = self.retry.is_none_or(|(at, _)| at <= now);
        let unreadable = match self.read() {
            Ok((cache, configs)) => {
                let owners = Owners::of(&cache);
                for plugin in &concern.plugins {
                    self.look_at(*plugin, (&cache, &configs), &owners, is_try, &mut line);
                }
                let there: BTreeSet<&Attachment> = cache
                    .entries
                    .iter()
                    .map(|entry| &entry.attachment)
                    .collect();
                self.failed
                    .retain(|(_, attachment), _| there.contains(attachment));
                self.plan_retry(is_try, !self.failed.is_empty());
                cache.faults.iter().map(Error::to_string).collect()
            }
            Err(error) => {
                self.plan_retry(is_try, true);
                vec![error.to_string()]
            }
        };
        if unreadable != self.unreadable {
            line.failed.extend(unreadable.clone());
        }
        self.unreadable = unreadable;
        line
    }

    fn read(&self) -> Result<(Cache, Configs), Error> {
        let cache = Cache::read(&self.cache_dir)?;
        Ok((cache, Configs::given(self.config_dir.as_deref())?))
    }

    fn look_at(
        &mut self,
        plugin: Plugin,
        (cache, configs): (&Cache, &Configs),
        owners: &Owners<'_>,
        is_try: bool,
        line: &mut Line,
    ) {
        let held: BTreeSet<Attachment> = match is_try {
            true => BTreeSet::new(),
            false => self.failed.keys().map(|(_, one)| one.clone()).collect(),
        };
        for (entry, outcome) in of!(plugin, P => outcomes::<P>(cache, configs, &held)) {
            let part = (plugin, entry.attachment.clone());
            let what = shown(plugin, &owners.name(&entry.attachment), &outcome);
            match &outcome {
                Outcome::Drifted(_) => continue,
                Outcome::Failed(_) => {
                    if self.failed.insert(part, what.clone()).as_ref() != Some(&what) {
                        line.failed.push(what);
                    }
                }
                Outcome::Repaired(_) => {
                    self.failed.remove(&part);
                    line.repaired.push(what);
                }
                _ => drop(self.failed.remove(&part)),
            }
            if outcome.is_touched() {
                self.unconfirmed.push(Repair {
                    at: Instant::now() + self.grace,
                    plugin,
                    entry: entry.clone(),
                    outcome,
                });
            }
        }
    }

    fn plan_retry(&mut self, is_try: bool, has_failed: bool) {
        let [first, longest] = RETRY;
        self.retry = match (self.retry, has_failed) {
            (_, false) => None,
            (Some(planned), true) if !is_try => Some(planned),
            (planned, true) => {
                let after = planned.map_or(first, |(_, last)| longest.min(last * 2));
                Some((Instant::now() + after, after))
            }
        };
    }

    /// Looks again at what was repaired a grace time ago, and says in a line what is not so any more.
    pub fn confirm(&mut self, now: Instant) -> Option<String> {
        let mut line = Line::default();
        let is_due = |repair: &mut Repair| repair.at <= now;
        for repair in self.unconfirmed.extract_if(.., is_due) {
            let Repair {
                plugin,
                entry,
                outcome,
                ..
            } = repair;
            let found = of!(plugin, P => confirm::<P>(&entry, outcome.clone()));
            if found != outcome {
                let owner = entry.pod();
                let owner = owner.unwrap_or_else(|| crate::owners::name(&entry.attachment));
                line.confirmed(&found, shown(plugin, &owner, &found));
            }
        }
        line.after(&BTreeSet::new())
    }
}

/// What was found of each attachment, and repaired but for those that are held.
fn outcomes<'a, P: Operate>(
    cache: &'a Cache,
    configs: &Configs,
    held: &BTreeSet<Attachment>,
) -> Vec<(&'a Entry, Outcome)> {
    let mut tasks = tasks_by::<P>(cache, false, configs);
    for task in &mut tasks {
        task.is_dry = held.contains(&task.job.entry.attachment);
    }
    let outcomes = run_by::<P>(&tasks, cache, configs);
    let entries = tasks.iter().map(|task| task.job.entry);
    entries.zip(outcomes).collect()
}
