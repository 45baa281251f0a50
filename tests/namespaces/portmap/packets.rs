//! Real packets through mapped ports.

use std::net::SocketAddr;
use std::time::Duration;

use sandbox::probe::{Outcome, sctp, tcp, udp};
use sandbox::{Namespace, Topology};

use super::node::{Backend, Host, mapping, mapping_on, on_every_backend, request};

on_every_backend!(
    a_port_is_reached_from_outside_over_every_protocol_and_ip_version,
    a_port_is_reached_from_the_node_by_its_address_and_by_loopback,
    a_pod_reaches_itself_and_others_reach_it_through_the_port,
    a_port_of_one_address_is_mapped_on_that_address_only,
    forwarded_traffic_to_the_same_port_elsewhere_is_left_alone,
    conditions_decide_who_reaches_a_port,
    without_snat_the_pod_sees_the_client_s_address,
    with_masq_all_the_pod_sees_the_node_s_address,
);

/// Long enough for a namespace next door, short enough to wait for.
const NO: Duration = Duration::from_millis(300);

#[track_caller]
fn reached(outcome: &Outcome, server: &str) {
    assert_eq!(outcome.server(), Some(server), "{outcome:?}");
}

#[track_caller]
fn closed(from: &Namespace, to: SocketAddr) {
    let outcome = tcp::exchange_within(from, to, NO);
    assert_eq!(outcome.server(), None, "{outcome:?}");
}

fn ports() -> String {
    [
        mapping("tcp", 8080, 80),
        mapping("udp", 8081, 81),
        mapping("sctp", 8082, 82),
    ]
    .join(",")
}

fn a_port_is_reached_from_outside_over_every_protocol_and_ip_version(backend: Backend) {
    let host = Host::usual(backend);
    let (pod, client) = (host.pod(), host.net.client());
    let _tcp = tcp::Server::start(pod, 80, "pod").unwrap();
    let _udp = udp::Server::start(pod, 81, "pod").unwrap();
    let _sctp = sctp::Server::start(pod, 82, "pod").unwrap();
    let request = request("", &ports());
    host.run("ADD", &request);
    for address in host.net.host.both(8080) {
        reached(&tcp::exchange(client, address), "pod");
    }
    for address in host.net.host.both(8081) {
        reached(&udp::exchange(client, address), "pod");
    }
    for address in host.net.host.both(8082) {
        reached(&sctp::exchange(client, address), "pod");
    }
    host.run("DEL", &request);
    for address in host.net.host.both(8080) {
        closed(client, address);
    }
    for address in host.net.host.both(8081) {
        assert_eq!(udp::exchange_within(client, address, NO).server(), None);
    }
    for address in host.net.host.both(8082) {
        assert_eq!(sctp::exchange_within(client, address, NO).server(), None);
    }
}

fn a_port_is_reached_from_the_node_by_its_address_and_by_loopback(backend: Backend) {
    let host = Host::usual(backend);
    let _tcp = tcp::Server::start(host.pod(), 80, "pod").unwrap();
    let _udp = udp::Server::start(host.pod(), 81, "pod").unwrap();
    let request = request("", &ports());
    host.run("ADD", &request);
    for address in host.net.host.both(8080) {
        reached(&tcp::exchange(&host.net.host, address), "pod");
    }
    reached(
        &tcp::exchange(&host.net.host, ([127, 0, 0, 1], 8080).into()),
        "pod",
    );
    reached(
        &udp::exchange(&host.net.host, ([127, 0, 0, 1], 8081).into()),
        "pod",
    );
    host.run("DEL", &request);
    closed(&host.net.host, ([127, 0, 0, 1], 8080).into());
}

fn a_pod_reaches_itself_and_others_reach_it_through_the_port(backend: Backend) {
    let topology = Topology::new()
        .bridge("cni0")
        .hairpin()
        .containers(2)
        .client();
    let host = Host::new(backend, &topology);
    let _tcp = tcp::Server::start(host.pod(), 80, "pod").unwrap();
    host.run("ADD", &request("", &ports()));
    for address in host.net.host.both(8080) {
        reached(&tcp::exchange(host.pod(), address), "pod");
        reached(&tcp::exchange(&host.net.containers[1], address), "pod");
    }
    // Through the gateway's address, too: it is one of the node's.
    reached(
        &tcp::exchange(host.pod(), ([10, 22, 0, 1], 8080).into()),
        "pod",
    );
}

