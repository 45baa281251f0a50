//! `cnictl` on a node with many attachments, each with two host ports. Nobody else has such a tool to compare
//! with.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::base64;
use sandbox::topology::Net;
use sandbox::{Topology, plugin};
use serde_json::json;

use crate::others::FIRST_PORT;
use crate::run::{ADDRESS, Call, prev_result};
use crate::table::Spread;

/// Attachments.
pub const COUNT: u16 = 1000;
/// Rounds of each command.
const ROUNDS: usize = 10;
/// What an operator runs. Nothing is to be done on the node, so that every round is alike.
const COMMANDS: [&[&str]; 8] = [
    &["ports"],
    &["who", "20500"],
    &["explain", "20500"],
    &["limits"],
    &["doctor"],
    &["metrics"],
    &["reconcile", "--dry-run"],
    &["gc", "--dry-run", "--grace=0"],
];

/// How long a command took.
pub struct Took {
    /// The backend of the attachments.
    pub backend: &'static str,
    /// The command, without the options that name directories.
    pub command: String,
    /// The time.
    pub time: Spread,
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Took {
            backend,
            command,
            time,
        } = self;
        write!(f, "{backend:<16}{command:<26}{:>8.1} ms", time.median)
    }
}

/// The times of every command with each backend that needs no program.
///
/// # Errors
/// When the node cannot be made, or a command fails.
pub fn measure() -> io::Result<Vec<Took>> {
    let mut all = Vec::new();
    for (key, backend) in [("nftables", "nftables"), ("iptables", "iptables-nft")] {
        let node = Crowded::new(key)?;
        for command in COMMANDS {
            let time = node.time(command)?;
            let command = command.join(" ");
            all.push(Took {
                backend,
                command,
                time,
            });
        }
    }
    Ok(all)
}

/// A node with attachments, in the kernel and in the cache.
struct Crowded {
    net: Net,
    directory: PathBuf,
}

impl Crowded {
    fn new(backend: &str) -> io::Result<Crowded> {
        let name = format!("bench-tool-{}-{backend}", std::process::id());
        let node = Crowded {
            net: Topology::new().build()?,
            directory: std::env::temp_dir().join(name),
        };
        fs::create_dir_all(node.directory.join("results"))?;
        let host = &node.net.host.namespace;
        host.run(|| (0..COUNT).try_for_each(|number| node.attach(backend, number)))?;
        Ok(node)
    }

    /// As a runtime does: ADD, and what it remembers of it.
    fn attach(&self, backend: &str, number: u16) -> io::Result<()> {
        let netns = self.net.containers.first().map(|pod| pod.path());
        let netns = netns.unwrap_or_default().display().to_string();
        let id = format!("{number:064x}");
        let port = FIRST_PORT + 2 * number;
        let capabilities = json!({"portMappings": [
            {"hostPort": port, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": port + 1, "containerPort": 53, "protocol": "udp"},
        ]});
        let mut conf =
            json!({"type": "portmap", "backend": backend, "capabilities": {"portMappings": true}});
        let list = json!({"cniVersion": "1.0.0", "name": "net1", "plugins": [conf]}).to_string();
        let result = prev_result(&netns, ADDRESS);
        let entry = json!({
            "kind": "cniCacheV1", "containerId": id, "ifName": "eth0", "networkName": "net1", "netns": netns,
            "config": base64::encode(list.as_bytes()), "capabilityArgs": capabilities, "result": result,
        });
        conf["cniVersion"] = "1.0.0".into();
        conf["name"] = "net1".into();
        conf["runtimeConfig"] = capabilities;
        conf["prevResult"] = result;
        let mut add = Call::cni(plugin::binary("portmap"), "ADD", &netns, &conf);
        add.env.push(("CNI_CONTAINERID".to_owned(), id.clone()));
        add.run()?;
        let file = self.directory.join(format!("results/net1-{id}-eth0"));
        fs::write(file, entry.to_string())
    }

    /// Times a command, whatever it finds.
    fn time(&self, command: &[&str]) -> io::Result<Spread> {
        let mut line = Command::new(plugin::binary("cnictl"));
        line.args(command).arg("--cache-dir").arg(&self.directory);
        line.stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if matches!(command, ["metrics" | "reconcile", ..]) {
            line.arg("--state-dir").arg(&self.directory);
        }
        let times: Vec<Duration> = self.net.host.namespace.run(|| {
            let mut once = || {
                let start = Instant::now();
                let status = line.status()?;
                match status.code() {
                    Some(0 | 1) => Ok(start.elapsed()),
                    _ => Err(io::Error::other(format!("{line:?}: {status}"))),
                }
            };
            (0..ROUNDS).map(|_| once()).collect::<io::Result<_>>()
        })?;
        Spread::of_times(times.into_iter()).ok_or_else(|| io::Error::other("no rounds"))
    }
}

impl Drop for Crowded {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
