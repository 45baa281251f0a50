//! A pod to limit: a host and a container with `eth0` and its veth end `veth0`.

use std::ops::{Deref, DerefMut};

use sandbox::{Namespace, Topology};
use serde_json::{Value, json};

pub use crate::answer::{error, succeeds};
use crate::attached::Attached;

/// Debian's build of the reference, release 1.1.1.
pub const REFERENCE: &str = "/usr/lib/cni/bandwidth";

/// Our plugin.
pub const OURS: &str = "bandwidth";

/// The ifb of container `cid-0001` on network `net1`, as the reference names it.
pub const IFB: &str = "bwpe3b332d93142";

pub struct Pod(Attached);

impl Deref for Pod {
    type Target = Attached;

    fn deref(&self) -> &Attached {
        &self.0
    }
}

impl DerefMut for Pod {
    fn deref_mut(&mut self) -> &mut Attached {
        &mut self.0
    }
}

/// 8 Mbit/s towards the container and 16 Mbit/s from it.
pub fn both() -> Value {
    json!({
        "ingressRate": 8_000_000, "ingressBurst": 800_000,
        "egressRate": 16_000_000, "egressBurst": 1_600_000,
    })
}

impl Pod {
    pub fn new() -> Pod {
        Pod::of(OURS)
    }

    /// A pod limited by the plugin of that name or path.
    pub fn of(plugin: &'static str) -> Pod {
        Pod::in_net(plugin, &Topology::new())
    }

    pub fn in_net(plugin: &'static str, topology: &Topology) -> Pod {
        Pod(Attached::new(
            plugin,
            topology,
            json!({"type": "bandwidth"}),
        ))
    }

    /// Everything that bandwidth could change, in the host and in the container.
    pub fn state(&self) -> Vec<String> {
        let mut lines = state(self.host());
        lines.extend(state(self.container()));
        lines
    }

    /// Runs command lines with `; ` between them in the host, all of which must succeed.
    #[track_caller]
    pub fn sh(&self, lines: &str) -> String {
        lines
            .split("; ")
            .map(|line| sh(self.host(), line))
            .collect()
    }

    /// The line of `tc -raw qdisc` for the root qdisc of a link of the host.
    pub fn root(&self, link: &str) -> String {
        self.sh(&format!("tc -raw qdisc show dev {link} root"))
            .trim()
            .to_owned()
    }

    /// The names of the ifbs in the host.
    pub fn ifbs(&self) -> Vec<String> {
        ifbs(self.host())
    }
}

/// Runs a command line, which must succeed.
#[track_caller]
pub fn sh(namespace: &Namespace, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    namespace
        .try_sh(&words)
        .unwrap_or_else(|cause| panic!("{line}: {cause}"))
}

/// The names of the ifbs in a namespace.
pub fn ifbs(namespace: &Namespace) -> Vec<String> {
    let links: Value = serde_json::from_str(&sh(namespace, "ip -j link show type ifb")).unwrap();
    let names = links.as_array().unwrap().iter();
    names
        .filter_map(|link| Some(link["ifname"].as_str()?.to_owned()))
        .collect()
}

/// Links, qdiscs and filters of a namespace, a line each; without what the kernel counts or chooses.
pub fn state(namespace: &Namespace) -> Vec<String> {
    let mut lines = Vec::new();
    let links: Value = serde_json::from_str(&sh(namespace, "ip -j -d link")).unwrap();
    for link in links.as_array().unwrap() {
        let name = link["ifname"].as_str().unwrap();
        // Carrier comes and goes without anybody's doing.
        let flags = link["flags"].as_array().unwrap();
        let up = flags.contains(&json!("UP"));
        lines.push(format!(
            "{name} {} mtu {} up {up} {}",
            link["linkinfo"]["info_kind"], link["mtu"], link["ifalias"]
        ));
        for side in ["ingress", "egress"] {
            let filters = sh(namespace, &format!("tc -j filter show dev {name} {side}"));
            let filters: Value = serde_json::from_str(&filters).unwrap();
            for filter in filters.as_array().unwrap() {
                let mut filter = filter.clone();
                let Some(options) = filter["options"].as_object_mut() else {
                    continue;
                };
                // The rest are hash tables.
                if !options.contains_key("match") {
                    continue;
                }
                for chosen in ["fh", "key_ht", "order"] {
                    options.remove(chosen);
                }
                let actions = options.get_mut("actions").and_then(Value::as_array_mut);
                for action in actions.into_iter().flatten() {
                    action["index"].take();
                }
                lines.push(format!("{name} {side} {filter}"));
            }
        }
    }
    let qdiscs = sh(namespace, "tc -raw qdisc");
    lines.extend(qdiscs.lines().map(|line| line.trim().to_owned()));
    lines
}
