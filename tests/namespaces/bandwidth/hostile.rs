//! Bad input: one clear error, nothing changed, no ifb left.

use serde_json::{Value, json};

use super::pod::{Pod, both, error};

#[test]
fn impossible_limits_are_refused_and_change_nothing() {
    let pod = Pod::new();
    let before = pod.state();
    let raw = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
    let cases = [
        (
            json!({"ingressBurst": 8000}),
            7,
            "ingressBurst is 8000, ingressRate is missing",
        ),
        (
            json!({"egressBurst": 8000}),
            7,
            "egressBurst is 8000, egressRate is missing",
        ),
        (
            json!({"egressRate": 7, "egressBurst": 800}),
            7,
            "8 bits per second",
        ),
        (json!({"egressRate": 8, "egressBurst": 7}), 7, "8 bits"),
        (
            json!({"egressRate": 8, "egressBurst": 34_359_738_360u64}),
            7,
            "more than 4GB",
        ),
        (
            json!({"egressRate": -8, "egressBurst": 8}),
            6,
            "egressRate: expected",
        ),
        (
            json!({"egressRate": 8.5, "egressBurst": 8}),
            6,
            "egressRate: expected",
        ),
        (
            json!({"egressRate": "8 bps", "egressBurst": 8}),
            6,
            "egressRate: expected",
        ),
        (
            json!({"egressRate": true, "egressBurst": 8}),
            6,
            "egressRate: expected",
        ),
        (
            json!({"egressRate": [8], "egressBurst": 8}),
            6,
            "egressRate: expected",
        ),
        (
            raw(r#"{"egressRate": 1e-3, "egressBurst": 8}"#),
            6,
            "egressRate: expected",
        ),
        (
            raw(r#"{"egressRate": 18446744073709551616, "egressBurst": 8}"#),
            6,
            "egressRate: expected",
        ),
        (
            json!({"runtimeConfig": {"bandwidth": "10M"}}),
            6,
            "runtimeConfig.bandwidth: expected",
        ),
        (json!({"runtimeConfig": 1}), 6, "runtimeConfig: expected"),
    ];
    for (keys, code, told) in cases {
        for verb in ["ADD", "CHECK"] {
            let (got, text) = error(&pod.run(verb, keys.clone()));
            assert_eq!(got, code, "{verb} {keys}: {text}");
            assert!(text.contains(told), "{verb} {keys}: {text}");
        }
    }
    assert_eq!(pod.state(), before);
}

#[test]
fn impossible_ways_of_keeping_limits_are_refused_and_change_nothing() {
    let pod = Pod::new();
    let before = pod.state();
    let cases = [
        (
            json!({"unshapedSubnets": ["10.0.0.0/8", "10.1.0.0/16"]}),
            7,
            "overlaps 10.0.0.0/8",
        ),
        (
            json!({"shapedSubnets": ["fd00::/8", "fd00::/8"]}),
            7,
            "overlaps fd00::/8",
        ),
        (
            json!({"shapedSubnets": ["10.0.0.0/33"]}),
            6,
            "shapedSubnets[0]: expected a prefix",
        ),
        (
            json!({"shapedSubnets": ["10.0.0.0"]}),
            6,
            "shapedSubnets[0]: expected a prefix",
        ),
        (
            json!({"shapedSubnets": ["10.0.0/8"]}),
            6,
            "shapedSubnets[0]: expected a prefix",
        ),
        (
            json!({"shapedSubnets": ["10.0.0.0/8\n"]}),
            6,
            "shapedSubnets[0]: expected a prefix",
        ),
        (
            json!({"unshapedSubnets": "10.0.0.0/8"}),
            6,
            "unshapedSubnets: expected a list",
        ),
        (
            json!({"unshapedSubnets": [null]}),
            6,
            "unshapedSubnets[0]: expected a prefix",
        ),
        (
            json!({"unshapedSubnets": ["10.0.0.0/8"], "shapedSubnets": ["11.0.0.0/8"]}),
            7,
            "both given",
        ),
        (json!({"burstPolicy": "unlimited"}), 7, "burstPolicy"),
        (json!({"burstPolicy": 5}), 6, "burstPolicy"),
        (json!({"latencyMs": 0}), 7, "latencyMs is 0"),
        (json!({"latencyMs": 60000}), 7, "latencyMs is 60000"),
        (json!({"latencyMs": "25"}), 6, "latencyMs"),
        (json!({"filterPriority": 0}), 7, "filterPriority is 0"),
    ];
    for (more, code, told) in cases {
        let mut keys = both();
        for (key, value) in more.as_object().unwrap() {
            keys[key] = value.clone();
        }
        let (got, text) = error(&pod.run("ADD", keys));
        assert_eq!(got, code, "{more}: {text}");
        assert!(text.contains(told), "{more}: {text}");
    }
    assert_eq!(pod.state(), before);
}

#[test]
fn an_interface_that_is_missing_or_cannot_be_limited_is_named() {
    let pod = Pod::new();
    let before = pod.state();
    for (ifname, netns, code, told) in [
        ("net7", None, 7, "there is no interface net7"),
        ("lo", None, 7, "loopback"),
        (
            "eth0",
            Some("/nowhere"),
            8,
            "open network namespace /nowhere",
        ),
        (
            "eth0",
            Some("/etc/passwd"),
            8,
            "open network namespace /etc/passwd",
        ),
    ] {
        let mut call = pod.call("ADD").env("CNI_IFNAME", ifname);
        if let Some(netns) = netns {
            call = call.env("CNI_NETNS", netns);
        }
        let (got, text) = error(&pod.finish(call, &pod.conf(both())));
        assert_eq!(got, code, "{ifname}: {text}");
        assert!(text.contains(told), "{ifname}: {text}");
    }
    assert_eq!(pod.state(), before);
}

#[test]
fn a_result_that_speaks_of_another_veth_is_refused_and_one_without_interfaces_is_not() {
    let pod = Pod::new();
    let before = pod.state();
    let mut conf = pod.conf(both());
    conf["prevResult"]["interfaces"] =
        json!([{"name": "veth9"}, {"name": "eth0", "sandbox": "/x"}]);
    let (code, text) = error(&pod.finish(pod.call("ADD"), &conf));
    assert_eq!(code, 7);
    assert!(text.contains("the peer is veth0"), "{text}");
    assert_eq!(pod.state(), before);
    for interfaces in [
        json!([]),
        json!(null),
        json!([{"name": "eth0", "sandbox": "/x"}]),
    ] {
        conf["prevResult"]["interfaces"] = interfaces;
        assert_eq!(pod.finish(pod.call("ADD"), &conf).code, Some(0));
        pod.check(both());
    }
}

#[test]
fn limits_at_both_ends_of_the_range_are_set() {
    let pod = Pod::new();
    for (rate, burst, printed) in [
        (8u64, 8u64, "rate 8bit"),
        (8, 34_359_738_351, "rate 8bit"),
        (400_000_000_000, 8, "rate 400Gbit"),
        (400_000_000_000, 34_359_738_351, "rate 400Gbit"),
        (34_359_738_368, 8_000_000, "rate 34359Mbit"),
        (u64::MAX, 8_000_000, "rate "),
        // Times a tick, these wrap in the kernel.
        (1 << 63, 8_000_000, "rate "),
        ((1 << 61) + 800, 8_000_000, "rate "),
        // Times ten milliseconds.
        (14_757_395_258_976, 0, "rate 14757Gbit"),
        (1 << 60, 0, "rate "),
    ] {
        let keys = || json!({"ingressRate": rate, "ingressBurst": burst, "egressRate": rate, "egressBurst": burst});
        pod.add(keys());
        let qdisc = pod.root("veth0");
        assert!(qdisc.contains(printed), "{rate} {burst}: {qdisc}");
        pod.check(keys());
    }
}
