//! `reconcile`: puts right what has drifted since ADD, such as rules that a firewall's reload removed.

use std::collections::{BTreeSet, HashMap};
use std::thread;
use std::time::Duration;

use common::cache::{Cache, Entry};
use common::json::Json;
use common::{Attachment, Error, Operate};

use super::{DONE, FAILED, REPAIRED, cells, document, members, object, print};
use crate::cli::node::Reconcile;
use crate::plugins::{Plugin, of};
use crate::repair::{Job, Outcome, Task, confirm, run as repair};
use crate::table::{Page, Table, Tone, column};

/// What became of one plugin's part in an attachment.
struct Row<'a> {
    plugin: Plugin,
    entry: &'a Entry,
    outcome: Outcome,
}

pub fn run(args: &Reconcile) -> Result<u8, Error> {
    let cache = super::cache(&args.shown.cache_dir)?;
    let mut rows = Vec::new();
    for plugin in Plugin::chosen(&args.plugins) {
        let outcomes = of!(plugin, P => outcomes::<P>(&cache, args.dry_run));
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
    match args.shown.json {
        true => print(&json(&cache, &rows, args.dry_run))?,
        false => print(&text(&cache, &rows, args.verbose))?,
    };
    Ok(code(&cache, &rows))
}

/// Oldest first, as the runtime made them: so the newest has the last word again.
fn outcomes<P: Operate>(cache: &Cache, is_dry: bool) -> Vec<(&Entry, Outcome)> {
    let mut jobs: Vec<Job<'_>> = cache.entries.iter().filter_map(Job::of::<P>).collect();
    jobs.sort_by_key(|job| job.made);
    let mut newest: HashMap<&str, usize> = HashMap::new();
    for (place, job) in jobs.iter().enumerate() {
        newest.extend(job.claims.iter().map(|claim| (claim.as_str(), place)));
    }
    let is_superseded = |place: usize, job: &Job<'_>| {
        let is_taken = |claim: &String| newest.get(claim.as_str()) != Some(&place);
        !job.claims.is_empty() && job.claims.iter().all(is_taken)
    };
    let places = jobs.iter().enumerate();
    let superseded: Vec<bool> = places
        .map(|(place, job)| is_superseded(place, job))
        .collect();
    let tasks = jobs.into_iter().zip(superseded);
    let tasks: Vec<Task<'_>> = tasks
        .map(|(job, is_superseded)| Task {
            job,
            is_dry,
            is_superseded,
        })
        .collect();
    let outcomes = repair::<P>(&tasks);
    let entries = tasks.iter().map(|task| task.job.entry);
    entries.zip(outcomes).collect()
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
    let mut table = Table::new([
        column("STATE"),
        column("PLUGIN"),
        column("NETWORK").cut_to(8),
        column("CONTAINER").cut_to(12),
        column("INTERFACE"),
        column("WHAT").cut_to(30),
    ]);
    for Row {
        plugin,
        entry,
        outcome,
    } in rows
    {
        let tone = match outcome {
            Outcome::Repaired(_) => Tone::Good,
            Outcome::Drifted(_) | Outcome::Failed(_) => Tone::Bad,
            _ => Tone::Plain,
        };
        if *outcome == Outcome::InOrder && !is_verbose {
            continue;
        }
        let [network, container, ifname] = cells(&entry.attachment);
        let cells = [
            outcome.word().to_owned(),
            plugin.name().to_owned(),
            network,
            container,
            ifname,
            outcome.details(),
        ];
        table.row(tone, cells);
    }
    let mut out = String::new();
    if !table.is_empty() {
        out = table.text(Page::stdout());
    }
    for fault in &cache.faults {
        out.push_str(&format!("cannot {fault}\n"));
    }
    out + &summary(rows)
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
    let noun = if all == 1 {
        "attachment"
    } else {
        "attachments"
    };
    format!("{all} {noun}: {in_order} in order{parts}\n")
}

fn json(cache: &Cache, rows: &[Row<'_>], is_dry: bool) -> String {
    let attachments = rows.iter().map(|row| {
        let [network, container, interface] = members(&row.entry.attachment);
        object([
            ("plugin", row.plugin.name().into()),
            network,
            container,
            interface,
            ("state", row.outcome.word().into()),
            ("details", row.outcome.details().into()),
        ])
    });
    let faults = cache.faults.iter().map(|fault| fault.to_string().into());
    document([
        ("dryRun", Json::Bool(is_dry)),
        ("attachments", Json::Array(attachments.collect())),
        ("unreadable", Json::Array(faults.collect())),
    ])
}
