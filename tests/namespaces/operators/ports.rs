//! `ports`.

use std::io::Read as _;
use std::process::Stdio;

use sandbox::probe;
use serde_json::{Deserializer, Value, json};

use super::place::{Backend, NETWORK, Place, on_every_backend};

on_every_backend!(
    every_port_is_listed_with_its_owner,
    a_line_fits_into_80_columns,
    an_attachment_that_the_cache_does_not_know_is_stale,
    connections_are_counted,
    connections_that_meet_conditions_are_counted,
);

fn listed(place: &Place) -> Vec<Value> {
    let said = place.run("portmap", &["ports", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    said.json()["portMappings"].as_array().unwrap().clone()
}

fn every_port_is_listed_with_its_owner(backend: Backend) {
    let place = Place::new(backend, 2);
    place.attach_all("portmap");
    let mut all = listed(&place);
    assert_eq!(all.len(), 4, "{all:?}");
    all.retain(|one| one["container"] == place.id(1));
    all.sort_by_key(|one| one["hostPort"].as_u64());
    let expected = |host_ip: Value, host_port: u16, protocol: &str, container_port: u16| {
        json!({
            "hostIP": host_ip, "hostAddresses": null, "hostPort": host_port, "protocol": protocol,
            "containerIP": "10.22.0.3", "containerPort": container_port,
            "pod": null, "network": NETWORK, "container": place.id(1), "interface": "eth0",
            "backend": backend.shown(), "currentConnectionsPerSecond": null, "packets": 0, "bytes": 0,
            "state": "active", "details": "",
        })
    };
    let wanted = [
        expected(Value::Null, 8001, "tcp", 80),
        expected(json!("10.22.0.1"), 9001, "udp", 53),
    ];
    assert_eq!(all, wanted);
}

fn a_line_fits_into_80_columns(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    let said = place.run_with("portmap", &["ports"], &[("COLUMNS", "80")]);
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{said:?}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("0.0.0.0:8000/tcp ")),
        "{said:?}"
    );
    // Into a pipe every column goes, and without colour.
    let whole = place.run("portmap", &["ports"]);
    let id = format!(" {} ", &place.id(0)[..12]);
    assert!(whole.stdout.contains(&id) && !whole.stdout.contains('\x1b'));
    assert!(whole.stdout.contains(backend.shown()));
}

fn an_attachment_that_the_cache_does_not_know_is_stale(backend: Backend) {
    let place = Place::new(backend, 2);
    place.attach_all("portmap");
    std::fs::remove_file(place.cache_file(0)).unwrap();
    let mut gone = place.recall(1);
    gone["netns"] = json!("/nowhere");
    place.remember_as(1, &gone);
    for one in listed(&place) {
        assert_eq!(one["state"], "stale", "{one}");
        let why = match one["container"] == place.id(0) {
            true => "not in the runtime's cache",
            false => "its namespace is gone",
        };
        assert_eq!(one["details"], why);
    }
}

#[test]
fn the_older_owner_of_a_port_is_shadowed() {
    for backend in [Backend::IptablesNft, Backend::IptablesLegacy] {
        let place = Place::new(backend, 2);
        for index in 0..2 {
            place.attach("portmap", index, &place.asking(&[8080]));
        }
        let states: Vec<(Value, Value)> = listed(&place)
            .into_iter()
            .filter(|one| one["hostPort"] == 8080)
            .map(|one| (one["container"].clone(), one["state"].clone()))
            .collect();
        let expected = [
            (json!(place.id(1)), json!("active")),
            (json!(place.id(0)), json!("shadowed")),
        ];
        assert_eq!(states, expected);
    }
}

