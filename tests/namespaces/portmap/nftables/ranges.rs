//! Adjacent host ports are one element in each set, whoever else claims some of them. Who answers is in
//! `portmap::ranges`, for every backend.

mod others;

use std::ops::Range;

use sandbox::Namespace;
use sandbox::probe::tcp;
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

/// The addresses that ports are mapped on: all, one of each IP version, those of limits.
#[derive(Clone, Copy, Debug, PartialEq)]
enum On {
    All,
    One,
    Within,
}

const EVERY: [On; 3] = [On::All, On::One, On::Within];

impl On {
    fn pod(self, pod: Pod, mappings: Vec<Value>) -> Pod {
        let at = |address: &str| {
            let mut all = mappings.clone();
            all.iter_mut()
                .for_each(|one| one["hostIP"] = json!(address));
            all
        };
        match self {
            On::All => pod.mapping(json!(mappings)),
            On::One => pod.mapping(json!([at("10.99.0.1"), at("fd99::1")].concat())),
            On::Within => pod
                .mapping(json!(mappings))
                .with("hostAddresses", json!(["10.99.0.0/24", "fd99::/64"])),
        }
    }

    fn tcp(self, pod: Pod, ports: Range<u16>) -> Pod {
        self.pod(pod, mappings("tcp", ports))
    }
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
    for on in EVERY {
        let net = host_with(1);
        let pod = Pod::new(&net, 0);
        let one = on.tcp(pod.clone(), 8000..8001);
        one.does("ADD", &net.host);
        assert_eq!(elements(&net.host, &one), [5, 0]);
        one.does("DEL", &net.host);
        for (first, count) in [(8000, 20), (8000, 1000)] {
            let many = on.tcp(pod.clone(), first..first + count);
            many.does("ADD", &net.host);
            assert_eq!(elements(&net.host, &many), ONE, "{count} {on:?}");
            let before = contents(&net.host);
            many.does("CHECK", &net.host);
            many.does("ADD", &net.host);
            assert_eq!(contents(&net.host), before);
            many.does("DEL", &net.host);
            assert_eq!(owned(&net.host, &many.owner()).len(), 0);
        }
        let protocols = ["tcp", "udp", "sctp"].map(|protocol| mappings(protocol, 8000..9000));
        let all = on.pod(pod.clone(), protocols.concat());
        all.does("ADD", &net.host);
        assert_eq!(elements(&net.host, &all), [0, 15]);
        all.does("CHECK", &net.host);
        // A request that names no port, or not all, removes all of them.
        for left in [8000..8000, 8000..8500] {
            all.does("ADD", &net.host);
            on.tcp(pod.clone(), left).does("DEL", &net.host);
            assert_eq!(owned(&net.host, &all.owner()).len(), 0);
        }
    }
}

#[test]
fn ports_that_are_no_range_are_single_elements() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    let moved: Vec<Value> = (8000..8030)
        .map(|port| json!({"hostPort": port, "containerPort": port + 1, "protocol": "tcp"}))
        .collect();
    for (list, expected) in [(json!(moved), 150), (tcp_ports(8000..8019), 95)] {
        let pod = pod.clone().mapping(list);
        pod.does("ADD", &net.host);
        pod.does("CHECK", &net.host);
        assert_eq!(elements(&net.host, &pod), [expected, 0]);
        pod.does("DEL", &net.host);
    }
    // Nobody needed the sets.
    assert!(!ruleset(&net.host).contains("_ranges"));
}

