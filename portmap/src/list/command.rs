//! The command `list`.

use std::net::IpAddr;

use common::cache::Cache;
use common::cli::args::Args;
use common::cli::table::{Page, Table, Tone, column};
use common::cli::{CACHE_DIR, Command, Failure, JSON, document, object, print, whole};
use common::json::Json;

use super::state::{State, states};
use super::{Forward, complete, forwards};
use crate::mapping::Family;

/// The command.
pub const LIST: Command = Command {
    name: "list",
    arguments: "[--json] [--cache-dir DIR]",
    about: "show every host port, who owns it, and what is stale or shadowed",
    options: &[JSON, CACHE_DIR],
    run,
};

fn run(mut args: Args) -> Result<u8, Failure> {
    let is_json = args.flag("--json");
    let dir = args.cache_dir()?;
    args.none()?;
    let cache = Cache::read(&dir)?;
    let mut forwards = forwards()?;
    complete(&mut forwards, &cache);
    let states = states(&forwards, &cache);
    let all: Vec<(&Forward, &State)> = forwards.iter().zip(&states).collect();
    match is_json {
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
        let count = |of: fn(super::Counters) -> u64| {
            forward
                .counters
                .map_or("-".to_owned(), |counters| of(counters).to_string())
        };
        let cells = [
            host(forward),
            forward.to.to_string(),
            shown(&forward.owner.network),
            shown(&forward.owner.container),
            shown(&forward.owner.ifname),
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

fn shown(name: &str) -> String {
    match name {
        "" => "?".to_owned(),
        name => name.to_owned(),
    }
}

/// The forwards as a document's list.
pub fn json(all: &[(&Forward, &State)]) -> Json {
    let text_or_null = |text: &str| match text {
        "" => Json::Null,
        text => text.into(),
    };
    let one = |(forward, state): &(&Forward, &State)| {
        let count = |of: fn(super::Counters) -> u64| {
            forward
                .counters
                .map_or(Json::Null, |counters| Json::Number(of(counters).into()))
        };
        let address = forward.host_ip.map(|ip| ip.to_string()).unwrap_or_default();
        object([
            ("hostIP", text_or_null(&address)),
            ("hostPort", i64::from(forward.host_port).into()),
            ("protocol", forward.protocol.name().into()),
            ("containerIP", forward.to.ip().to_string().into()),
            ("containerPort", i64::from(forward.to.port()).into()),
            ("network", text_or_null(&forward.owner.network)),
            ("container", text_or_null(&forward.owner.container)),
            ("interface", text_or_null(&forward.owner.ifname)),
            ("backend", forward.backend.into()),
            ("packets", count(|counters| counters.packets)),
            ("bytes", count(|counters| counters.bytes)),
            ("state", state.word().into()),
            ("details", state.details().into()),
        ])
    };
    Json::Array(all.iter().map(one).collect())
}
