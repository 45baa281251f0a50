//! Snapshots see every kind of change, and nothing where there is none.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use sandbox::{Namespace, Snapshot, Topology};

/// Does `commands` in `namespace` and returns how the state differs afterwards.
fn changes(namespace: &Namespace, commands: &[&str]) -> Vec<String> {
    let before = Snapshot::take(namespace).unwrap();
    for command in commands {
        namespace.sh(["sh", "-ec", command]);
    }
    before.diff(&Snapshot::take(namespace).unwrap())
}

fn assert_has(lines: &[String], parts: &[&str]) {
    let found = lines
        .iter()
        .any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(found, "no line with {parts:?} in {lines:#?}");
}

#[test]
fn looking_changes_nothing() {
    let net = Topology::new().client().build().unwrap();
    for node in net.nodes() {
        assert_eq!(
            changes(node, &["iptables-nft-save; iptables-legacy-save"]),
            Vec::<String>::new()
        );
    }
}

#[test]
fn tables_that_a_tool_created_by_looking_count_as_absent() {
    let namespace = Namespace::new().unwrap();
    let look = "for v in iptables ip6tables; do $v-legacy -t nat -S; $v-nft -t nat -S; $v-nft -t nat -N X; $v-nft -t nat -X X; done";
    assert_eq!(changes(&namespace, &[look]), Vec::<String>::new());
}

