//! `tuning`: a pod that gets sysctls and link attributes.

use std::fs;
use std::io;
use std::path::PathBuf;

use sandbox::Namespace;
use serde_json::json;

use crate::nets::Nets;
use crate::run::{ADDRESS, Call, prev_result};
use crate::scenario::{Pods, Scenario, Side};

/// A pod for each side, and what the plugins keep.
struct Tuned {
    nets: Nets,
    dir: PathBuf,
}

impl Tuned {
    fn new() -> io::Result<Tuned> {
        Ok(Tuned {
            nets: Nets::build()?,
            dir: std::env::temp_dir().join(format!("bench-tuning-{}", std::process::id())),
        })
    }
}

impl Pods for Tuned {
    fn host(&self, side: Side) -> &Namespace {
        self.nets.host(side)
    }

    fn call(&self, side: Side, verb: &str) -> Call {
        let netns = self.nets.netns(side);
        // Spelled such that the CHECK of release 1.1.1 passes: it compares texts and knows no IFNAME.
        let conf = json!({
            "cniVersion": "1.0.0", "name": "net1", "type": "tuning",
            "dataDir": self.dir.join(format!("{side:?}")),
            "mtu": 1400, "mac": "02:aa:00:00:00:05", "promisc": true, "allmulti": true,
            "sysctl": {
                "net.core.somaxconn": "500", "net.ipv4.conf.eth0.arp_filter": "1",
                "net.ipv4.ip_local_port_range": "1024\t65000",
            },
            "prevResult": prev_result(&netns, ADDRESS),
        });
        Call::cni(side.program("tuning"), verb, &netns, &conf)
    }
}

impl Drop for Tuned {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What is timed of `tuning`.
///
/// # Errors
/// When the pods cannot be made.
pub fn scenarios() -> io::Result<Vec<Scenario>> {
    Ok(vec![Scenario {
        plugin: "tuning",
        backend: "",
        others: 0,
        circumstance: "4 link attributes, 3 sysctls".to_owned(),
        verbs: vec!["VERSION", "ADD", "CHECK", "DEL"],
        pods: Box::new(Tuned::new()?),
    }])
}
