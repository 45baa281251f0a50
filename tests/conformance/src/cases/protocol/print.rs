//! How results are printed, to the letter.

use serde_json::{Value, json};

use crate::case::Table;
use crate::failure::{Verdict, ensure, equal};
use crate::group::Group;
use crate::lab::Lab;

/// What is printed for a prevResult of each family when the plugin has nothing to add.
const V1: &str = r#"{
    "cniVersion": "1.0.0",
    "dns": {
        "nameservers": [
            "1.1.1.1"
        ]
    },
    "interfaces": [
        {
            "mac": "02:00:00:00:00:0c",
            "name": "eth0",
            "sandbox": "/x"
        }
    ],
    "ips": [
        {
            "address": "10.22.0.2/16",
            "gateway": "10.22.0.1",
            "interface": 0
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0"
        }
    ]
}"#;

const V04: &str = r#"{
    "cniVersion": "0.4.0",
    "interfaces": [
        {
            "name": "eth0",
            "mac": "02:00:00:00:00:0c",
            "sandbox": "/x"
        }
    ],
    "ips": [
        {
            "version": "4",
            "interface": 0,
            "address": "10.22.0.2/16",
            "gateway": "10.22.0.1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0"
        }
    ],
    "dns": {}
}"#;

const V02: &str = r#"{
    "cniVersion": "0.2.0",
    "ip4": {
        "ip": "10.22.0.2/16",
        "gateway": "10.22.0.1",
        "routes": [
            {
                "dst": "0.0.0.0/0"
            }
        ]
    },
    "dns": {
        "nameservers": [
            "1.1.1.1"
        ]
    }
}"#;

/// Cases of printing.
pub fn cases(table: &mut Table, group: Group) {
    for (version, text) in [
        ("1.0.0", V1),
        ("1.1.0", V1),
        ("0.4.0", V04),
        ("0.3.1", V04),
        ("0.3.0", V04),
        ("0.2.0", V02),
        ("0.1.0", V02),
    ] {
        if group == Group::BandwidthProtocol && matches!(version, "0.1.0" | "0.2.0") {
            continue;
        }
        let expected = match text {
            V1 => text.replace("1.0.0", version),
            V04 => text.replace("0.4.0", version),
            _ => text.replace("0.2.0", version),
        };
        table.case(
            format!("a result of spec version {version} is printed as the reference prints it"),
            move |lab| {
                let pods = lab.pod()?;
                let previous: Value = serde_json::from_str(&expected)?;
                let request = pods
                    .request(idle(lab))
                    .set("cniVersion", json!(version))
                    .set("prevResult", previous);
                let reply = request.add()?;
                reply.ok()?;
                equal("stdout", &reply.stdout(), &expected.as_str())
            },
        );
    }
    table.case("success that changes nothing leaves stderr empty", |lab| {
        let pods = lab.pod()?;
        let silent = |verb| -> Verdict { equal("stderr", &pods.usual().call(verb)?.stderr(), &"") };
        silent("VERSION")?;
        silent("DEL")?;
        pods.usual().call("ADD")?.ok()?;
        silent("ADD")?;
        silent("CHECK")?;
        pods.usual().call("DEL")?.ok()?;
        silent("DEL")
    });
    table.case(
        "what success leaves on stderr is whole lines of text",
        |lab| {
            let pods = lab.pod()?;
            for verb in ["ADD", "DEL"] {
                let reply = pods.usual().call(verb)?;
                reply.ok()?;
                let stderr = reply.stderr();
                let is_whole = stderr.is_empty() || stderr.ends_with('\n');
                let is_text = !stderr.contains(|c: char| c.is_control() && c != '\n' && c != '\t');
                ensure(is_whole && is_text, || format!("{verb} leaves {stderr:?}"))?;
            }
            Ok(())
        },
    );
    table.case("DEL and CHECK print nothing", |lab| {
        let pods = lab.pod()?;
        let request = pods.usual().added()?;
        request.check()?.silent()?;
        request.del()?.silent()
    });
    table.case("characters beyond ASCII and HTML's survive", |lab| {
        let pods = lab.pod()?;
        let text = "ü <&> \u{2028} 𝄞 \"q\" \\";
        let request = pods.request(idle(lab));
        let mut previous = request.conf()["prevResult"].clone();
        previous["dns"] = json!({"domain": text});
        let result = request.set("prevResult", previous).add()?.result()?;
        equal("domain", &result["dns"]["domain"], &json!(text))
    });
}

/// A configuration with which the plugin has nothing to do.
fn idle(lab: &Lab) -> Value {
    match lab.group.plugin() {
        "portmap" => json!({"runtimeConfig": {}}),
        _ => json!({}),
    }
}
