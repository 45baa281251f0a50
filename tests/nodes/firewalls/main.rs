//! Firewalls on a Debian that systemd has booted, with `cnictl follow` as the package's unit runs it: how
//! long host ports are dead, and that they come back by themselves.

use std::fs;

use runtimes::debian::{Debian, Program};
use serde_json::Value;

/// A host port may be dead for so long.
const MOST: u64 = 1000;

#[test]
fn host_ports_are_dead_for_at_most_a_second_and_stay() {
    let node = Debian::new("firewalls").unwrap();
    let unit = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../packaging/systemd/cni-follow.service"
    );
    node.write(
        "etc/systemd/system/cni-follow.service",
        &fs::read(unit).unwrap(),
    )
    .unwrap();
    let program = Program {
        name: "node.py",
        text: include_str!("node.py"),
    };
    let answer = node.boot(&program).unwrap();
    assert!(answer["error"].is_null(), "{answer:#}");
    let rows = answer["rows"].as_array().unwrap();
    let mut wrong = Vec::new();
    for row in rows {
        let (is_served, dead) = (row["served"] == true, row["deadMilliseconds"].as_u64());
        let is_followed = row["situation"] != "without follow";
        let is_right = match is_followed {
            true => is_served && dead.unwrap() <= MOST,
            false => !is_served,
        };
        if !is_right {
            wrong.push(row);
        }
    }
    eprintln!("{}", table(rows));
    assert!(
        wrong.is_empty(),
        "{wrong:#?}\n{}",
        answer["journal"].as_str().unwrap()
    );
    assert_eq!(rows.len(), 2 * (2 * 6 + 7 + 1));
    assert!(
        answer["state"].as_str().unwrap().contains("NRestarts=0"),
        "{answer:#}"
    );
}

/// As docs/operations.md has it.
fn table(rows: &[Value]) -> String {
    let mut text = String::from(
        "| situation | iptables, ms (in all) | nftables, ms (in all) |\n| --- | --- | --- |\n",
    );
    for pair in rows.chunks(2) {
        let dead = |row: &Value| match row["served"] == true {
            true => format!("{} ({})", row["deadMilliseconds"], row["wholeMilliseconds"]),
            false => "stays dead".to_owned(),
        };
        let cells: Vec<String> = pair.iter().map(dead).collect();
        let situation = pair[0]["situation"].as_str().unwrap();
        text += &format!("| {situation} | {} |\n", cells.join(" | "));
    }
    text
}
