//! `add --dry-run`: what ADD would make, plugin by plugin. Nothing is run and nothing is changed.

use std::collections::HashMap;
use std::vec::IntoIter;

use clap::ValueEnum;
use common::Operate;
use serde_json::{Value, json};

use crate::cli::network::Attach;
use crate::commands::runner::print;
use crate::plugins::{Plugin, of};
use crate::requests::request_of;
use crate::runner::request::Request;
use crate::runner::{Attachment, Error, Network, Result, Runner, Verb, exec, setup};

/// A placeholder for the address that the main plugin has not given yet (RFC 5737).
const EXAMPLE: &str = "192.0.2.2/24";

/// What one plugin of the chain would do.
struct Part {
    plugin: String,
    plan: Vec<String>,
    /// Why there is no plan.
    note: Option<String>,
}

pub fn run(attach: &Attach, network: &Network, on: &Attachment) -> Result<()> {
    let runner = setup::runner(&attach.common);
    let (result, assumed) = result(&runner, network, on)?;
    let programs = network.plugins.iter();
    let programs = programs
        .map(|plugin| exec::find(&plugin.kind, &runner.path, runner.builtin.as_deref()))
        .collect::<Result<Vec<_>>>()?;
    let mut plans: HashMap<Plugin, IntoIter<Vec<String>>> = HashMap::new();
    for known in Plugin::value_variants() {
        let own = network.plugins.iter();
        let own = own.filter(|plugin| plugin.kind == known.name());
        let requests =
            own.map(|plugin| runner.of_attachment(Verb::Add, (network, plugin), on, Some(&result)));
        let requests: Vec<Request> = requests.collect();
        let all = of!(known, P => all::<P>(&requests))?;
        plans.insert(*known, all.into_iter());
    }
    let part = |(plugin, program): (&crate::runner::network::Plugin, exec::Program)| {
        let mut known = plans.iter_mut();
        let known = known.find(|(known, _)| known.name() == plugin.kind);
        let plan = known.map(|(_, plans)| plans.next().unwrap_or_default());
        Part {
            plugin: plugin.kind.clone(),
            note: match plan {
                Some(_) => None,
                None => Some(format!("{} says when it runs", program.path.display())),
            },
            plan: plan.unwrap_or_default(),
        }
    };
    let parts: Vec<Part> = network.plugins.iter().zip(programs).map(part).collect();
    match attach.common.json {
        true => print(&format!("{:#}", document(network, &parts, &assumed)))?,
        false => print(text(&parts, &assumed).trim_end())?,
    }
    Ok(())
}

/// The result that the chain's plugins would get: that of an earlier ADD, or one with the addresses that
/// were asked for; and what of it is only assumed.
fn result(runner: &Runner, network: &Network, on: &Attachment) -> Result<(Value, Vec<String>)> {
    if let Some(known) = runner.cached_result(network, on)? {
        return Ok((known, Vec::new()));
    }
    let asked = on.capabilities.get("ips").and_then(Value::as_array);
    let asked: Vec<String> = asked
        .into_iter()
        .flatten()
        .filter_map(|ip| ip.as_str().map(str::to_owned))
        .collect();
    let mut assumed = vec!["VETH: the name of the host's end".to_owned()];
    let addresses = match asked.is_empty() {
        false => asked,
        true => {
            let text = format!("{EXAMPLE}: the container's address; --ip gives another");
            assumed.push(text);
            vec![EXAMPLE.to_owned()]
        }
    };
    let ips = addresses
        .iter()
        .map(|address| json!({"address": address, "interface": 1}));
    let result = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "VETH"}, {"name": on.ifname, "sandbox": on.netns}],
        "ips": ips.collect::<Value>(),
    });
    let result = crate::runner::cache::in_version(result, &network.cni_version)
        .map_err(|problem| Error::config(&network.name, problem))?;
    Ok((result, assumed))
}

/// The plans of a plugin's entries.
fn all<P: Operate>(requests: &[Request]) -> Result<Vec<Vec<String>>> {
    let named = |error: common::Error| common::Error {
        msg: format!("plugin {}: {}", P::NAME, error.msg),
        ..error
    };
    let read = requests
        .iter()
        .map(|one| request_of(&one.stdin, P::VERSIONS, &one.env));
    let read: Vec<common::Request> = read.collect::<Result<_, _>>().map_err(named)?;
    let plans = P::plans(&read.iter().collect::<Vec<_>>()).into_iter();
    Ok(plans.collect::<Result<_, _>>().map_err(named)?)
}

fn text(parts: &[Part], assumed: &[String]) -> String {
    let mut text = String::new();
    for Part { plugin, plan, note } in parts {
        let head = match (note, plan.as_slice()) {
            (Some(note), _) => note,
            (None, []) => "nothing",
            (None, _) => "",
        };
        text += format!("{plugin}: {head}").trim_end();
        text.push('\n');
        text.extend(plan.iter().map(|line| format!("  {line}\n")));
    }
    text.extend(assumed.iter().map(|what| format!("assumed: {what}\n")));
    text
}

fn document(network: &Network, parts: &[Part], assumed: &[String]) -> Value {
    let parts = parts.iter().map(|part| {
        let Part { plugin, plan, note } = part;
        json!({"plugin": plugin, "plan": plan, "note": note})
    });
    json!({
        "schema": 1, "network": network.name, "dryRun": true,
        "plugins": parts.collect::<Value>(), "assumed": assumed,
    })
}
