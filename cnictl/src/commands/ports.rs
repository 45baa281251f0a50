//! `ports`: every host port of the node, in every backend, and those that are missing.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use common::{Attachment, Error, Family};
use portmap::Forward;
use portmap::list::at::At;
use portmap::list::row::{Counters, Row};
use serde_json::{Value, json};

use super::watch::{Last, watch};
use super::{document, lacking, sorted, unreadable};
use crate::cli::node::Ports;
use crate::mappings::{Mapping, mappings};
use crate::owners::Owners;
use crate::table::{Cell, Page, Table, column};

pub fn run(args: &Ports) -> Result<u8, Error> {
    let mut last = Last::default();
    watch(args.watched.watch, || {
        let cache = super::cache(&args.chosen.shown.cache_dir)?;
        let owners = Owners::of(&cache);
        let (mut all, unknown) = mappings(&owners)?;
        all.retain(|Mapping { row, .. }| {
            args.port
                .as_ref()
                .is_none_or(|port| port.is(&row.forward.port))
                && owners.is_chosen(&row.owner, &args.chosen)
        });
        last.compare(Instant::now(), all.iter_mut().filter_map(counted));
        let all = sorted(all, args.sort.as_deref(), |all| table(all, &owners));
        let lacking = lacking(&cache, unknown);
        let shown = match args.chosen.shown.json {
            true => document(json!({
                "portMappings": json(&all, &owners), "unreadable": unreadable(&lacking),
            })),
            false => table(&all, &owners).text(Page::stdout()),
        };
        Ok((shown, lacking))
    })
}

/// What a counter is known by: owner, entry of its list, host port and backend.
type Key = (Attachment, Option<String>, Forward, &'static str);

/// A port's connections: the kernel translates the first packet of each, and counts that one.
fn counted(mapping: &mut Mapping) -> Option<(Key, u64, &mut Option<u64>)> {
    let Mapping { row, current, .. } = mapping;
    let entry = row.entry.clone();
    let key = (row.owner.clone(), entry, row.forward, row.backend);
    Some((key, row.counters?.packets, current))
}

/// The host's addresses and port, as a client would write one: of several the first, with how many more there are.
pub fn host(row: &Row) -> String {
    let Forward { port, to } = row.forward;
    let words = row.at().map(|at| at.words());
    let family = Family::of(to.ip());
    let address = match (words.as_deref(), family) {
        (Some([one]), _) => one.clone(),
        (Some([first, more @ ..]), _) => format!("{first}+{}", more.len()),
        (Some([]), _) => "none".to_owned(),
        (None, Family::V4) => Ipv4Addr::UNSPECIFIED.to_string(),
        (None, Family::V6) => Ipv6Addr::UNSPECIFIED.to_string(),
    };
    let address = match family {
        Family::V4 => address,
        Family::V6 => format!("[{address}]"),
    };
    format!("{address}:{}/{}", port.number, port.protocol)
}

pub(super) fn table(all: &[Mapping], owners: &Owners<'_>) -> Table {
    let who = owners.shown(all.iter().map(|mapping| &mapping.row.owner));
    let left = vec![column("HOST"), column("TO").optional()];
    let is_watched = all.iter().any(|mapping| mapping.current.is_some());
    let now = is_watched.then(|| column("NOW").number());
    let state = vec![column("STATE")];
    let right = vec![
        column("BACKEND").spare(),
        column("PACKETS").number().spare(),
        column("BYTES").number().spare(),
        column("DETAILS").cut_to(16),
    ];
    let now = now.into_iter().collect();
    let mut table = Table::new([left, who.columns(), state, now, right].concat());
    for Mapping {
        row,
        state,
        current,
    } in all
    {
        let count = |of: fn(Counters) -> u64| {
            row.counters.map_or(Cell::from("-"), |counters| {
                Cell::amount(of(counters), of(counters).to_string())
            })
        };
        let left = vec![host(row).into(), row.forward.to.to_string().into()];
        let rate = |rate: u64| Cell::amount(rate, format!("{rate}/s"));
        let now = current.map_or(Cell::from("-"), rate);
        let now = is_watched.then_some(now).into_iter().collect();
        let middle = vec![state.word().into()];
        let right = vec![
            row.backend.into(),
            count(|counters| counters.packets),
            count(|counters| counters.bytes),
            state.details().into(),
        ];
        let cells = [left, who.cells(&row.owner), middle, now, right];
        table.row(state.tone(), cells.concat());
    }
    table
}

/// The host ports as a document's list.
pub fn json(all: &[Mapping], owners: &Owners<'_>) -> Value {
    let one = |mapping: &Mapping| {
        let Mapping {
            row,
            state,
            current,
        } = mapping;
        let who = owners.names(&row.owner);
        let Forward { port, to } = row.forward;
        let (packets, bytes) = row.counters.map(|c| (c.packets, c.bytes)).unzip();
        json!({
            "hostIP": port.address, "hostAddresses": row.limits.as_ref().map(At::words), "hostPort": port.number,
            "protocol": port.protocol.name(), "containerIP": to.ip(), "containerPort": to.port(),
            "pod": who.pod, "network": who.network, "container": who.container, "interface": who.interface,
            "backend": row.backend, "currentConnectionsPerSecond": current, "packets": packets, "bytes": bytes,
            "state": state.word(), "details": state.details(),
        })
    };
    all.iter().map(one).collect()
}
