//! What ADD of bandwidth puts into the kernel, and what it returns.

use serde_json::{Value, json};

use super::{both, bucket_says, egress, free, ifb_of, ifbs, ingress};
use crate::case::Table;
use crate::failure::{Verdict, ensure, equal};
use crate::json::text;
use crate::kernel::{ifb, link, link_has, root_qdisc, script};
use crate::lab::Lab;

/// Cases of ADD.
pub fn cases(table: &mut Table) {
    numbers(table);
    objects(table);
    results(table);
}

/// Configuration, what the token bucket towards the container says, and that from it.
fn numbers(table: &mut Table) {
    let ordinary: [(&str, u64, u64, &[&str]); 9] = [
        (
            "8 Mbit/s with 800 kbit",
            8_000_000,
            800_000,
            &["rate 8Mbit", "burst 100000b/1", "limit 125000b"],
        ),
        (
            "16 Mbit/s with 1.6 Mbit",
            16_000_000,
            1_600_000,
            &["rate 16Mbit", "burst 200000b/1", "limit 250000b"],
        ),
        (
            "1 Mbit/s with 8 Mbit",
            1_000_000,
            8_000_000,
            &["rate 1Mbit", "burst 1000000b/1", "limit 1003125b"],
        ),
        (
            "1 Gbit/s with 80 Mbit",
            1_000_000_000,
            80_000_000,
            &["rate 1Gbit", "burst 10000000b/1", "limit 13125000b"],
        ),
        (
            "10 Gbit/s with 800 Mbit",
            10_000_000_000,
            800_000_000,
            &["rate 10Gbit", "burst 100000000b/1", "limit 131250000b"],
        ),
        (
            "100 Gbit/s with 1 Gbit",
            100_000_000_000,
            1_000_000_000,
            &["rate 100Gbit", "burst 125000000b/1", "limit 437500000b"],
        ),
        (
            "64 kbit/s with 640 kbit",
            64_000,
            640_000,
            &["rate 64Kbit", "burst 80000b/1", "limit 80200b"],
        ),
        (
            "400 Gbit/s with 1 Gbit",
            400_000_000_000,
            1_000_000_000,
            &["rate 400Gbit"],
        ),
        (
            "34.4 Gbit/s, beyond 32 bits of bytes",
            34_400_000_000,
            800_000_000,
            &["rate 34400Mbit"],
        ),
    ];
    for (name, rate, burst, words) in ordinary {
        table.case(format!("a limit of {name} is the reference's token bucket, in both directions"), move |lab| {
            let pods = lab.pod()?;
            let conf = json!({"ingressRate": rate, "ingressBurst": burst, "egressRate": rate, "egressBurst": burst});
            pods.request(conf).added()?.check()?.ok()?;
            bucket_says(&pods.net.host, "veth0", words)?;
            bucket_says(&pods.net.host, &ifb_of(&pods, "veth0")?, words)
        });
    }
    for (name, burst) in [
        ("kubelet", 2_147_483_647_u64),
        ("containerd", 4_294_967_295),
        ("CRI-O", 34_359_738_359),
    ] {
        table.case(
            format!("the burst that {name} sends when nobody asked for one follows the rate"),
            move |lab| {
                let pods = lab.pod()?;
                pods.request(json!({"ingressRate": 10_000_000, "ingressBurst": burst}))
                    .added()?
                    .check()?
                    .ok()?;
                let line = super::bucket(&pods.net.host, "veth0")?;
                let bytes = size(&line, "burst");
                ensure((3_000..1_000_000).contains(&bytes), || line)
            },
        );
        table.case(format!("with burstPolicy literal the burst that {name} sends is taken as it is, as far as 32 bits go"), move |lab| {
            let pods = lab.pod()?;
            let conf = json!({"ingressRate": 1_000_000_000_u64, "ingressBurst": burst, "burstPolicy": "literal"});
            pods.request(conf).added()?.check()?.ok()?;
            let line = super::bucket(&pods.net.host, "veth0")?;
            ensure(size(&line, "burst") > 200_000_000, || line)
        });
    }
    table.case(
        "with CRI-O's burst the queue holds some frames and at most 50 ms",
        |lab| {
            let pods = lab.pod()?;
            pods.request(json!({"ingressRate": 10_000_000, "ingressBurst": 34_359_738_359_u64}))
                .added()?
                .check()?
                .ok()?;
            let line = super::bucket(&pods.net.host, "veth0")?;
            let limit = size(&line, "limit");
            ensure((6_000..62_500).contains(&limit), || line)
        },
    );
    table.case("latencyMs sets how long packets may wait", |lab| {
        let pods = lab.pod()?;
        pods.request(
            json!({"ingressRate": 80_000_000, "ingressBurst": 8_000_000, "latencyMs": 100}),
        )
        .added()?
        .check()?
        .ok()?;
        bucket_says(&pods.net.host, "veth0", &["limit 1003028b"])
    });
}

/// The size in bytes that follows a word: `burst 192Kb/1`, `limit 131072b`.
fn size(line: &str, word: &str) -> u64 {
    let rest = line.split(&format!(" {word} ")).nth(1).unwrap_or_default();
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let number: u64 = digits.parse().unwrap_or(0);
    match rest
        .get(digits.len()..)
        .and_then(|unit| unit.chars().next())
    {
        Some('K') => number << 10,
        Some('M') => number << 20,
        Some('G') => number << 30,
        _ => number,
    }
}

