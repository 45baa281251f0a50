//! A Debian that systemd has booted, with `cnictl follow` as the package's unit runs it: how long host ports
//! are dead after what firewalls do, that they come back by themselves, and what that costs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use runtimes::debian::{Debian, Program};
use serde_json::{Value, json};

/// Packages that do not go with each other.
const FIREWALLS: &str = "firewalld,iptables-persistent";
const UFW: &str = "ufw";

/// A host port may be dead for so many milliseconds after the last change.
const MOST: u64 = 1000;
/// How often a node is booted before a port that was dead for longer on a machine that stalled is a failure.
const TRIES: usize = 3;
/// 1 % of a core for a minute, in microseconds.
const ONE_PERCENT: u64 = 600_000;

/// Boots a node for one of the roles of node.py.
fn answer(role: &str, packages: &str) -> Value {
    let node = Debian::new(role, packages).unwrap();
    let unit = fs::read(root().join("packaging/systemd/cni-follow.service")).unwrap();
    node.write("etc/systemd/system/cni-follow.service", &unit)
        .unwrap();
    node.write("etc/role", role.as_bytes()).unwrap();
    node.write("etc/session", session().as_bytes()).unwrap();
    let program = Program {
        name: "node.py",
        text: include_str!("node.py"),
    };
    let begun = Instant::now();
    let answer = node.boot(&program).unwrap();
    eprintln!("{role}: {} s", begun.elapsed().as_secs());
    assert!(answer["error"].is_null(), "{answer:#}");
    let state = answer["state"].as_str().unwrap();
    assert!(state.contains("NRestarts=0"), "{answer:#}");
    answer
}

/// The commands of docs/operations.md that need systemd.
fn session() -> String {
    let text = operations();
    let (_, block) = text
        .split_once("```console no-run: run by make nodes\n")
        .unwrap();
    let (block, _) = block.split_once("```").unwrap();
    block.to_owned()
}

fn operations() -> String {
    fs::read_to_string(root().join("docs/operations.md")).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whether a host port was served as it should be. Time in which the service had no processor does not count.
fn is_right(row: &Value) -> bool {
    let number = |key: &str| row[key].as_u64().unwrap();
    let dead = number("deadMilliseconds").saturating_sub(number("stalledMilliseconds"));
    let is_served = row["served"] == true;
    is_served == (row["expected"] == true) && (!is_served || dead <= MOST)
}

/// Whether the machine let the service wait for a processor: then a row says nothing of the service.
fn is_stalled(row: &Value) -> bool {
    row["stalledMilliseconds"].as_u64().unwrap() > 0
}

/// The situations that were seen, each with both backends, and as docs/operations.md lists them. They are tried
/// again only where every fault is one of a machine that stalled.
fn serves(role: &str, packages: &str) {
    let mut wrong = String::new();
    for _ in 0..TRIES {
        let answer = answer(role, packages);
        let rows = answer["rows"].as_array().unwrap();
        let listed = listed(role);
        eprintln!("{}", table(rows, &listed));
        let seen: BTreeSet<&str> = rows.iter().map(situation).collect();
        let plain: Vec<String> = listed.iter().map(|cell| plain(cell)).collect();
        let expected: BTreeSet<&str> = plain.iter().map(String::as_str).collect();
        assert_eq!(seen, expected, "docs/operations.md has the same");
        assert_eq!(rows.len(), 2 * seen.len());
        let bad: Vec<&Value> = rows.iter().filter(|row| !is_right(row)).collect();
        if bad.is_empty() {
            return;
        }
        wrong = format!("{bad:#?}\n{}", answer["journal"].as_str().unwrap());
        assert!(bad.iter().all(|row| is_stalled(row)), "{wrong}");
        eprintln!("{wrong}");
    }
    panic!("{wrong}");
}

fn situation(row: &Value) -> &str {
    row["situation"].as_str().unwrap()
}

/// The first cells of the rows of a table of docs/operations.md, which a comment names.
fn listed(role: &str) -> Vec<String> {
    let text = operations();
    let (_, table) = text.split_once(&format!("<!-- {role} -->\n")).unwrap();
    let rows = table.lines().skip_while(|line| line.is_empty());
    let rows = rows.take_while(|line| line.starts_with("| ")).skip(2);
    rows.map(|line| line.split(" | ").next().unwrap()[2..].to_owned())
        .collect()
}

/// A cell without its marks of code, as node.py names the situation.
fn plain(cell: &str) -> String {
    cell.replace('`', "")
}

#[test]
fn host_ports_are_dead_for_at_most_a_second_after_what_firewalls_do_and_stay() {
    serves("firewalls", FIREWALLS);
}

#[test]
fn host_ports_are_dead_for_at_most_a_second_after_what_firewalls_do_to_legacy_tables_and_stay() {
    serves("legacy", FIREWALLS);
}

#[test]
fn host_ports_are_dead_for_at_most_a_second_after_what_ufw_does_and_stay() {
    serves("ufw", UFW);
}

#[test]
fn to_follow_costs_nothing_while_nothing_changes_and_little_while_others_change() {
    let answer = answer("cost", FIREWALLS);
    let costs = &answer["costs"];
    eprintln!("{costs:#}");
    // One for systemd's watchdog.
    let idle = costs["idle"]["wakeUps"].as_u64().unwrap();
    assert!(idle <= 1, "{costs:#}");
    // Changed qdiscs cost more than that (docs/operations.md): each may concern a limit.
    let used = costs["nf_tables"]["microseconds"].as_u64().unwrap();
    assert!(used <= ONE_PERCENT, "{costs:#}");
}

/// The rows of docs/operations.md, with the figures of this run.
fn table(rows: &[Value], listed: &[String]) -> String {
    let mut text = String::from("| situation | iptables | nftables |\n| --- | --- | --- |\n");
    for pair in rows.chunks(2) {
        let cells: Vec<String> = pair.iter().map(dead).collect();
        let situation = situation(&pair[0]);
        let cell = listed.iter().find(|cell| plain(cell) == situation);
        let cell = cell.map_or(situation, String::as_str);
        text += &format!("| {cell} | {} |\n", cells.join(" | "));
    }
    text
}

/// How long a port was dead after the last change, of how long in all.
fn dead(row: &Value) -> String {
    if row["served"] != true {
        return "stays dead".to_owned();
    }
    let seconds = |key: &str| row[key].as_f64().unwrap() / 1000.0;
    match seconds("wholeMilliseconds") {
        0.0 => "never".to_owned(),
        whole => format!("{:.1} s of {whole:.1} s", seconds("deadMilliseconds")),
    }
}

#[test]
fn a_row_is_printed_as_the_page_has_it() {
    let row = |backend: &str, served: bool, dead: u64, whole: u64| {
        json!({
            "situation": "nft -f with flush ruleset", "backend": backend, "served": served,
            "deadMilliseconds": dead, "wholeMilliseconds": whole,
        })
    };
    let listed = ["`nft -f` with `flush ruleset`".to_owned()];
    let both = [
        row("iptables", true, 220, 1240),
        row("nftables", true, 0, 0),
    ];
    let printed = table(&both, &listed);
    assert!(printed.ends_with("| `nft -f` with `flush ruleset` | 0.2 s of 1.2 s | never |\n"));
    assert_eq!(dead(&row("iptables", false, 0, 0)), "stays dead");
}
