//! Whatever a configuration asks for: what ADD plans and does, CHECK observes without a difference,
//! ADD again changes nothing, and DEL takes all of it back. The configurations are random, the same
//! every time.

use serde_json::{Value, json};

use crate::numbers::Numbers;
use crate::{bandwidth, portmap, tuning};

/// Configurations of each plugin.
const COUNT: usize = 12;

/// Some of the members of an object.
fn some(numbers: &mut Numbers, all: Value) -> Value {
    let Value::Object(all) = all else {
        panic!("{all}")
    };
    let kept = all.into_iter().filter(|_| numbers.below(2) == 0);
    Value::Object(kept.collect())
}

#[test]
fn what_tuning_sets_is_no_drift_and_goes_with_del() {
    let pod = tuning::pod::Pod::new();
    let before = (pod.link(), pod.sysctl("net/core/somaxconn"));
    let mut numbers = Numbers::new(1);
    for _ in 0..COUNT {
        let all = json!({
            "mtu": 1280 + numbers.below(220), "promisc": numbers.below(2) == 0,
            "allmulti": numbers.below(2) == 0, "txQLen": numbers.below(5000),
            "mac": format!("02:aa:00:00:00:{:02X}", numbers.below(256)),
            "sysctl": {"net.core.somaxconn": numbers.below(60_000).to_string()},
        });
        let keys = some(&mut numbers, all);
        pod.add(keys.clone());
        pod.check(keys.clone());
        let once = pod.link();
        pod.add(keys.clone());
        assert_eq!(pod.link(), once, "{keys}");
        pod.del(keys.clone());
        let after = (pod.link(), pod.sysctl("net/core/somaxconn"));
        assert_eq!(after, before, "{keys}");
        assert!(pod.files().is_empty(), "{keys}");
    }
}

#[test]
fn what_bandwidth_limits_is_no_drift_and_goes_with_del() {
    let pod = bandwidth::pod::Pod::new();
    let before = pod.state();
    let mut numbers = Numbers::new(2);
    for _ in 0..COUNT {
        let mut number = |least: usize, most: usize| 3u64 << (least + numbers.below(most - least));
        // Bursts in which a frame fits.
        let mut keys = json!({
            "ingressRate": number(10, 40), "ingressBurst": number(14, 30),
            "egressRate": number(10, 40), "egressBurst": number(14, 30),
            "latencyMs": number(0, 9),
        });
        let more = [
            ("burstPolicy", json!("literal")),
            ("unshapedSubnets", json!(["10.0.0.0/8", "fd00::/8"])),
        ];
        for (key, value) in more {
            if numbers.below(2) == 0 {
                keys[key] = value;
            }
        }
        pod.add(keys.clone());
        pod.check(keys.clone());
        pod.add(keys.clone());
        pod.check(keys.clone());
        pod.del(keys.clone());
        assert_eq!(pod.state(), before, "{keys}");
    }
}

#[test]
fn what_portmap_maps_is_no_drift_and_goes_with_del() {
    let net = portmap::nftables::host_with(1);
    let mut numbers = Numbers::new(3);
    let usual = portmap::nftables::Pod::new(&net, 0);
    // The set of every kind of mapping stays.
    for masquerade in ["snat", "masqAll"] {
        let pod = usual.clone().with(masquerade, json!(true));
        pod.does("ADD", &net.host);
        pod.does("DEL", &net.host);
    }
    let before = portmap::nftables::contents(&net.host);
    for _ in 0..COUNT {
        let mappings: Vec<Value> = (0..=numbers.below(6))
            .map(|_| {
                json!({
                    "hostPort": 1 + numbers.below(65_535),
                    "containerPort": 1 + numbers.below(65_535),
                    "protocol": (["tcp", "UDP", "sctp"][numbers.below(3)]),
                    "hostIP": (["", "10.99.0.1", "fd99::1", "0.0.0.0", "::"][numbers.below(5)]),
                })
            })
            .collect();
        let pod = usual
            .clone()
            .mapping(json!(mappings))
            .with("snat", json!(numbers.below(3) > 0))
            .with("masqAll", json!(numbers.below(2) == 0));
        pod.does("ADD", &net.host);
        pod.does("CHECK", &net.host);
        let once = portmap::nftables::contents(&net.host);
        pod.does("ADD", &net.host);
        assert_eq!(portmap::nftables::contents(&net.host), once, "{mappings:?}");
        pod.does("DEL", &net.host);
        assert_eq!(
            portmap::nftables::contents(&net.host),
            before,
            "{mappings:?}"
        );
    }
}
