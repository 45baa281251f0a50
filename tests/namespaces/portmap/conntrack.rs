//! Connections from before do not keep packets from the pod of now.

use std::net::SocketAddr;
use std::time::Duration;

use sandbox::probe::udp;
use sandbox::{Topology, wait_until};

use super::node::{Backend, Host, mapping, mapping_on, on_every_backend, request_of};

on_every_backend!(
    a_client_that_keeps_sending_is_served_by_the_new_pod,
    a_client_that_came_too_early_is_served_as_soon_as_the_port_is_mapped,
    connections_of_others_are_left_alone,
    an_add_that_changes_nothing_interrupts_no_connection,
);

const LONG: Duration = Duration::from_secs(5);
const FIRST: [&str; 2] = ["10.22.0.2/16", "fd00:22::2/64"];
const SECOND: [&str; 2] = ["10.22.0.3/16", "fd00:22::3/64"];

fn flow(host: &Host, to: SocketAddr) -> udp::Flow {
    let client = host.net.client();
    let own = if to.is_ipv4() {
        client.v4(0)
    } else {
        client.v6(0)
    };
    udp::Flow::start(client, own, to).unwrap()
}

#[track_caller]
fn served(flow: &udp::Flow, by: &str) {
    let held = wait_until(LONG, || flow.latest().server() == Some(by));
    assert!(held, "{by}: {:?}", flow.latest());
}

fn a_client_that_keeps_sending_is_served_by_the_new_pod(backend: Backend) {
    let host = Host::new(backend, &Topology::new().client().containers(2));
    let _first = udp::Server::start(host.pod(), 5353, "first").unwrap();
    let _second = udp::Server::start(&host.net.containers[1], 5353, "second").unwrap();
    let old = request_of("", &mapping("udp", 53, 5353), &FIRST);
    let new = request_of("", &mapping("udp", 53, 5353), &SECOND);
    host.run("ADD", &old);
    let flows = host.net.host.both(53).map(|to| flow(&host, to));
    flows.iter().for_each(|flow| served(flow, "first"));
    host.run("DEL", &old);
    for flow in &flows {
        assert!(
            wait_until(LONG, || flow.latest().server().is_none()),
            "{:?}",
            flow.latest()
        );
    }
    host.ok(&host.call("ADD", &new).env("CNI_CONTAINERID", "cid-0002"));
    flows.iter().for_each(|flow| served(flow, "second"));
}

fn a_client_that_came_too_early_is_served_as_soon_as_the_port_is_mapped(backend: Backend) {
    let host = Host::usual(backend);
    let _pod = udp::Server::start(host.pod(), 5353, "pod").unwrap();
    let flows = host.net.host.both(53).map(|to| flow(&host, to));
    for flow in &flows {
        assert!(
            wait_until(LONG, || flow.counts().0 > 3),
            "{:?}",
            flow.counts()
        );
    }
    // One mapping of all addresses and one of a single address take different ways.
    let mappings = [
        mapping("udp", 53, 5353),
        mapping_on("10.99.0.1", "udp", 54, 5353),
    ]
    .join(",");
    let single = flow(&host, host.net.host.v4(54));
    assert!(wait_until(LONG, || single.counts().0 > 3));
    host.run("ADD", &request_of("", &mappings, &FIRST));
    flows
        .iter()
        .chain([&single])
        .for_each(|flow| served(flow, "pod"));
}

/// A rule of somebody else lets no new connection pass: only a remembered one goes on.
fn an_add_that_changes_nothing_interrupts_no_connection(backend: Backend) {
    let host = Host::new(backend, &Topology::new().client());
    let _pod = udp::Server::start(host.pod(), 5353, "pod").unwrap();
    let client = host.net.client();
    let own: [SocketAddr; 2] = [client.v4(7000), client.v6(7000)];
    let ask = |own: SocketAddr, to| udp::exchange_from(client, own, to, LONG);
    let request = request_of("", &mapping("udp", 53, 5353), &FIRST);
    host.run("ADD", &request);
    let nodes = host.net.host.both(53);
    for (own, to) in own.into_iter().zip(nodes) {
        assert_eq!(ask(own, to).server(), Some("pod"));
    }
    host.net.host.sh(["nft", "add table inet closed; add chain inet closed f { type filter hook forward priority 0; }; add rule inet closed f udp sport 7000 ct state new drop"]);
    for _ in 0..2 {
        host.run("ADD", &request);
        for (own, to) in own.into_iter().zip(nodes) {
            assert_eq!(ask(own, to).server(), Some("pod"), "{own}");
        }
    }
}

fn connections_of_others_are_left_alone(backend: Backend) {
    let host = Host::new(backend, &Topology::new().client().server());
    let _pod = udp::Server::start(host.pod(), 53, "pod").unwrap();
    let server = udp::Server::start(host.net.server(), 53, "server").unwrap();
    let client = host.net.client();
    // A rule of somebody else translates new connections to nowhere: only a remembered one goes on.
    let source: SocketAddr = client.v4(7000);
    let ask = |patience| udp::exchange_from(client, source, host.net.server().v4(53), patience);
    // The node tracks connections once a rule asks for it.
    host.net.host.sh(["nft", "add table ip track; add chain ip track f { type filter hook forward priority 0; }; add rule ip track f ct state new counter"]);
    assert_eq!(ask(LONG).server(), Some("server"));
    host.net.host.sh([
        "nft",
        "add rule ip track f udp sport 7000 ct state new drop",
    ]);
    assert_eq!(
        ask(LONG).server(),
        Some("server"),
        "the connection is remembered"
    );
    let request = request_of("", &mapping("udp", 53, 53), &FIRST);
    host.run("ADD", &request);
    assert_eq!(ask(LONG).server(), Some("server"));
    host.run("DEL", &request);
    assert_eq!(ask(LONG).server(), Some("server"));
    drop(server);
}
