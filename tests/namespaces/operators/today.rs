//! `reconcile --config-dir`: attachments of yesterday get the configuration of today.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sandbox::probe::tcp::{Connection, Server, exchange};
use serde_json::{Value, json};

use super::place::{Backend, NETWORK, Place, Said, on_every_backend};

on_every_backend!(
    running_pods_move_to_another_backend_and_their_connections_live,
    every_entry_of_a_list_is_repaired_and_those_that_it_has_no_more_go,
);

/// A directory with today's list.
pub(super) fn today(place: &Place, plugins: &[Value]) -> PathBuf {
    let dir = place.directory.join("net.d");
    fs::create_dir_all(&dir).unwrap();
    let list = json!({"cniVersion": "1.0.0", "name": NETWORK, "plugins": plugins});
    fs::write(dir.join("10-net.conflist"), list.to_string()).unwrap();
    dir
}

fn reconcile(place: &Place, dir: &std::path::Path, line: &[&str]) -> Said {
    let dir = dir.display().to_string();
    let line = [&["reconcile", "--config-dir", &dir], line].concat();
    Said::of(place.tool(&line).run(&place.net.host).unwrap())
}

pub(super) fn backends(place: &Place) -> Vec<String> {
    let document = place.run("portmap", &["ports", "--json"]).json();
    let all = document["portMappings"].as_array().unwrap().clone();
    let words = |one: &Value| {
        let word = |key: &str| one[key].as_str().unwrap().to_owned();
        format!("{} {}", word("backend"), word("state"))
    };
    let mut all: Vec<String> = all.iter().map(words).collect();
    all.dedup();
    all
}

