//! How portmap reads its mappings, and what it refuses.

use serde_json::{Value, json};

use super::traces::{all_of, none_of};
use super::{mapping, mapping_at, mappings, web};
use crate::case::Table;
use crate::cases::refused;
use crate::json::merged;

/// Cases of configuration.
pub fn cases(table: &mut Table) {
    spellings(table);
    refusals(table);
}

fn spellings(table: &mut Table) {
    for keys in [
        ["HostPort", "ContainerPort", "Protocol", "HostIP"],
        ["hostport", "containerport", "protocol", "hostip"],
        ["HOSTPORT", "CONTAINERPORT", "PROTOCOL", "HOSTIP"],
        ["hOsTpOrT", "cOnTaInErPoRt", "pRoToCoL", "hOsTiP"],
    ] {
        table.case(
            format!("a mapping may be written with {}", keys.join(", ")),
            move |lab| {
                let pods = lab.pod()?;
                let one = json!({keys[0]: 8080, keys[1]: 80, keys[2]: "tcp", keys[3]: ""});
                pods.request(mappings(&[one])).added()?.check()?.ok()?;
                all_of(&pods.net.host, &["8080", "10.22.0.2"])
            },
        );
    }
    for (outer, inner) in [
        ("RuntimeConfig", "PortMappings"),
        ("runtimeconfig", "portmappings"),
        ("RUNTIMECONFIG", "PORTMAPPINGS"),
    ] {
        table.case(
            format!("the list may be written {outer}.{inner}"),
            move |lab| {
                let pods = lab.pod()?;
                pods.request(json!({outer: {inner: [mapping("tcp", 8080, 80)]}}))
                    .added()?;
                all_of(&pods.net.host, &["8080", "10.22.0.2"])
            },
        );
    }
    for protocol in ["TCP", "Tcp", "tCP"] {
        table.case(
            format!("the protocol may be written {protocol}"),
            move |lab| {
                let pods = lab.pod()?;
                pods.request(mappings(&[mapping(protocol, 8080, 80)]))
                    .added()?
                    .check()?
                    .ok()?;
                all_of(&pods.net.host, &["tcp", "8080"])
            },
        );
    }
    table.case("null for hostIP is as if it were absent", |lab| {
        let pods = lab.pod()?;
        let one = json!({"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": null});
        pods.request(mappings(&[one])).added()?.check()?.ok()?;
        all_of(&pods.net.host, &["tcp", "8080"])
    });
    for protocol in [json!(null), json!("")] {
        table.case(
            format!("protocol {protocol} is TCP or refused, and nothing is half-applied"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let one = json!({"hostPort": 8080, "containerPort": 80, "protocol": protocol});
                let request = pods.request(mappings(&[one]));
                if request.add()?.ok().is_ok() {
                    request.check()?.ok()?;
                    return all_of(&pods.net.host, &["tcp", "8080"]);
                }
                request.add()?.error()?;
                pods.unchanged(&before)
            },
        );
    }
    table.case("unknown keys of a mapping are ignored", |lab| {
        let pods = lab.pod()?;
        let one = json!({"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "range": 3, "name": "http"});
        pods.request(mappings(&[one])).added()?.check()?.ok()
    });
    table.case("of two keys hostPort the last wins", |lab| {
        let pods = lab.pod()?;
        let raw = pods.request(web()).conf().to_string().replacen(
            "\"hostPort\":8080",
            "\"hostPort\":7070,\"hostPort\":8080",
            1,
        );
        pods.request(web()).raw(raw).add()?.ok()?;
        all_of(&pods.net.host, &["8080"])?;
        none_of(&pods.net.host, &["7070"])
    });
    table.case("prevResult may have lists with null entries", |lab| {
        let pods = lab.pod()?;
        let request = pods.request(web());
        let mut previous = request.conf()["prevResult"].clone();
        for list in ["ips", "interfaces"] {
            if let Some(list) = previous[list].as_array_mut() {
                list.push(Value::Null);
            }
        }
        let request = request.set("prevResult", previous);
        let reply = request.add()?;
        reply.orderly()?;
        if reply.ok().is_err() {
            return super::del::nothing_left(&pods);
        }
        request.check()?.ok()?;
        all_of(&pods.net.host, &["10.22.0.2", "fd00:22::2"])
    });
}

fn refusals(table: &mut Table) {
    let one = |key: &str, value: Value| {
        let mut one = mapping("tcp", 8080, 80);
        one[key] = value;
        mappings(&[one])
    };
    let on = |options: Value| merged(&web(), &options);
    let mut cases: Vec<(String, Value)> = Vec::new();
    for key in ["hostPort", "containerPort"] {
        for (name, value) in [
            ("0", json!(0)),
            ("-1", json!(-1)),
            ("65536", json!(65536)),
            ("2^32 + 80", json!(4_294_967_376_u64)),
            ("2^64 - 1", json!(u64::MAX)),
            ("8080.5", json!(8080.5)),
            ("80.0", json!(80.0)),
            ("text", json!("8080")),
            ("true", json!(true)),
            ("a list", json!([8080])),
            ("an object", json!({})),
        ] {
            cases.push((format!("{key} {name}"), one(key, value)));
        }
    }
    for protocol in [
        "icmp",
        "tcp ",
        " tcp",
        "tcpudp",
        "all",
        "dccp",
        "tcp;udp",
        "tcp\n",
        "ｔｃｐ",
    ] {
        cases.push((
            format!("protocol {protocol:?}"),
            one("protocol", json!(protocol)),
        ));
    }
    cases.push((
        "a protocol that is a number".into(),
        one("protocol", json!(6)),
    ));
    for ip in [
        "not-an-ip",
        "10.0.0.0/8",
        "10.0.0",
        "010.0.0.1",
        "10.0.0.1 ",
        "1.2.3.4.5",
        "256.1.1.1",
        "::1%eth0",
        "fe80::1%1",
        "[::1]",
        "10.0.0.1:80",
        "localhost",
        "2001:db8:::1",
        "10.0.0.1; drop",
        "10.0.0.1\nadd table ip evil",
        "$(id)",
        "\"",
        "-j ACCEPT",
    ] {
        cases.push((format!("hostIP {ip:?}"), one("hostIP", json!(ip))));
    }
    cases.push(("a hostIP that is a number".into(), one("hostIP", json!(5))));
    let list = |value: Value| json!({"runtimeConfig": {"portMappings": value}});
    cases.push(("portMappings that are an object".into(), list(json!({}))));
    cases.push(("portMappings that are text".into(), list(json!("8080:80"))));
    cases.push(("a mapping that is text".into(), list(json!(["8080:80"]))));
    cases.push((
        "a mapping without hostPort".into(),
        list(json!([{"containerPort": 80, "protocol": "tcp"}])),
    ));
    cases.push((
        "a mapping without containerPort".into(),
        list(json!([{"hostPort": 80, "protocol": "tcp"}])),
    ));
    cases.push((
        "a good mapping and a bad one".into(),
        mappings(&[mapping("tcp", 8080, 80), mapping("icmp", 8081, 81)]),
    ));
    cases.push((
        "a runtimeConfig that is a list".into(),
        json!({"runtimeConfig": []}),
    ));
    for bit in [json!(-1), json!(32), json!("13"), json!(1.5)] {
        cases.push((
            format!("markMasqBit {bit}"),
            on(json!({"markMasqBit": bit})),
        ));
    }
    cases.push((
        "markMasqBit and externalSetMarkChain together".into(),
        on(json!({"markMasqBit": 5, "externalSetMarkChain": "KUBE-MARK-MASQ"})),
    ));
    cases.push((
        "a backend that does not exist".into(),
        on(json!({"backend": "ebpf"})),
    ));
    cases.push((
        "a backend that is a number".into(),
        on(json!({"backend": 5})),
    ));
    cases.push(("an snat that is text".into(), on(json!({"snat": "yes"}))));
    cases.push((
        "a masqAll that is a number".into(),
        on(json!({"masqAll": 1})),
    ));
    cases.push((
        "conditions that are text".into(),
        on(json!({"conditionsV4": "-s 1.2.3.4"})),
    ));
    cases.push((
        "conditions that are numbers".into(),
        on(json!({"conditionsV4": [1, 2]})),
    ));
    cases.push((
        "conditions that no tool understands".into(),
        on(json!({"conditionsV4": ["--no-such-option", "x"]})),
    ));
    cases.push((
        "conditions with a newline".into(),
        on(json!({"conditionsV4": ["-s", "1.2.3.4\n-A INPUT -j DROP"]})),
    ));
    cases.push((
        "conditions that name a target of their own".into(),
        on(json!({"conditionsV4": ["-j", "ACCEPT"]})),
    ));
    cases.push((
        "an onConflict that does not exist".into(),
        on(json!({"onConflict": "maybe"})),
    ));
    refused::configurations(table, cases);
    table.case("ADD refuses options of the other backend", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        let options: &[Value] = match lab.group.backend() {
            "nftables" => &[
                json!({"externalSetMarkChain": "KUBE-MARK-MASQ"}),
                json!({"conditionsV4": ["-s", "192.0.2.1"]}),
                json!({"conditionsV6": ["!", "-s", "2001:db8::1"]}),
            ],
            _ => &[json!({"conditionsV4": ["ip", "saddr", "192.0.2.1"]})],
        };
        for options in options {
            pods.request(web()).with(options.clone()).add()?.error()?;
        }
        pods.unchanged(&before)
    });
    refused::numbers(
        table,
        "hostPort",
        (web, "8080"),
        [
            "8.08e3",
            "8080.0",
            "1e400",
            "-0",
            "99999999999999999999999999",
            "0x1f90",
            "08080",
            "NaN",
        ],
    );
    for (ip, what) in [("2001:db8::5", "IPv4"), ("192.0.2.1", "IPv6")] {
        table.case(
            format!(
                "a hostIP of the other family leaves no rule for a container with {what} alone"
            ),
            move |lab| {
                let pods = lab.pod()?;
                let request = pods.request(mappings(&[mapping_at(ip, "tcp", 8080, 80)]));
                let mut previous = request.conf()["prevResult"].clone();
                previous["ips"] = json!([previous["ips"][usize::from(what == "IPv6")].clone()]);
                let reply = request.set("prevResult", previous).add()?;
                reply.orderly()?;
                none_of(&pods.net.host, &["8080"])
            },
        );
    }
    table.case("ADD refuses mappings for a prevResult without addresses and changes nothing", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        let previous = json!({"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "/x"}], "ips": []});
        pods.request(web()).set("prevResult", previous).add()?.error()?;
        pods.unchanged(&before)
    });
}
