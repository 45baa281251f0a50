//! `bandwidth`'s lines.

use serde_json::json;

use super::{line, lines, told, values};
use crate::bandwidth::pod::{IFB, Pod, both};

#[test]
fn limits_that_come_change_and_go_are_told() {
    let mut pod = Pod::new();
    pod.always(told());
    let keys = ["level", "verb", "outcome", "changed"];
    let added = line(&pod.run("ADD", both()));
    let limited = "limited veth0: ingress 8 Mbit/s, egress 16 Mbit/s";
    assert_eq!(values(&added, keys), ["info", "ADD", "changed", limited]);
    for verb in ["ADD", "CHECK"] {
        assert_eq!(pod.run(verb, both()).stderr, "", "{verb}");
    }
    let slower = json!({"ingressRate": 1_500_000, "ingressBurst": 800_000});
    let changed = line(&pod.run("ADD", slower.clone()));
    assert_eq!(changed["changed"], "limited veth0: ingress 1.5 Mbit/s");
    let drifted = line(&pod.run("CHECK", both()));
    assert_eq!(values(&drifted, ["outcome", "code"]), ["refused", "101"]);
    let removed = line(&pod.run("DEL", slower));
    let expected = "removed the limits of veth0";
    assert_eq!(values(&removed, keys), ["info", "DEL", "changed", expected]);
    assert_eq!(pod.run("DEL", both()).stderr, "");
    assert_eq!(pod.run("ADD", json!({})).stderr, "");
}

#[test]
fn del_and_gc_name_the_ifbs_that_went() {
    let mut pod = Pod::new();
    pod.always(told());
    for verb in ["DEL", "GC"] {
        pod.add(both());
        let mut keys = both();
        keys["cniVersion"] = json!("1.1.0");
        let removed = line(&pod.run(verb, keys));
        let deleted = format!("deleted {IFB}");
        assert!(removed["changed"].ends_with(&deleted), "{removed:?}");
    }
    let gc = pod.run("GC", json!({"cniVersion": "1.1.0"}));
    assert_eq!(gc.stderr, "");
    let status = json!({"cniVersion": "1.1.0", "logLevel": "debug"});
    assert_eq!(line(&pod.run("STATUS", status))["outcome"], "unchanged");
}

#[test]
fn warnings_have_lines_of_their_own_and_a_failed_add_has_changed_nothing() {
    let mut pod = Pod::new();
    pod.always(told());
    pod.sh("tc qdisc add dev veth0 root handle 5: htb");
    let all = lines(&pod.run("ADD", both()).stderr);
    let levels: Vec<&str> = all.iter().map(|line| line["level"].as_str()).collect();
    assert_eq!(levels, ["warning", "info"]);
    assert_eq!(
        values(
            &all[0],
            ["plugin", "verb", "network", "interface", "outcome", "msg"]
        ),
        [
            "bandwidth",
            "ADD",
            "net1",
            "eth0",
            "-",
            "veth0: root qdisc htb 5: is replaced by the limit"
        ]
    );
    let refused = line(&pod.run("ADD", json!({"ingressRate": 1, "ingressBurst": 8})));
    assert_eq!(
        values(&refused, ["outcome", "code", "changed"]),
        ["refused", "7", "-"]
    );
}
