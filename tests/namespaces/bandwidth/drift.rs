//! CHECK sees every difference from what ADD made, and no other.

use serde_json::json;

use super::failed_add::with_subnets;
use super::pod::{IFB, Pod, both, error, succeeds};

/// Changes made with `tc` and `ip`, and what CHECK must say of each. `IFB` stands for the ifb.
const DRIFTS: &[(&str, &str)] = &[
    (
        "tc qdisc del dev veth0 root",
        "root qdisc of veth0: expected tbf rate 8000000bit",
    ),
    (
        "tc qdisc replace dev veth0 root handle 5: htb",
        "root qdisc of veth0: expected tbf",
    ),
    (
        "tc qdisc replace dev veth0 root handle 7: pfifo",
        "root qdisc of veth0: expected tbf",
    ),
    (
        "tc qdisc replace dev veth0 root handle 9: tbf rate 8mbit burst 100000 limit 125000",
        "handle of the root qdisc of veth0: expected 1:, found 9:",
    ),
    (
        "tc qdisc change dev veth0 root handle 1: tbf rate 9mbit burst 100000 limit 125000",
        "rate of the root qdisc of veth0: expected 1000000 bytes per second, found 1125000",
    ),
    (
        "tc qdisc change dev veth0 root handle 1: tbf rate 8mbit burst 90000 limit 125000",
        "burst of the root qdisc of veth0",
    ),
    (
        "tc qdisc change dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125001",
        "limit of the root qdisc of veth0: expected 125000 bytes, found 125001 bytes",
    ),
    (
        "tc qdisc change dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125000 peakrate 9mbit mtu 2000",
        "peak rate of the root qdisc of veth0: expected none",
    ),
    (
        "tc qdisc del dev veth0 clsact",
        "clsact or ingress qdisc of veth0: expected one, found none",
    ),
    (
        "tc filter del dev veth0 ingress",
        "redirect bwpe3b332d93142, found none",
    ),
    (
        "ip link del IFB",
        "bwpe3b332d93142: expected a link of kind ifb, found none",
    ),
    (
        "ip link set IFB name other",
        "bwpe3b332d93142: expected a link of kind ifb, found none",
    ),
    (
        "ip link set IFB down",
        "state of bwpe3b332d93142: expected up, found down",
    ),
    (
        "ip link set IFB mtu 1400",
        "mtu of bwpe3b332d93142: expected 1500, found 1400",
    ),
    (
        "ip link set IFB alias somebody",
        "alias of bwpe3b332d93142: expected its owner, found somebody",
    ),
    (
        "tc qdisc del dev IFB root",
        "root qdisc of bwpe3b332d93142: expected tbf rate 16000000bit",
    ),
    (
        "tc qdisc replace dev IFB root handle 5: htb",
        "root qdisc of bwpe3b332d93142: expected tbf",
    ),
    (
        "tc qdisc change dev IFB root handle 1: tbf rate 8mbit burst 200000 limit 250000",
        "rate of the root qdisc of bwpe3b332d93142",
    ),
    (
        "tc qdisc change dev IFB root handle 1: tbf rate 16mbit burst 100000 limit 250000",
        "burst of the root qdisc of bwpe3b332d93142",
    ),
    (
        "tc qdisc change dev IFB root handle 1: tbf rate 16mbit burst 200000 limit 350000",
        "limit of the root qdisc of bwpe3b332d93142",
    ),
    (
        "tc qdisc change dev IFB root handle 1: tbf rate 16mbit burst 200000 limit 250000 peakrate 32mbit mtu 2000",
        "peak rate of the root qdisc of bwpe3b332d93142",
    ),
    // Counts packets for more than they are.
    (
        "tc qdisc change dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125000 mpu 512",
        "length of packets in the root qdisc of veth0: expected as they are, found overhead 0 mpu 512 bytes",
    ),
    (
        "tc qdisc change dev IFB root handle 1: tbf rate 16mbit burst 200000 limit 250000 overhead 100",
        "length of packets in the root qdisc of bwpe3b332d93142",
    ),
    (
        "tc qdisc change dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125000 linklayer atm",
        "in cells of ATM",
    ),
    // Counts packets through a size table.
    (
        "tc qdisc change dev veth0 root handle 1: stab overhead 1000 linklayer ethernet tbf rate 8mbit burst 100000 limit 125000",
        "length of packets in the root qdisc of veth0: expected as they are, found overhead 0 mpu 0 bytes, with a size table",
    ),
    // Another queue under the bucket.
    (
        "tc qdisc replace dev veth0 parent 1:1 handle 10: pfifo limit 1",
        "queue of the root qdisc of veth0: expected fq_codel limit 10240p target 4999us interval 99999us memory_limit 2000000b or its own, found pfifo 10:",
    ),
    (
        "tc qdisc replace dev IFB parent 1:1 handle 10: bfifo limit 100",
        "queue of the root qdisc of bwpe3b332d93142: expected fq_codel limit 10240p target 4999us interval 99999us memory_limit 4000000b or its own, found bfifo 10:",
    ),
    // None at all, which drops everything.
    (
        "tc qdisc replace dev veth0 parent 1:1 handle 10: pfifo; tc qdisc del dev veth0 parent 1:1",
        "queue of the root qdisc of veth0: expected fq_codel limit 10240p target 4999us interval 99999us memory_limit 2000000b or its own, found noop",
    ),
];

