//! Many adjacent host ports: the same answer to packets from every backend, and a handful of rules of iptables.

mod rules;

use std::time::Duration;

use sandbox::Topology;
use sandbox::probe::{sctp, tcp, udp};

use super::node::{Backend, Host, mapping, mapping_on, on_every_backend, request};
use super::order::{FIRST, Node, everywhere};

on_every_backend!(
    the_first_the_middle_and_the_last_port_of_a_run_are_reached,
    a_run_of_other_ports_of_the_container_is_reached,
    another_attachment_takes_a_port_in_the_middle_and_gives_it_back,
    a_newer_run_takes_a_port_and_gives_it_back,
    a_port_of_one_address_is_not_taken_by_a_run_of_all_nor_the_other_way_round,
    a_failed_add_of_a_run_takes_back_all_of_it,
    two_equal_runs_are_served_by_the_newer_one,
    many_ports_are_found_beside_few_and_beside_many_of_another,
);

const NO: Duration = Duration::from_millis(300);

/// Adjacent ports that keep their number.
fn run(protocol: &str, first: u16, count: u16) -> Vec<String> {
    let ports = first..first + count;
    ports.map(|port| mapping(protocol, port, port)).collect()
}

fn the_first_the_middle_and_the_last_port_of_a_run_are_reached(backend: Backend) {
    let topology = Topology::new().bridge("cni0").hairpin().client();
    let host = Host::new(backend, &topology);
    let (pod, client, node) = (host.pod(), host.net.client(), &host.net.host);
    let ports = [20_000, 20_050, 20_099];
    let beside = [19_999, 20_100];
    let all = || ports.into_iter().chain(beside);
    let _tcp: Vec<_> = all()
        .map(|port| tcp::Server::start(pod, port, "pod").unwrap())
        .collect();
    let _udp: Vec<_> = all()
        .map(|port| udp::Server::start(pod, port, "pod").unwrap())
        .collect();
    let _sctp: Vec<_> = all()
        .map(|port| sctp::Server::start(pod, port, "pod").unwrap())
        .collect();
    let mappings = ["tcp", "udp", "sctp"].map(|protocol| run(protocol, 20_000, 100));
    let request = request("", &mappings.concat().join(","));
    host.run("ADD", &request);
    host.run("CHECK", &request);
    for port in ports {
        for to in node.both(port) {
            assert_eq!(tcp::exchange(client, to).server(), Some("pod"), "{to}");
            assert_eq!(udp::exchange(client, to).server(), Some("pod"), "{to}");
            assert_eq!(sctp::exchange(client, to).server(), Some("pod"), "{to}");
            assert_eq!(tcp::exchange(node, to).server(), Some("pod"), "{to}");
            // From the pod to itself.
            assert_eq!(tcp::exchange(pod, to).server(), Some("pod"), "{to}");
        }
        let loopback = ([127, 0, 0, 1], port).into();
        assert_eq!(
            tcp::exchange(node, loopback).server(),
            Some("pod"),
            "{port}"
        );
    }
    for port in beside {
        for to in node.both(port) {
            assert_eq!(tcp::exchange_within(client, to, NO).server(), None, "{to}");
            assert_eq!(udp::exchange_within(client, to, NO).server(), None, "{to}");
        }
    }
    host.run("DEL", &request);
    for to in node.both(20_050) {
        assert_eq!(tcp::exchange_within(client, to, NO).server(), None, "{to}");
        assert_eq!(udp::exchange_within(client, to, NO).server(), None, "{to}");
    }
    host.is_clean();
}

fn a_run_of_other_ports_of_the_container_is_reached(backend: Backend) {
    let host = Host::usual(backend);
    let ports = [0, 7, 19];
    let start = |port: u16| tcp::Server::start(host.pod(), 3000 + port, &port.to_string()).unwrap();
    let _servers = ports.map(start);
    let run: Vec<String> = (0..20)
        .map(|n| mapping("tcp", 20_000 + n, 3000 + n))
        .collect();
    let request = request("", &run.join(","));
    host.run("ADD", &request);
    host.run("CHECK", &request);
    for port in ports {
        for to in host.net.host.both(20_000 + port) {
            let outcome = tcp::exchange(host.net.client(), to);
            assert_eq!(outcome.server(), Some(port.to_string().as_str()), "{to}");
        }
    }
    host.run("DEL", &request);
    host.is_clean();
}

