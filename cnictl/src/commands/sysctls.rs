//! `sysctls`: what tuning changed, from what, what it is now, and what is not as it was configured.

use std::path::PathBuf;

use common::Error;
use serde_json::{Value, json};
use tuning::Tuning;
use tuning::list::{Change, changes, data_dirs};

use super::{document, lacking, print, sorted, unreadable, whole};
use crate::cli::node::Sysctls;
use crate::missing::{Missing, WayOut, missing};
use crate::owners::Owners;
use crate::repair::tasks;
use crate::state::{State, gone};
use crate::table::{Page, Table, column};

/// A value that was changed, and its state.
pub(super) struct Row {
    pub change: Change,
    pub state: State,
}

pub fn run(args: &Sysctls) -> Result<u8, Error> {
    let cache = super::cache(&args.chosen.shown.cache_dir)?;
    let owners = Owners::of(&cache);
    let (mut all, unknown) = look(&args.data_dirs, &owners)?;
    all.retain(|row| owners.is_chosen(&row.change.owner, &args.chosen));
    let all = sorted(all, args.sort.as_deref(), |all| table(all, &owners));
    let lacking = lacking(&cache, unknown);
    match args.chosen.shown.json {
        true => print(&document(json!({
            "changes": json(&all, &owners), "unreadable": unreadable(&lacking),
        })))?,
        false => print(&table(&all, &owners).text(Page::stdout()))?,
    };
    Ok(whole(lacking))
}

/// Every value that was changed, in the usual directories where none is named, and what could not be
/// read of them.
pub(super) fn look(dirs: &[PathBuf], owners: &Owners<'_>) -> Result<(Vec<Row>, Vec<Error>), Error> {
    let cache = owners.index.cache;
    let dirs = match dirs {
        [] => data_dirs(cache),
        dirs => dirs.iter().cloned().collect(),
    };
    let mut found = changes(&dirs, cache)?;
    let tasks = tasks::<Tuning>(cache, true);
    let Missing { rows, errors } = missing::<Tuning>(&tasks, &found.values);
    found.errors.extend(errors);
    Ok((joined(found.values, rows, owners), found.errors))
}

/// What was changed, and what is not as configured: one row where both are the same value's.
fn joined(found: Vec<Change>, missing: Vec<(Change, WayOut)>, owners: &Owners<'_>) -> Vec<Row> {
    let found = found.into_iter().map(|change| Row {
        state: gone(&change.owner, &owners.index).map_or(State::Active, State::Stale),
        change,
    });
    let mut all: Vec<Row> = found.collect();
    for (lacks, way_out) in missing {
        let state = State::Missing(way_out);
        let is_same =
            |row: &&mut Row| row.change.what == lacks.what && row.change.owner == lacks.owner;
        match all.iter_mut().find(is_same) {
            Some(row) => {
                row.change.wanted = lacks.wanted;
                row.state = state;
            }
            None => all.push(Row {
                change: lacks,
                state,
            }),
        }
    }
    all
}

pub(super) fn table(all: &[Row], owners: &Owners<'_>) -> Table {
    let who = owners.shown(all.iter().map(|row| &row.change.owner));
    let right = vec![
        column("CHANGED").cut_to(24),
        column("WANTED").cut_to(8).optional(),
        column("BEFORE").cut_to(8).optional(),
        column("NOW").cut_to(8),
        column("STATE"),
        column("DETAILS").cut_to(16).optional(),
    ];
    let mut table = Table::new([who.columns(), right].concat());
    for Row { change, state } in all {
        let known = |value: &Option<String>, other: &str| value.as_deref().unwrap_or(other).into();
        let right = vec![
            change.what.as_str().into(),
            known(&change.wanted, "-"),
            known(&change.before, "?"),
            known(&change.now, "?"),
            state.word().into(),
            state.details().into(),
        ];
        table.row(state.tone(), [who.cells(&change.owner), right].concat());
    }
    table
}

fn json(all: &[Row], owners: &Owners<'_>) -> Value {
    let one = |Row { change, state }: &Row| {
        let who = owners.names(&change.owner);
        json!({
            "pod": who.pod, "network": who.network, "container": who.container, "interface": who.interface,
            "what": change.what, "before": change.before, "now": change.now, "wanted": change.wanted,
            "state": state.word(), "details": state.details(),
        })
    };
    all.iter().map(one).collect()
}
