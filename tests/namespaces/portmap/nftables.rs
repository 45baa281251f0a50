//! The nftables backend: its table, what changes it, and what reaches a container through it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod conditions;
mod drift;
mod guard;
mod killed;
mod names;
mod others;
mod owners;
mod parallel;
mod print;
mod processes;
mod queue;
mod ranges;
mod reference;
mod traffic;
mod unknown;
mod verbs;

use sandbox::plugin::{Answer, Call};
use sandbox::topology::Net;
use sandbox::{Namespace, Topology};
use serde_json::{Value, json};

/// Three mappings: a port of both families, one of an IPv4 address and one of an IPv6 address.
fn mappings() -> Value {
    json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 8081, "containerPort": 81, "protocol": "udp", "hostIP": "10.99.0.1"},
        {"hostPort": 8081, "containerPort": 81, "protocol": "udp", "hostIP": "fd99::1"}
    ])
}

/// An attachment of a container, with the configuration of its network.
#[derive(Clone)]
pub struct Pod {
    network: String,
    id: String,
    ifname: String,
    v4: String,
    v6: String,
    netns: String,
    keys: Value,
}

impl Pod {
    /// Container `number` of a picture, on the network `net1`, with the usual mappings.
    pub fn new(net: &Net, number: usize) -> Pod {
        let node = &net.containers[number];
        Pod {
            network: "net1".into(),
            id: format!("pod-{number}"),
            ifname: "eth0".into(),
            v4: format!("{}/16", node.ipv4),
            v6: format!("{}/64", node.ipv6),
            netns: node.path().display().to_string(),
            keys: json!({"runtimeConfig": {"portMappings": mappings()}}),
        }
    }

    pub fn with(mut self, key: &str, value: Value) -> Pod {
        self.keys[key] = value;
        self
    }

    pub fn mapping(self, list: Value) -> Pod {
        self.with("runtimeConfig", json!({ "portMappings": list }))
    }

    pub fn id(mut self, id: &str) -> Pod {
        self.id = id.into();
        self
    }

    /// What its elements and rules have as their comment.
    fn owner(&self) -> String {
        format!("{}/{}/{}", self.network, self.id, self.ifname)
    }

    pub fn request(&self) -> Value {
        let mut request = json!({
            "cniVersion": "1.1.0",
            "name": self.network,
            "type": "portmap",
            "backend": "nftables",
            "prevResult": {
                "cniVersion": "1.1.0",
                "interfaces": [{"name": "veth0"}, {"name": self.ifname, "sandbox": self.netns}],
                "ips": [
                    {"interface": 1, "address": self.v4},
                    {"interface": 1, "address": self.v6}
                ]
            }
        });
        for (key, value) in self.keys.as_object().unwrap() {
            request[key] = value.clone();
        }
        request
    }

    pub fn prepared(&self, verb: &str, request: &Value) -> Call {
        Call::new("portmap", verb)
            .env("CNI_CONTAINERID", &self.id)
            .env("CNI_IFNAME", &self.ifname)
            .env("CNI_NETNS", &self.netns)
            .stdin(request.to_string())
    }

    pub fn call(&self, verb: &str, host: &Namespace) -> Answer {
        self.prepared(verb, &self.request()).run(host).unwrap()
    }

    /// A call that has to succeed.
    pub fn does(&self, verb: &str, host: &Namespace) {
        let answer = self.call(verb, host);
        assert_eq!(
            answer.code,
            Some(0),
            "{verb} of {}: {}",
            self.id,
            answer.stdout
        );
    }

    /// A call that has to fail with that code: its message and details.
    fn fails(&self, verb: &str, host: &Namespace, code: u32) -> String {
        refused(&self.call(verb, host), code)
    }
}

/// The message and details of a failure with that code.
fn refused(answer: &Answer, code: u32) -> String {
    let error: Value =
        serde_json::from_str(&answer.stdout).unwrap_or_else(|cause| panic!("{cause}: {answer:?}"));
    assert_eq!(error["code"], code, "{error}");
    format!("{}: {}", error["msg"], error["details"])
}

/// A host with so many containers on a bridge and a client outside.
pub fn host_with(containers: u8) -> Net {
    Topology::new()
        .bridge("cni0")
        .containers(containers)
        .client()
        .build()
        .unwrap()
}

fn ruleset(host: &Namespace) -> String {
    host.sh(["nft", "list", "ruleset"])
}

/// Feeds a script to nft.
fn nft(host: &Namespace, script: &str) {
    let name = std::thread::current()
        .name()
        .unwrap_or("x")
        .replace("::", "-");
    let number = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let file = std::env::temp_dir().join(format!("{name}-{number}.nft"));
    std::fs::write(&file, script).unwrap();
    let done = host.try_sh(&["nft", "-f", file.to_str().unwrap()]);
    std::fs::remove_file(&file).unwrap();
    done.unwrap();
}

/// Everything in the ruleset but what was counted, in an order that does not depend on that of making.
pub fn contents(host: &Namespace) -> Vec<String> {
    let text = host.sh(["nft", "-j", "list", "ruleset"]);
    let json: Value =
        serde_json::from_str(&text).unwrap_or_else(|cause| panic!("{cause}: {text:?}"));
    let mut lines = Vec::new();
    for object in json["nftables"].as_array().unwrap() {
        let Some((kind, object)) = object.as_object().unwrap().iter().next() else {
            continue;
        };
        let mut object = object.clone();
        let Some(fields) = object.as_object_mut().filter(|_| kind != "metainfo") else {
            continue;
        };
        fields.remove("handle");
        let exprs = fields.get_mut("expr").and_then(Value::as_array_mut);
        for counter in exprs
            .into_iter()
            .flatten()
            .filter_map(|e| e.get_mut("counter"))
        {
            *counter = Value::Null;
        }
        for element in fields
            .remove("elem")
            .iter()
            .filter_map(Value::as_array)
            .flatten()
        {
            let element = uncounted(element);
            lines.push(format!("{} {} {element}", fields["family"], fields["name"]));
        }
        lines.push(format!("{kind} {object}"));
    }
    lines.sort();
    lines
}

/// An element, or one of a map with its data, without what it has counted.
fn uncounted(element: &Value) -> Value {
    let mut element = element.clone();
    for place in ["/elem", "/0/elem"] {
        if let Some(fields) = element.pointer_mut(place).and_then(Value::as_object_mut) {
            fields.remove("counter");
        }
    }
    element
}

/// The ruleset's lines that name an owner, or an entry of its.
fn owned(host: &Namespace, owner: &str) -> Vec<String> {
    let marks = ["\"", "/"].map(|end| format!("\"{owner}{end}"));
    let mut lines = contents(host);
    lines.retain(|line| marks.iter().any(|mark| line.contains(mark)));
    lines
}
