//! CHECK of bandwidth passes for every shape of configuration, and whatever others do beside it.

use serde_json::{Value, json};

use super::{both, egress, ifbs, ingress};
use crate::case::Table;
use crate::json::merged;
use crate::kernel::script;

fn shapes() -> Vec<(&'static str, Value)> {
    let limit = |rate: u64, burst: u64| json!({"ingressRate": rate, "ingressBurst": burst, "egressRate": rate, "egressBurst": burst});
    let on = |options: Value| merged(&both(), &options);
    vec![
        ("no limits", json!({})),
        ("limits of 0", limit(0, 0)),
        ("both directions", both()),
        ("ingress alone", ingress()),
        ("egress alone", egress()),
        (
            "runtimeConfig",
            json!({"runtimeConfig": {"bandwidth": both()}}),
        ),
        (
            "the keys of containerd",
            json!({"runtimeConfig": {"bandwidth": {"IngressRate": 1_000_000, "IngressBurst": 4_294_967_295_u64, "EgressRate": 1_000_000, "EgressBurst": 4_294_967_295_u64}}}),
        ),
        (
            "containerd's zeros",
            json!({"runtimeConfig": {"bandwidth": {"IngressRate": 20_000_000, "IngressBurst": 4_294_967_295_u64, "EgressRate": 0, "EgressBurst": 0}}}),
        ),
        ("CRI-O's burst", limit(10_000_000, 34_359_738_359)),
        ("kubelet's burst", limit(10_000_000, 2_147_483_647)),
        (
            "a literal burst of containerd",
            merged(
                &limit(1_000_000, 4_294_967_295),
                &json!({"burstPolicy": "literal"}),
            ),
        ),
        ("8 kbit/s", limit(8000, 80_000)),
        (
            "a rate that is no multiple of 8",
            limit(1_000_003, 1_000_005),
        ),
        ("a prime rate", limit(99_999_989, 7_999_993)),
        ("1 Gbit/s", limit(1_000_000_000, 100_000_000)),
        ("40 Gbit/s", limit(40_000_000_000, 1_000_000_000)),
        ("100 Gbit/s", limit(100_000_000_000, 1_000_000_000)),
        ("400 Gbit/s", limit(400_000_000_000, 4_000_000_000)),
        ("a burst smaller than a packet", limit(1_000_000, 8000)),
        ("latencyMs", on(json!({"latencyMs": 50}))),
        (
            "unshaped subnets of both families",
            on(json!({"unshapedSubnets": ["10.0.0.0/8", "192.168.0.0/16", "fd00::/8"]})),
        ),
        (
            "shaped subnets of both families",
            on(json!({"shapedSubnets": ["192.0.2.0/24", "2001:db8::/32"]})),
        ),
        (
            "an unshaped single address",
            on(json!({"unshapedSubnets": ["192.0.2.1/32", "2001:db8::1/128"]})),
        ),
        (
            "empty lists of subnets",
            on(json!({"unshapedSubnets": [], "shapedSubnets": []})),
        ),
        (
            "nulls for every option",
            on(
                json!({"unshapedSubnets": null, "shapedSubnets": null, "latencyMs": null, "burstPolicy": null, "runtimeConfig": null}),
            ),
        ),
    ]
}

/// Harmless changes by others, as commands on the host.
const HARMLESS: [(&str, &str); 9] = [
    (
        "the host interface has an alias",
        "ip link set veth0 alias somebody",
    ),
    (
        "the host interface's queue has another length",
        "ip link set veth0 txqueuelen 5",
    ),
    (
        "another interface comes",
        "ip link add x1 type veth peer name x2",
    ),
    (
        "another ifb comes",
        "ip link add ifb7 type ifb; ip link set ifb7 up",
    ),
    (
        "somebody adds an ingress filter behind ours",
        "tc filter add dev veth0 ingress protocol ip pref 49000 u32 match ip src 192.0.2.1 flowid 1:2",
    ),
    (
        "packets were limited",
        "ping -c 3 -i 0.01 -s 1400 10.22.0.2 >/dev/null 2>&1 || true",
    ),
    ("an address is added", "ip addr add 10.22.9.9/32 dev veth0"),
    (
        "the host forwards no longer",
        "echo 0 > /proc/sys/net/ipv4/ip_forward",
    ),
    (
        "the host interface becomes a port of a bridge",
        "ip link add br9 type bridge; ip link set veth0 master br9",
    ),
];

/// Cases in which CHECK passes.
pub fn cases(table: &mut Table) {
    for (name, conf) in shapes() {
        table.case(
            format!("CHECK passes after ADD with {name}, and DEL leaves nothing"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let request = pods.request(conf.clone()).added()?;
                request.check()?.silent()?;
                request.del()?.silent()?;
                pods.unchanged(&before)
            },
        );
    }
    for (name, change) in HARMLESS {
        table.case(format!("CHECK passes when {name}"), move |lab| {
            let pods = lab.pod()?;
            let request = pods.request(both()).added()?;
            script(&pods.net.host, change)?;
            request.check()?.silent()
        });
    }
    table.case(
        "CHECK without limits passes for an interface that is no veth",
        |lab| {
            let pods = lab.pod()?;
            script(
                &pods.net.containers[0],
                "ip link add ipv0 link eth0 type macvlan",
            )?;
            pods.request(json!({}))
                .env("CNI_IFNAME", "ipv0")
                .check()?
                .ok()
        },
    );
    table.case("CHECK changes nothing", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(both()).added()?;
        let before = pods.state()?;
        request.check()?.ok()?;
        pods.unchanged(&before)?;
        let name = ifbs(&pods.net.host)?.concat();
        script(
            &pods.net.host,
            &format!("tc qdisc del dev {name} root; tc qdisc del dev veth0 root"),
        )?;
        let before = pods.state()?;
        request.check()?.drift()?;
        pods.unchanged(&before)
    });
    table.case(
        "CHECK passes when another attachment comes and goes",
        |lab| {
            let pods = lab.pods(2)?;
            let first = pods.request(both()).added()?;
            let second = pods.request_for(1, both()).id("cid-0002").added()?;
            first.check()?.silent()?;
            second.check()?.silent()?;
            second.del()?.silent()?;
            first.check()?.silent()
        },
    );
}
