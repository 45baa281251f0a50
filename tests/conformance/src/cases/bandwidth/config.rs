//! How bandwidth reads its limits, and what it refuses.

use serde_json::{Value, json};

use super::{both, bucket_says, free, ifbs, ingress};
use crate::case::Table;
use crate::cases::refused;
use crate::json::merged;

/// Cases of configuration.
pub fn cases(table: &mut Table) {
    spellings(table);
    refusals(table);
}

fn spellings(table: &mut Table) {
    let eight = ["rate 8Mbit", "burst 100000b/1"];
    for keys in [
        ["ingressRate", "ingressBurst"],
        ["IngressRate", "IngressBurst"],
        ["INGRESSRATE", "INGRESSBURST"],
        ["ingressrate", "ingressburst"],
    ] {
        table.case(
            format!("the configuration may say {}", keys.join(" and ")),
            move |lab| {
                let pods = lab.pod()?;
                pods.request(json!({keys[0]: 8_000_000, keys[1]: 800_000}))
                    .added()?;
                bucket_says(&pods.net.host, "veth0", &eight)
            },
        );
        table.case(
            format!("runtimeConfig.bandwidth may say {}", keys.join(" and ")),
            move |lab| {
                let pods = lab.pod()?;
                pods.request(
                    json!({"runtimeConfig": {"bandwidth": {keys[0]: 8_000_000, keys[1]: 800_000}}}),
                )
                .added()?;
                bucket_says(&pods.net.host, "veth0", &eight)
            },
        );
    }
    for key in ["bandWidth", "Bandwidth", "BANDWIDTH"] {
        table.case(format!("runtimeConfig may say {key}"), move |lab| {
            let pods = lab.pod()?;
            pods.request(json!({"runtimeConfig": {key: ingress()}}))
                .added()?;
            bucket_says(&pods.net.host, "veth0", &eight)
        });
    }
    let other = json!({"bandwidth": {"ingressRate": 24_000_000, "ingressBurst": 2_400_000}});
    let runtime = other.clone();
    table.case("the configuration wins over runtimeConfig", move |lab| {
        let pods = lab.pod()?;
        pods.request(merged(&ingress(), &json!({"runtimeConfig": runtime})))
            .added()?;
        bucket_says(&pods.net.host, "veth0", &eight)
    });
    table.case("null in the configuration leaves runtimeConfig in force", move |lab| {
        let pods = lab.pod()?;
        let conf = json!({"ingressRate": null, "ingressBurst": null, "egressRate": null, "egressBurst": null, "runtimeConfig": other});
        pods.request(conf).added()?;
        bucket_says(&pods.net.host, "veth0", &["rate 24Mbit"])
    });
    table.case("ingressRate 0 in the configuration wins over runtimeConfig", |lab| {
        let pods = lab.pod()?;
        let conf = json!({"ingressRate": 0, "ingressBurst": 0, "runtimeConfig": {"bandwidth": ingress()}});
        pods.request(conf).added()?;
        free(&pods.net.host, "veth0")
    });
    table.case("of two keys ingressRate the last wins", move |lab| {
        let pods = lab.pod()?;
        let raw = pods.request(ingress()).conf().to_string().replacen(
            "\"ingressRate\":8000000",
            "\"ingressRate\":1000000,\"ingressRate\":8000000",
            1,
        );
        pods.request(ingress()).raw(raw).add()?.ok()?;
        bucket_says(&pods.net.host, "veth0", &eight)
    });
}

