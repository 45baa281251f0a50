//! CHECK of portmap passes for every shape of configuration, and whatever others do beside it.

use serde_json::{Value, json};

use super::{mapping, mapping_at, mappings, web};
use crate::case::Table;
use crate::group::Group;
use crate::kernel::script;

/// Configurations that ADD takes and CHECK must then accept.
fn shapes() -> Vec<(&'static str, Value)> {
    let on = |key: &str, value: Value| crate::json::merged(&web(), &json!({key: value}));
    let from = |first: u16, count: u16, protocol: &str| {
        let ports = (0..count).map(|n| mapping(protocol, 9000 + n, first + n));
        mappings(&ports.collect::<Vec<_>>())
    };
    let many = |count, protocol| from(80, count, protocol);
    vec![
        ("one TCP port", web()),
        ("one UDP port", mappings(&[mapping("udp", 53, 5353)])),
        ("one SCTP port", mappings(&[mapping("sctp", 132, 132)])),
        (
            "all three protocols on one port",
            mappings(&[
                mapping("tcp", 53, 53),
                mapping("udp", 53, 53),
                mapping("sctp", 53, 53),
            ]),
        ),
        (
            "the ports 1 and 65535",
            mappings(&[mapping("tcp", 1, 65535), mapping("tcp", 65535, 1)]),
        ),
        ("15 ports", many(15, "tcp")),
        ("16 ports", many(16, "tcp")),
        // Those that keep their number are one range.
        ("31 ports", from(9000, 31, "udp")),
        (
            "ports that are not in order",
            mappings(&[
                mapping("tcp", 9002, 1),
                mapping("tcp", 9000, 2),
                mapping("tcp", 9001, 3),
            ]),
        ),
        (
            "two host ports to one container port",
            mappings(&[mapping("tcp", 8080, 80), mapping("tcp", 8090, 80)]),
        ),
        (
            "an upper-case protocol",
            mappings(&[
                mapping("TCP", 8080, 80),
                mapping("UDP", 8081, 81),
                mapping("SCTP", 8082, 82),
            ]),
        ),
        (
            "hostIP 0.0.0.0",
            mappings(&[mapping_at("0.0.0.0", "tcp", 8080, 80)]),
        ),
        ("hostIP ::", mappings(&[mapping_at("::", "tcp", 8080, 80)])),
        (
            "hostIP 0:0:0:0:0:0:0:0",
            mappings(&[mapping_at("0:0:0:0:0:0:0:0", "tcp", 8080, 80)]),
        ),
        (
            "an empty hostIP",
            mappings(&[mapping_at("", "tcp", 8080, 80)]),
        ),
        (
            "an IPv4 hostIP",
            mappings(&[mapping_at("192.0.2.1", "tcp", 8080, 80)]),
        ),
        (
            "hostIP 127.0.0.1",
            mappings(&[mapping_at("127.0.0.1", "tcp", 8080, 80)]),
        ),
        (
            "an IPv6 hostIP",
            mappings(&[mapping_at("2001:db8::5", "tcp", 8080, 80)]),
        ),
        (
            "an IPv6 hostIP written at length",
            mappings(&[mapping_at(
                "2001:0DB8:0000:0000:0000:0000:0000:0005",
                "tcp",
                8080,
                80,
            )]),
        ),
        (
            "one port on two host addresses",
            mappings(&[
                mapping_at("192.0.2.1", "tcp", 8080, 80),
                mapping_at("192.0.2.2", "tcp", 8080, 81),
            ]),
        ),
        (
            "one port on one host address and on all",
            mappings(&[
                mapping_at("192.0.2.1", "tcp", 8080, 80),
                mapping("tcp", 8080, 81),
            ]),
        ),
        (
            "host addresses of both families",
            mappings(&[
                mapping_at("192.0.2.1", "tcp", 8080, 80),
                mapping_at("2001:db8::5", "udp", 8080, 80),
                mapping("sctp", 8080, 80),
            ]),
        ),
        (
            "the same mapping twice",
            mappings(&[mapping("tcp", 8080, 80), mapping("tcp", 8080, 80)]),
        ),
        ("snat false", on("snat", json!(false))),
        ("snat true", on("snat", json!(true))),
        ("masqAll", on("masqAll", json!(true))),
        ("masqAll false", on("masqAll", json!(false))),
        (
            "masqAll and a hostIP",
            crate::json::merged(
                &mappings(&[mapping_at("192.0.2.1", "tcp", 8080, 80)]),
                &json!({"masqAll": true}),
            ),
        ),
        (
            "nulls for every option",
            crate::json::merged(
                &web(),
                &json!({"snat": null, "masqAll": null, "markMasqBit": null,
            "externalSetMarkChain": null, "conditionsV4": null, "conditionsV6": null, "backend": null}),
            ),
        ),
        (
            "empty conditions",
            crate::json::merged(&web(), &json!({"conditionsV4": [], "conditionsV6": []})),
        ),
    ]
}

