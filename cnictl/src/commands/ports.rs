//! `ports`: every host port of the node, in every backend, and those that are missing.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Instant;

use common::json::Json;
use common::{Attachment, Error, Family};
use portmap::Forward;
use portmap::list::at::At;
use portmap::list::row::{Counters, Row};

use super::watch::{Last, watch};
use super::{document, lacking, object, sorted, text_or_null, unreadable};
use crate::cli::node::Ports;
use crate::mappings::{Mapping, mappings};
use crate::owners::Owners;
use crate::table::{Cell, Page, Table, column};

pub fn run(args: &Ports) -> Result<u8, Error> {
    let mut last = Last::default();
    watch(args.watched.watch, || {
        let cache = super::cache(&args.shown.cache_dir)?;
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
        let shown = match args.shown.json {
            true => document([
                ("portMappings", json(&all, &owners)),
                ("unreadable", unreadable(&lacking)),
            ]),
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

/// The addresses that limits leave; `null` without limits.
fn limits(row: &Row) -> Json {
    let words = row.limits.as_ref().map(At::words);
    words.map_or(Json::Null, |words| {
        Json::Array(words.into_iter().map(Json::from).collect())
    })
}

/// The host ports as a document's list.
pub fn json(all: &[Mapping], owners: &Owners<'_>) -> Json {
    let one = |mapping: &Mapping| {
        let Mapping {
            row,
            state,
            current,
        } = mapping;
        let count = |of: fn(Counters) -> u64| {
            row.counters
                .map_or(Json::Null, |counters| Json::Number(of(counters).into()))
        };
        let [pod, network, container, interface] = owners.members(&row.owner);
        let Forward { port, to } = row.forward;
        let address = port.address.map(|ip| ip.to_string()).unwrap_or_default();
        object([
            ("hostIP", text_or_null(&address)),
            ("hostAddresses", limits(row)),
            ("hostPort", i64::from(port.number).into()),
            ("protocol", port.protocol.name().into()),
            ("containerIP", to.ip().to_string().into()),
            ("containerPort", i64::from(to.port()).into()),
            pod,
            network,
            container,
            interface,
            ("backend", row.backend.into()),
            (
                "currentConnectionsPerSecond",
                current.map_or(Json::Null, |rate| Json::Number(rate.into())),
            ),
            ("packets", count(|counters| counters.packets)),
            ("bytes", count(|counters| counters.bytes)),
            ("state", state.word().into()),
            ("details", state.details().into()),
        ])
    };
    Json::Array(all.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use common::Protocol;
    use portmap::HostPort;

    use super::*;
    use crate::state::State;

    #[test]
    fn entries_of_one_list_are_counted_apart() {
        let port = HostPort {
            protocol: Protocol::Tcp,
            address: None,
            within: None,
            number: 8080,
        };
        let to = "10.22.0.2:80".parse().unwrap();
        let row = |entry: Option<&str>, packets| Row {
            forward: Forward { port, to },
            owner: Attachment::default(),
            entry: entry.map(str::to_owned),
            backend: "nftables",
            counters: Some(Counters { packets, bytes: 0 }),
            limits: None,
            is_conditional: true,
            is_reached: true,
        };
        let mut last = Last::default();
        let mut rates = |counts: [u64; 2]| {
            let [one, other] = counts;
            let rows = [row(None, one), row(Some("0123456789ab"), other)];
            let mut all = rows.map(|row| Mapping::new(row, State::Active));
            last.compare(Instant::now(), all.iter_mut().filter_map(counted));
            all.map(|mapping| mapping.current.is_some())
        };
        assert_eq!(rates([5, 900]), [false, false]);
        assert_eq!(rates([6, 901]), [true, true]);
    }
}
