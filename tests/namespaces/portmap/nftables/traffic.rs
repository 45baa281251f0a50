//! What reaches a container, as whom, and what is left alone.

use std::net::SocketAddr;

use sandbox::Topology;
use sandbox::probe::{Outcome, sctp, tcp, udp};
use serde_json::json;

use super::{Pod, host_with};

fn all_protocols() -> serde_json::Value {
    json!([
        {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
        {"hostPort": 8080, "containerPort": 80, "protocol": "UDP"},
        {"hostPort": 8080, "containerPort": 80, "protocol": "sctp"}
    ])
}

fn seen(outcome: &Outcome) -> (Option<&str>, Option<String>) {
    let peer = outcome.peer().map(|peer| peer.ip().to_string());
    (outcome.server(), peer)
}

#[test]
fn each_protocol_reaches_the_container_in_both_families_and_sees_the_client() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0).mapping(all_protocols());
    let node = &net.containers[0];
    let _servers = (
        tcp::Server::start(node, 80, "t").unwrap(),
        udp::Server::start(node, 80, "u").unwrap(),
        sctp::Server::start(node, 80, "s").unwrap(),
    );
    let client = net.client();
    let before = tcp::exchange(client, net.host.v4(8080));
    assert_eq!(before, Outcome::Refused);
    pod.does("ADD", &net.host);
    for to in net.host.both(8080) {
        let from = if to.is_ipv4() {
            client.ipv4.to_string()
        } else {
            client.ipv6.to_string()
        };
        assert_eq!(
            seen(&tcp::exchange(client, to)),
            (Some("t"), Some(from.clone()))
        );
        assert_eq!(
            seen(&udp::exchange(client, to)),
            (Some("u"), Some(from.clone()))
        );
        assert_eq!(seen(&sctp::exchange(client, to)), (Some("s"), Some(from)));
    }
    pod.does("DEL", &net.host);
    assert_eq!(tcp::exchange(client, net.host.v4(8080)), Outcome::Refused);
    assert_eq!(tcp::exchange(client, net.host.v6(8080)), Outcome::Refused);
}

#[test]
fn the_node_itself_reaches_the_container_also_at_127_0_0_1() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0).mapping(all_protocols());
    let _server = tcp::Server::start(&net.containers[0], 80, "t").unwrap();
    net.host
        .set_sysctl("net.ipv4.conf.cni0.route_localnet", "1")
        .unwrap();
    pod.does("ADD", &net.host);
    for to in [
        "127.0.0.1:8080",
        "10.99.0.1:8080",
        "10.22.0.1:8080",
        "[fd99::1]:8080",
    ] {
        let to: SocketAddr = to.parse().unwrap();
        assert_eq!(tcp::exchange(&net.host, to).server(), Some("t"), "{to}");
    }
}

#[test]
fn containers_reach_a_port_of_themselves_and_of_their_neighbour_through_the_node() {
    let net = Topology::new()
        .bridge("cni0")
        .hairpin()
        .containers(2)
        .client()
        .build()
        .unwrap();
    let pod = Pod::new(&net, 0).mapping(all_protocols());
    let _server = tcp::Server::start(&net.containers[0], 80, "t").unwrap();
    pod.does("ADD", &net.host);
    for from in &net.containers {
        for to in net.host.both(8080) {
            let outcome = tcp::exchange(from, to);
            let gateway = if to.is_ipv4() {
                "10.22.0.1"
            } else {
                "fd00:22::1"
            };
            assert_eq!(seen(&outcome), (Some("t"), Some(gateway.into())), "{to}");
        }
    }
}

#[test]
fn masq_all_hides_the_client_and_snat_false_hides_nobody() {
    let net = host_with(2);
    let client = net.client();
    let port = |n| json!([{"hostPort": n, "containerPort": 80, "protocol": "tcp"}]);
    let all = Pod::new(&net, 0)
        .mapping(port(1000))
        .with("masqAll", json!(true));
    let none = Pod::new(&net, 1)
        .mapping(port(2000))
        .with("snat", json!(false));
    let _servers = (
        tcp::Server::start(&net.containers[0], 80, "a").unwrap(),
        tcp::Server::start(&net.containers[1], 80, "b").unwrap(),
    );
    all.does("ADD", &net.host);
    none.does("ADD", &net.host);
    let through = |port| seen(&tcp::exchange(client, net.host.v4(port))).1;
    assert_eq!(through(1000).as_deref(), Some("10.22.0.1"));
    assert_eq!(through(2000).as_deref(), Some("10.99.0.2"));
}

