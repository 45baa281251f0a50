//! Requests by somebody who wants more than a host port.

use serde_json::json;

use super::traces::none_of;
use super::{mapping, mapping_at, mappings, web};
use crate::case::Table;

/// Cases of hostile input: what reaches a rule must never become one.
pub fn cases(table: &mut Table) {
    for (field, text) in [
        ("hostIP", "1.2.3.4 accept\nadd table ip evil"),
        ("hostIP", "1.2.3.4; add table ip evil;"),
        ("hostIP", "1.2.3.4 -j ACCEPT\n-A PREROUTING -j evil"),
        ("protocol", "tcp dport 1 accept\nadd table ip evil"),
        ("protocol", "tcp; add table ip evil; #"),
        ("protocol", "tcp\nCOMMIT\n*filter\n:evil - [0:0]"),
    ] {
        table.case(format!("{field} {text:?} makes no rule"), move |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let mut one = mapping("tcp", 8080, 80);
            one[field] = json!(text);
            pods.request(mappings(&[one])).add()?.error()?;
            none_of(&pods.net.host, &["evil"])?;
            pods.unchanged(&before)
        });
    }
    for text in [
        "ip saddr 1.2.3.4\nadd table ip evil",
        "1.2.3.4; add table ip evil",
        "1.2.3.4\nCOMMIT\n*filter\n:evil - [0:0]\nCOMMIT",
        "} add table ip evil {",
        "-t filter",
        "\" ; add table ip evil ; \"",
        "\\\nevil",
        "$(touch /tmp/evil)",
        "`evil`",
    ] {
        for key in ["conditionsV4", "conditionsV6"] {
            table.case(
                format!("{key} with {text:?} makes no rule of its own"),
                move |lab| {
                    let pods = lab.pod()?;
                    pods.request(web())
                        .with(json!({key: [text]}))
                        .add()?
                        .orderly()?;
                    let ruleset = super::traces::firewall(&pods.net.host)?;
                    let outside = ruleset.lines().any(|line| {
                        let line = line.trim();
                        line.starts_with("table ip evil") || line.starts_with(":evil")
                    });
                    crate::failure::ensure(!outside, || ruleset.clone())
                },
            );
        }
    }
    for chain in [
        "-j",
        "A B",
        "KUBE\nCOMMIT",
        "",
        "x;y",
        "ACCEPT",
        "a-name-that-is-longer-than-any-chain-may-be",
    ] {
        table.case(format!("externalSetMarkChain {chain:?} is answered in an orderly way and half-applies nothing"), move |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let reply = pods.request(web()).with(json!({"externalSetMarkChain": chain})).add()?;
            reply.orderly()?;
            if reply.ok().is_err() { pods.unchanged(&before)? }
            Ok(())
        });
    }
    table.case("200 mappings are answered in an orderly way", |lab| {
        let pods = lab.pod()?;
        let list: Vec<_> = (0..200)
            .map(|n| mapping("tcp", 10_000 + n, 1000 + n))
            .collect();
        let request = pods.request(mappings(&list));
        let reply = request.add()?;
        reply.orderly()?;
        if reply.ok().is_err() {
            return super::del::nothing_left(&pods);
        }
        request.check()?.ok()?;
        request.del()?.silent()?;
        super::del::nothing_left(&pods)
    });
    table.case(
        "a mapping to every host address of a long list is answered in an orderly way",
        |lab| {
            let pods = lab.pod()?;
            let list: Vec<_> = (1..=60)
                .map(|n| mapping_at(&format!("192.0.2.{n}"), "tcp", 8080, 80))
                .collect();
            let request = pods.request(mappings(&list)).added()?;
            request.check()?.ok()?;
            request.forgotten().del()?.silent()?;
            super::del::nothing_left(&pods)
        },
    );
}
