//! CHECK of bandwidth sees whatever was changed behind its back.

use serde_json::json;

use super::{both, ifb_of, ifbs};
use crate::case::Table;
use crate::failure::{ensure, equal};
use crate::kernel::script;

/// What was changed, and the commands on the host that change it. IFB is the attachment's ifb.
const DRIFTS: [(&str, &str); 42] = [
    (
        "the token bucket of the host interface is gone",
        "tc qdisc del dev veth0 root",
    ),
    (
        "a fifo is in place of the token bucket of the host interface",
        "tc qdisc del dev veth0 root; tc qdisc add dev veth0 root handle 1: pfifo limit 100",
    ),
    (
        "a byte fifo is in place of the token bucket of the host interface",
        "tc qdisc replace dev veth0 root bfifo",
    ),
    (
        "the rate towards the container is higher",
        "tc qdisc change dev veth0 root handle 1: tbf rate 9mbit burst 100000 limit 125000",
    ),
    (
        "the rate towards the container is lower",
        "tc qdisc change dev veth0 root handle 1: tbf rate 7mbit burst 100000 limit 125000",
    ),
    (
        "the rate towards the container is a thousand times higher",
        "tc qdisc change dev veth0 root handle 1: tbf rate 8gbit burst 100000 limit 125000",
    ),
    (
        "the burst towards the container is larger",
        "tc qdisc change dev veth0 root handle 1: tbf rate 8mbit burst 200000 limit 125000",
    ),
    (
        "the burst towards the container is smaller",
        "tc qdisc change dev veth0 root handle 1: tbf rate 8mbit burst 50000 limit 125000",
    ),
    (
        "the queue towards the container is longer",
        "tc qdisc change dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 225000",
    ),
    (
        "the queue towards the container is shorter",
        "tc qdisc change dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 2500",
    ),
    (
        "the token bucket towards the container has a peak rate",
        "tc qdisc del dev veth0 root; tc qdisc add dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125000 peakrate 9mbit mtu 1600",
    ),
    (
        "the token bucket towards the container has another handle",
        "tc qdisc del dev veth0 root; tc qdisc add dev veth0 root handle 7: tbf rate 8mbit burst 100000 limit 125000",
    ),
    ("the ifb is gone", "ip link del IFB"),
    ("the ifb is down", "ip link set IFB down"),
    ("the ifb has another MTU", "ip link set IFB mtu 1300"),
    (
        "the ifb has another name",
        "ip link set IFB down; ip link set IFB name other0; ip link set other0 up",
    ),
    (
        "a bridge has the ifb's name",
        "ip link del IFB; ip link add IFB type bridge; ip link set IFB up",
    ),
    (
        "the token bucket of the ifb is gone",
        "tc qdisc del dev IFB root",
    ),
    (
        "a fifo is in place of the token bucket of the ifb",
        "tc qdisc del dev IFB root; tc qdisc add dev IFB root handle 1: pfifo limit 100",
    ),
    (
        "the rate from the container is higher",
        "tc qdisc change dev IFB root handle 1: tbf rate 17mbit burst 200000 limit 250000",
    ),
    (
        "the burst from the container is larger",
        "tc qdisc change dev IFB root handle 1: tbf rate 16mbit burst 300000 limit 250000",
    ),
    (
        "the queue from the container is shorter",
        "tc qdisc change dev IFB root handle 1: tbf rate 16mbit burst 200000 limit 3000",
    ),
    (
        "the token bucket of the ifb has a peak rate",
        "tc qdisc del dev IFB root; tc qdisc add dev IFB root handle 1: tbf rate 16mbit burst 200000 limit 250000 peakrate 17mbit mtu 1600",
    ),
    (
        "the ingress qdisc is gone",
        "(tc qdisc del dev veth0 clsact || tc qdisc del dev veth0 ingress)",
    ),
    (
        "the ingress qdisc was made again without the filter",
        "(tc qdisc del dev veth0 clsact || tc qdisc del dev veth0 ingress); tc qdisc add dev veth0 ingress",
    ),
    (
        "clsact is in place of the ingress qdisc, without the filter",
        "(tc qdisc del dev veth0 clsact || tc qdisc del dev veth0 ingress); tc qdisc add dev veth0 clsact",
    ),
    ("the filter is gone", "tc filter del dev veth0 ingress"),
    (
        "the filter redirects to another device",
        "ip link add ifb9 type ifb; ip link set ifb9 up; tc filter del dev veth0 ingress; tc filter add dev veth0 ingress protocol all pref 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev ifb9",
    ),
    (
        "the filter mirrors instead of redirecting",
        "tc filter del dev veth0 ingress; tc filter add dev veth0 ingress protocol all pref 1 u32 match u32 0 0 flowid 1:1 action mirred egress mirror dev IFB",
    ),
    (
        "the filter redirects to the ingress of the ifb",
        "tc filter del dev veth0 ingress; tc filter add dev veth0 ingress protocol all pref 1 u32 match u32 0 0 flowid 1:1 action mirred ingress redirect dev IFB",
    ),
    (
        "the filter is for IPv4 alone",
        "tc filter del dev veth0 ingress; tc filter add dev veth0 ingress protocol ip pref 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev IFB",
    ),
    (
        "the filter is for one address alone",
        "tc filter del dev veth0 ingress; tc filter add dev veth0 ingress protocol all pref 1 u32 match ip src 192.0.2.1 flowid 1:1 action mirred egress redirect dev IFB",
    ),
    (
        "the filter has no action",
        "tc filter del dev veth0 ingress; tc filter add dev veth0 ingress protocol all pref 1 u32 match u32 0 0 flowid 1:1",
    ),
    (
        "the ifb was made again without its token bucket",
        "ip link del IFB; ip link add IFB type ifb; ip link set IFB up",
    ),
    (
        "the ifb was made again, and the filter still leads to the old one",
        "ip link del IFB; ip link add IFB type ifb; ip link set IFB up; tc qdisc add dev IFB root handle 1: tbf rate 16mbit burst 200000 limit 250000",
    ),
    (
        "the token bucket towards the container counts small packets for more than they are",
        "tc qdisc change dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125000 mpu 512",
    ),
    (
        "a short fifo is the queue of the token bucket towards the container",
        "tc qdisc replace dev veth0 parent 1:1 handle 10: pfifo limit 1",
    ),
    (
        "the token bucket of the ifb has no queue left",
        "tc qdisc replace dev IFB parent 1:1 handle 10: pfifo; tc qdisc del dev IFB parent 1:1",
    ),
    (
        "the filter is in a chain that no packet reaches",
        "tc filter del dev veth0 ingress; tc filter add dev veth0 ingress protocol all pref 1 chain 5 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev IFB",
    ),
    (
        "the filter is in a hash table that nothing looks into",
        "tc filter del dev veth0 ingress; tc filter add dev veth0 ingress protocol all pref 1 handle 5: u32 divisor 1; tc filter add dev veth0 ingress protocol all pref 1 u32 ht 5: match u32 0 0 flowid 1:1 action mirred egress redirect dev IFB",
    ),
    (
        "the filter is for another incoming link",
        "tc filter del dev veth0 ingress; tc filter add dev veth0 ingress protocol all pref 1 u32 match u32 0 0 indev lo flowid 1:1 action mirred egress redirect dev IFB",
    ),
    ("the host interface is gone", "ip link del veth0"),
];