/// Filters in the place of ours, and what CHECK must say of each.
const FILTERS: &[(&str, &str)] = &[
    // One destination only.
    (
        "protocol all u32 match ip dst 10.9.9.9/32 flowid 1:1 action mirred egress redirect dev IFB",
        "found protocol 0x0003 pref 1 0a090909/ffffffff at 16 redirect",
    ),
    // One protocol only.
    (
        "protocol ip u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev IFB",
        "found protocol 0x0800",
    ),
    // A copy is limited, the packet itself passes.
    (
        "protocol all u32 match u32 0 0 flowid 1:1 action mirred egress mirror dev IFB",
        "mirred 2 to link",
    ),
    // Into the host as if the ifb had received it.
    (
        "protocol all u32 match u32 0 0 flowid 1:1 action mirred ingress redirect dev IFB",
        "mirred 3 to link",
    ),
    // Somewhere else.
    (
        "protocol all u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev veth0",
        "found none",
    ),
    // Where no packet comes.
    (
        "protocol all chain 5 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev IFB",
        "everything in chain 5",
    ),
    // For packets of another link only.
    (
        "protocol all u32 match u32 0 0 indev lo flowid 1:1 action mirred egress redirect dev IFB",
        "one incoming interface alone",
    ),
    (
        "protocol all u32 match u32 0 0 flowid 1:2 action mirred egress redirect dev IFB",
        "redirect with flowid 1:2",
    ),
    // Nowhere.
    ("protocol all u32 match u32 0 0 flowid 1:1", "found none"),
];

#[test]
fn check_sees_every_drift_of_links_and_qdiscs() {
    for (drift, told) in DRIFTS {
        let pod = Pod::new();
        pod.add(both());
        pod.check(both());
        pod.sh(&drift.replace("IFB", IFB));
        let (code, text) = error(&pod.run("CHECK", both()));
        assert_eq!(code, 101, "{drift}: {text}");
        assert!(text.contains(told), "{drift}: {text}");
    }
}

#[test]
fn check_sees_every_drift_of_the_filter() {
    let pod = Pod::new();
    pod.add(both());
    for (filter, told) in FILTERS {
        pod.sh("tc filter del dev veth0 ingress");
        let filter = filter.replace("IFB", IFB);
        pod.sh(&format!("tc filter add dev veth0 ingress pref 1 {filter}"));
        let (code, text) = error(&pod.run("CHECK", both()));
        assert_eq!(code, 101, "{filter}: {text}");
        assert!(text.contains(told), "{filter}: {text}");
        pod.add(both());
        pod.check(both());
    }
}

#[test]
fn check_sees_a_filter_in_a_hash_table_that_nothing_looks_into() {
    let pod = Pod::new();
    pod.add(both());
    let after = pod.state();
    pod.sh("tc filter del dev veth0 ingress");
    pod.sh("tc filter add dev veth0 ingress pref 1 protocol all handle 5: u32 divisor 1");
    pod.sh(&format!(
        "tc filter add dev veth0 ingress pref 1 protocol all u32 ht 5: match u32 0 0 flowid 1:1 action mirred egress redirect dev {IFB}"
    ));
    let (code, text) = error(&pod.run("CHECK", both()));
    assert!(code == 101 && text.contains("in hash table 5:"), "{text}");
    pod.add(both());
    pod.check(both());
    assert_eq!(pod.state(), after);
}

#[test]
fn an_ifb_that_was_renamed_is_seen_and_goes_with_add_or_del() {
    for verb in ["ADD", "DEL"] {
        let pod = Pod::new();
        let before = pod.state();
        pod.add(both());
        let after = pod.state();
        pod.sh(&format!(
            "ip link set {IFB} down; ip link set {IFB} name other; ip link set other up"
        ));
        let (code, text) = error(&pod.run("CHECK", both()));
        assert!(code == 101 && text.contains("found none"), "{text}");
        match verb {
            "ADD" => {
                pod.add(both());
                pod.check(both());
                assert_eq!(pod.state(), after);
            }
            _ => {
                pod.del(both());
                assert_eq!(pod.state(), before);
            }
        }
    }
}

