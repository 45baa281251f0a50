//! Host ports that others have, too.

use std::collections::{BTreeMap, BTreeSet};

use common::Protocol;
use portmap::list::row::Row;
use portmap::list::{Listener, listeners};

use super::{Node, found};
use crate::finding::{Finding, some};
use crate::mappings::Mapping;
use crate::missing::{RECONCILE, WayOut};
use crate::state::State;

const OBJECT: &str = "host ports";

pub(super) fn findings(node: &Node<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !node.mappings.is_empty() {
        findings.push(backends(node));
    }
    findings.extend(states(node));
    findings.extend(processes(node));
    findings.extend(reference(node));
    findings
}

/// How many each backend has.
fn backends(node: &Node<'_>) -> Finding {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for Mapping { row, state, .. } in &node.mappings {
        if !matches!(state, State::Missing(_)) {
            *counts.entry(row.backend).or_default() += 1;
        }
    }
    let told: Vec<String> = counts
        .iter()
        .map(|(backend, n)| format!("{n} in {backend}"))
        .collect();
    let (iptables, others): (Vec<&str>, Vec<&str>) = counts
        .keys()
        .copied()
        .partition(|backend| backend.starts_with("iptables"));
    let text = match told.is_empty() {
        true => "no port is mapped".to_owned(),
        false => told.join(", "),
    };
    match iptables.is_empty() || others.is_empty() {
        true => Finding::ok(OBJECT, text),
        false => {
            let text = format!(
                "two backends in use: {text}: if both map a port, the one whose chains come first \
                 gets it"
            );
            Finding::warning(OBJECT, text).run("cnictl ports --sort backend")
        }
    }
}

/// A port and its protocol.
pub fn port(row: &Row) -> String {
    format!("{}/{}", row.forward.port.number, row.forward.port.protocol)
}

/// Those of which something is wrong; what takes their packets first is named with the rule.
fn states(node: &Node<'_>) -> Vec<Finding> {
    let mut by_word: BTreeMap<(&str, bool), Vec<String>> = BTreeMap::new();
    for Mapping { row, state, .. } in &node.mappings {
        if !matches!(state, State::Active | State::Taken(_)) {
            let owner = node.owners.name(&row.owner);
            let told = format!("{} of {owner} ({})", port(row), state.details());
            let is_mendable = matches!(state, State::Missing(WayOut::Reconcile | WayOut::Behind));
            let key = (state.word(), is_mendable);
            by_word.entry(key).or_default().push(told);
        }
    }
    let finding = |((word, is_mendable), told): ((&str, bool), Vec<String>)| {
        let text = format!("{} {word}: {}", told.len(), some(&told));
        match word {
            "missing" if is_mendable => Finding::error(OBJECT, text).run(RECONCILE),
            "contested" => Finding::error(OBJECT, text).run("cnictl ports"),
            "stale" => Finding::warning(OBJECT, text).run("cnictl gc --dry-run"),
            _ => Finding::warning(OBJECT, text).run("cnictl ports"),
        }
    };
    by_word.into_iter().map(finding).collect()
}

/// Processes of the node that listen on a mapped port: no packet from outside comes to them.
fn processes(node: &Node<'_>) -> Vec<Finding> {
    let forwards = node.mappings.iter().map(|mapping| &mapping.row);
    let mapped: BTreeSet<(u16, Protocol)> = forwards
        .map(|row| (row.forward.port.number, row.forward.port.protocol))
        .collect();
    if mapped.is_empty() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let listeners = listeners(|port, protocol| mapped.contains(&(port, protocol)));
    let listeners = found("processes that listen", listeners, &mut findings).unwrap_or_default();
    let told: Vec<String> = listeners.iter().map(process).collect();
    if !told.is_empty() {
        let text = format!(
            "a process listens on a mapped port and gets no connections from outside: {}",
            some(&told)
        );
        findings.push(Finding::warning(OBJECT, text).run("cnictl who PORT"));
    }
    findings
}

/// A listener in short.
pub fn process(listener: &Listener) -> String {
    let who = listener.process.as_ref();
    let who = who.map_or("an invisible process".to_owned(), |process| {
        format!("{} ({})", process.name, process.id)
    });
    format!("{}/{} by {who}", listener.local, listener.protocol)
}

/// What the reference's nftables backend made.
fn reference(node: &Node<'_>) -> Option<Finding> {
    let forwards = node.mappings.iter().map(|mapping| &mapping.row);
    let ports: Vec<String> = forwards
        .filter(|row| row.backend == "nftables-reference")
        .map(port)
        .collect();
    let text = format!(
        "created by the reference's nftables backend: {}",
        some(&ports)
    );
    (!ports.is_empty()).then(|| Finding::warning(OBJECT, text).run("cnictl reconcile --dry-run"))
}
