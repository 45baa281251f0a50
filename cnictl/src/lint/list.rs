//! A list, or the one plugin of a `.conf`: its keys, its version, and the order of its plugins.

use std::cmp::Reverse;
use std::path::Path;

use common::attachment::is_valid_name;
use common::decode::Object;
use common::json::Json;
use common::keys;
use common::version::Version;

use super::again;
use super::capability;
use super::document::{Document, Finding, Node};
use super::part::{self, Part};
use crate::finding::Severity;
use crate::plugins::{Plugin, of};
use crate::runner::Network;

/// Main plugins of the reference: each begins a result of its own.
const MAIN: [&str; 8] = [
    "bridge",
    "dummy",
    "host-device",
    "ipvlan",
    "macvlan",
    "ptp",
    "tap",
    "vlan",
];

/// Keys at the top of a list that are a part's.
const OF_PARTS: [&str; 6] = [
    "capabilities",
    "runtimeConfig",
    "prevResult",
    "logLevel",
    "logFile",
    "ipam",
];

/// Everything that is wrong with a file.
pub fn findings(file: &Path, bytes: &[u8]) -> Vec<Finding> {
    let document = match Document::read(file, bytes) {
        Ok(document) => document,
        Err(broken) => return vec![broken],
    };
    let root = document.root();
    if !matches!(root.json, Json::Object(_)) {
        let text = format!("expected an object, got {}", root.json.kind());
        return vec![document.finding(Severity::Error, &root, text, "")];
    }
    let is_list = root.get("plugins").is_some() || root.get("type").is_none();
    let mut found: Vec<Finding> = kind(&document, file, is_list).into_iter().collect();
    found.extend(refused(&document, bytes, is_list));
    let parts: Vec<Node<'_>> = match is_list {
        true => {
            let keys = root.members();
            found.extend(keys.filter_map(|(key, at)| misplaced(&document, key, &at)));
            root.get("plugins").iter().flat_map(Node::items).collect()
        }
        false => vec![root.clone()],
    };
    found.extend(of_parts(&document, &parts));
    found.sort_by_key(|found| (found.place, Reverse(found.severity)));
    found.dedup();
    found
}

/// What is wrong with the parts, and with their order.
fn of_parts(document: &Document<'_>, parts: &[Node<'_>]) -> Vec<Finding> {
    let mut found = Vec::new();
    let root = document.root();
    let version = version(document, parts, &mut found);
    let name = root.get("name").and_then(|name| name.text());
    let name = name.filter(|name| is_valid_name(name)).unwrap_or("lint");
    for (place, node) in parts.iter().enumerate() {
        found.extend(name_of(document, node));
        found.extend(order(document, parts, place));
        if let Some(plugin) = part::plugin(node) {
            let part = Part {
                document,
                node: node.clone(),
                plugin,
                network: (name, version),
            };
            found.extend(part.findings());
            found.extend(capability::findings(&part));
        }
    }
    found
}

/// Runtimes read a `.conflist` as a list, and everything else as the part of one plugin.
fn kind(document: &Document<'_>, file: &Path, is_list: bool) -> Option<Finding> {
    let root = document.root();
    let extension = file.extension()?.to_str()?;
    let (text, write) = match (extension, is_list) {
        ("conf" | "json", true) => (
            format!("a .{extension} holds one plugin, and this is a list"),
            "it to a file .conflist",
        ),
        ("conflist", false) => (
            "a .conflist holds a list, and this is one plugin".to_owned(),
            "{\"cniVersion\": …, \"name\": …, \"plugins\": [{…}]}",
        ),
        _ => return None,
    };
    let at = root
        .get(if is_list { "plugins" } else { "type" })
        .unwrap_or(root);
    Some(document.finding(Severity::Error, &at, text, write))
}

/// What libcni refuses.
fn refused(document: &Document<'_>, bytes: &[u8], is_list: bool) -> Option<Finding> {
    let read = match is_list {
        true => Network::parse_list(bytes),
        false => Network::parse_single(bytes),
    };
    let problem = read.err()?;
    let at = document.root().named(&problem);
    Some(document.finding(Severity::Error, &at, problem, ""))
}

fn misplaced(document: &Document<'_>, key: &str, at: &Node<'_>) -> Option<Finding> {
    let warning =
        |text: String, write: String| Some(document.finding(Severity::Warning, at, text, write));
    let list = keys::LIST.iter().map(|known| known.name);
    if key.starts_with('_') || list.clone().any(|known| known == key) {
        return None;
    }
    if let Some(known) = list.clone().find(|known| known.eq_ignore_ascii_case(key)) {
        return warning(
            format!("{key:?} is not read in this spelling"),
            format!("{known:?}"),
        );
    }
    let of_parts = OF_PARTS.iter().any(|known| known.eq_ignore_ascii_case(key));
    if of_parts || part::owner(key).is_some() {
        let whose = part::owner(key).map_or("the plugin", Plugin::name);
        let text = format!("{key:?} is not a key of a list and is ignored");
        return warning(text, format!("it in the entry of {whose}"));
    }
    let known = keys::meant(key, &[keys::LIST])?;
    warning(
        format!("{key:?} is not a key of a list and is ignored"),
        format!("{known:?}"),
    )
}

