//! The command `who`: whose a port of the node is.

use common::cache::Cache;
use common::cli::args::Args;
use common::cli::{CACHE_DIR, Command, FAILED, Failure, JSON, document, object, print, whole};
use common::json::Json;

use super::command::{host, json};
use super::listen::{Listener, listeners};
use super::state::{State, name, states};
use super::{Forward, complete, forwards};
use crate::mapping::Protocol;

/// The command.
pub const WHO: Command = Command {
    name: "who",
    arguments: "PORT[/PROTOCOL] [--json] [--cache-dir DIR]",
    about: "show which containers and which processes of the node have a port",
    options: &[JSON, CACHE_DIR],
    run,
};

fn run(mut args: Args) -> Result<u8, Failure> {
    let is_json = args.flag("--json");
    let dir = args.cache_dir()?;
    let (port, protocols) = wanted(&args.one("PORT")?)?;
    let cache = Cache::read(&dir)?;
    let mut forwards = forwards()?;
    complete(&mut forwards, &cache);
    forwards.retain(|f| f.host_port == port && protocols.contains(&f.protocol));
    let states = states(&forwards, &cache);
    let all: Vec<(&Forward, &State)> = forwards.iter().zip(&states).collect();
    let listeners = listeners(port, &protocols)?;
    match is_json {
        true => print(&document([
            ("portMappings", json(&all)),
            (
                "listeners",
                Json::Array(listeners.iter().map(listener).collect()),
            ),
        ]))?,
        false => print(&text(port, &all, &listeners))?,
    };
    match all.is_empty() && listeners.is_empty() {
        true => Ok(FAILED),
        false => whole(&cache),
    }
}

/// `8080/tcp`, or `8080` for every protocol.
fn wanted(text: &str) -> Result<(u16, Vec<Protocol>), Failure> {
    let fault = |why: &str| Failure::Usage(format!("{text:?}: {why}"));
    let (port, protocol) = text
        .split_once('/')
        .map_or((text, None), |(port, p)| (port, Some(p)));
    let port: u16 = port
        .parse()
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| fault("expected a port from 1 to 65535"))?;
    let protocols = match protocol {
        None => Protocol::ALL.to_vec(),
        Some(name) => {
            let known = Protocol::from_text(name);
            vec![known.ok_or_else(|| fault("expected tcp, udp or sctp"))?]
        }
    };
    Ok((port, protocols))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_one_protocol_or_all() {
        assert_eq!(wanted("8080/TCP").unwrap(), (8080, vec![Protocol::Tcp]));
        assert_eq!(wanted("53").unwrap().1.len(), 3);
        for bad in ["", "0", "65536", "tcp/80", "80/icmp", "80/", "-1"] {
            assert!(matches!(wanted(bad), Err(Failure::Usage(_))), "{bad}");
        }
    }
}
