//! Attachments of all three plugins that come and go in any order on one node, many at a time: in
//! the end the node is what it was. `make soak` runs 10,000 with 200 live at a time.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use sandbox::plugin::Call;
use sandbox::{Snapshot, Topology, wait_until};
use serde_json::{Value, json};

use crate::numbers::Numbers;
use crate::portmap::node::{Backend, Host};

/// The first host port; every attachment has its own.
const FIRST_PORT: u32 = 10_000;

/// One attachment: its number, and the container that it is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pod {
    number: u32,
    container: usize,
}

impl Pod {
    fn port(self) -> u32 {
        FIRST_PORT + self.number % 50_000
    }

    fn protocol(self) -> &'static str {
        ["tcp", "udp", "sctp"][self.number as usize % 3]
    }

    /// Every tenth is an UDP one that a client has spoken to.
    fn has_a_client(self) -> bool {
        self.number % 30 == 1
    }

    fn conf(self, plugin: &str, host: &Host) -> Value {
        let node = &host.net.containers[self.container];
        let mut conf = json!({
            "cniVersion": "1.1.0", "name": "net1", "type": plugin,
            "prevResult": {
                "cniVersion": "1.1.0",
                "interfaces": [
                    {"name": format!("veth{}", self.container)},
                    {"name": "eth0", "sandbox": "/n"},
                ],
                "ips": [
                    {"interface": 1, "address": format!("{}/16", node.ipv4)},
                    {"interface": 1, "address": format!("{}/64", node.ipv6)},
                ],
            },
        });
        let backend = ["iptables", "nftables"][self.number as usize % 2];
        let keys = match plugin {
            "tuning" => json!({
                "dataDir": host.directory.join("tuning"), "mtu": 1400 + self.number % 50,
                "promisc": true, "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"},
            }),
            "portmap" => json!({
                "backend": backend, "runtimeConfig": {"portMappings": [
                    {"hostPort": self.port(), "containerPort": 80, "protocol": self.protocol()},
                ]},
            }),
            _ => json!({
                "ingressRate": 8_000_000, "ingressBurst": 800_000,
                "egressRate": 16_000_000, "egressBurst": 1_600_000,
            }),
        };
        for (key, value) in keys.as_object().unwrap() {
            conf[key] = value.clone();
        }
        conf
    }

    fn call(self, verb: &str, plugin: &str, host: &Host) {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", host.directory.display());
        let answer = Call::new(plugin, verb)
            .netns(&host.net.containers[self.container])
            .env("CNI_CONTAINERID", &format!("pod-{}", self.number))
            .env("PATH", &path)
            .stdin(self.conf(plugin, host).to_string())
            .run(&host.net.host)
            .unwrap();
        assert_eq!(answer.code, Some(0), "{verb} {plugin} {self:?}: {answer:?}");
    }

    fn add(self, host: &Host) {
        for plugin in ["tuning", "portmap", "bandwidth"] {
            self.call("ADD", plugin, host);
        }
        if self.has_a_client() {
            let to = host.net.host.v4(u16::try_from(self.port()).unwrap());
            host.net.client().run(|| {
                let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
                socket.send_to(b"hello", to).unwrap();
            });
            let known = || connections(host).contains(&format!("dport={} ", self.port()));
            assert!(wait_until(Duration::from_secs(30), known), "{self:?}");
        }
    }

    fn del(self, host: &Host) {
        for plugin in ["bandwidth", "portmap", "tuning"] {
            self.call("DEL", plugin, host);
        }
    }
}

/// The node's UDP connections.
fn connections(host: &Host) -> String {
    host.net.host.sh(["conntrack", "-L", "-p", "udp"])
}

/// Adds `total` attachments, at most `most` at a time, and deletes them in any order.
fn come_and_go(host: &Host, total: u32, most: usize) {
    let mut numbers = Numbers::new(1);
    let mut free: BTreeSet<usize> = (0..most).collect();
    let mut live: Vec<Pod> = Vec::new();
    let mut number = 0;
    while number < total || !live.is_empty() {
        // Most of the time nearly all are live.
        let more = number < total && (live.is_empty() || numbers.below(10) < 8);
        match free.first().copied().filter(|_| more) {
            Some(container) => {
                free.remove(&container);
                let pod = Pod { number, container };
                pod.add(host);
                live.push(pod);
                number += 1;
            }
            None => {
                let pod = live.swap_remove(numbers.below(live.len()));
                pod.del(host);
                free.insert(pod.container);
            }
        }
    }
}

#[test]
fn whatever_came_and_went_the_node_is_what_it_was() {
    let number =
        |name: &str, usual: u32| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let (total, most) = (number("SOAK_TOTAL", 60), number("SOAK_LIVE", 20));
    let most = u8::try_from(most).unwrap();
    let topology = Topology::new().containers(most).bridge("cni0").client();
    let host = Host::new(Backend::IptablesNft, &topology);
    // What all attachments share stays.
    come_and_go(&host, 4, 1);
    let of_containers = || {
        let first = host.net.containers.iter().take(3);
        first
            .map(|node| Snapshot::take(node).unwrap())
            .collect::<Vec<_>>()
    };
    let before = (Snapshot::take(&host.net.host).unwrap(), of_containers());
    let start = Instant::now();
    come_and_go(&host, total, usize::from(most));
    let took = start.elapsed();
    let after = (Snapshot::take(&host.net.host).unwrap(), of_containers());
    assert_eq!(before.0.diff(&after.0), Vec::<String>::new());
    for (before, after) in before.1.iter().zip(&after.1) {
        assert_eq!(before.diff(after), Vec::<String>::new());
    }
    let files = std::fs::read_dir(host.directory.join("tuning"));
    assert_eq!(files.map_or(0, Iterator::count), 0);
    let left = connections(&host);
    assert!(!left.contains("src=10.22.0."), "{left}");
    println!(
        "{total} attachments, {most} at a time: {:.1} s, {:.1} ms for the ADD and DEL of three plugins",
        took.as_secs_f64(),
        took.as_secs_f64() * 1000.0 / f64::from(total),
    );
}
