//! Who gets a port that several attachments claim: the same answer to packets from every backend.

use std::time::Duration;

use sandbox::plugin::Call;
use sandbox::probe::tcp;
use sandbox::{Topology, wait_until};

use super::node::{Backend, Host, mapping, mapping_on, on_every_backend, request_of};

on_every_backend!(
    a_port_of_one_address_is_not_taken_by_the_same_port_of_all,
    mixed_claims_are_served_address_by_address,
    a_failed_add_and_a_del_leave_the_others_their_ports,
    a_failed_add_takes_back_what_it_wrote_for_others,
    a_container_s_second_network_leaves_the_port_to_its_first,
    of_one_request_s_claims_the_one_of_an_address_is_served_there,
    with_conditions_too_who_is_added_again_is_the_newest,
    entries_with_conditions_that_are_added_again_are_the_newest,
    conditions_come_first_and_stay_closed_whoever_is_added,
);

const CAREFUL: &str = r#""onConflict":"error","#;
/// Addresses of the node.
pub const FIRST: [&str; 2] = ["10.99.0.1", "fd99::1"];
pub const SECOND: [&str; 2] = ["10.99.0.77", "fd99::77"];

pub struct Node {
    pub host: Host,
    _servers: Vec<tcp::Server>,
}

impl Node {
    pub fn new(backend: Backend) -> Node {
        Node::of(backend, 3)
    }

    /// With so many containers.
    pub fn of(backend: Backend, containers: u8) -> Node {
        let topology = Topology::new().bridge("cni0");
        let topology = topology.containers(containers).client();
        let host = Host::new(backend, &topology);
        let node = &host.net.host;
        node.sh(["ip", "address", "add", "10.99.0.77/24", "dev", "out0"]);
        node.sh([
            "ip",
            "address",
            "add",
            "fd99::77/64",
            "dev",
            "out0",
            "nodad",
        ]);
        // The kernel makes its route a moment later.
        let is_there = || {
            let local = node.sh(["ip", "-6", "route", "show", "table", "local"]);
            local.contains(SECOND[1])
        };
        assert!(wait_until(Duration::from_secs(10), is_there));
        let server = |n: usize| tcp::Server::start(&host.net.containers[n], 80, &n.to_string());
        let servers = (0..containers.into()).map(|n| server(n).unwrap());
        let servers = servers.collect();
        Node {
            host,
            _servers: servers,
        }
    }

    pub fn request(&self, number: usize, options: &str, ports: &[Vec<String>]) -> String {
        let pod = &self.host.net.containers[number];
        let addresses = [format!("{}/16", pod.ipv4), format!("{}/64", pod.ipv6)];
        let addresses = addresses.each_ref().map(String::as_str);
        request_of(options, &ports.concat().join(","), &addresses)
    }

    pub fn call(&self, verb: &str, number: usize, ports: &[Vec<String>]) -> Call {
        let request = self.request(number, "", ports);
        let call = self.host.call(verb, &request);
        call.env("CNI_CONTAINERID", &format!("cid-{number}"))
    }

    pub fn does(&self, verb: &str, number: usize, ports: &[Vec<String>]) {
        self.host.ok(&self.call(verb, number, ports));
    }

    /// All rules, without what the node's chains counted.
    pub fn rules(&self) -> Vec<String> {
        let state = self.host.state();
        let lines = state.lines().filter(|line| !line.starts_with(':'));
        lines.map(str::to_owned).collect()
    }

    /// Which container answers at each address, over both IP versions.
    #[track_caller]
    pub fn serves(&self, port: u16, expected: [usize; 2]) {
        for (addresses, number) in [FIRST, SECOND].into_iter().zip(expected) {
            for address in addresses {
                let to = (address.parse::<std::net::IpAddr>().unwrap(), port).into();
                let outcome = tcp::exchange(self.host.net.client(), to);
                let by = number.to_string();
                assert_eq!(outcome.server(), Some(by.as_str()), "{to}: {outcome:?}");
            }
        }
    }
}

