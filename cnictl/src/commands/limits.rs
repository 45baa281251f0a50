//! `limits`: every limit of the node, with what the kernel counts.

use std::collections::HashMap;
use std::time::Instant;

use bandwidth::list::{Limit, limits};
use bandwidth::{Bandwidth, scaled};
use common::cache::Index;
use common::{Attachment, Error};
use serde_json::{Value, json};

use super::watch::{Last, watch};
use super::{document, lacking, sorted, unreadable};
use crate::cli::node::Limits;
use crate::missing::{Missing, missing};
use crate::owners::Owners;
use crate::repair::tasks;
use crate::state::{State, gone};
use crate::table::{Cell, Page, Table, column};

/// A limit, its owner and its state.
pub(super) struct Row {
    pub limit: Limit,
    /// Bits per second since the last look, where there was one.
    pub current: Option<u64>,
    pub owner: Attachment,
    pub state: State,
}

pub fn run(args: &Limits) -> Result<u8, Error> {
    let mut last = Last::default();
    watch(args.watched.watch, || {
        let cache = super::cache(&args.chosen.shown.cache_dir)?;
        let owners = Owners::of(&cache);
        let (mut all, unknown) = look(&owners)?;
        all.retain(|row| owners.is_chosen(&row.owner, &args.chosen));
        last.compare(Instant::now(), all.iter_mut().map(sent));
        let all = sorted(all, args.sort.as_deref(), |all| table(all, &owners));
        let lacking = lacking(&cache, unknown);
        let shown = match args.chosen.shown.json {
            true => document(json!({
                "limits": json(&all, &owners), "unreadable": unreadable(&lacking),
            })),
            false => table(&all, &owners).text(Page::stdout()),
        };
        Ok((shown, lacking))
    })
}

/// Every limit, those of the kernel first, and the attachments of which it is not known what limits they
/// lack.
pub(super) fn look(owners: &Owners<'_>) -> Result<(Vec<Row>, Vec<Error>), Error> {
    let cache = owners.index.cache;
    let found = limits(cache)?;
    let Missing { rows, errors } = missing::<Bandwidth>(&tasks::<Bandwidth>(cache, true), &found);
    let mut all: Vec<Row> = found
        .into_iter()
        .map(|limit| Row::of(limit, &owners.index))
        .collect();
    let places = all.iter().enumerate();
    let places = places.map(|(place, row)| (row.limit.device.clone(), place));
    let places: HashMap<String, usize> = places.collect();
    for (limit, way_out) in rows {
        let state = State::Missing(way_out);
        let there = places
            .get(&limit.device)
            .and_then(|place| all.get_mut(*place));
        match there.filter(|row| row.is(&limit)) {
            // Its bucket is there, and not all leads to it.
            Some(row) => row.state = state,
            None => all.push(Row {
                owner: limit.owner.clone().unwrap_or_default(),
                limit,
                current: None,
                state,
            }),
        }
    }
    Ok((all, errors))
}

impl Row {
    /// One that the kernel has.
    fn of(limit: Limit, index: &Index<'_>) -> Row {
        let owner = limit.owner.clone();
        let gone = owner.as_ref().and_then(|owner| gone(owner, index));
        Row {
            owner: owner.unwrap_or_default(),
            limit,
            current: None,
            state: gone.map_or(State::Active, State::Stale),
        }
    }

    fn is(&self, other: &Limit) -> bool {
        self.limit.owner.is_some() && self.limit.owner == other.owner
    }
}

/// What a limit's device sent, in bits.
fn sent(Row { limit, current, .. }: &mut Row) -> (String, u64, &mut Option<u64>) {
    (limit.device.clone(), limit.bytes.saturating_mul(8), current)
}

pub(super) fn table(all: &[Row], owners: &Owners<'_>) -> Table {
    let who = owners.shown(all.iter().map(|row| &row.owner));
    let left = vec![column("LINK").optional(), column("DIRECTION")];
    let is_watched = all.iter().any(|row| row.current.is_some());
    let now = is_watched.then(|| column("NOW").number());
    let state = vec![column("STATE"), column("RATE").number()];
    let right = vec![
        column("BURST").number().spare(),
        column("LATENCY").number().spare(),
        column("DROPPED").number().spare(),
        column("SENT").number().spare(),
        column("OVERLIMITS").number().spare(),
        column("DEVICE").spare(),
        column("DETAILS").cut_to(16),
    ];
    let now = now.into_iter().collect();
    let mut table = Table::new([left, who.columns(), state, now, right].concat());
    for Row {
        limit,
        current,
        owner,
        state,
    } in all
    {
        let link = limit.link.clone().unwrap_or_else(|| "?".into());
        let left = vec![link.into(), limit.direction.into()];
        let rate = |rate: u64| Cell::amount(rate, scaled(rate.into(), 1000, "bit/s"));
        let now = current.map_or(Cell::from("-"), rate);
        let now = is_watched.then_some(now).into_iter().collect();
        let middle = vec![state.word().into(), rate(limit.rate)];
        let right = vec![
            Cell::amount(limit.burst, scaled(limit.burst.into(), 1024, "B")),
            Cell::amount(limit.latency, format!("{} ms", limit.latency / 1000)),
            Cell::amount(limit.drops, limit.drops.to_string()),
            Cell::amount(limit.bytes, scaled(limit.bytes.into(), 1024, "B")),
            Cell::amount(limit.overlimits, limit.overlimits.to_string()),
            limit.device.clone().into(),
            state.details().into(),
        ];
        let cells = [left, who.cells(owner), middle, now, right];
        table.row(state.tone(), cells.concat());
    }
    table
}

fn json(all: &[Row], owners: &Owners<'_>) -> Value {
    let one = |row: &Row| {
        let (limit, state) = (&row.limit, &row.state);
        let who = owners.names(&row.owner);
        json!({
            "pod": who.pod, "network": who.network, "container": who.container, "interface": who.interface,
            "link": limit.link, "device": limit.device, "direction": limit.direction,
            "rateBitsPerSecond": limit.rate, "currentBitsPerSecond": row.current, "burstBytes": limit.burst,
            "queue": limit.queue, "latencyMicroseconds": limit.latency, "limitBytes": limit.limit,
            "sentBytes": limit.bytes, "sentPackets": limit.packets, "dropped": limit.drops,
            "overlimits": limit.overlimits, "backlogBytes": limit.backlog,
            "state": state.word(), "details": state.details(),
        })
    };
    all.iter().map(one).collect()
}
