//! Removes what belongs to attachments that the runtime's cache does not have.
//!
//! A runtime writes an attachment into its cache after the ADD of the whole chain. What is new and not
//! in the cache may be on its way there, so whatever is to be removed must be missing for a while.

use std::path::Path;
use std::thread;
use std::time::Duration;

use common::Error;
use serde_json::{Value, json};

use crate::cli::node::Gc;
use crate::commands::{DONE, FAILED, complain, document, print};
use crate::dead::kubelet::Pods;
use crate::dead::{self, Dead, Fate, Living};
use crate::owners::{cells, names};
use crate::plugins::{Plugin, of};
use crate::table::{Page, Table, Tone, column};

/// What one plugin made for attachments that the cache does not have, or why that is not known.
struct Found {
    plugin: Plugin,
    dead: Result<Vec<Dead>, Error>,
}

pub fn run(args: &Gc) -> Result<u8, Error> {
    let dir = &args.common.cache_dir;
    // Once, and not for each plugin in the same words.
    dead::sound_cache(dir)?;
    let pods = args.kubelet_pods.as_deref().map(Pods::of).transpose()?;
    let living = Living {
        cache_dir: dir,
        pods: pods.as_ref(),
    };
    let plugins = Plugin::chosen(&args.plugins).into_iter();
    let mut all: Vec<Found> = plugins
        .map(|plugin| Found {
            plugin,
            dead: of!(plugin, P => dead::find::<P>(living, &args.networks)),
        })
        .collect();
    if !args.dry_run && all.iter().any(|found| found.has(&Fate::Dead)) {
        thread::sleep(Duration::from_secs(args.grace));
        all.iter_mut().for_each(|found| found.remove(living));
    }
    if all.iter().any(|found| found.has(&Fate::Removed)) {
        // The ADD of one of them may have been under way, and its end not yet in the cache.
        thread::sleep(Duration::from_secs(args.grace));
        all.iter_mut().for_each(|found| found.restore(dir));
    }
    match args.common.json {
        true => print(&whole(&all))?,
        false => print(&text(&all))?,
    };
    for (plugin, error) in all.iter().filter_map(Found::error) {
        complain(&format!("{plugin}: {error}"));
    }
    Ok(match all.iter().any(Found::has_failed) {
        true => FAILED,
        false => DONE,
    })
}

impl Found {
    fn rows(&self) -> impl Iterator<Item = (&'static str, &Dead)> {
        let dead = self.dead.iter().flatten();
        dead.map(|one| (self.plugin.name(), one))
    }

    fn error(&self) -> Option<(&'static str, &Error)> {
        let error = self.dead.as_ref().err()?;
        Some((self.plugin.name(), error))
    }

    fn has(&self, fate: &Fate) -> bool {
        self.rows().any(|(_, one)| one.fate == *fate)
    }

    fn has_failed(&self) -> bool {
        let failed = |(_, one): (_, &Dead)| matches!(one.fate, Fate::Failed(_));
        self.dead.is_err() || self.rows().any(failed)
    }

    fn remove(&mut self, living: Living<'_>) {
        let plugin = self.plugin;
        if let Ok(dead) = &mut self.dead
            && let Err(error) = of!(plugin, P => dead::remove::<P>(living, dead))
        {
            self.dead = Err(error);
        }
    }

    fn restore(&mut self, dir: &Path) {
        let plugin = self.plugin;
        for one in self.dead.iter_mut().flatten() {
            of!(plugin, P => dead::restore::<P>(dir, one));
        }
    }
}

fn text(all: &[Found]) -> String {
    let mut table = Table::new([
        column("STATE"),
        column("PLUGIN"),
        column("NETWORK").cut_to(8),
        column("CONTAINER").cut_to(12),
        column("INTERFACE"),
        column("WHY").cut_to(30),
    ]);
    for (plugin, Dead { attachment, fate }) in all.iter().flat_map(Found::rows) {
        let tone = match fate {
            Fate::Failed(_) => Tone::Bad,
            _ => Tone::Plain,
        };
        let [network, container, ifname] = cells(attachment);
        let cells = [
            fate.word().to_owned(),
            plugin.to_owned(),
            network,
            container,
            ifname,
            fate.details(),
        ];
        table.row(tone, cells);
    }
    match (table.is_empty(), all.iter().any(Found::has_failed)) {
        (true, true) => String::new(),
        (true, false) => "nothing belongs to attachments that are missing from the cache\n".into(),
        (false, _) => table.text(Page::stdout()),
    }
}

fn whole(all: &[Found]) -> String {
    let rows = all.iter().flat_map(Found::rows);
    let list = rows.map(|(plugin, Dead { attachment, fate })| {
        let who = names(attachment);
        json!({
            "plugin": plugin, "network": who.network, "container": who.container, "interface": who.interface,
            "state": fate.word(), "details": fate.details(),
        })
    });
    let errors = all.iter().filter_map(Found::error);
    let errors =
        errors.map(|(plugin, error)| json!({"plugin": plugin, "details": error.to_string()}));
    document(json!({
        "attachments": list.collect::<Value>(), "unreadable": errors.collect::<Value>(),
    }))
}