/// Containers with a server each on some ports from 20000 on, which say their number.
struct Servers {
    node: Node,
    _servers: Vec<tcp::Server>,
}

impl Servers {
    fn new(backend: Backend) -> Servers {
        let node = Node::new(backend);
        let mut servers = Vec::new();
        for (number, container) in node.host.net.containers.iter().enumerate() {
            let start =
                |port: u16| tcp::Server::start(container, port, &number.to_string()).unwrap();
            servers.extend([20_000, 20_008, 20_019].map(start));
        }
        Servers {
            node,
            _servers: servers,
        }
    }

    /// Who answers on the first port of the run, one in the middle, and the last one.
    #[track_caller]
    fn serve(&self, expected: [usize; 3]) {
        for (port, number) in [20_000, 20_008, 20_019].into_iter().zip(expected) {
            self.node.serves(port, [number; 2]);
        }
    }
}

fn another_attachment_takes_a_port_in_the_middle_and_gives_it_back(backend: Backend) {
    let servers = Servers::new(backend);
    let node = &servers.node;
    let (all, one) = ([run("tcp", 20_000, 20)], [run("tcp", 20_008, 1)]);
    node.does("ADD", 0, &all);
    servers.serve([0, 0, 0]);
    node.does("ADD", 1, &one);
    servers.serve([0, 1, 0]);
    node.does("CHECK", 1, &one);
    let said = node.host.fails(&node.call("CHECK", 0, &all), 101);
    assert!(
        said.contains("20008/tcp") && !said.contains("20009/tcp"),
        "{said}"
    );
    node.does("DEL", 1, &one);
    servers.serve([0, 0, 0]);
    node.does("CHECK", 0, &all);
    // The run's next ADD takes it again, and its DEL gives it back.
    node.does("ADD", 1, &one);
    node.does("ADD", 0, &all);
    servers.serve([0, 0, 0]);
    node.does("CHECK", 0, &all);
    node.does("DEL", 0, &all);
    node.serves(20_008, [1, 1]);
    node.does("CHECK", 1, &one);
    node.does("DEL", 1, &one);
    node.host.is_clean();
}

