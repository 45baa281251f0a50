//! The pictures are what the drawing says, and packets get through them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use sandbox::{Node, Topology};

fn assert_reaches(from: &Node, to: &Node) {
    for address in to.both(0) {
        let listener = to.run(|| TcpListener::bind(address)).unwrap();
        let target = listener.local_addr().unwrap();
        let reached = from.run(|| TcpStream::connect_timeout(&target, Duration::from_secs(5)));
        if let Err(e) = reached {
            panic!("{} does not reach {} at {target}: {e}", from.name, to.name);
        }
    }
}

#[test]
fn everybody_reaches_everybody_over_point_to_point_links() {
    let net = Topology::new()
        .containers(2)
        .client()
        .server()
        .build()
        .unwrap();
    for from in net.nodes() {
        for to in net.nodes() {
            assert_reaches(from, to);
        }
    }
}

#[test]
fn everybody_reaches_everybody_over_a_bridge() {
    let net = Topology::new()
        .containers(2)
        .bridge("cni0")
        .hairpin()
        .client()
        .build()
        .unwrap();
    for from in net.nodes() {
        for to in net.nodes() {
            assert_reaches(from, to);
        }
    }
    let port = net.host.sh(["ip", "-d", "link", "show", "veth1"]);
    assert!(
        port.contains("master cni0") && port.contains("hairpin on"),
        "{port}"
    );
    let bridge = net.host.sh(["ip", "link", "show", "cni0"]);
    assert!(bridge.contains("02:00:00:00:00:0b"), "{bridge}");
}

#[test]
fn names_and_addresses_are_those_of_the_recorded_samples() {
    let net = Topology::new().build().unwrap();
    let host = net.host.sh(["ip", "link", "show", "veth0"]);
    assert!(
        host.contains("02:00:00:00:00:0a") && host.contains("state UP"),
        "{host}"
    );
    let container = net.containers[0].sh(["ip", "addr", "show", "eth0"]);
    for text in ["02:00:00:00:00:0c", "10.22.0.2/16", "fd00:22::2/64"] {
        assert!(container.contains(text), "{container}");
    }
    assert!(!container.contains("tentative"), "{container}");
}

#[test]
fn a_topology_without_client_has_none() {
    let net = Topology::new().containers(3).build().unwrap();
    assert_eq!(net.nodes().count(), 4);
    assert_eq!(net.host.v4(80).to_string(), "10.22.0.1:80");
    assert_eq!(net.containers[2].v6(80).to_string(), "[fd00:22::4]:80");
}
