//! `capabilities`: what a part requests of the runtime, without which it gets no ports and no limits.

use common::json::Json;
use common::keys;

use super::document::{Finding, Node};
use super::part::{BANDWIDTH, PORT_MAPPINGS, Part};
use crate::plugins::Plugin;

/// Rates, with which bandwidth needs no capability.
const RATES: [&str; 2] = ["ingressRate", "egressRate"];

/// The capability of a plugin.
fn name(plugin: Plugin) -> &'static str {
    match plugin {
        Plugin::Bandwidth => "bandwidth",
        Plugin::Portmap => "portMappings",
        Plugin::Tuning => "mac",
    }
}

/// What is misspelt, in the wrong part, or missing.
pub fn findings(part: &Part<'_>) -> Vec<Finding> {
    let own = name(part.plugin);
    let declared = part.node.get("capabilities");
    let members = declared.iter().flat_map(Node::members);
    let members: Vec<_> = members.filter(|(key, _)| !key.starts_with('_')).collect();
    let mut found: Vec<Finding> = members
        .iter()
        .filter(|(key, _)| *key != own)
        .filter_map(|(key, at)| other(part, key, at))
        .collect();
    let is_there = members
        .iter()
        .any(|(key, at)| *key == own && *at.json == Json::Bool(true));
    if found.is_empty() && !is_there {
        found.extend(missing(part, declared.as_ref().unwrap_or(&part.node)));
    }
    found
}

/// A capability that is not the plugin's. That runtimes take it in this spelling only makes another case
/// another name.
fn other(part: &Part<'_>, key: &str, at: &Node<'_>) -> Option<Finding> {
    let plugin = part.plugin.name();
    let own = name(part.plugin);
    let is_word =
        [("portmap", "hostPorts"), ("bandwidth", "trafficShaping")].contains(&(plugin, key));
    if keys::near(key, own).is_some() || is_word {
        let text = format!("{key:?} is not a capability that runtimes know");
        return Some(part.warning(at, text, format!("{own:?}")));
    }
    let owner = super::ours().find(|other| name(*other) == key)?;
    let text = format!(
        "{key} is a capability of {}, {plugin} has none of that name",
        owner.name()
    );
    Some(part.warning(at, text, format!("it in the entry of {}", owner.name())))
}

fn missing(part: &Part<'_>, at: &Node<'_>) -> Option<Finding> {
    let has = |key: &str| part.node.get(key).is_some();
    let sent = part.node.get("runtimeConfig");
    if sent.is_some_and(|sent| sent.get(name(part.plugin)).is_some()) {
        return None;
    }
    match part.plugin {
        Plugin::Portmap => {
            let text = "portmap gets no ports from the runtime".to_owned();
            Some(part.warning(at, text, PORT_MAPPINGS))
        }
        Plugin::Bandwidth if !RATES.iter().any(|rate| has(rate)) => {
            let text = "bandwidth has no rate and gets none from the runtime".to_owned();
            Some(part.warning(at, text, BANDWIDTH))
        }
        Plugin::Bandwidth | Plugin::Tuning => None,
    }
}
