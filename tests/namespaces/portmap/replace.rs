//! The newest owner of a port, and a request that changes.

use sandbox::Topology;
use sandbox::probe::tcp;

use super::node::{
    Backend, Host, mapping, on_both_variants, on_every_backend, request, request_of,
};

on_every_backend!(
    a_stale_owner_does_not_keep_a_port_from_a_new_pod,
    what_a_failed_add_replaced_is_there_again,
);
on_both_variants!(
    a_changed_address_or_port_replaces_what_was_there,
    the_newest_owner_of_a_port_wins_and_the_older_comes_back,
);

const FIRST: [&str; 2] = ["10.22.0.2/16", "fd00:22::2/64"];
const SECOND: [&str; 2] = ["10.22.0.3/16", "fd00:22::3/64"];

fn two_pods(backend: Backend) -> (Host, [tcp::Server; 2]) {
    let host = Host::new(backend, &Topology::new().client().containers(2));
    let servers = [("first", 0), ("second", 1)].map(|(name, number)| {
        let node: &sandbox::Node = &host.net.containers[number];
        tcp::Server::start(node, 80, name).unwrap()
    });
    (host, servers)
}

#[track_caller]
fn serves(host: &Host, port: u16, name: &str) {
    for address in host.net.host.both(port) {
        let outcome = tcp::exchange(host.net.client(), address);
        assert_eq!(outcome.server(), Some(name), "{outcome:?}");
    }
}

fn a_changed_address_or_port_replaces_what_was_there(backend: Backend) {
    let (host, _servers) = two_pods(backend);
    host.run("ADD", &request_of("", &mapping("tcp", 8080, 80), &FIRST));
    serves(&host, 8080, "first");
    let moved = request_of("", &mapping("tcp", 8080, 80), &SECOND);
    host.run("ADD", &moved);
    host.run("CHECK", &moved);
    serves(&host, 8080, "second");
    let other_port = request_of("", &mapping("tcp", 9090, 80), &SECOND);
    host.drifted(&other_port, "9090");
    host.run("ADD", &other_port);
    host.run("CHECK", &other_port);
    serves(&host, 9090, "second");
    for address in host.net.host.both(8080) {
        assert_eq!(tcp::exchange(host.net.client(), address).server(), None);
    }
    for (base, only) in [("ip6tables", &SECOND[..1]), ("iptables", &SECOND[1..])] {
        host.run("ADD", &other_port);
        let one_family = request_of("", &mapping("tcp", 9090, 80), only);
        host.drifted(&one_family, "expected none, found present");
        host.run("ADD", &one_family);
        host.run("CHECK", &one_family);
        let nat = host.nat(base);
        assert!(!nat.contains("CNI-DN-"), "{nat}");
    }
    host.run("DEL", &request("", ""));
    host.is_clean();
}

fn the_newest_owner_of_a_port_wins_and_the_older_comes_back(backend: Backend) {
    let (host, _servers) = two_pods(backend);
    let old = request_of("", &mapping("tcp", 8080, 80), &FIRST);
    let new = request_of("", &mapping("tcp", 8080, 80), &SECOND);
    let newer = |verb| host.call(verb, &new).env("CNI_CONTAINERID", "cid-0002");
    host.run("ADD", &old);
    host.ok(&newer("ADD"));
    serves(&host, 8080, "second");
    host.ok(&newer("CHECK"));
    host.drifted(&old, "cid-0002");
    host.ok(&newer("DEL"));
    serves(&host, 8080, "first");
    host.run("CHECK", &old);
    host.ok(&newer("ADD"));
    host.run("DEL", &old);
    serves(&host, 8080, "second");
    host.ok(&newer("CHECK"));
}

fn a_stale_owner_does_not_keep_a_port_from_a_new_pod(backend: Backend) {
    let (host, _servers) = two_pods(backend);
    // Many pods that nobody took back, each with more ports than one rule lists.
    let ports: Vec<String> = (8070..8090).map(|port| mapping("tcp", port, 80)).collect();
    let stale = request_of("", &ports.join(","), &["10.22.0.99/16", "fd00:22::99/64"]);
    for number in 0..5 {
        let id = format!("stale-{number}");
        host.ok(&host.call("ADD", &stale).env("CNI_CONTAINERID", &id));
    }
    let fresh = request_of("", &mapping("tcp", 8080, 80), &FIRST);
    host.run("ADD", &fresh);
    host.run("CHECK", &fresh);
    serves(&host, 8080, "first");
}

/// The conditions of one IP version are refused when the other's rules are in.
fn what_a_failed_add_replaced_is_there_again(backend: Backend) {
    let (host, _servers) = two_pods(backend);
    let neighbour = request_of("", &mapping("tcp", 9090, 80), &SECOND);
    host.ok(&host
        .call("ADD", &neighbour)
        .env("CNI_CONTAINERID", "cid-0002"));
    let words = match backend {
        Backend::Nftables => [r#"["ip","nosuch","1"]"#, r#"["ip","ttl","1-255"]"#],
        _ => [
            r#"["-m","nosuch"]"#,
            r#"["-m","connlimit","--connlimit-upto","9"]"#,
        ],
    };
    let good = match backend {
        Backend::Nftables => String::new(),
        _ => format!(r#""conditionsV4":{0},"conditionsV6":{0},"#, words[1]),
    };
    // Without the lines that hold counters.
    let rules = || -> Vec<String> {
        let state = host.state();
        let rules = state.lines().filter(|line| !line.starts_with(':'));
        rules.map(str::to_owned).collect()
    };
    for options in ["", &good] {
        let old = request_of(options, &mapping("tcp", 8080, 80), &FIRST);
        host.run("ADD", &old);
        let before = rules();
        for key in ["conditionsV4", "conditionsV6"] {
            let conditions = format!(r#""{key}":{},"#, words[0]);
            let new = request_of(&conditions, &mapping("tcp", 8081, 80), &FIRST);
            host.fails(&host.call("ADD", &new), 7);
            assert_eq!(rules(), before, "{key}");
            host.run("CHECK", &old);
            serves(&host, 8080, "first");
        }
    }
}