fn refusals(table: &mut Table) {
    let rate = |value: Value| json!({"ingressRate": value, "ingressBurst": 800_000});
    let burst = |value: Value| json!({"ingressRate": 8_000_000, "ingressBurst": value});
    let mut cases: Vec<(String, Value)> = vec![
        (
            "an ingress burst without a rate".into(),
            json!({"ingressBurst": 800_000}),
        ),
        (
            "an egress burst without a rate".into(),
            json!({"egressBurst": 800_000}),
        ),
        (
            "a bandwidth that is a list".into(),
            json!({"runtimeConfig": {"bandwidth": []}}),
        ),
        (
            "a bandwidth that is text".into(),
            json!({"runtimeConfig": {"bandwidth": "10M"}}),
        ),
        (
            "both subnet lists".into(),
            merged(
                &both(),
                &json!({"shapedSubnets": ["10.0.0.0/8"], "unshapedSubnets": ["11.0.0.0/8"]}),
            ),
        ),
        (
            "a subnet that is none".into(),
            merged(&both(), &json!({"unshapedSubnets": ["10.0.0.0/33"]})),
        ),
        (
            "a subnet that is text".into(),
            merged(&both(), &json!({"unshapedSubnets": "10.0.0.0/8"})),
        ),
        (
            "a subnet that is a number".into(),
            merged(&both(), &json!({"shapedSubnets": [8]})),
        ),
        (
            "overlapping subnets".into(),
            merged(
                &both(),
                &json!({"shapedSubnets": ["10.0.0.0/8", "10.1.0.0/16"]}),
            ),
        ),
        (
            "a burstPolicy that does not exist".into(),
            merged(&both(), &json!({"burstPolicy": "huge"})),
        ),
        (
            "a latencyMs that is negative".into(),
            merged(&both(), &json!({"latencyMs": -1})),
        ),
        (
            "a latencyMs that is text".into(),
            merged(&both(), &json!({"latencyMs": "25"})),
        ),
    ];
    for (name, value) in [
        ("negative", json!(-8_000_000)),
        ("fractional", json!(8_000_000.5)),
        ("text without a number", json!("fast")),
        ("text with an unknown unit", json!("8 Mbps")),
        ("true", json!(true)),
        ("a list", json!([1])),
        ("an object", json!({})),
    ] {
        cases.push((format!("a rate that is {name}"), rate(value.clone())));
        cases.push((format!("a burst that is {name}"), burst(value)));
    }
    refused::configurations(table, cases);
    refused::numbers(
        table,
        "a rate",
        (both, "8000000"),
        [
            "18446744073709551616",
            "99999999999999999999999999",
            "1e400",
            "-0.0",
            "0x10",
            "NaN",
        ],
    );
    let mut limits: Vec<(String, Value)> = vec![
        (
            "8 Mbit/s without a burst".into(),
            json!({"ingressRate": 8_000_000, "egressRate": 8_000_000}),
        ),
        (
            "8 Mbit/s without a burst in runtimeConfig".into(),
            json!({"runtimeConfig": {"bandwidth": {"ingressRate": 8_000_000}}}),
        ),
        ("8e6 bit/s".into(), rate(json!(8e6))),
        ("8M as text".into(), rate(json!("8M"))),
        ("8 Mbit/s and 100kB as text".into(), burst(json!("100kB"))),
    ];
    for (name, rate, burst) in [
        ("1 bit/s", 1_u64, 1_u64),
        ("7 bit/s", 7, 8),
        ("8 bit/s", 8, 8),
        ("10 bit/s with containerd's burst", 10, 4_294_967_295),
        ("2^64 - 1 bit/s", u64::MAX, u64::MAX),
        ("2^63 bit/s", 1 << 63, 1 << 40),
        ("1 Mbit/s with 2^64 - 1 bits", 1_000_000, u64::MAX),
        ("8 bit/s with 2^40 bits", 8, 1 << 40),
    ] {
        let conf = json!({"ingressRate": rate, "ingressBurst": burst, "egressRate": rate, "egressBurst": burst});
        limits.push((name.into(), conf));
    }
    for (name, conf) in limits {
        table.case(
            format!("a limit of {name} is applied or refused, never half"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let request = pods.request(conf.clone());
                let reply = request.add()?;
                reply.orderly()?;
                if reply.ok().is_err() {
                    return pods.unchanged(&before);
                }
                request.check()?.ok()?;
                request.del()?.silent()?;
                crate::failure::equal("ifbs", &ifbs(&pods.net.host)?, &Vec::new())
            },
        );
    }
    table.case(
        "ADD refuses an interface that is not there and changes nothing",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            pods.request(both())
                .env("CNI_IFNAME", "net7")
                .add()?
                .error()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "ADD without limits and without prevResult is answered in an orderly way",
        |lab| {
            let pods = lab.pod()?;
            pods.request(json!({}))
                .without("prevResult")
                .add()?
                .orderly()
        },
    );
    table.case(
        "ADD without prevResult is an error that changes nothing",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            pods.request(both()).without("prevResult").add()?.error()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "null among the interfaces of prevResult is answered in an orderly way",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let request = pods.request(both());
            let mut previous = request.conf()["prevResult"].clone();
            if let Some(list) = previous["interfaces"].as_array_mut() {
                list.insert(0, Value::Null);
            }
            let reply = request.set("prevResult", previous).add()?;
            reply.orderly()?;
            if reply.ok().is_err() {
                pods.unchanged(&before)?
            }
            Ok(())
        },
    );
}
