//! tc is shared: other people's qdiscs and filters stay, and still see traffic.

use sandbox::probe::throughput;
use std::time::Duration;

use serde_json::json;

use super::pod::{IFB, Pod, both};

/// A filter of somebody else that sees IPv4 and lets it pass to the next one.
const FOREIGN: &str =
    "protocol ip pref 5 u32 match u32 0 0 action mirred egress mirror dev sniffed";

/// What a link sent, in packets.
fn sent(pod: &Pod, link: &str) -> u64 {
    let links = pod.sh(&format!("ip -j -s link show {link}"));
    let links: serde_json::Value = serde_json::from_str(&links).unwrap();
    links[0]["stats64"]["tx"]["packets"].as_u64().unwrap()
}

fn foreign(pod: &Pod, kind: &str) {
    pod.sh("ip link add sniffed type veth peer name sniffer");
    pod.sh("ip link set sniffed up");
    pod.sh("ip link set sniffer up");
    pod.sh(&format!("tc qdisc add dev veth0 {kind}"));
    let parent = if kind == "clsact" {
        "ingress"
    } else {
        "parent ffff:"
    };
    pod.sh(&format!(
        "tc filter add dev veth0 {parent} {FOREIGN} continue"
    ));
}

#[test]
fn somebody_else_s_qdisc_and_filters_survive_and_see_traffic_which_is_still_limited() {
    for kind in ["clsact", "ingress"] {
        let pod = Pod::new();
        foreign(&pod, kind);
        let before = pod.state();
        pod.add(both());
        pod.check(both());
        let rate = throughput::tcp(
            pod.container(),
            pod.host(),
            pod.host().v4(0),
            Duration::from_millis(1500),
        )
        .unwrap();
        assert!(sent(&pod, "sniffed") > 10, "{kind}");
        assert!(sent(&pod, IFB) > 10, "{kind}");
        assert!(rate.steady() < 32e6, "{kind}: {}", rate.steady());
        pod.add(both());
        pod.check(both());
        pod.del(both());
        assert_eq!(pod.state(), before, "{kind}");
    }
}

#[test]
fn an_empty_qdisc_of_somebody_else_survives() {
    for kind in ["clsact", "ingress"] {
        let pod = Pod::new();
        pod.sh(&format!("tc qdisc add dev veth0 {kind}"));
        let before = pod.state();
        pod.add(both());
        pod.add(both());
        pod.del(both());
        assert_eq!(pod.state(), before, "{kind}");
    }
}

#[test]
fn an_agent_that_comes_later_finds_both_hooks_and_keeps_them() {
    let pod = Pod::new();
    pod.add(both());
    let limited = pod.state();
    // As such agents do it, whether or not there is one.
    pod.sh("tc qdisc replace dev veth0 clsact");
    assert_eq!(pod.state(), limited);
    let filter = "pref 9 protocol ip u32 match ip dst 10.9.9.9/32 flowid 9:9";
    pod.sh(&format!("tc filter add dev veth0 egress {filter}"));
    pod.check(both());
    pod.del(both());
    let qdiscs = pod.sh("tc qdisc show dev veth0");
    assert!(
        qdiscs.contains("clsact") && !qdiscs.contains("tbf"),
        "{qdiscs}"
    );
    assert!(
        pod.sh("tc filter show dev veth0 egress")
            .contains("flowid 9:9")
    );
    assert_eq!(pod.sh("tc filter show dev veth0 ingress"), "");
}

#[test]
fn an_ingress_qdisc_that_an_earlier_release_made_stays_until_del() {
    let pod = Pod::new();
    let before = pod.state();
    pod.add(both());
    pod.sh("tc qdisc del dev veth0 clsact; tc qdisc add dev veth0 ingress");
    pod.add(both());
    let after = pod.sh("tc qdisc show dev veth0");
    assert!(
        after.contains("ingress") && !after.contains("clsact"),
        "{after}"
    );
    pod.check(both());
    pod.del(both());
    assert_eq!(pod.state(), before);
}

#[test]
fn a_filter_that_comes_later_survives_and_keeps_our_qdisc() {
    let pod = Pod::new();
    pod.add(both());
    let filter = "protocol ip pref 7 u32 match ip dst 10.9.9.9/32 flowid 9:9";
    pod.sh(&format!("tc filter add dev veth0 ingress {filter}"));
    pod.check(both());
    pod.add(both());
    pod.check(both());
    pod.del(both());
    let filters = pod.sh("tc filter show dev veth0 ingress");
    assert!(
        filters.contains("flowid 9:9") && !filters.contains("mirred"),
        "{filters}"
    );
    assert_eq!(pod.ifbs(), Vec::<String>::new());
}

