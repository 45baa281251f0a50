//! `tuning`'s lines.

use std::fs;

use sandbox::plugin::CONTAINER_ID;
use serde_json::{Value, json};

use super::{line, tuned, values};

fn keys() -> Value {
    json!({"mtu": 1400, "sysctl": {"net.core.somaxconn": "500"}, "cniVersion": "1.1.0"})
}

#[test]
fn a_line_says_what_was_set_and_restored_for_whom() {
    let pod = tuned();
    let added = line(&pod.run("ADD", keys()));
    let netns = pod.container().path().display().to_string();
    for (key, value) in [
        ("level", "info"),
        ("plugin", "tuning"),
        ("verb", "ADD"),
        ("outcome", "changed"),
        ("changed", "set sysctl net/core/somaxconn, mtu 1400"),
        ("network", "net1"),
        ("container", CONTAINER_ID),
        ("interface", "eth0"),
        ("netns", &netns),
    ] {
        assert_eq!(added[key], value, "{added:?}");
    }
    assert_eq!(added.len(), 11, "{added:?}");
    let milliseconds: f64 = added["duration_ms"].parse().unwrap();
    assert!(milliseconds > 0.0 && milliseconds < 60_000.0);
    assert_eq!(added["time"].len(), "2026-11-25T02:05:53.004711Z".len());
    let removed = line(&pod.run("DEL", keys()));
    assert_eq!(
        values(&removed, ["verb", "outcome", "changed"]),
        ["DEL", "changed", "restored mtu, sysctl net/core/somaxconn"]
    );
}

#[test]
fn what_changes_nothing_is_silent() {
    let pod = tuned();
    pod.add(keys());
    for verb in ["ADD", "CHECK", "STATUS", "VERSION"] {
        assert_eq!(pod.run(verb, keys()).stderr, "", "{verb}");
    }
    let valid =
        json!({"cni.dev/valid-attachments": [{"containerID": CONTAINER_ID, "ifname": "eth0"}]});
    let mut gc = keys();
    gc["cni.dev/valid-attachments"] = valid["cni.dev/valid-attachments"].clone();
    assert_eq!(pod.run("GC", gc).stderr, "");
    assert_eq!(pod.run("DEL", keys()).code, Some(0));
    for verb in ["DEL", "GC"] {
        assert_eq!(pod.run(verb, keys()).stderr, "", "{verb}");
    }
    assert_eq!(pod.run("ADD", json!({})).stderr, "");
}

#[test]
fn only_what_was_different_is_told() {
    let pod = tuned();
    pod.add(keys());
    pod.set_sysctl("net/core/somaxconn", "77");
    let repaired = line(&pod.run("ADD", keys()));
    assert_eq!(repaired["changed"], "set sysctl net/core/somaxconn");
    pod.set_sysctl("net/core/somaxconn", "4096");
    let removed = line(&pod.run("DEL", keys()));
    assert_eq!(removed["changed"], "restored mtu");
    let nothing = line(&pod.run("ADD", json!({"mtu": pod.link().unwrap().mtu})));
    assert_eq!(nothing["changed"], "saved the original values");
    let nothing = line(&pod.run("DEL", json!({})));
    assert_eq!(nothing["changed"], "removed the backup");
}

#[test]
fn a_refusal_and_a_drift_have_code_message_and_details() {
    let pod = tuned();
    let told = ["level", "verb", "outcome", "code", "changed"];
    let refused = line(&pod.run("ADD", json!({"mtu": 1, "txQLen": 5})));
    assert_eq!(
        values(&refused, told),
        ["error", "ADD", "refused", "100", "-"]
    );
    assert!(refused["msg"].contains("mtu 1 on eth0"), "{refused:?}");
    assert!(refused.contains_key("details"), "{refused:?}");
    let refused = line(&pod.run("ADD", json!({"mtu": "big"})));
    assert_eq!(
        values(&refused, told),
        ["error", "ADD", "refused", "6", "-"]
    );
    pod.add(keys());
    pod.ip(["link", "set", "eth0", "mtu", "1300"]);
    let drifted = line(&pod.run("CHECK", keys()));
    assert_eq!(
        values(&drifted, told),
        ["error", "CHECK", "refused", "101", "-"]
    );
    assert_eq!(drifted["details"], "mtu of eth0: expected 1400, found 1300");
}

#[test]
fn a_refusal_tells_what_del_and_gc_have_changed_all_the_same() {
    let pod = tuned();
    pod.add(json!({"txQLen": 5, "mtu": 1400}));
    let mut backup: Value = serde_json::from_slice(&fs::read(pod.backup()).unwrap()).unwrap();
    backup["mtu"] = json!(1);
    fs::write(pod.backup(), backup.to_string()).unwrap();
    let refused = line(&pod.run("DEL", json!({})));
    assert_eq!(
        values(&refused, ["level", "outcome", "code", "changed"]),
        ["error", "refused", "100", "restored txqlen"]
    );
}

#[test]
fn gc_names_the_backups_that_went() {
    let pod = tuned();
    pod.add(json!({"mtu": 1400}));
    let gone = line(&pod.run("GC", json!({"cniVersion": "1.1.0"})));
    let expected = format!("removed the backup {CONTAINER_ID}_eth0.json");
    assert_eq!(
        values(&gone, ["verb", "changed"]),
        ["GC", expected.as_str()]
    );
}

#[test]
fn a_request_that_is_refused_before_it_is_read_has_a_line_all_the_same() {
    let pod = tuned();
    let told = ["plugin", "verb", "outcome", "code", "network", "container"];
    let call = pod.call("ADD").without("CNI_CONTAINERID");
    let refused = line(&pod.finish(call, &pod.conf(keys())));
    assert_eq!(
        values(&refused, told),
        ["tuning", "ADD", "refused", "4", "-", "-"]
    );
    let answer = pod.call("ADD").stdin("{").run(&pod.net.host).unwrap();
    let expected = ["tuning", "ADD", "refused", "6", "-", CONTAINER_ID];
    assert_eq!(values(&line(&answer), told), expected);
    let deep = format!("{}1{}", "[".repeat(20_000), "]".repeat(20_000));
    let answer = pod.call("ADD").stdin(deep).run(&pod.net.host).unwrap();
    assert_eq!(values(&line(&answer), told), expected);
    let answer = pod.run("CHECK", json!({"cniVersion": "0.3.1"}));
    let expected = ["tuning", "CHECK", "refused", "1", "net1", CONTAINER_ID];
    assert_eq!(values(&line(&answer), told), expected);
}
