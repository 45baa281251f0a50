//! `gc`: what the verb GC does, with the runtime's cache as the list of valid attachments.
//!
//! A runtime writes an attachment into its cache after the ADD of the whole chain. What is new and not
//! in the cache may be on its way there, so whatever is to be removed must be missing for a while.

use std::thread;
use std::time::Duration;

use super::args::Args;
use super::networks::requests;
use super::table::{Page, Table, Tone, column};
use super::{CACHE_DIR, Command, Failure, JSON, document, object, print, show_warnings};
use crate::attachment::{Attachment, is_valid_name};
use crate::cache::{Cache, DEFAULT_DIR};
use crate::error::{Code, Error};
use crate::json::{Fields, Json};
use crate::netconf::Unversioned;
use crate::plugin::Plugin;
use crate::request::{Environment, Request};

/// How long something must be missing in the cache, in seconds.
const GRACE: u64 = 10;

/// The command.
pub fn command<P: Plugin>() -> Command {
    Command {
        name: "gc",
        arguments: "[--dry-run] [--network NAME]... [--cache-dir DIR] [--json]",
        about: "remove what no attachment of the runtime's cache owns",
        options: &[
            ("--dry-run", "only say what would be removed"),
            (
                "--network NAME",
                "also of a network that the cache does not know",
            ),
            (
                "--grace SECONDS",
                "how long it must be missing in the cache (default 10)",
            ),
            CACHE_DIR,
            JSON,
        ],
        run: run::<P>,
    }
}

/// An attachment that the cache does not have.
struct Dead {
    attachment: Attachment,
    /// Whether its network is one to be collected.
    is_asked: bool,
}

fn run<P: Plugin>(mut args: Args) -> Result<u8, Failure> {
    let is_dry = args.flag("--dry-run");
    let is_json = args.flag("--json");
    let named = args.values("--network")?;
    let grace = match args.value("--grace")? {
        None => GRACE,
        Some(text) => text
            .parse()
            .map_err(|_| Failure::Usage(format!("--grace {text:?} is no number of seconds")))?,
    };
    let dir = args.cache_dir()?;
    args.none()?;
    if let Some(name) = named.iter().find(|name| !is_valid_name(name)) {
        return Err(Failure::Usage(format!(
            "{name:?} cannot be a network's name"
        )));
    }
    let read = || sound(Cache::read(&dir)?, &dir);
    let cache = read()?;
    let mut dead = dead::<P>(&cache, &named)?;
    if dead.iter().any(|dead| dead.is_asked) && !is_dry {
        thread::sleep(Duration::from_secs(grace));
        let cache = read()?;
        dead.retain(|dead| !cache.knows(&dead.attachment));
        // The plugins themselves look into the usual cache for what names no network.
        let is_usual = dir == std::path::Path::new(DEFAULT_DIR);
        collect::<P>(&cache, &named, &dead, is_usual)?;
    }
    let word = |dead: &Dead| match (dead.is_asked, is_dry) {
        (false, _) => "left",
        (true, true) => "dead",
        (true, false) => "removed",
    };
    match is_json {
        true => print(&json(&dead, word)),
        false => print(&text(&dead, word)),
    }
}

/// A cache that says what is valid. An unreadable file may be that of a valid attachment.
fn sound(cache: Cache, dir: &std::path::Path) -> Result<Cache, Failure> {
    if !cache.exists {
        let msg = format!("there is no cache in {}/results", dir.display());
        let why = "without it nothing is known to be valid";
        return Err(Error::new(Code::Io, msg).with_details(why).into());
    }
    match Error::all(cache.faults.clone()) {
        Some(error) => Err(error.into()),
        None => Ok(cache),
    }
}

fn dead<P: Plugin>(cache: &Cache, named: &[String]) -> Result<Vec<Dead>, Error> {
    let mut owners = P::owners(cache)?;
    owners.sort();
    owners.dedup();
    let networks = cache.networks();
    let owners = owners.into_iter().filter(|owner| !cache.knows(owner));
    Ok(owners
        .map(|attachment| Dead {
            is_asked: networks.contains(&attachment.network.as_str())
                || named.contains(&attachment.network),
            attachment,
        })
        .collect())
}