/// Options of the iptables backend alone.
fn iptables_shapes() -> Vec<(&'static str, Value)> {
    let on = |options: Value| crate::json::merged(&web(), &options);
    vec![
        ("markMasqBit 0", on(json!({"markMasqBit": 0}))),
        ("markMasqBit 31", on(json!({"markMasqBit": 31}))),
        (
            "a condition on the source",
            on(json!({"conditionsV4": ["-s", "192.0.2.0/24"]})),
        ),
        (
            "a negated condition",
            on(json!({"conditionsV4": ["!", "-s", "192.0.2.0/24"]})),
        ),
        (
            "a negated condition in the old order",
            on(json!({"conditionsV4": ["!", "-d", "192.0.2.7"]})),
        ),
        (
            "a condition that iptables prints otherwise",
            on(json!({"conditionsV4": ["--source", "192.0.2.7/255.255.255.0"]})),
        ),
        (
            "a condition with a match",
            on(json!({"conditionsV4": ["-m", "mark", "!", "--mark", "0x1/0x1"]})),
        ),
        (
            "a condition on the interface",
            on(json!({"conditionsV4": ["-i", "eth+"], "conditionsV6": ["!", "-i", "docker0"]})),
        ),
        (
            "a condition with a comment in it",
            on(json!({"conditionsV4": ["-m", "comment", "--comment", "two words"]})),
        ),
        (
            "a condition with quotes in its comment",
            on(json!({"conditionsV4": ["-m", "comment", "--comment", "a \"quoted\" word"]})),
        ),
    ]
}

/// Options of the nftables backend alone.
fn nftables_shapes() -> Vec<(&'static str, Value)> {
    let on = |options: Value| crate::json::merged(&web(), &options);
    vec![
        (
            "a condition on the source",
            on(json!({"conditionsV4": ["ip", "saddr", "192.0.2.0/24"]})),
        ),
        (
            "a negated condition",
            on(json!({"conditionsV6": ["ip6", "saddr", "!=", "2001:db8::/32"]})),
        ),
        (
            "a condition on the interface",
            on(json!({"conditionsV4": ["iifname", "eth9"]})),
        ),
        (
            "a condition with a set",
            on(json!({"conditionsV4": ["ip", "saddr", "{", "192.0.2.1,", "192.0.2.2", "}"]})),
        ),
    ]
}

