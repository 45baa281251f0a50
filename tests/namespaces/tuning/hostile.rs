//! Values that cannot be: one error with the right code, and nothing is changed.

use serde_json::{Value, json};

use super::pod::{Pod, error};
use super::state::assert_state;

fn refused(pod: &Pod, keys: Value, code: u64, told: &str) {
    for verb in ["ADD", "CHECK"] {
        let (actual, text) = error(&pod.run(verb, keys.clone()));
        assert_eq!(actual, code, "{verb} {keys}: {text}");
        assert!(text.contains(told), "{verb} {keys}: {text}");
    }
}

#[test]
fn values_that_cannot_be_are_refused_with_their_key() {
    let pod = Pod::new();
    let before = pod.state();
    let sysctl = |key: &str, value: Value| json!({"mtu": 1400, "sysctl": {key: value}});
    let long = "9".repeat(100_000);
    let cases = [
        (
            json!({"mtu": -1}),
            7,
            "mtu = -1: must be between 0 and 4294967295",
        ),
        (json!({"mtu": 4_294_968_796u64}), 7, "mtu = 4294968796"),
        (json!({"mtu": 1e3}), 6, "mtu: expected an integer"),
        (
            json!({"mtu": "1400"}),
            6,
            "mtu: expected an integer of 64 bits, got \"1400\"",
        ),
        (json!({"mtu": true}), 6, "mtu"),
        (json!({"mtu": [1400]}), 6, "mtu"),
        (json!({"txQLen": -1}), 7, "txQLen = -1"),
        (
            json!({"txQLen": 4_294_967_296u64}),
            7,
            "txQLen = 4294967296",
        ),
        (json!({"txQLen": u64::MAX}), 6, "txQLen"),
        (json!({"promisc": "true"}), 6, "promisc: expected a boolean"),
        (json!({"allmulti": 1}), 6, "allmulti"),
        (
            json!({"mac": "02:00:00:00:00"}),
            7,
            "mac = \"02:00:00:00:00\"",
        ),
        (json!({"mac": "02:00:00:00:00:05:06:07"}), 7, "6-byte"),
        (json!({"mac": "02:00:00:00:00:0g"}), 7, "mac"),
        (json!({"mac": long}), 7, "mac"),
        (json!({"mac": ["02:00:00:00:00:05"]}), 6, "mac"),
        (json!({"dataDir": 5}), 6, "dataDir"),
        (json!({"args": 5}), 6, "args"),
        (json!({"args": {"cni": []}}), 6, "args.cni"),
        (
            json!({"args": {"cni": {"mtu": -1}}}),
            7,
            "args.cni.mtu = -1",
        ),
        (json!({"args": {"cni": {"mac": "x"}}}), 7, "args.cni.mac"),
        (
            json!({"args": {"cni": {"sysctl": {"net.core.somaxconn": true}}}}),
            6,
            "args.cni.sysctl",
        ),
        (
            json!({"runtimeConfig": {"mac": "x"}}),
            7,
            "runtimeConfig.mac",
        ),
        (json!({"sysctl": []}), 6, "sysctl: expected an object"),
        (
            sysctl("net.core.somaxconn", json!(1.5)),
            6,
            "sysctl.net.core.somaxconn: expected a string or an integer",
        ),
        (
            sysctl("net.core.somaxconn", json!({"a": 1})),
            6,
            "got an object",
        ),
        (
            sysctl("net.core.somaxconn", json!("1\0")),
            7,
            "control characters",
        ),
        (
            sysctl("net.core.somaxconn", json!("1\n2")),
            7,
            "line breaks",
        ),
        (
            sysctl("net.core.somaxconn\0", json!("1")),
            7,
            "control characters",
        ),
        (
            sysctl("net.core.somaxconn\nx", json!("1")),
            7,
            "control characters",
        ),
        (
            sysctl("kernel.hostname", json!("x")),
            7,
            "only sysctls below net",
        ),
        (
            sysctl("kernel/core_pattern", json!("|x")),
            7,
            "only sysctls below net",
        ),
        (
            sysctl("../../etc/passwd", json!("x")),
            7,
            "must not contain empty parts",
        ),
        (sysctl("net/../kernel/hostname", json!("x")), 7, ". or .."),
        (
            sysctl("net.ipv4.conf.//.//.hostname", json!("x")),
            7,
            ". or ..",
        ),
        (
            sysctl("net..core.somaxconn", json!("1")),
            7,
            "must not contain empty parts",
        ),
        (
            sysctl("/net/core/somaxconn", json!("1")),
            7,
            "must not contain empty parts",
        ),
        (sysctl("net", json!("1")), 7, "only sysctls below net"),
        (sysctl("", json!("1")), 7, "must not contain empty parts"),
    ];
    for (keys, code, told) in cases {
        refused(&pod, keys, code, told);
        assert!(!pod.data_dir().exists());
    }
    assert_state!(pod.state(), before);
}

#[test]
fn cni_args_that_are_no_pairs_or_no_mac_are_refused() {
    let pod = Pod::new();
    let before = pod.state();
    for (args, code) in [
        ("no pair", 4),
        ("MAC=02:00:00:00:00:05;", 4),
        ("MAC=a=b", 4),
        ("MAC=nonsense", 7),
    ] {
        let call = pod.call("ADD").env("CNI_ARGS", args);
        assert_eq!(
            error(&pod.finish(call, &pod.conf(json!({})))).0,
            code,
            "{args}"
        );
    }
    assert_state!(pod.state(), before);
}

#[test]
fn names_that_are_no_names_never_reach_a_path() {
    let pod = Pod::new();
    let before = pod.state();
    for verb in ["ADD", "CHECK", "DEL"] {
        for (key, value) in [
            ("CNI_CONTAINERID", "../../../etc/x"),
            ("CNI_CONTAINERID", "a/b"),
            ("CNI_CONTAINERID", ".."),
            ("CNI_CONTAINERID", "a\nb"),
            ("CNI_IFNAME", "../x"),
            ("CNI_IFNAME", "."),
            ("CNI_IFNAME", "eth0/1"),
            ("CNI_IFNAME", "a b"),
            ("CNI_IFNAME", "sixteen-letters-"),
        ] {
            let call = pod.call(verb).env(key, value);
            let (code, _) = error(&pod.finish(call, &pod.conf(json!({"mtu": 1400}))));
            assert_eq!(code, 4, "{verb} {key}={value}");
        }
    }
    assert_state!(pod.state(), before);
    assert!(!pod.data_dir().exists());
}

#[test]
fn a_previous_result_that_makes_no_sense_is_refused_before_anything_is_changed() {
    let pod = Pod::new();
    let before = pod.state();
    for (prev_result, code) in [
        (json!(null), 7),
        (json!("text"), 6),
        (json!([]), 6),
        (json!({"interfaces": [null]}), 6),
        (json!({"interfaces": 5}), 6),
        (json!({"ips": [null]}), 6),
        (json!({"ips": [{}]}), 7),
        (json!({"ips": [{"address": "nonsense"}]}), 6),
        (json!({"ips": [{"address": "10.0.0.1"}]}), 6),
        (json!({"routes": [{"dst": 5}]}), 6),
        (json!({"dns": "x"}), 6),
        (json!({"cniVersion": "0.2.0"}), 1),
        (json!({"cniVersion": "7"}), 1),
    ] {
        refused(
            &pod,
            json!({"mtu": 1400, "prevResult": prev_result}),
            code,
            "",
        );
    }
    assert_state!(pod.state(), before);
    assert!(!pod.data_dir().exists());
}
