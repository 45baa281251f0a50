//! Probes see who answers, as whom they are seen, and how much gets through.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sandbox::probe::{Outcome, http, sctp, tcp, throughput, udp};
use sandbox::topology::Net;
use sandbox::{Namespace, Topology, wait_until};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(10);

fn with_client() -> Net {
    Topology::new().client().build().unwrap()
}

fn peer_ip(outcome: &Outcome) -> Option<IpAddr> {
    outcome.peer().map(|peer| peer.ip())
}

/// The client's address in the family of `target`.
fn client_ip(net: &Net, target: SocketAddr) -> IpAddr {
    if target.is_ipv4() {
        net.client().ipv4.into()
    } else {
        net.client().ipv6.into()
    }
}

/// Translates port 9000 of the host, each of the three protocols, to `port` of the first container.
fn forward(net: &Net, port: u16) {
    let rules = format!(
        "table inet t {{ chain c {{ type nat hook prerouting priority -100;
         meta l4proto {{ tcp, udp, sctp }} th dport 9000 dnat ip to 10.22.0.2:{port}
         meta l4proto {{ tcp, udp, sctp }} th dport 9000 dnat ip6 to [fd00:22::2]:{port}; }}; }}"
    );
    net.host.sh(["nft", &rules]);
}

#[test]
fn each_protocol_reaches_a_server_and_learns_its_name_and_the_peer() {
    let net = with_client();
    let container = &net.containers[0];
    let _servers = (
        tcp::Server::start(container, 80, "tcp one").unwrap(),
        udp::Server::start(container, 80, "udp one").unwrap(),
        sctp::Server::start(container, 80, "sctp one").unwrap(),
    );
    for target in container.both(80) {
        let outcomes = [
            ("tcp one", tcp::exchange(net.client(), target)),
            ("udp one", udp::exchange(net.client(), target)),
            ("sctp one", sctp::exchange(net.client(), target)),
        ];
        for (name, outcome) in outcomes {
            assert_eq!(outcome.server(), Some(name), "{target}: {outcome:?}");
            assert_eq!(
                peer_ip(&outcome),
                Some(client_ip(&net, target)),
                "{target}: {outcome:?}"
            );
        }
    }
}

#[test]
fn each_protocol_follows_an_address_translation() {
    let net = with_client();
    let container = &net.containers[0];
    let _servers = (
        tcp::Server::start(container, 80, "tcp").unwrap(),
        udp::Server::start(container, 80, "udp").unwrap(),
        sctp::Server::start(container, 80, "sctp").unwrap(),
    );
    forward(&net, 80);
    for target in net.host.both(9000) {
        assert_eq!(
            tcp::exchange(net.client(), target).server(),
            Some("tcp"),
            "{target}"
        );
        assert_eq!(
            udp::exchange(net.client(), target).server(),
            Some("udp"),
            "{target}"
        );
        assert_eq!(
            sctp::exchange(net.client(), target).server(),
            Some("sctp"),
            "{target}"
        );
    }
}

#[test]
fn nobody_at_the_port_is_refused() {
    let net = with_client();
    for target in net.containers[0].both(80) {
        assert_eq!(
            tcp::exchange(net.client(), target),
            Outcome::Refused,
            "{target}"
        );
        assert_eq!(
            udp::exchange(net.client(), target),
            Outcome::Refused,
            "{target}"
        );
    }
}

#[test]
fn an_sctp_server_answers_on_its_own_port_only() {
    let net = with_client();
    let _server = sctp::Server::start(&net.containers[0], 80, "sctp").unwrap();
    let outcome = sctp::exchange_within(net.client(), net.containers[0].v4(81), SHORT);
    assert_ne!(outcome.server(), Some("sctp"));
}

#[test]
fn dropped_packets_time_out() {
    let net = with_client();
    let rules = "table inet t { chain c { type filter hook forward priority 0; policy drop; }; }";
    net.host.sh(["nft", rules]);
    for target in net.containers[0].both(80) {
        assert_eq!(
            tcp::exchange_within(net.client(), target, SHORT),
            Outcome::TimedOut,
            "{target}"
        );
        assert_eq!(
            udp::exchange_within(net.client(), target, SHORT),
            Outcome::TimedOut,
            "{target}"
        );
        assert_eq!(
            sctp::exchange_within(net.client(), target, SHORT),
            Outcome::TimedOut,
            "{target}"
        );
    }
}

