//! `limits`.

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