/// A port of one of the node's addresses in each IP version.
pub fn on(addresses: [&str; 2], port: u16) -> Vec<String> {
    addresses
        .map(|address| mapping_on(address, "tcp", port, 80))
        .to_vec()
}

/// A port of all of them.
pub fn everywhere(port: u16) -> Vec<String> {
    vec![mapping("tcp", port, 80)]
}

fn a_port_of_one_address_is_not_taken_by_the_same_port_of_all(backend: Backend) {
    for order in [[0, 1], [1, 0]] {
        let node = Node::new(backend);
        let claims = [[on(FIRST, 8080)], [everywhere(8080)]];
        for number in order {
            node.does("ADD", number, &claims[number]);
        }
        node.serves(8080, [0, 1]);
        let before = node.rules();
        for number in order {
            node.does("CHECK", number, &claims[number]);
            node.does("ADD", number, &claims[number]);
        }
        assert_eq!(node.rules(), before);
        // A newer one takes all addresses but that one.
        node.does("ADD", 2, &claims[1]);
        node.serves(8080, [0, 2]);
        node.does("CHECK", 0, &claims[0]);
        node.does("DEL", 2, &claims[1]);
        node.does("DEL", order[0], &claims[order[0]]);
        if order[0] == 1 {
            node.does("ADD", 1, &claims[1]);
        }
        let left = if order[0] == 1 { [0, 1] } else { [1, 1] };
        node.serves(8080, left);
    }
}

fn mixed_claims_are_served_address_by_address(backend: Backend) {
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let node = Node::new(backend);
        let claims = [
            vec![on(FIRST, 8080), everywhere(8080), everywhere(8081)],
            vec![on(SECOND, 8080), everywhere(8080), on(FIRST, 8081)],
            vec![everywhere(8080), everywhere(8081)],
        ];
        for number in order {
            node.does("ADD", number, &claims[number]);
        }
        let newest = if order[2] == 0 { 0 } else { 2 };
        node.serves(8080, [0, 1]);
        node.serves(8081, [1, newest]);
        // Again is the same, and nobody's goes with another.
        let before = node.rules();
        node.does("ADD", order[2], &claims[order[2]]);
        assert_eq!(node.rules(), before);
        node.does("DEL", 2, &claims[2]);
        node.serves(8080, [0, 1]);
        node.serves(8081, [1, 0]);
        node.does("DEL", 1, &claims[1]);
        node.serves(8080, [0, 0]);
        node.does("CHECK", 0, &claims[0]);
        node.does("DEL", 0, &claims[0]);
        node.host.is_clean();
    }
}

fn a_failed_add_and_a_del_leave_the_others_their_ports(backend: Backend) {
    let node = Node::new(backend);
    let claims = [
        vec![on(FIRST, 8081)],
        vec![everywhere(8080)],
        vec![everywhere(8080), everywhere(8081)],
    ];
    let switch = "/proc/sys/net/ipv4/conf/cni0/route_localnet";
    let strace = ["strace", "-qq", "-o", "/dev/null", "-P", switch];
    let inject = ["-e", "inject=write:error=EIO"];
    for number in [0, 1] {
        node.does("ADD", number, &claims[number]);
    }
    let sysctl = "net.ipv4.conf.cni0.route_localnet";
    node.host.net.host.set_sysctl(sysctl, "0").unwrap();
    let failing = node.call("ADD", 2, &claims[2]);
    node.host
        .fails(&failing.under(&[&strace[..], &inject].concat()), 100);
    node.serves(8080, [1, 1]);
    node.host.net.host.set_sysctl(sysctl, "1").unwrap();
    for number in [0, 1] {
        node.does("CHECK", number, &claims[number]);
    }
    node.does("ADD", 2, &claims[2]);
    node.serves(8080, [2, 2]);
    node.serves(8081, [0, 2]);
    node.does("CHECK", 2, &claims[2]);
    node.does("DEL", 2, &claims[2]);
    node.serves(8080, [1, 1]);
    node.does("DEL", 0, &claims[0]);
    node.does("DEL", 1, &claims[1]);
    node.host.is_clean();
}

