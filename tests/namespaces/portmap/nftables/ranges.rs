//! Adjacent host ports are one element in each set, whoever else claims some of them. Who answers is in
//! `portmap::ranges`, for every backend.

use std::ops::Range;

use sandbox::Namespace;
use sandbox::probe::{tcp, udp};
use serde_json::{Value, json};

use super::{Pod, contents, host_with, nft, owned, ruleset};

fn mappings(protocol: &str, ports: Range<u16>) -> Vec<Value> {
    ports
        .map(|port| json!({"hostPort": port, "containerPort": port, "protocol": protocol}))
        .collect()
}

fn tcp_ports(ports: Range<u16>) -> Value {
    json!(mappings("tcp", ports))
}

/// The elements of an owner: single ones and ranges, in all sets but that of attachments.
fn elements(host: &Namespace, pod: &Pod) -> [usize; 2] {
    let mut lines = owned(host, &pod.owner());
    lines.retain(|line| !line.contains("\"attachments\""));
    let ranges = lines
        .iter()
        .filter(|line| line.contains("_ranges\""))
        .count();
    [lines.len() - ranges, ranges]
}

/// As many as a range has of both IP versions: in the map, for the container's own network, and for 127.0.0.1.
const ONE: [usize; 2] = [0, 5];

#[test]
fn a_thousand_ports_are_as_many_elements_as_one() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    let one = pod.clone().mapping(tcp_ports(8000..8001));
    one.does("ADD", &net.host);
    assert_eq!(elements(&net.host, &one), [5, 0]);
    one.does("DEL", &net.host);
    for (first, count) in [(8000, 20), (8000, 1000)] {
        let many = pod.clone().mapping(tcp_ports(first..first + count));
        many.does("ADD", &net.host);
        assert_eq!(elements(&net.host, &many), ONE, "{count}");
        let before = contents(&net.host);
        many.does("CHECK", &net.host);
        many.does("ADD", &net.host);
        assert_eq!(contents(&net.host), before);
        many.does("DEL", &net.host);
        assert_eq!(owned(&net.host, &many.owner()).len(), 0);
    }
    let protocols = ["tcp", "udp", "sctp"].map(|protocol| mappings(protocol, 8000..9000));
    let all = pod.mapping(json!(protocols.concat()));
    all.does("ADD", &net.host);
    assert_eq!(elements(&net.host, &all), [0, 15]);
    all.does("CHECK", &net.host);
    // A request that names no port, or not all, removes all of them.
    for left in [json!([]), tcp_ports(8000..8500)] {
        all.does("ADD", &net.host);
        all.clone().mapping(left).does("DEL", &net.host);
        assert_eq!(owned(&net.host, &all.owner()).len(), 0);
    }
}

#[test]
fn ports_that_are_no_range_are_single_elements() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    let moved: Vec<Value> = (8000..8030)
        .map(|port| json!({"hostPort": port, "containerPort": port + 1, "protocol": "tcp"}))
        .collect();
    let at = |mut one: Value| {
        one["hostIP"] = json!("10.99.0.1");
        one
    };
    let on_one: Vec<Value> = mappings("tcp", 8000..8030).into_iter().map(at).collect();
    for (list, expected) in [
        (json!(moved), 150),
        (json!(on_one), 90),
        (tcp_ports(8000..8019), 95),
    ] {
        let pod = pod.clone().mapping(list);
        pod.does("ADD", &net.host);
        pod.does("CHECK", &net.host);
        assert_eq!(elements(&net.host, &pod), [expected, 0]);
        pod.does("DEL", &net.host);
    }
    let limited = pod
        .mapping(tcp_ports(8000..8030))
        .with("hostAddresses", json!(["10.99.0.0/24", "fd99::/64"]));
    limited.does("ADD", &net.host);
    limited.does("CHECK", &net.host);
    // Nobody needed the sets.
    assert!(!ruleset(&net.host).contains("_ranges"));
}

