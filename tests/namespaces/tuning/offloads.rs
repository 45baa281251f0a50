//! Offloads of the container's interface and of its peer on the node, as ethtool(8) shows them.

use std::collections::BTreeMap;
use std::fs;

use sandbox::Namespace;
use serde_json::{Value, json};

use super::pod::{Pod, error, succeeds};

/// Every offload of an interface, by the kernel's name or ethtool's for several.
fn offloads(namespace: &Namespace, link: &str) -> BTreeMap<String, bool> {
    let text = namespace.try_sh(&["ethtool", "-k", link]).unwrap();
    let lines = text.lines().filter_map(|line| line.trim().split_once(": "));
    lines
        .map(|(name, value)| (name.to_owned(), value.starts_with("on")))
        .collect()
}

struct Both<'a>(&'a Pod);

impl Both<'_> {
    fn state(&self) -> [BTreeMap<String, bool>; 2] {
        [
            offloads(self.0.container(), "eth0"),
            offloads(self.0.host(), "veth0"),
        ]
    }

    #[track_caller]
    fn are(&self, wanted: &[(usize, &str, bool)]) {
        let state = self.state();
        for (side, name, on) in wanted {
            assert_eq!(state[*side].get(*name), Some(on), "{side} {name}");
        }
    }
}

fn keys() -> Value {
    json!({
        "cniVersion": "1.1.0",
        "offload": {"tx-checksum-ip-generic": false, "tso": false, "generic-receive-offload": true},
        "hostOffload": {"tx-checksumming": false, "tx-generic-segmentation": false},
    })
}

const SET: [(usize, &str, bool); 5] = [
    (0, "tx-checksum-ip-generic", false),
    (0, "tx-tcp-segmentation", false),
    (0, "generic-receive-offload", true),
    (1, "tx-checksum-ip-generic", false),
    (1, "generic-segmentation-offload", false),
];

#[test]
fn they_are_switched_on_both_ends_checked_and_restored() {
    let pod = Pod::new();
    let both = Both(&pod);
    let before = both.state();
    pod.add(keys());
    both.are(&SET);
    pod.check(keys());
    // A second ADD changes nothing, and does not take the new values for the old ones.
    pod.add(keys());
    pod.del(keys());
    assert_eq!(both.state(), before);
    assert!(pod.files().is_empty());
}

#[test]
fn a_peer_that_cannot_be_looked_up_keeps_nothing_else_from_being_restored() {
    let pod = Pod::new();
    let both = Both(&pod);
    let before = both.state();
    let mut keys = keys();
    keys["mtu"] = json!(1400);
    keys["sysctl"] = json!({"net.core.somaxconn": "500"});
    let log = pod.scratch.path().join("strace").display().to_string();
    let mut met = 0;
    for nth in 1..100 {
        pod.add(keys.clone());
        let inject = format!("inject=sendto:error=ENOBUFS:when={nth}");
        let strace = [
            "strace",
            "-f",
            "-o",
            &log,
            "-e",
            "trace=sendto",
            "-e",
            &inject,
        ];
        let call = pod.call("DEL").under(&strace);
        let answer = pod.finish(call, &pod.conf(keys.clone()));
        // Calls are counted for each thread, so that others may have failed too.
        let alone = "\"msg\": \"look up the veth peer of eth0\"";
        if answer.stdout.contains(alone) && !answer.stdout.contains("; ") {
            met += 1;
            let [container, host] = both.state();
            assert_eq!(container, before[0], "{answer:?}");
            assert_ne!(host, before[1], "{answer:?}");
            assert_eq!(pod.link().unwrap().mtu, 1500, "{answer:?}");
            assert_eq!(pod.sysctl("net/core/somaxconn"), "4096", "{answer:?}");
            assert_eq!(pod.files().len(), 1, "{answer:?}");
        }
        pod.del(keys.clone());
        assert_eq!(both.state(), before);
        if !fs::read_to_string(&log).unwrap().contains("(INJECTED)") {
            break;
        }
    }
    assert!(met > 0, "{met}");
}