/// What may happen to a range of 20 ports, and a part of CHECK's words. What is in braces depends on the addresses.
const DRIFTS: [(&str, &str); 13] = [
    ("flush map ip cni_portmap {map}_ranges", "8000-8019/tcp to 10.22.0.2"),
    ("flush map ip6 cni_portmap {map}_ranges", "8000-8019/tcp to fd00:22::2"),
    ("flush set ip cni_portmap localhost{on}_ranges", "localhost{on}_ranges"),
    ("flush set ip cni_portmap hairpin16{on}_ranges", "hairpin16{on}_ranges"),
    ("add element ip cni_portmap masq_all{on}_ranges { {key}tcp . 8000-8019 comment \"{owner}\" }", "masq_all{on}_ranges"),
    ("flush map ip cni_portmap {map}_ranges
      add element ip cni_portmap {map}_ranges { {key}tcp . 8000-8019 comment \"{owner}\" : 10.22.0.9 }", "10.22.0.9"),
    ("flush map ip cni_portmap {map}_ranges
      add element ip cni_portmap {map}_ranges { {key}tcp . 8000-8019 : 10.22.0.2 }", "nobody"),
    ("flush chain ip cni_portmap {chain}_ranges", "{chain}_ranges"),
    ("insert rule ip cni_portmap {chain}_ranges accept", "{chain}_ranges"),
    ("flush chain ip cni_portmap {chain}", "{chain}"),
    ("delete rule ip cni_portmap {chain} handle {jump}", "chain {chain} of"),
    ("add element ip cni_portmap {map} { {key}tcp . 8010 : 10.22.0.9 . 80 }", "10.22.0.9:80"),
    ("flush ruleset", "missing"),
];

/// The word of a text that begins so.
fn word<'a>(text: &'a str, beginning: &str) -> &'a str {
    let mut words = text.split(|c: char| c.is_whitespace() || c == '"');
    let word = words.find(|word| word.starts_with(beginning));
    word.unwrap_or_else(|| panic!("{beginning}: {text}"))
}

/// A template with the names that there are.
fn filled(host: &Namespace, on: On, template: &str) -> String {
    let rules = ruleset(host);
    let scope = || word(&rules, "within_").trim_end_matches("_ranges");
    let (map, suffix, key, chain) = match on {
        On::All => ("hostports".into(), "".into(), "", "by_port"),
        On::One => (
            "hostips".into(),
            "_hostip".into(),
            "10.99.0.1 . ",
            "by_address",
        ),
        On::Within => (
            format!("hostports_{}", scope()),
            format!("_{}", scope()),
            "",
            scope(),
        ),
    };
    let listed = host.sh(["nft", "-a", "list", "chain", "ip", "cni_portmap", chain]);
    let jump = listed.lines().find(|line| line.contains("_ranges #"));
    let handle = jump.and_then(|line| line.split_whitespace().last());
    let owner = word(&rules, "net1/pod-0/eth0");
    let all = [
        ("{map}", map.as_str()),
        ("{on}", &suffix),
        ("{key}", key),
        ("{chain}", chain),
    ];
    let all = all
        .into_iter()
        .chain([("{jump}", handle.unwrap()), ("{owner}", owner)]);
    all.fold(template.to_owned(), |text, (name, value)| {
        text.replace(name, value)
    })
}

#[test]
fn check_names_every_drift_of_a_range_once_and_add_makes_up_for_it() {
    for on in EVERY {
        let net = host_with(1);
        let pod = on.tcp(Pod::new(&net, 0), 8000..8020);
        pod.does("ADD", &net.host);
        let sound = contents(&net.host);
        for (script, words) in DRIFTS {
            let [script, words] = [script, words].map(|text| filled(&net.host, on, text));
            nft(&net.host, &script);
            assert_ne!(contents(&net.host), sound, "{script}");
            let told = pod.fails("CHECK", &net.host, 101);
            assert!(told.contains(&words), "{script}: {told}");
            assert!(told.len() < 8000, "{script}: {told}");
            pod.does("ADD", &net.host);
            pod.does("CHECK", &net.host);
            assert_eq!(contents(&net.host), sound, "{script}");
        }
        // An attachment without a range, on another network, is not concerned.
        let mut other = on.tcp(Pod::new(&net, 0).id("other"), 9000..9001);
        other.v4 = "10.22.0.9/24".into();
        other.does("ADD", &net.host);
        other.does("CHECK", &net.host);
        nft(&net.host, &filled(&net.host, on, DRIFTS[0].0));
        other.does("CHECK", &net.host);
    }
}

#[test]
fn ranges_of_one_kind_concern_nobody_who_has_none_of_it() {
    let net = host_with(3);
    let pods = [0, 1, 2].map(|number| EVERY[number].tcp(Pod::new(&net, number), 8000..8001));
    pods.iter().for_each(|pod| pod.does("ADD", &net.host));
    for (number, on) in EVERY.into_iter().enumerate() {
        let many = on.tcp(Pod::new(&net, number).id("many"), 9000..9020);
        many.does("ADD", &net.host);
        many.does("CHECK", &net.host);
        pods.iter().for_each(|pod| pod.does("CHECK", &net.host));
        let chains = ruleset(&net.host).matches("_ranges {").count();
        let before = contents(&net.host);
        pods.iter().for_each(|pod| pod.does("ADD", &net.host));
        assert_eq!(contents(&net.host), before, "{on:?} {chains}");
    }
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