fn running_pods_move_to_another_backend_and_their_connections_live(backend: Backend) {
    let place = Place::new(backend, 2);
    for plugin in ["tuning", "portmap", "bandwidth"] {
        place.attach_all(plugin);
    }
    let _servers =
        [0, 1].map(|index| Server::start(place.pod(index), 80, &format!("pod{index}")).unwrap());
    // A pod is the other one's client.
    let client = |index: usize| place.pod(1 - index);
    let to = |index: u16| SocketAddr::new([10, 22, 0, 1].into(), 8000 + index);
    let mut connection = Connection::open(client(0), to(0), Duration::from_secs(10)).unwrap();
    assert_eq!(connection.echo("before").unwrap(), "before");
    let (key, shown) = match backend {
        Backend::Nftables => ("iptables", "iptables-nft active"),
        _ => ("nftables", "nftables active"),
    };
    let dir = today(
        &place,
        &[
            json!({"type": "tuning", "mtu": 1300, "dataDir": place.data_dir(),
                   "sysctl": {"net.core.somaxconn": "600"}}),
            json!({"type": "portmap", "backend": key, "capabilities": {"portMappings": true}}),
            json!({"type": "bandwidth", "ingressRate": 4_000_000}),
        ],
    );
    let rules = place.rules();
    let said = reconcile(&place, &dir, &["--dry-run", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(10), vec!["drifted".into(); 6]),
        "{said:?}"
    );
    let nothing = format!("nothing in {}", backend.shown());
    for part in [&nothing, "expected 1300", "expected 600", "500000"] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    assert_eq!(place.rules(), rules);
    let said = reconcile(&place, &dir, &["--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(10), vec!["repaired".into(); 6]),
        "{said:?}"
    );
    assert_eq!(connection.echo("after").unwrap(), "after");
    for index in [0, 1] {
        let answer = exchange(client(index.into()), to(index));
        assert_eq!(answer.server(), Some(format!("pod{index}").as_str()));
    }
    let document = place.run("portmap", &["ports", "--json"]).json();
    for one in document["portMappings"].as_array().unwrap() {
        assert_eq!(
            format!("{} {}", one["backend"].as_str().unwrap(), "active"),
            shown,
            "{document}"
        );
    }
    let limits = place.run("bandwidth", &["limits", "--json"]).json();
    let limits = limits["limits"].as_array().unwrap();
    let there = |one: &&Value| one["state"] != "missing";
    let rates: Vec<&Value> = limits
        .iter()
        .filter(there)
        .map(|one| &one["rateBitsPerSecond"])
        .collect();
    assert_eq!(rates, [4_000_000, 4_000_000], "{limits:?}");
    let link = place.pod(0).sh(["ip", "link", "show", "eth0"]);
    assert!(link.contains("mtu 1300"), "{link}");
    let said = reconcile(&place, &dir, &[]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{said:?}");
}

/// Limits a pod, and remembers the result as libcni does: it names the ifb.
fn attach_with_result(place: &Place, asked: &Value) {
    let answer = place.does("bandwidth", "ADD", 0, asked);
    place.remember(0, asked);
    let mut entry = place.recall(0);
    entry["result"] = serde_json::from_str(&answer.stdout).unwrap();
    place.remember_as(0, &entry);
}

#[test]
fn a_direction_that_today_s_limits_do_not_have_is_set_free() {
    let ingress = || json!({"ingressRate": 8_000_000});
    let egress = || json!({"egressRate": 16_000_000});
    let both = || json!({"ingressRate": 8_000_000, "egressRate": 16_000_000});
    let in_part = || json!({"ingressRate": 8_000_000, "unshapedSubnets": ["10.9.0.0/16"]});
    for (former, now, direction) in [
        (ingress(), egress(), "egress"),
        (egress(), ingress(), "ingress"),
        (both(), egress(), "egress"),
        (both(), ingress(), "ingress"),
        (in_part(), egress(), "egress"),
        (in_part(), ingress(), "ingress"),
    ] {
        let place = Place::new(Backend::Nftables, 1);
        let mut asked = place.capabilities(0);
        asked["bandwidth"] = former.clone();
        attach_with_result(&place, &asked);
        let mut part = now.clone();
        part["type"] = json!("bandwidth");
        let dir = today(&place, &[part]);
        let line = ["--plugin", "bandwidth", "--json"];
        let said = reconcile(&place, &dir, &[&line[..], &["--dry-run"]].concat());
        assert_eq!(said.states(), ["drifted"], "{former} {now}: {said:?}");
        let said = reconcile(&place, &dir, &line);
        assert_eq!(said.states(), ["repaired"], "{former} {now}: {said:?}");
        let limits = place.run("bandwidth", &["limits", "--json"]).json();
        let limits = limits["limits"].as_array().unwrap().iter();
        let there: Vec<&str> = limits
            .filter(|one| one["state"] != "missing")
            .map(|one| one["direction"].as_str().unwrap())
            .collect();
        assert_eq!(there, [direction], "{former} {now}");
        let queues = place.net.host.sh(["tc", "qdisc", "show"]);
        assert_eq!(queues.matches("tbf").count(), 1, "{queues}");
        let marks = place.net.host.sh(["ip", "link", "show"]);
        assert_eq!(marks.matches("alias").count(), 1, "{marks}");
        let said = reconcile(&place, &dir, &["--plugin", "bandwidth"]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{said:?}");
    }
}

#[test]
fn two_parts_of_a_chain_that_limit_a_direction_each_keep_both() {
    let place = Place::new(Backend::Nftables, 1);
    let mut asked = place.capabilities(0);
    asked["bandwidth"] = json!({"egressRate": 16_000_000});
    attach_with_result(&place, &asked);
    let part = |mut keys: Value| {
        keys["type"] = json!("bandwidth");
        keys
    };
    let parts = [
        json!({"egressRate": 16_000_000}),
        json!({"ingressRate": 8_000_000}),
    ];
    let dir = today(&place, &parts.map(part));
    let said = reconcile(&place, &dir, &["--plugin", "bandwidth", "--json"]);
    assert_eq!(said.states(), ["repaired"], "{said:?}");
    let queues = place.net.host.sh(["tc", "qdisc", "show"]);
    assert_eq!(queues.matches("tbf").count(), 2, "{queues}");
    let said = reconcile(&place, &dir, &["--plugin", "bandwidth"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{said:?}");
}

#[test]
fn what_a_network_has_no_more_is_taken_back() {
    let place = Place::new(Backend::Nftables, 1);
    for plugin in ["tuning", "portmap", "bandwidth"] {
        place.attach_all(plugin);
    }
    let dir = today(&place, &[json!({"type": "bridge"})]);
    let said = reconcile(&place, &dir, &["--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(10), vec!["repaired".into(); 3]),
        "{said:?}"
    );
    assert!(!place.rules().contains("8000"), "{}", place.rules());
    let queues = place.net.host.sh(["tc", "qdisc", "show"]);
    assert!(!queues.contains("tbf"), "{queues}");
    assert_eq!(fs::read_dir(place.data_dir()).unwrap().count(), 0);
    assert_eq!(backends(&place), ["nftables missing"]);
    let said = reconcile(&place, &dir, &[]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{said:?}");
    // The cache's configuration counts again where no other is given.
    let said = place.run("portmap", &["reconcile", "--json"]);
    assert_eq!(said.states(), ["repaired"], "{said:?}");
}

#[test]
fn a_network_that_is_not_there_keeps_what_it_has_unless_a_file_cannot_be_used() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("portmap");
    let dir = place.directory.join("net.d");
    let said = reconcile(&place, &dir, &["--plugin", "portmap"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.stderr.contains("net.d: No such file or directory"),
        "{said:?}"
    );
    fs::create_dir(&dir).unwrap();
    let said = reconcile(&place, &dir, &["--plugin", "portmap"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{said:?}");
    let rules = place.rules();
    fs::write(dir.join("20-bad.conflist"), "{").unwrap();
    let said = reconcile(&place, &dir, &["--plugin", "portmap", "--json"]);
    assert_eq!(
        (said.code, said.states()),
        (Some(1), vec!["failed".into()]),
        "{said:?}"
    );
    assert!(said.stdout.contains("20-bad.conflist"), "{said:?}");
    assert_eq!(place.rules(), rules);
}

fn every_entry_of_a_list_is_repaired_and_those_that_it_has_no_more_go(backend: Backend) {
    let place = Place::new(backend, 1);
    let entry = |source: &str| {
        let words = match backend {
            Backend::Nftables => json!(["ip", "saddr", source]),
            _ => json!(["-s", source]),
        };
        json!({"type": "portmap", "backend": backend.key(), "conditionsV4": words,
               "capabilities": {"portMappings": true}})
    };
    let sources = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"];
    let [one, two, three] = sources.map(entry);
    let capabilities = place.asking(&[8000]);
    place.remember(0, &capabilities);
    let mut cached = place.recall(0);
    let list = json!({"cniVersion": "1.0.0", "name": NETWORK, "plugins": [one, two]});
    cached["config"] = json!(common::base64::encode(list.to_string().as_bytes()));
    place.remember_as(0, &cached);
    let states = || -> Vec<String> {
        let document = place
            .run("portmap", &["ports", "--port", "8000", "--json"])
            .json();
        let all = document["portMappings"].as_array().unwrap().clone();
        let word = |one: &Value| one["state"].as_str().unwrap().to_owned();
        all.iter().map(word).collect()
    };
    let shown = |sources: [bool; 3]| {
        let rules = place.rules();
        let found = ["10.1.0.0", "10.2.0.0", "10.3.0.0"].map(|source| rules.contains(source));
        assert_eq!(found, sources, "{rules}");
    };
    assert_eq!(states(), ["missing", "missing"]);
    let reconcile_cached = || place.run("portmap", &["reconcile", "--json", "--grace", "0"]);
    let said = reconcile_cached();
    assert_eq!(said.states(), ["repaired"], "{said:?}");
    assert_eq!(states(), ["active", "active"]);
    shown([true, true, false]);
    let who = place.run("portmap", &["who", "8000"]);
    assert_eq!(who.stdout.lines().count(), 2, "{who:?}");
    assert!(!who.stdout.contains("eth0/"), "{who:?}");
    let metrics = place.run("portmap", &["metrics"]);
    let mut lines: Vec<&str> = metrics.stdout.lines().collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), count, "{}", metrics.stdout);
    // The DEL of one entry, as if somebody had removed its rules.
    let mut conf = place.conf("portmap", 0, &capabilities);
    conf["conditionsV4"] = two["conditionsV4"].clone();
    let call = place.call("portmap", "DEL", 0, &capabilities);
    let done = call.stdin(conf.to_string()).run(&place.net.host).unwrap();
    assert_eq!(done.code, Some(0), "{done:?}");
    shown([true, false, false]);
    assert_eq!(states(), ["active", "missing"]);
    let explained = place.run("portmap", &["explain", "8000"]).stdout;
    assert!(explained.contains("no rule exists"), "{explained}");
    let said = reconcile_cached();
    assert_eq!(said.states(), ["repaired"], "{said:?}");
    shown([true, true, false]);
    let dir = today(&place, &[one.clone(), three]);
    let said = reconcile(&place, &dir, &["--dry-run", "--json"]);
    assert_eq!(said.states(), ["drifted"], "{said:?}");
    let said = reconcile(&place, &dir, &["--json", "--grace", "0"]);
    assert_eq!(said.states(), ["repaired"], "{said:?}");
    shown([true, false, true]);
    let said = reconcile(&place, &dir, &["--json"]);
    assert_eq!(said.states(), ["ok"], "{said:?}");
    let dir = today(&place, &[one]);
    let said = reconcile(&place, &dir, &["--json", "--grace", "0"]);
    assert_eq!(said.states(), ["repaired"], "{said:?}");
    shown([true, false, false]);
    let said = reconcile_cached();
    assert_eq!(said.states(), ["repaired"], "{said:?}");
    place.attach_all("portmap");
    place.remember_as(0, &cached);
    fs::remove_file(place.cache_file(0)).unwrap();
    let said = place.run(
        "portmap",
        &["gc", "--grace", "0", "--network", NETWORK, "--json"],
    );
    assert_eq!(said.states(), ["removed"], "{said:?}");
    shown([false, false, false]);
    assert!(!place.rules().contains("8000"), "{}", place.rules());
}