/// Cases of drift.
pub fn cases(table: &mut Table) {
    for (name, drift) in DRIFTS {
        table.case(format!("CHECK fails when {name}"), move |lab| {
            let pods = lab.pod()?;
            let request = pods.request(both()).added()?;
            request.check()?.ok()?;
            let ifb = ifb_of(&pods, "veth0")?;
            script(&pods.net.host, &drift.replace("IFB", &ifb))?;
            request.check()?.error().map(drop)
        });
    }
    table.case("CHECK fails when there was no ADD", |lab| {
        let pods = lab.pod()?;
        pods.request(both()).check()?.drift()
    });
    table.case("CHECK fails after DEL", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(both()).added()?;
        request.del()?.ok()?;
        request.check()?.drift()
    });
    for (name, change) in [
        ("ingress rate", json!({"ingressRate": 9_000_000})),
        ("ingress burst", json!({"ingressBurst": 900_000})),
        ("egress rate", json!({"egressRate": 17_000_000})),
        ("egress burst", json!({"egressBurst": 1_700_000})),
    ] {
        table.case(
            format!("CHECK fails for another {name} than ADD was given"),
            move |lab| {
                let pods = lab.pod()?;
                let request = pods.request(both()).added()?;
                request.with(change.clone()).check()?.drift()
            },
        );
    }
    table.case("CHECK names object, expected and actual of every drift", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(both()).added()?;
        let ifb = ifb_of(&pods, "veth0")?;
        let drift = "tc qdisc change dev veth0 root handle 1: tbf rate 9mbit burst 100000 limit 125000; ip link set IFB mtu 1300";
        script(&pods.net.host, &drift.replace("IFB", &ifb))?;
        let text = request.check()?.error()?.value.to_string();
        for word in ["veth0", &ifb, "1300", "1500"] {
            ensure(text.contains(word), || format!("{word} is not in {text}"))?;
        }
        Ok(())
    });
    table.case(
        "ADD after the ifb was renamed leaves one ifb, and DEL none",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.request(both()).added()?;
            let ifb = ifb_of(&pods, "veth0")?;
            let rename = format!(
                "ip link set {ifb} down; ip link set {ifb} name other0; ip link set other0 up"
            );
            script(&pods.net.host, &rename)?;
            let request = request.added()?;
            request.check()?.silent()?;
            equal("ifbs", &ifbs(&pods.net.host)?.len(), &1)?;
            request.del()?.silent()?;
            equal("ifbs", &ifbs(&pods.net.host)?.len(), &0)
        },
    );
    table.case("CHECK passes again after drift and another ADD", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(both()).added()?;
        let ifb = ifb_of(&pods, "veth0")?;
        script(
            &pods.net.host,
            &format!(
                "tc qdisc del dev veth0 root; (tc qdisc del dev veth0 clsact || tc qdisc del dev veth0 ingress); ip link del {ifb}"
            ),
        )?;
        let request = request.added()?;
        request.check()?.silent()
    });
}