#[test]
fn no_route_is_a_failure_with_its_reason() {
    let lonely = Namespace::new().unwrap();
    let target = SocketAddr::from(([10, 0, 0, 1], 80));
    for outcome in [
        tcp::exchange(&lonely, target),
        udp::exchange(&lonely, target),
        sctp::exchange(&lonely, target),
    ] {
        assert!(
            matches!(&outcome, Outcome::Failed(why) if why.contains("unreachable")),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_server_stops_when_it_is_dropped() {
    let namespace = Namespace::new().unwrap();
    let server = tcp::Server::start(&namespace, 0, "once").unwrap();
    let target = SocketAddr::from(([127, 0, 0, 1], server.address.port()));
    assert_eq!(tcp::exchange(&namespace, target).server(), Some("once"));
    drop(server);
    assert_eq!(tcp::exchange(&namespace, target), Outcome::Refused);
}

#[test]
fn a_connection_stays_open_between_exchanges() {
    let namespace = Namespace::new().unwrap();
    let server = tcp::Server::start(&namespace, 0, "open").unwrap();
    let target = SocketAddr::from(([127, 0, 0, 1], server.address.port()));
    let mut connection = tcp::Connection::open(&namespace, target, LONG).unwrap();
    assert_eq!(connection.echo("one").unwrap(), "one");
    assert_eq!(connection.echo("two").unwrap(), "two");
    drop(server);
    assert!(connection.echo("three").is_err());
}

#[test]
fn a_datagram_leaves_from_the_port_asked_for() {
    let net = with_client();
    let _server = udp::Server::start(&net.containers[0], 53, "dns").unwrap();
    let source = net.client().v4(4000);
    let outcome = udp::exchange_from(net.client(), source, net.containers[0].v4(53), LONG);
    assert_eq!(outcome.peer(), Some(source));
}

#[test]
fn a_flow_reports_who_answers_now() {
    let net = with_client();
    let container = &net.containers[0];
    let flow = udp::Flow::start(net.client(), net.client().v4(4000), container.v4(53)).unwrap();
    assert!(
        wait_until(LONG, || flow.latest() == Outcome::Refused),
        "{flow:?}"
    );
    for name in ["first", "second"] {
        let _server = udp::Server::start(container, 53, name).unwrap();
        assert!(
            wait_until(LONG, || flow.latest().server() == Some(name)),
            "{flow:?}"
        );
    }
    net.host.sh(["ip", "link", "set", "veth0", "down"]);
    assert!(
        wait_until(LONG, || flow.latest() == Outcome::TimedOut),
        "{flow:?}"
    );
    let (sent, answered) = flow.counts();
    assert!(sent >= answered && answered >= 2, "{sent} {answered}");
}

#[test]
fn a_page_is_fetched() {
    let net = with_client();
    let _server = http::Server::start(&net.containers[0], 80, "the pod").unwrap();
    let page = http::fetch(net.client(), net.containers[0].v4(80), LONG).unwrap();
    assert_eq!(page, "Hello from the pod, you are 10.99.0.2\n");
    let error = http::fetch(net.client(), net.containers[0].v4(81), LONG)
        .unwrap_err()
        .to_string();
    assert!(error.contains("http://10.22.0.2:81/"), "{error}");
}

/// Measures into a container behind a limit of 8 Mbit/s with a burst of 125 kB (1 Mbit).
fn assert_limited(
    measure: impl Fn(&Namespace, &Namespace, [SocketAddr; 2]) -> throughput::Throughput,
) {
    let net = with_client();
    let limit = "tc qdisc add dev veth0 root tbf rate 8mbit burst 125kb latency 25ms";
    net.host
        .try_sh(&limit.split(' ').collect::<Vec<_>>())
        .unwrap();
    let container = &net.containers[0];
    let measured = measure(net.client(), container, container.both(0));
    // The receiver may come late by a second on a busy machine; without the limit it would still get
    // more than twice as much.
    assert!(
        measured.total() * 8 < 8_000_000 * 2 + 1_024_000,
        "{measured:?}"
    );
    assert!(measured.first_second() > 0.0, "{measured:?}");
    assert!(measured.total() > 200_000, "{measured:?}");
}

#[test]
fn tcp_throughput_shows_a_limit() {
    let time = Duration::from_millis(1000);
    assert_limited(|from, to, [v4, _]| throughput::tcp(from, to, v4, time).unwrap());
}

#[test]
fn tcp_throughput_over_ipv6_shows_a_limit() {
    let time = Duration::from_millis(1000);
    assert_limited(|from, to, [_, v6]| throughput::tcp(from, to, v6, time).unwrap());
}

#[test]
fn udp_throughput_shows_a_limit() {
    let time = Duration::from_millis(1000);
    assert_limited(|from, to, [v4, _]| throughput::udp(from, to, v4, 40_000_000, time).unwrap());
}

#[test]
fn udp_throughput_over_ipv6_shows_a_limit() {
    let time = Duration::from_millis(1000);
    assert_limited(|from, to, [_, v6]| throughput::udp(from, to, v6, 40_000_000, time).unwrap());
}

#[test]
fn throughput_of_nothing_is_an_error() {
    let (from, to) = (Namespace::new().unwrap(), Namespace::new().unwrap());
    // The listener is on `to`'s loopback, the sender knocks at its own.
    let error = throughput::tcp(&from, &to, SocketAddr::from(([127, 0, 0, 1], 0)), SHORT);
    assert_eq!(
        error.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
}
