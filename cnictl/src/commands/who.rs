//! `who`: who has a port of the node.

use common::Error;
use portmap::list::{Listener, listeners};
use serde_json::{Value, json};

use super::ports::{self, host};
use super::{FAILED, document, lacking, print, unreadable, whole};
use crate::cli::node::Who;
use crate::cli::value::Wanted;
use crate::mappings::{Mapping, mappings};
use crate::owners::{Owners, name};
use crate::state::State;

pub fn run(args: &Who) -> Result<u8, Error> {
    let Wanted { number, protocols } = &args.port;
    let cache = super::cache(&args.shown.cache_dir)?;
    let owners = Owners::of(&cache);
    let (mut all, unknown) = mappings(&owners)?;
    all.retain(|mapping| args.port.is(&mapping.row.forward.port));
    let listeners = listeners(|port, protocol| port == *number && protocols.contains(&protocol))?;
    let lacking = lacking(&cache, unknown);
    let is_known = lacking.is_empty();
    let is_nobody = all.is_empty() && listeners.is_empty();
    match args.shown.json {
        true => print(&document(json!({
            "portMappings": ports::json(&all, &owners),
            "listeners": listeners.iter().map(listener).collect::<Value>(),
            "unreadable": unreadable(&lacking),
        })))?,
        false if is_nobody && is_known => print(&format!("nobody has port {}\n", args.port))?,
        false => print(&text(&all, &owners, &listeners))?,
    };
    match is_nobody && is_known {
        true => Ok(FAILED),
        false => Ok(whole(lacking)),
    }
}

fn text(all: &[Mapping], owners: &Owners<'_>, listeners: &[Listener]) -> String {
    let mut out = String::new();
    for Mapping { row, state, .. } in all {
        let details = match state {
            State::Active => String::new(),
            State::Missing(_) | State::Stale(_) => format!(": {}", state.details()),
            other => format!(" {}", other.details()),
        };
        let pod = owners.pod(&row.owner);
        let pod = pod.map_or(String::new(), |pod| format!("pod {pod}  "));
        out.push_str(&format!(
            "{} -> {}  {pod}{}  ({}, {}{details})\n",
            host(row),
            row.forward.to,
            name(&row.owner),
            row.backend,
            state.word(),
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
    // No name of a process or rule may reach the terminal unescaped.
    let shown = |c: char| if c.is_control() && c != '\n' { '?' } else { c };
    out.chars().map(shown).collect()
}

fn listener(listener: &Listener) -> Value {
    let process = listener.process.as_ref();
    json!({
        "address": listener.local.ip(), "port": listener.local.port(), "protocol": listener.protocol.name(),
        "pid": process.map(|p| p.id), "command": process.map(|p| &p.name),
    })
}
