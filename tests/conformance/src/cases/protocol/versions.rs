//! Spec versions: every verb in every version, and the spelling of keys.

use serde_json::{Value, json};

use super::spoken;
use crate::case::Table;
use crate::failure::equal;
use crate::group::Group;
use crate::json::list;

/// Cases of versions.
pub fn cases(table: &mut Table, group: Group) {
    for version in spoken(group) {
        table.case(
            format!("ADD, twice, in spec version {version} succeeds and prints that version"),
            move |lab| {
                let pods = lab.pod()?;
                let request = pods.usual().version(version);
                for _ in 0..2 {
                    let result = request.add()?.result()?;
                    equal("cniVersion", &result["cniVersion"], &json!(version))?;
                }
                Ok(())
            },
        );
        table.case(
            format!("DEL in spec version {version} leaves what was there before"),
            move |lab| {
                let pods = lab.pods(2)?;
                // What attachments share is made by another one first.
                pods.request_for(1, lab.usual()).id("other").added()?;
                let before = pods.state()?;
                pods.usual().version(version).added()?.del()?.silent()?;
                pods.unchanged(&before)
            },
        );
        check(table, version);
        for verb in ["GC", "STATUS"] {
            if *version != "1.1.0" {
                table.case(
                    format!("{verb} in spec version {version} is refused"),
                    move |lab| {
                        let pods = lab.pod()?;
                        pods.usual().version(version).call(verb)?.code(1)
                    },
                );
            }
        }
    }
    for version in [
        "9.9.9",
        "1.2.0",
        "0.0.0",
        "1",
        "1.0",
        "v1.0.0",
        "1.0.0 ",
        "1.0.0-rc1",
        "x",
        "0.5.0",
        "1.0.0.0",
    ] {
        for verb in ["ADD", "CHECK"] {
            table.case(
                format!("{verb} in spec version {version:?} is refused and changes nothing"),
                move |lab| {
                    let pods = lab.pod()?;
                    let before = pods.state()?;
                    let reply = pods.usual().set("cniVersion", json!(version)).call(verb)?;
                    // What is no version at all may count as undecodable.
                    if reply.code(6).is_err() {
                        reply.code(1)?;
                    }
                    pods.unchanged(&before)
                },
            );
        }
    }
    if group == Group::BandwidthProtocol {
        for version in ["0.1.0", "0.2.0"] {
            table.case(
                format!("ADD in spec version {version}, which has no interfaces, is refused"),
                move |lab| {
                    let pods = lab.pod()?;
                    pods.usual().version(version).add()?.code(1)
                },
            );
        }
    } else {
        for (name, value) in [
            ("absent", None),
            ("empty", Some(json!(""))),
            ("null", Some(Value::Null)),
        ] {
            table.case(
                format!("a cniVersion that is {name} means 0.1.0"),
                move |lab| {
                    let pods = lab.pod()?;
                    let mut request = pods.usual().version("0.1.0").without("cniVersion");
                    if let Some(value) = &value {
                        request = request.set("cniVersion", value.clone());
                    }
                    let result = request.add()?.result()?;
                    equal("cniVersion", &result["cniVersion"], &json!("0.1.0"))
                },
            );
        }
    }
    keys(table);
    names(table);
}

fn check(table: &mut Table, version: &'static str) {
    let allowed = !matches!(version, "0.1.0" | "0.2.0" | "0.3.0" | "0.3.1");
    if allowed {
        table.case(
            format!("CHECK in spec version {version} succeeds without a word"),
            move |lab| {
                let pods = lab.pod()?;
                pods.usual().version(version).added()?.check()?.silent()
            },
        );
    } else {
        table.case(
            format!("CHECK in spec version {version}, which has none, is refused"),
            move |lab| {
                let pods = lab.pod()?;
                pods.usual().version(version).check()?.code(1)
            },
        );
    }
}

fn keys(table: &mut Table) {
    for (from, to) in [
        ("cniVersion", "CniVersion"),
        ("cniVersion", "CNIVERSION"),
        ("cniVersion", "cniversion"),
        ("prevResult", "PrevResult"),
        ("prevResult", "PREVRESULT"),
        ("prevResult", "prevresult"),
        ("name", "Name"),
        ("name", "NAME"),
    ] {
        table.case(format!("{from} may be written {to}"), move |lab| {
            let pods = lab.pod()?;
            let request = pods.usual();
            let value = request.conf()[from].clone();
            let result = request.without(from).set(to, value).add()?.result()?;
            equal("addresses", &list(&result, "/ips").len(), &2)
        });
    }
    for key in ["Interfaces", "INTERFACES", "Ips", "IPS"] {
        table.case(format!("prevResult may say {key}"), move |lab| {
            let pods = lab.pod()?;
            let request = pods.usual();
            let mut previous = request.conf()["prevResult"].clone();
            let lower = key.to_lowercase();
            let value = previous[&lower].clone();
            if let Some(map) = previous.as_object_mut() {
                map.remove(&lower);
            }
            previous[key] = value;
            let result = request.set("prevResult", previous).add()?.result()?;
            equal("addresses", &list(&result, "/ips").len(), &2)
        });
    }
    table.case("of two keys cniVersion the last wins", |lab| {
        let pods = lab.pod()?;
        let text = pods.usual().conf().to_string();
        let raw = text.replacen(
            "\"cniVersion\":\"1.0.0\"",
            "\"cniVersion\":\"9.9.9\",\"cniVersion\":\"1.0.0\"",
            1,
        );
        pods.usual().raw(raw).add()?.ok()
    });
}

fn names(table: &mut Table) {
    for (name, value) in [
        ("absent", None),
        ("empty", Some(json!(""))),
        ("null", Some(Value::Null)),
        ("-a", Some(json!("-a"))),
        (".a", Some(json!(".a"))),
        ("a/b", Some(json!("a/b"))),
        ("a b", Some(json!("a b"))),
        ("with a newline", Some(json!("a\nb"))),
        ("é", Some(json!("é"))),
        ("with a quote", Some(json!("a\"b"))),
    ] {
        table.case(
            format!("ADD refuses a network name that is {name} and changes nothing"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let mut request = pods.usual().without("name");
                if let Some(value) = &value {
                    request = request.set("name", value.clone());
                }
                request.add()?.code(7)?;
                pods.unchanged(&before)
            },
        );
    }
}
