//! `gc`: removes what belongs to attachments that the runtime's cache does not have.
//!
//! A runtime writes an attachment into its cache after the ADD of the whole chain. What is new and not
//! in the cache may be on its way there, so whatever is to be removed must be missing for a while.

mod dead;

use std::thread;
use std::time::Duration;

use super::args::Args;
use super::table::{Page, Table, Tone, column};
use super::{CACHE_DIR, Command, FAILED, Failure, GRACE, JSON, document, object, print};
use crate::attachment::{Attachment, is_valid_name};
use crate::json::Json;
use crate::plugin::Plugin;
use dead::{Dead, Fate};

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

fn run<P: Plugin>(mut args: Args) -> Result<u8, Failure> {
    let is_dry = args.flag("--dry-run");
    let is_json = args.flag("--json");
    let named = args.values("--network")?;
    let grace = args.seconds("--grace")?.unwrap_or(GRACE);
    let dir = args.cache_dir()?;
    args.none()?;
    if let Some(name) = named.iter().find(|name| !is_valid_name(name)) {
        return Err(Failure::Usage(format!(
            "{name:?} cannot be a network's name"
        )));
    }
    let mut dead = dead::find::<P>(&dir, &named)?;
    if dead.iter().any(|one| one.fate == Fate::Dead) && !is_dry {
        thread::sleep(Duration::from_secs(grace));
        dead::remove::<P>(&dir, &mut dead)?;
    }
    match is_json {
        true => print(&json(&dead))?,
        false => print(&text(&dead))?,
    };
    let has_failed = dead.iter().any(|one| matches!(one.fate, Fate::Failed(_)));
    Ok(if has_failed { FAILED } else { 0 })
}

fn text(dead: &[Dead]) -> String {
    let mut table = Table::new([
        column("STATE"),
        column("NETWORK").cut_to(8),
        column("CONTAINER").cut_to(12),
        column("INTERFACE"),
        column("WHY").cut_to(30),
    ]);
    for Dead { attachment, fate } in dead {
        let Attachment {
            network,
            container,
            ifname,
        } = attachment;
        let tone = match fate {
            Fate::Failed(_) => Tone::Bad,
            _ => Tone::Plain,
        };
        let cells = [
            fate.word().to_owned(),
            or_unknown(network),
            or_unknown(container),
            or_unknown(ifname),
            fate.details(),
        ];
        table.row(tone, cells);
    }
    match table.is_empty() {
        true => "nothing belongs to attachments that the cache does not have\n".into(),
        false => table.text(Page::stdout()),
    }
}

fn or_unknown(name: &str) -> String {
    match name {
        "" => "?".to_owned(),
        name => name.to_owned(),
    }
}

fn json(dead: &[Dead]) -> String {
    let list = dead.iter().map(|Dead { attachment, fate }| {
        let Attachment {
            network,
            container,
            ifname,
        } = attachment;
        object([
            ("network", network.as_str().into()),
            ("container", container.as_str().into()),
            ("interface", ifname.as_str().into()),
            ("state", fate.word().into()),
            ("details", fate.details().into()),
        ])
    });
    document([("attachments", Json::Array(list.collect()))])
}
