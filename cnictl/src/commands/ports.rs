//! `ports`: every host port of the node, in every backend.

use std::net::IpAddr;

use common::Error;
use common::json::Json;
use portmap::Family;
use portmap::list::{Counters, Forward, State, complete, forwards, states};

use super::{cells, document, members, object, print, text_or_null, whole};
use crate::cli::node::Ports;
use crate::table::{Page, Table, Tone, column};

pub fn run(args: &Ports) -> Result<u8, Error> {
    let cache = super::cache(&args.shown.cache_dir)?;
    let mut forwards = forwards()?;
    complete(&mut forwards, &cache);
    let states = states(&forwards, &cache);
    let all: Vec<(&Forward, &State)> = forwards.iter().zip(&states).collect();
    match args.shown.json {
        true => print(&document([("portMappings", json(&all))]))?,
        false => print(&text(&all))?,
    };
    whole(&cache)
}

/// The host's address and port, as a client would write them.
pub fn host(forward: &Forward) -> String {
    let every = match Family::of(forward.to.ip()) {
        Family::V4 => "0.0.0.0",
        Family::V6 => "[::]",
    };
    let address = match forward.host_ip {
        Some(IpAddr::V6(v6)) => format!("[{v6}]"),
        Some(IpAddr::V4(v4)) => v4.to_string(),
        None => every.to_owned(),
    };
    format!("{address}:{}/{}", forward.host_port, forward.protocol)
}

fn text(all: &[(&Forward, &State)]) -> String {
    let mut table = Table::new([
        column("HOST"),
        column("TO"),
        column("NETWORK").cut_to(7),
        column("CONTAINER").cut_to(9),
        column("IF").cut_to(4),
        column("STATE"),
        column("BACKEND").optional(),
        column("PACKETS").number().optional(),
        column("BYTES").number().optional(),
        column("DETAILS").optional(),
    ]);
    for (forward, state) in all {
        let tone = match state {
            State::Active => Tone::Plain,
            _ => Tone::Bad,
        };
        let count = |of: fn(Counters) -> u64| {
            forward
                .counters
                .map_or("-".to_owned(), |counters| of(counters).to_string())
        };
        let [network, container, ifname] = cells(&forward.owner);
        let cells = [
            host(forward),
            forward.to.to_string(),
            network,
            container,
            ifname,
            state.word().to_owned(),
            forward.backend.to_owned(),
            count(|counters| counters.packets),
            count(|counters| counters.bytes),
            state.details(),
        ];
        table.row(tone, cells);
    }
    table.text(Page::stdout())
}

/// The forwards as a document's list.
pub fn json(all: &[(&Forward, &State)]) -> Json {
    let one = |(forward, state): &(&Forward, &State)| {
        let count = |of: fn(Counters) -> u64| {
            forward
                .counters
                .map_or(Json::Null, |counters| Json::Number(of(counters).into()))
        };
        let [network, container, interface] = members(&forward.owner);
        let address = forward.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
        object([
            ("hostIP", text_or_null(&address)),
            ("hostPort", i64::from(forward.host_port).into()),
            ("protocol", forward.protocol.name().into()),
            ("containerIP", forward.to.ip().to_string().into()),
            ("containerPort", i64::from(forward.to.port()).into()),
            network,
            container,
            interface,
            ("backend", forward.backend.into()),
            ("packets", count(|counters| counters.packets)),
            ("bytes", count(|counters| counters.bytes)),
            ("state", state.word().into()),
            ("details", state.details().into()),
        ])
    };
    Json::Array(all.iter().map(one).collect())
}
