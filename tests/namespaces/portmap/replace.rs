//! The newest owner of a port, and a request that changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use sandbox::probe::tcp;
use sandbox::{Topology, executable};

use super::node::{
    Backend, Host, mapping, on_both_variants, on_every_backend, request, request_of,
};

on_every_backend!(
    a_stale_owner_does_not_keep_a_port_from_a_new_pod,
    what_a_failed_add_replaced_is_there_again,
);
on_both_variants!(
    what_it_had_in_another_backend_goes_with_add_and_comes_back_where_that_fails,
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

fn what_it_had_in_another_backend_goes_with_add_and_comes_back_where_that_fails(backend: Backend) {
    let (host, _servers) = two_pods(backend);
    let options = |key: &str, limits: &str| format!(r#""backend":"{key}",{limits}"#);
    for key in ["nftables", "iptables"] {
        let neighbour = request_of(&options(key, ""), &mapping("tcp", 9090, 80), &SECOND);
        let call = host.call("ADD", &neighbour);
        host.ok(&call.env("CNI_CONTAINERID", &format!("cid-{key}")));
    }
    let limits = r#""hostAddresses":["10.22.0.0/16","fd00:22::/64"],"#;
    for (old, new, limits) in [
        ("iptables", "nftables", ""),
        ("nftables", "iptables", ""),
        ("iptables", "nftables", limits),
        ("nftables", "iptables", limits),
    ] {
        let of = |key| request_of(&options(key, limits), &mapping("tcp", 8080, 80), &FIRST);
        // What all attachments share stays from now on.
        host.run("ADD", &of(new));
        host.run("ADD", &of(old));
        let before = rules(&host);
        let full = ["sh", "-c", "exec \"$0\" >/dev/full"];
        let call = host.call("ADD", &of(new)).under(&full);
        assert_eq!(call.run(&host.net.host).unwrap().code, Some(1));
        assert_eq!(rules(&host), before, "{new}");
        host.run("CHECK", &of(old));
        host.run("ADD", &of(new));
        host.run("CHECK", &of(new));
        let left = match old {
            "iptables" => [host.nat("iptables"), host.nat("ip6tables")].concat(),
            _ => ["ip", "ip6"]
                .map(|family| {
                    host.net
                        .host
                        .sh(["nft", "list", "table", family, "cni_portmap"])
                })
                .concat(),
        };
        assert!(left.contains("10.22.0.3"), "{left}");
        assert!(
            !left.contains("10.22.0.2") && !left.contains("fd00:22::2"),
            "{left}"
        );
        if limits.is_empty() {
            serves(&host, 8080, "first");
        }
        host.run("DEL", &of(new));
    }
}

/// Without the lines that hold counters.
fn rules(host: &Host) -> Vec<String> {
    let state = host.state();
    let rules = state.lines().filter(|line| !line.starts_with(':'));
    rules.map(str::to_owned).collect()
}

/// A program that fails when its rules are in, as the legacy one does with its counters. Only the legacy variant
/// is written by programs.
#[test]
fn what_a_program_wrote_that_fails_at_its_end_is_taken_back() {
    let (host, _servers) = two_pods(Backend::IptablesLegacy);
    let words = r#"["-m","connlimit","--connlimit-upto","9"]"#;
    let conditions = format!(r#""conditionsV4":{words},"conditionsV6":{words},"#);
    let neighbour = request_of("", &mapping("tcp", 9090, 80), &SECOND);
    let neighbour = host.call("ADD", &neighbour);
    host.ok(&neighbour.env("CNI_CONTAINERID", "cid-0002"));
    let usual =
        ["iptables", "ip6tables"].map(|base| host.directory.join(format!("{base}-restore")));
    let real = ["iptables", "ip6tables"]
        .map(|base| PathBuf::from(format!("/usr/sbin/{base}-legacy-restore")));
    let late = real.each_ref().map(|real| {
        let late = host
            .directory
            .join(format!("late-{}", real.file_name().unwrap().display()));
        let text = format!(
            "#!/bin/sh\ntext=$(cat)\nprintf '%s\\n' \"$text\" | {} \"$@\"\n\
             case $text in *'-I CNI-HOSTPORT-DNAT'*) echo 'no counters today' >&2; exit 1; esac\n",
            real.display()
        );
        executable::script(&late, &text).unwrap();
        late
    });
    let link = |to: &PathBuf, program: &PathBuf| {
        let _ = fs::remove_file(program);
        symlink(to, program).unwrap();
    };
    let mut failed = 0;
    for options in ["", &conditions] {
        let old = request_of(options, &mapping("tcp", 8080, 80), &FIRST);
        host.run("ADD", &old);
        let before = rules(&host);
        // IPv4 fails, or IPv6, or IPv6 is taken out when IPv4 fails.
        for (failing, addresses) in [(0, &FIRST[..]), (1, &FIRST), (0, &FIRST[..1])] {
            for (options, port) in [("", 8081), (conditions.as_str(), 8080)] {
                let new = request_of(options, &mapping("tcp", port, 80), addresses);
                link(&late[failing], &usual[failing]);
                let answer = host.call("ADD", &new).run(&host.net.host).unwrap();
                link(&real[failing], &usual[failing]);
                let state = rules(&host);
                if answer.code == Some(0) {
                    host.run("CHECK", &new);
                    host.run("DEL", &new);
                    host.run("ADD", &old);
                    assert_eq!(rules(&host), before, "{answer:?}");
                }
                let is_refused = answer.code == Some(1);
                failed += usize::from(is_refused);
                assert!(!is_refused || state == before, "{state:#?} {answer:?}");
            }
        }
        host.run("CHECK", &old);
        serves(&host, 8080, "first");
    }
    assert!(failed >= 3, "{failed}");
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
    for options in ["", &good] {
        let old = request_of(options, &mapping("tcp", 8080, 80), &FIRST);
        host.run("ADD", &old);
        let before = rules(&host);
        for key in ["conditionsV4", "conditionsV6"] {
            let conditions = format!(r#""{key}":{},"#, words[0]);
            let new = request_of(&conditions, &mapping("tcp", 8081, 80), &FIRST);
            host.fails(&host.call("ADD", &new), 7);
            assert_eq!(rules(&host), before, "{key}");
            host.run("CHECK", &old);
            serves(&host, 8080, "first");
        }
    }
}