#[test]
fn of_another_namespace_s_backup_nothing_is_looked_up() {
    let pod = Pod::new();
    let both = Both(&pod);
    pod.add(keys());
    let tuned = both.state();
    let mut backup: Value = serde_json::from_slice(&fs::read(pod.backup()).unwrap()).unwrap();
    backup["netns"] = json!("another-boot/7");
    fs::write(pod.backup(), backup.to_string()).unwrap();
    let call = pod.call("DEL").injected("sendto", "error=ENOBUFS");
    succeeds(&pod.finish(call, &pod.conf(keys())));
    assert_eq!((both.state(), pod.files().len()), (tuned, 0));
}

#[test]
fn check_names_what_was_switched_back() {
    let pod = Pod::new();
    pod.add(keys());
    let switch = |at: &Namespace, line: [&str; 5]| drop(at.try_sh(&line).unwrap());
    switch(pod.container(), ["ethtool", "-K", "eth0", "gro", "off"]);
    switch(pod.host(), ["ethtool", "-K", "veth0", "gso", "on"]);
    // What is not configured is nobody's business.
    switch(pod.host(), ["ethtool", "-K", "veth0", "gro", "on"]);
    let (code, text) = error(&pod.run("CHECK", keys()));
    assert_eq!(code, 101);
    assert!(
        text.contains("offload rx-gro of eth0: expected on, found off"),
        "{text}"
    );
    let host = "offload tx-generic-segmentation of veth0 on the node: expected off, found on";
    assert!(text.contains(host), "{text}");
    pod.add(keys());
    pod.check(keys());
    pod.del(keys());
}

#[test]
fn a_failed_add_switches_everything_back() {
    let pod = Pod::new();
    let both = Both(&pod);
    let before = both.state();
    // TSO cannot be on without checksums.
    let mut impossible = keys();
    impossible["mtu"] = json!(1400);
    impossible["offload"]["tso"] = json!(true);
    impossible["offload"]["tx-scatter-gather"] = json!(false);
    impossible["offload"]["tx-checksum-ip-generic"] = json!(false);
    let (code, text) = error(&pod.run("ADD", impossible));
    assert_eq!(code, 100, "{text}");
    assert!(text.contains("expected on, found off"), "{text}");
    assert_eq!(both.state(), before);
    assert_eq!((pod.link().unwrap().mtu, pod.files().len()), (1500, 0));
}

#[test]
fn what_cannot_be_switched_is_refused_before_anything_is() {
    let pod = Pod::new();
    let both = Both(&pod);
    let before = both.state();
    for (keys, code, told) in [
        (json!({"offload": {"no-such": true}}), 7, "no such offload"),
        (json!({"offload": {"lro": true}}), 7, "cannot change it"),
        (
            json!({"hostOffload": {"rx-ntuple-filter": true}}),
            7,
            "hostOffload.rx-ntuple-filter of veth0",
        ),
        (
            json!({"offload": {"tso": true, "tx-tcp-segmentation": false}}),
            7,
            "sets the same feature",
        ),
        (
            json!({"offload": {"Tso": true}}),
            7,
            "not the name of an offload",
        ),
        (
            json!({"offload": {"tso": "off"}}),
            6,
            "offload.tso: expected a boolean",
        ),
        (
            json!({"hostOffload": ["tso"]}),
            6,
            "hostOffload: expected an object",
        ),
    ] {
        let (actual, text) = error(&pod.run("ADD", keys));
        assert_eq!(actual, code, "{text}");
        assert!(text.contains(told), "{text}");
    }
    // Fixed as it is wanted is fine.
    pod.add(json!({"offload": {"lro": false, "vlan-challenged": false}}));
    pod.del(json!({}));
    assert_eq!(both.state(), before);
}

#[test]
fn an_interface_without_a_peer_on_the_node_has_no_host_offload() {
    let pod = Pod::new();
    pod.ip(["link", "del", "eth0"]);
    pod.ip([
        "link", "add", "eth0", "type", "veth", "peer", "name", "other",
    ]);
    let (code, text) = error(&pod.run("ADD", json!({"hostOffload": {"tso": false}})));
    assert_eq!(code, 7, "{text}");
    assert!(text.contains("no veth peer on this node"), "{text}");
    pod.add(json!({"offload": {"tso": false}}));
    pod.del(json!({}));
}

#[test]
fn without_its_interface_del_has_nothing_to_restore() {
    let pod = Pod::new();
    pod.add(keys());
    pod.ip(["link", "del", "eth0"]);
    pod.del(keys());
    assert!(pod.files().is_empty());
}