#[test]
fn what_is_left_of_somebody_s_filter_keeps_no_hook() {
    // The kernel keeps the hash table of a place whose last filter is deleted by its number.
    let leave_a_table = |pod: &Pod| {
        let filter = "protocol ip pref 7 u32 match ip dst 10.9.9.9/32 flowid 9:9";
        pod.sh(&format!("tc filter add dev veth0 ingress {filter}"));
        let shown = pod.sh("tc filter show dev veth0 ingress pref 7");
        let number = shown
            .split("fh ")
            .find(|part| part.contains("9:9"))
            .unwrap();
        let number = number.split(' ').next().unwrap();
        pod.sh(&format!(
            "tc filter del dev veth0 ingress protocol ip pref 7 handle {number} u32"
        ));
        let shown = pod.sh("tc filter show dev veth0 ingress pref 7");
        assert!(
            shown.contains("divisor") && !shown.contains("9:9"),
            "{shown}"
        );
    };
    let pod = Pod::new();
    let before = pod.state();
    for is_del in [true, false] {
        pod.add(both());
        leave_a_table(&pod);
        if is_del {
            pod.del(both());
            assert_eq!(pod.state(), before);
        }
    }
    let towards = json!({"ingressRate": 8_000_000, "ingressBurst": 800_000});
    pod.add(towards);
    let qdiscs = pod.sh("tc qdisc show dev veth0");
    assert!(!qdiscs.contains("clsact"), "{qdiscs}");
}

#[test]
fn our_filter_comes_first_alone_and_last_in_company_or_where_the_configuration_says() {
    let priority = |pod: &Pod| {
        let filters = pod.sh("tc filter show dev veth0 ingress");
        let line = filters.lines().find(|l| l.contains("flowid 1:1")).unwrap();
        line.split("pref ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .to_owned()
    };
    let pod = Pod::new();
    pod.add(both());
    assert_eq!(priority(&pod), "1");
    let mut keys = both();
    keys["filterPriority"] = 4000.into();
    pod.add(keys.clone());
    assert_eq!(priority(&pod), "4000");
    pod.check(keys);
    let pod = Pod::new();
    foreign(&pod, "clsact");
    pod.add(both());
    assert_eq!(priority(&pod), "65530");
}

#[test]
fn filters_of_others_at_a_priority_of_ours_on_the_other_hook_are_not_confused_with_ours() {
    let keys = || {
        let mut keys = both();
        keys["unshapedSubnets"] = json!(["10.99.0.0/24", "fd99::/64"]);
        keys["filterPriority"] = json!(1);
        keys
    };
    // u32 lists such filters under both hooks.
    let lists = |pod: &Pod| {
        let list = |hook| pod.sh(&format!("tc filter show dev veth0 {hook}"));
        ["ingress", "egress"].map(list)
    };
    for (hook, priority) in [("egress", 1), ("egress", 3), ("ingress", 4), ("ingress", 5)] {
        let theirs = format!(
            "tc filter add dev veth0 {hook} pref {priority} protocol ip u32 match ip dst 10.9.9.9/32 flowid 9:9"
        );
        let alone = Pod::new();
        alone.sh(&format!("tc qdisc add dev veth0 clsact; {theirs}"));
        let expected = lists(&alone).join("\n");
        let tables = |text: &str| text.matches("ht divisor").count();
        for comes_first in [true, false] {
            let case = format!("{hook} {priority}, first: {comes_first}");
            let pod = Pod::new();
            if comes_first {
                pod.sh(&format!("tc qdisc add dev veth0 clsact; {theirs}"));
            }
            pod.add(keys());
            if !comes_first {
                pod.sh(&theirs);
            }
            pod.check(keys());
            let added = lists(&pod);
            pod.add(keys());
            assert_eq!(lists(&pod), added, "{case}");
            pod.del(keys());
            let left = lists(&pod).join("\n");
            assert_eq!(tables(&left), tables(&expected), "{case}: {left}");
            assert_eq!(left.matches("flowid").count(), 1, "{case}: {left}");
            assert!(left.contains("flowid 9:9"), "{case}: {left}");
        }
    }
}
