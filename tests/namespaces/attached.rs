//! A container of a host, and a plugin that is called for it.

use sandbox::plugin::{Answer, Call};
use sandbox::topology::Net;
use sandbox::{Node, Topology};
use serde_json::{Value, json};

use crate::answer::succeeds;

/// A host and a container with `eth0` and its veth end `veth0`.
pub struct Attached {
    pub net: Net,
    /// The plugin's name, or the path of another one's file.
    pub plugin: &'static str,
    /// The keys that every configuration of the plugin has.
    base: Value,
}

impl Attached {
    /// The first container of that picture.
    pub fn new(plugin: &'static str, topology: &Topology, base: Value) -> Attached {
        Attached {
            net: topology.build().unwrap(),
            plugin,
            base,
        }
    }

    /// Gives every configuration from now on these keys, too.
    pub fn always(&mut self, keys: Value) {
        merge(&mut self.base, keys);
    }

    pub fn host(&self) -> &Node {
        &self.net.host
    }

    pub fn container(&self) -> &Node {
        &self.net.containers[0]
    }

    /// A configuration: the keys that every one has, then `keys` over them.
    pub fn conf(&self, keys: Value) -> Value {
        let version = keys.get("cniVersion").cloned().unwrap_or(json!("1.0.0"));
        let mut conf = json!({
            "cniVersion": version,
            "name": "net1",
            "prevResult": {
                "cniVersion": version,
                "interfaces": [
                    {"name": "veth0", "mac": "02:00:00:00:00:0a"},
                    {"name": "eth0", "mac": "02:00:00:00:00:0c", "sandbox": "/run/netns/cont"},
                ],
                "ips": [{"interface": 1, "address": "10.22.0.2/16", "gateway": "10.22.0.1"}],
            },
        });
        merge(&mut conf, self.base.clone());
        merge(&mut conf, keys);
        conf
    }

    /// A call for the container, its stdin not yet set.
    pub fn call(&self, verb: &str) -> Call {
        Call::new(self.plugin, verb).netns(self.container())
    }

    /// Runs a verb with [`Attached::conf`] of the keys.
    pub fn run(&self, verb: &str, keys: Value) -> Answer {
        self.finish(self.call(verb), &self.conf(keys))
    }

    /// Runs a call with a configuration.
    pub fn finish(&self, call: Call, conf: &Value) -> Answer {
        call.stdin(conf.to_string()).run(self.host()).unwrap()
    }

    /// Runs ADD, which must succeed, and gives its result.
    #[track_caller]
    pub fn add(&self, keys: Value) -> Value {
        let answer = self.run("ADD", keys);
        assert_eq!(answer.code, Some(0), "{answer:?}");
        serde_json::from_str(&answer.stdout).unwrap()
    }

    /// Runs CHECK, which must succeed and say nothing.
    #[track_caller]
    pub fn check(&self, keys: Value) {
        succeeds(&self.run("CHECK", keys));
    }

    /// Runs DEL, which must succeed and say nothing.
    #[track_caller]
    pub fn del(&self, keys: Value) {
        succeeds(&self.run("DEL", keys));
    }
}

fn merge(conf: &mut Value, keys: Value) {
    let Value::Object(keys) = keys else {
        panic!("{keys}")
    };
    for (key, value) in keys {
        conf[key] = value;
    }
}