#[test]
fn each_attribute_of_a_link_is_seen() {
    let namespace = Namespace::new().unwrap();
    namespace.sh([
        "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1",
    ]);
    namespace.sh(["ip", "link", "add", "br0", "type", "bridge"]);
    let cases = [
        ("ip link set v0 mtu 1400", "link v0: mtu 1500 → 1400"),
        (
            "ip link set v0 address 02:00:00:00:00:01",
            "→ 02:00:00:00:00:01",
        ),
        ("ip link set v0 up", "link v0: up false → true"),
        ("ip link set v0 promisc on", "link v0: promisc false → true"),
        (
            "ip link set v0 allmulticast on",
            "link v0: allmulti false → true",
        ),
        ("ip link set v0 txqueuelen 7", "link v0: txqlen 1000 → 7"),
        (
            "ip link set v0 alias 'some thing'",
            r#"link v0: alias "" → "some thing""#,
        ),
        ("ip link set v0 master br0", r#"link v0: master "" → "br0""#),
        ("ip link add i1 type ifb", "link + i1: Link { kind: \"ifb\""),
        ("ip link del i1", "link - i1: Link { kind: \"ifb\""),
    ];
    for (command, expected) in cases {
        assert_has(&changes(&namespace, &[command]), &[expected]);
    }
}

#[test]
fn addresses_routes_and_sysctls_are_seen() {
    let net = Topology::new().build().unwrap();
    let lines = changes(
        &net.host,
        &[
            "ip address add 10.1.0.1/24 dev veth0",
            "ip route add 10.2.0.0/16 dev veth0 table 7",
            "sysctl -q net.ipv4.conf.veth0.route_localnet=1",
            "sysctl -q net.core.somaxconn=77",
        ],
    );
    assert_has(&lines, &["address + 10.1.0.1/24 dev veth0 scope global"]);
    assert_has(&lines, &["route + ", "10.2.0.0/16", "veth0", "7"]);
    assert_has(
        &lines,
        &["sysctl net/ipv4/conf/veth0/route_localnet: 0 → 1"],
    );
    assert_has(&lines, &["sysctl net/core/somaxconn: ", "→ 77"]);
}

#[test]
fn qdiscs_and_filters_are_seen_at_every_hook() {
    let net = Topology::new().build().unwrap();
    let lines = changes(
        &net.host,
        &[
            "tc qdisc add dev veth0 root handle 1: htb",
            "tc filter add dev veth0 parent 1: protocol all u32 match u32 0 0 flowid 1:1",
            "tc qdisc add dev veth0 clsact",
            "tc filter add dev veth0 ingress protocol all u32 match u32 0 0 action mirred egress redirect dev lo",
            "tc filter add dev veth0 egress protocol all u32 match u32 0 0 action mirred egress redirect dev veth0",
        ],
    );
    assert_has(&lines, &["qdisc + ", "htb"]);
    assert_has(&lines, &["qdisc + ", "clsact"]);
    assert_has(&lines, &["filter + dev veth0 parent 1: ", "1:1"]);
    assert_has(
        &lines,
        &[
            "filter + dev veth0 parent ffff:fff2",
            "mirred",
            "\"to_dev\":\"lo\"",
        ],
    );
    assert_has(
        &lines,
        &[
            "filter + dev veth0 parent ffff:fff3",
            "mirred",
            "\"to_dev\":\"veth0\"",
        ],
    );
    // The same again, made anew: handles and indexes of their own do not count.
    let again = "tc filter del dev veth0 ingress; tc filter add dev veth0 ingress protocol all u32 match u32 0 0 action mirred egress redirect dev lo";
    let lines = changes(&net.host, &[again]);
    assert_eq!(lines, Vec::<String>::new());
}

#[test]
fn rules_are_seen_in_both_variants_of_iptables() {
    let namespace = Namespace::new().unwrap();
    for tool in [
        "iptables-nft",
        "iptables-legacy",
        "ip6tables-nft",
        "ip6tables-legacy",
    ] {
        let lines = changes(
            &namespace,
            &[&format!(
                "{tool} -t nat -N MINE; {tool} -t nat -A MINE -j RETURN"
            )],
        );
        assert_has(&lines, &[&format!("iptables + {tool} nat -N MINE")]);
        assert_has(
            &lines,
            &[&format!("iptables + {tool} nat -A MINE -j RETURN")],
        );
        let lines = changes(
            &namespace,
            &[&format!("{tool} -t nat -F MINE; {tool} -t nat -X MINE")],
        );
        assert_has(&lines, &[&format!("iptables - {tool} nat -N MINE")]);
        assert_has(
            &lines,
            &[&format!("iptables - {tool} nat -A MINE -j RETURN")],
        );
        assert_eq!(lines.len(), 2, "{lines:#?}");
    }
}

#[test]
fn nft_objects_are_seen_but_not_their_counters() {
    let namespace = Namespace::new().unwrap();
    let lines = changes(
        &namespace,
        &["nft 'table inet t { map m { type inet_service : ipv4_addr; elements = { 80 : 10.0.0.1 }; };
           chain c { type filter hook output priority 0; udp dport 9 counter accept comment \"mine\"; }; }'"],
    );
    assert_has(&lines, &["nft + inet t table t"]);
    assert_has(&lines, &["nft + inet t map m", "10.0.0.1"]);
    assert_has(&lines, &["nft + inet t rule c", "mine"]);
    let count =
        "head -c 1 /dev/zero > /dev/udp/127.0.0.1/9; nft list ruleset | grep -q 'packets 1 '";
    let before = Snapshot::take(&namespace).unwrap();
    namespace.sh(["bash", "-ec", count]);
    assert_eq!(
        before.diff(&Snapshot::take(&namespace).unwrap()),
        Vec::<String>::new()
    );
    assert_has(
        &changes(
            &namespace,
            &["nft add element inet t m '{ 81 : 10.0.0.2 }'"],
        ),
        &["nft + inet t map m", "10.0.0.2"],
    );
    assert_has(
        &changes(&namespace, &["nft delete table inet t"]),
        &["nft - inet t table t"],
    );
}

#[test]
fn rules_that_iptables_cannot_show_in_its_own_table_are_seen() {
    let namespace = Namespace::new().unwrap();
    let rule = "nft 'table ip nat { chain c { tcp dport { 80, 81 } dnat to 10.0.0.1; }; }'";
    assert_has(
        &changes(&namespace, &[rule]),
        &["nft + ip nat rule c", "10.0.0.1"],
    );
}

#[test]
fn an_empty_table_of_somebody_elses_name_is_seen() {
    let namespace = Namespace::new().unwrap();
    assert_has(
        &changes(&namespace, &["nft add table ip cni_hostport"]),
        &["nft + ip cni_hostport table cni_hostport"],
    );
    assert_has(
        &changes(&namespace, &["nft add table inet nat"]),
        &["nft + inet nat table nat"],
    );
}
