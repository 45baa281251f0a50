//! `hostAddresses` and `hostInterfaces`: the same answer to packets from every backend.

mod interfaces;
mod removal;

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
    who_comes_and_goes_leaves_nobody_a_drift,
    a_changed_rule_or_set_is_a_drift_that_add_repairs,
    conditions_and_limits_hold_together,
    many_prefixes_are_refused_by_iptables_alone,
    what_limits_have_in_common_is_served_by_one_and_a_drift_of_the_other,
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

/// With iptables the newer one puts a rule before its own jumps that leads the older one's packets there, and
/// is like the older one's own.
fn who_comes_and_goes_leaves_nobody_a_drift(backend: Backend) {
    let pods = Pods::new(backend);
    let limits = r#""hostAddresses":["10.99.0.1","fd99::1"],"#;
    let newer = |verb: &str| {
        let claims = [on(FIRST, PORT), everywhere(PORT)];
        pods.0.host.ok(&pods.0.call(verb, 1, &claims));
    };
    pods.does("ADD", 0, limits);
    newer("ADD");
    pods.serve([Some(1), Some(1)]);
    newer("CHECK");
    newer("DEL");
    pods.serve([Some(0), None]);
    pods.does("CHECK", 0, limits);
    pods.does("DEL", 0, limits);
    pods.0.host.is_clean();
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
