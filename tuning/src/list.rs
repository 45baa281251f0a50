//! The command `list`: what was changed, from what, and what it is now.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::cache::{Cache, Entry};
use common::cli::args::Args;
use common::cli::table::{Page, Table, Tone, column};
use common::cli::{CACHE_DIR, Command, Failure, JSON, document, object, print};
use common::decode::Object;
use common::json::Json;
use common::sys::file::{self, Content};
use common::sys::link::Link;
use common::sys::netns::{Netns, OpenError};
use common::{Attachment, Error};

use crate::backup::Backup;
use crate::kernel::{Container, Reading, read};
use crate::sysctl::Name;
use crate::{attribute, config};

/// The command.
pub const LIST: Command = Command {
    name: "list",
    arguments: "[--data-dir DIR]... [--cache-dir DIR] [--json]",
    about: "show what was changed, from what, and what it is now",
    options: &[
        (
            "--data-dir DIR",
            "where originals are kept (default: all configured)",
        ),
        CACHE_DIR,
        JSON,
    ],
    run,
};

/// One value that was changed.
struct Line {
    owner: Attachment,
    what: String,
    before: String,
    now: Option<String>,
}

fn run(mut args: Args) -> Result<u8, Failure> {
    let is_json = args.flag("--json");
    let dirs = args.values("--data-dir")?;
    let cache_dir = args.cache_dir()?;
    args.none()?;
    let cache = Cache::read(&cache_dir)?;
    let dirs = match dirs.is_empty() {
        true => data_dirs(&cache),
        false => dirs.into_iter().map(PathBuf::from).collect(),
    };
    let mut lines = Vec::new();
    for (owner, backup) in backups(&dirs, &cache)? {
        lines.extend(of_backup(&owner, &backup, cache.find_one(&owner))?);
    }
    let code = match is_json {
        true => print(&document([("changes", json(&lines))])),
        false => print(&text(&lines)),
    }?;
    // Of whom the cache cannot say, the present is not known, nor where else originals may be.
    match Error::all(cache.faults) {
        Some(error) => Err(error.into()),
        None => Ok(code),
    }
}

/// The owners of all backups.
///
/// # Errors
/// Code 5 with what could not be read.
pub fn owners(cache: &Cache) -> Result<Vec<Attachment>, Error> {
    let backups = backups(&data_dirs(cache), cache)?.into_iter();
    // Those of the reference name no network; GC leaves them alone, too.
    let owners = backups.map(|(owner, _)| owner);
    Ok(owners.filter(|owner| !owner.network.is_empty()).collect())
}

/// The usual directory, and those that configurations in the cache name.
fn data_dirs(cache: &Cache) -> BTreeSet<PathBuf> {
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

/// Every backup and whose it is. What is not said by the file is completed from the cache.
fn backups<'a>(
    dirs: impl IntoIterator<Item = &'a PathBuf>,
    cache: &Cache,
) -> Result<Vec<(Attachment, Backup)>, Error> {
    let mut all = Vec::new();
    for dir in dirs {
        for name in file::names(dir)?.unwrap_or_default() {
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

/// `CONTAINER_INTERFACE`: either may hold `_`, so the cache is asked first.
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

/// A line for each value that is not as it was; one whose container is gone has no present.
fn of_backup(
    owner: &Attachment,
    backup: &Backup,
    entry: Option<&Entry>,
) -> Result<Vec<Line>, Error> {
    let (sysctls, link) = match entry.map(|entry| Netns::open(Path::new(&entry.netns))) {
        Some(Ok(netns)) => netns.run(|| present(&owner.ifname, backup))?,
        Some(Err(OpenError::Unusable(error))) => return Err(error),
        _ => Present::default(),
    };
    let line = |what: String, before: String, now: Option<String>| Line {
        owner: owner.clone(),
        what,
        before,
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
    // The reference saves every attribute, also those that nobody changes.
    let is_change = |line: &Line| line.now.as_ref() != Some(&line.before);
    Ok(values.chain(attributes).filter(is_change).collect())
}

type Present = (Vec<Option<String>>, Option<Link>);

/// What the container has now, read from inside.
fn present(ifname: &str, backup: &Backup) -> Result<Present, Error> {
    let value = |(name, _): &(Name, String)| match read(name)? {
        Reading::Value(value) => Ok(Some(value)),
        Reading::WriteOnly | Reading::Unreadable(_) | Reading::Missing => Ok(None),
    };
    let sysctls = backup.originals.sysctls.iter().map(value);
    let sysctls = sysctls.collect::<Result<Vec<_>, Error>>()?;
    Ok((sysctls, Container::open(ifname)?.link()?))
}

fn text(lines: &[Line]) -> String {
    let mut table = Table::new([
        column("NETWORK").cut_to(7),
        column("CONTAINER").cut_to(9),
        column("IF").cut_to(4),
        column("CHANGED").cut_to(24),
        column("BEFORE").cut_to(8),
        column("NOW").cut_to(8),
    ]);
    for line in lines {
        let Attachment {
            network,
            container,
            ifname,
        } = line.owner.clone();
        let or_unknown = |text: String| if text.is_empty() { "?".into() } else { text };
        let cells = [
            or_unknown(network),
            container,
            ifname,
            line.what.clone(),
            line.before.clone(),
            line.now.clone().unwrap_or_else(|| "?".into()),
        ];
        table.row(Tone::Plain, cells);
    }
    table.text(Page::stdout())
}

fn json(lines: &[Line]) -> Json {
    let or_null = |text: &str| match text {
        "" => Json::Null,
        text => text.into(),
    };
    let one = |line: &Line| {
        object([
            ("network", or_null(&line.owner.network)),
            ("container", line.owner.container.as_str().into()),
            ("interface", line.owner.ifname.as_str().into()),
            ("what", line.what.as_str().into()),
            ("before", line.before.as_str().into()),
            ("now", line.now.as_deref().map_or(Json::Null, Json::from)),
        ])
    };
    Json::Array(lines.iter().map(one).collect())
}
