//! `portmap` with the nftables backend on nodes with more and more other attachments. The reference serves
//! the same request with iptables: Debian's has no other backend, whatever is asked for.

use std::io;

use sandbox::Namespace;
use serde_json::json;

use crate::nets::Nets;
use crate::others;
use crate::run::{ADDRESS, Call, prev_result};
use crate::scenario::{Pods, Scenario, Side};

impl Pods for Nets {
    fn host(&self, side: Side) -> &Namespace {
        Nets::host(self, side)
    }

    /// The CHECK of release 1.1.1 always fails: it looks for the IPv4 rules among those of IPv6, too.
    fn has(&self, side: Side, verb: &str) -> bool {
        side == Side::Ours || verb != "CHECK"
    }

    fn call(&self, side: Side, verb: &str) -> Call {
        // Newer references have an nftables backend too, with a layout in which others are not made here.
        let backend = match side {
            Side::Ours => "nftables",
            Side::Reference => "iptables",
        };
        call(side.program("portmap"), verb, backend, &self.netns(side))
    }
}

/// A call for a container with one IPv4 port.
pub fn call(program: std::path::PathBuf, verb: &str, backend: &str, netns: &str) -> Call {
    let conf = json!({
        "cniVersion": "1.0.0", "name": "net1", "type": "portmap", "backend": backend,
        "runtimeConfig": {"portMappings": [
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        ]},
        "prevResult": prev_result(netns, ADDRESS),
    });
    Call::cni(program, verb, netns, &conf)
}

/// One pod with one port, while so many others are there.
///
/// # Errors
/// When the pods or the others cannot be made.
pub fn scenarios() -> io::Result<Vec<Scenario>> {
    [0, 100, 1000, 5000].into_iter().map(scenario).collect()
}

fn scenario(count: u16) -> io::Result<Scenario> {
    let pods = Nets::build()?;
    for side in [Side::Ours, Side::Reference] {
        let add = pods.call(side, "ADD");
        pods.host(side).run(|| add.run())?;
    }
    others::nftables(pods.host(Side::Ours), count)?;
    others::iptables(pods.host(Side::Reference), "nft", count)?;
    for side in [Side::Ours, Side::Reference] {
        let del = pods.call(side, "DEL");
        pods.host(side).run(|| del.run())?;
    }
    Ok(Scenario {
        plugin: "portmap",
        backend: "nftables",
        others: count.into(),
        circumstance: "1 port; the reference with iptables-nft".to_owned(),
        verbs: vec!["ADD", "CHECK", "DEL"],
        pods: Box::new(pods),
    })
}
