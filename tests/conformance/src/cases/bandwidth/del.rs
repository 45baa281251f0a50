//! DEL of bandwidth leaves nothing, whatever it is told and whatever it finds.

use serde_json::{Value, json};

use super::{both, egress, free, ifb_of, ifbs};
use crate::case::Table;
use crate::failure::{Verdict, equal};
use crate::kernel::{has_link, ifb, script};
use crate::lab::Pods;

/// What the reference makes for `cid-0001` of `net1` on veth0.
const REFERENCE: &str = "ip link add IFB type ifb; ip link set IFB mtu 1500 up
tc qdisc add dev veth0 root handle 1: tbf rate 8mbit burst 100000 limit 125000
tc qdisc add dev veth0 ingress
tc filter add dev veth0 parent ffff: protocol all pref 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev IFB
tc qdisc add dev IFB root handle 1: tbf rate 16mbit burst 200000 limit 250000";

/// Cases of DEL.
pub fn cases(table: &mut Table) {
    told(table);
    found(table);
    repeated(table);
}

fn told(table: &mut Table) {
    table.case("DEL leaves everything as it was", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        pods.request(both()).added()?.del()?.silent()?;
        pods.unchanged(&before)
    });
    let changes: [(&str, Value); 9] = [
        (
            "without limits",
            json!({"ingressRate": null, "ingressBurst": null, "egressRate": null, "egressBurst": null}),
        ),
        ("with a rate without burst", json!({"ingressBurst": null})),
        (
            "with a rate of a wrong type",
            json!({"ingressRate": "fast"}),
        ),
        (
            "with other limits",
            json!({"ingressRate": 1_000_000, "egressRate": 1_000_000}),
        ),
        ("without prevResult", json!({"prevResult": null})),
        (
            "with a prevResult that is a number",
            json!({"prevResult": 5}),
        ),
        (
            "with a prevResult without a version",
            json!({"prevResult": {"x": 1}}),
        ),
        (
            "with null among the interfaces",
            json!({"prevResult": {"cniVersion": "1.0.0", "interfaces": [null]}}),
        ),
        (
            "with subnets that are none",
            json!({"unshapedSubnets": ["x"]}),
        ),
    ];
    for (name, change) in changes {
        table.case(format!("DEL {name} removes everything"), move |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let mut request = pods.request(both()).added()?;
            for (key, value) in change.as_object().into_iter().flatten() {
                request = request.set(key, value.clone());
            }
            request.del()?.orderly()?;
            pods.unchanged(&before)
        });
    }
    table.case(
        "DEL without namespace, prevResult and limits removes the ifb",
        |lab| {
            let pods = lab.pod()?;
            pods.request(both()).added()?.forgotten().del()?.silent()?;
            gone(&pods)
        },
    );
    table.case(
        "DEL without namespace frees the host interface that still lives",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.request(both()).added()?;
            request.no_namespace().del()?.silent()?;
            gone(&pods)?;
            free(&pods.net.host, "veth0")
        },
    );
    table.case(
        "DEL when the namespace and the interface are gone removes the ifb",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.request(both()).added()?;
            script(&pods.net.host, "ip link del veth0")?;
            request
                .env("CNI_NETNS", "/run/netns/no-such-namespace")
                .del()?
                .silent()?;
            gone(&pods)
        },
    );
    table.case(
        "DEL when the interface is gone from the namespace removes the ifb",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.request(both()).added()?;
            script(&pods.net.host, "ip link del veth0")?;
            request.del()?.silent()?;
            gone(&pods)
        },
    );
}

