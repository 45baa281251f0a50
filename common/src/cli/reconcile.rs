//! `reconcile`: puts right what has drifted since ADD, such as rules that a firewall's reload removed.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use super::args::Args;
use super::repair::{Job, Outcome, Task, confirm, run as repair};
use super::table::{Page, Table, Tone, column};
use super::{CACHE_DIR, Command, FAILED, Failure, GRACE, JSON, REPAIRED, document, object, print};
use crate::attachment::Attachment;
use crate::cache::{Cache, Entry};
use crate::json::Json;
use crate::plugin::Plugin;

/// The command.
pub fn command<P: Plugin>() -> Command {
    Command {
        name: "reconcile",
        arguments: "[--dry-run] [--cache-dir DIR] [--json]",
        about: "re-apply every attachment of the runtime's cache that has drifted",
        options: &[
            ("--dry-run", "only say what has drifted"),
            (
                "--grace SECONDS",
                "how long to wait for a DEL that ends in between (default 10)",
            ),
            CACHE_DIR,
            JSON,
            ("--verbose", "also show the attachments that are in order"),
        ],
        run: run::<P>,
    }
}

fn run<P: Plugin>(mut args: Args) -> Result<u8, Failure> {
    let is_dry = args.flag("--dry-run");
    let is_json = args.flag("--json");
    let is_verbose = args.flag("--verbose");
    let grace = args.seconds("--grace")?.unwrap_or(GRACE);
    let dir = args.cache_dir()?;
    args.none()?;
    let cache = Cache::read(&dir)?;
    let mut outcomes = outcomes::<P>(&cache, is_dry);
    if !is_dry && outcomes.iter().any(|(_, outcome)| outcome.is_touched()) {
        thread::sleep(Duration::from_secs(grace));
        for (entry, outcome) in &mut outcomes {
            *outcome = confirm::<P>(entry, outcome.clone());
        }
    }
    match is_json {
        true => print(&json(&cache, &outcomes, is_dry))?,
        false => print(&text(&cache, &outcomes, is_verbose))?,
    };
    Ok(code(&cache, &outcomes))
}

/// Oldest first, as the runtime made them: so the newest has the last word again.
fn outcomes<P: Plugin>(cache: &Cache, is_dry: bool) -> Vec<(&Entry, Outcome)> {
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

fn code(cache: &Cache, outcomes: &[(&Entry, Outcome)]) -> u8 {
    let any = |is: fn(&Outcome) -> bool| outcomes.iter().any(|(_, outcome)| is(outcome));
    if any(|outcome| matches!(outcome, Outcome::Failed(_))) || !cache.faults.is_empty() {
        FAILED
    } else if any(|outcome| matches!(outcome, Outcome::Repaired(_) | Outcome::Drifted(_))) {
        REPAIRED
    } else {
        0
    }
}

fn text(cache: &Cache, outcomes: &[(&Entry, Outcome)], is_verbose: bool) -> String {
    let mut table = Table::new([
        column("STATE"),
        column("NETWORK").cut_to(8),
        column("CONTAINER").cut_to(12),
        column("INTERFACE"),
        column("WHAT").cut_to(30),
    ]);
    for (entry, outcome) in outcomes {
        let tone = match outcome {
            Outcome::Repaired(_) => Tone::Good,
            Outcome::Drifted(_) | Outcome::Failed(_) => Tone::Bad,
            _ => Tone::Plain,
        };
        if *outcome == Outcome::InOrder && !is_verbose {
            continue;
        }
        let Attachment {
            network,
            container,
            ifname,
        } = entry.attachment.clone();
        let cells = [
            outcome.word().to_owned(),
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
    out + &summary(outcomes)
}

fn summary(outcomes: &[(&Entry, Outcome)]) -> String {
    let count = |word: &str| outcomes.iter().filter(|(_, o)| o.word() == word).count();
    let others = [
        "drifted",
        "repaired",
        "deleted",
        "renewed",
        "superseded",
        "gone",
        "failed",
    ];
    let parts = others.into_iter().filter(|word| count(word) > 0);
    let parts: String = parts
        .map(|word| format!(", {} {word}", count(word)))
        .collect();
    let noun = if outcomes.len() == 1 {
        "attachment"
    } else {
        "attachments"
    };
    format!(
        "{} {noun}: {} in order{parts}\n",
        outcomes.len(),
        count("ok")
    )
}

fn json(cache: &Cache, outcomes: &[(&Entry, Outcome)], is_dry: bool) -> String {
    let attachments = outcomes.iter().map(|(entry, outcome)| {
        let Attachment {
            network,
            container,
            ifname,
        } = &entry.attachment;
        object([
            ("network", network.as_str().into()),
            ("container", container.as_str().into()),
            ("interface", ifname.as_str().into()),
            ("state", outcome.word().into()),
            ("details", outcome.details().into()),
        ])
    });
    let faults = cache.faults.iter().map(|fault| fault.to_string().into());
    document([
        ("dryRun", Json::Bool(is_dry)),
        ("attachments", Json::Array(attachments.collect())),
        ("unreadable", Json::Array(faults.collect())),
    ])
}
