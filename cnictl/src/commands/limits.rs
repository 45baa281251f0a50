//! `limits`: every limit of the node, with what the kernel counts.

use std::thread;
use std::time::Duration;

use bandwidth::list::{Limit, limits};
use bandwidth::scaled;
use common::json::Json;
use common::{Attachment, Error};

use super::{cells, document, members, object, print, whole};
use crate::cli::node::Limits;
use crate::table::{Page, Table, Tone, column};

pub fn run(args: &Limits) -> Result<u8, Error> {
    loop {
        let cache = super::cache(&args.shown.cache_dir)?;
        let limits = limits(&cache)?;
        let shown = match args.shown.json {
            true => document([("limits", json(&limits))]),
            false => text(&limits),
        };
        let Some(seconds) = args.watch else {
            print(&shown)?;
            return whole(&cache);
        };
        let page = Page::stdout();
        // On a terminal each table takes the place of the last one.
        let clear = if page.colour { "\x1b[H\x1b[2J" } else { "" };
        print(&format!("{clear}{shown}"))?;
        thread::sleep(Duration::from_secs(seconds));
    }
}

/// Whose it is: of names that are not known, none.
fn owner(limit: &Limit) -> Attachment {
    limit.owner.clone().unwrap_or_default()
}

fn text(limits: &[Limit]) -> String {
    let mut table = Table::new([
        column("LINK"),
        column("DIRECTION"),
        column("RATE").number(),
        column("BURST").number(),
        column("LATENCY").number(),
        column("DROPPED").number(),
        column("SENT").number(),
        column("NETWORK").cut_to(6).optional(),
        column("CONTAINER").cut_to(9).optional(),
        column("OVERLIMITS").number().optional(),
        column("DEVICE").optional(),
    ]);
    for limit in limits {
        let [network, container, _] = cells(&owner(limit));
        let cells = [
            limit.link.clone().unwrap_or_else(|| "?".into()),
            limit.direction.to_owned(),
            scaled(limit.rate.into(), 1000, "bit/s"),
            scaled(limit.burst.into(), 1024, "B"),
            format!("{} ms", limit.latency / 1000),
            limit.drops.to_string(),
            scaled(limit.bytes.into(), 1024, "B"),
            network,
            container,
            limit.overlimits.to_string(),
            limit.device.clone(),
        ];
        table.row(Tone::Plain, cells);
    }
    table.text(Page::stdout())
}

fn json(limits: &[Limit]) -> Json {
    let number = |n: u64| Json::Number(n.into());
    let one = |limit: &Limit| {
        let [network, container, interface] = members(&owner(limit));
        object([
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
        ])
    };
    Json::Array(limits.iter().map(one).collect())
}