/// Runs GC on each network that has something dead. Valid is whatever is not known to be dead.
fn collect<P: Plugin>(
    cache: &Cache,
    named: &[String],
    dead: &[Dead],
    is_usual: bool,
) -> Result<(), Error> {
    let is_dead = |one: &Attachment| dead.iter().any(|dead| dead.attachment == *one);
    let owners = P::owners(cache)?
        .into_iter()
        .filter(|owner| !is_dead(owner));
    let cached = cache.entries.iter().map(|entry| entry.attachment.clone());
    let all: Vec<Attachment> = owners.chain(cached).collect();
    let mut networks: Vec<&str> = cache.networks();
    networks.extend(named.iter().map(String::as_str));
    networks.retain(|network| dead.iter().any(|dead| dead.attachment.network == *network));
    networks.sort_unstable();
    networks.dedup();
    let mut errors = Vec::new();
    for network in networks {
        let is_valid = |one: &&Attachment| !is_usual || one.network == network;
        let valid: Vec<&Attachment> = all.iter().filter(is_valid).collect();
        for request in gc_requests::<P>(cache, network, &valid)? {
            errors.extend(P::gc(&request).err());
            show_warnings::<P>(&request);
        }
    }
    Error::all(errors).map_or(Ok(()), Err)
}

/// The requests of GC for a network: with each configuration that the cache has of it, or with none.
fn gc_requests<P: Plugin>(
    cache: &Cache,
    network: &str,
    valid: &[&Attachment],
) -> Result<Vec<Request>, Error> {
    let mut confs: Vec<Fields> = Vec::new();
    let entries = cache.entries.iter();
    for entry in entries.filter(|entry| entry.attachment.network == network) {
        for request in requests::<P>(entry)? {
            let own = request
                .conf
                .object()
                .unknown(&["prevResult", "runtimeConfig"]);
            if !confs.contains(&own) {
                confs.push(own);
            }
        }
    }
    if confs.is_empty() {
        confs.push(vec![
            ("cniVersion".into(), "1.1.0".into()),
            ("name".into(), network.into()),
            ("type".into(), P::NAME.into()),
        ]);
    }
    let valid: Vec<Json> = valid
        .iter()
        .map(|one| {
            // What does not say its interface is meant whatever that is.
            let ifname = if one.ifname.is_empty() {
                "eth0"
            } else {
                &one.ifname
            };
            object([
                ("containerID", one.container.as_str().into()),
                ("ifname", ifname.into()),
            ])
        })
        .collect();
    let request = |mut conf: Fields| {
        let list = Json::Array(valid.clone());
        conf.push(("cni.dev/valid-attachments".into(), list));
        let text = Json::Object(conf).to_string();
        let conf = Unversioned::parse(text.as_bytes())?.supported(P::VERSIONS)?;
        let environment = Environment::read(|name| (name == "CNI_COMMAND").then(|| "GC".into()))?;
        Ok(environment.request(conf))
    };
    confs.into_iter().map(request).collect()
}

fn text(dead: &[Dead], word: impl Fn(&Dead) -> &'static str) -> String {
    let mut table = Table::new([
        column("STATE"),
        column("NETWORK").cut_to(8),
        column("CONTAINER").cut_to(12),
        column("INTERFACE"),
    ]);
    for one in dead {
        let Attachment {
            network,
            container,
            ifname,
        } = one.attachment.clone();
        table.row(
            Tone::Plain,
            [word(one).to_owned(), network, container, ifname],
        );
    }
    if table.is_empty() {
        return "nothing belongs to attachments that the cache does not have\n".into();
    }
    let mut out = table.text(Page::stdout());
    if dead.iter().any(|dead| !dead.is_asked) {
        out.push_str("left: the cache knows nothing of the network; name it with --network\n");
    }
    out
}

fn json(dead: &[Dead], word: impl Fn(&Dead) -> &'static str) -> String {
    let list = dead.iter().map(|one| {
        let Attachment {
            network,
            container,
            ifname,
        } = &one.attachment;
        object([
            ("network", network.as_str().into()),
            ("container", container.as_str().into()),
            ("interface", ifname.as_str().into()),
            ("state", word(one).into()),
        ])
    });
    document([("attachments", Json::Array(list.collect()))])
}