fn a_failed_add_takes_back_what_it_wrote_for_others(backend: Backend) {
    let node = Node::new(backend);
    let single = [on(FIRST, 8080)];
    node.does("ADD", 0, &single);
    node.does("ADD", 1, &single);
    node.does("ADD", 2, &[everywhere(8081)]);
    let jumps = || -> Vec<String> {
        let rules = node.rules().into_iter();
        rules
            .filter(|rule| rule.starts_with("-A CNI-HOSTPORT-DNAT"))
            .collect()
    };
    let before = jumps();
    // Behind one port of 0, and before one of 2.
    let changed = [everywhere(8080), everywhere(8081)];
    let full = ["sh", "-c", "exec \"$0\" >/dev/full"];
    let failed = node.call("ADD", 1, &changed).under(&full);
    assert_eq!(failed.run(&node.host.net.host).unwrap().code, Some(1));
    assert_eq!(jumps(), before);
    let outcome = tcp::exchange(node.host.net.client(), node.host.net.host.v4(8080));
    assert_eq!(outcome.server(), Some("1"));
    node.does("CHECK", 1, &single);
}

fn a_container_s_second_network_leaves_the_port_to_its_first(backend: Backend) {
    let node = Node::new(backend);
    let host = &node.host;
    let ports = [everywhere(8080), on(FIRST, 8081)];
    let first = |verb: &str| {
        let call = host.call(verb, &node.request(0, CAREFUL, &ports));
        call.env("CNI_CONTAINERID", "web")
    };
    let second = |verb: &str| {
        let request = node.request(1, CAREFUL, &ports);
        let request = request.replace(r#""eth0""#, r#""eth1""#);
        let call = host.call(verb, &request.replacen("net1", "net2", 1));
        call.env("CNI_CONTAINERID", "web").env("CNI_IFNAME", "eth1")
    };
    host.ok(&first("ADD"));
    host.ok(&second("ADD"));
    let before = node.rules();
    host.ok(&second("ADD"));
    assert_eq!(node.rules(), before);
    node.serves(8080, [0, 0]);
    host.ok(&first("CHECK"));
    host.ok(&second("CHECK"));
    // Another container's is a conflict.
    let other = node.request(2, CAREFUL, &ports);
    host.fails(
        &host.call("ADD", &other).env("CNI_CONTAINERID", "other"),
        102,
    );
    host.ok(&first("DEL"));
    node.serves(8080, [1, 1]);
    host.ok(&second("CHECK"));
    // Another container takes it and gives it back.
    node.does("ADD", 2, &ports);
    node.serves(8080, [2, 2]);
    host.fails(&second("CHECK"), 101);
    node.does("DEL", 2, &ports);
    node.serves(8080, [1, 1]);
    host.ok(&second("DEL"));
    host.is_clean();
}

fn of_one_request_s_claims_the_one_of_an_address_is_served_there(backend: Backend) {
    let node = Node::new(backend);
    let other = tcp::Server::start(&node.host.net.containers[0], 81, "2");
    let _other = other.unwrap();
    let narrow = FIRST.map(|address| mapping_on(address, "tcp", 8080, 81));
    let mut claims = vec![everywhere(8080), everywhere(8443), narrow.to_vec()];
    for _ in 0..2 {
        node.does("ADD", 0, &claims);
        node.serves(8080, [2, 0]);
        node.serves(8443, [0, 0]);
        node.does("CHECK", 0, &claims);
        claims.reverse();
    }
    node.does("DEL", 0, &claims);
    node.host.is_clean();
}

/// Conditions on the client's addresses; those of a second entry have another prefix around them.
fn conditions(backend: Backend, bits: [u8; 2]) -> String {
    let [v4, v6] = bits;
    let (v4, v6) = (format!("10.99.0.0/{v4}"), format!("fd99::/{v6}"));
    match backend {
        Backend::Nftables => format!(
            r#""conditionsV4":["ip","saddr","{v4}"],"conditionsV6":["ip6","saddr","{v6}"],"#
        ),
        _ => format!(r#""conditionsV4":["-s","{v4}"],"conditionsV6":["-s","{v6}"],"#),
    }
}

fn with_conditions_too_who_is_added_again_is_the_newest(backend: Backend) {
    let node = Node::new(backend);
    let near = conditions(backend, [24, 64]);
    let call = |verb, number| {
        let request = node.request(number, &near, &[everywhere(8080)]);
        let call = node.host.call(verb, &request);
        call.env("CNI_CONTAINERID", &format!("cid-{number}"))
    };
    let does = |verb, number| drop(node.host.ok(&call(verb, number)));
    for number in [0, 1, 2, 0] {
        does("ADD", number);
        node.serves(8080, [number, number]);
    }
    let before = node.rules();
    does("ADD", 0);
    assert_eq!(node.rules(), before);
    // A failed one leaves the order: 0, 2, 1.
    let full = ["sh", "-c", "exec \"$0\" >/dev/full"];
    let failed = call("ADD", 1).under(&full).run(&node.host.net.host);
    assert_eq!(failed.unwrap().code, Some(1));
    for (goes, serves) in [(0, 2), (2, 1)] {
        node.serves(8080, [goes, goes]);
        does("DEL", goes);
        node.serves(8080, [serves, serves]);
    }
    does("DEL", 1);
    node.host.is_clean();
}

fn entries_with_conditions_that_are_added_again_are_the_newest(backend: Backend) {
    let node = Node::new(backend);
    let entries = [[24, 64], [16, 48]].map(|bits| conditions(backend, bits));
    let does = |verb, number, ports: &[Vec<String>]| {
        for entry in &entries {
            let call = node.host.call(verb, &node.request(number, entry, ports));
            node.host
                .ok(&call.env("CNI_CONTAINERID", &format!("cid-{number}")));
        }
    };
    // The port that the other does not have stays served, and holds neither entry behind the other.
    let [both, one] = [
        vec![everywhere(8080), everywhere(8081)],
        vec![everywhere(8080)],
    ];
    does("ADD", 0, &both);
    does("ADD", 1, &one);
    node.serves(8080, [1, 1]);
    does("ADD", 0, &both);
    node.serves(8080, [0, 0]);
    node.serves(8081, [0, 0]);
    does("CHECK", 0, &both);
    does("DEL", 0, &both);
    node.serves(8080, [1, 1]);
    does("DEL", 1, &one);
    node.host.is_clean();
}

/// The client's ports are above those of the second condition.
fn conditions_come_first_and_stay_closed_whoever_is_added(backend: Backend) {
    let low = match backend {
        Backend::Nftables => r#"["tcp","sport","1-1023"]"#,
        _ => r#"["-m","tcp","--sport","1:1023"]"#,
    };
    let low = &format!(r#""conditionsV4":{low},"conditionsV6":{low},"#);
    let near = conditions(backend, [24, 64]);
    for (options, port, expected) in [
        (low, on(FIRST, 8080), [2, 2]),
        (low, everywhere(8080), [2, 2]),
        (&near, on(FIRST, 8080), [0, 2]),
        (&near, everywhere(8080), [0, 0]),
    ] {
        let node = Node::new(backend);
        let conditional = node.request(0, options, &[port]);
        let conditional = |verb| {
            let call = node.host.call(verb, &conditional);
            node.host.ok(&call.env("CNI_CONTAINERID", "cid-0"));
        };
        let both = [everywhere(8080), everywhere(8081)];
        conditional("ADD");
        node.does("ADD", 1, &both[1..]);
        node.does("ADD", 2, &both);
        for _ in 0..2 {
            node.serves(8080, expected);
            node.serves(8081, [2, 2]);
            conditional("CHECK");
            node.does("CHECK", 2, &both);
            conditional("ADD");
        }
        node.does("DEL", 2, &both);
        node.serves(8081, [1, 1]);
        conditional("DEL");
        node.does("DEL", 1, &both[1..]);
        node.host.is_clean();
    }
}