/// The version that the parts are read with: a known one, whatever the file says.
fn version(document: &Document<'_>, parts: &[Node<'_>], found: &mut Vec<Finding>) -> Version {
    let root = document.root();
    let newest = Version::V110;
    let at = root.get("cniVersion").filter(|at| at.text() != Some(""));
    let written = at.as_ref().map_or(Some(Version::V010.text()), Node::text);
    let at = at.clone().unwrap_or(root.clone());
    let Some(written) = written else {
        return newest;
    };
    let several = root
        .get("cniVersions")
        .map(|list| list.items().collect::<Vec<_>>());
    let several = several.unwrap_or_default();
    let several = several
        .iter()
        .filter_map(|item| Version::from_text(item.text()?));
    let known = several.chain(Version::from_text(written)).max();
    let Some(version) = known else {
        let text = format!("cniVersion {written:?} is unknown");
        found.push(document.finding(
            Severity::Error,
            &at,
            text,
            format!("{newest:?}", newest = newest.text()),
        ));
        return newest;
    };
    for plugin in parts.iter().filter_map(part::plugin) {
        if !of!(plugin, P => <P as common::Plugin>::VERSIONS).contains(&version) {
            let text = format!(
                "{} does not know cniVersion {:?}",
                plugin.name(),
                version.text()
            );
            found.push(document.finding(Severity::Error, &at, text, "\"cniVersion\": \"1.0.0\""));
        }
    }
    version
}

/// A type that is close to one of ours.
pub fn name_of(document: &Document<'_>, node: &Node<'_>) -> Option<Finding> {
    let at = node.get("type")?;
    let written = at.text()?;
    let ours = super::ours().find(|plugin| keys::near(written, plugin.name()).is_some())?;
    if written == ours.name() {
        return None;
    }
    let text = format!("type {written:?} is close to a plugin of another name");
    Some(document.finding(Severity::Warning, &at, text, format!("{:?}", ours.name())))
}

/// What is before or after something where it should not be.
fn order(document: &Document<'_>, parts: &[Node<'_>], place: usize) -> Vec<Finding> {
    let Some((before, node)) = parts.get(..place).zip(parts.get(place)) else {
        return Vec::new();
    };
    let kind = node.get("type");
    let (Some(at), Some(name)) = (&kind, kind.as_ref().and_then(Node::text)) else {
        return Vec::new();
    };
    let ours = part::plugin(node);
    let earlier: Vec<Plugin> = before.iter().filter_map(part::plugin).collect();
    let mut found = Vec::new();
    if place == 0 && ours.is_some() {
        let text =
            format!("{name} is the first plugin: ADD refuses it without a result of another");
        found.push(document.finding(
            Severity::Error,
            at,
            text,
            "a main plugin such as bridge before it",
        ));
    }
    if MAIN.contains(&name) && !earlier.is_empty() {
        let text = format!("{name} starts a new result, after {}", joined(&earlier));
        found.push(document.finding(Severity::Warning, at, text, "it first"));
    }
    if ours == Some(Plugin::Tuning)
        && earlier.contains(&Plugin::Bandwidth)
        && node.get("mtu").is_some()
    {
        let text = "tuning sets the MTU after bandwidth has sized its queue for another".to_owned();
        found.push(document.finding(Severity::Warning, at, text, "tuning before bandwidth"));
    }
    found.extend(again::findings(document, before, node));
    let alike = match ours {
        Some(Plugin::Bandwidth) => String::new(),
        // Several entries are several sets of mappings.
        Some(Plugin::Portmap) => format!(" with the same {}", portmap::ENTRY_KEYS.join(", ")),
        _ => return found,
    };
    let is_like = |other: &Node<'_>| match (ours, other.json, node.json) {
        (Some(Plugin::Portmap), Json::Object(one), Json::Object(other)) => {
            portmap::is_same_entry(Object::root(one), Object::root(other))
        }
        _ => true,
    };
    let mut same = before.iter().filter(|other| part::plugin(other) == ours);
    if same.any(is_like) {
        let text =
            format!("{name} appears twice{alike}: the second replaces what the first has set");
        found.push(document.finding(Severity::Warning, at, text, "one of them"));
    }
    found
}

fn joined(plugins: &[Plugin]) -> String {
    let names: Vec<&str> = plugins.iter().map(|plugin| plugin.name()).collect();
    names.join(", ")
}
