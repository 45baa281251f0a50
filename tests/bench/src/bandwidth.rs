//! `bandwidth`: a pod limited in both directions, among others that are.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::Stdio;

use sandbox::Namespace;
use serde_json::json;

use crate::nets::Nets;
use crate::run::{ADDRESS, Call, prev_result};
use crate::scenario::{Pods, Scenario, Side};

/// The ifb of container `cid-0001` on network `net1`.
const IFB: &str = "bwpe3b332d93142";

/// The scenario whose reference is what the kernel alone takes.
pub const BARE_DEL: &str = "DEL against `ip link del` of an ifb that is up and has a tbf";

/// A pod for each side, each on a host of its own with other limited pods.
struct Limited {
    nets: Nets,
    /// What is called in the place of the reference's DEL: the kernel's part alone.
    is_bare_del: bool,
}

impl Limited {
    fn new(others: u32, is_bare_del: bool) -> io::Result<Limited> {
        let nets = Nets::build()?;
        for side in [Side::Ours, Side::Reference] {
            populate(nets.host(side), others)?;
        }
        Ok(Limited { nets, is_bare_del })
    }
}

/// Gives a host the links, qdiscs and filters of so many other pods.
fn populate(host: &Namespace, others: u32) -> io::Result<()> {
    let (mut links, mut qdiscs) = (String::new(), String::new());
    for number in 0..others {
        // Writing into a string has no way to fail.
        let _ = writeln!(
            links,
            "link add o{number} type veth peer name p{number}\nlink add bwp{number} type ifb\n\
             link set bwp{number} up"
        );
        let _ = writeln!(
            qdiscs,
            "qdisc add dev o{number} root handle 1: tbf rate 8mbit burst 100000 limit 125000\n\
             qdisc add dev bwp{number} root handle 1: tbf rate 8mbit burst 100000 limit 125000\n\
             qdisc add dev o{number} ingress\n\
             filter add dev o{number} parent ffff: protocol all pref 1 u32 match u32 0 0 \
             flowid 1:1 action mirred egress redirect dev bwp{number}"
        );
    }
    batch(host, "ip", &links)?;
    batch(host, "tc", &qdiscs)
}

fn batch(host: &Namespace, program: &str, lines: &str) -> io::Result<()> {
    let mut command = host.command(program);
    let mut child = command
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(lines.as_bytes())?;
    }
    match child.wait()?.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{program} -batch failed"))),
    }
}

impl Pods for Limited {
    fn host(&self, side: Side) -> &Namespace {
        self.nets.host(side)
    }

    fn call(&self, side: Side, verb: &str) -> Call {
        if self.is_bare_del && side == Side::Reference {
            return Call {
                program: PathBuf::from("/usr/sbin/ip"),
                args: ["link", "del", IFB].map(str::to_owned).to_vec(),
                env: Vec::new(),
                stdin: String::new(),
            };
        }
        let netns = self.nets.netns(side);
        let conf = json!({
            "cniVersion": "1.0.0", "name": "net1", "type": "bandwidth",
            "ingressRate": 8_000_000, "ingressBurst": 800_000,
            "egressRate": 16_000_000, "egressBurst": 1_600_000,
            "prevResult": prev_result(&netns, ADDRESS),
        });
        Call::cni(side.program("bandwidth"), verb, &netns, &conf)
    }

    fn has(&self, side: Side, verb: &str) -> bool {
        !self.is_bare_del || side == Side::Ours || verb == "DEL"
    }

    /// The reference leaves its qdiscs on the veth, on which its next ADD would fail. They are deleted
    /// for both sides, though ours leaves none: the side that comes without has caches that went cold
    /// while DEL waited for the kernel. What is deleted in the reference's place is an ifb as ADD makes
    /// it: up, with a token bucket.
    fn prepare(&self, side: Side) -> io::Result<()> {
        let host = self.host(side);
        if side == Side::Reference && self.is_bare_del {
            let (link, qdisc) = (
                format!("link add {IFB} txqueuelen 0 type ifb\nlink set {IFB} up\n"),
                format!(
                    "qdisc add dev {IFB} root handle 1: tbf rate 16mbit burst 200000 limit 250000\n"
                ),
            );
            batch(host, "ip", &link)?;
            return batch(host, "tc", &qdisc);
        }
        for what in ["root", "clsact", "ingress"] {
            // Mostly there is none.
            let _ = host.try_sh(&["tc", "qdisc", "del", "dev", "veth0", what]);
        }
        Ok(())
    }
}

/// What is timed of `bandwidth`.
///
/// # Errors
/// When the pods cannot be made.
pub fn scenarios() -> io::Result<Vec<Scenario>> {
    let mut scenarios = Vec::new();
    for others in [0, 100, 500] {
        scenarios.push(Scenario {
            plugin: "bandwidth",
            backend: "",
            others,
            circumstance: "both directions".to_owned(),
            verbs: vec!["ADD", "CHECK", "DEL"],
            pods: Box::new(Limited::new(others, false)?),
        });
    }
    scenarios.push(Scenario {
        plugin: "bandwidth",
        backend: "",
        others: 0,
        circumstance: BARE_DEL.to_owned(),
        verbs: vec!["ADD", "DEL"],
        pods: Box::new(Limited::new(0, true)?),
    });
    Ok(scenarios)
}
