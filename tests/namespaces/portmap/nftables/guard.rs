//! What comes from outside and says that it is of 127.0.0.0/8, or goes there, is dropped.

use std::net::SocketAddr;
use std::time::Duration;

use sandbox::Namespace;
use sandbox::probe::tcp;
use sandbox::topology::Net;
use serde_json::json;

use super::owners::port;
use super::{Pod, host_with, nft};

const SHORT: Duration = Duration::from_millis(300);

/// How many packets to a port came as far as where the node's own are delivered or sent on.
fn came(host: &Namespace) -> u64 {
    let text = host.sh(["nft", "-j", "list", "counters", "table", "ip", "seen"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let counters = json["nftables"].as_array().unwrap().iter();
    counters
        .filter_map(|c| c["counter"]["packets"].as_u64())
        .sum()
}

fn count(host: &Namespace) {
    nft(
        host,
        "table ip seen {
           counter c { }
           chain input { type filter hook input priority 0; tcp dport { 8080, 9999 } ip saddr 127.0.0.9 counter name c; }
           chain forward { type filter hook forward priority 0; tcp dport 80 ip saddr 127.0.0.9 counter name c; }
         }",
    );
}

#[test]
fn a_pod_cannot_pass_for_the_node_itself() {
    for filter in ["0", "1"] {
        let net = host_with(2);
        for key in ["all", "cni0"] {
            let key = format!("net.ipv4.conf.{key}.rp_filter");
            net.host.set_sysctl(&key, filter).unwrap();
        }
        let evil = &net.containers[1];
        // It answers to no ARP reply for a loopback address, so it learns where the node is before.
        let _ = tcp::exchange(evil, "10.22.0.1:1".parse().unwrap());
        nft(
            evil,
            "table ip evil { chain c { type nat hook postrouting priority 100; ip daddr 10.22.0.1 snat to 127.0.0.9; }; }",
        );
        count(&net.host);
        let attack = || {
            for to in ["10.22.0.1:9999", "10.22.0.1:8080"] {
                let _ = tcp::exchange_within(evil, to.parse::<SocketAddr>().unwrap(), SHORT);
            }
        };
        if filter == "0" {
            // That it works without the guard is what makes this a test.
            net.host
                .set_sysctl("net.ipv4.conf.cni0.route_localnet", "1")
                .unwrap();
            attack();
            assert!(came(&net.host) > 0);
            nft(&net.host, "reset counters table ip seen");
        }
        Pod::new(&net, 0).mapping(port(8080)).does("ADD", &net.host);
        let before = came(&net.host);
        attack();
        assert_eq!(came(&net.host), before, "rp_filter {filter}");
    }
}

/// A container that sends what goes to 127.0.0.0/8 to the node.
fn sends_loopback_out(container: &Namespace) {
    container.sh(["ip", "addr", "del", "127.0.0.1/8", "dev", "lo"]);
    container.sh(["ip", "route", "add", "127.0.0.0/8", "via", "10.22.0.1"]);
    container
        .set_sysctl("net.ipv4.conf.eth0.route_localnet", "1")
        .unwrap();
}

fn on_loopback(net: &Net) -> Pod {
    Pod::new(net, 0).mapping(json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"}
    ]))
}

#[test]
fn a_port_of_127_0_0_1_is_not_reached_from_outside_with_and_without_snat() {
    let to: SocketAddr = "127.0.0.1:8080".parse().unwrap();
    for snat in [true, false] {
        let net = host_with(2);
        let _server = tcp::Server::start(&net.containers[0], 80, "pod").unwrap();
        let pod = on_loopback(&net).with("snat", json!(snat));
        sends_loopback_out(&net.containers[1]);
        let reach = || {
            tcp::exchange_within(&net.containers[1], to, SHORT)
                .server()
                .is_some()
        };
        pod.does("ADD", &net.host);
        pod.does("CHECK", &net.host);
        assert!(!reach(), "snat {snat}");
        if snat {
            assert_eq!(tcp::exchange(&net.host, to).server(), Some("pod"));
        }
        nft(&net.host, "flush chain ip cni_portmap loopback_guard");
        assert!(reach(), "the hole that is to be closed, snat {snat}");
        pod.fails("CHECK", &net.host, 101);
        pod.does("ADD", &net.host);
        assert!(!reach(), "snat {snat}");
    }
}
