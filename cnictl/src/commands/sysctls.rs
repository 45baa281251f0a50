//! `sysctls`: what tuning changed, from what, and what it is now.

use common::Error;
use common::json::Json;
use tuning::list::{Change, changes, data_dirs};

use super::{cells, document, members, object, print, whole};
use crate::cli::node::Sysctls;
use crate::table::{Page, Table, Tone, column};

pub fn run(args: &Sysctls) -> Result<u8, Error> {
    let cache = super::cache(&args.shown.cache_dir)?;
    let dirs = match args.data_dirs.is_empty() {
        true => data_dirs(&cache),
        false => args.data_dirs.iter().cloned().collect(),
    };
    let changes = changes(&dirs, &cache)?;
    match args.shown.json {
        true => print(&document([("changes", json(&changes.values))]))?,
        false => print(&text(&changes.values))?,
    };
    match Error::all(changes.errors) {
        Some(error) => Err(error),
        None => whole(&cache),
    }
}

fn text(changes: &[Change]) -> String {
    let mut table = Table::new([
        column("NETWORK").cut_to(7),
        column("CONTAINER").cut_to(9),
        column("IF").cut_to(4),
        column("CHANGED").cut_to(24),
        column("BEFORE").cut_to(8),
        column("NOW").cut_to(8),
    ]);
    for change in changes {
        let [network, container, ifname] = cells(&change.owner);
        let cells = [
            network,
            container,
            ifname,
            change.what.clone(),
            change.before.clone(),
            change.now.clone().unwrap_or_else(|| "?".into()),
        ];
        table.row(Tone::Plain, cells);
    }
    table.text(Page::stdout())
}

fn json(changes: &[Change]) -> Json {
    let one = |change: &Change| {
        let [network, container, interface] = members(&change.owner);
        object([
            network,
            container,
            interface,
            ("what", change.what.as_str().into()),
            ("before", change.before.as_str().into()),
            ("now", change.now.as_deref().map_or(Json::Null, Json::from)),
        ])
    };
    Json::Array(changes.iter().map(one).collect())
}
