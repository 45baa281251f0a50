//! DEL, GC and ADD of tuning on requests by somebody who means harm, or who is broken.

use std::fs;

use serde_json::{Value, json};

use crate::case::Table;
use crate::failure::ensure;

/// Cases of hostile input.
pub fn cases(table: &mut Table) {
    let bad: [(&str, Value); 12] = [
        ("a MAC that is none", json!({"mac": "zz"})),
        ("an MTU that is text", json!({"mtu": "big"})),
        (
            "a sysctl outside of net",
            json!({"sysctl": {"kernel.hostname": "x"}}),
        ),
        (
            "a sysctl that does not exist",
            json!({"sysctl": {"net.no.such": "x"}}),
        ),
        ("sysctl of a wrong type", json!({"sysctl": 5})),
        (
            "args.cni.sysctl of a wrong type",
            json!({"args": {"cni": {"sysctl": 5}}}),
        ),
        ("a transmit queue length of -1", json!({"txQLen": -1})),
        ("a prevResult that is a number", json!({"prevResult": 5})),
        ("a prevResult without a version", json!({"prevResult": {}})),
        (
            "a prevResult with null in its lists",
            json!({"prevResult": {"cniVersion": "1.0.0", "ips": [null], "interfaces": [null]}}),
        ),
        (
            "an unknown capability",
            json!({"runtimeConfig": {"portMappings": 7, "mac": 9}}),
        ),
        ("args that are text", json!({"args": "none"})),
    ];
    for (name, conf) in bad {
        table.case(
            format!("DEL restores and removes the backup in spite of {name}"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let mut request = pods.usual().added()?;
                for (key, value) in conf.as_object().into_iter().flatten() {
                    request = request.set(key, value.clone());
                }
                request.del()?.orderly()?;
                pods.unchanged(&before)
            },
        );
    }
    table.case("DEL restores in spite of unknown CNI_ARGS", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        pods.usual()
            .added()?
            .env("CNI_ARGS", "SOMETHING=else")
            .del()?
            .ok()?;
        pods.unchanged(&before)
    });
    table.case("unknown CNI_ARGS are ignored", |lab| {
        let pods = lab.pod()?;
        let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=x;K8S_POD_UID=1";
        pods.usual().env("CNI_ARGS", args).added()?.check()?.ok()
    });
    for args in ["MAC=zz", "MAC", "=", ";;;", "MAC=02:00:00:00:01:02=x"] {
        table.case(
            format!("CNI_ARGS {args:?} is answered in an orderly way and half-applies nothing"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let reply = pods.usual().env("CNI_ARGS", args).add()?;
                reply.orderly()?;
                if reply.ok().is_err() {
                    pods.unchanged(&before)?
                }
                Ok(())
            },
        );
    }
    table.case(
        "a backup file that is a link to somewhere else is not followed",
        |lab| {
            let pods = lab.pod()?;
            let victim = lab.dir().join("victim");
            fs::write(&victim, "precious")?;
            std::os::unix::fs::symlink(&victim, lab.data_dir().join("cid-0001_eth0.json"))?;
            pods.usual().add()?.orderly()?;
            pods.usual().del()?.orderly()?;
            let text = fs::read_to_string(&victim)?;
            ensure(text == "precious", || {
                format!("the file now holds {text:?}")
            })
        },
    );
    table.case(
        "a sysctl value of a megabyte is answered in an orderly way",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let conf = json!({"sysctl": {"net.core.somaxconn": "5".repeat(1 << 20)}});
            pods.request(conf).add()?.error()?;
            pods.unchanged(&before)
        },
    );
    table.case(
        "a sysctl key of a megabyte is answered in an orderly way",
        |lab| {
            let pods = lab.pod()?;
            let conf = json!({"sysctl": {format!("net.{}", "x".repeat(1 << 20)): "1"}});
            pods.request(conf).add()?.error().map(drop)
        },
    );
    table.case("the interface lo may be tuned and is restored", |lab| {
        let pods = lab.pod()?;
        let before = pods.state()?;
        pods.request(json!({"mtu": 16000}))
            .env("CNI_IFNAME", "lo")
            .added()?
            .del()?
            .ok()?;
        pods.unchanged(&before)
    });
}
