//! `who`: whose a port of the node is.

use common::Error;
use common::json::Json;
use portmap::list::{Forward, Listener, State, complete, forwards, listeners, name, states};

use super::ports::{host, json};
use super::{FAILED, document, object, print, whole};
use crate::cli::node::{Wanted, Who};

pub fn run(args: &Who) -> Result<u8, Error> {
    let Wanted { number, protocols } = &args.port;
    let cache = super::cache(&args.shown.cache_dir)?;
    let mut forwards = forwards()?;
    complete(&mut forwards, &cache);
    forwards.retain(|f| f.host_port == *number && protocols.contains(&f.protocol));
    let states = states(&forwards, &cache);
    let all: Vec<(&Forward, &State)> = forwards.iter().zip(&states).collect();
    let listeners = listeners(*number, protocols)?;
    match args.shown.json {
        true => print(&document([
            ("portMappings", json(&all)),
            (
                "listeners",
                Json::Array(listeners.iter().map(listener).collect()),
            ),
        ]))?,
        false => print(&text(*number, &all, &listeners))?,
    };
    match all.is_empty() && listeners.is_empty() {
        true => Ok(FAILED),
        false => whole(&cache),
    }
}

fn text(port: u16, all: &[(&Forward, &State)], listeners: &[Listener]) -> String {
    let mut out = String::new();
    for (forward, state) in all {
        let told = format!("{} {}", state.word(), state.details());
        out.push_str(&format!(
            "{} -> {}  {}  ({}, {})\n",
            host(forward),
            forward.to,
            name(&forward.owner),
            forward.backend,
            told.trim()
        ));
    }
    for listener in listeners {
        let Listener {
            local,
            protocol,
            process,
        } = listener;
        let who = process
            .as_ref()
            .map_or("a process that is not visible".to_owned(), |p| {
                format!("process {} ({})", p.id, p.name)
            });
        out.push_str(&format!("{local}/{protocol}  {who}\n"));
    }
    match out.is_empty() {
        true => format!("nobody has port {port}\n"),
        // No name of a process or rule may speak to the terminal.
        false => out
            .chars()
            .map(|c| if c.is_control() && c != '\n' { '?' } else { c })
            .collect(),
    }
}

fn listener(listener: &Listener) -> Json {
    let process = listener.process.as_ref();
    object([
        ("address", listener.local.ip().to_string().into()),
        ("port", i64::from(listener.local.port()).into()),
        ("protocol", listener.protocol.name().into()),
        (
            "pid",
            process.map_or(Json::Null, |p| i64::from(p.id).into()),
        ),
        (
            "command",
            process.map_or(Json::Null, |p| p.name.as_str().into()),
        ),
    ])
}