/// What may happen to a range of 20 ports, and a part of CHECK's words.
const DRIFTS: [(&str, &str); 12] = [
    ("flush map ip cni_portmap hostports_ranges", "8000-8019/tcp to 10.22.0.2"),
    ("flush map ip6 cni_portmap hostports_ranges", "8000-8019/tcp to fd00:22::2"),
    ("flush set ip cni_portmap localhost_ranges", "localhost_ranges"),
    ("flush set ip cni_portmap hairpin16_ranges", "hairpin16_ranges"),
    ("add element ip cni_portmap masq_all_ranges { tcp . 8000-8019 comment \"net1/pod-0/eth0\" }", "masq_all_ranges"),
    ("flush map ip cni_portmap hostports_ranges
      add element ip cni_portmap hostports_ranges { tcp . 8000-8019 comment \"net1/pod-0/eth0\" : 10.22.0.9 }", "10.22.0.9"),
    ("flush map ip cni_portmap hostports_ranges
      add element ip cni_portmap hostports_ranges { tcp . 8000-8019 : 10.22.0.2 }", "nobody"),
    ("flush chain ip cni_portmap by_range", "by_range"),
    ("insert rule ip cni_portmap by_range accept", "by_range"),
    ("flush chain ip cni_portmap hostports
      add rule ip cni_portmap hostports jump conditions
      add rule ip cni_portmap hostports jump by_address
      add rule ip cni_portmap hostports jump by_port", "jump by_range"),
    ("add element ip cni_portmap hostports { tcp . 8010 : 10.22.0.9 . 80 }", "10.22.0.9:80"),
    ("flush ruleset", "missing"),
];

#[test]
fn check_names_every_drift_of_a_range_once_and_add_makes_up_for_it() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0).mapping(tcp_ports(8000..8020));
    pod.does("ADD", &net.host);
    let sound = contents(&net.host);
    for (script, words) in DRIFTS {
        nft(&net.host, script);
        assert_ne!(contents(&net.host), sound, "{script}");
        let told = pod.fails("CHECK", &net.host, 101);
        assert!(told.contains(words), "{script}: {told}");
        assert!(told.len() < 5000, "{script}: {told}");
        pod.does("ADD", &net.host);
        pod.does("CHECK", &net.host);
        assert_eq!(contents(&net.host), sound, "{script}");
    }
    // An attachment without a range, on another network, is not concerned.
    let mut other = Pod::new(&net, 0).id("other").mapping(tcp_ports(9000..9001));
    other.v4 = "10.22.0.9/24".into();
    other.does("ADD", &net.host);
    other.does("CHECK", &net.host);
    nft(&net.host, "flush map ip cni_portmap hostports_ranges");
    other.does("CHECK", &net.host);
}

#[test]
fn a_range_that_lost_a_port_is_a_drift_and_add_maps_the_port() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0).mapping(tcp_ports(8000..8020));
    pod.does("ADD", &net.host);
    nft(
        &net.host,
        "flush map ip cni_portmap hostports_ranges
         add element ip cni_portmap hostports_ranges { tcp . 8000-8018 comment \"net1/pod-0/eth0\" : 10.22.0.2 }",
    );
    let told = pod.fails("CHECK", &net.host, 101);
    assert!(told.contains("8019/tcp"), "{told}");
    pod.does("ADD", &net.host);
    pod.does("CHECK", &net.host);
    let _server = tcp::Server::start(&net.containers[0], 8019, "pod").unwrap();
    let to = ([10, 99, 0, 1], 8019).into();
    assert_eq!(tcp::exchange(net.client(), to).server(), Some("pod"));
    pod.does("DEL", &net.host);
    assert_eq!(owned(&net.host, &pod.owner()).len(), 0);
}

/// Writes a range as single elements, as its ports have them after others have taken and left them.
fn as_before(host: &Namespace, pod: &Pod, ports: Range<u16>) {
    let owner = pod.owner();
    let mut script = String::new();
    for family in ["ip", "ip6"] {
        for map in [
            "hostports",
            "localhost",
            "hairpin16",
            "hairpin64",
            "masq_all",
        ] {
            if ruleset_has(host, family, map) {
                let kind = if map == "hostports" { "map" } else { "set" };
                script += &format!("flush {kind} {family} cni_portmap {map}_ranges\n");
            }
        }
    }
    for port in ports {
        for (family, network, container) in [
            ("ip", "10.22.0.0", "10.22.0.2"),
            ("ip6", "fd00:22::", "fd00:22::2"),
        ] {
            let len = if family == "ip" { 16 } else { 64 };
            let mut add = |set: &str, element: String, data: &str| {
                script += &format!(
                    "add element {family} cni_portmap {set} {{ {element} comment \"{owner}\" {data} }}\n"
                );
            };
            let key = format!("tcp . {port}");
            add("hostports", key.clone(), &format!(": {container} . {port}"));
            add(&format!("hairpin{len}"), format!("{network} . {key}"), "");
            if family == "ip" {
                add("localhost", key, "");
            }
        }
    }
    nft(host, &script);
}

fn ruleset_has(host: &Namespace, family: &str, set: &str) -> bool {
    let text = host.sh(["nft", "list", "table", family, "cni_portmap"]);
    text.contains(&format!(" {set}_ranges "))
}

