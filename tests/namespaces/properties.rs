//! Whatever a configuration asks for: what ADD plans and does, CHECK observes without a difference,
//! ADD again changes nothing, and DEL takes all of it back. The configurations are random, the same
//! every time.

use common::CniResult;
use common::decode::Object;
use common::json::Json;
use common::version::{Family, Version};
use serde_json::{Value, json};

use crate::attached::Attached;
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

/// Every shape of `prevResult` that main plugins answer with in a version: with and without the
/// interfaces of host and container, sandboxes, hardware addresses, and indices of addresses.
fn shapes(version: Version) -> Vec<Value> {
    let text = version.text();
    if version.family() == Family::Ip4Ip6 {
        return vec![
            json!({"ip4": {"ip": "10.22.0.2/16"}}),
            json!({"cniVersion": text, "ip4": {"ip": "10.22.0.2/16"}, "ip6": {"ip": "fd00:22::2/64"}, "dns": {}}),
        ];
    }
    let (veth, eth0) = (
        json!({"name": "veth0", "mac": "02:00:00:00:00:0a"}),
        json!({"name": "eth0", "mac": "02:00:00:00:00:0c", "sandbox": "/run/netns/cont"}),
    );
    let interfaces = [
        None,
        Some(json!(null)),
        Some(json!([])),
        Some(json!([veth, eth0])),
        Some(json!([eth0])),
        Some(json!([{"name": "eth0", "mac": "02:00:00:00:00:0c"}])),
        Some(json!([{"name": "eth0"}])),
        Some(json!([veth])),
        Some(json!([veth, {"name": "eth0"}])),
        Some(json!([{"name": "lo"}, veth, eth0])),
    ];
    let indices = [None, Some(0), Some(1), Some(9), Some(-1)];
    let mut shapes = Vec::new();
    for interfaces in &interfaces {
        for (number, index) in indices.iter().enumerate() {
            let mut ip = json!({"address": "10.22.0.2/16", "gateway": "10.22.0.1"});
            let mut result = json!({});
            if let Some(index) = index {
                ip["interface"] = json!(index);
            }
            if version.family() == Family::Lists {
                ip["version"] = json!("4");
            }
            if let Some(interfaces) = interfaces {
                result["interfaces"] = interfaces.clone();
            }
            if number % 2 == 0 {
                result["cniVersion"] = json!(text);
                result["dns"] = json!({});
            }
            result["ips"] = json!([ip]);
            shapes.push(result);
        }
    }
    shapes
}

/// Where a plugin takes a result in ADD, its CHECK and DEL take ADD's own, and nothing stays.
/// Gives how many it took.
fn own_results(
    attached: &Attached,
    versions: &[Version],
    state: &dyn Fn() -> Vec<String>,
) -> usize {
    let mut taken = 0;
    for version in versions.iter().copied() {
        for shape in shapes(version) {
            let before = state();
            let conf = |result: Value| json!({"cniVersion": version.text(), "prevResult": result});
            let added = attached.run("ADD", conf(shape.clone()));
            if added.code != Some(0) {
                assert_eq!(state(), before, "{version} {shape}");
                continue;
            }
            taken += 1;
            let result: Value = serde_json::from_str(&added.stdout).unwrap();
            if version >= Version::V040 {
                for result in [&result, &shape] {
                    let checked = attached.run("CHECK", conf(result.clone()));
                    assert_eq!(checked.code, Some(0), "{version} {shape}: {checked:?}");
                }
            }
            let deleted = attached.run("DEL", conf(result));
            assert_eq!(deleted.code, Some(0), "{version} {shape}: {deleted:?}");
            assert_eq!(state(), before, "{version} {shape}");
        }
    }
    taken
}

#[test]
fn bandwidth_takes_every_result_and_its_own_answer_to_it() {
    let keys = bandwidth::pod::both();
    let attached = attached("bandwidth", keys);
    let state = || bandwidth::pod::state(attached.host());
    let taken = own_results(&attached, Version::WITH_INTERFACES, &state);
    assert_eq!(taken, Version::WITH_INTERFACES.len() * 50);
}

#[test]
fn tuning_takes_every_result_and_its_own_answer_to_it() {
    let keys = json!({"mtu": 1400, "mac": "02:aa:00:00:00:05"});
    let attached = attached("tuning", keys);
    let state = || bandwidth::pod::state(attached.container());
    let taken = own_results(&attached, Version::ALL, &state);
    assert_eq!(taken, Version::WITH_INTERFACES.len() * 50 + 4);
}

#[test]
fn portmap_takes_every_result_with_the_container_s_address_and_its_own_answer_to_it() {
    let port = json!({"hostPort": 8080, "containerPort": 80, "protocol": "tcp"});
    let keys = json!({"backend": "nftables", "runtimeConfig": {"portMappings": [port]}});
    let attached = attached("portmap", keys);
    // What all attachments share stays.
    let ips = json!([{"address": "10.22.0.2/16"}, {"address": "fd00:22::2/64"}]);
    let both = json!({"prevResult": {"ips": ips}});
    attached.add(both.clone());
    attached.del(both);
    let state = || portmap::nftables::contents(attached.host());
    let taken = own_results(&attached, Version::ALL, &state);
    // All but those that say that the address is the host's.
    assert_eq!(taken, Version::WITH_INTERFACES.len() * 46 + 4);
}

/// A pod of a plugin whose configurations have these keys.
fn attached(plugin: &'static str, mut keys: Value) -> Attached {
    keys["type"] = json!(plugin);
    Attached::new(plugin, &sandbox::Topology::new(), keys)
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