#[test]
fn the_ports_of_a_range_are_listed_each_with_its_owner_and_counted_in_the_first() {
    for (host_ip, chain) in [("0.0.0.0", "by_port"), ("10.99.0.1", "by_address")] {
        let place = Place::new(Backend::Nftables, 2);
        let asking = |ports: std::ops::Range<u16>| {
            let mapping = |port| json!({"hostPort": port, "containerPort": port, "protocol": "tcp", "hostIP": host_ip});
            let mappings: Vec<Value> = ports.map(mapping).collect();
            json!({ "portMappings": mappings })
        };
        place.attach("portmap", 0, &asking(20_000..20_020));
        place.attach("portmap", 1, &asking(20_008..20_009));
        let rows: Vec<_> = listed(&place)
            .into_iter()
            .map(|one| {
                let [port, packets] = ["hostPort", "packets"].map(|key| one[key].as_u64());
                let own = one["container"] == place.id(0);
                (port.unwrap(), own, one["state"] == "active", packets)
            })
            .collect();
        let range = |port| (port, true, port != 20_008, (port == 20_000).then_some(0));
        let expected = [(20_008, false, true, Some(0))].into_iter();
        let mut expected: Vec<_> = expected.chain((20_000..20_020).map(range)).collect();
        expected.sort();
        let mut sorted = rows.clone();
        sorted.sort();
        assert_eq!(sorted, expected);
        // What does not lead to ranges any more is missing, or nobody's.
        place.net.host.sh([
            "nft",
            "flush",
            "chain",
            "ip",
            "cni_portmap",
            &format!("{chain}_ranges"),
        ]);
        let states = listed(&place);
        assert!(
            states
                .iter()
                .any(|one| one["hostPort"] == 20_000 && one["state"] != "active")
        );
    }
}

#[test]
fn the_reference_s_rules_are_listed_with_ours() {
    for backend in [Backend::IptablesNft, Backend::IptablesLegacy] {
        let place = Place::new(backend, 2);
        place.attach("portmap", 0, &place.capabilities(0));
        let reference = "/usr/lib/cni/portmap";
        place.does(reference, "ADD", 1, &place.capabilities(1));
        let all = listed(&place);
        let theirs = all.iter().filter(|one| one["container"] == place.id(1));
        let theirs: Vec<&Value> = theirs.collect();
        assert_eq!(theirs.len(), 2, "{all:?}");
        assert!(
            theirs
                .iter()
                .all(|one| one["state"] == "stale" && one["network"] == NETWORK)
        );
    }
}

#[test]
fn the_reference_s_nftables_rules_are_listed_with_their_container() {
    let place = Place::new(Backend::Nftables, 2);
    place.attach("portmap", 0, &place.capabilities(0));
    let id = place.id(1);
    let host = &place.net.host;
    host.sh(["nft", "add", "table", "ip", "cni_hostport"]);
    host.sh(["nft", "add", "chain", "ip", "cni_hostport", "hostports"]);
    let rule = format!(
        "add rule ip cni_hostport hostports ip daddr 192.0.2.1 tcp dport 8000 \
         dnat to 10.22.0.3:81 comment \"{id}\""
    );
    host.sh(["nft", &rule]);
    let all = listed(&place);
    let theirs = all
        .iter()
        .find(|one| one["backend"] == "nftables-reference")
        .unwrap();
    assert_eq!(theirs["container"], id, "{theirs}");
    assert_eq!(
        (&theirs["network"], &theirs["state"]),
        (&Value::Null, &json!("stale"))
    );
    assert_eq!(
        (&theirs["hostIP"], &theirs["hostPort"]),
        (&json!("192.0.2.1"), &json!(8000))
    );
    assert_eq!(
        (&theirs["containerIP"], &theirs["containerPort"]),
        (&json!("10.22.0.3"), &json!(81))
    );
}

#[test]
fn an_attachment_with_conditions_is_listed_in_nftables() {
    let place = Place::new(Backend::Nftables, 1);
    let call = place.call("portmap", "ADD", 0, &place.capabilities(0));
    let conf = json!({
        "cniVersion": "1.0.0", "name": NETWORK, "type": "portmap", "backend": "nftables",
        "conditionsV4": ["ip", "saddr", "10.0.0.0/8"],
        "runtimeConfig": place.capabilities(0),
        "prevResult": {"cniVersion": "1.0.0", "ips": [{"address": "10.22.0.2/16"}]},
    });
    let answer = call.stdin(conf.to_string()).run(&place.net.host).unwrap();
    assert_eq!(answer.code, Some(0), "{answer:?}");
    place.remember(0, &place.capabilities(0));
    let mut ports: Vec<(Value, Value)> = listed(&place)
        .iter()
        .map(|one| (one["containerPort"].clone(), one["state"].clone()))
        .collect();
    ports.sort_by_key(|(port, state)| (port.as_u64(), state.to_string()));
    // The cache's list has another entry, without conditions.
    let expected = [
        (53, "active"),
        (53, "missing"),
        (80, "active"),
        (80, "missing"),
    ];
    assert_eq!(
        ports,
        expected.map(|(port, state)| (json!(port), json!(state)))
    );
}

