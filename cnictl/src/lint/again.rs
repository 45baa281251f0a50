//! Attributes that several `tuning` of one list set to different values.

use common::json::Json;

use super::document::{Document, Finding, Node};
use super::part;
use crate::finding::Severity;
use crate::plugins::Plugin;

/// Attributes of the interface.
const ATTRIBUTES: [&str; 5] = ["mac", "mtu", "promisc", "allmulti", "txQLen"];
/// Keys whose members are attributes.
const GROUPS: [&str; 3] = ["sysctl", "offload", "hostOffload"];

/// What a `tuning` sets that an earlier one sets to another value: the later one replaces it, which CHECK of
/// the earlier one takes for a change, and each `reconcile` undoes what the last one did.
pub fn findings(document: &Document<'_>, before: &[Node<'_>], node: &Node<'_>) -> Vec<Finding> {
    let is_tuning = |node: &&Node<'_>| part::plugin(node) == Some(Plugin::Tuning);
    let earlier: Vec<(String, Node<'_>)> =
        before.iter().filter(is_tuning).flat_map(settings).collect();
    let warning = |(name, value): (String, Node<'_>)| {
        let (_, first) = earlier.iter().rfind(|(other, _)| *other == name)?;
        let (first, last) = (said(first), said(&value));
        let text = format!(
            "{name} is {last} here and {first} in an earlier tuning: CHECK of that one fails"
        );
        (first != last).then(|| document.finding(Severity::Warning, &value, text, "it once"))
    };
    match is_tuning(&node) {
        true => settings(node).into_iter().filter_map(warning).collect(),
        false => Vec::new(),
    }
}

/// What a part sets, by a name that is the same for every spelling.
fn settings<'a>(node: &Node<'a>) -> Vec<(String, Node<'a>)> {
    let attribute = |key: &&str| Some(((*key).to_owned(), node.get(key)?));
    let attributes = ATTRIBUTES.iter().filter_map(attribute);
    let groups = GROUPS.iter().filter_map(|key| Some((*key, node.get(key)?)));
    let members = groups.flat_map(|(key, group)| {
        let members: Vec<(&str, Node<'_>)> = group.members().collect();
        members
            .into_iter()
            .filter_map(move |(name, value)| match key {
                "sysctl" => Some((tuning::sysctl_meant(name)?, value)),
                key => Some((format!("{key}.{name}"), value)),
            })
    });
    attributes.chain(members).filter(is_set).collect()
}

/// Whether a value is more than the default, which leaves the attribute as it is.
fn is_set((name, value): &(String, Node<'_>)) -> bool {
    let default = match name.as_str() {
        "mac" => "",
        "mtu" => "0",
        "promisc" => "false",
        _ => return *value.json != Json::Null,
    };
    said(value) != default
}

/// A value as text: a sysctl may be a string or a number.
fn said(value: &Node<'_>) -> String {
    match value.text() {
        Some(text) => text.trim().to_owned(),
        None => value.json.to_string(),
    }
}
