//! One look: CHECK of the attachments, ADD where they have drifted; and what is still to be done after it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::cache::{Cache, Entry};
use common::{Attachment, Error};

use super::Follow;
use super::again::{Again, Failures};
use super::changes::Concern;
use super::late::{Late, Names};
use super::report::{Line, shown};
use crate::owners::{self, Owners};
use crate::plugins::{Plugin, of};
use crate::record::Record;
use crate::repair::{Outcome, confirm, outcomes};
use crate::today::Configs;

/// How soon a repair is looked at again whose taking back failed.
const SOONEST: Duration = Duration::from_secs(1);

/// Causes of looks that are not changes.
const FAILURE: &str = "a failure";
const UNDER_WAY: &str = "an ADD that was under way";

/// A plugin's part in an attachment.
type Part = (Plugin, Attachment);

/// What looks at the attachments of a cache, and remembers what came of it.
#[derive(Debug)]
pub struct Looker {
    cache_dir: PathBuf,
    config_dir: Option<PathBuf>,
    state_dir: PathBuf,
    grace: Duration,
    /// Repairs that stay if the runtime still has the attachments after the grace time: the last of each.
    unconfirmed: BTreeMap<Part, Repair>,
    /// What could not be repaired, and why.
    failed: BTreeMap<Part, String>,
    /// What of the cache could not be read: attachments that are not seen.
    unreadable: Vec<String>,
    again: Again,
    late: Late,
}

#[derive(Debug)]
struct Repair {
    at: Instant,
    entry: Entry,
    outcome: Outcome,
    /// What was reported of an attempt to take it back.
    reported: Option<String>,
}

/// What is looked at.
struct Seen {
    /// The names of the cache's files, read first: a file that comes between counts as new.
    names: Names,
    cache: Cache,
    configs: Configs,
}

impl Looker {
    /// Of what is followed.
    pub fn new(follow: Follow) -> Looker {
        Looker {
            cache_dir: follow.cache_dir,
            config_dir: follow.config_dir,
            state_dir: follow.state_dir,
            grace: follow.grace,
            unconfirmed: BTreeMap::new(),
            failed: BTreeMap::new(),
            unreadable: Vec::new(),
            again: Again::default(),
            late: Late::default(),
        }
    }

    /// When there is something to do even if nothing changes.
    pub fn due(&self) -> Option<Instant> {
        let confirm = self.unconfirmed.values().map(|repair| repair.at).min();
        let all = [confirm, self.again.due(), self.late.due()];
        all.into_iter().flatten().min()
    }

    /// Who is to be looked at by now though nothing has changed, handed out once: where something failed,
    /// and where the cache has what it did not have at the last change.
    pub fn retries(&mut self, now: Instant) -> Concern {
        let mut concern = Concern::of(self.again.take(now), FAILURE);
        let late = self.late.take(now, || names(&self.cache_dir));
        concern.add(Concern::of(late, UNDER_WAY));
        concern
    }

    /// Forgets what failed: it is tried again, and reported again.
    pub fn forget_failures(&mut self) {
        self.failed.clear();
        self.unreadable.clear();
        self.again = Again::default();
    }

    /// Looks at the attachments of the plugins, and says in a line what was done or is not in order.
    pub fn look(&mut self, concern: &Concern, now: Instant) -> Line {
        let mut line = Line::default();
        let seen = self.read();
        let unreadable: Vec<String> = match &seen {
            Ok(seen) => seen.cache.faults.iter().map(Error::to_string).collect(),
            Err(error) => vec![error.to_string()],
        };
        if unreadable != self.unreadable {
            line.failed.extend(unreadable.clone());
        }
        let has_news = !line.failed.is_empty();
        self.unreadable = unreadable;
        for plugin in &concern.plugins {
            let is_new = has_news
                | seen
                    .as_ref()
                    .is_ok_and(|seen| self.look_at(*plugin, seen, now, &mut line));
            let found = match (is_new, self.has_failed(*plugin)) {
                (true, _) => Failures::New,
                (false, true) => Failures::Known,
                (false, false) => Failures::None,
            };
            self.again.looked(*plugin, (now, Instant::now()), found);
        }
        let is_change = |cause: &String| ![FAILURE, UNDER_WAY].contains(&cause.as_str());
        if concern.causes.iter().any(is_change) {
            let names = seen.map(|seen| seen.names).unwrap_or_default();
            for plugin in &concern.plugins {
                self.late.plan(*plugin, now + self.grace, names.clone());
            }
        }
        line
    }