#[test]
fn single_elements_of_an_earlier_version_stay_and_go_whole() {
    let net = host_with(2);
    let pod = Pod::new(&net, 0).mapping(tcp_ports(8000..8040));
    pod.does("ADD", &net.host);
    as_before(&net.host, &pod, 8000..8040);
    assert_eq!(elements(&net.host, &pod), [200, 0]);
    let former = contents(&net.host);
    pod.does("CHECK", &net.host);
    pod.does("ADD", &net.host);
    assert_eq!(contents(&net.host), former);
    // A newer range takes them, and gives them back.
    let newer = Pod::new(&net, 1).mapping(tcp_ports(8000..8040));
    newer.does("ADD", &net.host);
    assert_eq!(elements(&net.host, &newer), ONE);
    let told = pod.fails("CHECK", &net.host, 101);
    assert!(told.contains(&newer.owner()), "{told}");
    newer.does("DEL", &net.host);
    assert_eq!(contents(&net.host), former);
    pod.does("DEL", &net.host);
    assert_eq!(owned(&net.host, &pod.owner()).len(), 0);
    pod.does("ADD", &net.host);
    assert_eq!(elements(&net.host, &pod), ONE);
}

#[test]
fn a_range_stays_whole_where_others_take_ports_of_it() {
    let net = host_with(3);
    let range = Pod::new(&net, 0).mapping(tcp_ports(8000..8100));
    let single = Pod::new(&net, 1).mapping(tcp_ports(8050..8051));
    let other = Pod::new(&net, 2).mapping(tcp_ports(8050..8052));
    range.does("ADD", &net.host);
    let alone = contents(&net.host);
    let warned = single.call("ADD", &net.host).stderr;
    let lost = format!("host port 8050/tcp belonged to {}", range.owner());
    assert!(
        warned.contains(&lost) && !warned.contains("8051"),
        "{warned}"
    );
    single.does("DEL", &net.host);
    for newer in [&single, &other] {
        newer.does("ADD", &net.host);
        assert_eq!(elements(&net.host, &range), ONE);
        let told = range.fails("CHECK", &net.host, 101);
        assert!(
            told.contains(&format!(
                "8050/tcp to {}",
                newer.v4.split('/').next().unwrap()
            )),
            "{told}"
        );
        assert!(!told.contains("8060"), "{told}");
    }
    // The one in the middle of three goes, then comes again, and is the newest.
    let warned = range.call("ADD", &net.host).stderr;
    let won = format!(
        "host port 8050/tcp and 1 more belonged to {}",
        other.owner()
    );
    assert!(
        warned.contains(&won) && !warned.contains("8052"),
        "{warned}"
    );
    range.does("CHECK", &net.host);
    assert_eq!(elements(&net.host, &range), ONE);
    single.does("DEL", &net.host);
    range.does("CHECK", &net.host);
    single.does("ADD", &net.host);
    single.does("CHECK", &net.host);
    other.does("ADD", &net.host);
    // Only on the port where it is neither the oldest nor the newest, it has single elements.
    assert_eq!(elements(&net.host, &other)[1], 0);
    for gone in [&single, &other] {
        gone.does("DEL", &net.host);
    }
    range.does("CHECK", &net.host);
    assert_eq!(contents(&net.host), alone);
}

#[test]
fn whoever_waits_behind_a_range_is_served_when_it_goes_and_not_before() {
    let net = host_with(3);
    let one = tcp_ports(8010..8011);
    let [range, first, second] = [0, 1, 2].map(|n| Pod::new(&net, n));
    let range = range.mapping(tcp_ports(8000..8020));
    let [first, second] = [first, second].map(|pod| pod.mapping(one.clone()));
    first.does("ADD", &net.host);
    let before = elements(&net.host, &first);
    second.does("ADD", &net.host);
    range.does("ADD", &net.host);
    // Another one who waits goes.
    second.does("DEL", &net.host);
    range.does("CHECK", &net.host);
    assert_ne!(elements(&net.host, &first), before);
    // A request that does not name the port serves it all the same.
    range.mapping(tcp_ports(8000..8005)).does("DEL", &net.host);
    assert_eq!(elements(&net.host, &first), before);
    first.does("CHECK", &net.host);
}

#[test]
fn of_two_ranges_that_meet_the_newer_one_is_served_and_either_may_go_first() {
    for first in [0, 1] {
        let net = host_with(2);
        let pods = [(0, 8000..8060), (1, 8030..8090)];
        let pods = pods.map(|(n, ports)| Pod::new(&net, n).mapping(tcp_ports(ports)));
        let servers = [0, 1].map(|n| {
            let ports = [8000, 8029, 8030, 8059, 8060, 8089];
            ports.map(|port| tcp::Server::start(&net.containers[n], port, &n.to_string()).unwrap())
        });
        let answers = |expected: [Option<&str>; 6]| {
            for (port, by) in [8000, 8029, 8030, 8059, 8060, 8089]
                .into_iter()
                .zip(expected)
            {
                for to in net.host.both(port) {
                    let within = std::time::Duration::from_millis(300);
                    let outcome = tcp::exchange_within(net.client(), to, within);
                    assert_eq!(outcome.server(), by, "{to}");
                }
            }
        };
        let (a, b) = (Some("0"), Some("1"));
        pods.iter().for_each(|pod| pod.does("ADD", &net.host));
        answers([a, a, b, b, b, b]);
        assert_eq!(elements(&net.host, &pods[0]), ONE);
        assert_eq!(elements(&net.host, &pods[1]), [150, 5]);
        pods[1].does("CHECK", &net.host);
        let told = pods[0].fails("CHECK", &net.host, 101);
        assert!(told.contains(&pods[1].owner()), "{told}");
        pods[first].does("DEL", &net.host);
        match first {
            0 => answers([None, None, b, b, b, b]),
            _ => answers([a, a, a, a, None, None]),
        }
        let left = &pods[1 - first];
        left.does("CHECK", &net.host);
        left.does("ADD", &net.host);
        left.does("DEL", &net.host);
        answers([None; 6]);
        assert_eq!(owned(&net.host, &left.owner()).len(), 0);
        drop(servers);
    }
}