fn a_port_of_one_address_is_mapped_on_that_address_only(backend: Backend) {
    let host = Host::usual(backend);
    let client = host.net.client();
    let _tcp = tcp::Server::start(host.pod(), 80, "pod").unwrap();
    let second = ["10.99.0.77", "fd99::77"];
    host.net
        .host
        .sh(["ip", "address", "add", "10.99.0.77/24", "dev", "out0"]);
    host.net.host.sh([
        "ip",
        "address",
        "add",
        "fd99::77/64",
        "dev",
        "out0",
        "nodad",
    ]);
    let mappings = [
        mapping_on("10.99.0.77", "tcp", 8080, 80),
        mapping_on("FD99:0:0::77", "tcp", 8080, 80),
    ];
    host.run("ADD", &request("", &mappings.join(",")));
    for address in second {
        let to = SocketAddr::new(address.parse().unwrap(), 8080);
        reached(&tcp::exchange(client, to), "pod");
    }
    for address in host.net.host.both(8080) {
        closed(client, address);
    }
    closed(&host.net.host, ([127, 0, 0, 1], 8080).into());
}

fn forwarded_traffic_to_the_same_port_elsewhere_is_left_alone(backend: Backend) {
    let host = Host::new(backend, &Topology::new().client().server());
    let (client, server) = (host.net.client(), host.net.server());
    let _pod = tcp::Server::start(host.pod(), 8080, "pod").unwrap();
    let _server = tcp::Server::start(server, 8080, "server").unwrap();
    host.run("ADD", &request("", &mapping("tcp", 8080, 8080)));
    for address in server.both(8080) {
        reached(&tcp::exchange(client, address), "server");
        reached(&tcp::exchange(host.pod(), address), "server");
        reached(&tcp::exchange(&host.net.host, address), "server");
    }
    for address in host.net.host.both(8080) {
        reached(&tcp::exchange(client, address), "pod");
    }
}

fn conditions_decide_who_reaches_a_port(backend: Backend) {
    let host = Host::new(backend, &Topology::new().client().server());
    let _tcp = tcp::Server::start(host.pod(), 80, "pod").unwrap();
    let options = match backend {
        Backend::IptablesNft | Backend::IptablesLegacy => {
            r#""conditionsV4":["-s","10.99.0.0/24"],"conditionsV6":["!","-s","fd98::/64"],"#
        }
        Backend::Nftables => {
            r#""conditionsV4":["ip","saddr","10.99.0.0/24"],"conditionsV6":["ip6","saddr","!=","fd98::/64"],"#
        }
    };
    let request = request(options, &mapping("tcp", 8080, 80));
    host.run("ADD", &request);
    host.run("CHECK", &request);
    for address in host.net.host.both(8080) {
        reached(&tcp::exchange(host.net.client(), address), "pod");
        closed(host.net.server(), address);
    }
}

fn without_snat_the_pod_sees_the_client_s_address(backend: Backend) {
    let host = Host::usual(backend);
    let client = host.net.client();
    let _tcp = tcp::Server::start(host.pod(), 80, "pod").unwrap();
    for options in ["", r#""snat":false,"#] {
        host.run("ADD", &request(options, &mapping("tcp", 8080, 80)));
        for (address, own) in host.net.host.both(8080).into_iter().zip(client.both(0)) {
            let outcome = tcp::exchange(client, address);
            assert_eq!(
                outcome.peer().map(|peer| peer.ip()),
                Some(own.ip()),
                "{outcome:?}"
            );
        }
    }
}

fn with_masq_all_the_pod_sees_the_node_s_address(backend: Backend) {
    let host = Host::usual(backend);
    let _tcp = tcp::Server::start(host.pod(), 80, "pod").unwrap();
    host.run(
        "ADD",
        &request(r#""masqAll":true,"#, &mapping("tcp", 8080, 80)),
    );
    for (address, node) in host
        .net
        .host
        .both(8080)
        .into_iter()
        .zip(["10.22.0.1", "fd00:22::1"])
    {
        let outcome = tcp::exchange(host.net.client(), address);
        let seen = outcome.peer().map(|peer| peer.ip().to_string());
        assert_eq!(seen.as_deref(), Some(node), "{outcome:?}");
    }
}