#[test]
fn a_mapping_of_one_address_is_not_served_at_another() {
    let net = host_with(2);
    let client = net.client();
    net.host
        .sh(["ip", "addr", "add", "10.99.0.77/24", "dev", "out0"]);
    let at = |address: &str| json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": address}]);
    let one = Pod::new(&net, 0).mapping(at("10.99.0.77"));
    let other = Pod::new(&net, 1).mapping(at("0.0.0.0"));
    let _servers = (
        tcp::Server::start(&net.containers[0], 80, "one").unwrap(),
        tcp::Server::start(&net.containers[1], 80, "other").unwrap(),
    );
    let server = |to: &str| {
        let outcome = tcp::exchange(client, to.parse().unwrap());
        outcome.server().map(str::to_owned)
    };
    one.does("ADD", &net.host);
    assert_eq!(server("10.99.0.77:8080").as_deref(), Some("one"));
    assert_eq!(server("10.99.0.1:8080"), None);
    other.does("ADD", &net.host);
    assert_eq!(server("10.99.0.77:8080").as_deref(), Some("one"));
    assert_eq!(server("10.99.0.1:8080").as_deref(), Some("other"));
    assert_eq!(tcp::exchange(client, net.host.v6(8080)), Outcome::Refused);
}

#[test]
fn traffic_for_other_hosts_is_untouched() {
    let net = Topology::new()
        .bridge("cni0")
        .client()
        .server()
        .build()
        .unwrap();
    let pod = Pod::new(&net, 0).mapping(all_protocols());
    let _servers = (
        tcp::Server::start(&net.containers[0], 80, "pod").unwrap(),
        tcp::Server::start(net.server(), 8080, "outside").unwrap(),
    );
    pod.does("ADD", &net.host);
    for from in [net.client(), &net.containers[0]] {
        for to in net.server().both(8080) {
            assert_eq!(tcp::exchange(from, to).server(), Some("outside"), "{to}");
        }
    }
}

#[test]
fn a_neighbour_cannot_reach_what_listens_on_127_0_0_1() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0).mapping(all_protocols());
    let secret = "127.0.0.1:6000".parse().unwrap();
    let _secret = tcp::Server::start_at(&net.host, secret, "secret").unwrap();
    let container = &net.containers[0];
    container.sh(["ip", "addr", "del", "127.0.0.1/8", "dev", "lo"]);
    container.sh(["ip", "route", "add", "127.0.0.0/8", "via", "10.22.0.1"]);
    net.host
        .set_sysctl("net.ipv4.conf.cni0.route_localnet", "1")
        .unwrap();
    container
        .set_sysctl("net.ipv4.conf.eth0.route_localnet", "1")
        .unwrap();
    let short = std::time::Duration::from_millis(300);
    let reach = || {
        tcp::exchange_within(container, secret, short)
            .server()
            .map(str::to_owned)
    };
    assert_eq!(
        reach().as_deref(),
        Some("secret"),
        "the hole that is to be closed"
    );
    pod.does("ADD", &net.host);
    assert_eq!(reach(), None);
}

#[test]
fn what_others_translate_to_the_container_is_not_masqueraded() {
    let net = host_with(2);
    let pod = Pod::new(&net, 0).mapping(all_protocols());
    let _server = tcp::Server::start(&net.containers[0], 80, "t").unwrap();
    pod.does("ADD", &net.host);
    // A service address of the same port, as kube-proxy makes one.
    super::nft(
        &net.host,
        "table ip services { chain c { type nat hook prerouting priority -100;
         ip daddr 10.96.0.1 tcp dport 8080 dnat to 10.22.0.2:80; }; }",
    );
    let to = "10.96.0.1:8080".parse().unwrap();
    let outcome = tcp::exchange(net.client(), to);
    assert_eq!(seen(&outcome), (Some("t"), Some("10.99.0.2".into())));
}