/// Harmless changes by others, as commands on the host.
const HARMLESS: [(&str, &str); 12] = [
    ("kube-proxy puts its chains before ours",
     "for t in iptables-VARIANT ip6tables-VARIANT; do $t -w -t nat -N KUBE-SERVICES; for c in PREROUTING OUTPUT; do $t -w -t nat -I $c -m comment --comment 'kubernetes service portals' -j KUBE-SERVICES; done; $t -w -t nat -N KUBE-POSTROUTING; $t -w -t nat -I POSTROUTING -j KUBE-POSTROUTING; done;
      iptables-VARIANT -w -t nat -A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j RETURN"),
    ("somebody translates another port before ours",
     "iptables-VARIANT -w -t nat -I PREROUTING -p tcp --dport 22 -j DNAT --to 10.22.0.7:22"),
    ("somebody translates the same port of another machine",
     "iptables-VARIANT -w -t nat -I PREROUTING -p tcp -d 192.0.2.9 --dport 8080 -j DNAT --to 10.22.0.7:22"),
    ("somebody adds a rule behind ours", "iptables-VARIANT -w -t nat -A PREROUTING -p tcp --dport 8080 -j ACCEPT"),
    ("somebody masquerades everything", "iptables-VARIANT -w -t nat -A POSTROUTING -s 10.22.0.0/16 -o out9 -j MASQUERADE"),
    ("somebody filters", "iptables-VARIANT -w -A FORWARD -i eth9 -j DROP; iptables-VARIANT -w -P FORWARD ACCEPT"),
    ("somebody uses the mangle table", "iptables-VARIANT -w -t mangle -A PREROUTING -j MARK --or-mark 1"),
    ("counters are set to zero", "iptables-VARIANT -w -t nat -Z"),
    ("somebody has a table in nf_tables", "nft add table inet theirs; nft 'add chain inet theirs c { type filter hook input priority 0; }'; nft add rule inet theirs c tcp dport 8080 accept"),
    ("somebody translates another port in nf_tables", "nft add table ip theirs; nft 'add chain ip theirs c { type nat hook prerouting priority -150; }'; nft add rule ip theirs c tcp dport 22 dnat to 10.22.0.7"),
    ("another interface comes", "ip link add x1 type veth peer name x2"),
    ("route_localnet is on for all", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet"),
];

/// Cases in which CHECK passes.
pub fn cases(table: &mut Table, group: Group) {
    let own = match group {
        Group::PortmapNftables => nftables_shapes(),
        _ => iptables_shapes(),
    };
    for (name, conf) in shapes().into_iter().chain(own) {
        table.case(
            format!("CHECK passes after ADD with {name}, and DEL leaves nothing"),
            move |lab| {
                let pods = lab.pod()?;
                let request = pods.request(conf.clone()).added()?;
                request.check()?.silent()?;
                request.del()?.silent()?;
                super::del::nothing_left(&pods)
            },
        );
    }
    for (name, change) in HARMLESS {
        table.case(format!("CHECK passes when {name}"), move |lab| {
            let pods = lab.pod()?;
            let request = pods.usual().added()?;
            script(
                &pods.net.host,
                &change.replace("VARIANT", lab.group.variant()),
            )?;
            request.check()?.silent()
        });
    }
    table.case(
        "CHECK passes when another attachment comes and goes",
        |lab| {
            let pods = lab.pods(2)?;
            let request = pods.usual().added()?;
            let other = pods
                .request_for(
                    1,
                    mappings(&[mapping("tcp", 8090, 80), mapping("udp", 8091, 81)]),
                )
                .id("cid-0002")
                .added()?;
            request.check()?.silent()?;
            other.check()?.silent()?;
            other.del()?.silent()?;
            request.check()?.silent()
        },
    );
    table.case(
        "CHECK passes when two attachments share a port on different host addresses",
        |lab| {
            let pods = lab.pods(2)?;
            let one = pods
                .request(mappings(&[mapping_at("192.0.2.1", "tcp", 8080, 80)]))
                .added()?;
            let two = pods
                .request_for(1, mappings(&[mapping_at("192.0.2.2", "tcp", 8080, 80)]))
                .id("cid-0002")
                .added()?;
            one.check()?.silent()?;
            two.check()?.silent()
        },
    );
    table.case(
        "CHECK passes when one attachment has a port for TCP and another for UDP",
        |lab| {
            let pods = lab.pods(2)?;
            let one = pods.request(mappings(&[mapping("tcp", 53, 53)])).added()?;
            let two = pods
                .request_for(1, mappings(&[mapping("udp", 53, 53)]))
                .id("cid-0002")
                .added()?;
            one.check()?.silent()?;
            two.check()?.silent()
        },
    );
}
