//! Error objects: what runtimes log and users read.

use serde_json::{Value, json};

use crate::case::Table;
use crate::failure::{Failure, ensure, equal};
use crate::lab::Lab;
use crate::reply::Reply;

/// What goes wrong.
const CLASSES: [&str; 6] = [
    "environment",
    "decoding",
    "version",
    "network name",
    "prevResult",
    "configuration",
];

/// Cases of errors.
pub fn cases(table: &mut Table) {
    for class in CLASSES {
        table.case(
            format!("an error of {class} has the specification's cniVersion"),
            move |lab| {
                let error = failing(lab, class)?.error()?;
                let version = error.value["cniVersion"].as_str().unwrap_or_default();
                ensure(version.split('.').count() == 3, || error.value.to_string())
            },
        );
        table.case(
            format!("an error of {class} has a message of one line, and no text of a program"),
            move |lab| {
                let error = failing(lab, class)?.error()?;
                ensure(
                    !error.msg.contains('\n') && !error.msg.contains("%!"),
                    || error.msg.clone(),
                )
            },
        );
    }
    for version in ["0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        table.case(
            format!("an error in spec version {version} has that cniVersion"),
            move |lab| {
                let pods = lab.pod()?;
                let error = pods
                    .usual()
                    .version(version)
                    .without("prevResult")
                    .add()?
                    .error()?;
                equal("cniVersion", &error.value["cniVersion"], &json!(version))
            },
        );
    }
    table.case("an error has a code of its class", |lab| {
        for (class, code) in [
            ("environment", 4),
            ("decoding", 6),
            ("version", 1),
            ("network name", 7),
            ("prevResult", 7),
            ("configuration", 7),
        ] {
            let error = failing(lab, class)?.error()?;
            ensure(
                error.code == code || (class == "configuration" && error.code == 6),
                || format!("{class}: {}", error.value),
            )?;
        }
        Ok(())
    });
    table.case(
        "an error of drift has a code of the plugin's own, and details",
        |lab| {
            let pods = lab.pod()?;
            let error = match lab.group.plugin() {
                "tuning" => {
                    let request = pods.usual().added()?;
                    pods.net.containers[0].sh(["ip", "link", "set", "eth0", "mtu", "1300"]);
                    request.check()?.error()?
                }
                _ => pods.usual().check()?.error()?,
            };
            ensure(error.code >= 100 && error.code != 999, || {
                error.value.to_string()
            })?;
            ensure(
                error.value["details"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                || error.value.to_string(),
            )
        },
    );
}

fn failing(lab: &Lab, class: &str) -> Result<Reply, Failure> {
    let pods = lab.pod()?;
    let request = pods.usual();
    let request = match class {
        "environment" => request.no_env("CNI_IFNAME"),
        "decoding" => request.raw("{"),
        "version" => request.set("cniVersion", json!("9.9.9")),
        "network name" => request.set("name", json!("-")),
        "prevResult" => request.set("prevResult", Value::Null),
        _ => match lab.group.plugin() {
            "tuning" => request.set("mac", json!("zz")),
            "portmap" => request.with(json!({"runtimeConfig": {"portMappings": [{"hostPort": 0, "containerPort": 1, "protocol": "tcp"}]}})),
            _ => request.without("ingressRate"),
        },
    };
    request.add()
}
