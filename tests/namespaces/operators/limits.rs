//! `limits`.

use std::fs;

use sandbox::probe;
use serde_json::{Value, json};

use super::place::{Backend, Place};

fn listed(place: &Place) -> Vec<Value> {
    let said = place.run("bandwidth", &["limits", "--json"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    said.json()["limits"].as_array().unwrap().clone()
}

#[test]
fn both_directions_of_an_attachment_are_listed_with_what_was_sent() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("bandwidth");
    // Nobody listens there: a packet each way.
    let _ = probe::tcp::exchange(place.pod(0), "10.22.0.1:9".parse().unwrap());
    let all = listed(&place);
    let veth = &place.pod(0).host_interface;
    let told: Vec<Value> = all
        .iter()
        .map(|one| {
            json!([
                one["direction"],
                one["link"],
                one["rateBitsPerSecond"],
                one["burstBytes"],
                one["latencyMicroseconds"],
                one["container"],
                one["dropped"]
            ])
        })
        .collect();
    let expected = |direction: &str, rate: u64| {
        json!([direction, veth, rate, 100_000, 25_000, place.id(0), 0])
    };
    assert_eq!(
        told,
        [
            expected("egress", 16_000_000),
            expected("ingress", 8_000_000)
        ]
    );
    assert!(
        all.iter()
            .all(|one| one["sentPackets"].as_u64().unwrap() > 0),
        "{all:?}"
    );
}

#[test]
fn the_reference_s_limits_are_listed_and_other_people_s_queues_are_not() {
    let place = Place::new(Backend::Nftables, 2);
    let veth = place.pod(1).host_interface.clone();
    let host = &place.net.host;
    host.sh([
        "tc", "qdisc", "add", "dev", &veth, "root", "handle", "7:", "tbf", "rate", "1mbit",
        "burst", "10kb", "latency", "25ms",
    ]);
    place.does("/usr/lib/cni/bandwidth", "ADD", 0, &place.capabilities(0));
    place.remember(0, &place.capabilities(0));
    let all = listed(&place);
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(
        all.iter()
            .all(|one| one["link"] == place.pod(0).host_interface.as_str())
    );
    assert!(
        all.iter().all(|one| one["container"] == place.id(0)),
        "{all:?}"
    );
}

#[test]
fn a_line_fits_into_80_columns() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("bandwidth");
    let said = place.run_with("bandwidth", &["limits"], &[("COLUMNS", "80")]);
    assert_eq!(said.stdout.lines().count(), 3, "{said:?}");
    assert!(
        said.stdout.lines().all(|line| line.chars().count() <= 80),
        "{said:?}"
    );
    assert!(said.stdout.contains("16 Mbit/s"), "{said:?}");
}

#[test]
fn a_limit_is_listed_with_its_owner_also_where_its_ifb_has_another_name() {
    let place = Place::new(Backend::Nftables, 1);
    let mut asked = place.capabilities(0);
    asked["bandwidth"]["unshapedSubnets"] = json!(["10.9.0.0/16"]);
    place.attach("bandwidth", 0, &asked);
    let before = listed(&place);
    assert_eq!(before.len(), 2, "{before:?}");
    let host = &place.net.host;
    for (number, one) in before.iter().enumerate() {
        let (ifb, name) = (one["device"].as_str().unwrap(), format!("other{number}"));
        host.sh(["ip", "link", "set", ifb, "down"]);
        host.sh(["ip", "link", "set", ifb, "name", &name]);
    }
    // Nobody else knows it then.
    fs::remove_file(place.cache_file(0)).unwrap();
    let after = listed(&place);
    let told = |all: &[Value]| -> Vec<Value> {
        let keys = ["direction", "link", "rateBitsPerSecond", "container"];
        all.iter()
            .map(|one| json!(keys.map(|key| one[key].clone())))
            .collect()
    };
    assert_eq!(told(&after), told(&before));
    assert_eq!(after[0]["device"], "other0", "{after:?}");
}

