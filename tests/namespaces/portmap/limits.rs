//! `hostAddresses` and `hostInterfaces`: the same answer to packets from every backend.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use sandbox::plugin::Call;
use sandbox::probe::tcp;
use sandbox::wait_until;

use super::node::{Backend, REFERENCE, mapping_on, on_both_variants, on_every_backend};
use super::order::{FIRST, Node, SECOND, everywhere, on};

on_every_backend!(
    ports_are_mapped_on_the_listed_addresses_alone,
    attachments_with_other_limits_have_the_same_port_each_on_its_addresses,
    a_port_within_limits_comes_before_the_same_port_of_all_addresses,
    a_port_of_one_address_comes_before_the_same_port_within_limits,
    what_comes_to_a_left_out_interface_later_is_left_out,
    a_new_address_of_an_interface_is_a_drift_that_add_repairs,
    an_ipv6_address_that_the_kernel_still_checks_for_duplicates_is_mapped,
    a_route_of_a_transparent_proxy_makes_no_address_one_of_an_interface,
    an_interface_that_is_not_there_refuses_add_and_nothing_else,
    a_mapping_of_an_address_that_is_left_out_is_refused,
    a_changed_rule_or_set_is_a_drift_that_add_repairs,
    a_failed_add_leaves_the_others_their_addresses,
    del_and_gc_find_everything_from_the_owner_alone,
    conditions_and_limits_hold_together,
    del_with_other_limits_leaves_none_of_the_former_ones,
    many_prefixes_are_refused_by_iptables_alone,
    what_limits_have_in_common_is_served_by_one_and_a_drift_of_the_other,
    gc_removes_limits_that_nobody_has,
);

on_both_variants!(
    the_reference_removes_what_has_limits,
    del_finds_a_jump_that_somebody_led_elsewhere,
);

const PORT: u16 = 8080;
/// The first address of each IP version, and not the second.
const ONLY_FIRST: &str = r#""hostAddresses":["10.99.0.0/26","fd99::1"],"#;
const ONLY_SECOND: &str = r#""hostAddresses":["!10.99.0.0/26","10.99.0.0/24","fd99::77"],"#;
const CAREFUL: &str = r#""onConflict":"error","#;

/// Pods that have one port each, and the options of their networks.
struct Pods(Node);

impl Pods {
    fn new(backend: Backend) -> Pods {
        Pods(Node::new(backend))
    }

    fn call(&self, verb: &str, number: usize, options: &str) -> Call {
        let request = self.0.request(number, options, &[everywhere(PORT)]);
        let call = self.0.host.call(verb, &request);
        call.env("CNI_CONTAINERID", &format!("cid-{number}"))
    }

    #[track_caller]
    fn does(&self, verb: &str, number: usize, options: &str) {
        self.0.host.ok(&self.call(verb, number, options));
    }

    #[track_caller]
    fn fails(&self, verb: &str, number: usize, options: &str, code: u32) -> String {
        self.0.host.fails(&self.call(verb, number, options), code)
    }

    /// The container that answers at an address of the node.
    fn server(&self, address: &str) -> Option<usize> {
        let to = SocketAddr::new(address.parse::<IpAddr>().unwrap(), PORT);
        let outcome = tcp::exchange(self.0.host.net.client(), to);
        outcome.server().map(|name| name.parse().unwrap())
    }

    /// Those at the first and at the second addresses of both IP versions.
    #[track_caller]
    fn serve(&self, expected: [Option<usize>; 2]) {
        for (addresses, number) in [FIRST, SECOND].into_iter().zip(expected) {
            for address in addresses {
                assert_eq!(self.server(address), number, "{address}");
            }
        }
    }

    #[track_caller]
    fn shell(&self, script: &str) {
        let lock = self.0.host.directory.join("lock");
        let mut done = self.0.host.net.host.command("sh");
        let done = done.env("XTABLES_LOCKFILE", lock).args(["-c", script]);
        assert!(done.status().unwrap().success(), "{script}");
    }

    fn node(&self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        self.0.host.net.host.try_sh(&words).unwrap();
    }
}