#[test]
fn gc_of_a_range_serves_those_who_wait_and_leaves_the_others() {
    let net = host_with(3);
    let older = Pod::new(&net, 1).mapping(tcp_ports(8010..8011));
    let range = Pod::new(&net, 0).mapping(tcp_ports(8000..8020));
    let newer = Pod::new(&net, 2).mapping(tcp_ports(8015..8016));
    older.does("ADD", &net.host);
    newer.does("ADD", &net.host);
    newer.does("DEL", &net.host);
    let before = contents(&net.host);
    range.does("ADD", &net.host);
    assert_eq!(elements(&net.host, &range), ONE);
    newer.does("ADD", &net.host);
    let valid = [&older, &newer].map(|pod| json!({"containerID": pod.id, "ifname": "eth0"}));
    let gc = |valid: &[Value]| {
        let request = json!({"cniVersion": "1.1.0", "name": "net1", "type": "portmap",
            "cni.dev/valid-attachments": valid});
        let answer = range.prepared("GC", &request).run(&net.host).unwrap();
        assert_eq!(answer.code, Some(0), "{}", answer.stdout);
    };
    gc(&valid);
    assert_eq!(owned(&net.host, &range.owner()).len(), 0);
    older.does("CHECK", &net.host);
    newer.does("CHECK", &net.host);
    gc(&valid[..1]);
    let mut now = contents(&net.host);
    // The sets stay, as those of a network's prefix do.
    now.retain(|line| !line.contains("_ranges") && !line.contains("by_range"));
    assert_eq!(now, before);
}

#[test]
fn a_port_taken_from_a_range_is_masqueraded_as_its_owner_wants_it() {
    let net = host_with(2);
    let all = Pod::new(&net, 0)
        .mapping(json!(
            [mappings("tcp", 8000..8020), mappings("udp", 8000..8020)].concat()
        ))
        .with("masqAll", json!(true));
    let one = Pod::new(&net, 1).mapping(tcp_ports(8010..8011));
    let _servers = [0, 1].map(|n| tcp::Server::start(&net.containers[n], 8010, "x").unwrap());
    let _udp = udp::Server::start(&net.containers[0], 8010, "x").unwrap();
    all.does("ADD", &net.host);
    let peer = |outcome: &sandbox::probe::Outcome| outcome.peer().map(|peer| peer.ip().to_string());
    let to = ([10, 99, 0, 1], 8010).into();
    let masqueraded = peer(&tcp::exchange(net.client(), to));
    assert_eq!(masqueraded.as_deref(), Some("10.22.0.1"));
    one.does("ADD", &net.host);
    let seen = peer(&tcp::exchange(net.client(), to));
    assert_ne!(seen, masqueraded);
    one.does("DEL", &net.host);
    assert_eq!(peer(&tcp::exchange(net.client(), to)), masqueraded);
}

#[test]
fn a_container_s_second_network_leaves_its_range_to_the_first() {
    let net = host_with(1);
    let first = Pod::new(&net, 0).mapping(tcp_ports(8000..8020));
    let mut second = first.clone();
    second.network = "net2".into();
    second.ifname = "eth1".into();
    second.v4 = "10.23.0.2/16".into();
    let server = tcp::Server::start(&net.containers[0], 8019, "pod").unwrap();
    first.does("ADD", &net.host);
    second.does("ADD", &net.host);
    let to = ([10, 99, 0, 1], 8019).into();
    assert_eq!(tcp::exchange(net.client(), to).server(), Some("pod"));
    assert_eq!(elements(&net.host, &first), ONE);
    first.does("CHECK", &net.host);
    second.does("CHECK", &net.host);
    first.does("DEL", &net.host);
    second.does("CHECK", &net.host);
    second.does("DEL", &net.host);
    assert_eq!(owned(&net.host, &second.owner()).len(), 0);
    drop(server);
}
