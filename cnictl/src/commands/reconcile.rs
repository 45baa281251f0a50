//! `reconcile`: repairs what has drifted since ADD, such as rules that a firewall's reload removed.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use common::cache::{Cache, Entry};
use common::{Attachment, Error};
use serde_json::{Value, json};

use super::{DONE, FAILED, REPAIRED, document, print, unreadable};
use crate::cli::node::Reconcile;
use crate::owners::Owners;
use crate::plugins::{Plugin, of};
use crate::record::Record;
use crate::repair::{Outcome, confirm, outcomes};
use crate::table::{Page, Table, Tone, column};
use crate::today::Configs;

/// What became of one plugin's part in an attachment.
pub(super) struct Row<'a> {
    pub plugin: Plugin,
    pub entry: &'a Entry,
    pub outcome: Outcome,
}

impl Row<'_> {
    fn is_in_order(&self) -> bool {
        self.outcome == Outcome::InOrder
    }
}

pub fn run(args: &Reconcile) -> Result<u8, Error> {
    let cache = super::cache(&args.shown.cache_dir)?;
    let configs = Configs::given(args.config_dir.as_deref())?;
    let mut rows = Vec::new();
    let mut took = Vec::new();
    for plugin in Plugin::chosen(&args.plugins) {
        let start = Instant::now();
        let outcomes = of!(plugin, P => outcomes::<P>(&cache, &configs, |_| args.dry_run));
        took.push((plugin, start.elapsed()));
        rows.extend(outcomes.into_iter().map(|(entry, outcome)| Row {
            plugin,
            entry,
            outcome,
        }));
    }
    if !args.dry_run && rows.iter().any(|row| row.outcome.is_touched()) {
        thread::sleep(Duration::from_secs(args.grace));
        for row in &mut rows {
            let outcome = row.outcome.clone();
            row.outcome = of!(row.plugin, P => confirm::<P>(row.entry, outcome));
        }
    }
    if !args.dry_run {
        remember(&args.state_dir, &rows, &took);
    }
    let is_silent = cache.faults.is_empty() && rows.iter().all(Row::is_in_order);
    match (args.shown.json, is_silent && !args.verbose) {
        (true, _) => print(&whole(&cache, &rows, args.dry_run))?,
        (false, false) => print(&text(&cache, &rows, args.verbose))?,
        (false, true) => DONE,
    };
    Ok(code(&cache, &rows))
}

/// Notes what was found and done, for `metrics`.
fn remember(dir: &Path, rows: &[Row<'_>], took: &[(Plugin, Duration)]) {
    for (plugin, took) in took {
        let rows = rows.iter().filter(|row| row.plugin == *plugin);
        Record::of(rows.map(|row| &row.outcome), *took).keep(dir, *plugin);
    }
}

fn code(cache: &Cache, rows: &[Row<'_>]) -> u8 {
    let any = |is: fn(&Outcome) -> bool| rows.iter().any(|row| is(&row.outcome));
    if any(|outcome| matches!(outcome, Outcome::Failed(_))) || !cache.faults.is_empty() {
        FAILED
    } else if any(|outcome| matches!(outcome, Outcome::Repaired(_) | Outcome::Drifted(_))) {
        REPAIRED
    } else {
        DONE
    }
}

fn text(cache: &Cache, rows: &[Row<'_>], is_verbose: bool) -> String {
    let table = table(cache, rows, is_verbose);
    let mut out = String::new();
    if !table.is_empty() {
        out = table.text(Page::stdout());
    }
    for fault in &cache.faults {
        out.push_str(&format!("not checked: {fault}\n"));
    }
    out + &summary(rows)
}

pub(super) fn table(cache: &Cache, rows: &[Row<'_>], is_verbose: bool) -> Table {
    let owners = Owners::of(cache);
    let shown = rows.iter().filter(|row| is_verbose || !row.is_in_order());
    let whose = shown.clone().map(|row| &row.entry.attachment);
    let who = owners.shown(whose);
    let left = vec![column("STATE"), column("PLUGIN")];
    let what = column("WHAT");
    let right = vec![if is_verbose { what } else { what.cut_to(30) }];
    let mut table = Table::new([left, who.columns(), right].concat());
    for Row {
        plugin,
        entry,
        outcome,
    } in shown
    {
        let tone = match outcome {
            Outcome::Repaired(_) => Tone::Good,
            Outcome::Drifted(_) | Outcome::Failed(_) => Tone::Bad,
            _ => Tone::Plain,
        };
        let what = match is_verbose {
            true => outcome.details(),
            false => outcome.line(),
        };
        let left = vec![outcome.word().into(), plugin.name().into()];
        let cells = [left, who.cells(&entry.attachment), vec![what.into()]];
        table.row(tone, cells.concat());
    }
    table
}

/// Attachments in each state: one that is in order is so for all plugins.
fn summary(rows: &[Row<'_>]) -> String {
    let with = |is: &dyn Fn(&Outcome) -> bool| -> BTreeSet<&Attachment> {
        let rows = rows.iter().filter(|row| is(&row.outcome));
        rows.map(|row| &row.entry.attachment).collect()
    };
    let all = with(&|_| true).len();
    let in_order = all - with(&|outcome| *outcome != Outcome::InOrder).len();
    let others = [
        "drifted",
        "repaired",
        "deleted",
        "renewed",
        "superseded",
        "gone",
        "failed",
    ];
    let counted = others.map(|word| (with(&|outcome| outcome.word() == word).len(), word));
    let parts = counted.iter().filter(|(count, _)| *count > 0);
    let parts: String = parts.map(|(n, word)| format!(", {n} {word}")).collect();
    let all = crate::finding::counted(all, "attachment");
    format!("{all}: {in_order} in order{parts}\n")
}

fn whole(cache: &Cache, rows: &[Row<'_>], is_dry: bool) -> String {
    let owners = Owners::of(cache);
    let attachments = rows.iter().map(|row| {
        let who = owners.names(&row.entry.attachment);
        json!({
            "plugin": row.plugin.name(),
            "pod": who.pod, "network": who.network, "container": who.container, "interface": who.interface,
            "state": row.outcome.word(), "details": row.outcome.details(),
        })
    });
    document(json!({
        "dryRun": is_dry, "attachments": attachments.collect::<Value>(), "unreadable": unreadable(&cache.faults),
    }))
}