fn ports_are_mapped_on_the_listed_addresses_alone(backend: Backend) {
    let pods = Pods::new(backend);
    pods.does("ADD", 0, ONLY_FIRST);
    pods.serve([Some(0), None]);
    pods.does("CHECK", 0, ONLY_FIRST);
    let before = pods.0.rules();
    pods.does("ADD", 0, ONLY_FIRST);
    assert_eq!(pods.0.rules(), before);
    pods.does("DEL", 0, ONLY_FIRST);
    pods.0.host.is_clean();
    // An IP version of which no address is listed has no port.
    let only_v4 = r#""hostAddresses":["10.99.0.1"],"#;
    pods.does("ADD", 0, only_v4);
    pods.does("CHECK", 0, only_v4);
    assert_eq!(FIRST.map(|address| pods.server(address)), [Some(0), None]);
    pods.does("DEL", 0, only_v4);
    pods.0.host.is_clean();
}

fn attachments_with_other_limits_have_the_same_port_each_on_its_addresses(backend: Backend) {
    let pods = Pods::new(backend);
    let [first, second] = [ONLY_FIRST, ONLY_SECOND].map(|limits| [limits, CAREFUL].concat());
    pods.does("ADD", 0, &first);
    pods.does("ADD", 1, &second);
    pods.serve([Some(0), Some(1)]);
    pods.does("CHECK", 0, &first);
    pods.does("CHECK", 1, &second);
    // Who has an address in common with one of them is refused.
    let both = [r#""hostAddresses":["10.99.0.0/16","fd99::/16"],"#, CAREFUL].concat();
    for options in [first.as_str(), &second, &both, CAREFUL] {
        let said = pods.fails("ADD", 2, options, 102);
        assert!(said.contains("8080/tcp"), "{said}");
    }
    pods.serve([Some(0), Some(1)]);
    // The newest one of the same limits is served, as without limits.
    pods.does("ADD", 2, ONLY_FIRST);
    pods.serve([Some(2), Some(1)]);
    pods.fails("CHECK", 0, ONLY_FIRST, 101);
    pods.does("CHECK", 1, ONLY_SECOND);
    pods.does("CHECK", 2, ONLY_FIRST);
    pods.does("DEL", 2, ONLY_FIRST);
    pods.serve([Some(0), Some(1)]);
}

fn a_port_within_limits_comes_before_the_same_port_of_all_addresses(backend: Backend) {
    for order in [[0, 1], [1, 0]] {
        let pods = Pods::new(backend);
        let options = [ONLY_FIRST, ""];
        for number in order {
            pods.does("ADD", number, options[number]);
        }
        pods.serve([Some(0), Some(1)]);
        for number in order {
            pods.does("CHECK", number, options[number]);
        }
        pods.does("DEL", 0, ONLY_FIRST);
        pods.serve([Some(1), Some(1)]);
    }
}

fn a_port_of_one_address_comes_before_the_same_port_within_limits(backend: Backend) {
    let one = r#""hostAddresses":["10.99.0.1","fd99::1"],"#;
    for limits in [one, ONLY_FIRST, r#""hostInterfaces":["out0"],"#] {
        for order in [[0, 1], [1, 0]] {
            let pods = Pods::new(backend);
            let call = |verb: &str, number: usize| match number {
                0 => pods.0.call(verb, 0, &[on(FIRST, PORT)]),
                _ => pods.call(verb, number, limits),
            };
            for number in order {
                pods.0.host.ok(&call("ADD", number));
            }
            let second = (!limits.contains("hostAddresses")).then_some(1);
            pods.serve([Some(0), second]);
            let before = pods.0.rules();
            for number in order {
                pods.0.host.ok(&call("CHECK", number));
                pods.0.host.ok(&call("ADD", number));
            }
            assert_eq!(pods.0.rules(), before);
            pods.0.host.ok(&call("DEL", 0));
            pods.serve([Some(1), second]);
            pods.0.host.ok(&call("DEL", 1));
            pods.0.host.is_clean();
        }
    }
}

fn what_comes_to_a_left_out_interface_later_is_left_out(backend: Backend) {
    let pods = Pods::new(backend);
    let options = r#""hostInterfaces":["!kube-ipvs0"],"#;
    pods.does("ADD", 0, options);
    pods.serve([Some(0), Some(0)]);
    pods.node("ip link add kube-ipvs0 type bridge");
    pods.node("ip address add 10.99.0.200/32 dev kube-ipvs0");
    assert_eq!(pods.server("10.99.0.200"), None);
    pods.does("CHECK", 0, options);
    pods.does("ADD", 0, options);
    pods.does("CHECK", 0, options);
    assert_eq!(pods.server("10.99.0.200"), None);
    pods.serve([Some(0), Some(0)]);
    // Without the key it is one of the node's addresses as any other.
    pods.does("ADD", 1, "");
    assert_eq!(pods.server("10.99.0.200"), Some(1));
    pods.serve([Some(0), Some(0)]);
}

fn a_new_address_of_an_interface_is_a_drift_that_add_repairs(backend: Backend) {
    let pods = Pods::new(backend);
    let options = r#""hostInterfaces":["out0"],"#;
    pods.does("ADD", 0, options);
    pods.serve([Some(0), Some(0)]);
    let loopback = SocketAddr::new("127.0.0.1".parse().unwrap(), PORT);
    assert_eq!(
        tcp::exchange(&pods.0.host.net.host, loopback).server(),
        None
    );
    pods.node("ip address add 10.99.0.78/24 dev out0");
    pods.fails("CHECK", 0, options, 101);
    assert_eq!(pods.server("10.99.0.78"), None);
    pods.does("ADD", 0, options);
    pods.does("CHECK", 0, options);
    assert_eq!(pods.server("10.99.0.78"), Some(0));
    pods.node("ip address del 10.99.0.78/24 dev out0");
    pods.fails("CHECK", 0, options, 101);
    pods.does("ADD", 0, options);
    pods.does("CHECK", 0, options);
}

fn an_ipv6_address_that_the_kernel_still_checks_for_duplicates_is_mapped(backend: Backend) {
    let pods = Pods::new(backend);
    let options = r#""hostInterfaces":["out0"],"#;
    let settings = "/proc/sys/net/ipv6/conf/out0";
    pods.shell(&format!(
        "echo 1 > {settings}/accept_dad; echo 5 > {settings}/dad_transmits"
    ));
    pods.node("ip address add fd99::78/64 dev out0");
    let tentative = || {
        let host = &pods.0.host.net.host;
        !host
            .sh(["ip", "-6", "address", "show", "dev", "out0", "tentative"])
            .is_empty()
    };
    assert!(tentative());
    pods.does("ADD", 0, options);
    assert!(wait_until(Duration::from_secs(30), || !tentative()));
    pods.does("CHECK", 0, options);
    assert_eq!(pods.server("fd99::78"), Some(0));
}

fn a_route_of_a_transparent_proxy_makes_no_address_one_of_an_interface(backend: Backend) {
    let pods = Pods::new(backend);
    for family in ["-4", "-6"] {
        pods.node(&format!(
            "ip {family} route add local default dev lo table 100"
        ));
    }
    let options = r#""hostInterfaces":["lo"],"#;
    pods.does("ADD", 0, options);
    pods.serve([None, None]);
    let loopback = SocketAddr::new("127.0.0.1".parse().unwrap(), PORT);
    let node = &pods.0.host.net.host;
    assert_eq!(tcp::exchange(node, loopback).server(), Some("0"));
}

fn an_interface_that_is_not_there_refuses_add_and_nothing_else(backend: Backend) {
    let pods = Pods::new(backend);
    let options = r#""hostInterfaces":["out0","wan7"],"#;
    let before = pods.0.host.state();
    let said = pods.fails("ADD", 0, options, 100);
    assert!(
        said.contains("hostInterfaces") && said.contains("wan7"),
        "{said}"
    );
    let network =
        format!(r#"{{"cniVersion":"1.1.0","name":"net1","type":"portmap",{options}"x":0}}"#);
    let said = pods.0.host.fails(&pods.0.host.call("STATUS", &network), 50);
    assert!(said.contains("wan7"), "{said}");
    assert_eq!(pods.0.host.state(), before);
    pods.node("ip link add wan7 type bridge");
    pods.does("ADD", 0, options);
    pods.node("ip link del wan7");
    pods.does("DEL", 0, options);
    pods.0.host.is_clean();
}

fn a_mapping_of_an_address_that_is_left_out_is_refused(backend: Backend) {
    let pods = Pods::new(backend);
    let on = |address: &str| vec![mapping_on(address, "tcp", PORT, 80)];
    let call = |options: &str, address: &str| {
        let request = pods.0.request(0, options, &[on(address)]);
        pods.0.host.call("ADD", &request)
    };
    let before = pods.0.host.state();
    for (options, address) in [
        (ONLY_FIRST, "10.99.0.77"),
        (r#""hostInterfaces":["lo"],"#, "10.99.0.77"),
        (r#""hostInterfaces":["!out0"],"#, "fd99::77"),
    ] {
        let said = pods.0.host.fails(&call(options, address), 7);
        assert!(said.contains(address), "{said}");
    }
    assert_eq!(pods.0.host.state(), before);
    for (options, address) in [
        (ONLY_FIRST, "10.99.0.1"),
        (r#""hostInterfaces":["out0"],"#, "fd99::1"),
    ] {
        pods.0.host.ok(&call(options, address));
        assert_eq!(pods.server(address), Some(0));
    }
    // One that is on no interface may come.
    pods.0
        .host
        .ok(&call(r#""hostInterfaces":["lo"],"#, "10.99.0.201"));
    pods.node("ip address add 10.99.0.201/24 dev out0");
    assert_eq!(pods.server("10.99.0.201"), Some(0));
}

fn a_changed_rule_or_set_is_a_drift_that_add_repairs(backend: Backend) {
    let pods = Pods::new(backend);
    pods.does("ADD", 0, ONLY_FIRST);
    let table = "ip cni_portmap";
    let changes: Vec<String> = match backend {
        Backend::Nftables => {
            let listed = pods.0.host.net.host.sh(["nft", "list", "ruleset"]);
            let name = |prefix: &str| {
                let mut words = listed.split_whitespace();
                let found = words.find(|word| word.starts_with(prefix)).unwrap();
                found.to_owned()
            };
            let (set, chain) = (name("addresses_"), name("within_"));
            vec![
                format!("nft flush set {table} {set}"),
                format!("nft add element {table} {set} {{ 10.99.0.64/26 }}"),
                format!("nft flush chain {table} {chain}"),
                format!("nft flush chain {table} by_address"),
            ]
        }
        Backend::IptablesNft | Backend::IptablesLegacy => {
            let program = format!("iptables-{}", backend.infix());
            let lines = pods.0.host.nat("iptables");
            let jump = lines.lines().find(|line| line.contains("-d 10.99.0.0/26"));
            let jump = jump.unwrap().replace("-A ", "-D ");
            vec![
                format!("{program} -t nat {jump}"),
                format!("{program} -t nat -F CNI-HOSTPORT-DNAT"),
            ]
        }
    };
    for change in changes {
        pods.shell(&change);
        pods.fails("CHECK", 0, ONLY_FIRST, 101);
        pods.does("ADD", 0, ONLY_FIRST);
        pods.does("CHECK", 0, ONLY_FIRST);
        pods.serve([Some(0), None]);
    }
}

fn a_failed_add_leaves_the_others_their_addresses(backend: Backend) {
    let pods = Pods::new(backend);
    let host = &pods.0.host;
    let switch = "/proc/sys/net/ipv4/conf/cni0/route_localnet";
    let strace = ["strace", "-qq", "-o", "/dev/null", "-P", switch];
    let inject = [&strace[..], &["-e", "inject=write:error=EIO"]].concat();
    let sysctl = "net.ipv4.conf.cni0.route_localnet";
    host.net.host.set_sysctl(sysctl, "0").unwrap();
    host.fails(&pods.call("ADD", 0, ONLY_FIRST).under(&inject), 100);
    host.is_clean();
    host.net.host.set_sysctl(sysctl, "1").unwrap();
    pods.does("ADD", 0, ONLY_FIRST);
    pods.does("ADD", 1, ONLY_SECOND);
    let before = pods.0.rules();
    host.net.host.set_sysctl(sysctl, "0").unwrap();
    host.fails(&pods.call("ADD", 2, ONLY_FIRST).under(&inject), 100);
    host.net.host.set_sysctl(sysctl, "1").unwrap();
    assert_eq!(pods.0.rules(), before);
    pods.serve([Some(0), Some(1)]);
}

fn del_and_gc_find_everything_from_the_owner_alone(backend: Backend) {
    let pods = Pods::new(backend);
    let bare = r#"{"cniVersion":"1.1.0","name":"net1","type":"portmap","#;
    for (number, limits) in [ONLY_FIRST, ONLY_SECOND, ""].into_iter().enumerate() {
        pods.does("ADD", number, limits);
    }
    let del = pods.0.host.call("DEL", &format!(r#"{bare}"ignored":1}}"#));
    pods.0.host.ok(&del.env("CNI_CONTAINERID", "cid-0"));
    pods.serve([Some(2), Some(1)]);
    let valid = r#""cni.dev/valid-attachments":[{"containerID":"cid-2","ifname":"eth0"}]"#;
    let gc = pods.0.host.call("GC", &format!("{bare}{valid}}}"));
    pods.0.host.ok(&gc);
    pods.serve([Some(2), Some(2)]);
    pods.does("DEL", 2, "");
    pods.0.host.is_clean();
}

fn conditions_and_limits_hold_together(backend: Backend) {
    let pods = Pods::new(backend);
    let client = pods.0.host.net.client();
    let source = client.ipv4;
    let words = match backend {
        Backend::Nftables => format!(r#"["ip","saddr","{source}"]"#),
        Backend::IptablesNft | Backend::IptablesLegacy => format!(r#"["-s","{source}"]"#),
    };
    let options = format!(r#"{ONLY_FIRST}"conditionsV4":{words},"#);
    pods.does("ADD", 0, &options);
    pods.does("CHECK", 0, &options);
    pods.serve([Some(0), None]);
    let before = pods.0.rules();
    pods.does("ADD", 0, &options);
    assert_eq!(pods.0.rules(), before);
    let other = options.replace(&source.to_string(), "192.0.2.1");
    pods.fails("CHECK", 0, &other, 101);
    pods.does("DEL", 0, &other);
    pods.does("ADD", 0, &other);
    pods.does("CHECK", 0, &other);
    assert_eq!(pods.server(FIRST[0]), None);
    assert_eq!(pods.server(FIRST[1]), Some(0));
    pods.does("DEL", 0, &other);
    pods.0.host.is_clean();
}

fn del_with_other_limits_leaves_none_of_the_former_ones(backend: Backend) {
    let pods = Pods::new(backend);
    for (options, served) in [
        (ONLY_FIRST, [Some(0), None]),
        (ONLY_SECOND, [None, Some(0)]),
        ("", [Some(0), Some(0)]),
        (ONLY_FIRST, [Some(0), None]),
    ] {
        pods.does("DEL", 0, options);
        pods.does("ADD", 0, options);
        pods.does("CHECK", 0, options);
        pods.serve(served);
    }
    pods.does("DEL", 0, ONLY_SECOND);
    pods.0.host.is_clean();
}

fn the_reference_removes_what_has_limits(backend: Backend) {
    let pods = Pods::new(backend);
    pods.does("ADD", 0, ONLY_FIRST);
    let request = pods.0.request(0, ONLY_FIRST, &[everywhere(PORT)]);
    let call = pods.0.host.call_of(REFERENCE, "DEL", &request);
    pods.0.host.ok(&call.env("CNI_CONTAINERID", "cid-0"));
    pods.0.host.is_clean();
}

fn del_finds_a_jump_that_somebody_led_elsewhere(backend: Backend) {
    let pods = Pods::new(backend);
    let limits = r#""hostAddresses":["10.99.0.0/26","10.99.0.128/25"],"#;
    pods.does("ADD", 0, limits);
    let lines = pods.0.host.nat("iptables");
    let jump = lines.lines().find(|line| line.contains("-d 10.99.0.0/26"));
    let (jump, _) = jump.unwrap().rsplit_once(" -j ").unwrap();
    let program = format!("iptables-{} -t nat", backend.infix());
    let place = "-R CNI-HOSTPORT-DNAT 1";
    pods.shell(&format!(
        "{program} {} -j RETURN",
        jump.replace("-A CNI-HOSTPORT-DNAT", place)
    ));
    pods.does("DEL", 0, limits);
    pods.0.host.is_clean();
}

fn many_prefixes_are_refused_by_iptables_alone(backend: Backend) {
    let pods = Pods::new(backend);
    let limits = |count: usize| {
        let addresses = (1..count).map(|n| format!(r#""10.{}.{}.1""#, 100 + n / 200, n % 200));
        let addresses: Vec<String> = addresses.collect();
        format!(
            r#""hostAddresses":["10.99.0.1","fd99::1",{}],"#,
            addresses.join(",")
        )
    };
    let network = |options: &str| {
        let network =
            format!(r#"{{"cniVersion":"1.1.0","name":"net1","type":"portmap",{options}"x":0}}"#);
        pods.0.host.call("STATUS", &network)
    };
    let before = pods.0.host.state();
    if backend != Backend::Nftables {
        for call in [pods.call("ADD", 0, &limits(257)), network(&limits(257))] {
            let said = pods.0.host.fails(&call, 7);
            assert!(said.contains("257") && said.contains("256"), "{said}");
        }
        assert_eq!(pods.0.host.state(), before);
    }
    let most = match backend {
        Backend::Nftables => limits(3000),
        Backend::IptablesNft | Backend::IptablesLegacy => limits(256),
    };
    pods.0.host.ok(&network(&most));
    pods.does("ADD", 0, &most);
    pods.does("CHECK", 0, &most);
    pods.serve([Some(0), None]);
    pods.does("DEL", 0, &most);
    pods.0.host.is_clean();
}

fn what_limits_have_in_common_is_served_by_one_and_a_drift_of_the_other(backend: Backend) {
    let pods = Pods::new(backend);
    let all = r#""hostAddresses":["10.99.0.0/24","fd99::/64"],"#;
    pods.does("ADD", 0, ONLY_FIRST);
    let answer = pods.0.host.ok(&pods.call("ADD", 1, all));
    let (served, lacks) = match backend {
        // The limits that were there first come first, of whatever attachment.
        Backend::Nftables => ([Some(0), Some(1)], 1),
        // The newest attachment does.
        Backend::IptablesNft | Backend::IptablesLegacy => ([Some(1), Some(1)], 0),
    };
    pods.serve(served);
    let options = [ONLY_FIRST, all];
    let said = pods.fails("CHECK", lacks, options[lacks], 101);
    assert!(said.contains("8080/tcp"), "{said}");
    pods.does("CHECK", 1 - lacks, options[1 - lacks]);
    if backend == Backend::Nftables {
        let warned = "host port 8080/tcp stays with net1/cid-0/eth0";
        assert!(answer.stderr.contains(warned), "{}", answer.stderr);
        assert!(said.contains("net1/cid-0/eth0"), "{said}");
        // One of the first limits takes the port from those of the second.
        pods.does("DEL", 0, ONLY_FIRST);
        pods.serve([Some(1), Some(1)]);
        pods.does("CHECK", 1, all);
        let answer = pods.0.host.ok(&pods.call("ADD", 0, ONLY_FIRST));
        let warned = "host port 8080/tcp belonged to net1/cid-1/eth0";
        assert!(answer.stderr.contains(warned), "{}", answer.stderr);
        pods.serve([Some(0), Some(1)]);
        // Again is no news.
        let answer = pods.0.host.ok(&pods.call("ADD", 0, ONLY_FIRST));
        assert!(!answer.stderr.contains("belonged"), "{}", answer.stderr);
    }
    pods.does("DEL", lacks, options[lacks]);
    pods.does("CHECK", 1 - lacks, options[1 - lacks]);
}

fn gc_removes_limits_that_nobody_has(backend: Backend) {
    let pods = Pods::new(backend);
    let words = match backend {
        Backend::Nftables => r#"["ip","saddr","10.0.0.0/8"]"#,
        Backend::IptablesNft | Backend::IptablesLegacy => r#"["-s","10.0.0.0/8"]"#,
    };
    let conditional = format!(r#"{ONLY_SECOND}"conditionsV4":{words},"#);
    let third = r#""hostAddresses":["10.98.0.7","fd98::7"],"#;
    let gc = |valid: &[usize]| {
        let valid = valid
            .iter()
            .map(|n| format!(r#"{{"containerID":"cid-{n}","ifname":"eth0"}}"#));
        let valid: Vec<String> = valid.collect();
        let request = format!(
            r#"{{"cniVersion":"1.1.0","name":"net1","type":"portmap","cni.dev/valid-attachments":[{}]}}"#,
            valid.join(",")
        );
        pods.0.host.ok(&pods.0.host.call("GC", &request));
    };
    pods.does("ADD", 0, ONLY_FIRST);
    pods.does("ADD", 1, &conditional);
    pods.does("ADD", 2, third);
    let limits = || {
        let rules = pods.0.host.net.host.sh(["nft", "list", "ruleset"]);
        let sets = rules.lines().filter(|line| line.contains("set addresses_"));
        (sets.count(), rules.matches("within_").count())
    };
    pods.does("DEL", 2, third);
    let before = limits();
    gc(&[0, 1]);
    pods.does("CHECK", 0, ONLY_FIRST);
    pods.does("CHECK", 1, &conditional);
    if backend == Backend::Nftables {
        assert_eq!((before.0, limits().0), (6, 4));
        assert!(limits().1 < before.1);
    }
    // What is gone is made again.
    pods.does("ADD", 2, third);
    pods.does("CHECK", 2, third);
    gc(&[]);
    assert_eq!(limits(), (0, 0));
    pods.does("ADD", 0, ONLY_FIRST);
    pods.does("CHECK", 0, ONLY_FIRST);
    pods.serve([Some(0), None]);
}
