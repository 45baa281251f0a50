//! CHECK of the nftables backend sees whatever was changed behind its back, whatever the layout.

use serde_json::Value;

use crate::case::Table;
use crate::edit::{restore_nft, save_nft};
use crate::failure::{Failure, Verdict, ensure, fail};
use crate::json::{list, text};
use crate::kernel::script;
use crate::lab::{Lab, Pods};
use crate::request::Request;

/// What was changed: texts of which the first that occurs is replaced everywhere by the other.
const SWAPS: [(&str, &[(&str, &str)]); 14] = [
    (
        "the container's IPv4 address is another",
        &[("10.22.0.2", "10.22.0.9")],
    ),
    (
        "the container's IPv6 address is another",
        &[("fd00:22::2", "fd00:22::9")],
    ),
    (
        "the container's TCP port is another in IPv4",
        &[
            ("10.22.0.2:80", "10.22.0.2:82"),
            ("10.22.0.2 . 80 ", "10.22.0.2 . 82 "),
            ("10.22.0.2 . 80,", "10.22.0.2 . 82,"),
        ],
    ),
    (
        "the container's TCP port is another in IPv6",
        &[
            ("[fd00:22::2]:80", "[fd00:22::2]:82"),
            ("fd00:22::2 . 80 ", "fd00:22::2 . 82 "),
            ("fd00:22::2 . 80,", "fd00:22::2 . 82,"),
        ],
    ),
    ("the host's TCP port is another", &[("8080", "8090")]),
    ("the host's UDP port is another", &[("8081", "8091")]),
    (
        "TCP is SCTP",
        &[
            ("tcp dport 8080", "sctp dport 8080"),
            ("tcp . 8080", "sctp . 8080"),
        ],
    ),
    (
        "UDP is SCTP",
        &[
            ("udp dport 8081", "sctp dport 8081"),
            ("udp . 8081", "sctp . 8081"),
        ],
    ),
    ("the owner is another", &[("cid-0001", "cid-0009")]),
    (
        "packets to other machines are taken too",
        &[("fib daddr type local ", "")],
    ),
    (
        "the chain of prerouting is at another hook",
        &[(
            "hook prerouting priority dstnat",
            "hook output priority -99",
        )],
    ),
    (
        "packets are accepted instead of masqueraded",
        &[("masquerade", "accept")],
    ),
    (
        "packets of 127.0.0.1 are not masqueraded",
        &[
            ("127.0.0.1", "127.0.0.9"),
            ("127.0.0.0/8", "127.9.0.0/16"),
            ("iif \"lo\"", "iif \"veth0\""),
            ("iifname \"lo\"", "iifname \"other\""),
        ],
    ),
    (
        "base chains come too late",
        &[("priority dstnat", "priority 300")],
    ),
];

/// Cases of drift.
pub fn cases(table: &mut Table) {
    table.case(
        "CHECK passes when the ruleset was saved and loaded again",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().added()?;
            restore_nft(&pods, &save_nft(&pods)?)?;
            request.check()?.silent()
        },
    );
    for (name, swaps) in SWAPS {
        table.case(format!("CHECK fails when {name}"), move |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().added()?;
            let text = save_nft(&pods)?;
            let Some((from, to)) = swaps.iter().find(|(from, _)| text.contains(from)) else {
                return fail(format!("the ruleset has none of {swaps:?}: {text}"));
            };
            restore_nft(&pods, &text.replace(from, to))?;
            request.check()?.drift()
        });
    }
    for hook in ["prerouting", "output", "postrouting"] {
        let commands = [
            ("is empty", "nft flush chain CHAIN"),
            ("is gone", "nft flush chain CHAIN; nft delete chain CHAIN"),
            (
                "begins with a rule that accepts",
                "nft insert rule CHAIN accept",
            ),
        ];
        for (what, command) in commands {
            table.case(
                format!("CHECK fails when the base chain of {hook} {what}"),
                move |lab| each_base_chain(lab, hook, command),
            );
        }
    }
    for (what, command) in [
        ("is gone", "nft delete table TABLE"),
        ("is empty", "nft flush table TABLE"),
        ("is dormant", "nft add table TABLE '{ flags dormant; }'"),
    ] {
        table.case(format!("CHECK fails when the table {what}"), move |lab| {
            each_table(lab, command)
        });
    }
    table.case("CHECK fails when any one rule is gone", |lab| {
        any_one(lab, rules, |rule| format!("nft delete rule {rule}"))
    });
    table.case("CHECK fails when any one set or map is empty", |lab| {
        any_one(lab, filled_sets, |set| {
            format!("nft flush set {set} || nft flush map {set}")
        })
    });
    table.case("CHECK fails when any one element is gone", any_one_element);
}

/// The objects of a kind in the tables of portmap.
fn objects(pods: &Pods, kind: &str) -> Result<Vec<Value>, Failure> {
    let text = script(&pods.net.host, "nft -j -a list ruleset")?;
    let ruleset: Value = serde_json::from_str(&text)?;
    let found = list(&ruleset, "/nftables")
        .iter()
        .filter_map(|object| object.get(kind));
    Ok(found.cloned().collect())
}

