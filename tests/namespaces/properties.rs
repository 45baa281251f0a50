//! Whatever a configuration asks for: what ADD plans and does, CHECK observes without a difference,
//! ADD again changes nothing, and DEL takes all of it back. The configurations are random, the same
//! every time.

use common::CniResult;
use common::decode::Object;
use common::json::Json;
use common::version::{Family, Version};
use serde_json::{Value, json};

use crate::numbers::Numbers;
use crate::portmap::node::{Backend, Host, request};
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

/// One to six mappings of every kind.
fn mappings(numbers: &mut Numbers) -> Vec<Value> {
    let count = 1 + numbers.below(6);
    let one = |_| {
        json!({
            "hostPort": 1 + numbers.below(65_535),
            "containerPort": 1 + numbers.below(65_535),
            "protocol": (["tcp", "UDP", "sctp"][numbers.below(3)]),
            "hostIP": (["", "10.99.0.1", "fd99::1", "0.0.0.0", "::"][numbers.below(5)]),
        })
    };
    (0..count).map(one).collect()
}

#[test]
fn what_portmap_maps_with_nftables_is_no_drift_and_goes_with_del() {
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
        let mappings = mappings(&mut numbers);
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

#[test]
fn what_portmap_maps_with_iptables_nft_is_no_drift_and_goes_with_del() {
    iptables(Backend::IptablesNft);
}

#[test]
fn what_portmap_maps_with_iptables_legacy_is_no_drift_and_goes_with_del() {
    iptables(Backend::IptablesLegacy);
}

fn iptables(backend: Backend) {
    let host = Host::usual(backend);
    let mut numbers = Numbers::new(4);
    // What all attachments share stays.
    let first = request(
        "",
        &json!({"hostPort": 1, "containerPort": 1, "protocol": "tcp"}).to_string(),
    );
    host.run("ADD", &first);
    host.run("DEL", &first);
    // Counters aside: `iptables-save` prints those of the chains that every table has.
    let rules = || -> Vec<String> {
        let state = host.state();
        let lines = state.lines().filter(|line| !line.contains(" ACCEPT ["));
        lines.map(str::to_owned).collect()
    };
    let before = rules();
    for _ in 0..COUNT {
        let list: Vec<String> = mappings(&mut numbers)
            .iter()
            .map(Value::to_string)
            .collect();
        let snat = numbers.below(3) > 0;
        let options = format!(r#""snat":{snat},"masqAll":{},"#, numbers.below(2) == 0);
        let request = request(&options, &list.join(","));
        host.run("ADD", &request);
        host.run("CHECK", &request);
        let once = rules();
        host.run("ADD", &request);
        assert_eq!(rules(), once, "{request}");
        host.run("DEL", &request);
        assert_eq!(rules(), before, "{request}");
    }
}

/// Addresses, interfaces and routes as the newest spec version has them.
fn result(numbers: &mut Numbers) -> Value {
    let address = |numbers: &mut Numbers| match numbers.below(2) {
        0 => format!(
            "10.{}.0.{}/{}",
            numbers.below(256),
            numbers.below(256),
            numbers.below(33)
        ),
        _ => format!("fd00::{:x}/{}", numbers.below(65_536), numbers.below(129)),
    };
    let interfaces: Vec<Value> = (0..1 + numbers.below(3))
        .map(|number| {
            let all = json!({"mac": "02:00:00:00:00:0a", "mtu": 1280 + number, "sandbox": "/n", "socketPath": "/s", "pciID": "1"});
            let mut one = some(numbers, all);
            one["name"] = json!(format!("i{number}"));
            one
        })
        .collect();
    let ips: Vec<Value> = (0..numbers.below(4))
        .map(|_| json!({"address": address(numbers), "interface": numbers.below(interfaces.len())}))
        .collect();
    let routes: Vec<Value> = (0..numbers.below(3))
        .map(|_| {
            let mut one = some(
                numbers,
                json!({"advmss": 1360, "mtu": 1400, "priority": 5, "scope": 0, "table": 7}),
            );
            one["dst"] = json!(address(numbers));
            one
        })
        .collect();
    json!({
        "cniVersion": "1.1.0", "interfaces": interfaces, "ips": ips, "routes": routes,
        "dns": some(numbers, json!({"nameservers": ["10.0.0.53"], "domain": "d", "search": ["s"], "options": ["o"]})),
    })
}

fn parsed(json: &Json, version: Version) -> CniResult {
    match json {
        Json::Object(fields) => CniResult::parse(Object::root(fields), version).unwrap(),
        other => panic!("{other}"),
    }
}

/// What is left of a result that is written in a version and read again.
fn through(result: &CniResult, version: Version) -> CniResult {
    parsed(&result.to_json(version), version)
}

#[test]
fn a_result_comes_back_from_every_version_with_all_that_the_version_can_say() {
    let mut numbers = Numbers::new(5);
    for _ in 0..COUNT * 50 {
        let text = result(&mut numbers).to_string();
        let full = parsed(&Json::parse(text.as_bytes()).unwrap(), Version::V110);
        assert_eq!(through(&full, Version::V110), full, "{text}");
        for version in Version::ALL.iter().copied() {
            let once = through(&full, version);
            assert_eq!(through(&once, version), once, "{version} {text}");
            // Newer versions say all that older ones do.
            for newer in Version::ALL
                .iter()
                .copied()
                .filter(|newer| *newer > version)
            {
                assert_eq!(through(&once, newer), once, "{version} in {newer}: {text}");
            }
            if version.family() == Family::Ip4Ip6 {
                let firsts = [true, false].map(|is_v4| {
                    full.ips
                        .iter()
                        .find(|ip| ip.address.addr.is_ipv4() == is_v4)
                });
                let kept = firsts.iter().flatten().count();
                assert_eq!(once.ips.len(), kept, "{version} {text}");
            } else {
                assert_eq!(once.ips, full.ips, "{version} {text}");
                assert_eq!(
                    once.interfaces.len(),
                    full.interfaces.len(),
                    "{version} {text}"
                );
            }
            assert_eq!(once.dns, full.dns, "{version} {text}");
        }
    }
}