    fn read(&self) -> Result<Seen, Error> {
        Ok(Seen {
            names: names(&self.cache_dir)?,
            cache: Cache::read(&self.cache_dir)?,
            configs: Configs::given(self.config_dir.as_deref())?,
        })
    }

    /// Whether a plugin's part in any attachment is not in order, as far as is known.
    fn has_failed(&self, plugin: Plugin) -> bool {
        !self.unreadable.is_empty() || self.failed.keys().any(|(of, _)| *of == plugin)
    }

    /// Attachments in which nothing of a plugin is touched in a look: what it could not repair waits for
    /// the next try. A try changes things, and so ends in another look.
    fn held(&self, plugin: Plugin, now: Instant) -> BTreeSet<Attachment> {
        let failed = self.failed.keys().filter(|(of, _)| *of == plugin);
        match self.again.is_try(plugin, now) {
            true => BTreeSet::new(),
            false => failed.map(|(_, attachment)| attachment.clone()).collect(),
        }
    }

    /// Looks at a plugin's parts, and says whether any failed that had not.
    fn look_at(&mut self, plugin: Plugin, seen: &Seen, now: Instant, line: &mut Line) -> bool {
        let owners = Owners::of(&seen.cache);
        let held = self.held(plugin, now);
        let is_held = |attachment: &Attachment| held.contains(attachment);
        let start = Instant::now();
        let found = of!(plugin, P => outcomes::<P>(&seen.cache, &seen.configs, is_held));
        let record = Record::of(found.iter().map(|(_, outcome)| outcome), start.elapsed());
        let mut is_new = false;
        let mut there = BTreeSet::new();
        for (entry, outcome) in found {
            let part = (plugin, entry.attachment.clone());
            there.insert(&entry.attachment);
            let what = shown(plugin, &owners.name(&entry.attachment), &outcome);
            match &outcome {
                Outcome::Drifted(_) => continue,
                // It was reported when it failed, and is tried again later.
                Outcome::Failed(_) if is_held(&entry.attachment) => continue,
                Outcome::Failed(_) => {
                    let before = self.failed.insert(part.clone(), what.clone());
                    is_new |= before.is_none();
                    if before.as_ref() != Some(&what) {
                        line.failed.push(what);
                    }
                }
                Outcome::Repaired(_) => {
                    self.failed.remove(&part);
                    line.repaired.push(what);
                    line.repaired_by.insert(plugin);
                }
                other => {
                    self.failed.remove(&part);
                    if *other == Outcome::Gone {
                        line.gone.insert(entry.attachment.clone());
                    }
                }
            }
            if outcome.is_touched() {
                let repair = Repair {
                    at: Instant::now() + self.grace,
                    entry: entry.clone(),
                    outcome,
                    reported: None,
                };
                self.unconfirmed.insert(part, repair);
            }
        }
        // What is not there is gone, unless it is what could not be read.
        if seen.cache.faults.is_empty() {
            self.failed
                .retain(|(of, attachment), _| *of != plugin || there.contains(attachment));
        }
        if line.repaired_by.contains(&plugin) {
            record.keep(&self.state_dir, plugin);
        }
        is_new
    }

    /// Looks again at what was repaired a grace time ago, and reports in a line what is no longer so.
    pub fn confirm(&mut self, now: Instant) -> Option<String> {
        let mut line = Line::default();
        let due = self
            .unconfirmed
            .extract_if(.., |_, repair| repair.at <= now);
        let due: Vec<(Part, Repair)> = due.collect();
        for (part, mut repair) in due {
            let Repair { entry, outcome, .. } = &repair;
            let found = of!(part.0, P => confirm::<P>(entry, outcome.clone()));
            if found == *outcome {
                continue;
            }
            let owner = entry.pod();
            let owner = owner.unwrap_or_else(|| owners::name(&entry.attachment));
            let what = shown(part.0, &owner, &found);
            let is_known = repair.reported.as_ref() == Some(&what);
            if !is_known {
                line.confirmed(&found, what.clone());
            }
            if let Outcome::Failed(_) = found {
                repair.at = now + self.grace.max(SOONEST);
                repair.reported = Some(what);
                self.unconfirmed.insert(part, repair);
            }
        }
        line.after(&BTreeSet::new())
    }
}

/// The names of the cache's files.
fn names(cache_dir: &Path) -> Result<Names, Error> {
    let names = Cache::names(cache_dir)?.unwrap_or_default();
    Ok(names.into_iter().collect())
}

#[cfg(test)]
mod tests;
