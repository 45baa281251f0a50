//! `limits`: every limit of the node, with what the kernel counts.

use std::thread;
use std::time::Duration;

use bandwidth::list::{Limit, limits};
use bandwidth::{Bandwidth, scaled};
use common::cache::Cache;
use common::json::Json;
use common::{Attachment, Error};

use super::{document, lacking, object, print, sorted, unreadable, whole};
use crate::cli::node::Limits;
use crate::missing::{Missing, missing};
use crate::owners::Owners;
use crate::state::{State, gone};
use crate::table::{Cell, Page, Table, column};

/// A limit, whose it is, and how it stands.
pub(super) struct Row {
    pub limit: Limit,
    pub owner: Attachment,
    pub state: State,
}

pub fn run(args: &Limits) -> Result<u8, Error> {
    loop {
        let cache = super::cache(&args.shown.cache_dir)?;
        let owners = Owners::of(&cache);
        let (mut all, unknown) = look(&cache)?;
        all.retain(|row| owners.is_chosen(&row.owner, &args.chosen));
        let all = sorted(all, args.sort.as_deref(), |all| table(all, &owners));
        let lacking = lacking(&cache, unknown);
        let shown = match args.shown.json {
            true => document([
                ("limits", json(&all, &owners)),
                ("unreadable", unreadable(&lacking)),
            ]),
            false => table(&all, &owners).text(Page::stdout()),
        };
        let Some(seconds) = args.watch else {
            print(&shown)?;
            return Ok(whole(lacking));
        };
        let page = Page::stdout();
        // On a terminal each table takes the place of the last one.
        let clear = if page.colour { "\x1b[H\x1b[2J" } else { "" };
        print(&format!("{clear}{shown}"))?;
        thread::sleep(Duration::from_secs(seconds));
    }
}

/// Every limit, those of the kernel first, and the attachments of which it is not known what limits they
/// lack.
pub(super) fn look(cache: &Cache) -> Result<(Vec<Row>, Vec<Error>), Error> {
    let found = limits(cache)?;
    let Missing { rows, errors } = missing::<Bandwidth>(cache, &found);
    let mut all: Vec<Row> = found
        .into_iter()
        .map(|limit| Row::of(limit, cache))
        .collect();
    for (limit, way_out) in rows {
        let state = State::Missing(way_out);
        let is_same = |row: &&mut Row| row.is(&limit);
        match all.iter_mut().find(is_same) {
            // Its bucket is there, and not all leads to it.
            Some(row) => row.state = state,
            None => all.push(Row {
                owner: limit.owner.clone().unwrap_or_default(),
                limit,
                state,
            }),
        }
    }
    Ok((all, errors))
}

impl Row {
    /// One that the kernel has.
    fn of(limit: Limit, cache: &Cache) -> Row {
        let owner = limit.owner.clone();
        let gone = owner.as_ref().and_then(|owner| gone(owner, cache));
        Row {
            owner: owner.unwrap_or_default(),
            limit,
            state: gone.map_or(State::Active, State::Stale),
        }
    }

    fn is(&self, other: &Limit) -> bool {
        self.limit.device == other.device
            && self.limit.owner.is_some()
            && self.limit.owner == other.owner
    }
}

pub(super) fn table(all: &[Row], owners: &Owners<'_>) -> Table {
    let who = owners.shown(all.iter().map(|row| &row.owner));
    let left = vec![column("LINK").optional(), column("DIRECTION")];
    let right = vec![
        column("STATE"),
        column("RATE").number(),
        column("BURST").number().spare(),
        column("LATENCY").number().spare(),
        column("DROPPED").number().spare(),
        column("SENT").number().spare(),
        column("OVERLIMITS").number().spare(),
        column("DEVICE").spare(),
        column("DETAILS").cut_to(16),
    ];
    let mut table = Table::new([left, who.columns(), right].concat());
    for Row {
        limit,
        owner,
        state,
    } in all
    {
        let link = limit.link.clone().unwrap_or_else(|| "?".into());
        let left = vec![link.into(), limit.direction.into()];
        let right = vec![
            state.word().into(),
            Cell::amount(limit.rate, scaled(limit.rate.into(), 1000, "bit/s")),
            Cell::amount(limit.burst, scaled(limit.burst.into(), 1024, "B")),
            Cell::amount(limit.latency, format!("{} ms", limit.latency / 1000)),
            Cell::amount(limit.drops, limit.drops.to_string()),
            Cell::amount(limit.bytes, scaled(limit.bytes.into(), 1024, "B")),
            Cell::amount(limit.overlimits, limit.overlimits.to_string()),
            limit.device.clone().into(),
            state.details().into(),
        ];
        table.row(state.tone(), [left, who.cells(owner), right].concat());
    }
    table
}

fn json(all: &[Row], owners: &Owners<'_>) -> Json {
    let number = |n: u64| Json::Number(n.into());
    let one = |row: &Row| {
        let (limit, state) = (&row.limit, &row.state);
        let [pod, network, container, interface] = owners.members(&row.owner);
        object([
            pod,
            network,
            container,
            interface,
            ("link", limit.link.as_deref().map_or(Json::Null, Json::from)),
            ("device", limit.device.as_str().into()),
            ("direction", limit.direction.into()),
            ("rateBitsPerSecond", number(limit.rate)),
            ("burstBytes", number(limit.burst)),
            ("latencyMicroseconds", number(limit.latency)),
            ("limitBytes", number(limit.limit.into())),
            ("sentBytes", number(limit.bytes)),
            ("sentPackets", number(limit.packets)),
            ("dropped", number(limit.drops.into())),
            ("overlimits", number(limit.overlimits.into())),
            ("backlogBytes", number(limit.backlog.into())),
            ("state", state.word().into()),
            ("details", state.details().into()),
        ])
    };
    Json::Array(all.iter().map(one).collect())
}
