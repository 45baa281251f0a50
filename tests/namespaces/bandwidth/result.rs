//! The result names the ifb as each spec version can.

use serde_json::{Value, json};

use super::pod::{IFB, Pod, both};

fn ifb(result: &Value) -> Value {
    let interfaces = result["interfaces"].as_array().unwrap();
    assert_eq!(interfaces.len(), 3, "{result}");
    interfaces[2].clone()
}

#[test]
fn name_and_mac_in_every_version_and_mtu_from_1_1_0_on() {
    let pod = Pod::new();
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let mut keys = both();
        keys["cniVersion"] = json!(version);
        let ifb = ifb(&pod.add(keys));
        assert_eq!(ifb["name"], IFB);
        let mac = ifb["mac"].as_str().unwrap();
        assert!(
            pod.sh(&format!("ip -o link show {IFB}")).contains(mac),
            "{ifb}"
        );
        let mtu = if version == "1.1.0" {
            json!(1500)
        } else {
            Value::Null
        };
        assert_eq!(ifb["mtu"], mtu, "{version}");
        assert!(ifb.get("sandbox").is_none(), "{ifb}");
    }
    for version in ["0.1.0", "0.2.0"] {
        let mut keys = both();
        keys["cniVersion"] = json!(version);
        assert_eq!(super::pod::error(&pod.run("ADD", keys)).0, 1);
    }
}

#[test]
fn the_ifb_has_the_mtu_of_the_veth() {
    let pod = Pod::new();
    pod.sh("ip link set veth0 mtu 9000");
    let mut keys = both();
    keys["cniVersion"] = json!("1.1.0");
    assert_eq!(ifb(&pod.add(keys.clone()))["mtu"], 9000);
    pod.check(keys);
}

#[test]
fn without_limits_the_result_is_passed_through_and_nothing_is_touched() {
    let pod = Pod::new();
    let before = pod.state();
    for keys in [
        json!({}),
        json!({"ingressRate": 0, "ingressBurst": 0}),
        json!({"runtimeConfig": {"bandwidth": {}}}),
        json!({"ingressRate": 0, "runtimeConfig": {"bandwidth": {"egressRate": 8, "egressBurst": 8}}}),
    ] {
        let result = pod.add(keys.clone());
        assert_eq!(result["interfaces"].as_array().unwrap().len(), 2, "{keys}");
        assert_eq!(pod.state(), before, "{keys}");
    }
    // Without asking for the namespace or the interface.
    let call = pod
        .call("ADD")
        .env("CNI_NETNS", "/nowhere")
        .env("CNI_IFNAME", "net7");
    assert_eq!(pod.finish(call, &pod.conf(json!({}))).code, Some(0));
}

#[test]
fn what_the_result_carries_besides_is_carried_on() {
    let pod = Pod::new();
    let mut keys = both();
    keys["prevResult"] = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "veth0", "x": 1}, {"name": "eth0", "sandbox": "/x"}],
        "own": {"a": [1, 2]}, "dns": {"nameservers": ["10.0.0.1"]},
    });
    let result = pod.add(keys);
    assert_eq!(result["own"], json!({"a": [1, 2]}));
    assert_eq!(result["interfaces"][0]["x"], 1);
    assert_eq!(result["dns"]["nameservers"][0], "10.0.0.1");
}

#[test]
fn the_ifb_has_no_address_also_where_it_has_no_ipv6_at_all() {
    let pod = Pod::new();
    // Below 1280 bytes the kernel has no IPv6 on a link.
    for mtu in [1500, 1000] {
        pod.sh(&format!("ip link set veth0 mtu {mtu}"));
        pod.add(both());
        assert_eq!(pod.sh(&format!("ip -o address show {IFB}")), "");
        assert!(pod.sh(&format!("ip -o link show {IFB}")).contains(",UP,"));
        pod.check(both());
        pod.del(both());
    }
}
