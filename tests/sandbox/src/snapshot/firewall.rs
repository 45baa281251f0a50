//! iptables of both variants, and nf_tables.

use std::fs;
use std::io;

use serde_json::Value;

use super::json;
use crate::namespace::Namespace;

/// The tables that the iptables tools make by themselves.
const BUILT_IN_TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// Their chains.
const BUILT_IN_CHAINS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// What the iptables tools see.
pub(super) struct Iptables {
    /// Chains and rules, a line each.
    pub(super) lines: Vec<String>,
    /// Tables of theirs, by family, in which somebody else put what they cannot show.
    foreign: Vec<(&'static str, String)>,
}

/// Chains and rules of all tables. Without `-t` the save tools print only tables that are there; `-t nat`
/// would create that of the legacy variant.
pub(super) fn iptables(namespace: &Namespace) -> io::Result<Iptables> {
    let (mut lines, mut foreign) = (Vec::new(), Vec::new());
    for (tool, family, names) in [
        ("iptables", "ip", "ip_tables_names"),
        ("ip6tables", "ip6", "ip6_tables_names"),
    ] {
        let saved = namespace.try_sh(&[&format!("{tool}-nft-save")])?;
        lines.extend(
            rules(&saved)
                .into_iter()
                .map(|rule| format!("{tool}-nft {rule}")),
        );
        foreign.extend(incompatible(&saved).map(|table| (family, table)));
        // A kernel without the legacy tables has no such file.
        let tables = namespace.run(|| fs::read_to_string(format!("/proc/thread-self/net/{names}")));
        if tables.is_ok_and(|tables| !tables.is_empty()) {
            let saved = namespace.try_sh(&[&format!("{tool}-legacy-save")])?;
            lines.extend(
                rules(&saved)
                    .into_iter()
                    .map(|rule| format!("{tool}-legacy {rule}")),
            );
        }
    }
    Ok(Iptables { lines, foreign })
}

/// The tables of which it says ``# Table `nat' is incompatible, use 'nft' tool.``
fn incompatible(saved: &str) -> impl Iterator<Item = String> {
    let named = |line: &str| {
        line.strip_prefix("# Table `")?
            .split_once("' is incompatible")
            .map(|(name, _)| name.to_owned())
    };
    saved.lines().filter_map(named)
}

/// `*nat`, `:CHAIN - [0:0]` and `-A CHAIN …` as `nat -N CHAIN` and `nat -A CHAIN …`. Chains come sorted:
/// their order has no meaning and the tools do not keep it.
fn rules(saved: &str) -> Vec<String> {
    let (mut chains, mut rules, mut table) = (Vec::new(), Vec::new(), "");
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split(' ');
            match (
                words.next().unwrap_or_default(),
                words.next().unwrap_or_default(),
            ) {
                (name, "ACCEPT") if BUILT_IN_CHAINS.contains(&name) => {}
                (name, "-") => chains.push(format!("{table} -N {name}")),
                (name, policy) => chains.push(format!("{table} -P {name} {policy}")),
            }
        } else if line.starts_with('-') {
            rules.push(format!("{table} {line}"));
        }
    }
    chains.sort();
    rules.sort_by_key(|rule| {
        rule.split(' ')
            .take(3)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    chains.append(&mut rules);
    chains
}

/// Everything that `nft` lists, without handles and counts, and without what `seen` has already.
pub(super) fn nft(namespace: &Namespace, seen: &Iptables) -> io::Result<Vec<String>> {
    let ruleset = json::read(namespace, &["nft", "-j", "list", "ruleset"])?;
    let objects = ruleset
        .get("nftables")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let objects = objects
        .iter()
        .filter_map(Object::new)
        .filter(|object| !object.is_in(seen));
    let mut lines: Vec<_> = objects.map(|object| object.line()).collect();
    // Rules keep their order within a chain, because the sort is stable and ends at the chain's name.
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(lines
        .into_iter()
        .map(|(place, text)| format!("{place} {text}"))
        .collect())
}

/// One object of the ruleset: a table, chain, rule, set, map.
struct Object {
    kind: String,
    family: String,
    /// The table it is or is in.
    table: String,
    value: Value,
}

impl Object {
    fn new(value: &Value) -> Option<Self> {
        let (kind, value) = value.as_object()?.iter().next()?;
        if kind == "metainfo" {
            return None;
        }
        let table = json::text(value, if kind == "table" { "name" } else { "table" });
        let mut value = value.clone();
        json::strip(&mut value, &["handle", "packets", "bytes", "expires"]);
        // The elements of a set have no order.
        if let Some(elements) = value.get_mut("elem").and_then(Value::as_array_mut) {
            elements.sort_by_key(Value::to_string);
        }
        Some(Self {
            kind: kind.clone(),
            family: json::text(&value, "family"),
            table,
            value,
        })
    }

    fn line(&self) -> (String, String) {
        let Self {
            kind,
            family,
            table,
            value,
        } = self;
        let name = json::text(value, if kind == "rule" { "chain" } else { "name" });
        (format!("{family} {table} {kind} {name}"), value.to_string())
    }

    /// Whether the iptables tools show it, or it is a table or chain that they made by themselves.
    fn is_in(&self, seen: &Iptables) -> bool {
        let Self {
            kind,
            family,
            table,
            value: _,
        } = self;
        matches!(family.as_str(), "ip" | "ip6")
            && BUILT_IN_TABLES.contains(&table.as_str())
            && matches!(kind.as_str(), "table" | "chain" | "rule")
            && !seen
                .foreign
                .iter()
                .any(|(foreign, name)| foreign == family && name == table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_rules_lose_counters_and_built_in_chains_and_keep_their_order() {
        let saved = "# comment\n*nat\n:PREROUTING ACCEPT [3:4]\n:OUTPUT DROP [0:0]\n:B - [0:0]\n:A - [0:0]\n\
                     -A B -j two\n-A A -j one\n-A B -j RETURN\nCOMMIT\n";
        let expected = [
            "nat -N A",
            "nat -N B",
            "nat -P OUTPUT DROP",
            "nat -A A -j one",
            "nat -A B -j two",
            "nat -A B -j RETURN",
        ];
        assert_eq!(rules(saved), expected);
    }
}
