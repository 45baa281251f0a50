//! What was changed, from what, and what it is now, for the tool for people.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::cache::{Cache, Entry};
use common::decode::Object;
use common::json::Json;
use common::sys::file::{self, Content};
use common::sys::link::Link;
use common::sys::netns::Netns;
use common::{Attachment, Error, Request};

use crate::backup::{self, Backup};
use crate::change::Step;
use crate::observe::{self, Container, Reading, Seen, read};
use crate::offload::ends;
use crate::sysctl::Name;
use crate::{attribute, config};

/// One value that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose container it is in; the network is empty where the reference made the backup and the cache
    /// does not know it.
    pub owner: Attachment,
    /// The sysctl, in the form of a path below /proc/sys, or the attribute of the link.
    pub what: String,
    /// Its value before ADD; not known where no backup has it.
    pub before: Option<String>,
    /// The value of the attachment's plan, where it is not that now.
    pub wanted: Option<String>,
    /// Its value now, if it can be read.
    pub now: Option<String>,
}

impl Change {
    /// A value of an attachment's plan that the kernel does not have.
    pub fn missing(request: &Request, step: Step) -> Option<Change> {
        let drift = step.drift?;
        let what = step
            .change
            .map_or("interface".into(), |change| change.what());
        Some(Change {
            owner: request.attachment.clone(),
            what,
            before: None,
            wanted: Some(drift.expected),
            now: Some(drift.actual),
        })
    }
}

/// What was looked at: every value that was changed, and what could not be read of those.
#[derive(Debug, Default)]
pub struct Changes {
    /// The values, also those of which it is not known what they are now.
    pub values: Vec<Change>,
    /// What could not be read in containers.
    pub errors: Vec<Error>,
}

/// Every value that was changed.
///
/// # Errors
/// Code 5 with what could not be read of the backups.
pub fn changes(dirs: &BTreeSet<PathBuf>, cache: &Cache) -> Result<Changes, Error> {
    let mut changes = Changes::default();
    let index = cache.index();
    for (owner, backup) in backups(dirs, cache)? {
        let now = index.find_one(&owner).map(|entry| now(entry, &backup));
        let now = now.unwrap_or(Ok(Present::default()));
        let present = now.unwrap_or_else(|error| {
            changes.errors.push(error);
            Present::default()
        });
        changes.values.extend(of_backup(&owner, &backup, &present));
    }
    Ok(changes)
}

/// The owners of all backups.
///
/// # Errors
/// Code 5 with what could not be read.
pub(crate) fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
    let backups = backups(&data_dirs(cache), cache)?.into_iter();
    // Those of the reference name no network.
    Ok(backups.map(|(owner, _)| owner).collect())
}

/// The usual directory, and those that configurations in the cache name.
pub fn data_dirs(cache: &Cache) -> BTreeSet<PathBuf> {
    let configured = cache.entries.iter().filter_map(|entry| {
        let Ok(Json::Object(fields)) = Json::parse(&entry.config) else {
            return None;
        };
        let list = Object::root(&fields);
        let plugins = list.list("plugins").ok()?;
        let of = |plugin: &common::decode::Value<'_>| {
            let plugin = plugin.object().ok()?;
            let kind = plugin.string("type").ok()??;
            (kind == "tuning").then(|| config::data_dir(plugin).ok())?
        };
        Some(plugins.iter().filter_map(of).collect::<Vec<_>>())
    });
    let mut dirs: BTreeSet<PathBuf> = configured.flatten().collect();
    dirs.insert(config::default_data_dir());
    dirs
}

/// Every backup and its owner. What is not said by the file is completed from the cache.
fn backups<'a>(
    dirs: impl IntoIterator<Item = &'a PathBuf>,
    cache: &Cache,
) -> Result<Vec<(Attachment, Backup)>, Error> {
    let mut all = Vec::new();
    for dir in dirs {
        for name in backup::names(dir)? {
            let stem = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let Some(stem) = stem.filter(|stem| !stem.starts_with('.')) else {
                continue;
            };
            if let Content::Bytes(bytes) = file::read_state(&dir.join(&name))? {
                let (backup, _) = Backup::parse(&bytes);
                let owner = backup.owner.clone();
                all.push((owner.unwrap_or_else(|| guess(stem, cache)), backup));
            }
        }
    }
    Ok(all)
}

/// `CONTAINER_INTERFACE`: either may hold `_`, so the cache is consulted first.
fn guess(name: &str, cache: &Cache) -> Attachment {
    let known = cache.entries.iter().map(|entry| &entry.attachment);
    let mut known = known.filter(|known| name == format!("{}_{}", known.container, known.ifname));
    if let Some(known) = known.next() {
        return known.clone();
    }
    let (container, ifname) = name.rsplit_once('_').unwrap_or((name, ""));
    Attachment {
        network: String::new(),
        container: container.to_owned(),
        ifname: ifname.to_owned(),
    }
}

/// What the container has now; nothing where its namespace is gone.
fn now(entry: &Entry, backup: &Backup) -> Result<Present, Error> {
    match Netns::open_if_there(Path::new(&entry.netns))? {
        Some(netns) => present(&netns, &entry.attachment.ifname, backup),
        None => Ok(Present::default()),
    }
}

fn of_backup(owner: &Attachment, backup: &Backup, (sysctls, link, ends): &Present) -> Vec<Change> {
    let line = |what: String, before: String, now: Option<String>| Change {
        owner: owner.clone(),
        what,
        before: Some(before),
        wanted: None,
        now,
    };
    let attributes = backup.originals.link.iter().map(|change| {
        let now = link
            .as_ref()
            .and_then(|link| attribute::present(link, *change));
        let name = attribute::name(*change).to_owned();
        line(name, attribute::value(*change), now.map(attribute::value))
    });
    let values = backup.originals.sysctls.iter().enumerate();
    let values = values.map(|(index, (name, before))| {
        let now = sysctls.get(index).cloned().flatten();
        line(name.text(), before.clone(), now)
    });
    let offloads = backup.originals.offloads.iter().map(|(side, value)| {
        let words = |on| if on { "on" } else { "off" }.to_owned();
        let end = ends.iter().find(|seen| seen.side == *side);
        let now = end.and_then(|seen| seen.features.iter().find(|f| f.name == value.name));
        let what = format!("{} {}", side.key(), value.name);
        line(what, words(value.on), now.map(|now| words(now.wanted)))
    });
    // The reference saves every attribute, also those that nobody changes.
    let is_change = |change: &Change| change.now != change.before;
    let all = values.chain(attributes).chain(offloads);
    all.filter(is_change).collect()
}

type Present = (Vec<Option<String>>, Option<Link>, Vec<Seen>);

/// What the container has now.
fn present(netns: &Netns, ifname: &str, backup: &Backup) -> Result<Present, Error> {
    let value = |(name, _): &(Name, String)| match read(name)? {
        Reading::Value(value) => Ok(Some(value)),
        Reading::WriteOnly | Reading::Unreadable(_) | Reading::Missing => Ok(None),
    };
    let sysctls = backup.originals.sysctls.iter().map(value);
    let mut ends = ends::open(netns, ifname, &backup.originals.sides())?;
    netns.run(|| {
        let sysctls = sysctls.collect::<Result<_, Error>>()?;
        let link = Container::open(ifname)?.link()?;
        Ok((sysctls, link, observe::seen(&mut ends)?))
    })
}
