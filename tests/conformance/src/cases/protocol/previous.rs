//! prevResult: what is read, passed on and refused.

use serde_json::{Value, json};

use crate::case::Table;
use crate::failure::{Verdict, equal};
use crate::lab::Lab;

/// Cases of prevResult.
pub fn cases(table: &mut Table) {
    for (name, value) in [("absent", None), ("null", Some(Value::Null))] {
        for verb in ["ADD", "CHECK"] {
            let value = value.clone();
            table.case(
                format!("{verb} with a prevResult that is {name} is refused and changes nothing"),
                move |lab| {
                    let pods = lab.pod()?;
                    let before = pods.state()?;
                    let mut request = pods.usual().without("prevResult");
                    if let Some(value) = &value {
                        request = request.set("prevResult", value.clone());
                    }
                    request.call(verb)?.error()?;
                    pods.unchanged(&before)
                },
            );
        }
        table.case(
            format!("DEL with a prevResult that is {name} succeeds"),
            move |lab| {
                let pods = lab.pod()?;
                let request = pods.usual().added()?.without("prevResult");
                let request = match &value {
                    Some(value) => request.set("prevResult", value.clone()),
                    None => request,
                };
                request.del()?.silent()
            },
        );
    }
    let wrong: [(&str, Value); 16] = [
        ("a number", json!(5)),
        ("text", json!("x")),
        ("a list", json!([])),
        ("true", json!(true)),
        (
            "of spec version 0.2.0 in a configuration of 1.0.0",
            json!({"cniVersion": "0.2.0", "ip4": {"ip": "10.22.0.2/16"}}),
        ),
        (
            "of an unknown spec version",
            json!({"cniVersion": "9.9.9", "ips": []}),
        ),
        (
            "with ips that are an object",
            json!({"cniVersion": "1.0.0", "ips": {}}),
        ),
        (
            "with ips that are text",
            json!({"cniVersion": "1.0.0", "ips": "x"}),
        ),
        (
            "with an address that is none",
            json!({"cniVersion": "1.0.0", "ips": [{"address": "x"}]}),
        ),
        (
            "with an address without a prefix",
            json!({"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.1"}]}),
        ),
        (
            "with an address that is a number",
            json!({"cniVersion": "1.0.0", "ips": [{"address": 5}]}),
        ),
        (
            "with a prefix that is too long",
            json!({"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.1/33"}]}),
        ),
        (
            "with interfaces that are text",
            json!({"cniVersion": "1.0.0", "interfaces": "x"}),
        ),
        (
            "with an interface that is text",
            json!({"cniVersion": "1.0.0", "interfaces": ["eth0"]}),
        ),
        (
            "with an interface name that is a number",
            json!({"cniVersion": "1.0.0", "interfaces": [{"name": 5}]}),
        ),
        (
            "with routes that are text",
            json!({"cniVersion": "1.0.0", "routes": "x"}),
        ),
    ];
    for (name, value) in wrong {
        let again = value.clone();
        table.case(
            format!("ADD refuses a prevResult {name} and changes nothing"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                pods.usual()
                    .set("prevResult", value.clone())
                    .add()?
                    .error()?;
                pods.unchanged(&before)
            },
        );
        table.case(
            format!("DEL with a prevResult {name} removes everything all the same"),
            move |lab| {
                let pods = lab.pods(2)?;
                pods.request_for(1, lab.usual()).id("other").added()?;
                let before = pods.state()?;
                let request = pods.usual().added()?.set("prevResult", again.clone());
                request.del()?.orderly()?;
                pods.unchanged(&before)
            },
        );
    }
    table.case(
        "an index of an interface that is not there is answered in an orderly way",
        |lab| {
            let pods = lab.pod()?;
            for index in [json!(99), json!(-1), json!(4_294_967_296_u64)] {
                let request = pods.usual();
                let mut previous = request.conf()["prevResult"].clone();
                previous["ips"][0]["interface"] = index;
                request.set("prevResult", previous).add()?.orderly()?;
            }
            Ok(())
        },
    );
    table.case(
        "a result of spec version 1.0.0 in a configuration of 1.1.0 is read",
        |lab| {
            let pods = lab.pod()?;
            pods.usual().set("cniVersion", json!("1.1.0")).add()?.ok()
        },
    );
    table.case(
        "a prevResult without a version has that of the configuration",
        |lab| {
            let pods = lab.pod()?;
            let request = pods.usual();
            let mut previous = request.conf()["prevResult"].clone();
            if let Some(map) = previous.as_object_mut() {
                map.remove("cniVersion");
            }
            request.set("prevResult", previous).add()?.ok()
        },
    );
    table.case(
        "prevResult may be printed in another version of its family",
        |lab| {
            let pods = lab.pod()?;
            let request = pods
                .usual()
                .version("0.3.1")
                .set("cniVersion", json!("0.4.0"));
            let result = request.add()?.result()?;
            equal("cniVersion", &result["cniVersion"], &json!("0.4.0"))
        },
    );
    for (place, pointer) in [
        ("the result", ""),
        ("an interface", "/interfaces/1"),
        ("an address", "/ips/0"),
        ("a route", "/routes/0"),
        ("dns", "/dns"),
    ] {
        table.case(
            format!("an unknown field of {place} is passed on"),
            move |lab| unknown(lab, pointer),
        );
    }
    table.case("every field of spec version 1.1.0 is passed on", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().version("1.1.0");
        let mut previous = request.conf()["prevResult"].clone();
        previous["interfaces"][0]["mtu"] = json!(1500);
        previous["interfaces"][0]["socketPath"] = json!("/x");
        previous["interfaces"][0]["pciID"] = json!("0000:00:00.0");
        previous["routes"][0] = json!({"dst": "0.0.0.0/0", "gw": "10.22.0.1", "mtu": 1400, "advmss": 1300, "priority": 5, "table": 100, "scope": 0});
        previous["dns"] = json!({"nameservers": ["1.1.1.1"], "domain": "d", "search": ["s"], "options": ["o"]});
        let result = request.set("prevResult", previous.clone()).add()?.result()?;
        for key in ["routes", "dns", "ips"] {
            equal(key, &result[key], &previous[key])?;
        }
        equal("interface", &result["interfaces"][0], &previous["interfaces"][0])
    });
}

fn unknown(lab: &Lab, pointer: &str) -> Verdict {
    let pods = lab.pod()?;
    let request = pods.usual();
    let mut previous = request.conf()["prevResult"].clone();
    if let Some(place) = previous.pointer_mut(pointer) {
        place["x-unknown"] = json!({"a": [1, "b"]});
    }
    let result = request.set("prevResult", previous).add()?.result()?;
    let seen = result
        .pointer(pointer)
        .map(|place| place["x-unknown"].clone());
    equal("unknown field", &seen, &Some(json!({"a": [1, "b"]})))
}
