//! Configuration, `CNI_ARGS`, `runtimeConfig`, `args.cni`: each overrides the one before.

use serde_json::{Value, json};

use super::pod::{Pod, succeeds};
use super::state::assert_state;

fn mac(number: u8) -> String {
    format!("02:00:00:00:01:{number:02x}")
}

/// The MAC that ADD sets with these sources, `CNI_ARGS` first.
fn chosen(cni_args: &str, keys: Value) -> String {
    let pod = Pod::new();
    let conf = pod.conf(keys);
    let call = |verb| pod.call(verb).env("CNI_ARGS", cni_args);
    let answer = pod.finish(call("ADD"), &conf);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    succeeds(&pod.finish(call("CHECK"), &conf));
    let mac = pod.link().unwrap().mac;
    succeeds(&pod.finish(call("DEL"), &conf));
    assert_eq!(pod.link().unwrap().mac, "02:00:00:00:00:0c");
    mac
}

#[test]
fn the_mac_of_the_later_source_wins() {
    let environment = format!("IgnoreUnknown=1;K8S_POD_NAME=x;MAC={}", mac(2));
    let args = json!({"cni": {"mac": mac(4)}});
    let runtime = json!({"mac": mac(3)});
    assert_eq!(chosen("", json!({"mac": mac(1)})), mac(1));
    assert_eq!(chosen(&environment, json!({"mac": mac(1)})), mac(2));
    assert_eq!(chosen(&environment, json!({})), mac(2));
    let keys = json!({"mac": mac(1), "runtimeConfig": runtime});
    assert_eq!(chosen(&environment, keys), mac(3));
    let keys = json!({"mac": mac(1), "runtimeConfig": runtime, "args": args});
    assert_eq!(chosen(&environment, keys), mac(4));
    let keys = json!({"mac": mac(1), "runtimeConfig": {"mac": ""}, "args": {"cni": {}}});
    assert_eq!(chosen("MAC=", keys), mac(1));
    let keys = json!({"mac": mac(1), "args": {"cni": {"mac": ""}}});
    assert_eq!(chosen(&environment, keys), "02:00:00:00:00:0c");
}

#[test]
fn args_override_every_other_key_and_extend_the_sysctls() {
    let pod = Pod::new();
    let before = pod.state();
    let keys = || {
        json!({
            "mtu": 1300, "promisc": true, "allmulti": false, "txQLen": 5,
            "sysctl": {"net.core.somaxconn": "500"},
            "args": {"cni": {
                "mtu": 1400, "promisc": false, "allmulti": true, "txQLen": 7,
                "sysctl": {"net/core/somaxconn": "600", "net.ipv4.ip_forward": "1"},
            }},
        })
    };
    pod.add(keys());
    let link = pod.link().unwrap();
    assert_eq!(
        (link.mtu, link.promisc, link.allmulti, link.txqlen),
        (1400, false, true, 7)
    );
    assert_eq!(pod.sysctl("net/core/somaxconn"), "600");
    assert_eq!(pod.sysctl("net/ipv4/ip_forward"), "1");
    pod.check(keys());
    pod.del(keys());
    assert_state!(pod.state(), before);
}

#[test]
fn a_zero_in_args_takes_the_mtu_back() {
    let pod = Pod::new();
    pod.add(json!({"mtu": 1300, "args": {"cni": {"mtu": 0}}}));
    assert_eq!(pod.link().unwrap().mtu, 1500);
}