fn connections_are_counted(backend: Backend) {
    are_counted(&Place::new(backend, 1));
}

fn connections_that_meet_conditions_are_counted(backend: Backend) {
    let place = Place::new(backend, 1).with_conditions();
    are_counted(&place);
    // What is counted is not compared, and another ADD leaves it.
    place.does("portmap", "CHECK", 0, &place.capabilities(0));
    place.does("portmap", "ADD", 0, &place.capabilities(0));
    let said = place.run("portmap", &["reconcile"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{said:?}");
    let of_8000 = |one: &&Value| one["hostPort"] == 8000;
    let all = listed(&place);
    assert_eq!(all.iter().find(of_8000).unwrap()["packets"], 1, "{all:?}");
    let said = place.run("portmap", &["metrics"]);
    let sample = "host_port=\"8000\",to=\"10.22.0.2:80\"} 1.0";
    assert!(said.stdout.contains(sample), "{said:?}");
}

#[track_caller]
fn are_counted(place: &Place) {
    place.attach_all("portmap");
    let _server = probe::tcp::Server::start(place.pod(0), 80, "pod").unwrap();
    let to = (place.pod(0).ipv4, 80).into();
    let _ = probe::tcp::exchange(&place.net.host, to);
    let node = "10.22.0.1:8000".parse().unwrap();
    let _ = probe::tcp::exchange(&place.net.host, node);
    let all = listed(place);
    let tcp = all.iter().find(|one| one["hostPort"] == 8000).unwrap();
    assert_eq!(tcp["packets"], 1, "{tcp}");
    assert!(tcp["bytes"].as_u64().unwrap() >= 40, "{tcp}");
}

#[test]
fn with_watch_a_port_has_the_rate_of_its_new_connections() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("portmap");
    let _server = probe::tcp::Server::start(place.pod(0), 80, "pod").unwrap();
    let call = place.tool(&["ports", "--watch=1", "--json", "--port", "8000/tcp"]);
    let mut command = call.command(&place.net.host);
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let mut child = command.spawn().unwrap();
    let documents = Deserializer::from_reader(child.stdout.take().unwrap()).into_iter::<Value>();
    let node = "10.22.0.1:8000".parse().unwrap();
    let mut rates = Vec::new();
    for document in documents.take(60) {
        rates.push(document.unwrap()["portMappings"][0]["currentConnectionsPerSecond"].clone());
        if rates.last().and_then(Value::as_u64) > Some(0) {
            break;
        }
        for _ in 0..20 {
            let _ = probe::tcp::exchange(&place.net.host, node);
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(rates[0], Value::Null, "{rates:?}");
    assert!(rates.last().unwrap().as_u64() > Some(0), "{rates:?}");
}

#[test]
fn a_watch_ends_when_its_reader_does_and_names_what_it_could_not_read() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("portmap");
    std::fs::write(place.cache_dir().join("results/foreign"), "[").unwrap();
    for command in ["ports", "limits"] {
        let call = place.tool(&[command, "--watch=1"]);
        let mut command = call.command(&place.net.host);
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut first = [0; 4];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let ended = child.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(0), "{said}");
        assert!(said.contains("results/foreign is not JSON"), "{said}");
    }
}

#[test]
fn an_empty_node_has_only_titles() {
    let place = Place::new(Backend::Nftables, 1);
    let said = place.run("portmap", &["ports"]);
    assert_eq!(
        (said.code, said.stdout.lines().count()),
        (Some(0), 1),
        "{said:?}"
    );
    assert!(listed(&place).is_empty());
}
