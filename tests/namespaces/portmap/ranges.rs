//! Many adjacent host ports: the same answer to packets from every backend, and a handful of rules of iptables.

use std::time::Duration;

use sandbox::Topology;
use sandbox::probe::{sctp, tcp, udp};

use super::node::{
    Backend, Host, REFERENCE, mapping, mapping_on, on_both_variants, on_every_backend, request,
    request_of,
};
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

on_both_variants!(
    a_thousand_ports_take_as_many_rules_as_one,
    check_misses_a_rule_of_a_run_and_add_writes_it_again,
    fewer_ports_are_written_as_the_reference_writes_them,
    a_run_that_the_reference_added_passes_our_check_and_stays_as_it_is,
    the_reference_s_del_removes_a_run_of_ours,
    a_run_with_conditions_is_added_checked_and_removed,
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

/// The rules of attachments: those in their chains, and the jumps there.
fn rules(host: &Host) -> usize {
    let nat = ["iptables", "ip6tables"]
        .map(|base| host.nat(base))
        .concat();
    let rules = nat.lines().filter(|line| line.starts_with("-A"));
    rules.filter(|line| line.contains("CNI-DN-")).count()
}

fn a_thousand_ports_take_as_many_rules_as_one(backend: Backend) {
    let host = Host::usual(backend);
    let count = |mappings: &[String]| {
        let request = request("", &mappings.join(","));
        host.run("ADD", &request);
        let found = rules(&host);
        let before = host.state();
        host.run("CHECK", &request);
        host.run("ADD", &request);
        assert_eq!(host.state(), before);
        host.run("DEL", &request);
        host.is_clean();
        found
    };
    let one = count(&run("tcp", 20_000, 1));
    assert_eq!(count(&run("tcp", 20_000, 1000)), one);
    assert_eq!(count(&run("udp", 1, 65_534)), one);
    // Whatever the order in which they are written.
    let mut down = run("sctp", 20_000, 1000);
    down.reverse();
    assert_eq!(count(&down), one);
    // Beside others, which need no jump of their own.
    let mixed = [run("tcp", 20_000, 1000), run("tcp", 8080, 1)].concat();
    assert_eq!(count(&mixed), 2 * one - 2);
}

const OWN: &str = "CNI-DN-e3b332d931428973f7ef7";

fn check_misses_a_rule_of_a_run_and_add_writes_it_again(backend: Backend) {
    let host = Host::usual(backend);
    let request = request("", &run("tcp", 20_000, 100).join(","));
    host.run("ADD", &request);
    let before = host.state();
    let range = "-p tcp -m tcp --dport 20000:20099";
    let damages = [
        format!("-D {OWN} {range} -j DNAT --to-destination 10.22.0.2"),
        format!("-D {OWN} -s 127.0.0.1/32 {range} -j CNI-HOSTPORT-SETMARK"),
        format!("-F {OWN}"),
        "-D CNI-HOSTPORT-DNAT 1".to_owned(),
        // All but one port of it.
        format!("-R {OWN} 3 -p tcp -m tcp --dport 20000:20098 -j DNAT --to-destination 10.22.0.2"),
        format!("-R {OWN} 3 {range} -j DNAT --to-destination 10.22.0.3"),
        format!("-R {OWN} 3 {range} -j DNAT --to-destination 10.22.0.2:20000"),
        "-I CNI-HOSTPORT-DNAT -p tcp -m tcp --dport 20050 -j RETURN".to_owned(),
    ];
    for damage in damages {
        host.iptables("iptables", &format!("-t nat {damage}"));
        let said = host.fails(&host.call("CHECK", &request), 101);
        // However many ports miss it.
        assert!(said.len() < 4000, "{damage}: {said}");
        host.run("ADD", &request);
        host.run("CHECK", &request);
        if !damage.starts_with("-I") {
            assert_eq!(host.state(), before, "{damage}");
        }
    }
    host.run("DEL", &request);
    host.is_clean();
}

fn fewer_ports_are_written_as_the_reference_writes_them(backend: Backend) {
    let host = Host::usual(backend);
    for mappings in [
        run("tcp", 20_000, 15),
        (0..40)
            .map(|n| mapping("tcp", 20_000 + 2 * n, 80))
            .collect(),
    ] {
        let request = request_of("", &mappings.join(","), &["10.22.0.2/16"]);
        let mut written = ["portmap", REFERENCE].map(|plugin| {
            host.ok(&host.call_of(plugin, "ADD", &request));
            let nat = host.nat("iptables");
            let rules = nat.lines().filter(|line| line.contains("CNI-DN-"));
            let rules: Vec<String> = rules.map(str::to_owned).collect();
            host.run("DEL", &request);
            rules
        });
        written.iter_mut().for_each(|rules| rules.sort());
        assert_eq!(written[0], written[1]);
    }
}

fn a_run_that_the_reference_added_passes_our_check_and_stays_as_it_is(backend: Backend) {
    let host = Host::usual(backend);
    for options in ["", r#""conditionsV4":["-s","10.99.0.0/24"],"#] {
        let mappings = run("tcp", 20_000, 20).join(",");
        let request = request_of(options, &mappings, &["10.22.0.2/16"]);
        host.ok(&host.call_of(REFERENCE, "ADD", &request));
        host.run("CHECK", &request);
        if options.is_empty() {
            host.run("ADD", &request);
            assert_eq!(rules(&host), 3 * 20 + 2);
        }
        // What misses is said of it, not of all others.
        let rule = "-p tcp -m tcp --dport 20019 -j DNAT --to-destination 10.22.0.2:20019";
        host.iptables("iptables", &format!("-t nat -D {OWN} {rule}"));
        let said = host.fails(&host.call("CHECK", &request), 101);
        assert!(said.contains("20019") && said.len() < 1000, "{said}");
        host.run("ADD", &request);
        host.run("CHECK", &request);
        assert!(rules(&host) <= 5, "{}", host.nat("iptables"));
        host.run("DEL", &request);
        host.is_clean();
    }
}

fn the_reference_s_del_removes_a_run_of_ours(backend: Backend) {
    let host = Host::usual(backend);
    let request = request_of("", &run("tcp", 20_000, 1000).join(","), &["10.22.0.2/16"]);
    host.run("ADD", &request);
    host.ok(&host.call_of(REFERENCE, "DEL", &request));
    host.is_clean();
    host.run("DEL", &request);
}

fn a_run_with_conditions_is_added_checked_and_removed(backend: Backend) {
    let host = Host::usual(backend);
    let client = host.net.client();
    let _server = tcp::Server::start(host.pod(), 20_050, "pod").unwrap();
    let mappings = run("tcp", 20_000, 100).join(",");
    for (source, server) in [("10.99.0.0/24", Some("pod")), ("10.98.0.0/24", None)] {
        let options = format!(r#""conditionsV4":["-s","{source},192.0.2.1"],"#);
        let request = request_of(&options, &mappings, &["10.22.0.2/16"]);
        host.run("ADD", &request);
        host.run("CHECK", &request);
        // With that of the entry, and one jump for each source.
        assert_eq!(rules(&host), 4 + 2);
        let [to, _] = host.net.host.both(20_050);
        let outcome = tcp::exchange_within(client, to, NO);
        assert_eq!(outcome.server(), server, "{source}");
        host.iptables("iptables", "-t nat -D CNI-HOSTPORT-DNAT 2");
        host.fails(&host.call("CHECK", &request), 101);
        host.run("ADD", &request);
        host.run("CHECK", &request);
        host.run("DEL", &request);
        host.is_clean();
    }
}