fn objects(table: &mut Table) {
    table.case("ADD without limits touches nothing", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        let zero = json!({"ingressRate": 0, "ingressBurst": 0, "egressRate": 0, "egressBurst": 0});
        for conf in [
            json!({}),
            zero,
            json!({"runtimeConfig": {}}),
            json!({"runtimeConfig": {"bandwidth": null}}),
            json!({"runtimeConfig": {"bandwidth": {}}}),
        ] {
            pods.request(conf).added()?.check()?.silent()?;
        }
        pods.unchanged(&before)
    });
    table.case("a limit towards the container makes no ifb", |lab| {
        let pods = lab.pod()?;
        pods.request(ingress()).added()?;
        equal("ifbs", &ifbs(&pods.net.host)?, &Vec::new())?;
        bucket_says(&pods.net.host, "veth0", &["tbf 1:[00010000]"])
    });
    table.case(
        "a limit from the container leaves the root qdisc alone",
        |lab| {
            let pods = lab.pod()?;
            pods.request(egress()).added()?;
            ensure(
                root_qdisc(&pods.net.host, "veth0", "tbf")?.is_none(),
                || "there is a token bucket".into(),
            )
        },
    );
    table.case(
        "the ifb has the reference's name, is up, and has the host link's MTU",
        |lab| {
            let pods = lab.pod()?;
            script(&pods.net.host, "ip link set veth0 mtu 1400")?;
            pods.request(egress()).added()?;
            let name = ifb("net1", "cid-0001");
            equal("ifb", &ifb_of(&pods, "veth0")?, &name)?;
            link_has(&pods.net.host, &name, "mtu", &json!(1400))?;
            ensure(
                crate::kernel::has_flag(&pods.net.host, &name, "UP")?,
                || "it is down".into(),
            )
        },
    );
    table.case("the ifb's alias names its owner", |lab| {
        let pods = lab.pod()?;
        pods.request(egress()).added()?;
        let alias = link(&pods.net.host, &ifb_of(&pods, "veth0")?)?["ifalias"].to_string();
        ensure(alias.contains("net1") && alias.contains("cid-0001"), || {
            alias
        })
    });
    table.case("the container's own interface is left alone", |lab| {
        let pods = lab.pod()?;
        pods.request(both()).added()?;
        free(&pods.net.containers[0], "eth0")
    });
    table.case("ADD works for a container on a bridge", |lab| {
        let pods = lab.build(&sandbox::Topology::new().bridge("cni0"))?;
        pods.request(both()).added()?.check()?.ok()?;
        bucket_says(&pods.net.host, "veth0", &["rate 8Mbit"])?;
        free(&pods.net.host, "cni0")
    });
    table.case(
        "ADD works when prevResult has the bridge before the host interface",
        |lab| {
            let pods = lab.build(&sandbox::Topology::new().bridge("cni0"))?;
            let request = pods.request(both());
            let mut previous = request.conf()["prevResult"].clone();
            if let Some(list) = previous["interfaces"].as_array_mut() {
                list.insert(0, json!({"name": "cni0", "mac": "02:00:00:00:00:0b"}));
            }
            request.set("prevResult", previous).added()?.check()?.ok()?;
            bucket_says(&pods.net.host, "veth0", &["rate 8Mbit"])
        },
    );
    table.case("the second ADD with another rate changes the limit", |lab| {
        let pods = lab.pod()?;
        pods.request(both()).added()?;
        let other = json!({"ingressRate": 24_000_000, "ingressBurst": 2_400_000, "egressRate": 32_000_000, "egressBurst": 3_200_000});
        pods.request(other).added()?.check()?.ok()?;
        bucket_says(&pods.net.host, "veth0", &["rate 24Mbit"])?;
        bucket_says(&pods.net.host, &ifb_of(&pods, "veth0")?, &["rate 32Mbit"])?;
        equal("ifbs", &ifbs(&pods.net.host)?.len(), &1)
    });
    table.case(
        "the second ADD with one direction alone removes the other's limit",
        |lab| {
            let pods = lab.pod()?;
            pods.request(both()).added()?;
            pods.request(ingress()).added()?.check()?.ok()?;
            equal("ifbs", &ifbs(&pods.net.host)?.len(), &0)
        },
    );
}

fn results(table: &mut Table) {
    table.case("the result names the ifb and its hardware address", |lab| {
        let pods = lab.pod()?;
        let result = pods.request(both()).add()?.result()?;
        let name = ifb_of(&pods, "veth0")?;
        equal("name", &text(&result, "/interfaces/2/name"), &name.as_str())?;
        let mac = link(&pods.net.host, &name)?["address"].clone();
        equal("mac", &result["interfaces"][2]["mac"], &mac)?;
        equal(
            "sandbox",
            &result["interfaces"][2]
                .get("sandbox")
                .and_then(Value::as_str)
                .unwrap_or(""),
            &"",
        )
    });
    table.case(
        "the result of spec version 1.1.0 may have the ifb's MTU, and then the right one",
        |lab| {
            let pods = lab.pod()?;
            let result = pods.request(both()).version("1.1.0").add()?.result()?;
            let mtu = &result["interfaces"][2]["mtu"];
            ensure(mtu.is_null() || *mtu == json!(1500), || mtu.to_string())
        },
    );
    table.case("the result without an egress limit is prevResult", |lab| {
        passes_through(lab, ingress())
    });
    table.case("the result without limits is prevResult", |lab| {
        passes_through(lab, json!({}))
    });
    table.case("the second ADD names the ifb once", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(both()).added()?;
        let result = request.add()?.result()?;
        equal(
            "interfaces",
            &result["interfaces"].as_array().map_or(0, Vec::len),
            &3,
        )
    });
}

fn passes_through(lab: &Lab, conf: Value) -> Verdict {
    let pods = lab.pod()?;
    let request = pods.request(conf);
    let expected = request.conf()["prevResult"]["interfaces"].clone();
    equal(
        "interfaces",
        &request.add()?.result()?["interfaces"],
        &expected,
    )
}