fn found(table: &mut Table) {
    for (name, change) in [
        ("the ifb is gone", "ip link del IFB"),
        ("the token bucket is gone", "tc qdisc del dev veth0 root"),
        (
            "the ingress qdisc is gone",
            "(tc qdisc del dev veth0 clsact || tc qdisc del dev veth0 ingress)",
        ),
        ("the filter is gone", "tc filter del dev veth0 ingress"),
        (
            "everything is gone",
            "tc qdisc del dev veth0 root; (tc qdisc del dev veth0 clsact || tc qdisc del dev veth0 ingress); ip link del IFB",
        ),
        ("the ifb is down", "ip link set IFB down"),
    ] {
        table.case(
            format!("DEL when {name} leaves everything as it was"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let request = pods.request(both()).added()?;
                let ifb = ifb_of(&pods, "veth0")?;
                script(&pods.net.host, &change.replace("IFB", &ifb))?;
                request.del()?.silent()?;
                pods.unchanged(&before)
            },
        );
    }
    for (name, forgotten) in [("DEL", false), ("DEL that knows nothing else", true)] {
        table.case(
            format!("{name} removes the ifb that the reference made"),
            move |lab| {
                let pods = lab.pod()?;
                script(&pods.net.host, &reference())?;
                let request = pods.request(both());
                let request = if forgotten {
                    request.forgotten()
                } else {
                    request
                };
                request.del()?.silent()?;
                gone(&pods)
            },
        );
    }
    table.case(
        "DEL frees the host interface of what the reference made",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            script(&pods.net.host, &reference())?;
            pods.request(both()).del()?.silent()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "ADD takes over what the reference made, and DEL removes it",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            script(&pods.net.host, &reference())?;
            let request = pods.request(both()).added()?;
            request.check()?.silent()?;
            request.del()?.silent()?;
            pods.unchanged(&before)
        },
    );
    table.case("CHECK passes on what the reference made", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(both());
        script(&pods.net.host, &reference())?;
        let mut previous = request.conf()["prevResult"].clone();
        if let Some(list) = previous["interfaces"].as_array_mut() {
            list.push(json!({"name": ifb("net1", "cid-0001")}));
        }
        request.set("prevResult", previous).check()?.ok()
    });
    table.case("DEL leaves a bridge alone that has the ifb's name", |lab| {
        let pods = lab.pod()?;
        let name = ifb("net1", "cid-0001");
        script(&pods.net.host, &format!("ip link add {name} type bridge"))?;
        pods.request(both()).del()?.orderly()?;
        equal("bridge", &has_link(&pods.net.host, &name), &true)
    });
    table.case(
        "ADD with a bridge that has the ifb's name leaves the bridge alone",
        |lab| {
            let pods = lab.pod()?;
            let name = ifb("net1", "cid-0001");
            script(&pods.net.host, &format!("ip link add {name} type bridge"))?;
            let before = pods.state()?;
            let reply = pods.request(egress()).add()?;
            reply.orderly()?;
            pods.request(egress()).del()?.orderly()?;
            pods.unchanged(&before)
        },
    );
}

fn repeated(table: &mut Table) {
    table.case("DEL twice succeeds", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        let request = pods.request(both()).added()?;
        request.del()?.silent()?;
        request.del()?.silent()?;
        pods.unchanged(&before)
    });
    table.case("DEL without ADD succeeds and changes nothing", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        pods.request(both()).del()?.silent()?;
        pods.request(both()).forgotten().del()?.silent()?;
        pods.unchanged(&before)
    });
    table.case("ADD twice is ADD once", |lab| {
        let pods = lab.pod()?;
        pods.request(both()).added()?;
        let before = pods.state()?;
        let request = pods.request(both()).added()?;
        pods.unchanged(&before)?;
        request.check()?.silent()
    });
    table.case(
        "ADD three times and DEL once leave everything as it was",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            for _ in 0..2 {
                pods.request(both()).added()?;
            }
            pods.request(both()).added()?.del()?.silent()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "ADD after DEL works while the host interface lives",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            pods.request(both()).added()?.del()?.silent()?;
            pods.unchanged(&before)?;
            pods.request(both()).added()?.check()?.silent()
        },
    );
    table.case("ADD after the container was made again works", |lab| {
        let pods = lab.pods(2)?;
        let first = pods.request(both()).added()?;
        script(&pods.net.host, "ip link del veth0")?;
        let second = pods.request_for(1, both()).added()?;
        second.check()?.silent()?;
        equal("ifbs", &ifbs(&pods.net.host)?.len(), &1)?;
        drop(first);
        second.del()?.silent()?;
        gone(&pods)
    });
}

fn reference() -> String {
    REFERENCE.replace("IFB", &ifb("net1", "cid-0001"))
}

fn gone(pods: &Pods) -> Verdict {
    equal("ifbs", &ifbs(&pods.net.host)?, &Vec::new())
}
