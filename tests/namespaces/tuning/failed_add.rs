//! ADD that fails midway leaves everything as it was.

use std::fs;

use serde_json::{Value, json};

use super::pod::{Pod, error};
use super::state::assert_state;

/// Everything else is set before the MTU that the kernel refuses, or after it and never reached.
fn failing() -> Value {
    json!({
        "mtu": 100_000, "mac": "02:aa:00:00:00:05", "promisc": true, "allmulti": true, "txQLen": 77,
        "sysctl": {"net.core.somaxconn": "500", "net.ipv4.conf.IFNAME.arp_filter": "1"},
    })
}

#[test]
fn what_was_set_before_the_failure_is_taken_back() {
    let pod = Pod::new();
    let before = pod.state();
    let (code, text) = error(&pod.run("ADD", failing()));
    assert_eq!(code, 100);
    assert!(
        text.starts_with("set mtu 100000 on eth0: Invalid argument"),
        "{text}"
    );
    assert_state!(pod.state(), before);
    assert!(pod.files().is_empty());
    pod.del(failing());
    assert_state!(pod.state(), before);
}

#[test]
fn a_failed_second_add_leaves_the_first_one_and_its_backup() {
    let pod = Pod::new();
    let original = pod.state();
    let first = || json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "400"}});
    pod.add(first());
    let (before, backup) = (pod.state(), fs::read(pod.backup()).unwrap());
    error(&pod.run("ADD", failing()));
    assert_state!(pod.state(), before);
    assert_eq!(fs::read(pod.backup()).unwrap(), backup);
    pod.check(first());
    pod.del(first());
    assert_state!(pod.state(), original);
}

#[test]
fn a_value_that_the_kernel_refuses_takes_back_the_sysctls_before_it() {
    let pod = Pod::new();
    let before = pod.state();
    for (key, value) in [
        ("net.ipv4.ip_local_port_range", "garbage"),
        ("net.ipv4.tcp_congestion_control", "no-such-algorithm"),
        ("net.ipv4.tcp_available_congestion_control", "cubic"),
    ] {
        let keys = json!({"sysctl": {"net.core.somaxconn": "500", key: value}});
        let (code, text) = error(&pod.run("ADD", keys));
        assert_eq!(code, 100, "{text}");
        assert!(
            text.starts_with("set sysctl net/ipv4/") && text.contains(value),
            "{text}"
        );
        assert_state!(pod.state(), before, "{key}");
        assert!(pod.files().is_empty());
    }
}

#[test]
fn a_sysctl_or_an_interface_that_does_not_exist_fails_before_anything_is_changed() {
    let pod = Pod::new();
    let before = pod.state();
    let keys = json!({"mtu": 1400, "sysctl": {
        "net.core.somaxconn": "500", "net.ipv4.no_such_thing": "1",
    }});
    let (code, text) = error(&pod.run("ADD", keys));
    assert_eq!(code, 7);
    assert!(
        text.starts_with("sysctl net.ipv4.no_such_thing does not exist"),
        "{text}"
    );
    let call = pod.call("ADD").env("CNI_IFNAME", "net7");
    let keys = json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "500"}});
    let (code, text) = error(&pod.finish(call, &pod.conf(keys)));
    assert_eq!(code, 100);
    assert!(
        text.contains("the container has no interface net7"),
        "{text}"
    );
    assert_state!(pod.state(), before);
    assert!(pod.files().is_empty());
}

/// The kernel lets nobody set an address of zeros: DEL could not restore it.
#[test]
fn a_mac_in_the_place_of_zeros_is_refused() {
    let pod = Pod::new();
    let before = pod.state();
    let mut conf = pod.conf(json!({"mac": "02:00:5e:10:00:0a", "mtu": 1400}));
    conf["prevResult"]["interfaces"][1]["name"] = json!("lo");
    let call = |verb| pod.call(verb).env("CNI_IFNAME", "lo");
    let answer = pod.finish(call("ADD"), &conf);
    let (_, told) = error(&answer);
    assert!(told.contains("all-zero"), "{told}");
    assert_state!(pod.state(), before);
    assert_eq!(pod.finish(call("DEL"), &conf).code, Some(0));
    assert!(pod.files().is_empty());
}