fn name(object: &Value) -> String {
    format!(
        "{} {} {}",
        text(object, "/family"),
        text(object, "/table"),
        text(object, "/name")
    )
}

fn rules(pods: &Pods) -> Result<Vec<String>, Failure> {
    let rules = objects(pods, "rule")?;
    Ok(rules
        .iter()
        .map(|rule| {
            format!(
                "{} {} {} handle {}",
                text(rule, "/family"),
                text(rule, "/table"),
                text(rule, "/chain"),
                rule["handle"]
            )
        })
        .collect())
}

fn filled_sets(pods: &Pods) -> Result<Vec<String>, Failure> {
    let mut sets = objects(pods, "set")?;
    sets.append(&mut objects(pods, "map")?);
    let filled = sets.iter().filter(|set| !list(set, "/elem").is_empty());
    Ok(filled.map(name).collect())
}

/// Does something to each object in turn: CHECK must see it each time.
fn any_one(
    lab: &Lab,
    find: fn(&Pods) -> Result<Vec<String>, Failure>,
    command: fn(&str) -> String,
) -> Verdict {
    let pods = lab.pod()?;
    let request = pods.usual().added()?;
    let whole = save_nft(&pods)?;
    let count = find(&pods)?.len();
    let mut unseen = Vec::new();
    for number in 0..count {
        // Handles change when a ruleset is loaded; the order does not.
        let Some(object) = find(&pods)?.get(number).cloned() else {
            return fail("an object vanished when the ruleset was loaded again");
        };
        script(&pods.net.host, &command(&object))?;
        note(&request, &object, &mut unseen)?;
        restore_nft(&pods, &whole)?;
    }
    request.check()?.ok()?;
    ensure(unseen.is_empty(), || {
        format!("not seen: {} of\n{whole}", unseen.join("; "))
    })
}

fn note(request: &Request<'_>, object: &str, unseen: &mut Vec<String>) -> Verdict {
    if request.check()?.drift().is_err() {
        unseen.push(object.to_owned());
    }
    Ok(())
}

fn any_one_element(lab: &Lab) -> Verdict {
    let pods = lab.pod()?;
    let request = pods.usual().added()?;
    let whole = save_nft(&pods)?;
    let mut unseen = Vec::new();
    for (element, without) in without_each_element(&whole) {
        restore_nft(&pods, &without)?;
        note(&request, &element, &mut unseen)?;
    }
    restore_nft(&pods, &whole)?;
    request.check()?.ok()?;
    ensure(unseen.is_empty(), || {
        format!("not seen: {} of\n{whole}", unseen.join("; "))
    })
}

/// The ruleset without each element of its sets and maps in turn.
fn without_each_element(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (at, opening) in text.match_indices("elements = {") {
        let start = at + opening.len();
        let Some(length) = text.get(start..).and_then(|rest| rest.find('}')) else {
            continue;
        };
        let elements: Vec<_> = text[start..start + length].split(',').collect();
        for (number, element) in elements.iter().enumerate() {
            let mut others = elements.clone();
            others.remove(number);
            let (head, tail) = (&text[..start], &text[start + length..]);
            let without = match others.is_empty() {
                true => format!("{}{}", &text[..at], tail.get(1..).unwrap_or_default()),
                false => format!("{head}{}{tail}", others.join(",")),
            };
            all.push((element.trim().to_owned(), without));
        }
    }
    all
}

fn each_base_chain(lab: &Lab, hook: &str, command: &str) -> Verdict {
    let pods = lab.pod()?;
    let request = pods.usual().added()?;
    let whole = save_nft(&pods)?;
    let chains: Vec<_> = objects(&pods, "chain")?
        .iter()
        .filter(|chain| text(chain, "/hook") == hook && text(chain, "/type") == "nat")
        .map(name)
        .collect();
    ensure(!chains.is_empty(), || {
        format!("no nat chain at {hook} in {whole}")
    })?;
    for chain in chains {
        script(&pods.net.host, &command.replace("CHAIN", &chain))?;
        request
            .check()?
            .drift()
            .map_err(|Failure(what)| Failure(format!("{chain}: {what}")))?;
        restore_nft(&pods, &whole)?;
    }
    request.check()?.ok()
}

fn each_table(lab: &Lab, command: &str) -> Verdict {
    let pods = lab.pod()?;
    let request = pods.usual().added()?;
    let whole = save_nft(&pods)?;
    for table in objects(&pods, "table")? {
        let table = format!("{} {}", text(&table, "/family"), text(&table, "/name"));
        script(&pods.net.host, &command.replace("TABLE", &table))?;
        request
            .check()?
            .drift()
            .map_err(|Failure(what)| Failure(format!("{table}: {what}")))?;
        restore_nft(&pods, &whole)?;
    }
    request.check()?.ok()
}