/// Direction and rate of every limit that is there.
fn rates(place: &Place) -> Vec<(String, u64)> {
    let all = listed(place).into_iter();
    let there = all.filter(|one| one["state"] != "missing");
    let rate = |one: Value| {
        let direction = one["direction"].as_str().unwrap().to_owned();
        (direction, one["rateBitsPerSecond"].as_u64().unwrap())
    };
    there.map(rate).collect()
}

#[test]
fn a_running_pod_gets_another_limit_until_it_is_reconciled() {
    let place = Place::new(Backend::Nftables, 2);
    place.attach_all("bandwidth");
    place.name_pod(0, "shop", "web");
    let other = [
        ("egress".to_owned(), 16_000_000),
        ("ingress".to_owned(), 8_000_000),
    ];
    let with = |rates: &[(&str, u64)]| {
        let own = rates.iter().map(|(d, rate)| ((*d).to_owned(), *rate));
        let mut all: Vec<(String, u64)> = own.chain(other.clone()).collect();
        all.sort();
        all
    };
    let sorted = || {
        let mut all = rates(&place);
        all.sort();
        all
    };
    let limit = |line: &[&str]| {
        let said = place.run("bandwidth", &[&["limit", "shop/web"], line].concat());
        assert_eq!(said.code, Some(0), "{said:?}");
        assert!(
            said.stderr.contains("the runtime does not know about this"),
            "{said:?}"
        );
        said.stdout
    };
    let told = limit(&["--ingress", "20M"]);
    assert_eq!(told, format!("net1/{}/eth0: ingress 20M\n", place.id(0)));
    assert_eq!(
        sorted(),
        with(&[("egress", 16_000_000), ("ingress", 20_000_000)])
    );
    limit(&["--egress", "5M:1M", "--ingress", "none"]);
    assert_eq!(sorted(), with(&[("egress", 5_000_000)]));
    limit(&["--ingress", "3M", "--egress", "none"]);
    assert_eq!(sorted(), with(&[("ingress", 3_000_000)]));
    limit(&["--egress", "5M", "--ingress", "none"]);
    assert_eq!(sorted(), with(&[("egress", 5_000_000)]));
    let veth = place.pod(0).host_interface.clone();
    let link = place.net.host.sh(["ip", "link", "show", &veth]);
    assert!(!link.contains("alias"), "{link}");
    limit(&["--egress", "none", "--ingress", "none"]);
    assert_eq!(sorted(), with(&[]));
    limit(&["--ingress", "20M"]);
    let said = place.run("bandwidth", &["reconcile", "--json"]);
    assert_eq!(said.states(), ["repaired", "ok"], "{said:?}");
    assert_eq!(
        sorted(),
        with(&[("egress", 16_000_000), ("ingress", 8_000_000)])
    );
}

#[test]
fn a_limit_that_nobody_can_have_is_refused_and_changes_nothing() {
    let place = Place::new(Backend::Nftables, 2);
    place.attach_all("bandwidth");
    place.name_pod(0, "shop", "web");
    place.name_pod(1, "test", "web");
    let before = rates(&place);
    for (line, code, text) in [
        (
            &["limit", "none", "--ingress", "1M"][..],
            1,
            "no attachment of \"none\"",
        ),
        (
            &["limit", "web", "--ingress", "1M"],
            1,
            "--network or the container's ID",
        ),
        (&["limit", "web"], 2, "--ingress"),
        (
            &["limit", "web", "--ingress", "x"],
            2,
            "expected a number of bits",
        ),
        (
            &["limit", "shop/web", "--ingress", "1M:1"],
            1,
            "burst cannot be less than 8 bits",
        ),
    ] {
        let said = place.run("bandwidth", line);
        assert_eq!(said.code, Some(code), "{line:?} {said:?}");
        assert!(said.stderr.contains(text), "{line:?} {said:?}");
    }
    assert_eq!(rates(&place), before);
    let id = place.id(1);
    let said = place.run("bandwidth", &["limit", &id, "--ingress", "1M"]);
    assert_eq!(said.code, Some(0), "{said:?}");
}