fn a_newer_run_takes_a_port_and_gives_it_back(backend: Backend) {
    let servers = Servers::new(backend);
    let node = &servers.node;
    let (all, one) = ([run("tcp", 20_000, 20)], [run("tcp", 20_008, 1)]);
    node.does("ADD", 1, &one);
    node.does("ADD", 0, &all);
    servers.serve([0, 0, 0]);
    node.host.fails(&node.call("CHECK", 1, &one), 101);
    node.does("CHECK", 0, &all);
    node.does("DEL", 0, &all);
    node.serves(20_008, [1, 1]);
    node.does("CHECK", 1, &one);
    // A port is taken where the run has it, and nowhere else.
    let careful = node.request(0, r#""onConflict":"error","#, &all);
    let careful = node.host.call("ADD", &careful).env("CNI_CONTAINERID", "x");
    let said = node.host.fails(&careful, 102);
    assert!(said.contains("20008/tcp"), "{said}");
    node.does("DEL", 1, &one);
    node.host.ok(&careful);
    let careful = node.request(1, r#""onConflict":"error","#, &one);
    let careful = node.host.call("ADD", &careful).env("CNI_CONTAINERID", "y");
    node.host.fails(&careful, 102);
}

fn a_port_of_one_address_is_not_taken_by_a_run_of_all_nor_the_other_way_round(backend: Backend) {
    let on_first = |ports: std::ops::Range<u16>| -> Vec<String> {
        let on = |port| FIRST.map(|address| mapping_on(address, "tcp", port, port));
        ports.flat_map(on).collect()
    };
    let runs = [
        [on_first(20_008..20_009), run("tcp", 20_000, 20)],
        [on_first(20_000..20_020), everywhere_same(20_008)],
        [on_first(20_000..20_020), run("tcp", 20_000, 20)],
    ];
    for (claims, order) in runs
        .iter()
        .flat_map(|claims| [(claims, [0, 1]), (claims, [1, 0])])
    {
        let servers = Servers::new(backend);
        let node = &servers.node;
        let claims = claims.clone().map(|claim| [claim]);
        for number in order {
            node.does("ADD", number, &claims[number]);
        }
        node.serves(20_008, [0, 1]);
        let before = node.rules();
        for number in order {
            node.does("CHECK", number, &claims[number]);
            node.does("ADD", number, &claims[number]);
        }
        assert_eq!(node.rules(), before);
        // One attachment has both.
        let both = [claims[1][0].clone(), claims[0][0].clone()];
        node.does("ADD", 2, &both);
        node.serves(20_008, [2, 2]);
        node.does("CHECK", 2, &both);
        node.does("DEL", 2, &both);
        node.serves(20_008, [0, 1]);
        for number in order {
            node.does("CHECK", number, &claims[number]);
            node.does("DEL", number, &claims[number]);
        }
        node.host.is_clean();
    }
}

fn everywhere_same(port: u16) -> Vec<String> {
    run("tcp", port, 1)
}

fn two_equal_runs_are_served_by_the_newer_one(backend: Backend) {
    let servers = Servers::new(backend);
    let node = &servers.node;
    let all = [run("tcp", 20_000, 20)];
    for number in 0..3 {
        node.does("ADD", number, &all);
        servers.serve([number; 3]);
        node.does("CHECK", number, &all);
    }
    node.does("DEL", 1, &all);
    servers.serve([2; 3]);
    node.does("DEL", 2, &all);
    servers.serve([0; 3]);
    node.does("CHECK", 0, &all);
    node.does("DEL", 0, &all);
    node.host.is_clean();
}

/// With nftables, many ports are read in a list of all where that is not much longer.
fn many_ports_are_found_beside_few_and_beside_many_of_another(backend: Backend) {
    let some = |count: u16| -> Vec<String> {
        (0..count)
            .map(|n| mapping("udp", 20_000 + 2 * n, 80))
            .collect()
    };
    let ours = request("", &some(100).join(","));
    for theirs in [110, 1000] {
        let host = Host::usual(backend);
        let theirs = request("", &some(theirs).join(","));
        let other = |verb| host.call(verb, &theirs).env("CNI_CONTAINERID", "cid-0002");
        host.ok(&other("ADD"));
        host.run("ADD", &ours);
        host.run("CHECK", &ours);
        let said = host.fails(&other("CHECK"), 101);
        assert!(said.contains("20000"), "{theirs}");
        let before = host.state();
        host.run("ADD", &ours);
        assert_eq!(host.state(), before);
        host.run("DEL", &ours);
        host.ok(&other("CHECK"));
        host.ok(&other("DEL"));
        host.is_clean();
    }
}

fn a_failed_add_of_a_run_takes_back_all_of_it(backend: Backend) {
    let servers = Servers::new(backend);
    let node = &servers.node;
    let (all, one) = (
        [run("tcp", 20_000, 20)],
        [everywhere(8080), run("tcp", 20_008, 1)],
    );
    // With nftables, the sets of ranges stay once there has been one.
    node.does("ADD", 0, &all);
    node.does("DEL", 0, &all);
    node.does("ADD", 1, &one);
    let before = node.rules();
    let sysctl = "net.ipv4.conf.cni0.route_localnet";
    node.host.net.host.set_sysctl(sysctl, "0").unwrap();
    let switch = "/proc/sys/net/ipv4/conf/cni0/route_localnet";
    let strace = ["strace", "-qq", "-o", "/dev/null", "-P", switch];
    let inject = ["-e", "inject=write:error=EIO"];
    let failing = node.call("ADD", 0, &all);
    let failing = failing.under(&[&strace[..], &inject].concat());
    node.host.fails(&failing, 100);
    node.host.net.host.set_sysctl(sysctl, "1").unwrap();
    assert_eq!(node.rules(), before);
    node.serves(20_008, [1, 1]);
    node.does("CHECK", 1, &one);
    // One that changes what an earlier one made leaves that.
    node.does("ADD", 0, &all);
    let before = node.rules();
    let more = [run("tcp", 20_000, 30)];
    node.host.net.host.set_sysctl(sysctl, "0").unwrap();
    let failing = node.call("ADD", 0, &more);
    let failing = failing.under(&[&strace[..], &inject].concat());
    node.host.fails(&failing, 100);
    node.host.net.host.set_sysctl(sysctl, "1").unwrap();
    assert_eq!(node.rules(), before);
    servers.serve([0, 0, 0]);
    node.does("CHECK", 0, &all);
}