#[test]
fn del_finds_an_ifb_that_was_renamed_also_beside_one_that_was_not() {
    let pod = Pod::new();
    let before = pod.state();
    pod.add(with_subnets());
    pod.sh(&format!(
        "ip link set {IFB} down; ip link set {IFB} name other; ip link set other up"
    ));
    assert_eq!(pod.ifbs().len(), 2);
    pod.del(with_subnets());
    assert_eq!(pod.state(), before);
    // Neither the link nor the name of the ifb is known then: what is known leads to them.
    pod.add(with_subnets());
    pod.sh(&format!(
        "ip link set {IFB} down; ip link set {IFB} name other; ip link set other up"
    ));
    let mut conf = pod.conf(json!({}));
    conf["prevResult"].take();
    let call = pod.call("DEL").env("CNI_NETNS", "");
    succeeds(&pod.finish(call, &conf));
    assert_eq!(pod.state(), before);
}

#[test]
fn del_finds_an_ifb_that_was_renamed_and_to_which_nothing_leads_where_the_result_names_it() {
    let pod = Pod::new();
    let before = pod.state();
    let mut conf = pod.conf(json!({}));
    conf["prevResult"] = pod.add(both());
    pod.sh(&format!(
        "ip link set {IFB} down; ip link set {IFB} name other; tc qdisc del dev veth0 clsact"
    ));
    succeeds(&pod.finish(pod.call("DEL"), &conf));
    assert_eq!(pod.state(), before);
}

#[test]
fn a_hook_that_shares_its_filters_with_other_links_is_refused_and_nothing_changes() {
    let pod = Pod::new();
    pod.sh("tc qdisc add dev veth0 ingress_block 22 ingress");
    let before = pod.state();
    let (code, text) = error(&pod.run("ADD", both()));
    assert!(code == 100 && text.contains("block is shared"), "{text}");
    assert_eq!(pod.state(), before);
}

#[test]
fn check_sees_a_second_way_to_the_ifb() {
    let pod = Pod::new();
    pod.add(both());
    pod.sh(&format!(
        "tc filter add dev veth0 ingress pref 9 protocol ip u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev {IFB}"
    ));
    let (code, text) = error(&pod.run("CHECK", both()));
    assert!(code == 101 && text.contains("expected no more"), "{text}");
}

#[test]
fn check_sees_a_link_of_another_kind_under_the_ifb_s_name() {
    let pod = Pod::new();
    pod.add(both());
    pod.sh(&format!("ip link del {IFB}"));
    pod.sh(&format!("ip link add {IFB} type bridge"));
    let (code, text) = error(&pod.run("CHECK", both()));
    assert!(
        code == 101 && text.contains("a link of kind bridge"),
        "{text}"
    );
}

#[test]
fn check_sees_an_ifb_that_is_somebody_else_s() {
    let pod = Pod::new();
    pod.add(both());
    let alias = "cni-bandwidth net1/another/eth0 link=2 hook=made root=made";
    let line = ["ip", "link", "set", IFB, "alias", alias];
    pod.host().try_sh(&line).unwrap();
    let (code, text) = error(&pod.run("CHECK", both()));
    assert!(
        code == 101 && text.contains("expected a link of kind ifb"),
        "{text}"
    );
}

#[test]
fn check_sees_a_changed_limit_in_the_configuration() {
    let pod = Pod::new();
    pod.add(both());
    for (key, value) in [
        ("ingressRate", 8_000_008u64),
        ("ingressBurst", 800_800),
        ("egressRate", 16_000_008),
        ("egressBurst", 1_600_800),
        ("latencyMs", 26),
    ] {
        let mut keys = both();
        keys[key] = json!(value);
        let (code, text) = error(&pod.run("CHECK", keys));
        assert_eq!(code, 101, "{key}: {text}");
    }
}

#[test]
fn check_has_nothing_to_say_of_what_is_not_limited() {
    let pod = Pod::new();
    pod.sh("tc qdisc add dev veth0 root handle 5: htb");
    let egress = json!({"egressRate": 16_000_000, "egressBurst": 1_600_000});
    pod.add(egress.clone());
    pod.check(egress);
    for off in [json!({}), json!({"ingressRate": 0, "ingressBurst": 0})] {
        pod.check(off.clone());
        // Not even of a container without a veth, or without a namespace.
        let call = pod.call("CHECK").env("CNI_IFNAME", "lo");
        assert_eq!(pod.finish(call, &pod.conf(off.clone())).code, Some(0));
        let call = pod.call("CHECK").env("CNI_NETNS", "/nowhere");
        assert_eq!(pod.finish(call, &pod.conf(off)).code, Some(0));
    }
}
