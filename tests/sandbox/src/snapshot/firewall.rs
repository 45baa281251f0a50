//! iptables of both variants, and nf_tables.

use std::fs;
use std::io;

use iptables::IPTables;
use serde_json::Value;

use super::json;
use crate::namespace::Namespace;

/// The tables that the iptables tools make by themselves.
const BUILT_IN_TABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// What the iptables tools see.
pub(super) struct Iptables {
    /// Chains and rules, a line each.
    pub(super) lines: Vec<String>,
    /// Tables that iptables-nft showed, by family. The others are none of its, or have what it cannot show.
    shown: Vec<(&'static str, String)>,
}

/// Chains and rules of the tables that are there. Listing another one would create it.
pub(super) fn iptables(namespace: &Namespace, ruleset: &[Object]) -> io::Result<Iptables> {
    let (mut lines, mut shown) = (Vec::new(), Vec::new());
    for (family, nft, legacy, names) in [
        ("ip", "iptables-nft", "iptables-legacy", "ip_tables_names"),
        (
            "ip6",
            "ip6tables-nft",
            "ip6tables-legacy",
            "ip6_tables_names",
        ),
    ] {
        for table in BUILT_IN_TABLES
            .iter()
            .filter(|name| has_table(ruleset, family, name))
        {
            if let Some(rules) = list(namespace, nft, table)? {
                lines.extend(rules);
                shown.push((family, (*table).to_owned()));
            }
        }
        // A kernel without the legacy tables has no such file.
        let tables = namespace.run(|| fs::read_to_string(format!("/proc/thread-self/net/{names}")));
        for table in tables.unwrap_or_default().lines() {
            let rules = list(namespace, legacy, table)?;
            let failed = || io::Error::other(format!("{legacy} -t {table} -S prints nothing"));
            lines.extend(rules.ok_or_else(failed)?);
        }
    }
    lines.sort_by_cached_key(|line| place(line));
    Ok(Iptables { lines, shown })
}

fn has_table(ruleset: &[Object], family: &str, name: &str) -> bool {
    let is =
        |object: &Object| object.kind == "table" && object.family == family && object.table == name;
    ruleset.iter().any(is)
}

/// `iptables-nft nat -N CHAIN` and `iptables-nft nat -A CHAIN …`, but for the chains that every table has.
/// `None` where the program prints nothing: it has failed, as the policies of those chains are always there.
fn list(
    namespace: &Namespace,
    program: &'static str,
    table: &str,
) -> io::Result<Option<Vec<String>>> {
    let iptables = IPTables {
        cmd: program,
        has_check: true,
        has_wait: true,
        is_numeric: false,
    };
    let listed = namespace.run(|| iptables.list_table(table).map_err(|e| e.to_string()));
    let listed = listed.map_err(|e| io::Error::other(format!("start {program}: {e}")))?;
    let own = |line: &&String| !(line.starts_with("-P ") && line.ends_with(" ACCEPT"));
    let lines = listed.iter().filter(own);
    let lines = lines
        .map(|line| format!("{program} {table} {line}"))
        .collect();
    Ok((listed != [""]).then_some(lines))
}

/// What the lines are sorted by: the order of chains has no meaning, that of a chain's rules has.
fn place(line: &str) -> Vec<String> {
    line.split(' ').take(4).map(str::to_owned).collect()
}

/// Everything that `nft` lists, without handles and counts.
pub(super) fn ruleset(namespace: &Namespace) -> io::Result<Vec<Object>> {
    let ruleset = json::read(namespace, &["nft", "-j", "list", "ruleset"])?;
    let objects = ruleset.get("nftables").and_then(Value::as_array);
    Ok(objects
        .into_iter()
        .flatten()
        .filter_map(Object::new)
        .collect())
}

/// What of the ruleset `seen` has not already, a line each.
pub(super) fn others(ruleset: &[Object], seen: &Iptables) -> Vec<String> {
    let objects = ruleset.iter().filter(|object| !object.is_in(seen));
    let mut lines: Vec<_> = objects.map(Object::line).collect();
    // Rules keep their order within a chain, because the sort is stable and ends at the chain's name.
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    let joined = lines.into_iter();
    joined
        .map(|(place, text)| format!("{place} {text}"))
        .collect()
}

/// One object of the ruleset: a table, chain, rule, set, map.
pub(super) struct Object {
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
        matches!(kind.as_str(), "table" | "chain" | "rule")
            && seen
                .shown
                .iter()
                .any(|(shown, name)| shown == family && name == table)
    }
}
